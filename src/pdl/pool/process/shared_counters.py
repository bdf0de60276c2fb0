"""The counters that workers share with the main process, written without a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence, Sequence

CELL_WORDS = 4
"""Words of a lane's cell: id of its task + 1 (0: none), bytes, size + 1, bytes ever received."""


class StopFlag(Protocol):
    """The shared `Value` that tells every lane to end."""

    value: int


class SharedCounters(NamedTuple):
    """What all workers share: counters written by one lane or worker each, and the stop flag.

    Attributes:
        cells: `CELL_WORDS` for each lane.
        beats: one for each worker; changes as long as it runs.
    """

    cells: MutableSequence[int]
    beats: MutableSequence[int]
    stop: StopFlag


class CellMeter:
    """Writes a lane's progress into its cell of the shared array. One writer, so no lock.

    Args:
        shared: has the array.
        cell: of the lane.
        say: sends what the lane says.
    """

    def __init__(
        self, shared: SharedCounters, cell: int, say: Callable[[Sequence[str]], None]
    ) -> None:
        self.say = say
        self._cells = memoryview(shared.cells).cast("B").cast("Q")  # type: ignore[arg-type]
        self._stop = shared.stop
        self.cell = cell
        self._base = cell * CELL_WORDS
        self._last: int | None = None
        self._said = False

    def begin(self, task_id: int) -> None:
        """That task is under way."""
        if self._said:
            self._forget()
        self._cells[self._base] = task_id + 1

    def _forget(self) -> None:
        """Take away what was said of the last task: no reader may pair the new one with it."""
        cells, base = self._cells, self._base
        cells[base] = 0
        cells[base + 1] = 0
        cells[base + 2] = 0
        self._last = None
        self._said = False

    def update(self, received: int, size: int | None) -> None:
        """See `pdl.pool.Meter`. The first call of a task says where it starts."""
        cells, base = self._cells, self._base
        if self._last is not None and received > self._last:
            cells[base + 3] += received - self._last
        self._last = received
        self._said = True
        cells[base + 1] = received
        cells[base + 2] = 0 if size is None else size + 1

    def whole(self, size: int) -> None:
        """See `pdl.pool.Meter`."""
        self._cells[self._base + 3] += size

    def looked(self, count: int, size: int) -> None:
        """See `pdl.pool.Meter`."""
        cells, base = self._cells, self._base
        self._said = True
        cells[base + 1] = count
        cells[base + 2] = size + 1

    def stopped(self) -> bool:
        """See `pdl.pool.Meter`."""
        return bool(self._stop.value)
