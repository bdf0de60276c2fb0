"""How many downloads may be in flight with ``-j auto``: as many as bring more than fewer would.

Theory of operation
===================

Nothing says what a link and its hosts bear but what comes of more: files and bytes a second. So::

                  as fast as ever, at least a generation
    MEASURE ────────────────────────────────────────────▶ TRY (twice as many)
       ▲                                                   │  │
       │ half the step, then after a while                 │  │ it pays: twice as many again
       ├───────────────────────────────────────────────────┘  └──────────▶ TRY
       │ it does not
    HOLD, for longer each time that nothing came of it

- A *generation* is the time in which as many files end as are in flight. Over that, answers that
  come in bursts count as they should; over less they do not.
- It grows twofold while that pays, as soon as it shows. What does not show in four generations does
  not pay: the number is as before, and half the step is tried.
- Later more is tried now and then, and less: what is as fast with less keeps less.
- Of files that take seconds too few end to say anything; there the bytes decide.
- While fewer are in flight than may be (the list is short, hosts are asked for less or rest),
  nothing can be learnt, and all is measured anew.

There is no clock and no I/O in here. Not here: what a host bears (`pdl.scheduling.governor`).
"""

from __future__ import annotations

from collections import deque

from pdl.settings import AUTO_FIRST, AUTO_MOST
from pdl.text.named_tuple import NamedTuple

LOOK_SECONDS = 0.01
"""Between two looks, at the least."""
LOOKS = 50
"""In a generation, at the most."""
MARKS = 4096
"""That are kept, at the most."""
SHORTEST = 0.04
"""Seconds of a generation at the least: answers come in messages, half of that apart."""
LONGEST = 3.0
"""The same at the most."""
FLOWING = 1.0
"""Seconds after which bytes decide, where few files have ended."""
GENERATIONS = 4
"""After so many it is decided whether a step pays."""
ANSWERS, LESS_ANSWERS = 32, 128
"""And not before so many files have ended, of a step up or down, or it may be chance."""
STEADY = 1.25
"""What is faster than before by that has not come up to its pace yet."""
CLEAR = 0.6
"""Share of what a step up could bring, above which it pays at once."""
ENOUGH = 0.3
"""The same, above which it pays in the end."""
AS_FAST = 0.95
"""Share of what came before, from which a step down loses nothing."""
UP, HALF_UP, DOWN = 2.0, 1.5, 0.75
"""The steps."""
HOLD_GENERATIONS = 40
"""Generations for which nothing is tried, at first; twice as many each time."""
FIRST_HOLD, LAST_HOLD = 2.0, 60.0
"""Seconds between which that is kept."""


class Mark(NamedTuple):
    """How far a run was, at some time: files that had ended, and bytes that had come."""

    at: float
    files: int
    received: int


class Pace(NamedTuple):
    """Files and bytes a second."""

    files: float
    received: float


def pace_of(begin: Mark, end: Mark) -> Pace:
    """What was done between the two."""
    seconds = max(end.at - begin.at, 1e-6)
    return Pace(
        (end.files - begin.files) / seconds,
        (end.received - begin.received) / seconds,
    )


