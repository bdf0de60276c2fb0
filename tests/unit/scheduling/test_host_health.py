"""What is held against hosts: whom to ask first, and when one that was down gets another try."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pdl.scheduling.mirrors import FIRST_WAIT, LONGEST_WAIT, MOST_HOSTS, PATIENCE, HostHealth

HOSTS = ("a", "b", "c")


def down(*hosts: str, now: float = 0.0) -> HostHealth:
    ledger = HostHealth()
    for host in hosts:
        for _ in range(PATIENCE):
            ledger.failed(host, now)
    return ledger


def test_the_first_is_asked_until_it_failed_some_times_in_a_row() -> None:
    ledger = HostHealth()
    told = [(ledger.pick(HOSTS, 1.0), ledger.failed("a", 1.0)) for _ in range(PATIENCE + 2)]
    assert told == [*[(0, False)] * (PATIENCE - 1), (0, True), (1, False), (1, False)]


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    ledger = HostHealth()
    for _ in range(10 * PATIENCE):
        ledger.failed("a", 1.0)
        ledger.answered("a", 1.0)
    assert ledger.pick(HOSTS, 1.0) == 0
    assert len(ledger) == 0


def test_the_next_of_the_list_that_is_well_is_asked() -> None:
    ledger = down("a", "b")
    assert ledger.pick(HOSTS, 1.0) == 2
    assert ledger.pick(("c", "a"), 1.0) == 0
    assert ledger.pick(("b", "x", "y"), 1.0) == 1


def test_of_several_that_are_down_the_one_that_is_free_soonest_is_asked() -> None:
    ledger = down("a", now=5.0)
    for host in ("b", "c"):
        for _ in range(PATIENCE):
            ledger.failed(host, 2.0 if host == "c" else 3.0)
    assert ledger.pick(HOSTS, 6.0) == 2


def test_one_that_is_down_gets_a_try_now_and_then() -> None:
    ledger = down("a")
    tries = []
    for second in range(4000):
        if ledger.pick(HOSTS, float(second)) == 0:
            tries.append(second)
            ledger.failed("a", float(second))
    gaps = [later - sooner for sooner, later in pairwise(tries)]
    assert tries[0] == FIRST_WAIT
    assert gaps == sorted(gaps)
    assert gaps[:3] == [60, 120, 240]
    assert gaps[-1] == LONGEST_WAIT


def test_one_try_is_enough_to_be_first_again() -> None:
    ledger = down("a")
    assert ledger.pick(HOSTS, FIRST_WAIT) == 0
    assert ledger.pick(HOSTS, FIRST_WAIT) == 1
    ledger.answered("a", FIRST_WAIT + 1)
    assert [ledger.pick(HOSTS, FIRST_WAIT + 1) for _ in range(3)] == [0, 0, 0]


def test_failures_of_what_was_under_way_do_not_make_the_wait_longer() -> None:
    ledger = down("a")
    for _ in range(500):
        ledger.failed("a", 1.0)
    assert ledger.pick(HOSTS, 1.0 + FIRST_WAIT) == 0


def test_a_pause_is_kept_though_another_answer_comes() -> None:
    ledger = HostHealth()
    assert ledger.rest("a", 60.0, 1.0)
    assert not ledger.rest("a", 50.0, 2.0)
    ledger.answered("a", 3.0)
    assert ledger.pick(HOSTS, 59.0) == 1
    assert ledger.pick(HOSTS, 60.0) == 0
    assert ledger.rest("a", 70.0, 61.0)


def test_memory_is_bounded() -> None:
    ledger = HostHealth()
    for number in range(3 * MOST_HOSTS):
        ledger.failed(str(number), 1.0)
    assert len(ledger) == MOST_HOSTS


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["failed", "answered", "rest"]),
            st.sampled_from(HOSTS),
            st.floats(0, 99),
        )
    ),
    st.lists(st.sampled_from(HOSTS), min_size=1),
)
def test_whom_nothing_is_held_against_is_asked_in_the_order_of_the_list(
    events: list[tuple[str, str, float]], hosts: list[str]
) -> None:
    ledger, now = HostHealth(), 0.0
    blamed: set[str] = set()
    for what, host, step in events:
        now += step
        if what == "answered":
            ledger.answered(host, now)
        else:
            blamed.add(host)
            _ = ledger.failed(host, now) if what == "failed" else ledger.rest(host, now + 50, now)
    place = ledger.pick(hosts, now)
    fine = [at for at, host in enumerate(hosts) if host not in blamed]
    assert place <= min(fine, default=len(hosts) - 1)
    if fine:
        assert hosts[place] in blamed or place == fine[0]
