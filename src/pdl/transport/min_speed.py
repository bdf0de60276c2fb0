"""How fast bytes come, measured over a window, against a rate that is the least."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 10.0
"""Seconds a transfer may be slow before it counts."""


def head_seconds(timeout: float, least: float | None) -> float:
    """Seconds in which an answer's head has to end once it has begun.

    Args:
        timeout: seconds without a byte.
        least: bytes per second that are enough; None asks for none.
    """
    return timeout if least is None else min(timeout, WINDOW)


class MinSpeed:
    """Tells when a transfer has been slower than the least rate for a whole window.

    Args:
        least: bytes per second; None never is too fast.
        window: seconds over which the rate is taken.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        least: float | None,
        window: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._least = least
        self._window = WINDOW if window is None else window
        self._clock = clock
        self._since = clock()
        self._bytes = 0

    def too_slow(self, count: int) -> bool:
        """Count bytes that have come; whether the window that ends now was too slow."""
        if self._least is None:
            return False
        self._bytes += count
        now = self._clock()
        passed = now - self._since
        if passed < self._window:
            return False
        slow = self._bytes < self._least * passed
        self._since, self._bytes = now, 0
        return slow
