"""What the system allows: file handles for the pool, and what to say if it starts no process."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sys
from typing import TYPE_CHECKING

from pdl.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.settings import PoolSettings

BASE = 32
"""Handles a process has open besides those that grow with the pool."""
PER_PROCESS = 4
"""Of the main process, for each worker: two pipes, its end, and one while it starts."""
PER_LANE = 4
"""Of a worker, for each lane: its connection, the part, its note, a directory to flush."""
PIPE = 2
"""The same, for a pipe, where there are enough; see `pdl.fetch.zero_copy`."""


def ensure(processes: int, lanes: int) -> None:
    """See that each process may open what it needs; the limit is raised as far as allowed.

    Too few handles show in the middle of a run otherwise, or in a traceback of multiprocessing.

    Args:
        processes: of the pool.
        lanes: in each.

    Raises:
        MachineError: fewer are allowed.
    """
    from pdl.settings import HOSTS_KEPT  # not needed by who starts early

    needed = BASE + max(PER_PROCESS * processes, PER_LANE * lanes)
    wanted = needed + (PIPE + HOSTS_KEPT - 1) * lanes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted <= _number(soft):
        return
    if needed <= _number(hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, _number(hard)), hard))
            return
    if needed > _number(soft):
        raise MachineError(
            f"too few file handles: {needed} are needed, {soft} are allowed",
            "lower --jobs or --processes, or raise the limit (ulimit -n)",
        )


def fitted(settings: PoolSettings) -> PoolSettings:
    """The settings, with no more jobs than file handles allow where their number is to be found.

    Each lane has a connection to spare, and a pipe.
    """
    if settings.jobs != "auto":
        return settings
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lanes = max(1, (_number(hard) - BASE) // (PER_LANE + PIPE + 1))
    return settings._replace(auto_most=min(settings.auto_most, lanes * settings.split()[0]))


def share(lanes: int) -> tuple[int, bool]:
    """What each lane of a worker may have besides `PER_LANE` handles.

    To be asked once `ensure` has been.

    Returns:
        Its connections, idle ones included, and whether it may have a pipe.
    """
    from pdl.settings import HOSTS_KEPT  # as above

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = (_number(soft) - BASE) // lanes - PER_LANE
    pipe = spare >= PIPE
    return max(1, min(HOSTS_KEPT, 1 + spare - PIPE * pipe)), pipe


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


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
