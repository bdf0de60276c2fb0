"""A lane driven the quick way by hand, as a worker's loop does it, on a connection kept open."""

from __future__ import annotations

import select
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pdl.fetch.lane_factory import Fetching
from pdl.model import SafePath, Task
from pdl.transport.http.head import split

if TYPE_CHECKING:
    from pdl.fetch.blocking import Fetcher
    from pdl.model import Answer
    from pdl.pool import Meter
    from pdl.settings import FileSettings, HttpSettings

PATIENCE = 0.05
"""Seconds without a byte after which the lane is called."""
WARM = "/warm.bin"
"""Path of an honest file that every server asked by such a lane has to have."""


class QuickLane:
    """Asks every origin for `WARM` first, so that the first task meets a kept connection.

    Attributes:
        ways: how many tasks were ended which way: ``quick`` or ``call``.
    """

    def __init__(self, http: HttpSettings, files: FileSettings) -> None:
        lane = Fetching.__call__(Fetching(http, files._replace(if_exists="skip")))
        self.lane: Fetcher = lane  # type: ignore[assignment]
        self._directory = files.directory
        self._warm: set[str] = set()
        self.ways: Counter[str] = Counter()

    def __call__(self, task: Task, meter: Meter) -> Answer:
        """Make one attempt, the quick way as far as it goes."""
        origin = "" if task.begun or task.as_listed else split(task.url)[0]
        if origin and origin not in self._warm:
            self._warm.add(origin)
            warming = Task(task.id, origin + WARM, SafePath("warm.bin"), "warm.part")
            self.lane(warming, meter)
            (Path(self._directory) / "warm.bin").unlink(missing_ok=True)
        answer = self._quick(task, meter)
        self.ways["call" if answer is None else "quick"] += 1
        return self.lane(task, meter) if answer is None else answer

    def _quick(self, task: Task, meter: Meter) -> Answer | None:
        quick = self.lane.quick
        assert quick is not None
        descriptor = quick.begin(task, meter)
        if descriptor is None:
            return None
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while poll.poll(PATIENCE * 1000):
            answer = quick.ready()
            if answer == "call":
                break
            if answer == "whole":
                return quick.finish()
            if answer != "more":
                return answer
        return None

    def cool(self) -> None:
        """Warm every origin anew."""
        self._warm.clear()

    def close(self) -> None:
        """Close every connection."""
        self.lane.close()
