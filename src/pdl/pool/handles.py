"""File handles: as many as the pool needs, or a clear word before anything is started."""

from __future__ import annotations

import contextlib
import resource

from pdl.errors import MachineError

BASE = 32
"""Handles a process has open besides those that grow with the pool."""
PER_PROCESS = 4
"""Of the main process, for each worker: two pipes, its end, and one while it starts."""
PER_LANE = 4
"""Of a worker, for each lane: its connection, the part, its note, a directory to flush."""


def ensure(processes: int, lanes: int) -> None:
    """See that each process may open what it needs; the limit is raised as far as allowed.

    Too few handles show in the middle of a run otherwise, or in a traceback of multiprocessing.

    Args:
        processes: of the pool.
        lanes: in each.

    Raises:
        MachineError: fewer are allowed.
    """
    needed = BASE + max(PER_PROCESS * processes, PER_LANE * lanes)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            return
        raise MachineError(
            f"too few file handles: {needed} are needed, {soft} are allowed",
            "lower --jobs or --processes, or raise the limit (ulimit -n)",
        )
