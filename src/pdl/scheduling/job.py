"""What a line comes to; and a job: one file on its way to its outcome, and a worker's task of it.

The plan of a job says all that is known before the first request, and never changes. A job is that
plan and what has come of it so far. Each attempt gets a task of its own, which `Job.task` makes of
the two; nothing else makes one.

The bytes of two mirrors never mix unseen: a part's name comes from the URL that is asked, for the
validator of one server says nothing of another's file. Only where a digest proves the whole may
others help with it (`pdl.run.helpers`), and the part's note says so.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pdl.model import Headers, Item, Outcome, Refusal, SafePath, Task, task_of
from pdl.scheduling.retry import Deaths, Progress
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl, Url, parse, part_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Fail, Pin, Served, Version
    from pdl.scheduling.origin import Origin

DOUBT = 2
"""Refusals in a row after which it may be the range that a server refuses, not the file."""
_NO_DEATHS = Deaths()
_NO_PROGRESS = Progress()
_NONE: tuple[str, ...] = ()


class Plan(NamedTuple):
    """What is to be done for a line of the list.

    Attributes:
        id: names the job and its tasks; unique in a run.
        item: what the list and checksum files say; its checksum is normalised.
        url: the item's, parsed.
        key: the URL's `pdl.text.urls.url_key`.
        host: whom it is asked of; names a queue. Empty if no server is asked.
        path: where the file goes.
        wanted: where it would go if no other URL and no server had a say in that.
        part: name of its part file, as long as the item's own URL is asked.
        pin: what a lock file says of the file.
        local: the file that is there is looked at, and no server asked.
        refetch: it is fetched if it is not as it should be.
        asks: the item with the URLs that are asked in place of those listed; None asks those.
        begun: something of the file may be there, as in `pdl.model.Task`.
        as_listed: as in `pdl.model.Task`.
        remember: the answer is to say which version was placed.
        version: what stands at `path`: to hear that it is unchanged is enough.
        served: the server may name the file.
        kin: as in `pdl.model.Task`.
    """

    id: int
    item: Item
    url: Url
    key: int
    host: str
    path: SafePath
    wanted: SafePath
    part: str
    pin: Pin | None = None
    local: bool = False
    begun: bool = False
    as_listed: bool = False
    remember: bool = False
    version: Version | None = None
    served: Served | None = None
    kin: tuple[str, ...] = ()
    refetch: bool = False
    asks: Item | None = None

    def shares(self, item: Item, how: Outcome) -> bool:
        """Whether the job's outcome is also that of a line that followed it.

        A success is not if the line knows a digest or size that the job did not check; a failure
        is not if the line asks in another way or for something else.
        """
        first = self.item
        if how is not Outcome.FAIL:
            same = item.pieces in {None, first.pieces}
            proven = item.checksum == first.checksum if item.checksum else same
            return proven and item.size in {None, first.size}
        asked = (item.headers, item.mirrors) == (first.headers, first.mirrors)
        wanted = (item.checksum, item.size, item.pieces)
        return asked and wanted == (first.checksum, first.size, first.pieces)


plan_of = partial(tuple.__new__, Plan)
"""Plans of all their fields; see `pdl.model.success_of`."""


def _fields(kind: type[Plan | Item], names: str) -> Callable[[Any], tuple[Any, ...]]:
    """Gives these fields of a tuple in one go: each for itself takes a lookup in the class."""
    return itemgetter(*map(kind._fields.index, names.split()))


_ASKED = _fields(Plan, "id item part pin local begun as_listed remember version served kin asks")
_WANTED = _fields(Item, "url headers checksum size pieces")


class Share(NamedTuple):
    """The line wants the same URL at the same path as a job that has no outcome yet.

    Attributes:
        id: the job's.
        item: the line's, as `Plan.item`.
    """

    id: int
    item: Item


class Skip(NamedTuple):
    """The line's file is there, and nothing is to be done.

    Attributes:
        path: of the file; None if it may be gone, for the archive has the URL.
        how: it was there before the run, or how an earlier line of the same URL ended.
        size: in bytes, where it was looked at.
        unchecked: nothing is known that it could be held against.
    """

    path: SafePath | None
    how: Outcome
    size: int | None = None
    unchecked: bool = False


Planned = Plan | Share | Skip | Refusal
"""What a line comes to."""


class Job:
    """One item on its way to its outcome.

    Attributes:
        plan: what is to be done.
        path: where the file goes; another than the plan's once its server has named it.
        host: whom it is asked of next.
        attempts: answers so far.
        progress: how far they got.
        deaths: what is known of workers that died while they were at it.
        received: bytes over the wire, all attempts together.
        began: when the first attempt was handed out, by the caller's clock; None before.
        started: the same by `time.time`.
        mirrors: the URLs it may be asked at, if there is more than one.
        trouble: the word of its last failure; empty before.
        refusals: how many of its last attempts in a row a status has ended.
        origin: that of the host, while it is in the schedule.
        launched: when its last attempt was handed out, by the caller's clock.
        early: attempts that met pressure of an origin that had not answered yet.
        contended: attempts that met pressure while others of the origin were served.
        lone: attempts that met what may be the file's own trouble, as nobody else did.
        met: good answers and pressures of its origin when it met pressure last, how many of its
            jobs were in flight, and whether it has been overtaken; None before.
        only: since the last time before that others were served, and none of them met any.
        yields: after a rest, another file of the origin is to find out first.
        stopped: how a stop of the run has ended its last attempt, in words; else empty.
    """

    # with slots an attribute is read in a third of the time
    __slots__ = (
        "attempts",
        "began",
        "contended",
        "deaths",
        "early",
        "host",
        "launched",
        "lone",
        "met",
        "mirrors",
        "only",
        "origin",
        "path",
        "plan",
        "progress",
        "received",
        "refusals",
        "started",
        "stopped",
        "trouble",
        "yields",
    )

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.path = plan.path
        self.host = plan.host
        self.attempts = 0
        self.deaths = _NO_DEATHS
        self.progress = _NO_PROGRESS
        self.received = 0
        self.began: float | None = None
        self.started: float | None = None
        self.trouble = ""
        self.refusals = 0
        self.origin: Origin | None = None
        self.launched = 0.0
        self.early = self.contended = self.lone = 0
        self.met: tuple[int, int, int, bool] | None = None
        self.only = self.yields = False
        self.stopped = ""
        several = (plan.asks or plan.item).mirrors and not plan.local
        self.mirrors = mirrors_of(plan) if several else None

    def meets(self, goods: int, pressures: int, flying: int) -> bool:
        """Note that it meets pressure: whether others were served since the last time.

        From one time to the next it and the others of its origin take turns in who asks first after
        a rest. So a file that alone gets no answer does not speak for its host.

        Args:
            goods: good answers of the origin.
            pressures: attempts of the origin that met pressure, with this one.
            flying: jobs of the origin in flight, with this one.
        """
        before = self.met
        # more were served than had been under way when it was refused
        overtaken = before is not None and (before[3] or goods - before[0] >= before[2])
        self.met = goods, pressures, flying, overtaken
        self.yields = not self.yields
        passed = before is not None and goods > before[0]
        self.only = passed and before is not None and pressures == before[1] + 1
        return passed

    def overtaken(self) -> bool:
        """Whether it was refused again after others had been served that began after it."""
        return self.met is not None and self.met[3]

    def task(self) -> Task:
        """What a worker is given for the next attempt."""
        origin, mirrors, died = self.origin, self.mirrors, self.deaths.total > 0
        (number, item, part, pin, local, begun, as_listed, remember, version, served, kin, asks) = (
            _ASKED(self.plan)
        )
        url, headers, checksum, size, pieces = _WANTED(asks or item)
        others = _NONE
        if mirrors is not None:
            mirror = mirrors.current
            url, part, headers = mirror.url, mirror.part, mirror.headers
            as_listed = mirror.as_listed
            others = tuple(each.part for each in mirrors.usable if each is not mirror)
            if mirror.place:  # another server's file: nothing of the item's URL is shown to it
                others, kin = (*others, *kin), _NONE
        return task_of(
            (
                number,
                url,
                self.path,
                part,
                headers,
                checksum,
                size,
                died,
                pieces,
                pin,
                local,
                begun or self.attempts > 0 or died,
                as_listed,
                remember,
                version,
                others,
                served,
                kin,
                self.refusals >= DOUBT,
                "" if origin is None or origin.calm else origin.few(),
                0,
            )
        )


class Mirror(NamedTuple):
    """One URL of an item.

    Attributes:
        place: in the list; 0 is the item's own URL.
        url: as listed.
        host: whom it is asked of, as `Job.host`.
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
        rounds: the number of this round since one of them got further into the file, from 1.
        reached: bytes that were kept of each at most, by place.
        delays: seconds after which one that failed in this round may be asked again.
        fails: how each failed last, by place.
        words: what is told of each that failed, by place.
        charged: one that failed in this round did not just meet the trouble of its host.
    """

    def __init__(self, usable: tuple[Mirror, ...], words: dict[int, str]) -> None:
        self.usable = usable
        self.current = usable[0]
        self.pending = list(usable)
        self.rounds = 1
        self.reached: dict[int, int] = {}
        self.delays: dict[int, float] = {}
        self.fails: dict[int, Fail] = {}
        self.words = words
        self.charged = False

    def note(self, kept: int) -> None:
        """So many bytes of the current one were kept; more than ever let the rounds begin anew."""
        place = self.current.place
        if kept > self.reached.get(place, 0):
            self.reached[place] = kept
            self.rounds = 1

    def next_round(self) -> None:
        """Begin another round, of those that may be asked again.

        One in which all met nothing but the trouble of their hosts does not count.
        """
        self.pending = [mirror for mirror in self.usable if mirror.place in self.delays]
        self.delays = {}
        self.rounds += self.charged
        self.charged = False


def mirrors_of(plan: Plan) -> Mirrors | None:
    """The URLs of an item that has mirrors, each once; None if there is but one.

    One that pdl cannot ask (ftp, or no URL at all) counts as failed.
    """
    item, own, listed = plan.asks or plan.item, plan.url, plan.url.origin
    # the parts' names must be the same on every run, whatever the servers call the file
    path = plan.path if plan.served is None else plan.wanted
    aside = plan.part[: plan.part.rfind("/") + 1]  # where the parts of its shard are
    if plan.asks is not None:
        own = parse(item.url)
    fields = plan.item.headers
    headers = fields if own.origin == listed else ()
    first = _mirror(0, item.url, own, aside + part_name(own, path), headers)
    usable = {first.part: first}
    words = {}
    for place, text in enumerate(item.mirrors, 1):
        try:
            other = parse(text)
        except InvalidUrl as error:
            words[place] = f"mirror {place}: {error}"
            continue
        headers = fields if other.origin == listed else ()
        mirror = _mirror(place, text, other, aside + part_name(other, path), headers)
        usable.setdefault(mirror.part, mirror)
    found = tuple(usable.values())
    if len(found) == 1 and not words:
        return None
    return Mirrors(found, words)


def _mirror(place: int, text: str, url: Url, part: str, headers: Headers) -> Mirror:
    return Mirror(place, text, url.netloc, part, headers, text != url.request_url)
