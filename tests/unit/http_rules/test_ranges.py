"""Resuming, rule by rule of RFC 9110: two versions of a file are never joined."""

from __future__ import annotations

import itertools
import math
from datetime import timezone
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdl.http_rules.dates import http_seconds
from pdl.http_rules.ranges import (
    Answered,
    ContentRange,
    Known,
    Step,
    Validator,
    names_a_range,
    parse_content_range,
    same_version,
    step,
    to_go_on,
    validator_of,
)

T0 = "Sun, 06 Nov 1994 08:49:37 GMT"
T1 = "Sun, 06 Nov 1994 08:49:38 GMT"
EPOCH = 784111777.0
ETAG = Validator(etag='"1"')
DATE = Validator(modified=T0)
BOTH = Validator('"1"', T0)


# --- RFC 9110 section 5.6.7: a recipient MUST accept all three HTTP-date formats ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (T0, EPOCH),
        ("Sunday, 06-Nov-94 08:49:37 GMT", EPOCH),
        ("Sun Nov  6 08:49:37 1994", EPOCH),
        ("Sun, 06 Nov 1994 08:49:37 -0000", EPOCH),
        (None, None),
        ("", None),
        ("0", None),
        ("yesterday", None),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
def test_dates(value: str | None, expected: float | None) -> None:
    assert http_seconds(value) == expected


NUMBERS = st.integers(0, 99).map("{:02}".format)


@given(
    st.tuples(
        st.sampled_from(["Sun, ", "Xyz, ", "sun, ", ""]),
        NUMBERS,
        st.sampled_from([" Jan ", " Feb ", " Nov ", " Dec ", " Foo ", " nov "]),
        st.integers(0, 10000).map("{:04}".format),
        st.just(" "),
        st.integers(0, 25).map("{:02}:".format),
        st.integers(0, 61).map("{:02}:".format),
        st.integers(0, 61).map("{:02}".format),
        st.sampled_from([" GMT", " GMT", " UT", " +0000", ""]),
    ).map("".join)
)
@example("Mon, 29 Feb 2027 00:00:00 GMT")
@example("Sun, 06 Nov 1994 08:49:60 GMT")
@example("Sun, 06 Nov 0094 08:49:37 GMT")
@example("Sun, 06 Nov 1994 08:49:3\u0667 GMT")
def test_the_usual_form_of_a_date_is_read_as_the_library_does(value: str) -> None:
    try:
        date = parsedate_to_datetime(value)
        expected = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp()
    except (ValueError, TypeError):
        expected = None
    assert http_seconds(value) == expected


@given(st.text())
def test_no_text_as_a_date_raises(value: str) -> None:
    found = http_seconds(value)
    assert found is None or math.isfinite(found)


# --- RFC 9110 section 13.1.5: a client MUST NOT generate If-Range with a weak entity tag, nor
#     with a date that is not a strong validator in the sense of section 8.8.2.2 ---


@pytest.mark.parametrize(
    ("etag", "modified", "date", "expected"),
    [
        ('"1"', None, None, ETAG),
        ('"1"', T0, T1, BOTH),
        ('"1"', T0, None, BOTH),
        ('""', None, None, Validator(etag='""')),
        ('W/"1"', None, None, Validator('W/"1"', weak=True)),
        ('W/"1"', T0, T0, Validator('W/"1"', T0, weak=True)),
        ('W/"1"', T0, T1, Validator('W/"1"', T0)),
        ('W/"1', T0, T1, Validator()),
        ("1", T0, T1, Validator()),
        ('"1', None, None, Validator()),
        ('"a b"', None, None, Validator()),
        ('"a"b"', None, None, Validator()),
        ('"1", "2"', None, None, Validator()),
        (None, T0, T1, DATE),
        (None, T0, T0, Validator(None, T0, weak=True)),
        (None, T1, T0, Validator(None, T1, weak=True)),
        (None, T0, None, Validator(None, T0, weak=True)),
        (None, "soon", T1, Validator()),
        (None, None, T1, Validator()),
    ],
)
def test_what_tells_a_version(
    etag: str | None, modified: str | None, date: str | None, expected: Validator
) -> None:
    assert validator_of(etag, modified, date) == expected


