"""The URLs of one item: which is asked, which is next, and what each of them said.

All of them are asked once before the first is asked again: that is a round, and it is rounds that
the retry budget and the back-off count. One that failed for good is left out of the next round.
The bytes of two mirrors never mix: a part's name comes from the URL that is asked, for the
validator of one server says nothing of another's file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdl.model import Fail, FailureKind, Headers, Item, SafePath, Success
from pdl.scheduling.host_health import HostHealth
from pdl.scheduling.retry import Decision
from pdl.text.masking import printable
from pdl.text.url_identity import part_name
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from pdl.scheduling.job import Job
    from pdl.scheduling.retry import RetryPolicy

SHOWN = 6
"""Mirrors whose words are in the message when all of them failed."""
MAX_WORDS = 200
"""Characters of what each of them said."""

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_OWN_FAULTS = frozenset(
    {
        FailureKind.NAME,
        FailureKind.EXISTS,
        FailureKind.DISK,
        FailureKind.WORKER_DIED,
        FailureKind.CANCELLED,
    }
)
"""Kinds that would be no other at another mirror."""
_HOST_FAULTS = frozenset(
    {
        FailureKind.DNS,
        FailureKind.CONNECT,
        FailureKind.TLS,
        FailureKind.TIMEOUT,
        FailureKind.STALLED,
    }
)
_ANSWERS = frozenset(
    {FailureKind.HTTP, FailureKind.CHECKSUM, FailureKind.SIZE, FailureKind.CONTENT}
)
"""Kinds that only a host can cause that is up."""


class Mirror(NamedTuple):
    """One URL of an item.

    Attributes:
        place: in the list; 0 is the item's own URL.
        url: as listed.
        host: whom it is asked of, as `pdl.scheduling.job.Job.host`.
        part: name of its part file.
        headers: the item's, if this is the origin they are meant for; else none.
        as_listed: as in `pdl.model.Task`.
    """

    place: int
    url: str
    host: str
    part: str
    headers: Headers
    as_listed: bool


class Mirrors:
    """The URLs of an item on its way to its outcome.

    Attributes:
        usable: those that can be asked, best first.
        current: the one that is asked, or is to be.
        pending: those not answered in this round, the current one among them.
        rounds: the number of this round, from 1.
        delays: seconds after which one that failed in this round may be asked again.
        fails: how each failed last, by place.
        words: what is told of each that failed, by place.
    """

    def __init__(self, usable: tuple[Mirror, ...], words: dict[int, str]) -> None:
        self.usable = usable
        self.current = usable[0]
        self.pending = list(usable)
        self.rounds = 1
        self.delays: dict[int, float] = {}
        self.fails: dict[int, Fail] = {}
        self.words = words

    def next_round(self) -> None:
        """Begin another round, of those that may be asked again."""
        self.pending = [mirror for mirror in self.usable if mirror.place in self.delays]
        self.delays = {}
        self.rounds += 1


def mirrors_of(item: Item, url: Url, path: SafePath) -> Mirrors | None:
    """The URLs of an item, each once; None if there is but one.

    One that pdl cannot ask (ftp, or no URL at all) counts as failed.

    Args:
        item: it has mirrors.
        url: its own URL, parsed.
        path: of the file.
    """
    first = _mirror(0, item.url, url, path, item.headers)
    usable = {first.part: first}
    words = {}
    for place, text in enumerate(item.mirrors, 1):
        try:
            other = parse(text)
        except InvalidUrl as error:
            words[place] = f"mirror {place}: {error}"
            continue
        headers = item.headers if other.origin == url.origin else ()
        mirror = _mirror(place, text, other, path, headers)
        usable.setdefault(mirror.part, mirror)
    found = tuple(usable.values())
    if len(found) == 1 and not words:
        return None
    return Mirrors(found, words)


def _mirror(place: int, text: str, url: Url, path: SafePath, headers: Headers) -> Mirror:
    as_listed = text != url.request_url
    return Mirror(place, text, url.netloc, part_name(url, path), headers, as_listed)


class Selector:
    """Says which mirror an item is to ask, and what becomes of it when that failed.

    Args:
        policy: decides about rounds.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._ledger = HostHealth()

    def aim(self, job: Job, now: float) -> None:
        """Point a job that is not in flight at the best mirror of those left in this round."""
        mirrors = job.mirrors
        if mirrors is None:
            return
        pending = mirrors.pending
        chosen = pending[self._ledger.pick([mirror.host for mirror in pending], now)]
        mirrors.current = chosen
        job.host = chosen.host
        others = tuple(mirror.part for mirror in mirrors.usable if mirror is not chosen)
        job.task = job.task._replace(
            url=chosen.url,
            part=chosen.part,
            headers=chosen.headers,
            as_listed=chosen.as_listed,
            other_parts=others,
        )

    def paused(self, host: str, until: float, now: float) -> bool:
        """The host asked to be left alone; whether jobs that wait for it are to be aimed anew."""
        return self._ledger.rest(host, until, now)

    def blame(self, job: Job, fail: Fail, now: float) -> bool:
        """Note what a failure says of its host; the answer is that of `paused`.

        Only jobs with mirrors count, for only of them the successes are known as well.
        """
        if job.mirrors is None:
            return False
        if _is_the_hosts(fail):
            return self._ledger.failed(job.host, now)
        if fail.kind in _ANSWERS:
            self._ledger.answered(job.host, now)
        return False

    def served(self, job: Job, answer: Success, now: float) -> Success:
        """Note a success; it tells which mirror it came from, if not from the item's own URL."""
        if not answer.status:  # it came from the cache
            return answer
        self._ledger.answered(job.host, now)
        if job.mirrors is None or not job.mirrors.current.place:
            return answer
        message = f"from mirror {job.mirrors.current.place}, {job.host}"
        if answer.message:
            message = f"{message}; {answer.message}"
        return answer._replace(message=message)

    def decide(self, job: Job, fail: Fail, chance: float) -> tuple[Fail, Decision]:
        """Decide after a failed attempt; `aim` is to follow unless the item is given up.

        Returns:
            What to report (if it is given up: what all of them said), and what to do.
        """
        mirrors = job.mirrors
        if mirrors is None or fail.kind in _OWN_FAULTS:
            return fail, self._policy.decide(fail, job.attempts, chance)
        current = mirrors.current
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
    return fail.kind in _HOST_FAULTS or (fail.kind is FailureKind.RESET and not fail.received)


def _words(fail: Fail, reason: str) -> str:
    said = printable(fail.message)
    said = said if len(said) <= MAX_WORDS else f"{said[: MAX_WORDS - 3]}..."
    return f"{said} ({reason})" if reason else said
