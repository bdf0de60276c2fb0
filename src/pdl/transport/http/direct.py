"""Connections in the clear, to the origin itself: a dial is all that they take.

requests is the authority on proxies, TLS and what else may stand between; here is nothing of that,
and its import and its layers are half of what a short run costs. The same dialer connects for both.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pdl.text.urls import parse
from pdl.transport import TransportError
from pdl.transport.errors import translated
from pdl.transport.http import proxy_env
from pdl.transport.http.connection import Connection
from pdl.transport.http.dial import dial
from pdl.transport.http.reader import SocketReader
from pdl.transport.http.request_bytes import overrides_ours
from pdl.transport.min_speed import head_seconds

if TYPE_CHECKING:
    from pdl.settings import HttpSettings
    from pdl.transport import Request

NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
"""A request is one write: nothing follows that waiting could add to it."""


class Direct:
    """Opens them.

    Args:
        settings: of HTTP.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._proxied = bool(settings.proxy) or proxy_env.possible()

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
                public_only=settings.public_only,
            )
        except TransportError:
            raise
        except (OSError, ValueError) as exc:
            raise translated(exc) from exc
        reader = SocketReader(sock)
        reader.head_seconds = head_seconds(settings.timeout, settings.min_speed)
        return Connection(sock, sock, reader, settings.timeout)
