"""What runs next: hosts in turn, retries at their time, until every job is done.

Theory of operation
===================

A job is in exactly one place::

                     take                    done
    add ──▶ READY ─────────▶ IN FLIGHT ───────────────▶ gone
              ▲                 │    │
              │ put_back        │    │ retry(at)
              ├─────────────────┘    ▼
              └────────────────── WAITING   (holds no worker; due at a time)
                     due

READY is a queue for each host; hosts take turns, so that a slow or paused one holds nobody up. A
host may be **paused** until a time (Retry-After), and have at most `per_host` jobs in flight.

There is no clock and no I/O in here: the time is an argument, in seconds of whatever clock the
caller uses, as long as it does not go back. What may live here: order and time. Not here: why an
attempt failed, or what a job's plan says.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from typing import TYPE_CHECKING

from pdl.model import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.scheduling.job import Job


class Schedule:
    """See the module's theory of operation.

    Args:
        per_host: jobs of one host that may be in flight; None for any number. Jobs without a host
            are not counted.
    """

    def __init__(self, per_host: int | None = None) -> None:
        self._per_host = per_host
        self._ready: dict[str, deque[Job]] = {}
        self._turns: deque[str] = deque()
        self._flying: dict[int, Job] = {}
        self._flying_of: Counter[str] = Counter()
        self._lent: Counter[str] = Counter()
        self._waiting: list[tuple[float, int, Job]] = []
        self._paused: dict[str, float] = {}
        self._order = itertools.count()
        self._ready_count = 0

    def add(self, job: Job) -> None:
        """Take a new job."""
        self._queue(job, first=False)

    def backlog(self) -> int:
        """Jobs that are not in flight: ready or waiting for their time."""
        return self._ready_count + len(self._waiting)

    def in_flight(self) -> int:
        """Jobs that were taken and have not come back."""
        return len(self._flying)

    def empty(self) -> bool:
        """Whether every job is done."""
        return not (self._flying or self._waiting or self._ready_count)

    def take(self, now: float, limit: int) -> list[Job]:
        """The jobs to run now, at most `limit`; they are in flight from here on."""
        self._wake(now)
        taken: list[Job] = []
        idle = 0  # hosts in a row that had nothing to give
        while len(taken) < limit and idle < len(self._turns):
            host = self._turns[0]
            self._turns.rotate(-1)
            # one that is alone need not take turns
            most = self._allowed(host, now, 1 if len(self._turns) > 1 else limit - len(taken))
            if most > 0:
                taken += self._launch(host, most)
            idle = 0 if most > 0 else idle + 1
        return taken

    def _allowed(self, host: str, now: float, most: int) -> int:
        """How many jobs of the host may be started now, `most` at most."""
        until = self._paused.get(host)
        if until is not None:
            if until > now:
                return 0
            del self._paused[host]  # first of all: a pause that is over must not seem due for ever
        if self._per_host is None or not host:
            return most
        return min(most, self._per_host - self._flying_of[host] - self._lent[host])

    def _launch(self, host: str, most: int) -> list[Job]:
        queue = self._ready[host]
        jobs = [queue.popleft() for _ in range(min(most, len(queue)))]
        self._ready_count -= len(jobs)
        if not queue:
            del self._ready[host]
            self._turns.remove(host)
        for job in jobs:
            self._flying[job.plan.id] = job
        self._flying_of[host] += len(jobs)
        return jobs

    def _wake(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            self._queue(heapq.heappop(self._waiting)[2], first=True)

    def _queue(self, job: Job, *, first: bool) -> None:
        queue = self._ready.get(job.host)
        if queue is None:
            queue = self._ready[job.host] = deque()
            self._turns.append(job.host)
        queue.appendleft(job) if first else queue.append(job)
        self._ready_count += 1

    def flying(self, job_id: int) -> Job:
        """The job in flight that has that id.

        Raises:
            KeyError: there is none.
        """
        return self._flying[job_id]

    def done(self, job: Job) -> None:
        """The job in flight has its outcome."""
        del self._flying[job.plan.id]
        self._flying_of[job.host] -= 1
        if not self._flying_of[job.host]:
            del self._flying_of[job.host]

    def put_back(self, job: Job) -> None:
        """The job in flight was not run after all; it is the next of its host."""
        self.done(job)
        self._queue(job, first=True)

    def retry(self, job: Job, at: float) -> None:
        """The job in flight is to run again, at that time."""
        self.done(job)
        heapq.heappush(self._waiting, (at, next(self._order), job))

    # --- further connections for a job in flight ---

    def may_lend(self, host: str, now: float) -> bool:
        """Whether one more connection to the host may be opened beside its jobs in flight."""
        return self._allowed(host, now, 1) > 0

    def lend(self, host: str, count: int) -> None:
        """So many connections to the host are opened beside its jobs; below 0 they are closed."""
        self._lent[host] += count
        if not self._lent[host]:
            del self._lent[host]

    def starved(self, now: float) -> Counter[str]:
        """Jobs of each host that could be in flight now, if all that is lent were given back."""
        found: Counter[str] = Counter()
        for host, queue in self._ready.items():
            most = len(queue)
            if self._per_host is not None and host:
                most = min(most, self._per_host - self._flying_of[host])
            if self._paused.get(host, now) <= now:
                found[host] = most
        return +found

    def move(self, host: str, aim: Callable[[Job], None]) -> None:
        """Queue anew what is ready for the host, after `aim` has had a chance to set another."""
        queue = self._ready.pop(host, None)
        if queue is None:
            return
        self._turns.remove(host)
        self._ready_count -= len(queue)
        for job in queue:
            aim(job)
            self._queue(job, first=False)

    def pause(self, host: str, until: float) -> None:
        """Ask nothing of the host before that time."""
        self._paused[host] = max(until, self._paused.get(host, until))

    def next_due(self) -> float | None:
        """When something changes by time alone: a retry is due or a pause ends; None if never."""
        times = [at for host, at in self._paused.items() if host in self._ready]
        if self._waiting:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def waits(self, now: float) -> Waiting | None:
        """Whom the next retry waits for, and how much waits with it; None if there is none."""
        if not self._waiting:
            return None
        at, _, first = self._waiting[0]
        host, until = first.host, self._paused.get(first.host, 0.0)
        files = sum(job.host == host for _, _, job in self._waiting)
        if until > now:
            files += len(self._ready.get(host, ()))
        return Waiting(host, max(at, until) - now, first.trouble, files)

    def drop(self) -> Iterator[Job]:
        """Remove every job that is not in flight, and return them."""
        jobs = [job for queue in self._ready.values() for job in queue]
        jobs += [job for _, _, job in sorted(self._waiting, key=lambda entry: entry[:2])]
        self._ready.clear()
        self._turns.clear()
        self._waiting.clear()
        self._ready_count = 0
        return iter(jobs)

    def drop_flying(self) -> Iterator[Job]:
        """Remove every job in flight, and return them."""
        jobs = list(self._flying.values())
        self._flying.clear()
        self._flying_of.clear()
        return iter(jobs)
