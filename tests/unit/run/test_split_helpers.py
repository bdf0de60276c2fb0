"""Whom helpers ask, and when they are to leave; the times are the test's, the boards are real."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

import pytest

from pdl.http_rules.ranges import Validator
from pdl.model import HELPS, HELPS_ELSEWHERE, Fail, FailureKind, Item, SafePath, Success, Task
from pdl.pool import Answered, Live
from pdl.run.helpers import Helpers
from pdl.run.in_flight import InFlight
from pdl.scheduling.governor import Governor
from pdl.scheduling.job import Job, Plan
from pdl.scheduling.origin import DOWN
from pdl.scheduling.range_map import Share
from pdl.scheduling.retry import Limits
from pdl.scheduling.schedule import Schedule
from pdl.scheduling.split import IDLE_SECONDS
from pdl.settings import FileSettings
from pdl.storage.helper_part import HelperPart
from pdl.storage.part import Part
from pdl.text.urls import parse, part_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pdl.pool import Pool

MIB = 1024 * 1024
SIZE = 1000 * MIB
DIGEST = f"sha256:{hashlib.sha256(b'it').hexdigest()}"
SECRET = (("X-Key", "secret"),)
A, B, C = "a.example", "b.example", "c.example"
JOBS = 8


def url(host: str) -> str:
    return f"http://{host}/file"


class Lanes:
    """A pool that begins whatever it is given."""

    def __init__(self) -> None:
        self.given: list[Task] = []
        self.lanes = JOBS

    def room(self) -> int:
        return self.lanes

    def submit(self, tasks: Sequence[Task]) -> None:
        self.given += tasks

    def resize(self, jobs: int) -> None:
        pass


class Place:
    """A file of one or more mirrors that is under way, slowly."""

    def __init__(self, where: Path, *others: str, split: int = 4, **item: object) -> None:
        (where / ".pdl").mkdir(exist_ok=True)
        self.where = where
        self.pool = Lanes()
        pool = cast("Pool", self.pool)  # what helpers use of it
        self.governor = Governor(Limits(jobs=JOBS, patience=120.0))
        self.schedule = Schedule(self.governor)
        self.jobs = InFlight(JOBS, pool, self.schedule)
        files = FileSettings(directory=str(where), split=split)
        self.helpers = Helpers(files, self.jobs, self.schedule, pool)
        self.now = 0.0
        self.job = self.begin(1, Item(url(A), tuple(map(url, others)), **item))  # type: ignore[arg-type]

    def begin(self, number: int, item: Item) -> Job:
        parsed = parse(item.url)
        path = SafePath(f"file{number}")
        part = part_name(parsed, path)
        plan = Plan(number, item, parsed, number, parsed.netloc, path, path, part)
        job = Job(plan)
        self.schedule.add(job)
        self.schedule.take(self.now, 1)
        return job

    def look(self, seconds: float = 1.0, got: Sequence[int] = ()) -> list[Task]:
        """The helpers that are begun, when so much time has passed, and some have got bytes."""
        before = len(self.pool.given)
        self.now += seconds
        live = [Live(1, int(self.now * MIB), SIZE), *(Live(each, 1, SIZE) for each in got)]
        self.helpers.look(self.now, live, stopping=False)
        return self.pool.given[before:]

    def begun(self) -> list[Task]:
        self.look()
        return self.look()

    def refuse(self, task: Task, kind: FailureKind = FailureKind.CONNECT) -> None:
        fail = Fail("fail", task.id, kind, transient=True, message=kind, status=404)
        self.helpers.take(Answered((fail,)))

    def end(self, task: Task, received: int = 1) -> None:
        done = Success("success", task.id, 206, task.url, received, received, 0, 1.0)
        self.helpers.take(Answered((done,)))


def hosts(tasks: Sequence[Task]) -> list[str]:
    return sorted(parse(task.url).netloc for task in tasks)


# --- whom they ask ---


def test_helpers_are_spread_over_the_mirrors(tmp_path: Path) -> None:
    place = Place(tmp_path, B, C, checksum=DIGEST, split=6)
    begun = place.begun()
    assert hosts(begun) == [A, B, B, C, C]
    assert {task.helps for task in begun if task.url != url(A)} == {HELPS_ELSEWHERE}
    assert {task.helps for task in begun if task.url == url(A)} == {HELPS}
    assert {task.part for task in begun} == {place.job.plan.part}


def test_without_a_digest_all_ask_the_same_url(tmp_path: Path) -> None:
    assert hosts(Place(tmp_path, B).begun()) == [A, A, A]


def test_a_mirror_is_shown_nothing_that_is_meant_for_another_origin(tmp_path: Path) -> None:
    place = Place(tmp_path, B, checksum=DIGEST, headers=SECRET)
    shown = {(parse(task.url).netloc, task.headers) for task in place.begun()}
    assert shown == {(A, SECRET), (B, ())}


@pytest.mark.parametrize(
    "trouble", ["down", "away until later", "given up", "failed for this file"]
)
def test_a_mirror_in_trouble_is_not_asked(tmp_path: Path, trouble: str) -> None:
    place = Place(tmp_path, B, checksum=DIGEST)
    origin = place.governor.origin(B)
    if trouble == "down":
        for _ in range(DOWN):
            place.helpers._health.failed(B, 0.0)
    elif trouble == "away until later":
        place.governor.pause(origin, 100.0)
    elif trouble == "given up":
        place.governor.give_up(origin, 0.0)
    else:
        assert place.job.mirrors is not None
        place.job.mirrors.fails[1] = Fail("fail", 1, FailureKind.HTTP, transient=False, message="")
    assert hosts(place.begun()) == [A, A, A]


def test_a_mirror_that_has_not_answered_yet_is_asked_little(tmp_path: Path) -> None:
    place = Place(tmp_path, B, checksum=DIGEST, split=8)
    begun = place.begun()
    assert hosts(begun).count(B) == 2
    at_b = [task for task in begun if task.url == url(B)]
    place.look(got=[at_b[0].id])
    for task in begun:
        if task.url == url(A):
            place.end(task)
    assert hosts(place.look()) == [A, A, A, B, B]


def test_a_mirror_that_refuses_is_not_asked_again_for_this_file(tmp_path: Path) -> None:
    place = Place(tmp_path, B, checksum=DIGEST)
    for task in place.begun():
        if task.url == url(B):
            place.refuse(task, FailureKind.HTTP)
    assert hosts(place.look()) == [A, A]


def test_a_mirror_that_never_answers_is_one_that_is_down(tmp_path: Path) -> None:
    place = Place(tmp_path, B, checksum=DIGEST)
    for _ in range(DOWN):
        for task in place.begun():
            if task.url == url(B):
                place.refuse(task)
        place.job.attempts += 1
    assert place.governor.origin(B).avoided(place.now)


# --- when they leave ---


def recalled(place: Place, helpers: Sequence[Task]) -> list[int]:
    """Which of some helpers are told to leave, as they learn it."""
    first = Part(str(place.where), place.job.plan.part)
    first.start()
    first.versioned(Validator(etag='"1"'), SIZE)
    first.share(SIZE, mixed=True)
    parts = {task.id: HelperPart(str(place.where), task.part, task.id) for task in helpers}
    try:
        for part in parts.values():
            assert part.join() is not None
            assert part.claim(Share(MIB)) is not None
        place.look()
        return [id_ for id_, part in parts.items() if part.recalled()]
    finally:
        for part in parts.values():
            part.close()
        first.leave(keep=False)


def test_as_long_as_all_is_well_none_leaves(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert recalled(place, place.begun()) == []


@pytest.mark.parametrize(("cap", "stay"), [(3, 2), (2, 1), (1, 0)])
def test_helpers_leave_when_a_host_is_asked_for_less(tmp_path: Path, cap: int, stay: int) -> None:
    place = Place(tmp_path)
    begun = place.begun()
    assert len(begun) == 3
    place.governor.origin(A).cap = cap
    assert recalled(place, begun) == [task.id for task in begun[stay:]]


def test_only_those_leave_that_ask_that_host(tmp_path: Path) -> None:
    place = Place(tmp_path, B, checksum=DIGEST)
    begun = place.begun()
    place.governor.origin(B).cap = 0
    assert recalled(place, begun) == [task.id for task in begun if task.url == url(B)]


def test_a_cut_that_a_failure_of_another_file_brings_takes_helpers_back(tmp_path: Path) -> None:
    place = Place(tmp_path)
    begun = place.begun()
    other = place.begin(2, Item(url(A)))
    fail = Fail("fail", 2, FailureKind.HTTP, transient=True, message="busy", status=503)
    assert place.governor.judge(other, fail, place.now, 0.5).cut
    assert place.governor.origin(A).cap == 1
    place.schedule.done(other)
    assert recalled(place, begun) == [task.id for task in begun]


def test_when_fewer_may_be_in_flight_helpers_leave(tmp_path: Path) -> None:
    place = Place(tmp_path)
    begun = place.begun()
    place.jobs.jobs = 3
    assert recalled(place, begun) == [begun[-1].id]


def test_one_that_has_left_is_not_one_that_was_refused(tmp_path: Path) -> None:
    place = Place(tmp_path)
    begun = place.begun()
    origin = place.governor.origin(A)
    before, origin.cap = origin.cap, 1
    assert len(recalled(place, begun)) == 3
    for task in begun:
        place.end(task, received=0)
    origin.cap = before
    assert len(place.look()) == 3


def test_one_that_found_nothing_to_do_is_not_followed_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.end(place.begun()[0], received=0)
    assert place.look(0.0) == []
    assert len(place.look(IDLE_SECONDS)) == 1
