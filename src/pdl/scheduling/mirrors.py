"""What becomes of a failed attempt: which URL of the item is asked next, and when.

All URLs of an item are asked once before the first is asked again: that is a round, and it is
rounds that the retry budget and the back-off count. One that failed for good is left out of the
next round. An item with one URL is asked again there. An attempt that got further into the file
than any before lets both count from the beginning.

`HostHealth` knows which hosts are doing well, so that what has mirrors need not wait for a dead one
again. There is no clock and no I/O in here: the time is an argument, as in
`pdl.scheduling.schedule`. A host that nothing is held against has no record, and there are at most
`MOST_HOSTS` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdl.model import Fail, FailureKind, Success
from pdl.scheduling.kinds import HOST_FAULTS, OWN_FAULTS, PROOFS_OF_HOST
from pdl.scheduling.retry import Decision
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.scheduling.job import Job, Mirror, Mirrors
    from pdl.scheduling.retry import RetryPolicy


SHOWN = 6
"""Mirrors whose words are in the message when all of them failed."""
MAX_WORDS = 200
"""Characters of what each of them said."""

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class Verdict(NamedTuple):
    """What becomes of a job whose attempt failed.

    Attributes:
        fail: what to report; if the job is given up, what all of its URLs said.
        delay: seconds until the next attempt; None gives up.
        pause: seconds in which nothing else is asked of the host; 0 for none.
        avoid: the host is to be avoided from now on: what waits for it is to be aimed anew.
    """

    fail: Fail
    delay: float | None
    pause: float
    avoid: bool


class Selector:
    """Says which URL an item is to ask, and what becomes of it when that failed.

    Args:
        policy: decides about rounds.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._health = HostHealth()

    def aim(self, job: Job, now: float) -> None:
        """Point a job that is not in flight at the best mirror of those left in this round."""
        mirrors = job.mirrors
        if mirrors is None:
            return
        pending = mirrors.pending
        chosen = pending[self._health.pick([mirror.host for mirror in pending], now)]
        mirrors.current = chosen
        job.host = chosen.host

    def succeeded(self, job: Job, answer: Success, now: float) -> Success:
        """Note a success; it tells which mirror it came from, if not from the item's own URL."""
        if job.mirrors is None or not answer.status:  # without one it came from the cache
            return answer
        self._health.answered(job.host, now)
        if not job.mirrors.current.place:
            return answer
        message = f"from mirror {job.mirrors.current.place}, {job.host}"
        if answer.message:
            message = f"{message}; {answer.message}"
        return answer._replace(message=message)

    def failed(self, job: Job, fail: Fail, now: float, chance: float) -> Verdict:
        """Note a failure and decide; `aim` is to follow unless the job is given up.

        Args:
            job: still in flight.
            fail: how its attempt failed.
            now: the time.
            chance: a random number in [0, 1), for the jitter.
        """
        job.refusals = job.refusals + 1 if fail.kind is FailureKind.HTTP else 0
        avoid = self._blame(job, fail, now)
        fail, decision = self._decide(job, fail, chance)
        if decision.pause_host:
            avoid = self._health.rest(job.host, now + decision.pause_host, now) or avoid
        if decision.reason:
            fail = fail._replace(message=f"{fail.message}; {decision.reason}")
        return Verdict(fail, decision.delay, decision.pause_host, avoid)

    def _blame(self, job: Job, fail: Fail, now: float) -> bool:
        """Note what a failure says of its host; whether that is to be avoided from now on.

        Only jobs with mirrors count, for only of them the successes are known as well.
        """
        if job.mirrors is None:
            return False
        if _is_the_hosts(fail):
            return self._health.failed(job.host, now)
        if fail.kind in PROOFS_OF_HOST:
            self._health.answered(job.host, now)
        return False

    def _decide(self, job: Job, fail: Fail, chance: float) -> tuple[Fail, Decision]:
        mirrors = job.mirrors
        if mirrors is None or fail.kind in OWN_FAULTS:
            job.progress = job.progress.another(fail.kept)
            return fail, self._policy.decide(fail, job.progress.stuck, chance)
        current = mirrors.current
        mirrors.note(fail.kept)
        fail = fail._replace(message=f"{current.host}: {fail.message}")
        alone = self._policy.decide(fail, mirrors.rounds, chance)
        mirrors.pending.remove(current)
        mirrors.fails[current.place] = fail
        mirrors.words[current.place] = _words(fail, alone.reason)
        if alone.delay is not None:
            mirrors.delays[current.place] = alone.delay
        if mirrors.pending:
            return fail, Decision(0.0, alone.pause_host)
        if not mirrors.delays:
            return self._all_failed(mirrors, current), Decision(None)
        delay = min(mirrors.delays.values())
        mirrors.next_round()
        return fail, Decision(delay, alone.pause_host)

    def _all_failed(self, mirrors: Mirrors, last: Mirror) -> Fail:
        """The failure that says most: a transient one, for it may go away, else the last."""
        lasting = mirrors.fails[last.place]
        found = [fail for fail in mirrors.fails.values() if self._policy.transient(fail)]
        words = [mirrors.words[place] for place in sorted(mirrors.words)]
        more = f"; and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
        message = f"each of {len(words)} URLs failed: {'; '.join(words[:SHOWN])}{more}"
        return (found[-1] if found else lasting)._replace(message=message)


