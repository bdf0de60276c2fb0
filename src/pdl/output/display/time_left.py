"""How long a run still takes: what is in flight by its own rate, the rest by what files took.

No clock and no output: time is passed in, in seconds.

A file costs a lane some seconds. What the files in flight still cost is known from their sizes and
rates; what those to come will cost is what the files so far have cost. All of that is shared by as
many lanes as are at work, and takes at least as long as the slowest file in flight. Seconds of
lanes, and not files a second, are what is counted: one slow file then neither lowers the pace of
the others nor is lost in it, and a pause is none of it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from pdl.model import Outcome
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Result
    from pdl.scheduling.progress import Standing, Transfer

_SHORTEST = 0.001
"""Seconds; a rate over less is noise."""
_YOUNG = 2.0
"""Seconds in which a file's own rate is no measure yet: connections start slowly."""
_STALLED = 0.1
"""Of its average: a file's rate is taken for no lower, else a moment's silence would be an age."""
_WINDOW = 2.0
"""Seconds that tell how many of the lines to come are there already."""
_COSTLY = 10
"""Lines that cost something, as many as that takes at least."""
_AT_LIMIT = 0.8
"""Of a rate that is the limit: from here on it is the limit that holds the transfers up."""
_TAIL = 0.6
"""Of a long file: what is left of the last one when the lanes have nothing else to do."""
_ERA, _ERA_SHARE, _ERA_FILES = 5.0, 0.25, 20
"""How long costs are gathered before older ones are forgotten: seconds, share of all, files."""


class Smoothed:
    """The rate at which a count grows: an average that forgets with time constant `memory` (s).

    Args:
        memory: the time constant at least.
        share: of the time so far; the time constant where that is longer.
    """

    def __init__(self, memory: float, share: float = 0.0) -> None:
        self._memory = memory
        self._share = share
        self._first = 0.0
        self._last: tuple[float, float] | None = None
        self._sum = 0.0
        self._weight = 0.0

    def update(self, count: float, now: float) -> None:
        """The count stands at `count` at `now`."""
        if self._last is None:
            self._first = now
            self._last = (now, count)
            return
        then, before = self._last
        span = now - then
        if span < _SHORTEST:
            return  # what came in between is counted with the next span
        keep = math.exp(-span / max(self._memory, self._share * (now - self._first)))
        self._sum = self._sum * keep + (count - before) / span * (1 - keep)
        self._weight = self._weight * keep + (1 - keep)
        self._last = (now, count)

    @property
    def rate(self) -> float:
        """Per second; 0 while nothing is known."""
        return self._sum / self._weight if self._weight else 0.0


class Flight:
    """A file in flight, from when it was first seen.

    Args:
        transfer: as it was then.
        now: when that was.
        before: an earlier attempt at it.
    """

    def __init__(self, transfer: Transfer, now: float, before: Flight | None = None) -> None:
        self.since = self._seen = now
        self._transfer = transfer
        self._before = before
        self._start: int | None = None
        self._rate = Smoothed(5.0, 0.1)

    def update(self, transfer: Transfer, now: float) -> None:
        """It is as far as that."""
        self._transfer, self._seen = transfer, now
        if self._start is None and (transfer.received or transfer.size is not None):
            self._start = transfer.received  # what was here before is no speed
        if self._start is not None:
            self._rate.update(transfer.received, now)

    @property
    def age(self) -> float:
        """Seconds that it was seen."""
        return self._seen - self.since

    @property
    def fraction(self) -> float:
        """How much of it is here; 0 while its size is not known."""
        received, size = self._transfer.received, self._transfer.size
        if self._start is None:
            return self._before.fraction if self._before else 0.0
        return min(received / size, 1.0) if size else 0.0

    @property
    def missing(self) -> int:
        """Bytes that are not here; 0 while its size is not known."""
        return max((self._transfer.size or 0) - self._transfer.received, 0)

    def left(self, usual: float) -> float | None:
        """Seconds until it is here; None while they cannot be told.

        Args:
            usual: bytes a second of a lane.
        """
        received, size = self._transfer.received, self._transfer.size
        if size is None:
            return None
        if received >= size:
            return 0.0
        rate = self._rate.rate
        if self._before:
            usual = self._before._rate.rate  # noqa: SLF001 - its own class
        if self.age > _SHORTEST:
            rate = max(rate, _STALLED * (received - (self._start or 0)) / self.age)
        if self.age < _YOUNG:
            rate = max(rate, usual)
        return (size - received) / rate if rate >= 1 else None


