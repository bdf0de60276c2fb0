"""The driver that may wait: it does whatever an attempt says, in the thread that calls it.

It never sleeps, never tries again and raises nothing: what an attempt comes to is a value. What is
to be done, and what comes of it, is decided in `pdl.fetch.attempt`.
"""

from __future__ import annotations

import mmap
import os
import time
from typing import TYPE_CHECKING

from pdl.fetch.asking import KeptConnections, http_for
from pdl.fetch.attempt import Attempt
from pdl.fetch.commands import Ask, Do, Place, Receive, Refuse
from pdl.fetch.failures import (
    AttemptFailed,
    Refused,
    StartAgain,
    begun_anew,
    explain,
    name_host,
    not_kept,
    unused,
)
from pdl.fetch.file_checks import LOOKED_AT
from pdl.fetch.receiving import drain, keep_free, stream
from pdl.fetch.unique_name import UniqueName
from pdl.fetch.zero_copy import Mover
from pdl.integrity.background_digest import BackgroundDigest
from pdl.integrity.check import Mismatch, examine, has_digest
from pdl.model import Fail, FailureKind, Success
from pdl.naming.safe_name import escaped_forms
from pdl.storage import versions
from pdl.storage.final_name import InTheWay
from pdl.storage.note import note_of, obstacle_of
from pdl.storage.part import Part
from pdl.transport import TransportError
from pdl.transport.min_speed import MinSpeed

if TYPE_CHECKING:
    from pdl.auth.logins import Login
    from pdl.auth.programs import Turn
    from pdl.fetch.commands import Command
    from pdl.fetch.decoding import DecodedResponse
    from pdl.fetch.fast_path import FastPath
    from pdl.fetch.from_cache import CacheLane
    from pdl.integrity.check import Check
    from pdl.model import Answer, SafePath, Task
    from pdl.pool import Meter
    from pdl.pool.rate_limit import Allowance
    from pdl.settings import FileSettings, HttpSettings
    from pdl.transport import Response, Transport

BUFFER = 512 * 1024
"""Bytes a lane reads at once; only the pages that were used take memory."""

_ERRORS = (AttemptFailed, StartAgain, Mismatch, TransportError, InTheWay, OSError)
"""What `Attempt.error` takes."""


class Fetcher:
    """A lane: makes attempts one after the other over one transport.

    Args:
        transport: makes the requests.
        http: of the run.
        files: of the run.
        cache: of this lane, or None; a lane with one has no fast path.

    Attributes:
        quick: the fast path of small files, if it has one.
        allowance: how much may be received, if there is a limit; see `limit`.
        mover: moves bytes that nobody has to look at.
    """

    def __init__(
        self,
        transport: Transport,
        http: HttpSettings,
        files: FileSettings,
        cache: CacheLane | None = None,
    ) -> None:
        self.transport = transport
        self.http, self.min_speed = http, http.min_speed
        self.files = files
        self.cache = cache
        self.memory = mmap.mmap(-1, BUFFER)
        self.buffer = memoryview(self.memory)
        self.quick: FastPath | None = None
        self.allowance: Allowance | None = None
        self.mover = Mover(able=http.pipe)
        self.attempt_of = Attempt
        if files.describe or files.digests:
            from pdl.fetch.facts import DescribedAttempt  # where it is asked for

            self.attempt_of = DescribedAttempt
        self.connections = KeptConnections(self)

    def limit(self, allowance: Allowance) -> None:
        """Receive no more than is allowed, from now on."""
        from pdl.transport.limited import LimitedTransport  # where there is a limit

        self.transport = LimitedTransport(self.transport, allowance)
        self.allowance = allowance
        if self.quick is not None:
            self.quick.allowance = allowance

    def close(self) -> None:
        """Close every connection."""
        if self.quick:
            self.quick.hand_over()
        self.mover.close()
        self.transport.close()

    def __call__(self, task: Task, meter: Meter) -> Answer:
        """Make one attempt."""
        if task.local:
            return examine(task, self.files.directory, self.buffer, meter, self.files.digests)
        if self.allowance is not None:
            self.allowance.stopped = meter.stopped
        started = self.quick.hand_over() if self.quick else None
        if task.helps:
            from pdl.fetch.split_file import help_out  # for large files alone, as below

            self.min_speed = http_for(self.http, task).min_speed
            return help_out(self, task, meter)
        return _Driver(self, task, meter, time.monotonic() if started is None else started).run()

    def pace(self, *, shared: bool) -> MinSpeed:
        """What measures a transfer from now on; to wait for an allowance is no slowness.

        Args:
            shared: there may be as many more of the same file as there are.
        """
        limit, least = self.allowance, self.min_speed
        if least is not None and shared:
            least /= self.files.split
        return MinSpeed(least, clock=time.monotonic if limit is None else limit.working)


