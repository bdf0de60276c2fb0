"""Answers that are not the whole file, or not for sure: by their fields, or against earlier ones.

Most begin with half a file; every request with a Range then gets the answer that the row is about,
and only one without gets an honest file.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING

from servers.behaviours import Close, Raw, Reply, Then, WhenRange, chunk, chunked, head
from servers.files import File
from servers.row import (
    BODY,
    DATE,
    DATE_OTHER,
    ETAG,
    ETAG_OTHER,
    HALF,
    OTHER,
    PAST_THE_END,
    REST,
    STARTED_AGAIN,
    WENT_ON,
    Fault,
    cut,
    pattern,
)

if TYPE_CHECKING:
    from servers.wire import Behaviour, Pairs, Script

GROWN = pattern(150_000, 3)
SHRUNK = pattern(30_000, 4)

_TAG = (("ETag", ETAG),)
_TAG_OTHER = (("ETag", ETAG_OTHER),)
_END = len(BODY) - 1
_NAMED = ("Content-Range", f"bytes {HALF}-{_END}/{len(BODY)}")
_CHUNKED = ("Transfer-Encoding", "chunked")
_MULTIPART = ("Content-Type", "Multipart/ByteRanges; boundary=x")
_HTML = ("Content-Type", "text/html")


def _dated(seconds: int) -> Pairs:
    return File(b"", last_modified=seconds).validators()


def _digest(body: bytes) -> tuple[str, str]:
    found = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return ("Repr-Digest", f"sha-256=:{found}:")


def _rest(*fields: tuple[str, str], body: bytes = BODY[HALF:], status: int = 200) -> Reply:
    return Reply(status, fields, body)


def _in_chunks(status: int, fields: Pairs, body: bytes) -> Raw:
    return Raw(head(status, (*fields, _CHUNKED)) + chunked(body))


def _multipart(body: bytes) -> bytes:
    return b"--x\r\nContent-Range: %b\r\n\r\n%b\r\n--x--\r\n" % (_NAMED[1].encode(), body)


# --- to a Range: 200 and the rest, or what may be it ---


def _after(first: Behaviour, ranged: Behaviour, plain: Behaviour | None = None) -> Script:
    return (first, WhenRange(ranged, plain or File(BODY, etag=ETAG)))


def _after_a_cut(ranged: Behaviour, plain: Behaviour | None = None) -> Script:
    return _after(cut(_TAG), ranged, plain)


NO_WHOLE: dict[str, Behaviour] = {
    "rest-with-range": _rest(*_TAG, _NAMED),
    "rest-with-range-of-another": _rest(*_TAG_OTHER, _NAMED, body=OTHER[HALF:]),
    "rest-with-range-in-chunks": _in_chunks(200, (*_TAG, _NAMED), BODY[HALF:]),
    "rest-with-open-range": _rest(*_TAG, ("Content-Range", f"bytes {HALF}-{_END}/*")),
    "rest-with-odd-range": _rest(*_TAG, ("Content-Range", f"bytes={HALF}-{_END}/{len(BODY)}")),
    "rest-with-bare-range": _rest(*_TAG, ("Content-Range", f"{HALF}-{_END}/{len(BODY)}")),
    "rest-with-total-alone": _rest(*_TAG, ("Content-Range", f"bytes */{len(BODY)}")),
    "rest-without-range": _rest(*_TAG),
    "rest-without-range-in-chunks": _in_chunks(200, _TAG, BODY[HALF:]),
    "rest-without-range-or-end": Then(
        Raw(head(200, (*_TAG, ("Connection", "close"))) + BODY[HALF:]), Close()
    ),
    "rest-under-another-tag": _rest(*_TAG_OTHER, body=OTHER[HALF:]),
    "other-in-chunks": _in_chunks(200, _TAG_OTHER, OTHER[HALF:]),
    "rest-of-no-version": _rest(),
    "rest-under-no-tag": _rest(("ETag", "two")),
    "rest-under-a-weak-tag": _rest(("ETag", f"W/{ETAG}")),
    "rest-under-a-date-alone": _rest(*_dated(DATE)),
    "longer-than-noted": _rest(*_TAG, body=BODY + b"more"),
    "rest-in-parts": Reply(200, (*_TAG, _MULTIPART), _multipart(BODY[HALF:])),
}
"""Answers 200 to a Range that cannot be taken for the whole."""


def cut_by_date_then_200_rest() -> Script:
    honest = File(BODY, last_modified=DATE)
    return _after(cut(_dated(DATE)), _rest(*_dated(DATE)), honest)


def chunks_cut_then_200_rest() -> Script:
    """How long the file is, nobody has said; so no length of a 200 can be held against it."""
    first = head(200, (*_TAG, ("Accept-Ranges", "bytes"), _CHUNKED)) + chunk(BODY[:HALF])
    return _after(Then(Raw(first), Close()), _rest(*_TAG), File(BODY, etag=ETAG, chunked=True))


def cut_then_200_rest_always() -> Script:
    return (cut(_TAG), _rest(*_TAG, _NAMED))


def cut_then_200_whole_with_range() -> Script:
    """The range that it names is the whole file, so there is nothing wrong with it."""
    where = ("Content-Range", f"bytes 0-{_END}/{len(BODY)}")
    return _after_a_cut(Reply(200, (*_TAG, where), BODY))


def cut_then_200_whole_of_no_version() -> Script:
    return _after_a_cut(Reply(200, (), BODY))


def _changed(body: bytes, first: Pairs, now: Pairs) -> Script:
    return _after(cut(first), Reply(200, now, body), Reply(404))


def cut_then_200_grown() -> Script:
    return _changed(GROWN, _TAG, _TAG_OTHER)


def cut_then_200_shrunk() -> Script:
    return _changed(SHRUNK, _TAG, _TAG_OTHER)


def cut_by_date_then_200_grown() -> Script:
    return _changed(GROWN, _dated(DATE), _dated(DATE_OTHER))


# --- to nothing: 200 and a range ---


def range_unsolicited() -> Script:
    return (_rest(*_TAG, _NAMED),)


def range_from_the_start_unsolicited() -> Script:
    where = ("Content-Range", f"bytes 0-{HALF - 1}/{len(BODY)}")
    return (_rest(*_TAG, where, body=BODY[:HALF]),)


def range_odd_unsolicited() -> Script:
    return (_rest(*_TAG, ("Content-Range", f"bytes={HALF}-{_END}/{len(BODY)}")),)


def range_in_chunks_unsolicited() -> Script:
    return (_in_chunks(200, (*_TAG, _NAMED), BODY[HALF:]),)


def range_shorter_than_body() -> Script:
    where = ("Content-Range", f"bytes 0-{HALF - 1}/{HALF}")
    return (Reply(200, (*_TAG, where), BODY),)


def total_other_than_length() -> Script:
    return (Reply(200, (*_TAG, ("Content-Range", f"bytes */{HALF}")), BODY),)


def parts_as_a_file() -> Script:
    """Nobody asked for a range: this may be a file of that type."""
    return (Reply(200, (*_TAG, _MULTIPART), _multipart(BODY)),)


def range_of_the_whole() -> Script:
    where = ("Content-Range", f"bytes 0-{_END}/{len(BODY)}")
    return (Reply(200, (*_TAG, where), BODY),)


def range_of_the_whole_in_chunks() -> Script:
    where = ("Content-Range", f"bytes 0-{_END}/{len(BODY)}")
    return (_in_chunks(200, (*_TAG, where), BODY),)


def range_cut_in_chunks() -> Script:
    """By the chunks it is complete, by the total it is not."""
    where = ("Content-Range", f"bytes 0-{_END}/{len(BODY)}")
    return (_in_chunks(200, (*_TAG, where), BODY[:HALF]),)


def range_shorter_than_chunks() -> Script:
    where = ("Content-Range", f"bytes 0-{HALF - 1}/{HALF}")
    return (_in_chunks(200, (*_TAG, where), BODY),)


def range_past_the_end() -> Script:
    """Counted from 0 to the length, as some do; all of the bytes are there."""
    return (Reply(200, (("Content-Range", f"bytes 0-{len(BODY)}/{len(BODY)}"),), BODY),)


def range_of_rows() -> Script:
    """Rows of a table, as interfaces to databases say them, are no bytes."""
    return (Reply(200, (("Content-Range", "items 10-19/20"),), BODY),)


def range_of_no_unit() -> Script:
    return (Reply(200, (("Content-Range", "10-19/*"),), BODY),)


# --- to a Range: a refusal ---


def _refused(status: int, *, always: bool = False) -> Script:
    no = Reply(status, (), b"not so")
    return _after_a_cut(no, no if always else None)


_OF_THE_REQUEST = (400, 405, 406, 412, 413, 417, 422, 431, 501)
_OF_THE_FILE = (401, 402, 403, 404, 407, 410, 423, 451)
_OF_THE_USER = (401, 403, 407)


def cut_then_400_always() -> Script:
    return _refused(400, always=True)


# --- to a Range: 206 or 416, and what it says of the file ---


def cut_then_206_called_html() -> Script:
    return _after_a_cut(_rest(*_TAG, _NAMED, _HTML, status=206))


def whole_then_416_called_html() -> Script:
    first = head(200, (*_TAG, ("Accept-Ranges", "bytes"), _CHUNKED)) + chunk(BODY)
    past = Reply(416, (*_TAG, _HTML, ("Content-Range", f"bytes */{len(BODY)}")), b"<html>no")
    return _after(Then(Raw(first), Close()), past)


def cut_then_206_in_chunks() -> Script:
    return _after_a_cut(_in_chunks(206, (*_TAG, _NAMED), BODY[HALF:]))


def cut_then_206_chunks_too_long() -> Script:
    return _after_a_cut(_in_chunks(206, (*_TAG, _NAMED), BODY[HALF:] + b"junk"))


def cut_then_206_chunks_too_short() -> Script:
    return _after_a_cut(_in_chunks(206, (*_TAG, _NAMED), BODY[HALF:-4]))


def cut_then_206_other_digest() -> Script:
    """The entity tag is the old one, but the digest of the whole is that of another file."""
    fields = (*_TAG, _NAMED, _digest(OTHER))
    new = File(OTHER, etag=ETAG, headers=(_digest(OTHER),))
    return _after(cut((*_TAG, _digest(BODY))), _rest(*fields, body=OTHER[HALF:], status=206), new)


def cut_then_206_of_other_bytes() -> Script:
    """Only the digest that came with the first answer gives it away."""
    rest = _rest(*_TAG, _NAMED, body=OTHER[HALF:], status=206)
    return _after(cut((*_TAG, _digest(BODY))), rest)


_BROKEN = ("protocol",)

FAULTS = (
    *(
        Fault(
            functools.partial(_after_a_cut, behaviour),
            label=f"cut-then-200-{what}",
            ranges=STARTED_AGAIN,
        )
        for what, behaviour in NO_WHOLE.items()
    ),
    Fault(cut_by_date_then_200_rest, ranges=STARTED_AGAIN),
    Fault(chunks_cut_then_200_rest, ranges=STARTED_AGAIN),
    Fault(cut_then_200_rest_always, _BROKEN, ranges=STARTED_AGAIN),
    Fault(cut_then_200_whole_with_range, ranges=WENT_ON),
    Fault(cut_then_200_whole_of_no_version, ranges=WENT_ON),
    Fault(cut_then_200_grown, body=GROWN, ranges=WENT_ON),
    Fault(cut_then_200_shrunk, body=SHRUNK, ranges=WENT_ON),
    Fault(cut_by_date_then_200_grown, body=GROWN, ranges=WENT_ON),
    Fault(range_unsolicited, _BROKEN),
    Fault(range_from_the_start_unsolicited, _BROKEN),
    Fault(range_odd_unsolicited, _BROKEN),
    Fault(range_in_chunks_unsolicited, _BROKEN),
    Fault(range_shorter_than_body, _BROKEN),
    Fault(total_other_than_length, _BROKEN),
    Fault(parts_as_a_file, body=_multipart(BODY)),
    Fault(range_of_the_whole),
    Fault(range_of_the_whole_in_chunks),
    Fault(
        range_cut_in_chunks, ("truncated",), ranges=(None, REST, None, REST, None), keeps_part=True
    ),
    Fault(range_shorter_than_chunks, _BROKEN),
    Fault(range_past_the_end),
    Fault(range_of_rows),
    Fault(range_of_no_unit),
    *(
        Fault(functools.partial(_refused, status), label=f"cut-then-{status}", ranges=STARTED_AGAIN)
        for status in _OF_THE_REQUEST
    ),
    *(
        Fault(
            functools.partial(_refused, status),
            (f"http-{status}",),
            label=f"cut-then-{status}",
            ranges=WENT_ON,
            keeps_part=status in _OF_THE_USER,
        )
        for status in _OF_THE_FILE
    ),
    Fault(cut_then_400_always, ("http-400",), ranges=STARTED_AGAIN),
    Fault(cut_then_206_called_html, suffix=".zip", ranges=WENT_ON),
    Fault(whole_then_416_called_html, suffix=".zip", ranges=PAST_THE_END),
    Fault(cut_then_206_in_chunks, ranges=WENT_ON),
    Fault(cut_then_206_chunks_too_long, ranges=STARTED_AGAIN),
    Fault(cut_then_206_chunks_too_short, ranges=STARTED_AGAIN),
    Fault(cut_then_206_other_digest, body=OTHER, ranges=STARTED_AGAIN),
    Fault(cut_then_206_of_other_bytes, ranges=STARTED_AGAIN),
)
