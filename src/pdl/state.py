"""What a directory remembers from run to run, in SQLite: which URL has which contested name.

The database is there only while there is something to remember. It holds nothing that cannot be
lost: one that cannot be read is put aside, and the run goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from pdl.model import SafePath
from pdl.taken import Pairing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "state.sqlite"
SAVE_SECONDS = 1.0
_SCHEMA = "CREATE TABLE IF NOT EXISTS names (path TEXT PRIMARY KEY, key TEXT NOT NULL)"


def pairings_of(state: Path, warn: Callable[[str], None]) -> list[Pairing]:
    """What runs have kept of names, without any claim to the database: one may be under way.

    Args:
        state: the ``.pdl`` directory.
        warn: told when the database cannot be read.
    """
    path = state / FILE
    try:
        if not path.exists():
            return []
        where = f"file:{quote(str(path.absolute()))}?mode=ro"
        with contextlib.closing(sqlite3.connect(where, uri=True)) as database:
            rows = database.execute("SELECT path, key FROM names").fetchall()
            return [Pairing(SafePath(name), int(key, 16)) for name, key in rows]
    except (OSError, sqlite3.Error, ValueError, TypeError) as exc:
        warn(f"{path} cannot be read ({exc}); names may be others than those of the runs")
        return []


class Memory:
    """The names that more than one URL wants, kept from run to run.

    Args:
        state: the ``.pdl`` directory.
        warn: told when the database cannot be used.
    """

    def __init__(self, state: Path, warn: Callable[[str], None]) -> None:
        self._path = state / FILE
        self._warn = warn
        self._new: list[Pairing] = []
        self._next_save = 0.0

    def pairings(self) -> list[Pairing]:
        """What earlier runs have kept."""
        try:
            if self._path.is_symlink():  # a database is made through it, wherever it leads
                self._path.unlink()
            if not self._path.exists():
                return []
        except OSError as exc:
            self._warn(f"{self._path} cannot be used ({exc.strerror or exc})")
            return []
        try:
            with contextlib.closing(sqlite3.connect(self._path)) as database:
                rows = database.execute("SELECT path, key FROM names").fetchall()
                return [Pairing(SafePath(path), int(key, 16)) for path, key in rows]
        except (sqlite3.Error, ValueError, TypeError) as exc:
            self._warn(f"{self._path} cannot be read ({exc}); starting a new one")
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_suffix(".broken"))
            return []

    def keep(self, pairing: Pairing) -> None:
        """Keep a pairing; it is written within a second of the next one, or by `save`."""
        self._new.append(pairing)
        now = time.monotonic()
        if now >= self._next_save:
            self._next_save = now + SAVE_SECONDS
            self.save()

    def save(self) -> None:
        """Write what is new, in one transaction."""
        if not self._new:
            return
        rows = [(pairing.path, f"{pairing.key:x}") for pairing in self._new]
        try:
            with contextlib.closing(sqlite3.connect(self._path)) as database, database:
                database.execute(_SCHEMA)
                database.executemany("INSERT OR REPLACE INTO names VALUES (?, ?)", rows)
            self._new.clear()
        except sqlite3.Error as exc:
            self._warn(f"{self._path} cannot be written ({exc}); names may differ on the next run")
            self._new.clear()
