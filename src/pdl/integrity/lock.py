"""The lock of a run: what each file must be by the lock file, and what goes into it.

Secrets never reach the file, which is made to be committed. So an entry is found by its line's URL
with the secrets masked, and by its path: two URLs that differ in a secret alone have two paths. A
URL without a secret is also found alone: its bytes are pinned, wherever the file goes.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

from pdl.errors import ListError, MachineError, UsageError
from pdl.integrity.check import ALGORITHM
from pdl.integrity.lock_file import (
    LockEntries,
    LockEntry,
    foreign,
    held,
    read_entries,
    replace_file,
)
from pdl.model import FailureKind, Item, Outcome, Pin, Refusal, Result, SafePath
from pdl.naming.safe_name import stored_path
from pdl.text.masking import UNPRINTABLE, mask, printable
from pdl.text.units import amounts_text
from pdl.text.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.settings import LockSettings

_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")
_PREFIX = f"{ALGORITHM}:"


def lock_url(url: str) -> str:
    """The URL as an entry has it: written one way, its secrets as ``***``, nothing unprintable."""
    return mask(_written(url))


def _written(url: str) -> str:
    """The URL normalised and without a fragment: lines that get one file have one entry."""
    try:
        found = parse(url)
    except InvalidUrl:
        return _UNPRINTABLE.sub(lambda m: quote(m[0], errors="surrogatepass"), url)
    user = f"{found.userinfo}@" if found.userinfo else ""
    return f"{found.scheme}://{user}{found.netloc}{found.target}"


class Lock:
    """See the module. `pdl.run.planner.Pins` for the planner, and told of every result.

    Args:
        path: the lock file.
        settings: whether new items are an error.
        warn: told when an entry has to give way.
        look_only: no file is fetched; the lock is not written.

    Raises:
        UsageError: the path can be no lock file, or must be one and is not there.
        ListError: it is there and cannot be read, or is none.
        MachineError: it cannot be written later on.
    """

    def __init__(
        self,
        path: str,
        settings: LockSettings,
        warn: Callable[[str], None],
        *,
        look_only: bool = False,
    ) -> None:
        self.look_only = look_only
        self._path = path
        self._name = printable(path)
        self._frozen = settings.locked
        self._warn = warn
        self._dirty = False
        self._unasked = 0
        self._broken: MachineError | None = None
        _check_kind(path)
        self._seen = _signature(path)
        if self._seen is None and (self._frozen or look_only):
            raise UsageError(
                f"there is no lock file {self._name}", "a run without --locked and --check makes it"
            )
        with contextlib.ExitStack() as unless_whole:
            self._shelf = LockEntries()
            unless_whole.callback(self._shelf.close)
            if self._seen is not None:
                self._load()
            if not self._frozen and not look_only:
                _check_own(path)
                _check_writable(path)
            unless_whole.pop_all()

    def _load(self) -> None:
        for entry in _read(self._path):
            other = self._shelf.get(entry.url, entry.path)
            if other is not None and other.sha256 != entry.sha256:
                raise ListError(
                    f"{self._name}:{entry.line}: contradicts line {other.line}: "
                    f"{entry.path} has the digests {other.sha256} and {entry.sha256}",
                    "remove the wrong one of the two lines",
                )
            self._shelf.put(entry)

    # --- the planner's questions ---

    def pin(self, item: Item, path: SafePath, checksum: str | None) -> Pin | Refusal | None:
        """See `pdl.run.planner.Pins.pin`."""
        written = _written(item.url)
        url = mask(written)
        found = self._shelf.get(url, path)
        if found is None and self._frozen:
            return Refusal(FailureKind.POLICY, self._absent(url, path))
        if found is None and url == written:
            found = _agreed([entry for entry in self._shelf.of_url(url) if entry.line])
        if found is None:
            return None if self.look_only else Pin()
        where = f"{self._name}:{found.line}" if found.line else self._name
        locked = f"{_PREFIX}{found.sha256}"
        if checksum is not None and checksum.startswith(_PREFIX) and checksum != locked:
            message = f"the list says {checksum}, {where} has {locked}"
            return Refusal(FailureKind.CHECKSUM, message)
        if item.size is not None and item.size != found.size:
            listed, pinned = amounts_text(item.size, found.size)
            message = f"the list says {listed}, {where} has {pinned} ({locked})"
            return Refusal(FailureKind.SIZE, message)
        return Pin(locked, found.size, where)

    def path_of(self, item: Item) -> SafePath | None:
        """See `pdl.run.planner.Pins.path_of`; a URL with several paths has none."""
        written = _written(item.url)
        url = mask(written)
        found = [entry for entry in self._shelf.of_url(url) if entry.line]
        return stored_path(found[0].path) if len(found) == 1 and url == written else None

    def _absent(self, url: str, path: str) -> str:
        for other in self._shelf.of_url(url):
            elsewhere = f"{self._name}:{other.line} has it as {other.path}"
            return f"not locked as {path} (--locked); {elsewhere}"
        return f"not in {self._name} (--locked); a run without --locked adds it"

    # --- what came of it ---

    def record(self, result: Result, item: Item | None) -> None:
        """Take what was proven."""
        digest = result.checksum or ""
        known = result.path is not None and result.size is not None and digest.startswith(_PREFIX)
        if item is None or not known or result.outcome is Outcome.FAIL:
            return
        assert result.path is not None
        assert result.size is not None
        sha256 = digest[len(_PREFIX) :]
        new = LockEntry(lock_url(item.url), result.path, result.size, sha256, result.final_url)
        try:
            self._unasked += self._put(new) and result.outcome is Outcome.SKIPPED
        except MachineError as exc:  # the files matter more; it is told in the end
            self._broken = self._broken or exc

    def _put(self, new: LockEntry) -> bool:
        """Take an entry; whether there is anything new in it."""
        for old in self._shelf.of_path(new.path):
            if (old.url, old.sha256) == (new.url, new.sha256):
                return False
            if old.url != new.url:
                self._warn(
                    f"{self._name}:{old.line}: {old.path} is now from {new.url}; "
                    f"the entry of {old.url} goes"
                )
                self._shelf.drop(old)
        self._shelf.put(new)
        self._dirty = True
        return True

    def save(self, *, whole: bool) -> None:
        """Write the file, if there is something new; what was in it stays.

        Args:
            whole: every line of the list has been read and is there: then a lock file is made
                also of none.

        Raises:
            MachineError: it cannot be written; the old one is there.
            ListError: somebody has made it unreadable meanwhile.
        """
        wanted = self._dirty or (whole and self._seen is None)
        if self._frozen or self.look_only or not wanted:
            return
        if self._broken is not None:
            raise self._broken
        if self._unasked:
            files = f"{self._unasked} file{'s' * (self._unasked > 1)}"
            self._warn(f"{self._name}: pinned as found on this disk, no server was asked: {files}")
        try:
            with held(self._path):
                if _signature(self._path) != self._seen:
                    self._merge()
                replace_file(self._path, (entry.text() for entry in self._shelf.all()))
        except OSError as exc:
            raise MachineError(
                f"cannot write the lock file {self._name}: {exc.strerror or exc}",
                "the files are there; mend that and run the same command again",
            ) from exc

    def _merge(self) -> None:
        """Another run has written it since: take what is new in it."""
        if _signature(self._path) is None:
            return
        for entry in _read(self._path):
            if not self._shelf.of_path(entry.path):
                self._shelf.put(entry)

    def close(self) -> None:
        """Be done with it."""
        self._shelf.close()


def _read(path: str) -> Iterator[LockEntry]:
    """The file's entries, their URLs as `lock_url` writes them, whoever wrote the file."""
    for entry in read_entries(path):
        yield entry._replace(url=lock_url(entry.url))


def _agreed(entries: list[LockEntry]) -> LockEntry | None:
    """The first, if they are all of the same bytes."""
    return entries[0] if len({entry.sha256 for entry in entries}) == 1 else None


def _signature(path: str) -> tuple[int, int, int] | None:
    """What changes when the file does; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_kind(path: str) -> None:
    name = printable(path)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"{name} can be no lock file: it is there and is not a file")


def _check_own(path: str) -> None:
    """See that no more is lost than a lock where the file is replaced: a list may look like one."""
    if os.path.exists(path) and (fault := foreign(path)):
        raise UsageError(
            f"{printable(path)} was not written by --lock, which would replace it: {fault}",
            "give --lock another name",
        )


def _check_writable(path: str) -> None:
    name, home = printable(path), os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(home):
        raise UsageError(f"cannot write the lock file {name}: there is no such directory")
    if not os.access(home, os.W_OK | os.X_OK):
        raise MachineError(
            f"cannot write the lock file {name}: no permission in its directory",
            "--locked only reads it",
        )
