"""The bar beside what was really left, in runs that are reckoned on a clock of their own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_up_runs import File, Look, Run
from pdl.model import Outcome
from pdl.output.display.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable

SKIPPED, UNCHANGED = Outcome.SKIPPED, Outcome.UNCHANGED


def mixed(count: int, speed: float = 4e6, seed: int = 1) -> list[File]:
    """Files of all sizes, most small, from hosts of all speeds."""
    rng = random.Random(seed)
    return [
        File(
            int(min(rng.lognormvariate(11, 1.3), 2e6)) + 200,
            speed * rng.uniform(0.5, 1.5),
            rng.uniform(0.005, 0.04),
        )
        for _ in range(count)
    ]


def large(seconds: float = 60.0, *, here: float = 0.0, drops: float = 0.0) -> File:
    """One on a slow connection; `here` and `drops` are parts of it."""
    size = int(seconds * 2e5)
    return File(
        size,
        2e5,
        0.02,
        here=int(size * here),
        drops=(int(size * drops), 8.0) if drops else None,
    )


def amid(files: list[File], place: int, *more: File) -> list[File]:
    """`files` with some more before that place."""
    return [*files[:place], *more, *files[place:]]


def marked(files: Iterable[File], how: Outcome, numbers: Iterable[int]) -> list[File]:
    """The files, those of these numbers settled otherwise than by fetching them."""
    chosen = set(numbers)
    return [each._replace(how=how) if n in chosen else each for n, each in enumerate(files)]


def off(looks: list[Look]) -> list[Look]:
    """What was wrong in the second half: by more than a factor of 1.5 and by more than a second."""
    end = looks[-1].at + looks[-1].truth
    return [
        look
        for look in looks
        if look.at >= end / 2
        and (
            look.left is None
            or not (
                look.truth / 1.5 <= look.left <= look.truth * 1.5
                or abs(look.left - look.truth) <= 1
            )
        )
    ]


FILES = mixed(3000)
SCENES = {
    "a slow one first": Run(amid(FILES, 0, large())),
    "a slow one in the middle": Run(amid(FILES, 1200, large())),
    "a slow one last": Run(amid(FILES, 3000, large())),
    "the same after a resume": Run(
        amid(marked(FILES, SKIPPED, range(2000)), 2000, large(here=0.4))
    ),
    "a resume, the slow one last": Run(
        amid(marked(FILES, SKIPPED, range(2000)), 3000, large(here=0.4))
    ),
    "most are there already": Run(
        marked(mixed(30_000), SKIPPED, (n for n in range(30_000) if n % 10))
    ),
    "the first are there already": Run(marked(mixed(50_000), SKIPPED, range(45_000))),
    "all hosts slow": Run(mixed(1500, speed=3e4)),
    "sizes are not told": Run([each._replace(told=False) for each in FILES]),
    "from a pipe": Run(amid(FILES, 0, large()), piped=True),
    "one at a time": Run(amid(mixed(1000), 400, large()), lanes=1),
    "nobody answers for a while": Run(FILES, outages=(15, 35)),
    "and one is slow": Run(amid(FILES, 0, large(80)), outages=(15, 35)),
    "the link is what is slow": Run([each._replace(speed=1e9) for each in FILES], link=8e6),
    "a limit, and a large one": Run(
        amid([each._replace(speed=1e9) for each in FILES], 0, File(300_000_000, 1e9)),
        link=8e6,
        limit=8_000_000,
    ),
    "few and large": Run([large(10 + n % 7) for n in range(100)]),
    "one file alone": Run([large()]),
    "one that breaks off": Run([large(drops=0.5)]),
    "a slow one that breaks off": Run(amid(FILES, 0, large(drops=0.6))),
    "slower as it goes on": Run([*mixed(2000), *mixed(1000, speed=4e5, seed=3)]),
    "only digested": Run([File(300_000_000, 3e8, 0, how=UNCHANGED)] * 500),
    "digested, then fetched": Run(
        [*[File(3_000_000, 3e8, 0, how=UNCHANGED)] * 1500, *mixed(1500, speed=1e6)]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_the_time_left_is_near_the_truth_in_the_second_half(name: str) -> None:
    looks = SCENES[name].watch(Tally())
    assert off(looks) == []
    assert max(look.percent for look in looks) < 100
    assert [look.percent for look in looks] == sorted(look.percent for look in looks)


def test_of_a_file_without_a_size_no_end_is_told() -> None:
    files = [each._replace(told=False) for each in amid(mixed(1000), 0, large(40))]
    looks = Run(files).watch(Tally())
    assert {look.left for look in looks if look.at > 20} == {None}


def test_what_nobody_can_know_is_too_low_only_until_the_slow_file_has_begun() -> None:
    looks = Run(amid(FILES, 3000, large(15))).watch(Tally())
    begun = looks[-1].at + looks[-1].truth - 15
    late = [look for look in looks if look.at > begun + 2]
    assert all(look.left == pytest.approx(look.truth, rel=0.1, abs=0.5) for look in late)


FILE = st.builds(
    File,
    size=st.integers(0, 3_000_000),
    speed=st.floats(1e5, 1e7),
    latency=st.floats(0, 2),
    told=st.booleans(),
    how=st.sampled_from([Outcome.SUCCESS, Outcome.SUCCESS, SKIPPED, UNCHANGED]),
    here=st.just(0),
    drops=st.none(),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(FILE, max_size=15), st.integers(1, 12), st.booleans())
def test_no_run_is_at_its_end_before_its_end(files: list[File], lanes: int, piped: bool) -> None:
    looks = Run(files, lanes=lanes, piped=piped).watch(Tally(), every=0.5)
    assert all(look.percent < 100 for look in looks)
    assert all(look.left is None or 0 <= look.left < 1e7 for look in looks)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2_000, 40_000),
    st.integers(1, 16),
    st.lists(st.integers(0, 299), max_size=150),
    st.booleans(),
)
def test_files_alike_take_the_time_that_is_told(
    size: int, lanes: int, there: list[int], told: bool
) -> None:
    alike = [File(size, 1e5, 0.01, told)] * 300
    looks = Run(marked(alike, SKIPPED, there), lanes=lanes).watch(Tally(), every=1.0)
    assert off(looks) == []
