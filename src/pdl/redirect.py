"""Redirects, followed by hand: where to, how often, and what may go along."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from pdl.urls import InvalidUrl, Url, parse, printable

if TYPE_CHECKING:
    from pdl.model import Headers

STATUSES = frozenset({301, 302, 303, 307, 308})
"""Statuses that name another place for a GET (RFC 9110 section 15.4)."""


class BadRedirect(Exception):
    """The redirect cannot be followed; the message says why."""


def target(current: Url, location: str | None, *, https_only: bool = False) -> Url:
    """The URL a redirect leads to.

    Raises:
        BadRedirect: there is no Location, or it is not a place pdl goes to.
    """
    if not location:
        raise BadRedirect("a redirect without a Location")
    try:
        # Servers send what they have in Latin-1 or UTF-8; the wire was read as Latin-1.
        text = location.encode("latin-1").decode("utf-8", "replace")
        url = parse(urljoin(current.request_url, text.strip()))
    except (InvalidUrl, ValueError) as exc:
        raise BadRedirect(f"a redirect to {printable(location[:200])!r}: {exc}") from exc
    if https_only and url.scheme != "https":
        raise BadRedirect("a redirect to plain http, which --https-only refuses")
    return url


def headers_for(listed: Url, current: Url, secret: Headers) -> Headers:
    """The user's header fields that may be sent to `current`: all to the listed origin, else none.

    An origin is scheme, host and port (RFC 6454), so a downgrade to http is another one.
    """
    return secret if current.origin == listed.origin else ()
