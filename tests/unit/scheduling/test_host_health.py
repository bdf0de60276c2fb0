"""What is held against hosts: whom to ask first, and when one that was down gets another try."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pdl.scheduling.governor import Governor
from pdl.scheduling.mirrors import HostHealth
from pdl.scheduling.origin import DOWN, Origin
from pdl.scheduling.retry import FIRST_PROBE, LONGEST_PROBE

HOSTS = ("a", "b", "c")


class Ledger(HostHealth):
    """Asks as the selector does, and says whether a host is avoided from now on."""

    def __init__(self) -> None:
        self.governor = Governor()
        super().__init__(self.governor)

    def origin(self, host: str) -> Origin:
        return self.governor.origin(host)

    def rest(self, host: str, until: float, now: float) -> bool:
        before = self.origin(host).avoided(now)
        self.governor.pause(self.origin(host), until)
        return self.origin(host).avoided(now) and not before


def down(*hosts: str, now: float = 0.0) -> Ledger:
    ledger = Ledger()
    for host in hosts:
        for _ in range(DOWN):
            ledger.failed(host, now)
    return ledger


def test_the_first_is_asked_until_it_failed_some_times_in_a_row() -> None:
    ledger = Ledger()
    asked = []
    for _ in range(DOWN + 2):
        asked.append(ledger.pick(HOSTS, 1.0))
        ledger.failed("a", 1.0)
    assert asked == [*[0] * DOWN, 1, 1]


def test_an_answer_between_failures_begins_the_count_anew() -> None:
    ledger = Ledger()
    for _ in range(10 * DOWN):
        ledger.failed("a", 1.0)
        ledger.answered("a")
    assert ledger.pick(HOSTS, 1.0) == 0
    assert ledger.origin("a").well()


def test_the_next_of_the_list_that_is_well_is_asked() -> None:
    ledger = down("a", "b")
    assert ledger.pick(HOSTS, 1.0) == 2
    assert ledger.pick(("c", "a"), 1.0) == 0
    assert ledger.pick(("b", "x", "y"), 1.0) == 1


def test_of_several_that_are_down_the_one_that_is_free_soonest_is_asked() -> None:
    ledger = down("a", now=5.0)
    for host in ("b", "c"):
        for _ in range(DOWN):
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
    assert tries[0] == FIRST_PROBE
    assert gaps == sorted(gaps)
    assert gaps[:3] == [60, 120, 240]
    assert gaps[-1] == LONGEST_PROBE


def test_one_try_is_enough_to_be_first_again() -> None:
    ledger = down("a")
    assert ledger.pick(HOSTS, FIRST_PROBE) == 0
    assert ledger.pick(HOSTS, FIRST_PROBE) == 1
    ledger.answered("a")
    assert [ledger.pick(HOSTS, FIRST_PROBE + 1) for _ in range(3)] == [0, 0, 0]


def test_failures_of_what_was_under_way_do_not_make_the_wait_longer() -> None:
    ledger = down("a")
    for _ in range(500):
        ledger.failed("a", 1.0)
    assert ledger.pick(HOSTS, 1.0 + FIRST_PROBE) == 0


def test_a_pause_is_kept_though_another_answer_comes() -> None:
    ledger = Ledger()
    assert ledger.rest("a", 60.0, 1.0)
    assert not ledger.rest("a", 50.0, 2.0)
    ledger.answered("a")
    assert ledger.pick(HOSTS, 59.0) == 1
    assert ledger.pick(HOSTS, 60.0) == 0
    assert ledger.rest("a", 70.0, 61.0)


def test_memory_is_bounded() -> None:
    """The oldest are forgotten, first of all those that nothing is held against."""
    ledger = Ledger()
    ledger.governor._keep = 100
    ledger.failed("bad", 1.0)
    for number in range(1000):
        ledger.origin(str(number))
        assert len(ledger.governor) <= 200
    assert ledger.origin("bad").health is not None
    for number in range(1000):
        ledger.failed(str(number), 1.0)
    assert len(ledger.governor) <= 200


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
    ledger, now = Ledger(), 0.0
    blamed: set[str] = set()
    for what, host, step in events:
        now += step
        if what == "answered":
            ledger.answered(host)
        else:
            blamed.add(host)
            if what == "failed":
                ledger.failed(host, now)
            else:
                ledger.rest(host, now + 50, now)
    place = ledger.pick(hosts, now)
    fine = [at for at, host in enumerate(hosts) if host not in blamed]
    assert place <= min(fine, default=len(hosts) - 1)
    if fine:
        assert hosts[place] in blamed or place == fine[0]