class AutoJobs:
    """See the module's theory of operation.

    Args:
        most: downloads in flight, at the most.

    Attributes:
        jobs: downloads that may be in flight now.
        due: the next look is not to be before that.
    """

    def __init__(self, most: int = AUTO_MOST) -> None:
        self._most = most
        self._least = self.jobs = min(AUTO_FIRST, most)
        self.due = 0.0
        self._marks: deque[Mark] = deque(maxlen=MARKS)
        self._before: int | None = None  # of a step that is tried, what it began from
        self._base = Pace(0.0, 0.0)
        self._generation = SHORTEST
        self._by_bytes = False
        self._step = UP
        self._next = UP
        self._hold = 0.0
        self._held_until = 0.0

    def look(self, now: float, files: int, received: int, in_flight: int) -> int:
        """How many may be in flight from now on.

        Args:
            now: the time.
            files: that have ended since the run began, in whatever way.
            received: bytes, likewise.
            in_flight: downloads under way, or handed to whoever will begin them at once.
        """
        self.due = now + max(LOOK_SECONDS, self._generation / LOOKS)
        marks = self._marks
        if in_flight < self.jobs:
            marks.clear()
        news = not marks or marks[-1].files < files
        marks.append(Mark(now, files, received))
        if now < self._held_until:
            if now - marks[0].at > LONGEST:
                marks.popleft()
        elif self._before is None:
            self._measure(news=news)
        else:
            self._judge(self._before, news=news)
        return self.jobs

    # --- what is ---

    def _measure(self, *, news: bool) -> None:
        """Find out how fast it goes now; then take a step."""
        marks = self._marks
        first, last = marks[0], marks[-1]
        ended, elapsed = last.files - first.files, last.at - first.at
        if ended >= 2 * self.jobs:
            # what began before, or had to connect first, is left out
            begin = next(each for each in marks if each.files - first.files >= self.jobs)
            if last.files - begin.files < self.jobs or not news:
                return
            pace = pace_of(begin, last)
            generation = self.jobs / pace.files
            if generation < SHORTEST and not self._steady(begin, last):
                return
            self._by_bytes = generation > LONGEST
            self._goes_at(pace)
        elif elapsed >= FLOWING and ended < self.jobs / 2 and last.received > first.received:
            self._by_bytes = True
            self._goes_at(pace_of(self._mark_before(last.at - FLOWING / 2), last))
        else:
            return
        self._take(self._next)

    def _steady(self, begin: Mark, last: Mark) -> bool:
        """Whether it goes as fast as it can: it takes a moment until all is warm."""
        if last.at - begin.at < 2 * SHORTEST:
            return False
        half = self._mark_before((begin.at + last.at) / 2)
        if pace_of(half, last).files <= STEADY * pace_of(begin, half).files:
            return True
        while self._marks[0] is not begin:
            self._marks.popleft()
        return False

    def _mark_before(self, at: float) -> Mark:
        """The last mark that is not later."""
        return next((each for each in reversed(self._marks) if each.at <= at), self._marks[0])

    # --- what might be ---

    def _take(self, step: float) -> None:
        """Try that many times as many."""
        jobs = min(max(int(self.jobs * step), self._least), self._most)
        if jobs == self.jobs:
            self._rest()
            return
        self._before, self._step, self.jobs = self.jobs, jobs / self.jobs, jobs
        self._begin()

    def _begin(self) -> None:
        """Look at what comes from now on."""
        last = self._marks[-1]
        self._marks.clear()
        self._marks.append(last)

    def _judge(self, before: int, *, news: bool) -> None:
        marks, more = self._marks, self._step - 1.0
        first, last = marks[0], marks[-1]
        begin = self._mark_before(last.at - self._generation)
        if last.at - begin.at < self._generation:
            return
        pace = pace_of(begin, last)
        generation_ended = self._by_bytes or last.files - begin.files >= before
        clear = self._next == UP and generation_ended and self._gain(pace) >= 1.0 + CLEAR * more
        if clear:
            self._pays(pace)
            return
        # files that share what there is take longer the more there are, and come in bunches
        span = GENERATIONS * self._generation * max(1.0, self._step)
        answers = ANSWERS if more > 0 else LESS_ANSWERS
        enough = self._by_bytes or last.files - first.files >= answers
        if last.at - first.at < span or not enough or not (news or self._by_bytes):
            return
        pace = pace_of(self._second_half(), last)
        if self._gain(pace) >= (1.0 + ENOUGH * more if more > 0 else AS_FAST):
            self._pays(pace)
        else:
            self._fails(before)

    def _second_half(self) -> Mark:
        """Where about the second half of the marks begins: whole generations ago."""
        marks = self._marks
        first, last = marks[0], marks[-1]
        half = (last.files - first.files) // 2
        ended = half - half % self.jobs
        if self._by_bytes or not ended:
            return self._mark_before((first.at + last.at) / 2)
        return next(each for each in marks if each.files >= last.files - ended)

    def _gain(self, pace: Pace) -> float:
        if self._by_bytes:
            return pace.received / max(self._base.received, 1e-6)
        return pace.files / max(self._base.files, 1e-6)

    def _pays(self, pace: Pace) -> None:
        """Go on from there."""
        self._before, self._hold = None, 0.0
        self._goes_at(pace)
        self._take(self._next)

    def _goes_at(self, pace: Pace) -> None:
        """Remember what is to be beaten."""
        self._base = pace
        generation = FLOWING / 2 if self._by_bytes else self.jobs / max(pace.files, 1e-6)
        self._generation = min(max(generation, SHORTEST), LONGEST)

    def _fails(self, before: int) -> None:
        """Be as before."""
        self.jobs, self._before = before, None
        if self._next == UP:
            self._next = HALF_UP
            self._begin()
            return
        self._rest()

    def _rest(self) -> None:
        """Try nothing for a while; then the other way."""
        generations = HOLD_GENERATIONS * self._generation
        self._hold = min(max(2 * self._hold, generations, FIRST_HOLD), LAST_HOLD)
        self._next = DOWN if self._next != DOWN and self.jobs > self._least else HALF_UP
        self._held_until = self._marks[-1].at + self._hold
        self._begin()
