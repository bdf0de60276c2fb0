"""Programs that give credentials: what they say is sent, and nothing without it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from runner import Runner, until
from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from servers.wire import Behaviour, Exchange

BODY = b"some bytes"
SECRET = "c4n4ry-5ecret"
HELPER = """\
import json, os, signal, sys, time
assert sys.argv[1:] == ["get"], sys.argv
uri = json.load(sys.stdin)["uri"]
with open({log!r}, "a") as log:
    log.write(uri + "\\n")
with open({log!r}) as log:
    count = len(log.readlines())
{code}
"""
GOOD = 'print(json.dumps({"headers": {"Authorization": [f"Bearer %s-{count}"], "X-A": ["b"]}}))'


@pytest.fixture
def helper(tmp_path: Path) -> Callable[[str], str]:
    """Writes a helper that runs the code; its command."""

    def write(code: str) -> str:
        (tmp_path / "helper.py").write_text(HELPER.format(log=str(tmp_path / "asked"), code=code))
        return f"'{sys.executable}' '{tmp_path / 'helper.py'}'"

    return write


def asked(tmp_path: Path) -> list[str]:
    path = tmp_path / "asked"
    return path.read_text().splitlines() if path.exists() else []


def wanting(*tokens: str) -> Behaviour:
    """A file for who has one of the tokens; else a 401."""

    def answer(exchange: Exchange) -> None:
        known = exchange.seen.header("Authorization") in {f"Bearer {each}" for each in tokens}
        (File(BODY) if known else Reply(401))(exchange)

    return answer


ONE_WORKER = ("--processes", "1", "--retries", "0")


def test_what_a_helper_says_is_sent_and_it_is_asked_once_a_worker(
    server: Server, pdl_run: Runner, helper: Callable[[str], str], tmp_path: Path
) -> None:
    urls = [server.on(f"/{number}.bin", wanting(f"{SECRET}-1")) for number in range(30)]
    command = helper(GOOD % SECRET)
    run = pdl_run(*urls, "--credential-helper", f"127.0.0.1={command}", *ONE_WORKER, "-v")
    assert run.code == 0, run.err
    assert len(asked(tmp_path)) == 1
    assert asked(tmp_path)[0] in urls
    assert len(server.requests()) == 30
    assert {seen.header("X-A") for seen in server.requests()} == {"b"}
    assert SECRET not in run.err


@pytest.mark.slow
def test_a_token_that_is_refused_is_asked_for_again_once(
    server: Server, pdl_run: Runner, helper: Callable[[str], str], tmp_path: Path
) -> None:
    first = server.on("/a.bin", wanting(f"{SECRET}-1"))
    urls = [server.on(f"/{number}.bin", wanting(f"{SECRET}-2")) for number in range(10)]
    command = helper(GOOD % SECRET)
    options = ("--credential-helper", command, *ONE_WORKER, "-j", "1")
    run = pdl_run(first, *urls, *options)
    assert run.code == 0, run.err
    assert len(asked(tmp_path)) == 2
    never = server.on("/never.bin", wanting("other"))
    run = pdl_run(never, *options)
    assert run.code == 1
    assert "http-401" in run.err
    assert "Authorization from --credential-helper" in run.err
    assert len(server.requests("/never.bin")) == 2
    assert SECRET not in run.err


@pytest.mark.slow
def test_a_token_that_ends_is_asked_for_again(
    server: Server, pdl_run: Runner, helper: Callable[[str], str], tmp_path: Path
) -> None:
    urls = [server.on(f"/{number}.bin", File(BODY)) for number in range(2)]
    expires = "time.strftime('%Y-%m-%dT%H:%M:%S.123456789Z', time.gmtime(time.time() + ends))"
    said = f'print(json.dumps({{"headers": {{"A": ["b"]}}, "expires": {expires}}}))'
    run = pdl_run(*urls, "--credential-helper", helper(f"ends = 3600\n{said}"), *ONE_WORKER)
    assert (run.code, len(asked(tmp_path))) == (0, 1)
    run = pdl_run(
        server.on("/z.bin", File(BODY)), "--credential-helper", helper(f"ends = -9\n{said}")
    )
    assert run.code == 1
    assert "what the helper said has ended already" in run.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit('no ticket\\nfor you')", "failed with exit code 1: no ticket"),
        ("sys.exit(75)", "failed with exit code 75"),
        ("print('nonsense')", "is not what helpers say"),
        ("print('[]')", "is not what helpers say"),
        ("print('[' * 60000)", "is not what helpers say"),
        ('print(json.dumps({"headers": {"A": [5]}}))', "is not what helpers say"),
        ('print(json.dumps({"headers": {"A": ["b\\nX: y"]}}))', "cannot be sent"),
        ('print(json.dumps({"headers": {}, "expires": "never"}))', "is not what helpers say"),
        ("while True: print('x' * 1000)", "said more than 65536 bytes"),
        ("while True: print('x' * 1000, file=sys.stderr)", "said more than 65536 bytes"),
    ],
)
def test_what_a_helper_fails_with_is_the_lines_and_nobody_is_asked(
    code: str,
    said: str,
    server: Server,
    pdl_run: Runner,
    helper: Callable[[str], str],
    tmp_path: Path,
) -> None:
    url = server.on("/a.bin", File(BODY))
    run = pdl_run(url, "--credential-helper", helper(code), "--report", "r.jsonl", "--retries", "0")
    assert run.code == 1
    assert said in run.err
    row = json.loads((tmp_path / "r.jsonl").read_text())
    assert (row["kind"], row["transient"]) == ("helper", "75" in code)
    assert server.requests() == []


WITHIN = """\
import sys
from pdl.auth import programs
programs.SECONDS = 1.0
from pdl.cli.main import main
main()
"""


def test_a_helper_that_hangs_is_the_lines_failure_in_time(
    server: Server, helper: Callable[[str], str], tmp_path: Path
) -> None:
    urls = [server.on(f"/{number}.bin", File(BODY)) for number in range(20)]
    run = Runner(tmp_path, tmp_path, (sys.executable, "-c", WITHIN))
    command = helper("signal.alarm(60); signal.pause()")
    options = ("--engine", "inline", "--report", "r.jsonl", "--retries", "0")
    ended = run(*urls, "--credential-helper", command, *options)
    assert ended.code == 1
    assert ended.err.count("took more than 1 s") == 1  # told once for all of them
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert {(row["kind"], row["attempts"]) for row in rows} == {("helper", 1)}
    assert len(asked(tmp_path)) == 1
    assert server.requests() == []
    assert run.leftovers() == []


def test_a_helper_that_is_none(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a.bin", File(BODY))
    run = pdl_run(url, "--credential-helper", "/nowhere/helper x")
    assert run.code == 1
    assert "the helper helper cannot be run: No such file" in run.err
    assert server.requests() == []
    run = pdl_run(url, "--credential-helper", "'x")
    assert run.code == 2
    assert "is no command: no closing quotation" in run.err


def test_a_helper_that_hangs_ends_with_the_run(
    server: Server, pdl_run: Runner, helper: Callable[[str], str], tmp_path: Path
) -> None:
    url = server.on("/a.bin", File(BODY))
    process = pdl_run.start(url, "--credential-helper", helper("signal.alarm(60); signal.pause()"))
    until(lambda: asked(tmp_path), "the helper")
    process.terminate()
    run = pdl_run.finish(process, timeout=20)
    assert run.code == 143
    assert pdl_run.leftovers() == []
    assert server.requests() == []


@pytest.mark.slow
def test_a_helper_for_a_host_is_for_it_alone(
    server: Server, pdl_run: Runner, helper: Callable[[str], str], tmp_path: Path
) -> None:
    with Server() as other:
        there = other.on("/b.bin", File(BODY))
        away = server.on("/a.bin", Reply(302, (("Location", there),)))
        command = helper(GOOD % SECRET)
        run = pdl_run(
            away, "--credential-helper", f"127.0.0.1:{server.port}={command}", *ONE_WORKER
        )
        assert run.code == 0
        assert [seen.header("Authorization") for seen in server.requests()] == [
            f"Bearer {SECRET}-1"
        ]
        assert [seen.header("Authorization") for seen in other.requests()] == [None]
        run = pdl_run(away, "--credential-helper", command, "--if-exists", "overwrite", *ONE_WORKER)
        assert run.code == 0
        assert other.requests()[-1].header("Authorization") is None
