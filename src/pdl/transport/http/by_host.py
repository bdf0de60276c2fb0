"""Requests to hosts that have settings of their own: each kind of them has a transport.

A lane has all of them. Which one asks a host is looked up once for each origin. The connections are
kept in common, so there are no more of them than a lane may have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.host_tables import applied
from pdl.transport.http.head import split
from pdl.transport.http.keepalive import KeepaliveTransport

if TYPE_CHECKING:
    from pdl.settings import HttpSettings
    from pdl.transport import Request, Response


class HostTransports(KeepaliveTransport):
    """`pdl.transport.Transport` whose settings depend on the host.

    Args:
        settings: of HTTP; with tables.
    """

    def __init__(self, settings: HttpSettings) -> None:
        super().__init__(settings)
        self._usual = settings
        self._by_settings: dict[HttpSettings, KeepaliveTransport] = {settings: self}
        self._by_origin: dict[str, KeepaliveTransport] = {}

    def open(self, request: Request) -> Response:
        """See `pdl.transport.Transport.open`."""
        origin = split(request.url)[0]
        found = self._by_origin.get(origin) or self._choose(origin)
        return super().open(request) if found is self else found.open(request)

    def _choose(self, origin: str) -> KeepaliveTransport:
        settings = applied(self._usual, self._usual.hosts, "http", origin)
        found = self._by_settings.get(settings)
        if found is None:
            found = self._by_settings[settings] = KeepaliveTransport(settings, self._kept)
        self._by_origin[origin] = found
        return found

    def hang_up(self, host: str) -> None:
        """See `pdl.transport.Transport.hang_up`."""
        super().hang_up(host)
        for each in self._others():
            each.hang_up(host)

    def close(self) -> None:
        """See `pdl.transport.Transport.close`."""
        super().close()
        for each in self._others():
            each.close()

    def _others(self) -> list[KeepaliveTransport]:
        return [each for each in self._by_settings.values() if each is not self]
