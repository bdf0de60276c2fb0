"""Room on the disk: whether a file of known size fits, and reserving it as its bytes come.

What a server claims is checked against the free space at once, and reserved in steps: a little
first, then never more than has come already. So a server that claims much and sends little holds
no more of the disk than it has sent, twice over. What is reserved lies beyond the file's end, so
that a part's size still says how many of its bytes are real.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
from typing import TYPE_CHECKING

from pdl.text.units import amount_text, amounts_text

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST = 1024 * 1024
"""Bytes still to come below which nothing is checked or reserved: it would cost more than it
helps."""
FIRST_STEP = 16 * 1024 * 1024
"""Bytes reserved before any have come."""

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h
_FULL = {errno.ENOSPC, errno.EDQUOT}


def check_room(directory: str, needed: int) -> None:
    """See that so many bytes fit.

    Raises:
        OSError: they do not, with EFBIG: a smaller file may fit; or the system cannot say.
    """
    free = free_bytes(directory)
    if free is not None and needed > free:
        raise OSError(errno.EFBIG, _short(needed, free), directory)


def check_kept_free(directory: str, needed: int, least: int) -> None:
    """See that so many bytes fit, and that others stay free.

    Args:
        directory: on the disk.
        needed: bytes still to come.
        least: bytes that are to stay free.

    Raises:
        OSError: with EFBIG, they do not: a smaller file may fit; with ENOSPC, less is free as it
            is; or the system cannot say.
    """
    free = free_bytes(directory)
    if free is None or free - needed >= least:
        return
    if free < least:
        there, kept = amounts_text(free, least)
        raise OSError(errno.ENOSPC, f"{there} free, and --min-free keeps {kept}", directory)
    kept = amount_text(least)
    raise OSError(errno.EFBIG, f"{_short(needed, free)}, and --min-free keeps {kept}", directory)


def free_bytes(directory: str) -> int | None:
    """Bytes that may still be written; None where the file system knows no numbers.

    Raises:
        OSError: the system cannot say.
    """
    found = os.statvfs(directory)
    blocks = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    return blocks * found.f_frsize if found.f_blocks else None  # some say 0 of 0


def _short(needed: int, free: int) -> str:
    more, there = amounts_text(needed, free)
    return f"needs {more} more, {there} free"


class Reservation:
    """Blocks reserved for the rest of an open file, ahead of its bytes.

    Args:
        fd: the file.
        total: bytes it will have.
        cuts: what was reserved is given back where there is no room; not of a file that others
            write beyond that.
    """

    def __init__(self, fd: int, total: int, *, cuts: bool = True) -> None:
        self._cuts = cuts
        self._fd = fd
        self._total = total
        self._end = 0
        self._refused = False

    def ahead_of(self, size: int) -> None:
        """Reserve some more if the file has grown to `size` and needs it.

        Raises:
            OSError: the disk or a quota has no room; nothing stays reserved.
        """
        if size < self._end or self._refused or size >= self._total:
            return
        end = min(self._total, size + max(FIRST_STEP, size))
        failed = _reserve(self._fd, size, end - size)
        if failed in _FULL:
            self._refused = True
            if self._cuts:
                os.ftruncate(self._fd, size)  # some of it may have been reserved before it failed
            raise OSError(failed, os.strerror(failed))
        self._refused = failed != 0
        self._end = end

    def release(self, size: int) -> None:
        """Give back what is reserved beyond `size`, where the file ends."""
        if self._cuts and self._end > size:
            os.ftruncate(self._fd, size)
            self._end = size


def _reserve(fd: int, offset: int, length: int) -> int:
    """Reserve blocks without changing the file's size; 0, or the errno."""
    allocate = _allocator()
    return errno.EOPNOTSUPP if allocate is None else allocate(fd, offset, length)


@functools.cache
def _allocator() -> Callable[[int, int, int], int] | None:
    """The system's fallocate; None where there is none that keeps the file's size."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes  # it takes milliseconds, and only large files need it

        system = ctypes.CDLL(None, use_errno=True)
        # glibc on 32-bit machines has offsets of 64 bits in this one alone; musl has no other
        function = getattr(system, "fallocate64", None) or system.fallocate
    except (ImportError, OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int

    def allocate(fd: int, offset: int, length: int) -> int:
        return ctypes.get_errno() if function(fd, _KEEP_SIZE, offset, length) else 0

    return allocate
