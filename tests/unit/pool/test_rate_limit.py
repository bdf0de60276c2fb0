"""The tokens of `--limit-rate`: how they flow, who gets them, and what a killed worker leaves."""

from __future__ import annotations

import calendar
import heapq
import multiprocessing
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.pool.rate_limit import (
    BALANCE,
    SAVED_SECONDS,
    SETTLED,
    TAKE_SECONDS,
    TURNS,
    WORDS,
    Account,
    Allowance,
    Clock,
    RateLimit,
    rate_limit,
    settled,
    share_of,
)
from pdl.settings import PoolSettings
from pdl.text.timetable import timetable_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from pdl.settings import StartMethod

RATES = [10_000, 200 << 10, 20 << 20, 10**9]
WEDNESDAY = calendar.timegm((2026, 12, 2, 11, 59, 50))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def account() -> Account:
    return Account([0.0] * WORDS, threading.Lock())


class Virtual:
    """A clock that goes when somebody sleeps, a little too long each time."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 1000.0
        self.late = late
        self.naps: list[float] = []

    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: WEDNESDAY + self.now - 1000.0, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds + self.late


def limited(text: str, lanes: int = 1) -> RateLimit:
    return RateLimit(timetable_of(text), lanes, account())


# --- the account ---


@pytest.mark.parametrize(
    ("balance", "since", "now", "rate", "then"),
    [
        (0.0, 5.0, 5.0, 100, 0.0),
        (-50.0, 5.0, 5.25, 100, -25.0),
        (-50.0, 5.0, 5.5, 100, 0.0),
        (0.0, 5.0, 99.0, 100, SAVED_SECONDS * 100),  # no more than that is saved
        (7.0, 5.0, 4.0, 100, 7.0),  # another process has settled it later already
    ],
)
def test_a_balance_grows_by_the_rate(
    balance: float, since: float, now: float, rate: int, then: float
) -> None:
    assert settled(balance, since, now, rate) == pytest.approx(then)


@given(st.integers(1, 1 << 40), st.integers(1, 512))
def test_a_lane_takes_something_and_no_more_than_its_time(rate: int, lanes: int) -> None:
    assert 1 <= share_of(rate, lanes) <= max(1, rate * TAKE_SECONDS)


def flown(rate: int, lanes: int, seconds: float, read_seconds: float) -> list[tuple[float, int]]:
    """What comes when, and in which lane, if each reads what it may as soon as it may."""
    tokens, share = account(), share_of(rate, lanes)
    ready = [(read_seconds * lane / lanes, lane) for lane in range(lanes)]
    came = []
    while ready[0][0] < seconds:
        now, lane = heapq.heappop(ready)
        debt = tokens.take(share, now, rate)
        came.append((now + debt / rate, lane))
        heapq.heappush(ready, (now + debt / rate + read_seconds, lane))
    return [each for each in came if each[0] < seconds]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lanes", [1, 8, 64])
def test_all_lanes_together_are_as_fast_as_they_may_be(rate: int, lanes: int) -> None:
    reading = share_of(rate, lanes) / rate / 10  # a network ten times as fast as the limit
    came = flown(rate, lanes, 10.0, reading)
    assert len(came) * share_of(rate, lanes) == pytest.approx(10 * rate, rel=0.05)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lanes", [2, 8, 64])
def test_no_lane_starves(rate: int, lanes: int) -> None:
    came = flown(rate, lanes, 10.0, 1e-6)
    shares = [sum(1 for _, each in came if each == lane) for lane in range(lanes)]
    assert max(shares) - min(shares) <= 1


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), max_size=60),
    st.integers(10_000, 10**7),
)
def test_no_stretch_of_time_has_more_than_the_rate_and_what_was_saved(
    pauses: list[tuple[float, int]], rate: int
) -> None:
    tokens, share, now = account(), share_of(rate, 8), 0.0
    used = []
    for pause, _ in pauses:
        now += pause / 10
        used.append(now + tokens.take(share, now, rate) / rate)
    used.sort()
    for start, begun in enumerate(used):
        for end in range(start, len(used)):
            allowed = rate * (used[end] - begun + SAVED_SECONDS) + share
            assert share * (end - start) <= allowed + 1e-3


# --- what a lane may receive ---


def received(lane: Allowance, virtual: Virtual, seconds: float) -> int:
    """What a lane that is never kept waiting by its server gets in that time."""
    end, total = virtual.now + seconds, 0
    while virtual.now < end:
        count = lane.take(1 << 40)
        lane.used(count)
        total += count
    return total


@pytest.mark.parametrize("late", [0.0, 0.001, 0.04])
@pytest.mark.parametrize("rate", RATES)
def test_a_lane_gets_the_rate_though_it_wakes_late(rate: int, late: float) -> None:
    virtual = Virtual(late)
    lane = Allowance(limited(str(rate)), virtual.clock())
    assert received(lane, virtual, 10.0) == pytest.approx(10 * rate, rel=0.05)


def test_what_was_not_received_is_kept_for_the_next_time() -> None:
    virtual = Virtual()
    lane = Allowance(limited("1000"), virtual.clock())
    assert lane.take(1000) == 50
    lane.used(20)
    waited = lane.waited
    assert (lane.take(1000), lane.take(7)) == (30, 7)
    assert lane.waited == waited


def test_the_time_of_waiting_is_told_and_no_time_of_working() -> None:
    virtual = Virtual()
    lane = Allowance(limited("1000"), virtual.clock())
    before = lane.working()
    for _ in range(20):
        lane.used(lane.take(50))
    assert lane.waited == pytest.approx(virtual.now - 1000.0)
    assert lane.waited == pytest.approx(0.95, abs=0.1)
    assert lane.working() == pytest.approx(before)


def test_without_a_limit_nobody_waits_and_nothing_is_counted() -> None:
    virtual = Virtual()
    limit = limited("off")
    lane = Allowance(limit, virtual.clock())
    assert lane.take(12345) == 12345
    lane.used(12345)
    assert lane.take(7) == 7
    assert virtual.naps == []
    assert limit.account._words == [0.0] * WORDS


def test_what_may_come_at_once_is_taken_and_nothing_else() -> None:
    virtual = Virtual()
    limit = limited("1000")
    lane = Allowance(limit, virtual.clock())
    assert lane.at_once(50)
    assert (lane.take(99), virtual.naps) == (50, [])
    lane.used(50)
    assert not lane.at_once(51)  # that is more than a lane may take
    assert lane.at_once()  # of what was saved
    lane.used(50)
    words = list(limit.account._words)
    assert not lane.at_once()
    assert limit.account._words[1:] == words[1:]
    virtual.now += 0.05
    assert lane.at_once()
    limit.account.take(1000, virtual.now, 1000)  # others wait, and came first
    lane.used(50)
    virtual.now += 0.5
    assert not lane.at_once()
    assert virtual.naps == []


def test_without_a_limit_all_may_come_at_once() -> None:
    virtual = Virtual()
    limit = limited("off")
    assert Allowance(limit, virtual.clock()).at_once(1 << 40)
    assert limit.account._words == [0.0] * WORDS


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("00:00,1000 12:00,4000", 10 * 1000 + 10 * 4000),
        ("00:00,4000 12:00,1000", 10 * 4000 + 10 * 1000),
    ],
)
def test_the_rate_changes_in_the_middle_of_a_run(table: str, expected: int) -> None:
    virtual = Virtual()  # it is ten seconds to twelve
    lane = Allowance(limited(table), virtual.clock())
    assert received(lane, virtual, 20.0) == pytest.approx(expected, rel=0.05)


def test_who_waits_when_the_limit_ends_waits_no_longer() -> None:
    virtual = Virtual()
    limit = limited("00:00,1000 12:00,off", lanes=1)
    limit.account.take(1_000_000, virtual.now, 1000)  # others have come first
    lane = Allowance(limit, virtual.clock())
    lane.take(1)
    assert 9.0 < virtual.now - 1000.0 < 12.0


def test_who_waits_for_long_sees_that_the_run_is_to_stop() -> None:
    virtual = Virtual()
    limit = limited("10")
    limit.account.take(1_000_000, virtual.now, 10)
    lane = Allowance(limit, virtual.clock())
    lane.stopped = lambda: len(virtual.naps) == 3
    assert lane.take(100) == 1
    assert len(virtual.naps) == 3
    assert max(virtual.naps) <= 0.1


def test_a_killed_worker_takes_little_with_it() -> None:
    tokens, rate, lanes = account(), 200 << 10, 64
    for _ in range(lanes):  # all lanes of all workers take, and are killed
        tokens.take(share_of(rate, lanes), 10.0, rate)
    assert tokens.take(0, 10.0, rate) / rate < 0.25


# --- a killed worker and the lock ---


def hold_and_die(limit: RateLimit, pipe: Connection, times: int) -> None:
    """In a process: be killed with the lock in hand, in the middle of a turn."""
    for _ in range(times):
        limit.account.take(10, time.monotonic(), 1000)
    with limit.account._turn():
        limit.account._words[SETTLED] = time.monotonic()
        pipe.send("held")
        os.kill(os.getpid(), signal.SIGKILL)


def take_some(limit: RateLimit, pipe: Connection, times: int) -> None:
    """In a process: take, and say how often."""
    for _ in range(times):
        limit.account.take(10, time.monotonic(), 10**9)
    pipe.send(times)


def born(
    method: StartMethod, what: Callable[..., None], limit: RateLimit, times: int
) -> tuple[Any, Connection]:
    context: Any = multiprocessing.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=what, args=(limit, writer, times))
    process.start()
    writer.close()
    return process, reader


@pytest.mark.usefixtures("plain_main")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_worker_that_is_killed_within_the_lock_holds_nobody_up(method: StartMethod) -> None:
    limit = rate_limit("1000", PoolSettings(start_method=method), here=False)
    process, reader = born(method, hold_and_die, limit, 3)
    assert reader.poll(30)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert not limit.account._lock.acquire(False)
    threads = [
        threading.Thread(target=limit.account.take, args=(1, 0.0, 1000), daemon=True)
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert limit.account._words[TURNS] == 4 + 8
    assert limit.account._lock.acquire(False)  # it is as good as new


@pytest.mark.usefixtures("plain_main")
def test_what_all_processes_take_is_counted() -> None:
    limit = rate_limit("1", PoolSettings(start_method="fork"), here=False)
    limit.account._words[SETTLED] = time.monotonic() + 1e6  # nothing accrues
    those = [born("fork", take_some, limit, 500) for _ in range(4)]
    for process, reader in those:
        assert reader.poll(30)
        process.join(30)
    assert limit.account._words[BALANCE] == -10 * 500 * 4
    assert limit.account._words[TURNS] == 500 * 4


def test_two_that_take_the_lock_over_at_once_do_no_harm() -> None:
    lock = threading.Lock()
    tokens = Account([0.0] * WORDS, lock)
    with tokens._turn():
        lock.release()  # by another, which had believed that this one is dead
        tokens.take(1, 0.0, 1000)
    tokens.take(1, 0.0, 1000)
    assert lock.acquire(blocking=False)


def test_threads_of_one_process_share_an_account_without_shared_memory() -> None:
    limit = rate_limit("1000", PoolSettings(jobs=4), here=True)
    assert isinstance(limit.account._words, list)
    assert limit.lanes == 4
