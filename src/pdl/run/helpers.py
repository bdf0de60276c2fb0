"""Idle lanes help with large files: who does is told to them, and to the files' ranges.

`pdl.scheduling.split` decides, `pdl.fetch.split_file` does it. Here is what lies between: tasks of
helpers, what becomes of them, and word to a file's lanes when a helper has died or is to leave.
A helper holds a lane only as long as nothing else could use it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pdl.model import FIRST_HELPER
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.pool import Answered, Live, Returned
from pdl.scheduling.range_map import RangeMap
from pdl.scheduling.split import Splits, Want, share_out
from pdl.storage.board import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import Task
    from pdl.pool import Pool, PoolEvent
    from pdl.run.in_flight import InFlight
    from pdl.scheduling.job import Job
    from pdl.scheduling.schedule import Schedule
    from pdl.settings import FileSettings


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
        self._pool = pool
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
        jobs = self._splits.together(live)
        if stopping:
            return [Live(*job) for job in jobs]
        if self._parts or self._dead:
            self._free_the_dead()
            self._see_off({id_ for id_, _, _ in jobs})
            self._give_way(now)
        wants = self._splits.wants(now, jobs)
        idle = self._jobs.free() - len(self._parts)
        if wants and idle > 0 and (room := self._pool.room()) > 0:
            self._help(now, wants, min(idle, room))
        return [Live(*job) for job in jobs]

    def _help(self, now: float, wants: list[Want], idle: int) -> None:
        schedule = self._schedule

        def may(job_id: int) -> bool:
            host = schedule.flying(job_id).host
            if not schedule.may_lend(host, now):
                return False
            schedule.lend(host, 1)
            return True

        tasks = [self._task(schedule.flying(id_)) for id_ in share_out(wants, idle, may)]
        if tasks:
            self._pool.submit(tasks)

    def _task(self, job: Job) -> Task:
        helper = self._splits.begin(job.plan.id)
        task = job.task()
        self._hosts[helper], self._parts[helper] = job.host, task.part
        return task._replace(
            id=helper, helps=True, begun=True, version=None, served=None, remember=False, pin=None
        )

    def take(self, event: PoolEvent) -> PoolEvent:
        """Take note of what an event says of helpers; the same of the jobs alone."""
        if isinstance(event, Answered):
            for answer in event.answers:
                if answer.id >= FIRST_HELPER:
                    useful = answer.received > 0 or answer.id in self._told
                    self._ended(answer.id, useful=useful)
            return Answered(tuple(each for each in event.answers if each.id < FIRST_HELPER))
        if isinstance(event, Returned):
            return Returned(self._never_begun(event.ids))
        for helper in event.current:
            if helper >= FIRST_HELPER:  # what it was at is to be given to others
                self._dead[helper] = self._parts[helper]
                self._ended(helper, useful=False)
        pairs = zip(event.current, event.reached, strict=True)
        jobs = [pair for pair in pairs if pair[0] < FIRST_HELPER]
        return event._replace(
            current=tuple(id_ for id_, _ in jobs),
            waiting=self._never_begun(event.waiting),
            reached=tuple(reached for _, reached in jobs),
        )

    def _never_begun(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        for helper in ids:
            if helper >= FIRST_HELPER:
                self._ended(helper, useful=True)
        return tuple(id_ for id_ in ids if id_ < FIRST_HELPER)

    def _ended(self, helper: int, *, useful: bool) -> None:
        self._splits.ended(helper, useful=useful)
        self._schedule.lend(self._hosts.pop(helper), -1)
        del self._parts[helper]
        self._leaving.discard(helper)
        self._told.discard(helper)

    def take_back(self, count: int, host: str | None = None) -> int:
        """Let so many helpers leave, the newest first; how many will.

        Args:
            count: how many connections are too many.
            host: to that one; None for any.
        """
        there = [each for each in self._splits.helpers() if host in {None, self._hosts[each]}]
        leaving = there[:count]
        self._leaving.update(leaving)
        return len(leaving)

    def _give_way(self, now: float) -> None:
        starved = self._schedule.starved(now)
        full = not self._pool.room()
        for host, count in starved.items():
            self.take_back(count, None if full else host)
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
