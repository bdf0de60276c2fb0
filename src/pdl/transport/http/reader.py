"""Reads responses from a socket: heads, bodies of a length, chunks, trailers."""

from __future__ import annotations

import math
import socket
import time
from typing import TYPE_CHECKING

from pdl.model import FailureKind
from pdl.system.kernel_copy import REFUSALS, receive
from pdl.text.lazy_regex import lazy
from pdl.text.units import amount_text, amounts_text
from pdl.transport import TransportError
from pdl.transport.errors import of_tls, protocol_error, translated, truncated
from pdl.transport.http.head import (
    HEAD_END,
    MAX_FIELDS,
    MAX_HEAD,
    Head,
    no_http,
    parse_fields,
    parse_head,
    shown,
)

if TYPE_CHECKING:
    from pdl.transport.http.head import Framing

MAX_INTERIM = 32
RECEIVE = 64 * 1024
"""Bytes asked for at once while heads and chunk lines are read."""
SWITCHING_PROTOCOLS = 101
FINAL = 200
"""Statuses below are interim."""


def _late() -> TransportError:
    return TransportError(FailureKind.STALLED, "took longer than --max-time allows", transient=True)


class SocketReader:
    """Reads a socket through a buffer whose content is known, so that no byte goes unnoticed.

    Attributes:
        deadline: `time.monotonic` value after which every read fails, or None.
        head_seconds: in which a head, or a line between chunks, has to end once it has begun.
        cut: the connection ended without TLS saying so: anyone may have ended it.
    """

    def __init__(self, sock: socket.socket, deadline: float | None = None) -> None:
        self._sock = sock
        self._bare = type(sock) is socket.socket
        self._buffer = b""
        self._failed: OSError | None = None
        self.deadline = deadline
        self.head_seconds = math.inf
        self.cut = False

    def pending(self) -> int:
        """Bytes received and not consumed."""
        return len(self._buffer)

    def preload(self, data: bytes, failed: OSError | None = None) -> None:
        """Begin with what somebody else has received from the socket, and what ended that."""
        self._buffer = data
        self._failed = failed

    def hurry(self, seconds: float) -> None:
        """Bring the deadline forward, if it is not sooner already."""
        soon = time.monotonic() + seconds
        self.deadline = soon if self.deadline is None else min(self.deadline, soon)

    def _until(self, end: float | None, what: str) -> float | None:
        """When what has begun to come has to be there; a trickle keeps no lane for ever."""
        if not self._buffer:
            return None
        now = time.monotonic()
        if end is not None and now > end:
            raise TransportError(FailureKind.STALLED, f"{what} comes too slowly", transient=True)
        return now + self.head_seconds if end is None else end

    def _patience(self) -> None:
        if self.deadline is None:
            return
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise _late()
        timeout = self._sock.gettimeout()
        if timeout is None or timeout > left:
            self._sock.settimeout(left)

    def _failure(self, exc: OSError) -> TransportError:
        """What a failed read means: `_patience` has it end at the deadline, if that is sooner."""
        timed_out = isinstance(exc, (TimeoutError, BlockingIOError))
        if timed_out and self.deadline is not None and time.monotonic() >= self.deadline:
            return _late()
        return translated(exc)

    def receive_into(self, view: memoryview) -> int:
        """Fill some of `view`; 0 at the end of the connection.

        Raises:
            TransportError: the connection failed.
        """
        if self._buffer:
            count = min(len(view), len(self._buffer))
            view[:count] = self._buffer[:count]
            self._buffer = self._buffer[count:]
            return count
        self._patience()
        try:
            self._raise_failed()
            return self._sock.recv_into(view)
        except OSError as exc:
            if of_tls(exc, "SSLEOFError"):
                self.cut = True
                return 0
            raise self._failure(exc) from exc

    def splice_into(self, pipe: int, most: int) -> int | None:
        """As `receive_into`, into a pipe, past this process; None if that cannot be done now.

        It cannot with what is in the buffer already, and never through TLS.
        """
        if self._buffer or self._failed is not None or not self._bare:
            return None
        self._patience()
        try:
            return receive(self._sock, pipe, most)
        except OSError as exc:
            if exc.errno in REFUSALS:
                self._bare = False
                return None
            raise self._failure(exc) from exc

    def more(self) -> bool:
        """Receive some more into the buffer; False at the end of the connection."""
        self._patience()
        try:
            self._raise_failed()
            data = self._sock.recv(RECEIVE)
        except OSError as exc:
            if not of_tls(exc, "SSLEOFError"):
                raise self._failure(exc) from exc
            data = b""
        self._buffer += data
        return bool(data)

    def _raise_failed(self) -> None:
        if self._failed is not None:
            raise self._failed

    def line(self, limit: int, what: str) -> bytes:
        """Consume a line, without its line end.

        Raises:
            TransportError: longer than `limit`, or the connection ended or failed.
        """
        latest = None
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > limit:
                raise protocol_error(f"{what} is longer than {limit} bytes")
            latest = self._until(latest, what)
            if not self.more():
                raise truncated(f"the connection ended within {what}")
        if end > limit:
            raise protocol_error(f"{what} is longer than {limit} bytes")
        line = self._buffer[:end]
        self._buffer = self._buffer[end + 1 :]
        return line[:-1] if line.endswith(b"\r") else line

    def head(self) -> bytes:
        """Consume a head and the empty line that ends it; return it without that line.

        Raises:
            TransportError: too long, or the connection ended or failed.
        """
        seen, latest = 0, None
        while (match := HEAD_END.search(self._buffer, max(0, seen - 3))) is None:
            seen = len(self._buffer)
            if not self._buffer.startswith(b"HTTP/"[:seen]):
                raise no_http(self._buffer)
            if seen > MAX_HEAD:
                raise protocol_error(f"the answer's head is longer than {MAX_HEAD} bytes")
            latest = self._until(latest, "the answer's head")
            if not self.more():
                if seen:
                    raise truncated("the connection ended within the answer's head")
                raise TransportError(
                    FailureKind.RESET, "the server closed the connection unanswered", transient=True
                )
        if match.start() > MAX_HEAD:
            raise protocol_error(f"the answer's head is longer than {MAX_HEAD} bytes")
        raw = self._buffer[: match.start()]
        self._buffer = self._buffer[match.end() :]
        return raw


