"""How a run ends early: how it is told to, and what is done then with what is left.

Nothing new is started, the lanes are told, and what they answer within a moment still counts. What
is left after that is cancelled, and so is what can be read of the rest of the list.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.pool import Pool
    from pdl.run.in_flight import InFlight
    from pdl.scheduling.schedule import Schedule
    from pdl.settings import StopSettings

Limit = Literal["max_failures", "deadline", "quota"]

STOP_GRACE = 1.0
"""Seconds that attempts under way are given to end when the run is stopped."""
REST_SECONDS = 0.3
"""Seconds spent on reading the rest of the list when the run is stopped."""
_WAIT_SECONDS = 0.1


class Stop:
    """Says that the run is to end early, and why. Set from a signal handler.

    Attributes:
        signal: the signal's number, or None.
        asked: whether the run is to stop.
        ending: called before the process ends at once, from within the signal handler.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.asked = False
        self.ending: Callable[[], None] = lambda: None

    def by_signal(self, number: int) -> None:
        """Stop because of a signal."""
        self.signal = number
        self.asked = True


class Limits:
    """Says that a run is to end early because of what the user allows.

    Args:
        settings: what that is.
    """

    def __init__(self, settings: StopSettings) -> None:
        self._settings = settings
        self._full = False

    def reached(self, failed: int, seconds: float, pool: Pool, flying: int) -> Limit | None:
        """What ends the run now, if anything does.

        Args:
            failed: lines that failed.
            seconds: since the run began.
            pool: knows how much was received.
            flying: attempts under way, which a quota lets end.
        """
        settings = self._settings
        self._look(pool)
        if settings.max_failures is not None and failed >= settings.max_failures:
            return "max_failures"
        if settings.deadline is not None and seconds >= settings.deadline:
            return "deadline"
        return "quota" if self._full and not flying else None

    def room(self, pool: Pool, jobs: InFlight) -> int:
        """How many attempts may start now.

        With a quota nothing waits in a worker: it would start though the quota is used up.

        Args:
            pool: has the lanes.
            jobs: how many may be in flight.
        """
        if self._settings.quota is None:
            return pool.room()
        self._look(pool)
        return 0 if self._full else min(pool.room(), jobs.free())

    def _look(self, pool: Pool) -> None:
        if self._settings.quota is not None and not self._full:
            self._full = pool.received() >= self._settings.quota


@contextlib.contextmanager
def signals(stop: Stop, abandon: Callable[[], None]) -> Iterator[None]:
    """INT, TERM and HUP stop the run; the second one ends the process at once.

    Args:
        stop: is told of the first.
        abandon: called before the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: Any) -> None:  # noqa: ANN401 - a frame nobody looks at
        if stop.asked:
            for each in before:
                signal.signal(each, signal.SIG_DFL)
            stop.ending()
            abandon()
            signal.raise_signal(number)  # the workers see their pipes end, and exit
        stop.by_signal(number)

    before = {
        number: signal.signal(number, handle)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup stays in force
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def let_end(pool: Pool, schedule: Schedule, drain: Callable[[], bool]) -> None:
    """Tell the lanes to stop, and take what they answer for a moment.

    Args:
        pool: is told, and waited for.
        schedule: says whether anything is in flight.
        drain: takes what the pool has to say; whether that was anything.

    Raises:
        MachineError: the pool has no workers left: nothing more will come.
    """
    pool.stop()
    deadline = time.monotonic() + STOP_GRACE
    while schedule.in_flight() and (left := deadline - time.monotonic()) > 0:
        if not drain():
            pool.wait(min(left, _WAIT_SECONDS))


def cancel_rest(cancel_some: Callable[[], bool]) -> None:
    """Cancel what can be read of the list without waiting for whoever writes it.

    Args:
        cancel_some: cancels some lines; whether there may be more of them now.
    """
    deadline = time.monotonic() + REST_SECONDS
    while time.monotonic() < deadline and cancel_some():
        pass
