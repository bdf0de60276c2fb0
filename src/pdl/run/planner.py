"""From a line of the list to a plan, or straight to its outcome: names, twins, what is there.

It gives values and keeps none of them; what became of a plan it is told by `Planner.ended`.
"""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING, Protocol

from pdl.errors import ListError
from pdl.integrity.digests import BadChecksum, Contradiction, parse_checksum
from pdl.model import BadLine, FailureKind, Item, Outcome, Refusal, SafePath
from pdl.naming.claims import (
    NOTHING_KNOWN,
    FoundFiles,
    IntTable,
    NameClaims,
    Pairing,
    set_apart,
)
from pdl.naming.namer import Namer
from pdl.naming.safe_name import SafeName, UnsafeName, escaped_forms, renamed
from pdl.scheduling.job import Job, Plan, Share, Skip, plan_of
from pdl.text.masking import mask
from pdl.text.named_tuple import NamedTuple
from pdl.text.rules import header_fault
from pdl.text.units import place_text
from pdl.text.urls import KIN_DIGITS, RUNS_OWN, Asked, InvalidUrl, parse, part_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pdl.integrity.checksum_index import ChecksumIndex
    from pdl.model import Headers, Pin, Success
    from pdl.run.server_names import ServerNaming
    from pdl.scheduling.job import Planned
    from pdl.settings import FileSettings, NamingSettings
    from pdl.sources.rewriting import Rewriting
    from pdl.storage.archive import Archive
    from pdl.storage.versions import Versions
    from pdl.text.urls import Url

_MARKS = {Outcome.SUCCESS: 1, Outcome.UNCHANGED: 2}
"""How a URL of an earlier line ended, where its file is what the server has."""


class Pins(Protocol):
    """Says more of a file than the list does: a lock file.

    Attributes:
        look_only: no file is fetched; each is only looked at.
    """

    look_only: bool

    def pin(self, item: Item, path: SafePath, checksum: str | None) -> Pin | Refusal | None:
        """What the item's file at `path` must be; a refusal if that contradicts the list.

        The list's digest of it, normalised, is `checksum`.
        """

    def path_of(self, item: Item) -> SafePath | None:
        """Where the item's file has to be; None if nothing is known of that."""


class Known(NamedTuple):
    """What is known before the first line.

    Attributes:
        pins: know more of the files; then one that is there is looked at, not skipped by name.
        sums: digests beside the list's own.
        servers: the names that servers gave, where they may name files.
        versions: which version of each file was placed; for ``update``.
        found: what is in the output directory.
        pairings: names that earlier runs gave.
        on_pairing: told of every name that was not the plain one, and of its rival.
        archive: has the URLs that are not to be fetched again, where there is one.
        parse: takes the listed URL apart, as `pdl.text.urls.parse`.
        rewriting: says whom to ask instead of who is listed; None where that is nobody else.
        way_fault: says why a URL cannot be asked at all, whatever its server; None where each can.
    """

    pins: Pins | None = None
    sums: ChecksumIndex | None = None
    servers: ServerNaming | None = None
    versions: Versions | None = None
    found: FoundFiles = NOTHING_KNOWN
    pairings: Iterable[Pairing] = ()
    on_pairing: Callable[[Pairing], None] = lambda _: None
    way_fault: Callable[[str], str] | None = None
    parse: Callable[[str], Url] = parse
    rewriting: Rewriting | None = None
    archive: Archive | None = None


NOTHING = Known()


