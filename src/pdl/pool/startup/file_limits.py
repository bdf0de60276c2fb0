"""File handles: as many as the pool needs, or a clear word before anything is started."""

from __future__ import annotations

import contextlib
import resource
import sys

from pdl.errors import MachineError

BASE = 32
"""Handles a process has open besides those that grow with the pool."""
PER_PROCESS = 4
"""Of the main process, for each worker: two pipes, its end, and one while it starts."""
PER_LANE = 4
"""Of a worker, for each lane: its connection, the part, its note, a directory to flush."""
PIPE = 2
"""The same, for a pipe, where there are enough; see `pdl.system.splice`."""


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
