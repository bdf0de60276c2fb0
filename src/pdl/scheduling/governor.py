"""How much an origin bears, when it is left alone, and when it is given up.

Theory of operation
===================

Back-off belongs to the host, retries belong to the file. What says of a host that it has too much,
or is away, is *pressure*; every other answer is a *good* one. An origin is::

                 good                      pressure                  all is pressure
    UNPROVEN ───────────▶ CALM ──────────────────────────▶ CUT ───────────────────────▶ RESTING
       │                    ▲    as many as before bore it   ▲       a probe was good    │    ▲
       │                    └────────────────────────────────┤◀──────────────────────────┘    │
       │ a line has used up its retries                      │ good             no good answer│
       │                                                     │                    for so long │
       └──────────────────────────────────────────────────▶ LOST ◀────────────────────────────┘

- UNPROVEN: it has never answered. Few are in flight, and its lines' own retries decide.
- CUT: its share is half of what was in flight, once for all that were started before that. After
  as many good answers in a row as the share is, it rises by one; up to what it has borne before, it
  doubles. What was refused is tried again only after a while, and ever more seldom (the wall).
- RESTING: nobody asks. After a wait that doubles, one attempt probes. Nothing of this uses up a
  file's retries; `Limits.patience` bounds it, and a server's own Retry-After stops that clock.
- LOST: its lines end at once, but for a probe now and then, which may bring it back.

An origin that counts requests (429) is asked for as many as it gave between two of its pauses; from
there on one at a time finds out.

There is no clock and no I/O in here. What may live here: the rules. Not here: queues
(`pdl.scheduling.schedule`), or what becomes of a job (`pdl.scheduling.mirrors`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import FailureKind
from pdl.scheduling.kinds import PROOFS_OF_HOST, TOO_MANY, is_pressure, may_be_of_file
from pdl.scheduling.origin import NO_LIMIT, Origin, Origins
from pdl.scheduling.retry import FIRST_REST, LONGEST_REST, NEVER, Judged, Limits

if TYPE_CHECKING:
    from pdl.model import Fail
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.job import Job
    from pdl.scheduling.name_server import NameServer
    from pdl.scheduling.trouble import Trouble

UNPROVEN_LEAST = 2
UNPROVEN_MOST = 16
"""Attempts in flight at an origin that has never answered: an eighth of the jobs between these, so
that a dead one holds few lanes."""
SPENT = 8
"""Attempts in a row that must have failed before an origin that never answered is given up."""
RECENT = 3
"""Attempts since the last good answer, at the least, that met pressure before an origin rests."""
FORGIVEN = 10
"""Times that a file meets pressure, while others of its origin are served, before that counts
against the file."""
SUSPECT = 3
"""The same, after which it makes the share no smaller."""
AFTER_OTHERS = 0.05
"""Seconds after the end of a rest, for a file that is not to be the one that probes."""
STOPS = 30
"""Retry-Afters in a row, without a good answer, that stop the clock of `Limits.patience`."""

_REFUSALS = frozenset({FailureKind.HTTP, FailureKind.RESET})
_TOO_MANY_WORD = f"http-{TOO_MANY}"


_NOTHING = Judged()


class Governor(Origins):
    """See the module's theory of operation.

    Args:
        limits: what the user allows.

    Attributes:
        patience: the limits'.
        news: what has happened to origins; whoever tells it takes it away.
        warnings: the same of what everybody is to know.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - it is immutable
        self._limits = limits
        self._ceiling = NO_LIMIT if limits.per_host is None else limits.per_host
        self._jobs = min(limits.jobs, self._ceiling)
        first = max(UNPROVEN_LEAST, min(UNPROVEN_MOST, limits.jobs // 8))
        first = min(first, self._ceiling) if limits.patience else self._ceiling
        super().__init__(first, known=not limits.patience, measure=limits.measure)
        self.patience = limits.patience
        self.news: list[HostEvent] = []
        self.warnings: list[str] = []
        self._good_at, self._resting, self._network_told = NEVER, 0, False
        self._found_at = NEVER  # an attempt began that found a name
        self._names: NameServer | None = None

    def resize(self, jobs: int) -> None:
        """So many downloads are in flight from now on."""
        self._jobs = min(jobs, self._ceiling)

    # --- answers ---

    def good(self, job: Job, now: float, hold: float | None = None) -> None:
        """An answer that is no pressure has come.

        Args:
            job: whose.
            now: the time.
            hold: seconds for which the server will not take more, or None.
        """
        origin = job.origin
        assert origin is not None
        origin.good_at = self._good_at = now
        origin.goods += 1
        if hold is not None and self.patience:
            trouble = self._trouble(origin)
            trouble.counts = True
            self._pause(origin, trouble, now, hold)
        if origin.calm:
            return
        self._finds(origin, job.launched)
        origin.proven = True
        if origin.trouble is None:
            origin.calm = True
            origin.cap = self._ceiling
        else:
            self._recover(origin, origin.trouble, job, now)

    def _finds(self, origin: Origin, launched: float) -> None:
        """Something has come of the origin, so its name was found, if it had to be."""
        trouble = origin.trouble
        sought = trouble is not None and trouble.resting and trouble.sought is not None
        if (sought or not origin.proven) and origin.named():
            self._found_at = max(self._found_at, launched)

    def answers(self, origin: Origin) -> None:
        """A file of it is coming, though none has ended yet."""
        if not origin.proven and origin.trouble is None:
            origin.proven = origin.calm = True
            origin.cap = self._ceiling

    def judge(self, job: Job, fail: Fail, now: float, chance: float) -> Judged:
        """Note a failure; the job is still in flight.

        Args:
            job: whose attempt it was.
            fail: how it failed.
            now: the time.
            chance: a random number in [0, 1), for the jitter.
        """
        origin = job.origin
        assert origin is not None
        if not origin.host or not self.patience or not is_pressure(fail):
            if fail.first is not None or fail.kind in PROOFS_OF_HOST:
                self.good(job, now, fail.hold)
            return _NOTHING
        trouble = self._trouble(origin)
        alone = job.launched >= origin.good_at
        trouble.met(fail, now, alone=alone)
        until = self._unnamed(job, fail, now, chance)
        if until is None:
            return self._weigh(job, fail, now, chance, alone=alone)
        if not origin.proven or trouble.blind >= max(RECENT, trouble.share):
            trouble.held = max(trouble.held, self._jobs)  # it is not the host that has too much
            self._rest(origin, trouble, until, now)
        return Judged(True, True, True, max(until, origin.not_before) - now)

    def _weigh(self, job: Job, fail: Fail, now: float, chance: float, *, alone: bool) -> Judged:
        """What pressure comes to; `alone` if no good answer has come meanwhile."""
        origin = job.origin
        assert origin is not None and origin.trouble is not None  # noqa: PT018 - it is one thing
        trouble = origin.trouble
        blamed = job.contended > SUSPECT  # then it is rather the file's trouble
        cut = job.launched > trouble.cut_at and not blamed and self._cut(origin, trouble, now)
        named = fail.retry_after is not None and self._limits.heed
        vanished = fail.kind is FailureKind.DNS and origin.proven
        met = Judged(pressure=True, again=fail.transient or named or vanished, cut=cut)
        too_long = fail.retry_after is not None and fail.retry_after > self._limits.max_wait
        if fail.retry_after is not None and not too_long:
            self._heed(origin, trouble, now, fail.retry_after)
        if not self._limits.retries:
            return met
        # of one that never answered, one under way may show that it is there, and bears but few
        shared = fail.kind in _REFUSALS and origin.flying > 1
        passed = (
            job.meets(origin.goods, trouble.pressures, origin.flying) or job.contended > FORGIVEN
        )
        job.contended += (passed or not alone) if origin.proven else shared
        job.early += not origin.proven and not shared
        over = origin.proven and now >= trouble.end(self.patience) and origin.flying <= 1
        if not origin.lost and (over or (too_long and trouble.fails >= SPENT)):
            self.give_up(origin, now)
            return met._replace(lost=True)
        if origin.lost or too_long or not met.again or not (origin.proven or shared):
            return met
        if job.contended > FORGIVEN:
            return met._replace(delay=max(0.0, origin.not_before - now) + AFTER_OTHERS)
        if origin.proven and not (blamed and (origin.ready or origin.flying > 1)):
            self._wait(origin, trouble, job, now, chance)
        return self._forgive(met, job, fail, chance, now)

    def _unnamed(self, job: Job, fail: Fail, now: float, chance: float) -> float | None:
        """When names are looked up again, if that failed by the name servers; else None."""
        origin = job.origin
        assert origin is not None and origin.trouble is not None  # noqa: PT018 - it is one thing
        until = None
        if fail.kind is not FailureKind.DNS or not fail.transient:
            self._finds(origin, job.launched)
        elif self._limits.retries and not origin.lost:
            if self._names is None:
                from pdl.scheduling.name_server import NameServer  # where they fail

                self._names = NameServer(self.patience)
            names, before = self._names, (self._names.rest_end, self._names.several)
            until = names.failed(job, now, chance, self._found_at)
            if until is not None and (names.rest_end, names.several) != before:
                self._hold(names, until)
        if until is None and origin.trouble.resting and not origin.proven:
            self._resting -= 1
            origin.trouble.resting = False
            self._limit(origin, origin.trouble)
        return until

    def _hold(self, names: NameServer, until: float) -> None:
        """One has found out that names cannot be looked up yet: the others need not."""
        for each in self._origins.values():
            if names.holds(each):
                self.pause(each, until)
        if names.several:
            self._unnamed_until = until

    def _forgive(self, met: Judged, job: Job, fail: Fail, chance: float, now: float) -> Judged:
        """The origin's pressure: its files' retries are for something else."""
        origin = job.origin
        assert origin is not None and origin.trouble is not None  # noqa: PT018 - it is one thing
        rest = max(0.0, origin.not_before - now)
        lone = not origin.trouble.several and may_be_of_file(fail, origin.host)
        if not origin.ready and origin.flying <= 1:  # nobody else asks
            lone |= job.contended > SUSPECT or (not origin.waiting and _was_alone(job, fail))
        if origin.proven and (lone or (job.only and fail.status != TOO_MANY)):
            # it may be this file's alone: let another find out, or the file's own retries decide
            job.lone += 1
            return met._replace(delay=rest + AFTER_OTHERS)
        if job.yields:
            rest += AFTER_OTHERS
        own = 0.0
        if job.launched < origin.good_at or not origin.proven or job.contended > SUSPECT:
            # others are served meanwhile, and go first
            own = min(FIRST_REST * 2.0**job.contended, LONGEST_REST) * chance
        return met._replace(free=True, delay=max(own, rest))

    def _trouble(self, origin: Origin) -> Trouble:
        found = origin.trouble
        if found is None:
            from pdl.scheduling.trouble import Trouble  # most hosts have none

            found = origin.trouble = Trouble(min(self._jobs, origin.cap))
        if origin.calm:
            origin.calm = False
            found.share = self._jobs
        return found

    # --- the share ---

    def _cut(self, origin: Origin, trouble: Trouble, now: float) -> bool:
        """Halve what may be in flight; whether that is less than it was."""
        level = max(1, min(origin.flying, trouble.share))
        least = 1 if origin.proven else min(UNPROVEN_LEAST, self._jobs)
        less = trouble.cut(level, least, now)
        self._limit(origin, trouble)
        if less:
            from pdl.scheduling import host_news  # where there is any, here and below

            self.news.append(host_news.cut(origin))
        return less

    def _limit(self, origin: Origin, trouble: Trouble) -> None:
        """Set the cap."""
        origin.cap = trouble.cap(origin.goods, lost=origin.lost)

    def _recover(self, origin: Origin, trouble: Trouble, job: Job, now: float) -> None:
        """A good answer of an origin that has been in trouble."""
        since = now if trouble.since is None else trouble.since
        trouble.over()
        self._network_told = False
        if job.launched >= trouble.pause_end > trouble.window:
            trouble.begin_window(origin.goods - 1)
        if trouble.allowance is not None and trouble.outgrown(origin.goods):
            trouble.allowance = None
        if origin.lost or (trouble.resting and job.launched >= trouble.rest_end):
            self._reopen(origin, trouble, now - since)
            return
        trouble.goods += 1
        if trouble.goods >= trouble.share and trouble.rise(self._jobs, now):
            from pdl.scheduling import host_news

            origin.calm = True
            origin.cap = self._ceiling
            self.news.append(host_news.uncut(origin))
        else:
            self._limit(origin, trouble)

    # --- rests ---

    def pause(self, origin: Origin, until: float) -> None:
        """Ask nothing of the origin before that time."""
        origin.not_before = max(origin.not_before, until)

    def _heed(self, origin: Origin, trouble: Trouble, now: float, asked: float) -> None:
        """The server wants to be left alone for so many seconds; that stops the clock."""
        until = now + min(asked, self._limits.max_wait)
        if trouble.stops < STOPS and until > origin.not_before:
            trouble.stops += 1
            trouble.stopped += until - max(now, origin.not_before)
        trouble.counts = True
        self._pause(origin, trouble, now, asked)

    def _pause(self, origin: Origin, trouble: Trouble, now: float, seconds: float) -> None:
        until = now + min(seconds, self._limits.max_wait)
        self.pause(origin, until)
        trouble.pause_end = max(trouble.pause_end, until)

    def _wait(self, origin: Origin, trouble: Trouble, job: Job, now: float, chance: float) -> None:
        """Let a proven origin rest, if all of it is pressure or it says that it is too much."""
        if trouble.resting:
            if job.launched >= trouble.rest_end:  # the probe
                self._rest(origin, trouble, self._probe_at(origin, trouble, now, chance), now)
            return
        too_many = trouble.why == _TOO_MANY_WORD
        if too_many or trouble.blind >= max(RECENT, trouble.share):
            trouble.counts = trouble.counts or too_many
            trouble.held = max(trouble.held, trouble.share)
            self._rest(origin, trouble, self._probe_at(origin, trouble, now, chance), now)

    def _probe_at(self, origin: Origin, trouble: Trouble, now: float, chance: float) -> float:
        """When one that rests is asked again."""
        end, until = trouble.end(self.patience), now
        if origin.not_before <= now:  # else the server has said how long
            until += trouble.next_wait(chance)
            if now < end:
                until = min(until, end)
        return until

    def _rest(self, origin: Origin, trouble: Trouble, until: float, now: float) -> None:
        """Nobody asks the origin before that time, and one alone then."""
        begins, trouble.resting = not trouble.resting, True
        self._pause(origin, trouble, now, until - now)
        trouble.rest_end = origin.not_before
        self._limit(origin, trouble)
        if begins:
            trouble.rests += 1
            self._resting += 1
            self._tell_rest(origin, trouble, now)

    def _reopen(self, origin: Origin, trouble: Trouble, seconds: float) -> None:
        """A probe was good."""
        from pdl.scheduling import host_news

        if trouble.resting:
            self._resting -= 1
        origin.lost = False
        trouble.opened(self._jobs)
        self._limit(origin, trouble)
        self.news.append(host_news.is_back(origin, seconds))

    def _tell_rest(self, origin: Origin, trouble: Trouble, now: float) -> None:
        from pdl.scheduling import host_news

        if not self._all_rest(trouble):
            self.news.append(host_news.rests(origin, origin.not_before - now))
        elif not self._network_told:
            self._network_told = True
            self.warnings.append(host_news.network_is_down(trouble.why, self.patience))

    def _all_rest(self, trouble: Trouble) -> bool:
        """Whether all that is asked rests, and this was the last one to begin."""
        assert trouble.since is not None
        if self._resting < 2 or self._good_at > trouble.since:  # noqa: PLR2004 - several
            return False
        busy = (each for each in self._origins.values() if each.flying and each.host)
        return all(each.trouble is not None and each.trouble.resting for each in busy)

    # --- giving up ---

    def spent(self, origin: Origin, now: float) -> bool:
        """A line has used up its retries; whether its origin, that never answered, is given up."""
        trouble = origin.trouble
        if origin.proven or origin.lost or trouble is None or not self._limits.retries:
            return False
        if trouble.fails < SPENT:
            trouble.spent += 1  # no other line takes its place: those that are tried will tell
            self._limit(origin, trouble)
            return False
        self.give_up(origin, now)
        return True

    def give_up(self, origin: Origin, now: float) -> None:
        """Its lines are to end; see `probe`."""
        from pdl.scheduling import host_news

        trouble = self._trouble(origin)
        if trouble.resting:
            self._resting -= 1
        trouble.resting = False
        origin.lost = True
        origin.cap = 1
        trouble.given_up_at = now
        trouble.next_probe = now + trouble.probe_wait
        trouble.reason = trouble.why_lost(now, self._limits.max_wait, proven=origin.proven)
        self.news.append(host_news.given_up(origin))

    def probe(self, origin: Origin, now: float) -> bool:
        """Whether one line may ask an origin that is given up; if so, that is its try."""
        trouble = origin.trouble
        return trouble is not None and trouble.may_probe(now)


def _was_alone(job: Job, fail: Fail) -> bool:
    """Whether the last file that is left of its origin was refused while others were served.

    Then it is rather the file: nobody else can find out any more. It has waited as long as it was
    told, or others had even begun after it. A server that counts requests, and does not tell, may
    have refused it just because it was the last.
    """
    if fail.retry_after is not None:
        return job.contended > 0
    return fail.kind in _REFUSALS and job.overtaken()
