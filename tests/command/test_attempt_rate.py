"""`--rate` and `--wait` on the command: starts of attempts at one origin, retries included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner

GAP = 0.1


@pytest.mark.slow
@pytest.mark.parametrize("option", [("--rate", "10/s"), ("--wait", "0.1"), ("--rate", "2/0.2s")])
def test_attempts_at_one_origin_are_spread(
    option: tuple[str, str], server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{number}", File(b"x")) for number in range(4)]
    urls.append(server.on("/again", Reply(503), File(b"x")))
    with Server() as other:
        urls += [other.on(f"/o{number}", File(b"x")) for number in range(4)]
        began = time.monotonic()
        run = pdl_run(*urls, *option, "--retry-wait", "0", "-j", "8")
        # no more is said of time: a busy machine may be slower, never faster
        assert time.monotonic() - began >= 5 * GAP
        assert run.code == 0, run.err
    assert len(server.requests()) == 6
    assert len(list(tmp_path.glob("o[0-9]"))) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rate", "2"), "'2' is not a number of starts in a time, such as 2/s"),
        (("--wait", "-1"), "-1.0 is not a number of seconds from 0"),
        (("--random-wait",), "--random-wait needs a time to vary"),
    ],
)
def test_nonsense_is_told_before_anything_starts(
    options: tuple[str, ...], said: str, pdl_run: Runner
) -> None:
    run = pdl_run("http://127.0.0.1:9/a", *options)
    assert run.code == 2, run.err
    assert said in run.err
