"""Faults around going on: a first answer that is cut, then one that does not fit it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.behaviours import Close, Raw, Reply, Then, WhenRange, chunk, head
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
    TRIED_ON,
    TWICE,
    WENT_ON,
    Fault,
    cut,
)

if TYPE_CHECKING:
    from servers.wire import Behaviour, Pairs, Script

_TAG = (("ETag", ETAG),)
_HONEST = File(BODY, etag=ETAG)


def _dated(seconds: int) -> Pairs:
    return tuple(pair for pair in File(b"", last_modified=seconds).validators() if pair)


def _partial(where: str | None, body: bytes, fields: Pairs = _TAG) -> Reply:
    content_range = () if where is None else (("Content-Range", where),)
    return Reply(206, (*fields, *content_range), body)


def _wrong(ranged: Behaviour) -> Script:
    """Cut; then every Range gets `ranged`, and only a plain request the honest file."""
    return (cut(_TAG), WhenRange(ranged, _HONEST))


def cut_then_206() -> Script:
    return (cut(_TAG), _HONEST)


def cut_by_date_then_206() -> Script:
    return (cut(_dated(DATE)), File(BODY, last_modified=DATE))


def cut_twice_then_206() -> Script:
    quarter = HALF + HALF // 2
    where = f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"
    rest = ("Content-Length", str(len(BODY) - HALF))
    second = head(206, (*_TAG, ("Content-Range", where), rest)) + BODY[HALF:quarter]
    return (cut(_TAG), Then(Raw(second), Close()), _HONEST)


def _some_from(start: int, count: int) -> Then:
    """So many bytes of the rest, and the end."""
    where = ("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
    promise = head(206, (*_TAG, where, ("Content-Length", str(len(BODY) - start))))
    return Then(Raw(promise + BODY[start : start + count]), Close())


_TENTHS = tuple(range(HALF, len(BODY), HALF // 10))


def cut_ten_times_after_new_bytes() -> Script:
    return (cut(_TAG), *(_some_from(start, HALF // 10) for start in _TENTHS[:-1]), _HONEST)


def cut_ever_again_at_the_same_place() -> Script:
    return (cut(_TAG), _some_from(HALF, 0))


def cut_then_200() -> Script:
    return (cut(_TAG), File(BODY, etag=ETAG, ranges=False))


def cut_then_206_other_start() -> Script:
    start = HALF - 100
    return _wrong(_partial(f"bytes {start}-{len(BODY) - 1}/{len(BODY)}", BODY[start:]))


def cut_then_206_other_total() -> Script:
    return _wrong(_partial(f"bytes {HALF}-{len(BODY) - 1}/{len(BODY) + 100}", BODY[HALF:]))


def cut_then_206_without_range() -> Script:
    return _wrong(_partial(None, BODY[HALF:]))


def cut_then_206_malformed_range() -> Script:
    return _wrong(_partial(f"bytes {len(BODY)}-{HALF}/x", BODY[HALF:]))


def cut_then_206_longer_than_range() -> Script:
    return _wrong(_partial(f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}", BODY[HALF:] + b"junk"))


def cut_then_206_multipart() -> Script:
    kind = ("Content-Type", "multipart/byteranges; boundary=x")
    where = f"Content-Range: bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"
    body = f"--x\r\n{where}\r\n\r\n".encode() + BODY[HALF:] + b"\r\n--x--\r\n"
    return _wrong(Reply(206, (*_TAG, kind), body))


def whole_then_416() -> Script:
    """All bytes came but not the last chunk, so the part is whole and the Range past its end."""
    fields = (*_TAG, ("Accept-Ranges", "bytes"), ("Transfer-Encoding", "chunked"))
    return (Then(Raw(head(200, fields) + chunk(BODY)), Close()), _HONEST)


def cut_then_416() -> Script:
    """The size of the 416 is the part's: believing it would make half a file a whole one."""
    return _wrong(Reply(416, (*_TAG, ("Content-Range", f"bytes */{HALF}"))))


def cut_then_416_without_size() -> Script:
    return _wrong(Reply(416))


def etag_changed() -> Script:
    return (cut(_TAG), File(OTHER, etag=ETAG_OTHER))


def last_modified_changed() -> Script:
    return (cut(_dated(DATE)), File(OTHER, last_modified=DATE_OTHER))


def etag_changed_if_range_ignored() -> Script:
    where = f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}"
    rude = _partial(where, OTHER[HALF:], (("ETag", ETAG_OTHER),))
    return (cut(_TAG), WhenRange(rude, File(OTHER, etag=ETAG_OTHER)))


def etag_weak() -> Script:
    """Both versions have the same weak ETag: only a start from zero gives either of them."""
    return (cut((("ETag", f"W/{ETAG}"),)), _rude_other((("ETag", f"W/{ETAG}"),)))


def no_validator() -> Script:
    return (cut(), _rude_other(()))


def _rude_other(fields: Pairs) -> Behaviour:
    where = f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}"
    return WhenRange(_partial(where, OTHER[HALF:], fields), File(OTHER, headers=fields))


def _spliced(first: Pairs, second: Pairs) -> Script:
    """A server that answers the range although the file is another; `OTHER` is as long."""
    return (cut(first), _rude_other(second))


def etag_then_206_with_other_date() -> Script:
    return _spliced((*_TAG, *_dated(DATE)), _dated(DATE_OTHER))


