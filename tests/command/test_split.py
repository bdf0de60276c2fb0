"""``--split``: idle lanes fetch ranges of a large file, and only they, and only as many as may."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from html_page import Page
from marks import slow
from pdl.storage.board import find
from runner import until
from servers.behaviours import Reply, head
from servers.files import parse_range
from servers.misbehave import Server
from servers.row import ETAG, pattern
from survive.common import workers

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.scheduling.range_map import Range
    from runner import Runner
    from servers.wire import Exchange

K = 1024
BODY = pattern(4 * K * K + 77, 9)
DIGEST = hashlib.sha256(BODY).hexdigest()
SPLIT = ("--min-split", "64K", "-d", "out")
A_WHILE = 0.5
"""Seconds in which more connections would be opened, if there were to be any."""


@dataclass
class Dripping:
    """Gives a large file, or a range, so slowly that it pays to split it; until it is to `go`.

    Attributes:
        bears: connections at once; further ones are answered 503.
        most: connections that there were at once.
        refused: requests that were answered 503.
    """

    bears: int = 99
    body: bytes = BODY
    go: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    now: int = 0
    most: int = 0
    refused: int = 0

    def __call__(self, exchange: Exchange) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, min(self.now, self.bears))
            refuse = self.now > self.bears
            self.refused += refuse
        try:
            if refuse:
                Reply(503)(exchange)
            else:
                self.give(exchange)
        finally:
            with self.lock:
                self.now -= 1

    def give(self, exchange: Exchange) -> None:
        wire, asked = exchange.wire, exchange.seen.header("Range")
        span = parse_range(asked or "", len(self.body)) or range(len(self.body))
        fields = [("ETag", ETAG), ("Content-Length", str(len(span)))]
        if asked:
            where = f"bytes {span.start}-{span.stop - 1}/{len(self.body)}"
            fields.append(("Content-Range", where))
        wire.send(head(206 if asked else 200, fields))
        at = span.start
        while at < span.stop and not self.go.is_set():
            end = min(span.stop, at + K)
            wire.send(self.body[at:end])
            wire.pause(0.05, self.go)
            at = end
        wire.send(self.body[at : span.stop])


def right(directory: Path, name: str = "big") -> bool:
    return (directory / "out" / name).read_bytes() == BODY and not (
        directory / "out" / ".pdl"
    ).exists()


def done(path: Path) -> list[Range]:
    """The ranges that a board calls done."""
    board = find(str(path))
    assert board is not None
    try:
        return board.ranges.done()
    finally:
        board.close()


@pytest.mark.parametrize("digest", [(), ("--digest", "sha256")])
def test_idle_lanes_help(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None, digest: tuple[str, ...]
) -> None:
    drip = Dripping()
    reports = ("--report", "r.jsonl", "--report", "r.html")
    process = pdl_run.start(server.on("/big", drip), *SPLIT, *reports, *digest)
    server.wait_for("/big", 4)
    seen = drip.most
    drip.go.set()
    run = pdl_run.finish(process)
    assert (run.code, seen) == (0, 4), run.err
    assert right(tmp_path)
    row = json.loads((tmp_path / "r.jsonl").read_text())
    assert row["bytes"] == len(BODY)
    assert row["digests"] == ([f"sha256:{DIGEST}"] if digest else None)
    assert row["etag"] == ETAG
    spans = Page(tmp_path / "r.html").spans
    assert [span[8:] for span in spans].count([1]) == len(spans) - 1 >= 3  # those that helped
    assert len({span[2] for span in spans}) >= 4


def test_each_connection_has_what_a_credential_helper_says(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    (tmp_path / "helper.py").write_text('print(\'{"headers": {"Authorization": "mine"}}\')')
    helper = f"'{sys.executable}' '{tmp_path / 'helper.py'}'"
    drip = Dripping()
    options = (*SPLIT, "--processes", "2", "--credential-helper", helper)
    process = pdl_run.start(server.on("/big", drip), *options)
    server.wait_for("/big", 4)
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert right(tmp_path)
    assert {seen.header("Authorization") for seen in server.requests("/big")} == {"mine"}


@pytest.mark.slow
@pytest.mark.parametrize("listed", ["drive:big", "http"])
def test_each_connection_asks_for_what_the_url_command_prints(
    listed: str, server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    drip = Dripping()
    there = server.on("/there", drip)
    listed = server.on("/big", Reply(403)) if listed == "http" else listed
    (tmp_path / "program.py").write_text(f"import os; print({there!r} + '?n=' + str(os.getpid()))")
    command = f"'{sys.executable}' '{tmp_path / 'program.py'}'"
    process = pdl_run.start(listed, *SPLIT, "--processes", "2", "--url-command", command)
    server.wait_for("/there", 4)
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert right(tmp_path)


@pytest.mark.parametrize(
    ("options", "most"),
    [
        slow(("-s", "1"), 1),
        slow(("-s", "3"), 3),
        (("-s", "8", "-j", "2"), 2),
        (("-s", "8", "--per-host", "3"), 3),
        slow(("-j", "1"), 1),
    ],
)
def test_there_are_never_more_connections_than_may_be(
    server: Server,
    pdl_run: Runner,
    tmp_path: Path,
    no_leftovers: None,
    options: tuple[str, ...],
    most: int,
) -> None:
    drip = Dripping()
    process = pdl_run.start(server.on("/big", drip), *SPLIT, *options)
    server.wait_for("/big", most)
    drip.go.wait(A_WHILE)
    seen = drip.most  # later one may begin before this server has noticed that another has ended
    drip.go.set()
    run = pdl_run.finish(process)
    assert (run.code, seen) == (0, most), run.err
    assert right(tmp_path)


@pytest.mark.slow
def test_a_server_that_bears_two_is_asked_by_two(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    drip = Dripping(bears=2)
    process = pdl_run.start(server.on("/big", drip), *SPLIT, "-s", "8", "-v")
    until(lambda: drip.refused, "a refusal")
    drip.go.wait(A_WHILE)
    refused = drip.refused
    drip.go.wait(A_WHILE)
    assert drip.refused == refused <= 6  # those that were asked together, and none since
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert "503" not in run.err  # no attempt of the file has failed
    assert right(tmp_path)


@pytest.mark.slow
def test_lanes_that_help_are_there_for_what_the_list_brings(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    drip = Dripping()
    server.on("/small", Reply(200, (), b"small"))
    process = pdl_run.start("-", *SPLIT, "-j", "4", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(f"{server.on('/big', drip)}\n".encode())
    process.stdin.flush()
    server.wait_for("/big", 4)
    process.stdin.write("".join(f"{server.url('/small')}?{n}\n" for n in range(9)).encode())
    process.stdin.flush()
    server.wait_for("/small", 9)
    assert not drip.go.is_set()
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert (tmp_path / "out" / "big").read_bytes() == BODY


def test_the_last_large_file_of_many_is_split_at_the_end(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    drip = Dripping()
    small = [server.on(f"/{n}", Reply(200, (), bytes(n * K))) for n in range(19)]
    process = pdl_run.start(*small[:10], server.on("/big", drip), *small[10:], *SPLIT, "-j", "8")
    server.wait_for("/big", 4)
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert (tmp_path / "out" / "big").read_bytes() == BODY


def test_mirrors_share_the_ranges_of_one_file(
    pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    """Each of them bears one connection, so that it is both that bring the file."""
    drips = [Dripping(bears=1), Dripping(bears=1)]
    with Server() as one, Server() as two:
        urls = [server.on("/big", drip) for server, drip in zip((one, two), drips, strict=True)]
        listed = tmp_path / "list"
        listed.write_text("\t".join(urls) + f"\n  checksum=sha-256={DIGEST}\n  header=X-Key: a\n")
        process = pdl_run.start("list", *SPLIT)
        until(lambda: all(drip.now for drip in drips), "requests to both")
        for drip in drips:
            drip.go.set()
        run = pdl_run.finish(process)
        asked = [seen for server in (one, two) for seen in server.requests("/big")]
        keys = {seen.header("X-Key") for seen in two.requests("/big")}
    assert run.code == 0, run.err
    assert right(tmp_path)
    assert [seen.header("Range") for seen in asked].count(None) == 1
    assert keys == {None}


def test_of_mirrors_that_share_a_file_one_lies_and_the_digest_decides(
    pdl_run: Runner, tmp_path: Path, no_leftovers: None
) -> None:
    good, liar = Dripping(bears=1), Dripping(body=BODY[::-1])
    with Server() as one, Server() as two:
        urls = one.on("/big", good), two.on("/big", liar)
        (tmp_path / "list").write_text("\t".join(urls) + f"\n  checksum=sha-256={DIGEST}\n")
        process = pdl_run.start("list", *SPLIT)
        two.wait_for("/big", 2)
        for drip in (good, liar):
            drip.go.set()
        run = pdl_run.finish(process)
        alone = [seen.header("Range") for seen in one.requests("/big")].count(None)
    assert run.code == 0, run.err
    assert right(tmp_path)
    assert alone == 2  # once with help, and once all of it


@pytest.mark.parametrize("which", [0, slow(1), slow(2)])
def test_any_worker_may_be_killed(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None, which: int
) -> None:
    """The first lane's and those of helpers."""
    drip = Dripping()
    options = ("-s", "3", "-j", "3", "--processes", "3")
    process = pdl_run.start(server.on("/big", drip), *SPLIT, *options)
    server.wait_for("/big", 3)
    os.kill(sorted(workers(pdl_run, process.pid))[which], signal.SIGKILL)
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert right(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, slow(signal.SIGINT)])
def test_the_same_command_goes_on_with_every_range(
    server: Server, pdl_run: Runner, tmp_path: Path, number: signal.Signals
) -> None:
    drip = Dripping()
    url = server.on("/big", drip)
    process = pdl_run.start(url, *SPLIT)
    server.wait_for("/big", 4)
    (path,) = (tmp_path / "out" / ".pdl").glob("*.ranges")
    until(lambda: len(done(path)) == 4, "bytes of every range")
    os.kill(process.pid, number)
    assert pdl_run.finish(process).code in {-number, 130}
    until(lambda: not pdl_run.alive(), "the end of all processes")
    before = server.requests("/big")
    drip.go.set()
    run = pdl_run(url, *SPLIT)
    assert run.code == 0, run.err
    assert right(tmp_path)
    ranges = [seen.header("Range") for seen in server.requests("/big")[len(before) :]]
    assert len(ranges) >= 3  # the rest of each
    assert None not in ranges


