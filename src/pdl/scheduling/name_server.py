"""Names that cannot be looked up for now: whose trouble that is, and when they are asked for again.

That a look-up fails for now (EAI_AGAIN), or is not answered, says nothing of a file. It may be the
name servers that this machine asks, or those of the name's own domain. The main process sees none
of them; what it sees is which names are found.

- No name was found in this run: there is nothing that would have to come back. It is as with a host
  that has never answered: the retries of the files decide.
- A name is found by an attempt that began after another name's look-up had failed: that other name
  is in trouble of its own.
- Else the name servers are. Whoever cannot be looked up rests, all until the same moment, for a
  time that doubles; so does whoever is new, once there are several. That goes on for the patience
  of a host; for a name that is the only one, not found in this run before, it is less, for there
  it is as likely the name.

There is no clock and no I/O in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.scheduling.retry import FIRST_REST, LONGEST_REST, NEVER

if TYPE_CHECKING:
    from pdl.scheduling.job import Job
    from pdl.scheduling.origin import Origin

LONE_PATIENCE = 15.0
"""Seconds for which the only name that cannot be looked up is asked for, if it never was found."""
FORGOTTEN = 60.0
"""Seconds without a failed look-up after which the next is a trouble of its own."""


class NameServer:
    """The name servers of this machine, as one.

    Args:
        patience: seconds without a name that are borne.

    Attributes:
        rest_end: when names are looked up again.
        several: more than one cannot be.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since = self._last = 0.0
        self._first = ""
        self.several = False
        self.rest_end = NEVER
        self._wait = 0.0

    def failed(self, job: Job, now: float, chance: float, found_at: float) -> float | None:
        """A look-up has failed for now.

        Args:
            job: for which; its origin has the trouble noted.
            now: the time.
            chance: a random number in [0, 1), for the jitter.
            found_at: when an attempt began that found a name, the last that did.

        Returns:
            When names are looked up again; None if this is not the name servers' trouble.
        """
        origin = job.origin
        assert origin is not None and origin.trouble is not None  # noqa: PT018 - it is one thing
        if not self._first or found_at > self._since or now > self._last + FORGOTTEN:
            self._begin(origin.host, now)
        self._last = now
        self.several = self.several or origin.host != self._first
        sought = origin.trouble.sought
        if sought is None:
            sought = origin.trouble.sought = now
        known = origin.proven
        patience = self._patience if known or self.several else min(self._patience, LONE_PATIENCE)
        if now >= self._since + patience or not (known or NEVER < found_at <= sought):
            return None
        if job.launched >= self.rest_end:  # else it was under way when the rest began
            self.rest_end = now + self._wait * (0.75 + chance / 2)
            self._wait = min(2 * self._wait, LONGEST_REST)
        return max(now, min(self.rest_end, self._since + patience))

    def _begin(self, host: str, now: float) -> None:
        """This is the first that cannot be looked up."""
        self._first, self.several = host, False
        self._since, self.rest_end, self._wait = now, NEVER, FIRST_REST

    def holds(self, origin: Origin) -> bool:
        """Whether an origin need not find out by itself that names cannot be looked up now.

        One that is new waits with the others once it is clear that it is not just one name.
        """
        trouble = origin.trouble
        if trouble is not None:
            return trouble.resting and trouble.sought is not None
        return self.several and not origin.proven and origin.named()
