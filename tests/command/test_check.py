"""``--check``: what is on the disk against the list, and no server asked."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from pdl.model import Item
from pdl.run.check import CheckReport, Turns
from pdl.scheduling.progress import Summary
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Run, Runner
    from servers.misbehave import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: a request would fail."""


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def listed(pdl_run: Runner, *lines: str) -> None:
    (pdl_run.directory / "urls.txt").write_text("".join(f"{line}\n" for line in lines))


def check(pdl_run: Runner, *more: str) -> Run:
    return pdl_run("urls.txt", "-d", "out", "--check", "--engine", "inline", *more)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output directory with two files."""
    where = tmp_path / "out"
    where.mkdir()
    (where / "a").write_bytes(b"aa")
    (where / "b").write_bytes(b"bb")
    return where


@pytest.mark.slow
def test_all_is_well(pdl_run: Runner, out: Path) -> None:
    listed(
        pdl_run,
        *(f"{NOWHERE}/a#sha256={digest(b'aa')}", f"{NOWHERE}/b", "  size=2"),
    )
    run = check(pdl_run)
    assert run.code == 0, run.err
    assert run.out == ""
    assert (
        "2 lines checked: 1 as it should be, 1 there with no digest to prove it by, 0 wrong"
        in run.err
    )
    assert sorted(path.name for path in out.iterdir()) == ["a", "b"]
    assert check(pdl_run, "-q").err == ""


def test_what_is_wrong_is_told_in_the_lists_order(pdl_run: Runner, out: Path) -> None:
    (out / "large").write_bytes(bytes(30_000_000))
    lines = [f"{NOWHERE}/gone{n}" for n in range(40)]
    listed(pdl_run, f"{NOWHERE}/large#sha256={digest(b'')}", *lines)
    told = re.findall(r"^pdl: urls.txt:(\d+):", check(pdl_run).err, re.MULTILINE)
    assert told == [str(n) for n in range(1, 42)]


def test_a_line_that_takes_long_keeps_the_others_for_a_while() -> None:
    said: list[str] = []
    turns = Turns(said.append, most=2)
    turns.came([Item(f"http://h/{n}", source="l", line=n) for n in (1, 2, 2, 3, 4)])
    turns.over("l", 3, "three")
    turns.over("l", 2, "two")
    assert said == []
    turns.over("l", 4, "four")  # too many wait
    assert said == ["two"]  # of which there are two; the other one is still to come
    turns.over("l", 1, "one, late")
    turns.over("l", 2, "two again")
    assert said == ["two", "one, late", "two again", "three", "four"]


@pytest.mark.parametrize("engine", ["process", "inline"])
def test_each_thing_that_is_wrong_has_its_line(pdl_run: Runner, out: Path, engine: str) -> None:
    (out / "dir").mkdir()
    os.mkfifo(out / "pipe")
    lines = [
        f"{NOWHERE}/a#sha256={digest(b'other')}",
        f"{NOWHERE}/gone",
        f"{NOWHERE}/dir",
        f"{NOWHERE}/pipe#sha256={digest(b'')}",
        "no url",
        f"{NOWHERE}/b",
        "  size=3",
        f"{NOWHERE}/a/below",
        "  out=b/below",
    ]
    listed(pdl_run, *lines)
    run = check(pdl_run, "--engine", engine, "--report", "r.jsonl", "--failed", "failed.txt")
    assert run.code == 1
    told = [line for line in run.err.splitlines() if line.startswith("pdl: urls.txt:")]
    assert sorted(line.split(": ")[1:3] for line in told) == [
        ["urls.txt:1", "checksum"],
        ["urls.txt:2", "missing"],
        ["urls.txt:3", "exists"],
        ["urls.txt:4", "exists"],
        ["urls.txt:5", "invalid-url"],
        ["urls.txt:6", "size"],
        ["urls.txt:8", "missing"],
    ]
    both = f"the digest is sha256:{digest(b'aa')}, expected {digest(b'other')}"
    assert any(both in line for line in told)
    assert "7 wrong (1 checksum, 2 exists, 1 invalid-url, 2 missing, 1 size)" in run.err
    rows = [json.loads(row) for row in (pdl_run.directory / "r.jsonl").read_text().splitlines()]
    assert len(rows) == 7
    assert {row["attempts"] for row in rows} == {0}
    assert run.err.count("urls.txt:1: ") == 1
    assert "/gone" in (pdl_run.directory / "failed.txt").read_text()


def test_mirrors_are_not_asked_either(pdl_run: Runner, server: Server, out: Path) -> None:
    wrong = f"#sha256={digest(b'other')}"
    listed(pdl_run, f"{server.url('/a')}{wrong}\t{server.url('/mirror/a')}")
    run = check(pdl_run)
    assert run.code == 1
    assert run.err.count("checksum: a on this disk") == 1
    assert server.requests() == []
    assert (out / "a").read_bytes() == b"aa"


def test_a_lock_says_what_must_be_there(pdl_run: Runner, out: Path) -> None:
    del out
    listed(pdl_run, f"{NOWHERE}/a", f"{NOWHERE}/b", f"{NOWHERE}/new")
    entry = {"url": f"{NOWHERE}/a", "out": "a", "size": 2, "sha256": digest(b"aa")}
    wrong = {"url": f"{NOWHERE}/b", "out": "b", "size": 2, "sha256": digest(b"BB")}
    text = f"{json.dumps(entry)}\n{json.dumps(wrong)}\n"
    lock = pdl_run.directory / "x.lock"
    lock.write_text(text)
    run = check(pdl_run, "--lock", "x.lock")
    assert run.code == 1
    assert f"is sha256:{digest(b'bb')}, x.lock:2 has sha256:{digest(b'BB')}" in run.err
    assert "1 as it should be, 2 wrong (1 checksum, 1 missing)" in run.err
    frozen = check(pdl_run, "--lock", "x.lock", "--locked")
    assert "1 policy" in frozen.err
    assert lock.read_text() == text


def test_names_are_those_of_the_run(pdl_run: Runner, out: Path) -> None:
    del out
    listed(pdl_run, f"{NOWHERE}/1/a#sha256={digest(b'aa')}", f"{NOWHERE}/2/a")
    run = check(pdl_run, "--report", "r.jsonl")
    assert "1 as it should be, 1 wrong (1 missing)" in run.err
    rows = [json.loads(row) for row in (pdl_run.directory / "r.jsonl").read_text().splitlines()]
    assert sorted(row["path"] for row in rows)[1].startswith("a-")


def test_names_that_a_run_has_kept_hold_in_any_order(pdl_run: Runner, server: Server) -> None:
    bodies = {"/1/a": b"aa", "/2/a": b"bb"}
    lines = [
        f"{server.on(path, File(body))}#sha256={digest(body)}" for path, body in bodies.items()
    ]
    listed(pdl_run, *lines)
    assert pdl_run("urls.txt", "-d", "out").code == 0
    listed(pdl_run, *reversed(lines))
    run = check(pdl_run)
    assert run.code == 0, run.err
    assert "2 as they should be, 0 wrong" in run.err


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        (Summary(unchanged=1), False),
        (Summary(unchanged=1, left=2), True),
        (Summary(unchanged=1, unread=True), True),
        (Summary(unchanged=1, stopped_by=signal.SIGTERM), True),
    ],
)
def test_quiet_is_not_to_say_that_a_check_was_stopped(
    quiet: bool, summary: Summary, shown: bool
) -> None:
    stream = io.StringIO()
    CheckReport(stream, pytest.fail, quiet=quiet).finish(summary)
    assert bool(stream.getvalue()) == (shown or not quiet)


def test_a_directory_that_is_not_there_is_not_made(pdl_run: Runner, tmp_path: Path) -> None:
    listed(pdl_run, f"{NOWHERE}/a")
    assert check(pdl_run).code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("engine", ["process", "inline"])
def test_a_large_file_does_not_keep_a_signal_waiting(
    pdl_run: Runner, out: Path, engine: str
) -> None:
    with (out / "large").open("wb") as file:
        file.truncate(1 << 40)  # a day of hashing, and no byte on the disk
    listed(pdl_run, f"{NOWHERE}/a", f"{NOWHERE}/large#sha256={digest(b'')}")
    process = pdl_run.start("urls.txt", "-d", "out", "--check", "-v", "--engine", engine)
    assert process.stderr is not None
    assert b"a: already there" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    run = pdl_run.finish(process)
    assert run.code == 143
    assert "1 left" in run.err


def test_dry_run_and_check_exclude_each_other(pdl_run: Runner) -> None:
    listed(pdl_run, f"{NOWHERE}/a")
    assert check(pdl_run, "--dry-run").code == 2
