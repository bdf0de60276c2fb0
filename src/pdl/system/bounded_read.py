"""Reads a small file that a user has named, which may be anything: it ends, and is bounded."""

from __future__ import annotations

import os
import select
import stat
import time

MOST = 256 * 1024
"""Bytes that are read."""
SECONDS = 10.0
"""That a pipe or a device may take to say all."""


def read(path: str) -> tuple[bytes, int]:
    """The bytes of a file, one more than `MOST` at the most, and its mode.

    A pipe may have a shell's ``<(command)`` behind it, or nobody yet.

    Raises:
        OSError, ValueError: it cannot be read, or said nothing, or not all, in `SECONDS`.
    """
    # to open a pipe that nobody writes to would take for ever
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return os.read(descriptor, MOST + 1), mode  # of a directory it is an error
        return _heard(descriptor), mode
    finally:
        os.close(descriptor)


def _heard(descriptor: int) -> bytes:
    data, end = b"", time.monotonic() + SECONDS
    while len(data) <= MOST:
        wait = end - time.monotonic()
        if wait <= 0 or not select.select([descriptor], [], [], wait)[0]:
            raise OSError(0, f"it is a pipe or a device, and said not all in {SECONDS:g} s")
        try:
            came = os.read(descriptor, MOST + 1)
        except BlockingIOError:
            continue
        if not came:
            break
        data += came
    if not data:
        raise OSError(0, "it is a pipe or a device that says nothing")
    return data
