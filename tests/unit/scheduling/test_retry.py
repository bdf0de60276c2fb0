"""The retry policy, asked without a clock and without chance."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.http_rules.dates import retry_after
from pdl.model import Fail, FailureKind
from pdl.scheduling.retry import (
    MAX_DEATHS,
    MAX_DEATHS_IN_STORM,
    Deaths,
    Decision,
    Progress,
    RetryPolicy,
)
from pdl.settings import RETRY_STATUSES, RetrySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = RetrySettings(retries=3, wait=1.0, max_wait=60.0)
RESET = Fail("fail", 1, FailureKind.RESET, transient=True, message="reset")
SUNDAY = "Sun, 06 Nov 1994 08:49:37 GMT"
ASCTIME = "Sun Nov  6 08:49:47 1994"


def http(status: int, retry_after: float | None = None) -> Fail:
    return Fail(
        "fail",
        1,
        FailureKind.HTTP,
        transient=status in RETRY_STATUSES,
        message="no",
        status=status,
        retry_after=retry_after,
    )


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 529, 598])
def test_statuses_worth_another_try(status: int) -> None:
    assert RetryPolicy(BASE).decide(http(status), 1, 0.5).delay is not None


@pytest.mark.parametrize(
    "status", [301, 400, 401, 403, 404, 410, 416, 418, 499, 501, 505, 506, 508, 510, 511, 600]
)
def test_statuses_that_are_final(status: int) -> None:
    assert RetryPolicy(BASE).decide(http(status), 1, 0.5) == Decision(None)


def test_which_statuses_those_are_was_said_by_who_saw_the_answer() -> None:
    policy = RetryPolicy(BASE._replace(statuses=frozenset({404})))
    assert not policy.transient(http(404))
    assert policy.transient(http(404)._replace(transient=True))


@pytest.mark.parametrize("transient", [True, False])
@pytest.mark.parametrize("kind", sorted(FailureKind))
def test_all_kinds_say_it_themselves(kind: FailureKind, transient: bool) -> None:
    fail = RESET._replace(kind=kind, transient=transient)
    assert (RetryPolicy(BASE).decide(fail, 1, 0.5).delay is not None) == transient


@pytest.mark.parametrize(("attempts", "again"), [(1, True), (3, True), (4, False), (5, False)])
def test_so_many_retries_and_no_more(attempts: int, again: bool) -> None:
    assert (RetryPolicy(BASE).decide(RESET, attempts, 0.5).delay is not None) == again


def test_no_retries() -> None:
    policy = RetryPolicy(BASE._replace(retries=0))
    assert policy.decide(RESET, 1, 0.5) == Decision(None)


@pytest.mark.parametrize(
    ("attempts", "chance", "expected"),
    [
        (1, 0.0, 0.0),
        (1, 0.5, 0.5),
        (2, 0.5, 1.0),
        (3, 0.5, 2.0),
        (7, 0.5, 30.0),
        (10_000, 0.5, 30.0),
    ],
)
def test_backoff_doubles_up_to_the_longest_wait(
    attempts: int, chance: float, expected: float
) -> None:
    assert RetryPolicy(BASE).backoff(attempts, chance) == expected


@given(
    attempts=st.integers(1, 10**6),
    chance=st.floats(0, 1, exclude_max=True),
    wait=st.floats(0, 1e6),
    longest=st.floats(0, 1e6),
)
def test_backoff_is_never_longer_than_allowed(
    attempts: int, chance: float, wait: float, longest: float
) -> None:
    policy = RetryPolicy(RetrySettings(wait=wait, max_wait=longest))
    assert 0 <= policy.backoff(attempts, chance) <= longest


@pytest.mark.parametrize(
    ("asked", "chance", "expected"),
    [
        (20.0, 0.5, Decision(20.0, pause_host=20.0)),
        (0.0, 0.5, Decision(0.5, pause_host=0.0)),
        (0.1, 0.5, Decision(0.5, pause_host=0.1)),
        (60.0, 0.5, Decision(60.0, pause_host=60.0)),
    ],
)
def test_retry_after_pauses_the_host(asked: float, chance: float, expected: Decision) -> None:
    assert RetryPolicy(BASE).decide(http(503, asked), 1, chance) == expected


def test_a_wait_that_is_too_long_is_given_up_and_explained() -> None:
    decision = RetryPolicy(BASE).decide(http(429, 99999.0), 1, 0.5)
    assert decision == Decision(
        None, reason="the server asks to wait 99999 s, --max-retry-wait allows 60 s"
    )


def test_a_final_failure_heeds_no_retry_after() -> None:
    assert RetryPolicy(BASE).decide(http(404, 5.0), 1, 0.5) == Decision(None)


# --- progress ---


@pytest.mark.parametrize(
    ("kept", "stuck"),
    [
        ([0, 0, 0], 3),
        ([5], 1),
        ([5, 5, 5], 3),
        ([5, 6, 7], 1),
        ([5, 6, 0, 6], 3),
        ([5, 0, 4, 6], 1),
        ([0, 5, 4], 2),
    ],
)
def test_an_attempt_that_got_further_is_as_the_first(kept: list[int], stuck: int) -> None:
    progress = Progress()
    for each in kept:
        progress = progress.another(each)
    assert (progress.stuck, progress.reached) == (stuck, max(kept))


# --- deaths ---


@pytest.mark.parametrize(
    ("reached", "kept", "stuck"),
    [
        ([0, 0, 0], True, 3),
        ([5, 5, 5], True, 2),
        ([5, 6, 7], True, 0),
        ([5, 6, 7], False, 3),
        ([5, 4, 3], True, 2),
        ([5, 4, 6], True, 0),
    ],
)
def test_a_task_that_gets_further_is_not_what_kills(
    reached: list[int], kept: bool, stuck: int
) -> None:
    deaths = Deaths()
    for count in reached:
        deaths = deaths.another(count, kept=kept)
    assert (deaths.total, deaths.stuck) == (3, stuck)


@pytest.mark.parametrize(
    ("stuck", "others", "blamed"),
    [
        (MAX_DEATHS - 1, 0, False),
        (MAX_DEATHS, 0, True),
        (MAX_DEATHS, MAX_DEATHS - 1, True),
        (MAX_DEATHS, 100, False),
        (MAX_DEATHS_IN_STORM, 100, True),
    ],
)
def test_who_is_to_blame(stuck: int, others: int, blamed: bool) -> None:
    assert Deaths(stuck, stuck, 0).to_blame(stuck + others) == blamed


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is not set to UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, None),
        ("120", None, 120.0),
        (" 7 ", None, 7.0),
        ("0", None, 0.0),
        ("99999999999999999999", None, 999999999.0),
        ("-1", None, None),
        ("1.5", None, None),
        ("\u0663", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", SUNDAY, 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", SUNDAY, 10.0),
        (ASCTIME, SUNDAY, 10.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", SUNDAY, 0.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", None, 0.0),
        ("Sun, 99 Nov 1994 08:49:27 GMT", None, None),
    ],
)
def test_retry_after(
    new_york: None, value: str | None, date: str | None, expected: float | None
) -> None:
    assert retry_after(value, date) == expected


def test_a_date_without_the_servers_clock_is_measured_by_ours() -> None:
    asked = retry_after("Fri, 31 Dec 2100 23:59:59 GMT", "no date")
    assert asked is not None
    assert asked > 0


@given(value=st.text(max_size=40), date=st.none() | st.text(max_size=40))
def test_no_text_raises(value: str, date: str | None) -> None:
    asked = retry_after(value, date)
    assert asked is None or asked >= 0


# --- deaths of workers ---


def after(*reached: int, kept: bool = True) -> Deaths:
    """What is known after deaths at these bytes."""
    deaths = Deaths()
    for each in reached:
        deaths = deaths.another(each, kept=kept)
    return deaths


@pytest.mark.parametrize(
    ("deaths", "all_deaths", "to_blame"),
    [
        (after(0, 0), 2, False),
        (after(0, 0, 0), 3, True),
        (after(10, 10, 10), 3, False),
        (after(10, 10, 10, 10), 4, True),
        (after(10, 20, 30, 40, 50, 60), 6, False),
        (after(10, 20, 30, kept=False), 3, True),
        (after(0, 0, 0), 5, True),
        (after(0, 0, 0), 6, False),
        (after(*[0] * 29), 10_000, False),
        (after(*[0] * 30), 10_000, True),
    ],
)
def test_a_task_is_blamed_where_it_gets_no_further(
    deaths: Deaths, all_deaths: int, to_blame: bool
) -> None:
    assert deaths.to_blame(all_deaths) is to_blame
    assert MAX_DEATHS < MAX_DEATHS_IN_STORM
