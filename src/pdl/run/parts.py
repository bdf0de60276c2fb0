"""What the drive loop drives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.pool import Pool
    from pdl.run.hooks import HookedResults
    from pdl.run.in_flight import InFlight
    from pdl.run.outputs import Outputs
    from pdl.run.planner import Planner
    from pdl.scheduling.retry import RetryPolicy
    from pdl.scheduling.schedule import Schedule
    from pdl.settings import FileSettings
    from pdl.sources import Lines


class Parts(NamedTuple):
    """What the engine drives.

    Attributes:
        limit: bytes a second that all transfers together may have now, or None.
        splitting: how files are split; None if none is.
        hooks: makes what counts the outcomes where each file has a command; None if none has.
    """

    feed: Lines
    planner: Planner
    schedule: Schedule
    policy: RetryPolicy
    pool: Pool
    outputs: Outputs
    jobs: InFlight
    limit: Callable[[], int | None] = lambda: None
    splitting: FileSettings | None = None
    hooks: Callable[[Outputs], HookedResults] | None = None
