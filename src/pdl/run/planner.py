"""From a line of the list to a job or straight to its outcome: names, twins, what is there."""

from __future__ import annotations

import itertools
import os
import stat
from typing import TYPE_CHECKING, Protocol

from pdl.http_rules.redirects import BadField, check_fields
from pdl.integrity.checksum_index import Contradiction
from pdl.integrity.digests import BadChecksum, parse_checksum
from pdl.model import BadLine, FailureKind, Item, Outcome, Refusal, Result, SafePath, Task
from pdl.naming.claims import NOTHING_KNOWN, FoundFiles, IntTable, NameClaims, Pairing
from pdl.naming.namer import Namer
from pdl.naming.safe_name import SafeName, UnsafeName, renamed
from pdl.run.rows import bad_line, refused, untried
from pdl.scheduling.job import Job
from pdl.scheduling.mirrors import mirrors_of
from pdl.storage.versions import standing
from pdl.text.url_identity import Asked
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.integrity.checksum_index import ChecksumIndex
    from pdl.model import Pin, Version
    from pdl.run.server_names import ServerNaming
    from pdl.settings import FileSettings, NamingSettings
    from pdl.storage.versions import Versions

_OURS = 2
"""Stands for a URL's key where a path is the run's own; the chance that a URL has it is nil."""

_MARKS = {Outcome.SUCCESS: 1, Outcome.UNCHANGED: 2}
"""How a URL of an earlier line ended, where its file is what the server has."""


class Pins(Protocol):
    """Says more of a file than the list does: a lock file.

    Attributes:
        look_only: no file is fetched; each is only looked at.
    """

    look_only: bool

    def pin(self, item: Item, path: SafePath, checksum: str | None) -> Pin | Refusal | None:
        """What the item's file must be; a refusal if that contradicts the list.

        Args:
            item: as listed.
            path: the file's.
            checksum: the list's digest of it, normalised, or None.
        """

    def path_of(self, item: Item) -> SafePath | None:
        """Where the item's file has to be; None if nothing is known of that."""