class _Era:
    """Some time in which files ended; `largest` is what the costliest took."""

    def __init__(self, since: float | None = None) -> None:
        self.since = since
        self.files = 0
        self.seconds = 0.0
        self.squares = 0.0
        self.largest = 0.0


class _Costs:
    """What files of one sort cost a lane, by those of late.

    Attributes:
        files: how many there were.
    """

    def __init__(self) -> None:
        self.files = 0
        self._eras = [_Era()]

    def done(self, files: int) -> None:
        """So many are done."""
        self.files += files
        self._eras[-1].files += files

    def spend(self, seconds: float, *, on_one: bool = True) -> None:
        """So many seconds of a lane went, on one of them or on any."""
        era = self._eras[-1]
        era.seconds += seconds
        if on_one:
            era.squares += seconds**2
            era.largest = max(era.largest, seconds)

    def forget(self, began: float, now: float) -> None:
        """Leave behind what was too long ago, in a run that `began` then."""
        era = self._eras[-1]
        if era.files < _ERA_FILES:
            era.since = era.since or now
        elif now - (era.since or now) > max(_ERA, _ERA_SHARE * (now - began)):
            self._eras = [era, _Era(now)]

    def mean(self, flying: Sequence[float] = ()) -> float | None:
        """Seconds of a lane for each.

        Args:
            flying: what those in flight will have cost; where few have ended, these count as well,
                for the first to end are the small ones.
        """
        files = sum(era.files for era in self._eras)
        seconds = sum(era.seconds for era in self._eras)
        if files < len(flying):
            files, seconds = files + len(flying), seconds + sum(flying)
        elif files >= _ERA_FILES and (largest := max(era.largest for era in self._eras)):
            files, seconds = files - 1, seconds - largest  # one unlike others tells nothing of them
        return seconds / files if files else None

    def long(self) -> float:
        """Seconds that the file takes which a lane is found at, at any moment."""
        largest = max(era.largest for era in self._eras)
        seconds = sum(era.seconds for era in self._eras) - largest
        squares = sum(era.squares for era in self._eras) - largest**2
        return squares / seconds if seconds > _SHORTEST else 0.0


class _Mark(NamedTuple):
    """How many lines had ended at a moment: fetched, looked at by a lane, for nothing."""

    now: float
    fetched: int
    looked: int
    free: int


