"""Whether and how a part goes on: validators, Content-Range, and what an answer means for a part.

The rule that everything here serves: two versions of a file are never joined. A part goes on only
if the answer's Content-Range fits what the part has, and in one of these ways:

- The request carried a strong validator in If-Range. The answer repeats that validator, and
  contradicts no other.
- The entity tag is weak, so If-Range may not be sent, and Last-Modified is strong (RFC 9110 section
  8.8.2.2). The request carried that date in If-Unmodified-Since. The answer repeats the tag, the
  date and the size.
- Nothing is strong, and the digest of the whole file is known, which decides in the end. The answer
  repeats the size, and contradicts nothing.

Nor is a rest taken for the whole: some servers answer a range with status 200, and what their body
is say only the other fields.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from pdl.http_rules.dates import http_seconds
from pdl.model import NOT_MODIFIED
from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Headers

PARTIAL_CONTENT = 206
RANGE_NOT_SATISFIABLE = 416
OK = 200

_ETAG = lazy(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE = lazy(r"(?ai)bytes[ ]+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)")

_BYTES = lazy(
    r"(?ai)[ \t]*bytes\b[^0-9]*(\d{1,18})[ \t]*-[ \t]*(\d{1,18})(?:[ \t]*/[ \t]*(\d{1,18}))?"
)
"""The first range in a Content-Range of bytes, also where it is not as it should be."""


class Validator(NamedTuple):
    """What tells one version of a file from another (RFC 9110 section 8.8).

    Attributes:
        etag: entity tag with its quotes, weak or strong, or None.
        modified: Last-Modified as sent, or None; strong beside no strong tag, unless `weak`.
        coding: the content coding the bytes are in, or None.
        weak: nothing of it is strong: two versions may have the same.
    """

    etag: str | None = None
    modified: str | None = None
    coding: str | None = None
    weak: bool = False

    def if_range(self) -> str | None:
        """The If-Range value; None when there is nothing to send that is strong by itself."""
        if self.weak or (self.etag or "").startswith("W/"):
            return None
        return self.etag or self.modified

    def condition(self) -> Headers:
        """The fields beside a Range that keep other versions out; empty where none can."""
        if_range = self.if_range()
        if if_range is not None:
            return (("If-Range", if_range),)
        if self.weak or self.modified is None:
            return ()
        return (("If-Unmodified-Since", self.modified),)

    def names_none(self) -> bool:
        """Whether nothing tells the version."""
        return self.etag is None and self.modified is None


def validator_of(
    etag: str | None, modified: str | None, date: str | None, coding: str | None = None
) -> Validator:
    """What of an answer's fields tells its version; empty if nothing does.

    A Last-Modified is strong when the answer is at least a second younger (RFC 9110 section
    8.8.2.2): a change after it would then have shown as another second.
    """
    tag = etag.removeprefix("W/") if etag is not None else None
    if tag is not None and not _ETAG.fullmatch(tag):
        return Validator()
    if tag is not None and tag == etag:
        return Validator(etag, modified, coding)
    changed, sent = http_seconds(modified), http_seconds(date)
    strong = changed is not None and sent is not None and sent - changed >= 1
    dated = modified if changed is not None else None
    if etag is None and dated is None:
        return Validator()
    return Validator(etag, dated, coding, not strong)


class ContentRange(NamedTuple):
    """A Content-Range of bytes (RFC 9110 section 14.4); None is what the server left open."""

    first: int | None
    last: int | None
    total: int | None


def parse_content_range(value: str | None) -> ContentRange | None:
    """Read the field; None if it is absent, malformed or contradicts itself."""
    match = _CONTENT_RANGE.fullmatch(value.strip(" \t")) if value is not None else None
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
    """What is known of a part.

    Attributes:
        offset: how many bytes there are of it.
        validator: of the version that they are of.
        total: bytes of the whole file, or None.
        told: further fields of the answer that the part began with; see `pdl.storage.note`.
        foreign: it came from the URL with another query, and no digest tells whether it is right.
        until: where the bytes end that are asked for; None is the end of the file.
        mixed: they are, or may be, of several servers' files: a digest alone tells whether all of
            them are right together.
    """

    offset: int
    validator: Validator
    total: int | None
    told: Headers = ()
    foreign: bool = False
    until: int | None = None
    mixed: bool = False

    def field(self) -> str:
        """The Range that asks for what is missing (RFC 9110 section 14.2)."""
        return f"bytes={self.offset}-{'' if self.until is None else self.until - 1}"


def can_go_on(validator: Validator, total: int | None, *, proven: bool) -> bool:
    """Whether a part can be gone on with, as far as that is a matter of its version.

    Args:
        validator: of the version that its bytes are of.
        total: bytes of the whole file, or None.
        proven: the bytes will be held against a digest that is known already.
    """
    if validator.if_range() is not None:
        return True
    if total is None or validator.names_none():
        return False
    return proven or not validator.weak


def obstacle(validator: Validator, total: int | None, *, proven: bool) -> str:
    """Why a part cannot be gone on with, and what would help; empty if it can.

    Args:
        validator: of the version that its bytes are of.
        total: bytes of the whole file, or None.
        proven: as `can_go_on` has it.
    """
    if can_go_on(validator, total, proven=proven):
        return ""
    if validator.names_none():
        return "the server names no version of the file, neither by ETag nor by Last-Modified"
    if total is None:
        return "the server names its version only weakly, and does not say how long the file is"
    return (
        "the server names its version only weakly, and no digest is known; "
        "with one in the list, such as #sha256=..., it would go on"
    )


def to_go_on(known: Known, *, proven: bool) -> Known | None:
    """The part to ask the rest of; None where it cannot be gone on with.

    One of another query is only taken where an entity tag that is strong, Last-Modified and the
    size can all be compared, or where a digest tells; one of several servers only where it does.

    Args:
        known: that was found.
        proven: as `can_go_on` has it.
    """
    validator = known.validator
    if known.mixed:
        return known._replace(foreign=False) if proven and known.total is not None else None
    if known.foreign and not proven:
        strong = validator.etag is not None and validator.if_range() is not None
        return known if strong and None not in {validator.modified, known.total} else None
    if not can_go_on(validator, known.total, proven=proven):
        return None
    return known._replace(foreign=False)


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


_TO_NONE = frozenset({OK, PARTIAL_CONTENT})
_TO_AN_UPDATE = _TO_NONE | {NOT_MODIFIED}
_TO_A_RANGE = _TO_AN_UPDATE | {RANGE_NOT_SATISFIABLE}


def expected(*, ranged: bool, updates: bool) -> frozenset[int]:
    """Statuses that `step` decides about, after a request for a range or with a condition."""
    if ranged:
        return _TO_A_RANGE
    return _TO_AN_UPDATE if updates else _TO_NONE


def step(known: Known | None, answer: Answered) -> Step:
    """Decide for an answer with status 200, 206, 304 or 416.

    Args:
        known: the part a range was asked for; None if none was.
        answer: the head's fields.
    """
    if answer.status == OK:
        return _step_of_200(known, answer)
    if known is None:
        return Step.REFUSE
    where = parse_content_range(answer.content_range)
    if where is None or not same_version(known.validator, answer):
        return Step.AGAIN
    if not _agrees_in_all(known, where, answer):
        return Step.AGAIN
    if answer.status == RANGE_NOT_SATISFIABLE:
        whole = where.first is None and where.total == known.offset
        whole = whole and known.total in {None, known.offset}
        return Step.DONE if whole else Step.AGAIN
    return Step.APPEND if _fits(known, where, answer.length) else Step.AGAIN


def _step_of_200(known: Known | None, answer: Answered) -> Step:
    """A 200 has the whole (RFC 9110 section 15.3.1), unless its own fields say otherwise.

    To a request with a range it has to be as long as the version that it names, or of another
    version and not just as long as the rest. Where nobody knows how long it is, or which version, a
    rest would look just the same.
    """
    if known is None:
        partial = names_a_range(answer.content_range, answer.length)
        return Step.REFUSE if partial else Step.WRITE
    where = answer.content_range
    if _is_multipart(answer.media) or (where is not None and not _is_whole(where, answer.length)):
        return Step.AGAIN
    if answer.length is None:
        return Step.AGAIN
    if answer.length == known.total:
        return Step.WRITE
    rest = known.total is not None and answer.length == known.total - known.offset
    return Step.WRITE if _other_version(known.validator, answer) and not rest else Step.AGAIN


def names_a_range(content_range: str | None, length: int | None) -> bool:
    """Whether a 200 that nobody asked a range of says that it is only a part of the file.

    Content-Range has no meaning in a 200 (RFC 9110 section 14.4), and interfaces to databases count
    rows in it; but where it names bytes, and others than all of them, the body is not the file.

    Args:
        content_range: the field as sent, or None.
        length: bytes that the body will have, or None.
    """
    if content_range is None or _is_whole(content_range, length):
        return False
    where = parse_content_range(content_range)
    if where is not None:
        return where.first is not None or length not in {None, where.total}
    found = _BYTES.match(content_range)  # malformed; it may still begin late, or end early
    if found is None:
        return False
    first, last, total = (int(each or 0) for each in found.groups())
    return first > 0 or last + 1 < max(total, length or 0)


def total_of(
    known: Known | None, length: int | None, header: Callable[[str], str | None]
) -> int | None:
    """Bytes the whole file will have, by an answer's head or else by that of the part; or None.

    Args:
        known: the part that the answer goes on with; None if it brings the file from the start.
        length: as `answered` has it.
        header: the same.
    """
    if known is None and length is not None:
        return length
    where = parse_content_range(header("content-range"))
    if where is not None and where.total is not None:
        return where.total
    return None if known is None else known.total


def _is_whole(content_range: str, length: int | None) -> bool:
    """Whether a Content-Range says that the body has every byte of the file."""
    where = parse_content_range(content_range)
    if where is None or where.last is None or length not in {None, where.total}:
        return False
    return (where.first, where.last + 1) == (0, where.total)


def _agrees_in_all(known: Known, where: ContentRange, answer: Answered) -> bool:
    """Whether the answer has what needs not be in it where one strong validator is enough."""
    if known.foreign and answer.modified != known.validator.modified:
        return False
    enough = known.validator.if_range() is not None and not known.foreign
    return enough or where.total == known.total


def _is_multipart(media: str | None) -> bool:
    """Whether a body has several ranges in it: then its bytes are not the file's alone."""
    return media is not None and media.lower().startswith("multipart/byteranges")


