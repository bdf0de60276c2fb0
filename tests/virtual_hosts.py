"""Hosts of every temper on a virtual clock, and a run over them: schedule, governor, selector."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pdl.model import Fail, FailureKind, Item, SafePath, Success
from pdl.scheduling.governor import Governor
from pdl.scheduling.job import Job, Plan
from pdl.scheduling.mirrors import Selector
from pdl.scheduling.retry import Limits, RetryPolicy
from pdl.scheduling.schedule import Schedule
from pdl.settings import RetrySettings
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

LOOKAHEAD = 1024
FAR = 16 * LOOKAHEAD


class Came(NamedTuple):
    """What comes of an attempt: after so many seconds, in this way; `again` if that is for now."""

    seconds: float
    kind: FailureKind | None = None
    status: int | None = None
    retry_after: float | None = None
    again: bool = False


UNAVAILABLE = Came(0.05, FailureKind.HTTP, 503)


class Host:
    """A host that always answers.

    Attributes:
        dice: its chance.
        flying: requests it has taken and not answered.
        asked: when it was asked.
        bad: lines that get `worst`, whatever is done.
        worst: 503, unless a test says otherwise.
    """

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.flying = 0
        self.asked: list[float] = []
        self.bad: set[int] = set()
        self.worst = UNAVAILABLE

    def took(self) -> float:
        """Seconds that an answer takes."""
        return self.dice.uniform(0.02, 0.2)

    def meet(self, now: float) -> Came:  # noqa: ARG002 - for those that override it
        """What comes of an attempt that begins now."""
        return Came(self.took())


class Bearing(Host):
    """Bears some at once, and refuses what is beyond."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.most = dice.choice([1, 2, 3, 6, 16])
        self.resets = dice.random() < 0.5

    def meet(self, now: float) -> Came:  # noqa: ARG002
        """See `Host.meet`."""
        if self.flying < self.most:
            return Came(self.took())
        if self.resets:
            return Came(0.01, FailureKind.RESET)
        return Came(0.01, FailureKind.HTTP, 503)


class Leaving(Host):
    """Is away for a while, once or again and again."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.from_, self.seconds = dice.uniform(0.5, 5), dice.uniform(0.5, 40)
        self.every = dice.choice([1e9, 100.0])
        self.kind = dice.choice([FailureKind.CONNECT, FailureKind.RESET, FailureKind.HTTP])

    def meet(self, now: float) -> Came:
        """See `Host.meet`."""
        if not self.from_ <= now % self.every < self.from_ + self.seconds:
            return Came(self.took())
        return Came(0.01, self.kind, 503 if self.kind is FailureKind.HTTP else None)


class Counting(Host):
    """Takes some in a window; it says until when, or does not."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.per, self.window = dice.choice([3, 10, 30]), dice.choice([1.0, 2.0, 10.0])
        self.tells = dice.random() < 0.5
        self.start, self.count = 0.0, 0

    def meet(self, now: float) -> Came:
        """See `Host.meet`."""
        if now - self.start >= self.window:
            self.start, self.count = now, 0
        self.count += 1
        if self.count <= self.per:
            return Came(self.took())
        left = self.start + self.window - now
        return Came(0.01, FailureKind.HTTP, 429, left + 1 if self.tells else None)


class Dead(Host):
    """Never answers: silent, refusing, without a name, or 503 for ever."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.kind, self.seconds = dice.choice(
            [
                (FailureKind.TIMEOUT, 60.0),
                (FailureKind.CONNECT, 0.01),
                (FailureKind.DNS, 0.01),
                (FailureKind.HTTP, 0.05),
            ]
        )

    def meet(self, now: float) -> Came:  # noqa: ARG002
        """See `Host.meet`."""
        return Came(self.seconds, self.kind, 503 if self.kind is FailureKind.HTTP else None)


class Named(Host):
    """Has to be looked up, at first and when its address is forgotten.

    Attributes:
        down: whether its name cannot be looked up at a time.
    """

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        from_, seconds = dice.uniform(0.5, 5), dice.uniform(0.5, 40)
        self.down: Callable[[float], bool] = lambda now: from_ <= now < from_ + seconds
        self._known_until = -1.0

    def meet(self, now: float) -> Came:
        """See `Host.meet`."""
        if now < self._known_until:
            return Came(self.took())
        if self.down(now):
            return Came(0.01, FailureKind.DNS, again=True)
        self._known_until = now + 60.0
        return Came(self.took())


class Dying(Leaving):
    """Goes away and does not come back."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self.every, self.seconds = 1e9, 1e9


class Flaky(Host):
    """Fails now and then, in any way."""

    def meet(self, now: float) -> Came:  # noqa: ARG002
        """See `Host.meet`."""
        dice = self.dice.random()
        if dice < 0.05:
            return Came(self.took(), FailureKind.HTTP, self.dice.choice([404, 500, 503, 429]))
        if dice < 0.07:
            return Came(self.took(), FailureKind.RESET)
        return Came(self.took())


TEMPERS = (Host, Bearing, Leaving, Counting, Dead, Named, Dying, Flaky)


def plan(number: int, host: str) -> Plan:
    """A plan of a file of the host."""
    item = Item(f"http://{host}/{number}", source="list", line=number)
    path = SafePath(str(number))
    return Plan(number, item, parse(item.url), number, host, path, path, f"{number}.part")


