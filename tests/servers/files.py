"""A well-behaved file: what every fault is measured against."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

from servers.behaviours import Reply, chunk, head

if TYPE_CHECKING:
    from servers.wire import Exchange, Pairs, Seen


def parse_range(value: str, size: int) -> range | None:
    """The bytes a Range field asks for (RFC 9110 section 14.1.2).

    Returns:
        None where the field is to be ignored (malformed, another unit, several ranges), and an
        empty range where it cannot be satisfied.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", value.strip(), re.IGNORECASE | re.ASCII)
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1 if last else size))


def _opaque(etag: str) -> str:
    return etag.strip().removeprefix("W/")


@dataclass(frozen=True)
class File:
    """Serves `body` as RFC 9110 wants it: conditions, one range, HEAD, keep-alive.

    Attributes:
        etag: with its quotes, and ``W/`` where it is weak.
        last_modified: seconds since 1970.
        ranges: whether Range is honoured.
        chunked: send the body in chunks instead of with a Content-Length.
        throttle: bytes per second.
        delay: seconds before the head.
        headers: added to every full or partial answer.
    """

    body: bytes
    etag: str | None = None
    last_modified: int | None = None
    ranges: bool = True
    chunked: bool = False
    throttle: float | None = None
    delay: float = 0.0
    headers: Pairs = ()

    def __call__(self, exchange: Exchange) -> None:
        exchange.wire.pause(self.delay)
        seen = exchange.seen
        if seen.method not in {"GET", "HEAD"}:
            Reply(405, (("Allow", "GET, HEAD"),))(exchange)
        elif self._unchanged(seen):
            Reply(304, self.validators())(exchange)
        else:
            self._answer(exchange, self._wanted(seen))

    def validators(self) -> Pairs:
        """Date, and ETag and Last-Modified where there are any."""
        found = [("Date", formatdate(time.time(), usegmt=True))]
        if self.etag is not None:
            found.append(("ETag", self.etag))
        if self.last_modified is not None:
            found.append(("Last-Modified", formatdate(self.last_modified, usegmt=True)))
        return tuple(found)

    def _unchanged(self, seen: Seen) -> bool:
        """Evaluate the conditions in the order of RFC 9110 section 13.2.2."""
        none_match = seen.header("If-None-Match")
        if none_match is not None:
            listed = {_opaque(tag) for tag in none_match.split(",")}
            return none_match.strip() == "*" or (
                self.etag is not None and _opaque(self.etag) in listed
            )
        since = seen.header("If-Modified-Since")
        if since is None or self.last_modified is None:
            return False
        try:
            return self.last_modified <= parsedate_to_datetime(since).timestamp()
        except ValueError:
            return False

    def _wanted(self, seen: Seen) -> range | None:
        asked = seen.header("Range")
        if asked is None or not self.ranges or seen.method != "GET" or not self._if_range(seen):
            return None
        return parse_range(asked, len(self.body))

    def _if_range(self, seen: Seen) -> bool:
        """Whether If-Range lets the range stand: strong comparison only (section 13.1.5)."""
        condition = seen.header("If-Range")
        if condition is None:
            return True
        if condition.startswith("W/"):
            return False
        strong = {value for name, value in self.validators() if name != "Date"}
        return condition in strong

    def _answer(self, exchange: Exchange, span: range | None) -> None:
        size = len(self.body)
        if span is None:
            self._send(exchange, 200, (), self.body)
        elif not span:
            Reply(416, (*self.validators(), ("Content-Range", f"bytes */{size}")))(exchange)
        else:
            where = f"bytes {span.start}-{span.stop - 1}/{size}"
            part = self.body[span.start : span.stop]
            self._send(exchange, 206, (("Content-Range", where),), part)

    def _send(self, exchange: Exchange, status: int, headers: Pairs, body: bytes) -> None:
        chunks = self.chunked and exchange.seen.version != "HTTP/1.0"
        framing = ("Transfer-Encoding", "chunked") if chunks else ("Content-Length", str(len(body)))
        accept = ("Accept-Ranges", "bytes" if self.ranges else "none")
        fields = (*self.validators(), accept, *headers, *self.headers, framing)
        exchange.wire.send(head(status, fields))
        if exchange.seen.method == "HEAD":
            return
        if not chunks:
            exchange.wire.send(body, self.throttle)
            return
        for start in range(0, len(body), 16_384):
            exchange.wire.send(chunk(body[start : start + 16_384]), self.throttle)
        exchange.wire.send(chunk(b""))
