"""The body of an answer, read as its framing says (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.lazy_regex import lazy
from pdl.transport.errors import protocol_error, truncated
from pdl.transport.http.head import MAX_FIELDS, MAX_HEAD, parse_fields

if TYPE_CHECKING:
    from pdl.transport.http.head import Framing
    from pdl.transport.http.reader import SocketReader

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
            raise truncated(f"the TLS connection was cut after {self._got} bytes")
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
            return f"the connection ended after {self._got} bytes, before the last chunk"
        return f"the connection ended after {self._got} of {whole} bytes"

    def _next_chunk(self) -> bool:
        reader = self._reader
        if not self._first and reader.line(2, "the end of a chunk") != b"":
            raise protocol_error("a chunk is longer than its size says")
        self._first = False
        line = reader.line(MAX_CHUNK_LINE, "a chunk-size line")
        match = _CHUNK_LINE.match(line)
        if match is None:
            raise protocol_error(f"malformed chunk size: {line[:40]!r}")
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
