"""``-j auto``: how many are in flight, over links and hosts of every kind on a virtual clock."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdl.scheduling.auto_jobs import LOOK_SECONDS, AutoJobs
from pdl.settings import AUTO_FIRST, AUTO_MOST
from virtual_links import Link, Run

FIXED = (8, 16, 32, 64, 128, 256)


class Case(NamedTuple):
    """A link, and what is to come of it.

    Attributes:
        files: how many are fetched.
        ratio: of the time to that of the best of `FIXED`, at the most.
        least, most: where the number is to be at the end.
    """

    link: Link
    files: int
    ratio: float
    least: int
    most: int


CASES = {
    "50 ms away": Case(Link(latency=0.05), 8_000, 1.45, 256, 256),
    "500 ms away": Case(Link(latency=0.5), 10_000, 1.5, 192, 256),
    "5 ms away": Case(Link(latency=0.005), 8_000, 1.2, 32, 128),
    "50 ms away, more or less": Case(Link(latency=0.05, jitter=0.9), 8_000, 1.4, 192, 256),
    "as fast as this machine": Case(Link(cpu=1e-4), 8_000, 1.02, 8, 12),
    "a slow server": Case(Link(latency=0.02, cpu=1e-3), 8_000, 1.1, 16, 40),
    "a narrow link, small files": Case(
        Link(latency=0.02, bandwidth=1e7, size=1e5, spread=0.9), 3_000, 1.02, 8, 64
    ),
    "a narrow link, large files": Case(
        Link(latency=0.02, bandwidth=1e7, size=1e7, spread=0.9), 300, 1.02, 8, 27
    ),
    "so much for each connection, large files": Case(
        Link(latency=0.05, bandwidth=1e8, each=1e6, size=1e7, spread=0.5), 1_000, 1.1, 80, 256
    ),
    "so much for each connection": Case(
        Link(latency=0.05, bandwidth=5e7, each=1e6, size=1e6, spread=0.5), 2_000, 1.2, 60, 256
    ),
    "a host that bears six": Case(Link(latency=0.05, bears=6), 2_000, 1.01, 8, 8),
    "some of all": Case(
        Link(0.1, 0.5, 5e-4, bandwidth=2e7, each=2e6, size=3e5, spread=0.9), 4_000, 1.1, 16, 64
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_it_is_about_as_fast_as_the_best_number(name: str) -> None:
    case = CASES[name]
    best = min(Run(case.link, case.files, jobs=jobs).run() for jobs in FIXED)
    run = Run(case.link, case.files, auto=AutoJobs())
    assert run.run() <= case.ratio * best, run.levels
    assert case.least <= run.jobs <= case.most, run.levels


def test_it_doubles_every_few_round_trips() -> None:
    run = Run(Link(latency=0.1), 100_000, auto=AutoJobs(), until=2.0)
    run.run()
    times = {jobs: at for at, jobs in run.levels}
    assert list(times) == [8, 16, 32, 64, 128, 256]
    assert times[256] < 20 * 0.1


links = st.builds(
    Link,
    latency=st.floats(0.001, 1.0),
    jitter=st.floats(0.0, 0.9),
    cpu=st.floats(1e-4, 5e-3),
    bandwidth=st.floats(1e6, 1e9),
    each=st.floats(1e5, 1e9),
    size=st.floats(1e2, 1e6),
    spread=st.floats(0.0, 0.9),
    bears=st.integers(1, 300),
)


@settings(max_examples=30)
@given(link=links, most=st.integers(1, 300), seed=st.integers(0, 1000))
def test_it_stays_between_its_bounds(link: Link, most: int, seed: int) -> None:
    run = Run(link, 3_000, auto=AutoJobs(most), seed=seed)
    run.run()
    levels = [jobs for _, jobs in run.levels]
    assert levels[0] == min(AUTO_FIRST, most)
    assert min(levels) == levels[0]
    assert max(levels) <= most


@settings(max_examples=20)
@given(link=links, seed=st.integers(0, 1000))
def test_it_is_never_slower_than_the_usual_number(link: Link, seed: int) -> None:
    fixed = Run(link, 3_000, jobs=AUTO_FIRST, seed=seed).run()
    assert Run(link, 3_000, auto=AutoJobs(), seed=seed).run() <= 1.1 * fixed


@pytest.mark.slow
@settings(max_examples=15)
@example(latency=0.25, jitter=0.00390625, cpu=0.000637898978744037, seed=0)  # fell back once
@given(
    latency=st.floats(0.01, 0.3),
    jitter=st.floats(0.0, 0.9),
    cpu=st.floats(2e-4, 2e-3),
    seed=st.integers(0, 1000),
)
def test_its_trials_cost_little(latency: float, jitter: float, cpu: float, seed: int) -> None:
    """In the second half of a run it is as fast as where it stands when all is done.

    The climb takes so many round trips: a run of a link that is far away is to be as much longer.
    """
    link = Link(latency, jitter, cpu)
    files = int(8_000 * max(1.0, latency / 0.1))
    run = Run(link, files, auto=AutoJobs(), seed=seed)
    half = run.run() / 2
    stands = max(run.levels, key=lambda level: held(run, level))[1]
    fixed = Run(link, files, jobs=stands, seed=seed)
    end = fixed.run()
    assert run.pace(half, run.now) >= 0.85 * fixed.pace(end / 2, end), run.levels


def held(run: Run, level: tuple[float, int]) -> float:
    """Seconds for which that level held."""
    later = [at for at, _ in run.levels if at > level[0]]
    return min(later, default=run.now) - level[0]


def test_it_falls_back_where_less_is_as_fast() -> None:
    """A link that was wide becomes narrow."""

    def link(now: float) -> Link:
        return Link(latency=0.05, bandwidth=1e9 if now < 3 else 1e6, size=1e4)

    run = Run(link, 1 << 60, auto=AutoJobs(), until=300.0)
    run.run()
    wide = [jobs for at, jobs in run.levels if at < 3]
    assert max(wide) == AUTO_MOST
    assert run.jobs <= 64, run.levels


@pytest.mark.slow
def test_it_finds_what_has_become_more() -> None:
    """A link that was narrow becomes wide."""

    def link(now: float) -> Link:
        return Link(latency=0.2, bandwidth=1e6 if now < 40 else 1e9, size=1e4)

    run = Run(link, 1 << 60, auto=AutoJobs(), until=120.0)
    run.run()
    narrow = [jobs for at, jobs in run.levels if 20 < at < 40]
    assert max(narrow, default=8) <= 64, run.levels
    assert run.jobs >= 192, run.levels


def test_nothing_is_learnt_while_fewer_are_in_flight_than_may_be() -> None:
    auto = AutoJobs()
    for turn in range(10_000):
        now = turn * LOOK_SECONDS
        assert auto.look(now, turn * 10, turn * 1000, in_flight=7) == 8
        assert auto.due > now
