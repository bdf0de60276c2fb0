"""What a run writes is nothing that it reads, and no two of its outputs are one file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from servers.misbehave import File, Server

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner

pytestmark = pytest.mark.usefixtures("no_leftovers")
LIST = "http://127.0.0.1:9/a.bin\n"
DIGEST = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"


@pytest.fixture
def lists(pdl_run: Runner) -> Path:
    """A directory with a list of several names, and what else a run reads."""
    home = pdl_run.directory
    (home / "l.txt").write_text(LIST)
    (home / "other.txt").write_text(LIST)
    (home / "link.jsonl").symlink_to("l.txt")
    os.link(home / "l.txt", home / "hard.json")
    (home / "sums").write_text(f"{DIGEST}  a.bin\n")
    (home / "old.jsonl").write_text("")
    (home / "to-be.jsonl").symlink_to("new.jsonl")
    return home


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("l.txt", "--failed", "l.txt"), "replace the list that is read"),
        (("l.txt", "--failed", "./l.txt"), "replace the list that is read"),
        (("l.txt", "--failed", "out/../l.txt"), "replace the list that is read"),
        (("l.txt", "--failed", "hard.json"), "replace the list that is read"),
        (("l.txt", "--report", "link.jsonl"), "is also a source"),
        (("l.txt", "--report", "hard.json"), "is also a source"),
        (("link.jsonl", "--failed", "hard.json"), "replace the list that is read"),
        (("other.txt", "l.txt", "--failed", "l.txt"), "is also a source"),
        (("l.txt", "--failed", "other.txt"), "replace a file that was not written by --failed"),
        (("-", "--failed", "other.txt"), "replace a file that was not written by --failed"),
        (("l.txt", "--checksums", "sums", "--failed", "sums"), "is also --checksums"),
        (("l.txt", "--lock", "old.jsonl", "--report", "old.jsonl"), "is also --lock"),
        (("l.txt", "--lock", "new.jsonl", "--report", "new.jsonl"), "is also --lock"),
        (("l.txt", "--lock", "new.jsonl", "--report", "to-be.jsonl"), "is also --lock"),
        (("l.txt", "--report", "r.json", "--failed", "r.json"), "is also --report"),
        (("l.txt", "--report", "r.json", "--report", "x/../r.json"), "is also --report"),
        (("l.txt", "--report", "-", "--report", "/dev/stdout"), "is also --report"),
    ],
)
def test_an_output_that_is_an_input_is_refused_before_anything_is_opened(
    pdl_run: Runner, lists: Path, arguments: tuple[str, ...], what: str, dry: tuple[str, ...]
) -> None:
    (lists / "x").mkdir()
    before = {path.name: path.read_bytes() for path in lists.iterdir() if path.is_file()}
    run = pdl_run(*arguments, *dry, "-d", "out")
    assert run.code == 2
    assert what in run.err
    assert {path.name: path.read_bytes() for path in lists.iterdir() if path.is_file()} == before
    assert not (lists / "out").exists()


def test_standard_input_may_be_that_file_too(pdl_run: Runner, lists: Path) -> None:
    with (lists / "l.txt").open() as stdin:
        process = pdl_run.start("-", "--failed", "l.txt", "-d", "out", stdin=stdin.fileno())
    run = pdl_run.finish(process)
    assert run.code == 2
    assert (lists / "l.txt").read_text() == LIST


@pytest.mark.slow
def test_a_failure_list_that_is_the_only_source_replaces_itself(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/there.bin", File(b"bytes"))
    (pdl_run.directory / "l.txt").write_text(f"{server.url('/there.bin')}\n{server.url('/no')}\n")
    loop = ("--failed", "failed.txt", "-d", "out", "--retries", "0")
    assert pdl_run("l.txt", *loop).code == 1
    failed = pdl_run.directory / "failed.txt"
    assert pdl_run("failed.txt", *loop).code == 1
    assert f"\n{server.url('/no')}\n" in failed.read_text()
    assert pdl_run("failed.txt", "other.txt", *loop).code == 2
    assert f"\n{server.url('/no')}\n" in failed.read_text()
    server.on("/no", File(b"now"))
    assert pdl_run("failed.txt", *loop).code == 0
    assert server.url("/no") not in failed.read_text()
    assert pdl_run("failed.txt", *loop).code == 0