class Planner:
    """Plans one line after the other; remembers which name each URL got.

    Args:
        files: the output directory, and what is done with what is there.
        naming: how names are chosen.
        known: what is known before the first line.
    """

    def __init__(self, files: FileSettings, naming: NamingSettings, known: Known = NOTHING) -> None:
        self._files = files
        self._naming = naming
        self._pins, self._sums, self._servers = known.pins, known.sums, known.servers
        self._versions, self._found, self._tell = known.versions, known.found, known.on_pairing
        self._empty = known.found.empty
        self._way_fault = known.way_fault
        self._parse, self._archive = known.parse, known.archive
        self._rewriting = known.rewriting
        some = (self._sums, self._servers, self._rewriting)
        self._helped = any(each is not None for each in some)
        self._namer = Namer(naming, files.directory)
        self._aside, self._apart = naming.aside, naming.apart
        rare = known.archive is not None or known.rewriting is not None
        self._seldom = bool(naming.apart) or rare
        self._names = NameClaims()
        for path in naming.reserved:
            self._names.claim(SafePath(path), RUNS_OWN)
        for pairing in known.pairings:
            self._names.remember(pairing.path, pairing.key)
        self._fetched = IntTable(small=True)
        self._pending: dict[tuple[int, str], int] = {}
        self._parts: dict[str, list[str]] = {}
        self._ids = itertools.count()
        self._count = 0

    def plan(self, entry: Item | BadLine) -> Planned:
        """What is to be done for a line, or its outcome where that is nothing.

        Raises:
            ListError: there is no way to the line's server that could be tried.
        """
        self._count += 1
        if isinstance(entry, BadLine):
            return Refusal(FailureKind.INVALID_URL, entry.message)
        try:
            url = self._parse(entry.url)
            if fault := entry.headers and _fault_in(entry.headers):
                return Refusal(FailureKind.INVALID_URL, fault)
            wanted = self._namer.path_for(entry, url, self._count)
            if self._sums is not None:
                entry = self._sums.applied(entry, url, wanted)
            if entry.checksum:
                entry = entry._replace(checksum=parse_checksum(entry.checksum))
        except (InvalidUrl, BadChecksum) as exc:
            return Refusal(FailureKind.INVALID_URL, str(exc))
        except Contradiction as exc:
            return Refusal(FailureKind.CHECKSUM, str(exc), wanted)
        except UnsafeName as exc:
            return Refusal(FailureKind.NAME, str(exc))
        if self._seldom:
            wanted, planned = self._place_otherwise(entry, Asked(url), wanted)
        else:
            planned = self._place(entry, Asked(url), wanted)
        if self._way_fault is not None and isinstance(planned, Plan) and not planned.local:
            _check_way(planned, self._way_fault)
        return self._completed(planned, wanted) if self._helped else planned

    def _place_otherwise(
        self, item: Item, asked: Asked, wanted: SafePath
    ) -> tuple[SafePath, Planned]:
        """As `_place`, with shards, an archive or rules of who is asked; the name comes first."""
        if self._apart and (self._apart != "listed" or item.out):
            digits = f"{asked.key:016x}"
            wanted = set_apart(wanted, digits if self._apart == "host" else digits[:8])
        if self._archive is not None and self._archive.has(asked.key):
            self._names.claim(wanted, asked.key)  # its name is still not another's
            return wanted, Skip(None, Outcome.SKIPPED)
        asks = None if self._rewriting is None else self._rewriting.applied(item, asked.url)
        if isinstance(asks, str):
            return wanted, Refusal(FailureKind.POLICY, asks, wanted)
        return wanted, self._place(item, asked, wanted)

    def plan_again(self, item: Item, followed: Plan) -> Planned:
        """Plan a line anew that followed a job whose outcome is not its own."""
        planned = self._place(item, Asked(followed.url), followed.wanted)
        return self._completed(planned, followed.wanted)

    def fetch_instead(self, plan: Plan) -> Plan:
        """The plan to fetch what is there and is not right; it takes the place of `plan`."""
        fetch = self._plan(plan.item, Asked(plan.url), plan.path, plan.pin)
        if self._helped:
            completed = self._completed(fetch, plan.wanted)
            assert isinstance(completed, Plan)  # as what it was given
            return completed
        return fetch

    # --- where the file goes ---

    def _place(self, item: Item, asked: Asked, wanted: SafePath) -> Planned:
        key = asked.key
        given = None if self._servers is None else self._given(self._servers, item, key, wanted)
        claim = self._names.claim(wanted, key) if given is None else self._names.take(given, key)
        named, how, rival = claim
        known, new = given is not None, how != "same"
        path = named if new and self._empty else self._on_disk(named, key)
        if not new:
            pending = self._pending.get((key, path))
            if pending is not None:
                return Share(pending, item)
            fetched = self._fetched.get(_number_of(key, path))
            if fetched and self._proven(item, key, path):
                mark = _MARKS[Outcome.SUCCESS]
                return Skip(path, Outcome.SUCCESS if fetched == mark else Outcome.UNCHANGED)
            if fetched and self._pins is None:
                # its bytes have not been held against what this line says of them
                return self._plan(item, asked, path)
        if how == "renamed" and (self._servers is None or item.out):
            if self._naming.on_collision == "fail":
                message = f"another URL of this list has the name {wanted}"
                return Refusal(FailureKind.EXISTS, message)
            self._tell(Pairing(path, key))
            if rival is not None:
                self._tell(rival)
        if self._pins is not None:
            return self._pinned(self._pins, item, asked, path, known=known)
        # where nothing was, only this run makes files: not even a look is needed
        there = None if new and self._empty else self._there(path, known=known)
        settled = self._compared(there, path, item, asked) if isinstance(there, Skip) else there
        return settled or self._plan(item, asked, path, new=new)

    def _compared(
        self, there: Skip, path: SafePath, item: Item, asked: Asked
    ) -> Skip | Plan | None:
        """Hold the file that is there against what the list says; None if it is wrong."""
        if self._files.trust_existing:
            return there._replace(unchecked=True)
        if item.size not in {None, there.size}:
            return None
        if item.checksum or item.pieces is not None or self._files.digest_there:
            return self._plan(item, asked, path, local=True)._replace(refetch=True)
        return there._replace(unchecked=item.size is None)

    def _given(
        self, servers: ServerNaming, item: Item, key: int, wanted: SafePath
    ) -> SafePath | None:
        """Where the item's file is, as far as that is not a matter of its URL."""
        return self._locked(item) or servers.path_of(key, wanted)

    def _locked(self, item: Item) -> SafePath | None:
        return None if self._pins is None or item.out else self._pins.path_of(item)

    def _plan(
        self,
        item: Item,
        asked: Asked,
        path: SafePath,
        pin: Pin | None = None,
        *,
        new: bool = False,
        local: bool = False,
    ) -> Plan:
        key, part = asked.key, asked.part_name(path)
        if self._aside:
            part = self._aside + part
        parts = self._found.parts  # those of other mirrors are to go with the item's own
        kin: tuple[str, ...] = ()
        begun = not new
        if parts:
            kin = self._kin(part)
            begun = begun or part in parts or bool(kin) or bool(item.mirrors)
        # neither a host's limit nor its pause concerns what is only looked at
        host = "" if local else asked.netloc
        as_listed = item.url != asked.text
        number, url = next(self._ids), asked.url
        known = (number, item, url, key, host, path, path, part, pin, local, begun, as_listed)
        plan = plan_of((*known, False, None, None, kin, False, None))
        if self._files.if_exists == "update":
            from pdl.storage.versions import standing  # where files are kept current

            version = standing(self._files.directory, Job(plan).task(), key, self._versions)
            plan = plan._replace(remember=True, version=version)
        self._pending[key, path] = plan.id
        return plan

    def _kin(self, part: str) -> tuple[str, ...]:
        """Parts of earlier runs for the same path, of the URL with another query.

        Where servers give names, several URLs may be after one path, and which of these parts is
        still somebody's nobody knows.
        """
        if self._servers is not None:
            return ()
        digits = len(self._aside) + KIN_DIGITS
        if not self._parts:
            for name in self._found.parts:
                self._parts.setdefault(name[:digits], []).append(name)
        return tuple(name for name in self._parts.get(part[:digits], ()) if name != part)

    def _completed(self, planned: Planned, wanted: SafePath) -> Planned:
        """A plan with what servers have to say of names; it is counted if no digest is known."""
        if not isinstance(planned, Plan) or planned.local:
            return planned
        item, key, path = planned.item, planned.key, planned.path
        if self._sums is not None:
            self._sums.count(item, planned.pin)
        if self._rewriting is not None:
            planned = _rewritten(planned, self._rewriting, wanted)
        if self._servers is None:
            return planned
        known = self._given(self._servers, item, key, wanted) == path
        named = not item.out and self._locked(item) is None
        served = self._servers.served(key, path, known=known, named=named)
        # the part's name must be the same on every run, whoever has taken which name before
        part = planned.part if planned.asks else self._aside + part_name(planned.url, wanted)
        return planned._replace(wanted=wanted, part=part, served=served)

    def _pinned(
        self, pins: Pins, item: Item, asked: Asked, path: SafePath, *, known: bool
    ) -> Plan | Refusal:
        """Prove what is there, or fetch it and prove that."""
        local = pins.look_only or self._fetched.get(_number_of(asked.key, path)) != 0
        if not local:
            there = self._there(path, known=known)
            if isinstance(there, Refusal):
                return there
            local = there is not None
        pin = pins.pin(item, path, item.checksum)
        if isinstance(pin, Refusal):
            return pin._replace(path=path)
        plan = self._plan(item, asked, path, pin, local=local)
        # what the lock has stands; to what is new to it the list's word applies, as without a lock
        new = local and not pins.look_only and pin is not None and not pin.where
        told = item.size is not None or item.checksum is not None or item.pieces is not None
        trusted = self._files.trust_existing or self._files.if_exists != "skip"
        return plan._replace(refetch=True) if new and told and not trusted else plan

    # --- what is there ---

    def _on_disk(self, path: SafePath, key: int) -> SafePath:
        """The path, or what its file is called where the file system has refused that."""
        for form in escaped_forms(path):
            if self._is_there(form) and not self._is_there(path):
                self._names.take(form, key)
                return form
        return path

    def _is_there(self, path: SafePath) -> bool:
        return os.access(f"{self._files.directory}/{path}", os.F_OK)

    def _proven(self, item: Item, key: int, path: SafePath) -> bool:
        """Whether a file fetched in this run is what this line says it is."""
        if item.checksum and not self._fetched.get(_number_of(key, path, item.checksum)):
            return False
        if not item.checksum and item.pieces is not None:
            return False
        if item.size is None:
            return True
        there = self._there(path)
        return isinstance(there, Skip) and there.size == item.size

    def _there(self, path: SafePath, *, known: bool = True) -> Skip | Refusal | None:
        """The outcome if what is at the final name decides it."""
        final = f"{self._files.directory}/{path}"
        if not os.access(final, os.F_OK):  # says so without an exception, which costs more
            return None
        try:
            found = os.stat(final)
        except OSError:  # whatever it is, a worker meets it again, and says so
            return None
        # one that was made in this run may have come to its name from another URL
        foreign = not known and self._servers is not None and self._servers.meanwhile(found)
        return None if foreign else self._decided(path, found)

    def _decided(self, path: SafePath, found: os.stat_result) -> Skip | Refusal | None:
        if not stat.S_ISREG(found.st_mode):
            return Refusal(FailureKind.EXISTS, f"{path} is there and is not a file", path)
        if self._files.if_exists == "skip":
            return Skip(path, Outcome.SKIPPED, found.st_size)
        if self._files.if_exists == "fail":
            return Refusal(FailureKind.EXISTS, f"{path} is there already (--if-exists fail)", path)
        return None

    def ended(self, plan: Plan, how: Outcome, answer: Success | None = None) -> SafePath:
        """Take note of a job's outcome; the answer is where its file is, or would have been."""
        path = plan.path
        self._pending.pop((plan.key, path), None)
        if answer is not None and answer.name is not None:
            path = self._named(plan, path, answer.name)
        if answer is not None and answer.version is not None and self._versions is not None:
            self._versions.remember(path, answer.version._replace(listed=plan.key))
        mark = _MARKS.get(how, 0)
        if mark and not plan.local:
            self._fetched.setdefault(_number_of(plan.key, path), mark)
            if plan.item.checksum:
                self._fetched.setdefault(_number_of(plan.key, path, plan.item.checksum), mark)
        return path

    def _named(self, plan: Plan, path: SafePath, name: str) -> SafePath:
        """Where a file is that got another name, from its server or for the file system's sake."""
        if self._servers is None:
            path = next((each for each in escaped_forms(path) if each.endswith(name)), path)
            self._names.take(path, plan.key)
            return path
        path = renamed(path, SafeName.component(name))
        self._names.take(path, plan.key)
        self._servers.keep(plan, path)
        return path


