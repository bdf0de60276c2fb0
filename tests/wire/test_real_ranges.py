"""Real servers of files behind a wire that breaks: cut and gone on with, changed in between.

Whatever a server makes of a range, what has the file's name is what the server has now.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from servers.relay import Relay
from servers.row import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner import Run, Runner
    from servers.static import PlainNginx, StaticServer

SIZE = 3_000_000
CUT = 1_200_000
DAY = 86_400
OLD = pattern(SIZE, 11)
CHANGES = {
    "same": OLD,
    "changed": pattern(SIZE, 12),
    "grown": pattern(SIZE + 777_777, 13),
    "grown at its end": OLD + pattern(777_777, 14),
    "shrunk": pattern(SIZE - 777_777, 15),
    "shrunk below the part": pattern(CUT // 2, 16),
    "empty": b"",
}
"""What the server has when it is asked again."""
RESUMES = {"busybox", "webfs", "nginx"}
"""They answer a range of a file that is the same as RFC 9110 has it, or near enough."""


class Site(NamedTuple):
    """A server, and the wire before it."""

    name: str
    root: Path
    base: str
    relay: Relay

    def put(self, body: bytes, days: int) -> str:
        """Let it have these bytes, so many days old; the URL."""
        path = self.root / "f.bin"
        path.with_name("new").write_bytes(body)
        when = time.time() - days * DAY
        os.utime(path.with_name("new"), (when, when))
        path.with_name("new").rename(path)
        return self.relay.url(f"{self.base}f.bin")


@pytest.fixture
def site(
    static_server: StaticServer | PlainNginx, request: pytest.FixtureRequest
) -> Iterator[Site]:
    name = request.node.callspec.params["static_server"]
    with Relay(static_server.port) as relay:
        yield Site(name, static_server.root, static_server.base, relay)


def row_of(run: Run, pdl_run: Runner) -> dict[str, Any]:
    (line,) = (pdl_run.directory / "r.jsonl").read_text().splitlines()
    row: dict[str, Any] = json.loads(line)
    assert (row["outcome"], run.code) in {("success", 0), ("unchanged", 0), ("fail", 1)}, run.err
    return row


def fetch(pdl_run: Runner, url: str, *args: str) -> dict[str, Any]:
    run = pdl_run(url, "-d", "out", "--report", "r.jsonl", "--retry-wait", "0.01", *args)
    return row_of(run, pdl_run)


@pytest.mark.parametrize("change", CHANGES)
def test_a_cut_file_is_what_the_server_has_now(site: Site, pdl_run: Runner, change: str) -> None:
    url = site.put(OLD, 3)
    site.relay.cut(CUT)
    first = fetch(pdl_run, url, "--retries", "0")
    assert (first["outcome"], first["kind"]) == ("fail", "truncated")
    if change != "same":
        site.put(CHANGES[change], 1)
    row = fetch(pdl_run, url, "--retries", "0")
    assert row["outcome"] == "success", row
    assert (pdl_run.directory / "out/f.bin").read_bytes() == CHANGES[change]
    goes_on = change == "same" and site.name in RESUMES
    assert bool(row["resumed_from"]) is goes_on
    ranged = [seen.header("Range") is not None for seen in site.relay.requests()]
    assert ranged[:2] == [False, True]
    assert not (pdl_run.directory / "out/.pdl").exists()


def test_every_cut_of_one_run_is_gone_over(site: Site, pdl_run: Runner) -> None:
    url = site.put(OLD, 3)
    for after in (CUT, CUT // 2):
        site.relay.cut(after)
    row = fetch(pdl_run, url)
    assert row["outcome"] == "success", row
    assert (pdl_run.directory / "out/f.bin").read_bytes() == OLD


def test_what_kill_9_leaves_is_gone_on_with(site: Site, pdl_run: Runner) -> None:
    url = site.put(OLD, 3)
    let_go = threading.Event()
    site.relay.cut(2 * CUT, let_go)
    run = pdl_run.start(url, "-d", "out")
    state = pdl_run.directory / "out/.pdl"
    site.relay.wait_until(lambda: bool(list(state.glob("*.json"))), "a note of the part")
    run.send_signal(signal.SIGKILL)
    run.wait(10)
    let_go.set()
    assert pdl_run.leftovers() == []
    row = fetch(pdl_run, url)
    assert row["outcome"] == "success", row
    assert (pdl_run.directory / "out/f.bin").read_bytes() == OLD
    assert bool(row["resumed_from"]) is (site.name in RESUMES)


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_that_is_kept_current_is_what_the_server_has(
    site: Site, pdl_run: Runner, change: str
) -> None:
    url = site.put(OLD, 3)
    assert fetch(pdl_run, url, "--update")["outcome"] == "success"
    if change != "same":
        site.put(CHANGES[change], 4)  # "not newer than" would not do
    row = fetch(pdl_run, url, "--update")
    assert (pdl_run.directory / "out/f.bin").read_bytes() == CHANGES[change]
    assert row["outcome"] == ("unchanged" if change == "same" else "success")


def test_a_lock_is_not_of_a_rest(site: Site, pdl_run: Runner) -> None:
    url = site.put(OLD, 3)
    site.relay.cut(CUT)
    assert fetch(pdl_run, url, "--lock", "lock")["outcome"] == "success"
    (entry,) = map(json.loads, (pdl_run.directory / "lock").read_text().splitlines())
    assert entry["size"] == SIZE
    assert (pdl_run.directory / "out/f.bin").read_bytes() == OLD
