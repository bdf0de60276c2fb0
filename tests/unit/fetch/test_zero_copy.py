"""Large bodies moved in the kernel: the same outcomes, bytes and notes as when they are read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pdl.fetch import blocking, zero_copy
from pdl.fetch.blocking import Fetcher
from pdl.fetch.zero_copy import LEAST, Mover
from pdl.model import Answer, FailureKind, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.pool.startup.start_limits import BASE, share
from pdl.settings import HOSTS_KEPT, FileSettings, HttpSettings
from pdl.storage.part import Part
from pdl.transport import Request, TransportError, min_speed
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.reader import SocketReader
from pdl.transport.http.requests_ import RequestsTransport
from servers.behaviours import Close, Pause, Raw, Reset, Then, WhenRange, chunked, head
from servers.files import File
from servers.misbehave import Server
from servers.row import ETAG, FORGED, pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdl.transport import Response, Transport
    from servers.certs import Authority
    from servers.wire import Behaviour, Pairs

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="this system has no splice")

MIB = 1024 * 1024
BODY = pattern(4 * MIB + 12_345, 31)
OTHER = pattern(3 * MIB + 1, 32)
CUT = 2 * MIB + 77_777
PAGE = b"<!DOCTYPE html><title>Log in</title>" + bytes(3 * MIB)
HTTP = HttpSettings(timeout=5.0, connect_timeout=5.0)
AT_CUT = threading.Event()
"""Set when an attempt has written `CUT` bytes: a reset throws away what is still under way."""
NEVER = 1 << 60
"""Bytes to come below which nothing is moved: so nothing ever is."""
KEPT: Pairs = (("ETag", ETAG), ("Accept-Ranges", "bytes"))


class Telling(InlineMeter):
    """Sets `AT_CUT`."""

    def update(self, received: int, size: int | None) -> None:
        super().update(received, size)
        if received == CUT:
            AT_CUT.set()


class Counting(Mover):
    """Counts the bytes that it moved."""

    moved = 0

    def move(self, response: Response, part: Part, total: int | None) -> int | None:
        count = super().move(response, part, total)
        self.moved += count or 0
        return count


class Way(NamedTuple):
    """How a lane asks, and whether it moves what it may."""

    make: Callable[[HttpSettings], Transport]
    least: int


WAYS = {
    f"{name}-{how}": Way(make, least)
    for name, make in (("requests", RequestsTransport), ("keepalive", KeepaliveTransport))
    for how, least in (("read", NEVER), ("moved", LEAST), ("all", 1))
}


class Place(NamedTuple):
    """A lane of a kind in a directory of its own."""

    lane: Fetcher
    directory: Path

    @property
    def moved(self) -> int:
        mover = self.lane.mover
        assert isinstance(mover, Counting)
        return mover.moved

    def ask(self, url: str, name: str = "file.bin", **more: str) -> Answer:
        task = Task(1, url, SafePath(name), "1.part", **more)  # type: ignore[arg-type]
        AT_CUT.clear()
        return self.lane(task, Telling())

    def files(self) -> dict[str, bytes]:
        found = [path for path in self.directory.rglob("*") if path.is_file()]
        return {path.name: path.read_bytes() for path in found}

    def part(self) -> bytes:
        return (self.directory / ".pdl" / "1.part").read_bytes()


PlaceOf = Callable[..., Place]


@pytest.fixture
def place_of(server: Server, tmp_path: Path) -> Iterator[PlaceOf]:
    """Makes such places, for a way's name; the next request is on a kept connection."""
    made: list[Place] = []
    server.on("/warm.bin", File(b"warm"))

    def build(
        name: str = "keepalive-moved", http: HttpSettings = HTTP, files: FileSettings | None = None
    ) -> Place:
        directory = tmp_path / f"{len(made)}"
        (directory / ".pdl").mkdir(parents=True)
        settings = (files or FileSettings())._replace(directory=str(directory))
        lane = Fetcher(WAYS[name].make(http), http, settings)
        lane.mover = Counting(WAYS[name].least)
        made.append(Place(lane, directory))
        assert made[-1].ask(server.url("/warm.bin"), "warm.bin").word == "success"
        (directory / "warm.bin").unlink()
        return made[-1]

    yield build
    for place in made:
        place.lane.close()


