"""The drive loop: list → schedule → pool → outcomes → reports. It alone sees the whole run.

One thread, one loop: take what the pool has to say, read some of the list, hand out work, show
where things stand, and sleep until something happens, never longer than a tick. Nothing in it
blocks. How it ends before its time is in `pdl.run.stop`.

A line's way: the planner makes a plan of it, or its outcome. A plan becomes a job of the schedule,
and each of its attempts a task of the pool. What a worker answers goes to the selector, which says
whether there is another attempt; else to the planner, which notes what the URL came to; then it is
a row.
"""

from __future__ import annotations

import queue
import random
import signal
import time
from typing import TYPE_CHECKING

from pdl.errors import ListError, MachineError
from pdl.model import Answer, Fail, FailureKind, Item, Outcome, Result, Success
from pdl.pool import Answered, Died, Said
from pdl.run import rows
from pdl.run.stop import Limits, cancel_rest, let_end
from pdl.scheduling.job import Job, Plan, Share, Skip
from pdl.scheduling.kinds import MENDED_BY_FETCHING
from pdl.scheduling.mirrors import Selector
from pdl.scheduling.progress import Standing, Summary, Transfer
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import BadLine
    from pdl.pool import Live, PoolEvent
    from pdl.run.helpers import Helpers
    from pdl.run.parts import Parts
    from pdl.run.stop import Limit, Stop
    from pdl.scheduling.job import Planned
    from pdl.settings import StopSettings

TICK = 0.1
"""Seconds between two looks at the display, and the longest the loop sleeps."""
SOON, MOMENT = 0.02, 1.0
"""The same between two looks at large files, for so long after all that was due has begun."""
LOOKAHEAD = 1024
"""Jobs read from the list before they can run; the list is read no further."""
FAR_LOOKAHEAD = 16 * LOOKAHEAD
"""The same while hosts that are asked to wait have all of them, and lanes are free."""
LINES = 64
"""Read in one turn of the loop: what takes about a millisecond, so that no worker idles."""
EVENTS = 16
"""Taken in one turn, for the same reason; each may be some dozen answers."""
STOPPING = "stopping; again to end at once"
"""Said to whoever has pressed Ctrl-C."""
MEND = "mend that and run the same command again; it goes on from here"


