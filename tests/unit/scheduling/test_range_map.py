"""The table of a split file's ranges: by examples, and with kills between any two stores."""

from __future__ import annotations

import contextlib
from typing import SupportsIndex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdl.scheduling.range_map import ALIGNED, FIRST, MOST, WORDS, Range, RangeMap, union

K = ALIGNED
SECOND, THIRD = 7, 8


class Killed(Exception):
    """The process is gone, after so many stores."""


class Words(list[int]):
    """A table whose user can be killed between two stores."""

    left: int | None = None

    def __setitem__(self, at: SupportsIndex | slice, value: object) -> None:
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1
        super().__setitem__(at, value)  # type: ignore[call-overload]


def table(total: int, *done: Range) -> RangeMap:
    found = RangeMap([0] * WORDS)
    found.fill(total, done)
    return found


def run(ranges: RangeMap, at: int, count: int) -> None:
    ranges.wrote(at, ranges.rest(at)[0] + count)


def test_one_that_is_alone_writes_all_of_it() -> None:
    ranges = table(10 * K)
    first = ranges.join(0)
    assert ranges.rest(first) == (0, 10 * K)
    run(ranges, first, 10 * K)
    assert ranges.whole()
    ranges.finish(first)
    assert (ranges.whole(), ranges.running()) == (True, False)


def test_helpers_halve_the_largest_rest() -> None:
    ranges = table(16 * K)
    first = ranges.join(0)
    claims = [ranges.claim(who, K) for who in (7, 8, 9)]
    rests = [ranges.rest(at) for at in (first, *claims) if at is not None]
    assert sorted(rests) == [(n * K, (n + 4) * K) for n in (0, 4, 8, 12)]


def test_a_rest_is_halved_from_where_its_runner_is() -> None:
    ranges = table(16 * K)
    first = ranges.join(0)
    run(ranges, first, 8 * K)
    second = ranges.claim(SECOND, K)
    assert second is not None
    assert ranges.rest(second) == (12 * K, 16 * K)
    assert ranges.left(first) == 4 * K


