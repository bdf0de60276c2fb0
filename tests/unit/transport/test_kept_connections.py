"""Connections that are kept: what spoils one, and that nothing of it reaches the next file."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from every_lane import LANES
from pdl.model import FailureKind, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.settings import FileSettings, HttpSettings
from pdl.transport import Request
from pdl.transport.http.connection import Connection
from pdl.transport.http.head import message
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.reader import SocketReader
from quicklane import WARM
from servers.behaviours import Pause, Raw, Reply, Reset, Then, head
from servers.files import File
from servers.misbehave import Server
from servers.row import BODY, FORGED, length

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from every_lane import LaneMaker
    from pdl.model import Answer
    from servers.certs import Authority
    from servers.wire import Pairs

HTTP = HttpSettings(timeout=5.0, connect_timeout=5.0)
NEXT = b"what the next URL holds\n"


@pytest.fixture(params=LANES)
def lanes(request: pytest.FixtureRequest) -> LaneMaker:
    """Makes lanes of one kind."""
    return LANES[request.param]


class Asker:
    """Asks for one file after the other with one lane."""

    def __init__(self, lanes: LaneMaker, place: Path, http: HttpSettings = HTTP) -> None:
        (place / ".pdl").mkdir()
        self._place = place
        self._lane = lanes(http, FileSettings(directory=str(place)))
        self._count = 0

    def ask(self, url: str) -> tuple[Answer, bytes]:
        """The answer for the URL, and what stands at the name afterwards."""
        self._count += 1
        name = SafePath(f"{self._count}.bin")
        task = Task(self._count, url, name, f"{self._count}.part")
        answer = self._lane(task, InlineMeter())
        final = self._place / name
        return answer, final.read_bytes() if final.exists() else b""

    def close(self) -> None:
        """Close every connection."""
        self._lane.close()


@pytest.fixture(params=[False, True], ids=["http", "https"])
def any_server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Server]:
    """A server in the clear, and one over TLS."""
    with Server(tls=authority.good() if request.param else None) as server:
        server.on(WARM, File(NEXT))
        yield server


@pytest.mark.parametrize("body", [BODY[:1000], BODY], ids=["small", "large"])
def test_what_follows_a_body_is_never_the_next_answer(
    any_server: Server, authority: Authority, tmp_path: Path, lanes: LaneMaker, body: bytes
) -> None:
    # what came in one record of TLS with the body's end is with OpenSSL, and no poll sees it
    server = any_server
    junk = server.on("/junk.bin", Raw(head(200, (length(body),)) + body + FORGED))
    honest = server.on("/next.bin", File(NEXT))
    asker = Asker(lanes, tmp_path, HTTP._replace(cacert=str(authority.pem)))
    for _ in range(2):
        for url, expected in ((junk, body), (honest, NEXT)):
            answer, found = asker.ask(url)
            assert (answer.word, found) == ("success", expected)
    by_path = [(seen.path, seen.connection) for seen in server.requests() if seen.path != WARM]
    after = {connection for path, connection in by_path if path == "/next.bin"}
    assert not after & {connection for path, connection in by_path[:1] if path == "/junk.bin"}
    asker.close()


@pytest.mark.parametrize(
    ("version", "field", "again"),
    [
        (b"1.1", (), True),
        (b"1.1", (("Connection", "close"),), False),
        (b"1.1", (("Connection", "x-more, Close"),), False),
        (b"1.0", (), False),
        (b"1.0", (("Connection", "keep-alive"),), True),
    ],
)
def test_a_connection_that_is_to_end_is_not_used_again(
    server: Server,
    tmp_path: Path,
    lanes: LaneMaker,
    version: bytes,
    field: Pairs,
    again: bool,
) -> None:
    server.on(WARM, File(NEXT))
    body = BODY[:1000]
    said = head(200, (*field, length(body))).replace(b"1.1", version, 1)
    last = server.on("/last.bin", Raw(said + body))  # and the server leaves it open
    honest = server.on("/next.bin", File(NEXT))
    asker = Asker(lanes, tmp_path)
    for url, expected in ((last, body), (honest, NEXT)):
        answer, found = asker.ask(url)
        assert (answer.word, found) == ("success", expected)
    [before] = server.requests("/last.bin")
    [after] = server.requests("/next.bin")
    assert (after.connection == before.connection) is again
    asker.close()


@pytest.mark.parametrize("field", [("Host", "other.example"), ("Connection", "close")])
def test_a_users_own_host_is_the_only_one(
    server: Server, tmp_path: Path, lanes: LaneMaker, field: tuple[str, str]
) -> None:
    # the user's fields go to listed origins alone: a redirect's connection was asked without
    with Server() as elsewhere:
        elsewhere.on(WARM, File(NEXT))
        server.on(WARM, File(NEXT))
        there = elsewhere.on("/there.bin", File(BODY))
        away = server.on("/away.bin", Reply(302, (("Location", there), ("Content-Length", "0"))))
        asker = Asker(lanes, tmp_path, HTTP._replace(headers=(field,)))
        for url in (away, there, there):
            answer, found = asker.ask(url)
            assert (answer.word, found) == ("success", BODY)
        for seen in elsewhere.requests("/there.bin"):
            names = [name.lower() for name, _ in seen.headers]
            assert names.count(field[0].lower()) <= 1, seen.headers
        assert elsewhere.requests("/there.bin")[-1].header(field[0]) == field[1]
        asker.close()


def read(transport: KeepaliveTransport, request: Request) -> bytes:
    """The whole body."""
    response = transport.open(request)
    buffer, found = memoryview(bytearray(4096)), b""
    while count := response.readinto(buffer):
        found += buffer[:count]
    response.close()
    return found


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/asked.bin", ()), ("/next.bin", ()), ("/asked.bin", (("Range", "bytes=1-"),))],
    ids=["the same", "another file", "another field"],
)
def test_an_answer_is_for_just_that_request(
    server: Server, path: str, headers: tuple[tuple[str, str], ...]
) -> None:
    files = {WARM: NEXT, "/asked.bin": b"asked for", "/next.bin": NEXT}
    for where, body in files.items():
        server.on(where, File(body))
    transport = KeepaliveTransport(HTTP)
    assert read(transport, Request(server.url(WARM), ())) == NEXT
    data = message(server.base, "/asked.bin", ())
    kept = transport.ask(server.base, data)
    assert kept is not None
    server.wait_for("/asked.bin")  # two connections' requests have no order of their own
    transport.asked(kept, data, b"", None)
    found = read(transport, Request(server.url(path), headers))
    assert found == files[path][1 if headers else 0 :]
    same = (path, headers) == ("/asked.bin", ())
    assert server.requests(path)[-1].connection == (1 if same else 2)
    transport.close()


def test_what_has_not_come_yet_is_no_failure(any_server: Server, authority: Authority) -> None:
    gate = threading.Event()
    url = any_server.on("/late.bin", Then(Pause(30, gate), File(NEXT)))
    transport = KeepaliveTransport(HTTP._replace(cacert=str(authority.pem)))
    assert read(transport, Request(any_server.url(WARM), ())) == NEXT
    data = message(any_server.base, "/late.bin", ())
    kept = transport.ask(any_server.base, data)
    assert kept is not None
    assert kept.take(memoryview(bytearray(10))) is None
    gate.set()
    transport.asked(kept, data, b"", None)
    assert read(transport, Request(url, ())) == NEXT
    assert [seen.connection for seen in any_server.requests()] == [1, 1]
    transport.close()


def test_no_more_connections_are_kept_than_there_may_be() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(Server()) for _ in range(4)]
        transport = KeepaliveTransport(HTTP._replace(hosts_kept=2))
        for each in (*servers, servers[3], servers[2]):
            assert read(transport, Request(each.on("/f", File(NEXT)), ())) == NEXT
        servers[0].wait_until(lambda: not servers[0].open)
        servers[1].wait_until(lambda: not servers[1].open)
        # those asked last are still the first that were opened
        assert [each.connections for each in servers] == [1, 1, 1, 1]
        assert [len(each.open) for each in servers] == [0, 0, 1, 1]
        transport.close()


def test_a_reset_is_one_on_every_way(server: Server, tmp_path: Path, lanes: LaneMaker) -> None:
    server.on(WARM, File(NEXT))
    begun = Raw(head(200, (length(BODY),)) + BODY[:1000])
    url = server.on("/cut.bin", Then(begun, Reset()))
    asker = Asker(lanes, tmp_path)
    answer, found = asker.ask(url)
    assert answer.word == "fail"
    assert (answer.kind, answer.transient, found) == (FailureKind.RESET, True, b"")
    asker.close()


def test_the_shortest_patience_is_not_endless() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Connection(ours, ours, SocketReader(ours), 1e-7)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


def test_a_request_that_is_not_taken_whole_at_once_is_not_asked() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        kept = Connection(ours, ours, SocketReader(ours), 5.0)
        assert kept.start(b"GET")
        assert not kept.start(bytes(64 << 20))