def _other_version(validator: Validator, answer: Answered) -> bool:
    """Whether the answer names another version, by entity tag or else by date.

    A malformed tag names none, and a weak one of the same letters the same.
    """
    tag = (answer.etag or "").removeprefix("W/")
    if validator.etag is not None and _ETAG.fullmatch(tag):
        return tag != validator.etag.removeprefix("W/")
    if validator.modified is None or http_seconds(answer.modified) is None:
        return False
    return answer.modified != validator.modified


def unasked(answer: Answered) -> str:
    """What to say of an answer that is none to what was asked (`Step.REFUSE`)."""
    if answer.status != OK:
        return f"an answer {answer.status} that nothing asked for"
    where = (answer.content_range or "")[:60]
    return f"an answer 200 that is only a part of the file by its own words: {where!r}"


def _fits(known: Known, where: ContentRange, length: int | None) -> bool:
    if where.first != known.offset or where.last is None:
        return False
    total = known.total if where.total is None else where.total
    if known.total not in {None, total}:
        return False
    if where.last + 1 != (total if known.until is None else known.until):
        # A shorter range than asked for is allowed, and not worth a second rule; with no total
        # from either side nobody could tell it from the whole rest.
        return False
    return length is None or length == where.last - where.first + 1


def same_version(validator: Validator, answer: Answered) -> bool:
    """Whether the answer says that it is of the version, and nothing in it says otherwise.

    It has to repeat what was sent in If-Range (RFC 9110 section 15.3.7). An entity tag that was not
    there before is one of another version. Last-Modified beside an entity tag, and the coding, may
    be left out of an answer to If-Range, but if they are there they must agree. Beside
    If-Unmodified-Since nothing may be left out but the coding, and where only a digest can tell,
    everything may.
    """
    if answer.coding not in {None, validator.coding} or _is_multipart(answer.media):
        return False
    tags, dates = (answer.etag, validator.etag), (answer.modified, validator.modified)
    if validator.weak:
        return all(None in pair or pair[0] == pair[1] for pair in (tags, dates))
    if tags[0] != tags[1] or validator.names_none():
        return False
    if validator.if_range() is None or validator.etag is None:
        return dates[0] == dates[1]
    return None in dates or dates[0] == dates[1]
