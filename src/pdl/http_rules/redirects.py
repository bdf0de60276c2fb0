"""Redirects, followed by hand: where they lead, who may be told a secret there; and fields."""

from __future__ import annotations

from urllib.parse import urljoin

from pdl.text.masking import mask
from pdl.text.urls import InvalidUrl, Url, parse

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
    if "\n" in location:
        places = " and ".join(repr(mask(each[:200])) for each in location.split("\n")[:3])
        raise BadRedirect(f"a redirect to several places: {places}")
    try:
        # Servers send what they have in Latin-1 or UTF-8; the wire was read as Latin-1.
        text = location.encode("latin-1").decode("utf-8", "replace")
        url = parse(urljoin(current.request_url, text.strip(" \t")))
    except (InvalidUrl, ValueError) as exc:
        raise BadRedirect(f"a redirect to {mask(location[:200])!r}: {exc}") from exc
    if https_only and url.scheme != "https":
        raise BadRedirect("a redirect to plain http, which --https-only refuses")
    return url


def may_be_told(listed: Url, current: Url) -> bool:
    """Whether nobody on the way hears what is said: it is TLS, or does not leave this machine.

    What began with TLS stays with it.
    """
    if current.scheme == "https":
        return True
    return listed.scheme != "https" and is_loopback(current.host)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, whatever a name service says (RFC 6761 section 6.3)."""
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    numbers = host.split(".")
    return numbers[0] == "127" and len(numbers) == 4 and all(map(str.isdigit, numbers))  # noqa: PLR2004 - IPv4
