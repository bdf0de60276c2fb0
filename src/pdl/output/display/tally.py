"""What a display reads off: how far a run is, how fast, and which transfers are worth a line.

No clock and no output: time is passed in, in seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from pdl.model import FailureKind, Outcome, Result, Standing, Transfer, Waiting
from pdl.text.masking import printable
from pdl.text.units import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORTEST = 0.001
"""Seconds; a rate over less is noise."""
_NEVER = 1e-9
"""Files a second: nothing in an age."""
_AT_LIMIT = 0.8
"""Of a rate that is the limit: from here on it is the limit that holds the transfers up."""
_SHARE = 1 / 3
"""Of the time so far: what the pace of files is taken from."""
_LINES = 3
_LARGE = 1 << 20
_SLOW = 1.0
"""Seconds after which a small transfer earns a line, and after which a line may be taken over."""


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

    def pause(self, now: float) -> None:
        """Nothing could come until `now`; that time is no part of the average."""
        if self._last is not None:
            then, before = self._last
            self._first += now - then
            self._last = (now, before)

    @property
    def rate(self) -> float:
        """Per second; 0 while nothing is known."""
        return self._sum / self._weight if self._weight else 0.0


class Tally:
    """How far the run is, and how fast.

    Attributes:
        done: lines that have their outcome.
        failed: of them.
        kinds: the failures by kind.
        received: bytes of the whole run.
        total: lines of the list, or None while nobody knows.
        elapsed: seconds since the first tick.
        waiting: what nothing is in flight for, or None.
    """

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.kinds: Counter[str] = Counter()
        self.received = 0
        self.total: int | None = None
        self.elapsed = 0.0
        self.waiting: Waiting | None = None
        self._fetched = 0
        self._began: float | None = None
        self._live: Sequence[Transfer] = ()
        self._limit: int | None = None
        self._bytes = Smoothed(3.0)
        self._files = Smoothed(20.0, _SHARE)
        self._lines = Smoothed(20.0, _SHARE)
        self._each: dict[str, Smoothed] = {}

    def record(self, result: Result) -> None:
        """Count one finished line; one that a stop of the run cancelled is not."""
        if was_cancelled(result):
            return
        self.done += 1
        self._fetched += result.attempts > 0
        if result.outcome is Outcome.FAIL:
            self.failed += 1
            self.kinds[result.kind or FailureKind.INTERNAL.value] += 1

    def passed(self, count: int) -> None:
        """Count so many lines that were fetched."""
        self.done += count
        self._fetched += count

    def update(self, standing: Standing) -> None:
        """Take where the run stands now."""
        live, now = standing.live, standing.now
        if self._began is None:
            self._began = now
        self.elapsed = now - self._began
        # a number of lines that was guessed may be too low
        self.total = standing.total and max(standing.total, self.done + len(live))
        self.received = standing.received
        self.waiting = standing.waiting
        self._live = live
        self._limit = standing.limit
        self._bytes.update(self.received, now)
        if self.waiting is not None and not live:
            self._files.pause(now)
        else:
            self._files.update(self._fetched, now)
            self._lines.update(self.done, now)
        self._each = {each.path: self._each.get(each.path) or Smoothed(5.0) for each in live}
        for each in live:
            self._each[each.path].update(each.received, now)

    @property
    def speed(self) -> float:
        """Bytes per second, smoothed."""
        return self._bytes.rate

    @property
    def position(self) -> float:
        """Lines that are done, and the parts of those in flight that are here."""
        if not self.total or self.done >= self.total:
            return self.done
        return min(self.done + sum(map(_fraction, self._live)), self.total)

    @property
    def percent(self) -> int:
        """How much that is of all, rounded down; 100 once every line is done, and not before."""
        if not self.total:
            return 0
        if self.done >= self.total:
            return 100
        return min(int(self.position * 100 / self.total), 99)

    @property
    def remaining(self) -> float | None:
        """Seconds to go, or None when that cannot be told.

        What is in flight takes as long as the slowest of it, each by its own rate. What is to come
        is fetched meanwhile, at the pace of the files that were fetched so far; that a line was
        skipped is no pace. All of what is in flight takes no less than a limit lets it; where that
        is what holds it up, no file of it takes more, for who ends leaves its share to the others.
        """
        if not self.total:
            return None
        left = max(self.total - self.done, 0)
        pause = self.waiting.seconds if self.waiting and not self._live else 0.0
        own = [seconds for each in self._live if (seconds := self._own(each)) is not None]
        last = bool(own) and left <= len(self._live) == len(own)  # nothing else is to come
        if own and self._limit:
            least = sum(map(_missing, self._live)) / self._limit
            held_up = self.speed >= _AT_LIMIT * self._limit
            own = [least if held_up else max(least, *own)]
        if last:
            return max(own)
        if not left:
            return 0.0
        # a run that only looks at what is there (--check) fetches nothing
        pace = (self._files if self._fetched or self.received else self._lines).rate
        if pace < _NEVER:
            return None
        rest = left - sum(map(_fraction, self._live))
        return max(pause + rest / pace, *own, 0.0)

    def _own(self, transfer: Transfer) -> float | None:
        """Seconds until a file in flight is here; None while its size or its rate is not known."""
        if transfer.size is None:
            return None
        left = _missing(transfer)
        rate = self._each[transfer.path].rate
        if rate < 1:  # it has just begun: as if all went at one speed
            rate = self.speed / len(self._live)
        if not left:
            return 0.0
        return left / rate if rate >= 1 else None


def _fraction(transfer: Transfer) -> float:
    """How much of a file in flight is here; 0 while its size is not known."""
    return min(transfer.received / transfer.size, 1.0) if transfer.size else 0.0


def _missing(transfer: Transfer) -> int:
    """Bytes of a file in flight that are not here; 0 while its size is not known."""
    return max((transfer.size or 0) - transfer.received, 0)


def waiting_text(waiting: Waiting) -> str:
    """What is waited for, as ``waiting 17 s for example.org (503, 3 files)``."""
    why = [waiting.why.removeprefix("http-")] if waiting.why else []
    about = ", ".join([*why, count_text(waiting.files, "file")])
    return f"waiting {math.ceil(waiting.seconds)} s for {printable(waiting.host)} ({about})"


class _Slot:
    """A line below the bar. It stays with its file; `since` is when that got it."""

    def __init__(self, transfer: Transfer, since: float) -> None:
        self.transfer = transfer
        self.since = since


class Slots:
    """Chooses the files shown below the bar, and keeps them where they are.

    A file holds its line until it is finished or one at least twice as large takes it over.
    """

    def __init__(self, count: int = _LINES) -> None:
        self._slots: list[_Slot | None] = [None] * count
        self._seen: dict[str, float] = {}

    def update(self, live: Sequence[Transfer], now: float) -> list[Transfer | None]:
        """The transfers to show, line by line; None is an empty line."""
        self._seen = {each.path: self._seen.get(each.path, now) for each in live}
        self._follow({each.path: each for each in live})
        held = {slot.transfer.path for slot in self._slots if slot}
        worthy = (each for each in live if each.path not in held and self._worthy(each, now))
        for candidate in sorted(worthy, key=_extent, reverse=True)[: len(self._slots)]:
            self._seat(candidate, now)
        return [slot.transfer if slot else None for slot in self._slots]

    def _follow(self, live: dict[str, Transfer]) -> None:
        for index, slot in enumerate(self._slots):
            if slot and slot.transfer.path in live:
                slot.transfer = live[slot.transfer.path]
            else:
                self._slots[index] = None

    def _worthy(self, transfer: Transfer, now: float) -> bool:
        return _extent(transfer) > _LARGE or now - self._seen[transfer.path] > _SLOW

    def _seat(self, candidate: Transfer, now: float) -> None:
        index = min(range(len(self._slots)), key=lambda at: self._rank(self._slots[at]))
        slot = self._slots[index]
        if slot is None or (
            now - slot.since > _SLOW and _extent(candidate) > 2 * _extent(slot.transfer)
        ):
            self._slots[index] = _Slot(candidate, now)

    @staticmethod
    def _rank(slot: _Slot | None) -> int:
        return -1 if slot is None else _extent(slot.transfer)


def _extent(transfer: Transfer) -> int:
    return max(transfer.received, transfer.size or 0)


def was_cancelled(result: Result) -> bool:
    """Whether the item was left unfinished because the run was stopped."""
    return result.kind == FailureKind.CANCELLED.value
