"""The drive loop: list → schedule → pool → outcomes → reports. It alone sees the whole run.

One thread, one loop: take what the pool has to say, read some of the list, hand out work, show
where things stand, and sleep until something happens, never longer than a tick. Nothing in it
blocks. When the run is to stop, nothing new is started, the lanes are told, what they answer
within a moment still counts, and everything left is reported as ``cancelled``.
"""

from __future__ import annotations

import queue
import random
import time
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from pdl.errors import ListError, MachineError
from pdl.model import (
    Answer,
    Fail,
    FailureKind,
    Item,
    Outcome,
    Result,
    Retrying,
    Success,
    Summary,
    Transfer,
    failure_word,
)
from pdl.pool import Answered, Died
from pdl.run import rows
from pdl.scheduling.job import Job
from pdl.scheduling.mirrors import Selector
from pdl.text.masking import mask, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import BadLine
    from pdl.pool import Pool, PoolEvent
    from pdl.run.planner import Planner
    from pdl.run.stop import Stop
    from pdl.scheduling.retry import Decision, RetryPolicy
    from pdl.scheduling.schedule import Schedule
    from pdl.settings import StopSettings

TICK = 0.1
"""Seconds between two looks at the display, and the longest the loop sleeps."""
LOOKAHEAD = 1024
"""Jobs read from the list before they can run; the list is read no further."""
FAR_LOOKAHEAD = 16 * LOOKAHEAD
"""The same while hosts that are asked to wait have all of them, and lanes are free."""
LINES = 64
"""Read in one turn of the loop: what takes about a millisecond, in which no worker runs out of
work."""
EVENTS = 16
"""Taken in one turn, for the same reason; each may be some dozen answers."""
STOP_GRACE = 1.0
"""Seconds that attempts under way are given to end when the run is stopped."""
REST_SECONDS = 0.3
"""Seconds spent on reading the rest of the list when the run is stopped."""
MEND = "mend that and run the same command again; it goes on from here"


class Feed(Protocol):
    """Where the lines come from; see `pdl.sources.feed.Feed`."""

    @property
    def exhausted(self) -> bool:
        """Whether there are no more lines."""

    def take(self, limit: int) -> Sequence[Item | BadLine]:
        """Some lines that are there now, without waiting."""

    def fileno(self) -> int | None:
        """Readable when there may be more lines; None if they need no waiting for."""

    def estimate(self) -> int | None:
        """How many lines there are in all, or None."""


class Sink(Protocol):
    """What is shown and recorded of the run."""

    @property
    def every(self) -> bool:
        """Whether every line is to be recorded; else what succeeded may just be counted."""

    def passed(self, count: int) -> None:
        """So many lines succeeded that are not recorded."""

    def record(self, result: Result, item: Item | None) -> None:
        """A line has its outcome."""

    def retrying(self, event: Retrying) -> None:
        """An attempt is to be made again."""

    def trouble(self, text: str) -> None:
        """Something other than an item failed in a worker; mostly it will again."""

    def tick(self, live: list[Transfer], received: int, total: int | None, now: float) -> None:
        """Where things stand; about ten times a second."""


class Parts(NamedTuple):
    """What the engine drives."""

    feed: Feed
    planner: Planner
    schedule: Schedule
    policy: RetryPolicy
    pool: Pool
    sink: Sink