def final_head(reader: SocketReader) -> Head:
    """Read heads until one is final; interim ones (RFC 9110 section 15.2) are passed over.

    Raises:
        TransportError: no sound head came, or too many interim ones.
    """
    for _ in range(MAX_INTERIM):
        head = parse_head(reader.head())
        if head.status >= FINAL:
            return head
        if head.status == SWITCHING_PROTOCOLS:
            raise protocol_error("the server switched protocols unasked")
    raise protocol_error(f"more than {MAX_INTERIM} interim answers")


MAX_CHUNK_LINE = 4096
_CHUNK_LINE = lazy(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\Z")


class Body:
    """The body of one response, read as its framing says.

    Attributes:
        complete: every byte has been read, and the framing agreed.
    """

    def __init__(self, reader: SocketReader, framed: Framing) -> None:
        self._reader = reader
        self._framing = framed
        self._left = 0 if framed.chunked else framed.length
        self._first = True
        self._got = 0
        self.complete = framed.length == 0 and not framed.chunked

    def reusable(self) -> bool:
        """Whether the connection can be used again: complete, kept, and not a byte too many."""
        return self.complete and self._framing.keep and not self._reader.pending()

    def readinto(self, view: memoryview) -> int:
        """See `pdl.transport.Response.readinto`."""
        if self.complete:
            return 0
        if self._framing.chunked and self._left == 0 and not self._next_chunk():
            return 0
        if self._left is not None:
            return self._took(self._reader.receive_into(view[: self._left]), self._left)
        count = self._reader.receive_into(view)
        self._got += count
        if count == 0 and self._reader.cut:
            raise truncated(f"the TLS connection was cut after {amount_text(self._got)}")
        self.complete = count == 0
        return count

    def splice_into(self, pipe: int, most: int) -> int | None:
        """See `pdl.transport.Response.splice_into`."""
        if self.complete:
            return 0
        if self._framing.chunked or self._left is None:
            return None
        count = self._reader.splice_into(pipe, min(most, self._left))
        return None if count is None else self._took(count, self._left)

    def _took(self, count: int, left: int) -> int:
        """Count bytes of a body, or a chunk, that has `left` more."""
        self._got += count
        if count == 0:
            raise truncated(self._shortfall())
        self._left = left - count
        if self._left == 0 and not self._framing.chunked:
            self.complete = True
        return count

    def _shortfall(self) -> str:
        whole = self._framing.length
        if whole is None:
            return f"the connection ended after {amount_text(self._got)}, before the last chunk"
        got, expected = amounts_text(self._got, whole)
        return f"the connection ended after {got} of {expected}"

    def _next_chunk(self) -> bool:
        reader = self._reader
        if not self._first and reader.line(2, "the end of a chunk") != b"":
            raise protocol_error("a chunk is longer than its size says")
        self._first = False
        line = reader.line(MAX_CHUNK_LINE, "a chunk-size line")
        match = _CHUNK_LINE.match(line)
        if match is None:
            raise protocol_error(f"malformed chunk size: {shown(line)}")
        self._left = int(match.group(1), 16)
        if self._left:
            return True
        self._trailers()
        self.complete = True
        return False

    def _trailers(self) -> None:
        size = 0
        lines: list[bytes] = []
        while line := self._reader.line(MAX_HEAD, "a trailer field"):
            size += len(line)
            lines.append(line)
            if size > MAX_HEAD or len(lines) > MAX_FIELDS:
                raise protocol_error("the trailers do not end")
        parse_fields(lines)
