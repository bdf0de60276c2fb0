"""ONE attempt of ONE task, as a value: from the part that is there to the file or the failure.

The attempt never sleeps, never tries again and raises nothing: what it meets becomes a `Success`
or a `Fail`. Two requests may be made in it besides redirects: one with a range or a condition, and,
if the answer does not fit what is there, or refuses the range or condition, or the digest of what
came of it is wrong, one without.
"""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING, NoReturn

from pdl.fetch.content_check import LOOKED_AT, Opening, opening
from pdl.fetch.failures import USELESS, AttemptFailed, StartAgain, minds_the_fields, refusal
from pdl.fetch.os_errors import system_failure
from pdl.fetch.size_check import SizeCheck
from pdl.fetch.unique_name import UniqueName
from pdl.fetch.zero_copy import Mover
from pdl.http_rules import conditional
from pdl.http_rules.dates import http_seconds
from pdl.http_rules.ranges import (
    NOT_MODIFIED,
    PARTIAL_CONTENT,
    RANGE_NOT_SATISFIABLE,
    Known,
    Step,
    answered,
    parse_content_range,
    step,
    strong_validator,
    unasked,
)
from pdl.http_rules.redirects import STATUSES, BadRedirect, request_headers, target
from pdl.integrity.background_digest import BackgroundDigest
from pdl.integrity.check import Mismatch, check_of, examine
from pdl.integrity.declared_digests import Declared, declared
from pdl.model import Answer, Fail, FailureKind, Headers, Success, Task
from pdl.storage import versions
from pdl.storage.note import _TYPE, told
from pdl.storage.part import InTheWay, Part
from pdl.text.urls import InvalidUrl, Url, parse
from pdl.transport import Request, Response, Transport, TransportError
from pdl.transport.drain import drain
from pdl.transport.min_speed import MinSpeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.http_rules.ranges import Known
    from pdl.model import Headers

    Header = Callable[[str], str | None]
    """Gives a field's value, or None; the name is in lower case."""

if TYPE_CHECKING:
    from pdl.fetch.fast_path import FastPath
    from pdl.integrity.check import Check
    from pdl.integrity.declared_digests import Declared
    from pdl.model import Version
    from pdl.pool import Meter
    from pdl.settings import FileSettings, HttpSettings
    from pdl.storage.note import Header

BUFFER = 512 * 1024
"""Bytes a lane reads at once; only the pages that were used take memory."""
NOTE_BYTES = 1024 * 1024
NOTE_SECONDS = 1.0
"""A part is noted, so that a killed worker's bytes are not lost, once it is this long or old."""
OK = 200

_TO_NONE = frozenset({OK, PARTIAL_CONTENT})
_TO_AN_UPDATE = _TO_NONE | {NOT_MODIFIED}
_TO_A_RANGE = _TO_AN_UPDATE | {RANGE_NOT_SATISFIABLE}
"""Statuses that `pdl.http_rules.ranges.step` decides about."""


class Fetcher:
    """A lane: makes attempts one after the other over one transport.

    Attributes:
        quick: the short way for plain files, if it has one.
        mover: takes what nobody has to look at.
    """

    def __init__(self, transport: Transport, http: HttpSettings, files: FileSettings) -> None:
        self.transport = transport
        self.http = http
        self.files = files
        self.memory = mmap.mmap(-1, BUFFER)
        self.buffer = memoryview(self.memory)
        self.quick: FastPath | None = None
        self.mover = Mover(able=http.pipe)

    def close(self) -> None:
        """Close every connection."""
        if self.quick:
            self.quick.hand_over()
        self.mover.close()
        self.transport.close()

    def __call__(self, task: Task, meter: Meter) -> Answer:
        """Make one attempt."""
        if task.local:
            return examine(task, self.files.directory, self.buffer, meter.stopped)
        started = self.quick.hand_over() if self.quick else None
        attempt = self.attempt(task, meter, time.monotonic() if started is None else started)
        try:
            return attempt.run()
        except AttemptFailed as exc:
            fail = exc.as_fail(task.id)
        except TransportError as exc:
            fatal = exc.kind is FailureKind.DISK
            fail = Fail("fail", task.id, exc.kind, exc.transient, exc.message, fatal=fatal)
        except InTheWay as exc:
            fail = Fail("fail", task.id, FailureKind.EXISTS, transient=False, message=str(exc))
        except OSError as exc:
            fail = system_failure(task, self.files.directory, exc)
        return attempt.failed(fail)

    def attempt(self, task: Task, meter: Meter, started: float) -> Attempt:
        """One that has not begun; `started` is when it did for the user."""
        return Attempt(self, task, meter, started)


