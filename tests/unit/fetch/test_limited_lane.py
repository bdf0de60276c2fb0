"""`--limit-rate` in a lane, on the wire: whatever way bytes come, none comes before its time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pdl.fetch.blocking import Fetcher
from pdl.fetch.lane_factory import CachedFetching, Fetching
from pdl.model import FailureKind, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.pool.rate_limit import WORDS, Account, Allowance, Clock, RateLimit
from pdl.settings import CacheSettings, FileSettings, HttpSettings
from pdl.storage.cache.store import prepare
from pdl.text.timetable import timetable_of
from pdl.transport import min_speed
from quicklane import WARM, QuickLane
from servers.behaviours import Close, Raw, Reply, Then, head
from servers.files import File
from servers.misbehave import Server
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.certs import Authority

RATE = 100_000
HTTP = HttpSettings(timeout=5.0, connect_timeout=5.0, insecure=True, limit_rate=str(RATE))
LARGE = pattern(3 * 1024 * 1024 + 77, 5)
SMALL = pattern(4096, 6)


class Told(InlineMeter):
    """Notes when bytes came, by the virtual clock.

    Attributes:
        now: the virtual time, which goes only while a lane waits for tokens.
        early: the most bytes that had come beyond those of their time.
    """

    def __init__(self, stop_at: float = 1e9) -> None:
        super().__init__(lambda: self.now >= stop_at)
        self.now = 0.0
        self.early = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: 0.0, self.sleep)

    def update(self, received: int, size: int | None) -> None:
        super().update(received, size)
        self.early = max(self.early, received - RATE * self.now)


@contextmanager
def lane_of(told: Told, directory: Path, http: HttpSettings = HTTP) -> Iterator[Fetcher]:
    """A lane of a run with that limit, whose clock is virtual."""
    (directory / ".pdl").mkdir(exist_ok=True)
    limit = RateLimit(timetable_of(str(RATE)), 1, Account([0.0] * WORDS, threading.Lock()))
    lane = Fetching(http, FileSettings(str(directory)), limit)()
    assert isinstance(lane, Fetcher)
    assert isinstance(lane.allowance, Allowance)
    lane.allowance._clock = told.clock()
    yield lane
    lane.close()


def task_of(url: str, name: str = "f") -> Task:
    return Task(1, url, SafePath(name), f"{name}.part")


@pytest.mark.parametrize(
    ("body", "behaviour"),
    [
        pytest.param(LARGE, File(LARGE), id="moved in the kernel"),
        pytest.param(LARGE, File(LARGE, chunked=True), id="chunked"),
        pytest.param(
            LARGE,
            Then(Raw(head(200, (("Connection", "close"),)) + LARGE), Close()),
            id="to the end of the connection",
        ),
        pytest.param(LARGE, File(LARGE, headers=(("Repr-Digest", "md5=:AAAA:"),)), id="digest"),
        pytest.param(SMALL * 20, File(SMALL * 20), id="read"),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_no_byte_comes_before_its_time(
    tls: bool, body: bytes, behaviour: File, authority: Authority, tmp_path: Path
) -> None:
    told = Told()
    with Server(tls=authority.good() if tls else None) as server, lane_of(told, tmp_path) as lane:
        answer = lane(task_of(server.on("/f", behaviour)), told)
    assert answer.word == "success", answer
    assert (tmp_path / "f").read_bytes() == body
    assert told.now == pytest.approx(len(body) / RATE, abs=0.2)
    assert told.early <= RATE * 0.1


def test_small_files_together_are_no_faster(server: Server, tmp_path: Path) -> None:
    told = Told()
    url = server.on("/f", File(SMALL))
    server.on(WARM, File(b"warm"))
    with lane_of(told, tmp_path) as lane:
        quick = QuickLane(HTTP, FileSettings(str(tmp_path)))
        quick.lane.close()
        quick.lane = lane
        told.now = 1.0  # so something has been saved
        for number in range(100):
            told.now += 0.5 * len(SMALL) / RATE  # the server takes half the time
            assert quick(task_of(url, str(number)), told).word == "success"
    assert told.now - 1.0 == pytest.approx(100 * len(SMALL) / RATE, abs=0.2)
    assert len({seen.connection for seen in server.requests()}) == 1
    assert quick.ways["quick"] > 0
    assert quick.ways["call"] > 50  # those that had to wait


def test_small_files_that_need_not_wait_go_the_quick_way(server: Server, tmp_path: Path) -> None:
    told = Told()
    url = server.on("/f", File(SMALL))
    server.on(WARM, File(b"warm"))
    with lane_of(told, tmp_path) as lane:
        quick = QuickLane(HTTP, FileSettings(str(tmp_path)))
        quick.lane.close()
        quick.lane = lane
        for number in range(100):
            told.now += 1.2 * len(SMALL) / RATE  # the server takes its time
            assert quick(task_of(url, str(number)), told).word == "success"
    assert lane.allowance is not None
    assert lane.allowance.waited < 0.1  # so nothing was counted twice
    assert quick.ways["quick"] > 90


def test_a_refused_answers_words_are_received_at_the_rate(server: Server, tmp_path: Path) -> None:
    told = Told()
    with lane_of(told, tmp_path) as lane:
        answer = lane(task_of(server.on("/f", Reply(404, (), bytes(60_000)))), told)
    assert (answer.word, answer.received) == ("fail", 0)
    assert told.now == pytest.approx(0.6, abs=0.2)


def test_a_lane_with_a_cache_keeps_to_it(server: Server, tmp_path: Path) -> None:
    told = Told()
    limit = RateLimit(timetable_of(str(RATE)), 1, Account([0.0] * WORDS, threading.Lock()))
    (tmp_path / "out/.pdl").mkdir(parents=True)
    files, cache = FileSettings(str(tmp_path / "out")), CacheSettings(str(tmp_path / "cache"))
    assert prepare(cache, pytest.fail)
    lane = CachedFetching(HTTP, files, cache, limit)()
    assert isinstance(lane, Fetcher)
    assert isinstance(lane.allowance, Allowance)
    lane.allowance._clock = told.clock()
    url = server.on("/f", File(LARGE, etag=ETAG, last_modified=1_000_000_000))
    assert lane(task_of(url), told).word == "success"
    assert told.now == pytest.approx(len(LARGE) / RATE, abs=0.2)
    before = told.now
    assert lane(task_of(url, "g"), told).word == "success"  # from this disk, at its own speed
    assert told.now == before
    lane.close()


def test_waiting_for_tokens_is_no_slowness(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(min_speed, "WINDOW", 2.0)
    told = Told()
    with lane_of(told, tmp_path, HTTP._replace(min_speed=RATE * 10.0)) as lane:
        answer = lane(task_of(server.on("/f", File(LARGE))), told)
    assert answer.word == "success", answer
    assert told.now > 20


def test_who_waits_for_tokens_ends_when_the_run_does(server: Server, tmp_path: Path) -> None:
    told = Told(stop_at=3.0)
    with lane_of(told, tmp_path) as lane:
        answer = lane(task_of(server.on("/f", File(LARGE, etag=ETAG))), told)
    assert answer.word == "fail"
    assert (answer.kind, answer.kept) == (FailureKind.CANCELLED, 300_000)
    assert told.now < 4


def test_a_lane_without_a_limit_has_no_part_of_it(tmp_path: Path) -> None:
    lane = Fetching(HttpSettings(), FileSettings(str(tmp_path)))()
    assert isinstance(lane, Fetcher)
    assert lane.allowance is None
    assert type(lane.transport).__name__ == "KeepaliveTransport"
    lane.close()
