"""`--min-free` and `--quota`: what a run leaves of the disk, and how much it fetches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pdl.fetch.blocking import Fetcher
from pdl.fetch.lane_factory import Fetching
from pdl.model import FailureKind, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.settings import FileSettings, HttpSettings
from pdl.system import disk_space
from servers.behaviours import Close, Raw, Then, head
from servers.files import File
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

GIB = 1 << 30
SMALL = pattern(10_000, 8)


def rows(path: Path) -> list[tuple[str, str | None]]:
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted((each["url"].rpartition("/")[2], each["kind"]) for each in found)


def test_a_file_that_would_leave_too_little_fails_alone(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    free = disk_space.free_bytes(str(tmp_path))
    assert free is not None
    claim = head(200, (("Content-Length", str(free - 2 * GIB)),))
    large = server.on("/large", Then(Raw(claim), Close()))
    small = [server.on(f"/{number}", File(SMALL)) for number in range(3)]
    run = pdl_run(small[0], large, *small[1:], "--min-free", "4G", "--report", "r.jsonl")
    assert run.code == 3
    assert "and --min-free keeps 4.00 GiB" in run.err
    kinds = [("0", None), ("1", None), ("2", None), ("large", "disk")]
    assert rows(tmp_path / "r.jsonl") == kinds


def test_a_disk_with_less_than_that_ends_the_run(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{number}", File(SMALL)) for number in range(20)]
    run = pdl_run(*urls, "--min-free", "1000000T", "-j", "1")
    assert run.code == 3
    assert "free, and --min-free keeps 977 PiB" in run.err
    assert "19 left" in run.err
    assert not (tmp_path / "0").exists()


def test_a_disk_that_fills_up_meanwhile_ends_the_run_and_parts_stay(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = pattern(3_000_000, 9)
    left = iter([5_000_000, 5_000_000, 900_000])
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: next(left))
    (tmp_path / ".pdl").mkdir()
    lane = Fetching(HttpSettings(), FileSettings(str(tmp_path), min_free=1_000_000))()
    assert isinstance(lane, Fetcher)
    url = server.on("/f", File(body, etag=ETAG, chunked=True))
    answer = lane(Task(1, url, SafePath("f"), "f.part"), InlineMeter())
    lane.close()
    assert answer.word == "fail"
    assert (answer.kind, answer.fatal) == (FailureKind.DISK, True)
    assert 0 < answer.kept < len(body)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["process", "inline"])
def test_after_its_quota_a_run_starts_nothing_new(
    engine: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{number:02}", File(SMALL)) for number in range(50)]
    options = ("--quota", "100000", "-j", "2", "--engine", engine)
    run = pdl_run(*urls, *options, "--report", "r.jsonl", "--failed", "failed.txt")
    assert run.code == 1
    assert "stopped at the quota (--quota)" in run.err
    found = [kind for _, kind in rows(tmp_path / "r.jsonl")]
    # the tenth reaches it; what is under way then is finished
    assert 10 <= found.count(None) <= 12
    assert found.count(None) + found.count("cancelled") == 50
    whole = [path for path in tmp_path.glob("[0-9]*") if path.read_bytes() == SMALL]
    assert len(whole) == found.count(None)
    assert pdl_run(*urls).code == 0


def test_what_is_under_way_at_the_quota_is_finished(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    slow = server.on("/slow", File(pattern(60_000, 2), throttle=60_000))
    urls = [server.on(f"/{number}", File(SMALL)) for number in range(2)]
    rest = server.on("/rest", File(SMALL))
    run = pdl_run(slow, *urls, rest, "--quota", "10000", "-j", "2", "--processes", "2")
    assert run.code == 1
    assert (tmp_path / "slow").stat().st_size == 60_000
    assert not (tmp_path / "rest").exists()


def test_a_quota_that_is_enough_changes_nothing(server: Server, pdl_run: Runner) -> None:
    urls = [server.on(f"/{number}", File(SMALL)) for number in range(3)]
    run = pdl_run(*urls, "--quota", "30000", "-j", "1")
    assert run.code == 0, run.err
    assert "quota" not in run.err
