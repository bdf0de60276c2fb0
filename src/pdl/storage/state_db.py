"""What a directory remembers from run to run, in SQLite: contested names, and placed versions.

The database is there only while there is something to remember. It holds nothing that cannot be
lost: one that cannot be read is put aside, and the run goes on.

The main process alone writes it, in batches that are each one transaction: a process that is
killed, or a power cut, loses the last batch and nothing else. A file that is newer than the version
that is written of it does not fit it, and then the version is not believed.

SQLite is imported where there is a database, or is to be: most runs have none.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from pdl.model import SafePath, Version
from pdl.naming.claims import Pairing
from pdl.naming.safe_name import stored_path

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pdl.naming.claims import GivenName

    _Rows = Sequence[tuple[str | int | None, ...]]

FILE = "state.sqlite"
SAVE_SECONDS = 1.0
SAVE_ROWS = 5000
LOCK_SECONDS = 2.0
"""How long to wait for someone who has the database open; pdl itself never has it twice."""

_BESIDE = ("-journal", "-wal", "-shm")
"""Files that belong to a database; SQLite drops those that it finds beside an empty one."""

_SETUP = (
    "PRAGMA trusted_schema=OFF",  # the directory may have come from anywhere
    "CREATE TABLE IF NOT EXISTS names (path TEXT PRIMARY KEY, key TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS versions (
        path TEXT PRIMARY KEY, listed TEXT NOT NULL, giver TEXT NOT NULL, bare TEXT NOT NULL,
        etag TEXT, modified TEXT, size INTEGER NOT NULL, mtime_ns TEXT NOT NULL,
        proven TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS given (
        key TEXT, wanted TEXT, path TEXT NOT NULL, PRIMARY KEY (key, wanted)
    ) WITHOUT ROWID""",
)
_BEGIN = "BEGIN"
"""There always is a transaction: each look-up would else take and leave the lock of the file."""
_NAMES = "SELECT path, key FROM names"
_VERSION = (
    "SELECT listed, giver, bare, etag, modified, size, mtime_ns, proven"
    " FROM versions WHERE path = ?"
)
_GIVEN = "SELECT path FROM given WHERE key = ? AND wanted = ?"
_ALL_GIVEN = "SELECT key, wanted, path FROM given"
_KEEP_GIVEN = "INSERT OR REPLACE INTO given VALUES (?, ?, ?)"
_KEEP_NAMES = "INSERT OR REPLACE INTO names VALUES (?, ?)"
_KEEP_VERSIONS = "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def pairings_of(state: Path, warn: Callable[[str], None]) -> list[Pairing]:
    """What runs have kept of names, without any claim to the database: one may be under way.

    Args:
        state: the ``.pdl`` directory.
        warn: told when the database cannot be read.
    """
    return _glance(state, _NAMES, _pairing, warn)


def given_of(state: Path, warn: Callable[[str], None]) -> dict[tuple[int, SafePath], SafePath]:
    """The paths that files got from their servers, in the same way; see `pdl.run.server_names`."""
    rows = _glance(state, _ALL_GIVEN, _given, warn)
    return {place: path for place, path in rows if path is not None}


def _unusable() -> tuple[type[Exception], ...]:
    """What a database raises that cannot be used; to be asked once something is raised.

    That may be the import: there is no SQLite, or no file can be opened any more.
    """
    return (*_out_of_reach(), ValueError, TypeError)


def _out_of_reach() -> tuple[type[Exception], ...]:
    """The same for one whose rows are not looked at."""
    return (*_errors("Error"), ImportError, OSError)


def _errors(name: str) -> tuple[type[Exception], ...]:
    """SQLite's exception of that name; none if it has not been imported, and raised nothing."""
    library = sys.modules.get("sqlite3")
    return () if library is None else (getattr(library, name),)


_T = TypeVar("_T")


