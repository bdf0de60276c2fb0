"""A program that gives the URL of a file: for schemes of its own, and where a server refuses."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from runner import until
from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server
from servers.row import BODY as LARGE
from servers.row import ETAG, HALF, cut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner import Runner

BODY = b"some bytes"
SECRET = "c4n4ry-5ecret"
TAG = (("ETag", ETAG),)
PROGRAM = """\
import os, signal, sys, time
url = sys.argv[-1]
with open({log!r}, "a") as log:
    log.write(url + "\\n")
with open({log!r}) as log:
    count = len(log.readlines())
base = {base!r}
{code}
"""
GOOD = f'print(base + "/" + url.split(":")[1].strip("/") + "?x={SECRET}-" + str(count))'
ONE_WORKER = ("--processes", "1", "--retries", "0")


@pytest.fixture
def program(tmp_path: Path, server: Server) -> Callable[[str], tuple[str, str]]:
    """Writes a program that runs the code; the options that name it."""

    def write(code: str) -> tuple[str, str]:
        base = server.url("/").rstrip("/")
        text = PROGRAM.format(log=str(tmp_path / "asked"), base=base, code=code)
        (tmp_path / "program.py").write_text(text)
        return "--url-command", f"'{sys.executable}' '{tmp_path / 'program.py'}' first"

    return write


def asked(tmp_path: Path) -> list[str]:
    path = tmp_path / "asked"
    return path.read_text().splitlines() if path.exists() else []


def rows(tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_lines_of_other_schemes_are_fetched_by_what_it_prints(
    server: Server, pdl_run: Runner, program: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    for name in ("a.bin", "b.bin"):
        server.on(f"/{name}", File(BODY))
    plain = server.on("/c.bin", File(BODY))
    code = f"print(base + '/' + url[6:].strip('/') + '?token={SECRET}&n=1')\nprint('X-A: {SECRET}')"
    options = (*program(code), *ONE_WORKER, "--report", "r.jsonl", "--lock", "u.jsonl", "-v")
    (tmp_path / "list.txt").write_text(f"drive://a.bin\ndrive:b.bin\n  out=named.bin\n{plain}\n")
    run = pdl_run("list.txt", *options, "-d", "out")
    assert run.code == 0, run.err
    assert sorted(asked(tmp_path)) == ["drive://a.bin", "drive:b.bin"]
    assert {each.name for each in (tmp_path / "out").iterdir() if each.is_file()} == {
        "a.bin",
        "named.bin",
        "c.bin",
    }
    found = rows(tmp_path)
    assert sorted(str(each["url"]) for each in found) == ["drive://a.bin", "drive:b.bin", plain]
    fields = {seen.path.partition("?")[0]: seen.header("X-A") for seen in server.requests()}
    assert fields == {"/a.bin": SECRET, "/b.bin": SECRET, "/c.bin": None}
    lock = (tmp_path / "u.jsonl").read_text()
    assert "drive://a.bin" in lock
    assert SECRET not in run.err + run.out + lock + (tmp_path / "r.jsonl").read_text()
    assert {each["final_url"] for each in found} >= {server.url("/a.bin") + "?***"}
    count = len(asked(tmp_path))
    again = pdl_run("list.txt", *options, "-d", "out")
    assert (again.code, len(asked(tmp_path))) == (0, count), again.err


@pytest.mark.slow
def test_what_runs_nothing_does_not_run_it(
    server: Server, pdl_run: Runner, program: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    options = program(GOOD)
    assert pdl_run("drive:a.bin", *options, "--dry-run").code == 0
    assert pdl_run("drive:a.bin", *options, "--check").code == 1
    assert asked(tmp_path) == []
    assert pdl_run("drive:a.bin", "--url-command", "'x", "--dry-run").code == 2
    without = pdl_run("--report", "r.jsonl", "-", stdin=b"drive:a.bin\n")
    assert without.code == 1
    assert rows(tmp_path)[0]["kind"] == "invalid-url"
    assert server.requests() == []


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403, 410])
def test_it_is_asked_once_more_where_a_server_refuses(
    status: int,
    server: Server,
    pdl_run: Runner,
    program: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    urls = [server.on(f"/{number}.bin", Reply(status)) for number in range(2)]
    urls.append(server.on("/2.bin", File(BODY)))
    server.on("/there", File(BODY))
    run = pdl_run(*urls, *program("print(base + '/there')"), *ONE_WORKER, "-j", "1")
    assert run.code == 0, run.err
    assert asked(tmp_path) == urls[:2]
    assert (tmp_path / "1.bin").read_bytes() == BODY
    server.on("/no", Reply(status, body=f"no {SECRET}".encode()))
    again = pdl_run(
        urls[0],
        *program(f"print(base + '/no?n={SECRET}')"),
        *ONE_WORKER,
        "--if-exists",
        "overwrite",
    )
    assert again.code == 1
    assert f"http-{status}" in again.err
    assert "--url-command gave the URL" in again.err
    assert SECRET not in again.err
    assert len(server.requests("/no")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"sys.exit('no {SECRET}?x'.replace('{SECRET}', 'https://h/a'))", "exit code 1: no https"),
        ("sys.exit(75)", "failed with exit code 75"),
        ("print('drive:b')", "no URL that can be downloaded: it only http and https"),
    ],
)
def test_what_it_fails_with_is_the_lines_and_nobody_is_asked(
    code: str,
    said: str,
    server: Server,
    pdl_run: Runner,
    program: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    server.on("/a", File(BODY))
    run = pdl_run("drive:a", *program(code), "--report", "r.jsonl", *ONE_WORKER)
    assert run.code == 1
    assert said in run.err
    assert (rows(tmp_path)[0]["kind"], rows(tmp_path)[0]["transient"]) == ("helper", "75" in code)
    assert server.requests() == []


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--public-only", "--https-only"])
def test_what_it_prints_is_held_to_the_runs_policy(
    option: str,
    server: Server,
    pdl_run: Runner,
    program: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    server.on("/a", File(BODY))
    options = (*program("print(base + '/a')"), *ONE_WORKER, option, "--report", "r.jsonl")
    run = pdl_run("drive:a", *options)
    assert (run.code, rows(tmp_path)[0]["kind"]) == (1, "policy"), run.err
    assert asked(tmp_path) == ["drive:a"]
    assert server.requests() == []


def test_credentials_go_by_the_new_host(
    server: Server, pdl_run: Runner, program: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    with Server() as other:
        there = other.on("/a.bin", File(BODY))
        refusing = server.on("/a.bin", Reply(403))
        code = f"print({there!r})"
        run = pdl_run(
            refusing,
            *program(code),
            *("-H", "X-Api-Key: for-the-list", "-u", f"127.0.0.1:{other.port}=me:pass"),
            *ONE_WORKER,
        )
    assert run.code == 0, run.err
    assert server.requests()[0].header("X-Api-Key") == "for-the-list"
    assert server.requests()[0].header("Authorization") is None
    assert other.requests()[0].header("X-Api-Key") is None
    assert (other.requests()[0].header("Authorization") or "").startswith("Basic ")


def test_one_that_hangs_ends_with_the_run(
    server: Server, pdl_run: Runner, program: Callable[[str], tuple[str, str]], tmp_path: Path
) -> None:
    process = pdl_run.start("drive:a", *program("signal.alarm(60); signal.pause()"))
    until(lambda: asked(tmp_path), "the program")
    process.terminate()
    run = pdl_run.finish(process, timeout=20)
    assert run.code == 143
    assert pdl_run.leftovers() == []
    assert server.requests() == []


SIGNED = f"print(base + '/a.bin?sig={SECRET}-' + str(count))"


@pytest.mark.slow
def test_a_part_goes_on_with_another_signed_url(
    server: Server,
    pdl_run: Runner,
    program: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    server.on("/a.bin", cut(TAG), File(LARGE, etag=ETAG))
    command = program(SIGNED)[1]
    first = pdl_run("drive:a.bin", "--url-command", command, *ONE_WORKER)
    assert (first.code, "truncated" in first.err) == (1, True), first.err
    assert "at 127.0.0.1" in first.err
    again = pdl_run("drive:a.bin", *ONE_WORKER, env={"PDL_URL_COMMAND": command})
    assert again.code == 0, again.err
    assert (tmp_path / "a.bin").read_bytes() == LARGE
    one, two = server.requests("/a.bin")
    assert one.target != two.target
    assert (two.header("Range"), two.header("If-Range")) == (f"bytes={HALF}-", ETAG)
    assert not (tmp_path / ".pdl").exists()


def test_what_is_kept_is_asked_for_again_when_it_is_refused(
    server: Server,
    pdl_run: Runner,
    program: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    server.on("/a.bin", cut(TAG), Reply(403), File(LARGE, etag=ETAG))
    options = ("--processes", "1", "--retries", "1", "--retry-wait", "0")
    run = pdl_run("drive:a.bin", *program(SIGNED), *options)
    assert run.code == 0, run.err
    assert (tmp_path / "a.bin").read_bytes() == LARGE
    signs = [seen.target[-1] for seen in server.requests("/a.bin")]
    assert signs == ["1", "1", "2"]


def test_what_may_go_well_later_is_tried_again(
    server: Server, pdl_run: Runner, program: Callable[[str], tuple[str, str]]
) -> None:
    server.on("/a.bin", File(BODY))
    code = f"count == 1 and sys.exit(75)\n{SIGNED}"
    run = pdl_run("drive:a.bin", *program(code), "--retries", "1", "--retry-wait", "0")
    assert run.code == 0, run.err


@pytest.mark.slow
def test_update_asks_by_the_listed_url(
    server: Server,
    pdl_run: Runner,
    program: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    server.on("/a.bin", File(BODY, etag=ETAG))
    command = program(SIGNED)[1]
    (tmp_path / "c.toml").write_text(f'url-command = """{command}"""\n')
    (tmp_path / "l.jsonl").write_text('{"url": "drive:x/a.bin"}\n')
    for outcome in ("success", "unchanged"):
        run = pdl_run("l.jsonl", "--config", "c.toml", "-N", *ONE_WORKER, "--report", "r.jsonl")
        assert run.code == 0, run.err
        assert rows(tmp_path)[0]["outcome"] == outcome
    assert server.requests()[1].header("If-None-Match") == ETAG
