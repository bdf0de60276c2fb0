"""What a host bears and how long it is waited for, on a virtual clock: hosts of every temper."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marks import slow
from pdl.model import Fail, FailureKind
from pdl.scheduling.governor import Governor
from pdl.scheduling.job import Job
from pdl.scheduling.origin import Origin
from pdl.scheduling.retry import Limits
from pdl.scheduling.schedule import Schedule
from virtual_hosts import (
    LOOKAHEAD,
    TEMPERS,
    Bearing,
    Came,
    Counting,
    Dead,
    Host,
    Leaving,
    Named,
    Run,
    mixed,
    plan,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENT = Limits(jobs=8, patience=120.0)


class Refusing(Host):
    """Answers so many, and refuses connections from then on."""

    def __init__(self, good: int, kind: FailureKind = FailureKind.CONNECT) -> None:
        super().__init__(random.Random(0))
        self.good, self.kind = good, kind

    def meet(self, now: float) -> Came:  # noqa: ARG002
        self.good -= 1
        status = 503 if self.kind is FailureKind.HTTP else None
        return Came(0.05) if self.good >= 0 else Came(0.01, self.kind, status)


def bearing(most: int, *, resets: bool = False) -> Bearing:
    host = Bearing(random.Random(1))
    host.most, host.resets = most, resets
    return host


def leaving(start: float, seconds: float, kind: FailureKind = FailureKind.CONNECT) -> Leaving:
    host = Leaving(random.Random(1))
    host.from_, host.seconds, host.every, host.kind = start, seconds, 1e9, kind
    return host


def counting(per: int, window: float, *, tells: bool) -> Counting:
    host = Counting(random.Random(1))
    host.per, host.window, host.tells = per, window, tells
    return host


def run(host: Host, count: int, limits: Limits = PATIENT) -> Run:
    made = Run({"h": host}, ["h"] * count, limits)
    made.run()
    return made


def ends(made: Run) -> Counter[str]:
    return Counter(made.ended.values())


# --- what a host bears ---


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("most", [1, 2, 4, 16, 31])
@pytest.mark.parametrize("jobs", [8, 32, 256])
def test_a_host_that_bears_few_gives_every_file(most: int, jobs: int, resets: bool) -> None:
    made = run(bearing(most, resets=resets), 400, PATIENT._replace(jobs=jobs))
    assert ends(made) == {"success": 400}
    late = sum(made.attempts.values()) - 400
    assert late <= 2 * jobs + 3 * most + 12
    assert made.now < 3.5 * 400 * 0.11 / min(most, jobs) + 8


def test_what_a_host_bears_is_used() -> None:
    """The share rises again: a host that once refused some is not left at one at a time."""
    made = run(bearing(6), 2000, PATIENT._replace(jobs=32))
    assert made.now < 1.5 * 2000 * 0.11 / 6


def test_one_cut_for_all_that_was_started_before_it() -> None:
    made = run(leaving(2.0, 0.005), 2000, PATIENT._replace(jobs=64))
    assert ends(made) == {"success": 2000}
    cuts = [each for each in made.governor.news if each.what == "cut"]
    assert [each.message for each in cuts] == ["h is asked for 32 at once (connect)"]
    assert [(each.host, each.why, each.jobs) for each in cuts] == [("h", "connect", 32)]


def test_a_cut_is_half_of_what_is_in_flight_however_many_that_has_become() -> None:
    governor = Governor(Limits(8, patience=60))
    schedule = Schedule(governor)
    for number in range(40):
        schedule.add(Job(plan(number, "h")))
    first, *_ = schedule.take(0.0, 1)
    governor.good(first, 1.0)
    governor.resize(40)
    taken = schedule.take(2.0, 40)
    assert len(taken) == 39
    refused = Fail(
        "fail",
        taken[0].plan.id,
        FailureKind.HTTP,
        transient=True,
        message="",
        status=503,
        first=0.1,
    )
    assert governor.judge(taken[0], refused, 3.0, 0.5).cut
    origin = governor.origin("h")
    assert origin.cap == 20


@pytest.mark.parametrize("per_host", [1, 3, 8])
def test_per_host_is_the_ceiling(per_host: int) -> None:
    limits = PATIENT._replace(jobs=32, per_host=per_host)
    for host in (Host(random.Random(1)), bearing(2), leaving(1.0, 3.0)):
        made = run(host, 300, limits)
        assert ends(made) == {"success": 300}
        assert made.most["h"] <= per_host


# --- outages ---


@pytest.mark.parametrize("jobs", [1, 8, 64])
@pytest.mark.parametrize("seconds", [0.3, 6.0, 60.0, 110.0])
@pytest.mark.parametrize("kind", [FailureKind.CONNECT, FailureKind.RESET, FailureKind.HTTP])
def test_an_outage_loses_nothing(seconds: float, kind: FailureKind, jobs: int) -> None:
    made = run(leaving(1.0, seconds, kind), 600, PATIENT._replace(jobs=jobs))
    assert ends(made) == {"success": 600}
    assert sum(made.attempts.values()) <= 600 + 3 * jobs + 30


@pytest.mark.parametrize("patience", [3.0, 10.0, 120.0])
def test_patience_ends(patience: float) -> None:
    made = run(Refusing(100), 400, PATIENT._replace(patience=patience))
    assert sum(how == "success" for how in made.ended.values()) == 100
    assert patience <= made.now - 0.7 <= patience + 2
    (row,) = made.governor.rows(0.0)
    assert row.given_up == 300
    assert "--host-patience" in row.reason


def test_a_retry_after_stops_the_clock_of_patience() -> None:
    class Told(Refusing):
        def meet(self, now: float) -> Came:
            came = super().meet(now)
            return Came(0.01, FailureKind.HTTP, 503, 20.0) if now < 100 and came.kind else came

    host = Told(50)
    made = Run({"h": host}, ["h"] * 100, PATIENT._replace(patience=5.0))
    with pytest.raises(AssertionError, match="it does not end"):
        made.run(until=99.0)
    assert "success" in made.ended.values()
    assert len(host.asked) < 50 + 8 + 20


def test_a_server_that_always_says_later_ends_as_well() -> None:
    class Later(Refusing):
        def meet(self, now: float) -> Came:
            came = super().meet(now)
            return Came(0.01, FailureKind.HTTP, 503, 1.0) if came.kind else came

    made = run(Later(20), 40, PATIENT._replace(patience=10.0))
    assert len(made.ended) == 40
    assert made.now < 60


# --- servers that count ---


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("per", [10, 20, 50])
def test_a_server_that_counts_is_hardly_asked_in_vain(per: int, tells: bool) -> None:
    made = run(counting(per, 2.0, tells=tells), 20 * per)
    assert ends(made) == {"success": 20 * per}
    windows = 20
    assert sum(made.attempts.values()) - 20 * per <= windows + 8


# --- hosts that never answer ---


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (FailureKind.TIMEOUT, 60.0),
        (FailureKind.CONNECT, 0.01),
        (FailureKind.DNS, 0.01),
        (FailureKind.HTTP, 0.05),
    ],
)
@pytest.mark.parametrize("jobs", [8, 32, 256])
def test_a_dead_host_ends_in_the_time_of_one_of_its_lines(
    kind: FailureKind, seconds: float, jobs: int
) -> None:
    def dead() -> Dead:
        host = Dead(random.Random(1))
        host.kind, host.seconds = kind, seconds
        return host

    one = run(dead(), 1, PATIENT._replace(jobs=jobs))
    many = run(dead(), 1000, PATIENT._replace(jobs=jobs))
    assert len(many.ended) == 1000
    assert sum(many.attempts.values()) <= 40
    assert many.now <= one.now + 4.0
    assert one.attempts[0] == (1 if kind is FailureKind.DNS else 4)


def test_a_dead_host_holds_up_no_other() -> None:
    dice = random.Random(3)
    live = {f"l{n}": Host(random.Random(n)) for n in range(9)}
    dead = Dead(random.Random(1))
    dead.kind, dead.seconds = FailureKind.TIMEOUT, 60.0
    alone = Run(live, mixed(live, 100, dice), PATIENT)
    alone.run()
    for lines in (["d"] * 1000 + mixed(live, 100, dice), mixed([*live, "d"], 100, dice)):
        beside = Run({**live, "d": dead}, lines, PATIENT)
        beside.run()
        # two of the eight lanes are the dead one's
        assert max(beside.ends[name] for name in live) <= alone.now * 8 / 6 + 1


def test_one_that_is_given_up_is_tried_now_and_then_and_comes_back() -> None:
    class Back(Host):
        def meet(self, now: float) -> Came:
            return Came(0.05) if now > 100 else Came(0.01, FailureKind.CONNECT)

    class Slow(Host):
        def took(self) -> float:
            return 1.0

    hosts = {"h": Back(random.Random(1)), "s": Slow(random.Random(1))}
    # more than is read ahead
    made = Run(hosts, ["s"] * 600 + ["h", "s"] * 3000, PATIENT)
    made.far = LOOKAHEAD
    made.run()
    given_up = hosts["h"].asked[7]
    probes = [at - given_up for at in hosts["h"].asked[8:] if at <= 101]
    assert 1 <= len(probes) <= 2
    assert probes[0] >= 30
    assert ends(made)["success"] > 3600
    assert any(each.what == "back" for each in made.governor.news)


# --- name servers ---


def named(count: int, down: Callable[[float], bool]) -> dict[str, Host]:
    """Hosts whose names cannot be looked up now and then."""
    hosts: dict[str, Host] = {}
    for number in range(count):
        host = hosts[f"n{number:03}"] = Named(random.Random(number))
        host.down = down
    return hosts


def during(start: float, seconds: float) -> Callable[[float], bool]:
    return lambda now: start <= now < start + seconds


@pytest.mark.parametrize("jobs", [1, 8, 64])
@pytest.mark.parametrize("count", [2, 20, 300])
@pytest.mark.parametrize("seconds", [0.3, 6.0, 60.0, 110.0])
def test_name_servers_that_fail_for_a_while_lose_nothing(
    seconds: float, count: int, jobs: int
) -> None:
    """Whether the hosts have been met before, are new, or were forgotten."""
    hosts = named(count, during(0.5, seconds))
    lines = [name for name in hosts for _ in range(20 if count < 300 else 4)]
    if count == 2:  # a name that alone is not found may be in trouble of its own
        lines = lines[:30] if seconds < 12 else lines[:20]
    made = Run(hosts, lines, PATIENT._replace(jobs=jobs))
    made.run()
    assert ends(made) == {"success": len(lines)}
    rests = 4 + seconds / 10
    assert sum(made.attempts.values()) <= len(lines) + 2 * min(jobs, count) + rests * (jobs + 2)
    assert made.now < seconds + 40 + len(lines) * 0.13 / min(jobs, 2)


@pytest.mark.parametrize("patience", [20.0, 120.0])
def test_name_servers_are_waited_for_no_longer_than_a_host(patience: float) -> None:
    hosts = named(300, during(1.0, 1e9))
    lines = [name for name in hosts for _ in range(4)]
    made = Run(hosts, lines, PATIENT._replace(patience=patience))
    made.run()
    assert set(made.ended.values()) == {"success", "dns", "lost"}
    assert patience < made.now < patience + 120
    assert sum(made.attempts.values()) < ends(made)["success"] + 300 * 12


def test_where_no_name_was_ever_found_the_retries_decide() -> None:
    one, many = (Run(named(1, lambda _: True), ["n000"] * lines, PATIENT) for lines in (1, 1000))
    one.run()
    many.run()
    assert one.attempts[0] == 4
    assert len(many.ended) == 1000
    assert sum(many.attempts.values()) <= 40
    assert many.now <= one.now + 4.0 < 10


@pytest.mark.parametrize("others", [1, 9])
def test_a_name_that_alone_cannot_be_found_ends_soon(others: int) -> None:
    """It is rather the name than the name servers; the others end as if it were not there."""
    live = {f"l{n}": Host(random.Random(n)) for n in range(others)}
    alone = Run(live, mixed(live, 100, random.Random(3)), PATIENT)
    alone.run()
    lines = mixed(live, 50, random.Random(3)) + ["n000"] * 1000
    lines += mixed(live, 50, random.Random(3))
    made = Run({**live, **named(1, lambda _: True)}, lines, PATIENT)
    made.run()
    assert ends(made)["success"] == 100 * others
    assert max(made.ends[name] for name in live) <= alone.now * 8 / 6 + 1
    assert made.attempts.total() - 100 * others <= 40
    assert made.now < alone.now + 15 + 10


def test_a_name_is_to_blame_where_others_are_found_meanwhile() -> None:
    bad = named(1, lambda _: True)
    live = {f"l{n:03}": Host(random.Random(n)) for n in range(200)}
    lines = mixed(live, 60, random.Random(3))
    lines[100:100] = ["n000"] * 20
    made = Run({**live, **bad}, lines, PATIENT._replace(jobs=64))
    made.run()
    assert ends(made)["success"] == 12000
    assert made.attempts.total() - 12000 <= 40
    told = [each.what for each in made.governor.news if each.host == "n000"]
    assert told.count("rest") <= 1  # until the next name is found
    assert told[-1] == "given-up"
    assert made.ends["n000"] < 10


def test_new_connections_that_find_no_name_cost_nothing_while_others_are_open() -> None:
    """Nor do they make the host rest: what needs no look-up goes on."""

    class Open(Host):
        def meet(self, now: float) -> Came:
            if 2.0 <= now < 40.0 and self.dice.random() < 0.3:
                return Came(0.01, FailureKind.DNS, again=True)
            return Came(self.took())

    made = run(Open(random.Random(1)), 4000, PATIENT._replace(retries=1))
    assert ends(made) == {"success": 4000}
    assert {each.what for each in made.governor.news} <= {"uncut"}
    assert made.now < 4000 * 0.11 / 8 * 1.2


@pytest.mark.parametrize(
    ("host", "looked_up"),
    [
        *(("h", True), ("example.org:443", True), ("1.example.org:80", True), ("h1:80", True)),
        *(
            ("127.0.0.1:80", False),
            ("[::1]:80", False),
            ("localhost:80", False),
            ("[fe80::1%25lo]:80", False),
        ),
    ],
)
def test_what_has_to_be_looked_up(host: str, looked_up: bool) -> None:
    assert Origin(host, 1).named() is looked_up


def test_an_address_that_answers_is_no_name_that_was_found() -> None:
    hosts = {**named(1, lambda _: True), "127.0.0.1:80": Host(random.Random(1))}
    made = Run(hosts, ["127.0.0.1:80"] * 50 + ["n000"], PATIENT)
    made.run()
    assert made.attempts[50] == 4


def test_a_name_that_is_found_again_costs_its_host_nothing() -> None:
    """It is soon asked for as many as before, for it never had too much."""
    hosts = named(1, during(0.0, 10.0))
    hosts["l"] = Host(random.Random(1))
    made = Run(hosts, ["l"] * 30 + ["n000"] * 3000, PATIENT._replace(jobs=32))
    made.run()
    assert ends(made) == {"success": 3030}
    # before any name was found, it might have been a host that is not there
    told = [each.what for each in made.governor.news if each.host == "n000"]
    assert told == ["cut", "rest", "back", "uncut"]
    assert made.now < 16 + 3000 * 0.11 / 32 * 1.05


# --- the file's own trouble ---


def test_a_file_that_alone_gets_503_ends_by_its_own_retries() -> None:
    host = Host(random.Random(1))
    host.bad = {7}
    made = run(host, 50)
    assert ends(made) == {"success": 49, "503": 1}
    assert made.now < 30


WORST = {
    "503": Came(0.05, FailureKind.HTTP, 503),
    "503 later": Came(0.05, FailureKind.HTTP, 503, 1.0),
    "429": Came(0.05, FailureKind.HTTP, 429),
    "429 later": Came(0.05, FailureKind.HTTP, 429, 1.0),
    "silence": Came(2.0, FailureKind.TIMEOUT),
    "reset": Came(0.01, FailureKind.RESET),
    "connect": Came(0.01, FailureKind.CONNECT),
}


@pytest.mark.parametrize("worst", WORST)
@pytest.mark.parametrize("jobs", [1, 2, 8, 64])
@pytest.mark.parametrize("count", [12, 60, 1000])
def test_one_bad_file_costs_no_other(worst: str, jobs: int, count: int) -> None:
    host = Host(random.Random(1))
    good = run(host, count, PATIENT._replace(jobs=jobs)).now
    host = Host(random.Random(1))
    host.bad, host.worst = {7}, WORST[worst]
    made = run(host, count, PATIENT._replace(jobs=jobs))
    assert ends(made)["success"] == count - 1
    assert len(made.ended) == count
    assert made.attempts[7] < 200
    if worst in {"503", "silence", "reset"}:  # else its host may have said so, or be away
        assert made.now < good + 30
    elif worst != "connect" and jobs < count == 60:  # others are served that begin after it
        assert made.now < good + 60
        assert made.attempts[7] < 20


@pytest.mark.parametrize("worst", ["503", "503 later", "429 later", "silence", "reset"])
@pytest.mark.parametrize("jobs", [2, 8, 64])
@pytest.mark.parametrize("count", [8, 60, 1000])
def test_the_last_file_that_alone_is_refused_ends_by_its_own_retries(
    worst: str, jobs: int, count: int
) -> None:
    host = Host(random.Random(1))
    good = run(host, count, PATIENT._replace(jobs=jobs)).now
    host = Host(random.Random(1))
    host.bad, host.worst = {count - 1}, WORST[worst]
    made = run(host, count, PATIENT._replace(jobs=jobs))
    assert ends(made)["success"] == count - 1
    assert made.attempts[count - 1] in {4, 5}
    assert made.now < good + 4 * (1 + host.worst.seconds) + 4


@pytest.mark.parametrize("worst", ["429", "connect"])
def test_the_last_file_is_waited_for_where_the_host_may_count_or_be_away(worst: str) -> None:
    """A server that counts refuses what comes after all the others, too."""
    host = Host(random.Random(1))
    host.bad, host.worst = {59}, WORST[worst]
    made = run(host, 60, PATIENT)
    assert 120 < made.now < 125


@pytest.mark.parametrize("tells", [False, True])
def test_the_last_file_of_a_server_that_counts_is_fetched(tells: bool) -> None:
    for per in (7, 8, 20, 59):
        made = run(counting(per, 60.0, tells=tells), 60)
        assert ends(made) == {"success": 60}


@pytest.mark.parametrize("retries", [0, 2])
def test_without_retries_each_line_is_asked_once(retries: int) -> None:
    for host in (bearing(1), leaving(0.5, 3.0), Dead(random.Random(1)), Refusing(20)):
        made = run(host, 200, PATIENT._replace(jobs=32, retries=retries))
        assert len(made.ended) == 200
        if not retries:
            assert set(made.attempts.values()) == {1}
            assert len(made.attempts) == 200


def test_without_patience_every_file_is_on_its_own() -> None:
    made = run(Refusing(10), 40, PATIENT._replace(patience=0.0))
    assert ends(made) == {"success": 10, "connect": 30}
    assert set(made.attempts.values()) == {1, 4}
    assert made.governor.news == []


@pytest.mark.parametrize("outages", [1, 2])
@pytest.mark.parametrize("jobs", [1, 8])
def test_the_network_is_told_once_each_time_that_it_goes(jobs: int, outages: int) -> None:
    """One job finds the hosts away one by one: from the second on, all that were asked rest."""
    hosts: dict[str, Host] = {}
    for number in range(20):
        host = hosts[f"h{number}"] = leaving(3.0, 20.0)
        if outages == 2:
            host.every = 60.0
    lines = mixed(hosts, 60 if jobs == 8 else 10, random.Random(1))
    made = Run(hosts, lines * outages, PATIENT._replace(jobs=jobs))
    made.run()
    assert ends(made) == {"success": len(lines) * outages}
    assert made.now > 60 * (outages - 1) + 3
    assert len(made.governor.warnings) == outages
    assert "the network may be down" in made.governor.warnings[0]


# --- all of them ---


def check(made: Run, lines: list[str]) -> None:
    """What holds whatever the hosts are like."""
    assert sorted(made.ended) == list(range(len(lines)))
    assert made.schedule.empty()
    assert made.schedule.backlog() == made.schedule.in_flight() == 0
    for name, asked in made.first.items():
        assert asked == sorted(asked)
        own = [number for number, line in enumerate(lines) if line == name]
        assert set(asked) <= set(own)
        if type(made.hosts[name]) in {Host, Bearing, Counting}:
            assert {made.ended[number] for number in own} <= {"success"}
        origin = made.governor.origin(name)
        assert origin.flying == origin.waiting == 0
        assert origin.ready is None


@given(
    tempers=st.lists(st.sampled_from(TEMPERS), min_size=1, max_size=12),
    each=st.integers(1, 60),
    limits=st.builds(
        Limits,
        jobs=st.integers(1, 40),
        per_host=st.none() | st.integers(1, 10),
        patience=st.sampled_from([60.0, 120.0]),
        max_wait=st.just(120.0),
        retries=st.integers(2, 4),
        heed=st.just(True),
    ),
    seed=st.integers(0, 1000),
    by_host=st.booleans(),
)
@settings(max_examples=60)
def test_whatever_hosts_are_like_every_line_ends_once_and_in_order(
    tempers: list[type[Host]], each: int, limits: Limits, seed: int, by_host: bool
) -> None:
    dice = random.Random(seed)
    hosts = {f"h{n}": temper(random.Random(seed + n)) for n, temper in enumerate(tempers)}
    lines = mixed(hosts, each, dice)
    if by_host:
        lines.sort()
    made = Run(hosts, lines, limits, seed)
    made.run()
    for name in hosts:
        assert made.most[name] <= (limits.per_host or limits.jobs)
    check(made, lines)


@pytest.mark.parametrize("by_host", [slow(False), slow(True)])
def test_five_hundred_hosts_of_every_temper(by_host: bool) -> None:
    dice = random.Random(5)
    hosts = {f"h{n:03}": TEMPERS[n % len(TEMPERS)](random.Random(n)) for n in range(500)}
    lines = mixed(hosts, 60, dice)
    if by_host:
        lines.sort()
    made = Run(hosts, lines, Limits(64, None, 120.0))
    made.run()
    check(made, lines)


@pytest.mark.parametrize("per_host", [None, 2])
def test_a_list_sorted_by_host_keeps_every_lane_busy(per_host: int | None) -> None:
    hosts = {f"h{n:04}": Host(random.Random(n)) for n in range(300)}
    lines = [name for name in sorted(hosts) for _ in range(40)]
    made = Run(hosts, lines, Limits(64, per_host, 120.0))
    made.run()
    assert made.now < 1.1 * len(lines) * 0.11 / 64