def etag_same_and_date_changed() -> Script:
    return _spliced((*_TAG, *_dated(DATE)), (*_TAG, *_dated(DATE_OTHER)))


def date_then_206_with_etag() -> Script:
    return _spliced(_dated(DATE), _TAG)


def date_same_and_etag_new() -> Script:
    return _spliced(_dated(DATE), (*_dated(DATE), *_TAG))


def etag_then_206_without() -> Script:
    return _spliced(_TAG, ())


def date_then_206_without() -> Script:
    return _spliced(_dated(DATE), ())


def etag_same_and_coding_new() -> Script:
    return _spliced(_TAG, (*_TAG, ("Content-Encoding", "br")))


def etag_same_and_multipart() -> Script:
    return _spliced(_TAG, (*_TAG, ("Content-Type", "multipart/byteranges; boundary=x")))


def cut_then_500_then_206() -> Script:
    return (cut(_TAG), Reply(500, (), b"it broke"), _HONEST)


def cut_then_304() -> Script:
    return _wrong(Reply(304, _TAG))


_WEAK = (("ETag", f"W/{ETAG}"), *_dated(DATE))
"""As many frameworks name a version: If-Range may not have the tag, but the date is strong."""


def weak_etag_by_date_then_206() -> Script:
    return (cut(_WEAK), File(BODY, etag=f"W/{ETAG}", last_modified=DATE))


def weak_etag_changed() -> Script:
    return (cut(_WEAK), File(OTHER, etag=f"W/{ETAG_OTHER}", last_modified=DATE_OTHER))


def weak_etag_then_412() -> Script:
    return (cut(_WEAK), WhenRange(Reply(412), File(OTHER, etag=f"W/{ETAG_OTHER}")))


def weak_etag_same_and_date_changed() -> Script:
    return _spliced(_WEAK, (_WEAK[0], *_dated(DATE_OTHER)))


def weak_etag_then_206_without() -> Script:
    return _spliced(_WEAK, _dated(DATE))


def weak_etag_then_206_without_date() -> Script:
    return _spliced(_WEAK, _WEAK[:1])


def weak_etag_of_no_date() -> Script:
    return (cut(_WEAK[:1]), _HONEST)


FAULTS = (
    Fault(weak_etag_by_date_then_206, ranges=WENT_ON),
    Fault(weak_etag_changed, body=OTHER, ranges=STARTED_AGAIN),
    Fault(weak_etag_then_412, body=OTHER, ranges=STARTED_AGAIN),
    Fault(weak_etag_same_and_date_changed, body=OTHER, ranges=STARTED_AGAIN),
    Fault(weak_etag_then_206_without, body=OTHER, ranges=STARTED_AGAIN),
    Fault(weak_etag_then_206_without_date, body=OTHER, ranges=STARTED_AGAIN),
    Fault(weak_etag_of_no_date, ranges=TWICE),
    Fault(cut_then_206, ranges=WENT_ON),
    Fault(cut_by_date_then_206, ranges=WENT_ON),
    Fault(cut_twice_then_206, ranges=(None, REST, f"bytes={HALF + HALF // 2}-")),
    Fault(cut_ten_times_after_new_bytes, ranges=(None, *(f"bytes={at}-" for at in _TENTHS))),
    Fault(cut_ever_again_at_the_same_place, right=("truncated",), ranges=TRIED_ON, keeps_part=True),
    Fault(cut_then_200, ranges=WENT_ON),
    Fault(cut_then_206_other_start, ranges=STARTED_AGAIN),
    Fault(cut_then_206_other_total, ranges=STARTED_AGAIN),
    Fault(cut_then_206_without_range, ranges=STARTED_AGAIN),
    Fault(cut_then_206_malformed_range, ranges=STARTED_AGAIN),
    Fault(cut_then_206_longer_than_range, ranges=STARTED_AGAIN),
    Fault(cut_then_206_multipart, ranges=STARTED_AGAIN),
    Fault(whole_then_416, ranges=PAST_THE_END),
    Fault(cut_then_416, ranges=STARTED_AGAIN),
    Fault(cut_then_416_without_size, ranges=STARTED_AGAIN),
    Fault(etag_changed, body=OTHER, ranges=WENT_ON),
    Fault(last_modified_changed, body=OTHER, ranges=WENT_ON),
    Fault(etag_changed_if_range_ignored, body=OTHER, ranges=STARTED_AGAIN),
    Fault(etag_weak, body=OTHER, ranges=TWICE),
    Fault(no_validator, body=OTHER, ranges=TWICE),
    Fault(etag_then_206_with_other_date, body=OTHER, ranges=STARTED_AGAIN),
    Fault(etag_same_and_date_changed, body=OTHER, ranges=STARTED_AGAIN),
    Fault(date_then_206_with_etag, body=OTHER, ranges=STARTED_AGAIN),
    Fault(date_same_and_etag_new, body=OTHER, ranges=STARTED_AGAIN),
    Fault(etag_then_206_without, body=OTHER, ranges=STARTED_AGAIN),
    Fault(date_then_206_without, body=OTHER, ranges=STARTED_AGAIN),
    Fault(etag_same_and_coding_new, body=OTHER, ranges=STARTED_AGAIN),
    Fault(etag_same_and_multipart, body=OTHER, ranges=STARTED_AGAIN),
    Fault(cut_then_500_then_206, ranges=TRIED_ON),
    Fault(cut_then_304, ranges=STARTED_AGAIN),
)
