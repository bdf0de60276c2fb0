"""One origin as the run sees it: what is queued and in flight, and what is held against it.

There is one `Origin` for each host and port while it has anything to do, and a little longer. The
schedule queues in it, the governor (`pdl.scheduling.governor`) sets its limits, and whoever chooses
among mirrors looks at them. What few origins need is a `Trouble`, a `Health`, a `Tally`, made when
there is a use for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pdl.scheduling.progress import HostRow
from pdl.scheduling.retry import FIRST_PROBE, NEVER

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable

    from pdl.scheduling.trouble import Trouble

NO_LIMIT = 1 << 60
ORIGINS_KEPT = 16_384
"""Origins with nothing to do that are remembered."""
DOWN = 3
"""Failures in a row after which the mirrors of a host are asked first."""


class Origin:
    """An origin.

    Attributes:
        host: name and port, as `pdl.text.urls.Url.netloc`; empty for what asks no server.
        ready: jobs that may run, in order; None for none.
        flying: jobs in flight.
        lent: further connections that help with them.
        waiting: jobs that wait for the time of their next attempt.
        listed: it is among those that take turns.
        alarm: when it is to take turns again, or 0.
        cap: jobs that may be in flight.
        not_before: nothing is started before that time. Whoever has a reason moves it on.
        proven: it has given a good answer in this run.
        calm: it is proven, and nothing limits it but what the user said.
        lost: it is given up.
        good_at: when the last good answer came.
        goods: how many there were.
        trouble: what the governor knows of its trouble, or None if it never had any.
        health: what is held against it where an item has mirrors, or None.
        tally: numbers for the report, or None where nobody wants them.
    """

    __slots__ = (
        "alarm",
        "calm",
        "cap",
        "flying",
        "good_at",
        "goods",
        "health",
        "host",
        "lent",
        "listed",
        "lost",
        "not_before",
        "proven",
        "ready",
        "tally",
        "trouble",
        "waiting",
    )

    def __init__(self, host: str, cap: int, *, known: bool = False) -> None:
        self.host = host
        self.ready: deque[Any] | None = None  # of jobs, which know their origin
        self.flying = self.lent = 0
        self.waiting = 0
        self.listed = False
        self.alarm = 0.0
        self.cap = cap
        self.not_before = 0.0
        self.proven = self.calm = known
        self.lost = False
        self.good_at = NEVER
        self.goods = 0
        self.trouble: Trouble | None = None
        self.health: Health | None = None
        self.tally: Tally | None = None

    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self.ready or self.flying or self.waiting or self.lent)

    def named(self) -> bool:
        """Whether its name had to be looked up, unless a proxy did that."""
        name = self.host.rsplit(":", 1)[0]
        address = name.startswith("[") or name.rpartition(".")[2].isdigit()
        return not address and name != "localhost"

    def well(self) -> bool:
        """Whether nothing is held against it."""
        return self.trouble is None and self.health is None

    def room(self) -> int:
        """How many more may be started, as far as it is not a matter of time.

        Lines that wait for another attempt at an origin that has never answered keep their place:
        others would only find out the same.
        """
        return self.cap - self.flying - self.lent - (0 if self.proven else self.waiting)

    def row(self, ahead: float) -> HostRow:
        """What the report has of it; see `Origins.rows`."""
        from pdl.scheduling.trouble import Trouble  # where there is any, or a report is wanted

        tally, trouble = self.tally or Tally(), self.trouble or Trouble(0)
        at = trouble.given_up_at
        return HostRow(
            self.host,
            tally.requests,
            trouble.pressures,
            trouble.rests,
            tally.first_byte(0.5),
            tally.first_byte(0.95),
            tally.bytes,
            tally.speed(),
            trouble.lines,
            None if at is None else at + ahead,
            trouble.reason,
        )

    def few(self) -> str:
        """Its name, if it takes few connections; else empty."""
        return "" if self.trouble is None or self.calm else self.host

    def count_lost(self) -> None:
        """A line has ended because the origin is given up."""
        assert self.trouble is not None
        self.trouble.lines += 1

    def avoided(self, now: float) -> bool:
        """Whether it is better to ask another mirror."""
        trouble, health = self.trouble, self.health
        if self.lost or self.not_before > now or (health is not None and health.down()):
            return True
        # a probe is under way, or queued
        return trouble is not None and trouble.resting and bool(self.flying or self.ready)

    def free_at(self, now: float) -> float:
        """When it may be asked again, though it is avoided."""
        at = self.not_before
        if self.health is not None and self.health.down():
            at = max(at, self.health.next_try)
        if self.trouble is not None:
            if self.lost:
                at = max(at, self.trouble.next_probe)
            elif self.trouble.resting and (self.flying or self.ready):
                at = max(at, now + self.trouble.wait)
        return at


class Health:
    """What is held against a host that items have mirrors of.

    Attributes:
        failures: in a row.
        next_try: of a host that is down, when it is asked first once more.
        wait: seconds from one such try to the next.
    """

    __slots__ = ("failures", "next_try", "wait")

    def __init__(self) -> None:
        self.failures = 0
        self.next_try = 0.0
        self.wait = FIRST_PROBE

    def down(self) -> bool:
        """Whether its mirrors are asked first."""
        return self.failures >= DOWN


_STEPS = 8
"""Times to the first byte that are counted together: from one to the next is a factor 2^(1/8)."""


class Tally:
    """Numbers of an origin for the report.

    Attributes:
        requests: attempts that were answered, or failed.
        bytes: received.
        began, ended: when the first attempt was begun and the last one ended.
    """

    __slots__ = ("_firsts", "began", "bytes", "ended", "requests")

    def __init__(self) -> None:
        self.requests = self.bytes = 0
        self.began: float | None = None
        self.ended = 0.0
        self._firsts: dict[int, int] = {}

    def count(self, received: int, first: float | None, began: float, now: float) -> None:
        """An attempt has ended.

        Args:
            received: bytes.
            first: seconds until the first byte of the answer; None if none came.
            began: when it was begun.
            now: the time.
        """
        self.requests += 1
        self.bytes += received
        if self.began is None or began < self.began:
            self.began = began
        self.ended = now
        if first is not None:
            step = round(_STEPS * math.log2(max(first, 1e-6)))
            self._firsts[step] = self._firsts.get(step, 0) + 1

    def add(self, other: Tally) -> None:
        """Count what another has counted."""
        self.requests += other.requests
        self.bytes += other.bytes
        if other.began is not None:
            self.began = other.began if self.began is None else min(self.began, other.began)
        self.ended = max(self.ended, other.ended)
        for step, count in other._firsts.items():
            self._firsts[step] = self._firsts.get(step, 0) + count

    def first_byte(self, share: float) -> float | None:
        """Seconds within which that share of the answers had begun, to within 5 %."""
        left = share * sum(self._firsts.values())
        for step, count in sorted(self._firsts.items()):
            left -= count
            if left <= 0:
                return float(2.0 ** (step / _STEPS))
        return None

    def speed(self) -> float:
        """Bytes a second, from the first attempt to the last answer."""
        span = 0.0 if self.began is None else self.ended - self.began
        return self.bytes / span if span > 0 else 0.0


class Origins:
    """The origins of a run: all that have anything to do, and those that had it last.

    Args:
        first: jobs that may be in flight to one that has never answered.
        known: none has to answer before more may be.
        measure: numbers of each are wanted.

    Attributes:
        make: makes one.
    """

    make: Callable[..., Origin] = Origin

    def __init__(self, first: int, *, known: bool, measure: bool) -> None:
        self._first = first
        self._known = known
        self._origins: dict[str, Origin] = {}
        self._others = Tally() if measure else None
        self._keep = ORIGINS_KEPT
        self._unnamed_until = NEVER  # no new name is looked up before that

    def __len__(self) -> int:
        """How many origins are remembered."""
        return len(self._origins)

    def origin(self, host: str) -> Origin:
        """The one state of the origin."""
        found = self._origins.get(host)
        if found is None:
            found = self._origins[host] = self._new(host)
        return found

    def origins(self) -> Iterable[Origin]:
        """All that are remembered, the oldest first."""
        return self._origins.values()

    def _new(self, host: str) -> Origin:
        if len(self._origins) >= 2 * self._keep:
            self._forget()
        if not host:  # no server is asked
            return Origin(host, NO_LIMIT, known=True)
        found = self.make(host, self._first, known=self._known)
        if self._others is not None:
            found.tally = Tally()
        if self._unnamed_until is not NEVER and found.named():
            found.not_before = self._unnamed_until
        return found

    def _forget(self) -> None:
        """Forget the oldest of those with nothing to do, first those that are well."""
        idle = [each for each in self._origins.values() if not each.busy()]
        idle.sort(key=Origin.well, reverse=True)
        for each in idle[: len(self._origins) - self._keep]:
            del self._origins[each.host]
            if self._others is not None and each.tally is not None:
                self._others.add(each.tally)

    def rows(self, ahead: float) -> tuple[HostRow, ...]:
        """What the report has of each; where nobody wants numbers, only of those given up.

        Args:
            ahead: seconds that the wall clock is ahead of the clock of all other times.
        """
        rows = [
            each.row(ahead)
            for each in self._origins.values()
            if each.host and (each.tally or (each.trouble and each.trouble.lines))
        ]
        if self._others is not None and self._others.requests:
            others = Origin("", NO_LIMIT)
            others.tally = self._others
            rows.append(others.row(ahead))
        return tuple(rows)