def pipe_ends() -> int:
    """Ends of pipes this process has open."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with suppress(FileNotFoundError):  # one of the look itself, or a server's
            found += os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:")  # noqa: PTH115
    return found


# --- the fault table, large ---


def promise(fields: Pairs = KEPT, size: int = len(BODY)) -> bytes:
    return head(200, (*fields, ("Content-Length", str(size))))


def begun(fields: Pairs = KEPT, size: int = len(BODY)) -> Raw:
    return Raw(promise(fields, size) + BODY[:CUT])


def rest(span: str) -> Raw:
    fields = (*KEPT, ("Content-Range", span), ("Content-Length", str(len(BODY) - CUT)))
    return Raw(head(206, fields) + BODY[CUT:])


def rest_in_chunks() -> Raw:
    span = ("Content-Range", f"bytes {CUT}-{len(BODY) - 1}/{len(BODY)}")
    return Raw(
        head(206, (*KEPT, span, ("Transfer-Encoding", "chunked"))) + chunked(BODY[CUT:], MIB)
    )


class Row(NamedTuple):
    """What the server does, and how two attempts end, one after the other.

    Attributes:
        script: the answers.
        words: ``success``, or the kind of failure, of each attempt.
        moves: whether any bytes at all may be moved.
        name: of the file.
    """

    script: tuple[Behaviour, ...]
    words: tuple[str, str]
    moves: bool = True
    name: str = "file.bin"


HONEST = File(BODY, etag=ETAG)
ROWS = {
    "honest": Row((HONEST,), ("success", "success")),
    "cut": Row((Then(begun(), Close()), HONEST), ("truncated", "success")),
    "cut without validator": Row((Then(begun(()), Close()), HONEST), ("truncated", "success")),
    "cut twice": Row((Then(begun(), Close()),) * 2, ("truncated", "truncated")),
    "cut before the last byte": Row(
        (Then(Raw(promise() + BODY[:-1]), Close()), HONEST), ("truncated", "success")
    ),
    "reset": Row((Then(begun(), Pause(30, AT_CUT), Reset()), HONEST), ("reset", "success")),
    "stalled": Row((Then(begun(), Pause(30)), HONEST), ("timeout", "success")),
    "longer than its length": Row((Raw(promise() + BODY + FORGED), HONEST), ("success", "success")),
    "shorter than its length says, then another answer": Row(
        (Then(begun(), Raw(FORGED), Close()), HONEST), ("truncated", "success")
    ),
    "resumed": Row(
        (Then(begun(), Close()), rest(f"bytes {CUT}-{len(BODY) - 1}/{len(BODY)}")),
        ("truncated", "success"),
    ),
    "resumed from elsewhere": Row(
        (Then(begun(), Close()), rest(f"bytes 0-{len(BODY) - CUT - 1}/{len(BODY)}"), HONEST),
        ("truncated", "success"),
    ),
    "another version": Row(
        (Then(begun(), Close()), WhenRange(File(OTHER, etag='"two"'), HONEST)),
        ("truncated", "success"),
    ),
    "chunked": Row(
        (Raw(head(200, (*KEPT, ("Transfer-Encoding", "chunked"))) + chunked(BODY)), HONEST),
        ("success", "success"),
    ),
    "resumed in chunks": Row((Then(begun(), Close()), rest_in_chunks()), ("truncated", "success")),
    "to the end of the connection": Row(
        (Then(Raw(head(200, KEPT) + BODY), Close()), HONEST), ("success", "success")
    ),
    "a page": Row((File(PAGE),), ("content", "content"), moves=False, name="file.zip"),
    "a page that is a while in coming": Row(
        (Then(Raw(promise((), len(PAGE))), Pause(0.1), Raw(PAGE)),),
        ("content", "content"),
        moves=False,
        name="file.zip",
    ),
    "a small file": Row((File(BODY[: MIB - 1]),), ("success", "success"), moves=False),
}


class Came(NamedTuple):
    """What came of an attempt: all of its answer but the time it took, and what is on the disk."""

    answer: Answer
    files: dict[str, str]
    note: object


def came(place: Place, url: str, name: str) -> Came:
    answer = place.ask(url, name)
    files = place.files()
    note = json.loads(files.get("1.json", b"null"))
    (place.directory / name).unlink(missing_ok=True)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return Came(answer._replace(seconds=0.0, first=None), digests, note)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_moved_ends_as_what_is_read(row: Row, server: Server, place_of: PlaceOf) -> None:
    outcomes = {}
    http = HTTP._replace(timeout=0.5 if "timeout" in row.words else 5.0)
    for way in WAYS:
        place = place_of(way, http)
        url = server.on("/file.bin", *row.script)
        first = came(place, url, row.name)
        outcomes[way] = [first, came(place, url, row.name)]
        words = [
            one.answer.word if one.answer.word == "success" else one.answer.kind
            for one in outcomes[way]
        ]
        assert words == list(row.words), way
        if not way.endswith("all"):
            assert bool(place.moved) == (row.moves and way.endswith("moved")), way
    assert len({str(outcome) for outcome in outcomes.values()}) == 1, outcomes


@pytest.mark.parametrize("way", WAYS)
def test_what_is_cut_is_kept_and_gone_on_with(way: str, server: Server, place_of: PlaceOf) -> None:
    place = place_of(way)
    url = server.on("/file.bin", Then(begun(), Close()), HONEST)
    assert place.ask(url).message == "the connection ended after 2.07 MiB of 4.01 MiB"
    assert place.part() == BODY[:CUT]
    answer = place.ask(url)
    assert answer.word == "success"
    assert (answer.resumed_from, answer.received) == (CUT, len(BODY) - CUT)
    assert place.files() == {"file.bin": BODY}


@pytest.mark.parametrize("way", WAYS)
def test_an_honest_connection_serves_again_and_a_spoilt_one_does_not(
    way: str, server: Server, place_of: PlaceOf
) -> None:
    place = place_of(way)
    for path, behaviour in (("/a", HONEST), ("/b", Raw(promise() + BODY + b"x")), ("/c", HONEST)):
        assert place.ask(server.on(path, behaviour)).word == "success"
    assert [seen.connection for seen in server.requests()] == [1, 1, 1, 2]


@pytest.mark.parametrize("way", WAYS)
def test_a_slow_server_is_given_up(
    way: str,
    server: Server,
    place_of: PlaceOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(min_speed, "WINDOW", 0.1)
    place = place_of(way, HTTP._replace(min_speed=100_000_000))
    answer = place.ask(server.on("/file.bin", Raw(promise() + BODY, rate=2e6)))
    assert answer.word == "fail"
    assert (answer.kind, answer.message) == (FailureKind.STALLED, "slower than --min-speed")


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_takes_too_long_is_given_up(
    way: str, server: Server, place_of: PlaceOf
) -> None:
    place = place_of(way, files=FileSettings(max_time=0.5))
    url = server.on("/file.bin", Then(begun(), Raw(BODY[CUT : CUT + MIB], rate=5e5), Pause(30)))
    answer = place.ask(url)
    assert answer.word == "fail"
    assert answer.kind is FailureKind.STALLED  # also where it ends between two bytes
    assert place.part() == BODY[: answer.received]
    assert answer.received < CUT + MIB


class Stopping(InlineMeter):
    """Says stop once so many bytes are there."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int | None]] = []

    def update(self, received: int, size: int | None) -> None:
        self.seen.append((received, size))

    def stopped(self) -> bool:
        return self.seen[-1][0] >= CUT


