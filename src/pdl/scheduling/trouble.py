"""What is known of an origin that has been in trouble: its share, its rests, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import failure_word
from pdl.scheduling.retry import FIRST_PROBE, FIRST_REST, LONGEST_PROBE, LONGEST_REST, NEVER
from pdl.text.units import count_text, duration_text

if TYPE_CHECKING:
    from pdl.model import Fail

FIRST_WALL = 2.0
"""Seconds for which as many attempts as were refused are not tried again; doubles each time."""
LONGEST_WALL = 64.0
WALL_FORGOTTEN = 300.0
"""Seconds without a cut after which the next wall is as the first."""


class Trouble:
    """What the governor knows of an origin that has been in trouble.

    Attributes:
        share: jobs that may be in flight, as far as it is a matter of what the origin bears.
        held: the largest share that it bore; up to this the share doubles.
        goods: good answers in a row since the share changed.
        pressures: attempts that met its limits or its absence.
        fails: of them, those in a row.
        sought: since when the origin's name cannot be looked up, for now; None if that is not so.
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
        "sought",
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
        self.sought: float | None = None
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
        self.sought = None

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

    def cap(self, goods: int, *, lost: bool) -> int:
        """Jobs that may be in flight, after so many good answers."""
        if lost or self.resting:
            return 1
        cap = max(1, self.share - self.spent)
        if self.allowance is None:
            return cap
        return min(cap, max(1, self.allowance - (goods - self.base)))

    def end(self, patience: float) -> float:
        """When the origin is given up."""
        assert self.since is not None
        return self.since + self.stopped + patience

    def may_probe(self, now: float) -> bool:
        """Whether one line may ask the origin, which is given up; if so, that is its try."""
        if now < self.next_probe:
            return False
        self.probe_wait = min(2 * self.probe_wait, LONGEST_PROBE)
        self.next_probe = now + self.probe_wait
        return True

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
