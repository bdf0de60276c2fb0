"""Who listens to a run: reports, the display, a callback, the lock file, what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import Event, FailureKind, Outcome, Result, Retrying, Summary
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pdl.integrity.lock import Lock
    from pdl.model import Item, Transfer, Waiting
    from pdl.output.display.base import Display
    from pdl.output.reports.registry import Reporter
    from pdl.storage.state_db import StateDb

_CANCELLED = FailureKind.CANCELLED.value


class Listener:
    """Told of what happens in a run. Each that derives from this overrides what it wants to know.

    Attributes:
        every: whether each line that succeeded is to be told; else their number will do.
    """

    every: bool = False

    def passed(self, count: int) -> None:
        """So many lines succeeded that are not recorded."""

    def record(self, result: Result, item: Item | None) -> None:
        """A line has its outcome; `item` is what the list said, None for a bad line."""

    def retrying(self, event: Retrying) -> None:
        """An attempt is to be made again."""

    def tick(
        self,
        live: list[Transfer],
        received: int,
        total: int | None,
        now: float,
        waiting: Waiting | None = None,
    ) -> None:
        """Where things stand, about ten times a second; see `pdl.output.display.base.Display`."""

    def warn(self, text: str) -> None:
        """There is something the user should know that is no failure."""

    def abandon(self) -> None:
        """The process ends at once, from within a signal handler; nothing is told after it."""

    def finish(self, summary: Summary) -> None:
        """The run is over. Called once, also after an interrupted run."""


class Outputs:
    """Hands everything that happens to each listener that has a use for it.

    Args:
        listeners: told in this order; a display before the reports, for it is to be gone when they
            print their end.

    Attributes:
        every: whether a listener wants to be told of every line.
    """

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = tuple(listeners)
        self.every = any(each.every for each in self._listeners)
        self._recording = tuple(each for each in self._listeners if _wants(each, "record"))
        self._troubled = False

    def and_also(self, *more: Listener) -> Outputs:
        """These listeners and more of them."""
        return Outputs((*self._listeners, *more))

    def passed(self, count: int) -> None:
        """See `Listener.passed`."""
        for each in self._listeners:
            each.passed(count)

    def record(self, result: Result, item: Item | None) -> None:
        """See `Listener.record`."""
        for each in self._recording:
            each.record(result, item)

    def retrying(self, event: Retrying) -> None:
        """See `Listener.retrying`."""
        for each in self._listeners:
            each.retrying(event)

    def tick(
        self,
        live: list[Transfer],
        received: int,
        total: int | None,
        now: float,
        waiting: Waiting | None = None,
    ) -> None:
        """See `Listener.tick`."""
        for each in self._listeners:
            each.tick(live, received, total, now, waiting)

    def warn(self, text: str) -> None:
        """See `Listener.warn`."""
        for each in self._listeners:
            each.warn(text)

    def trouble(self, text: str) -> None:
        """The cache failed in a worker, and mostly will again: the first time is told."""
        if not self._troubled:
            self._troubled = True
            self.warn(printable(text))

    def abandon(self) -> None:
        """See `Listener.abandon`."""
        for each in self._listeners:
            each.abandon()

    def finish(self, summary: Summary) -> None:
        """See `Listener.finish`."""
        for each in self._listeners:
            each.finish(summary)


def _wants(listener: Listener, name: str) -> bool:
    """Whether a listener has a method of its own, and not just the one that does nothing."""
    return getattr(type(listener), name) is not getattr(Listener, name)


def listeners_of(reporters: Iterable[Reporter], display: Display) -> list[Listener]:
    """What people and programs read of a run, as listeners."""
    return [DisplayListener(display), *map(ReportListener, reporters)]


class DisplayListener(Listener):
    """The display."""

    def __init__(self, display: Display) -> None:
        self.every = display.every
        self._display = display

    def passed(self, count: int) -> None:
        """Count them."""
        self._display.passed(count)

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Show it, unless a stop of the run cancelled it."""
        if result.kind != _CANCELLED:
            self._display.record(result)

    def retrying(self, event: Retrying) -> None:
        """Show it."""
        self._display.retrying(event)

    def tick(
        self,
        live: list[Transfer],
        received: int,
        total: int | None,
        now: float,
        waiting: Waiting | None = None,
    ) -> None:
        """Bring it up to date."""
        self._display.tick(live, received, total, now, waiting)

    def warn(self, text: str) -> None:
        """Print it."""
        self._display.notice(text)

    def abandon(self) -> None:
        """Take away what stands on the terminal."""
        self._display.abandon()

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Leave the terminal tidy."""
        self._display.close()


class ReportListener(Listener):
    """A report."""

    def __init__(self, reporter: Reporter) -> None:
        self.every = reporter.every
        self._reporter = reporter

    def record(self, result: Result, item: Item | None) -> None:
        """Take the row."""
        self._reporter.record(result, item)

    def finish(self, summary: Summary) -> None:
        """Write what is left to write."""
        self._reporter.finish(summary)


class CallbackListener(Listener):
    """A program's function, called with every event."""

    every = True

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Call it."""
        self._on_event(result)

    def retrying(self, event: Retrying) -> None:
        """Call it."""
        self._on_event(event)


class FailureListener(Listener):
    """Keeps the rows of what failed.

    Attributes:
        rows: one for each line that failed or was left.
    """

    def __init__(self) -> None:
        self.rows: list[Result] = []

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Keep a failure."""
        if result.outcome is Outcome.FAIL:
            self.rows.append(result)


class LockListener(Listener):
    """The lock file, which takes what was proven."""

    every = True

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def record(self, result: Result, item: Item | None) -> None:
        """Take it."""
        self._lock.record(result, item)


class StateListener(Listener):
    """The state database, which writes now and then what is new."""

    def __init__(self, state: StateDb) -> None:
        self._state = state

    def tick(
        self,
        live: list[Transfer],  # noqa: ARG002
        received: int,  # noqa: ARG002
        total: int | None,  # noqa: ARG002
        now: float,  # noqa: ARG002
        waiting: Waiting | None = None,  # noqa: ARG002
    ) -> None:
        """Write it, if it has waited long enough."""
        self._state.tick()
