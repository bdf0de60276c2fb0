"""How often attempts begin at one origin: `--rate`, `--wait` and `--random-wait`.

Starts are spread evenly: ``100/m`` is one in 0.6 s, as with curl, and not a hundred at once. What
is late is not made up for: so no stretch of time has more starts than the rule says.

No clock: the time is passed in, in seconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pdl.text.units import period_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.settings import PaceSettings

LEAST, SPAN = 0.5, 1.0
"""A random wait is `LEAST` of it, and up to `SPAN` of it more."""


class Spacing:
    """Says when the next attempt may begin; `pdl.scheduling.schedule.Pace`.

    Args:
        period: seconds from one start to the next at the least.
        wait: seconds from one start to the next, or those around which they vary.
        varied: they do.
        chance: gives a random number in [0, 1).
    """

    def __init__(
        self,
        period: float,
        wait: float = 0.0,
        *,
        varied: bool = False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._period = period
        self._wait = wait
        self._varied = varied
        self._chance = chance

    def started(self, host: str, now: float) -> float:  # noqa: ARG002 - the same for every host
        """An attempt at the host starts now; the answer is when the next may."""
        wait = self._wait
        if self._varied:
            wait *= LEAST + SPAN * self._chance()
        return now + max(self._period, wait)


def spacing_of(settings: PaceSettings) -> Spacing | None:
    """The spacing that the settings ask for; None if they ask for none."""
    rate, wait, varied = settings
    if rate is None and wait is None:
        return None
    return Spacing(0.0 if rate is None else period_of(rate), wait or 0.0, varied=varied)
