"""Which large file gets an idle lane as a helper; no clock, no I/O.

A file is worth helping if the rest of it takes its connections a while, and if it is they that hold
it up: what comes at the speed of a disk or a local server gains nothing by being split, and costs
more of this machine. So a file is watched for a moment first, and its own rate decides, which is
rather taken for too high. Of several, the one with the most to do for each connection comes first.

A helper that is refused tells how many connections its URL bears: it gets no more than those that
are open then, as long as this attempt at the file lasts. One that finds nothing to do tells that
the rest is in pieces that are not worth another connection: for a moment none is begun.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import FIRST_HELPER
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Row = tuple[int, int, int | None]
    """A task under way: its id, bytes of its file so far, the size of that or None."""

WATCH_SECONDS = 0.03
"""For which a file is watched at the least."""
BEFORE_SECONDS = 0.1
"""In which all has come that a file has when it is first seen: so it has, if it has just begun."""
WINDOW_SECONDS = 1.0
"""Over which its rate is taken from then on."""
IDLE_SECONDS = 1.0
"""In which no helper is begun after one that found nothing to do."""
PAYS_SECONDS = 5.0
"""That a file needs at least for its rest, so that it is worth helping."""
FAST = 250_000_000
"""Bytes a second, 2 Gbit/s: servers and links that hold a connection up are slower. From here on
more connections cost processor time, half as much again on one machine, and are no faster."""


class Want(NamedTuple):
    """A file that may be helped.

    Attributes:
        id: of its job.
        left: bytes that are still to come.
        helpers: how many it has.
        more: how many more it may have.
    """

    id: int
    left: int
    helpers: int
    more: int


class _File:
    """What is known of a file under way."""

    def __init__(self, now: float, received: int) -> None:
        self.seen = now
        self.at_first = received
        self.since = now - BEFORE_SECONDS
        self.first = 0
        self.rate: float | None = None
        self.attempt = 0
        self.helpers: dict[int, int] = {}  # and the place of the URL that each asks
        self.bears: dict[int, int] = {}  # as many of them, by that place
        self.idle_until = now

    def watch(self, now: float, received: int) -> float | None:
        """Bytes a second, as soon as that can be told."""
        seconds, watched = now - self.since, now - self.seen
        if watched >= WATCH_SECONDS and self.rate is None:
            all_of_it = (received - self.first) / seconds
            self.rate = max((received - self.at_first) / watched, all_of_it)
        if seconds >= WINDOW_SECONDS:
            self.rate = (received - self.first) / seconds
            self.since, self.first = now, received
        return self.rate


class Splits:
    """Who helps whom.

    Args:
        most: connections of one file.
        least: bytes that each is to fetch at the least.
    """

    def __init__(self, most: int, least: int) -> None:
        self._most = most
        self._least = least
        self._files: dict[int, _File] = {}
        self._of: dict[int, int] = {}
        self._next = FIRST_HELPER

    def helpers(self, job: int | None = None) -> list[int]:
        """The helpers of a job, or all of them, the newest first."""
        if job is None:
            return sorted(self._of, reverse=True)
        file = self._files.get(job)
        return sorted(file.helpers, reverse=True) if file else []

    def at(self, job: int, place: int) -> int:
        """How many helpers of a job ask the URL at that place of its list."""
        return list(self._files[job].helpers.values()).count(place)

    def bears_more(self, job: int, place: int) -> bool:
        """Whether that URL has refused no helper beside those that ask it."""
        most = self._files[job].bears.get(place)
        return most is None or self.at(job, place) < most

    def helped_by(self, helper: int) -> int:
        """The job that the helper helps."""
        return self._of[helper]

    def together(self, rows: Iterable[Row]) -> list[Row]:
        """The rows of jobs, with what their helpers have fetched."""
        jobs: dict[int, Row] = {}
        more: dict[int, int] = {}
        for row in rows:
            if row[0] < FIRST_HELPER:
                jobs[row[0]] = row
            elif (job := self._of.get(row[0])) is not None:
                more[job] = more.get(job, 0) + row[1]
        return [(id_, received + more.get(id_, 0), size) for id_, received, size in jobs.values()]

    def wants(
        self, now: float, jobs: Iterable[Row], attempt: Callable[[int], int] = lambda _: 0
    ) -> list[Want]:
        """The files that may be helped; those that are over are forgotten.

        Args:
            now: the time.
            jobs: all that are under way, as `together` gives them.
            attempt: gives the number of a job's attempt; another one is a beginning.
        """
        found = []
        there = set()
        for id_, received, size in jobs:
            there.add(id_)
            left = (size or 0) - received
            if left < 2 * self._least:
                continue
            file = self._files.get(id_)
            if file is None or file.attempt != attempt(id_):
                before, file = file, _File(now, received)
                file.attempt = attempt(id_)
                file.helpers = {} if before is None else before.helpers
                self._files[id_] = file
            rate, helpers = file.watch(now, received), len(file.helpers)
            pays = rate is not None and rate < FAST and left > rate * PAYS_SECONDS
            if pays and file.idle_until <= now:
                more = min(self._most, left // self._least) - 1 - helpers
                found.append(Want(id_, left, helpers, more))
        for id_ in [id_ for id_, file in self._files.items() if id_ not in there]:
            if not self._files[id_].helpers:
                del self._files[id_]
        return [want for want in found if want.more > 0]

    def begin(self, job: int, place: int = 0) -> int:
        """The job gets another helper, which asks the URL at that place of its list: its id."""
        helper, self._next = self._next, self._next + 1
        self._of[helper] = job
        self._files[job].helpers[helper] = place
        return helper

    def ended(self, helper: int, *, refused: bool = False, idle: float | None = None) -> int:
        """The helper is no more; whom it helped.

        Args:
            helper: its id.
            refused: it was given nothing.
            idle: it found nothing to do; the time.
        """
        job = self._of.pop(helper)
        file = self._files[job]
        place = file.helpers.pop(helper)
        if refused:
            file.bears[place] = self.at(job, place)
        if idle is not None:
            file.idle_until = idle + IDLE_SECONDS
        return job


def share_out(wants: list[Want], idle: int, may: Callable[[int], bool]) -> list[int]:
    """The jobs that get a helper, once for each.

    Args:
        wants: who may have how many.
        idle: how many there are to be had.
        may: whether a job may have one more connection; it has it then.
    """
    given: list[int] = []
    wants = list(wants)
    while wants and len(given) < idle:
        most = max(wants, key=lambda want: want.left / (1 + want.helpers))
        wants.remove(most)
        if may(most.id):
            given.append(most.id)
            if most.more > 1:
                wants.append(most._replace(helpers=most.helpers + 1, more=most.more - 1))
    return given
