"""What is said of some hosts alone, and of which.

A table is for one host, ``example.org`` or ``example.org:8443``, or for all below one,
``*.example.org``. Of several that match, the first that says a thing counts, so they are in order.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FIELDS = frozenset(
    {
        *("http.headers", "http.user_agent", "http.referer", "http.proxy", "http.cacert"),
        *("http.cert", "http.key", "http.connect_timeout", "http.timeout", "http.min_speed"),
        *("http.max_redirects", "retry.retries", "retry.statuses", "stop.per_host", "pace.rate"),
        *("auth.users", "auth.bearer", "auth.netrc", "auth.cookies_file"),
    }
)
"""Paths of the fields that can differ by host."""
FILES = frozenset({"http.cacert", "http.cert", "http.key", "auth.cookies_file"})
"""Those that name a file which is read."""


class HostTable(NamedTuple):
    """What is said of a host.

    Attributes:
        pattern: of the host; see `pattern_of`.
        said: paths of `FIELDS`, as ``http.timeout``, and their values. Of ``auth.users`` and
            ``auth.bearer`` there is one, whose host is empty: the table names it.
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


def hosts_fault(tables: object, fault_of: Callable[[str, object, object], str]) -> str:
    """Why these can be no tables of hosts, empty if they can.

    Args:
        tables: what a program gives, which may be anything.
        fault_of: why a field cannot have a value, by its path; its third argument is a value that
            needs no look.
    """
    if not isinstance(tables, tuple) or not all(isinstance(each, HostTable) for each in tables):
        return "a tuple of HostTable is wanted"
    for pattern, said in tables:
        if fault := _pattern_fault(pattern):
            return f"{pattern!r}: {fault}"
        if not isinstance(said, tuple) or not all(map(_is_pair, said)):
            return f"{pattern!r}: a tuple of paths and values is wanted"
        for path, value in said:
            if fault := _said_fault(path, value, fault_of):
                return f"{pattern!r}: {path if isinstance(path, str) else '?'}: {fault}"
    return ""


def _is_pair(each: object) -> bool:
    return isinstance(each, tuple) and len(each) == 2  # noqa: PLR2004


def _pattern_fault(pattern: object) -> str:
    if not isinstance(pattern, str):
        return "a host is text"
    bare = pattern.removeprefix("*.")
    # an IPv6 address has no brackets in a pattern; what is behind its last colon may be the port
    forms = [pattern, f"[{bare}]", "[{}]:{}".format(*bare.rpartition(":")[::2])]
    for form in forms if bare.count(":") > 1 else forms[:1]:
        try:
            usual = pattern_of(form)
        except InvalidUrl as exc:
            fault = str(exc)
        else:
            return "" if usual == pattern else f"it is written as {usual}"
    return fault


def _said_fault(
    path: object,
    value: Any,  # noqa: ANN401
    fault_of: Callable[[str, object, object], str],
) -> str:
    if not isinstance(path, str) or path not in FIELDS:
        return "it cannot differ by host"
    if path == "auth.netrc":
        return "" if isinstance(value, bool) else "it is neither True nor False"
    asked = value
    if path in {"auth.users", "auth.bearer"}:
        if fault := _receiver_fault(path, value):
            return fault
        asked = value if path == "auth.users" else (("h", value[0][1]),)
    if fault := fault_of(path, asked, ...):
        return fault
    return "" if _is_lasting(value) else f"a value of type {type(value).__name__} is none of it"


def _receiver_fault(path: str, value: Any) -> str:  # noqa: ANN401
    """Why this can be no user or token of a table; the rule of the field knows the rest."""
    length = 4 if path == "auth.users" else 2  # as `pdl.User`; or a host and a variable
    if not isinstance(value, tuple) or [len(each) for each in value if _is_row(each)] != [length]:
        return "one is wanted, in a tuple"
    if value[0][0]:
        return "its host is to be empty: the table names it"
    missing = path == "auth.users" and value[0][2] is None and not value[0][3]
    return "the password is missing" if missing else ""


def _is_row(each: object) -> bool:
    return isinstance(each, tuple)


def _is_lasting(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def part_of(tables: Iterable[HostTable], part: str) -> tuple[HostTable, ...]:
    """What they say of a part of the settings, as ``auth``, without those that say nothing."""
    mine = (
        each._replace(said=tuple(pair for pair in each.said if pair[0].startswith(f"{part}.")))
        for each in tables
    )
    return tuple(each for each in mine if each.said)


def for_workers(tables: Iterable[HostTable]) -> tuple[HostTable, ...]:
    """What workers are told of them: how hosts are asked, and after which statuses again."""
    told = (
        each._replace(
            said=tuple(
                ("http.retry_statuses" if path == "retry.statuses" else path, value)
                for path, value in each.said
            )
        )
        for each in tables
    )
    return part_of(told, "http")


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
