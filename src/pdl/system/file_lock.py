"""Locks of the system on open files: they end with the process, in whatever way that ends.

They are flock's, not record locks: those do not keep two runs of one process apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def take(fd: int) -> bool:
    """Lock an open file or directory, until it is closed; False if somebody else has it.

    Raises:
        OSError: as the system gives it; not every file system has such locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait(fd: int) -> None:
    """Lock an open file or directory, however long somebody else has it.

    Raises:
        OSError: as in `take`.
    """
    fcntl.flock(fd, fcntl.LOCK_EX)


@contextlib.contextmanager
def held(fd: int, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of an open file for a moment, however long that takes.

    Args:
        fd: the file.
        shared: beside others who hold it shared.

    Raises:
        OSError: as in `take`.
    """
    fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _never() -> bool:
    return False


def take_within(
    seconds: float,
    pause: float,
    attempt: Callable[[], bool],
    stopped: Callable[[], bool] = _never,
) -> bool:
    """Try again and again; whether it succeeded.

    Args:
        seconds: after which it is given up; it is tried once at least.
        pause: seconds between two attempts.
        attempt: `take`, and what is to be done before and after it.
        stopped: whether to give up at once.
    """
    end = time.monotonic() + seconds
    while not attempt():
        if stopped() or time.monotonic() >= end:
            return False
        time.sleep(pause)
    return True
