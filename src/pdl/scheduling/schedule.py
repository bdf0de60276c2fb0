"""What runs next: hosts in turn, retries at their time, until every job is done.

Theory of operation
===================

A job is in exactly one place::

                     take                    done
    add ──▶ READY ─────────▶ IN FLIGHT ───────────────▶ gone
              ▲  │              │    │                   ▲
              │  │  put_back    │    │ retry(at)         │ next_lost
              ├──┼──────────────┘    ▼                   │
              └──┼───────────── WAITING ───────────────▶ LOST
                 │   due                    abandon      ▲
                 └───────────────────────────────────────┘

READY is a queue for each origin; those that may be asked take turns, so that a slow or paused one
holds nobody up. How many may be in flight at an origin, and from when on, is its own matter
(`pdl.scheduling.origin`); who sets that is the governor. One that may not be asked takes no turns:
it does again when one of its jobs has come back, or at its time. So no call looks at all of them.
What is LOST belongs to an origin that is given up, and waits for nothing but its end.

There is no clock and no I/O in here: the time is an argument, in seconds of whatever clock the
caller uses, as long as it does not go back. What may live here: order and time. Not here: why an
attempt failed, or what a job's plan says.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from typing import TYPE_CHECKING, Protocol

from pdl.scheduling.governor import Governor
from pdl.scheduling.progress import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.scheduling.job import Job
    from pdl.scheduling.origin import Origin


class Pace(Protocol):
    """Spaces the starts of attempts at an origin."""

    def started(self, host: str, now: float) -> float:
        """An attempt starts now; the answer is the time before which the next may not."""


class Schedule:
    """See the module's theory of operation.

    Args:
        governor: has the origins, and limits them.
        pace: spaces what is asked of one; None for no matter how fast.

    Attributes:
        governor: as given.
    """

    def __init__(self, governor: Governor | None = None, pace: Pace | None = None) -> None:
        self.governor = self._governor = Governor() if governor is None else governor
        self._pace = pace
        self._turns: deque[Origin] = deque()
        self._flying: dict[int, Job] = {}
        self._waiting: list[tuple[float, int, Job]] = []
        self._alarms: list[tuple[float, int, Origin]] = []
        self._lost: deque[Job] = deque()
        self._order = itertools.count()
        self._ready_count = 0

    def add(self, job: Job) -> None:
        """Take a new job."""
        origin = job.origin = self._governor.origin(job.host)
        queue = origin.ready
        if queue is not None and origin.listed and not origin.lost:  # as `_queue`, in one go
            queue.append(job)
            self._ready_count += 1
        else:
            self._queue(job, first=False)

    def backlog(self) -> int:
        """Jobs that are not in flight: ready, waiting for their time, or lost."""
        return self._ready_count + len(self._waiting) + len(self._lost)

    def in_flight(self) -> int:
        """Jobs that were taken and have not come back."""
        return len(self._flying)

    def empty(self) -> bool:
        """Whether every job is done."""
        return not (self._flying or self._waiting or self._ready_count or self._lost)

    def take(self, now: float, limit: int) -> list[Job]:
        """The jobs to run now, at most `limit`; they are in flight from here on."""
        self._wake(now)
        taken: list[Job] = []
        turns = self._turns
        while turns and len(taken) < limit:
            origin = turns.popleft()
            queue, room = origin.ready, origin.room()
            if queue is None or room <= 0 or origin.not_before > now:
                self._park(origin, now)
                continue
            # one that is alone need not take turns
            count = min(room, 1 if turns else limit - len(taken), len(queue))
            if self._pace is not None and origin.host:
                count = 1
                self._governor.pause(origin, self._pace.started(origin.host, now))
            for _ in range(count):
                job = queue.popleft()
                job.launched = now
                self._flying[job.plan.id] = job
                taken.append(job)
            origin.flying += count
            self._ready_count -= count
            if queue:
                turns.append(origin)
            else:
                origin.ready = None
                origin.listed = False
        return taken

    def _park(self, origin: Origin, now: float) -> None:
        """Let it take no turns."""
        origin.listed = False
        at = origin.not_before
        if at > now and origin.ready is not None and origin.alarm != at:
            origin.alarm = at
            heapq.heappush(self._alarms, (at, next(self._order), origin))

    def _wake(self, now: float) -> None:
        waiting, alarms = self._waiting, self._alarms
        while waiting and waiting[0][0] <= now:
            job = heapq.heappop(waiting)[2]
            self._no_more(job)
            self._queue(job, first=True)
        while alarms and alarms[0][0] <= now:
            at, _, origin = heapq.heappop(alarms)
            if origin.alarm == at:
                origin.alarm = 0.0
                self._offer(origin)

    def _no_more(self, job: Job) -> None:
        """It waits no more; what was held back for its sake may run."""
        assert job.origin is not None
        job.origin.waiting -= 1
        self._offer(job.origin)

    def _queue(self, job: Job, *, first: bool) -> None:
        origin = job.origin = self._governor.origin(job.host)
        if origin.lost:
            self._lost.append(job)
        else:
            self._line_up(origin, job, first=first)

    def _line_up(self, origin: Origin, job: Job, *, first: bool) -> None:
        queue = origin.ready
        if queue is None:
            queue = origin.ready = deque()
        queue.appendleft(job) if first else queue.append(job)
        self._ready_count += 1
        if not origin.listed:
            origin.listed = True
            self._turns.append(origin)

    def _offer(self, origin: Origin) -> None:
        if origin.ready is not None and not origin.listed:
            origin.listed = True
            self._turns.append(origin)

    def flying(self, job_id: int) -> Job:
        """The job in flight that has that id.

        Raises:
            KeyError: there is none.
        """
        return self._flying[job_id]

    def done(self, job: Job) -> None:
        """The job in flight has its outcome."""
        del self._flying[job.plan.id]
        origin = job.origin
        assert origin is not None
        origin.flying -= 1
        if not origin.listed and origin.ready is not None:
            origin.listed = True
            self._turns.append(origin)

    def put_back(self, job: Job) -> None:
        """The job in flight was not run after all; it is the next of its host."""
        self.done(job)
        self._queue(job, first=True)

    def retry(self, job: Job, at: float) -> None:
        """The job in flight is to run again, at that time."""
        origin = job.origin
        assert origin is not None
        origin.waiting += 1
        self.done(job)
        heapq.heappush(self._waiting, (at, next(self._order), job))

    # --- further connections for a job in flight ---

    def may_lend(self, host: str, now: float) -> bool:
        """Whether one more connection to the host may be opened beside its jobs in flight."""
        origin = self._governor.origin(host)
        self._governor.answers(origin)  # else nothing of the file would be here
        return origin.not_before <= now and origin.room() > 0

    def lend(self, host: str, count: int) -> None:
        """So many connections to the host are opened beside its jobs; below 0 they are closed."""
        origin = self._governor.origin(host)
        origin.lent += count
        self._offer(origin)

    def starved(self, now: float) -> Counter[str]:
        """Jobs of each host that could be in flight now, if all that is lent were given back."""
        found: Counter[str] = Counter()
        for origin in self._governor.origins():
            if origin.ready is not None and origin.not_before <= now:
                found[origin.host] = min(len(origin.ready), origin.room() + origin.lent)
        return +found

    def move(self, origin: Origin, aim: Callable[[Job], None]) -> None:
        """Queue anew what is ready for the origin, after `aim` has had a chance to set another."""
        queue, origin.ready = origin.ready, None
        if queue is None:
            return
        self._ready_count -= len(queue)
        for job in queue:
            aim(job)
            self._queue(job, first=False)

    # --- what is given up ---

    def abandon(self, origin: Origin) -> None:
        """The origin is given up: what is ready for it, or waits, is lost."""
        queue, origin.ready = origin.ready, None
        if queue is not None:
            self._ready_count -= len(queue)
            self._lost += queue
        if origin.waiting:
            mine = sorted(entry for entry in self._waiting if entry[2].origin is origin)
            self._waiting = [entry for entry in self._waiting if entry[2].origin is not origin]
            heapq.heapify(self._waiting)
            self._lost += [job for _, _, job in mine]
            origin.waiting = 0

    def any_lost(self) -> bool:
        """Whether there is a job whose origin is given up."""
        return bool(self._lost)

    def next_lost(self, now: float) -> Job | None:
        """Remove a job whose origin is given up, and return it; None if there is none.

        Now and then one is ready instead, to see whether its origin is back.
        """
        while self._lost:
            job = self._lost.popleft()
            origin = job.origin
            assert origin is not None
            if origin.lost and not self._governor.probe(origin, now):
                return job
            self._line_up(origin, job, first=False)
        return None

    # --- what is waited for ---

    def next_due(self) -> float | None:
        """When something changes by time alone: a retry is due or a pause ends; None if never."""
        times = [each[0][0] for each in (self._waiting, self._alarms) if each]
        return min(times, default=None)

    def waits(self, now: float) -> Waiting | None:
        """Whom the run waits for next, and how much waits with it; None if there is none."""
        paused = next((each for _, _, each in self._alarms if each.ready is not None), None)
        at, origin = (0.0, None) if paused is None else (paused.not_before, paused)
        why = "" if paused is None or paused.trouble is None else paused.trouble.why
        if self._waiting and (origin is None or self._waiting[0][0] <= at):
            at, _, first = self._waiting[0]
            origin, why = first.origin, first.trouble
        if origin is None:
            return None
        until = max(at, origin.not_before)
        files = origin.waiting
        if origin.not_before > now:
            files += len(origin.ready or ())
        return Waiting(origin.host, max(0.0, until - now), why, files)

    # --- the end ---

    def drop(self) -> Iterator[Job]:
        """Remove every job that is not in flight, and return them."""
        jobs: list[Job] = []
        for origin in self._governor.origins():
            jobs += origin.ready or ()
            origin.ready = None
            origin.waiting = 0
        jobs += [job for _, _, job in sorted(self._waiting, key=lambda entry: entry[:2])]
        jobs += self._lost
        self._turns.clear()
        self._waiting.clear()
        self._alarms.clear()
        self._lost.clear()
        self._ready_count = 0
        return iter(jobs)

    def drop_flying(self) -> Iterator[Job]:
        """Remove every job in flight, and return them."""
        jobs = list(self._flying.values())
        self._flying.clear()
        for origin in self._governor.origins():
            origin.flying = 0
        return iter(jobs)
