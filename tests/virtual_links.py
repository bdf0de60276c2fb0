"""Links and hosts on a virtual clock, and a run over them that `AutoJobs` steers."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.scheduling.auto_jobs import AutoJobs


class Link(NamedTuple):
    """What a file costs.

    Attributes:
        latency: seconds from a request to the first byte; as many for each new connection.
        jitter: of that, this share is chance.
        cpu: seconds of one core, for each file.
        bandwidth: bytes a second of all together.
        each: bytes a second of a connection, at the most.
        size: bytes of a file.
        spread: sizes are between this share of it and twice that much less.
        bears: requests that the host takes at once; others are not made.
    """

    latency: float = 0.0
    jitter: float = 0.0
    cpu: float = 1e-4
    bandwidth: float = 1e9
    each: float = 1e9
    size: float = 4096
    spread: float = 0.0
    bears: int = 1 << 30


CHUNKS = 4
"""Pieces in which a file comes: others get their turn in between."""


class Run:
    """So many files over a link, steered or not.

    Args:
        link: what they cost; it may change with time.
        files: how many.
        auto: steers; None for `jobs` all the time.
        jobs: downloads in flight.
        seed: of chance.
        until: the run ends then, however many files are left.

    Attributes:
        levels: how many were in flight from when on.
        ends: when each file ended.
    """

    def __init__(
        self,
        link: Link | Callable[[float], Link],
        files: int,
        *,
        auto: AutoJobs | None = None,
        jobs: int = 8,
        seed: int = 0,
        until: float = 1e9,
    ) -> None:
        self._link = link
        self._left = files
        self._auto = auto
        self.jobs = jobs if auto is None else auto.jobs
        self._dice = random.Random(seed)
        self._until = until
        self.now = 0.0
        self.levels: list[tuple[float, int]] = [(0.0, self.jobs)]
        self.ends: list[float] = []
        self.received = 0.0
        self._cpu_free = self._line_free = 0.0
        self._flying = 0
        self._warm = 0
        self._order = 0
        self._events: list[tuple[float, int, int, float]] = []

    def link(self) -> Link:
        """What holds now."""
        return self._link if isinstance(self._link, Link) else self._link(self.now)

    def run(self) -> float:
        """Run it; the seconds that it took."""
        self._fill()
        while self._events and self.now < self._until:
            self.now, _, chunks, size = heapq.heappop(self._events)
            self._chunk(chunks, size)
            self._fill()
            self._look()
        return self.now

    def pace(self, since: float, until: float) -> float:
        """Files a second between these times."""
        return sum(since < each <= until for each in self.ends) / (until - since)

    def _fill(self) -> None:
        link = self.link()
        while self._left and self._flying < min(self.jobs, link.bears):
            self._left -= 1
            self._flying += 1
            cold = self._flying > self._warm
            self._warm = max(self._warm, self._flying)
            latency = link.latency * (1 + link.jitter * self._dice.uniform(-1, 1))
            size = link.size * (1 + link.spread * self._dice.uniform(-1, 1))
            self._push(self.now + latency * (1 + cold), CHUNKS, size)

    def _push(self, at: float, chunks: int, size: float) -> None:
        self._order += 1
        heapq.heappush(self._events, (at, self._order, chunks, size))

    def _chunk(self, chunks: int, size: float) -> None:
        link = self.link()
        if not chunks:
            self._flying -= 1
            self.ends.append(self.now)
            return
        if chunks < CHUNKS:
            self.received += size / CHUNKS
        piece = size / CHUNKS
        self._line_free = max(self._line_free, self.now) + piece / link.bandwidth
        at = max(self._line_free, self.now + piece / link.each)
        if chunks == 1:
            self.received += piece
            self._cpu_free = max(self._cpu_free, at) + link.cpu
            at = self._cpu_free
        self._push(at, chunks - 1, size)

    def _look(self) -> None:
        if self._auto is None or self.now < self._auto.due:
            return
        jobs = self._auto.look(self.now, len(self.ends), int(self.received), self._flying)
        if jobs != self.jobs:
            self.jobs = jobs
            self.levels.append((self.now, jobs))