def _glance(
    state: Path, query: str, made: Callable[..., _T], warn: Callable[[str], None]
) -> list[_T]:
    path = state / FILE
    try:
        if not path.exists():
            return []
        import sqlite3

        where = f"file:{quote(str(path.absolute()))}?mode=ro"
        with contextlib.closing(sqlite3.connect(where, uri=True)) as database:
            return [made(*row) for row in database.execute(query).fetchall()]
    except _unusable() as exc:
        if "no such table" not in str(exc):
            warn(f"{path} cannot be read ({exc}); names may be others than those of the runs")
        return []


class ReadOnlyVersions:
    """The versions that runs have kept, in the same way; see `pdl.storage.versions.Versions`.

    Args:
        state: the ``.pdl`` directory.
    """

    def __init__(self, state: Path) -> None:
        self._database: sqlite3.Connection | None = None
        try:
            if (state / FILE).exists():
                import sqlite3

                where = f"file:{quote(str((state / FILE).absolute()))}?mode=ro"
                self._database = sqlite3.connect(where, uri=True, isolation_level=None)
        except _unusable():
            pass

    def version_of(self, path: SafePath) -> Version | None:
        """What is kept of the file; nothing, once the database could not be read."""
        try:
            if self._database is not None:
                for row in self._database.execute(_VERSION, (path,)).fetchall():
                    return _version(row)
        except _unusable():
            self.close()
        return None

    def remember(self, path: SafePath, version: Version) -> None:
        """Nothing: it only looks."""

    def close(self) -> None:
        """Let go of the database."""
        if self._database is not None:
            self._database.close()
            self._database = None


