"""When an attempt is made again: an immutable policy, asked with time and chance passed in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pdl.settings import RetrySettings
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Fail

MAX_DEATHS = 3
"""Workers in a row that may die over a task without getting any further with it."""
MAX_DEATHS_IN_STORM = 30
"""The same, while as many workers die without it: then it is hardly the task that kills them."""

NEVER = -math.inf
"""A time before all times."""
FIRST_REST = 0.5
"""Seconds that an origin rests for at first; doubles with each probe that fails."""
LONGEST_REST = 30.0
FIRST_PROBE = 30.0
LONGEST_PROBE = 600.0
"""Seconds until one that is given up, or whose mirrors are asked first, gets another try."""

_MAX_DOUBLINGS = 40


class Decision(NamedTuple):
    """What becomes of a failed attempt.

    Attributes:
        delay: seconds until the next attempt; None gives up.
        pause_host: seconds in which nothing else is asked of the host; 0 for none.
        reason: why it was given up, where the failure alone does not say it; else empty.
    """

    delay: float | None
    pause_host: float = 0.0
    reason: str = ""


class Judged(NamedTuple):
    """What a failed attempt says of its origin.

    Attributes:
        pressure: it met the origin's limits, or its absence.
        again: asking again may help, though the failure alone does not say it.
        free: so it does not use up the file's retries.
        delay: seconds until the file may be tried again, at the least.
        cut: fewer are to be in flight from here on.
        lost: the origin has been given up just now.
    """

    pressure: bool = False
    again: bool = False
    free: bool = False
    delay: float = 0.0
    cut: bool = False
    lost: bool = False


class Limits(NamedTuple):
    """What the user allows of hosts.

    Attributes:
        jobs: downloads in flight, at first.
        per_host: of them at one host, or None.
        patience: seconds without a good answer that an origin gets; 0: every file is on its own.
        max_wait: seconds of a server's Retry-After that are waited for at most.
        retries: further attempts of a file; with 0 nothing is asked twice, whatever it meets.
        heed: a Retry-After makes every status one that is tried again; not where the user has said
            which are.
        measure: numbers of each host are wanted.
    """

    jobs: int = 8
    per_host: int | None = None
    patience: float = 0.0
    max_wait: float = 120.0
    retries: int = 3
    heed: bool = True
    measure: bool = False


class RetryPolicy(NamedTuple):
    """Which failures are worth another attempt, and when.

    Attributes:
        settings: see `RetrySettings`.
        by_host: gives the policy of a host, where they differ.
    """

    settings: RetrySettings = RetrySettings()
    by_host: Callable[[str], RetryPolicy] | None = None

    def at(self, host: str) -> RetryPolicy:
        """The policy for a host."""
        return self if self.by_host is None else self.by_host(host)

    def decide(self, fail: Fail, attempts: int, chance: float) -> Decision:
        """Decide after a failed attempt.

        Args:
            fail: how it failed.
            attempts: how many there were since one got further into the file, that one and this
                included; from 1.
            chance: a random number in [0, 1), for the jitter.
        """
        if not self.transient(fail):
            return Decision(None)
        if attempts > self.settings.retries:
            return Decision(None)
        asked = fail.retry_after
        if asked is not None and asked > self.settings.max_wait:
            return Decision(
                None,
                reason=f"the server asks to wait {asked:.0f} s, --max-retry-wait allows "
                f"{self.settings.max_wait:.0f} s",
            )
        delay = self.backoff(attempts, chance)
        if asked is None:
            return Decision(delay)
        return Decision(max(asked, delay), pause_host=asked)

    def transient(self, fail: Fail) -> bool:
        """Whether the same request may succeed later; the worker has said it."""
        return fail.transient

    def backoff(self, attempts: int, chance: float) -> float:
        """Seconds to wait after that many attempts: exponential, with full jitter."""
        doubled = self.settings.wait * 2.0 ** min(attempts - 1, _MAX_DOUBLINGS)
        return min(doubled, self.settings.max_wait) * chance


class Progress(NamedTuple):
    """Failed attempts at a file, as the retry budget and the back-off count them.

    One that got further than all before is as the first: a connection that drops again and again
    brings the file to its end, as long as each brings some of it.

    Attributes:
        stuck: the last ones in a row that got no further, after and with the one that did.
        reached: bytes of the file that the furthest of them got to and kept.
    """

    stuck: int = 0
    reached: int = 0

    def another(self, kept: int) -> Progress:
        """One more, that has left so many bytes for the next to go on with."""
        if kept > self.reached:
            return Progress(1, kept)
        return Progress(self.stuck + 1, self.reached)


class Deaths(NamedTuple):
    """The workers that died over a task, and whether the task is to blame.

    A task that kills its worker does so at the same place each time. One that gets further from
    death to death is not the cause, and reaches its end.

    Attributes:
        total: how many died.
        stuck: of these, the last ones in a row that got no further than an earlier one.
        reached: bytes of the file that the furthest of them got to and kept.
    """

    total: int = 0
    stuck: int = 0
    reached: int = 0

    def another(self, reached: int, *, kept: bool) -> Deaths:
        """One more, that had got to so many bytes; `kept` if they are there for the next."""
        if kept and reached > self.reached:
            return Deaths(self.total + 1, 0, reached)
        return Deaths(self.total + 1, self.stuck + 1, self.reached)

    def to_blame(self, all_deaths: int) -> bool:
        """Whether the task is given up.

        Args:
            all_deaths: workers that died in this run, over whatever task.
        """
        storm = all_deaths - self.total >= self.total
        return self.stuck >= (MAX_DEATHS_IN_STORM if storm else MAX_DEATHS)
