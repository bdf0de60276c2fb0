"""The schedule: hosts in turn, retries at their time, every job in exactly one place."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pdl.model import Item, SafePath
from pdl.scheduling.governor import Governor
from pdl.scheduling.job import Job, Plan
from pdl.scheduling.retry import Limits
from pdl.scheduling.schedule import Schedule
from pdl.text.urls import parse

HOSTS = ["a", "b", "c"]


def job(name: str, number: int = 0) -> Job:
    """A job of the host that its name begins with."""
    item, path = Item(f"http://{name}/", source="list", line=number), SafePath(name)
    return Job(Plan(number, item, parse(item.url), number, name[:1], path, path, f"{name}.part"))


def limited(per_host: int | None) -> Schedule:
    return Schedule(Governor(Limits(per_host=per_host)))


def pause(schedule: Schedule, host: str, until: float) -> None:
    schedule.governor.pause(schedule.governor.origin(host), until)


def filled(names: str, per_host: int | None = None) -> Schedule:
    schedule = limited(per_host)
    for number, name in enumerate(names.split()):
        schedule.add(job(name, number))
    return schedule


def taken(schedule: Schedule, now: float = 0.0, limit: int = 99) -> str:
    return " ".join(each.path for each in schedule.take(now, limit))


def one(schedule: Schedule, now: float = 0.0) -> Job:
    (found,) = schedule.take(now, 1)
    return found


@pytest.mark.parametrize(
    ("added", "limit", "expected"),
    [
        ("", 5, ""),
        ("a1", 0, ""),
        ("a1 a2 a3", 2, "a1 a2"),
        ("a1 a2 a3", 9, "a1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", 9, "a1 b1 c1 a2 b2 a3"),
        ("a1 a2 b1", 2, "a1 b1"),
        ("b1 a1 a2 a3", 3, "b1 a1 a2"),
    ],
)
def test_hosts_take_turns(added: str, limit: int, expected: str) -> None:
    assert taken(filled(added), limit=limit) == expected


def test_turns_go_on_from_one_call_to_the_next() -> None:
    schedule = filled("a1 a2 a3 b1 b2 b3")
    assert [taken(schedule, limit=1) for _ in range(4)] == ["a1", "b1", "a2", "b2"]


def test_a_host_that_joins_gets_its_turn() -> None:
    schedule = filled("a1 a2 a3")
    assert taken(schedule, limit=1) == "a1"
    schedule.add(job("b1", 9))
    assert taken(schedule, limit=2) == "a2 b1"


def test_what_is_lent_counts_until_it_is_given_back() -> None:
    schedule = filled("a1 a2 a3 a4 b1", per_host=3)
    schedule.lend("a", 2)
    assert taken(schedule) == "a1 b1"
    assert not schedule.may_lend("a", 0.0)
    assert schedule.may_lend("b", 0.0)
    assert schedule.starved(0.0) == {"a": 2}
    pause(schedule, "a", 9.0)
    assert schedule.starved(0.0) == {}
    assert schedule.starved(9.0) == {"a": 2}
    schedule.lend("a", -2)
    assert taken(schedule, 10.0) == "a2 a3"


def test_without_a_limit_all_that_is_ready_could_be_in_flight() -> None:
    schedule = filled("a1 a2 a3")
    assert taken(schedule, limit=1) == "a1"
    assert schedule.starved(0.0) == {"a": 2}


@pytest.mark.parametrize(
    ("per_host", "expected"),
    [(1, "a1 b1"), (2, "a1 b1 a2"), (3, "a1 b1 a2 a3"), (None, "a1 b1 a2 a3")],
)
def test_per_host(per_host: int | None, expected: str) -> None:
    assert taken(filled("a1 a2 a3 b1", per_host)) == expected


def test_a_finished_job_makes_room_for_the_next_of_its_host() -> None:
    schedule = filled("a1 a2 b1", 1)
    first = schedule.take(0, 9)[0]
    assert taken(schedule) == ""
    schedule.done(first)
    assert taken(schedule) == "a2"


def test_a_retry_is_never_early_and_holds_no_place() -> None:
    schedule = filled("a1 a2", 1)
    schedule.retry(one(schedule), 10.0)
    assert taken(schedule, 9.0) == "a2"
    assert schedule.next_due() == 10.0
    schedule.done(schedule.flying(1))
    assert taken(schedule, 9.99) == ""
    assert taken(schedule, 10.0) == "a1"
    assert schedule.next_due() is None


def test_a_due_retry_goes_before_what_is_new_of_its_host() -> None:
    schedule = filled("a1 a2")
    schedule.retry(one(schedule), 1.0)
    assert taken(schedule, 1.0) == "a1 a2"


def test_retries_wake_in_the_order_of_their_times() -> None:
    schedule = filled("a1 b1 c1")
    first, second, third = schedule.take(0, 9)
    schedule.retry(first, 3.0)
    schedule.retry(second, 1.0)
    schedule.retry(third, 2.0)
    assert schedule.next_due() == 1.0
    assert [taken(schedule, now) for now in (0.5, 1.0, 2.0, 3.0)] == ["", "b1", "c1", "a1"]


def test_what_is_ready_for_a_host_can_be_sent_to_another() -> None:
    schedule = filled("a1 b1 a2 a3 c1", 1)
    flying = one(schedule)

    def aim(waiting: Job) -> None:
        waiting.host = "b" if waiting.path == "a2" else waiting.host

    schedule.move(schedule.governor.origin("a"), aim)
    schedule.move(schedule.governor.origin("nobody"), aim)
    assert schedule.backlog() == 4
    assert taken(schedule) == "b1 c1"
    schedule.done(flying)
    assert taken(schedule) == "a3"
    schedule.done(schedule.flying(1))
    assert taken(schedule) == "a2"
    assert schedule.backlog() == 0


def test_what_was_put_back_is_the_next_of_its_host() -> None:
    schedule = filled("a1 a2")
    schedule.put_back(one(schedule))
    assert taken(schedule) == "a1 a2"


def test_a_paused_host_is_not_asked() -> None:
    schedule = filled("a1 a2 b1")
    pause(schedule, "a", 5.0)
    assert taken(schedule, 4.9) == "b1"
    assert schedule.next_due() == 5.0
    assert taken(schedule, 5.0) == "a1 a2"


@pytest.mark.parametrize("pauses", [(5.0, 3.0), (3.0, 5.0)])
def test_the_longest_pause_counts(pauses: tuple[float, float]) -> None:
    schedule = filled("a1")
    for until in pauses:
        pause(schedule, "a", until)
    assert taken(schedule, 4.0) == ""
    assert taken(schedule, 5.0) == "a1"


def test_a_pause_of_a_host_with_nothing_to_do_wakes_nobody() -> None:
    schedule = filled("a1")
    pause(schedule, "b", 5.0)
    assert schedule.next_due() is None


def test_a_pause_that_is_over_wakes_nobody_while_its_host_is_busy() -> None:
    schedule = filled("a1 a2", 1)
    one(schedule)
    pause(schedule, "a", 5.0)
    assert taken(schedule, 6.0) == ""
    assert schedule.next_due() is None


def test_flying_knows_only_what_flies() -> None:
    schedule = filled("a1")
    with pytest.raises(KeyError):
        schedule.flying(0)
    found = one(schedule)
    assert schedule.flying(0) is found
    schedule.done(found)
    with pytest.raises(KeyError):
        schedule.flying(0)


def test_drop_gives_what_does_not_fly_and_drop_flying_the_rest() -> None:
    schedule = filled("a1 a2 b1 b2")
    flying, waiting = schedule.take(0, 2)
    schedule.retry(waiting, 9.0)
    assert [each.path for each in schedule.drop()] == ["a2", "b2", "b1"]
    assert list(schedule.drop_flying()) == [flying]
    assert schedule.empty()
    assert schedule.backlog() == schedule.in_flight() == 0
    assert taken(schedule, 99.0) == ""


DELAYS = st.sampled_from([0.0, 0.5, 1.0, 3.0]) | st.floats(0, 5)


class ScheduleMachine(RuleBasedStateMachine):
    """Drives a schedule at random beside a model that knows where each job must be."""

    def __init__(self) -> None:
        super().__init__()
        self.per_host = 2
        self.schedule = limited(self.per_host)
        self.now = 0.0
        self.count = 0
        self.ready: set[int] = set()
        self.flying: dict[int, Job] = {}
        self.waiting: dict[int, float] = {}
        self.paused: dict[str, float] = {}
        self.hosts: dict[int, str] = {}
        self.ended: list[int] = []

    @rule(host=st.sampled_from(HOSTS))
    def add(self, host: str) -> None:
        self.schedule.add(job(host, self.count))
        self.hosts[self.count] = host
        self.ready.add(self.count)
        self.count += 1

    @rule(seconds=DELAYS)
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(limit=st.integers(0, 5))
    def take(self, limit: int) -> None:
        jobs = self.schedule.take(self.now, limit)
        assert len(jobs) <= limit
        for each in jobs:
            number = each.plan.id
            if number in self.waiting:
                assert self.waiting.pop(number) <= self.now
            else:
                self.ready.remove(number)
            assert self.paused.get(each.host, 0.0) <= self.now
            self.flying[number] = each
        woken = [number for number, at in self.waiting.items() if at <= self.now]
        for number in woken:
            del self.waiting[number]
            self.ready.add(number)
        if len(jobs) < limit:
            assert all(self.held(self.hosts[number]) for number in self.ready)

    def held(self, host: str) -> bool:
        busy = sum(self.hosts[number] == host for number in self.flying)
        return busy >= self.per_host or self.paused.get(host, 0.0) > self.now

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), how=st.sampled_from(["done", "put back", "retry"]), delay=DELAYS)
    def come_back(self, data: st.DataObject, how: str, delay: float) -> None:
        number = data.draw(st.sampled_from(sorted(self.flying)))
        back = self.flying.pop(number)
        assert self.schedule.flying(number) is back
        if how == "done":
            self.schedule.done(back)
            self.ended.append(number)
        elif how == "put back":
            self.schedule.put_back(back)
            self.ready.add(number)
        else:
            self.schedule.retry(back, self.now + delay)
            self.waiting[number] = self.now + delay

    @rule(host=st.sampled_from(HOSTS), delay=st.floats(0, 5))
    def pause(self, host: str, delay: float) -> None:
        pause(self.schedule, host, self.now + delay)
        self.paused[host] = max(self.now + delay, self.paused.get(host, 0.0))

    @invariant()
    def every_job_is_in_one_place(self) -> None:
        assert self.schedule.backlog() == len(self.ready) + len(self.waiting)
        assert self.schedule.in_flight() == len(self.flying)
        assert self.schedule.empty() == (len(self.ended) == self.count)

    @invariant()
    def no_host_has_too_many(self) -> None:
        for host in HOSTS:
            busy = sum(self.hosts[number] == host for number in self.flying)
            assert busy <= self.per_host

    @invariant()
    def something_is_due_while_anything_waits(self) -> None:
        due = self.schedule.next_due()
        assert due is not None or not self.waiting
        if due is not None and self.waiting:
            assert due <= min(self.waiting.values())

    def teardown(self) -> None:
        for _ in range(4 * self.count + 4):
            self.now += 10
            for each in self.schedule.take(self.now, 5):
                self.flying[each.plan.id] = each
            for number, each in self.flying.items():
                self.schedule.done(each)
                self.ended.append(number)
            self.flying.clear()
        assert sorted(self.ended) == list(range(self.count))
        assert self.schedule.empty()


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_asks_no_host_is_not_held_to_a_hosts_limit() -> None:
    schedule = filled("a1 a2", per_host=1)
    for number in range(3):
        local = job("c1", 10 + number)
        local.host = ""
        schedule.add(local)
    assert len(schedule.take(0.0, 99)) == 4


# --- what is given up ---


def given_up(names: str) -> tuple[Schedule, Governor]:
    """A schedule whose host a is given up; one of its jobs flies, one waits."""
    governor = Governor(Limits(jobs=8, patience=10.0))
    schedule = Schedule(governor)
    for number, name in enumerate(names.split()):
        schedule.add(job(name, number))
    first, _ = schedule.take(0.0, 2)
    schedule.retry(first, 5.0)
    governor.give_up(governor.origin("a"), 1.0)
    schedule.abandon(governor.origin("a"))
    return schedule, governor


def lost(schedule: Schedule, now: float) -> str:
    return " ".join(each.path for each in iter(lambda: schedule.next_lost(now), None))


def test_all_of_a_host_that_is_given_up_is_lost_at_once() -> None:
    schedule, _ = given_up("a1 a2 a3 a4")
    assert schedule.backlog() == 3
    assert schedule.next_due() is None
    assert not schedule.empty()
    schedule.add(job("a5", 9))
    assert lost(schedule, 2.0) == "a3 a4 a1 a5"
    schedule.put_back(schedule.flying(1))
    assert lost(schedule, 2.0) == "a2"
    assert schedule.empty()


def test_one_line_tries_it_now_and_then_and_the_others_come_back_with_it() -> None:
    schedule, governor = given_up("a1 a2 a3 a4")
    schedule.done(schedule.flying(1))
    assert lost(schedule, 31.0) == "a4 a1"
    assert taken(schedule, 31.0) == "a3"
    schedule.add(job("a5", 9))
    schedule.add(job("a6", 10))
    governor.good(schedule.flying(2), 32.0)
    schedule.done(schedule.flying(2))
    assert lost(schedule, 32.0) == ""
    assert taken(schedule, 32.0) == "a5"


def test_what_is_lost_is_dropped_with_the_rest() -> None:
    schedule, _ = given_up("a1 a2 a3")
    assert [each.path for each in schedule.drop()] == ["a3", "a1"]
    assert [each.path for each in schedule.drop_flying()] == ["a2"]
    assert schedule.empty()


def test_what_is_paced_is_started_one_after_the_other() -> None:
    class EachSecond:
        def started(self, host: str, now: float) -> float:  # noqa: ARG002
            return now + 1.0

    schedule = Schedule(Governor(), EachSecond())
    for number, name in enumerate(("a1", "a2", "a3", "b1")):
        schedule.add(job(name, number))
    assert taken(schedule, 0.0) == "a1 b1"
    assert taken(schedule, 0.9) == ""
    assert schedule.next_due() == 1.0
    assert taken(schedule, 1.0) == "a2"
    assert taken(schedule, 2.5) == "a3"
