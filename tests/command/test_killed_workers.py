"""Workers of the command are killed: the file is fetched by the next, or is to blame."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pdl.scheduling.retry import MAX_DEATHS
from runner import base_environment
from servers.misbehave import File, Pause, Reply, Server
from servers.row import BODY, ETAG
from survive.common import workers

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner


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


RAISING = """
import queue, sys
from pdl.model import SafePath, Task
from pdl.pool import Answered
from pdl.pool.inline import InlinePool
from pdl.pool.process.pool import ProcessPool

def lane(task, meter):
    secret = "http://me:hunter2@h/x?token=hunter2"
    raise RuntimeError("a fault of the lane\\x1b at " + secret)

def factory():
    return lane

if __name__ == "__main__":
    method = sys.argv[1]
    pool = InlinePool(factory) if method == "inline" else ProcessPool(factory, 1, 2, method)
    event, given = None, False
    while not isinstance(event, Answered):
        if pool.room() and not given:
            pool.submit([Task(7, "http://h/x", SafePath("x"), "x.part")])
            given = True
        try:
            event = pool.get_nowait()
        except queue.Empty:
            pool.wait(1.0)
    pool.close()
    print(event.answers[0].kind, event.answers[0].message)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["inline", "fork", "forkserver", "spawn"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_mistake_of_pdl_shows_its_traceback_where_that_is_asked_for(
    tmp_path: Path, method: str, debug: bool
) -> None:
    script = tmp_path / "program.py"
    script.write_text(RAISING)
    env = {**base_environment(tmp_path), **({"PDL_DEBUG": "1"} if debug else {})}
    done = subprocess.run(
        [sys.executable, str(script), method],
        env=env, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    told = "RuntimeError: a fault of the lane\\x1b at http://me:***@h/x?token=***\n"
    assert done.stdout == f"internal {told}"
    if not debug:
        assert done.stderr == ""
        return
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert f'File "{script}", line 10, in lane\n' in done.stderr
    assert done.stderr.endswith(told)
    assert "hunter2" not in done.stderr
