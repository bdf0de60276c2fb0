"""The driver of small files: asked for, received and placed without waiting.

Theory of operation
===================

A worker has many lanes and one loop. For a task with nothing special about it whose origin has a
kept connection, the loop asks (`FastPath.begin`), goes on with other lanes, and comes back when
there is something to read (`FastPath.ready`). When all of the answer has come, `pdl.fetch.attempt`
says what it means. If that is to place the file, it is done in one go (`FastPath.finish`), for
which the loop may take its time until it reads on: the next task may be begun before. Whatever else
is to be done, or does not come at once, is no matter of this module: the lane is called in a thread
of its own, and `pdl.fetch.blocking` makes the attempt of what has been received so far
(`FastPath.hand_over`).

The connection of the last request stays at hand for the next; it goes back to the transport when
another origin is to be asked, or the lane is called.

What may live here: which tasks and settings are handed on unseen (two tables), and how commands of
an attempt are done without waiting. Not here: any rule of its own.
"""

from __future__ import annotations

import time
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar, Literal

from pdl.auth.credentials import Credentials
from pdl.fetch.attempt import Attempt
from pdl.fetch.commands import Ask, Do, Place, Refuse
from pdl.fetch.failures import AttemptFailed, Refused, StartAgain, explain
from pdl.http_rules.dates import RATE_FIELDS
from pdl.integrity.check import Mismatch
from pdl.integrity.declared_digests import NAMES
from pdl.model import Answer, Fail, SafePath, Success, Task
from pdl.settings import FileSettings, HttpSettings
from pdl.storage.final_name import InTheWay, place
from pdl.text.urls import InvalidUrl, parse
from pdl.transport import TransportError
from pdl.transport.http.head import framed, head_of, split, tail

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from pdl.fetch.commands import Command
    from pdl.pool import Meter
    from pdl.pool.rate_limit import Allowance
    from pdl.transport.http.connection import Connection
    from pdl.transport.http.keepalive import KeepaliveTransport

DIGEST_MOST = 64 * 1024
"""Bytes whose digest the loop computes itself; the other lanes wait for it."""
TAILS_KEPT = 256
"""Origins whose request fields are remembered."""

_NEVER = float("inf")
_FINAL = 200
"""The least status of an answer that no other follows."""


class _Head:
    """The head of the answer that has come last; see `pdl.fetch.commands.Head`."""

    status = 0
    reason = ""
    length: int | None = None
    framed = True
    header: Callable[[str], str | None]


class _Known:
    """What requests look like.

    Attributes:
        tails: what follows the target, for each origin that was asked.
        ends: `time.time` from which the tail of an origin, that has a cookie which ends, is wrong.
        start, cut, fields: how URLs of the origin that was asked last begin, where their target
            does, and what follows it.
    """

    start, cut, fields = "\n", 0, ""  # no URL begins so

    def __init__(self) -> None:
        self.tails: dict[str, str] = {}
        self.ends: dict[str, float] = {}


