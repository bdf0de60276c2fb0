"""Hands every event of a run to whoever wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import Event, FailureKind, Outcome, Result, Retrying, Summary
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.integrity.lock import Lock
    from pdl.model import Item, Transfer
    from pdl.output.display.base import Display
    from pdl.output.reports import Reporter
    from pdl.storage.state_db import StateDb


class Outputs:
    """Hands every event to whoever wants it: the reports, the display, a callback.

    Args:
        reporters: take every result.
        display: is shown where things stand; None shows nothing.
        on_event: is called with every `Event`.
    """

    def __init__(
        self,
        reporters: Sequence[Reporter] = (),
        display: Display | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._reporters = reporters
        self._display = display
        self._on_event = on_event
        self.failures: list[Result] = []
        self.keep_failures = False
        self.lock: Lock | None = None
        self.memory: StateDb | None = None
        self._troubled = False

    @property
    def every(self) -> bool:
        """Whether somebody wants to be told of every line."""
        if self.lock is not None or self._on_event is not None:
            return True
        shown = self._display is not None and self._display.every
        return shown or any(reporter.every for reporter in self._reporters)

    def passed(self, count: int) -> None:
        """So many lines succeeded that are not recorded."""
        if self._display is not None:
            self._display.passed(count)

    def record(self, result: Result, item: Item | None) -> None:
        """A line has its outcome."""
        if self.keep_failures and result.outcome is Outcome.FAIL:
            self.failures.append(result)
        if self.lock is not None:
            self.lock.record(result, item)
        for reporter in self._reporters:
            reporter.record(result, item)
        if self._display is not None and result.kind != FailureKind.CANCELLED.value:
            self._display.record(result)
        if self._on_event is not None:
            self._on_event(result)

    def retrying(self, event: Retrying) -> None:
        """An attempt is to be made again."""
        if self._display is not None:
            self._display.retrying(event)
        if self._on_event is not None:
            self._on_event(event)

    def trouble(self, text: str) -> None:
        """The cache failed; the first time is told."""
        if not self._troubled:
            self._troubled = True
            self.warn(printable(text))

    def tick(self, live: list[Transfer], received: int, total: int | None, now: float) -> None:
        """Where things stand."""
        if self.memory is not None:
            self.memory.tick()
        if self._display is not None:
            self._display.tick(live, received, total, now)

    def warn(self, text: str) -> None:
        """Something the user should know that is no failure."""
        if self._display is not None:
            self._display.notice(text)

    def finish(self, summary: Summary) -> None:
        """The run is over: the display goes, the reports are completed."""
        if self._display is not None:
            self._display.close()
        for reporter in self._reporters:
            reporter.finish(summary)
