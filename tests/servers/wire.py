"""One connection as the misbehaving server sees it: heads come in, any bytes at all go out."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

Pairs = tuple[tuple[str, str], ...]

_SLICE = 65_536
_HEAD_LIMIT = 1_048_576
_GLANCE = 0.02
_PEER_GONE = getattr(select, "POLLRDHUP", 0)


class HangupError(Exception):
    """The connection is over, or the server's allowance is spent: the exchange ends here."""


class Seen(NamedTuple):
    """A request as it came in.

    Attributes:
        target: the request target, raw; a forged line break would show here.
        headers: names as they were written, in order.
        connection: which TCP connection it came on, from 1.
        nth: which request on that connection it was, from 1.
        time: monotonic seconds when its head was complete.
    """

    method: str
    target: str
    version: str
    headers: Pairs
    connection: int
    nth: int
    time: float

    @property
    def path(self) -> str:
        """The target without query, and without scheme and host where a proxy was asked."""
        bare = self.target.partition("?")[0]
        if "://" not in bare:
            return bare
        return "/" + bare.partition("://")[2].partition("/")[2]

    def header(self, name: str) -> str | None:
        """The field's value, several joined by commas; None when absent."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None


def parse_head(head: bytes, connection: int, nth: int) -> Seen:
    """Read a request's head leniently, so that whatever a client sent can be looked at."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    fields = tuple(
        (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )
    return Seen(method, target, version, fields, connection, nth, time.monotonic())


class Wire:
    """A connection to one client.

    Everything but `abort` is for the connection's own thread.

    Args:
        sock: the accepted socket, blocking.
        number: which connection of its server it is.
        spend: told of every slice sent; raises `HangupError` when there were too many.
    """

    def __init__(
        self, sock: socket.socket, number: int, spend: Callable[[Wire, int], None]
    ) -> None:
        self.number = number
        self.path = ""
        self.closed = False
        self._sock = sock
        self._spend = spend
        self._unread = b""
        self._nth = 0
        self._closing = threading.Lock()
        self._hangup = select.poll()
        self._hangup.register(sock, _PEER_GONE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handshake(self) -> None:
        """Finish the TLS handshake, if there is TLS."""
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.do_handshake()

    def read_request(self) -> Seen | None:
        """Wait for the next head; None when the client has closed."""
        while b"\r\n\r\n" not in self._unread:
            piece = self._sock.recv(_SLICE)
            if not piece or len(self._unread) > _HEAD_LIMIT:
                return None
            self._unread += piece
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        self._nth += 1
        return parse_head(head, self.number, self._nth)

    def send(self, data: bytes, rate: float | None = None) -> None:
        """Send `data`, at `rate` bytes per second where given.

        Raises:
            HangupError: the client is gone, or the server may send no more.
        """
        start = time.monotonic()
        piece = _SLICE if rate is None else max(1, min(_SLICE, int(rate / 50)))
        view = memoryview(data)
        for offset in range(0, len(view), piece):
            if rate is not None:
                self.pause(start + offset / rate - time.monotonic())
            self._send_slice(view[offset : offset + piece])

    def _send_slice(self, piece: memoryview) -> None:
        if self.closed:
            raise HangupError
        try:
            self._sock.sendall(piece)
        except OSError as error:
            raise HangupError from error
        self._spend(self, len(piece))

    def pause(self, seconds: float, until: threading.Event | None = None) -> None:
        """Do nothing for that long, or until the event is set.

        Raises:
            HangupError: the client has closed meanwhile, or the server is being closed.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (until and until.is_set()):
            if self.closed or self._hangup.poll(1000 * (min(left, _GLANCE) if until else left)):
                raise HangupError

    def reset(self) -> None:
        """End with a RST; what the kernel has not sent yet is lost."""
        with self._closing, suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.closed = True
            self._sock.close()

    def close(self, *, notify: bool = True) -> None:
        """End with a FIN; `notify` says goodbye in TLS first, without which it is a cut."""
        with self._closing:
            if self.closed:
                return
            self.closed = True
            if notify and isinstance(self._sock, ssl.SSLSocket):
                self._sock.settimeout(0)
                with suppress(OSError, ValueError):
                    self._sock.unwrap()
            with suppress(OSError):
                # SSLSocket's own shutdown would drop the TLS state first.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            self._sock.close()

    def abort(self) -> None:
        """Wake the connection's thread out of whatever it waits for; callable from any thread."""
        with self._closing, suppress(OSError):
            if not self.closed:
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class Exchange(NamedTuple):
    """What a behaviour is given: the request, where to answer, and the server's own base URL."""

    seen: Seen
    wire: Wire
    base: str


Behaviour = Callable[[Exchange], None]
"""Answers one request. The connection stays open afterwards unless the behaviour closed it."""

Script = tuple[Behaviour, ...]
"""Behaviours for one path: one per request, the last repeating."""
