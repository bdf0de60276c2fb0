"""Redirects, followed by hand: where they lead, and which fields may go along."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urljoin

from pdl.settings import header_fault
from pdl.text.masking import mask
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from pdl.model import Headers
    from pdl.settings import HttpSettings
    from pdl.text.urls import Url

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


def request_headers(http: HttpSettings, listed: Url, current: Url, extra: Headers) -> Headers:
    """What is sent to `current` when `listed` is what the list says.

    Every field the user gave, and the URL's own user and password, go to the listed origin alone.
    An origin is scheme, host and port (RFC 6454), so a downgrade to http is another one.

    Args:
        http: the run's settings; `headers` are the user's.
        listed: where the user's fields belong.
        current: where this request goes.
        extra: the item's own fields.
    """
    fields = {
        "user-agent": ("User-Agent", _sendable(http.user_agent)),
        "accept": ("Accept", "*/*"),
        "accept-encoding": ("Accept-Encoding", "identity"),
    }
    if current.origin == listed.origin:
        if listed.userinfo:
            fields["authorization"] = ("Authorization", _basic(listed.userinfo))
        for name, value in (*http.headers, *extra):
            fields[name.lower()] = (name, _sendable(value))
    return tuple(fields.values())


class BadField(ValueError):
    """A header field that cannot be sent; the message does not show its value."""


def check_fields(fields: Headers) -> None:
    """See that no field can break out of its line (RFC 9110 section 5.5).

    Raises:
        BadField: one can.
    """
    for name, value in fields:
        if fault := header_fault(name, value):
            raise BadField(fault)


def _sendable(value: str) -> str:
    """The value as UTF-8, in the form in which the transports write it: a character an octet."""
    return value if value.isascii() else value.encode("utf-8").decode("latin-1")


def _basic(userinfo: str) -> str:
    """The Authorization value for a URL's userinfo (RFC 7617)."""
    from base64 import b64encode  # for this alone

    user, _, password = userinfo.partition(":")
    raw = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return f"Basic {b64encode(raw).decode('ascii')}"
