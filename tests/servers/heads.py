"""Faults in the head: malformed, endless, the wrong status, the wrong word about the body."""

from __future__ import annotations

import functools
import itertools
import struct
import time
import zlib
from email.utils import formatdate
from typing import TYPE_CHECKING

from servers.behaviours import Close, Pause, Raw, Reply, Then, chunked, head
from servers.files import File
from servers.row import (
    BODY,
    ETAG,
    HALF,
    THRICE,
    TWICE,
    Fault,
    length,
)

if TYPE_CHECKING:
    from servers.wire import Exchange, Script

_STALL = 280.0
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
_MEGABYTE = 1 << 20
_BOMB_MEGABYTES = 256
_BOMB_CRC = 0x2A0E7DBB


@functools.cache
def gzip_bomb() -> bytes:
    """A valid gzip stream of a quarter of a megabyte that unpacks to 256 MiB of zeros."""
    packer = zlib.compressobj(9, wbits=-15)
    # After a full flush a block refers to nothing before it, so it can be repeated.
    block = packer.compress(bytes(_MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    start = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    trailer = struct.pack("<II", _BOMB_CRC, _BOMB_MEGABYTES * _MEGABYTE)
    return start + block * _BOMB_MEGABYTES + packer.flush() + trailer


def _then_close(data: bytes) -> Script:
    return (Then(Raw(data), Close()),)


def _with_field(line: bytes) -> Script:
    first, rest = head(200, (length(),)).split(b"\r\n", 1)
    return _then_close(b"%b\r\n%b\r\n%b" % (first, line, rest) + BODY)


def headers_10_mb() -> Script:
    return _with_field(b"X-Long: " + b"a" * (10 * _MEGABYTE))


def headers_100_000() -> Script:
    return _with_field(b"\r\n".join(b"X-%d: many" % n for n in range(100_000)))


def headers_endless() -> Script:
    lines = b"X-More: and more\r\n" * 50_000
    return (Then(Raw(b"HTTP/1.1 200 OK\r\n"), Raw(lambda: itertools.repeat(lines, 280)), Close()),)


def status_line_endless() -> Script:
    piece = b"a" * _MEGABYTE
    return (Then(Raw(b"HTTP/1.1 200 "), Raw(lambda: itertools.repeat(piece, 256)), Close()),)


def status_with_escapes() -> Script:
    """A reason that would colour the terminal and ring its bell, were it shown raw."""
    red = b"HTTP/1.1 404 \x1b[31mred\x07\x1b]0;title\x07\r\nContent-Length: 0\r\n\r\n"
    return (Raw(red),)


def http_0_9() -> Script:
    return _then_close(BODY)


def status_line_malformed() -> Script:
    return _then_close(head(200, (length(),)).replace(b"200", b"2x0", 1) + BODY)


def status_out_of_range() -> Script:
    return _then_close(head(999, (length(),)) + BODY)


def header_without_colon() -> Script:
    return _with_field(b"no colon here")


def header_with_nul() -> Script:
    return _with_field(b"X-Nul: a\0b")


def header_name_with_blank() -> Script:
    return _with_field(b"X-Blank : a")


def header_folded() -> Script:
    return _with_field(b"X-Folded: one\r\n two")


def head_cut() -> Script:
    return _then_close(head(200, (length(),))[:30])


def closed_without_answer() -> Script:
    return (Close(),)


def early_hints_first() -> Script:
    hints = head(103, (("Link", "</style.css>; rel=preload"),))
    return (Then(Raw(hints), File(BODY, etag=ETAG)),)


def continue_first() -> Script:
    return (Then(Raw(head(100)), File(BODY, etag=ETAG)),)


def continue_flood() -> Script:
    some = head(100) * 100
    return (Then(Raw(lambda: itertools.repeat(some, 100_000), rate=1_000_000), Close()),)


def switching_protocols() -> Script:
    return (Then(Raw(head(101, (("Upgrade", "other"), ("Connection", "Upgrade")))), Close()),)


def status_204() -> Script:
    return (Reply(204),)


def status_205() -> Script:
    return (Reply(205),)


def partial_unsolicited() -> Script:
    where = ("Content-Range", f"bytes 0-{HALF - 1}/{len(BODY)}")
    return (Reply(206, (where, ("ETag", ETAG)), BODY[:HALF]),)


def not_modified_unsolicited() -> Script:
    return (Reply(304, (("ETag", ETAG),)),)


def redirect_without_location() -> Script:
    return (Reply(302, (), b"somewhere else"),)


def status_500() -> Script:
    return (Reply(500, (), b"it broke"),)


def status_500_then_good() -> Script:
    return (Reply(500, (), b"it broke"), File(BODY, etag=ETAG))


def status_522_then_good() -> Script:
    """A proxy's own status, whose origin hiccups."""
    return (Reply(522), File(BODY, etag=ETAG))


def status_511() -> Script:
    return (Reply(511), File(BODY, etag=ETAG))


def status_404() -> Script:
    return (Reply(404, (), b"not here"),)


def empty_200() -> Script:
    return (Reply(200),)


def stall_before_head() -> Script:
    return (Pause(_STALL),)


def stall_mid_head() -> Script:
    return (Then(Raw(head(200, (length(),))[:30]), Pause(_STALL)),)


def stall_mid_body() -> Script:
    return (Then(Raw(head(200, (length(),)) + BODY[:HALF]), Pause(_STALL)),)


def drip() -> Script:
    return (Then(Raw(head(200, (length(),))), Raw(BODY, rate=2)),)


def drip_head() -> Script:
    return (Raw(head(200, (length(),)) + BODY, rate=2),)


def _retry_after(status: int, value: str) -> Script:
    return (Reply(status, (("Retry-After", value),), b"later"), File(BODY, etag=ETAG))


def retry_after_seconds() -> Script:
    return _retry_after(429, "1")


def retry_after_date() -> Script:
    def later(exchange: Exchange) -> None:
        when = formatdate(time.time() + 2, usegmt=True)
        Reply(503, (("Retry-After", when),), b"later")(exchange)

    return (later, File(BODY, etag=ETAG))


def retry_after_malformed() -> Script:
    return _retry_after(503, "soon")


def retry_after_99999() -> Script:
    return (Reply(429, (("Retry-After", "99999"),), b"later"),)


def login_page() -> Script:
    return (Reply(200, (("Content-Type", "text/html; charset=utf-8"),), _HTML),)


def login_page_as_bytes() -> Script:
    page = b"\xef\xbb\xbf\r\n" + _HTML
    return (Reply(200, (("Content-Type", "application/octet-stream"),), page),)


def login_page_of_no_type() -> Script:
    chunks = head(200, (("Transfer-Encoding", "chunked"), ("ETag", ETAG)))
    return (Raw(chunks + chunked(_HTML * 2000, 7)),)


def error_in_xml() -> Script:
    error = b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>'
    return (Reply(200, (("Content-Type", "binary/octet-stream"),), error),)


def gzip_label_on_archive() -> Script:
    labels = (("Content-Type", "application/x-tar"), ("Content-Encoding", "gzip"))
    return (File(gzip_of(b"a tar archive"), headers=labels),)


def gzip_of(data: bytes) -> bytes:
    """`data` as a gzip stream, always the same bytes."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def gzip_bomb_body() -> Script:
    return (File(gzip_bomb(), headers=(("Content-Encoding", "gzip"),)),)


def decoder_chain() -> Script:
    return (File(BODY, headers=(("Content-Encoding", ", ".join(["gzip"] * 1_000)),)),)


_BROKEN = ("protocol",)
_UNANSWERED = ("reset", "truncated", "protocol", "connect")
_SLOW = ("timeout", "stalled")

FAULTS = (
    Fault(headers_10_mb, _BROKEN, hungry=True),
    Fault(headers_100_000, _BROKEN, hungry=True),
    Fault(headers_endless, _BROKEN, hungry=True),
    Fault(status_line_endless, _BROKEN, hungry=True),
    Fault(http_0_9, _BROKEN),
    Fault(status_line_malformed, _BROKEN),
    Fault(status_out_of_range, ("http-999", "protocol")),
    Fault(status_with_escapes, ("http-404", "protocol")),
    Fault(header_without_colon, _BROKEN),
    Fault(header_with_nul, _BROKEN),
    # RFC 9112 section 5.1 binds servers and proxies alone; a client may take or refuse it.
    Fault(header_name_with_blank),
    # Section 5.2: a client takes the fold for blanks; refusing the message harms nobody either.
    Fault(header_folded, ("success", "protocol")),
    Fault(head_cut, _UNANSWERED, ranges=THRICE),
    Fault(closed_without_answer, _UNANSWERED, ranges=THRICE, sent_twice=True),
    Fault(early_hints_first),
    Fault(continue_first),
    Fault(continue_flood, ("protocol", "timeout"), hungry=True),
    Fault(switching_protocols, ("http-101", "protocol")),
    Fault(status_204, ("http-204", "protocol")),
    Fault(status_205, ("http-205", "protocol")),
    Fault(partial_unsolicited, ("http-206", "protocol")),
    Fault(not_modified_unsolicited, ("http-304", "protocol")),
    Fault(redirect_without_location, ("http-302", "redirect", "protocol")),
    Fault(status_500, ("http-500",), ranges=THRICE),
    Fault(status_500_then_good, ranges=TWICE),
    Fault(status_522_then_good, ranges=TWICE),
    Fault(status_511, ("http-511",)),
    Fault(status_404, ("http-404",)),
    Fault(empty_200, body=b""),
    Fault(stall_before_head, _SLOW, ranges=TWICE, timeout=0.2, retries=1),
    Fault(stall_mid_head, _SLOW, ranges=TWICE, timeout=0.2, retries=1),
    Fault(stall_mid_body, _SLOW, ranges=TWICE, timeout=0.2, retries=1),
    Fault(drip, _SLOW, max_time=0.3, retries=0),
    Fault(drip_head, _SLOW, max_time=0.3, retries=0),
    Fault(retry_after_seconds, ranges=TWICE, waits=1.0),
    Fault(retry_after_date, ranges=TWICE, waits=1.0),
    Fault(retry_after_malformed, ranges=TWICE),
    Fault(retry_after_99999, ("http-429",)),
    Fault(login_page, ("content",), suffix=".zip"),
    Fault(login_page_as_bytes, ("content",), suffix=".zip"),
    Fault(login_page_of_no_type, ("content",), suffix=".tar.gz"),
    Fault(error_in_xml, ("content",), suffix=".pdf"),
    Fault(gzip_label_on_archive, body=gzip_of(b"a tar archive"), suffix=".tar.gz"),
    Fault(gzip_bomb_body, body=gzip_bomb(), suffix=".gz", hungry=True),
    Fault(decoder_chain, hungry=True),
)
