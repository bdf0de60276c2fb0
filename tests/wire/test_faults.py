"""Every way a server misbehaves: the outcome, the bytes, what was asked, what is left behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

import pytest

from every_lane import LANES, LaneMaker
from marks import slow
from pdl.fetch.fast_path import DIGEST_MOST
from pdl.model import FailureKind, Outcome, Result, Retrying, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.run.download import download
from pdl.settings import (
    FileSettings,
    HttpSettings,
    PoolSettings,
    RetrySettings,
    Settings,
)
from pdl.transport.http.head import MAX_HEAD
from quicklane import WARM, QuickLane
from runner import Runner
from servers import reuse
from servers.faults import BODY, FAULTS, path_for, script_for
from servers.files import File
from servers.misbehave import Reply, Server
from servers.row import HALF, pattern
from survive.memory import HUNGRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.row import Fault
    from servers.wire import Seen

OLD = b"what was there before\n"
NEXT = b"what the next URL holds\n"

SETTINGS = Settings(
    http=HttpSettings(timeout=5.0, connect_timeout=5.0),
    retry=RetrySettings(retries=2, wait=0.02, max_wait=5.0),
    files=FileSettings(if_exists="overwrite"),
    pool=PoolSettings(engine="inline"),
)


class Ended(NamedTuple):
    """How a row and the URL after it ended, and what was asked for both."""

    word: str
    row: Result
    after: Result
    retries: list[Retrying]
    seen: list[Seen]
    after_seen: list[Seen]


# the plain run leaves out the one that differs from another in how it moves the bytes alone
@pytest.fixture(params=[slow(each) if each == "moving" else each for each in LANES])
def lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LaneMaker:
    """Makes every lane of this process one kind."""
    make = LANES[request.param]
    monkeypatch.setattr(
        "pdl.fetch.lane_factory.Fetching", lambda http, files, _limit: lambda: make(http, files)
    )
    return make


@pytest.fixture
def faulty() -> Iterator[Server]:
    """A server of every row, and of one honest file."""
    with Server(fallback=script_for) as server:
        server.on("/next.bin", File(NEXT, etag='"next"'))
        server.on(WARM, File(NEXT))
        yield server


def settings_for(fault: Fault) -> Settings:
    return SETTINGS._replace(
        http=SETTINGS.http._replace(timeout=fault.timeout),
        files=SETTINGS.files._replace(max_time=fault.max_time),
        retry=SETTINGS.retry._replace(retries=fault.retries),
    )


def run_row(server: Server, fault: Fault, directory: Path) -> Ended:
    """Download the row and then another file, one after the other in one lane."""
    events: list[Result | Retrying] = []
    urls = [server.url(path_for(fault)), server.url("/next.bin")]
    download(urls, str(directory), jobs=1, settings=settings_for(fault), on_event=events.append)
    results = {event.url: event for event in events if isinstance(event, Result)}
    row, after = (results[url] for url in urls)
    word = "success" if row.outcome is Outcome.SUCCESS else str(row.kind)
    retries = [event for event in events if isinstance(event, Retrying)]
    return Ended(
        word, row, after, retries, server.requests(path_for(fault)), server.requests("/next.bin")
    )


def name_of(fault: Fault) -> str:
    return f"{fault.name}{fault.suffix}"


def parts(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob(".pdl/*"))


ROWS = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


@ROWS
def test_every_fault_ends_right(
    fault: Fault,
    faulty: Server,
    tmp_path: Path,
    lanes: LaneMaker,
) -> None:
    ended = run_row(faulty, fault, tmp_path)
    assert ended.word in fault.right, ended.row
    final = tmp_path / name_of(fault)
    if ended.word == "success":
        assert final.read_bytes() == fault.body
        assert ended.row.size == len(fault.body)
    else:
        assert not final.exists()
        assert ended.row.message
        assert ended.row.message.isprintable()
    check_what_is_left(fault, ended, tmp_path)
    check_what_was_asked(fault, ended)
    check_the_next(fault, ended, tmp_path)


def check_what_is_left(fault: Fault, ended: Ended, directory: Path) -> None:
    left = parts(directory)
    if fault.keeps_part:
        assert len(left) == 2
        assert sum(name.endswith(".part") for name in left) == 1
        assert [path.stat().st_size for path in directory.glob(".pdl/*.part")] == [HALF]
    else:
        assert left == []
    wanted = {"next.bin", *([name_of(fault)] if ended.word == "success" else [])}
    assert {path.name for path in directory.iterdir()} - {".pdl"} == wanted


def check_what_was_asked(fault: Fault, ended: Ended) -> None:
    ranges = tuple(seen.header("Range") for seen in ended.seen)
    if fault.sent_twice:
        repeated = sum(seen.nth > 1 for seen in ended.seen)
        ranges = ranges[: len(ranges) - repeated]
    assert ranges == fault.ranges
    for seen in ended.seen:
        condition = seen.header("If-Range") or seen.header("If-Unmodified-Since")
        assert (condition is None) == (seen.header("Range") is None)
        assert condition is None or not condition.startswith("W/")
        assert seen.header("Accept-Encoding") == "identity"
        assert seen.header("X-Forged") is None
    spaces = [b.time - a.time for a, b in zip(ended.seen, ended.seen[1:], strict=False)]
    assert sum(spaces) >= sum(retry.delay for retry in ended.retries) * 0.99
    assert sum(spaces) >= fault.waits * 0.99


def check_the_next(fault: Fault, ended: Ended, directory: Path) -> None:
    """The URL after it is answered as if nothing had been, and never from what was left over."""
    if fault.forges:
        return  # forged under way, behind an answer that was whole: below it comes before
    assert ended.after.outcome is Outcome.SUCCESS
    assert (directory / "next.bin").read_bytes() == NEXT
    if fault.spoils or ended.word == "protocol":
        # of several requests the last is the one that broke the rules
        fed = {seen.connection for seen in ended.seen[-1:]}
        assert not fed & {seen.connection for seen in ended.after_seen}


FAILING = [fault for fault in FAULTS.values() if "success" not in fault.right]


@pytest.mark.parametrize("fault", FAILING, ids=lambda fault: fault.name)
def test_a_failure_leaves_the_old_file(
    fault: Fault,
    faulty: Server,
    tmp_path: Path,
    lanes: LaneMaker,
) -> None:
    (tmp_path / name_of(fault)).write_bytes(OLD)
    settings = settings_for(fault)._replace(retry=RetrySettings(retries=0))
    report = download([faulty.url(path_for(fault))], str(tmp_path), settings=settings)
    assert report.summary.failed == 1
    assert (tmp_path / name_of(fault)).read_bytes() == OLD


def test_an_honest_file_takes_the_place_of_the_old_one(faulty: Server, tmp_path: Path) -> None:
    fault = FAULTS["chunked-honest"]
    (tmp_path / name_of(fault)).write_bytes(OLD)
    assert download([faulty.url(path_for(fault))], str(tmp_path), settings=SETTINGS).ok
    assert (tmp_path / name_of(fault)).read_bytes() == BODY


KEEPING = [fault for fault in FAULTS.values() if fault.keeps_part]


@pytest.mark.parametrize("fault", KEEPING, ids=lambda fault: fault.name)
def test_a_later_run_goes_on_from_the_part(
    fault: Fault,
    faulty: Server,
    tmp_path: Path,
    lanes: LaneMaker,
) -> None:
    path = path_for(fault)
    assert not download([faulty.url(path)], str(tmp_path), settings=SETTINGS).ok
    faulty.on(path, File(BODY, etag='"one"'))
    events: list[Result | Retrying] = []
    assert download([faulty.url(path)], str(tmp_path), settings=SETTINGS, on_event=events.append).ok
    (row,) = events
    assert isinstance(row, Result)
    assert row.resumed_from == HALF
    assert faulty.requests(path)[-1].header("If-Range") == '"one"'
    assert (tmp_path / name_of(fault)).read_bytes() == BODY


# --- kept connections ---


def task(server: Server, number: int, path: str) -> Task:
    name = path.strip("/")
    return Task(number, server.url(path), SafePath(name), f"{number}.part")


@pytest.mark.parametrize("what", ["unsolicited_bytes", "closed_when_idle"])
def test_a_connection_that_is_spoilt_while_it_is_idle_serves_nothing_more(
    what: str,
    server: Server,
    tmp_path: Path,
    lanes: LaneMaker,
) -> None:
    gate, forged = threading.Event(), threading.Event()
    spoil = what == "unsolicited_bytes"
    server.on(
        "/one.bin",
        *(reuse.unsolicited_bytes(gate, forged) if spoil else reuse.closed_when_idle(gate)),
    )
    server.on("/two.bin", File(NEXT))
    server.on(WARM, File(NEXT))
    (tmp_path / ".pdl").mkdir()
    http = SETTINGS.http
    lane = lanes(http, FileSettings(directory=str(tmp_path)))
    assert lane(task(server, 1, "/one.bin"), InlineMeter()).word == "success"
    gate.set()
    if spoil:
        assert forged.wait(30)
    else:
        server.wait_until(lambda: not server.open)
    assert lane(task(server, 2, "/two.bin"), InlineMeter()).word == "success"
    assert (tmp_path / "two.bin").read_bytes() == NEXT
    assert server.requests("/two.bin")[-1].connection == 2
    lane.close()


def test_the_quick_way_ends_what_is_plain_and_nothing_else(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".pdl").mkdir()
    lane = QuickLane(SETTINGS.http, FileSettings(directory=str(tmp_path)))
    server.on(WARM, File(NEXT))
    bodies = {"/1.bin": b"", "/2.bin": BODY, "/3.bin": BODY * 4, "/4.bin": BODY}
    for number, (path, body) in enumerate(bodies.items()):
        server.on(path, File(body, etag='"one"', chunked=path == "/4.bin"))
        assert lane(task(server, number, path), InlineMeter()).word == "success"
        assert (tmp_path / path.strip("/")).read_bytes() == body
    assert lane.ways == {"quick": 3, "call": 1}
    assert lane(task(server, 5, "/missing.bin"), InlineMeter())[2:4] == (FailureKind.HTTP, False)
    assert lane.ways == {"quick": 4, "call": 1}
    assert {seen.connection for seen in server.requests()} == {1}
    lane.close()


def test_the_quick_way_gives_a_connection_back_that_others_may_want(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / ".pdl").mkdir()
    lane = QuickLane(SETTINGS.http, FileSettings(directory=str(tmp_path)))
    with Server() as other:
        for number, each in enumerate([server, other, server, other, server]):
            each.on(WARM, File(NEXT))
            each.on(f"/{number}.bin", File(BODY))
            asked = task(each, number, f"/{number}.bin")._replace(begun=number == 4)
            assert lane(asked, InlineMeter()).word == "success"
        assert lane.ways == {"quick": 4, "call": 1}
        for each in (server, other):
            assert {seen.connection for seen in each.requests()} == {1}
        lane.close()


@pytest.mark.parametrize("away", [shutil.rmtree, lambda out: out.rename(out.with_name("moved"))])
def test_the_quick_way_places_a_file_where_the_directory_is_now(
    away: Callable[[Path], object], server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    lane = QuickLane(SETTINGS.http, FileSettings(directory=str(out)))
    server.on(WARM, File(NEXT))
    for number in range(4):
        if number in {0, 2}:
            if number:
                away(out)
            (out / ".pdl").mkdir(parents=True)
        server.on(f"/{number}.bin", File(BODY))
        assert lane(task(server, number, f"/{number}.bin"), InlineMeter()).word == "success"
        assert (out / f"{number}.bin").read_bytes() == BODY
    lane.close()


@pytest.mark.parametrize("size", [100, DIGEST_MOST, DIGEST_MOST + 1])
def test_the_quick_way_proves_a_small_file_itself(
    size: int, server: Server, tmp_path: Path
) -> None:
    (tmp_path / ".pdl").mkdir()
    lane = QuickLane(SETTINGS.http, FileSettings(directory=str(tmp_path)))
    server.on(WARM, File(NEXT))
    body = pattern(size, 7)
    server.on("/good.bin", File(body))
    server.on("/bad.bin", File(body[:-1] + b"?"))
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    good = lane(task(server, 1, "/good.bin")._replace(checksum=digest), InlineMeter())
    assert good.word == "success"
    assert good.checksum == digest
    assert lane.ways == {"quick" if size <= DIGEST_MOST else "call": 1}
    bad = lane(task(server, 2, "/bad.bin")._replace(checksum=digest), InlineMeter())
    assert bad.word == "fail"
    assert bad.kind is FailureKind.CHECKSUM
    assert not (tmp_path / "bad.bin").exists()
    lane.close()


@pytest.mark.parametrize("mtime", [True, False])
def test_a_file_has_the_time_that_its_server_says_on_every_way(
    mtime: bool, server: Server, tmp_path: Path, lanes: LaneMaker
) -> None:
    (tmp_path / ".pdl").mkdir()
    lane = lanes(SETTINGS.http, FileSettings(directory=str(tmp_path), mtime=mtime))
    server.on(WARM, File(NEXT))
    server.on("/one.bin", File(BODY, last_modified=1_000_000_000))
    assert lane(task(server, 1, "/one.bin"), InlineMeter()).word == "success"
    found = (tmp_path / "one.bin").stat().st_mtime
    assert (found == 1_000_000_000) == mtime
    lane.close()


def test_every_way_brings_a_file_to_the_disk_that_is_to_be_there(
    server: Server, tmp_path: Path, lanes: LaneMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[int] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        found = os.fstat(fd)
        brought.append(-1 if stat.S_ISDIR(found.st_mode) else found.st_size)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    (tmp_path / ".pdl").mkdir()
    lane = lanes(SETTINGS.http, FileSettings(directory=str(tmp_path), fsync=True))
    server.on(WARM, File(NEXT))
    server.on("/one.bin", File(BODY))
    assert lane(task(server, 1, "/one.bin"), InlineMeter()).word == "success"
    # first the bytes, then the name
    assert brought[-2:] == [len(BODY), -1]
    lane.close()


@pytest.mark.parametrize("size", [MAX_HEAD // 2, MAX_HEAD + 1, 2 * MAX_HEAD])
def test_a_head_is_as_long_on_every_way(
    size: int, server: Server, tmp_path: Path, lanes: LaneMaker
) -> None:
    (tmp_path / ".pdl").mkdir()
    lane = lanes(SETTINGS.http, FileSettings(directory=str(tmp_path)))
    server.on(WARM, File(NEXT))
    filled = tuple((f"X-{n}", "x" * 1000) for n in range(size // 1000))
    server.on("/one.bin", Reply(200, filled, BODY))
    answer = lane(task(server, 1, "/one.bin"), InlineMeter())
    assert answer.word == ("success" if size < MAX_HEAD else "fail")
    lane.close()


def test_an_honest_connection_is_used_again(
    server: Server, tmp_path: Path, lanes: LaneMaker
) -> None:
    urls = [server.on(f"/{n}.bin", File(BODY, etag='"one"')) for n in range(3)]
    urls.append(server.on("/chunked.bin", File(BODY, chunked=True)))
    urls.append(server.on("/empty.bin", File(b"")))
    assert download(urls, str(tmp_path), jobs=1, settings=SETTINGS).ok
    assert {seen.connection for seen in server.requests()} == {1}


ENDING = [fault for fault in FAULTS.values() if fault.sent_twice and "success" in fault.right]


@pytest.mark.parametrize("fault", ENDING, ids=lambda fault: fault.name)
def test_a_kept_connection_that_ends_costs_no_attempt(
    fault: Fault,
    faulty: Server,
    tmp_path: Path,
    lanes: LaneMaker,
) -> None:
    paths = [path_for(fault, run=str(n)) for n in range(3)]
    events: list[Result | Retrying] = []
    urls = [faulty.url(path) for path in paths]
    settings = SETTINGS._replace(naming=SETTINGS.naming._replace(tree=True))
    assert download(urls, str(tmp_path), jobs=1, settings=settings, on_event=events.append).ok
    assert [event.attempts for event in events if isinstance(event, Result)] == [1, 1, 1]
    assert not [event for event in events if isinstance(event, Retrying)]


def test_a_redirects_body_is_not_taken(faulty: Server, tmp_path: Path, lanes: LaneMaker) -> None:
    fault = FAULTS["redirect-huge-body"]
    assert run_row(faulty, fault, tmp_path).word == "success"
    assert faulty.sent(path_for(fault)) < 32 << 20


# --- the real command ---

MEASURED = """
import sys
from pdl.__main__ import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    sys.stdout.write(status.partition("VmHWM:")[2].split()[0])
"""
"""Runs the command and then says how many KiB of memory it ever had."""


def memory_of(run: Runner, server: Server, names: tuple[str, ...], directory: Path) -> int:
    urls = [server.url(path_for(FAULTS[name])) for name in names]
    args = ("--engine", "inline", "--retries", "0", "-q", "-d")
    return int(run(*args, directory, *urls).out)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_no_answer_makes_it_take_memory(faulty: Server, tmp_path: Path) -> None:
    run = Runner(tmp_path, tmp_path, (sys.executable, "-c", MEASURED))
    plain = memory_of(run, faulty, ("chunked-honest",), tmp_path / "plain")
    hungry = memory_of(run, faulty, HUNGRY, tmp_path / "hungry")
    assert hungry - plain < 100 * 1024


@pytest.mark.slow
def test_the_command_ends_right_on_the_whole_table(
    faulty: Server, pdl_run: Runner, no_leftovers: None
) -> None:
    # What is forged while another request is under way cannot be told from its answer.
    rows = [fault for fault in FAULTS.values() if not fault.forges]
    listed = pdl_run.directory / "urls.txt"
    listed.write_text("".join(f"{faulty.url(path_for(fault))}\n" for fault in rows))
    limits = ("--timeout", "1", "--max-time", "2", "--retries", "2", "--retry-wait", "0.01")
    # one host has all of these faults: what would be its trouble is that of the rows here
    hosts = ("--max-retry-wait", "5", "--host-patience", "0")
    ended = pdl_run("urls.txt", "-d", "out", "--report", "rows.jsonl", *limits, *hosts)
    assert ended.code == 3  # one of them says that it is larger than any disk
    assert "\x1b" not in ended.err
    assert "Traceback" not in ended.err
    found = (pdl_run.directory / "rows.jsonl").read_text().splitlines()
    by_line = {row["line"]: row for row in map(json.loads, found)}
    assert len(found) == len(by_line) == len(rows)
    for line, fault in enumerate(rows, 1):
        row, final = by_line[line], pdl_run.directory / "out" / name_of(fault)
        assert (row["kind"] or row["outcome"]) in fault.right, row
        if row["outcome"] == "success":
            assert final.read_bytes() == fault.body, fault.name
        else:
            assert not final.exists(), fault.name