WEAK = Validator('W/"1"', weak=True)
WEAK_DATED = Validator('W/"1"', T0)
WEAK_DATE = Validator(None, T0, weak=True)


@pytest.mark.parametrize(
    ("validator", "expected"),
    [
        (ETAG, ("If-Range", '"1"')),
        (BOTH, ("If-Range", '"1"')),
        (DATE, ("If-Range", T0)),
        (WEAK_DATED, ("If-Unmodified-Since", T0)),
        (WEAK, None),
        (WEAK_DATE, None),
        (Validator('W/"1"', T0, weak=True), None),
        (Validator(), None),
    ],
)
def test_the_condition_beside_a_range_is_strong(
    validator: Validator, expected: tuple[str, str] | None
) -> None:
    assert validator.condition() == ((expected,) if expected else ())


@pytest.mark.parametrize(
    ("validator", "total", "proven", "expected"),
    [
        (ETAG, None, False, True),
        (DATE, None, False, True),
        (WEAK_DATED, 100, False, True),
        (WEAK_DATED, None, True, False),
        (WEAK, 100, False, False),
        (WEAK, 100, True, True),
        (WEAK, None, True, False),
        (WEAK_DATE, 100, False, False),
        (WEAK_DATE, 100, True, True),
        (Validator(), 100, True, False),
    ],
)
def test_what_goes_on_at_its_own_url(
    validator: Validator, total: int | None, proven: bool, expected: bool
) -> None:
    known = Known(10, validator, total)
    assert to_go_on(known, proven=proven) == (known if expected else None)


@pytest.mark.parametrize(
    ("validator", "total", "asked"),
    [
        (BOTH, 100, True),
        (BOTH, None, False),
        (ETAG, 100, False),
        (DATE, 100, False),
        (WEAK_DATED, 100, False),
        (WEAK, 100, False),
    ],
)
def test_what_goes_on_at_the_url_with_another_query(
    validator: Validator, total: int | None, asked: bool
) -> None:
    known = Known(10, validator, total, foreign=True)
    assert to_go_on(known, proven=False) == (known if asked else None)
    if total is not None:
        assert to_go_on(known, proven=True) == known._replace(foreign=False)


@pytest.mark.parametrize(
    ("validator", "etag", "modified", "total", "expected"),
    [
        (WEAK_DATED, 'W/"1"', T0, "100", Step.APPEND),
        (WEAK_DATED, 'W/"2"', T0, "100", Step.AGAIN),
        (WEAK_DATED, '"1"', T0, "100", Step.AGAIN),
        (WEAK_DATED, None, T0, "100", Step.AGAIN),
        (WEAK_DATED, 'W/"1"', None, "100", Step.AGAIN),
        (WEAK_DATED, 'W/"1"', T1, "100", Step.AGAIN),
        (WEAK_DATED, 'W/"1"', T0, "*", Step.AGAIN),
        (WEAK, 'W/"1"', T0, "100", Step.APPEND),
        (WEAK, None, None, "100", Step.APPEND),
        (WEAK, 'W/"2"', None, "100", Step.AGAIN),
        (WEAK, 'W/"1"', None, "*", Step.AGAIN),
        (WEAK_DATE, None, T1, "100", Step.AGAIN),
    ],
)
def test_what_a_weak_tag_needs_beside_it(
    validator: Validator, etag: str | None, modified: str | None, total: str, expected: Step
) -> None:
    rest = answer(206, f"bytes 10-99/{total}", 90, etag, modified)
    assert step(Known(10, validator, 100), rest) is expected


@pytest.mark.parametrize(
    ("etag", "modified", "total", "expected"),
    [
        ('"1"', T0, "100", Step.APPEND),
        ('"1"', None, "100", Step.AGAIN),
        ('"1"', T0, "*", Step.AGAIN),
        ('"2"', T0, "100", Step.AGAIN),
        (None, T0, "100", Step.AGAIN),
    ],
)
def test_what_a_part_of_another_query_needs(
    etag: str | None, modified: str | None, total: str, expected: Step
) -> None:
    rest = answer(206, f"bytes 10-99/{total}", 90, etag, modified)
    assert step(Known(10, BOTH, 100, foreign=True), rest) is expected


