"""One attempt on the wire: bad parts, and servers that hold a lane with a trickle."""

from __future__ import annotations

import hashlib
import math
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pdl import fetch
from pdl.fetch import Fetcher
from pdl.model import Answer, FailureKind, SafePath, Task
from pdl.partfile import Part
from pdl.pool.inline import InlineMeter
from pdl.resume import Validator
from pdl.settings import FileSettings, HttpSettings
from pdl.transport import TransportError, requests_
from pdl.transport.keepalive import KeepaliveTransport
from pdl.transport.requests_ import RequestsTransport
from pdl.transport.wire import SocketReader
from servers.behaviours import Pause, Raw, Then, head
from servers.files import File
from servers.row import BODY, ETAG, HALF, OTHER

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.transport import Transport
    from servers.misbehave import Server

HTTP = HttpSettings(timeout=30.0, connect_timeout=5.0)
LONG = 20.0
TRANSPORTS = pytest.mark.parametrize("make", [RequestsTransport, KeepaliveTransport])
WARM = pytest.mark.parametrize("warm", [False, True], ids=["first", "kept"])


def attempt(lane: Fetcher, url: str, **more: str) -> Answer:
    task = Task(1, url, SafePath("file.bin"), "1.part", **more)  # type: ignore[arg-type]
    return lane(task, InlineMeter())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / ".pdl").mkdir()
    return tmp_path


def leave_part(place: Path, data: bytes) -> None:
    part = Part(str(place), "1.part")
    part.start()
    part.versioned(Validator(ETAG), len(BODY))
    part.write(memoryview(data))
    part.leave(keep=True)


LaneOf = Callable[..., Fetcher]


@pytest.fixture
def lane_of(place: Path) -> Iterator[LaneOf]:
    """Makes lanes that are closed after the test."""
    with ExitStack() as stack:

        def build(make: Callable[[HttpSettings], Transport], http: HttpSettings = HTTP) -> Fetcher:
            lane = Fetcher(make(http), http, FileSettings(directory=str(place)))
            stack.callback(lane.close)
            return lane

        yield build


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# --- a part whose bytes are wrong ---


def test_a_bad_part_is_fetched_from_zero_in_the_same_attempt(
    lane_of: LaneOf, server: Server, place: Path
) -> None:
    leave_part(place, OTHER[:HALF])
    url = server.on("/a.bin", File(BODY, etag=ETAG))
    answer = attempt(lane_of(KeepaliveTransport), url, checksum=sha256(BODY))
    assert answer.word == "success"
    assert (answer.resumed_from, answer.received) == (0, HALF + len(BODY))
    assert (place / "file.bin").read_bytes() == BODY
    assert [seen.header("Range") for seen in server.requests()] == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_digest_that_is_wrong_from_zero_is_final(
    lane_of: LaneOf, server: Server, place: Path, resumed: bool
) -> None:
    if resumed:
        leave_part(place, BODY[:HALF])
    url = server.on("/a.bin", File(BODY, etag=ETAG))
    answer = attempt(lane_of(KeepaliveTransport), url, checksum=sha256(OTHER))
    assert answer.word == "fail"
    assert (answer.kind, answer.transient) == (FailureKind.CHECKSUM, False)
    assert len(server.requests()) == 1 + resumed
    assert [path.name for path in place.rglob("*")] == [".pdl"]


# --- trickles ---


def warmed(lane: Fetcher, server: Server, warm: bool) -> Fetcher:
    """The lane, with a kept connection if it is to be warm."""
    if warm:
        assert attempt(lane, server.on("/warm.bin", File(BODY))).word == "success"
    return lane


@TRANSPORTS
@WARM
def test_a_refused_answer_that_stalls_is_left_soon(
    make: Callable[[HttpSettings], Transport],
    warm: bool,
    server: Server,
    lane_of: LaneOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch, "DRAIN_SECONDS", 0.1)
    stall = Then(Raw(head(404, (("Content-Length", "100"),)) + b"abc"), Pause(LONG))
    url = server.on("/a.bin", stall)
    # the whole attempt has less time than --timeout: only the drain's own limit ends it before
    lane = warmed(lane_of(make, replace(HTTP, timeout=LONG)), server, warm)
    answer = attempt(lane, url)
    assert answer.word == "fail"
    assert (answer.kind, answer.status) == (FailureKind.HTTP, 404)
    assert answer.seconds < LONG / 2


@TRANSPORTS
def test_a_hurried_connection_is_patient_again(
    make: Callable[[HttpSettings], Transport],
    server: Server,
    lane_of: LaneOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetch, "DRAIN_SECONDS", 0.3)
    gone = Then(Raw(head(404, (("Content-Length", "3"),))), Pause(0.01), Raw(b"abc"))
    lane = warmed(lane_of(make), server, warm=True)
    assert attempt(lane, server.on("/gone.bin", gone)).word == "fail"
    assert attempt(lane, server.on("/slow.bin", File(BODY, delay=0.6))).word == "success"
    assert {seen.connection for seen in server.requests()} == {1}


@TRANSPORTS
@WARM
@pytest.mark.parametrize("least", [None, 1000.0], ids=["timeout", "min-speed"])
def test_a_head_that_trickles_is_given_up(
    make: Callable[[HttpSettings], Transport],
    warm: bool,
    least: float | None,
    server: Server,
    lane_of: LaneOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if least:
        monkeypatch.setattr(requests_, "WINDOW", 0.5)
    http = replace(HTTP, timeout=LONG if least else 0.5, min_speed=least)
    url = server.on("/a.bin", Raw(head(200, (("X-Pad", "x" * 5000),)), rate=20))
    answer = attempt(warmed(lane_of(make, http), server, warm), url)
    assert answer.word == "fail"
    assert (answer.kind, answer.transient) == (FailureKind.STALLED, True)
    assert "slowly" in answer.message


@pytest.mark.parametrize("read", [SocketReader.head, lambda reader: reader.line(100, "a line")])
def test_what_has_begun_has_to_end(read: Callable[[SocketReader], bytes]) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        reader = SocketReader(mine)
        reader.head_seconds = -math.inf
        for data in (b"HTTP", b"/"):
            theirs.sendall(data)
            reader.more()
        theirs.sendall(b"1")
        with pytest.raises(TransportError) as caught:
            read(reader)
        assert caught.value.kind is FailureKind.STALLED
