"""What is said of some hosts alone, and of which.

A table is for one host, ``example.org`` or ``example.org:8443``, or for all below one,
``*.example.org``. Of several that match, the first that says a thing counts, so they are in order.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pdl.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class HostTable(NamedTuple):
    """What is said of a host.

    Attributes:
        pattern: of the host; see `pattern_of`.
        said: paths of fields of the settings, as ``http.timeout``, and their values.
    """

    pattern: str
    said: tuple[tuple[str, Any], ...]


T = TypeVar("T", bound=tuple[Any, ...])
"""A part of the settings, which is a named tuple."""
_PORT = re.compile(r":[0-9]+\Z")


def pattern_of(text: str) -> str:
    """The pattern that stands for a host or for all below one, in its normal form.

    Raises:
        InvalidUrl: there can be no such host.
    """
    stars = text[:2] if text.startswith("*.") else ""
    host = text[len(stars) :]
    if not host or re.search(r"[/?#@\s*]", host):
        raise InvalidUrl("it is not as example.org, example.org:8443 or *.example.org")
    url = parse(f"http://{host}/")
    port = f":{url.port}" if _PORT.search(host) else ""
    if url.port in {80, 443} and port:
        raise InvalidUrl("the usual ports are left out")
    return f"{stars}{url.host.removesuffix('.').lower()}{port}"


def nearest_first(tables: Iterable[HostTable]) -> list[HostTable]:
    """Tables of one rank in order: a host before a wildcard, and what is longer first."""
    return sorted(tables, key=lambda each: (each.pattern[0] == "*", -len(each.pattern)))


def said_of(tables: tuple[HostTable, ...], host: str, port: int) -> Mapping[str, Any]:
    """What the tables say of a host, by the paths of fields."""
    host = host.removesuffix(".").lower()
    names = host, f"{host}:{port}"
    found: dict[str, Any] = {}
    for pattern, said in tables:
        whole = pattern[0] != "*"
        if any(name == pattern if whole else name.endswith(pattern[1:]) for name in names):
            for path, value in said:
                found.setdefault(path, value)
            if any(path == "http.cert" for path, _ in said):
                found.setdefault("http.key", None)  # another's key does not fit
    return found


@lru_cache(maxsize=1024)
def _said_of(tables: tuple[HostTable, ...], part: str, origin: str) -> dict[str, Any]:
    try:
        url = parse(f"{origin}/")
    except InvalidUrl:  # told where it is to be asked
        return {}
    said = said_of(tables, url.host, url.port).items()
    return {path[len(part) + 1 :]: value for path, value in said if path.startswith(f"{part}.")}


def said_in(tables: tuple[HostTable, ...], part: str, url: str) -> Mapping[str, Any]:
    """What the tables say of a URL's host that concerns one part of the settings, by field."""
    scheme, _, rest = url.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return _said_of(tables, part, f"{scheme}://{place}")


def applied(settings: T, tables: tuple[HostTable, ...], part: str, url: str) -> T:
    """The settings of a part as they are for a URL's host."""
    said = said_in(tables, part, url) if tables else None
    if not said:
        return settings
    changed: T = settings._replace(**said)  # type: ignore[attr-defined]
    return changed
