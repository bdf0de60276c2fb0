"""Numbers for people: bytes, rates, times."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.output.reports.json_ import json_line
from pdl.text.units import (
    amounts_text,
    cells,
    clock_text,
    count_text,
    duration_text,
    pad,
    place_text,
    shorten,
    size_text,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1024, "1.00 KiB"),
        (10230, "9.99 KiB"),
        (10236, "10.0 KiB"),
        (102_400, "100 KiB"),
        (1023 * 1024, "1.00 MiB"),
        (5 << 30, "5.00 GiB"),
        (3 << 60, "3.00 EiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        (1000, 63_488, ("1,000 B", "62.0 KiB")),
        (5, 6, ("5 B", "6 B")),
        (70_000_000, 70_000_001, ("70,000,000 B", "70,000,001 B")),
        (1 << 20, 1 << 20, ("1.00 MiB", "1.00 MiB")),
    ],
)
def test_two_amounts_are_told_apart(one: int, other: int, texts: tuple[str, str]) -> None:
    assert amounts_text(one, other) == texts


def test_places() -> None:
    assert [place_text("l.txt", 4), place_text("-", 6), place_text("argument", 0)] == [
        "l.txt:4",
        "stdin:6",
        "",
    ]


@given(st.integers(0, 999 << 60))
def test_a_size_never_outgrows_its_column(count: int) -> None:
    assert len(size_text(count)) <= 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (-1.0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (192.4, "3 min 12 s"),
        (3599.7, "1 h 00 min"),
        (3720.0, "1 h 02 min"),
        (90000.0, "1 d 01 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "--:--"), (0, "00:00"), (61.4, "01:01"), (3661, "1:01:01"), (1e9, ">99 h")],
)
def test_clocks(seconds: float | None, text: str) -> None:
    assert clock_text(seconds) == text


def test_counts_agree_with_their_noun() -> None:
    assert [count_text(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("short.bin", 9, "short.bin"),
        ("a-long-name.tar.gz", 12, "a-long…ar.gz"),
        ("日本語の名前.tar", 10, "日本….tar"),
        ("abcdef", 1, "a"),
        ("abcdef", 0, ""),
    ],
)
def test_shortening_keeps_both_ends(text: str, width: int, shown: str) -> None:
    assert shorten(text, width) == shown


@given(st.text(), st.integers(0, 40), st.sampled_from(["…", "..", ""]))
def test_shortened_and_padded_text_fits(text: str, width: int, ellipsis: str) -> None:
    short = shorten(text, width, ellipsis)
    assert cells(short) <= width
    assert cells(pad(short, width)) == width


def test_combining_marks_take_no_column_and_wide_letters_two() -> None:
    assert cells("e\u0301") == 1
    assert cells("日本") == 4


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_a_json_line_is_printable_ascii_and_says_the_same(fields: dict[str, object]) -> None:
    line = json_line({"event": "done", **fields})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"schema": 1, "event": "done", **fields}
    assert fields.keys() & {"schema"} or line.startswith('{"schema":1,')