class Attempt:
    """One attempt: its request, its part, and what has been found out on the way."""

    def __init__(self, lane: Fetcher, task: Task, meter: Meter, started: float) -> None:
        self._lane = lane
        self._task = task
        self._meter = meter
        self._part = Part(lane.files.directory, task.part)
        self._naming = task.served and UniqueName(lane.files, task, task.served, self._part)
        self._path = task.path
        self._name: str | None = None
        self._started = started
        longest = lane.files.max_time
        self._deadline = None if longest is None else self._started + longest
        self._url: Url | None = None
        self._version = task.version
        self._asked = False
        self._received = 0
        self._resumed_from = 0
        self._sizes = SizeCheck(task, lane.files)
        self._header: Header
        self._declared: Declared | None = None
        self._opening: Opening | None = None
        self._sound: int | None = None
        self._proven: str | None = None
        self._remark = ""

    def run(self) -> Success:
        """Make the attempt.

        Raises:
            AttemptFailed: the answer is not what was asked for.
            TransportError: there was no sound answer.
            OSError: the file could not be written.
        """
        try:
            return self._get(self._part.known())
        except StartAgain as again:
            if again.drop:
                self._part.discard()
            self._resumed_from = 0
            self._version = None
            return self._get(None)

    def _get(self, known: Known | None) -> Success:
        response = self._follow(known)
        try:
            if self._asked and response.status == NOT_MODIFIED:
                return self._unchanged(response)
            answer = answered(response.status, response.length, response.header)
            what = step(known, answer)
            if what is Step.AGAIN:
                raise StartAgain
            if what is Step.REFUSE:
                raise AttemptFailed(FailureKind.PROTOCOL, unasked(answer), status=response.status)
            known = None if what is Step.WRITE else known
            self._header = head_of_whole(known, response.header)
            self._declared = digest_of_whole(known, response.status, response.header)
            self._check_head(response.status)
            if self._naming and (there := self._naming.look(self._lane.buffer, self._meter)):
                return self._found(response, there)
            self._take(response, what, known)
        finally:
            response.close()
        return self._succeed(response)

    def _follow(self, known: Known | None) -> Response:
        """Ask, and follow redirects until an answer has a body worth looking at."""
        http = self._lane.http
        try:
            listed = self._url = parse(self._task.url)
        except InvalidUrl as exc:
            raise AttemptFailed(FailureKind.INVALID_URL, str(exc)) from exc
        if http.https_only and listed.scheme != "https":
            raise AttemptFailed(FailureKind.POLICY, "plain http, which --https-only refuses")
        wanted = _TO_AN_UPDATE if self._task.remember or self._version else _TO_NONE
        for _ in range(http.max_redirects + 1):
            headers = self._headers(listed, known)
            request = Request(self._url.request_url, headers, self._deadline)
            response = self._lane.transport.open(request)
            if response.status in (_TO_A_RANGE if known else wanted):
                return response
            if response.status not in STATUSES:
                self._refuse(response, special=bool(known or self._asked))
            self._url = self._next(response)
        raise AttemptFailed(
            FailureKind.REDIRECT,
            f"more than {http.max_redirects} redirects",
            status=response.status,
        )

    def _next(self, response: Response) -> Url:
        assert self._url is not None
        location = response.header("location")
        drain(response, self._lane.buffer)
        try:
            return target(self._url, location, https_only=self._lane.http.https_only)
        except BadRedirect as exc:
            raise AttemptFailed(FailureKind.REDIRECT, str(exc), status=response.status) from exc

    def _headers(self, listed: Url, known: Known | None) -> Headers:
        assert self._url is not None
        fields = request_headers(self._lane.http, listed, self._url, self._task.headers)
        if known is None:
            version = self._version
            asked = () if version is None else conditional.condition(version, self._url, fields)
            self._asked = bool(asked)
            return fields + asked
        if_range = known.validator.if_range() or ""
        return (*fields, ("Range", f"bytes={known.offset}-"), ("If-Range", if_range))

    def _refuse(self, response: Response, *, special: bool) -> NoReturn:
        """End the attempt because of the status; the body is none of ours.

        Args:
            response: has the status.
            special: a range was asked for, or a condition sent.

        Raises:
            StartAgain: that may be what was refused.
            AttemptFailed: else.
        """
        failed = refusal(response.status, response.reason, response.header)
        drain(response, self._lane.buffer)
        if special and minds_the_fields(response.status):
            raise StartAgain(drop=False)
        raise failed

    def _check_head(self, status: int) -> None:
        path = self._naming.called(self._header) if self._naming else self._task.path
        self._opening = opening(self._lane.files, path, status, self._header)

    def _take(self, response: Response, what: Step, known: Known | None) -> None:
        """Write the body to the part, and hold it against what is known of it."""
        check = self._check()
        self._begin(response, known)
        self._sizes.check_announced()
        self._part.expect(self._sizes.expected())
        if check is None:
            self._stream(response, what, None)
            self._sizes.check_whole(self._part.size)
        else:
            self._take_checked(response, what, check)

    def _check(self) -> Check | None:
        return check_of(self._task, self._declared)

    def _take_checked(self, response: Response, what: Step, check: Check) -> None:
        try:
            with BackgroundDigest(check.update, self._lane.buffer) as beside:
                self._digest_part(beside, self._resumed_from)
                self._stream(response, what, beside)
            self._sizes.check_whole(self._part.size)
            self._proven, self._remark = check.finish(), check.remark
        except Mismatch as exc:
            if self._resumed_from > (exc.sound or 0):  # the fault may be the part's
                raise StartAgain from exc
            self._sound = exc.sound
            raise AttemptFailed(FailureKind.CHECKSUM, exc.message, transient=exc.transient) from exc

    def _begin(self, response: Response, known: Known | None) -> None:
        """Open the part, at its start or where it goes on."""
        where = parse_content_range(response.header("content-range"))
        total = where and where.total
        if known is not None:
            if not self._part.go_on(known):
                raise StartAgain
            self._resumed_from = known.offset
            self._sizes.announced = known.total if total is None else total
            if self._opening is not None:
                begin = self._lane.buffer[: min(LOOKED_AT, known.offset)]
                self._opening.look(begin[: self._part.read_back(begin, 0)])
            return
        self._part.start()
        self._sizes.announced = total if response.length is None else response.length
        names = ("etag", "last-modified", "date", "content-encoding")
        validator = strong_validator(*map(response.header, names))
        self._part.versioned(
            validator, self._sizes.announced, told(response.header) if validator.if_range() else ()
        )

    def _stream(self, response: Response, what: Step, beside: BackgroundDigest | None) -> None:
        """Write the body to the part, to its end."""
        if what is not Step.DONE:
            self._receive(response, beside)
            if self._resumed_from and self._part.size != self._sizes.announced:
                raise StartAgain  # it is not the range that its head says
        if self._opening is not None:
            self._opening.end()

    def _receive(self, response: Response, beside: BackgroundDigest | None) -> None:
        part, meter = self._part, self._meter
        pace = MinSpeed(self._lane.http.min_speed)
        announced = self._sizes.announced
        meter.update(part.size, announced)
        while count := self._append(response, beside):
            self._received += count
            meter.update(part.size, announced)
            if meter.stopped():
                raise AttemptFailed(FailureKind.CANCELLED, "the run was stopped", transient=True)
            if announced is None:
                self._sizes.check_so_far(part.size)
            elif part.size > announced:
                raise self._too_long(announced)
            if pace.too_slow(count):
                raise AttemptFailed(FailureKind.STALLED, "slower than --min-speed", transient=True)
            if self._worth_noting():
                part.note()

    def _too_long(self, announced: int) -> Exception:
        """What to raise for a body that is longer than its Content-Range."""
        if self._resumed_from:
            return StartAgain()
        what = f"the body is longer than the {announced} bytes of its Content-Range"
        return AttemptFailed(FailureKind.PROTOCOL, what)

    def _append(self, response: Response, beside: BackgroundDigest | None) -> int:
        """Append the next bytes of the body to the part; how many, 0 at its end."""
        if beside is None and (self._opening is None or self._opening.done):
            moved = self._lane.mover.move(response, self._part, self._sizes.announced)
            if moved is not None:
                return moved
        buffer = self._lane.buffer if beside is None else beside.room
        if count := response.readinto(buffer):
            if self._opening is not None:
                self._opening.look(buffer[:count])
            self._part.write(buffer[:count])
            if beside is not None:
                beside.took(count)
        return count

    def _worth_noting(self) -> bool:
        return (
            self._task.fragile
            or self._part.size >= NOTE_BYTES
            or time.monotonic() - self._started >= NOTE_SECONDS
        )

    def _digest_part(self, beside: BackgroundDigest, length: int) -> None:
        offset = 0
        while offset < length:
            count = self._part.read_back(beside.room[: length - offset], offset)
            if not count:  # somebody has cut it meanwhile
                raise StartAgain
            beside.took(count)
            offset += count

    def _succeed(self, response: Response) -> Success:
        files = self._lane.files
        modified = http_seconds(self._header("last-modified")) if files.mtime else None
        self._give_name(modified)
        version = None
        if self._task.remember and self._url is not None:
            task = self._task._replace(path=self._path)
            version = versions.placed(files.directory, task, self._url, self._header, self._proven)
        return self._success(response, self._part.size, version)

    def _give_name(self, modified: float | None) -> None:
        """Give the whole part its name; the parts of other mirrors go."""
        files = self._lane.files
        if self._naming:
            self._path = self._naming.put(modified)
            self._name = self._path.rpartition("/")[2]
        else:
            self._part.finish(self._path, modified, fsync=files.fsync)
        for name in self._task.other_parts:
            Part(files.directory, name).discard()

    def _found(self, response: Response, there: Success) -> Success:
        """An earlier attempt has placed the file already."""
        done = self._success(response, there.size, None)
        return done._replace(checksum=there.checksum, name=there.name, message=there.message)

    def _unchanged(self, response: Response) -> Success:
        """The file that is there stays, if it still is what was asked about."""
        version, directory = self._version, self._lane.files.directory
        assert version is not None
        assert self._url is not None
        if conditional.contradicts(version, response.header, declared_digest(response)):
            raise StartAgain
        if not versions.stands(version, directory, self._task.path):
            raise StartAgain
        self._proven = versions.digest_of(self._task, version)
        named = conditional.confirmed(version, self._url, response.header)
        return self._success(response, version.size, named)

    def _success(self, response: Response, size: int, version: Version | None) -> Success:
        assert self._url is not None
        return Success(
            "success",
            self._task.id,
            response.status,
            self._url.request_url,
            received=self._received,
            size=size,
            resumed_from=self._resumed_from,
            seconds=time.monotonic() - self._started,
            checksum=self._proven,
            message=self._remark if response.framed else "length unverified",
            version=version,
            name=self._name,
        )

    def failed(self, fail: Fail) -> Fail:
        """The failure with what the attempt found out; the part is kept if it can help."""
        try:
            self._leave(fail)
        except OSError as exc:
            if not fail.fatal:
                fail = system_failure(self._task, self._lane.files.directory, exc)
        return fail._replace(
            final_url=self._url.request_url if self._url else None,
            received=self._received,
            size=self._sizes.announced,
            resumed_from=self._resumed_from,
            seconds=time.monotonic() - self._started,
        )

    def _leave(self, fail: Fail) -> None:
        keep = fail.transient or fail.kind not in USELESS
        if fail.kind is FailureKind.CHECKSUM:
            keep = bool(self._sound)
        if self._sound:
            self._part.cut(self._sound)
        self._part.leave(keep=keep)


