"""A file that lanes fetch together, on a server that waits for the test: its bytes are right.

Nothing here depends on time: the first lane gets the beginning of its body, and the rest when the
helper has ended.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pdl.fetch.blocking import Fetcher
from pdl.model import (
    FIRST_HELPER,
    HELPS,
    HELPS_ELSEWHERE,
    Answer,
    Fail,
    FailureKind,
    Pieces,
    SafePath,
    Success,
    Task,
)
from pdl.pool.inline import InlineMeter
from pdl.scheduling.range_map import RangeMap, Share
from pdl.settings import FileSettings, HttpSettings
from pdl.storage.board import find, tell
from pdl.storage.helper_part import HelperPart
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.min_speed import WINDOW
from runner import until
from servers.behaviours import Close, Pause, Raw, Reply, Reset, Then, WhenRange, head
from servers.files import File
from servers.misbehave import Server
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.wire import Behaviour, Exchange, Pairs

K = 64 * 1024
TOTAL = 32 * K + 99
BODY = pattern(TOTAL, 5)
NEWER = pattern(TOTAL, 6)
CUT = 2 * K
"""Bytes of the first lane's body that come before the helper ends."""
HTTP = HttpSettings(timeout=10.0, connect_timeout=10.0)
SHARED = FileSettings(split=2, min_split=10 * K)
WHOLE = File(BODY, etag=ETAG)
OTHER_TAG = '"another"'
PIECES = Pieces(
    "sha256",
    K,
    b"".join(hashlib.sha256(BODY[at : at + K]).digest() for at in range(0, TOTAL, K)),
)


@dataclass
class First:
    """The first answer: some of the body, the rest when the test says so."""

    body: bytes = BODY
    headers: Pairs = (("ETag", ETAG), ("Accept-Ranges", "bytes"))
    broken: bool = False
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, exchange: Exchange) -> None:
        wire = exchange.wire
        fields = (*self.headers, ("Content-Length", str(len(self.body))))
        wire.send(head(200, fields) + self.body[:CUT])
        wire.pause(20.0, self.go)
        if self.broken:
            wire.reset()
        wire.send(self.body[CUT:])


def part(start: int, end: int, body: bytes, etag: str = ETAG, total: int = TOTAL) -> bytes:
    """A 206 in good form, but perhaps not the one that was asked for."""
    where = f"bytes {start}-{end - 1}/{total}"
    fields = (("ETag", etag), ("Content-Range", where), ("Content-Length", str(end - start)))
    return head(206, fields) + body[start:end]


HALF = (TOTAL - CUT) // 2
START = TOTAL - HALF - (TOTAL - HALF) % K
"""Where the helper begins."""


class Together(NamedTuple):
    """What came of a file that was split."""

    first: Answer
    helper: Answer
    directory: Path
    asked: list[str | None]

    def right(self, body: bytes = BODY) -> bool:
        file = self.directory / "file.bin"
        nothing_else = sorted(self.directory.rglob("*")) == [self.directory / ".pdl", file]
        return isinstance(self.first, Success) and nothing_else and file.read_bytes() == body


