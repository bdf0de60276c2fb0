"""A GET as it is written to the wire (RFC 9112 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdl.model import Headers

_OURS = frozenset({"host", "connection", "transfer-encoding"})
"""The last one because whoever says it has to send the end of a body too."""


def split(url: str) -> tuple[str, str]:
    """A request URL's origin (``http://host:port``) and target (``/path?query``)."""
    slash = url.index("/", 8)
    return url[:slash], url[slash:]


def message(origin: str, target: str, headers: Headers) -> bytes:
    """The whole request."""
    return f"GET {target}{tail(origin, headers)}".encode("latin-1")


def tail(origin: str, headers: Headers) -> str:
    """What follows the target in a request."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    host, colon, port = origin.partition("//")[2].partition(":")
    # a server knows itself by its name without the root's dot
    return f" HTTP/1.1\r\nHost: {host.removesuffix('.')}{colon}{port}\r\n{fields}\r\n"


def overrides_ours(headers: Headers) -> bool:
    """Whether a field of the user's own stands in the way of ours."""
    return any(name.lower() in _OURS for name, _ in headers)