def _is_the_hosts(fail: Fail) -> bool:
    """Whether it would have failed like this whatever had been asked of the host."""
    if fail.kind is FailureKind.HTTP:
        status = fail.status or 0
        return status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS
    return fail.kind in HOST_FAULTS or (fail.kind is FailureKind.RESET and not fail.received)


def _words(fail: Fail, reason: str) -> str:
    said = printable(fail.message)
    said = said if len(said) <= MAX_WORDS else f"{said[: MAX_WORDS - 3]}..."
    return f"{said} ({reason})" if reason else said


PATIENCE = 3
"""Failures in a row after which a host is down."""
FIRST_WAIT = 30.0
LONGEST_WAIT = 600.0
"""Seconds until a host that is down is asked first again: these doubled with each try."""
MOST_HOSTS = 1024


class _Record:
    """What is held against a host.

    Attributes:
        failures: in a row.
        next_try: of a host that is down, when it is asked first once more.
        wait: seconds from one such try to the next.
        paused_until: it has asked for a rest until then.
    """

    def __init__(self, paused_until: float = 0.0) -> None:
        self.failures = 0
        self.next_try = 0.0
        self.wait = FIRST_WAIT
        self.paused_until = paused_until

    def down(self) -> bool:
        return self.failures >= PATIENCE

    def avoided(self, now: float) -> bool:
        return self.down() or self.paused_until > now

    def free_at(self) -> float:
        return max(self.paused_until, self.next_try if self.down() else 0.0)


class HostHealth:
    """What is held against hosts, and whom it is best to ask."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def __len__(self) -> int:
        """How many hosts something is held against."""
        return len(self._records)

    def failed(self, host: str, now: float) -> bool:
        """The host itself failed, not just what was asked of it.

        Returns:
            Whether it is to be avoided from now on, and was not before.
        """
        record = self._record(host)
        before = record.avoided(now)
        record.failures += 1
        if record.down():
            record.next_try = max(record.next_try, now + record.wait)
        return record.avoided(now) and not before

    def rest(self, host: str, until: float, now: float) -> bool:
        """The host wants to be left alone until then; the answer is that of `failed`."""
        record = self._record(host)
        before = record.avoided(now)
        record.paused_until = max(record.paused_until, until)
        return record.avoided(now) and not before

    def answered(self, host: str, now: float) -> None:
        """The host is alive: nothing is held against it but a pause that it asked for."""
        record = self._records.get(host)
        if record is None:
            return
        if record.paused_until > now:
            self._records[host] = _Record(record.paused_until)
        else:
            del self._records[host]

    def pick(self, hosts: Sequence[str], now: float) -> int:
        """Choose whom to ask: the first that nothing speaks against, else the one free soonest.

        To be chosen as the first is a try for one that is down; the next waits twice as long.

        Args:
            hosts: at least one, best first.
            now: the time.

        Returns:
            The place of the chosen one in `hosts`.
        """
        for place, host in enumerate(hosts):
            record = self._records.get(host)
            if record is None or not record.avoided(now):
                return place
            if record.free_at() <= now:
                record.wait = min(2 * record.wait, LONGEST_WAIT)
                record.next_try = now + record.wait
                return place
        return min(range(len(hosts)), key=lambda place: self._records[hosts[place]].free_at())

    def _record(self, host: str) -> _Record:
        record = self._records.get(host)
        if record is None:
            if len(self._records) >= MOST_HOSTS:
                del self._records[next(iter(self._records))]  # the oldest
            record = self._records[host] = _Record()
        return record
