"""The runner of the command runs it clean, sees what it leaves, and clears that away."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner import Runner

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = (sys.executable, "-c")

LEAVE_A_CHILD = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"],
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> object:
    runner = Runner(tmp_path, tmp_path / "home", PYTHON)
    yield runner
    runner.close()


def test_run_has_code_and_both_streams(run: Runner) -> None:
    script = "import sys; print(sys.stdin.read()); print('e', file=sys.stderr); sys.exit(3)"
    assert run(script, stdin="in") == (3, "in\n", "e\n")


def test_run_is_where_it_should_be(run: Runner, tmp_path: Path) -> None:
    assert run("import os; print(os.getcwd(), os.environ['HOME'])").out == (
        f"{tmp_path} {tmp_path / 'home'}\n"
    )


def test_run_is_free_of_the_callers_settings(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDL_JOBS", "3")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    script = "import os; print([os.environ.get(n) for n in ('PDL_JOBS', 'HTTP_PROXY', 'MINE')])"
    assert run(script, env={"MINE": "yes"}).out == "[None, None, 'yes']\n"


def test_pdl_itself_is_found_from_another_directory(tmp_path: Path) -> None:
    runner = Runner(tmp_path, tmp_path, PYTHON)
    assert runner("import pdl.model").code == 0


def test_a_process_left_behind_is_seen_and_cleared(run: Runner) -> None:
    assert run(LEAVE_A_CHILD).code == 0
    (left,) = run.leftovers(grace=0.1)
    assert "signal.pause()" in left
    run.kill_all()
    assert run.leftovers() == []


def test_a_run_that_does_not_end_is_killed(run: Runner) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("import signal; signal.pause()", timeout=0.5)
    assert run.leftovers() == []


def test_a_started_run_takes_signals(run: Runner) -> None:
    process = run.start("print('up', flush=True); import signal; signal.pause()")
    assert process.stdout
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert run.finish(process).code == -signal.SIGTERM
