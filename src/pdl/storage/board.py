"""Where the lanes of one split file meet: its `RangeMap` in a file beside the part, in memory.

Lanes of one file are in any of the workers. They share the map through this file, which each of
them maps into its memory: what one stores, the others see, and what stands there outlives whoever
wrote it. So it is the part's note of its ranges as well: after a kill it says to the byte what is
there. After a restart of the machine nobody knows whether its pages or those of the part came to
the disk first; then only the ranges in `pdl.storage.note` count.

A lock on the file is held exclusively by whoever changes who does what, and shared by a helper
while it writes. The first lane writes without it. Whoever holds the lock exclusively therefore
knows that no helper is in the middle of a write, and that none begins one once the map is over.
The main process never waits for it: what it cannot tell now it tells a moment later (`tell`).
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from typing import TYPE_CHECKING

from pdl.scheduling.range_map import FIRST, WORDS, RangeMap
from pdl.system import file_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pdl.scheduling.range_map import Range, Share

_SIZE = 8 * WORDS
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Board:
    """A split file's map, opened.

    Args:
        fd: the file, which has the whole map; closed with this.

    Attributes:
        ranges: the map. Where it says so, it is only to be changed within `alone`.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            self._memory = mmap.mmap(fd, _SIZE)
            undo.pop_all()
        self._words = memoryview(self._memory).cast("Q")
        self.ranges = RangeMap(self._words)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """A moment in which nobody else changes the map, and no helper writes."""
        return file_lock.held(self._fd)

    def try_alone(self) -> bool:
        """The same until it is closed, without waiting; False if somebody is at it."""
        return file_lock.take(self._fd)

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """A moment in which a helper may write what is left of its range, unless it is over."""
        return file_lock.held(self._fd, shared=True)

    def close(self) -> None:
        """Close it; what it says stays."""
        if self._fd >= 0:
            self._words.release()
            self._memory.close()
            os.close(self._fd)
            self._fd = -1


def create(path: str, total: int, done: Iterable[Range]) -> Board:
    """Put a new map at `path`, atomically; who has an older one open keeps that.

    Args:
        path: of the file.
        total: as `RangeMap.fill` has it.
        done: the same.

    Raises:
        OSError: as the system gives it; not every file system has such memory, or such locks.
    """
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    fd = os.open(new, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
    with contextlib.ExitStack() as undo:
        undo.callback(os.unlink, new)
        _fill(fd)
        board = Board(fd)
        undo.callback(board.close)
        with board.alone():
            board.ranges.fill(total, done)
        os.rename(new, path)
        undo.pop_all()
    return board


def _fill(fd: int) -> None:
    """Make the file as long as it has to be; closed if that fails.

    It is written, for a hole is no room: where the disk is full, whoever stores into the memory of
    a hole is killed.
    """
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, fd)
        if os.write(fd, bytes(_SIZE)) < _SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        undo.pop_all()


def find(path: str) -> Board | None:
    """Open the map at `path`; None if there is none that can be believed.

    Raises:
        OSError: as the system gives it.
    """
    try:
        fd = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size != _SIZE:
        os.close(fd)
        return None
    board = Board(fd)
    if board.ranges.sound():
        return board
    board.close()
    return None


class Split:
    """The first lane's side of a board; it makes the attempt, and is named 0.

    Args:
        board: it is closed with this.
        start: where the first lane begins.
    """

    def __init__(self, board: Board, start: int) -> None:
        self._board = board
        with board.alone():
            self._at: int | None = board.ranges.join(start)

    def left(self) -> int:
        """Bytes that are still to be written of its range."""
        return 0 if self._at is None else self._board.ranges.left(self._at)

    def wrote(self, done: int) -> None:
        """Everything of its range up to there has been written."""
        if self._at is not None:
            self._board.ranges.wrote(self._at, done)

    def settle(self) -> bool:
        """Be done with the range, unless it has grown again; whether it is done."""
        if self._at is not None:
            with self._board.alone():
                ranges = self._board.ranges
                if ranges.left(self._at) or ranges.grow(self._at):
                    return False
                ranges.finish(self._at)
            self._at = None
        return True

    def claim(self, share: Share | None) -> Range | None:
        """Take another range, as `RangeMap.claim` has it; of no `share` `RangeMap.take_rest`."""
        ranges = self._board.ranges
        with self._board.alone():
            self._at = ranges.take_rest() if share is None else ranges.claim(FIRST, *share)
            return None if self._at is None else ranges.rest(self._at)

    def whole(self) -> bool:
        """Whether all is there."""
        return self._board.ranges.whole()

    def running(self) -> bool:
        """Whether anybody fetches anything."""
        return self._board.ranges.running()

    def done(self) -> list[Range]:
        """What is there."""
        return self._board.ranges.done()

    def count(self) -> int:
        """How many bytes are there."""
        return sum(end - start for start, end in self.done())

    def prefix(self) -> int:
        """Bytes from the start that are there without a hole."""
        done = self.done()
        return done[0][1] if done and not done[0][0] else 0

    def unwrite(self, start: int, end: int) -> None:
        """See `RangeMap.unwrite`; what the first lane has of a range it gives up."""
        with self._board.alone():
            if self._at is not None:
                self._board.ranges.give_up(self._at)
                self._at = None
            self._board.ranges.unwrite(start, end)

    def close(self) -> None:
        """End it for everybody."""
        with self._board.alone():
            self._board.ranges.end()
        self._board.close()


def tell(path: str, what: Callable[[RangeMap], bool], *, alone: bool) -> bool:
    """Tell the lanes of a file something, without waiting for any of them.

    Args:
        path: of the map.
        what: changes it; whether it could.
        alone: nobody else may change the map meanwhile.

    Returns:
        Whether it could; also if there is no map, and so nobody to be told.

    Raises:
        OSError: as the system gives it.
    """
    board = find(path)
    if board is None:
        return True
    try:
        return (not alone or board.try_alone()) and what(board.ranges)
    finally:
        board.close()


def take_over(path: str) -> list[Range] | None:
    """End what others are at, and say what is there; None if there is no map.

    Raises:
        OSError: as the system gives it.
    """
    board = find(path)
    if board is None:
        return None
    try:
        with board.alone():
            board.ranges.end()
        return board.ranges.done()
    finally:
        board.close()