class TimeLeft:
    """Reckons the seconds that a run still takes."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._parked: dict[str, Flight] = {}
        self._again: set[str] = set()
        self._fetched = _Costs()
        self._looked = _Costs()
        self._free = 0
        self._marks: deque[_Mark] = deque()
        self._lanes = Smoothed(3.0)
        self._began = self._now = 0.0
        self._busy = self._used = self._paused = self._wait = self._span = 0.0
        self._ahead = self._flying = 0
        self._bytes = Smoothed(20.0)
        self._limit: int | None = None
        self._speed = 0.0

    def record(self, result: Result) -> None:
        """A line has its outcome."""
        path = result.path or ""
        self._parked.pop(path, None)
        if result.attempts:
            self._fetched.done(1)
        elif path in self._flights or result.outcome is Outcome.UNCHANGED:
            self._looked.done(1)
            flight = self._flights.pop(path, None)
            if flight is not None:
                self._looked.spend(flight.age + self._span)
        else:
            self._free += 1

    def passed(self, count: int) -> None:
        """So many lines were fetched."""
        self._fetched.done(count)

    def retrying(self, path: str) -> None:
        """What is in flight there ends, and comes again later."""
        self._again.add(path)

    def update(self, standing: Standing, speed: float) -> None:
        """Take where the run stands now; `speed` is that of all files together."""
        now, live = standing.now, standing.live
        self._span = now - self._now if self._marks else 0.0
        self._spend(standing)
        self._began = self._began if self._marks else now
        self._now = now
        self._follow(live)
        self._ahead, self._flying = standing.ahead, len(live)
        self._limit, self._speed = standing.limit, speed
        self._bytes.update(standing.received, self._used)
        self._fetched.forget(self._began, now)
        self._looked.forget(self._began, now)
        self._note(_Mark(now, self._fetched.files, self._looked.files, self._free))

    def _spend(self, standing: Standing) -> None:
        """Put down what the lanes had of the time since the last look."""
        idle = not standing.live
        self._wait = standing.waiting.seconds if standing.waiting and idle else 0.0
        if standing.waiting and idle:
            self._paused += self._span
            return
        if self._paused:  # it is over: it was a cost as well, though mostly one of its own
            self._fetched.spend(self._paused * max(self._lanes.rate, 1.0))
            self._paused = 0.0
        self._busy += self._span
        self._used += self._span * max(self._flying, 1)
        self._lanes.update(self._used, self._busy)
        if not self._flying:
            costs = self._fetched if self._fetched.files or not self._looked.files else self._looked
            costs.spend(self._span, on_one=False)

    def _follow(self, live: Sequence[Transfer]) -> None:
        before, self._flights = self._flights, {}
        for each in live:
            flight = before.pop(each.path, None)
            if flight is None:
                flight = Flight(each, self._now, self._parked.pop(each.path, None))
            flight.update(each, self._now)
            self._flights[each.path] = flight
        for path, flight in before.items():
            self._fetched.spend(self._now - flight.since)
            if path in self._again:
                self._parked[path] = flight
        self._again.clear()

    def _note(self, mark: _Mark) -> None:
        """Keep the mark, and of the old ones those from which there is enough to tell from."""
        marks = self._marks
        if not marks or marks[-1][1:] != mark[1:]:
            marks.append(mark)
        while len(marks) > 1:
            _, fetched, looked, _ = marks[1]
            costly = mark.fetched - fetched + mark.looked - looked
            if mark.now - marks[1].now < _WINDOW or costly < _COSTLY:
                break
            marks.popleft()

    def here(self) -> float:
        """Files in flight or parked that are here, in parts of files."""
        flights = (*self._flights.values(), *self._parked.values())
        return sum(each.fraction for each in flights)

    def seconds(self, lines: int) -> float | None:
        """Until so many lines more have their outcome; None when that cannot be told."""
        flights = (*self._flights.values(), *self._parked.values())
        lefts = [(each, each.left(self._bytes.rate)) for each in flights]
        known = [(each.age, left) for each, left in lefts if left is not None]
        cost = self._fetched.mean([age + left for age, left in known])
        ages = [each.age for each, left in lefts if left is None]
        own = [left for _, left in known]
        own += [max((cost or 0.0) - age, 0.0) for age in ages]
        to_come = self._cost_to_come(max(lines - len(flights), 0), cost)
        if to_come is None:
            return None
        lanes = max(self._lanes.rate, 1.0)
        shared = (sum(own) + to_come) / lanes
        if to_come:  # not all lanes end at once: the last file begins when others have ended
            shared += min(_TAIL * (1 - 1 / lanes) * self._fetched.long(), shared)
        slowest = max(own, default=0.0)
        if self._limit:  # where that holds them up, who ends leaves its share to the others
            least = sum(each.missing for each in flights) / self._limit
            held_up = self._speed >= _AT_LIMIT * self._limit
            slowest = least if held_up else max(least, slowest)
        seconds = max(shared, slowest) + self._wait
        # of what has no size nobody knows the end; by its age it may be what takes longest
        if ages and (cost is None or max(ages) > max(seconds, _YOUNG, 2 * cost)):
            return None
        return seconds

    def _cost_to_come(self, lines: int, cost: float | None) -> float | None:
        """Seconds of lanes for so many lines that have not begun; None when that cannot be told.

        Args:
            lines: how many.
            cost: of one that is fetched.
        """
        first = self._marks[0]
        fetched, looked = self._fetched.files - first.fetched, self._looked.files - first.looked
        free = self._free - first.free
        if not lines:
            return 0.0
        if not looked and not free:
            return None if cost is None else lines * cost
        if not looked and not fetched:
            return None
        each = (fetched * (cost or 0.0) + looked * (self._looked.mean() or 0.0)) / (
            fetched + looked
        )
        # what was read is not free; of the rest, as much as of late
        ahead = min(self._ahead, lines)
        return each * (ahead + (lines - ahead) * (fetched + looked) / (fetched + looked + free))
