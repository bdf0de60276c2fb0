"""Where pdl is at home: a line of a crontab, a step of GitHub's, a terminal with somebody at it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from runner import base_environment, until
from servers.behaviours import Pause, Raw, Reply, Then, head
from servers.files import File
from servers.row import ETAG
from terminals import CTRL_C, Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.misbehave import Server

pytestmark = pytest.mark.slow

BODY = bytes(range(256)) * 16_384
HALF = len(BODY) // 2
"""More than what a kill may cost, see `pdl.storage.note`."""
TAGGED = (("ETag", ETAG), ("Accept-Ranges", "bytes"), ("Content-Length", str(len(BODY))))
SECRET = "hunter2-hunter2"
LINE = "17 3 * * * bin/pdl urls.txt -d data -N -q -H @token --log-file pdl.log"


def half_until(event: threading.Event) -> Then:
    """Half of the body, and the rest when the event has come; for one minute at the most."""
    return Then(Raw(head(200, TAGGED) + BODY[:HALF]), Pause(60, event), Raw(BODY[HALF:]))


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


# --- cron ---


class Cron:
    """Runs the line of a crontab as cron does: by /bin/sh, in HOME, with next to no environment.

    Args:
        home: of the user.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.started: list[subprocess.Popen[str]] = []
        (home / "bin").mkdir()
        program = home / "bin/pdl"
        path = base_environment(home)["PYTHONPATH"]
        program.write_text(
            f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {sys.executable} -m pdl "$@"\n'
        )
        program.chmod(0o755)
        (home / "token").write_text(f"Authorization: Bearer {SECRET}\n")
        (home / "token").chmod(0o600)

    def start(self, line: str) -> subprocess.Popen[str]:
        """Begin what the line says; what it prints would be a mail."""
        command = line.split(maxsplit=5)[5]
        assert "%" not in command  # it would be a line break
        env = {"HOME": str(self.home), "LOGNAME": "me", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self.home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self.started.append(process)
        return process

    def mail(self, process: subprocess.Popen[str], code: int = 0) -> str:
        """What would be mailed, once it has ended with that code."""
        said, _ = process.communicate(timeout=60)
        assert process.returncode == code, said
        return said

    def run(self, line: str, code: int = 0) -> str:
        """Both."""
        return self.mail(self.start(line), code)

    def kill(self, process: subprocess.Popen[str]) -> None:
        """End all that it has started, as the system does when memory is short."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


@pytest.fixture
def cron(tmp_path: Path) -> Iterator[Cron]:
    made = Cron(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            made.kill(process)


def test_a_line_of_a_crontab_is_silent_until_something_fails(
    server: Server, cron: Cron, tmp_path: Path
) -> None:
    urls = [server.on("/a", File(BODY, etag=ETAG)), server.on("/r%C3%A9sum%C3%A9", File(b"b"))]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    assert cron.run(LINE) == ""
    assert (tmp_path / "data/a").read_bytes() == BODY
    assert (tmp_path / "data/r\u00e9sum\u00e9").read_bytes() == b"b"
    assert {seen.header("Authorization") for seen in server.requests()} == {f"Bearer {SECRET}"}
    assert cron.run(LINE) == ""
    assert server.requests("/a")[-1].header("If-None-Match") == ETAG
    server.on("/a", Reply(404))
    mail = cron.run(LINE, 1)
    assert "http-404: 1 failure, the server has no such file (permanent)\n" in mail
    assert f"  {server.url('/a')}\n" in mail
    assert not {*map(chr, range(32))} - {"\n"} & {*mail}
    log = (tmp_path / "pdl.log").read_text()
    assert log.count("end        exit code 0\n") == 2
    assert log.count("end        exit code 1\n") == 1
    assert SECRET not in log + mail
    assert (tmp_path / "data/a").read_bytes() == BODY


def test_a_run_that_takes_until_the_next_is_left_alone_or_waited_for(
    server: Server, cron: Cron, tmp_path: Path, go: threading.Event
) -> None:
    url = server.on("/a", half_until(go), File(BODY, etag=ETAG))
    (tmp_path / "urls.txt").write_text(url)
    first = cron.start(LINE)
    server.wait_for("/a")
    assert "another run" in cron.run(LINE, 4)
    waiting = cron.start(f"{LINE} --wait-lock 60")
    go.set()
    assert cron.mail(first) == ""
    assert cron.mail(waiting) == ""
    assert (tmp_path / "data/a").read_bytes() == BODY
    assert [seen.header("If-None-Match") for seen in server.requests("/a")] == [None, ETAG]


def test_a_run_that_is_killed_is_gone_on_with_by_the_next(
    server: Server, cron: Cron, tmp_path: Path, go: threading.Event
) -> None:
    url = server.on("/a", half_until(go), File(BODY, etag=ETAG))
    (tmp_path / "urls.txt").write_text(url)
    first = cron.start(LINE)
    parts = tmp_path / "data/.pdl"
    until(
        lambda: any(each.stat().st_size == HALF for each in parts.glob("*.part")), "half is there"
    )
    cron.kill(first)
    assert not (tmp_path / "data/a").exists()
    assert cron.run(f"{LINE} --wait-lock 10") == ""
    assert (tmp_path / "data/a").read_bytes() == BODY
    assert server.requests("/a")[-1].header("Range") == f"bytes={HALF}-"


# --- GitHub Actions ---


def test_a_step_of_github_fails_with_annotations_and_a_summary(
    server: Server, tmp_path: Path
) -> None:
    """The script of a step is run as GitHub's runner does it (``shell: bash``)."""
    secret = f"{server.url('/gone')}?token={SECRET}"
    (tmp_path / "urls.txt").write_text(f"{server.on('/a', File(b'x'))}\n{secret}\n")
    (tmp_path / "summary.md").write_text("# Build\n")
    step = tmp_path / "step.sh"
    pdl = f"{sys.executable} -m pdl"
    step.write_text(f'{pdl} urls.txt -d out --report "$GITHUB_STEP_SUMMARY"\necho never\n')
    env = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md"}
    run = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(step)],
        cwd=tmp_path,
        env=base_environment(tmp_path) | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (1, "")
    (told,) = [line for line in run.stderr.splitlines() if line.startswith("::")]
    assert told.startswith("::error file=urls.txt,line=2")
    assert "\r" not in run.stderr
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("# Build\n")
    assert "http-404" in summary
    assert SECRET not in run.stderr + summary


