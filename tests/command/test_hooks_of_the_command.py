"""`--exec` and `--exec-after` of the command: stopped, killed, and after what kind of run."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from runner import until
from servers.behaviours import Reply
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

AFTER = "sh -c 'env | grep PDL_ | sort > after; exit ${1:-0}' sh"


def numbers(tmp_path: Path) -> dict[str, str]:
    lines = (tmp_path / "after").read_text().splitlines()
    found = dict(line.partition("=")[::2] for line in lines)
    assert float(found.pop("PDL_RUN_SECONDS")) >= 0
    return {name.removeprefix("PDL_RUN_"): value for name, value in found.items()}


def test_ctrl_c_ends_the_command_with_all_it_started_and_the_next_run_runs_it(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    url = server.on("/a", File(b"x"))
    process = pdl_run.start(url, "-d", "out", "--exec", "sh -c 'echo > begun; sleep 60 & wait'")
    until((tmp_path / "begun").exists, "the command has begun")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    run = pdl_run.finish(process)
    assert run.code == 130
    assert time.monotonic() - began < 10  # not the minute that the command takes
    assert "1 left" in run.err
    assert (tmp_path / "out/a").exists()
    run = pdl_run(url, "-d", "out", "--exec", "cp {path} again")
    assert run.code == 0, run.err
    assert (tmp_path / "again").read_bytes() == b"x"


def test_a_second_signal_ends_them_at_once(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    stubborn = "sh -c 'trap \"\" TERM; echo > begun; sleep 60'"
    process = pdl_run.start(server.on("/a", File(b"x")), "--exec", stubborn)
    until((tmp_path / "begun").exists, "the command has begun")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"again to end at once" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert pdl_run.finish(process).code == -signal.SIGINT


def test_a_run_that_is_killed_before_the_command_has_ended_loses_none(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{name}", File(b"x")) for name in "abc"]
    command = "sh -c 'echo > begun; exec sleep 60'"
    process = pdl_run.start(*urls, "-d", "out", "--exec", command, "--exec-jobs", "1")
    until((tmp_path / "begun").exists, "a command has begun")
    until(lambda: all((tmp_path / "out" / name).exists() for name in "abc"), "all are there")
    os.kill(process.pid, signal.SIGKILL)
    pdl_run.finish(process)
    pdl_run.kill_all()
    run = pdl_run(*urls, "-d", "out", "--exec", "sh -c 'echo x >> ran'", "--wait-lock", "10")
    assert run.code == 0, run.err
    assert "3 skipped" in run.err
    assert (tmp_path / "ran").read_text() == "x\n" * 3
    assert not (tmp_path / "out/.pdl").exists()


@pytest.mark.parametrize(("exit_code", "code"), [("0", 0), ("4", 1)])
def test_the_command_after_a_run_that_went_well(
    server: Server, pdl_run: Runner, tmp_path: Path, exit_code: str, code: int
) -> None:
    urls = [server.on(f"/{name}", File(b"abc")) for name in "abc"]
    env = {"PDL_PROXY": "", "PDL_EXEC_AFTER": f"{AFTER} {exit_code}"}
    run = pdl_run(*urls, env=env)
    assert run.code == code
    assert ("sh of --exec-after failed with exit code 4" in run.err) == (code == 1)
    wanted = {"SUCCEEDED": "3", "BYTES": "9", "EXIT": "0"}
    assert (
        numbers(tmp_path) == dict.fromkeys(("SKIPPED", "UNCHANGED", "FAILED", "LEFT"), "0") | wanted
    )


def test_the_command_after_a_run_in_which_lines_failed(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on("/a", File(b"abc")), server.on("/b", Reply(404))]
    run = pdl_run(*urls, "--exec", "false", "--exec-after", f"{AFTER} 4")
    assert run.code == 1
    assert "exec: 1 failure" in run.err
    assert numbers(tmp_path)["FAILED"] == "2"
    assert numbers(tmp_path)["EXIT"] == "1"


def test_the_command_after_a_run_that_could_not_begin(pdl_run: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = pdl_run("http://127.0.0.1:9/a", "-d", "file", "--exec-after", AFTER)
    assert run.code == 3
    assert numbers(tmp_path)["EXIT"] == "3"


def test_what_is_wrong_is_told_before_anything_starts(server: Server, pdl_run: Runner) -> None:
    run = pdl_run(server.on("/a", File(b"x")), "--exec", "cp {file}", "--dry-run")
    assert run.code == 2
    assert "{file} is no field" in run.err
    assert server.requests() == []


def test_a_check_fetches_nothing_and_has_only_the_command_at_its_end(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"x")
    url = server.on("/a", File(b"x"))
    run = pdl_run(url, "--check", "--exec", "false", "--exec-after", AFTER)
    assert run.code == 0, run.err
    assert numbers(tmp_path)["EXIT"] == "0"
    assert not (tmp_path / ".pdl").exists()
