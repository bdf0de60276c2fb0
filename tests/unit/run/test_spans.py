"""Which lane was at which line: told of every answer that a pool gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from pdl.model import FIRST_HELPER, Fail, FailureKind, Item, SafePath, Success, Task
from pdl.pool import Answered, Died, Live, PoolEvent, Returned, Said
from pdl.run.spans import WatchedPool, span_of
from pdl.scheduling.progress import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.scheduling.schedule import Schedule

DONE = Success("success", 1, 200, "http://h/a", 7, 7, 0, 2.0, first=0.5)
LOST = Fail("fail", 1, FailureKind.HTTP, transient=True, message="", status=503, seconds=1.0)
STAY = (None, None, None, (), (3, 90.0))


def task(number: int, part: str = "p") -> Task:
    return Task(number, "http://h/a", SafePath("a"), part)


class _Job:
    def __init__(self, number: int) -> None:
        self.plan = self
        self.item = Item(f"http://h/{number}", source="l", line=number)


class _Jobs:
    """All that is asked of a schedule: whose a task is."""

    def flying(self, number: int) -> _Job:
        return _Job(number)


class _Pool:
    """Gives these events one after the other."""

    def __init__(self, *events: PoolEvent) -> None:
        self.events = list(events)
        self.tasks: list[Task] = []

    def submit(self, tasks: Sequence[Task]) -> None:
        self.tasks.extend(tasks)

    def get_nowait(self) -> PoolEvent:
        return self.events.pop(0)

    def room(self) -> int:
        return 5

    def resize(self, jobs: int) -> None:
        self.jobs = jobs

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        raise NotImplementedError

    def go_easy(self, host: str) -> None:
        raise NotImplementedError

    def live(self) -> list[Live]:
        return []

    def received(self) -> int:
        return 9

    def stop(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def watched(*events: PoolEvent) -> tuple[WatchedPool, list[Span], _Pool]:
    told: list[Span] = []
    pool = _Pool(*events)
    return WatchedPool(pool, cast("Schedule", _Jobs()), told.append), told, pool


@pytest.mark.parametrize(
    ("answer", "span"),
    [
        (DONE._replace(facts=STAY), Span("l", 1, 3, 88.0, 90.0, 0.5, 7)),
        (LOST._replace(facts=STAY), Span("l", 1, 3, 89.0, 90.0, None, 0, "http-503")),
        # the only lane does not say that it is one; it has just answered
        (DONE, Span("l", 1, 0, 98.0, 100.0, 0.5, 7)),
        # nothing ends in the future
        (DONE._replace(facts=(*STAY[:4], (2, 1e9))), Span("l", 1, 2, 98.0, 100.0, 0.5, 7)),
        (
            DONE._replace(id=FIRST_HELPER, facts=STAY),
            Span("l", 1, 3, 88.0, 90.0, 0.5, 7, helps=True),
        ),
    ],
)
def test_an_answer_says_where_and_when(answer: Success | Fail, span: Span) -> None:
    assert span_of(("l", 1), answer, 100.0) == span


def test_every_answer_is_told_and_comes_through() -> None:
    event = Answered((DONE._replace(id=4), LOST._replace(id=5)))
    pool, told, inner = watched(event)
    pool.submit([task(4), task(5)])
    assert [each.id for each in inner.tasks] == [4, 5]
    assert pool.get_nowait() is event
    assert [(span.line, span.word) for span in told] == [(4, ""), (5, "http-503")]
    assert (pool.room(), pool.received(), pool.live()) == (5, 9, [])


def test_who_helps_is_told_with_the_line_of_the_file() -> None:
    first, second = DONE._replace(id=FIRST_HELPER), DONE._replace(id=7)
    pool, told, _ = watched(Answered((first, second)))
    pool.submit([task(7, "x"), task(8, "y")])
    pool.submit([task(FIRST_HELPER, "x")])
    pool.get_nowait()
    assert [(span.line, span.helps) for span in told] == [(7, True), (7, False)]


def test_what_comes_back_without_an_answer_is_not_told_and_not_remembered() -> None:
    said, died = Said(("> GET",)), Died((2,), (3,), "killed", (0,))
    events = said, Returned((1,)), died, Answered((DONE._replace(id=1),))
    pool, told, _ = watched(*events)
    pool.submit([task(1), task(2), task(3)])
    for event in events:
        assert pool.get_nowait() is event
    assert told == []
    assert (pool._lines, pool._parts, pool._at) == ({}, {}, {})


def test_no_more_is_remembered_than_what_is_under_way() -> None:
    pool, told, _ = watched(*(Answered((DONE._replace(id=number),)) for number in range(100)))
    pool.submit([task(0, "p0")])
    for number in range(1, 101):
        pool.submit([task(number, f"p{number}")])
        pool.get_nowait()
        assert (len(pool._lines), len(pool._parts), len(pool._at)) == (1, 1, 1)
    assert len(told) == 100
