"""Pools of download workers behind one protocol.

The engine sees no processes: it submits tasks, takes events, and closes. `process` spreads the
work over a `multiprocessing.Pool`; `inline` runs it in the calling process, for tests and
debugging. One contract suite (``tests/unit/pool/test_pool_contract.py``) holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from pdl.model import Answer, Task
from pdl.text.named_tuple import NamedTuple


class Answered(NamedTuple):
    """Event: tasks that a worker has finished."""

    answers: tuple[Answer, ...]


class Died(NamedTuple):
    """Event: a worker died; these tasks will get no answer from it.

    Attributes:
        current: ids of the tasks it was working on.
        waiting: ids of those it had been given and had not begun.
        reason: how it ended, as ``killed by SIGKILL``.
        reached: bytes of its file that each of `current` had got to.
    """

    current: tuple[int, ...]
    waiting: tuple[int, ...]
    reason: str
    reached: tuple[int, ...]


class Returned(NamedTuple):
    """Event: tasks that come back untouched: the worker they waited in is busy, or is to stop."""

    ids: tuple[int, ...]


class Said(NamedTuple):
    """Event: a lane has something for whoever looks closely, masked; no task has ended."""

    lines: tuple[str, ...]


PoolEvent = Answered | Died | Returned | Said


class Live(NamedTuple):
    """What is known of a task under way: bytes of its file so far, and its size or None."""

    id: int
    received: int
    size: int | None


class Meter(Protocol):
    """Where a lane tells how far its task is; cheap enough for every chunk."""

    def update(self, received: int, size: int | None) -> None:
        """Set the bytes of the file so far (a resumed part included) and its size if known.

        The first call for a task says where it starts.
        """

    def whole(self, size: int) -> None:
        """Count a task's bytes that was not told of yet: its file came at once, and is done."""

    def looked(self, count: int, size: int) -> None:
        """Set both for a file that is there and is read: no bytes that were received."""

    def say(self, lines: Sequence[str]) -> None:
        """Let whoever looks closely know something; seldom, for it is a message of its own.

        Args:
            lines: masked.
        """

    def stopped(self) -> bool:
        """Whether the run has been told to stop: end the attempt, keep the part."""


Lane = Callable[[Task, Meter], Answer]
"""Makes one attempt at one task; raises nothing."""


class QuickLane(Protocol):
    """A lane's short way, for what can be done without waiting; its attribute ``quick``.

    Whatever does not end here is called, with the same task, and goes on from there.
    """

    def begin(self, task: Task, meter: Meter) -> int | None:
        """Begin an attempt: what to wait for before `ready`, or None if the lane is to be called.

        Returns:
            A descriptor that is readable when there is something to do.
        """

    def ready(self) -> Answer | Literal["more", "whole", "call"]:
        """Go on: the answer, or wait for more, or call the lane.

        With ``whole`` all has come, and `finish` gives the answer. The next task may be begun
        before that, so that its server is at work meanwhile.
        """

    def finish(self) -> Answer | None:
        """Do what is left when all has come.

        Returns:
            None if the lane is to be called; a task that was begun since is then begun anew.
        """


class Connections(Protocol):
    """What an idle lane keeps open; its attribute ``connections``."""

    def holds(self, host: str) -> bool:
        """Whether a connection to the host is open."""

    def hang_up(self, host: str) -> None:
        """Close those to the host."""


LaneFactory = Callable[[], Lane]
"""Builds a lane inside its worker; crosses the process boundary, so it is picklable.

If it has an attribute `timed` that is true, answers say where they come from, as
`pdl.model.Stay` has it."""


class Pool(Protocol):
    """Workers that make attempts; every task submitted ends in exactly one event."""

    def room(self) -> int:
        """How many tasks it should be given now; 0 while every lane has enough to do."""

    def resize(self, jobs: int) -> None:
        """Use so many lanes from now on, at most as many as it was made with.

        What is under way in others ends there.
        """

    def submit(self, tasks: Sequence[Task]) -> None:
        """Hand over tasks, at most `room()` of them; they start in this order."""

    def get_nowait(self) -> PoolEvent:
        """Return the next event.

        Raises:
            queue.Empty: nothing has happened since.
            pdl.errors.MachineError: workers cannot be started.
        """

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        """Return when an event is there, one of the descriptors `also` is readable, or in time."""

    def go_easy(self, host: str) -> None:
        """Less is to be asked of a host: what no lane has begun comes back.

        Connections to it that nobody uses are closed, but where `Task.scarce` will use them.

        Args:
            host: as in `Task.scarce`.
        """

    def live(self) -> list[Live]:
        """The tasks under way."""

    def received(self) -> int:
        """Bytes that came over the wire so far; never goes back."""

    def stop(self) -> None:
        """Tell every lane to end its attempt and begin no other; all that still comes as events."""

    def close(self) -> None:
        """End every worker, at once, and return when none is left."""