class Planner:
    """Plans one line after the other; remembers which name each URL got.

    Args:
        files: the output directory, and what is done with what is there.
        naming: how names are chosen.
        on_pairing: told of every name that was not the plain one, and of its rival.
        pins: knows more of the files; then one that is there is looked at, not skipped by name.
        found: what is in the output directory.
        versions: which version of each file was placed; for ``update``.

    Attributes:
        sums: digests beside the list's own, or None; to be set before the first line.
        servers: knows the names that servers gave, where they may name files; the same.
    """

    def __init__(
        self,
        files: FileSettings,
        naming: NamingSettings,
        on_pairing: Callable[[Pairing], None] | None = None,
        pins: Pins | None = None,
        found: FoundFiles = NOTHING_KNOWN,
        versions: Versions | None = None,
    ) -> None:
        self._files = files
        self._parts = found.parts
        self._empty = found.empty
        self._naming = naming
        self._namer = Namer(naming)
        self._on_pairing = on_pairing
        self._pins = pins
        self.sums: ChecksumIndex | None = None
        self.servers: ServerNaming | None = None
        self._versions = versions
        self._names = NameClaims()
        for path in naming.reserved:
            self._names.claim(SafePath(path), _OURS)
        self._fetched = IntTable(small=True)
        self._pending: dict[tuple[int, str], Job] = {}
        self._ids = itertools.count()
        self._count = 0

    def remember(self, pairing: Pairing) -> None:
        """Keep a name that an earlier run gave; before the first line."""
        self._names.remember(pairing.path, pairing.key)

    def plan(self, entry: Item | BadLine) -> Job | Result | None:
        """A job, or the outcome where there is nothing to do; None if it follows another job."""
        self._count += 1
        if isinstance(entry, BadLine):
            return bad_line(entry)
        try:
            url = parse(entry.url)
            if entry.headers:
                check_fields(entry.headers)
            path = self._namer.path_for(entry, url, self._count)
            if self.sums is not None:
                entry = self.sums.applied(entry, url, path)
            checksum = parse_checksum(entry.checksum) if entry.checksum else None
        except (InvalidUrl, BadChecksum, BadField) as exc:
            return refused(entry, FailureKind.INVALID_URL, str(exc))
        except Contradiction as exc:
            return refused(entry, FailureKind.CHECKSUM, str(exc), path=path)
        except UnsafeName as exc:
            return refused(entry, FailureKind.NAME, str(exc))
        planned = self._place(entry, url, path, checksum)
        if self.sums is not None and isinstance(planned, Job):
            self.sums.count(planned.task)
        if self.servers is not None and isinstance(planned, Job) and not planned.task.local:
            known = self._known(self.servers, entry, planned.key, path) == planned.task.path
            named = not entry.out and self._locked(entry) is None
            self.servers.ask(planned, path, known=known, named=named)
        return planned

    def _known(
        self, servers: ServerNaming, item: Item, key: int, wanted: SafePath
    ) -> SafePath | None:
        """Where the item's file is, as far as that is not a matter of its URL."""
        return self._locked(item) or servers.path_of(key, wanted)

    def _locked(self, item: Item) -> SafePath | None:
        return None if self._pins is None or item.out else self._pins.path_of(item)

    def _place(
        self, item: Item, url: Url, wanted: SafePath, checksum: str | None
    ) -> Job | Result | None:
        asked = Asked(url)
        key = asked.key
        known = None if self.servers is None else self._known(self.servers, item, key, wanted)
        claim = self._names.claim(wanted, key) if known is None else self._names.take(known, key)
        if claim.how == "same":
            pending = self._pending.get((key, claim.path))
            if pending is not None:
                pending.followers.append(item)
                return None
            fetched = self._fetched.get(_place_of(key, claim.path))
            if fetched and self._proven(item, key, claim.path, checksum):
                message = "the same URL as an earlier line"
                how = Outcome.SUCCESS if fetched == _MARKS[Outcome.SUCCESS] else Outcome.UNCHANGED
                return untried(item, how, path=claim.path, message=message)
            if fetched and self._pins is None:
                # its bytes have not been held against what this line says of them
                return self._job(item, asked, claim.path, checksum)
        if claim.how == "renamed" and (self.servers is None or item.out):
            if self._naming.on_collision == "fail":
                message = f"another URL of this list has the name {wanted}"
                return refused(item, FailureKind.EXISTS, message)
            self._tell(Pairing(claim.path, key), claim.rival)
        if self._pins is not None:
            return self._pinned(
                self._pins, item, asked, claim.path, checksum, known=known is not None
            )
        new = claim.how != "same"
        # where nothing was, only this run makes files: not even a look is needed
        there = (
            None if new and self._empty else self._there(item, claim.path, known=known is not None)
        )
        return there or self._job(item, asked, claim.path, checksum, new=new)

    def _job(
        self,
        item: Item,
        asked: Asked,
        path: SafePath,
        checksum: str | None,
        *,
        pin: Pin | None = None,
        new: bool = False,
    ) -> Job:
        part = asked.part_name(path)
        task = Task(
            next(self._ids),
            item.url,
            path,
            part,
            item.headers,
            checksum,
            item.size,
            pieces=item.pieces,
            pin=pin,
            begun=not new or part in self._parts,
            as_listed=item.url != asked.text,
        )
        if self._files.if_exists == "update":
            version = standing(self._files.directory, task, asked.key, self._versions)
            task = task._replace(remember=True, version=version)
        job = Job(task, item, asked.netloc, asked.key)
        if item.mirrors and (mirrors := mirrors_of(item, asked.url, path)):
            job.mirrors = mirrors
            if any(mirror.part in self._parts for mirror in mirrors.usable):
                job.task = task._replace(begun=True)  # parts of other mirrors are to go
        self._pending[job.key, path] = job
        return job

    def _pinned(
        self,
        pins: Pins,
        item: Item,
        asked: Asked,
        path: SafePath,
        checksum: str | None,
        *,
        known: bool,
    ) -> Job | Result:
        """A job that proves what is there, or fetches it and proves that."""
        local = pins.look_only or self._fetched.get(_place_of(asked.key, path)) != 0
        if not local and (there := self._there(item, path, known=known)) is not None:
            if there.outcome is not Outcome.SKIPPED:
                return there
            local = True
        pin = pins.pin(item, path, checksum)
        if isinstance(pin, Refusal):
            return refused(item, pin.kind, pin.message, path=path)
        job = self._job(item, asked, path, checksum, pin=pin)
        if local:
            job.task = job.task._replace(local=True)
            job.host = ""  # neither a host's limit nor its pause concerns it
            job.mirrors = None
        return job

    def _proven(self, item: Item, key: int, path: SafePath, checksum: str | None) -> bool:
        """Whether a file fetched in this run is what this line says it is."""
        if checksum is not None and not self._fetched.get(_place_of(key, path, checksum)):
            return False
        if checksum is None and item.pieces is not None:
            return False
        if item.size is None:
            return True
        found = self._there(item, path)
        return found is not None and found.size == item.size

    def _tell(self, pairing: Pairing, rival: Pairing | None) -> None:
        if self._on_pairing is not None:
            self._on_pairing(pairing)
            if rival is not None:
                self._on_pairing(rival)

    def _there(self, item: Item, path: SafePath, *, known: bool = True) -> Result | None:
        """The outcome if what is at the final name decides it."""
        final = f"{self._files.directory}/{path}"
        if not os.access(final, os.F_OK):  # says so without an exception, which costs more
            return None
        try:
            found = os.stat(final)
        except OSError:  # whatever it is, a worker meets it again, and says so
            return None
        return None if self._foreign(found, known=known) else self._decided(item, path, found)

    def _foreign(self, found: os.stat_result, *, known: bool) -> bool:
        """Whether a file may have come to its name from another URL in this run."""
        return not known and self.servers is not None and self.servers.meanwhile(found)

    def _decided(self, item: Item, path: SafePath, found: os.stat_result) -> Result | None:
        if not stat.S_ISREG(found.st_mode):
            message = f"{path} is there and is not a file"
            return refused(item, FailureKind.EXISTS, message, path=path)
        if self._files.if_exists == "skip":
            return untried(
                item, Outcome.SKIPPED, path=path, size=found.st_size, message="already there"
            )
        if self._files.if_exists == "fail":
            message = f"{path} is there already"
            return refused(item, FailureKind.EXISTS, message, path=path)
        return None

    def placed(self, job: Job, version: Version) -> None:
        """A job's file is that version of it; to be remembered."""
        if self._versions is not None:
            self._versions.remember(job.task.path, version._replace(listed=job.key))

    def named(self, job: Job, name: str) -> None:
        """A job's file has got that name, in the directory of its task's path."""
        assert self.servers is not None
        path = renamed(job.task.path, SafeName.component(name))
        self._pending.pop((job.key, job.task.path), None)
        self._names.take(path, job.key)
        self.servers.keep(job, path)
        job.task = job.task._replace(path=path)

    def ended(self, job: Job, how: Outcome) -> None:
        """A job has its outcome."""
        path = job.task.path
        self._pending.pop((job.key, path), None)
        mark = _MARKS.get(how, 0)
        if mark and not job.task.local:
            self._fetched.setdefault(_place_of(job.key, path), mark)
            if job.task.checksum:
                self._fetched.setdefault(_place_of(job.key, path, job.task.checksum), mark)

    def shares(self, job: Job, item: Item, how: Outcome) -> bool:
        """Whether the job's outcome is also that of a line that followed it.

        A success is not if the line knows a digest or size that the job did not check; a failure
        is not if the line asks in another way or for something else.
        """
        task, first = job.task, job.item
        checksum = parse_checksum(item.checksum) if item.checksum else None
        if how is not Outcome.FAIL:
            proven = checksum == task.checksum if checksum else item.pieces in {None, task.pieces}
            return proven and item.size in {None, task.size}
        asked = (item.headers, item.mirrors) == (first.headers, first.mirrors)
        wanted = (checksum, item.size, item.pieces)
        return asked and wanted == (task.checksum, task.size, task.pieces)


def _place_of(key: int, path: str, checksum: str | None = None) -> int:
    """One number for a URL, the path it has and a digest that was checked, none of them 0."""
    return hash((key, path, checksum)) & 0xFFFF_FFFF_FFFF_FFFF or 1
