"""How a run is told to end early."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stop:
    """Says that the run is to end early, and why. Set from a signal handler.

    Attributes:
        signal: the signal's number, or None.
        asked: whether the run is to stop.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.asked = False

    def by_signal(self, number: int) -> None:
        """Stop because of a signal."""
        self.signal = number
        self.asked = True


@contextlib.contextmanager
def signals(stop: Stop) -> Iterator[None]:
    """INT, TERM and HUP stop the run; the second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: Any) -> None:  # noqa: ANN401 - a frame nobody looks at
        if stop.asked:
            for each in before:
                signal.signal(each, signal.SIG_DFL)
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