# --- RFC 9110 section 14.4: Content-Range ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes 0-0/1", ContentRange(0, 0, 1)),
        ("bytes 42-1233/1234", ContentRange(42, 1233, 1234)),
        ("bytes 42-1233/*", ContentRange(42, 1233, None)),
        ("bytes */1234", ContentRange(None, None, 1234)),
        ("BYTES  5-9/10 ", ContentRange(5, 9, 10)),
        # "A Content-Range field value is invalid if it contains a range-resp that has a last-pos
        # value less than its first-pos value, or a complete-length value less than or equal to its
        # last-pos value."
        ("bytes 9-5/10", None),
        ("bytes 5-9/9", None),
        ("bytes 5-9/5", None),
        ("bytes */*", None),
        ("bytes 5-/10", None),
        ("bytes -5/10", None),
        ("bytes 5-9", None),
        ("bytes=5-9/10", None),
        ("bytes5-9/10", None),
        ("items 5-9/10", None),
        ("bytes 5-9/10, bytes 5-9/10", None),
        ("bytes 5 - 9/10", None),
        ("bytes +5-9/10", None),
        ("bytes 0x5-9/10", None),
        ("bytes \u0665-9/10", None),
        ("bytes 5-9/10\n", None),
        (f"bytes 0-{'9' * 19}/*", None),
        ("", None),
        (None, None),
    ],
)
def test_content_range(value: str | None, expected: ContentRange | None) -> None:
    assert parse_content_range(value) == expected


@given(
    first=st.integers(0, 10**18 - 1),
    last=st.integers(0, 10**18 - 1),
    total=st.none() | st.integers(0, 10**18 - 1),
)
def test_a_content_range_is_taken_exactly_when_it_is_sound(
    first: int, last: int, total: int | None
) -> None:
    sound = first <= last and (total is None or last < total)
    shown = "*" if total is None else total
    expected = ContentRange(first, last, total) if sound else None
    assert parse_content_range(f"bytes {first}-{last}/{shown}") == expected


@given(st.text() | st.from_regex(r"bytes [0-9*]{0,3}-?[0-9*]{0,3}/?[0-9*]{0,3}", fullmatch=True))
@example("bytes 1-2/3")
@example("bytes 1-2/*")
@example("bytes */3")
def test_no_text_as_a_content_range_raises_or_contradicts_itself(value: str) -> None:
    found = parse_content_range(value)
    if found is None:
        return
    assert (found.first is None) == (found.last is None)
    if found.first is not None and found.last is not None:
        assert 0 <= found.first <= found.last
        assert found.total is None or found.last < found.total
    else:
        assert found.total is not None


# --- what an answer means for a part of 10 bytes ---


def answer(
    status: int,
    where: str | None = None,
    length: int | None = None,
    etag: str | None = None,
    modified: str | None = None,
) -> Answered:
    return Answered(status, where, length, etag, modified)


def coded(coding: str | None = None, media: str | None = None) -> Answered:
    return Answered(206, "bytes 10-99/100", 90, '"1"', None, coding, media)


PART = Known(10, ETAG, 100)
OPEN = Known(10, ETAG, None)
DATED = Known(10, DATE, 100)
TOLD = Known(10, BOTH, 100)
CODED = Known(10, Validator('"1"', None, "gzip"), 100)


