"""The lean path: plain follow-up requests on a connection that requests has opened.

requests connects, verifies, and asks first. When its answer has been read to the last byte and the
connection stays open, the connection is kept here, and the next request to the same origin is
written to it directly: requests spends some hundred microseconds on each, which is most of what a
small file costs.

There is no second set of rules. The answer is read by the same `pdl.transport.wire`, whatever its
status, so both paths see the same answer in the same bytes. What the lean path does not do goes
through requests: the first request to an origin, a proxy, a Host of the user's own. A kept
connection that has closed, or holds a byte nobody asked for, is dropped and requests asks anew.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

from pdl.model import FailureKind
from pdl.transport import Request, Response, TransportError
from pdl.transport.body import Body
from pdl.transport.requests_ import RequestsResponse, RequestsTransport, unread
from pdl.transport.translate import translated
from pdl.transport.wire import SocketReader, final_head, framing

if TYPE_CHECKING:
    from pdl.model import Headers
    from pdl.settings import HttpSettings


class Kept:
    """An open connection between two requests.

    Args:
        connection: urllib3's, which owns the socket.
        reader: what has read its answers so far.
        timeout: seconds without a byte.
    """

    def __init__(self, connection: Any, reader: SocketReader, timeout: float) -> None:  # noqa: ANN401 - urllib3's
        self._connection = connection
        self._sock: socket.socket = connection.sock
        self._timeout = timeout
        self.reader = reader
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._kernel_timeout = not isinstance(self._sock, ssl.SSLSocket)
        self._now: tuple[int, ...] = ()
        self._idle = None if self._kernel_timeout else 0.0
        if self._kernel_timeout:
            self._now = (socket.MSG_DONTWAIT,)
            # the kernel minds the time: Python's own timeout costs a poll for every call
            self._sock.settimeout(None)
            # a time of nothing would be one without an end
            interval = struct.pack("@ll", *divmod(max(1, int(timeout * 1e6)), 1_000_000))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._sock.setsockopt(socket.SOL_SOCKET, option, interval)

    def quiet(self) -> bool:
        """Whether nothing has come that nobody asked for, the end of the connection included."""
        if self.reader.pending() or self._poll.poll(0):
            return False
        return self._kernel_timeout or not unread(self._sock)

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
        """Write a request without waiting; whether that could be done."""
        if self._sock.gettimeout() != self._idle:
            self._sock.settimeout(self._idle)
        try:
            return self._sock.send(data, *self._now) == len(data)
        except OSError:
            return False

    def take(self, view: memoryview) -> int | None:
        """Receive without waiting: how many bytes, 0 at the end, None when there are none yet.

        Raises:
            OSError: the connection failed.
        """
        try:
            return self._sock.recv_into(view, 0, *self._now)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

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
        self._connection.close()


class KeptResponse:
    """`pdl.transport.Response` on a kept connection."""

    def __init__(self, home: KeepaliveTransport, kept: Kept, request: Request) -> None:
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
        self.readinto = self._body.readinto
        self.splice_into = self._body.splice_into
        self.hurry = kept.reader.hurry

    def header(self, name: str) -> str | None:
        """See `pdl.transport.Response.header`."""
        return self._head.get(name.lower())

    def close(self) -> None:
        """See `pdl.transport.Response.close`."""
        if self._body.reusable():
            self._home.keep(self._origin, self._kept)
        else:
            self._kept.close()


class FirstResponse(RequestsResponse):
    """requests' answer, whose connection is kept here afterwards."""

    home: KeepaliveTransport

    def close(self) -> None:
        """See `pdl.transport.Response.close`."""
        connection = self._raw.connection
        if not self._strict.body.reusable() or connection is None or connection.sock is None:
            super().close()
            return
        self._strict.finish()
        origin = split(self.url)[0]
        self.home.keep(origin, Kept(connection, self._strict.reader, self.home.timeout))


class KeepaliveTransport:
    """`pdl.transport.Transport` that asks through requests first and directly afterwards.

    Args:
        settings: of HTTP.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self.timeout = settings.timeout
        self._most = settings.hosts_kept
        self._requests = RequestsTransport(settings)
        self._kept: dict[str, Kept] = {}
        self._asked: tuple[Kept, bytes] | None = None
        self._never = _names_host(settings.headers)

    def ask(self, origin: str, data: bytes) -> Kept | None:
        """Write a request to a connection kept for the origin, without waiting.

        Returns:
            The connection, which is no longer kept here; None if there is no sound one.
        """
        kept = None if self._never else self._kept.pop(origin, None)
        if kept is None or (kept.quiet() and kept.start(data)):
            return kept
        kept.close()
        return None

    def asked(self, kept: Kept, data: bytes, came: bytes, failed: OSError | None) -> None:
        """The next `open` goes on with that connection, if it asks for just that.

        Args:
            kept: of `ask`.
            data: what was written to it.
            came: what has been received on it since.
            failed: why no more can be received, or None.
        """
        kept.reader.preload(came, failed)
        self._asked = kept, data

    def open(self, request: Request) -> Response:
        """See `pdl.transport.Transport.open`."""
        origin, target = split(request.url)
        if self._asked is not None:
            (kept, data), self._asked = self._asked, None
            if data == message(origin, target, request.headers):
                kept.wait_again(request.deadline)
                return self._answer(kept, request)
            kept.close()
        found = None if _names_host(request.headers) else self._kept.pop(origin, None)
        if found is None:
            return self._first(request)
        if not found.quiet():
            found.close()
            return self._first(request)
        return self._answer(found, request, message(origin, target, request.headers))

    def _answer(self, kept: Kept, request: Request, data: bytes = b"") -> Response:
        try:
            if data:
                kept.send(data, request.deadline)
            return KeptResponse(self, kept, request)
        except TransportError as exc:
            kept.close()
            if exc.kind is FailureKind.RESET:
                # closed between two requests, as a server may (RFC 9112 section 9.3.1)
                return self._first(request)
            raise

    def _first(self, request: Request) -> Response:
        self._make_room()
        if self._requests.proxied(request.url) or _names_host(request.headers):
            return self._requests.open(request)
        response = self._requests.open(request, FirstResponse)
        assert isinstance(response, FirstResponse)
        response.home = self
        return response

    def keep(self, origin: str, kept: Kept) -> None:
        """Keep a connection for the next request to the origin."""
        if (old := self._kept.pop(origin, None)) is not None:
            old.close()
        self._make_room()
        self._kept[origin] = kept

    def _make_room(self) -> None:
        """Close the connection that has not been used for longest, if there are too many."""
        if len(self._kept) >= self._most:
            self._kept.pop(next(iter(self._kept))).close()

    def close(self) -> None:
        """See `pdl.transport.Transport.close`."""
        for kept in self._kept.values():
            kept.close()
        self._kept.clear()
        if self._asked is not None:
            self._asked[0].close()
        self._requests.close()


def split(url: str) -> tuple[str, str]:
    """A request URL's origin (``http://host:port``) and target (``/path?query``)."""
    slash = url.index("/", 8)
    return url[:slash], url[slash:]


def message(origin: str, target: str, headers: Headers) -> bytes:
    """The request as it is written to the wire (RFC 9112 section 3)."""
    return f"GET {target}{tail(origin, headers)}".encode("latin-1")


def tail(origin: str, headers: Headers) -> str:
    """What follows the target in a request."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f" HTTP/1.1\r\nHost: {origin.partition('//')[2]}\r\n{fields}\r\n"


def _names_host(headers: Headers) -> bool:
    return any(name.lower() in {"host", "connection"} for name, _ in headers)
