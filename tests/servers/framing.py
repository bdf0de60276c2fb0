"""Faults in how the end of a body is told (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from servers.behaviours import Close, Pause, Raw, Reset, Then, chunk, chunked, head
from servers.files import File
from servers.row import (
    BODY,
    ETAG,
    FORGED,
    HALF,
    THRICE,
    TRIED_ON,
    Fault,
    cut,
    length,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from servers.wire import Script

_CHUNKED = ("Transfer-Encoding", "chunked")
_MEGABYTE = 1 << 20
_ENDLESS = 256
"""Megabytes after which "endless" ends: past any bound on memory, well below the server's cap."""


def _endless(start: bytes, piece: bytes) -> Iterable[bytes]:
    megabyte = piece * (_MEGABYTE // len(piece))
    return itertools.chain([start], itertools.repeat(megabyte, _ENDLESS))


def _sized(value: str) -> Script:
    return (Then(Raw(head(200, (("Content-Length", value),)) + BODY), Close()),)


def _chunks(body: bytes) -> Script:
    return (Then(Raw(head(200, (_CHUNKED,)) + body), Close()),)


def length_longer_than_body() -> Script:
    return (cut((("ETag", ETAG),)),)


def reset_mid_body() -> Script:
    # The pause lets the kernel hand the first half over, which the reset would throw away.
    return (cut((("ETag", ETAG),), end=Then(Pause(0.05), Reset())),)


def tls_cut_without_goodbye() -> Script:
    return (Then(Raw(head(200, (("Connection", "close"),)) + BODY[:HALF]), Close(notify=False)),)


def chunked_cut() -> Script:
    return _chunks(chunk(BODY)[:HALF])


def chunked_without_last() -> Script:
    return _chunks(chunk(BODY))


def chunked_last_cut() -> Script:
    return _chunks(chunk(BODY) + b"0\r\n")


def chunk_size_malformed() -> Script:
    return _chunks(chunk(BODY[:HALF]) + b"zz\r\n" + BODY[HALF:] + b"\r\n0\r\n\r\n")


def chunk_size_empty() -> Script:
    return _chunks(chunk(BODY[:HALF]) + b"\r\n" + BODY[HALF:] + b"\r\n0\r\n\r\n")


def chunk_size_prefixed() -> Script:
    return _chunks(b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))


def chunk_size_negative() -> Script:
    return _chunks(chunk(BODY[:HALF]) + b"-5\r\n" + BODY[HALF:] + b"\r\n0\r\n\r\n")


def chunk_size_enormous() -> Script:
    return _chunks(chunk(BODY[:HALF]) + b"F" * 18 + b"\r\n" + BODY[HALF:])


def chunk_size_claimed() -> Script:
    return _chunks(b"7fffffffffffffff\r\n" + BODY)


def chunk_without_end() -> Script:
    return _chunks(b"%x\r\n%b" % (HALF, BODY) + b"\r\n0\r\n\r\n")


def chunk_size_endless() -> Script:
    return (Then(Raw(head(200, (_CHUNKED,))), Raw(lambda: _endless(b"", b"0")), Close()),)


def chunk_extension_endless() -> Script:
    start = head(200, (_CHUNKED,)) + b"10;x="
    return (Then(Raw(lambda: _endless(start, b"a")), Close()),)


def trailers_endless() -> Script:
    start = head(200, (_CHUNKED,)) + chunk(BODY) + b"0\r\n"
    return (Then(Raw(lambda: _endless(start, b"X-Trailer: goes on\r\n")), Close()),)


def trailers_honest() -> Script:
    whole = chunk(BODY) + b"0\r\nX-Trailer: ends\r\n\r\n"
    return (Raw(head(200, (_CHUNKED, ("Trailer", "X-Trailer"))) + whole),)


def body_longer_than_length() -> Script:
    return (Raw(head(200, (length(),)) + BODY + FORGED),)


def chunked_then_junk() -> Script:
    return (Raw(head(200, (_CHUNKED,)) + chunked(BODY) + FORGED),)


def length_negative() -> Script:
    return _sized("-5")


def length_not_a_number() -> Script:
    return _sized("many")


def length_empty() -> Script:
    return _sized("")


def length_signed() -> Script:
    return _sized(f"+{len(BODY)}")


def length_conflicting() -> Script:
    twice = (length(), length(BODY[:HALF]))
    return (Then(Raw(head(200, twice) + BODY), Close()),)


def length_list_conflicting() -> Script:
    return _sized(f"{len(BODY)}, {HALF}")


def length_twice_equal() -> Script:
    return (Raw(head(200, (length(), length())) + BODY),)


def length_list_equal() -> Script:
    return (Raw(head(200, (("Content-Length", f"{len(BODY)}, {len(BODY)}"),)) + BODY),)


def length_enormous() -> Script:
    return _sized("9" * 30)


def length_claimed() -> Script:
    """So much that memory or disk set aside by it would show at once."""
    return _sized(str(1 << 60))


def length_and_chunked() -> Script:
    both = head(200, (("Content-Length", "5"), _CHUNKED))
    return (Raw(both + chunked(BODY) + FORGED),)


def transfer_coding_unknown() -> Script:
    return (Then(Raw(head(200, (("Transfer-Encoding", "snappy"),)) + BODY), Close()),)


def length_none() -> Script:
    return (Then(Raw(head(200, (("Connection", "close"),)) + BODY), Close()),)


def chunked_honest() -> Script:
    return (File(BODY, etag=ETAG, chunked=True),)


_BROKEN = ("protocol",)
_CUT = ("truncated",)

FAULTS = (
    Fault(length_longer_than_body, _CUT, ranges=TRIED_ON, keeps_part=True),
    Fault(reset_mid_body, ("reset", "truncated"), ranges=TRIED_ON, keeps_part=True),
    Fault(chunked_cut, _CUT, ranges=THRICE),
    Fault(chunked_without_last, _CUT, ranges=THRICE),
    Fault(chunked_last_cut, _CUT, ranges=THRICE),
    Fault(chunk_size_malformed, _BROKEN),
    Fault(chunk_size_empty, _BROKEN),
    Fault(chunk_size_prefixed, _BROKEN),
    Fault(chunk_size_negative, _BROKEN),
    Fault(chunk_size_enormous, _BROKEN),
    Fault(chunk_size_claimed, ("protocol", "truncated", "size", "disk"), hungry=True),
    Fault(chunk_without_end, _BROKEN),
    Fault(chunk_size_endless, _BROKEN, hungry=True),
    Fault(chunk_extension_endless, _BROKEN, hungry=True),
    Fault(trailers_endless, _BROKEN, hungry=True),
    Fault(trailers_honest),
    Fault(body_longer_than_length, spoils=True),
    Fault(chunked_then_junk, spoils=True),
    Fault(length_negative, _BROKEN),
    Fault(length_not_a_number, _BROKEN),
    Fault(length_empty, _BROKEN),
    Fault(length_signed, _BROKEN),
    Fault(length_conflicting, _BROKEN),
    Fault(length_list_conflicting, _BROKEN),
    Fault(length_twice_equal),
    Fault(length_list_equal),
    Fault(length_enormous, ("protocol", "truncated", "size", "disk")),
    Fault(length_claimed, ("truncated", "size", "disk"), hungry=True),
    Fault(length_and_chunked, spoils=True),
    Fault(transfer_coding_unknown, _BROKEN),
    Fault(length_none),
    Fault(chunked_honest),
)
"""`tls_cut_without_goodbye` is no row: it needs a server with TLS."""
