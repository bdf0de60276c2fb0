"""How a run is told to end early."""

from __future__ import annotations


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