class StateDb:
    """The names that more than one URL wants or a server gave, and the versions of placed files.

    Args:
        state: the ``.pdl`` directory.
        warn: told when the database cannot be used.
    """

    def __init__(self, state: Path, warn: Callable[[str], None]) -> None:
        self._path = state / FILE
        self._warn = warn
        self._names: list[Pairing] = []
        self._versions: dict[SafePath, Version] = {}
        self._given: dict[tuple[int, SafePath], GivenName] = {}
        self._database: sqlite3.Connection | None = None
        self._given_up = False
        self._next_save = 0.0

    def pairings(self) -> list[Pairing]:
        """The names that earlier runs have kept."""
        try:
            return [_pairing(*row) for row in self._rows(_NAMES)]
        except _unusable() as exc:
            self._unreadable(exc)
            return []

    def keep(self, pairing: Pairing) -> None:
        """Keep a pairing; it is written by one of the next `tick`, or by `save`."""
        self._names.append(pairing)
        self.tick()

    def version_of(self, path: SafePath) -> Version | None:
        """The version of the file that was placed last; None if nothing is remembered of it."""
        if (new := self._versions.get(path)) is not None:
            return new
        try:
            for row in self._rows(_VERSION, path):
                return _version(row)
        except _unusable() as exc:
            self._unreadable(exc)
        return None

    def remember(self, path: SafePath, version: Version) -> None:
        """Remember a version; it is written as `keep` does."""
        self._versions[path] = version
        self.tick()

    def given(self, key: int, wanted: SafePath) -> SafePath | None:
        """See `pdl.naming.claims.Store.given`."""
        if (new := self._given.get((key, wanted))) is not None:
            return new.path
        try:
            for (path,) in self._rows(_GIVEN, f"{key:x}", wanted):
                return stored_path(path)
        except _unusable() as exc:
            self._unreadable(exc)
        return None

    def give(self, given: GivenName) -> None:
        """See `pdl.naming.claims.Store.give`; the part goes once this is written."""
        self._given[given.key, given.wanted] = given
        self.keep(Pairing(given.path, given.key))

    def tick(self) -> None:
        """Write what is new if it has waited long enough, or is much; to be called often."""
        now = time.monotonic()
        if now >= self._next_save or len(self._versions) + len(self._given) >= SAVE_ROWS:
            self._next_save = now + SAVE_SECONDS
            self.save()

    def save(self) -> None:
        """Write what is new, in one transaction."""
        names = [(pairing.path, f"{pairing.key:x}") for pairing in self._names]
        versions = [(path, *_row(version)) for path, version in self._versions.items()]
        given = [(f"{each.key:x}", each.wanted, each.path) for each in self._given.values()]
        parts = [each.part for each in self._given.values()]
        self._names.clear()
        self._versions.clear()
        self._given.clear()
        if not names and not versions:
            return
        self._write(names, versions, given)
        for part in parts:
            with contextlib.suppress(OSError):
                (self._path.parent / part).unlink()

    def _write(self, names: _Rows, versions: _Rows, given: _Rows) -> None:
        try:
            database = self._open()
            if database is not None:
                database.executemany(_KEEP_NAMES, names)
                database.executemany(_KEEP_VERSIONS, versions)
                database.executemany(_KEEP_GIVEN, given)
                database.execute("COMMIT")
                database.execute(_BEGIN)
        except _out_of_reach() as exc:
            self._unwritable(exc)

    def close(self) -> None:
        """Write what is new and close the database."""
        self.save()
        self._disconnect()

    def _rows(self, query: str, *values: str) -> list[Any]:
        if self._database is None and not self._path.exists() and not self._path.is_symlink():
            return []
        database = self._open()
        return [] if database is None else database.execute(query, values).fetchall()

    def _open(self) -> sqlite3.Connection | None:
        """The open database, made if it is not there; None once it has been given up."""
        if self._database is None and not self._given_up:
            import sqlite3

            for path in (self._path, *self._beside()):
                if path.is_symlink():  # a database is made through it, wherever it leads
                    path.unlink()
            self._database = sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None)
            for statement in _SETUP:
                self._database.execute(statement)
            self._database.execute(_BEGIN)
        return self._database

    def _beside(self) -> list[Path]:
        return [self._path.with_name(FILE + suffix) for suffix in _BESIDE]

    def _disconnect(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(*_out_of_reach()):
                database.close()

    def _unreadable(self, exc: Exception) -> None:
        """Put it aside and let a new one be made; one that somebody else holds is let alone."""
        self._disconnect()
        if "locked" in str(exc):
            self._given_up = True
            self._warn(f"{self._path} is in use by another program; nothing is remembered")
            return
        if isinstance(exc, (ImportError, OSError)):
            self._given_up = True
            self._warn(f"{self._path} cannot be used ({exc}); nothing is remembered")
            return
        self._warn(f"{self._path} cannot be read ({exc}); starting a new one")
        try:
            self._path.replace(self._path.with_suffix(".broken"))
        except OSError:
            self._given_up = True

    def _unwritable(self, exc: Exception) -> None:
        broken = isinstance(exc, _errors("DatabaseError"))
        if broken and not isinstance(exc, _errors("OperationalError")):
            self._unreadable(exc)
            return
        self._disconnect()
        self._given_up = True
        self._warn(f"{self._path} cannot be written ({exc}); the next run may name or fetch anew")


def _pairing(path: str, key: str) -> Pairing:
    return Pairing(SafePath(path), int(key, 16))


def _given(key: str, wanted: str, path: str) -> tuple[tuple[int, SafePath], SafePath | None]:
    return (int(key, 16), SafePath(wanted)), stored_path(path)


def _row(version: Version) -> tuple[str | int | None, ...]:
    """The columns; SQLite's integers are too small for the keys, and for times far away."""
    keys = [f"{key:x}" for key in (version.listed, version.giver, version.bare)]
    etag, modified, size = version.etag, version.modified, version.size
    return *keys, etag, modified, size, str(version.mtime_ns), " ".join(version.proven)


def _version(row: Sequence[Any]) -> Version:
    listed, giver, bare, etag, modified, size, mtime_ns, proven = row
    if not all(text is None or isinstance(text, str) for text in (etag, modified)):
        raise TypeError("not a text")
    keys = (int(listed, 16), int(giver, 16), int(bare, 16))
    return Version(*keys, etag, modified, int(size), int(mtime_ns), tuple(proven.split()))