# --- a terminal ---


def on_terminal(tmp_path: Path, *words: str) -> Terminal:
    env = base_environment(tmp_path) | {"TERM": "xterm"}
    return Terminal([sys.executable, "-m", "pdl", *words], tmp_path, env)


def last_frame(terminal: Terminal) -> str:
    """What stands on the terminal below what was cleared last."""
    return terminal.shown.replace("\r\n", "\n").rpartition("\x1b[J")[2]


def test_on_a_terminal_failures_stand_above_a_bar_that_ctrl_c_takes_away(
    server: Server, tmp_path: Path, go: threading.Event
) -> None:
    gone, url = server.url("/gone"), server.on("/a", half_until(go), File(BODY, etag=ETAG))
    command = ("sh", "-c", "'echo > begun; sleep 60'")
    words = (gone, server.on("/b", File(b"x")), url, "--exec", " ".join(command))
    with on_terminal(tmp_path, *words) as terminal:
        terminal.until(f"http-404  {gone}")
        terminal.until("1/3 files, 1 failed")  # what waits for its command is not done
        terminal.until("1 file waits for --exec")
        until((tmp_path / "begun").exists, "the command has begun")
        terminal.press(CTRL_C)
        terminal.until("stopping; again to end at once")
        assert terminal.ended() == 130
    end = last_frame(terminal)
    assert "1 failed, 2 left" in end
    assert end.endswith("\n")
    assert not {*map(chr, range(32))} - {"\n"} & {*end}
    assert (tmp_path / "b").exists()
    with on_terminal(tmp_path, url) as terminal:
        assert terminal.ended() == 0
    assert (tmp_path / "a").read_bytes() == BODY
    assert server.requests("/a")[-1].header("Range") == f"bytes={HALF}-"


def test_a_second_ctrl_c_leaves_the_terminal_clean(
    server: Server, tmp_path: Path, go: threading.Event
) -> None:
    stubborn = "sh -c 'trap \"\" TERM INT; echo > begun; sleep 60'"
    words = (server.on("/b", File(b"x")), server.on("/a", half_until(go)), "--exec", stubborn)
    with on_terminal(tmp_path, *words) as terminal:
        until((tmp_path / "begun").exists, "the command has begun")
        terminal.until("/2")
        terminal.press(CTRL_C)
        terminal.until("stopping; again to end at once")
        terminal.press(CTRL_C)
        assert terminal.ended() == -signal.SIGINT
    assert not {*map(chr, range(32))} - {"\n"} & {*last_frame(terminal)}
    assert "/2" not in last_frame(terminal)
