"""The display for logs: lines, and no control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import Outcome, Result, Retrying, Transfer
from pdl.output.display.base import SilentDisplay, result_line, retry_line
from pdl.output.display.tally import Tally, was_cancelled
from pdl.text.units import clock_text, size_text

if TYPE_CHECKING:
    from pdl.output.terminal import Out

_EVERY = 30.0


class PlainDisplay(SilentDisplay):
    """Lines for a log: each failure at once, how far it is now and then."""

    def __init__(self, out: Out, *, verbose: int) -> None:
        super().__init__(out)
        self.every = verbose > 0
        self._tally = Tally()
        self._next: float | None = None

    def passed(self, count: int) -> None:
        """Count them."""
        self._tally.done += count

    def record(self, result: Result) -> None:
        """A line for a failure, and with `verbose` for anything but the many a stop leaves."""
        self._tally.record(result)
        wanted = self.every or result.outcome is Outcome.FAIL
        if wanted and not was_cancelled(result):
            self._out.write(result_line(result) + "\n")

    def retrying(self, event: Retrying) -> None:
        """A line with `verbose`."""
        if self.every:
            self._out.write(retry_line(event) + "\n")

    def tick(self, live: list[Transfer], received: int, total: int | None, now: float) -> None:
        """A line every half minute."""
        self._tally.update(received, total, now, live)
        if self._next is None:
            self._next = now + _EVERY
        if now >= self._next:
            self._next = now + _EVERY
            self._out.write(_progress_line(self._tally, len(live)) + "\n")


def _progress_line(tally: Tally, live: int) -> str:
    of = f" of {tally.total}" if tally.total else ""
    parts = [
        f"{tally.done}{of} done",
        f"{tally.failed} failed",
        f"{live} in flight",
        size_text(tally.received),
        f"{size_text(tally.speed)}/s",
    ]
    if tally.remaining is not None:
        parts.append(f"{clock_text(tally.remaining)} left")
    return "pdl: " + ", ".join(parts)
