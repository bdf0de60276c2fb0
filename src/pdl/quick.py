"""The short way of a plain, small file: asked for, received and placed without waiting.

Theory of operation
===================

A worker has many lanes and one loop. For a task with nothing special about it whose origin has a
kept connection, the loop asks (`Quick.begin`), goes on with other lanes, and comes back when there
is something to read (`Quick.ready`). If all of the answer comes and is the plain case, the file is
placed in one go. Whatever else is met, a redirect, a length that nobody said, a failing disk, a
server that takes its time, is no matter of this module: the lane is called in a thread of its own
and `pdl.fetch` goes on with what has been received so far (`Quick.hand_over`), so that there is one
place that decides what such an answer means.

What may live here: the plain case, decided by the same functions as in `pdl.fetch`. Not here:
any rule of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from pdl.content import unlike
from pdl.declared import NAMES, declared
from pdl.model import Answer, Success, Task
from pdl.partfile import InTheWay, place
from pdl.redirect import STATUSES, request_headers
from pdl.resume import NOT_MODIFIED, OK, PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE, http_seconds
from pdl.transport import TransportError
from pdl.transport.message import split, tail
from pdl.transport.wire import MAX_HEAD, Head, framing, head_end, parse_head
from pdl.urls import parse
from pdl.verdict import refusal
from pdl.verify import Mismatch, check_of

if TYPE_CHECKING:
    import mmap

    from pdl.pool import Meter
    from pdl.settings import FileSettings, HttpSettings
    from pdl.transport.keepalive import KeepaliveTransport
    from pdl.transport.kept import Kept

DIGEST_MOST = 64 * 1024
"""Bytes whose digest the loop computes itself; the other lanes wait for it."""
TAILS_KEPT = 256
"""Origins whose request fields are remembered."""

_NO_REFUSAL = STATUSES | {OK, PARTIAL_CONTENT, NOT_MODIFIED, RANGE_NOT_SATISFIABLE}


class Asked(NamedTuple):
    """A request under way."""

    task: Task
    meter: Meter
    origin: str
    data: bytes
    kept: Kept
    started: float


class Quick:
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
        self._asked: Asked | None = None
        self._have = 0
        self._head: Head | None = None
        self._start = 0
        self._end = 0
        self._failed: OSError | None = None
        self._never = files.fsync or files.if_exists != "skip" or bool(http.min_speed)

    def begin(self, task: Task, meter: Meter) -> int | None:
        """See `pdl.pool.QuickLane.begin`."""
        if not task.plain or self._never:
            return None
        origin, target = split(task.url)
        data = f"GET {target}{self._tails.get(origin) or self._tail(origin)}".encode("latin-1")
        started = time.monotonic()
        kept = self._transport.ask(origin, data)
        if kept is None:
            return None
        self._asked = Asked(task, meter, origin, data, kept, started)
        self._have = 0
        self._head = None
        return kept.fileno()

    def _tail(self, origin: str) -> str:
        if len(self._tails) >= TAILS_KEPT:
            self._tails.clear()
        url = parse(f"{origin}/")
        self._tails[origin] = found = tail(origin, request_headers(self._http, url, url, ()))
        return found

    def ready(self) -> Answer | Literal["more", "call"]:
        """See `pdl.pool.QuickLane.ready`."""
        asked = self._asked
        assert asked is not None
        try:
            count = asked.kept.take(self._view[self._have :])
        except OSError as exc:
            self._failed = exc
            return "call"
        if not count:
            return "more" if count is None else "call"
        self._have += count
        if self._head is None and not self._read_head():
            return "more"
        if self._head is None or self._have > self._end:
            return "call"
        return "more" if self._have < self._end else self._answer(asked, self._head)

    def _read_head(self) -> bool:
        """Whether all of it is there; it stays None if it is none of the plain case."""
        end = head_end(self._buffer, self._have)
        if end is None:
            return self._have > MAX_HEAD
        if end[0] > MAX_HEAD:
            return True
        self._start = end[1]
        try:
            head = parse_head(self._buffer[: end[0]])
            how = framing(head)
        except TransportError:
            return True
        if how.length is not None and how.keep and self._start + how.length <= len(self._view):
            self._end = self._start + how.length
            self._head = head
        return True

    def _answer(self, asked: Asked, head: Head) -> Answer | Literal["call"]:
        if head.status == OK:
            return self._take(asked, head)
        if head.status in _NO_REFUSAL or head.status < OK:
            return "call"
        fail = refusal(head.status, head.reason, head.get).as_fail(asked.task.id)
        self._finish(asked)
        return fail._replace(final_url=asked.task.url, seconds=time.monotonic() - asked.started)

    def _take(self, asked: Asked, head: Head) -> Answer | Literal["call"]:
        task, files, size = asked.task, self._files, self._end - self._start
        if task.size not in {None, size} or not files.takes(size):
            return "call"
        data = self._view[self._start : self._end]
        if unlike(files, task.path, head.get, data) is not None:
            return "call"
        check = check_of(task, None if NAMES.isdisjoint(head.values) else declared(OK, head.get))
        if check is not None and size > DIGEST_MOST:
            return "call"
        modified = http_seconds(head.get("last-modified")) if files.mtime else None
        proven, remark = None, ""
        try:
            if check is not None:
                check.update(data)
                proven, remark = check.finish(), check.remark
            place(files.directory, task.part, task.path, data, modified)
        except (Mismatch, OSError, InTheWay):
            return "call"
        self._finish(asked)
        asked.meter.update(0, size)
        asked.meter.update(size, size)
        seconds = time.monotonic() - asked.started
        return Success("success", task.id, OK, task.url, size, size, 0, seconds, proven, remark)

    def _finish(self, asked: Asked) -> None:
        self._asked = None
        self._transport.keep(asked.origin, asked.kept)

    def hand_over(self) -> float | None:
        """Let the long way go on with the request under way.

        Returns:
            `time.monotonic` of its start; None if there is none.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        failed, self._failed = self._failed, None
        self._transport.asked(asked.kept, asked.data, self._buffer[: self._have], failed)
        return asked.started
