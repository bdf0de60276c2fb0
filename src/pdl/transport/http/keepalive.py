"""The lean path: plain requests written to a connection directly, again and again.

Connections come from two places. In the clear and with no proxy in sight, the dialer's is all that
is needed. Whatever takes more, TLS, a proxy, a Host of the user's own, goes through requests, which
is imported then, and asks first. When its answer has been read to the last byte and the connection
stays open, the connection is kept here, and the next request to the same origin is written to it:
requests spends some hundred microseconds on each, which is most of what a small file costs.

There is no second set of rules. The answer is read by the same `pdl.transport.http.head`, whatever
its status, so all paths see the same answer in the same bytes. A kept connection that has closed,
or holds a byte nobody asked for, is dropped, and another one made.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pdl.model import FailureKind
from pdl.system import proxy_variables
from pdl.text.urls import parse
from pdl.transport import TransportError
from pdl.transport.errors import translated
from pdl.transport.http.connection import Connection, ConnectionResponse
from pdl.transport.http.dial import dial, reach_of
from pdl.transport.http.head import message, overrides_ours, split
from pdl.transport.http.reader import SocketReader
from pdl.transport.min_speed import head_seconds

if TYPE_CHECKING:
    from pdl.settings import HttpSettings
    from pdl.transport import Request, Response
    from pdl.transport.http.requests_ import RequestsTransport


class KeepaliveTransport:
    """`pdl.transport.Transport` that keeps connections, whoever has made them.

    Args:
        settings: of HTTP.
        kept: where connections are kept, by origin, if that is shared with another.
    """

    def __init__(self, settings: HttpSettings, kept: dict[str, Connection] | None = None) -> None:
        self._settings = settings
        self._direct = Direct(settings)
        self._requests: RequestsTransport | None = None
        self._kept = {} if kept is None else kept
        self._asked: tuple[Connection, bytes] | None = None
        self._never = overrides_ours(settings.headers)

    def ask(self, origin: str, data: bytes) -> Connection | None:
        """Write a request to a connection kept for the origin, without waiting.

        Returns:
            The connection, which is no longer kept here; None if there is no sound one.
        """
        kept = None if self._never else self._kept.pop(origin, None)
        if kept is None or kept.start(data):
            return kept
        kept.close()
        return None

    def asked(self, kept: Connection, data: bytes, came: bytes, failed: OSError | None) -> None:
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
        found = None if overrides_ours(request.headers) else self._kept.pop(origin, None)
        if found is None:
            return self._first(request)
        if not found.quiet():
            found.close()
            return self._first(request)
        return self._answer(found, request, message(origin, target, request.headers))

    def _answer(self, kept: Connection, request: Request, data: bytes = b"") -> Response:
        try:
            if data:
                kept.send(data, request.deadline)
            return ConnectionResponse(self, kept, request)
        except TransportError as exc:
            kept.close()
            if exc.kind is FailureKind.RESET:
                # closed between two requests, as a server may (RFC 9112 section 9.3.1)
                return self._first(request)
            raise

    def _first(self, request: Request) -> Response:
        self._make_room()
        if not self._direct.serves(request):
            return self._through_requests(request)
        origin, target = split(request.url)
        kept = self._direct.connect(request)
        try:
            kept.send(message(origin, target, request.headers), request.deadline)
            return ConnectionResponse(self, kept, request)
        except TransportError:
            kept.close()
            raise

    def _through_requests(self, request: Request) -> Response:
        from pdl.transport.http.requests_ import (
            FirstResponse,
            RequestsTransport,
        )

        if self._requests is None:
            self._requests = RequestsTransport(self._settings)
        if self._requests.proxied(request.url) or overrides_ours(request.headers):
            return self._requests.open(request)
        response = self._requests.open(request, FirstResponse)
        assert isinstance(response, FirstResponse)
        response.home = self
        response.timeout = self._settings.timeout
        return response

    def keep(self, origin: str, kept: Connection) -> None:
        """Keep a connection for the next request to the origin."""
        if (old := self._kept.pop(origin, None)) is not None:
            old.close()
        self._make_room()
        self._kept[origin] = kept

    def _kept_to(self, host: str) -> list[str]:
        return [origin for origin in self._kept if origin.partition("://")[2] == host]

    def holds(self, host: str) -> bool:
        """See `pdl.transport.Transport.holds`."""
        return bool(self._kept_to(host))

    def hang_up(self, host: str) -> None:
        """See `pdl.transport.Transport.hang_up`."""
        for origin in self._kept_to(host):
            self._kept.pop(origin).close()
        if self._requests is not None:
            self._requests.hang_up(host)

    def _make_room(self) -> None:
        """Close the connection that has not been used for longest, if there are too many."""
        if len(self._kept) >= self._settings.hosts_kept:
            self._kept.pop(next(iter(self._kept))).close()

    def close(self) -> None:
        """See `pdl.transport.Transport.close`."""
        for kept in self._kept.values():
            kept.close()
        self._kept.clear()
        if self._asked is not None:
            self._asked[0].close()
        if self._requests is not None:
            self._requests.close()


NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""A request is one write: nothing follows that waiting could add to it."""


class Direct:
    """Opens them.

    Args:
        settings: of HTTP.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._reach = reach_of(settings)
        self._proxied = bool(settings.proxy) or proxy_variables.possible()

    def serves(self, request: Request) -> bool:
        """Whether nothing but a connection is needed for the request."""
        return (
            not self._proxied
            and request.url.startswith("http://")
            and not overrides_ours(request.headers)
        )

    def connect(self, request: Request) -> Connection:
        """A connection on which nothing has been asked yet.

        Raises:
            TransportError: there is none.
        """
        url, settings = parse(request.url), self._settings
        try:
            sock = dial(
                url.host.removesuffix("."),  # as requests has it
                url.port,
                settings.connect_timeout,
                NO_DELAY,
                self._reach,
            )
        except TransportError:
            raise
        except (OSError, ValueError) as exc:
            raise translated(exc) from exc
        reader = SocketReader(sock)
        reader.head_seconds = head_seconds(settings.timeout, settings.min_speed)
        return Connection(sock, sock, reader, settings.timeout)
