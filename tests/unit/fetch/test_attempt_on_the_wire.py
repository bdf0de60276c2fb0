"""One attempt on the wire: bad parts, and servers that hold a lane with a trickle."""

from __future__ import annotations

import base64
import hashlib
import math
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pdl.fetch import blocking
from pdl.fetch.blocking import Fetcher
from pdl.http_rules.ranges import Known, Validator
from pdl.model import Answer, FailureKind, Pieces, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.settings import FileSettings, HttpSettings
from pdl.storage.part import Part
from pdl.transport import TransportError, min_speed
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.reader import SocketReader
from pdl.transport.http.requests_ import RequestsTransport
from servers.behaviours import Close, Pause, Raw, Reply, Then, head
from servers.files import File
from servers.row import BODY, ETAG, HALF, OTHER, length

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.transport import Transport
    from servers.misbehave import Server
    from servers.wire import Exchange

HTTP = HttpSettings(timeout=30.0, connect_timeout=5.0)
LONG = 20.0
TRANSPORTS = pytest.mark.parametrize("make", [RequestsTransport, KeepaliveTransport])
WARM = pytest.mark.parametrize("warm", [False, True], ids=["first", "kept"])


def attempt(lane: Fetcher, url: str, **more: str | Pieces) -> Answer:
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


def no_longer(part: Path, size: int | None) -> None:
    """Cut the part, or remove it, as somebody may who clears a disk."""
    if size is None:
        part.unlink()
    else:
        os.truncate(part, size)


@pytest.mark.parametrize("left", [None, 0, HALF - 1])
@pytest.mark.parametrize("checksum", [None, sha256(BODY)], ids=["plain", "digest"])
def test_a_part_that_is_cut_while_the_server_answers_starts_again(
    lane_of: LaneOf, server: Server, place: Path, left: int | None, checksum: str | None
) -> None:
    leave_part(place, BODY[:HALF])

    def cutting(exchange: Exchange) -> None:
        if exchange.seen.header("Range"):
            no_longer(place / ".pdl" / "1.part", left)
        File(BODY, etag=ETAG)(exchange)

    url = server.on("/a.bin", cutting)
    answer = attempt(lane_of(KeepaliveTransport), url, **{"checksum": checksum} if checksum else {})
    assert answer.word == "success"
    assert answer.resumed_from == 0
    assert (place / "file.bin").read_bytes() == BODY


