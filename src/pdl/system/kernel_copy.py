"""Bytes that go from one descriptor to another within the kernel.

`copy` copies a file by whatever is cheapest here. A clone (reflink) shares the blocks until one of
the two is changed; where the file system has none, the kernel copies. Hard links are no option: who
then edits one file edits all of them. `splice` and `receive` move bytes between a pipe and a file
or a socket.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


STEP = 32 * 1024 * 1024
"""Bytes that the kernel copies at once; a stop waits for no more."""
BUFFER = 1024 * 1024

_FICLONE = 0x40049409  # linux/fs.h; where it has another number the answer is ENOTTY


def copy(source: int, target: int, size: int, stopped: Callable[[], bool]) -> bool:
    """Fill the empty file `target` with the first `size` bytes of `source`, which has no more.

    Args:
        source: an open file, at its start.
        target: another.
        size: bytes.
        stopped: whether to leave it.

    Returns:
        Whether all of them are there; False when it was stopped, or `source` was shorter.

    Raises:
        OSError: it could not be done.
    """
    if _clone(source, target):
        return os.fstat(target).st_size == size
    done = 0
    while done < size and not stopped():
        count = _some(source, target, size - done)
        if not count:
            break
        done += count
    return done == size


def _clone(source: int, target: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _some(source: int, target: int, most: int) -> int:
    """Copy some bytes from where both files are; 0 at the end."""
    if sys.platform.startswith("linux"):
        # what is no matter of these two file systems shows itself below again
        with contextlib.suppress(OSError):
            if count := os.copy_file_range(source, target, min(most, STEP)):
                return count
    data = memoryview(os.read(source, min(most, BUFFER)))
    left = data
    while left:
        left = left[os.write(target, left) :]
    return len(data)


REFUSALS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
"""How splice says that it is not for this file, socket or process."""


def splice(source: int, target: int, most: int) -> int:
    """Move up to `most` bytes between two descriptors, one of them a pipe's; 0 at the end.

    Raises:
        OSError: as the system gives it; one of `REFUSALS` where it cannot do this at all.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return os.splice(source, target, most)


def receive(sock: socket.socket, pipe: int, most: int) -> int:
    """As `socket.recv_into`, into a pipe with room; the socket's timeout counts here as well.

    Raises:
        OSError: as `splice`, and as `socket.recv_into` does.
    """
    timeout = sock.gettimeout()
    if timeout is None:
        return splice(sock.fileno(), pipe, most)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > 0 and poll.poll(left * 1000):
        try:
            return splice(sock.fileno(), pipe, most)
        except BlockingIOError:
            continue
    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