def test_the_meter_is_told_and_listened_to(server: Server, place_of: PlaceOf) -> None:
    place, meter = place_of(), Stopping()
    url = server.on("/file.bin", HONEST)
    answer = place.lane(Task(1, url, SafePath("file.bin"), "1.part"), meter)
    assert answer.word == "fail"
    assert answer.kind is FailureKind.CANCELLED
    counts = [count for count, _ in meter.seen]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert {size for _, size in meter.seen} == {len(BODY)}
    assert place.part() == BODY[: counts[-1]]
    assert place.moved


# --- who looks at the bytes gets them ---


def test_a_digest_is_computed_beside_the_transfer_as_ever(
    server: Server, place_of: PlaceOf
) -> None:
    place, digest = place_of(), f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    answer = place.ask(server.on("/file.bin", HONEST), checksum=digest)
    assert answer.word == "success"
    assert (answer.checksum, place.moved) == (digest, 0)


def test_a_form_is_looked_at_and_the_rest_is_moved(server: Server, place_of: PlaceOf) -> None:
    place = place_of()
    answer = place.ask(server.on("/file.zip", File(b"PK\3\4" + BODY)), "file.zip")
    assert answer.word == "success"
    assert place.files() == {"file.zip": b"PK\3\4" + BODY}
    assert place.moved > 2 * MIB


