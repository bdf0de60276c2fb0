"""`--limit-rate` on the command: all downloads together, whoever runs them."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from marks import slow
from servers.files import File
from servers.row import ETAG, pattern
from survive.common import workers

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

SAVED = 0.1
"""Seconds of the rate that may come at once."""


@pytest.mark.parametrize(
    "options",
    [
        ("--processes", "2"),
        slow(("--processes", "1")),
        slow(("--engine", "inline")),
        slow(("--start-method", "spawn")),
        slow(("--start-method", "fork")),
    ],
)
def test_files_take_the_time_that_the_rate_gives_them(
    options: tuple[str, ...], server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    body = pattern(25_000, 3)
    urls = [server.on(f"/{number}", File(body)) for number in range(8)]
    began = time.monotonic()
    run = pdl_run(*urls, "--limit-rate", "200000", "-j", "4", *options)
    assert run.code == 0, run.err
    # no more is said of time: a busy machine may be slower, never faster
    assert time.monotonic() - began >= 8 * len(body) / 200_000 - SAVED
    assert all((tmp_path / f"{number}").read_bytes() == body for number in range(8))


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_waits_for_its_turn_harms_nobody(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    body = pattern(60_000, 4)
    urls = [server.on(f"/{number}", File(body, etag=ETAG)) for number in range(4)]
    process = pdl_run.start(*urls, "--limit-rate", "150000", "-j", "4", "--processes", "2")
    for number in range(4):
        server.wait_for(f"/{number}")
    os.kill(workers(pdl_run, process.pid)[0], signal.SIGKILL)
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert all((tmp_path / f"{number}").read_bytes() == body for number in range(4))


def test_what_is_no_rate_is_told_before_anything_starts(pdl_run: Runner) -> None:
    run = pdl_run("http://127.0.0.1:9/f", "--limit-rate", "08:00,1M 8:00,2M")
    assert run.code == 2
    assert "--limit-rate" in run.err
    assert "'8:00,2M' is the second rate for the same time" in run.err
