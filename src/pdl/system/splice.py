"""A large body's bytes go from its connection to its file in the kernel, where Linux can do that.

splice(2) moves bytes between a pipe and anything else, so a lane has a pipe: `Mover` lets the
response fill it and the part empty it, by turns. Whatever happens in between, the pipe is empty
when `Mover.move` returns or is thrown away, so that no byte comes to be in another file.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


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