def test_what_is_encrypted_is_read(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / ".pdl").mkdir()
    http = HTTP._replace(cacert=str(authority.pem))
    lane = Fetcher(KeepaliveTransport(http), http, FileSettings(directory=str(tmp_path)))
    place = Place(lane, tmp_path)
    lane.mover = Counting()
    with Server(tls=authority.good()) as server:
        for _ in range(2):
            answer = place.ask(server.on("/file.bin", HONEST))
            assert answer.word == "success"
            assert place.files() == {"file.bin": BODY}
    assert place.moved == 0
    lane.close()


# --- the pipe ---


@pytest.mark.parametrize("size", [4096, 65536, 1 << 20])
def test_a_pipe_of_any_size_will_do(
    size: int,
    server: Server,
    place_of: PlaceOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(zero_copy, "PIPE", size)
    monkeypatch.setattr(zero_copy, "WORTH", 1)
    place = place_of()
    assert place.ask(server.on("/file.bin", HONEST)).word == "success"
    assert place.files() == {"file.bin": BODY}
    assert place.moved > 2 * MIB


def test_a_pipe_that_holds_little_is_not_worth_it(
    server: Server, place_of: PlaceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_copy, "PIPE", 1 << 16)
    place = place_of()
    url = server.on("/file.bin", HONEST)
    before = pipe_ends()
    assert place.ask(url).word == "success"
    assert place.files() == {"file.bin": BODY}
    assert (place.moved, pipe_ends()) == (0, before)


def test_a_lane_has_one_pipe_and_closes_it(server: Server, place_of: PlaceOf) -> None:
    place = place_of()
    before = pipe_ends()
    for number in range(3):
        assert place.ask(server.on(f"/{number}.bin", HONEST), f"{number}.bin").word == "success"
        assert pipe_ends() == before + 2
    place.lane.close()
    assert pipe_ends() == before


@contextmanager
def limited(what: int, value: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_without_a_file_handle_for_it_bytes_are_read(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".pdl").mkdir()
    part, mover, transport = Part(str(tmp_path), "1.part"), Mover(), KeepaliveTransport(HTTP)
    part.start()
    response = transport.open(Request(server.on("/file.bin", HONEST), ()))
    free = os.dup(0)
    os.close(free)
    with limited(resource.RLIMIT_NOFILE, free + 1):
        assert mover.move(response, part, len(BODY)) is None
    assert mover.move(response, part, len(BODY)) is None
    response.close()
    transport.close()
    part.leave(keep=False)


@pytest.mark.parametrize(
    ("handles", "shared"),
    [(4, (1, False)), (5, (2, False)), (6, (1, True)), (9, (4, True)), (99, (HOSTS_KEPT, True))],
)
def test_a_lane_has_a_pipe_where_there_are_handles_for_it(
    handles: int, shared: tuple[int, bool]
) -> None:
    with limited(resource.RLIMIT_NOFILE, BASE + 3 * handles):
        assert share(3) == shared


def test_a_lane_that_may_have_no_pipe_reads(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".pdl").mkdir()
    http, before = HTTP._replace(pipe=False), pipe_ends()
    lane = Fetcher(KeepaliveTransport(http), http, FileSettings(directory=str(tmp_path)))
    place = Place(lane, tmp_path)
    assert place.ask(server.on("/file.bin", HONEST)).word == "success"
    assert place.files() == {"file.bin": BODY}
    assert pipe_ends() <= before  # what an earlier test has left may go meanwhile
    lane.close()


class NoSplice(Part):
    """Linux splices nothing to a file that is opened to append."""

    def start(self) -> None:
        super().start()
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)


def test_a_file_system_that_cannot_gets_what_the_pipe_holds(
    server: Server, place_of: PlaceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "Part", NoSplice)
    place = place_of()
    before = pipe_ends()
    for number in range(2):
        assert place.ask(server.on("/file.bin", HONEST), f"{number}.bin").word == "success"
        assert 0 < place.moved <= MIB  # it was tried once
    assert place.files() == {"0.bin": BODY, "1.bin": BODY}
    assert pipe_ends() == before


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    out, into = os.pipe()
    yield out, into
    os.close(out)
    os.close(into)


def test_a_socket_that_cannot_is_read_and_not_asked_again(pipe: tuple[int, int]) -> None:
    mine, theirs = socket.socketpair()
    null = os.open("/dev/null", os.O_WRONLY)  # no pipe: as splice says no to what it cannot do
    with mine, theirs:
        theirs.sendall(b"hello")
        reader, buffer = SocketReader(mine), memoryview(bytearray(10))
        assert reader.splice_into(null, 5) is None
        assert reader.splice_into(pipe[1], 5) is None
        assert bytes(buffer[: reader.receive_into(buffer)]) == b"hello"
    os.close(null)


@pytest.mark.parametrize("kept", [False, True], ids=["python", "kernel"])
def test_no_byte_in_time_is_a_timeout(kept: bool, pipe: tuple[int, int]) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.settimeout(None if kept else 0.1)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 100_000))
        reader = SocketReader(mine)
        theirs.sendall(b"hello")
        assert reader.splice_into(pipe[1], 10) == 5
        with pytest.raises(TransportError) as caught:
            reader.splice_into(pipe[1], 10)
        assert caught.value.kind is FailureKind.TIMEOUT
        theirs.close()
        assert reader.splice_into(pipe[1], 10) == 0


