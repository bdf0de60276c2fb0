"""How much the cache holds: counted as files come in, bounded, the least recently used going first.

The count lies in the file ``used``, which whoever changes it locks. It may be too high after a
kill, never too low by more than what was put there by hand, and it is put right whenever room is
made.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections import Counter
from typing import TYPE_CHECKING

from pdl.system import file_lock
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 4096
"""What a file takes is rounded up to it, and one more stands for what is known of the file."""
SPARE = 10
"""The part of the bound, one in so many, that is free after room was made."""
PATIENCE = 5.0
"""Seconds to wait for another run that makes room."""
TURN = 0.005

_SECOND = 1_000_000_000
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME = re.compile("[0-9a-f]{62}")


def room_of(size: int) -> int:
    """Bytes that a file of so many is counted as."""
    return (-(-size // BLOCK) + 1) * BLOCK


class Room:
    """The bound of a cache.

    Every method raises `OSError` as the system gives it.

    Args:
        home: where ``files``, ``index`` and ``used`` are.
        bound: bytes, or 0 for none.
    """

    def __init__(self, home: str, bound: int) -> None:
        self._home = home
        self._bound = bound

    def takes(self, size: int) -> bool:
        """Whether a file of so many bytes may be kept at all."""
        return not self._bound or room_of(size) <= self._bound

    @contextlib.contextmanager
    def admitted(self, size: int, stopped: Callable[[], bool]) -> Iterator[None]:
        """A context in which a file comes in; it has been counted, and room was made for it.

        Nobody else counts meanwhile: who counts anew must see what was counted before.

        Raises:
            TimeoutError: another run took too long, or `stopped` says so.
        """
        with self._held(stopped) as fd:
            used, need = self._used(fd), room_of(size)
            if self._bound and used + need > self._bound:
                used = evict(self._home, max(0, self._bound - self._bound // SPARE - need))
            _write(fd, used + need)
            yield

    def settle(self) -> None:
        """Make room if the bound has become lower; not if another run is at it."""
        with contextlib.suppress(TimeoutError), self._held(lambda: True) as fd:
            used = self._used(fd)
            if self._bound and used > self._bound:
                used = evict(self._home, self._bound)
            _write(fd, used)

    def _used(self, fd: int) -> int:
        try:
            return int(os.pread(fd, 32, 0))
        except ValueError:  # it is new, or was cut by a power cut
            return sum(each.room for each in _files(f"{self._home}/files"))

    @contextlib.contextmanager
    def _held(self, stopped: Callable[[], bool]) -> Iterator[int]:
        fd = os.open(f"{self._home}/used", _OPEN, 0o666)
        try:
            take = functools.partial(file_lock.take, fd)
            if not file_lock.take_within(PATIENCE, TURN, take, stopped):
                raise TimeoutError(errno.ETIMEDOUT, "another run is making room in it")
            yield fd
        finally:
            os.close(fd)


def _write(fd: int, used: int) -> None:
    os.pwrite(fd, b"%-20d\n" % used, 0)


class _File(NamedTuple):
    """A file of the cache: when it was used last, in whole seconds, and what it takes."""

    path: str
    second: int
    room: int


def _files(directory: str) -> Iterator[_File]:
    """Those there are; others may come and go meanwhile."""
    for name in _names(directory):
        for entry in _names(name.path):
            if not _NAME.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                yield _File(entry.path, found.st_mtime_ns // _SECOND, room_of(found.st_size))


def _names(directory: str) -> Iterator[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as found:
        yield from found


def evict(home: str, most: int) -> int:
    """Remove what was not used for longest, until no more than `most` bytes are in use.

    What is known of files that long ago goes too. It holds a number for each second in which a file
    was used last, not for each file.

    Returns:
        Bytes in use afterwards.
    """
    ages: Counter[int] = Counter()
    for file in _files(f"{home}/files"):
        ages[file.second] += file.room
    total = sum(ages.values())
    limit, left = _limit(ages, total - most)
    for file in _files(f"{home}/files"):
        if file.second < limit or (file.second == limit and left > 0):
            left -= file.room if file.second == limit else 0
            total -= file.room if _removed(file.path) else 0
    for file in _files(f"{home}/index"):
        if file.second < limit:
            _removed(file.path)
    return max(0, total)


def _limit(ages: Counter[int], excess: int) -> tuple[int, int]:
    """The second before which everything goes, and how many bytes of that second go as well."""
    for second in sorted(ages):
        if excess <= ages[second]:
            return second, excess
        excess -= ages[second]
    return 0, 0


def _removed(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