def _rewritten(plan: Plan, rewriting: Rewriting, wanted: SafePath) -> Plan:
    """The plan, in which others are asked than those listed."""
    asks = rewriting.applied(plan.item, plan.url)
    if isinstance(asks, str) or asks is plan.item:
        return plan  # the former is refused before
    asked = Asked(parse(asks.url))
    as_listed = asks.url != asked.text
    part = plan.part[: plan.part.rfind("/") + 1] + asked.part_name(wanted)
    return plan._replace(asks=asks, host=asked.netloc, part=part, begun=True, as_listed=as_listed)


def _check_way(plan: Plan, fault_of: Callable[[str], str]) -> None:
    item = plan.item
    if not plan.url.port:  # whom a program will name is not known
        return
    faults = [fault_of(url) for url in (plan.url.request_url, *item.mirrors)]
    if all(faults):
        place = place_text(item.source, item.line)
        raise ListError(
            f"{place}: no way to {mask(item.url)}: {faults[0]}" if place else faults[0],
            "name another proxy there, or the host in no_proxy; "
            "the same command then goes on from here",
        )


def _fault_in(fields: Headers) -> str:
    """Why a header field cannot be sent, empty if each can."""
    return next((fault for name, value in fields if (fault := header_fault(name, value))), "")


def _number_of(key: int, path: str, checksum: str | None = None) -> int:
    """One number for a URL, the path it has and a digest that was checked, none of them 0."""
    return hash((key, path, checksum)) & 0xFFFF_FFFF_FFFF_FFFF or 1
