"""Runs that are only reckoned, on a clock of their own: what a display is told tick by tick.

Lanes take files in the list's order; each waits for its answer, then comes at its connection's
speed or at its share of the link. Nothing here waits, so a run of an hour takes a moment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pdl.model import Outcome, Result, Retrying
from pdl.scheduling.progress import Standing, Transfer, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.output.display.tally import Tally

STEP = 0.05
"""Seconds from one look at the lanes to the next."""
READ = 20_000
"""Lines a second that are read while nothing holds the reader up."""
LOOKAHEAD = 1024


class File(NamedTuple):
    """A line of the list.

    Attributes:
        size: bytes.
        speed: bytes a second that its connection bears.
        latency: seconds from the request to the first byte.
        told: whether the server tells the size.
        how: SUCCESS is fetched, SKIPPED is there, UNCHANGED is there and is read by a lane.
        here: bytes that an earlier run has left.
        drops: bytes after which its connection breaks, once, and the seconds it is left alone then.
    """

    size: int
    speed: float = 4e6
    latency: float = 0.002
    told: bool = True
    how: Outcome = Outcome.SUCCESS
    here: int = 0
    drops: tuple[int, float] | None = None


class Look(NamedTuple):
    """One sample: what a display said, and what was so."""

    at: float
    left: float | None
    percent: int
    truth: float


@dataclass
class _Job:
    number: int
    file: File
    received: float = 0.0
    waited: float = 0.0
    dropped: bool = False
    ready: float = 0.0

    @property
    def path(self) -> str:
        return f"f{self.number}"

    def live(self) -> Transfer:
        begun = self.waited >= self.file.latency
        size = self.file.size if self.file.told and begun else None
        return Transfer(self.path, int(self.received) if begun else 0, size)

    def advance(self, seconds: float, speed: float) -> float:
        """Use up to so many seconds; how many are left over once it has ended or dropped."""
        wait = min(seconds, self.file.latency - self.waited)
        self.waited += wait
        seconds -= wait
        end = self.file.size
        if self.file.drops and not self.dropped:
            end = min(end, self.file.drops[0])
        need = (end - self.received) / speed
        self.received += min(seconds, need) * speed
        if seconds < need:
            return 0.0
        self.received = end
        return seconds - need


@dataclass
class Run:
    """One run: files, how many lanes, and what all of them together bear.

    Args:
        files: the list.
        lanes: how many are fetched at a time.
        link: bytes a second of all connections.
        piped: the list's length is known only when all of it was read.
        limit: what `link` is by the user's wish.
        outages: from when to when nobody answers, in seconds.
    """

    files: Sequence[File]
    lanes: int = 8
    link: float = 1e12
    piped: bool = False
    limit: int | None = None
    outages: tuple[float, float] | None = None
    received: float = 0.0
    _read: int = 0
    _ready: deque[_Job] = field(default_factory=deque)
    _parked: list[_Job] = field(default_factory=list)
    _flying: list[_Job] = field(default_factory=list)

    def watch(self, tally: Tally, every: float = 1.0) -> list[Look]:
        """Run it; what the tally said every so many seconds."""
        samples: list[tuple[float, float | None, int]] = []
        number, tick = 0, 2
        self._admit(tally)
        while not self._over():
            now = number * STEP
            if number % tick == 0:
                tally.update(self._standing(now))
                if number % round(every / STEP) == 0:
                    samples.append((now, tally.remaining, tally.percent))
            self._turn(now, tally)
            self._admit(tally)
            number += 1
        end = number * STEP
        tally.update(self._standing(end))
        assert tally.percent == 100 or not self.files
        return [Look(at, left, percent, end - at) for at, left, percent in samples]

    def _over(self) -> bool:
        return self._read == len(self.files) and not (self._ready or self._parked or self._flying)

    def _admit(self, tally: Tally) -> None:
        """Read on; what is there already is settled at once."""
        for _ in range(int(READ * STEP)):
            if self._read == len(self.files) or len(self._ready) >= LOOKAHEAD:
                return
            file = self.files[self._read]
            self._read += 1
            if file.how is Outcome.SKIPPED:
                tally.record(_row(self._read, file))
            else:
                self._ready.append(_Job(self._read, file, received=file.here))

    def _standing(self, now: float) -> Standing:
        total = None if self.piped and self._read < len(self.files) else len(self.files)
        waiting = None
        if self._away(now):
            assert self.outages is not None
            waiting = Waiting("h", self.outages[1] - now, "http-503", len(self._ready))
        elif self._parked:
            ready = min(job.ready for job in self._parked)
            waiting = Waiting("h", max(ready - now, 0.0), "reset", len(self._parked))
        live = () if self._away(now) else tuple(job.live() for job in self._flying)
        ahead = len(self._ready) + len(self._parked)
        return Standing(live, int(self.received), total, now, waiting, self.limit, ahead)

    def _away(self, now: float) -> bool:
        return self.outages is not None and self.outages[0] <= now < self.outages[1]

    def _turn(self, now: float, tally: Tally) -> None:
        if self._away(now):
            return
        for due in [job for job in self._parked if job.ready <= now]:
            self._parked.remove(due)
            self._ready.appendleft(due)
        idle: list[_Job | None] = [None] * (self.lanes - len(self._flying))
        lanes = [*self._flying, *idle]
        share = self.link / max(min(self.lanes, len(self._flying) + len(self._ready)), 1)
        self._flying = []
        for job in lanes:
            seconds = STEP
            while seconds > 1e-9:
                if job is None:
                    if not self._ready:
                        break
                    job = self._ready.popleft()  # noqa: PLW2901 - the lane's next
                before = job.received
                seconds = job.advance(seconds, min(job.file.speed, share))
                if job.file.how is Outcome.SUCCESS:
                    self.received += job.received - before
                if seconds > 1e-9 or job.received >= job.file.size:
                    self._ended(job, now, tally)
                    job = None  # noqa: PLW2901 - the lane's next
            if job is not None:
                self._flying.append(job)

    def _ended(self, job: _Job, now: float, tally: Tally) -> None:
        if job.received < job.file.size:
            assert job.file.drops is not None
            job.dropped, job.waited, job.ready = True, 0.0, now + job.file.drops[1]
            self._parked.append(job)
            tally.retrying(
                Retrying(f"http://h/{job.number}", "", "reset", 1, job.file.drops[1], job.path)
            )
        elif job.file.how is Outcome.SUCCESS and job.number % 2:
            tally.passed(1)
        else:
            tally.record(_row(job.number, job.file))


def _row(number: int, file: File) -> Result:
    fetched = file.how is Outcome.SUCCESS
    return Result(
        "list", number, f"http://h/{number}", None, f"f{number}", file.how, attempts=int(fetched)
    )