@pytest.mark.parametrize(
    "options",
    [
        ("--cache", "cache"),
        slow(("-J", "--report", "r.jsonl")),
        slow(("--lock", "urls.lock.jsonl")),
        slow(("--update",)),
        slow(("--limit-rate", "100M")),
        slow(("--fsync", "--start-method", "spawn")),
        slow(("--start-method", "fork")),
    ],
    ids=lambda options: options[0],
)
def test_it_goes_together_with(
    server: Server, pdl_run: Runner, tmp_path: Path, no_leftovers: None, options: tuple[str, ...]
) -> None:
    drip = Dripping()
    process = pdl_run.start(server.on("/big", drip), *SPLIT, *options)
    server.wait_for("/big", 4)
    drip.go.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert (tmp_path / "out" / "big").read_bytes() == BODY


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_called_done_that_is_not(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    drip = Dripping()
    url = server.on("/big", drip)
    holes = 0
    for kills in range(1, 13):
        asked = len(server.requests("/big"))
        process = pdl_run.start(url, *SPLIT)
        server.wait_for("/big", asked + 2 + kills % 3)
        pdl_run.kill_all()
        pdl_run.finish(process)
        for path in (tmp_path / "out" / ".pdl").glob("*.ranges"):
            there = done(path)
            part = path.with_suffix(".part").read_bytes()
            assert all(part[start:end] == BODY[start:end] for start, end in there)
            holes += len(there) > 1
    assert holes > 6
    drip.go.set()
    run = pdl_run(url, *SPLIT)
    assert run.code == 0, run.err
    assert right(tmp_path)
