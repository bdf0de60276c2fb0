"""When the loop of a worker leaves the quick way: on a clock of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
from multiprocessing.sharedctypes import RawArray, RawValue
from typing import TYPE_CHECKING, Any

import pytest

from lanes import success, task
from pdl.pool.process import worker
from pdl.pool.process.pipes import HELLO, OutcomeQueue, TaskReceiver, TaskSender
from pdl.pool.process.shared_counters import CELL_WORDS, SharedCounters
from runner import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.model import Answer, Task
    from pdl.pool import Meter

LANES = 4


class Clock:
    """Stands for `time`, and goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Quick:
    """A quick way whose answers are there at once; a turn of it takes so many seconds."""

    def __init__(self, clock: Clock, turns: Iterator[float]) -> None:
        self.clock, self.turns = clock, turns
        self.reader, writer = os.pipe()
        os.write(writer, b"x")
        self.answer: Answer | None = None

    def begin(self, task: Task, _meter: Meter) -> int:
        self.answer = success(task.id)
        return self.reader

    def ready(self) -> str:
        return "whole"

    def finish(self) -> Answer:
        self.clock.now += next(self.turns, 0.0)
        assert self.answer is not None
        return self.answer


class Scene:
    """A loop in a thread, whose lanes count what comes to them by being called."""

    def __init__(self, clock: Clock, *, build: float, turns: tuple[float, ...]) -> None:
        context: Any = multiprocessing.get_context("fork")
        self.clock, self.build = clock, build
        self.turns = iter(turns)
        self.called: list[int] = []
        self.ended = 0
        reader, writer = context.Pipe(duplex=False)
        self.outcomes = OutcomeQueue(ctx=context)
        end = worker.WorkerEnd(TaskReceiver(reader), self.outcomes, 0, LANES)
        shared = SharedCounters(
            RawArray("Q", LANES * CELL_WORDS), RawArray("Q", 1), RawValue("b", 0)
        )
        self.sender = TaskSender(writer)
        self.loop = worker.Loop(end, self.lane, LANES, shared)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        with contextlib.suppress(EOFError):
            self.loop.run()

    def lane(self) -> Any:  # noqa: ANN401 - with an attribute
        self.clock.now += self.build

        def lane(task: Task, _meter: Meter) -> Answer:
            self.called.append(task.id)
            return success(task.id)

        lane.quick = Quick(self.clock, self.turns)  # type: ignore[attr-defined]
        return lane

    def do(self, count: int) -> int:
        """Give so many tasks; how many of them were called."""
        before = len(self.called)
        assert self.sender.send([task(number, "ok") for number in range(count)])
        self.ended = 0
        until(lambda: self.take() == count, "answers")
        return len(self.called) - before

    def take(self) -> int:
        """How many answers have come."""
        with contextlib.suppress(queue.Empty):
            answers = self.outcomes.get_nowait()
            assert isinstance(answers, tuple)
            self.ended += 0 if answers == HELLO else len(answers)
        return self.ended

    def end(self) -> None:
        self.sender.close()
        self.thread.join()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(worker, "time", found)
    return found


@pytest.mark.parametrize(
    ("build", "turns", "called"),
    [
        (0.0, (), False),
        (0.2, (), False),  # to build lanes takes long where there are many
        (0.0, (0.4,), False),  # the system ran another process for a while
        (0.0, (0.02,) * 40, True),  # a file system that takes its time
    ],
)
def test_what_says_that_the_quick_way_is_slow(
    clock: Clock, build: float, turns: tuple[float, ...], called: bool
) -> None:
    scene = Scene(clock, build=build, turns=turns)
    try:
        found = [scene.do(1) for _ in range(30)]
        assert (sum(found) > 0) is called
    finally:
        scene.end()
