"""The in-process pool: runs each task when its event is asked for. For tests and debugging."""

from __future__ import annotations

import queue
from collections import deque
from multiprocessing import connection
from typing import TYPE_CHECKING

from pdl.pool import Answered, LaneFactory, Live, PoolEvent, Said
from pdl.pool.process.worker import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import Task
    from pdl.settings import PoolSettings


class InlineMeter:
    """Keeps what the one lane says."""

    def __init__(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.halted = False
        self._interrupted = interrupted
        self.total = 0
        self.said: list[PoolEvent] = []
        self._last: int | None = None

    def begin(self) -> None:
        """A task is under way."""
        self._last = None

    def update(self, received: int, size: int | None) -> None:  # noqa: ARG002 - the protocol's shape
        """See `pdl.pool.Meter`."""
        if self._last is not None and received > self._last:
            self.total += received - self._last
        self._last = received

    def whole(self, size: int) -> None:
        """See `pdl.pool.Meter`."""
        self.total += size

    def looked(self, count: int, size: int) -> None:
        """See `pdl.pool.Meter`."""

    def say(self, lines: Sequence[str]) -> None:
        """See `pdl.pool.Meter`."""
        self.said.append(Said(tuple(lines)))

    def stopped(self) -> bool:
        """See `pdl.pool.Meter`."""
        return self.halted or self._interrupted()


class InlinePool:
    """`pdl.pool.Pool` with one lane in this very thread.

    Args:
        factory: builds the lane.
        interrupted: whether the run is to stop; nobody can call `stop` while the lane runs.
    """

    def __init__(
        self, factory: LaneFactory, interrupted: Callable[[], bool] = lambda: False
    ) -> None:
        lane = factory()
        self._end = getattr(lane, "close", None)
        self._lane = guarded(lane)
        self._meter = InlineMeter(interrupted)
        self._tasks: deque[Task] = deque()
        self._events: deque[PoolEvent] = deque()

    def room(self) -> int:
        """See `pdl.pool.Pool.room`."""
        return 0 if self._tasks or self._events else 1

    def resize(self, jobs: int) -> None:
        """See `pdl.pool.Pool.resize`. There is but one lane."""

    def submit(self, tasks: Sequence[Task]) -> None:
        """See `pdl.pool.Pool.submit`."""
        self._tasks.extend(tasks)

    def get_nowait(self) -> PoolEvent:
        """See `pdl.pool.Pool.get_nowait`. Runs the next task to its end."""
        if not self._events:
            if not self._tasks:
                raise queue.Empty
            task = self._tasks.popleft()
            self._meter.begin()
            answered = Answered((self._lane(task, self._meter),))
            if not self._meter.said:
                return answered
            self._events.extend([*self._meter.said, answered])
            self._meter.said.clear()
        return self._events.popleft()

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        """See `pdl.pool.Pool.wait`. An event is there whenever a task is."""
        if not self._tasks and not self._events:
            connection.wait(also, timeout=seconds)

    def go_easy(self, host: str) -> None:
        """See `pdl.pool.Pool.go_easy`. There is but one lane."""

    def live(self) -> list[Live]:
        """See `pdl.pool.Pool.live`. Nothing runs while this is asked."""
        return []

    def received(self) -> int:
        """Bytes that came over the wire so far."""
        return self._meter.total

    def stop(self) -> None:
        """See `pdl.pool.Pool.stop`."""
        self._meter.halted = True

    def close(self) -> None:
        """See `pdl.pool.Pool.close`."""
        self._tasks.clear()
        if self._end is not None:
            self._end()


def inline_pool(
    factory: LaneFactory, _settings: PoolSettings, stopped: Callable[[], bool]
) -> InlinePool:
    """See `pdl.pool.registry.make_pool`."""
    return InlinePool(factory, stopped)
