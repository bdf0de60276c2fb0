"""The lock file as such: its entries, read, sorted, and written in one step.

It is a list in the jsonl format, an object a line, sorted by URL and path::

    {"url": "https://a.example/f", "out": "f", "size": 9, "sha256": "2c26...", "final_url": "..."}

The entries of a run are in a database of SQLite that has no name and goes with the process, so
that a million of them take no memory to speak of.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import re
import secrets
import sqlite3
from typing import TYPE_CHECKING, Any

from pdl.errors import ListError, MachineError
from pdl.system import atomic_file, file_lock
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 64 * 1024
"""Bytes of an entry; a longer line is none."""

_DIGEST = re.compile("[0-9a-f]{64}")
_FIELDS = {"url", "out", "size", "sha256", "final_url"}
_LARGEST = 10**18
_TURN = 0.02
HELD_SECONDS = 30.0
"""How long writing the file may keep another run waiting."""
_SCHEMA = """
PRAGMA journal_mode = OFF;
CREATE TABLE entries (
    url TEXT, path TEXT, size INTEGER, sha256 TEXT, final_url TEXT, line INTEGER,
    PRIMARY KEY (url, path)
) WITHOUT ROWID;
CREATE INDEX by_path ON entries (path);
"""


class LockEntry(NamedTuple):
    """What a lock knows of a file.

    Attributes:
        url: of the list, written one way, secrets masked; see `pdl.integrity.lock.lock_url`.
        path: relative to the output directory.
        size: in bytes.
        sha256: 64 hex digits, lower case.
        final_url: after redirects, secrets masked; None where no server was asked.
        line: of the lock file, from 1; 0 for what is not in it yet.
    """

    url: str
    path: str
    size: int
    sha256: str
    final_url: str | None = None
    line: int = 0

    def text(self) -> str:
        """The line of the file, without its end."""
        found: dict[str, Any] = {"url": self.url, "out": self.path, "size": self.size}
        found["sha256"] = self.sha256
        if self.final_url is not None:
            found["final_url"] = self.final_url
        return json.dumps(found, ensure_ascii=False)


def parse_entry(raw: bytes, line: int) -> LockEntry:
    """Read a line of the file.

    Raises:
        ValueError: it is no entry; the message says why.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - the file's fault, not the caller's
    url, path, size, sha256 = (found.get(name) for name in ("url", "out", "size", "sha256"))
    if not isinstance(url, str) or not url or not isinstance(path, str) or not path:
        raise ValueError("has no url and out")
    if type(size) is not int or not 0 <= size < _LARGEST:
        raise ValueError("has no size in bytes")
    if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256.lower()):
        raise ValueError("has no sha256 of 64 hex digits")
    final_url = found.get("final_url")
    if not isinstance(final_url, str):
        final_url = None
    if any("\ud800" <= char <= "\udfff" for char in f"{url}{path}{final_url}"):
        raise ValueError("has half a character")
    return LockEntry(url, path, size, sha256.lower(), final_url, line)


def foreign(path: str) -> str:
    """Why a file whose lines are all entries was not written as a lock; empty if it was.

    Raises:
        OSError: it cannot be read.
    """
    comments = False
    with open(path, "rb") as file:
        for line in map(bytes.strip, file):
            if line[:1] == b"#":
                comments = True
            elif line:
                names = json.loads(line).keys() - _FIELDS
                return f"it has the field {printable(min(names))}" if names else ""
    return "it has nothing but comments" if comments else ""


def read_entries(path: str) -> Iterator[LockEntry]:
    """The entries of the file, one after the other.

    Raises:
        ListError: it cannot be read, or a line of it is no entry.
        FileNotFoundError: it is not there.
    """
    name = printable(path)
    try:
        with open(path, "rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                line = raw.strip()
                if not line or line[:1] == b"#":
                    continue
                try:
                    yield parse_entry(line, number)
                except ValueError as exc:
                    raise ListError(
                        f"{name}:{number}: {exc}, so this is no lock file",
                        "mend that line, or give --lock another name to have a new one written",
                    ) from None
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise ListError(f"cannot read the lock file {name}: {exc.strerror or exc}") from exc


class LockEntries:
    """The entries of a run, found by URL, given back in order.

    Every method raises `MachineError` where the system has no room for them.
    """

    def __init__(self) -> None:
        with _no_room():
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.executescript(_SCHEMA)
            self._database.execute("BEGIN")  # never committed: it goes with the process

    def close(self) -> None:
        """Forget them all."""
        self._database.close()

    def get(self, url: str, path: str) -> LockEntry | None:
        """The entry with that URL and path."""
        return next(iter(self._find("url = ? AND path = ?", url, path)), None)

    def of_url(self, url: str) -> list[LockEntry]:
        """Entries with that URL, a few of them."""
        return self._find("url = ? LIMIT 100", url)

    def of_path(self, path: str) -> list[LockEntry]:
        """The entries with that path."""
        return self._find("path = ?", path)

    def all(self) -> Iterator[LockEntry]:
        """All of them, sorted by the code points of URL and path."""
        with _no_room():
            for row in self._database.execute("SELECT * FROM entries ORDER BY url, path"):
                yield LockEntry(*row)

    def put(self, entry: LockEntry) -> None:
        """Take it; one with the same URL and path goes."""
        with _no_room():
            self._database.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", entry
            )

    def drop(self, entry: LockEntry) -> None:
        """Forget it."""
        with _no_room():
            where = (entry.url, entry.path)
            self._database.execute("DELETE FROM entries WHERE url = ? AND path = ?", where)

    def _find(self, condition: str, *values: str) -> list[LockEntry]:
        with _no_room():
            rows = self._database.execute(f"SELECT * FROM entries WHERE {condition}", values)  # noqa: S608 - constants
            return [LockEntry(*row) for row in rows]


@contextlib.contextmanager
def _no_room() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise MachineError(
            f"the entries of the lock file find no room for now: {exc}",
            "TMPDIR says where they are kept while a run lasts",
        ) from exc


# --- writing ---


@contextlib.contextmanager
def held(path: str) -> Iterator[None]:
    """Keep other runs that write this file out, as long as this lasts; dead ones hold nothing.

    Raises:
        TimeoutError: another has kept this one out for `HELD_SECONDS`.
    """
    home = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not file_lock.take_within(HELD_SECONDS, _TURN, functools.partial(_take, home)):
            raise TimeoutError(errno.ETIMEDOUT, "another run does not finish writing it")
        yield
    finally:
        os.close(home)


def _take(home: int) -> bool:
    try:
        return file_lock.take(home)
    except OSError:  # not every file system has such locks
        return True


def replace_file(path: str, lines: Iterable[str]) -> None:
    """Write the file in one step: after a crash at any moment the old or the new one is there.

    What a writer that was killed has left is removed; so call it only while the file is `held`.

    Raises:
        OSError: as the system gives it; the old file is there.
    """
    final = os.path.realpath(path)  # where the name is a link, the file behind it is replaced
    home, name = os.path.split(final)
    remove_leftovers(home, name)
    new = f"{home}/{name}.{secrets.token_hex(4)}.new"
    atomic_file.write(final, new, (f"{line}\n" for line in lines), mode=None, durable=True)


def remove_leftovers(home: str, name: str) -> None:
    """Remove what killed writers of the file have left beside it."""
    leftover = re.compile(re.escape(name) + r"\.[0-9a-f]{8}\.new")
    with contextlib.suppress(OSError):  # they do no harm
        for found in os.listdir(home):
            if leftover.fullmatch(found):
                os.unlink(f"{home}/{found}")
