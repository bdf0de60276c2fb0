"""The drive loop over a pool that says what it is told to: every line gets exactly one outcome."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pdl.errors import ListError, MachineError
from pdl.model import Answer, Fail, FailureKind, Item, Outcome, Result, Retrying, Success, Task
from pdl.pool import Answered, Died, Live, Meter, PoolEvent, Returned, Said
from pdl.pool.inline import InlinePool
from pdl.run.download import download
from pdl.run.engine import EVENTS, LINES, LOOKAHEAD, SOON, STOPPING, TICK, Engine
from pdl.run.in_flight import InFlight
from pdl.run.outputs import Listener, Outputs
from pdl.run.parts import Parts
from pdl.run.planner import Planner
from pdl.run.stop import Stop
from pdl.scheduling.governor import Governor
from pdl.scheduling.progress import Standing, Summary, Transfer, Waiting
from pdl.scheduling.retry import MAX_DEATHS, Limits, RetryPolicy
from pdl.scheduling.schedule import Schedule
from pdl.settings import (
    FileSettings,
    NamingSettings,
    PoolSettings,
    RetrySettings,
    Settings,
    StopSettings,
)
from pdl.sources.feed import Feed, open_sources
from servers.misbehave import File, Reply, Server

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.model import BadLine

Script = Callable[[Task, int], PoolEvent | None]
"""What happens to a task when it is submitted for the n-th time, from 1; None: nothing, ever."""


def success(task: Task, received: int = 10) -> Success:
    return Success("success", task.id, 200, task.url, received, 10, 0, 0.0)


def failure(task: Task, kind: FailureKind = FailureKind.RESET, *, transient: bool = True) -> Fail:
    return Fail("fail", task.id, kind, transient, f"{kind} it is", received=3)


def answered(answer: Answer) -> Answered:
    return Answered((answer,))


class ScriptedPool:
    """`pdl.pool.Pool` without workers: a script says what comes of each task."""

    def __init__(self, script: Script, lanes: int = 2) -> None:
        self._script = script
        self._lanes = lanes
        self._events: deque[PoolEvent] = deque()
        self._held: dict[int, Task] = {}
        self.tries: Counter[int] = Counter()
        self.submitted: list[str] = []
        self.stops = 0
        self.obeys = True
        self.closes = 0
        self.on_wait: Callable[[], None] = lambda: None

    def room(self) -> int:
        return self._lanes - len(self._held)

    def resize(self, jobs: int) -> None:
        self._lanes = jobs

    def submit(self, tasks: Sequence[Task]) -> None:
        assert len(tasks) <= self.room()
        for task in tasks:
            assert task.id not in self._held, "a task was handed out twice"
            self._held[task.id] = task
            self.tries[task.id] += 1
            self.submitted.append(task.url.rpartition("/")[2])
            event = self._script(task, self.tries[task.id])
            if event is not None:
                self._events.append(event)

    def get_nowait(self) -> PoolEvent:
        if not self._events:
            raise queue.Empty
        event = self._events.popleft()
        for number in ids_of(event):
            del self._held[number]
        return event

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:  # noqa: ARG002 - the protocol's
        assert 0 <= seconds <= 1
        self.on_wait()

    def go_easy(self, host: str) -> None:
        pass

    def live(self) -> list[Live]:
        return [Live(number, 5, 10) for number in self._held]

    def received(self) -> int:
        return 123

    def stop(self) -> None:
        self.stops += 1
        if self.obeys:
            told = {number for event in self._events for number in ids_of(event)}
            for number, task in self._held.items():
                if number not in told:
                    self._events.append(answered(failure(task, FailureKind.CANCELLED)))

    def close(self) -> None:
        self.closes += 1


def ids_of(event: PoolEvent) -> tuple[int, ...]:
    if isinstance(event, Answered):
        return tuple(answer.id for answer in event.answers)
    if isinstance(event, Died):
        return event.current + event.waiting
    return () if isinstance(event, Said) else event.ids


class Recorder(Listener):
    """A listener that keeps everything."""

    def __init__(self, *, every: bool) -> None:
        self.every = every
        self.counted = 0
        self.results: list[Result] = []
        self.items: list[Item | None] = []
        self.retries: list[Retrying] = []
        self.troubles: list[str] = []
        self.transfers: list[Transfer] = []
        self.totals: list[int | None] = []
        self.waits: list[Waiting] = []

    def passed(self, count: int) -> None:
        self.counted += count

    def record(self, result: Result, item: Item | None) -> None:
        self.results.append(result)
        self.items.append(item)

    def retrying(self, event: Retrying) -> None:
        self.retries.append(event)

    def warn(self, text: str) -> None:
        self.troubles.append(text)

    def tick(self, standing: Standing) -> None:
        self.transfers += standing.live
        self.totals.append(standing.total)
        self.waits += [standing.waiting] if standing.waiting else []

    def outcomes(self) -> dict[str, str]:
        """Line number to outcome or kind; fails if a line has two."""
        lines = [f"{result.source}:{result.line}" for result in self.results]
        assert len(lines) == len(set(lines))
        words = {str(each.line): each.kind or each.outcome.value for each in self.results}
        return dict(sorted(words.items(), key=lambda pair: int(pair[0])))


class Bench:
    """An engine with everything that it drives."""

    def __init__(
        self,
        directory: object,
        entries: Sequence[str | Item],
        pool: ScriptedPool,
        limits: StopSettings | None = None,
        retry: RetrySettings | None = None,
        *,
        every: bool = True,
        patience: float = 120.0,
    ) -> None:
        self.pool = pool
        self.sink = Recorder(every=every)
        self.stop = Stop()
        limits = limits or StopSettings()
        schedule = Schedule(Governor(Limits(8, limits.per_host, patience)))
        self.parts = Parts(
            Feed.of(entries),
            Planner(FileSettings(directory=str(directory)), NamingSettings()),
            schedule,
            RetryPolicy(retry or RetrySettings(retries=3, wait=0.0)),
            pool,
            Outputs([self.sink]),
            InFlight(8, pool, schedule),
        )
        self.engine = Engine(self.parts, limits, self.stop)

    def run(self) -> Summary:
        summary = self.engine.run()
        assert self.pool.closes == 1
        counted = summary.succeeded + summary.skipped + summary.unchanged
        assert counted + summary.failed + summary.left == len(self.sink.results) + self.sink.counted
        return summary


def urls(count: int) -> list[str]:
    return [f"http://h{number % 3}/{number}" for number in range(1, count + 1)]


def always(task: Task, _: int) -> PoolEvent:
    return answered(success(task))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5000])
def test_every_line_has_one_outcome(tmp_path: object, count: int) -> None:
    bench = Bench(tmp_path, urls(count), ScriptedPool(always, lanes=8))
    summary = bench.run()
    assert bench.sink.outcomes() == {str(line): "success" for line in range(1, count + 1)}
    assert (summary.succeeded, summary.left, summary.unread) == (count, 0, False)
    assert summary.bytes == 123
    assert bench.pool.stops == 0


def test_what_succeeds_is_just_counted_where_nobody_looks(tmp_path: Path) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        kinds = {"3": 304, "4": 404}
        status = kinds.get(task.url[-1], 200)
        if status == 404:
            fail = failure(task, FailureKind.HTTP, transient=False)
            return answered(fail._replace(status=status))
        return answered(success(task)._replace(status=status))

    (tmp_path / "5").touch()
    entries = [f"http://h/{name}" for name in (1, 2, 2, 3, 4, 5, 1, 6)]
    bench = Bench(tmp_path, entries, ScriptedPool(script), every=False)
    summary = bench.run()
    ended = (summary.succeeded, summary.unchanged, summary.skipped, summary.failed)
    assert ended == (5, 1, 1, 1)
    seen = Counter(bench.sink.outcomes().values())
    assert seen.pop("success", 0) + bench.sink.counted == 5
    assert seen == {"unchanged": 1, "http-404": 1, "skipped": 1}
    assert bench.sink.counted > 0


def test_only_who_listens_is_told_of_each_line(tmp_path: object) -> None:
    told: list[str] = []

    class Ticking(Listener):
        def tick(self, *_: object, **__: object) -> None:
            told.append("tick")

    class Recording(Listener):
        def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
            told.append(str(result.outcome))

    bench = Bench(tmp_path, [*urls(3), "nonsense"], ScriptedPool(always))
    parts = bench.parts._replace(outputs=Outputs([Ticking(), Recording()]))
    summary = Engine(parts, StopSettings(), Stop()).run()
    assert (summary.succeeded, summary.failed) == (3, 1)
    assert {each for each in told if each != "tick"} == {"fail"}
    assert told.count("fail") == 1
    assert "tick" in told


def test_lines_that_are_none_and_items_that_are_refused(tmp_path: object) -> None:
    entries: list[str | Item] = [
        "http://h/1",
        "nonsense",
        Item("http://h/3", out="../x", source="items", line=3),
    ]
    bench = Bench(tmp_path, entries, ScriptedPool(always))
    assert bench.run().failed == 2
    assert bench.sink.outcomes() == {"1": "success", "2": "invalid-url", "3": "name"}
    given = dict(zip([each.line for each in bench.sink.results], bench.sink.items, strict=True))
    assert given[2] is None
    assert given[3] == entries[2]


def test_a_retry_that_helps(tmp_path: object) -> None:
    def script(task: Task, attempt: int) -> PoolEvent:
        return answered(failure(task) if attempt < 3 else success(task))

    bench = Bench(tmp_path, urls(4), ScriptedPool(script))
    assert bench.run().succeeded == 4
    assert {(each.attempts, each.bytes) for each in bench.sink.results} == {(3, 16)}
    assert Counter(each.attempt for each in bench.sink.retries) == {1: 4, 2: 4}
    assert {each.kind for each in bench.sink.retries} == {"reset"}


def test_retries_end(tmp_path: object) -> None:
    bench = Bench(tmp_path, urls(1), ScriptedPool(lambda task, _: answered(failure(task))))
    assert bench.run().failed == 1
    (result,) = bench.sink.results
    assert (result.kind, result.attempts, result.transient) == ("reset", 4, True)
    assert result.started is not None


def test_what_is_final_is_tried_once(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        fail = failure(task, FailureKind.HTTP, transient=False)
        return answered(fail._replace(status=404))

    bench = Bench(tmp_path, urls(1), ScriptedPool(script))
    bench.run()
    (result,) = bench.sink.results
    assert (result.kind, result.attempts, result.transient) == ("http-404", 1, False)
    assert bench.sink.retries == []


def test_a_host_that_asks_for_quiet_gets_it(tmp_path: object) -> None:
    def script(task: Task, attempt: int) -> PoolEvent:
        if task.url.endswith("a/1") and attempt == 1:
            return answered(failure(task)._replace(retry_after=0.3))
        return answered(success(task))

    entries = ["http://a/1", "http://a/2", "http://b/3", "http://b/4"]
    pool = ScriptedPool(script, lanes=1)
    assert Bench(tmp_path, entries, pool).run().succeeded == 4
    assert pool.submitted == ["1", "3", "4", "1", "2"]


def test_a_wait_that_is_too_long_is_explained(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        return answered(failure(task)._replace(retry_after=9999))

    bench = Bench(tmp_path, urls(1), ScriptedPool(script))
    bench.run()
    assert "--max-retry-wait" in bench.sink.results[0].message


# --- deaths ---


def died(task: Task) -> Died:
    return Died((task.id,), (), "killed by SIGKILL", (0,))


def test_a_worker_that_died_once_is_no_failure(tmp_path: object) -> None:
    asked: list[tuple[bool, bool]] = []

    def script(task: Task, attempt: int) -> PoolEvent:
        asked.append((task.begun, task.fragile))
        return died(task) if attempt == 1 else answered(success(task))

    bench = Bench(tmp_path, urls(3), ScriptedPool(script))
    assert bench.run().succeeded == 3
    # what it gets the next time is kept from the first byte on, which the short way does not do
    assert sorted(asked) == [(False, False)] * 3 + [(True, True)] * 3


def test_a_task_that_kills_every_worker_is_given_up(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        return died(task) if task.url.endswith("/2") else answered(success(task))

    bench = Bench(tmp_path, urls(3), ScriptedPool(script))
    assert bench.run().failed == 1
    assert bench.sink.outcomes() == {"1": "success", "2": "worker-died", "3": "success"}
    (result,) = [each for each in bench.sink.results if each.outcome is Outcome.FAIL]
    assert bench.pool.submitted.count("2") >= MAX_DEATHS
    assert "killed by SIGKILL" in result.message
    assert result.transient


@pytest.mark.parametrize("often", [1, 99])
def test_a_worker_that_died_is_no_mirrors_fault(tmp_path: object, often: int) -> None:
    asked: list[str] = []

    def script(task: Task, time: int) -> PoolEvent:
        asked.append(task.url)
        return died(task) if time <= often else answered(success(task))

    item = Item("http://a/1", ("http://b/1",), source="list", line=1)
    bench = Bench(tmp_path, [item], ScriptedPool(script))
    bench.run()
    assert set(asked) == {"http://a/1"}
    assert bench.sink.outcomes() == {"1": "success" if often == 1 else "worker-died"}


def test_what_is_fatal_asks_no_mirror(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        return answered(failure(task, FailureKind.DISK, transient=False)._replace(fatal=True))

    item = Item("http://a/1", ("http://b/2",), source="list", line=1)
    bench = Bench(tmp_path, [item], ScriptedPool(script))
    bench.run()
    assert bench.pool.submitted == ["1"]
    assert bench.engine.machine_error() is not None


def test_per_host_and_pauses_are_those_of_the_mirror_that_is_asked(tmp_path: object) -> None:
    """The first host has no room and then a pause; nothing of that holds up the second."""
    asked: list[str] = []

    def script(task: Task, _: int) -> PoolEvent:
        asked.append(task.url.split("/")[2])
        if asked[-1] == "b":
            return answered(success(task))
        fail = failure(task, FailureKind.HTTP)
        return answered(fail._replace(status=503, retry_after=50.0))

    items = [Item(f"http://a/{n}", (f"http://b/{n}",), source="list", line=n) for n in range(1, 21)]
    bench = Bench(tmp_path, items, ScriptedPool(script), StopSettings(per_host=1))
    assert bench.run().succeeded == 20
    assert Counter(asked) == {"a": 1, "b": 20}
    assert [each.delay for each in bench.sink.retries] == [0.0]


@pytest.mark.parametrize("status", [200, 404])
def test_a_host_that_answers_now_and_then_stays_first(tmp_path: object, status: int) -> None:
    asked: list[str] = []

    def script(task: Task, _: int) -> PoolEvent:
        asked.append(task.url.split("/")[2])
        told = status if asked.count("a") % 3 == 0 else 500
        if asked[-1] == "b" or told == 200:
            return answered(success(task))
        return answered(
            failure(task, FailureKind.HTTP, transient=told == 500)._replace(status=told)
        )

    items = [Item(f"http://a/{n}", (f"http://b/{n}",), source="list", line=n) for n in range(1, 31)]
    bench = Bench(tmp_path, items, ScriptedPool(script, lanes=1))
    assert bench.run().succeeded == 30
    assert Counter(asked)["a"] == 30


@pytest.mark.parametrize(("received", "times"), [(0, 3), (5, 20)])
def test_a_host_that_cuts_off_some_bodies_is_up(
    tmp_path: object, received: int, times: int
) -> None:
    asked: list[str] = []

    def script(task: Task, _: int) -> PoolEvent:
        asked.append(task.url.split("/")[2])
        if asked[-1] == "b":
            return answered(success(task))
        return answered(failure(task)._replace(received=received))

    items = [Item(f"http://a/{n}", (f"http://b/{n}",), source="list", line=n) for n in range(1, 21)]
    bench = Bench(tmp_path, items, ScriptedPool(script, lanes=1))
    assert bench.run().succeeded == 20
    assert Counter(asked) == {"a": times, "b": 20}


def test_what_waited_in_a_dead_worker_runs_again(tmp_path: object) -> None:
    held: list[Task] = []

    def script(task: Task, attempt: int) -> PoolEvent | None:
        if attempt > 1:
            return answered(success(task))
        held.append(task)
        if len(held) < 3:
            return None
        first, *rest = (each.id for each in held)
        return Died((first,), tuple(rest), "exit code 1", (0,))

    bench = Bench(tmp_path, urls(3), ScriptedPool(script, lanes=3))
    assert bench.run().succeeded == 3
    assert {each.attempts for each in bench.sink.results} == {1, 2}


def test_what_comes_back_untouched_is_no_attempt(tmp_path: object) -> None:
    def script(task: Task, attempt: int) -> PoolEvent:
        return Returned((task.id,)) if attempt == 1 else answered(success(task))

    bench = Bench(tmp_path, urls(5), ScriptedPool(script))
    assert bench.run().succeeded == 5
    assert {each.attempts for each in bench.sink.results} == {1}


# --- followers ---


def test_the_same_url_is_fetched_once_and_counted_for_every_line(tmp_path: object) -> None:
    bench = Bench(tmp_path, ["http://h/1", "http://h/1", "http://H:80/1#x"], ScriptedPool(always))
    assert bench.run().succeeded == 3
    assert bench.sink.outcomes() == {"1": "success", "2": "success", "3": "success"}
    assert len(bench.pool.submitted) == 1
    assert sum(each.bytes for each in bench.sink.results) == 10
    assert len({each.path for each in bench.sink.results}) == 1


def test_followers_fail_with_it(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        return answered(failure(task, FailureKind.TLS, transient=False))

    bench = Bench(tmp_path, ["http://h/1", "http://h/1"], ScriptedPool(script))
    assert bench.run().failed == 2
    assert bench.sink.outcomes() == {"1": "tls", "2": "tls"}


# --- the end before the end ---


def test_fail_fast(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        if task.url.endswith("/3"):
            return answered(failure(task, FailureKind.TLS, transient=False))
        return answered(success(task))

    bench = Bench(tmp_path, urls(2000), ScriptedPool(script, 1), StopSettings(max_failures=1))
    summary = bench.run()
    assert summary.failed == 1
    assert summary.limit == "max_failures"
    assert summary.left == 2000 - summary.failed - summary.succeeded > 1900
    words = Counter(bench.sink.outcomes().values())
    assert words == {"tls": 1, "cancelled": summary.left, "success": summary.succeeded}
    assert bench.pool.stops == 1
    assert len(bench.sink.outcomes()) == 2000


def test_the_deadline(tmp_path: object) -> None:
    bench = Bench(tmp_path, urls(5), ScriptedPool(lambda *_: None), StopSettings(deadline=0.01))
    summary = bench.run()
    assert summary.left == 5
    assert summary.limit == "deadline"
    assert set(bench.sink.outcomes().values()) == {"cancelled"}
    assert all(each.transient for each in bench.sink.results)


def test_a_signal_stops_the_run_and_what_ends_meanwhile_counts(tmp_path: object) -> None:
    tasks: list[Task] = []

    def script(task: Task, _: int) -> None:
        tasks.append(task)

    pool = ScriptedPool(script, lanes=2)
    pool.obeys = False
    bench = Bench(tmp_path, urls(10), pool)

    def on_wait() -> None:
        if not bench.stop.asked:
            bench.stop.by_signal(15)
            return
        if tasks:
            cancelled = failure(tasks[1], FailureKind.CANCELLED)
            pool._events.append(Answered((success(tasks[0]), cancelled)))
            tasks.clear()

    pool.on_wait = on_wait
    summary = bench.run()
    assert summary.stopped_by == 15
    assert (summary.succeeded, summary.failed, summary.left) == (1, 0, 9)
    assert len(bench.sink.outcomes()) == 10


def test_followers_are_left_with_what_they_follow(tmp_path: object) -> None:
    bench = Bench(
        tmp_path,
        ["http://h/1", "http://h/1"],
        ScriptedPool(lambda *_: None),
        StopSettings(deadline=0.01),
    )
    assert bench.run().left == 2


def test_a_stopped_run_does_not_read_an_endless_list(tmp_path: object) -> None:
    def endless() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"http://h/{number}"

    bench = Bench(
        tmp_path,
        endless(),  # type: ignore[arg-type]
        ScriptedPool(always),
        StopSettings(deadline=0.01),
    )
    summary = bench.run()
    assert summary.unread
    assert summary.left > 0


# --- the machine ---


def test_a_full_disk_ends_the_run(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        fail = failure(task, FailureKind.DISK, transient=False)
        return answered(fail._replace(fatal=True, message="No space left on device (x)"))

    bench = Bench(tmp_path, urls(6), ScriptedPool(script))
    summary = bench.run()
    error = bench.engine.machine_error()
    assert error is not None
    assert error.message == "No space left on device (x)"
    assert summary.succeeded == 0
    assert summary.failed >= 1
    assert set(bench.sink.outcomes().values()) == {"disk", "cancelled"}
    assert len(bench.sink.outcomes()) == 6


class Exhausted(ScriptedPool):
    """A pool whose workers cannot be started any more."""

    def get_nowait(self) -> PoolEvent:
        raise MachineError("too few processes")


def test_a_pool_that_cannot_go_on_still_leaves_an_outcome_for_every_line(tmp_path: object) -> None:
    bench = Bench(tmp_path, urls(6), Exhausted(lambda *_: None))
    assert bench.run().left == 6
    assert str(bench.engine.machine_error()) == "too few processes"


class ExhaustedLater(ScriptedPool):
    """The same, after the first task has been handed out."""

    def get_nowait(self) -> PoolEvent:
        if self.submitted:
            raise MachineError("too few processes")
        return super().get_nowait()


def test_the_same_with_work_under_way(tmp_path: object) -> None:
    bench = Bench(tmp_path, urls(6), ExhaustedLater(lambda *_: None))
    assert bench.run().left == 6
    assert str(bench.engine.machine_error()) == "too few processes"
    assert len(bench.sink.outcomes()) == 6


def test_an_error_of_the_sink_still_closes_the_pool(tmp_path: object) -> None:
    bench = Bench(tmp_path, urls(1), ScriptedPool(always))

    def broken(result: Result, item: Item | None) -> None:
        raise RuntimeError("broken")

    bench.sink.record = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        bench.engine.run()
    assert bench.pool.closes == 1


# --- waiting and showing ---


def test_a_retry_that_is_due_while_every_lane_is_busy_does_not_spin(tmp_path: object) -> None:
    waits: list[float] = []

    def script(task: Task, _: int) -> PoolEvent | None:
        if task.url.endswith("/2"):
            return None
        return answered(failure(task)._replace(retry_after=0.01))

    class Watching(ScriptedPool):
        def wait(self, seconds: float, also: Sequence[int] = ()) -> None:  # noqa: ARG002
            waits.append(seconds)
            threading.Event().wait(min(seconds, 0.005))
            if len(waits) > 10:
                bench.stop.by_signal(2)

    bench = Bench(tmp_path, ["http://a/1", "http://b/2"], Watching(script, lanes=1))
    bench.run()
    assert set(waits[:10]) == {TICK}


def test_while_lanes_are_idle_what_has_just_begun_is_looked_at_soon(tmp_path: object) -> None:
    """It may be a large file, with which they are to help."""
    waits: list[float] = []
    looks: list[int] = []

    class Watching(ScriptedPool):
        def wait(self, seconds: float, also: Sequence[int] = ()) -> None:  # noqa: ARG002
            waits.append(seconds)
            threading.Event().wait(SOON)
            if len(waits) > 3:
                bench.stop.by_signal(2)

        def live(self) -> list[Live]:
            looks.append(len(waits))
            return super().live()

    bench = Bench(tmp_path, urls(1), Watching(lambda *_: None, lanes=2))
    bench.run()
    assert set(waits[:4]) == {SOON}
    assert {1, 2, 3} <= set(looks)


def test_a_list_that_breaks_off_ends_there_and_what_came_before_counts(tmp_path: object) -> None:
    bench = Bench(tmp_path, (), ScriptedPool(always))

    class Broken:
        exhausted = False

        def take(self, limit: int) -> list[Item]:
            if limit and not bench.pool.submitted:
                return [Item("http://h/1", source="list", line=1)]
            self.exhausted = True
            raise ListError("list: Input/output error")

        def fileno(self) -> int | None:
            return None

        def estimate(self) -> int | None:
            return None

    bench.engine = Engine(bench.parts._replace(feed=Broken()), StopSettings(), bench.stop)
    assert bench.run().succeeded == 1
    assert str(bench.engine.list_error()) == "list: Input/output error"
    assert bench.engine.machine_error() is None


def test_a_list_that_nobody_could_count_has_its_total_once_it_has_ended(tmp_path: object) -> None:
    read, write = os.pipe()
    bench = Bench(tmp_path, (), ScriptedPool(always))
    bench.pool.on_wait = lambda: os.close(write) if len(bench.sink.totals) == 2 else None
    os.write(write, b"http://h/1\nno url\nhttp://h/3\n")
    with contextlib.closing(open_sources(["-"], read, pytest.fail)) as feed:
        bench.engine = Engine(bench.parts._replace(feed=feed), StopSettings(), bench.stop)
        bench.run()
    os.close(read)
    assert bench.sink.totals[0] is None
    assert bench.sink.totals[-1] == 3


def test_what_is_waited_for_is_shown(tmp_path: object) -> None:
    def script(task: Task, _: int) -> PoolEvent:
        fail = failure(task, FailureKind.HTTP)
        return answered(fail._replace(status=503, retry_after=50.0))

    items = [f"http://a/{n}" for n in range(1, 4)]
    bench = Bench(tmp_path, items, ScriptedPool(script, lanes=1))
    bench.pool.on_wait = lambda: bench.stop.by_signal(2) if bench.sink.waits else None
    bench.run()
    waiting = bench.sink.waits[0]
    assert waiting[::2] == ("a", "http-503")
    assert 40 < waiting.seconds <= 60
    assert waiting.files == 3
    assert STOPPING in bench.sink.troubles


def test_more_lines_wake_the_loop(tmp_path: object) -> None:
    read, write = os.pipe()
    watched: list[Sequence[int]] = []

    class Watching(ScriptedPool):
        def wait(self, seconds: float, also: Sequence[int] = ()) -> None:  # noqa: ARG002
            watched.append(also)
            os.write(write, b"http://h/1\n")
            os.close(write)

    bench = Bench(tmp_path, (), Watching(always))
    with contextlib.closing(open_sources(["-"], read, pytest.fail)) as feed:
        bench.engine = Engine(bench.parts._replace(feed=feed), StopSettings(), bench.stop)
        assert bench.run().succeeded == 1
    os.close(read)
    assert watched == [(read,)]


def test_a_host_that_is_asked_to_wait_keeps_the_others_lines_from_nobody(tmp_path: object) -> None:
    """However many lines of it come first: the list is read on, where lanes are free."""
    ends = threading.Event()

    def script(task: Task, _: int) -> PoolEvent:
        if "//busy/" in task.url:
            return answered(failure(task)._replace(retry_after=50.0))
        ends.set()
        return answered(success(task))

    lines = [f"http://busy/{number}" for number in range(2 * LOOKAHEAD)]
    limits = StopSettings(deadline=20.0)
    bench = Bench(tmp_path, [*lines, "http://free/1"], ScriptedPool(script), limits)
    bench.pool.on_wait = lambda: setattr(bench.stop, "asked", ends.is_set())
    summary = bench.run()
    assert (summary.succeeded, summary.failed) == (1, 0)


def test_no_lane_waits_while_the_list_is_read(tmp_path: object) -> None:
    """What is ready goes out first, and not much is read at a time."""
    bench = Bench(tmp_path, urls(3000), ScriptedPool(always, 100), patience=0.0)
    feed, schedule = bench.parts.feed, bench.parts.schedule
    limits: list[int] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(feed, name)

        def take(self, limit: int) -> Sequence[Item | BadLine]:
            assert not (schedule.backlog() and bench.pool.room())
            limits.append(limit)
            return feed.take(limit)

    watched: Any = Watched()
    bench.engine = Engine(bench.parts._replace(feed=watched), StopSettings(), bench.stop)
    assert bench.run().succeeded == 3000
    assert max(limits) == LINES


def test_no_lane_waits_while_all_that_was_answered_is_taken(tmp_path: object) -> None:
    """However much there is of it, what became free is given work in between."""

    class Watched(ScriptedPool):
        taken = most = 0

        def submit(self, tasks: Sequence[Task]) -> None:
            self.taken = 0
            super().submit(tasks)

        def get_nowait(self) -> PoolEvent:
            event = super().get_nowait()
            self.taken += 1
            if bench.parts.schedule.backlog():
                self.most = max(self.most, self.taken)
            return event

    pool = Watched(always, LINES)
    bench = Bench(tmp_path, urls(1000), pool)
    assert bench.run().succeeded == 1000
    assert pool.most == EVENTS < LINES


def test_what_is_under_way_is_shown(tmp_path: object) -> None:
    patience = StopSettings(deadline=2 * TICK)
    bench = Bench(tmp_path, urls(3), ScriptedPool(lambda *_: None, 1), patience)
    bench.run()
    assert Transfer("1", 5, 10) in bench.sink.transfers
    assert set(bench.sink.totals) == {3}


def test_secrets_are_masked(tmp_path: object) -> None:
    def script(task: Task, attempt: int) -> PoolEvent:
        return answered(failure(task) if attempt == 1 else success(task))

    bench = Bench(tmp_path, ["http://me:hunter2@h/1?token=hunter2"], ScriptedPool(script))
    bench.run()
    assert "hunter2" not in repr(bench.sink.results) + repr(bench.sink.retries)


def test_per_host(tmp_path: object) -> None:
    pool = ScriptedPool(always, lanes=8)
    most = Counter[str]()

    class Counting(Schedule):
        def take(self, now: float, limit: int):  # type: ignore[no-untyped-def] # noqa: ANN202
            jobs = super().take(now, limit)
            for host, count in Counter(job.host for job in jobs).items():
                most[host] = max(most[host], count)
            return jobs

    bench = Bench(tmp_path, urls(60), pool, StopSettings(per_host=2))
    bench.parts = bench.parts._replace(schedule=Counting(Governor(Limits(per_host=2))))
    bench.engine = Engine(bench.parts, StopSettings(per_host=2), bench.stop)
    assert bench.run().succeeded == 60
    assert set(most.values()) <= {1, 2}


def test_a_bad_line_in_the_rest_of_a_stopped_list_is_still_one(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdl.run.stop.REST_SECONDS", 60.0)  # a machine may be slow
    entries = [*urls(3000), "nonsense"]
    bench = Bench(tmp_path, entries, ScriptedPool(lambda *_: None), StopSettings(deadline=0.01))
    assert bench.run().failed == 1
    assert bench.sink.outcomes()["3001"] == "invalid-url"


def test_the_pool_in_this_process(tmp_path: object) -> None:
    def factory() -> Callable[[Task, Meter], Answer]:
        def lane(task: Task, meter: Meter) -> Answer:
            meter.update(0, 10)
            meter.update(10, 10)
            if task.url.endswith("/2"):
                raise RuntimeError("a fault of the lane")
            return success(task)

        return lane

    bench = Bench(tmp_path, urls(3), ScriptedPool(always))
    parts = bench.parts._replace(pool=InlinePool(factory))
    summary = Engine(parts, StopSettings(), Stop()).run()
    assert bench.sink.outcomes() == {"1": "success", "2": "internal", "3": "success"}
    assert summary.bytes == 30


# --- on the wire ---


def test_a_host_that_asks_to_wait_starves_no_other(server: Server, tmp_path: Path) -> None:
    """More lines of a waiting host than are read ahead, and one of another behind them."""
    first = server.on("/w0", Reply(503, (("Retry-After", "600"),), b""))
    waiting = [first, *(server.url(f"/w{n}") for n in range(1, 1100))]
    free = server.on("/free", File(b"x")).replace("127.0.0.1", "localhost")
    settings = Settings(
        pool=PoolSettings(engine="inline"), retry=RetrySettings(wait=0.01, max_wait=900)
    )
    got = threading.Event()

    class GotIt(Exception):
        pass

    def note(event: object) -> None:
        if getattr(event, "url", "").endswith("/free"):
            got.set()
            raise GotIt

    with pytest.raises(GotIt):
        download([*waiting, free], str(tmp_path), settings=settings, on_event=note)
    assert got.is_set()


@pytest.mark.parametrize("error", [MachineError("mine"), ListError("mine"), KeyError("mine")])
def test_what_a_callback_raises_is_the_callers_own(tmp_path: Path, error: Exception) -> None:
    def refuse(_: object) -> None:
        raise error

    settings = Settings(pool=PoolSettings(engine="inline"), retry=RetrySettings(retries=0))
    with pytest.raises(type(error), match="mine"):
        download(["http://127.0.0.1:9/x"], str(tmp_path), settings=settings, on_event=refuse)
