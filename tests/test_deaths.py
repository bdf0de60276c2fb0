"""When a task is blamed for the deaths of its workers, and when it is not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from pdl.scheduling.retry import MAX_DEATHS, MAX_DEATHS_IN_STORM, Deaths
from servers.misbehave import File, Pause, Reply, Server
from servers.row import BODY, ETAG
from survive.common import workers

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner


def after(*reached: int, kept: bool = True) -> Deaths:
    """What is known after deaths at these bytes."""
    deaths = Deaths()
    for each in reached:
        deaths = deaths.another(each, kept=kept)
    return deaths


@pytest.mark.parametrize(
    ("deaths", "all_deaths", "to_blame"),
    [
        (after(0, 0), 2, False),
        (after(0, 0, 0), 3, True),
        (after(10, 10, 10), 3, False),
        (after(10, 10, 10, 10), 4, True),
        (after(10, 20, 30, 40, 50, 60), 6, False),
        (after(10, 20, 30, kept=False), 3, True),
        (after(0, 0, 0), 5, True),
        (after(0, 0, 0), 6, False),
        (after(*[0] * 29), 10_000, False),
        (after(*[0] * 30), 10_000, True),
    ],
)
def test_a_task_is_blamed_where_it_gets_no_further(
    deaths: Deaths, all_deaths: int, to_blame: bool
) -> None:
    assert deaths.to_blame(all_deaths) is to_blame
    assert MAX_DEATHS < MAX_DEATHS_IN_STORM


def test_a_url_over_which_each_worker_dies_is_worker_died(
    server: Server, pdl_run: Runner, no_leftovers: None
) -> None:
    url = server.on("/a", Pause(20.0))
    process = pdl_run.start(url, "-j", "1")
    for number in range(1, MAX_DEATHS + 1):
        server.wait_for("/a", number)
        [worker] = workers(pdl_run, process.pid)
        os.kill(worker, signal.SIGKILL)
    run = pdl_run.finish(process)
    assert run.code == 1
    assert "worker-died: 1 failure" in run.err
    assert "3 workers died over it, the last was killed by SIGKILL (3 attempts)" in run.err


def test_a_killed_workers_file_is_fetched_by_the_next(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    other = server.on("/b", Reply(200, (), b"b"))
    url = server.on("/a", Pause(20.0), File(BODY, etag=ETAG))
    process = pdl_run.start(url, other, "-j", "1", "-d", "out")
    server.wait_for("/a")
    [worker] = workers(pdl_run, process.pid)
    os.kill(worker, signal.SIGKILL)
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert (tmp_path / "out/a").read_bytes() == BODY
    assert (tmp_path / "out/b").read_bytes() == b"b"
