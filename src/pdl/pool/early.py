"""Starts the fork server at once, so that it imports while the main process still does."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING

from pdl.pool import handles

if TYPE_CHECKING:
    from pdl.settings import PoolSettings

PRELOAD = ("__main__", "pdl.pool.process", "pdl.fetch", "pdl.transport.keepalive")
"""What every worker needs, imported once in the fork server; by name, as it is not for here."""


def prepare(settings: PoolSettings) -> None:
    """Get ready what `settings` ask for, as far as it takes time; it can be called again.

    Raises:
        MachineError: too few file handles are allowed.
    """
    if settings.engine != "process":
        return
    handles.ensure(*settings.split())
    if settings.method() == "forkserver":
        multiprocessing.set_forkserver_preload(list(PRELOAD))
        resource_tracker.ensure_running()  # first, because it unblocks SIGINT
        # Ctrl-C reaches the fork server too, which ignores it only once it has imported
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