class Place:
    """Two lanes, and a server that knows one file."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.elsewhere = ""
        self.meter = InlineMeter()
        (directory / ".pdl").mkdir()

    def lane(self, files: FileSettings = SHARED) -> Fetcher:
        files = files._replace(directory=str(self.directory))
        return Fetcher(KeepaliveTransport(HTTP), HTTP, files)

    def task(self, **more: object) -> Task:
        return Task(1, self.server.url("/file.bin"), SafePath("file.bin"), "1.part")._replace(
            **more  # type: ignore[arg-type]
        )

    def board(self) -> Path:
        return self.directory / ".pdl" / "1.ranges"

    def attempt(self, files: FileSettings = SHARED, **more: object) -> Answer:
        lane = self.lane(files)
        try:
            return lane(self.task(**more), self.meter)
        finally:
            lane.close()

    def fetch(self, first: First, *script: Behaviour, **more: object) -> Together:
        """The first lane begins; a helper comes and goes; the first lane ends."""
        self.server.on("/file.bin", first, *script)
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(self.attempt(SHARED, **more)))
        thread.start()
        try:
            until(lambda: self.has(CUT), "the beginning of the file")
            helps: dict[str, object] = {"helps": HELPS}
            if self.elsewhere:
                helps = {"helps": HELPS_ELSEWHERE, "url": self.elsewhere}
            helper = self.attempt(SHARED, **{**more, "id": FIRST_HELPER, "begun": True, **helps})
        finally:
            first.go.set()
            thread.join(30)
        asked = [seen.header("Range") for seen in self.server.requests("/file.bin")]
        return Together(answers[0], helper, self.directory, asked)

    def has(self, count: int) -> bool:
        """Whether the first lane has written so many bytes of a part that others may write."""
        board = find(str(self.board()))
        if board is None:
            return False
        try:
            return sum(end - start for start, end in board.ranges.done()) >= count
        finally:
            board.close()


@pytest.fixture(autouse=True)
def _one_range_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a helper takes more and more of what the first lane has to wait for."""
    monkeypatch.setattr("pdl.fetch.split_file.TAIL_LEAST", TOTAL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Server(lifetime=60.0) as server:
        yield Place(server, tmp_path)


# --- all is well ---


def test_each_fetches_a_part_and_the_file_is_whole(place: Place) -> None:
    found = place.fetch(First(), WHOLE)
    assert found.right()
    assert found.asked == [None, f"bytes={START}-{TOTAL - 1}"]
    assert isinstance(found.helper, Success)
    assert found.helper.received == TOTAL - START
    assert found.first.received == TOTAL  # what both have received


def test_who_is_done_takes_more_of_what_the_other_has_left(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdl.fetch.split_file.TAIL_LEAST", 3 * K)
    monkeypatch.setattr("pdl.fetch.split_file.TAIL_SECONDS", 0.0)
    monkeypatch.setattr("pdl.fetch.split_file.TAIL_WAITS", 0)
    found = place.fetch(First(), WHOLE)
    assert found.right()
    starts = [int((asked or "=0-").split("=")[1].split("-")[0]) // K for asked in found.asked[1:]]
    assert starts == [17, 9, 5]  # a half of what is left each time: of 30, 15 and 7 times K


def test_the_digest_is_of_all_bytes(place: Place) -> None:
    digest = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    found = place.fetch(First(), WHOLE, checksum=digest)
    assert found.right()
    assert isinstance(found.first, Success)
    assert found.first.checksum == digest


def test_a_wrong_digest_is_found(place: Place) -> None:
    found = place.fetch(First(), WHOLE, checksum=f"sha256:{'0' * 64}")
    assert isinstance(found.first, Fail)
    assert found.first.kind is FailureKind.CHECKSUM
    assert not list(place.directory.glob("file*"))


def test_another_file_under_the_same_tag_is_found_and_fetched_alone(place: Place) -> None:
    digest = f"sha256:{hashlib.sha256(NEWER).hexdigest()}"
    found = place.fetch(First(), File(NEWER, etag=ETAG), checksum=digest)
    assert found.right(NEWER)
    assert found.asked == [None, f"bytes={START}-{TOTAL - 1}", None]


def test_a_helper_is_led_elsewhere(place: Place) -> None:
    elsewhere = place.server.on("/elsewhere", WHOLE)
    found = place.fetch(First(), Reply(302, (("Location", elsewhere),)))
    assert found.right()
    ranges = [seen.header("Range") for seen in place.server.requests("/elsewhere")]
    assert ranges == [f"bytes={START}-{TOTAL - 1}"]


def test_a_bad_piece_alone_is_fetched_again(place: Place) -> None:
    spoilt = bytearray(BODY)
    spoilt[START + 3 * K + 5] ^= 1
    found = place.fetch(First(), File(bytes(spoilt), etag=ETAG), WHOLE, pieces=PIECES)
    assert found.right()
    assert found.asked[2:] == [f"bytes={START + 3 * K}-{START + 4 * K - 1}"]


def test_a_bad_piece_that_is_there_early_is_fetched_again_as_well(place: Place) -> None:
    spoilt = bytearray(BODY)
    spoilt[START + 5] ^= 1
    first, go, some = First(), threading.Event(), part(START, TOTAL, bytes(spoilt))
    slow = Then(Raw(some[: -3 * K]), Pause(20.0, go), Raw(some[-3 * K :]))
    place.server.on("/file.bin", first, slow, WHOLE)
    answers: dict[int, Answer] = {}

    def lane(number: int, **more: object) -> None:
        answers[number] = place.attempt(SHARED, pieces=PIECES, **more)

    threads = [threading.Thread(target=lane, args=(1,))]
    threads[0].start()
    until(lambda: place.has(CUT), "the beginning of the file")
    more = {"id": FIRST_HELPER, "helps": True, "begun": True}
    threads.append(threading.Thread(target=lane, args=(2,), kwargs=more))
    threads[1].start()
    until(lambda: place.has(CUT + TOTAL - START - 3 * K), "most of what the helper fetches")
    first.go.set()
    threads[0].join(0.2)  # it has all pieces but the last then, and waits
    go.set()
    for thread in threads:
        thread.join(30)
    asked = [seen.header("Range") for seen in place.server.requests("/file.bin")]
    assert Together(answers[1], answers[2], place.directory, asked).right()
    assert asked[2:] == [f"bytes={START}-{START + K - 1}"]


def test_a_piece_that_stays_bad_is_a_failure(place: Place) -> None:
    spoilt = bytearray(BODY)
    spoilt[START + 3 * K + 5] ^= 1
    found = place.fetch(First(), File(bytes(spoilt), etag=ETAG), pieces=PIECES)
    assert isinstance(found.first, Fail)
    assert found.first.kind is FailureKind.CHECKSUM
    assert "piece" in found.first.message


def test_a_bad_piece_of_the_first_lane_costs_nothing_else(place: Place) -> None:
    spoilt = bytearray(BODY)
    spoilt[CUT + 3 * K + 5] ^= 1
    found = place.fetch(First(bytes(spoilt)), WHOLE, WHOLE, pieces=PIECES)
    assert found.right()
    piece = f"bytes={CUT + 3 * K}-{CUT + 4 * K - 1}"
    assert found.asked == [None, f"bytes={START}-{TOTAL - 1}", piece]


def test_a_file_that_is_wrong_from_the_beginning_is_another(place: Place) -> None:
    place.server.on("/file.bin", File(NEWER, etag=ETAG))
    answer = place.attempt(pieces=PIECES)
    assert isinstance(answer, Fail)
    assert answer.kind is FailureKind.CHECKSUM
    assert "piece 1 of" in answer.message
    assert len(place.server.requests("/file.bin")) == 1


def test_the_digest_of_the_whole_holds_beside_those_of_mended_pieces(place: Place) -> None:
    spoilt = bytearray(BODY)
    spoilt[CUT + 3 * K + 5] ^= 1
    digest = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    found = place.fetch(First(bytes(spoilt)), WHOLE, WHOLE, pieces=PIECES, checksum=digest)
    assert found.right()
    assert isinstance(found.first, Success)
    assert found.first.checksum == digest


# --- a helper asks another server ---

DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
ITS_OWN = '"its own tag"'
THEIRS = File(BODY, etag=ITS_OWN)
OTHERS = ("2.part",)


@pytest.fixture
def other() -> Iterator[Server]:
    with Server(lifetime=60.0) as server:
        yield server


def test_a_helper_fetches_from_another_server(place: Place, other: Server) -> None:
    place.elsewhere = other.on("/mirror", THEIRS)
    found = place.fetch(First(), checksum=DIGEST, other_parts=OTHERS)
    assert found.right()
    assert found.asked == [None]
    (seen,) = other.requests("/mirror")
    assert seen.header("Range") == f"bytes={START}-{TOTAL - 1}"
    assert seen.header("If-Range") is None  # the tag is another server's
    assert found.helper.received == TOTAL - START


def test_another_server_lies_and_the_digest_decides(place: Place, other: Server) -> None:
    place.elsewhere = other.on("/mirror", File(NEWER, etag=ETAG))
    found = place.fetch(First(), WHOLE, checksum=DIGEST, other_parts=OTHERS)
    assert found.right()
    assert found.asked == [None, None]  # alone, and all of it
    assert found.helper.received == TOTAL - START


def test_another_server_lies_and_its_pieces_alone_are_fetched_again(
    place: Place, other: Server
) -> None:
    place.elsewhere = other.on("/mirror", File(BODY[:-K] + NEWER[-K:], etag=ETAG))
    found = place.fetch(First(), WHOLE, pieces=PIECES, other_parts=OTHERS)
    assert found.right()
    begin = (TOTAL - K) // K * K
    assert found.asked == [None, f"bytes={begin}-{TOTAL - 1}"]


ELSEWHERE: dict[str, Behaviour] = {
    "another size": File(BODY + b"more"),
    "ranges ignored": File(BODY, ranges=False),
    "wrong range": Raw(part(START - K, TOTAL - K, BODY)),
    "no total": Raw(part(START, TOTAL, BODY).replace(f"/{TOTAL}".encode(), b"/*")),
    "coded": Raw(part(START, TOTAL, BODY).replace(b"ETag", b"Content-Encoding: gzip\r\nETag")),
    "404": Reply(404),
    "503": Reply(503),
    "reset": Reset(),
}


@pytest.mark.parametrize("liar", ELSEWHERE)
def test_what_does_not_fit_is_not_taken(place: Place, other: Server, liar: str) -> None:
    place.elsewhere = other.on("/mirror", ELSEWHERE[liar])
    found = place.fetch(First(), checksum=DIGEST, other_parts=OTHERS)
    assert found.right()
    assert isinstance(found.helper, Fail)
    assert found.helper.received == 0
    assert found.asked == [None]


@pytest.mark.parametrize(
    "more", [{"checksum": DIGEST}, {"other_parts": OTHERS}], ids=["no mirrors", "no digest"]
)
def test_other_servers_have_no_share_where_nothing_proves_the_whole(
    place: Place, other: Server, more: dict[str, object]
) -> None:
    place.elsewhere = other.on("/mirror", THEIRS)
    found = place.fetch(First(), **more)
    assert found.right()
    assert isinstance(found.helper, Fail)
    assert found.helper.kind is FailureKind.CANCELLED
    assert not other.requests("/mirror")


def test_what_several_servers_gave_is_gone_on_with_if_a_digest_is_known(
    place: Place, other: Server
) -> None:
    place.elsewhere = other.on("/mirror", THEIRS)
    found = place.fetch(First(broken=True), checksum=DIGEST, other_parts=OTHERS)
    assert isinstance(found.first, Fail)
    assert found.first.kept == CUT + TOTAL - START
    place.server.on("/file.bin", WHOLE)
    again = place.attempt(begun=True, checksum=DIGEST)
    assert Together(again, again, place.directory, []).right()
    assert again.received == START - CUT


def test_it_is_begun_anew_if_no_digest_is_known_any_more(place: Place, other: Server) -> None:
    """The other server's bytes might be of another version, and nobody would see it."""
    place.elsewhere = other.on("/mirror", File(NEWER))
    place.fetch(First(broken=True), checksum=DIGEST, other_parts=OTHERS)
    place.server.on("/file.bin", WHOLE)
    again = place.attempt(begun=True)
    assert Together(again, again, place.directory, []).right()
    assert again.received == TOTAL
    assert isinstance(again, Success)
    assert "no digest is known any more" in again.message


# --- a server that does not give what it was asked for: the first goes on as if alone ---

LIARS: dict[str, Behaviour] = {
    "ranges ignored": File(BODY, etag=ETAG, ranges=False),
    "wrong range": Raw(part(START - K, TOTAL - K, BODY)),
    "shorter range": Raw(part(START, TOTAL - K, BODY)),
    "longer range": Raw(part(START - K, TOTAL, BODY)),
    "from the start": Raw(part(0, TOTAL, BODY)),
    "another total": Raw(part(START, TOTAL, BODY, total=TOTAL + 1)),
    "another version": Raw(part(START, TOTAL, NEWER, OTHER_TAG)),
    "another version, whole": File(NEWER, etag=OTHER_TAG),
    "weak version": Raw(part(START, TOTAL, NEWER, f"W/{ETAG}")),
    "no version": Raw(part(START, TOTAL, NEWER).replace(b"ETag", b"Else")),
    "many ranges": Reply(206, (("ETag", ETAG), ("Content-Type", "multipart/byteranges")), BODY),
    "no range that can be": Reply(416, (("ETag", ETAG), ("Content-Range", f"bytes */{TOTAL}"))),
    "503": Reply(503, (("Retry-After", "1"),), b"busy"),
    "429": Reply(429),
    "404": Reply(404),
    "403": Reply(403),
    "400": Reply(400),
    "501": Reply(501),
    "closed": Close(),
    "reset": Reset(),
    "nonsense": Raw(b"SSH-2.0-x\r\n\r\n"),
    "redirect to nowhere": Reply(302),
}


@pytest.mark.parametrize("liar", LIARS)
def test_the_first_goes_on_alone(place: Place, liar: str) -> None:
    found = place.fetch(First(), LIARS[liar])
    assert found.right()
    assert isinstance(found.helper, Fail)
    assert found.helper.received == 0
    assert len(found.asked) == 2


def test_what_a_helper_had_is_kept_and_the_first_fetches_the_rest(place: Place) -> None:
    some = part(START, TOTAL, BODY)
    found = place.fetch(First(), Then(Raw(some[: -3 * K]), Close()), WHOLE)
    assert found.right()
    assert isinstance(found.helper, Fail)
    assert found.helper.kind is FailureKind.TRUNCATED
    assert found.helper.received == TOTAL - START - 3 * K
    assert found.asked[2:] == [f"bytes={TOTAL - 3 * K}-{TOTAL - 1}"]


def test_a_version_that_changes_half_way_is_not_mixed(place: Place) -> None:
    some = part(START, TOTAL, BODY)
    found = place.fetch(First(), Then(Raw(some[: -3 * K]), Close()), File(NEWER, etag=OTHER_TAG))
    assert found.right(NEWER)
    assert found.asked[2:] == [f"bytes={TOTAL - 3 * K}-{TOTAL - 1}", None]


def test_a_server_that_gives_ranges_now_and_then_ends_in_a_whole_file(place: Place) -> None:
    some = part(START, TOTAL, BODY)
    liar = WhenRange(Raw(part(START - K, TOTAL - K, BODY)), WHOLE)
    found = place.fetch(First(), Then(Raw(some[: -3 * K]), Close()), liar)
    assert found.right()
    assert found.asked[2:] == [f"bytes={TOTAL - 3 * K}-{TOTAL - 1}", None]


@pytest.mark.parametrize(
    "goes_on",
    [Pause(20.0), Raw(part(START, TOTAL, BODY)[3 * K :], rate=50.0)],
    ids=["silent", "dripping"],
)
def test_a_server_that_keeps_the_second_connection_waiting_holds_nothing_up(
    place: Place, monkeypatch: pytest.MonkeyPatch, goes_on: Behaviour
) -> None:
    monkeypatch.setattr("pdl.fetch.split_file.STUCK_SECONDS", 0.2)
    first, silent = First(), Then(Raw(part(START, TOTAL, BODY)[: 3 * K]), goes_on)
    place.server.on("/file.bin", first, silent, WHOLE)
    threads: list[threading.Thread] = []
    answers: dict[int, Answer] = {}

    def lane(number: int, **more: object) -> None:
        answers[number] = place.attempt(SHARED, **more)

    def begin(number: int, count: int, **more: object) -> None:
        threads.append(threading.Thread(target=lane, args=(number,), kwargs=more))
        threads[-1].start()
        until(lambda: place.has(count), "bytes of the lane")

    begin(1, CUT)
    begin(2, CUT + K, id=FIRST_HELPER, helps=HELPS, begun=True)
    first.go.set()
    threads[0].join(15)
    assert Together(answers[1], answers[1], place.directory, []).right()
    place.server.close()
    threads[1].join(15)
    assert 2 in answers
    assert (place.directory / "file.bin").read_bytes() == BODY


# --- somebody is no more ---


def test_the_first_takes_what_a_dead_helper_was_at(place: Place) -> None:
    """Its worker was killed; the main process says so."""
    first = First()
    place.server.on("/file.bin", first, WHOLE)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(place.attempt()))
    thread.start()
    until(lambda: place.has(CUT), "the beginning of the file")
    dead = HelperPart(str(place.directory), "1.part", FIRST_HELPER)
    assert dead.join() is not None
    assert dead.claim(Share(K)) == (START, TOTAL)
    dead.write(memoryview(BODY)[START : START + K])
    first.go.set()
    until(lambda: place.has(START + K), "the first lane at its end")
    thread.join(0.1)
    assert thread.is_alive()  # it cannot know
    tell(str(place.board()), lambda ranges: RangeMap.abandon(ranges, FIRST_HELPER), alone=True)
    thread.join(30)
    found = Together(answers[0], answers[0], place.directory, [])
    assert found.right()
    ranges = [seen.header("Range") for seen in place.server.requests("/file.bin")]
    assert ranges == [None, f"bytes={START + K}-{TOTAL - 1}"]


def test_the_next_attempt_goes_on_with_what_both_had(place: Place) -> None:
    found = place.fetch(First(broken=True), WHOLE)
    assert isinstance(found.first, Fail)
    assert found.first.kept == found.first.received == CUT + TOTAL - START
    place.server.on("/file.bin", WHOLE)
    again = place.attempt(begun=True)
    assert Together(again, again, place.directory, []).right()
    assert isinstance(again, Success)
    assert again.received == START - CUT
    assert place.server.requests("/file.bin")[-1].header("Range") == f"bytes={CUT}-"


def test_it_goes_on_so_where_files_are_no_longer_split(place: Place) -> None:
    place.fetch(First(broken=True), WHOLE)
    place.server.on("/file.bin", WHOLE)
    again = place.attempt(SHARED._replace(split=1), begun=True)
    assert Together(again, again, place.directory, []).right()
    assert again.received == START - CUT


def test_a_part_of_an_older_version_is_dropped_with_its_ranges(place: Place) -> None:
    place.fetch(First(broken=True), WHOLE)
    place.server.on("/file.bin", File(NEWER, etag=OTHER_TAG))
    again = place.attempt(begun=True)
    assert Together(again, again, place.directory, []).right(NEWER)


def test_a_run_that_stops_does_not_wait_for_helpers(place: Place) -> None:
    first = First()
    place.server.on("/file.bin", first)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(place.attempt()))
    thread.start()
    until(lambda: place.has(CUT), "the beginning of the file")
    helper = HelperPart(str(place.directory), "1.part", FIRST_HELPER)
    assert helper.join() is not None
    assert helper.claim(Share(K)) is not None
    first.go.set()
    until(lambda: place.has(START), "the first lane at its end")
    place.meter.halted = True
    thread.join(30)
    assert isinstance(answers[0], Fail)
    assert answers[0].kind is FailureKind.CANCELLED
    assert answers[0].kept >= START
    assert helper.recalled()


# --- what is not split ---


@pytest.mark.parametrize(
    ("headers", "files"),
    [
        pytest.param((), SHARED, id="no version"),
        pytest.param((("ETag", f"W/{ETAG}"),), SHARED, id="weak version"),
        pytest.param((("ETag", ETAG), ("Accept-Ranges", "none")), SHARED, id="no ranges"),
        pytest.param((("ETag", ETAG),), SHARED._replace(split=1), id="turned off"),
        pytest.param((("ETag", ETAG),), SHARED._replace(min_split=TOTAL), id="too small"),
    ],
)
def test_some_files_take_no_helpers(place: Place, headers: Pairs, files: FileSettings) -> None:
    first = First(headers=headers)
    place.server.on("/file.bin", first)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(place.attempt(files)))
    thread.start()
    written = place.directory / ".pdl" / "1.part"
    until(lambda: written.exists() and written.stat().st_size >= CUT, "the beginning of the file")
    assert not place.board().exists()
    helper = place.attempt(id=FIRST_HELPER, helps=HELPS, begun=True)
    first.go.set()
    thread.join(30)
    assert isinstance(helper, Fail)
    assert helper.kind is FailureKind.CANCELLED
    assert Together(answers[0], helper, place.directory, []).right()
    assert len(place.server.requests("/file.bin")) == 1


def test_each_of_several_connections_may_be_slower_than_one(place: Place) -> None:
    lane = Fetcher(
        KeepaliveTransport(HTTP), HTTP._replace(min_speed=4000.0), SHARED._replace(split=4)
    )
    now = [0.0]
    for shared, slow in ((False, True), (True, False)):
        pace = lane.pace(shared=shared)
        pace._clock = lambda: now[0]
        pace._since = now[0]
        now[0] += WINDOW
        assert pace.too_slow(int(1500 * WINDOW)) is slow
    lane.close()