@pytest.mark.timeout(30)
def test_a_part_that_is_cut_while_it_is_read_back_starts_again(
    lane_of: LaneOf, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class CutPart(Part):
        def go_on(self, known: Known) -> bool:
            went = super().go_on(known)
            no_longer(place / ".pdl" / "1.part", HALF - 1)
            return went

    monkeypatch.setattr(blocking, "Part", CutPart)
    leave_part(place, BODY[:HALF])
    url = server.on("/a.bin", File(BODY, etag=ETAG))
    answer = attempt(lane_of(KeepaliveTransport), url, checksum=sha256(BODY))
    assert answer.word == "success"
    assert answer.resumed_from == 0
    assert (place / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize(("status", "kept"), [(404, False), (410, False), (429, True), (503, True)])
def test_a_part_stays_where_the_file_may_come_back(
    lane_of: LaneOf, server: Server, place: Path, status: int, kept: bool
) -> None:
    leave_part(place, BODY[:HALF])
    answer = attempt(lane_of(KeepaliveTransport), server.on("/a.bin", Reply(status)))
    assert answer.word == "fail"
    assert (answer.kind, answer.status, answer.transient) == (FailureKind.HTTP, status, kept)
    left = sorted(path.name for path in (place / ".pdl").iterdir())
    assert left == (["1.json", "1.part"] if kept else [])


def test_a_size_that_comes_with_the_rest_is_the_files(
    lane_of: LaneOf, server: Server, place: Path
) -> None:
    part = Part(str(place), "1.part")
    part.start()
    part.versioned(Validator(ETAG), None)  # as where the first answer did not say how large it is
    part.write(memoryview(BODY[:HALF]))
    part.leave(keep=True)
    span = ("Content-Range", f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}")
    fields = (("ETag", ETAG), span, length(BODY[HALF:]))
    url = server.on("/a.bin", Then(Raw(head(206, fields) + BODY[HALF:-1]), Close()))
    answer = attempt(lane_of(KeepaliveTransport), url)
    assert answer.word == "fail"
    assert (answer.kind, answer.size) == (FailureKind.TRUNCATED, len(BODY))
    assert (answer.resumed_from, answer.received) == (HALF, len(BODY) - HALF - 1)


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
    monkeypatch.setattr("pdl.fetch.receiving.DRAIN_SECONDS", 0.1)
    stall = Then(Raw(head(404, (("Content-Length", "100"),)) + b"abc"), Pause(LONG))
    url = server.on("/a.bin", stall)
    # the whole attempt has less time than --timeout: only the drain's own limit ends it before
    lane = warmed(lane_of(make, HTTP._replace(timeout=LONG)), server, warm)
    answer = attempt(lane, url)
    assert answer.word == "fail"
    assert (answer.kind, answer.status) == (FailureKind.HTTP, 404)
    assert answer.seconds < LONG / 2


@TRANSPORTS
@WARM
def test_a_silent_server_has_its_seconds_told(
    make: Callable[[HttpSettings], Transport], warm: bool, server: Server, lane_of: LaneOf
) -> None:
    url = server.on(
        "/a.bin", Then(Raw(head(200, (("Content-Length", "9"),)) + b"abc"), Pause(LONG))
    )
    answer = attempt(warmed(lane_of(make, HTTP._replace(timeout=0.5)), server, warm), url)
    assert answer.word == "fail"
    assert answer.message == "no data for 0.5 s (--timeout)"


def test_a_server_that_never_speaks_tls_is_no_matter_of_the_timeout(lane_of: LaneOf) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        answer = attempt(lane_of(RequestsTransport, HTTP._replace(connect_timeout=0.3)), url)
    assert answer.word == "fail"
    assert (answer.kind, answer.transient) == (FailureKind.CONNECT, True)
    assert answer.message == "no TLS for 0.3 s after connecting (--connect-timeout)"


@TRANSPORTS
def test_a_hurried_connection_is_patient_again(
    make: Callable[[HttpSettings], Transport],
    server: Server,
    lane_of: LaneOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pdl.fetch.receiving.DRAIN_SECONDS", 0.3)
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
        monkeypatch.setattr(min_speed, "WINDOW", 0.5)
    http = HTTP._replace(timeout=LONG if least else 0.5, min_speed=least)
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


# --- digests that the server declares ---


def base64_of(name: str, data: bytes) -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


def test_what_the_server_declares_is_checked(lane_of: LaneOf, server: Server, place: Path) -> None:
    url = server.on("/a.bin", File(BODY, headers=(("Content-MD5", base64_of("md5", BODY)),)))
    answer = attempt(lane_of(KeepaliveTransport), url)
    assert answer.word == "success"
    assert answer.checksum == f"md5:{hashlib.md5(BODY).hexdigest()}"
    assert answer.message == "digest as declared by the server (Content-MD5)"
    assert (place / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize("resumed", [False, True])
def test_what_the_server_declares_may_be_right_next_time(
    lane_of: LaneOf, server: Server, place: Path, resumed: bool
) -> None:
    if resumed:
        leave_part(place, BODY[:HALF])
    fields = (("Repr-Digest", f"sha-256=:{base64_of('sha256', OTHER)}:"),)
    url = server.on("/a.bin", File(BODY, etag=ETAG, headers=fields))
    answer = attempt(lane_of(KeepaliveTransport), url)
    assert answer.word == "fail"
    assert (answer.kind, answer.transient) == (FailureKind.CHECKSUM, True)
    assert answer.message == (
        f"the server declared {sha256(OTHER)} (Repr-Digest), the bytes have {sha256(BODY)}"
    )
    assert len(server.requests()) == 1 + resumed
    assert [path.name for path in place.rglob("*")] == [".pdl"]


def test_a_digest_of_a_range_is_not_one_of_the_file(
    lane_of: LaneOf, server: Server, place: Path
) -> None:
    leave_part(place, BODY[:HALF])
    digest = f"sha-256=:{base64_of('sha256', BODY[HALF:])}:"
    url = server.on("/a.bin", File(BODY, etag=ETAG, headers=(("Content-Digest", digest),)))
    answer = attempt(lane_of(KeepaliveTransport), url)
    assert answer.word == "success"
    assert (answer.resumed_from, answer.checksum) == (HALF, None)


@pytest.mark.parametrize(
    ("listed", "declares", "transient", "said"),
    [
        (OTHER, BODY, False, "; the server declares the former"),
        (OTHER, OTHER, True, f"; the server declared {sha256(OTHER)}"),
        (BODY, OTHER, None, ""),
    ],
)
def test_the_list_rules_and_the_server_tells_whose_fault_it_is(
    lane_of: LaneOf,
    server: Server,
    listed: bytes,
    declares: bytes,
    transient: bool | None,
    said: str,
) -> None:
    fields = (("Repr-Digest", f"sha-256=:{base64_of('sha256', declares)}:"),)
    url = server.on("/a.bin", File(BODY, headers=fields))
    answer = attempt(lane_of(KeepaliveTransport), url, checksum=sha256(listed))
    if answer.word == "success":
        assert (transient, answer.checksum, answer.message) == (None, sha256(BODY), "")
    else:
        expected = sha256(OTHER).removeprefix("sha256:")
        message = f"the digest is {sha256(BODY)}, expected {expected}{said}"
        assert (answer.transient, answer.message) == (transient, message)


# --- pieces ---


def pieces_of(data: bytes, length: int) -> Pieces:
    parts = [data[at : at + length] for at in range(0, len(data), length)]
    return Pieces("sha1", length, b"".join(hashlib.sha1(part).digest() for part in parts))


def test_pieces_that_all_match_are_a_proof(lane_of: LaneOf, server: Server, place: Path) -> None:
    url = server.on("/a.bin", File(BODY))
    answer = attempt(lane_of(KeepaliveTransport), url, pieces=pieces_of(BODY, 1000))
    assert (answer.word, answer.size) == ("success", len(BODY))
    assert answer.word == "success"
    assert answer.checksum == "pieces:sha1"


def test_a_wrong_piece_leaves_those_before_it(lane_of: LaneOf, server: Server, place: Path) -> None:
    pieces = pieces_of(BODY, 1000)
    spoilt = BODY[:2500] + b"\0" + BODY[2501:]
    lane = lane_of(KeepaliveTransport)
    answer = attempt(lane, server.on("/a.bin", File(spoilt, etag=ETAG)), pieces=pieces)
    assert answer.word == "fail"
    assert (answer.kind, answer.transient) == (FailureKind.CHECKSUM, True)
    assert answer.message.startswith(f"piece 3 of {-(-len(BODY) // 1000)} has sha1:")
    assert (place / ".pdl" / "1.part").read_bytes() == BODY[:2000]
    assert not (place / "file.bin").exists()
    answer = attempt(lane, server.on("/a.bin", File(BODY, etag=ETAG)), pieces=pieces)
    assert answer.word == "success"
    assert (answer.resumed_from, answer.received) == (2000, len(BODY) - 2000)
    assert (place / "file.bin").read_bytes() == BODY


def test_a_wrong_piece_of_an_old_part_starts_again(
    lane_of: LaneOf, server: Server, place: Path
) -> None:
    leave_part(place, OTHER[:HALF])
    url = server.on("/a.bin", File(BODY, etag=ETAG))
    answer = attempt(lane_of(KeepaliveTransport), url, pieces=pieces_of(BODY, 1000))
    assert answer.word == "success"
    assert answer.resumed_from == 0
    assert (place / "file.bin").read_bytes() == BODY


@pytest.mark.parametrize("length", [len(BODY) - 1000, len(BODY) + 1000])
def test_pieces_of_another_size(lane_of: LaneOf, server: Server, place: Path, length: int) -> None:
    pieces = pieces_of((BODY * 2)[:length], 1000)
    url = server.on("/a.bin", File(BODY, etag=ETAG))
    answer = attempt(lane_of(KeepaliveTransport), url, pieces=pieces)
    assert answer.word == "fail"
    assert answer.kind is FailureKind.CHECKSUM
    assert [path.name for path in place.rglob("*")] == [".pdl"]


# --- large files: digested beside the transfer ---

LARGE = bytes(range(251)) * 20_000  # no multiple of any buffer


@pytest.mark.parametrize("resumed", [0, 3_000_000])
def test_a_large_file_is_digested_by_a_thread_that_ends(
    lane_of: LaneOf, server: Server, place: Path, resumed: int
) -> None:
    if resumed:
        part = Part(str(place), "1.part")
        part.start()
        part.versioned(Validator(ETAG), len(LARGE))
        part.write(memoryview(LARGE)[:resumed])
        part.leave(keep=True)
    url = server.on("/a.bin", File(LARGE, etag=ETAG))
    lane = lane_of(KeepaliveTransport)
    before = threading.active_count()
    answer = attempt(lane, url, checksum=sha256(LARGE))
    assert answer.word == "success"
    assert (answer.resumed_from, answer.checksum) == (resumed, sha256(LARGE))
    assert (place / "file.bin").read_bytes() == LARGE
    wrong = attempt(lane, url, checksum=sha256(LARGE + b"x"))
    assert wrong.word == "fail"
    assert wrong.message.startswith(f"the digest is {sha256(LARGE)}, expected ")
    assert not [each for each in threading.enumerate() if each.name.startswith("digest")]
    assert threading.active_count() <= before + 2  # the server's own


def test_a_large_file_that_breaks_off_leaves_no_thread(
    lane_of: LaneOf, server: Server, place: Path
) -> None:
    fields = (("Content-Length", str(len(LARGE))), ("ETag", ETAG))
    cut = Then(Raw(head(200, fields) + LARGE[:4_000_000]), Close())
    url = server.on("/a.bin", cut)
    answer = attempt(lane_of(KeepaliveTransport), url, checksum=sha256(LARGE))
    assert answer.word == "fail"
    assert answer.kind is FailureKind.TRUNCATED
    assert (place / ".pdl" / "1.part").read_bytes() == LARGE[:4_000_000]
    assert not [each for each in threading.enumerate() if each.name.startswith("digest")]


def test_a_wrong_piece_of_a_large_file_ends_it_early(
    lane_of: LaneOf, server: Server, place: Path
) -> None:
    pieces = pieces_of(LARGE, 256 * 1024)
    spoilt = LARGE[:2_000_000] + b"\xff" + LARGE[2_000_001:]
    url = server.on("/a.bin", File(spoilt, etag=ETAG))
    answer = attempt(lane_of(KeepaliveTransport), url, pieces=pieces, checksum=sha256(LARGE))
    assert answer.word == "fail"
    assert answer.message.startswith("piece 8 of 20 ")
    assert (place / ".pdl" / "1.part").read_bytes() == LARGE[: 7 * 256 * 1024]