def head_of_whole(known: Known | None, header: Header) -> Header:
    """The fields of the whole file: those of the answer, and what only the first one has told.

    The type is the first answer's alone, if its note has one: what a file is, its beginning tells.

    Args:
        known: the part that the answer goes on with; None if it brings the file from the start.
        header: of the answer.
    """
    if known is None:
        return header
    first = {**dict(known.told), "last-modified": known.validator.modified}

    def field(name: str) -> str | None:
        if name == _TYPE and name in first:
            return first[name] or None
        said = header(name)
        return first.get(name) if said is None else said

    return field


def digest_of_whole(known: Known | None, status: int, header: Header) -> Declared | None:
    """The strongest digest that the server declared of the whole file, in this answer or the first.

    Args:
        known: as `head_of_whole` has it.
        status: of the answer.
        header: of the answer.

    Raises:
        StartAgain: the two answers declare different digests.
    """
    said = declared(status, header)
    if known is None:
        return said
    first = declared(OK, dict(known.told).get)
    if said is None or first is None:
        return said or first
    (name, _, digits), (name_before, _, digits_before) = (
        each.checksum.partition(":") for each in (said, first)
    )
    if name == name_before and digits != digits_before:
        raise StartAgain
    return said if len(digits) >= len(digits_before) else first


def declared_digest(response: Response) -> str | None:
    """``algorithm:hex`` that the fields of a 304 declare of the file, or None."""
    said = declared(response.status, response.header)
    return None if said is None else said.checksum
