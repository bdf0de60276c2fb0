"""Connections through a SOCKS proxy: python-socks speaks, our dialer connects to the proxy.

What comes is a connection like any other: TLS, the strict reader and the keeping of connections are
as without a proxy. It is imported only where a proxy is of SOCKS.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from python_socks import ProxyError, ProxyTimeoutError, ProxyType
from python_socks.sync import Proxy

from pdl.model import FailureKind
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple
from pdl.transport import TransportError
from pdl.transport.http.dial import addresses_of, dial
from pdl.transport.http.proxies import parsed, scheme_of

if TYPE_CHECKING:
    import socket

    from pdl.transport.http.dial import Options, Reach

_LASTING = frozenset({2, 7, 8})
"""Replies of SOCKS 5 that asking again will not change: not allowed, not known."""


class SocksProxy(NamedTuple):
    """A proxy of SOCKS.

    Attributes:
        version: 4 or 5.
        host: of the proxy.
        port: of the proxy.
        user: or None.
        password: or None.
        by_name: it looks names up itself.
    """

    version: int
    host: str
    port: int
    user: str | None
    password: str | None
    by_name: bool


@lru_cache(maxsize=64)
def socks_proxy(url: str) -> SocksProxy:
    """The proxy of a URL, which is a good one."""
    scheme, place = scheme_of(url), parsed(url)
    user, _, password = place.userinfo.partition(":")
    version = 4 if scheme == "socks4a" else 5
    known = unquote(user) or None
    secret = unquote(password) if known else None
    return SocksProxy(version, place.host, place.port, known, secret, scheme != "socks5")


class _Dialer:
    """Connects to the proxy; what python-socks takes for a proxy before the proxy."""

    def __init__(self, options: Options, reach: Reach) -> None:
        self._options = options
        self._reach = reach

    def connect(self, dest_host: str, dest_port: int, timeout: float) -> socket.socket:
        """Called by python-socks."""
        sock = dial(dest_host, dest_port, timeout, self._options, self._reach)
        sock.settimeout(timeout)
        return sock


def dial_through(
    proxy: SocksProxy, to: tuple[str, int], seconds: float, options: Options, reach: Reach
) -> socket.socket:
    """Connect to a host through the proxy.

    Args:
        proxy: that is asked.
        to: the host and its port.
        seconds: for the whole.
        options: set on the socket, as `pdl.transport.http.dial.dial` has it.
        reach: which addresses may be connected to.

    Raises:
        TransportError: the proxy cannot be asked, or does not connect.
        OSError: no connection to the proxy was made.
    """
    end = time.monotonic() + seconds
    host, port = to[0].strip("[]"), to[1]
    if not proxy.by_name or any(name == (host, port) for name, _ in reach.resolve):
        host = str(addresses_of(host, port, seconds, reach)[0].place[0])
    kind = ProxyType.SOCKS5 if proxy.version == 5 else ProxyType.SOCKS4  # noqa: PLR2004 - its name
    way = Proxy(
        kind,
        proxy.host,
        proxy.port,
        proxy.user,
        proxy.password,
        rdns=True,
        forward=cast("Proxy", _Dialer(options, reach)),  # nothing else is called of it
    )
    try:
        return way.connect(host, port, max(0.001, end - time.monotonic()))
    except ProxyTimeoutError as exc:
        what = f"it did not connect within {seconds:g} s (--connect-timeout)"
        raise TransportError(FailureKind.CONNECT, what, transient=True) from exc
    except ProxyError as exc:
        lasting = exc.error_code in _LASTING or _refuses_user(exc)
        what = f"it does not connect: {printable(str(exc))}"
        raise TransportError(FailureKind.CONNECT, what, transient=not lasting) from exc


def _refuses_user(exc: ProxyError) -> bool:
    return exc.error_code is None and "uthentication" in str(exc)