class _Driver:
    """Makes one attempt."""

    _login: Login | Turn | None = None
    _decoded: DecodedResponse | None = None

    def __init__(self, lane: Fetcher, task: Task, meter: Meter, started: float) -> None:
        self._lane = lane
        self._task = task
        self._meter = meter
        self._http = http = http_for(lane.http, task)
        lane.min_speed = http.min_speed
        self._attempt = attempt = lane.attempt_of(http, lane.files, task, started)
        self._part = part = Part(lane.files.directory, task.part)
        self._naming = UniqueName(lane.files, task, task.served, part) if task.served else None
        self._cache = lane.cache.beside(attempt, task, part, meter, http) if lane.cache else None
        self._response: Response | None = None
        self._first = True
        self._printed = False
        self._shares = lane.files.split > 1
        self._unused = 0, ""
        self._remark = ""

    def run(self) -> Answer:
        """Do what the attempt says until it says the answer."""
        attempt, cache = self._attempt, self._cache
        offer = cache.offer() if cache else None
        try:
            command: Command = attempt.begin(offer, hashes=cache is not None)
            while not isinstance(command, (Success, Fail)):
                try:
                    command = self._do(command)
                except _ERRORS as exc:
                    self._hang_up()
                    command = attempt.error(exc, time.monotonic())
        finally:
            self._hang_up()
            if self._login is not None:
                self._login.leave()
        if isinstance(command, Fail):
            return self._leave(name_host(command, self._task, printed=self._printed))
        if (files := self._lane.files).digests:
            from pdl.fetch.facts import with_digests  # as above

            command = with_digests(command, self._task, files, self._lane.buffer, self._meter)
        if self._remark and not command.message:
            command = command._replace(message=self._remark)
        return command._replace(trouble=cache.trouble) if cache else command

    def _do(self, command: Command) -> Command:
        if isinstance(command, Ask):
            return self._ask(command)
        if isinstance(command, Receive):
            return self._receive(command)
        if isinstance(command, Place):
            return self._place(command)
        if isinstance(command, Refuse):
            return self._refuse(command.failure)
        assert isinstance(command, Do)
        return _DOES[command](self)

    # --- the server ---

    def _ask(self, ask: Ask) -> Command:
        if ask.drain:
            self._drain()
        self._hang_up()
        if ask.drop:
            self._part.discard()
        if ask.login is not None and self._waits(ask.login):
            self._attempt.asking().begin_again(once=ask.login.once)
            return self.find()
        attempt = self._attempt
        began = attempt.started if self._first else time.monotonic()
        self._first, attempt.first = False, None
        self._printed = attempt.asking().printed is not None
        self._response = response = self._lane.transport.open(ask.request)
        attempt.first = time.monotonic() - began
        if self._http.compressed:
            self._response = response = self._as_decoded(response)
        return attempt.head(response)

    def _as_decoded(self, response: Response) -> Response:
        from pdl.fetch.decoding import DecodedResponse, decoded  # where it is asked for

        seen = decoded(self._attempt, self._lane.files, response)
        self._decoded = seen if isinstance(seen, DecodedResponse) else None
        return seen

    def _waits(self, login: Login | Turn) -> bool:
        if self._login is not None and self._login is not login:
            self._login.leave()
        self._login = login
        return login.wait(self._meter.stopped, self._lane.http.timeout)

    def _refuse(self, failure: AttemptFailed) -> Command:
        attempt, response = self._attempt, self._response
        assert response is not None
        self._response = None
        body = drain(response, self._lane.buffer, words=True)
        if attempt.asking().refused(failure.status, response.header):
            return self.find()
        printed = attempt.asking().printed
        refused = Refused(self._task, attempt.asked or "", response.header, body, printed)
        explain(failure, self._http, refused)
        return attempt.error(failure, time.monotonic())

    def _drain(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            drain(response, self._lane.buffer)

    def _hang_up(self) -> None:
        """Close the answer; its connection is kept if all of it was read."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    # --- the part ---

    def find(self) -> Command:
        """Look for a part."""
        part, attempt = self._part, self._attempt
        known = part.known() or part.known_of(self._task.kin)
        if self._http.compressed:
            from pdl.fetch.decoding import usable  # where it is asked for

            known = usable(attempt, known)
        command = attempt.found(known)
        if known is None:
            self._unused = part.unknown, "nothing tells which version it is of"
        else:
            self._unused = unused(known, self._task, asked=attempt.known is not None)
        return command

    def start(self) -> Command:
        """Open an empty part."""
        attempt = self._attempt
        self._remark = begun_anew(*self._unused)
        self._part.start()
        proven = has_digest(self._task)
        header = attempt.header if self._decoded is None else self._decoded.no_version
        self._part.versioned(*note_of(header, attempt.announced, proven=proven)[:3])
        return attempt.opened()

    def go_on(self) -> Command:
        """Open the part where it ends."""
        known = self._attempt.known
        assert known is not None
        if not self._part.go_on(known):
            raise StartAgain
        begin = self._lane.buffer[: min(LOOKED_AT, known.offset)]
        return self._attempt.opened(begin[: self._part.read_back(begin, 0)])

    def _receive(self, receive: Receive) -> Command:
        attempt, check = self._attempt, self._attempt.check
        if self._shares and receive.body and (receive.size or 0) >= self._lane.files.min_split:
            self._share()
        keep_free(self._lane.files, (receive.size or 0) - self._part.reached)
        self._part.expect(receive.size)
        if check is None:
            self._read(receive, None)
        else:
            with BackgroundDigest(check.update, self._lane.buffer) as beside:
                self._read(receive, beside)
        return attempt.complete(self._part.size)

    def _share(self) -> None:
        """Let other lanes fetch ranges of a large file, where that can be."""
        from pdl.fetch.split_file import share

        share(self._lane.files, self._attempt, self._part)

    def _digest_part(self, beside: BackgroundDigest | None) -> None:
        """Let the digest have what an earlier attempt left."""
        offset, length = 0, self._part.size
        while beside is not None and offset < length:
            count = self._part.read_back(beside.room[: length - offset], offset)
            if not count:  # somebody has cut it meanwhile
                raise StartAgain
            beside.took(count)
            offset += count

    def _read(self, receive: Receive, beside: BackgroundDigest | None) -> None:
        """Append the body to the part, to its end."""
        attempt, part, meter = self._attempt, self._part, self._meter
        if receive.body:
            meter.update(part.reached, attempt.announced)
        if not part.shared or not receive.body:
            self._digest_part(beside)
            if receive.body:
                self._stream(beside)
        else:
            self._share_in(beside)
        attempt.end(part.size)

    def _share_in(self, beside: BackgroundDigest | None) -> None:
        """The same of a part that other lanes may write."""
        from pdl.fetch.split_file import Gathering

        part, known = self._part, self._part.version()
        gathering = Gathering(self._lane, self._attempt, part, self._meter, beside)
        assert self._response is not None
        if gathering.take_own(self._response, lambda: self._digest_part(beside)):
            self._hang_up()
            self._shares = False  # if it has to begin again, then alone
            gathering.run(known)

    def _stream(self, beside: BackgroundDigest | None) -> None:
        """Append the body, to its end or that of this lane's range."""
        assert self._response is not None
        before = self._attempt.received
        try:
            stream(self._lane, self._attempt, self._response, self._part, self._meter, beside)
        finally:
            if self._decoded is not None:
                self._attempt.received = before + self._decoded.came

    def prove(self) -> Command:
        """Finish the digest."""
        check: Check | None = self._attempt.check
        assert check is not None
        return self._attempt.proven_as(check.finish(), check.remark)

    def copy(self) -> Command:
        """Fill the part from the cache."""
        assert self._cache is not None
        return self._attempt.copied(self._cache.fill(self._lane.buffer))

    # --- the file ---

    def look(self) -> Command:
        """Look for what a killed attempt has placed."""
        assert self._naming is not None
        self._naming.wanted = self._attempt.wanted
        there = self._naming.look(self._lane.buffer, self._meter)
        return self._attempt.looked(there, time.monotonic())

    def compare(self) -> Command:
        """Look at the file that is there."""
        version, files = self._attempt.version, self._lane.files
        assert version is not None
        same = versions.stands(version, files.directory, self._task.path)
        if same:
            self._drain()  # a server that minds no conditions sends all of it
        return self._attempt.compared(time.monotonic(), same=same)

    def _place(self, place: Place) -> Command:
        """Give the whole part its name; the parts of other mirrors go."""
        files, task, attempt, name = self._lane.files, self._task, self._attempt, None
        self._hang_up()
        if self._cache is not None:
            self._cache.keep()
        path = self._named(task.path if self._naming is None else attempt.wanted, place.modified)
        if self._naming is not None or path != task.path:
            name = path.rpartition("/")[2]
        for other in (*task.other_parts, *task.kin):
            Part(files.directory, other).discard()
        stamp = versions.stamp_of(files.directory, path) if task.remember else None
        return attempt.placed(self._part.size, time.monotonic(), name, stamp)

    def _named(self, wanted: SafePath, modified: float | None) -> SafePath:
        """Give the part the name, or what the file system takes instead."""
        refused: OSError | None = None
        for path in (wanted, *escaped_forms(wanted)):
            try:
                return self._put(path, modified)
            except OSError as exc:
                if not self._part.refused_name(exc):
                    raise
                refused = refused or exc
        assert refused is not None
        said = f"this file system refuses the name {wanted}: {refused.strerror}"
        raise AttemptFailed(FailureKind.NAME, said)

    def _put(self, path: SafePath, modified: float | None) -> SafePath:
        if self._naming is not None:
            self._naming.wanted = path
            return self._naming.put(modified)
        files, listed = self._lane.files, self._task.path
        replaces = path == listed or files.if_exists in {"update", "overwrite"}
        if not replaces and os.path.lexists(f"{files.directory}/{path}"):
            raise InTheWay(f"{listed} is refused by this file system, and {path} is there already")
        self._part.finish(path, modified, fsync=files.fsync)
        return path

    def _leave(self, fail: Fail) -> Fail:
        """Close the part as the attempt says; what the disk says then may be worse."""
        attempt = self._attempt
        try:
            if (split := self._part.split) is not None:
                others = max(0, split.count() - self._part.reached)
                fail = fail._replace(received=fail.received + others)
            if attempt.sound:
                self._part.cut(attempt.sound)
            kept = self._part.leave(keep=attempt.keep)
            if attempt.keep and not kept and (lost := self._part.size):
                proven = has_digest(self._task)
                why = obstacle_of(attempt.header, attempt.announced, proven=proven)
                why = why if self._decoded is None else self._decoded.obstacle
                fail = not_kept(fail, lost, why)
        except OSError as exc:
            worse = attempt.error(exc, time.monotonic())
            return worse if isinstance(worse, Fail) and not fail.fatal else fail
        return fail._replace(kept=kept)


_DOES = {
    Do.FIND: _Driver.find,
    Do.LOOK: _Driver.look,
    Do.COMPARE: _Driver.compare,
    Do.COPY: _Driver.copy,
    Do.START: _Driver.start,
    Do.GO_ON: _Driver.go_on,
    Do.PROVE: _Driver.prove,
}
"""How each is done."""
