"""The misbehaving server does what it says, shown with bare sockets and the standard client."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

import conftest
from places import TESTS
from rawclient import ask, request
from servers import framing, heads, partials, redirects, resumes, reuse
from servers.faults import FAULTS, path_for, script_for
from servers.files import parse_range
from servers.heads import gzip_bomb
from servers.misbehave import Close, File, Pause, Raw, Reply, Reset, Server, Then, WhenRange
from servers.row import BODY, DATE, ETAG, FORGED, HALF, OTHER

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.certs import Authority
    from servers.nginx import Nginx
    from servers.proxy import Proxy

_BODY_LENGTH = rb"Content-Length: 100000\r\n"
_NAMED = rb"^HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Range: bytes 50000-99999/100000\r\n"
_STALLS = {"stall-before-head", "stall-mid-head", "stall-mid-body", "drip", "drip-head"}

# How each row's first answer looks, and how its connection ends.
ON_THE_WIRE = {
    "length-longer-than-body": (_BODY_LENGTH + rb"\r\n.{50000}$", "closed"),
    "reset-mid-body": (_BODY_LENGTH + rb"\r\n.{50000}$", "reset"),
    "chunked-cut": (rb"chunked\r\n\r\n186a0\r\n.{49993}$", "closed"),
    "chunked-without-last": (rb"\r\n\r\n186a0\r\n.{100000}\r\n$", "closed"),
    "chunked-last-cut": (rb"186a0\r\n.{100000}\r\n0\r\n$", "closed"),
    "chunk-size-malformed": (rb"\r\nzz\r\n", "closed"),
    "chunk-size-empty": (rb"\r\n\r\nc350\r\n.{50000}\r\n\r\n", "closed"),
    "chunk-size-prefixed": (rb"\r\n\r\n0x186a0\r\n", "closed"),
    "chunk-size-negative": (rb"\r\n-5\r\n", "closed"),
    "chunk-size-enormous": (rb"\r\nF{18}\r\n", "closed"),
    "chunk-size-claimed": (rb"\r\n\r\n7f{15}\r\n.{100000}$", "closed"),
    "chunk-without-end": (rb"\r\n\r\nc350\r\n.{100000}\r\n0\r\n\r\n$", "closed"),
    "chunk-size-endless": (rb"chunked\r\n\r\n0{2000000}", "goes-on"),
    "chunk-extension-endless": (rb"chunked\r\n\r\n10;x=a{2000000}", "goes-on"),
    "trailers-endless": (rb"\r\n0\r\n(X-Trailer: goes on\r\n){90000}", "goes-on"),
    "trailers-honest": (rb"\r\n0\r\nX-Trailer: ends\r\n\r\n$", "open"),
    "body-longer-than-length": (
        _BODY_LENGTH + rb"\r\n.{100000}" + re.escape(FORGED) + b"$",
        "open",
    ),
    "chunked-then-junk": (rb"\r\n0\r\n\r\n" + re.escape(FORGED) + b"$", "open"),
    "length-negative": (rb"Content-Length: -5\r\n\r\n", "closed"),
    "length-not-a-number": (rb"Content-Length: many\r\n\r\n", "closed"),
    "length-empty": (rb"Content-Length: \r\n\r\n", "closed"),
    "length-signed": (rb"Content-Length: \+100000\r\n\r\n", "closed"),
    "length-conflicting": (_BODY_LENGTH + rb"Content-Length: 50000\r\n\r\n", "closed"),
    "length-list-conflicting": (rb"Content-Length: 100000, 50000\r\n\r\n", "closed"),
    "length-twice-equal": (_BODY_LENGTH * 2 + rb"\r\n.{100000}$", "open"),
    "length-list-equal": (rb"Content-Length: 100000, 100000\r\n\r\n.{100000}$", "open"),
    "length-enormous": (rb"Content-Length: 9{30}\r\n\r\n", "closed"),
    "length-claimed": (rb"Content-Length: 1152921504606846976\r\n\r\n", "closed"),
    "length-and-chunked": (rb"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "open"),
    "transfer-coding-unknown": (rb"Transfer-Encoding: snappy\r\n\r\n.{100000}$", "closed"),
    "length-none": (rb"OK\r\nConnection: close\r\n\r\n.{100000}$", "closed"),
    "chunked-honest": (rb"chunked\r\n\r\n4000\r\n.*\r\n0\r\n\r\n$", "open"),
    "headers-10-mb": (rb"OK\r\nX-Long: a{2000000}", "goes-on"),
    "headers-100-000": (rb"\r\nX-99999: many\r\nContent", "closed"),
    "headers-endless": (rb"OK\r\n(X-More: and more\r\n){100000}", "goes-on"),
    "status-line-endless": (rb"^HTTP/1.1 200 a{2000000}", "goes-on"),
    "http-0-9": (rb"^" + re.escape(BODY) + rb"$", "closed"),
    "status-line-malformed": (rb"^HTTP/1.1 2x0 OK\r\n", "closed"),
    "status-out-of-range": (rb"^HTTP/1.1 999 Unknown\r\n", "closed"),
    "status-with-escapes": (rb"^HTTP/1.1 404 \x1b\[31mred\x07", "open"),
    "header-without-colon": (rb"\r\nno colon here\r\n", "closed"),
    "header-with-nul": (rb"\r\nX-Nul: a\0b\r\n", "closed"),
    "header-name-with-blank": (rb"\r\nX-Blank : a\r\n", "closed"),
    "header-folded": (rb"\r\nX-Folded: one\r\n two\r\n", "closed"),
    "head-cut": (rb"^HTTP/1.1 200 OK\r\nContent-Lengt$", "closed"),
    "closed-without-answer": (rb"^$", "closed"),
    "early-hints-first": (rb"^HTTP/1.1 103 Early Hints\r\nL.*\r\n\r\nHTTP/1.1 200 OK\r\n", "open"),
    "continue-first": (rb"^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "open"),
    "continue-flood": (rb"^(HTTP/1.1 100 Continue\r\n\r\n){4000}", "goes-on"),
    "switching-protocols": (rb"^HTTP/1.1 101 Switching Protocols\r\nUp", "closed"),
    "status-204": (rb"^HTTP/1.1 204 No Content\r\n\r\n$", "open"),
    "status-205": (rb"^HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n$", "open"),
    "partial-unsolicited": (rb"^HTTP/1.1 206 .*bytes 0-49999/100000.*\r\n\r\n.{50000}$", "open"),
    "not-modified-unsolicited": (rb'^HTTP/1.1 304 Not Modified\r\nETag: "one"\r\n\r\n$', "open"),
    "redirect-without-location": (rb"^HTTP/1.1 302 Found\r\nContent-Length: 14\r\n", "open"),
    "status-500": (rb"^HTTP/1.1 500 .*\r\n\r\nit broke$", "open"),
    "status-522-then-good": (rb"^HTTP/1.1 522 ", "open"),
    "status-511": (rb"^HTTP/1.1 511 ", "open"),
    "status-500-then-good": (rb"^HTTP/1.1 500 .*\r\n\r\nit broke$", "open"),
    "status-404": (rb"^HTTP/1.1 404 Not Found\r\n", "open"),
    "empty-200": (rb"^HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n$", "open"),
    "retry-after-seconds": (rb"^HTTP/1.1 429 .*\r\nRetry-After: 1\r\n", "open"),
    "retry-after-date": (rb"^HTTP/1.1 503 .*\r\nRetry-After: \w{3}, .* GMT\r\n", "open"),
    "retry-after-malformed": (rb"^HTTP/1.1 503 .*\r\nRetry-After: soon\r\n", "open"),
    "retry-after-99999": (rb"^HTTP/1.1 429 .*\r\nRetry-After: 99999\r\n", "open"),
    "login-page": (rb"200 OK\r\nContent-Type: text/html.*\r\n\r\n<!DOCTYPE html>", "open"),
    "login-page-as-bytes": (
        rb"Content-Type: application/octet-stream\r\n.*\r\n\r\n\xef\xbb\xbf\r\n<!DOCTYPE html>",
        "open",
    ),
    "login-page-of-no-type": (
        rb"200 OK\r\nTransfer-E.*\r\n\r\n7\r\n<!DOCTY\r\n7\r\nPE html",
        "open",
    ),
    "error-in-xml": (rb"binary/octet-stream\r\n.*\r\n\r\n<\?xml[^<]*<Error>", "open"),
    "gzip-label-on-archive": (rb"Content-Encoding: gzip\r\n.*\r\n\r\n\x1f\x8b", "open"),
    "gzip-bomb-body": (rb"Content-Encoding: gzip\r\n.*\r\n\r\n\x1f\x8b", "open"),
    "decoder-chain": (rb"Content-Encoding: (gzip, ){999}gzip\r\n", "open"),
    "redirect-honest": (rb"302 .*Location: http://127.0.0.1:\d+/fault/.*\?final\r\n", "open"),
    "redirect-relative": (rb"307 .*Location: \?final\r\n", "open"),
    "redirect-loop": (rb"302 .*Location: /fault/redirect-loop.bin\r\n", "open"),
    "redirect-1-000-hops": (rb"302 .*Location: \?hop=1\r\n", "open"),
    "redirect-huge-body": (rb"Content-Length: 314572800\r\n\r\n\0{1000000}", "goes-on"),
    "redirect-bomb-body": (rb"302 .*Content-Encoding: gzip\r\n.*\r\n\r\n\x1f\x8b", "open"),
    "redirect-other-origin": (
        rb"302 .*Set-Cookie: c=.*Location: http://localhost:\d+/fault/",
        "open",
    ),
    "redirect-to-file": (rb"302 .*Location: file:///etc/passwd\r\n", "open"),
    "redirect-to-ftp": (rb"302 .*Location: ftp://127", "open"),
    "redirect-to-data": (rb"302 .*Location: data:", "open"),
    "redirect-malformed": (rb"302 .*Location: http://\[::1/\r\n", "open"),
    "redirect-with-encoded-crlf": (rb"302 .*Location: \?final%0d%0aX-Forged:%20yes", "open"),
    "redirect-with-bare-cr": (rb"302 .*Location: \?final\rX-Forged: yes\r\n", "open"),
    "redirect-with-userinfo": (rb"302 .*//user:secret-of-the-server@127.0.0.1:\d+/", "open"),
    **{
        f"name-{what}": (b"\r\nContent-Disposition: " + re.escape(field.encode("latin-1")), "open")
        for what, field in redirects.HOSTILE_NAMES.items()
    },
    **{
        row.name: (rb"Accept-Ranges: bytes\r\n" + _BODY_LENGTH + rb"\r\n.{50000}$", "closed")
        for row in (*resumes.FAULTS, *partials.FAULTS)
    },
    "whole-then-416": (rb"chunked\r\n\r\n186a0\r\n.{100000}\r\n$", "closed"),
    "whole-then-416-called-html": (rb"chunked\r\n\r\n186a0\r\n.{100000}\r\n$", "closed"),
    "chunks-cut-then-200-rest": (rb"chunked\r\n\r\nc350\r\n.{50000}\r\n$", "closed"),
    "range-unsolicited": (_NAMED + rb"Content-Length: 50000\r\n\r\n.{50000}$", "open"),
    "range-from-the-start-unsolicited": (
        rb"200 .*\r\nContent-Range: bytes 0-49999/100000\r\n.*\r\n\r\n.{50000}$",
        "open",
    ),
    "range-odd-unsolicited": (rb"200 .*\r\nContent-Range: bytes=50000-99999/100000\r\n", "open"),
    "range-in-chunks-unsolicited": (_NAMED + rb"Transfer-Encoding: chunked\r\n", "open"),
    "range-shorter-than-body": (
        rb"200 .*\r\nContent-Range: bytes 0-49999/50000\r\n" + _BODY_LENGTH,
        "open",
    ),
    "total-other-than-length": (
        rb"200 .*\r\nContent-Range: bytes \*/50000\r\n" + _BODY_LENGTH,
        "open",
    ),
    "parts-as-a-file": (rb"200 .*\r\nContent-Type: Multipart/ByteRanges; boundary=x\r\n", "open"),
    "range-of-the-whole": (
        rb"200 .*\r\nContent-Range: bytes 0-99999/100000\r\n" + _BODY_LENGTH,
        "open",
    ),
    "range-of-the-whole-in-chunks": (
        rb"200 .*\r\nContent-Range: bytes 0-99999/100000\r\nTransfer-Encoding: chunked\r\n",
        "open",
    ),
    "range-cut-in-chunks": (
        rb"200 .*\r\nContent-Range: bytes 0-99999/100000\r\nTransfer-Encoding: chunked\r\n",
        "open",
    ),
    "range-shorter-than-chunks": (
        rb"200 .*\r\nContent-Range: bytes 0-49999/50000\r\nTransfer-Encoding: chunked\r\n",
        "open",
    ),
    "range-past-the-end": (rb"200 .*\r\nContent-Range: bytes 0-100000/100000\r\n", "open"),
    "range-of-rows": (rb"200 .*\r\nContent-Range: items 10-19/20\r\n", "open"),
    "range-of-no-unit": (rb"200 .*\r\nContent-Range: 10-19/\*\r\n", "open"),
    "closed-after-answer": (_BODY_LENGTH + rb"\r\n.{100000}$", "closed"),
    "closed-when-idle": (_BODY_LENGTH + rb"\r\n.{100000}$", "closed"),
    "closed-on-second-request": (_BODY_LENGTH + rb"\r\n.{100000}$", "open"),
    "reset-on-second-request": (_BODY_LENGTH + rb"\r\n.{100000}$", "open"),
    "unsolicited-bytes": (_BODY_LENGTH + rb"\r\n.{100000}" + re.escape(FORGED) + b"$", "open"),
}
_LIMITS = {"headers-100-000": 4 << 20, "continue-flood": 200_000}


@pytest.fixture
def faulty() -> object:
    """A server of every row."""
    with Server(fallback=script_for) as started:
        yield started


def test_every_row_is_shown() -> None:
    assert set(ON_THE_WIRE) | _STALLS == set(FAULTS)


def test_no_two_rows_share_a_name() -> None:
    modules = (framing, heads, partials, redirects, resumes, reuse)
    rows = [row for module in modules for row in module.FAULTS]
    assert len(rows) == len(FAULTS)


@pytest.mark.parametrize("name", ON_THE_WIRE)
def test_fault_is_on_the_wire(faulty: Server, name: str) -> None:
    looks, end = ON_THE_WIRE[name]
    heard = ask(faulty, path_for(FAULTS[name]), limit=_LIMITS.get(name, 2 << 20))
    assert (re.search(looks, heard.data, re.DOTALL) is not None, heard.end) == (True, end)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("stall-before-head", 0),
        ("stall-mid-head", 30),
        ("stall-mid-body", 50_000),
        ("drip", 44),
        ("drip-head", 1),
    ],
)
def test_stall_keeps_the_connection_open(faulty: Server, name: str, before: int) -> None:
    path = path_for(FAULTS[name])
    with socket.create_connection(("127.0.0.1", faulty.port), 20) as sock:
        sock.sendall(request(path))
        got = b""
        while len(got) < before:
            got += sock.recv(before - len(got))
        (seen,) = faulty.wait_for(path)
        assert seen.connection in faulty.open
    faulty.wait_until(lambda: not faulty.open, "the end of the stall by the client's hangup")


# After the cut: what a Range request and then a plain one get, as status and whole body.
_HONEST_REST = (206, BODY[HALF:])
_WHOLE = (200, BODY)
GOING_ON = {
    "cut-then-206": (_HONEST_REST, _WHOLE),
    "cut-by-date-then-206": ((200, BODY), _WHOLE),
    "cut-then-200": (_WHOLE, _WHOLE),
    "cut-then-206-other-start": ((206, BODY[HALF - 100 :]), _WHOLE),
    "cut-then-206-other-total": (_HONEST_REST, _WHOLE),
    "cut-then-206-without-range": (_HONEST_REST, _WHOLE),
    "cut-then-206-malformed-range": (_HONEST_REST, _WHOLE),
    "cut-then-206-longer-than-range": ((206, BODY[HALF:] + b"junk"), _WHOLE),
    "whole-then-416": (_HONEST_REST, _WHOLE),
    "cut-then-416": ((416, b""), _WHOLE),
    "cut-then-416-without-size": ((416, b""), _WHOLE),
    "etag-changed": ((200, OTHER), (200, OTHER)),
    "last-modified-changed": ((200, OTHER), (200, OTHER)),
    "etag-changed-if-range-ignored": ((206, OTHER[HALF:]), (200, OTHER)),
    "etag-weak": ((206, OTHER[HALF:]), (200, OTHER)),
    "no-validator": ((206, OTHER[HALF:]), (200, OTHER)),
    "cut-then-500-then-206": ((500, b"it broke"), _WHOLE),
    "cut-then-304": ((304, b""), _WHOLE),
}


@pytest.mark.parametrize("name", GOING_ON)
def test_answers_after_a_cut(faulty: Server, name: str) -> None:
    path = path_for(FAULTS[name])
    ask(faulty, path)
    ranged = ask(faulty, path, ("Range", f"bytes={HALF}-"), ("If-Range", ETAG))
    plain = ask(faulty, path)
    assert ((ranged.status, ranged.body), (plain.status, plain.body)) == GOING_ON[name]


@pytest.mark.parametrize("what", partials.NO_WHOLE)
def test_rests_that_are_called_the_whole(faulty: Server, what: str) -> None:
    path = path_for(FAULTS[f"cut-then-200-{what}"])
    ask(faulty, path)
    ranged = ask(faulty, path, ("Range", f"bytes={HALF}-"), ("If-Range", ETAG))
    assert ranged.status == 200
    assert ranged.body != BODY
    assert ask(faulty, path).body == BODY


def test_206_rows_lie_as_they_say(faulty: Server) -> None:
    def told(name: str) -> list[bytes]:
        path = path_for(FAULTS[name])
        ask(faulty, path)
        answer = ask(faulty, path, ("Range", f"bytes={HALF}-"), ("If-Range", ETAG))
        return re.findall(rb"\r\nContent-Range: (.*?)\r\n", answer.data)

    assert told("cut-then-206") == [b"bytes 50000-99999/100000"]
    assert told("cut-then-206-other-start") == [b"bytes 49900-99999/100000"]
    assert told("cut-then-206-other-total") == [b"bytes 50000-99999/100100"]
    assert told("cut-then-206-without-range") == []
    assert told("cut-then-206-malformed-range") == [b"bytes 100000-50000/x"]
    assert told("cut-then-416") == [b"bytes */50000"]
    assert told("cut-then-416-without-size") == []


def test_416_of_a_whole_part_tells_its_size(faulty: Server) -> None:
    path = path_for(FAULTS["whole-then-416"])
    ask(faulty, path)
    answer = ask(faulty, path, ("Range", f"bytes={len(BODY)}-"), ("If-Range", ETAG))
    assert answer.status == 416
    assert b"Content-Range: bytes */100000\r\n" in answer.data


def test_cut_twice(faulty: Server) -> None:
    path = path_for(FAULTS["cut-twice-then-206"])
    parts = [ask(faulty, path, ("Range", f"bytes={n}-")).body for n in (0, 50_000, 75_000)]
    assert b"".join(parts) == BODY


def test_multipart_is_a_206_of_another_form(faulty: Server) -> None:
    path = path_for(FAULTS["cut-then-206-multipart"])
    ask(faulty, path)
    answer = ask(faulty, path, ("Range", f"bytes={HALF}-"))
    assert answer.status == 206
    assert b"Content-Type: multipart/byteranges; boundary=x\r\n" in answer.data


@pytest.mark.parametrize("name", ["closed-on-second-request", "reset-on-second-request"])
def test_second_request_on_a_connection_ends_it(faulty: Server, name: str) -> None:
    path = path_for(FAULTS[name])
    with socket.create_connection(("127.0.0.1", faulty.port), 20) as sock:
        sock.sendall(request(path))
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        assert reply.read() == BODY
        reply.close()
        sock.sendall(request(path))
        try:
            end = sock.recv(1)
        except ConnectionResetError:
            end = b"reset"
    assert end == (b"reset" if name.startswith("reset") else b"")
    assert [seen.nth for seen in faulty.requests(path)] == [1, 2]
    assert ask(faulty, path).body == BODY


def test_unsolicited_bytes_wait_for_their_gate(server: Server) -> None:
    gate = threading.Event()
    server.on("/x", *reuse.unsolicited_bytes(gate))
    with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
        sock.sendall(request("/x"))
        reply = http.client.HTTPResponse(sock)
        reply.begin()
        assert reply.read() == BODY
        reply.close()
        gate.set()
        assert sock.recv(len(FORGED), socket.MSG_WAITALL) == FORGED


def test_huge_redirect_body_is_counted_and_ends_with_the_client(faulty: Server) -> None:
    path = path_for(FAULTS["redirect-huge-body"])
    ask(faulty, path, limit=1_000)
    faulty.wait_until(lambda: not faulty.open, "the end of the body")
    assert 0 < faulty.sent(path) < 100 << 20


def test_thousand_hops_come_to_an_end(faulty: Server) -> None:
    path = path_for(FAULTS["redirect-1-000-hops"])
    assert ask(faulty, f"{path}?hop=999").status == 302
    assert ask(faulty, f"{path}?hop=1000").body == BODY


def test_gzip_bomb_is_a_valid_stream() -> None:
    size = 0
    unpacker = zlib.decompressobj(31)
    left = gzip_bomb()
    while left:
        size += len(unpacker.decompress(left, 1 << 20))
        left = unpacker.unconsumed_tail
    assert (size, unpacker.eof) == (256 << 20, True)


def test_a_run_of_its_own_starts_the_script_anew(faulty: Server) -> None:
    row = FAULTS["status-500-then-good"]
    statuses = [ask(faulty, path_for(row, run=run)).status for run in ("a", "a", "b")]
    assert statuses == [500, 200, 500]


# A well-behaved file.


@pytest.mark.parametrize(
    ("value", "size", "wanted"),
    [
        ("bytes=0-", 10, range(10)),
        ("bytes=3-", 10, range(3, 10)),
        ("bytes=3-5", 10, range(3, 6)),
        ("bytes=3-50", 10, range(3, 10)),
        ("BYTES=3-5", 10, range(3, 6)),
        ("bytes=-4", 10, range(6, 10)),
        ("bytes=-40", 10, range(10)),
        ("bytes=10-", 10, range(0)),
        ("bytes=-0", 10, range(0)),
        ("bytes=0-", 0, range(0)),
        ("bytes=5-3", 10, None),
        ("bytes=-", 10, None),
        ("bytes=a-", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
    ],
)
def test_parse_range(value: str, size: int, wanted: range | None) -> None:
    assert parse_range(value, size) == wanted


_STAMP = formatdate(DATE, usegmt=True)
_LATER = formatdate(DATE + 60, usegmt=True)
_EARLIER = formatdate(DATE - 60, usegmt=True)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"Range": "bytes=5-"}, 206),
        ({"Range": "bytes=5-", "If-Range": ETAG}, 206),
        ({"Range": "bytes=5-", "If-Range": _STAMP}, 206),
        ({"Range": "bytes=5-", "If-Range": '"two"'}, 200),
        ({"Range": "bytes=5-", "If-Range": f"W/{ETAG}"}, 200),
        ({"Range": "bytes=5-", "If-Range": _LATER}, 200),
        ({"Range": "bytes=500-"}, 416),
        ({"Range": "bytes=500-", "If-Range": '"two"'}, 200),
        ({"Range": "nonsense"}, 200),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f'"zero", W/{ETAG}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"two"'}, 200),
        ({"If-None-Match": '"two"', "If-Modified-Since": _STAMP}, 200),
        ({"If-None-Match": ETAG, "Range": "bytes=5-"}, 304),
        ({"If-Modified-Since": _STAMP}, 304),
        ({"If-Modified-Since": _LATER}, 304),
        ({"If-Modified-Since": _EARLIER}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_file_honours_conditions(
    server: Server, fields: dict[str, str], status: int, *, chunked: bool
) -> None:
    server.on("/f", File(b"0123456789", ETAG, DATE, chunked=chunked))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/f", headers=fields)
    reply = connection.getresponse()
    body = {200: b"0123456789", 206: b"56789"}.get(status, b"")
    assert (reply.status, reply.read()) == (status, body)
    where = {206: "bytes 5-9/10", 416: "bytes */10"}.get(status)
    assert reply.headers["Content-Range"] == where
    assert (reply.headers["ETag"], reply.headers["Last-Modified"]) == (ETAG, _STAMP)
    # The same connection serves on, so the framing was right.
    connection.request("HEAD", "/f", headers={"Range": "bytes=5-"})
    reply = connection.getresponse()
    assert (reply.status, reply.read(), server.connections) == (200, b"", 1)
    connection.close()


def test_weak_etag_never_lets_a_range_stand(server: Server) -> None:
    server.on("/f", File(b"0123456789", f"W/{ETAG}"))
    answer = ask(server, "/f", ("Range", "bytes=5-"), ("If-Range", f"W/{ETAG}"))
    assert answer.status == 200


def test_file_may_ignore_ranges_and_refuses_other_methods(server: Server) -> None:
    server.on("/f", File(b"0123456789", ranges=False))
    assert ask(server, "/f", ("Range", "bytes=5-")).status == 200
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", "/f")
    assert connection.getresponse().status == 405
    connection.close()


def test_throttled_file_is_whole(server: Server) -> None:
    server.on("/f", File(BODY, throttle=1_000_000, delay=0.01))
    assert ask(server, "/f").body == BODY


# The server itself.


def test_script_is_consumed_and_its_last_repeats(server: Server) -> None:
    server.on("/s", Reply(500), Reply(503), Reply(200))
    assert [ask(server, "/s").status for _ in range(4)] == [500, 503, 200, 200]
    assert ask(server, "/unknown").status == 404


def test_requests_are_recorded_raw(server: Server) -> None:
    server.on("/s", Reply())
    ask(server, "/s?q=1", ("X-One", "a"), ("x-one", "b"))
    ask(server, "http://elsewhere.example/s")
    first, second = server.requests("/s")
    assert (first.method, first.target, first.version) == ("GET", "/s?q=1", "HTTP/1.1")
    assert first.headers == (("Host", "127.0.0.1"), ("X-One", "a"), ("x-one", "b"))
    assert (first.header("X-ONE"), first.header("Range")) == ("a, b", None)
    assert (first.connection, second.connection, server.connections) == (1, 2, 2)
    assert first.time <= second.time
    assert [seen.path for seen in server.requests()] == ["/s", "/next"] * 2


def test_when_range_chooses(server: Server) -> None:
    server.on("/s", WhenRange(Reply(416), Reply(200)))
    assert (ask(server, "/s").status, ask(server, "/s", ("Range", "bytes=0-")).status) == (200, 416)


def test_steps_end_the_connection(server: Server) -> None:
    server.on("/close", Then(Raw(b"a"), Close(), Raw(b"never")))
    server.on("/reset", Then(Raw(b"a"), Pause(0.05), Reset(), Raw(b"never")))
    assert ask(server, "/close") == (b"a", "closed")
    assert ask(server, "/reset") == (b"a", "reset")


def test_leaving_ends_stalled_connections_at_once() -> None:
    with Server() as server:
        server.on("/s", Pause(300))
        sock = socket.create_connection(("127.0.0.1", server.port), 20)
        sock.sendall(request("/s"))
        server.wait_for("/s")
    with sock:
        assert sock.recv(1) == b""
    assert not server.open
    assert not any(thread.is_alive() for thread in server._threads)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 20)


def test_leaving_ends_a_sender_whose_client_does_not_read() -> None:
    with Server() as server:
        server.on("/s", *redirects.redirect_huge_body())
        sock = socket.create_connection(("127.0.0.1", server.port), 20)
        sock.sendall(request("/s"))
        server.wait_until(lambda: server.sent("/s") > 0)
    sock.close()
    assert not server.open


def test_lifetime_ends_by_itself() -> None:
    with Server(lifetime=0.2) as server:
        with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
            assert sock.recv(1) == b""
        server.wait_until(lambda: not server.open)


def test_cap_ends_the_sending() -> None:
    with Server(cap=1 << 20) as server:
        server.on("/s", *redirects.redirect_huge_body())
        heard = ask(server, "/s", limit=8 << 20)
        assert heard.end in {"closed", "reset"}
        assert server.sent("/s") < 2 << 20


def test_wait_for_gives_up(server: Server) -> None:
    with pytest.raises(TimeoutError, match="2 requests for /s"):
        server.wait_for("/s", 2, timeout=0.01)


def test_server_listens_on_loopback_only(server: Server) -> None:
    assert server._listener.getsockname()[0] == "127.0.0.1"


# TLS.


def _tls_error(context: ssl.SSLContext, server: Server) -> str:
    with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
        try:
            context.wrap_socket(sock, server_hostname="127.0.0.1").close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return ""


@pytest.mark.parametrize(
    ("make", "error"),
    [
        ("good", "^$"),
        ("expired", "expired"),
        ("wrong_host", "IP address mismatch"),
        ("self_signed", "self.signed"),
    ],
)
def test_certificates_are_as_bad_as_they_say(authority: Authority, make: str, error: str) -> None:
    context = ssl.create_default_context(cafile=str(authority.pem))
    with Server(tls=getattr(authority, make)()) as server:
        assert re.search(error, _tls_error(context, server))


def _read_tls(authority: Authority, server: Server, path: str) -> bytes:
    context = ssl.create_default_context(cafile=str(authority.pem))
    raw = socket.create_connection(("127.0.0.1", server.port), 20)
    with context.wrap_socket(raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as sock:
        sock.sendall(request(path))
        data = b""
        while piece := sock.recv(65_536):
            data += piece
    return data


def test_tls_ends_with_a_goodbye_or_without(authority: Authority) -> None:
    with Server(tls=authority.good()) as server:
        server.on("/whole", *framing.length_none())
        server.on("/cut", *framing.tls_cut_without_goodbye())
        assert _read_tls(authority, server, "/whole").endswith(BODY)
        with pytest.raises(ssl.SSLError):
            _read_tls(authority, server, "/cut")


def test_client_certificate_is_wanted(authority: Authority) -> None:
    files = authority.files("someone@client.example")
    context = ssl.create_default_context(cafile=str(authority.pem))
    with Server(tls=authority.wanting_client_cert()) as server:
        server.on("/f", File(b"secret"))
        for known in (False, True):
            if known:
                context.load_cert_chain(files.cert, files.key)
            connection = http.client.HTTPSConnection(
                "127.0.0.1", server.port, timeout=20, context=context
            )
            try:
                connection.request("GET", "/f")
                got = connection.getresponse().read()
            except (ssl.SSLError, ConnectionError):
                got = b""
            connection.close()
            assert got == (b"secret" if known else b"")


def test_plain_client_on_a_tls_port_harms_nothing(authority: Authority) -> None:
    with Server(tls=authority.good()) as server:
        ask(server, "/f")
        server.wait_until(lambda: not server.open)
        assert _tls_error(ssl.create_default_context(cafile=str(authority.pem)), server) == ""


# By hand, and real programs.


def test_by_hand_serves_every_fault() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "servers.misbehave", "--seconds", "30"],
        cwd=TESTS,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        port = int(process.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        bodies = []
        for _ in range(2):
            connection.request("GET", "/fault/run/status-500-then-good.bin")
            bodies.append(connection.getresponse().read())
        connection.close()
        process.terminate()
    assert bodies == [b"it broke", BODY]


def test_missing_program_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDL_REQUIRE_REAL", raising=False)
    conftest.need("it", available=True)
    either = (pytest.skip.Exception, pytest.fail.Exception)
    with pytest.raises(either) as skipped:
        conftest.need("it", available=False)
    monkeypatch.setenv("PDL_REQUIRE_REAL", "1")
    with pytest.raises(either) as failed:
        conftest.need("it", available=False)
    assert (skipped.type, failed.type) == either


def test_nginx_serves_and_logs(nginx: Nginx) -> None:
    (nginx.root / "f.bin").write_bytes(BODY)
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=20)
    for fields in ({}, {"Range": "bytes=50000-"}):
        connection.request("GET", "/f.bin", headers=fields)
        connection.getresponse().read()
    connection.request("HEAD", "/missing")
    connection.getresponse().read()
    connection.close()
    rows = [row._replace(connection=0) for row in nginx.wait_log(3)]
    assert rows == [
        ("GET", "/f.bin", 200, "", 100_000, 0, 1),
        ("GET", "/f.bin", 206, "bytes=50000-", 50_000, 0, 2),
        ("HEAD", "/missing", 404, "", 0, 0, 3),
    ]
    nginx.clear_log()
    assert nginx.log() == []


def test_nginx_serves_https(make_nginx: Callable[..., Nginx], authority: Authority) -> None:
    served = make_nginx(tls=authority.files(stem="nginx"), rate=10_000_000)
    (served.root / "f.bin").write_bytes(BODY)
    context = ssl.create_default_context(cafile=str(authority.pem))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", served.tls_port, timeout=20, context=context
    )
    connection.request("GET", "/f.bin")
    assert connection.getresponse().read() == BODY
    connection.close()


def test_nginx_with_a_wrong_configuration_says_why(make_nginx: Callable[..., Nginx]) -> None:
    with pytest.raises(RuntimeError, match="no_such_directive"):
        make_nginx(extra="no_such_directive;")


def test_proxy_forwards(proxy: Proxy, server: Server) -> None:
    server.on("/f", File(BODY))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    connection.request("GET", server.url("/f"))
    assert connection.getresponse().read() == BODY
    connection.close()
    assert len(server.requests("/f")) == 1
    assert "Request" in proxy.log()
