"""The short way of a plain, small file: asked for, received and placed without waiting.

Theory of operation
===================

A worker has many lanes and one loop. For a task with nothing special about it whose origin has a
kept connection, the loop asks (`FastPath.begin`), goes on with other lanes, and comes back when
there is something to read (`FastPath.ready`). If all of the answer comes and is the plain case, the
file is placed in one go (`FastPath.finish`), for which the loop may take its time until it reads
on: the next task may be begun before. Whatever else is met, a redirect, a length nobody said, a
failing disk, a server that takes its time, is no matter of this module: the lane is called in a
thread of its own and `pdl.fetch.attempt` goes on with what has been received so far
(`FastPath.hand_over`), so that there is one place that decides what such an answer means.

The connection of the last request stays at hand for the next; it goes back to the transport when
another origin is to be asked, or the lane is called.

What may live here: the plain case, decided by the same functions as in `pdl.fetch.attempt`. Not
here: any rule of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from pdl.fetch.content_check import unlike
from pdl.fetch.failures import refusal
from pdl.http_rules.dates import http_seconds
from pdl.http_rules.ranges import (
    NOT_MODIFIED,
    OK,
    PARTIAL_CONTENT,
    RANGE_NOT_SATISFIABLE,
    names_a_range,
)
from pdl.http_rules.redirects import STATUSES, request_headers
from pdl.integrity.check import Mismatch, check_of
from pdl.integrity.declared_digests import NAMES, declared
from pdl.model import Answer, Success, Task
from pdl.storage.part import InTheWay, place
from pdl.text.urls import parse
from pdl.transport import TransportError
from pdl.transport.http.head import framed, head_of, split, tail

if TYPE_CHECKING:
    import mmap

    from pdl.pool import Meter
    from pdl.settings import FileSettings, HttpSettings
    from pdl.transport.http.connection import Connection
    from pdl.transport.http.keepalive import KeepaliveTransport

DIGEST_MOST = 64 * 1024
"""Bytes whose digest the loop computes itself; the other lanes wait for it."""
TAILS_KEPT = 256
"""Origins whose request fields are remembered."""

_NO_REFUSAL = STATUSES | {OK, PARTIAL_CONTENT, NOT_MODIFIED, RANGE_NOT_SATISFIABLE}


class _Whole(NamedTuple):
    """A file that has come and is to be placed.

    Attributes:
        data: its bytes, in the lane's buffer.
        modified: as `pdl.storage.part.place` takes it.
        proven: for the answer, as is `remark`.
        started: `time.monotonic` of its request.
    """

    task: Task
    data: memoryview
    modified: float | None
    proven: str | None
    remark: str
    meter: Meter
    started: float


class FastPath:
    """A lane's short way.

    Args:
        transport: keeps the connections; the one that the long way uses.
        http: of the run.
        files: of the run.
        buffer: takes the head and body of an answer; a larger one goes the long way.
    """

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
        self._tails: dict[str, str] = {}
        self._never = files.fsync or files.if_exists != "skip" or bool(http.min_speed)
        self._task: Task | None = None
        self._meter: Meter
        self._origin = ""
        self._request = b""
        self._kept: Connection | None = None
        self._started = 0.0
        self._have = 0
        self._end = 0
        self._status = 0
        self._reason = ""
        self._fields: dict[str, str] = {}
        self._body = 0
        self._failed: OSError | None = None
        self._whole: _Whole | None = None

    def begin(self, task: Task, meter: Meter) -> int | None:
        """See `pdl.pool.QuickLane.begin`."""
        if not task.plain or self._never:
            return None
        origin, target = split(task.url)
        data = f"GET {target}{self._tails.get(origin) or self._tail(origin)}".encode("latin-1")
        self._started = time.monotonic()
        kept = self._kept
        if kept is None or origin != self._origin:
            self._rest()
            self._kept = kept = self._transport.ask(origin, data)
            if kept is None:
                return None
            self._origin = origin
        elif not kept.start(data):
            self._kept = None
            kept.close()
            return None
        self._task = task
        self._meter = meter
        self._request = data
        self._have = self._end = 0
        return kept.fileno()

    def _tail(self, origin: str) -> str:
        if len(self._tails) >= TAILS_KEPT:
            self._tails.clear()
        url = parse(f"{origin}/")
        self._tails[origin] = found = tail(origin, request_headers(self._http, url, url, ()))
        return found

    def ready(self) -> Answer | Literal["more", "whole", "call"]:
        """See `pdl.pool.QuickLane.ready`."""
        task, kept, have = self._task, self._kept, self._have
        assert task is not None
        assert kept is not None
        try:
            count = kept.take(self._view[have:] if have else self._view)
        except OSError as exc:
            self._failed = exc
            return "call"
        if not count:
            return "more" if count is None else "call"
        self._have = have = have + count
        if not self._end and (what := self._head(have)) is not None:
            return what
        if have != self._end:
            return "more" if have < self._end else "call"
        return self._take(task) if self._status == OK else self._refused(task)

    def _head(self, have: int) -> Literal["more", "call"] | None:
        """Look for the head and for the body's end; None when both are known."""
        try:
            found = head_of(self._buffer, have)
            if found is None:
                return "more"
            (minor, self._status, self._reason, self._fields), self._body = found
            _, length, keep = framed(minor, self._status, self._fields)
        except TransportError:
            return "call"
        if length is None or not keep or self._body + length > len(self._view):
            return "call"
        self._end = self._body + length
        return None

    def _refused(self, task: Task) -> Answer | Literal["call"]:
        if self._status in _NO_REFUSAL or self._status < OK:
            return "call"
        fail = refusal(self._status, self._reason, self._fields.get).as_fail(task.id)
        self._task = None
        return fail._replace(final_url=task.url, seconds=time.monotonic() - self._started)

    def _take(self, task: Task) -> Literal["whole", "call"]:
        """Whether all is as it should be: then `finish` places it."""
        files, fields, size = self._files, self._fields, self._end - self._body
        if (task.size is not None and task.size != size) or not files.takes(size):
            return "call"
        if names_a_range(fields.get("content-range"), size):
            return "call"
        data = self._view[self._body : self._end]
        if unlike(files, task.path, fields.get, data) is not None:
            return "call"
        check = check_of(task, None if NAMES.isdisjoint(fields) else declared(OK, fields.get))
        if check is not None and size > DIGEST_MOST:
            return "call"
        modified = http_seconds(fields.get("last-modified")) if files.mtime else None
        proven, remark = None, ""
        if check is not None:
            try:
                check.update(data)
                proven, remark = check.finish(), check.remark
            except Mismatch:
                return "call"
        self._whole = _Whole(task, data, modified, proven, remark, self._meter, self._started)
        return "whole"

    def finish(self) -> Success | None:
        """See `pdl.pool.QuickLane.finish`."""
        whole = self._whole
        assert whole is not None
        task, data, modified, proven, remark, meter, started = whole
        self._whole = None
        try:
            place(self._files.directory, task.part, task.path, data, modified)
        except (OSError, InTheWay):
            return None
        if self._task is task:  # none has been begun since
            self._task = None
        size = len(data)
        meter.whole(size)
        seconds = time.monotonic() - started
        return Success("success", task.id, OK, task.url, size, size, 0, seconds, proven, remark)

    def _rest(self) -> None:
        """Give the connection of the last request back; the next of its origin would go on it."""
        if self._kept is not None:
            self._transport.keep(self._origin, self._kept)
            self._kept = None

    def hand_over(self) -> float | None:
        """Let the long way go on with the request under way; it drops another task's.

        Returns:
            `time.monotonic` of its start; None if there is none.
        """
        if self._task is None or self._kept is None:
            self._rest()
            return None
        kept, failed = self._kept, self._failed
        self._task = self._kept = self._failed = None
        self._transport.asked(kept, self._request, self._buffer[: self._have], failed)
        return self._started