@pytest.mark.parametrize(
    ("known", "answered", "expected"),
    [
        # section 15.3.1: a 200 has the whole representation ...
        (None, answer(200, length=100), Step.WRITE),
        (None, answer(200), Step.WRITE),
        (PART, answer(200, length=100), Step.WRITE),
        (PART, answer(200, length=100, etag='"1"'), Step.WRITE),
        (PART, answer(200, "bytes 0-99/100", 100, '"1"'), Step.WRITE),
        (DATED, answer(200, length=100, modified=T0), Step.WRITE),
        # ... of another version, however long that is ...
        (PART, answer(200, length=30, etag='"2"'), Step.WRITE),
        (PART, answer(200, length=91, etag='"2"'), Step.WRITE),
        (OPEN, answer(200, length=90, etag='"2"'), Step.WRITE),
        (PART, answer(200, "bytes 0-29/30", 30, '"2"'), Step.WRITE),
        (DATED, answer(200, length=30, modified=T1), Step.WRITE),
        (TOLD, answer(200, length=30, modified=T1), Step.WRITE),
        (PART, answer(200, length=30, etag='W/"2"'), Step.WRITE),
        (TOLD, answer(200, length=30, etag="no tag", modified=T1), Step.WRITE),
        # ... unless it says that it is a rest, or may be one: to nothing that is no answer, ...
        (None, answer(200, "bytes 10-99/100", 90), Step.REFUSE),
        (None, Answered(200, None, 90, None, None, None, "multipart/byteranges"), Step.WRITE),
        # ... and to a range one that does not help
        (PART, answer(200, "bytes 10-99/100", 90, '"1"'), Step.AGAIN),
        (PART, answer(200, "bytes 10-99/100", 90, '"2"'), Step.AGAIN),
        (PART, answer(200, length=90, etag='"2"'), Step.AGAIN),
        (PART, answer(200, etag='"2"'), Step.AGAIN),
        (OPEN, answer(200, etag='"2"'), Step.AGAIN),
        (DATED, answer(200, length=90, modified=T1), Step.AGAIN),
        (PART, answer(200, "bytes 10-109/110", 100, '"2"'), Step.AGAIN),
        (PART, answer(200, "bytes 10-99/*", 90, '"2"'), Step.AGAIN),
        (PART, answer(200, "items 10-99/100", 90, '"2"'), Step.AGAIN),
        (PART, answer(200, "nonsense", 90, '"2"'), Step.AGAIN),
        (PART, answer(200, "bytes */100", 90, '"1"'), Step.AGAIN),
        (PART, answer(200, "bytes */100", 100, '"1"'), Step.AGAIN),
        (PART, answer(200, "bytes */100", None, '"2"'), Step.AGAIN),
        (PART, answer(200, length=90, etag='"1"'), Step.AGAIN),
        (PART, answer(200, length=110, etag='"1"'), Step.AGAIN),
        (PART, answer(200, etag='"1"'), Step.AGAIN),
        (PART, answer(200, length=90), Step.AGAIN),
        (PART, answer(200), Step.AGAIN),
        (PART, answer(200, length=90, etag='W/"1"'), Step.AGAIN),
        (PART, answer(200, length=90, etag="1"), Step.AGAIN),
        (PART, answer(200, length=90, etag="2"), Step.AGAIN),
        (PART, answer(200, length=90, etag='"2", "3"'), Step.AGAIN),
        (DATED, answer(200, length=90, modified="yesterday"), Step.AGAIN),
        (PART, answer(200, length=90, modified=T1), Step.AGAIN),
        (OPEN, answer(200, length=100, etag='"1"'), Step.AGAIN),
        (OPEN, answer(200, etag='"1"'), Step.AGAIN),
        (DATED, answer(200, length=90, modified=T0), Step.AGAIN),
        (DATED, answer(200, length=90, etag='"1"'), Step.AGAIN),
        (DATED, answer(200, length=90, etag='"1"', modified=T0), Step.AGAIN),
        (TOLD, answer(200, length=90, etag='"1"', modified=T1), Step.AGAIN),
        (TOLD, answer(200, length=90, modified=T0), Step.AGAIN),
        (PART, Answered(200, None, 100, '"1"', None, None, "multipart/byteranges"), Step.AGAIN),
        # section 15.3.7: a 206 answers a range, and nobody asked for one
        (None, answer(206, "bytes 0-99/100", 100), Step.REFUSE),
        (None, answer(416, "bytes */100"), Step.REFUSE),
        # section 15.3.7.1: a single part has a Content-Range that says what is enclosed
        (PART, answer(206, "bytes 10-99/100", 90, '"1"'), Step.APPEND),
        (PART, answer(206, "bytes 10-99/100", None, '"1"'), Step.APPEND),
        (PART, answer(206, "bytes 10-99/*", 90, '"1"'), Step.APPEND),
        (OPEN, answer(206, "bytes 10-59/60", 50, '"1"'), Step.APPEND),
        (OPEN, answer(206, "bytes 10-59/*", 50, '"1"'), Step.AGAIN),
        (DATED, answer(206, "bytes 10-99/100", 90, modified=T0), Step.APPEND),
        (PART, answer(206, "bytes 10-59/*", 50, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-59/100", 50, '"1"'), Step.AGAIN),
        (PART, answer(206, None, 90, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes nonsense", 90, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes */100", 90, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 0-99/100", 100, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 9-99/100", 91, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 11-99/100", 89, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-98/100", 89, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-99/101", 90, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-100/101", 91, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-99/100", 91, '"1"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-99/100", 100, '"1"'), Step.AGAIN),
        # section 14.2 with 13.1.5: another validator is another version
        (PART, answer(206, "bytes 10-99/100", 90, '"2"'), Step.AGAIN),
        (PART, answer(206, "bytes 10-99/100", 90, 'W/"1"'), Step.AGAIN),
        (DATED, answer(206, "bytes 10-99/100", 90, modified=T1), Step.AGAIN),
        # section 15.3.7: a 206 repeats the ETag or Last-Modified that a 200 would have had
        (PART, answer(206, "bytes 10-99/100", 90), Step.AGAIN),
        (DATED, answer(206, "bytes 10-99/100", 90), Step.AGAIN),
        (DATED, answer(206, "bytes 10-99/100", 90, '"1"'), Step.AGAIN),
        (DATED, answer(206, "bytes 10-99/100", 90, '"1"', T0), Step.AGAIN),
        # ... and what else both have is the same; what If-Range lets it leave out may be absent
        (TOLD, answer(206, "bytes 10-99/100", 90, '"1"', T0), Step.APPEND),
        (TOLD, answer(206, "bytes 10-99/100", 90, '"1"'), Step.APPEND),
        (TOLD, answer(206, "bytes 10-99/100", 90, '"1"', T1), Step.AGAIN),
        (TOLD, answer(206, "bytes 10-99/100", 90, None, T0), Step.AGAIN),
        (TOLD, answer(206, "bytes 10-99/100", 90, None, T1), Step.AGAIN),
        (PART, coded(None), Step.APPEND),
        (PART, coded("gzip"), Step.AGAIN),
        (CODED, coded("gzip"), Step.APPEND),
        (CODED, coded(None), Step.APPEND),
        (CODED, coded("br"), Step.AGAIN),
        # section 15.3.7.2: several parts answer several ranges
        (PART, coded(media="text/plain"), Step.APPEND),
        (PART, coded(media="Multipart/ByteRanges; boundary=x"), Step.AGAIN),
        # section 15.5.17: a 416 may say how long the representation is
        (OPEN, answer(416, "bytes */10", etag='"1"'), Step.DONE),
        (Known(10, DATE, None), answer(416, "bytes */10", modified=T0), Step.DONE),
        (DATED, answer(416, "bytes */10", modified=T0), Step.AGAIN),
        (OPEN, answer(416, "bytes */10"), Step.AGAIN),
        (OPEN, answer(416, "bytes */10", etag='"2"'), Step.AGAIN),
        (DATED, answer(416, "bytes */10"), Step.AGAIN),
        (DATED, answer(416, "bytes */10", modified=T1), Step.AGAIN),
        (OPEN, answer(416, "bytes */11", etag='"1"'), Step.AGAIN),
        (OPEN, answer(416, "bytes */9", etag='"1"'), Step.AGAIN),
        (OPEN, answer(416, "bytes 0-9/10", etag='"1"'), Step.AGAIN),
        (OPEN, answer(416, None, etag='"1"'), Step.AGAIN),
    ],
)
def test_step(known: Known | None, answered: Answered, expected: Step) -> None:
    assert step(known, answered) is expected


@pytest.mark.parametrize(
    ("content_range", "length", "expected"),
    [
        (None, 100, False),
        # all of the file is no range of it
        ("bytes 0-99/100", 100, False),
        ("bytes 0-99/100", None, False),
        ("bytes=0-99/100", 100, False),
        ("bytes */100", 100, False),
        ("bytes */100", None, False),
        ("bytes 0-99/100, bytes 0-99/100", 100, False),
        # less is one
        ("bytes 0-99/101", 100, True),
        ("bytes 1-99/100", 99, True),
        ("bytes 10-99/100", None, True),
        ("bytes 0-99/*", None, True),
        ("bytes 0-99/100", 90, True),
        ("bytes */100", 90, True),
        ("bytes=10-99/100", 90, True),
        ("Bytes: 10 - 99", 90, True),
        ("bytes 10-99/100, bytes 0-9/100", 90, True),
        # what names no bytes says nothing of them
        ("items 10-99/100", 90, False),
        ("10-99/100", 90, False),
        ("kilobytes 10-99/100", 90, False),
        ("bytes", 90, False),
        ("bytes */*", 90, False),
        ("bytes 0--1/0", 0, False),
        ("bytes 0-0/0", 0, False),
        ("bytes 0-100/100", 100, False),
        ("bytes=0-99/100", None, False),
        ("bytes 0-99/100, bytes 0-99/100", None, False),
        ("bytes 0-99", None, False),
        ("bytes=0-49/100", None, True),
        ("none", 90, False),
        ("", 90, False),
    ],
)
def test_what_a_200_says_to_be_a_range(
    content_range: str | None, length: int | None, expected: bool
) -> None:
    assert names_a_range(content_range, length) is expected


@given(
    st.none() | st.text() | st.from_regex(r"bytes [0-9*]{0,3}-?[0-9*]{0,3}/?[0-9*]{0,3}"),
    st.none() | st.integers(0, 999),
    st.sampled_from(['"1"', '"2"', None]),
)
def test_a_rest_is_never_taken_for_the_whole(
    content_range: str | None, length: int | None, etag: str | None
) -> None:
    taken = step(PART, answer(200, content_range, length, etag)) is Step.WRITE
    if taken and content_range is not None:
        where = parse_content_range(content_range)
        assert where is not None
        assert where.total in {length, length or where.total}
        assert where.first == 0
    if taken and etag != '"2"':
        assert length == PART.total


def test_what_is_appended_fits() -> None:
    appended = 0
    ends = (None, 1, 2, 3)
    for offset, total, first, last, whole, length in itertools.product(
        (1, 2), ends, (0, 1, 2, 3), (0, 1, 2, 3), (*ends, 4), (None, 0, 1, 2, 3)
    ):
        where = f"bytes {first}-{last}/{'*' if whole is None else whole}"
        known = Known(offset, ETAG, total)
        assert step(known, answer(206, where, length, etag='"2"')) is Step.AGAIN
        assert step(known, answer(206, where, length)) is Step.AGAIN
        if step(known, answer(206, where, length, etag='"1"')) is Step.APPEND:
            appended += 1
            assert first == offset <= last
            assert last + 1 in {whole, total}
            assert whole in {None, last + 1}
            assert total in {None, last + 1}
            assert length in {None, last + 1 - first}
    assert appended > 10


@pytest.mark.parametrize(
    ("validator", "etag", "modified", "same"),
    [
        (ETAG, '"1"', T1, True),
        (ETAG, None, T1, False),
        (ETAG, '"2"', None, False),
        (DATE, '"2"', None, False),
        (DATE, '"2"', T0, False),
        (DATE, None, T0, True),
        (DATE, None, T1, False),
        (DATE, None, None, False),
        (BOTH, '"1"', T0, True),
        (BOTH, '"1"', None, True),
        (BOTH, '"1"', T1, False),
        (BOTH, None, T0, False),
        (Validator(), '"1"', T0, False),
        (Validator(), None, None, False),
        (WEAK_DATED, 'W/"1"', T0, True),
        (WEAK_DATED, 'W/"1"', None, False),
        (WEAK, None, None, True),
    ],
)
def test_same_version(
    validator: Validator, etag: str | None, modified: str | None, same: bool
) -> None:
    assert same_version(validator, answer(206, etag=etag, modified=modified)) == same