def test_bytes_that_never_come_through_are_not_waited_for(pipe: tuple[int, int]) -> None:
    mine, theirs = socket.socketpair()
    os.set_blocking(pipe[1], False)
    os.write(pipe[1], bytes(fcntl.fcntl(pipe[1], fcntl.F_GETPIPE_SZ)))
    with mine, theirs:
        mine.settimeout(0.1)
        theirs.sendall(b"hello")
        with pytest.raises(TransportError) as caught:
            SocketReader(mine).splice_into(pipe[1], 10)
        assert caught.value.kind is FailureKind.TIMEOUT


# --- a disk that takes no more ---


@pytest.mark.parametrize("appends", [False, True], ids=["splice", "write"])
def test_what_the_disk_refused_counts_nowhere(
    appends: bool,
    server: Server,
    place_of: PlaceOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if appends:
        monkeypatch.setattr(blocking, "Part", NoSplice)
    outcomes = []
    for way in ("keepalive-read", "keepalive-moved"):
        place = place_of(way)
        url = server.on("/file.bin", HONEST)
        limit = 300_000 if appends else CUT
        with limited(resource.RLIMIT_FSIZE, limit):
            answer = place.ask(url)
        assert answer.word == "fail"
        assert (answer.kind, answer.message[:14]) == (FailureKind.DISK, "File too large")
        assert place.part() == BODY[:limit]
        outcomes.append(answer.message.rpartition("/")[2])
        # the next file has none of what the pipe held
        assert place.ask(server.on("/other.bin", File(OTHER)), "other.bin").word == "success"
        assert (place.directory / "other.bin").read_bytes() == OTHER
        again = place.ask(url)
        assert again.word == "success"
    assert outcomes[0] == outcomes[1]


def test_a_full_disk_is_one(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".pdl").mkdir()
    part, mover, transport = Part(str(tmp_path), "1.part"), Mover(), KeepaliveTransport(HTTP)
    part.start()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, part._fd)
    os.close(full)
    response = transport.open(Request(server.on("/file.bin", HONEST), ()))
    buffer = memoryview(bytearray(MIB))
    response.readinto(buffer)  # what came with the head
    with pytest.raises(OSError, match="No space left"):
        mover.move(response, part, len(BODY))
    assert part.size == 0
    response.close()
    transport.close()
    part.leave(keep=False)
