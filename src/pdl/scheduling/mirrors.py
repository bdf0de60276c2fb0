"""What becomes of a failed attempt: which URL of the item is asked next, and when.

All URLs of an item are asked once before the first is asked again: that is a round, and it is
rounds that the retry budget and the back-off count. One that failed for good is left out of the
next round. An item with one URL is asked again there. An attempt that got further into the file
than any before lets both count from the beginning.

An attempt that met nothing but the trouble of its host (`pdl.scheduling.governor`) uses up
neither, and an item does not wait for that host if another mirror's is well. `HostHealth` knows
which are, so that what has mirrors need not wait for a dead one again. There is no clock and no I/O
in here: the time is an argument, as in `pdl.scheduling.schedule`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import Fail, FailureKind, Success
from pdl.scheduling.governor import FORGIVEN
from pdl.scheduling.kinds import HOST_FAULTS, OWN_FAULTS, PROOFS_OF_HOST
from pdl.scheduling.origin import Health
from pdl.scheduling.retry import LONGEST_PROBE, Decision
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.scheduling.governor import Governor
    from pdl.scheduling.job import Job, Mirror, Mirrors
    from pdl.scheduling.origin import Origin
    from pdl.scheduling.retry import Judged, RetryPolicy


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
        avoid: the host is to be avoided from now on: what waits for it is to be aimed anew.
        cut: fewer are to be in flight at the host from here on.
        lost: the host has been given up just now: what waits for it is to end.
    """

    fail: Fail
    delay: float | None
    avoid: bool = False
    cut: bool = False
    lost: bool = False


class Selector:
    """Says which URL an item is to ask, and what becomes of it when that failed.

    Args:
        policy: decides about rounds.
        governor: knows the hosts.
    """

    def __init__(self, policy: RetryPolicy, governor: Governor) -> None:
        self._policy = policy
        self._governor = governor
        self._health = HostHealth(governor)
        self._mirrors = False

    def aim(self, job: Job, now: float) -> None:
        """Point a job that is not in flight at the best mirror of those left in this round."""
        mirrors = job.mirrors
        if mirrors is None:
            return
        self._mirrors = True
        pending = mirrors.pending
        chosen = pending[self._health.pick([mirror.host for mirror in pending], now)]
        mirrors.current = chosen
        job.host = chosen.host

    def succeeded(self, job: Job, answer: Success, now: float) -> Success:
        """Note a success; it tells which mirror it came from, if not from the item's own URL."""
        if not answer.status:  # it came from the cache
            return answer
        self._governor.good(job, now, answer.hold)
        if job.mirrors is None:
            return answer
        self._health.answered(job.host)
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
        origin = job.origin
        assert origin is not None
        before = self._mirrors and origin.avoided(now)
        job.refusals = job.refusals + 1 if fail.kind is FailureKind.HTTP else 0
        self._blame(job, fail, now)
        judged = self._governor.judge(job, fail, now, chance)
        if judged.again:
            fail = fail._replace(transient=True)
        fail, decision = self._decide(job, fail, judged, chance)
        lost = judged.lost
        if judged.pressure and decision.delay is None:
            lost = self._governor.spent(origin, now) or lost
        if decision.pause_host:
            self._governor.pause(origin, now + decision.pause_host)
        if decision.reason:
            fail = fail._replace(message=f"{fail.message}; {decision.reason}")
        avoid = self._mirrors and not before and origin.avoided(now)
        return Verdict(fail, decision.delay, avoid=avoid, cut=judged.cut, lost=lost)

    def ended(self, job: Job, now: float) -> Fail | None:
        """What becomes of a job whose host is given up: None if another mirror may do.

        It is aimed at that then, or may be the try that the host gets now and then.
        """
        origin = job.origin
        assert origin is not None
        fail = _lost(origin, job.plan.id)
        mirrors = job.mirrors
        if mirrors is None:
            origin.count_lost()
            return fail
        current = mirrors.current
        mirrors.fails[current.place] = fail
        mirrors.words[current.place] = _words(fail, "")
        mirrors.pending.remove(current)
        mirrors.delays.pop(current.place, None)
        if not mirrors.pending:
            mirrors.next_round()
        if not mirrors.pending:
            origin.count_lost()
            return self._all_failed(mirrors, current)
        self.aim(job, now)
        return None

    def _blame(self, job: Job, fail: Fail, now: float) -> None:
        """Note what a failure says of its host.

        Only jobs with mirrors count, for only of them the successes are known as well.
        """
        if job.mirrors is None:
            return
        if is_the_hosts(fail):
            self._health.failed(job.host, now)
        elif fail.kind in PROOFS_OF_HOST:
            self._health.answered(job.host)

    def _decide(self, job: Job, fail: Fail, judged: Judged, chance: float) -> tuple[Fail, Decision]:
        mirrors = job.mirrors
        if mirrors is None or fail.kind in OWN_FAULTS:
            return fail, self._alone(job, fail, judged, chance)
        current = mirrors.current
        mirrors.note(fail.kept)
        mirrors.charged = mirrors.charged or not judged.free
        fail = fail._replace(message=f"{current.host}: {fail.message}")
        if judged.free:
            alone = Decision(judged.delay)
        else:
            alone = self._policy.at(current.host).decide(fail, mirrors.rounds, chance)
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

    def _alone(self, job: Job, fail: Fail, judged: Judged, chance: float) -> Decision:
        """What becomes of a job that has nobody else to ask."""
        if judged.free:
            return Decision(judged.delay)
        if not judged.pressure:
            job.progress = job.progress.another(fail.kept)
        origin = job.origin
        assert origin is not None
        if judged.pressure and origin.lost:
            origin.count_lost()
            return Decision(None, reason=_lost_words(origin))
        met = job.lone + max(0, job.contended - FORGIVEN) + (0 if origin.proven else job.early)
        decision = self._policy.at(job.host).decide(fail, max(1, job.progress.stuck + met), chance)
        if decision.delay is None or not judged.delay:
            return decision
        return decision._replace(delay=max(decision.delay, judged.delay))

    def _all_failed(self, mirrors: Mirrors, last: Mirror) -> Fail:
        """The failure that says most: a transient one, for it may go away, else the last."""
        lasting = mirrors.fails[last.place]
        found = [fail for fail in mirrors.fails.values() if self._policy.transient(fail)]
        words = [mirrors.words[place] for place in sorted(mirrors.words)]
        more = f"; and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
        message = f"each of {len(words)} URLs failed: {'; '.join(words[:SHOWN])}{more}"
        return (found[-1] if found else lasting)._replace(message=message)


