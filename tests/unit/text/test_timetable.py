"""Rates by the hour, as people write them: which holds when, and what is none."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.text.timetable import DAY, DAYS, Change, rate_at, timetable_of

OFFICE = "08:00,512K 19:00,10M Sat-00:00,off"
MIXED = "Mon-00:00,512 12:00,1M Sun-20:00,off"
OWN_DAY = "12:00,1K Wed-12:00,2K"


def at(day: str, clock: str) -> time.struct_time:
    hour, minute = map(int, clock.split(":"))
    return time.struct_time((2026, 11, 30, hour, minute, 59, DAYS.index(day), 334, 0))


@pytest.mark.parametrize(
    ("text", "day", "clock", "rate"),
    [
        ("2M", "monday", "00:00", 2 << 20),
        (" 512k/s ", "sunday", "23:59", 512 << 10),
        ("off", "monday", "12:00", None),
        ("0", "monday", "12:00", None),
        (OFFICE, "monday", "07:59", 10 << 20),  # since Sunday
        (OFFICE, "monday", "08:00", 512 << 10),
        (OFFICE, "monday", "18:59", 512 << 10),
        (OFFICE, "monday", "19:00", 10 << 20),
        (OFFICE, "tuesday", "03:00", 10 << 20),
        (OFFICE, "friday", "23:59", 10 << 20),
        (OFFICE, "saturday", "00:00", None),
        (OFFICE, "saturday", "08:00", 512 << 10),  # a change without a day is Saturday's, too
        (MIXED, "monday", "11:59", 512),
        (MIXED, "monday", "12:00", 1 << 20),
        (MIXED, "tuesday", "00:00", 1 << 20),
        (MIXED, "sunday", "20:00", None),
        (MIXED, "sunday", "23:59", None),
        ("Tue-08:00,1K", "monday", "12:00", 1 << 10),  # since last week
        (OWN_DAY, "tuesday", "12:00", 1 << 10),
        (OWN_DAY, "wednesday", "12:00", 2 << 10),
        (OWN_DAY, "thursday", "12:00", 1 << 10),
        ("FRIDAY-1:05,7", "friday", "01:05", 7),
    ],
)
def test_the_last_change_before_now_holds(
    text: str, day: str, clock: str, rate: int | None
) -> None:
    assert rate_at(timetable_of(text), at(day, clock)) == rate


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no rate"),
        ("fast", "'fast' is no rate such as 512K"),
        ("-1", "is no rate"),
        ("10M:100k", "is no rate"),
        ("1M 2M", "'1M' is no part of a timetable"),
        ("08:00", "'08:00' is no rate"),
        ("08:00,1M 19:00", "'19:00' is no part of a timetable"),
        ("24:00,1M", "no time of a day"),
        ("12:60,1M", "no time of a day"),
        ("8,1M", "is no part of a timetable"),
        ("08:00,fast", "'fast' is no rate"),
        ("08:00,1M 8:00,2M", "'8:00,2M' is the second rate for the same time"),
        ("Sat-08:00,1M Saturday-08:00,2M", "the second rate"),
        ("Some-08:00,1M", "names no day; they are Mon Tue"),
        ("Satu-08:00,1M", "names no day"),
        ("08:00, 1M", "is no part of a timetable"),
    ],
)
def test_what_is_no_timetable_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace(".", r"\.")):
        timetable_of(text)


CHANGES = st.dictionaries(
    st.tuples(st.none() | st.integers(0, 6), st.integers(0, DAY - 1)),
    st.none() | st.integers(1, 1 << 40),
    min_size=1,
    max_size=8,
)


@given(CHANGES, st.integers(0, 7 * DAY - 1))
def test_whatever_is_written_holds_from_its_time_on(
    changes: dict[tuple[int | None, int], int | None], now: int
) -> None:
    words = [
        f"{'' if day is None else DAYS[day][:3] + '-'}{minute // 60:02}:{minute % 60:02},"
        f"{'off' if rate is None else rate}"
        for (day, minute), rate in changes.items()
    ]
    table = timetable_of(" ".join(words))
    assert list(table) == sorted(table, key=lambda change: change.minute)
    for back in range(7 * DAY):  # the slow way: minute by minute into the past
        day, minute = divmod((now - back) % (7 * DAY), DAY)
        if (key := (day, minute)) in changes or (key := (None, minute)) in changes:  # type: ignore[assignment]
            break
    day, minute = divmod(now, DAY)
    assert rate_at(table, at(DAYS[day], f"{minute // 60}:{minute % 60}")) == changes[key]


def test_a_rate_alone_is_a_timetable_of_one() -> None:
    assert timetable_of("1K") == (Change(0, 1024),)
