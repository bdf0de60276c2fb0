"""Hosts that have settings of their own: how many at once, how often, how many times more.

No clock: the time is passed in, in seconds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pdl.scheduling.origin import Origin
from pdl.scheduling.rate import spacing_of
from pdl.scheduling.retry import RetryPolicy
from pdl.text.host_tables import applied

if TYPE_CHECKING:
    from pdl.scheduling.rate import Spacing
    from pdl.settings import Settings


class BoundOrigin(Origin):
    """An origin that is asked for so many at once, at the most."""

    __slots__ = ("most",)
    most: int

    def room(self) -> int:
        """See `Origin.room`."""
        return min(super().room(), self.most - self.flying - self.lent)


class ByHost:
    """What the settings say of each host; a host is as in a URL, with its port.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tables = settings.http.hosts
        self._spacing = lru_cache(maxsize=1024)(self._spacing_of)
        self._policy = lru_cache(maxsize=1024)(self._policy_of)

    def origin(self, host: str, cap: int, *, known: bool) -> Origin:
        """A new origin."""
        most = applied(self._settings.stop, self._tables, "stop", f"http://{host}").per_host
        if most is None:
            return Origin(host, cap, known=known)
        bound = BoundOrigin(host, cap, known=known)
        bound.most = most
        return bound

    def started(self, host: str, now: float) -> float:
        """See `pdl.scheduling.schedule.Pace.started`."""
        spacing = self._spacing(host)
        return now if spacing is None else spacing.started(host, now)

    def _spacing_of(self, host: str) -> Spacing | None:
        return spacing_of(applied(self._settings.pace, self._tables, "pace", f"http://{host}"))

    def policy(self, host: str) -> RetryPolicy:
        """When an attempt at the host is made again."""
        return self._policy(host)

    def _policy_of(self, host: str) -> RetryPolicy:
        return RetryPolicy(applied(self._settings.retry, self._tables, "retry", f"http://{host}"))

    def says(self, part: str) -> bool:
        """Whether a part of the settings differs for some host."""
        return any(path.startswith(f"{part}.") for table in self._tables for path, _ in table.said)
