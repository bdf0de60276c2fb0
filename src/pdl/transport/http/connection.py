"""Connections that can serve another request, and the answers that come on them."""

from __future__ import annotations

import select
import socket
import struct
from typing import TYPE_CHECKING, Protocol

from pdl.transport.errors import of_tls, translated
from pdl.transport.http.head import framing, split
from pdl.transport.http.reader import Body, final_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.transport import Request
    from pdl.transport.http.reader import SocketReader


class Closable(Protocol):
    """urllib3's connection, or the socket itself."""

    def close(self) -> object:
        """Close the connection."""


class Home(Protocol):
    """Where a connection goes that can serve another request."""

    def keep(self, origin: str, kept: Connection) -> None:
        """Keep it for the next request to the origin."""


class Connection:
    """An open connection between two requests.

    Args:
        owner: closes the connection.
        sock: of the connection.
        reader: what has read its answers so far.
        timeout: seconds without a byte.
    """

    def __init__(
        self, owner: Closable, sock: socket.socket, reader: SocketReader, timeout: float
    ) -> None:
        self._owner = owner
        self._sock = sock
        self._timeout = timeout
        self.reader = reader
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._kernel_timeout = not of_tls(self._sock, "SSLSocket")
        self._now = 0
        self._idle = None if self._kernel_timeout else 0.0
        if self._kernel_timeout:
            self._now = socket.MSG_DONTWAIT
            # Python's own timeout costs a poll for every call; SO_RCVTIMEO lets the kernel wait
            self._sock.settimeout(None)
            # a `struct timeval`: two longs, seconds and microseconds; zero would wait for ever
            interval = struct.pack("@ll", *divmod(max(1, int(timeout * 1e6)), 1_000_000))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._sock.setsockopt(socket.SOL_SOCKET, option, interval)

    def quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, the end of the connection included."""
        if self.reader.pending() or self._poll.poll(0):
            return False
        return self._kernel_timeout or not self._sock.pending()  # type: ignore[attr-defined]

    def send(self, data: bytes, deadline: float | None) -> None:
        """Write a request.

        Raises:
            TransportError: the connection failed.
        """
        self.wait_again(deadline)
        try:
            self._sock.sendall(data)
        except OSError as exc:
            raise translated(exc) from exc

    def start(self, data: bytes) -> bool:
        """Write a request without waiting; whether it was quiet, and that could be done."""
        sock = self._sock
        try:
            if not self.quiet():
                return False
            if sock.gettimeout() != self._idle:
                sock.settimeout(self._idle)
            return sock.send(data, self._now) == len(data)
        except OSError:
            return False

    def take(self, view: memoryview) -> int | None:
        """Receive without waiting: how many bytes, 0 at the end, None when there are none yet.

        Raises:
            OSError: the connection failed.
        """
        try:
            return self._sock.recv_into(view, 0, self._now)
        except BlockingIOError:
            return None
        except OSError as exc:
            if of_tls(exc, "SSLWantReadError"):
                return None
            raise

    def fileno(self) -> int:
        """Readable when there is something to take."""
        return self._sock.fileno()

    def wait_again(self, deadline: float | None) -> None:
        """From here on reading waits, as after `send`."""
        self.reader.deadline = deadline
        self._mind(deadline)

    def _mind(self, deadline: float | None) -> None:
        timeout = self._idle if deadline is None and self._kernel_timeout else self._timeout
        if self._sock.gettimeout() != timeout:  # an earlier answer's deadline may have set it
            self._sock.settimeout(timeout)

    def close(self) -> None:
        """Close the connection."""
        self._owner.close()


class ConnectionResponse:
    """`pdl.transport.Response` on a kept connection."""

    def __init__(self, home: Home, kept: Connection, request: Request) -> None:
        self._home = home
        self._kept = kept
        self._origin = split(request.url)[0]
        self._head = head = final_head(kept.reader)
        how = framing(head)
        self._body = Body(kept.reader, how)
        self.status = head.status
        self.reason = head.reason
        self.url = request.url
        self.length = how.length
        self.framed = how.chunked or how.length is not None
        # bound methods as attributes: a method of its own would be one more call for each read
        self.readinto = self._body.readinto
        self.splice_into = self._body.splice_into
        self.hurry = kept.reader.hurry

    def header(self, name: str) -> str | None:
        """See `pdl.transport.Response.header`."""
        return self._head.get(name.lower())

    def fields(self) -> Sequence[tuple[str, str]]:
        """See `pdl.transport.Response.fields`."""
        return self._head.fields

    def close(self) -> None:
        """See `pdl.transport.Response.close`."""
        if self._body.reusable():
            self._home.keep(self._origin, self._kept)
        else:
            self._kept.close()


def unread(sock: socket.socket) -> bool:
    """Whether TLS holds bytes that came and were not asked for; no poll of the socket shows them.

    A record is decrypted as a whole: what follows the end of a body in it stays with OpenSSL.
    """
    return of_tls(sock, "SSLSocket") and bool(sock.pending())  # type: ignore[attr-defined]
