"""Proxies: the URL of one, and whose a failure on the way to it is."""

from __future__ import annotations

from pdl.model import FailureKind
from pdl.system.proxy_variables import named
from pdl.text.lazy_regex import lazy
from pdl.text.urls import SOCKS, Url, parse, proxy_fault
from pdl.transport import TransportError


def usable(given: str, *, public_only: bool) -> str:
    """The URL of a proxy, as requests takes it.

    Args:
        given: by an option or the environment; host and port alone are http.
        public_only: no proxy may be asked.

    Raises:
        TransportError: it cannot be asked, or may not be. No part of it is shown.
    """
    if public_only:
        raise TransportError(
            FailureKind.POLICY,
            "--public-only cannot see where a proxy connects to",
            transient=False,
        )
    if fault := proxy_fault(given.strip()):
        message = f"the proxy's URL, of --proxy or the environment, {fault}"
        raise TransportError(FailureKind.CONNECT, message, transient=False)
    url = parsed(given)
    who = f"{url.userinfo}@" if url.userinfo else ""
    return f"{scheme_of(given)}://{who}{url.netloc}"


def blamed(proxy: str, error: TransportError) -> TransportError:
    """The same failure as the proxy's, where no way to a host was found: it was to find the way."""
    if error.kind not in {FailureKind.DNS, FailureKind.CONNECT}:
        return error
    url = parsed(proxy)
    message = f"the proxy {scheme_of(proxy)}://{url.netloc}: {error.message}"
    return TransportError(FailureKind.CONNECT, message, transient=error.transient)


def scheme_of(proxy: str) -> str:
    """The scheme of a proxy's URL; host and port alone are http."""
    scheme, found, _ = proxy.strip().partition("://")
    return scheme.lower() if found else "http"


def parsed(proxy: str) -> Url:
    """A proxy's URL; that of SOCKS as if it were http."""
    _, found, rest = proxy.strip().partition("://")
    place, scheme = rest if found else proxy.strip(), scheme_of(proxy)
    if scheme not in SOCKS:
        return parse(f"{scheme}://{place}")
    url = parse(f"http://{place}")
    return url if _PORT.search(place) else url._replace(port=SOCKS_PORT)


SOCKS_PORT = 1080
"""Of a proxy of SOCKS whose URL has none."""
_PORT = lazy(r"\A[^/?#]*:[0-9]+(?:[/?#]|\Z)")


def way_fault(url: str) -> str:
    """Why the proxy that the environment has for a URL cannot be asked; empty if it can.

    Args:
        url: that is to be asked; with no proxy for it all is well.
    """
    from requests.utils import get_environ_proxies, select_proxy  # where one is faulty alone

    proxy = select_proxy(url, get_environ_proxies(url))
    fault = "" if proxy is None else proxy_fault(proxy.strip())
    if not fault:
        return ""
    names = [name for name, value in named() if value == proxy]
    return f"the proxy's URL, of {' or '.join(names) or 'the system'}, {fault}"


def any_faulty() -> bool:
    """Whether the environment names a proxy that cannot be asked, whether for some URL or none."""
    return any(proxy_fault(value.strip()) for _, value in named())
