"""What to say where the system does not let worker processes be started."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from pdl.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMITS = "lower --jobs or --processes, or raise the limits (ulimit -n, ulimit -u)"
_PLACE = (
    "multiprocessing needs room in /dev/shm and in TMPDIR, and may have to write there;"
    " --engine inline does without"
)
_HINTS = dict.fromkeys(
    (errno.ENOENT, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSYS), _PLACE
)
_NO_THREAD = "start new thread"
"""In what Python says then, as a mere RuntimeError."""
_NO_SOCKET = "AF_UNIX path too long"
"""Likewise, as an OSError without a number."""


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Start within it what the pool needs.

    Raises:
        MachineError: the system would not.
    """
    try:
        yield
    except (OSError, MemoryError) as exc:
        raise cannot_start(exc) from exc
    except RuntimeError as exc:
        if _NO_THREAD not in str(exc):
            raise
        raise cannot_start(exc) from exc


def cannot_start(exc: OSError | MemoryError | RuntimeError) -> MachineError:
    """The error, with what to do about it."""
    number = exc.errno if isinstance(exc, OSError) else None
    if number == errno.ENOENT and (gone := nowhere()) is not None:
        return gone
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    where = f": {exc.filename}" if isinstance(exc, OSError) and exc.filename else ""
    hint = _LIMITS if number is None else _HINTS.get(number, _LIMITS)
    if reason == _NO_SOCKET:
        hint = "set TMPDIR to a directory with a shorter name"
    return MachineError(f"cannot start worker processes: {reason or 'out of memory'}{where}", hint)


def nowhere() -> MachineError | None:
    """The error of a current directory that does not exist any more; None if it does."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return MachineError(
            "the current directory does not exist any more",
            "change to one that does (cd), and run the command there",
        )
    return None
