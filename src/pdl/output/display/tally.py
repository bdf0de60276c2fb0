"""What a display reads off: how far a run is, how fast, and which transfers are worth a line.

No clock and no output: time is passed in, in seconds.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pdl.model import FailureKind, Outcome, Result, Transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORTEST = 0.001
"""Seconds; a rate over less is noise."""
_NEVER = 1e-9
"""Files a second: nothing in an age."""
_LINES = 3
_LARGE = 1 << 20
_SLOW = 1.0
"""Seconds after which a small transfer earns a line, and after which a line may be taken over."""


class Smoothed:
    """The rate at which a count grows: an average that forgets with time constant `memory` (s)."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._last: tuple[float, float] | None = None
        self._sum = 0.0
        self._weight = 0.0

    def update(self, count: float, now: float) -> None:
        """The count stands at `count` at `now`."""
        if self._last is None:
            self._last = (now, count)
            return
        then, before = self._last
        span = now - then
        if span < _SHORTEST:
            return  # what came in between is counted with the next span
        keep = math.exp(-span / self._memory)
        self._sum = self._sum * keep + (count - before) / span * (1 - keep)
        self._weight = self._weight * keep + (1 - keep)
        self._last = (now, count)

    @property
    def rate(self) -> float:
        """Per second; 0 while nothing is known."""
        return self._sum / self._weight if self._weight else 0.0


class Tally:
    """How far the run is, and how fast."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.received = 0
        self.total: int | None = None
        self._live: Sequence[Transfer] = ()
        self._bytes = Smoothed(3.0)
        self._files = Smoothed(20.0)

    def record(self, result: Result) -> None:
        """Count one finished line; one that a stop of the run cancelled is not."""
        if was_cancelled(result):
            return
        self.done += 1
        self.failed += result.outcome is Outcome.FAIL

    def update(
        self, received: int, total: int | None, now: float, live: Sequence[Transfer] = ()
    ) -> None:
        """Take the counters of a tick, and the transfers under way."""
        self.received, self.total = received, total
        self._live = live
        self._bytes.update(received, now)
        self._files.update(self.done, now)

    @property
    def speed(self) -> float:
        """Bytes per second, smoothed."""
        return self._bytes.rate

    @property
    def remaining(self) -> float | None:
        """Seconds to go, or None when that cannot be told.

        At the pace of the files so far; but no less than what is under way takes for its bytes.
        """
        if not self.total:
            return None
        left = max(self.total - self.done, 0)
        sizes = [each.size for each in self._live]
        if sizes and None not in sizes and left <= len(sizes) and self.speed >= 1:
            return self._for_bytes()  # nothing else is to come
        if self._files.rate < _NEVER:
            return None
        return max(left / self._files.rate, self._for_bytes())

    def _for_bytes(self) -> float:
        """Seconds for those bytes under way of which the number is known; 0 without a speed."""
        if self.speed < 1:
            return 0.0
        return sum(max((each.size or 0) - each.received, 0) for each in self._live) / self.speed


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

    def update(self, live: list[Transfer], now: float) -> list[Transfer | None]:
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
