"""One rate for all lanes of all workers: who wants to read takes tokens, a token a byte.

Theory of operation
===================

The account is a balance that grows by the rate and shrinks by what is taken; it may fall below
zero. A lane takes tokens in advance, at once, and then waits until the account would be even again:
so lanes are served in the order in which they came, and none starves. It takes little at a time, so
that all of them move, and what a killed worker had taken is soon forgotten. What grows while nobody
takes is bounded as well, so that a pause is not made up for.

A lane waits by itself: what it has to wait for is a number of bytes, which pass at the rate of the
hour. So a timetable may change the rate while it waits, and the run may end.

The account is three words of shared memory under a lock. A worker that is killed within the lock
leaves it locked, for its semaphore has no owner. Whoever has waited in vain for `PATIENCE_SECONDS`
looks at the number of turns: if nobody had one meanwhile the lock is its own, and comes free with
its release. Between the writes of a turn no harm can be done: a killed one gives away what has
accrued since the last turn, which is next to nothing. Two that take the lock over at the same
moment may count one take once.

What may live here: the account. Not here: sockets, or what time it is; `clock` and `sleep` are
given.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from pdl.text.named_tuple import NamedTuple
from pdl.text.timetable import rate_at, timetable_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableSequence

    from pdl.settings import PoolSettings
    from pdl.text.timetable import Timetable

TAKE_SECONDS = 0.05
"""What a lane takes at the most, in seconds of the whole rate."""
SAVED_SECONDS = 0.1
"""What the account saves at the most, so that a busy machine, which is late now and then, loses
nothing."""
LEAST = 512
"""Bytes a lane takes, where that is no more than its `TAKE_SECONDS`: less is much work."""
SOON_SECONDS = 1e-4
"""No use in sleeping: it takes as long by itself."""
LOOK_SECONDS = 1.0
"""Between two looks at the timetable; the clock may be set."""
NAP_SECONDS = 0.1
"""The longest sleep: so soon a lane sees that the run is to stop."""
PATIENCE_SECONDS = 0.2
"""A turn takes microseconds: who holds the lock for so long is dead, or may as well be."""

TURNS, BALANCE, SETTLED = range(3)
"""The words: how many turns there were, the balance, and at what time that was."""
WORDS = 3


class Lock(Protocol):
    """Of threads or of processes."""

    def acquire(self, block: bool = ..., timeout: float = ..., /) -> bool:
        """Get it; False if that took too long."""

    def release(self) -> None:
        """Give it back; whoever has it."""


class Clock(NamedTuple):
    """Where times come from.

    Attributes:
        monotonic: seconds, the same in all processes, never going back.
        local: seconds since the epoch.
        sleep: waits so many seconds.
    """

    monotonic: Callable[[], float] = time.monotonic
    local: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def settled(balance: float, since: float, now: float, rate: int) -> float:
    """What a balance has grown to."""
    return min(balance + max(0.0, now - since) * rate, SAVED_SECONDS * rate)


def share_of(rate: int, lanes: int) -> int:
    """How many bytes one of so many lanes takes at once."""
    most = rate * TAKE_SECONDS
    return max(1, int(min(most, max(LEAST, most / lanes))))


class Account:
    """The tokens of a run; it goes to the workers as they are born.

    Args:
        words: `WORDS` numbers that all of them see.
        lock: that all of them have.
    """

    def __init__(self, words: MutableSequence[float], lock: Lock) -> None:
        self._words = words
        self._lock = lock

    def take(self, count: int, now: float, rate: int, *, if_free: bool = False) -> float:
        """Take tokens.

        Args:
            count: of bytes.
            now: the time.
            rate: that holds now, in bytes a second.
            if_free: take none if that is not 0.

        Returns:
            How many bytes have to pass at the rate before they may be used.
        """
        words = self._words
        with self._turn():
            balance = settled(words[BALANCE], words[SETTLED], now, rate) - count
            debt = -balance if balance < -rate * SOON_SECONDS else 0.0
            if debt and if_free:
                return debt
            words[SETTLED] = max(now, words[SETTLED])
            words[BALANCE] = balance
        return debt

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        words, lock = self._words, self._lock
        while True:
            turn = words[TURNS]
            if lock.acquire(True, PATIENCE_SECONDS) or words[TURNS] == turn:
                break
        words[TURNS] += 1
        try:
            yield
        finally:
            with contextlib.suppress(ValueError, RuntimeError):  # two have taken it over
                lock.release()


class RateLimit(NamedTuple):
    """What a run is limited to; it goes to the workers.

    Attributes:
        timetable: the rates.
        lanes: that share them.
        account: the tokens.
    """

    timetable: Timetable
    lanes: int
    account: Account


class Allowance:
    """What a lane may receive.

    Args:
        limit: of the run.
        clock: of this machine.

    Attributes:
        stopped: whether the run is to stop; then there is no use in waiting.
        waited: seconds spent on waiting so far.
    """

    def __init__(self, limit: RateLimit, clock: Clock | None = None) -> None:
        self._limit = limit
        self._clock = clock or Clock()
        self._rate: int | None = None
        self._looked = -LOOK_SECONDS
        self._left = 0
        self.stopped: Callable[[], bool] = lambda: False
        self.waited = 0.0

    def take(self, most: int) -> int:
        """Wait until something may be received; how much, up to `most` bytes."""
        if self._left:
            return min(most, self._left)
        now = self._clock.monotonic()
        rate = self._rate_at(now)
        if rate is None:
            return most
        count = min(most, share_of(rate, self._limit.lanes))
        self._wait(self._limit.account.take(count, now, rate))
        self._left = count
        return count

    def at_once(self, count: int = 1) -> bool:
        """Whether so many bytes may be received without waiting; see that they may, if possible."""
        if self._left >= count:
            return True
        now = self._clock.monotonic()
        rate = self._rate_at(now)
        if rate is None:
            return True
        wanted = max(count - self._left, share_of(rate, self._limit.lanes))
        if wanted > rate * TAKE_SECONDS:
            return False
        if self._limit.account.take(wanted, now, rate, if_free=True):
            return False
        self._left += wanted
        return True

    def used(self, count: int) -> None:
        """So much of it has been received; the rest is for the next time."""
        self._left = max(0, self._left - count)

    def working(self) -> float:
        """Seconds, as of a clock that stands still while tokens are waited for."""
        return self._clock.monotonic() - self.waited

    def _rate_at(self, now: float) -> int | None:
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._rate = rate_at(self._limit.timetable, time.localtime(self._clock.local()))
        return self._rate

    def _wait(self, debt: float) -> None:
        """Wait until so many bytes have passed, at the rate that holds then."""
        clock = self._clock
        while not self.stopped():
            before = clock.monotonic()
            rate = self._rate_at(before)
            if rate is None or debt < rate * SOON_SECONDS:
                return
            clock.sleep(min(debt / rate, NAP_SECONDS))
            passed = clock.monotonic() - before
            self.waited += passed
            debt -= passed * rate


def rate_limit(text: str, settings: PoolSettings, *, here: bool) -> RateLimit:
    """The limit of a run.

    Args:
        text: as `pdl.settings.HttpSettings.limit_rate` has it.
        settings: of the pool that shares it.
        here: all of it is in this process.

    Raises:
        MachineError: the system gives no lock, or no memory.
    """
    if here:
        import threading

        account = Account([0.0] * WORDS, threading.Lock())
    else:
        import multiprocessing

        from pdl.pool.startup.start_limits import starting

        context = multiprocessing.get_context(settings.method())
        with starting():
            account = Account(context.Array("d", WORDS, lock=False), context.Lock())
    return RateLimit(timetable_of(text), settings.first_jobs(), account)
