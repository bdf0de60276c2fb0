"""Responses read strictly: every byte over a real socket, in whatever packets it comes."""

from __future__ import annotations

import mmap
import os
import socket
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdl.model import FailureKind
from pdl.transport import TransportError
from pdl.transport.http import head
from pdl.transport.http.head import (
    MAX_FIELDS,
    MAX_HEAD,
    content_length,
    framing,
    parse_fields,
    parse_head,
)
from pdl.transport.http.reader import MAX_CHUNK_LINE, MAX_INTERIM, Body, SocketReader, final_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUFFER = 100
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Seen:
    """What came of a response: its head and body, or the kind of failure."""

    def __init__(self, packets: Sequence[bytes]) -> None:
        self.status = 0
        self.body = b""
        self.kind: FailureKind | None = None
        self.message = ""
        self.reusable = False
        with Feeding(packets) as sock:
            try:
                self._read(SocketReader(sock))
            except TransportError as exc:
                self.kind = exc.kind
                self.message = exc.message

    def _read(self, reader: SocketReader) -> None:
        head = final_head(reader)
        self.status = head.status
        body = Body(reader, framing(head))
        buffer = memoryview(bytearray(BUFFER))
        while count := body.readinto(buffer):
            self.body += buffer[:count]
        assert body.complete
        assert body.readinto(buffer) == 0
        self.reusable = body.reusable()

    def outcome(self) -> tuple[object, ...]:
        return (self.status, self.body, self.kind)


class Feeding:
    """A socket on which the packets come, and then the end."""

    def __init__(self, packets: Sequence[bytes]) -> None:
        self._packets = packets
        self._mine, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._feed)
        self._small = sum(map(len, packets)) < 10_000

    def _feed(self) -> None:
        try:
            for packet in self._packets:
                self._theirs.sendall(packet)
            self._theirs.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # nobody reads on

    def __enter__(self) -> socket.socket:
        self._mine.settimeout(30)
        if self._small:
            self._feed()
        else:
            self._thread.start()
        return self._mine

    def __exit__(self, *_: object) -> None:
        self._mine.close()
        if not self._small:
            self._thread.join(30)
        self._theirs.close()


class Packets(socket.socket):
    """A socket that gives no more at once than one of the packets that were sent."""

    def __init__(self, sock: socket.socket, sizes: Iterator[int]) -> None:
        super().__init__(fileno=sock.detach())
        self._sizes = sizes

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(min(size, next(self._sizes, size)), flags)


def length(count: int | str, body: bytes = b"", more: bytes = b"") -> bytes:
    return OK + f"Content-Length: {count}\r\n".encode() + more + b"\r\n" + body


