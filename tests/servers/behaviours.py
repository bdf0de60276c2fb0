"""The words of a script: what to put on the wire, and how to end."""

from __future__ import annotations

import http
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from servers.wire import Behaviour, Exchange, Pairs

Stream = Callable[[], Iterable[bytes]]
"""Makes the pieces anew for each request, so that a behaviour can repeat."""

_BODILESS = frozenset({204, 304})


def reason(status: int) -> str:
    """The phrase that belongs to a status code."""
    return http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "Unknown"


def head(status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A response head just as told: nothing is added, nothing is checked."""
    lines = [f"HTTP/1.1 {status} {reason(status)}", *(f"{k}: {v}" for k, v in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112 section 7.1); of no data, the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(body: bytes, size: int = 16_384) -> bytes:
    """A whole chunked body, with its last chunk."""
    pieces = [chunk(body[start : start + size]) for start in range(0, len(body), size)]
    return b"".join([*pieces, chunk(b"")])


@dataclass(frozen=True)
class Raw:
    """These bytes, whatever they are; at `rate` bytes per second where given."""

    data: bytes | Stream
    rate: float | None = None

    def __call__(self, exchange: Exchange) -> None:
        for piece in (self.data,) if isinstance(self.data, bytes) else self.data():
            exchange.wire.send(piece, self.rate)


@dataclass(frozen=True)
class Reply:
    """A response in good form: Content-Length is added, and HEAD gets no body."""

    status: int = 200
    headers: Pairs = ()
    body: bytes = b""

    def __call__(self, exchange: Exchange) -> None:
        bodiless = self.status in _BODILESS
        length = () if bodiless else (("Content-Length", str(len(self.body))),)
        exchange.wire.send(head(self.status, (*self.headers, *length)))
        if exchange.seen.method != "HEAD" and not bodiless:
            exchange.wire.send(self.body)


@dataclass(frozen=True)
class Pause:
    """Nothing for so many seconds, or until the event; over at once when the client hangs up."""

    seconds: float
    until: threading.Event | None = None

    def __call__(self, exchange: Exchange) -> None:
        exchange.wire.pause(self.seconds, self.until)


@dataclass(frozen=True)
class Close:
    """The end of the connection; without `notify`, TLS ends without its goodbye."""

    notify: bool = True

    def __call__(self, exchange: Exchange) -> None:
        exchange.wire.close(notify=self.notify)


@dataclass(frozen=True)
class Reset:
    """The end of the connection by a RST."""

    def __call__(self, exchange: Exchange) -> None:
        exchange.wire.reset()


class Then:
    """One behaviour after the other, in answer to one request."""

    def __init__(self, *steps: Behaviour) -> None:
        self.steps = steps

    def __call__(self, exchange: Exchange) -> None:
        for step in self.steps:
            step(exchange)

    def __repr__(self) -> str:
        return f"Then{self.steps!r}"


@dataclass(frozen=True)
class WhenRange:
    """One behaviour for requests with a Range, another for those without."""

    ranged: Behaviour
    plain: Behaviour

    def __call__(self, exchange: Exchange) -> None:
        chosen = self.plain if exchange.seen.header("Range") is None else self.ranged
        chosen(exchange)
