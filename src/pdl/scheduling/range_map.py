"""Which bytes of a split file are there, and who fetches which; a table of words without I/O.

Theory of operation
===================

A large file may be fetched by several lanes at once, each over a connection of its own, into the
same part. One of them is the **first**: it makes the attempt, it began at the start, and it alone
proves the file and gives it its name. The others are **helpers**. They meet in this table, which
lies in shared memory (`pdl.storage.board`); a list of numbers does for tests.

Each entry of the table is a range ``[start, end)``, of which ``[start, done)`` is written::

           claim                      done = end: finish
    FREE ─────────▶ WHO RUNS IT ─────────────────────────▶ DONE (joined with what it touches)
                         │  ▲ claim: some of what is left
                         │  └──────── at the end is another's
                         │ give_up
                         ▼
         DONE [start, done) and a hole, or the range before it grows again

- Who claims takes a **hole**, bytes that nobody fetches. Where there is none, it takes the end of
  the largest rest: one share of as many as there may be lanes, at least as much as one has to be.
  The runner of that rest sees its `end` come nearer before it writes the next bytes. So the first
  goes on with the one request that it began with, whoever is the first to be done takes another
  share, and shares become smaller to the end.
- Where a rest is no longer worth two shares, it is halved, down to what is worth a request.
- Who gives up leaves a hole. If nothing of the range was written, the range before it grows over
  it again, as far as its own request **reaches**; so does one that comes to a hole at its end. So
  when a server refuses a second connection, the first goes on as if nothing had been.
- `done` is stored after the bytes were written, and by the runner alone. Everything else is stored
  under a lock, in an order that keeps this true after each single store: **what the table calls
  done is written**. A process killed between two stores leaves at worst a hole or a range that two
  fetch; both write the same bytes, for both answers are of the same version.

What may live here: ranges. Not here: files, locks, time, or why somebody gives up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Words = memoryview | list[int]

Range = tuple[int, int]
"""The first byte, and the one behind the last."""

_MAGIC = 0x70646C2D72616E31
"""Says that the table is whole, and in which form."""
_HEAD = 4
"""Words before the entries: the magic, the file's size, whether it is over, one to spare."""
_WHO, _START, _DONE, _END, _REACH, _RECALLED = range(6)
_ENTRY = 6
_FREE, _FINISHED = 0, 1
_FIRST_WHO = 2
FIRST = 0
"""The name of the first lane; helpers have the ids of their tasks, which are none of a job's."""
MOST = 84
"""Entries: twice as many as lanes of one file, and as many holes, is more than there ever are."""
WORDS = _HEAD + MOST * _ENTRY
ALIGNED = 64 * 1024
"""A range is cut at a multiple of that, so that two lanes do not write to one page."""


class Share(NamedTuple):
    """How much a lane takes at once; see `RangeMap.claim`."""

    least: int
    tail: int | None = None
    lanes: int = 2


class _Entry(NamedTuple):
    at: int
    who: int
    start: int
    done: int
    end: int
    reach: int


