"""For which files the command of ``--exec`` is still to be run: kept from run to run, in SQLite.

A path is written before its file is fetched, and taken away once the command went well. So a
process that is killed at any moment loses no command: a path whose file is not there means nothing,
and in the next run a file that is there and has a path here gets its command. At the worst, a
command that went well is run again.

What is written survives the process at once, for the system has it; a power cut may take the last
paths, and the last files with them, unless files are flushed: then so are the paths.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

FILE = "exec.sqlite"
_BESIDE = ("-journal", "-wal", "-shm")
_UNUSABLE = (sqlite3.Error, OSError, ValueError)


class OwedCommands:
    """The paths whose command is to be run.

    Args:
        state: the ``.pdl`` directory, which this run holds.
        warn: told once, if the database cannot be used.
        flush: flush each change to the disk.
    """

    def __init__(self, state: Path, warn: Callable[[str], None], *, flush: bool = False) -> None:
        self._path = state / FILE
        self._warn = warn
        self._flush = flush
        self._given_up = False
        self._database: sqlite3.Connection | None = None
        if self._path.exists():
            self._try(self._open)

    def owe(self, paths: Iterable[str]) -> list[str]:
        """Write these paths; gives those that were not there."""
        new: list[str] = []

        def insert() -> None:
            database = self._database or self._open()
            database.execute("BEGIN")
            for path in paths:
                done = database.execute("INSERT OR IGNORE INTO owed VALUES (?)", (path,))
                if done.rowcount:
                    new.append(path)
            database.execute("COMMIT")

        return new if self._try(insert) else []

    def owes(self, path: str) -> bool:
        """Whether the file's command is to be run."""
        found: list[object] = []
        database = self._database
        if database is not None:
            query = "SELECT 1 FROM owed WHERE path = ?"
            self._try(lambda: found.extend(database.execute(query, (path,))))
        return bool(found)

    def settle(self, path: str) -> None:
        """Take the path away."""
        database = self._database
        if database is not None:
            self._try(lambda: database.execute("DELETE FROM owed WHERE path = ?", (path,)))

    def close(self) -> None:
        """Close the database, which goes if nothing is in it."""
        database, left = self._database, [1]
        if database is None:
            return
        self._try(lambda: left.clear() if not _any(database) else None)
        self._disconnect()
        if not left:
            self._remove()

    def _open(self) -> sqlite3.Connection:
        self._database = database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA trusted_schema=OFF")  # the directory may have come from anywhere
        database.execute("PRAGMA locking_mode=EXCLUSIVE")  # the run's lock says who may
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA synchronous={'FULL' if self._flush else 'NORMAL'}")
        database.execute("CREATE TABLE IF NOT EXISTS owed (path TEXT PRIMARY KEY) WITHOUT ROWID")
        _any(database)
        return database

    def _try(self, what: Callable[[], object]) -> bool:
        if self._given_up:
            return False
        try:
            what()
        except _UNUSABLE as exc:
            self._given_up = True
            self._disconnect()
            if type(exc) is sqlite3.DatabaseError:  # it is none, and there is nothing in it
                self._remove()
            self._warn(
                f"{self._path} cannot be used ({exc}); a command of --exec that fails or is not "
                "run is not run again by the next run"
            )
        return not self._given_up

    def _disconnect(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def _remove(self) -> None:
        for beside in ("", *_BESIDE):
            with contextlib.suppress(OSError):
                self._path.with_name(FILE + beside).unlink()


def _any(database: sqlite3.Connection) -> bool:
    return any(database.execute("SELECT 1 FROM owed LIMIT 1"))
