"""What a display reads off: how far a run is, how fast, and which transfers are worth a line.

No clock and no output: time is passed in, in seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from pdl.model import FailureKind, Outcome
from pdl.output.display.time_left import Smoothed, TimeLeft
from pdl.text.masking import printable
from pdl.text.units import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Result, Retrying
    from pdl.scheduling.progress import Standing, Transfer, Waiting

_LINES = 3
_LARGE = 1 << 20
_SLOW = 1.0
"""Seconds after which a small transfer earns a line, and after which a line may be taken over."""


class Tally:
    """How far the run is, and how fast.

    Attributes:
        done: lines that have their outcome.
        failed: of them.
        kinds: the failures by kind.
        received: bytes of the whole run.
        total: lines of the list, or None while nobody knows.
        elapsed: seconds since the first tick.
        waiting: whom the run waits for, if it does.
        commands: see `Standing.commands`.
        live: files in flight.
    """

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.kinds: Counter[str] = Counter()
        self.received = 0
        self.total: int | None = None
        self.elapsed = 0.0
        self.waiting: Waiting | None = None
        self.commands = 0
        self.live = 0
        self._began: float | None = None
        self._bytes = Smoothed(3.0)
        self._left = TimeLeft()

    def record(self, result: Result) -> None:
        """Count one finished line; one that a stop of the run cancelled is not."""
        if was_cancelled(result):
            return
        self.done += 1
        self._left.record(result)
        if result.outcome is Outcome.FAIL:
            self.failed += 1
            self.kinds[result.kind or FailureKind.INTERNAL.value] += 1

    def passed(self, count: int) -> None:
        """Count so many lines that were fetched."""
        self.done += count
        self._left.passed(count)

    def retrying(self, event: Retrying) -> None:
        """Something in flight ends, and comes again later."""
        self._left.retrying(event.path)

    def update(self, standing: Standing) -> None:
        """Take where the run stands now."""
        now = standing.now
        if self._began is None:
            self._began = now
        self.elapsed = now - self._began
        # a number of lines that was guessed may be too low
        self.total = standing.total and max(standing.total, self.done + len(standing.live))
        self.received = standing.received
        self.waiting = standing.waiting
        self.commands = standing.commands
        self.live = len(standing.live)
        self._bytes.update(self.received, now)
        self._left.update(standing, self.speed)

    @property
    def speed(self) -> float:
        """Bytes per second, smoothed."""
        return self._bytes.rate

    @property
    def position(self) -> float:
        """Lines that are done, and the parts of those in flight that are here."""
        if not self.total or self.done >= self.total:
            return self.done
        return min(self.done + self._left.here(), self.total)

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
        """Seconds to go, or None when that cannot be told."""
        if not self.total:
            return None
        return self._left.seconds(self.total - self.done) if self.done < self.total else 0.0


def waiting_text(waiting: Waiting) -> str:
    """What is waited for, as ``waiting 17 s for example.org (503, 3 files)``."""
    why = [waiting.why.removeprefix("http-")] if waiting.why else []
    about = ", ".join([*why, count_text(waiting.files, "file")])
    return f"waiting {math.ceil(waiting.seconds)} s for {printable(waiting.host)} ({about})"


def commands_text(count: int) -> str:
    """What waits for a command, as ``3 files wait for --exec``."""
    return f"{count_text(count, 'file')} {'waits' if count == 1 else 'wait'} for --exec"


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
