"""What ONE attempt at ONE file decides: a machine that does no I/O and has no clock.

Theory of operation
===================

An attempt is told what happened (events: its methods) and says what is to be done (commands: what
they return, see `pdl.fetch.commands`). A driver does that and tells what came of it::

    begin ─▶ FIND ─▶ found ─▶ Ask ─▶ head ─▶ START, GO_ON ─▶ opened ─▶ Receive ─▶ took, end
      │                        ▲    │ │ │       ▲                                       │
      │ digest known     again │    │ │ ▼       │ none                                  ▼
      ▼                        ├────┘ │ LOOK ─▶ looked ─▶ Success                    complete
    COPY ─▶ copied ────────────┤      ▼                                digest known │    │
      ▲       │           no   │    COMPARE ─▶ compared ─▶ Success                  ▼    │
      │ 304   └────────┐       │                 │ no                             PROVE  │
    head               ▼       └─────────────────┘                                  │    │
                     Place ◀──────────────────────────────── proven_as ◀────────────┘    │
                       │ ▲                                                               │
                       ▼ └───────────────────────────────────────────────────────────────┘
                    placed ─▶ Success

What goes wrong, here or in the driver, is an exception and one more event: `error` makes of it a
`Fail`, or the request that starts the file again, once. After a Fail the driver does with the part
what `keep` and `sound` say. A refusal by status is `Refuse`, for its connection is worth keeping.

The order of the checks is that of the events. The head: status, range, type, size, so that nothing
is received in vain. The bytes as they come: the first of them, the pieces, how many. The end: how
many, then the digest. Only then the file gets its name.

- `pdl.fetch.blocking` does all of it, and may wait. `pdl.fetch.from_cache` serves it: what was
  found there is an argument of `begin`, and COPY is its part.
- `pdl.fetch.fast_path` does what needs no waiting and no part: it has asked already what its tables
  allow, and gives `head` all of the body. At a command that it cannot do it drops the attempt, and
  the blocking driver makes another of the bytes that have come.
- Room for ranges of a file beside each other: an attempt each. `found` is told where the range
  begins and of which version it is; the driver waits for all `end`, and does the rest with one.
- Room for other protocols (ftp, file): a `pdl.fetch.commands.Head` is made of what they tell (200
  or 206, the length, ``last-modified``); `found(None)` says that nothing can be gone on with.

What may live here: rules, and what they need to know of this one attempt. Not here: a socket, a
descriptor, a path of the machine, the time; sizes and times are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.fetch import failures, file_checks
from pdl.fetch.asking import Asking
from pdl.fetch.commands import FIND_OUT, FROM_CACHE, Ask, Do, Place, Receive, Refuse, place_of
from pdl.fetch.failures import AttemptFailed, StartAgain
from pdl.http_rules import conditional, ranges
from pdl.http_rules.dates import http_seconds
from pdl.http_rules.ranges import OK, Step
from pdl.http_rules.redirects import STATUSES
from pdl.integrity.check import Mismatch, check_of, has_digest, wanted_size
from pdl.integrity.declared_digests import declared
from pdl.model import NOT_MODIFIED, FailureKind, Pin, Success, success_of
from pdl.naming.content_disposition import safe_name
from pdl.naming.safe_name import renamed
from pdl.storage import versions
from pdl.storage.note import NOTE_BYTES, NOTE_SECONDS, head_of_whole

if TYPE_CHECKING:
    from pdl.fetch.commands import Command, Head, Offer
    from pdl.fetch.file_checks import Opening
    from pdl.http_rules.ranges import Known
    from pdl.integrity.check import Check
    from pdl.model import Fail, SafePath, Task, Version
    from pdl.settings import FileSettings, HttpSettings
    from pdl.storage.note import Header
    from pdl.storage.versions import Stamp


class Attempt:
    """One attempt, and what has been found out in it.

    Every event may raise `AttemptFailed` or `StartAgain`, which is to be told to `error`.

    Args:
        http: of the run.
        files: of the run.
        task: what is attempted.
        started: when it began, by the clock of all its times.

    Attributes:
        asked: the URL that was asked last, or None; a driver that asks by itself sets it.
        task, started: as given.
        header: gives the fields of the whole file, once there is an answer.
        framed: as `Head` has it, of the last answer.
        wanted: the path that the file should have, as far as is known.
        known: the part that is gone on with, or None.
        version: that a 304 would be about, or None.
        check: takes all bytes of the file; None where nothing is known of them.
        opening: takes the first bytes of a body, until it is `done`; None if nobody looks at them.
        announced: bytes the file will have by the answer's head; None while nobody has said.
        received: bytes of bodies so far.
        proven: what the bytes were found to be, as `pdl.integrity.check.Check.finish` has it.
        offer: of the cache, while it may be taken.
        keep: after a `Fail`: the part can be gone on with.
        first, hold: as in `pdl.model.Success`, of the last request; None before its answer.
        mixed_from: from there on the part may have bytes of several answers; 0 if it has not.
        sound: after a `Fail`: as many bytes of the part are right, the others go.
    """

    # the state of a new one stands here, where it costs nothing
    asked: str | None = None
    header: Header
    framed = True
    known: Known | None = None
    version: Version | None = None
    check: Check | None = None
    opening: Opening | None = None
    announced: int | None = None
    received = 0
    first: float | None = None
    hold: float | None = None
    proven: str | None = None
    offer: Offer | None = None
    keep = False
    sound: int | None = None
    _asking: Asking | None = None
    _conditional = _whole_part = False
    _pin: Pin | None = None
    _status = _resumed_from = mixed_from = 0
    _remark = ""

    def __init__(self, http: HttpSettings, files: FileSettings, task: Task, started: float) -> None:
        self._http = http
        self._files = files
        self.task = task
        self.started = started
        self.wanted = task.path

    # --- what to ask ---

    def begin(self, offer: Offer | None = None, *, hashes: bool = False) -> Command:
        """Begin.

        Args:
            offer: of the cache.
            hashes: the SHA-256 of the file is to be found out.
        """
        self._pin = FIND_OUT if hashes else None
        self.offer = offer
        if offer is not None and offer.sure:
            return self._take_offer(offer)
        self.version = self.task.version if offer is None else offer.version()
        return Do.FIND

    def found(self, known: Known | None) -> Command:
        """There is a part that can be gone on with, or none."""
        asking = self.asking()
        if self._http.https_only and asking.url.scheme == "http":
            raise AttemptFailed(FailureKind.POLICY, "plain http, which --https-only refuses")
        return self._ask(asking, known and ranges.to_go_on(known, proven=has_digest(self.task)))

    def asking(self) -> Asking:
        """What is asked; its URL is the one that was asked last."""
        if self._asking is None:
            self._asking = Asking(self._http, self._files, self.task, self.started)
        return self._asking

    def _ask(
        self, asking: Asking, known: Known | None, *, drain: bool = False, drop: bool = False
    ) -> Ask:
        self.known = known
        request = asking.request(known, self.version)
        self.asked, self._conditional = request.url, asking.conditional
        return Ask(request, drain, drop, asking.login)

    def _ask_anew(self, *, drain: bool = False, drop: bool = False) -> Ask:
        """Ask for the whole file, without a condition: what was asked before led to nothing."""
        asking = self.asking()
        asking.begin_again()
        self._resumed_from = self.mixed_from = 0
        self._whole_part = False
        self.version = self.offer = None
        return self._ask(asking, None, drain=drain, drop=drop)

    # --- what an answer means ---

    def head(self, head: Head, body: memoryview | None = None, *, declares: bool = True) -> Command:
        """An answer has begun.

        Args:
            head: of the answer.
            body: all of it, if that has come already; `took` and `complete` are not told then.
            declares: False if no field of it declares a digest, or how many requests are left.
        """
        status, known, files, header = head.status, self.known, self._files, head.header
        if declares:
            self.hold = self.asking().heard(head)
        if (status != OK or self._conditional) and (command := self._without_file(head)):
            return command
        if status != OK or known is not None or header("content-range") is not None:
            known = self.known = self._fitting(known, head)
        self.offer = None  # it is another version
        self._status, self.framed, self.header = status, head.framed, header
        said, task = None, self.task
        if declares or known is not None:
            self.header = head_of_whole(known, header)
            said = file_checks.digest_of_whole(known, status, header)
        promise = task.path if task.served is None else self._name_it()
        if body is None:
            self.opening = file_checks.opening(files, promise, status, self.header)
        elif fault := file_checks.unlike(files, promise, header, body):
            raise AttemptFailed(FailureKind.CONTENT, fault, status=status)
        else:
            self.received = len(body)
        if header("content-encoding") or (body and body[0] in file_checks.REMARKABLE):
            self._remark = file_checks.remark(files, self.wanted, self.header, body)
        self.check = check_of(task, said, self._pin, files.digests)
        length = head.length
        if known is not None or length is None:
            length = ranges.total_of(known, length, header)
        self.announced = length
        return self._open(body) if task.served is None else Do.LOOK

    def _open(self, body: memoryview | None = None) -> Do | Place:
        """All but the size is known to be right: receive the file, or its rest; or all is here."""
        file_checks.check_announced(self._files, self.task, self.announced)
        if self.known is None and body is not None:
            return self.complete(len(body))
        return Do.START if self.known is None else Do.GO_ON

    def _without_file(self, head: Head) -> Command | None:
        """What comes of an answer that brings no file; None if it does bring one."""
        status, updates = head.status, self.task.remember or self.version is not None
        mine = ranges.expected(ranged=self.known is not None, updates=updates)
        if status != OK and status not in mine:
            return self._other(head)
        if self._conditional and (status == NOT_MODIFIED or self._is_there(head)):
            return self._unchanged(head)
        return None

    def _fitting(self, known: Known | None, head: Head) -> Known | None:
        """The part that an answer goes on with; None if it brings the file from the start."""
        answer = ranges.answered(head.status, head.length, head.header)
        what = ranges.step(known, answer)
        failures.check_step(what, answer)
        if what is Step.WRITE or known is None:
            return None
        self._whole_part, self._resumed_from = what is Step.DONE, known.offset
        return known

    def _other(self, head: Head) -> Command:
        """A status that brings no file: a redirect, or the body is none of ours."""
        status = head.status
        if status in STATUSES:
            asking = self.asking()
            try:
                asking.redirected(status, head.header("location"))
            except AttemptFailed as exc:
                return Refuse(exc)
            return self._ask(asking, self.known, drain=True)
        doubted = self.task.doubted or failures.minds_the_fields(status)
        if (self.known or self._conditional) and doubted:
            return self._ask_anew(drain=True)
        return Refuse(failures.refusal(status, head.reason, head.header, self._http.retry_statuses))

    def _is_there(self, head: Head) -> bool:
        """Whether a 200 brings just what was asked about: its body need not be read."""
        version, said = self.version, declared(head.status, head.header)
        assert version is not None
        found = head.length, head.header, said and said.checksum
        return conditional.is_same(version, self.asking().url, *found)

    def _unchanged(self, head: Head) -> Command:
        """A 304 or its like: the file that is there stays, or that of the cache is taken."""
        version, said = self.version, declared(head.status, head.header)
        assert version is not None
        if conditional.contradicts(version, head.header, said and said.checksum):
            raise StartAgain
        self._status, self.framed, self.header = NOT_MODIFIED, head.framed, head.header
        return Do.COMPARE if self.offer is None else self._take_offer(self.offer)

    def compared(self, now: float, *, same: bool) -> Success:
        """The file at the path still is the version that was asked about, or not."""
        version = self.version
        assert version is not None
        if not same:
            raise StartAgain
        self.proven = versions.digest_of(self.task, version)
        named = conditional.confirmed(version, self.asking().url, self.header)
        return self._success(version.size, now, named)

    # --- what servers call it ---

    def _name_it(self) -> SafePath:
        """Take the server's name; the path that tells what is to come, and no log-in page does."""
        self.call_it(self.asking().called(self.header))
        told = self.header("content-disposition") is not None
        listed = not told and file_checks.by_bytes(self._files, self.task.path, self.header)
        return self.task.path if listed else self.wanted

    def call_it(self, called: str | None) -> None:
        """What the server calls the file, if it does; that counts where servers give names."""
        task = self.task
        name = safe_name(called) if called and task.served and task.served.named else None
        self.wanted = task.path if name is None else renamed(task.path, name)

    def looked(self, there: Success | None, now: float) -> Command:
        """An attempt that was killed has placed this file already, or not."""
        if there is not None:
            self.offer = None
            done = self._success(there.size, now, None)
            return done._replace(checksum=there.checksum, name=there.name, message=there.message)
        return self._open() if self.offer is None else Do.COPY

    # --- the cache ---

    def _take_offer(self, offer: Offer) -> Do:
        if self.task.served is None:
            return Do.COPY
        self.call_it(offer.entry.called)
        return Do.LOOK

    def copied(self, size: int | None) -> Command:
        """The part has the cache's file, of so many bytes; None if that is not to be had."""
        offer = self.offer
        assert offer is not None
        if size is None:
            self.offer = None
            if not offer.sure:
                raise StartAgain
            self.wanted = self.task.path
            return Do.FIND
        self.proven, self._remark, self.framed = offer.proof(), FROM_CACHE, True
        self.header = {"last-modified": offer.entry.modified}.get
        return self._place()

    # --- the body ---

    def opened(self, begin: memoryview | None = None) -> Receive:
        """The part is open.

        Args:
            begin: its first bytes, at least `pdl.fetch.file_checks.LOOKED_AT` if it has so many.
        """
        if begin is not None and self.opening is not None:
            self.opening.look(begin)
        size = wanted_size(self.task) if self.announced is None else self.announced
        return Receive(size, not self._whole_part)

    def took(self, count: int, size: int, now: float, *, stopped: bool, slow: bool) -> bool:
        """So many bytes have been kept; whether a note is to say so.

        Args:
            count: how many.
            size: bytes of the part so far.
            now: the time.
            stopped: the run is to stop.
            slow: the last of them came slower than they may.
        """
        self.received += count
        if stopped:
            raise AttemptFailed(FailureKind.CANCELLED, "the run was stopped", transient=True)
        resumed = self._resumed_from > 0
        file_checks.check_so_far(self._files, self.task, size, self.announced, resumed=resumed)
        if slow:
            raise AttemptFailed(FailureKind.STALLED, "slower than --min-speed", transient=True)
        return self.task.fragile or size >= NOTE_BYTES or now - self.started >= NOTE_SECONDS

    def end(self, size: int) -> None:
        """There are no more bytes; the part has so many."""
        if self._resumed_from and not self._whole_part and size != self.announced:
            raise StartAgain  # it was not the range that its head said
        if self.opening is not None:
            self.opening.end()
            self._remark = self.opening.remark or self._remark

    def complete(self, size: int) -> Do | Place:
        """The part has so many bytes, and `check` has seen all of them."""
        if size != self.announced:  # what was announced was held against all limits
            file_checks.check_whole(self._files, self.task, size, self.announced)
        return self._place() if self.check is None else Do.PROVE

    def proven_as(self, proof: str, remark: str) -> Place:
        """The bytes are right.

        Args:
            proof: what they were held against, as `pdl.integrity.check.Check.finish` has it.
            remark: for the report.
        """
        self.proven, self._remark = proof, remark or self._remark
        return self._place()

    def _place(self) -> Place:
        modified = http_seconds(self.header("last-modified")) if self._files.mtime else None
        return place_of((modified,))

    # --- the answer ---

    def placed(
        self, size: int, now: float, name: str | None = None, stamp: Stamp | None = None
    ) -> Success:
        """The file has its name.

        Args:
            size: in bytes.
            now: the time.
            name: the last component of its path, where servers give names; else None.
            stamp: of the file where the task is to be remembered, if it is still there.
        """
        version, task = None, self.task
        if stamp is not None:
            version = versions.placed(stamp, task, self.asking().url, self.header, self.proven)
        if self.offer is not None:
            version = self.offer.named(version)
        return self._success(size, now, version, name)

    def _success(
        self, size: int, now: float, version: Version | None, name: str | None = None
    ) -> Success:
        return success_of(
            (
                "success",
                self.task.id,
                self._status,
                self._asking.sent if self._asking and self._asking.printed else self.asked or "",
                self.received,
                size,
                self._resumed_from,
                now - self.started,
                self.proven,
                self._remark if self.framed else "length unverified",
                version,
                self.offer is not None,
                "",
                name,
                self.first,
                self.hold,
                None,
            )
        )

    def error(self, exc: Exception, now: float) -> Ask | Fail:
        """Something went wrong: here, in the transport, or on the disk.

        Args:
            exc: a `StartAgain`, a `Mismatch`, or as `pdl.fetch.failures.failure_of` has it.
            now: the time.
        """
        if isinstance(exc, StartAgain):
            return self._ask_anew(drop=exc.drop)
        if isinstance(exc, Mismatch):
            if max(self._resumed_from, self.mixed_from) > (exc.sound or 0):  # maybe the part's
                return self._ask_anew(drop=True)
            self.sound = exc.sound
            exc = AttemptFailed(FailureKind.CHECKSUM, exc.message, transient=exc.transient)
        fail = failures.failure_of(exc, self.task, self._files.directory, self._http.timeout)
        self.keep = bool(self.sound) or not failures.is_useless(fail)
        sent = self._asking.sent if self._asking else self.asked
        took = now - self.started
        hold, rest = self.hold if fail.hold is None else fail.hold, self._resumed_from
        fail = fail._replace(final_url=sent, first=self.first, hold=hold, seconds=took)
        return fail._replace(received=self.received, size=self.announced, resumed_from=rest)