class Engine:
    """Runs one list to its end.

    Args:
        parts: what to drive.
        limits: when to give up as a whole.
        stop: looked at in every turn.
    """

    def __init__(self, parts: Parts, limits: StopSettings, stop: Stop) -> None:
        self._parts = parts
        self._selector = Selector(parts.policy)
        self._limits = limits
        self._stop = stop
        self._counts = dict.fromkeys(Outcome, 0)
        self._left = 0
        self._deaths = 0
        self._machine: MachineError | None = None
        self._broken: ListError | None = None
        self._began = time.monotonic()
        self._next_tick = 0.0
        self._starved = False
        self._every = parts.sink.every
        self._unseen = 0
        self._total: int | None = None
        self._limit: Literal["max_failures", "deadline"] | None = None

    def run(self) -> Summary:
        """Drive the run until every line has its outcome, or it is stopped."""
        try:
            self._drive()
            unread = self._wind_up()
        finally:
            self._parts.pool.close()
        return self._summary(unread=unread)

    def _drive(self) -> None:
        try:
            while not self._over() and not self._stopping():
                busy = self._drain()
                # first: a worker that has nothing to do waits for nothing else than this
                busy = self._dispatch() or busy
                busy = self._admit() or busy
                if not busy:
                    self._parts.pool.wait(self._patience(), self._wake_on())
                self._tick()
        except MachineError as exc:
            self._machine = exc

    def machine_error(self) -> MachineError | None:
        """Why this machine could not go on, if so."""
        return self._machine

    def list_error(self) -> ListError | None:
        """Why a list could not be read to its end, if so."""
        return self._broken

    def _over(self) -> bool:
        return self._parts.schedule.empty() and self._parts.feed.exhausted

    def _stopping(self) -> bool:
        limits, failed = self._limits, self._counts[Outcome.FAIL]
        if limits.max_failures is not None and failed >= limits.max_failures:
            self._limit = "max_failures"
        elif limits.deadline is not None and time.monotonic() - self._began >= limits.deadline:
            self._limit = "deadline"
        return bool(self._limit) or self._stop.asked or self._machine is not None

    def _patience(self) -> float:
        due = self._parts.schedule.next_due()
        if due is None or not self._parts.pool.room():  # what is due then waits for a lane
            return TICK
        return min(TICK, max(0.0, due - time.monotonic()))

    def _wake_on(self) -> Sequence[int]:
        feed = self._parts.feed
        if feed.exhausted or self._parts.schedule.backlog() >= self._reach():
            return ()
        descriptor = feed.fileno()
        return () if descriptor is None else (descriptor,)

    # --- the list ---

    def _admit(self) -> bool:
        room = self._reach() - self._parts.schedule.backlog()
        if self._parts.feed.exhausted or room <= 0:
            return False
        entries = self._read(min(LINES, room))
        for entry in entries:
            self._plan(entry)
        return bool(entries)

    def _reach(self) -> int:
        """How many jobs are kept ready: more when none of them can run, for others may."""
        return FAR_LOOKAHEAD if self._starved else LOOKAHEAD

    def _plan(self, entry: Item | BadLine) -> None:
        planned = self._parts.planner.plan(entry)
        if isinstance(planned, Job):
            if planned.mirrors is not None:
                self._selector.aim(planned, time.monotonic())
            self._parts.schedule.add(planned)
        elif planned is not None:
            self._emit(planned, entry if isinstance(entry, Item) else None)

    def _read(self, limit: int) -> Sequence[Item | BadLine]:
        """Some lines; a list that breaks off ends there, and what came before it still counts."""
        try:
            return self._parts.feed.take(limit)
        except ListError as exc:
            self._broken = exc
            return ()

    # --- the pool ---

    def _dispatch(self) -> bool:
        pool, schedule = self._parts.pool, self._parts.schedule
        room = pool.room()
        if not room:
            self._starved = False
            return False
        now, clock = time.monotonic(), time.time()
        jobs = schedule.take(now, room)
        self._starved = not jobs
        if not jobs:
            return False
        for job in jobs:
            if job.began is None:
                job.began, job.started = now, clock
        pool.submit([job.task for job in jobs])
        return True

    def _drain(self) -> bool:
        busy = False
        for _ in range(EVENTS):
            try:
                event = self._parts.pool.get_nowait()
            except queue.Empty:
                break
            busy = True
            self._take(event)
        return busy

    def _take(self, event: PoolEvent) -> None:
        schedule = self._parts.schedule
        if isinstance(event, Answered):
            for answer in event.answers:
                self._answered(answer)
            return
        if isinstance(event, Died):
            self._deaths += 1
            for task_id, reached in zip(event.current, event.reached, strict=True):
                self._died(schedule.flying(task_id), event.reason, reached)
            ids = event.waiting
        else:
            ids = event.ids
        for task_id in reversed(ids):
            schedule.put_back(schedule.flying(task_id))

    def _answered(self, answer: Answer) -> None:
        job = self._parts.schedule.flying(answer.id)
        job.attempts += 1
        job.received += answer.received
        if isinstance(answer, Success):
            self._succeeded(job, answer)
        elif answer.kind is FailureKind.CANCELLED:
            job.task = job.task._replace(begun=True)
            self._parts.schedule.put_back(job)
        elif answer.fatal:
            self._cannot_go_on(job, answer)
        else:
            self._failed(job, answer)

    def _succeeded(self, job: Job, answer: Success) -> None:
        planner = self._parts.planner
        if answer.name is not None:
            planner.named(job, answer.name)
        if answer.version is not None:
            planner.placed(job, answer.version)
        if answer.trouble:
            self._parts.sink.trouble(answer.trouble)
        if job.mirrors is not None:
            answer = self._selector.served(job, answer, time.monotonic())
        if self._every or job.followers or not rows.fetched(job, answer):
            self._finish(job, rows.succeeded(job, answer, self._elapsed(job)))
            return
        self._parts.schedule.done(job)
        planner.ended(job, Outcome.SUCCESS)
        self._unseen += 1

    def _cannot_go_on(self, job: Job, fail: Fail) -> None:
        """Stop; the first to meet the trouble tells of it, the others are left for the next run."""
        if self._machine is not None:
            self._parts.schedule.put_back(job)
            return
        self._machine = MachineError(printable(fail.message), MEND)
        self._machine.told = True
        self._give_up(job, fail)

    def _failed(self, job: Job, fail: Fail) -> None:
        now = time.monotonic()
        fail, decision = self._decide(job, fail, now)
        if decision.delay is None:
            if decision.reason:
                fail = fail._replace(message=f"{fail.message}; {decision.reason}")
            self._give_up(job, fail)
            return
        job.task = job.task._replace(begun=True)
        self._parts.schedule.retry(job, now + decision.delay)
        self._selector.aim(job, now)
        self._parts.sink.retrying(
            Retrying(
                mask(job.item.url),
                printable(fail.message),
                failure_word(fail.kind, fail.status),
                job.attempts,
                decision.delay,
            )
        )

    def _decide(self, job: Job, fail: Fail, now: float) -> tuple[Fail, Decision]:
        """What becomes of it; what waits for a host that is to be avoided goes elsewhere."""
        host, selector, schedule = job.host, self._selector, self._parts.schedule
        avoid = selector.blame(job, fail, now)
        fail, decision = selector.decide(job, fail, random.random())  # noqa: S311 - jitter
        if decision.pause_host:
            until = now + decision.pause_host
            schedule.pause(host, until)
            avoid = selector.paused(host, until, now) or avoid
        if avoid:
            schedule.move(host, lambda waiting: selector.aim(waiting, now))
        return fail, decision

    def _died(self, job: Job, reason: str, reached: int) -> None:
        job.deaths = job.deaths.another(reached, kept=job.task.fragile)
        if not job.deaths.to_blame(self._deaths):
            job.task = job.task._replace(fragile=True, begun=True)
            self._parts.schedule.put_back(job)
            return
        fail = Fail(
            "fail",
            job.task.id,
            FailureKind.WORKER_DIED,
            transient=True,
            message=f"{job.deaths.total} workers died over it, the last was {reason}",
        )
        self._give_up(job, fail)

    # --- outcomes ---

    def _finish(self, job: Job, result: Result) -> None:
        self._parts.schedule.done(job)
        self._parts.planner.ended(job, result.outcome)
        self._conclude(job, result)

    def _give_up(self, job: Job, fail: Fail) -> None:
        transient = self._parts.policy.transient(fail)
        self._finish(job, rows.failed(job, fail, self._elapsed(job), transient=transient))

    def _conclude(self, job: Job, result: Result) -> None:
        self._emit(result, job.item)
        for item in job.followers:
            stopped = result.kind == FailureKind.CANCELLED.value
            if stopped or self._parts.planner.shares(job, item, result.outcome):
                self._emit(rows.shared(result, item), item)
            else:
                self._plan(item)

    def _elapsed(self, job: Job) -> float:
        return 0.0 if job.began is None else time.monotonic() - job.began

    def _emit(self, result: Result, item: Item | None) -> None:
        if result.kind == FailureKind.CANCELLED.value:
            self._left += 1
        else:
            self._counts[result.outcome] += 1
        self._parts.sink.record(result, item)

    # --- the end ---

    def _wind_up(self) -> bool:
        """Stop what is under way, report what is left; whether some of the list was not read."""
        if self._over():
            self._tick(last=True)
            return False
        self._parts.pool.stop()
        try:
            self._let_end(time.monotonic() + STOP_GRACE)
        except MachineError as exc:  # the pool has no workers left: nothing more will come
            self._machine = self._machine or exc
        self._tick(last=True)
        for job in [*self._parts.schedule.drop_flying(), *self._parts.schedule.drop()]:
            self._conclude(job, rows.cancelled(job, self._elapsed(job)))
        return self._cancel_rest()

    def _let_end(self, deadline: float) -> None:
        while self._parts.schedule.in_flight() and (left := deadline - time.monotonic()) > 0:
            if not self._drain():
                self._parts.pool.wait(min(left, TICK))

    def _cancel_rest(self) -> bool:
        feed = self._parts.feed
        deadline = time.monotonic() + REST_SECONDS
        while not feed.exhausted and time.monotonic() < deadline:
            entries = self._read(LINES)
            if not entries and feed.fileno() is not None:
                break  # whoever writes the list has not finished; nobody waits for that
            for entry in entries:
                if isinstance(entry, Item):
                    row = rows.refused(entry, FailureKind.CANCELLED, "the run was stopped")
                    self._emit(row, entry)
                else:
                    self._emit(rows.bad_line(entry), None)
        return not feed.exhausted

    def _summary(self, *, unread: bool) -> Summary:
        counts = self._counts
        return Summary(
            succeeded=counts[Outcome.SUCCESS],
            skipped=counts[Outcome.SKIPPED],
            unchanged=counts[Outcome.UNCHANGED],
            failed=counts[Outcome.FAIL],
            left=self._left,
            bytes=self._parts.pool.received(),
            seconds=time.monotonic() - self._began,
            stopped_by=self._stop.signal,
            unread=unread,
            limit=self._limit,
        )

    # --- the display ---

    def _tick(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next_tick and not last:
            return
        self._next_tick = now + TICK
        if self._total is None:
            self._total = self._parts.feed.estimate()
        self._parts.sink.passed(self._unseen)
        self._counts[Outcome.SUCCESS] += self._unseen
        self._unseen = 0
        pool, flying = self._parts.pool, self._parts.schedule.flying
        live = [Transfer(flying(of.id).task.path, of.received, of.size) for of in pool.live()]
        self._parts.sink.tick(live, pool.received(), self._total, now)
