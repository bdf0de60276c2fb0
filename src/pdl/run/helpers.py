"""Idle lanes help with large files: who does is told to them, and to the files' ranges.

`pdl.scheduling.split` decides, `pdl.fetch.split_file` does it. Here is what lies between: tasks of
helpers, what becomes of them, and word to a file's lanes when a helper has died or is to leave.
A helper holds a lane only as long as nothing else could use it, and a connection only as long as
its host is asked for so many: helpers are the first that leave.

Where a digest proves the whole, helpers are spread over the URLs of an item whose hosts are not in
trouble. Each is shown what is meant for its own URL alone, as if that were asked for the whole.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pdl.integrity.check import has_digest
from pdl.model import FIRST_HELPER, HELPS, HELPS_ELSEWHERE, Fail
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.pool import Answered, Live, Returned, Said
from pdl.scheduling.mirrors import HostHealth, is_the_hosts
from pdl.scheduling.range_map import RangeMap
from pdl.scheduling.split import Splits, Want, share_out
from pdl.storage.board import tell
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import Answer, Task
    from pdl.pool import Pool, PoolEvent
    from pdl.run.in_flight import InFlight
    from pdl.scheduling.job import Job, Mirror
    from pdl.scheduling.schedule import Schedule
    from pdl.settings import FileSettings


class _Ask(NamedTuple):
    """Whom a helper asks.

    Attributes:
        place: of the URL in the item's list, as `Mirror.place`.
        host: as `Job.host`.
        mirror: it is another of the item's URLs than the job itself asks; else None.
    """

    place: int
    host: str
    mirror: Mirror | None


class Helpers:
    """All helpers of a run.

    Args:
        files: of the run.
        jobs: how many downloads and helpers together may be in flight.
        schedule: of the run.
        pool: of the run.
    """

    def __init__(self, files: FileSettings, jobs: InFlight, schedule: Schedule, pool: Pool) -> None:
        self._directory = files.directory
        self._jobs = jobs
        self._splits = Splits(files.split, files.min_split)
        self._schedule = schedule
        self._governor = schedule.governor
        self._health = HostHealth(schedule.governor)
        self._pool = pool
        self._elsewhere: set[int] = set()
        self._now = 0.0
        self._hosts: dict[int, str] = {}
        self._parts: dict[int, str] = {}
        self._leaving: set[int] = set()
        self._told: set[int] = set()
        self._dead: dict[int, str] = {}

    def look(self, now: float, live: Sequence[Live], *, stopping: bool) -> list[Live]:
        """Give idle lanes to large files, and take them back where they are needed.

        Args:
            now: the time.
            live: what is under way, helpers among it.
            stopping: the run is at its end, and nothing is begun any more.

        Returns:
            The same of the jobs alone, with what their helpers have fetched.
        """
        jobs, self._now = self._splits.together(live), now
        if stopping:
            return [Live(*job) for job in jobs]
        if self._parts or self._dead:
            self._free_the_dead()
            self._see_off({id_ for id_, _, _ in jobs})
            self._give_way(now)
            self._count_as_proven(live)
        wants = self._splits.wants(now, jobs, lambda id_: self._schedule.flying(id_).attempts)
        idle = self._jobs.free() - len(self._parts)
        if wants and idle > 0 and (room := self._pool.room()) > 0:
            self._help(now, wants, min(idle, room))
        return [Live(*job) for job in jobs]

    def _help(self, now: float, wants: list[Want], idle: int) -> None:
        tasks: list[Task] = []

        def begin(job_id: int) -> bool:
            job = self._schedule.flying(job_id)
            ask = self._whom(job, now)
            if ask is None:
                return False
            tasks.append(self._task(job, ask))
            return True

        share_out(wants, idle, begin)
        if tasks:
            self._pool.submit(tasks)

    def _whom(self, job: Job, now: float) -> _Ask | None:
        """Whom one more helper of a job is to ask: that which the fewest ask; None for nobody."""
        splits, id_, mirrors = self._splits, job.plan.id, job.mirrors
        if mirrors is None:
            asks = [_Ask(0, job.host, None)]
        else:
            current = mirrors.current
            asks = [_Ask(current.place, job.host, None)]
            if has_digest(job.task()):
                asks += [
                    _Ask(each.place, each.host, each)
                    for each in mirrors.usable
                    if each is not current and each.place not in mirrors.fails
                ]
        asks.sort(key=lambda ask: splits.at(id_, ask.place) + (ask.mirror is None))
        for ask in asks:
            if splits.bears_more(id_, ask.place) and self._may_ask(ask, now):
                return ask
        return None

    def _may_ask(self, ask: _Ask, now: float) -> bool:
        if ask.mirror is None:
            return self._schedule.may_lend(ask.host, now)
        origin = self._governor.origin(ask.host)
        return not origin.avoided(now) and origin.room() > 0

    def _task(self, job: Job, ask: _Ask) -> Task:
        helper = self._splits.begin(job.plan.id, ask.place)
        task, mirror = job.task(), ask.mirror
        self._schedule.lend(ask.host, 1)
        self._hosts[helper], self._parts[helper] = ask.host, task.part
        helps = HELPS
        if mirror is not None:
            self._elsewhere.add(helper)
            helps, origin = HELPS_ELSEWHERE, self._governor.origin(ask.host)
            task = task._replace(
                url=mirror.url,
                headers=mirror.headers,
                as_listed=mirror.as_listed,
                scarce="" if origin.calm else origin.few(),
            )
        return task._replace(
            id=helper, helps=helps, begun=True, version=None, served=None, remember=False
        )

    def _count_as_proven(self, live: Sequence[Live]) -> None:
        """A host that has answered a helper is asked as one that answers."""
        for helper, received, _ in live:
            if received and helper in self._elsewhere:
                self._governor.answers(self._governor.origin(self._hosts[helper]))

    def take(self, event: PoolEvent) -> PoolEvent:
        """Take note of what an event says of helpers; the same of the jobs alone."""
        if isinstance(event, Answered):
            for answer in event.answers:
                if answer.id >= FIRST_HELPER:
                    self._answered(answer)
            return Answered(tuple(each for each in event.answers if each.id < FIRST_HELPER))
        if isinstance(event, Said):
            return event
        if isinstance(event, Returned):
            return Returned(self._never_begun(event.ids))
        for helper in event.current:
            if helper >= FIRST_HELPER:  # what it was at is to be given to others
                self._dead[helper] = self._parts[helper]
                self._ended(helper, refused=True)
        pairs = zip(event.current, event.reached, strict=True)
        jobs = [pair for pair in pairs if pair[0] < FIRST_HELPER]
        return event._replace(
            current=tuple(id_ for id_, _ in jobs),
            waiting=self._never_begun(event.waiting),
            reached=tuple(reached for _, reached in jobs),
        )

    def _answered(self, answer: Answer) -> None:
        helper, now = answer.id, self._now
        failed = isinstance(answer, Fail)
        if helper in self._elsewhere:
            if answer.received:
                self._health.answered(self._hosts[helper])
            elif isinstance(answer, Fail) and is_the_hosts(answer):
                self._health.failed(self._hosts[helper], now)
        if answer.received or helper in self._told:
            self._ended(helper)
        else:
            self._ended(helper, refused=failed, idle=None if failed else now)

    def _never_begun(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        for helper in ids:
            if helper >= FIRST_HELPER:
                self._ended(helper)
        return tuple(id_ for id_ in ids if id_ < FIRST_HELPER)

    def _ended(self, helper: int, *, refused: bool = False, idle: float | None = None) -> None:
        self._splits.ended(helper, refused=refused, idle=idle)
        self._elsewhere.discard(helper)
        self._schedule.lend(self._hosts.pop(helper), -1)
        del self._parts[helper]
        self._leaving.discard(helper)
        self._told.discard(helper)

    def _take_back(self, count: int, host: str | None = None) -> None:
        """Let so many helpers leave, the newest first.

        Args:
            count: how many connections are too many.
            host: to that one; None for any.
        """
        if count > 0:
            there = [each for each in self._splits.helpers() if host in {None, self._hosts[each]}]
            self._leaving.update(there[:count])

    def _give_way(self, now: float) -> None:
        """Let those leave whose lane or connection somebody else could use, or the host none."""
        starved = self._schedule.starved(now)
        full = not self._pool.room()
        if full:
            self._take_back(max(starved.values(), default=0))
        for host in {*self._hosts.values()}:
            too_many = max(0, -self._governor.origin(host).room())
            self._take_back(too_many + (0 if full else starved[host]), host)
        self._take_back(len(self._parts) - self._jobs.free())
        for helper in self._leaving - self._told:
            if self._tell(self._parts[helper], partial(RangeMap.recall, who=helper)):
                self._told.add(helper)

    def _see_off(self, jobs: set[int]) -> None:
        """Let those leave whose job is over."""
        for helper, part in self._parts.items():
            over = helper not in self._told and self._splits.helped_by(helper) not in jobs
            if over and self._tell(part, RangeMap.end):
                self._told.add(helper)

    def _free_the_dead(self) -> None:
        for helper, part in list(self._dead.items()):
            if self._tell(part, partial(RangeMap.abandon, who=helper), alone=True):
                del self._dead[helper]

    def _tell(self, part: str, what: Callable[[RangeMap], bool], *, alone: bool = False) -> bool:
        path = f"{self._directory}/{STATE_DIRECTORY}/{part[:-5]}.ranges"
        try:
            return tell(path, what, alone=alone)
        except OSError:  # too many files are open: the next time, then
            return False