class FastPath:
    """A lane's fast path.

    Each field of the settings and of a task is in one of two tables. What a field of `HONOURS` says
    is done here or by the attempt, whatever it is; with any value but the default in a field of
    `DECLINES` the blocking driver makes the attempt.

    Args:
        transport: keeps the connections; the one that the blocking driver uses.
        http: of the run.
        files: of the run.
        buffer: takes the head and body of an answer; a larger one is handed over.

    Attributes:
        allowance: how much may be received, or None; what has to wait for more is handed over.
    """

    allowance: Allowance | None = None

    HONOURS: ClassVar = {
        HttpSettings: {
            "headers",  # they are in the request, or the transport has no connection for them
            "user_agent",
            "referer",
            "proxy",  # whose connection it is, and how it was made, is the transport's matter
            "cacert",
            "cert",
            "key",
            "insecure",
            "connect_timeout",
            "public_only",
            "ip_version",
            "resolve",
            "lookups",
            "hosts_kept",
            "timeout",  # what takes its time is handed over long before
            "max_redirects",  # a redirect is handed over
            "https_only",
            "pipe",
            "retry_statuses",
            "limit_rate",  # see `allowance`
            "credentials",  # they are in the request
            "policy",  # it is for redirects, which are handed over
            "hosts",  # one that has something of its own is handed over
        },
        FileSettings: {
            "directory",
            "trust_existing",  # the planner's
            "mtime",
            "content_check",
            "max_time",  # as `timeout`
            "max_size",
            "min_size",
            "expect_types",
            "reserved",  # it matters where `Task.served` is set
            "digests",  # the attempt's
            "digest_there",  # the planner's
            "describe",  # see `_attempt_of`
            "split",  # such files are handed over
            "min_split",
        },
        Task: {
            "id",
            "url",
            "path",
            "part",
            "checksum",
            "size",
            "other_parts",  # none is there unless `Task.begun`
            "kin",  # the same
            "scarce",  # it matters to who chooses the lane
        },
    }
    DECLINES: ClassVar = {
        HttpSettings: {"min_speed", "compressed", "tell_heads"},
        FileSettings: {"fsync", "if_exists", "min_free"},
        Task: {
            "headers",
            "fragile",
            "pieces",
            "pin",
            "local",
            "begun",
            "doubted",
            "as_listed",
            "remember",
            "version",
            "served",
            "helps",
        },
    }

    def __init__(
        self,
        transport: KeepaliveTransport,
        http: HttpSettings,
        files: FileSettings,
        buffer: mmap.mmap,
    ) -> None:
        self._transport = transport
        self._http = http
        self._files = files
        self._buffer = buffer
        self._view = memoryview(buffer)
        self._forget()
        if isinstance(http.credentials, Credentials):
            http.credentials.watchers.append(self._forget)
        self._never = _declined(http) or _declined(files)
        self._attempt_of = Attempt
        if files.describe or files.digests:
            from pdl.fetch.facts import DescribedAttempt  # where it is asked for

            self._attempt_of = DescribedAttempt
        self._attempt: Attempt | None = None
        self._meter: Meter
        self._origin = ""
        self._request = b""
        self._kept: Connection | None = None
        self._have = 0
        self._end = 0
        self._head = _Head()
        self._declares = False
        self._body = 0
        self._failed: OSError | None = None
        self._whole: tuple[Attempt, memoryview, float | None, Meter] | None = None

    def begin(self, task: Task, meter: Meter) -> int | None:
        """See `pdl.pool.QuickLane.begin`."""
        if _special(task) != _USUAL or self._never:
            return None
        if self.allowance is not None and not self.allowance.at_once():
            return None
        url, known = task.url, self._known
        if not url.startswith(known.start) and not self._turn_to(url, known):
            return None
        data = f"GET {url[known.cut :]}{known.fields}".encode("latin-1")
        started = time.monotonic()
        kept = self._kept
        if kept is None:
            self._kept = kept = self._transport.ask(self._origin, data)
            if kept is None:
                return None
        elif not kept.start(data):
            self._kept = None
            kept.close()
            return None
        self._attempt = attempt = self._attempt_of(self._http, self._files, task, started)
        attempt.asked = url
        self._meter = meter
        self._request = data
        self._have = self._end = 0
        return kept.fileno()

    def _forget(self) -> None:
        """Another thread may be about to put into the old one what is no longer right."""
        self._known = _Known()

    def _turn_to(self, url: str, known: _Known) -> bool:
        """Let `known` be about that URL's origin; False if that is not to be asked here."""
        origin, _ = split(url)
        if known.ends and known.ends.get(origin, _NEVER) <= time.time():
            del known.ends[origin], known.tails[origin]
        fields = known.tails.get(origin) or self._tail(origin, known)
        if not fields:
            return False
        known.fields, known.cut = fields, len(origin)
        # the tail of who has a cookie that ends is looked up each time
        known.start = _Known.start if origin in known.ends else f"{origin}/"
        if origin != self._origin:
            self.rest()
            self._origin = origin
        return True

    def _tail(self, origin: str, known: _Known) -> str:
        """What an attempt sends to the origin after the target; empty if it would ask nothing.

        It is remembered.
        """
        if self._http.hosts:
            from pdl.text.host_tables import said_in  # where hosts differ

            if said_in(self._http.hosts, "http", origin):
                return ""
        task, mine, end = Task(0, f"{origin}/", SafePath(""), ""), self._http.credentials, None
        try:
            if isinstance(mine, Credentials):
                host = parse(task.url).host
                if mine.minds_path(host):
                    return ""
                end = mine.ends(host)  # before the fields: what ends in between is noticed
            ask = Attempt(self._http, self._files, task, 0.0).found(None)
        except (AttemptFailed, InvalidUrl):
            return ""
        assert isinstance(ask, Ask)
        if ask.login is not None:
            return ""
        if len(known.tails) >= TAILS_KEPT:
            known.tails.clear()
            known.ends.clear()
        if end is not None:
            known.ends[origin] = end
        known.tails[origin] = fields = tail(origin, ask.request.headers)
        return fields

    def ready(self) -> Answer | Literal["more", "whole", "call"]:
        """See `pdl.pool.QuickLane.ready`."""
        attempt, kept, have = self._attempt, self._kept, self._have
        assert attempt is not None
        assert kept is not None
        try:
            count = kept.take(self._view[have:] if have else self._view)
        except OSError as exc:
            self._failed = exc
            return "call"
        if not count:
            return "more" if count is None else "call"
        if not have:
            attempt.first = time.monotonic() - attempt.started
        self._have = have = have + count
        if not self._end and (what := self._look(have)) is not None:
            return what
        if have != self._end:
            return "more" if have < self._end else "call"
        return self._decide(attempt)

    def _look(self, have: int) -> Literal["more", "call"] | None:
        """Look for the head and for the body's end; None when both are known."""
        head = self._head
        try:
            found = head_of(self._buffer, have)
            if found is None:
                return "more"
            (minor, status, reason, fields), self._body = found
            _, length, keep = framed(minor, status, fields)
        except TransportError:
            return "call"
        if length is None or not keep or self._body + length > len(self._view) or status < _FINAL:
            return "call"
        if self.allowance is not None and not self.allowance.at_once(length):
            return "call"
        self._end = self._body + length
        head.status, head.reason, head.length = status, reason, length
        head.header = fields.get
        self._declares = not _TELLING.isdisjoint(fields)
        return None

    def _decide(self, attempt: Attempt) -> Answer | Literal["whole", "call"]:
        """All has come: do what the attempt says, if that can be done here."""
        data = self._view[self._body : self._end]
        try:
            command: Command = attempt.head(self._head, data, declares=self._declares)
            if command is Do.PROVE and len(data) <= DIGEST_MOST:
                command = _prove(attempt, data)
        except (AttemptFailed, StartAgain, Mismatch):
            return "call"
        if isinstance(command, Place):
            self._whole = attempt, data, command.modified, self._meter
            if self.allowance is not None:
                self.allowance.used(len(data))
            return "whole"
        if not isinstance(command, Refuse) or self._may_be_wrong(command.failure.status):
            return "call"
        if self.allowance is not None:
            self.allowance.used(len(data))
        self._attempt = None
        refused = Refused(attempt.task, attempt.asked or "", self._head.header, data)
        explain(command.failure, self._http, refused)
        answer = attempt.error(command.failure, time.monotonic())
        assert isinstance(answer, Fail)
        return answer

    def _may_be_wrong(self, status: int | None) -> bool:
        """Whether the lane may ask in another way."""
        mine = self._http.credentials
        return isinstance(mine, Credentials) and mine.may_know(status)

    def finish(self) -> Success | None:
        """See `pdl.pool.QuickLane.finish`."""
        whole = self._whole
        assert whole is not None
        attempt, data, modified, meter = whole
        task = attempt.task
        self._whole = None
        try:
            place(self._files.directory, task.part, task.path, data, modified)
        except (OSError, InTheWay):
            return None
        if self._attempt is attempt:  # none has been begun since
            self._attempt = None
        size = len(data)
        meter.whole(size)
        return attempt.placed(size, time.monotonic())

    def rest(self) -> None:
        """Give the connection of the last request back; the next of its origin would go on it."""
        if self._kept is not None:
            self._transport.keep(self._origin, self._kept)
            self._kept = None

    def hand_over(self) -> float | None:
        """Let the blocking driver go on with the request under way; it drops another task's.

        Returns:
            `time.monotonic` of its start; None if there is none.
        """
        attempt = self._attempt
        if attempt is None or self._kept is None:
            self.rest()
            return None
        kept, failed = self._kept, self._failed
        self._attempt = self._kept = self._failed = None
        self._transport.asked(kept, self._request, self._buffer[: self._have], failed)
        return attempt.started


def _prove(attempt: Attempt, data: memoryview) -> Place:
    """Let an attempt's check have a whole file."""
    check = attempt.check
    assert check is not None
    check.update(data)
    return attempt.proven_as(check.finish(), check.remark)


def _declined(settings: HttpSettings | FileSettings) -> bool:
    """Whether the settings say something that a fast path does not do."""
    usual = type(settings)._field_defaults
    return any(getattr(settings, name) != usual[name] for name in FastPath.DECLINES[type(settings)])


_TELLING = NAMES | RATE_FIELDS | {"set-cookie"}
"""Fields that an attempt has to look at."""
_NAMES = tuple(sorted(FastPath.DECLINES[Task]))
_special = itemgetter(*map(Task._fields.index, _NAMES))
"""Gives what a task says that a fast path does not do."""
_USUAL = tuple(Task._field_defaults[name] for name in _NAMES)
"""The same of a task that says nothing of it."""
