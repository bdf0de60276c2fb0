"""The transport on requests: connections, proxies and TLS are its, the wire is read by ours.

requests and urllib3 choose, open, verify and keep the connection. The response's bytes are read by
`pdl.transport.http.head`, plugged in where http.client has its own parser, because that one takes
103 for a final answer, believes contradictory lengths, and cannot say whether a connection holds
bytes that nobody asked for.
"""

from __future__ import annotations

import http.client
import math
import ssl
from typing import TYPE_CHECKING, Any, ClassVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssltransport import SSLTransport

from pdl.model import FailureKind
from pdl.transport import Request, Response, TransportError
from pdl.transport.errors import translated
from pdl.transport.http import proxies, tls
from pdl.transport.http.connection import Connection, unread
from pdl.transport.http.dial import ANYWHERE, dial, reach_of
from pdl.transport.http.head import Framing, Head, framing, split
from pdl.transport.http.reader import Body, SocketReader, final_head
from pdl.transport.min_speed import head_seconds

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from pdl.settings import HttpSettings
    from pdl.transport.http.connection import Home
    from pdl.transport.http.tls import Trust


class StrictResponse(http.client.HTTPResponse):
    """http.client's response with the head and body read by `pdl.transport.http.head`."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.reader = SocketReader(sock)
        self.strict_head: Head
        self.framing: Framing
        self.body: Body

    def begin(self) -> None:
        """Read the head; called by http.client."""
        head = self.strict_head = final_head(self.reader)
        self.framing = framing(head)
        self.body = Body(self.reader, self.framing)
        self.version = 11 if head.minor else 10
        self.code = self.status = head.status
        self.reason = head.reason
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.fields:
            self.headers.add_header(name, value)
        self.chunked = self.framing.chunked
        self.length = self.framing.length
        self.will_close = not self.framing.keep

    def finish(self) -> None:
        """Tell http.client that the connection is free for the next request."""
        self._close_conn()  # type: ignore[attr-defined]


class StrictConnection:
    """Mixed into urllib3's connections: made by our dialer, read strictly, and in time."""

    deadline: float | None = None
    head_seconds = math.inf
    reach = ANYWHERE
    trust: Trust
    socks: str | None = None
    host: Any
    port: Any
    timeout: Any
    socket_options: Any

    def _new_conn(self) -> socket.socket:
        """Called by urllib3 to connect."""
        if self.socks is None:
            sock = dial(self.host, self.port, self.timeout, self.socket_options, self.reach)
        else:
            from pdl.transport.http.socks import dial_through, socks_proxy  # where there is one

            proxy, to = socks_proxy(self.socks), (self.host, self.port)
            sock = dial_through(proxy, to, self.timeout, self.socket_options, self.reach)
        sock.settimeout(self.timeout)
        return sock

    def response_class(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> StrictResponse:
        """Called by http.client when a request has been sent."""
        response = StrictResponse(sock, debuglevel, method)
        response.reader.deadline = self.deadline
        response.reader.head_seconds = self.head_seconds
        return response


class StrictHTTPConnection(StrictConnection, HTTPConnection):  # type: ignore[misc]
    """A plain connection."""


class StrictHTTPSConnection(StrictConnection, HTTPSConnection):  # type: ignore[misc]
    """The same over TLS, where an end without a goodbye is told from one with it."""

    def connect(self) -> None:
        """Called by urllib3.

        Raises:
            TransportError: the other side took the connection, and then was silent, or is somebody
                else.
        """
        try:
            super().connect()
        except TimeoutError as exc:
            what = f"no TLS for {self.timeout:g} s after connecting (--connect-timeout)"
            raise TransportError(FailureKind.CONNECT, what, transient=True) from exc
        except ssl.SSLCertVerificationError as exc:
            if self.proxy is None and (names := self._names_instead(exc)):
                what = f"the certificate is for {names}, and not valid for {self.host!r}"
                raise TransportError(FailureKind.TLS, what, transient=False) from exc
            raise tls.refusal(exc, self.trust) from exc
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]

    def _names_instead(self, exc: ssl.SSLCertVerificationError) -> str:
        if exc.verify_code not in tls.OTHER_NAME or self.socks or self.ssl_context is None:
            return ""
        return tls.names_of(self.host, self.port, self.timeout, self.ssl_context, self.reach)


