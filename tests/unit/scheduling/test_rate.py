"""`--rate` and `--wait`: how attempts at one origin are spread over time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import UsageError
from pdl.model import Item, SafePath
from pdl.scheduling.governor import Governor
from pdl.scheduling.job import Job, Plan
from pdl.scheduling.rate import Spacing, spacing_of
from pdl.scheduling.schedule import Schedule
from pdl.settings import PaceSettings, Settings, check
from pdl.text.units import period_fault, period_of
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2/s", 0.5),
        ("5/15s", 3.0),
        ("100/m", 0.6),
        (" 1/0.5m ", 30.0),
        ("3600/h", 1.0),
        ("1/d", 86400.0),
        ("1000/s", 0.001),
    ],
)
def test_a_rate_is_so_many_seconds_from_one_to_the_next(text: str, seconds: float) -> None:
    assert period_of(text) == pytest.approx(seconds)
    assert period_fault(text) == ""


@pytest.mark.parametrize(
    "text", ["", "2", "2/", "/s", "0/s", "2/0s", "-1/s", "2/w", "2/ss", "2 / s", "1.5/s", "2/-1s"]
)
def test_what_is_no_rate_is_shown(text: str) -> None:
    assert period_fault(text).startswith(f"{text!r} is not a number of starts in a time")


@pytest.mark.parametrize(
    ("settings", "chance", "gap"),
    [
        (PaceSettings(rate="4/s"), 0.5, 0.25),
        (PaceSettings(wait=3.0), 0.0, 3.0),
        (PaceSettings(wait=3.0, random_wait=True), 0.0, 1.5),
        (PaceSettings(wait=3.0, random_wait=True), 0.5, 3.0),
        (PaceSettings(wait=3.0, random_wait=True), 1.0, 4.5),
        (PaceSettings(rate="1/4s", wait=3.0, random_wait=True), 0.0, 4.0),  # both hold
        (PaceSettings(rate="1/4s", wait=3.0, random_wait=True), 1.0, 4.5),
        (PaceSettings(wait=0.0), 0.0, 0.0),
    ],
)
def test_the_gap(settings: PaceSettings, chance: float, gap: float) -> None:
    spacing = spacing_of(settings)
    assert spacing is not None
    spacing._chance = lambda: chance
    assert spacing.started("h", 100.0) == pytest.approx(100.0 + gap)


def test_what_is_not_asked_for_is_not_there() -> None:
    assert spacing_of(PaceSettings()) is None
    with pytest.raises(UsageError, match="--random-wait needs a time"):
        check(Settings(pace=PaceSettings(rate="2/s", random_wait=True)))
    with pytest.raises(UsageError, match=r"pace\.rate: '2' is not a number of starts"):
        check(Settings(pace=PaceSettings(rate="2")))


# --- with the schedule ---


def job(number: int, host: str) -> Job:
    item, path = Item(f"http://{host}/{number}", source="list", line=number), SafePath(str(number))
    return Job(Plan(number, item, parse(item.url), number, host, path, path, f"{number}.part"))


def driven(schedule: Schedule, lanes: int, seconds: list[float]) -> Iterator[tuple[float, str]]:
    """When attempts begin, and where, if they take so long each; every third is made again."""
    now, attempts = 0.0, 0
    running: list[tuple[float, int, Job]] = []
    while not schedule.empty():
        for each in schedule.take(now, lanes - len(running)):
            yield now, each.host
            attempts += 1
            running.append((now + seconds[attempts % len(seconds)], attempts, each))
        times = [at for at, _, _ in running]
        due = schedule.next_due()
        if due is not None and len(running) < lanes:
            times.append(due)
        now = max(now, min(times))
        for end, attempt, each in [each for each in running if each[0] <= now]:
            running.remove((end, attempt, each))
            if attempt % 3 == 0:
                schedule.retry(each, now)
            else:
                schedule.done(each)


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=30),
    st.lists(st.floats(0.001, 2.0), min_size=1, max_size=5),
    st.integers(1, 8),
    st.sampled_from([0.1, 0.5, 3.0]),
)
def test_no_origin_is_asked_sooner_and_every_job_ends(
    hosts: list[str], seconds: list[float], lanes: int, gap: float
) -> None:
    schedule = Schedule(Governor(), Spacing(gap))
    for number, host in enumerate(hosts):
        schedule.add(job(number, host))
    starts = list(driven(schedule, lanes, seconds))
    assert len(starts) >= len(hosts)
    for host in set(hosts):
        times = [at for at, each in starts if each == host]
        assert all(later - earlier >= gap - 1e-9 for earlier, later in pairwise(times))


def test_one_origin_does_not_wait_for_another() -> None:
    schedule = Schedule(Governor(), Spacing(1.0))
    for number in range(12):
        schedule.add(job(number, "abcd"[number % 4]))
    starts = list(driven(schedule, 4, [0.01]))
    assert [at for at, host in starts if host == "d"][:2] == [0.0, 1.0]
