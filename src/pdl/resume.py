"""Whether and how a part goes on: validators, Content-Range, and what an answer means for a part.

The rule that everything here serves: two versions of a file are never joined. A part goes on only
from an answer to a request that carried a strong validator in If-Range, and only if the answer
repeats that validator, contradicts no other, and its Content-Range fits what the part has.
"""

from __future__ import annotations

import enum
import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pdl.patterns import later

if TYPE_CHECKING:
    from collections.abc import Callable

PARTIAL_CONTENT = 206
NOT_MODIFIED = 304
RANGE_NOT_SATISFIABLE = 416
OK = 200

_ETAG = later(r'"[\x21\x23-\x7e\x80-\xff]*"')
UTC = timezone.utc
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH = {name: at for at, name in enumerate(_MONTHS.split("|"), 1)}
_FIXDATE = re.compile(
    rf"(?a)[A-Z][a-z]{{2}}, (\d\d) ({_MONTHS}) ([1-9]\d{{3}}) (\d\d):(\d\d):(\d\d) GMT"
)
"""The form of a date that servers are to send; taken apart here, in half the library's time."""
_CONTENT_RANGE = later(r"(?ai)bytes[ ]+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")


class Validator(NamedTuple):
    """What tells one version of a file from another (RFC 9110 section 8.8).

    Attributes:
        etag: strong entity tag with its quotes, or None.
        modified: Last-Modified as sent, or None; without an entity tag only where it is strong.
        coding: the content coding the bytes are in, or None.
    """

    etag: str | None = None
    modified: str | None = None
    coding: str | None = None

    def if_range(self) -> str | None:
        """The If-Range value; None when there is nothing strong to send."""
        return self.etag or self.modified


@lru_cache(maxsize=256)
def http_seconds(value: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110 section 5.6.7), or None if it is none."""
    if value is None:
        return None
    try:
        if usual := _FIXDATE.fullmatch(value):
            day, month, year, hour, minute, second = usual.groups()
            date = datetime(
                int(year), _MONTH[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC
            )
            return date.timestamp()
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - seldom needed, long to import

        date = parsedate_to_datetime(value)
        # The asctime form names no zone, and means UTC like the others.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def strong_validator(
    etag: str | None, modified: str | None, date: str | None, coding: str | None = None
) -> Validator:
    """What of an answer's fields tells its version; empty if none may be sent in If-Range.

    A weak entity tag never may. A Last-Modified may when the answer is at least a second younger
    (RFC 9110 section 8.8.2.2): a change after it would then have shown as another second.
    """
    if etag is not None and _ETAG.fullmatch(etag):
        return Validator(etag, modified, coding)
    changed, sent = http_seconds(modified), http_seconds(date)
    if etag is None and changed is not None and sent is not None and sent - changed >= 1:
        return Validator(None, modified, coding)
    return Validator()


class ContentRange(NamedTuple):
    """A Content-Range of bytes (RFC 9110 section 14.4); None is what the server left open."""

    first: int | None
    last: int | None
    total: int | None


def parse_content_range(value: str | None) -> ContentRange | None:
    """Read the field; None if it is absent, malformed or contradicts itself."""
    match = _CONTENT_RANGE.fullmatch(value.strip()) if value is not None else None
    if match is None:
        return None
    first, last, total = (int(g) if g and g != "*" else None for g in match.groups())
    if first is None and total is None:
        return None
    if first is None or last is None:
        return ContentRange(first, last, total)
    if last < first or (total is not None and last >= total):
        return None
    return ContentRange(first, last, total)


class Step(enum.Enum):
    """What is done with an answer's body."""

    WRITE = "write it from the start"
    APPEND = "append it to the part"
    DONE = "the part is already whole"
    AGAIN = "drop the part and ask again without a range"
    REFUSE = "it is no answer to what was asked"


class Known(NamedTuple):
    """What is known of a part: its bytes, the version they are of, and the whole size or None."""

    offset: int
    validator: Validator
    total: int | None


class Answered(NamedTuple):
    """What of an answer's head matters here; the fields are as sent."""

    status: int
    content_range: str | None
    length: int | None
    etag: str | None
    modified: str | None
    coding: str | None = None
    media: str | None = None


def answered(status: int, length: int | None, header: Callable[[str], str | None]) -> Answered:
    """Take what matters from a head.

    Args:
        status: of the answer.
        length: bytes its body will have, or None.
        header: gives a field's value, or None.
    """
    return Answered(
        status,
        header("content-range"),
        length,
        header("etag"),
        header("last-modified"),
        header("content-encoding"),
        header("content-type"),
    )


def step(known: Known | None, answer: Answered) -> Step:
    """Decide for an answer with status 200, 206, 304 or 416.

    Args:
        known: the part a range was asked for; None if none was.
        answer: the head's fields.
    """
    if answer.status == OK:
        return Step.WRITE
    if known is None:
        return Step.REFUSE
    where = parse_content_range(answer.content_range)
    if where is None or not same_version(known.validator, answer):
        return Step.AGAIN
    if answer.status == RANGE_NOT_SATISFIABLE:
        whole = where.first is None and where.total == known.offset
        whole = whole and known.total in {None, known.offset}
        return Step.DONE if whole else Step.AGAIN
    return Step.APPEND if _fits(known, where, answer.length) else Step.AGAIN


def _fits(known: Known, where: ContentRange, length: int | None) -> bool:
    if where.first != known.offset or where.last is None:
        return False
    total = known.total if where.total is None else where.total
    if known.total not in {None, total}:
        return False
    if where.last + 1 != total:
        # A shorter range than asked for is allowed, and not worth a second rule; with no total
        # from either side nobody could tell it from the whole rest.
        return False
    return length is None or length == where.last - where.first + 1


def same_version(validator: Validator, answer: Answered) -> bool:
    """Whether the answer says that it is of the version, and nothing in it says otherwise.

    It has to repeat what was sent in If-Range (RFC 9110 section 15.3.7). An entity tag that was not
    there before is one of another version. Last-Modified beside an entity tag, and the coding, may
    be left out of an answer to If-Range, but if they are there they must agree.
    """
    if answer.etag != validator.etag:
        return False
    if validator.etag is None and answer.modified is None:
        return False
    if None not in {validator.modified, answer.modified} and answer.modified != validator.modified:
        return False
    if answer.coding not in {None, validator.coding}:
        return False
    # Several ranges in one body: never asked for, and its bytes are not the file's alone.
    return not (answer.media or "").lower().startswith("multipart/byteranges")
