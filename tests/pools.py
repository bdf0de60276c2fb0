"""Pools under test: made, given tasks, asked for events, as the engine does it."""

from __future__ import annotations

import gc
import queue
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lanes import Obedient
from pdl.pool import Answered, Died, Pool, PoolEvent, Said
from pdl.pool.process.pool import ProcessPool
from pdl.settings import StartMethod
from runner import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdl.model import Answer, Task
    from pdl.pool import LaneFactory

METHODS: tuple[StartMethod, ...] = get_args(StartMethod)
BOUND = 20.0
"""Seconds after which what was waited for will not come."""


def worker_pids(pool: ProcessPool) -> list[int]:
    """The workers that stand, by what the pool knows of them."""
    return [pid for link in pool._spawner.links if (pid := getattr(link.process, "pid", None))]


def dead(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def next_event(pool: Pool, seconds: float = BOUND) -> PoolEvent:
    """The next event.

    Raises:
        TimeoutError: none came.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return pool.get_nowait()
        except queue.Empty:
            pool.wait(0.1)
    raise TimeoutError("no event")


def ids_of(event: PoolEvent) -> list[int]:
    if isinstance(event, Answered):
        return [answer.id for answer in event.answers]
    if isinstance(event, Died):
        return [*event.current, *event.waiting]
    if isinstance(event, Said):
        return []
    return list(event.ids)


def await_room(pool: Pool, wanted: int = 1) -> None:
    """Wait until there is room for so many tasks."""
    end = time.monotonic() + BOUND
    while pool.room() < wanted:
        assert time.monotonic() < end
        pool.wait(0.01)


def submit(pool: Pool, *tasks: Task) -> None:
    """Hand over the tasks when there is room for all of them."""
    await_room(pool, len(tasks))
    pool.submit(tasks)


def drive(pool: Pool, tasks: Sequence[Task], again: bool = True) -> dict[int, list[Answer]]:
    """Run the tasks as the engine does, those that come back without an answer once more."""
    todo = list(reversed(tasks))
    by_id = {task.id: task for task in tasks}
    answers: dict[int, list[Answer]] = {task.id: [] for task in tasks}
    out: set[int] = set()
    end = time.monotonic() + BOUND
    while todo or out:
        batch = [todo.pop() for _ in range(min(pool.room(), len(todo)))]
        out.update(task.id for task in batch)
        if batch:
            pool.submit(batch)
        try:
            event = pool.get_nowait()
        except queue.Empty:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(todo)} to do, {len(out)} out") from None
            pool.wait(0.1)
            continue
        end = time.monotonic() + BOUND
        for number in ids_of(event):
            out.remove(number)  # an event for what is not out is an error here
        if isinstance(event, Answered):
            for answer in event.answers:
                answers[answer.id].append(answer)
        elif again:
            todo.extend(by_id[number] for number in ids_of(event))
    return answers


@contextmanager
def processes(
    method: StartMethod,
    workers: int = 2,
    lanes: int = 1,
    factory: LaneFactory | None = None,
    *,
    eager: bool = True,
) -> Iterator[ProcessPool]:
    """A pool of processes; `eager` if all of them are to be there before there is work."""
    # multiprocessing's pools are circles; what earlier ones left is to go here, and not while the
    # resource tracker is written to, which minds that in Python 3.12 and 3.13
    gc.collect()
    pool = ProcessPool(factory or Obedient(), workers, lanes, method)
    if eager:
        pool._begin(workers)
    try:
        yield pool
    finally:
        pool.close()


def held_pid(released: Path, number: int) -> int:
    """The worker that holds the task, once it does."""
    sign = Path(f"{released}.{number}")
    until(sign.exists, f"task {number} to begin")
    return int(sign.read_text())
