"""What is in the cache, and how it gets in and out.

Theory of operation
===================

::

    DIR/v1/files/2c/26b46b...   the bytes with that SHA-256; read-only
    DIR/v1/index/9f/86d081...   a few words of JSON: a URL, or a digest of another kind, has led to
                                that file. Named by a hash, for URLs may hold secrets.
    DIR/v1/new/                 what is being written
    DIR/v1/used                 bytes in use; locked while room is made

A name under ``files`` comes into being by one rename of a whole file, and its bytes never change:
readers take no lock, two runs that bring the same file do no harm, and a run that is killed leaves
at most something under ``new``, which goes after a day. What vanishes or is broken is a file that
is not there.

**A file's time** says two things. Its seconds are when it was used last: the least recently used
goes first. The fraction is a seal, made of the digest, the size and this boot of the machine, and
set once the bytes were found to have that digest. Any write replaces it, and so does the loss of
what was not on the disk yet in a power cut, for the boot is another one then: a file without its
seal is digested before it is believed. So is each file that another user could have written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING, Any

from pdl.storage.cache.eviction import Room
from pdl.storage.note import boot_id
from pdl.system import atomic_file
from pdl.system.kernel_copy import copy
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

    from pdl.settings import CacheSettings
    from pdl.text.urls import Url

VERSION = "v1"
"""Of the layout; another one has another directory."""
KEEP_NEW_SECONDS = 24 * 3600
"""For how long what a killed run was writing is left, as the run may not be dead."""
MAX_ENTRY = 4096
"""Bytes of an entry of the index."""

_SECOND = 1_000_000_000
_GRAIN = 100
"""Nanoseconds that every file system with fractions of a second can tell apart."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SHA256 = re.compile("[0-9a-f]{64}")
_PREFIX = "sha256:"
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# pdl's cache: it can be removed at any time. See https://bford.info/cachedir/
"""


class CacheEntry(NamedTuple):
    """What is known of a file beside its bytes.

    Attributes:
        sha256: 64 hexadecimal digits.
        giver, bare, etag, modified: as in `pdl.model.Version`, of the URL that gave it.
        media: its Content-Type, or None.
        called: what its server called it, or None.
    """

    sha256: str
    giver: int = 0
    bare: int = 0
    etag: str | None = None
    modified: str | None = None
    media: str | None = None
    called: str | None = None


class CachedFile(NamedTuple):
    """A file of the cache, open, at its start, and proven to have its digest; and its size."""

    fd: int
    size: int


def prepare(settings: CacheSettings, warn: Callable[[str], None]) -> CacheSettings | None:
    """Make the cache ready for a run, in the main process; None if there is none to be used.

    Args:
        settings: which.
        warn: told why it cannot be used.
    """
    if settings.path is None:
        return None
    path = os.path.abspath(settings.path)
    home = f"{path}/{VERSION}"
    try:
        for each in ("files", "index", "new"):
            os.makedirs(f"{home}/{each}", mode=0o700, exist_ok=True)
        # room first: what has filled the disk may be this cache
        _clear_new(f"{home}/new")
        Room(home, settings.size).settle()
        _try_out(home)
    except OSError as exc:
        warn(f"the cache {settings.path} cannot be used ({exc.strerror or exc}); going on without")
        return None
    return settings._replace(path=path)


def _try_out(home: str) -> None:
    """See that it can be written; backup programs are told to leave it out."""
    atomic_file.write(f"{home}/CACHEDIR.TAG", f"{home}/new/{secrets.token_hex(16)}", (_TAG,))


def _clear_new(directory: str) -> None:
    old = time.time() - KEEP_NEW_SECONDS
    with os.scandir(directory) as found:
        for entry in found:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < old:
                    os.unlink(entry.path)


class Cache:
    """A cache that `prepare` has made ready. One belongs to one lane.

    Every method raises `OSError` where the cache itself fails; what is not in it, or not sound, is
    None.

    Args:
        settings: which, and its bound.

    Attributes:
        path: its directory.
    """

    def __init__(self, settings: CacheSettings) -> None:
        assert settings.path is not None
        self.path = settings.path
        self._home = f"{settings.path}/{VERSION}"
        self._room = Room(self._home, settings.size)
        self._boot = boot_id()
        self._owner = os.geteuid()

    # --- files ---

    def size(self, sha256: str) -> int | None:
        """Bytes of the file with that digest, if it seems to be there."""
        try:
            return os.lstat(self._file(sha256)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def find(
        self, sha256: str, buffer: memoryview, stopped: Callable[[], bool]
    ) -> CachedFile | None:
        """The file with that digest, to be closed by the caller; one that has another is removed.

        Args:
            sha256: 64 hexadecimal digits.
            buffer: is read into, if the file has to be digested.
            stopped: whether to leave that; then it is not found.
        """
        path = self._file(sha256)
        try:
            fd = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = os.fstat(fd)
            sound = self._sealed(found, sha256) or _has(fd, sha256, buffer, stopped)
            if sound:
                self._used_now(fd, sha256, found.st_size)
                return CachedFile(os.dup(fd), found.st_size)
            if sound is not None:
                _remove(path)
            return None
        finally:
            os.close(fd)

    def keep(self, source: str, sha256: str, size: int, stopped: Callable[[], bool]) -> bool:
        """Put a file in; whether it is there now, which it is not if it is too large.

        Args:
            source: path of the file; nobody changes it.
            sha256: its digest, which it is known to have.
            size: its bytes.
            stopped: whether to leave it.
        """
        path = self._file(sha256)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if self._sealed(os.lstat(path), sha256):
                self._used_now(path, sha256, size)
                return True
        if not self._room.takes(size):
            return False
        new = f"{self._home}/new/{secrets.token_hex(16)}"
        try:
            if not self._copied(source, new, sha256, size, stopped):
                return False
            with self._room.admitted(size, stopped):
                atomic_file.replace(new, path, parents=True)
        finally:
            _remove(new)
        return True

    def _copied(
        self, source: str, new: str, sha256: str, size: int, stopped: Callable[[], bool]
    ) -> bool:
        target = atomic_file.create(new, 0o444)
        try:
            fd = os.open(source, _READ)
            try:
                whole = copy(fd, target, size, stopped)
            finally:
                os.close(fd)
            self._used_now(target, sha256, size)
        finally:
            os.close(target)
        return whole

    def _file(self, sha256: str) -> str:
        return f"{self._home}/files/{sha256[:2]}/{sha256[2:]}"

    def _used_now(self, file: int | str, sha256: str, size: int) -> None:
        """Note the use of a file that has been proven; other users' files stay as they are."""
        when = int(time.time()) * _SECOND + self._seal(sha256, size)
        with contextlib.suppress(PermissionError):
            os.utime(file, ns=(when, when))

    def _seal(self, sha256: str, size: int) -> int:
        text = f"{self._boot}\n{sha256}\n{size}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return number % (_SECOND // _GRAIN) * _GRAIN

    def _sealed(self, found: os.stat_result, sha256: str) -> bool:
        seal = self._seal(sha256, found.st_size)
        return bool(self._boot) and self._ours(found) and found.st_mtime_ns % _SECOND == seal

    def _ours(self, found: os.stat_result) -> bool:
        """Whether nobody else can have written it."""
        others = stat.S_IWGRP | stat.S_IWOTH
        mine = found.st_uid == self._owner and not found.st_mode & others
        return mine and stat.S_ISREG(found.st_mode)

    # --- what leads to them ---

    def digest(self, checksum: str) -> str | None:
        """The SHA-256 of the file that has that digest, as far as the cache knows."""
        if checksum.startswith(_PREFIX):
            return checksum[len(_PREFIX) :]
        entry = self._entry(checksum)
        return None if entry is None else entry.sha256

    def learn(self, checksum: str, sha256: str) -> None:
        """Note that a file was found to have that digest as well."""
        if not checksum.startswith(_PREFIX):
            self._note(checksum, CacheEntry(sha256))

    def given_by(self, url: Url, *, decoded: bool = False) -> CacheEntry | None:
        """The file that a URL of a list led to last.

        Args:
            url: of the list.
            decoded: where codings are taken back; else as it was sent.
        """
        return self._entry(_text(url, decoded=decoded))

    def gave(self, url: Url, entry: CacheEntry, *, decoded: bool = False) -> None:
        """Note which file a URL of a list led to; the arguments are those of `given_by`."""
        self._note(_text(url, decoded=decoded), entry)

    def _entry(self, text: str) -> CacheEntry | None:
        path = self._index(text)
        try:
            fd = os.open(path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            ours = self._ours(os.fstat(fd))  # what another user has put there proves nothing
            entry = _parsed(os.read(fd, MAX_ENTRY)) if ours else None
            if entry is not None:
                os.utime(fd)
            return entry
        finally:
            os.close(fd)

    def _note(self, text: str, entry: CacheEntry) -> None:
        new = f"{self._home}/new/{secrets.token_hex(16)}"
        entry_text = json.dumps(entry._asdict())
        atomic_file.write(self._index(text), new, (entry_text,), mode=0o600, parents=True)

    def _index(self, text: str) -> str:
        name = hashlib.sha256(text.encode()).hexdigest()
        return f"{self._home}/index/{name[:2]}/{name[2:]}"


def _text(url: Url, *, decoded: bool) -> str:
    return f"{'decoded ' if decoded else ''}url {identity(url)}"


def _has(fd: int, sha256: str, buffer: memoryview, stopped: Callable[[], bool]) -> bool | None:
    """Whether an open file has that digest; None if that was not to be found out."""
    digest, offset = hashlib.sha256(), 0
    while count := os.preadv(fd, [buffer], offset):
        digest.update(buffer[:count])
        offset += count
        if stopped():
            return None
    return digest.hexdigest() == sha256


def _parsed(data: bytes) -> CacheEntry | None:
    try:
        found: dict[str, Any] = json.loads(data)
        entry = CacheEntry(**found)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = all(each is None or isinstance(each, str) for each in entry[3:])
    keys = all(type(each) is int for each in (entry.giver, entry.bare))
    return entry if texts and keys and _is_sha256(entry.sha256) else None


def _is_sha256(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