class RangeMap:
    """The table; see the module's theory of operation. An entry is named by its place.

    Args:
        words: `WORDS` numbers from 0 to 2**64 - 1.
    """

    def __init__(self, words: Words) -> None:
        self._words = words

    # --- the table as a whole ---

    def fill(self, total: int, done: Iterable[Range]) -> None:
        """Begin the table of a file of so many bytes, of which some are there.

        Args:
            total: bytes of the file.
            done: sorted, as `union` gives it; no more than `MOST` // 2 are noted.
        """
        words = self._words
        words[0] = words[2] = 0
        words[1] = total
        for at in self._places():
            words[at] = _FREE
        for at, (start, end) in zip(self._places(), list(done)[: MOST // 2], strict=False):
            self._set(at, _FINISHED, start, end, end, end)
        words[0] = _MAGIC

    def sound(self) -> bool:
        """Whether this is such a table; its numbers are believed then."""
        return self._words[0] == _MAGIC

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self._words[1]

    def end(self) -> bool:
        """The attempt is over: nobody is to write any more. Needs no lock."""
        self._words[2] = 1
        return True

    def over(self) -> bool:
        """Whether it is."""
        return self._words[2] != 0

    def done(self) -> list[Range]:
        """What is written, sorted; ranges that touch are one."""
        return union((each.start, each.done) for each in self._used())

    def whole(self) -> bool:
        """Whether every byte is written."""
        return self.done() == [(0, self.total)]

    def running(self) -> bool:
        """Whether anybody runs a range."""
        return any(each.who >= _FIRST_WHO for each in self._used())

    # --- one runner ---

    def join(self, start: int) -> int:
        """Be the first: run from there to what is written, by a request of all that follows."""
        end = min((each.start for each in self._used() if each.start > start), default=self.total)
        at = self._free()
        assert at is not None
        self._set(at, FIRST + _FIRST_WHO, start, start, end, self.total)
        self._take_before(at)
        return at

    def claim(self, who: int, least: int, tail: int | None = None, lanes: int = 2) -> int | None:
        """Take a hole, or some of the largest rest; None if there is nothing to take.

        Args:
            who: names the runner.
            least: bytes that a share must have.
            tail: bytes that a half must have where there is less than two shares; None: `least`.
            lanes: as many shares are made of a rest.
        """
        at = self._free()
        if at is None or (self.over() and who != FIRST):
            return None
        hole = next(self._holes(), None)
        if hole is not None:
            self._set(at, who + _FIRST_WHO, hole[0], hole[0], hole[1], hole[1])
            return at
        largest = self._largest()
        if largest is None:
            return None
        rest = largest.end - largest.done
        taken = max(least, rest // lanes) if rest >= 2 * least else rest // 2
        if taken < (least if tail is None else min(least, tail)):
            return None
        middle = largest.end - taken
        middle -= middle % ALIGNED
        if middle <= largest.done:
            return None
        self._set(at, who + _FIRST_WHO, middle, middle, largest.end, largest.end)
        self._words[largest.at + _END] = middle
        return at

    def take_rest(self) -> int | None:
        """Have the first lane take all of the largest rest: its runner gets no further."""
        at, largest = self._free(), self._largest()
        if at is None or largest is None or largest.end <= largest.done:
            return None
        self._set(at, FIRST + _FIRST_WHO, largest.done, largest.done, largest.end, largest.end)
        self._words[largest.at + _END] = largest.done
        return at

    def left(self, at: int) -> int:
        """Bytes that the runner is still to write; never below 0."""
        words = self._words
        return max(0, words[at + _END] - words[at + _DONE])

    def rest(self, at: int) -> Range:
        """Where the runner is, and where it is to end."""
        return self._words[at + _DONE], self._words[at + _END]

    def wrote(self, at: int, done: int) -> None:
        """The runner has written everything up to there; needs no lock."""
        self._words[at + _DONE] = done

    def recalled(self, at: int) -> bool:
        """Whether the runner is to give up."""
        return self._words[at + _RECALLED] != 0

    def grow(self, at: int) -> bool:
        """Go on into a hole behind the range, where its request reaches that; whether it does."""
        mine = self._entry(at)
        hole = next((each for each in self._holes() if each[0] == mine.end), None)
        if hole is None or mine.reach <= mine.end:
            return False
        self._words[at + _END] = min(mine.reach, hole[1])
        return True

    def finish(self, at: int) -> None:
        """The runner is done with its range."""
        self._take_before(at)
        mine = self._entry(at)
        if mine.done <= mine.start:
            self._words[at] = _FREE
            return
        self._words[at + _END] = mine.done
        self._words[at] = _FINISHED
        for each in self._used():
            if each.at != at and each.start <= mine.done <= each.done and mine.start < each.start:
                self._words[each.at + _START] = mine.start
                self._words[at] = _FREE
                return

    def give_up(self, at: int) -> None:
        """The runner leaves what is left of its range."""
        mine = self._entry(at)
        self.finish(at)
        if mine.done > mine.start or mine.end <= mine.done:
            return
        for each in self._used():
            if each.who >= _FIRST_WHO and each.end == mine.start and each.reach > each.end:
                self._words[each.at + _END] = min(each.reach, mine.end)

    def unwrite(self, start: int, end: int) -> None:
        """These bytes are not what they should be: they are to be fetched again.

        Args:
            start: the first of them; nobody runs a range that has any of them.
            end: behind the last.
        """
        for each in self._used():
            if each.who >= _FIRST_WHO or each.done <= start or each.start >= end:
                continue
            if each.done > end and (at := self._free()) is not None:
                self._set(at, _FINISHED, end, each.done, each.done, each.done)
            if each.start >= start:
                self._words[each.at] = _FREE
            else:
                self._words[each.at + _DONE] = self._words[each.at + _END] = start

    # --- somebody else's ---

    def recall(self, who: int) -> bool:
        """Tell a runner to give up; whether it runs anything. Needs no lock."""
        for each in self._of(who):
            self._words[each.at + _RECALLED] = 1
            return True
        return False

    def abandon(self, who: int) -> bool:
        """The runner is dead."""
        for each in self._of(who):
            self.give_up(each.at)
        return True

    # --- inside ---

    def _largest(self) -> _Entry | None:
        running = (each for each in self._used() if each.who >= _FIRST_WHO)
        return max(running, key=lambda each: each.end - each.done, default=None)

    def _places(self) -> range:
        return range(_HEAD, WORDS, _ENTRY)

    def _free(self) -> int | None:
        return next((at for at in self._places() if self._words[at] == _FREE), None)

    def _entry(self, at: int) -> _Entry:
        return _Entry(at, *self._words[at : at + 5])

    def _used(self) -> list[_Entry]:
        return [self._entry(at) for at in self._places() if self._words[at] != _FREE]

    def _of(self, who: int) -> list[_Entry]:
        return [each for each in self._used() if each.who == who + _FIRST_WHO]

    def _set(self, at: int, who: int, start: int, done: int, end: int, reach: int) -> None:
        words = self._words
        words[at + _START] = start
        words[at + _DONE] = done
        words[at + _END] = end
        words[at + _REACH] = reach
        words[at + _RECALLED] = 0
        words[at] = who  # last: before that it is none

    def _take_before(self, at: int) -> None:
        """Join the finished range that ends where this one begins."""
        start = self._words[at + _START]
        for each in self._used():
            if each.who == _FINISHED and each.at != at and each.start < start <= each.done:
                self._words[at + _START] = each.start
                self._words[each.at] = _FREE
                return

    def _holes(self) -> Iterator[Range]:
        """What nobody fetches and nobody has written, in order."""
        at = 0
        taken = sorted((each.start, max(each.done, each.end)) for each in self._used())
        for start, end in [*taken, (self.total, self.total)]:
            if start > at:
                yield at, start
            at = max(at, end)


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes, sorted; ranges that touch are one, empty ones are gone."""
    found: list[Range] = []
    for start, end in sorted(each for each in ranges if each[0] < each[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