class Run:
    """Drives a schedule over hosts, as the engine does, on a virtual clock.

    Args:
        hosts: by name.
        lines: the names of the hosts that are asked, line by line.
        limits: as the user has said.

    Attributes:
        ended: how each line ended, by its number.
        first: the order in which each host's lines were asked first.
        most: at each host, the most that was in flight at once.
        ends: when the last line of each host ended.
        far: lines read ahead, where those that were read cannot run.
        now: the time.
    """

    def __init__(
        self,
        hosts: dict[str, Host],
        lines: Sequence[str],
        limits: Limits,
        seed: int = 0,
    ) -> None:
        self.hosts = hosts
        self.limits = limits
        self.governor = Governor(limits)
        self.schedule = Schedule(self.governor)
        retry = RetrySettings(limits.retries, max_wait=limits.max_wait)
        self.selector = Selector(RetryPolicy(retry), self.governor)
        self.dice = random.Random(seed)
        self.now = 0.0
        self.ended: dict[int, str] = {}
        self.first: dict[str, list[int]] = {name: [] for name in hosts}
        self.flying: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.attempts: Counter[int] = Counter()
        self.ends: dict[str, float] = {}
        self._lines = iter(enumerate(lines))
        self._more = True
        self.far = FAR
        self._starved = False
        self._events: list[tuple[float, int, Job, Came]] = []
        self._order = itertools.count()

    def run(self, until: float = 100_000.0) -> None:
        """Run to the end of all lines."""
        while self._more or not self.schedule.empty():
            assert self.now < until, "it does not end"
            self._end_lost()
            self._dispatch()
            if self._admit():
                continue
            times = [self._events[0][0]] if self._events else []
            due = self.schedule.next_due()
            if due is not None and len(self._events) < self.limits.jobs:
                times.append(due)
            if not times:
                assert self.schedule.empty(), "nothing will ever happen"
                continue
            self.now = max(self.now, min(times))
            while self._events and self._events[0][0] <= self.now:
                _, _, job, came = heapq.heappop(self._events)
                self._answered(job, came)

    def _admit(self) -> bool:
        reach = self.far if self._starved else LOOKAHEAD
        room = min(64, reach - self.schedule.backlog())
        taken = list(itertools.islice(self._lines, max(0, room)))
        for number, host in taken:
            self.schedule.add(Job(plan(number, host)))
        self._more = self._more and bool(taken or room <= 0)
        return bool(taken)

    def _dispatch(self) -> None:
        room = self.limits.jobs - len(self._events)
        jobs = self.schedule.take(self.now, room)
        self._starved = len(jobs) < room and self.schedule.backlog() > 0
        assert len(jobs) <= room
        for job in jobs:
            assert job.plan.id not in self.ended
            origin, host = job.origin, self.hosts[job.host]
            assert origin is not None
            assert origin.not_before <= self.now
            self.attempts[job.plan.id] += 1
            if self.attempts[job.plan.id] == 1:
                self.first[job.host].append(job.plan.id)
            came = host.worst if job.plan.id in host.bad else host.meet(self.now)
            host.asked.append(self.now)
            host.flying += 1
            self.flying[job.host] += 1
            self.most[job.host] = max(self.most[job.host], self.flying[job.host])
            heapq.heappush(self._events, (self.now + came.seconds, next(self._order), job, came))
        for name in {job.host for job in jobs}:
            origin = self.governor.origin(name)
            assert origin.flying == self.flying[name] <= origin.cap

    def _answered(self, job: Job, came: Came) -> None:
        self.hosts[job.host].flying -= 1
        self.flying[job.host] -= 1
        url, number = job.plan.item.url, job.plan.id
        if came.kind is None:
            answer = Success("success", number, 200, url, 1, 1, 0, came.seconds, first=0.01)
            self.selector.succeeded(job, answer, self.now)
            self.schedule.done(job)
            self._end(job, "success")
            return
        http = came.kind is FailureKind.HTTP
        fail = Fail(
            "fail",
            number,
            came.kind,
            came.again or (came.kind is not FailureKind.DNS and came.status != 404),
            str(came.kind),
            status=came.status,
            retry_after=came.retry_after,
            first=0.01 if http else None,
        )
        verdict = self.selector.failed(job, fail, self.now, self.dice.random())
        origin = job.origin
        assert origin is not None
        if verdict.lost:
            self.schedule.abandon(origin)
        if verdict.delay is None:
            self.schedule.done(job)
            self._end(job, str(came.status or came.kind))
        else:
            assert verdict.delay >= 0
            self.schedule.retry(job, self.now + verdict.delay)

    def _end_lost(self) -> None:
        while (job := self.schedule.next_lost(self.now)) is not None:
            assert self.selector.ended(job, self.now) is not None
            self._end(job, "lost")

    def _end(self, job: Job, how: str) -> None:
        assert job.plan.id not in self.ended, "it ended twice"
        self.ended[job.plan.id] = how
        self.ends[job.host] = self.now


def mixed(names: Iterable[str], each: int, dice: random.Random) -> list[str]:
    """So many lines of each host, in any order."""
    lines = [name for name in names for _ in range(each)]
    dice.shuffle(lines)
    return lines