def test_each_takes_a_share_of_what_the_first_has_left_from_its_end() -> None:
    ranges = table(200 * K)
    first = ranges.join(0)
    taken = [ranges.claim(who, 10 * K, None, 4) for who in range(7, 12)]
    rests = [ranges.rest(at) for at in taken if at is not None]
    assert [(end - start) // K for start, end in rests] == [50, 38, 28, 21, 16]
    assert [start for start, _ in rests[:-1]] == [end for _, end in rests[1:]]
    assert ranges.rest(first) == (0, 47 * K)


def test_no_share_is_shorter_than_it_may_be() -> None:
    ranges = table(40 * K)
    ranges.join(0)
    taken = ranges.claim(SECOND, 10 * K, None, 8)
    assert taken is not None
    assert ranges.rest(taken) == (30 * K, 40 * K)


def test_what_is_not_worth_two_shares_is_halved_as_long_as_it_is_worth_a_request() -> None:
    ranges = table(16 * K)
    ranges.join(0)
    taken = [ranges.claim(who, 10 * K, 3 * K, 8) for who in (7, 8, 9)]
    rests = [ranges.rest(at) for at in taken if at is not None]
    assert rests == [(8 * K, 12 * K), (4 * K, 8 * K), (12 * K, 16 * K)]
    assert ranges.claim(10, 10 * K, 3 * K, 8) is None


def test_the_first_goes_on_into_a_hole_that_its_request_reaches() -> None:
    ranges = table(16 * K)
    first, second = ranges.join(0), ranges.claim(SECOND, K)
    third = ranges.claim(THIRD, K)
    assert second is not None
    assert third is not None
    assert ranges.rest(third) == (4 * K, 8 * K)
    ranges.give_up(second)
    assert not ranges.grow(first)  # it is not at the hole
    ranges.give_up(third)
    run(ranges, first, 8 * K)
    assert ranges.rest(first) == (8 * K, 8 * K)
    assert ranges.grow(first)
    assert ranges.rest(first) == (8 * K, 16 * K)
    assert not ranges.grow(first)


def test_a_helper_does_not_go_on_into_a_hole() -> None:
    ranges = table(16 * K)
    ranges.join(0)
    second, third = ranges.claim(SECOND, K), ranges.claim(THIRD, K)
    assert second is not None
    assert third is not None
    run(ranges, second, K)
    ranges.give_up(second)
    run(ranges, third, 4 * K)
    assert not ranges.grow(third)


@pytest.mark.parametrize(("least", "taken"), [(4 * K, True), (4 * K + 1, False)])
def test_no_half_is_shorter_than_it_may_be(least: int, taken: bool) -> None:
    ranges = table(8 * K)
    ranges.join(0)
    assert (ranges.claim(SECOND, least) is not None) == taken


def test_the_first_takes_over_what_gets_no_further() -> None:
    ranges = table(16 * K)
    first, second = ranges.join(0), ranges.claim(SECOND, K)
    assert second is not None
    run(ranges, second, K)
    run(ranges, first, 8 * K)
    ranges.finish(first)
    taken = ranges.take_rest()
    assert taken is not None
    assert (ranges.rest(taken), ranges.left(second)) == ((9 * K, 16 * K), 0)
    run(ranges, taken, 7 * K)
    assert ranges.whole()


def test_holes_come_first_however_small() -> None:
    ranges = table(16 * K, (0, 2 * K), (3 * K, 9 * K))
    first = ranges.join(2 * K)
    assert ranges.rest(first) == (2 * K, 3 * K)
    second = ranges.claim(SECOND, 100 * K)
    assert second is not None
    assert ranges.rest(second) == (9 * K, 16 * K)
    assert ranges.claim(THIRD, 100 * K) is None


def test_the_first_goes_on_where_a_helper_got_nothing() -> None:
    ranges = table(16 * K)
    first = ranges.join(0)
    second = ranges.claim(SECOND, K)
    assert second is not None
    ranges.give_up(second)
    assert ranges.rest(first) == (0, 16 * K)


def test_a_helper_does_not_grow_beyond_what_it_asked_for() -> None:
    ranges = table(16 * K)
    ranges.join(0)
    second = ranges.claim(SECOND, K)
    assert second is not None
    run(ranges, second, K)
    assert ranges.claim(THIRD, K) is not None  # half of the first's
    fourth = ranges.claim(9, K)  # half of the second's
    assert fourth is not None
    assert ranges.rest(fourth)[1] == 16 * K
    ranges.give_up(fourth)
    assert ranges.rest(second) == (9 * K, 16 * K)


def test_what_was_given_up_half_way_is_a_hole() -> None:
    ranges = table(16 * K)
    first = ranges.join(0)
    second = ranges.claim(SECOND, K)
    assert second is not None
    run(ranges, second, K)
    ranges.give_up(second)
    assert ranges.rest(first) == (0, 8 * K)
    assert ranges.done() == [(8 * K, 9 * K)]
    third = ranges.claim(THIRD, K)
    assert third is not None
    assert ranges.rest(third) == (9 * K, 16 * K)


def test_who_is_dead_is_known_by_name() -> None:
    ranges = table(16 * K)
    first = ranges.join(0)
    second = ranges.claim(SECOND, K)
    assert second is not None
    assert (ranges.recall(SECOND), ranges.recall(THIRD)) == (True, False)
    assert ranges.recalled(second)
    ranges.abandon(SECOND)
    assert ranges.rest(first) == (0, 16 * K)


def test_nobody_takes_anything_when_it_is_over() -> None:
    ranges = table(16 * K)
    ranges.join(0)
    ranges.end()
    assert ranges.claim(SECOND, K) is None


def test_the_first_sees_to_the_rest_even_then() -> None:
    ranges = table(16 * K, (0, K), (2 * K, 16 * K))
    ranges.end()
    assert ranges.claim(FIRST, K) is not None


def test_wrong_bytes_are_fetched_again_and_no_others() -> None:
    ranges = table(16 * K, (0, 16 * K))
    ranges.unwrite(4 * K, 5 * K)
    assert ranges.done() == [(0, 4 * K), (5 * K, 16 * K)]
    again = ranges.claim(FIRST, 20 * K)
    assert again is not None
    assert ranges.rest(again) == (4 * K, 5 * K)


@pytest.mark.parametrize("stores", range(8))
def test_a_claim_that_is_killed_calls_nothing_done_that_was_not(stores: int) -> None:
    """Also where its entry was another's before, which had written what lies behind."""
    words = Words([0] * WORDS)
    ranges = RangeMap(words)
    ranges.fill(16 * K, ())
    first, second = ranges.join(0), ranges.claim(SECOND, K)
    assert second is not None
    for at in (first, second):
        run(ranges, at, ranges.left(at))
        ranges.finish(at)
    ranges.unwrite(0, K)
    before = ranges.done()
    words.left = stores
    with contextlib.suppress(Killed):
        ranges.claim(THIRD, K)
    assert ranges.done() == before == [(K, 16 * K)]


def test_there_are_never_more_entries_than_places() -> None:
    ranges = table(1024 * K)
    ranges.join(0)
    taken = [ranges.claim(who, 1) for who in range(1, 200)]
    assert sum(at is not None for at in taken) == MOST - 1


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([(1, 1)], []),
        ([(5, 9), (0, 5)], [(0, 9)]),
        ([(0, 4), (2, 3), (6, 7)], [(0, 4), (6, 7)]),
    ],
)
def test_union(ranges: list[Range], expected: list[Range]) -> None:
    assert union(ranges) == expected


