"""One origin as the run sees it: what is queued and in flight, and what is held against it.

There is one `Origin` for each host and port while it has anything to do, and a little longer. The
schedule queues in it, the governor (`pdl.scheduling.governor`) sets its limits, and whoever chooses
among mirrors looks at them. What few origins need is a `Trouble`, a `Health`, a `Tally`, made when
there is a use for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pdl.model import HostRow, failure_word
from pdl.text.units import count_text, duration_text

if TYPE_CHECKING:
    from collections import deque

    from pdl.model import Fail

NO_LIMIT = 1 << 60
NEVER = -math.inf

FIRST_REST = 0.5
"""Seconds that an origin rests for at first; doubles with each probe that fails."""
LONGEST_REST = 30.0
FIRST_WALL = 2.0
"""Seconds for which as many attempts as were refused are not tried again; doubles each time."""
LONGEST_WALL = 64.0
WALL_FORGOTTEN = 300.0
"""Seconds without a cut after which the next wall is as the first."""
FIRST_PROBE = 30.0
LONGEST_PROBE = 600.0
"""Seconds until one that is given up, or whose mirrors are asked first, gets another try."""
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
        """What the report has of it; see `pdl.scheduling.governor.Governor.rows`."""
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


class Trouble:
    """What the governor knows of an origin that has been in trouble.

    Attributes:
        share: jobs that may be in flight, as far as it is a matter of what the origin bears.
        held: the largest share that it bore; up to this the share doubles.
        goods: good answers in a row since the share changed.
        pressures: attempts that met its limits or its absence.
        fails: of them, those in a row.
        spent: lines that used up their retries meanwhile, of an origin that has never answered.
        blind: of these, what was started after the last good answer.
        first: id of the job that was the first of these.
        several: another met it as well.
        cut_at: when the share was cut; what was started before says nothing new.
        wall: as many in flight were refused; None if that is forgotten.
        wall_until: not before that time it is tried again.
        wall_wait: seconds for which it is not, the next time.
        resting: nobody asks but a probe.
        rest_end: when the probe may start.
        rests: how often it did rest.
        wait: seconds of the next rest.
        since: when the trouble began; None while there is none.
        stopped: seconds for which its own Retry-After has stopped the clock.
        stops: how often it did, without a good answer.
        why: the word of the last pressure.
        last: the last pressure.
        next_probe, probe_wait: of one that is given up.
        given_up_at: when it was given up last; None if never.
        reason: why.
        lines: that ended because of it.
        counts: the server has said that it counts requests: by 429, or by when it will take more.
        pause_end: when the last pause ends; what is started then begins another window.
        window: when the window began.
        base: good answers of the origin before the window.
        allowance: good answers of the last window; None where that is not known.
    """

    __slots__ = (
        "allowance",
        "base",
        "blind",
        "counts",
        "cut_at",
        "fails",
        "first",
        "given_up_at",
        "goods",
        "held",
        "last",
        "lines",
        "next_probe",
        "pause_end",
        "pressures",
        "probe_wait",
        "reason",
        "rest_end",
        "resting",
        "rests",
        "several",
        "share",
        "since",
        "spent",
        "stopped",
        "stops",
        "wait",
        "wall",
        "wall_until",
        "wall_wait",
        "why",
        "window",
    )

    def __init__(self, share: int) -> None:
        self.share = share
        self.held = self.goods = 0
        self.pressures = self.fails = self.blind = self.spent = 0
        self.first: int | None = None
        self.several = False
        self.cut_at = NEVER
        self.wall: int | None = None
        self.wall_until = NEVER
        self.wall_wait = FIRST_WALL
        self.resting = False
        self.rest_end = NEVER
        self.rests = 0
        self.wait = FIRST_REST
        self.since: float | None = None
        self.stopped = 0.0
        self.stops = 0
        self.why = ""
        self.last: Fail | None = None
        self.next_probe = 0.0
        self.probe_wait = FIRST_PROBE
        self.given_up_at: float | None = None
        self.reason = ""
        self.lines = 0
        self.counts = False
        self.pause_end = self.window = NEVER
        self.base = 0
        self.allowance: int | None = None

    def why_lost(self, now: float, max_wait: float, *, proven: bool) -> str:
        """Why the origin is given up now, in words."""
        if not proven:
            failed = count_text(self.fails, "attempt")
            return f"{failed} in a row failed, and none was answered"
        if self.last is not None and (self.last.retry_after or 0) > max_wait:
            return "the server asks to wait longer than --max-retry-wait"
        lasted = duration_text(now - (now if self.since is None else self.since))
        return f"no good answer for {lasted} (--host-patience)"

    def met(self, fail: Fail, now: float, *, alone: bool) -> None:
        """An attempt has met pressure; `alone` if no good answer came while it was made."""
        self.pressures += 1
        self.fails += 1
        self.blind += alone
        self.several = self.several or self.first not in {None, fail.id}
        self.first = fail.id
        self.goods = 0
        self.last, self.why = fail, failure_word(fail.kind, fail.status)
        if self.since is None:
            self.since = now

    def over(self) -> None:
        """A good answer has come."""
        self.fails = self.blind = self.stops = self.spent = 0
        self.first, self.several = None, False
        self.since, self.stopped = None, 0.0

    def cut(self, level: int, least: int, now: float) -> bool:
        """Halve the share; whether it is less than what was in flight.

        Args:
            level: jobs that were in flight.
            least: the share is not less than that, unless the level is.
            now: the time.
        """
        share = min(level, max(least, level // 2))
        if now - self.cut_at > WALL_FORGOTTEN:
            self.wall_wait = FIRST_WALL
        self.cut_at = now
        self.held = min(self.held, level - 1)
        self.share = share
        if share == level:
            return False
        self.wall, self.wall_until = level, now + self.wall_wait
        self.wall_wait = min(2 * self.wall_wait, LONGEST_WALL)
        return True

    def rise(self, most: int, now: float) -> bool:
        """The share is borne: a few more; whether nothing limits the origin any longer.

        Args:
            most: the largest share there is.
            now: the time.
        """
        share, wall = self.share, self.wall
        self.goods = 0
        self.held = max(self.held, share)
        wanted = min(2 * share, self.held) if share < self.held else share + 1
        if wall is not None and wanted >= wall:
            if now < self.wall_until:
                wanted = max(share, wall - 1)
            else:
                self.wall = None
        self.share = min(wanted, most)
        return wanted >= most and self.wall is None and self.allowance is None

    def next_wait(self, chance: float) -> float:
        """Seconds to rest for now; the next time it is twice as long.

        Args:
            chance: a random number in [0, 1).
        """
        # what has let a server that counts go on is known, and is not cut short
        known = self.counts and self.wait > FIRST_REST
        wait = self.wait * (1.0 + chance / 4 if known else 0.75 + chance / 2)
        self.wait = min(2 * self.wait, LONGEST_REST)
        return wait

    def opened(self, most: int) -> None:
        """A probe was good: begin with two at once."""
        self.resting = False
        self.probe_wait = FIRST_PROBE
        self.wait = max(FIRST_REST, self.wait / 2) if self.counts else FIRST_REST
        self.goods = 0
        self.share = min(2, most, max(1, self.held))

    def begin_window(self, goods: int) -> None:
        """A pause is over; so many good answers there were before."""
        self.window = self.pause_end
        self.allowance = goods - self.base if self.counts else None
        self.base = goods

    def outgrown(self, goods: int) -> bool:
        """Whether the origin gives more now than in the last window."""
        assert self.allowance is not None
        return goods - self.base - self.allowance > max(2, self.allowance // 4)


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
