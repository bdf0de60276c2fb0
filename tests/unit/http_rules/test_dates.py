"""What fields say of when a server takes requests again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.http_rules.dates import RATE_FIELDS, rate_reset, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping

DATE = "Sun, 13 Sep 2020 12:26:40 GMT"
EPOCH = 1_600_000_000


def reset(fields: Mapping[str, str], *, spent: bool = False) -> float | None:
    return rate_reset({name.lower(): value for name, value in fields.items()}.get, spent=spent)


@pytest.mark.parametrize("prefix", ["", "X-"])
@pytest.mark.parametrize(
    ("left", "until", "seconds", "refused"),
    [
        ("0", "30", 30, 30),
        (" 0 ", " 30\t", 30, 30),
        ("0", "1.5", 1, 1),
        ("1", "30", None, 30),
        ("00", "30", None, 30),
        ("", "30", None, 30),
        ("0", "soon", None, None),
        ("0", "-1", None, None),
        ("0", "٣", None, None),
        ("0", f"{EPOCH + 7}", 7, 7),
        ("0", f"{EPOCH - 7}", 0, 0),
    ],
)
def test_the_fields_that_are_in_use(
    prefix: str, left: str, until: str, seconds: float | None, refused: float | None
) -> None:
    fields = {f"{prefix}RateLimit-Remaining": left, f"{prefix}RateLimit-Reset": until, "Date": DATE}
    assert reset(fields) == seconds
    assert reset(fields, spent=True) == refused


POLICIES = [
    ('"default";r=0;t=30', "", 30, 30),
    ('"default"; r=0; t=30', "", 30, 30),
    ('"default" ;t=30;r=0', "", 30, 30),
    ('"default";r=1;t=30', "", None, 30),
    ('"default";r=0', "", None, None),
    ("default;r=0;t=5", "", 5, 5),
    # of several, each has to let it through; where none is said to be spent, the soonest may be
    ('"burst";r=0;t=3, "day";r=0;t=4000', "", 4000, 4000),
    ('"burst";r=0;t=3, "day";r=9;t=4000', "", 3, 3),
    ('"burst";r=2;t=3, "day";r=9;t=4000', "", None, 3),
    # the window is the longest that it can be
    ('"burst";r=0', '"day";q=1000;w=86400, "burst";q=10;w=60', 60, 60),
    ('"burst";r=0;t=7', '"burst";q=10;w=60', 7, 7),
    ('"burst";r=3', '"burst";q=10;w=60', None, 60),
    ('"burst";r=0', '"other";q=10;w=60', None, None),
    ('"burst";r=0', '"burst";q=10', None, None),
    # names and keys may hold what else divides
    ('"a,b;r=9";r=0;t=8;pk=:cHsdsRa894==:', '"a,b;r=9";q=1;w=9', 8, 8),
    (r'"a\",;r=0;t=9";r=1;t=2', "", None, 2),
    # the form of earlier drafts
    ("limit=100, remaining=0, reset=30", "100;w=60", 30, 30),
    ("limit=100, remaining=1, reset=30", "", None, 30),
    ("remaining=0", "", None, None),
    # what is none of it
    ("", "", None, None),
    ("100", "", None, None),
    ('"default', "", None, None),
    ('"default";r=-1;t=30', "", None, None),
    ('"default";r=0;t=1e9', "", None, None),
    ('"default";r=0;t="30"', "", None, None),
    (",;,;=,=;", ";;;,", None, None),
]


@pytest.mark.parametrize(("limit", "policy", "seconds", "refused"), POLICIES)
def test_the_fields_of_the_newer_drafts(
    limit: str, policy: str, seconds: float | None, refused: float | None
) -> None:
    fields = {"RateLimit": limit, "RateLimit-Policy": policy}
    assert reset(fields) == seconds
    assert reset(fields, spent=True) == refused


def test_the_older_fields_count_where_the_newer_say_nothing() -> None:
    older = {"RateLimit-Remaining": "0", "RateLimit-Reset": "30"}
    assert reset({**older, "RateLimit": '"default";r=5;t=2'}) == 30
    assert reset({**older, "RateLimit": '"default";r=0;t=2'}) == 2


def test_a_small_file_is_looked_at_where_any_of_them_is_there() -> None:
    assert {"ratelimit", "ratelimit-remaining", "x-ratelimit-remaining"} == RATE_FIELDS


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
def test_whatever_a_server_writes_is_a_time_or_none(limit: str, policy: str, spent: bool) -> None:
    found = reset({"RateLimit": limit, "RateLimit-Policy": policy}, spent=spent)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    "text",
    ['"' + '\\"' * 40_000, '"a";' * 20_000, "," * 80_000, '"' * 80_001],
    ids=["escapes", "parameters", "members", "quotes"],
)
def test_a_field_that_is_made_to_take_long_does_not(text: str) -> None:
    begun = time.process_time()
    reset({"RateLimit": text, "RateLimit-Policy": text})
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3),
        (" 3\t", 3),
        ("-3", None),
        ("3.5", None),
        ("soon", None),
        ("Sun, 13 Sep 2020 12:26:47 GMT", 7),
        ("Sun, 13 Sep 2020 12:26:33 GMT", 0),
    ],
)
def test_a_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, DATE) == seconds