def is_the_hosts(fail: Fail) -> bool:
    """Whether it would have failed like this whatever had been asked of the host."""
    if fail.kind is FailureKind.HTTP:
        status = fail.status or 0
        return status >= _SERVER_ERROR or status == _TOO_MANY_REQUESTS
    return fail.kind in HOST_FAULTS or (fail.kind is FailureKind.RESET and not fail.received)


def _lost(origin: Origin, job_id: int) -> Fail:
    """How a line ends whose origin is given up."""
    assert origin.trouble is not None
    last = origin.trouble.last
    assert last is not None
    message = f"{last.message}; {_lost_words(origin)}"
    return Fail("fail", job_id, last.kind, transient=True, message=message, status=last.status)


def _lost_words(origin: Origin) -> str:
    reason = "" if origin.trouble is None else origin.trouble.reason
    return f"not asked again: {origin.host} is given up, {reason}"


def _words(fail: Fail, reason: str) -> str:
    said = printable(fail.message)
    said = said if len(said) <= MAX_WORDS else f"{said[: MAX_WORDS - 3]}..."
    return f"{said} ({reason})" if reason else said


class HostHealth:
    """What is held against hosts where items have mirrors, and whom it is best to ask.

    Args:
        governor: has the hosts, and knows more of them.
    """

    def __init__(self, governor: Governor) -> None:
        self._governor = governor

    def failed(self, host: str, now: float) -> None:
        """The host itself failed, not just what was asked of it."""
        origin = self._governor.origin(host)
        health = origin.health
        if health is None:
            health = origin.health = Health()
        health.failures += 1
        if health.down():
            health.next_try = max(health.next_try, now + health.wait)

    def answered(self, host: str) -> None:
        """The host is alive: nothing is held against it but a pause that it asked for."""
        self._governor.origin(host).health = None

    def pick(self, hosts: Sequence[str], now: float) -> int:
        """Choose whom to ask: the first that nothing speaks against, else the one free soonest.

        To be chosen as the first is a try for one that is down; the next waits twice as long.

        Args:
            hosts: at least one, best first.
            now: the time.

        Returns:
            The place of the chosen one in `hosts`.
        """
        origins = [self._governor.origin(host) for host in hosts]
        for place, origin in enumerate(origins):
            if not origin.avoided(now):
                return place
            health = origin.health
            if health is not None and not origin.lost and origin.free_at(now) <= now:
                health.wait = min(2 * health.wait, LONGEST_PROBE)
                health.next_try = now + health.wait
                return place
        return min(range(len(hosts)), key=lambda place: origins[place].free_at(now))