class StrictPool:
    """Mixed into urllib3's pools: every connection they hand out learns the request's limits."""

    deadline: float | None = None
    head_seconds = math.inf
    reach = ANYWHERE
    trust: Trust
    socks: str | None = None

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - as urllib3
        conn = super()._get_conn(timeout)  # type: ignore[misc]
        conn.deadline = self.deadline
        conn.head_seconds = self.head_seconds
        conn.reach = self.reach
        conn.trust = self.trust
        conn.socks = self.socks
        return conn


class StrictHTTPPool(StrictPool, HTTPConnectionPool):
    """urllib3's pool of such connections."""

    ConnectionCls = StrictHTTPConnection


class StrictHTTPSPool(StrictPool, HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = StrictHTTPSConnection


class StrictAdapter(HTTPAdapter):
    """requests' adapter over those pools; knows whether it used a kept connection."""

    _classes: ClassVar[dict[str, Any]] = {"http": StrictHTTPPool, "https": StrictHTTPSPool}
    deadline: float | None = None
    head_seconds = math.inf
    reach = ANYWHERE
    trust: Trust
    socks: str | None = None
    proxied_by_tls = False
    _pool: Any = None
    _made = 0

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests
        """Called by requests."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests
        """Called by requests; a proxy's own certificate is verified like a server's."""
        if self.proxied_by_tls:
            kwargs["proxy_ssl_context"] = tls.context(tls.without_client(self.trust))
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._classes
        return manager

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests
        """Called by requests; the context replaces the files it would have read each time."""
        host, how = super().build_connection_pool_key_attributes(*args, **kwargs)
        if host["scheme"] == "https":
            trust = self.trust
        elif self.proxied_by_tls:  # the connection is one to the proxy
            trust = tls.without_client(self.trust)
        else:
            return host, how
        return host, {"cert_reqs": how["cert_reqs"], "ssl_context": tls.context(trust)}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as requests
        """Called by requests to say which files to read: none, as contexts have it all."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as requests
        """Called by requests; remember the pool, to tell later whether it had to connect."""
        self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        self._pool.deadline = self.deadline
        self._pool.head_seconds = self.head_seconds
        self._pool.reach = self.reach
        self._pool.trust = self.trust
        self._pool.socks = self.socks
        self._made = self._pool.num_connections
        return self._pool

    def used_kept_connection(self) -> bool:
        """Whether the last request went out on a connection that had served before."""
        return self._pool is not None and bool(self._pool.num_connections == self._made)


class Verbatim(requests.PreparedRequest):
    """Asks for what stands in the URL: a query may be empty, which requests takes for none."""

    @property
    def path_url(self) -> str:
        """Called by requests."""
        return split(str(self.url))[1]


class RequestsResponse:
    """`pdl.transport.Response` over a requests response."""

    def __init__(self, response: requests.Response, url: str) -> None:
        self._raw = response.raw
        strict = self._raw._original_response  # noqa: SLF001 - as requests does itself
        assert isinstance(strict, StrictResponse)
        self._strict = strict
        self.status = strict.strict_head.status
        self.reason = strict.strict_head.reason
        self.url = url
        self.length = strict.framing.length
        self.framed = strict.framing.chunked or strict.framing.length is not None

    def header(self, name: str) -> str | None:
        """See `pdl.transport.Response.header`."""
        return self._strict.strict_head.get(name.lower())

    def fields(self) -> Sequence[tuple[str, str]]:
        """See `pdl.transport.Response.fields`."""
        return self._strict.strict_head.fields

    def readinto(self, buffer: memoryview) -> int:
        """See `pdl.transport.Response.readinto`."""
        return self._strict.body.readinto(buffer)

    def splice_into(self, pipe: int, most: int) -> int | None:
        """See `pdl.transport.Response.splice_into`."""
        return self._strict.body.splice_into(pipe, most)

    def hurry(self, seconds: float) -> None:
        """See `pdl.transport.Response.hurry`."""
        self._strict.reader.hurry(seconds)

    def close(self) -> None:
        """See `pdl.transport.Response.close`."""
        connection = self._raw.connection
        spoilt = connection is not None and _unread(connection.sock)
        if self._strict.body.reusable() and not spoilt:
            self._strict.finish()
            self._raw.release_conn()
        else:
            self._raw.close()


class FirstResponse(RequestsResponse):
    """requests' answer, whose connection goes home afterwards; see `KeepaliveTransport`.

    Attributes:
        timeout: seconds without a byte on it then.
    """

    home: Home
    timeout: float

    def close(self) -> None:
        """See `pdl.transport.Response.close`."""
        connection = self._raw.connection
        if not self._strict.body.reusable() or connection is None or connection.sock is None:
            super().close()
            return
        self._strict.finish()
        origin = split(self.url)[0]
        self.home.keep(
            origin, Connection(connection, connection.sock, self._strict.reader, self.timeout)
        )


def _unread(sock: Any) -> bool:  # noqa: ANN401 - whatever urllib3 has connected
    if isinstance(sock, SSLTransport):  # TLS through a proxy's TLS
        return bool(sock.sslobj.pending() or sock.incoming.pending)
    return unread(sock)


class RequestsTransport:
    """`pdl.transport.Transport` on requests.

    Args:
        settings: of HTTP.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._adapter = StrictAdapter(pool_connections=settings.hosts_kept, pool_maxsize=1)
        self._adapter.reach = reach_of(settings)
        self._adapter.head_seconds = head_seconds(settings.timeout, settings.min_speed)
        self._proxies: dict[str, dict[str, str]] = {}
        self._adapter.trust = tls.trust_of(settings)
        if settings.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def open(self, request: Request, form: type[RequestsResponse] = RequestsResponse) -> Response:
        """See `pdl.transport.Transport.open`.

        A server may close a kept connection at any time; a request that meets that is sent again
        at once on a new one (RFC 9112 section 9.3.1).
        """
        try:
            return form(self._send(request), request.url)
        except TransportError as exc:
            if exc.kind is FailureKind.RESET and self._adapter.used_kept_connection():
                return form(self._send(request), request.url)
            raise

    def holds(self, host: str) -> bool:  # noqa: ARG002 - the protocol's shape
        """See `pdl.transport.Transport.holds`. Its connections mostly go elsewhere, to a proxy."""
        return False

    def hang_up(self, host: str) -> None:  # noqa: ARG002 - the protocol's shape
        """See `pdl.transport.Transport.hang_up`. It closes all that nobody uses."""
        self._adapter.poolmanager.clear()

    def _send(self, request: Request) -> requests.Response:
        prepared = Verbatim()
        prepared.method = "GET"
        prepared.url = request.url
        prepared.headers = CaseInsensitiveDict(request.headers)
        settings, proxy = self._settings, self._proxy_of(request.url)
        if proxy is not None:
            proxy = proxies.usable(proxy, public_only=settings.public_only)
        self._adapter.deadline = request.deadline
        self._adapter.proxied_by_tls = proxy is not None and proxy.startswith("https:")
        self._adapter.socks = proxy if proxy is not None and proxy.startswith("socks") else None
        try:
            return self._adapter.send(
                prepared,
                stream=True,
                timeout=(settings.connect_timeout, settings.timeout),
                verify=not settings.insecure,
                proxies={} if proxy is None or self._adapter.socks else {"all": proxy},
            )
        except (
            TransportError,
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as exc:
            error = translated(exc)
            if proxy is not None:
                error = proxies.blamed(proxy, error)
            if error is exc:
                raise
            raise error from exc

    def proxied(self, url: str) -> bool:
        """Whether requests to the URL are made to a proxy. One of SOCKS only connects."""
        proxy = self._proxy_of(url)
        return proxy is not None and not proxy.strip().lower().startswith("socks")

    def _proxy_of(self, url: str) -> str | None:
        return select_proxy(url, self._proxies_for(url))

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self._settings.proxy:
            return {"http": self._settings.proxy, "https": self._settings.proxy}
        origin = url.split("/", 3)[2]
        found = self._proxies.get(origin)
        if found is None:  # the look-up reads the whole environment
            found = self._proxies[origin] = get_environ_proxies(url)
        return found

    def close(self) -> None:
        """See `pdl.transport.Transport.close`."""
        self._adapter.close()
