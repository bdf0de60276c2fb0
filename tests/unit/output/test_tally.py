"""What a display is told from: files in flight, rates, the time that is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import Outcome, Result
from pdl.output.display.tally import Slots, Tally, commands_text, waiting_text
from pdl.output.display.time_left import Smoothed
from pdl.scheduling.progress import Standing, Transfer, Waiting

MIB = 1 << 20


def paths(shown: list[Transfer | None]) -> list[str | None]:
    return [each.path if each else None for each in shown]


def result(outcome: Outcome = Outcome.SUCCESS) -> Result:
    return Result("list", 1, "http://h/a", None, "a", outcome, attempts=1)


def test_a_steady_count_has_its_rate_from_the_second_look_on() -> None:
    smoothed = Smoothed(3.0)
    assert smoothed.rate == 0
    smoothed.update(100, 10.0)
    assert smoothed.rate == 0
    for tick in range(1, 50):
        smoothed.update(100 + 5 * tick, 10.0 + tick * 0.1)
        assert smoothed.rate == pytest.approx(50)


def test_a_stall_lets_the_rate_fall_towards_nothing() -> None:
    smoothed = Smoothed(3.0)
    smoothed.update(0, 0.0)
    smoothed.update(1000, 1.0)
    smoothed.update(1000, 2.0)
    assert 0 < smoothed.rate < 1000
    smoothed.update(1000, 100.0)
    assert smoothed.rate < 1


@given(st.lists(st.tuples(st.integers(0, 10**12), st.floats(0, 1e6)), max_size=30))
def test_no_clock_and_no_count_breaks_the_rate(steps: list[tuple[int, float]]) -> None:
    smoothed, count, now = Smoothed(3.0), 0, 0.0
    for more, later in steps:
        count, now = count + more, now + later
        smoothed.update(count, now)
        assert smoothed.rate >= 0


def test_a_tally_knows_the_time_to_go_only_with_a_total_and_a_rate() -> None:
    tally = Tally()
    tally.update(Standing((), 0, 10, 0.0))
    assert tally.remaining is None
    tally.record(result())
    tally.record(result(Outcome.FAIL))
    tally.update(Standing((), 500, 10, 1.0))
    assert (tally.done, tally.failed) == (2, 1)
    assert tally.remaining == pytest.approx(4.0)
    assert tally.speed == pytest.approx(500)
    tally.update(Standing((), 500, None, 1.1))
    assert tally.remaining is None


def test_what_is_under_way_is_not_done_before_its_bytes_are_here() -> None:
    tally = Tally()
    tally.update(Standing((), 0, 3, 0.0))
    tally.record(result())
    large, other = Transfer("large", 1000, 9000), Transfer("other", 0, 1000)
    tally.update(Standing((large,), 1000, 3, 1.0))
    assert tally.remaining == pytest.approx(9.0)  # by the files so far it would be 2
    tally.record(result())
    tally.update(Standing((large._replace(received=2000),), 2000, 3, 2.0))
    assert tally.remaining == pytest.approx(7.0)  # the last one: its bytes alone count
    live = (large._replace(received=3000), other._replace(size=None))
    tally.update(Standing(live, 3000, 3, 3.0))
    assert tally.remaining == pytest.approx(6.5)  # at least 6, though a size is not known


def test_the_time_of_a_single_file_is_that_of_its_bytes() -> None:
    tally = Tally()
    tally.update(Standing((Transfer("one", 0, None),), 0, 1, 0.0))
    assert tally.remaining is None
    tally.update(Standing((Transfer("one", 1000, 5000),), 1000, 1, 1.0))
    assert tally.remaining == pytest.approx(4.0)
    tally.update(Standing((Transfer("one", 1000, 5000),), 1000, 2, 1.0))
    assert tally.remaining == pytest.approx(9.0)  # the other one: as if it were like this one


def test_the_position_has_the_parts_in_flight_and_is_whole_only_at_the_end() -> None:
    tally = Tally()
    tally.update(Standing((Transfer("one", 250, 1000),), 0, 1, 0.0))
    assert tally.percent == 25
    tally.update(Standing((Transfer("one", 1000, 1000),), 0, 1, 1.0))
    assert tally.percent == 99  # it has no name yet
    for _ in range(999):
        tally.record(result())
    tally.update(Standing((Transfer("last", 0, None),), 0, 1000, 2.0))
    assert tally.percent == 99
    tally.record(result())
    tally.update(Standing((), 0, 1000, 3.0))
    assert tally.percent == 100


def test_a_total_that_was_guessed_too_low_is_not_the_end() -> None:
    tally = Tally()
    tally.passed(10)
    tally.update(Standing((Transfer("a", 0, None),), 0, 5, 0.0))
    assert tally.percent < 100


def test_lines_that_are_skipped_are_no_pace() -> None:
    tally = Tally()
    tally.update(Standing((), 0, 4000, 0.0))
    for _ in range(2000):
        tally.record(result(Outcome.SKIPPED)._replace(attempts=0))
    tally.update(Standing((), 0, 4000, 1.0))
    assert tally.remaining is None or tally.remaining > 0
    for second in range(2, 12):
        tally.passed(10)
        tally.update(Standing((), second * 100, 4000, second))
    assert tally.remaining == pytest.approx(1900 / 10, rel=0.2)


def test_a_run_that_only_looks_has_the_pace_of_its_lines() -> None:
    tally = Tally()
    tally.update(Standing((), 0, 100, 0.0))
    for _ in range(20):
        tally.record(result(Outcome.UNCHANGED)._replace(attempts=0))
    tally.update(Standing((), 0, 100, 2.0))
    assert tally.remaining == pytest.approx(8.0)


def test_the_slowest_file_in_flight_takes_what_its_own_rate_says() -> None:
    tally = Tally()
    for second in range(30):
        live = (Transfer("slow", 10 * second, 1000), Transfer("fast", 1000 * second, 40_000))
        tally.update(Standing(live, 1010 * second, 10, second))
        tally.passed(second % 2 if tally.done < 8 else 0)
    assert tally.done == 8
    assert tally.remaining == pytest.approx((1000 - 290) / 10)


def test_a_pause_is_no_part_of_the_pace_and_comes_on_top() -> None:
    tally = Tally()
    for second in range(10):
        tally.update(Standing((), 0, 100, second))
        tally.passed(5)
    tally.update(Standing((), 0, 100, 10.0))
    assert tally.remaining == pytest.approx(50 / 5)
    for second in range(11, 40):
        tally.update(Standing((), 0, 100, second, Waiting("h", 40.0 - second, "http-503", 3)))
    assert tally.remaining == pytest.approx(50 / 5 + 1)


def test_what_is_waited_for_reads_well() -> None:
    assert waiting_text(Waiting("h.org", 16.2, "http-503", 3)) == (
        "waiting 17 s for h.org (503, 3 files)"
    )
    assert waiting_text(Waiting("h", 1, "connect", 1)) == "waiting 1 s for h (connect, 1 file)"


def test_what_waits_for_a_command_is_said_with_its_number() -> None:
    assert commands_text(1) == "1 file waits for --exec"
    assert commands_text(2000) == "2000 files wait for --exec"


def test_only_large_or_slow_transfers_get_a_line() -> None:
    slots = Slots()
    live = [
        Transfer("small", 1, 100),
        Transfer("large", 0, 2 * MIB),
        Transfer("grown", 2 * MIB, None),
    ]
    assert sorted(filter(None, paths(slots.update(live, 0.0)))) == ["grown", "large"]
    assert "small" not in paths(slots.update(live, 0.9))
    assert "small" in paths(slots.update(live, 1.1))


def test_a_file_keeps_its_line_and_a_gap_is_filled() -> None:
    slots = Slots()
    live = [
        Transfer(name, 0, size * MIB) for name, size in (("a", 9), ("b", 8), ("c", 7), ("d", 6))
    ]
    assert paths(slots.update(live, 0.0)) == ["a", "b", "c"]
    assert paths(slots.update(live[1:], 0.1)) == ["d", "b", "c"]
    assert paths(slots.update(live[2:], 0.2)) == ["d", None, "c"]


def test_a_much_larger_file_takes_over_the_smallest_line_but_not_at_once() -> None:
    slots = Slots()
    first = [Transfer(name, 0, size * MIB) for name, size in (("a", 9), ("b", 8), ("c", 7))]
    more = [*first, Transfer("huge", 0, 500 * MIB), Transfer("bigger", 0, 10 * MIB)]
    slots.update(first, 0.0)
    assert paths(slots.update(more, 0.5)) == ["a", "b", "c"]
    assert paths(slots.update(more, 1.5)) == ["a", "b", "huge"]


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4 * MIB), max_size=8),
        max_size=20,
    )
)
def test_lines_show_only_live_files_each_once_and_never_move(
    frames: list[dict[str, int]],
) -> None:
    slots, before = Slots(), list[str | None]()
    for second, frame in enumerate(frames):
        shown = paths(slots.update([Transfer(p, n, None) for p, n in frame.items()], second * 0.5))
        there = [path for path in shown if path]
        assert len(there) == len(set(there))
        assert set(there) <= set(frame)
        for path in set(there) & set(before):
            assert shown.index(path) == before.index(path)
        before = shown


def limited(limit: int | None, rates: list[int], sizes: list[int]) -> Tally:
    """A tally of files in flight that come at these rates, after ten seconds."""
    tally, lines = Tally(), len(rates)
    for second in range(11):
        live = tuple(
            Transfer(f"f{n}", rate * second, size)
            for n, (rate, size) in enumerate(zip(rates, sizes, strict=True))
        )
        tally.update(Standing(live, sum(rates) * second, lines, second, None, limit))
    return tally


@pytest.mark.parametrize(
    ("limit", "rates", "sizes", "remaining"),
    [
        # the small ones end soon, and then the large one has all of the limit
        (400, [100] * 4, [2000, 2000, 2000, 9000], (1000 * 3 + 8000) / 400),
        (None, [100] * 4, [2000, 2000, 2000, 9000], 80),
        # something else is slower than the limit: it does not matter yet
        (4000, [100] * 4, [2000, 2000, 2000, 9000], 80),
        # the rate has fallen to a tenth a moment ago
        (40, [100] * 4, [2000] * 4, 100),
    ],
)
def test_the_time_left_knows_of_a_limit(
    limit: int | None, rates: list[int], sizes: list[int], remaining: float
) -> None:
    assert limited(limit, rates, sizes).remaining == pytest.approx(remaining)