class Engine:
    """Runs one list to its end.

    Args:
        parts: what to drive.
        limits: when to give up as a whole.
        stop: looked at in every turn.
    """

    def __init__(self, parts: Parts, limits: StopSettings, stop: Stop) -> None:
        self._parts = parts
        self._governor = parts.schedule.governor
        self._selector = Selector(parts.policy, self._governor)
        self._hooks = parts.hooks and parts.hooks(parts.outputs)
        self._results = self._hooks or rows.Results(parts.outputs)
        self._limits = Limits(limits)
        self._stop = stop
        self._followers: dict[int, list[Item]] = {}
        self._deaths = 0
        self._machine: MachineError | None = None
        self._broken: ListError | None = None
        self._no_way = False
        self._began = time.monotonic()
        self._next_tick = self._next_look = self._look_until = 0.0
        self._starved = False
        self._every = parts.outputs.every or self._hooks is not None
        self._entries = 0
        self._total: int | None = None
        self._limit: Limit | None = None
        self._helpers: Helpers | None = None

    def run(self) -> Summary:
        """Drive the run until every line has its outcome, or it is stopped."""
        try:
            self._drive()
            self._wind_up()
        finally:
            if self._hooks is not None:
                self._hooks.close()
            self._parts.pool.close()
        return self._results.summary()._replace(
            bytes=self._parts.pool.received(),
            seconds=time.monotonic() - self._began,
            stopped_by=self._stop.signal,
            unread=not self._parts.feed.exhausted,
            limit=self._limit,
            halted=self._no_way or self._machine is not None,
            hosts=self._governor.rows(time.time() - time.monotonic()),
        )

    def machine_error(self) -> MachineError | None:
        """Why this machine could not go on, if so."""
        return self._machine

    def list_error(self) -> ListError | None:
        """Why a list could not be read, or gone on with, to its end, if so."""
        return self._broken

    # --- the loop ---

    def _drive(self) -> None:
        try:
            while not self._over() and not self._stopping():
                busy = self._drain()
                # first: a worker that has nothing to do waits for nothing else than this
                busy = self._dispatch() or busy
                busy = self._admit() or busy
                busy = (self._hooks is not None and self._hooks.look()) or busy
                self._parts.jobs.look(self._results)
                if not busy:
                    self._parts.pool.wait(self._patience(), self._wake_on())
                self._tick()
        except MachineError as exc:
            self._machine = exc

    def _over(self) -> bool:
        ended = self._parts.schedule.empty() and self._parts.feed.exhausted
        return ended and (self._hooks is None or not self._hooks.held())

    def _stopping(self) -> bool:
        seconds = time.monotonic() - self._began
        held = 0 if self._hooks is None else self._hooks.held()
        flying = self._parts.schedule.in_flight() + held
        failed = self._results.failed()
        self._limit = self._limits.reached(failed, seconds, self._parts.pool, flying)
        ending = self._machine is not None or self._no_way
        return bool(self._limit) or self._stop.asked or ending

    def _patience(self) -> float:
        due = self._parts.schedule.next_due()
        longest = SOON if time.monotonic() < self._look_until else TICK
        if due is None or not self._parts.pool.room():  # what is due then waits for a lane
            return longest
        return min(longest, max(0.0, due - time.monotonic()))

    def _wake_on(self) -> Sequence[int]:
        feed, held = self._parts.feed, () if self._hooks is None else self._hooks.wake_on()
        if feed.exhausted or self._parts.schedule.backlog() >= self._reach():
            return held
        descriptor = feed.fileno()
        return held if descriptor is None else (descriptor, *held)

    def _tick(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next_tick and not last:
            if self._next_look <= now < self._look_until:
                self._next_look = now + SOON
                self._with_helpers(self._parts.pool.live(), now, stopping=False)
            return
        self._next_tick = now + TICK
        if self._parts.feed.exhausted:
            self._total = self._entries  # what was guessed before need not have been right
        elif self._total is None:
            self._total = self._parts.feed.estimate()
        self._results.tell_passed()
        self._parts.outputs.tell_news(self._governor)
        pool, schedule = self._parts.pool, self._parts.schedule
        under_way = self._with_helpers(pool.live(), now, stopping=last)
        live = (Transfer(schedule.flying(of.id).path, of.received, of.size) for of in under_way)
        waiting = None if last else schedule.waits(now)
        limit, ahead = self._parts.limit(), schedule.backlog()
        standing = Standing(tuple(live), pool.received(), self._total, now, waiting, limit, ahead)
        self._results.tick(standing)

    def _with_helpers(self, live: list[Live], now: float, *, stopping: bool) -> list[Live]:
        """Let idle lanes help with large files; what is under way, each file once."""
        if self._helpers is None:
            parts, files = self._parts, self._parts.splitting
            least = 0 if files is None else 2 * files.min_split
            if files is None or not any(of.size and of.size - of.received >= least for of in live):
                return live
            from pdl.run.helpers import Helpers  # for large files alone

            self._helpers = Helpers(files, parts.jobs, parts.schedule, parts.pool)
        return self._helpers.look(now, live, stopping=stopping)

    # --- the list ---

    def _admit(self) -> bool:
        room = self._reach() - self._parts.schedule.backlog()
        if self._parts.feed.exhausted or room <= 0:
            return False
        entries = self._read(min(LINES, room))
        taken = 0
        try:
            for entry in entries:
                self._take_on(entry, self._parts.planner.plan(entry))
                taken += 1
        except ListError as exc:  # the next would meet it, too
            self._broken, self._no_way = exc, True
            self._leave(entries[taken:])
        return bool(entries)

    def _reach(self) -> int:
        """How many jobs are kept ready: more when none of them can run, for others may."""
        if self._hooks is not None and self._hooks.full():
            return 0
        return FAR_LOOKAHEAD if self._starved else LOOKAHEAD

    def _read(self, limit: int) -> Sequence[Item | BadLine]:
        """Some lines; a list that breaks off ends there, and what came before it still counts."""
        try:
            entries = self._parts.feed.take(limit)
        except ListError as exc:
            self._broken = exc
            return ()
        self._entries += len(entries)
        return entries

    def _take_on(self, entry: Item | BadLine, planned: Planned) -> None:
        if isinstance(planned, Plan):
            job = Job(planned)
            if job.mirrors is not None:
                self._selector.aim(job, time.monotonic())
            self._parts.schedule.add(job)
        elif isinstance(planned, Share):
            self._followers.setdefault(planned.id, []).append(planned.item)
        else:
            row = rows.settled(entry, planned)
            self._results.record(row, entry if isinstance(entry, Item) else None)
            self._results.unchecked += isinstance(planned, Skip) and planned.unchecked

    # --- the pool ---

    def _dispatch(self) -> bool:
        pool, schedule = self._parts.pool, self._parts.schedule
        room = self._limits.room(pool, self._parts.jobs)
        if not room or (self._hooks is not None and self._hooks.full()):
            self._starved = False
            return False
        now, clock = time.monotonic(), time.time()
        jobs = schedule.take(now, room)
        self._starved = len(jobs) < room and schedule.backlog() > 0
        if not jobs:
            return False
        tasks = []
        for job in jobs:
            if job.began is None:
                job.began, job.started = now, clock
            tasks.append(job.task())
        if self._hooks is not None:
            self._hooks.begin(tasks)
        pool.submit(tasks)
        self._look_until = now + MOMENT * (len(jobs) < room)
        return True

    def _drain(self) -> bool:
        busy = self._parts.schedule.any_lost() and self._end_lost()
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
        if self._helpers is not None:
            event = self._helpers.take(event)
        if isinstance(event, Answered):
            now = time.monotonic()
            for answer in event.answers:
                self._answered(answer, now)
            return
        if isinstance(event, Said):
            self._parts.outputs.said(event.lines)
            return
        if isinstance(event, Died):
            self._deaths += 1
            for job_id, reached in zip(event.current, event.reached, strict=True):
                self._died(schedule.flying(job_id), event.reason, reached)
            ids = event.waiting
        else:
            ids = event.ids
        for job_id in reversed(ids):
            schedule.put_back(schedule.flying(job_id))

    # --- answers ---

    def _answered(self, answer: Answer, now: float) -> None:
        job = self._parts.schedule.flying(answer.id)
        job.attempts += 1
        job.received += answer.received
        if job.origin is not None and job.origin.tally is not None:
            job.origin.tally.count(answer.received, answer.first, job.launched, now)
        if isinstance(answer, Success):
            self._succeeded(job, answer, now)
        elif answer.kind is FailureKind.CANCELLED:
            job.stopped = answer.message
            self._parts.schedule.put_back(job)
        elif job.plan.refetch and answer.kind in MENDED_BY_FETCHING:
            self._fetch_instead(job)
        elif answer.fatal:
            self._cannot_go_on(job, answer)
        else:
            self._failed(job, answer, now)

    def _succeeded(self, job: Job, answer: Success, now: float) -> None:
        if answer.trouble:
            self._parts.outputs.trouble(answer.trouble)
        if answer.hold is not None:
            self._parts.pool.go_easy(job.host)
        answer = self._selector.succeeded(job, answer, now)
        how = rows.outcome_of(job, answer)
        self._parts.schedule.done(job)
        job.path = self._parts.planner.ended(job.plan, how, answer)
        plain = how is Outcome.SUCCESS and not answer.message and job.plan.id not in self._followers
        if self._every or not plain:
            self._conclude(job, rows.succeeded(job, how, answer, self._elapsed(job)))
        else:
            self._results.passed()

    def _fetch_instead(self, job: Job) -> None:
        """The file that is there is not the right one."""
        self._parts.schedule.done(job)
        plan = self._parts.planner.fetch_instead(job.plan)
        followers = self._followers.pop(job.plan.id, None)
        if followers is not None:
            self._followers[plan.id] = followers
        self._take_on(plan.item, plan)

    def _cannot_go_on(self, job: Job, fail: Fail) -> None:
        """Stop; the first to meet the trouble tells of it, the others are left for the next run."""
        if self._machine is not None:
            self._parts.schedule.put_back(job)
            return
        self._machine = MachineError(printable(fail.message), MEND)
        self._machine.told = True
        self._give_up(job, fail)

    def _failed(self, job: Job, fail: Fail, now: float) -> None:
        schedule, origin = self._parts.schedule, self._governor.origin(job.host)
        verdict = self._selector.failed(job, fail, now, random.random())  # noqa: S311 - jitter
        if verdict.cut:  # what waits in the workers is no longer to be asked
            self._parts.pool.go_easy(origin.host)
        if verdict.avoid:  # what waits for it goes elsewhere, if it can
            schedule.move(origin, lambda waiting: self._selector.aim(waiting, now))
        if verdict.lost:
            schedule.abandon(origin)
        self._parts.outputs.tell_news(self._governor)
        if verdict.delay is None:
            self._give_up(job, verdict.fail)
            return
        event = rows.retrying(job, verdict.fail, verdict.delay)
        job.trouble = event.kind
        schedule.retry(job, now + verdict.delay)
        self._selector.aim(job, now)
        self._parts.outputs.retrying(event)

    def _end_lost(self) -> bool:
        """End some lines whose host is given up, but for those that another may serve."""
        schedule, now, count = self._parts.schedule, time.monotonic(), 0
        while count < LINES and (job := schedule.next_lost(now)) is not None:
            count += 1
            fail = self._selector.ended(job, now)
            schedule.add(job) if fail is None else self._end(job, fail)
        return count > 0

    def _died(self, job: Job, reason: str, reached: int) -> None:
        # what was kept of it is known only where the task had said that it is to be kept
        job.deaths = job.deaths.another(reached, kept=job.deaths.total > 0)
        if not job.deaths.to_blame(self._deaths):
            self._parts.schedule.put_back(job)
            return
        message = f"{job.deaths.total} workers died over it, the last was {reason}"
        kind = FailureKind.WORKER_DIED
        self._give_up(job, Fail("fail", job.plan.id, kind, transient=True, message=message))

    def _give_up(self, job: Job, fail: Fail) -> None:
        self._parts.schedule.done(job)
        self._end(job, fail)

    def _end(self, job: Job, fail: Fail) -> None:
        transient = self._parts.policy.transient(fail)
        self._parts.planner.ended(job.plan, Outcome.FAIL)
        row = rows.failed(job, fail, self._elapsed(job), transient=transient)
        said = fail.kind is FailureKind.HTTP and job.attempts > 0
        allowed = said and fail.status in self._parts.policy.settings.allowed
        self._conclude(job, rows.allowed(row) if allowed else row)

    # --- outcomes ---

    def _conclude(self, job: Job, row: Result) -> None:
        plan, stopped = job.plan, row.kind == rows.CANCELLED
        self._results.record(row, plan.item)
        for item in self._followers.pop(plan.id, ()):
            if stopped or plan.shares(item, row.outcome):
                self._results.record(rows.shared(row, item), item)
            else:
                self._take_on(item, self._parts.planner.plan_again(item, plan))

    def _elapsed(self, job: Job) -> float:
        return 0.0 if job.began is None else time.monotonic() - job.began

    # --- the end before the end ---

    def _wind_up(self) -> None:
        """Stop what is under way, and report what is left."""
        over, schedule = self._over(), self._parts.schedule
        if not over and self._stop.signal == signal.SIGINT:
            self._parts.outputs.warn(STOPPING)
        if not over:
            if self._hooks is not None:
                self._hooks.stop()
            try:
                let_end(self._parts.pool, schedule, self._drain)
            except MachineError as exc:
                self._machine = self._machine or exc
        self._tick(last=True)
        if not over:
            for job in [*schedule.drop_flying(), *schedule.drop()]:
                self._conclude(job, rows.cancelled(job, self._elapsed(job)))
            if self._hooks is not None:
                self._hooks.cancel()
            cancel_rest(self._cancel_some)

    def _cancel_some(self) -> bool:
        """Cancel some lines that nobody has planned; whether there may be more of them now."""
        feed = self._parts.feed
        if feed.exhausted:
            return False
        entries = self._read(LINES)
        self._leave(entries)
        return bool(entries) or feed.fileno() is None  # else nobody waits for whoever writes it

    def _leave(self, entries: Sequence[Item | BadLine]) -> None:
        for entry in entries:
            row = rows.never_planned(entry)
            self._results.record(row, entry if isinstance(entry, Item) else None)