class Simulation:
    """Lanes of one file; whatever is done to them, what is called done has been written."""

    def __init__(self, total: int, *share: int) -> None:
        self.total, self.share = total, share
        self.words = Words([0] * WORDS)
        self.ranges = RangeMap(self.words)
        self.written = bytearray(total)
        self.at: dict[int, int] = {}  # place in the table by lane
        self.next = 1
        self.ranges.fill(total, ())
        self.at[FIRST] = self.ranges.join(0)

    def claim(self, lane: int) -> None:
        if lane != FIRST:
            lane = self.next
            self.next += 1
        if lane not in self.at and (at := self.ranges.claim(lane, *self.share)) is not None:
            self.at[lane] = at

    def write(self, lane: int, count: int) -> None:
        at = self.at[lane]
        start, _ = self.ranges.rest(at)
        count = min(count, self.ranges.left(at))
        self.written[start : start + count] = b"\1" * count
        self.ranges.wrote(at, start + count)
        if not self.ranges.left(at) and not self.ranges.grow(at):
            self.ranges.finish(at)
            del self.at[lane]

    def give_up(self, lane: int) -> None:
        self.ranges.give_up(self.at[lane])
        del self.at[lane]

    def kill(self, lane: int, what: str, stores: int, count: int) -> None:
        """The lane's process is killed in the middle of what it does."""
        self.words.left = stores
        who = self.next if what == "claim" else lane
        try:
            self.claim(SECOND) if what == "claim" else getattr(self, what)(
                lane, *([count] if what == "write" else [])
            )
        except Killed:
            pass
        finally:
            self.words.left = None
        self.check()
        self.at.pop(who, None)
        self.ranges.abandon(who)

    def check(self) -> None:
        for start, end in self.ranges.done():
            assert all(self.written[start:end])

    def end_alone(self) -> None:
        """All but the first stop; it does the rest."""
        for lane in [lane for lane in self.at if lane != FIRST]:
            self.give_up(lane)
        for _ in range(2 * MOST):
            if FIRST in self.at:
                self.write(FIRST, self.total)
            elif not self.ranges.whole():
                self.claim(FIRST)
                assert FIRST in self.at
        assert self.ranges.whole()
        assert all(self.written)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "claim", "write", "write", "give_up", "kill"]),
        st.integers(0, 9),  # which lane
        st.integers(1, 6 * K),  # how much
        st.integers(0, 12),  # after which store it is killed
        st.sampled_from(["claim", "write", "give_up"]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([(K, K, 2), (2 * K, K, 2), (2 * K, K // 2, 8)]))
def test_whatever_happens_what_is_done_is_written(
    steps: list[tuple[str, int, int, int, str]], share: tuple[int, ...]
) -> None:
    run = Simulation(24 * K + 5, *share)
    for what, which, count, stores, how in steps:
        lanes = sorted(run.at)
        lane = lanes[which % len(lanes)] if lanes else None
        if what == "claim" or lane is None:
            run.claim(SECOND if which else FIRST)
        elif what == "write":
            run.write(lane, count)
        elif what == "give_up" and lane != FIRST:
            run.give_up(lane)
        elif what == "kill" and lane != FIRST:
            run.kill(lane, how, stores, count)
        run.check()
    again = table(run.total, *run.ranges.done())  # what a run finds that comes after a kill
    assert again.done() == run.ranges.done()
    run.end_alone()
