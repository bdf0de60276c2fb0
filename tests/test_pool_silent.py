"""A worker that no longer runs, without having died, holds nobody up for ever."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lanes import Obedient, task
from pdl.pool import Answered, Died
from pdl.pool.process import pool as process_module
from pdl.pool.process.pool import ProcessPool
from test_pool_contract import await_room, ids_of, next_event, worker_pids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.pool import PoolEvent


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessPool]:
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.delattr(main, "__file__", raising=False)
    monkeypatch.setattr(process_module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(process_module, "SILENT_SECONDS", 1.0)
    made = ProcessPool(Obedient(), 1, 1, "forkserver")
    yield made
    made.close()


def test_what_a_stopped_worker_holds_comes_back(pool: ProcessPool) -> None:
    await_room(pool)
    pool.submit([task(0, "ok")])
    assert isinstance(next_event(pool), Answered)
    [stopped] = worker_pids(pool)
    os.kill(stopped, signal.SIGSTOP)
    await_room(pool)
    pool.submit([task(1, "ok")])
    event: PoolEvent = next_event(pool)
    assert isinstance(event, Died)
    assert (ids_of(event), event.reason) == ([1], "killed by SIGKILL")
    await_room(pool)
    pool.submit([task(1, "ok")])
    assert isinstance(next_event(pool), Answered)
    assert worker_pids(pool) != [stopped]


def test_a_closed_pool_leaves_no_descriptor_open() -> None:
    def run_one() -> None:
        made = ProcessPool(Obedient(), 2, 1, "fork")
        await_room(made)
        made.submit([task(0, "ok")])
        next_event(made)
        made.close()
        gc.collect()

    run_one()  # what multiprocessing opens once for all
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        run_one()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