GOOD: list[tuple[bytes, bytes, bool]] = [
    (length(5, b"hello"), b"hello", True),
    (length(0), b"", True),
    (length("5, 5", b"hello"), b"hello", True),
    (length(5, b"hello", b"content-length: 5\r\n"), b"hello", True),
    (length(5, b"hello", b"Connection: close\r\n"), b"hello", False),
    (length(5, b"hello", b"Connection: x, CLOSE\r\n"), b"hello", False),
    (length(5, b"hello!"), b"hello", False),
    (length("0005", b"hello"), b"hello", True),
    (OK + b"\r\nto the end", b"to the end", False),
    (OK.replace(b"\r", b"") + b"Content-Length:5\n\nhello", b"hello", True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
    (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    (b"HTTP/1.9 200 \r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    (b"HTTP/1.1 \t200\t OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    (b"HTTP/1.1 200 \x1b[31mOK\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    (b"HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    (b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    (b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", b"", True),
    (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", b"", True),
    (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + length(5, b"hello"), b"hello", True),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_INTERIM, b"", False),
    (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello", True),
    (CHUNKED + b"5\nhello\n0\n\n", b"hello", True),
    (CHUNKED + b"5;a=b\r\nhello\r\n6 ; c\r\n world\r\n000\r\n\r\n", b"hello world", True),
    (CHUNKED + b"A\r\n0123456789\r\n0\r\nX: y\r\nZ: w\r\n\r\n", b"0123456789", True),
    (CHUNKED + b"0\r\n\r\n", b"", True),
    (CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n", b"", False),
    (OK + b"Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x", True),
    (
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"x",
        False,
    ),
    (length(5, b"hello", b"X-Folded: a\r\n  b\r\n\tc\r\n"), b"hello", True),
    (length(5, b"hello", b"X-Empty:\r\nX-Latin: \xe9\xff\r\n"), b"hello", True),
    # what endangers nothing is taken as it comes: the name is no token, and is not of the framing
    (length(5, b"hello", b"X-Blank : a\r\n"), b"hello", True),
    (OK + b"Content-Length\t : 5\r\n\r\nhello", b"hello", True),
    (length(5, b"hello", b"X Frame Options: DENY\r\n"), b"hello", True),
    (length(5, b"hello", b"X-T\xc3\xbc: 1\r\n"), b"hello", True),
    (length(5, b"hello", b"(X-Debug): 1\r\n"), b"hello", True),
    (length(5, b"hello", b": no name\r\n"), b"hello", True),
    (length(5, b"hello", b"X Odd: 1\r\n Content-Length: 9\r\n"), b"hello", True),
    (length(5, b"hello", b"Transfer-Encoding: identity\r\n"), b"hello", True),
    (OK + b"Transfer-Encoding: Identity\r\n\r\nto the end", b"to the end", False),
    (CHUNKED.replace(b"chunked", b"chunked, chunked") + b"1\r\nx\r\n0\r\n\r\n", b"x", True),
    (CHUNKED.replace(b"chunked", b"identity,chunked,") + b"1\r\nx\r\n0\r\n\r\n", b"x", True),
]


@pytest.mark.parametrize(("raw", "body", "reusable"), [row for row in GOOD if row[1] or row[2]])
def test_sound_answers(raw: bytes, body: bytes, reusable: bool) -> None:
    seen = Seen([raw])
    assert (seen.kind, seen.body) == (None, body), seen.message
    assert seen.reusable == reusable


def test_what_follows_an_answer_spoils_the_connection() -> None:
    seen = Seen([CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n"])
    assert (seen.kind, seen.body, seen.reusable) == (None, b"", False)


def test_a_304_that_announces_chunks_spoils_the_connection() -> None:
    seen = Seen([b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n"])
    assert (seen.kind, seen.body, seen.reusable) == (None, b"", False)


BAD: list[tuple[bytes, FailureKind]] = [
    (b"", FailureKind.RESET),
    (b"HTTP/1.1 200 OK\r\nContent-", FailureKind.TRUNCATED),
    (b"HTT", FailureKind.TRUNCATED),
    (b"HTTP/1.1 103 Early\r\n\r\n", FailureKind.RESET),
    (length(6, b"hello"), FailureKind.TRUNCATED),
    (length(6), FailureKind.TRUNCATED),
    (CHUNKED + b"5\r\nhello\r\n", FailureKind.TRUNCATED),
    (CHUNKED + b"5\r\nhel", FailureKind.TRUNCATED),
    (CHUNKED + b"5", FailureKind.TRUNCATED),
    (CHUNKED + b"5\r\nhello", FailureKind.TRUNCATED),
    (CHUNKED + b"0\r\n", FailureKind.TRUNCATED),
    (CHUNKED + b"0\r\nX: y\r\n", FailureKind.TRUNCATED),
    (b"<html>an old server</html>", FailureKind.PROTOCOL),
    (b"HTTP/2.1 200 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/3 200 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"\r\nHTTP/1.1 200 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/0.9 200 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"http/1.1 200 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"ICY 200 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 20 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 2000 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 000 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 600 OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 200OK\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 200 O\0K\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 101 Switching\r\n\r\n", FailureKind.PROTOCOL),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1), FailureKind.PROTOCOL),
    (OK + b"no colon\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"Content Length: 5\r\n\r\nhello", FailureKind.PROTOCOL),
    (OK + b"(Content-Length): 5\r\n\r\nhello", FailureKind.PROTOCOL),
    (OK + b"Transfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"\xa0Content-Length: 5\r\n\r\nhello", FailureKind.PROTOCOL),
    (length("\u00a05".encode().decode("latin-1"), b"hello"), FailureKind.PROTOCOL),
    (OK + b"Content-Length: \xa05\r\n\r\nhello", FailureKind.PROTOCOL),
    (OK + b"Content-Length: 5\x85\r\n\r\nhello", FailureKind.PROTOCOL),
    (OK + b"Content-Length: 5,\xa05\r\n\r\nhello", FailureKind.PROTOCOL),
    (OK + b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"Transfer-Encoding: identity, gzip\r\n\r\n", FailureKind.PROTOCOL),
    (length(5, b"hello", b"X\0: 1\r\n"), FailureKind.PROTOCOL),
    (OK + b"X: a\0b\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"X: a\rY: b\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b" folded into nothing\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"X: a\r\n b\0\r\n\r\n", FailureKind.PROTOCOL),
    (length(-1, b"hello"), FailureKind.PROTOCOL),
    (length("+5", b"hello"), FailureKind.PROTOCOL),
    (length("5.0", b"hello"), FailureKind.PROTOCOL),
    (length("five", b"hello"), FailureKind.PROTOCOL),
    (length("", b"hello"), FailureKind.PROTOCOL),
    (length("5, 6", b"hello"), FailureKind.PROTOCOL),
    (length("5,", b"hello"), FailureKind.PROTOCOL),
    (length("0x5", b"hello"), FailureKind.PROTOCOL),
    (length("\u00b2", b"hello"), FailureKind.PROTOCOL),
    (length("9" * 30, b"hello"), FailureKind.PROTOCOL),
    (length(5, b"hello", b"Content-Length: 6\r\n"), FailureKind.PROTOCOL),
    (OK + b"Transfer-Encoding: gzip\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (OK + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"x\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"5_0\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"F" * 16 + b"\r\nhello", FailureKind.PROTOCOL),
    (CHUNKED + b"5;\0\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"4\r\nhello\r\n0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"5\r\nhelloX0\r\n\r\n", FailureKind.PROTOCOL),
    (CHUNKED + b"0\r\nno colon\r\n\r\n", FailureKind.PROTOCOL),
]


@pytest.mark.parametrize(("raw", "kind"), BAD)
def test_broken_answers(raw: bytes, kind: FailureKind) -> None:
    seen = Seen([raw])
    assert seen.kind is kind, seen.message
    assert seen.message


def test_a_shortfall_is_counted() -> None:
    assert Seen([length(6, b"hello")]).message == "the connection ended after 5 B of 6 B"
    assert "after 5 B, " in Seen([CHUNKED + b"5\r\nhello\r\n6\r\n"]).message


ENDLESS: list[tuple[bytes, bytes]] = [
    (OK + b"X: ", b"a" * 4096),
    (OK, b"X: 0123456789\r\n"),
    (OK + b"X: y\r\n", b" folded\r\n"),
    (OK + b"X: a", b" " * 4096),
    (b"HTTP/1.1 200 ", b"a" * 4096),
    (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (CHUNKED, b"0" * 4096),
    (CHUNKED + b"5;", b"a" * 4096),
    (CHUNKED + b"1\r\nx", b"a" * 4096),
    (CHUNKED + b"0\r\n", b"X: 0123456789\r\n"),
    (CHUNKED + b"0\r\nX: ", b"a" * 4096),
]


@pytest.mark.parametrize(("start", "piece"), ENDLESS)
def test_what_does_not_end_is_cut_off_and_takes_no_memory(start: bytes, piece: bytes) -> None:
    packets = [start, *[piece * (65536 // len(piece))] * 160]  # 10 MB
    tracemalloc.start()
    try:
        seen = Seen(packets)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen.kind is FailureKind.PROTOCOL
    assert peak < 4_000_000


def test_large_heads_are_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(200):
            parse_fields([b"X: %d " % number + b"a" * 100_000])
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_large_head_within_bounds_is_read() -> None:
    fields = b"X: y\r\n" * (MAX_FIELDS - 2) + b"Y: " + b"z" * (MAX_HEAD // 2) + b"\r\n"
    assert Seen([length(2, b"ok", fields)]).body == b"ok"
    line = b";" + b"a" * (MAX_CHUNK_LINE - 10)
    assert Seen([CHUNKED + b"2" + line + b"\r\nok\r\n0\r\n\r\n"]).body == b"ok"


def test_long_blanks_in_a_field_take_no_time() -> None:
    (field,) = parse_fields([b"X: a" + b" " * 120_000 + b"b"])
    assert field == ("x", "a" + " " * 120_000 + "b")
    with pytest.raises(TransportError):
        parse_fields([b"X: a" + b" " * 120_000 + b"\0"])


def split(raw: bytes, sizes: Sequence[int]) -> tuple[object, ...]:
    """The outcome when the bytes come in pieces of those sizes, and the rest at once."""
    mine, theirs = socket.socketpair()
    theirs.sendall(raw)
    theirs.close()
    reader = SocketReader(Packets(mine, iter(sizes)))
    status, body = 0, b""
    with reader._sock:
        try:
            head = final_head(reader)
            status = head.status
            reading = Body(reader, framing(head))
            buffer = memoryview(bytearray(BUFFER))
            while count := reading.readinto(buffer):
                body += buffer[:count]
        except TransportError as exc:
            return (status, body, exc.kind)
    return (status, body, None)


STREAMS = [raw for raw, *_ in GOOD] + [raw for raw, _ in BAD]


@given(raw=st.sampled_from(STREAMS), sizes=st.lists(st.integers(1, 9), max_size=200))
@settings(deadline=None)
def test_packets_make_no_difference(raw: bytes, sizes: list[int]) -> None:
    assert split(raw, sizes) == split(raw, [])


@pytest.mark.parametrize("raw", STREAMS)
def test_a_byte_at_a_time_makes_no_difference(raw: bytes) -> None:
    assert split(raw, [1] * len(raw)) == split(raw, []) == Seen([raw]).outcome()


WORDS = st.sampled_from(
    [
        *b"HTTP/1.1 |200 |OK|103 |\r\n|\n|\r\n\r\n|Content-Length: |5|-1|5\r\n|0\r\n\r\n".split(
            b"|"
        ),
        *b"Transfer-Encoding: chunked|hello|;|: | |\0|X: y\r\n|\xff|Connection: close\r\n".split(
            b"|"
        ),
        CHUNKED,
        OK,
    ]
)


@given(st.lists(WORDS | st.binary(max_size=5), max_size=20).map(b"".join))
@example(b"\r\n\r\n")
@settings(deadline=None, max_examples=300)
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    status, body, kind = split(raw, [])
    assert len(body) <= len(raw)  # type: ignore[arg-type]
    assert kind is not None or status


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_after_a_chunked_head_raise_anything_else(raw: bytes) -> None:
    status, _, kind = split(CHUNKED + raw, [])
    assert status == 200
    assert kind in {None, FailureKind.PROTOCOL, FailureKind.TRUNCATED}


@given(st.text() | st.from_regex(r"[0-9]{1,25}(, ?[0-9]{1,3})?", fullmatch=True))
@example("5, 5")
def test_a_content_length_is_a_number_or_an_error(value: str) -> None:
    try:
        found = content_length(value)
    except TransportError as exc:
        assert exc.kind is FailureKind.PROTOCOL  # noqa: PT017 - either is right
    else:
        assert found is not None
        assert found >= 0


# --- time and failures of the socket ---


def test_the_deadline_ends_a_read() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.sendall(OK)
        reader = SocketReader(mine, deadline=time.monotonic() + 0.05)
        with pytest.raises(TransportError) as caught:
            reader.head()
        # although it ends between two bytes, for which the socket says that none came in time
        assert caught.value.kind is FailureKind.STALLED
        assert "--max-time" in str(caught.value)


def test_a_silence_that_is_too_long_ends_before_the_deadline() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.settimeout(0.02)
        with pytest.raises(TransportError) as caught:
            SocketReader(mine, deadline=time.monotonic() + 1000).receive_into(
                memoryview(bytearray(1))
            )
        assert caught.value.kind is FailureKind.TIMEOUT


def test_a_deadline_that_has_passed_reads_nothing() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.sendall(length(0))
        with pytest.raises(TransportError) as caught:
            SocketReader(mine, deadline=time.monotonic() - 1).head()
        assert caught.value.kind is FailureKind.STALLED
        assert caught.value.transient


def test_a_silent_server_is_a_timeout() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.settimeout(0.02)
        with pytest.raises(TransportError) as caught:
            SocketReader(mine).head()
        assert caught.value.kind is FailureKind.TIMEOUT


def test_a_reset_in_the_body_is_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        mine = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        with mine:
            theirs.sendall(length(10, b"hello"))
            reader = SocketReader(mine)
            body = Body(reader, framing(final_head(reader)))
            assert body.readinto(memoryview(bytearray(5))) == 5
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            theirs.close()
            with pytest.raises(TransportError) as caught:
                body.readinto(memoryview(bytearray(5)))
            assert caught.value.kind is FailureKind.RESET
            assert caught.value.transient


def test_a_closed_descriptor_is_explained() -> None:
    mine, theirs = socket.socketpair()
    theirs.close()
    fd = mine.detach()
    os.close(fd)
    with pytest.raises(TransportError):
        SocketReader(mine).head()


HEADISH = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.0 404",
            b"A: b",
            b"a:",
            b" fold",
            b"x",
            b"\r",
            b"\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\x00",
            b": ",
            b"Content-Length: 5",
            b"\xff",
            b"X: " + b"y" * 300,
        ]
    ),
    max_size=12,
).map(b"".join)


@given(HEADISH)
def test_the_usual_head_is_read_as_any_other(raw: bytes) -> None:
    usual = head.parse_usual(raw)
    if usual is not None:
        *status, fields = head._any(raw)
        assert usual == (*status, dict(fields))
        assert len(usual[3]) == len(fields)


@given(HEADISH)
@example(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nA: b\r\n\r\n")
@example(b"HTTP/1.1 200 OK\nX: y\n\nA: b\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nX: y\n\r\n\r\n")
@example(b"\n\r\n\r\n")
def test_a_head_in_a_buffer_is_read_as_one_from_a_socket(data: bytes) -> None:
    match = head.HEAD_END.search(data)
    with mmap.mmap(-1, len(data) + 1) as buffer:
        buffer[: len(data)] = data
        if match is None:
            assert head.head_of(buffer, len(data)) is None
            return
        try:
            minor, status, reason, fields = head._any(data[: match.start()])
        except TransportError:
            with pytest.raises(TransportError):
                head.head_of(buffer, len(data))
            return
        values = head._joined(fields)
        found = head.head_of(buffer, len(data))
        assert found == ((minor, status, reason, values), match.end())


def test_a_head_that_is_too_long_is_refused_before_it_ends() -> None:
    with mmap.mmap(-1, 2 * MAX_HEAD) as buffer:
        start = b"HTTP/1.1 200 OK\r\nX: "
        buffer[: MAX_HEAD + 2] = start.ljust(MAX_HEAD + 2, b"y")
        assert head.head_of(buffer, MAX_HEAD) is None
        with pytest.raises(TransportError, match="longer than"):
            head.head_of(buffer, MAX_HEAD + 1)
        buffer[MAX_HEAD + 1 : MAX_HEAD + 5] = b"\r\n\r\n"
        with pytest.raises(TransportError, match="longer than"):
            head.head_of(buffer, MAX_HEAD + 5)


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        (b"Location: /b\r\nLocation: /b", "location", "/b"),
        (b"Location: /b\r\nLocation: /c", "location", "/b\n/c"),
        (b'ETag: "a"\r\netag: "a"', "etag", '"a"'),
        (b'ETag: "a"\r\nETag: "b"', "etag", '"a", "b"'),
        (b"Content-Type: text/html\r\nContent-Type: text/html", "content-type", "text/html"),
        (
            b"Cache-Control: no-store\r\nCache-Control: private",
            "cache-control",
            "no-store, private",
        ),
        (b"Content-Encoding: gzip\r\nContent-Encoding: gzip", "content-encoding", "gzip, gzip"),
        (b"X : 1\r\nX: 2", "x", "1, 2"),
    ],
)
def test_a_field_that_is_there_twice(lines: bytes, name: str, value: str) -> None:
    assert parse_head(b"HTTP/1.1 200 OK\r\n" + lines).get(name) == value
