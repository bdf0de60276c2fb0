"""Workers of the command are killed: the file is fetched by the next, or is to blame."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from pdl.scheduling.retry import MAX_DEATHS
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
