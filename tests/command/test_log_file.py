"""`--log-file`: what is in it, and what it must not be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pdl.errors import UsageError
from pdl.output.display.base import SilentDisplay
from pdl.output.log_file import LogFile
from pdl.output.terminal import Out
from runner import run_program
from servers.behaviours import Reply
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


def test_all_that_happens_is_added_with_its_time_and_without_secrets(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "run.log").write_text("of before\n")
    url = server.on("/a", Reply(500), File(b"abc")).replace("http://", "http://me:hunter2@")
    gone = server.on("/b", Reply(404))
    run = pdl_run(url, gone, "--log-file", "run.log", "-q", "--retry-wait", "0", "--insecure")
    assert run.code == 1
    first, *lines = (tmp_path / "run.log").read_text().splitlines()
    assert first == "of before"
    assert all(re.match(STAMP, line) for line in lines)
    text = "\n".join(line.partition(" ")[2] for line in lines)
    assert "hunter2" not in text
    for said in (
        *("again in", "http-500", "success    a  3 B in", "failed     http-404"),
        *("pdl: certificates are not checked", "pdl: 1 succeeded, 1 failed, 3 B in"),
    ):
        assert said in text
    assert lines[-1].endswith("end        exit code 1")


def test_given_twice_verbose_says_the_heads_in_the_log_and_to_people(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    moved = (("Location", "/b?token=hunter2"), ("Set-Cookie", "id=hunter2"))
    url = server.on("/a", Reply(302, moved)).replace("http://", "http://me:hunter2@")
    server.on("/b", Reply(200, (("X-Said", "it is hunter3"),), b"abc"))
    options = ("--log-file", "run.log", "-vv", "-H", "X-Key: hunter3", "-H", "Accept: text/*")
    run = pdl_run(url, *options, "--report", "r.html")  # which looks at each event, too
    assert run.code == 0, run.err
    log = [line.partition(" ")[2] for line in (tmp_path / "run.log").read_text().splitlines()]
    wanted = [
        f"> GET {server.url('/a')}",
        f"< 302 Found from {server.url('/a')}",
        "< location: /b?token=***",
        "< set-cookie: ***",
        f"> GET {server.url('/b')}?token=***",
        f"< 200 OK from {server.url('/b')}?token=***",
        "< x-said: it is ***",
    ]
    assert [line for line in log if line in wanted] == wanted
    assert {"> X-Key: ***", "> Accept: text/*", "> Authorization: ***"} < {*log}
    assert [line for line in run.err.splitlines() if line in wanted] == wanted
    assert "hunter" not in "".join([*log, run.err])
    assert "> GET" not in pdl_run(url, "-v", "--if-exists", "overwrite").err


@pytest.mark.parametrize("engine", ["process", "inline"])
def test_an_internal_error_has_its_traceback_in_the_log_alone(
    server: Server, tmp_path: Path, engine: str
) -> None:
    """A mistake in pdl is made here: the rule of a field of an answer raises."""
    program = """
import sys
import pdl.fetch.attempt
from pdl.cli.main import command

def broken(*_):
    raise ZeroDivisionError("at http://me:hunter2@h/" + "x" * 9000)

pdl.fetch.attempt.Attempt.found = broken
command(sys.argv[1:])
"""
    url = server.on("/a", File(b"abc"))
    options = ("--log-file", "run.log", "--engine", engine, "--start-method", "fork")
    run = run_program(tmp_path, program, url, *options)
    assert run.returncode == 1
    assert "internal" in run.stderr
    assert "Traceback" not in run.stderr
    log = (tmp_path / "run.log").read_text()
    assert re.search(rf"^{STAMP}Traceback", log, re.MULTILINE)
    assert "in broken" in log
    assert re.search(rf"^{STAMP}ZeroDivisionError: at http://me:\*\*\*@h/x", log, re.MULTILINE)


@pytest.mark.parametrize("other", ["urls.txt", "-d out --report ./run.log", "--failed run.log"])
def test_it_is_no_other_file_of_the_run(
    server: Server, pdl_run: Runner, tmp_path: Path, other: str
) -> None:
    (tmp_path / "urls.txt").write_text(server.on("/a", File(b"x")))
    log = "urls.txt" if other == "urls.txt" else "run.log"
    run = pdl_run("urls.txt", *other.split()[other == "urls.txt" :], "--log-file", log)
    assert run.code == 2
    assert "is also" in run.err
    assert server.requests() == []


def test_what_ends_a_run_is_in_it(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    with pytest.raises(ZeroDivisionError), log:
        raise ZeroDivisionError("at http://me:hunter2@h/")
    log = LogFile(str(tmp_path / "log"))
    with pytest.raises(UsageError), log:
        raise UsageError("this is wrong")
    lines = (tmp_path / "log").read_text().splitlines()
    assert all(re.match(STAMP, line) for line in lines)
    assert lines[0].endswith("end        Traceback (most recent call last):")
    assert lines[-2].endswith("ZeroDivisionError: at http://me:***@h/")
    assert lines[-1].endswith("end        this is wrong")


def test_one_that_cannot_be_written_any_more_is_told_and_counts_as_lost() -> None:
    log = LogFile("/dev/full")
    display = log.beside(SilentDisplay(Out(None)))
    assert not display.lost
    display.notice("a")
    display.notice("b")
    assert display.lost
