"""How many downloads are in flight: as many as was said, or as many as pay."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.pool import Pool
    from pdl.run.rows import Results
    from pdl.scheduling.auto_jobs import AutoJobs
    from pdl.scheduling.schedule import Schedule


class InFlight:
    """The number of jobs of a run, which the pool and the governor are told.

    Args:
        jobs: at first.
        pool: of the run.
        schedule: of the run.
        auto: says how many later; None for as many all the time.
        tell: told of each change.

    Attributes:
        jobs: downloads that may be in flight now.
    """

    def __init__(
        self,
        jobs: int,
        pool: Pool,
        schedule: Schedule,
        auto: AutoJobs | None = None,
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.jobs = jobs
        self._pool = pool
        self._schedule = schedule
        self._auto = auto
        self._tell = tell
        if auto is not None:
            pool.resize(jobs)

    def look(self, results: Results) -> None:
        """See whether more in flight would be faster, or fewer as fast."""
        auto, now = self._auto, time.monotonic()
        if auto is None or now < auto.due:
            return
        flying = self._schedule.in_flight()
        jobs = auto.look(now, results.asked(), self._pool.received(), flying)
        if jobs != self.jobs:
            self.jobs = jobs
            self._pool.resize(jobs)
            self._schedule.governor.resize(jobs)
            self._tell(jobs)

    def free(self) -> int:
        """How many more may begin at once."""
        return max(0, self.jobs - self._schedule.in_flight())
