"""Which file gets idle lanes, with times that the test says."""

from __future__ import annotations

import pytest

from pdl.model import FIRST_HELPER
from pdl.scheduling.split import (
    BEFORE_SECONDS,
    FAST,
    IDLE_SECONDS,
    PAYS_SECONDS,
    WATCH_SECONDS,
    Splits,
    Want,
    share_out,
)

MIB = 1024 * 1024
LEAST = 20 * MIB


def wants(
    splits: Splits, rate: float, *, size: int = 1000 * MIB, helpers: int = 0, seconds: float = 2.0
) -> list[Want]:
    """What a file gets that comes so fast, after some seconds."""
    splits.wants(0.0, [(1, 0, size)])
    for _ in range(helpers):
        splits.begin(1)
    received = min(size, int(rate * seconds))
    splits.wants(seconds / 2, [(1, received // 2, size)])
    return splits.wants(seconds, [(1, received, size)])


@pytest.mark.parametrize(
    ("rate", "size", "more"),
    [
        (8 * MIB, 1000 * MIB, 3),
        (0, 1000 * MIB, 3),
        (MIB, 2 * LEAST + 2 * MIB, 1),  # of what is left, each has the least
        (MIB, 2 * LEAST + MIB, 0),
        (1000 * MIB / (PAYS_SECONDS + 2) * 1.01, 1000 * MIB, 0),
        (1000 * MIB / (PAYS_SECONDS + 2) * 0.99, 1000 * MIB, 3),
        (FAST * 1.01, 1 << 50, 0),
        (FAST * 0.99, 1 << 50, 3),
    ],
)
def test_a_file_is_helped_if_it_pays(rate: float, size: int, more: int) -> None:
    found = wants(Splits(4, LEAST), rate, size=size)
    assert sum(want.more for want in found) == more


def test_a_file_of_unknown_size_is_not_helped() -> None:
    splits = Splits(4, LEAST)
    assert [splits.wants(now, [(1, 0, None)]) for now in (0.0, 5.0)] == [[], []]


def test_what_came_in_one_burst_is_no_reason_to_wait() -> None:
    splits = Splits(4, LEAST)
    assert splits.wants(10.0, [(1, 8 * MIB, 512 * MIB)]) == []
    after = 10.001 + WATCH_SECONDS
    assert splits.wants(after, [(1, 8 * MIB, 512 * MIB)]) == [Want(1, 504 * MIB, 0, 3)]


@pytest.mark.parametrize(("rate", "found"), [(1000 * MIB, 0), (100 * MIB, 1)])
def test_what_comes_fast_is_seen_to_be_fast_at_once(rate: int, found: int) -> None:
    """Though it has just begun, and is counted as if it had begun a while ago."""
    assert WATCH_SECONDS < BEFORE_SECONDS
    splits = Splits(4, LEAST)
    splits.wants(10.0, [(1, MIB, 4096 * MIB)])
    row = (1, MIB + int(rate * WATCH_SECONDS), 4096 * MIB)
    assert len(splits.wants(10.001 + WATCH_SECONDS, [row])) == found


def test_what_is_gone_on_with_is_judged_by_what_comes() -> None:
    """Of what an earlier run left nobody knows how fast it came."""
    splits = Splits(4, LEAST)
    rows = [(now, (1, 4000 * MIB + int(now * MIB), 5000 * MIB)) for now in (0.0, 0.1, 1.0, 2.1)]
    assert [len(splits.wants(now, [row])) for now, row in rows] == [0, 0, 0, 1]


def test_helpers_count() -> None:
    assert [want.more for want in wants(Splits(4, LEAST), MIB, helpers=2)] == [1]
    assert wants(Splits(4, LEAST), MIB, helpers=3) == []


def test_a_helper_that_is_refused_says_how_many_there_can_be() -> None:
    splits = Splits(8, LEAST)
    wants(splits, MIB)
    first, second, third = (splits.begin(1) for _ in range(3))
    assert splits.bears_more(1, 0)
    assert splits.ended(third, refused=True) == 1
    assert not splits.bears_more(1, 0)
    assert splits.bears_more(1, 1)  # another of its URLs
    splits.ended(second)
    assert splits.bears_more(1, 0)
    assert splits.helpers(1) == [first]


def test_what_one_url_refuses_says_nothing_of_another() -> None:
    splits = Splits(8, LEAST)
    wants(splits, MIB)
    splits.begin(1)
    elsewhere = [splits.begin(1, 2), splits.begin(1, 2)]
    assert [splits.at(1, place) for place in range(3)] == [1, 0, 2]
    splits.ended(elsewhere[1], refused=True)
    assert [splits.bears_more(1, place) for place in range(3)] == [True, True, False]


def test_after_one_that_found_nothing_to_do_there_is_none_for_a_moment() -> None:
    splits = Splits(8, LEAST)
    wants(splits, MIB)
    splits.ended(splits.begin(1), idle=2.0)
    row = (1, 2 * MIB, 1000 * MIB)
    assert splits.wants(2.0 + IDLE_SECONDS * 0.99, [row]) == []
    assert [want.more for want in splits.wants(2.0 + IDLE_SECONDS, [row])] == [7]
    assert splits.bears_more(1, 0)


def test_another_attempt_begins_anew() -> None:
    splits = Splits(4, LEAST)
    wants(splits, MIB)
    splits.ended(splits.begin(1), refused=True)
    assert splits.wants(3.0, []) == []
    assert [want.more for want in wants(splits, MIB)] == [3]
    assert splits.bears_more(1, 0)


def test_another_attempt_begins_anew_though_nobody_saw_the_last_one_end() -> None:
    splits, row = Splits(4, LEAST), (1, MIB, 1000 * MIB)
    wants(splits, MIB)
    stays = splits.begin(1)
    splits.ended(splits.begin(1), refused=True)
    assert splits.wants(3.0, [row], lambda _: 1) == []  # it is watched first
    found = splits.wants(3.001 + WATCH_SECONDS, [row], lambda _: 1)
    assert found == [Want(1, 999 * MIB, 1, 2)]
    assert splits.bears_more(1, 0)
    assert splits.helpers(1) == [stays]


def test_what_helpers_have_is_the_files() -> None:
    splits = Splits(4, LEAST)
    wants(splits, MIB)
    helper = splits.begin(1)
    rows = [(helper, 5, 1000), (1, 10, 1000), (2, 3, None), (FIRST_HELPER + 77, 9, None)]
    assert splits.together(rows) == [(1, 15, 1000), (2, 3, None)]


def test_idle_lanes_go_where_the_most_is_left_for_each() -> None:
    wanted = [Want(1, 100, 0, 3), Want(2, 250, 1, 9), Want(3, 90, 0, 1)]
    assert share_out(wanted, 4, lambda _: True) == [2, 1, 3, 2]
    assert share_out(wanted, 99, lambda job: job != 2) == [1, 3, 1, 1]
    assert share_out(wanted, 0, lambda _: True) == []
