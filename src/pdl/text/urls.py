"""URLs: taken apart once and strictly, put together one way, and shown without their secrets."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask, printable
from pdl.text.named_tuple import NamedTuple
from pdl.text.sha256 import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


MAX_LENGTH = 8000
"""Characters a URL may have; servers and proxies refuse longer ones (RFC 9110 section 4.1)."""


DEFAULT_PORTS = {"http": 80, "https": 443}
"""The schemes that can be downloaded, each with its port: the only place that lists them."""
BEGINNINGS = " or ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)

_MAX_HOST = 253
_MAX_PORT = 65535
_MAX_PORT_DIGITS = 5
_AUTHORITY = len(min(DEFAULT_PORTS, key=len)) + len("://") + 1
"""The offset from which on a slash can only be the path's."""
_ORIGINS_KEPT = 256
"""A list has many URLs of one origin, which is taken apart once then."""
_PCHAR = r"A-Za-z0-9\-._~!$&'()*+,;=:@"  # RFC 3986 section 3.3
_LABEL = "[a-z0-9_-]{1,63}"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?"


def _run_of(characters: str) -> str:
    return rf"[{characters}]*(?:%[0-9A-Fa-f]{{2}}[{characters}]*)*"


_ORIGIN = re.compile(rf"({'|'.join(DEFAULT_PORTS)})://({_HOST})(?::([0-9]{{1,5}}))?")
_TARGET = re.compile(
    rf"(/{_run_of(_PCHAR + '/')})(?:\?({_run_of(_PCHAR + '/?')}))?(?:#({_run_of(_PCHAR + '/?')}))?"
)
_SCHEME = lazy(rf"(?:{'|'.join(DEFAULT_PORTS)})://", re.IGNORECASE)
_SHAPE = lazy(  # RFC 3986 appendix B
    r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)
_HOST_PORT = lazy(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_PORT_FIRST = lazy(r"[0-9]{1,5}(?:/|$)")
_HOST_ONLY = lazy(_HOST)
_FORBIDDEN = lazy(r"[\x00-\x1f\x7f\ud800-\udfff]")


class InvalidUrl(ValueError):
    """The text is no URL that can be downloaded; the message says why and shows no secret."""


class Url(NamedTuple):
    """A URL that can be downloaded, normalised.

    Attributes:
        scheme: of `DEFAULT_PORTS`.
        host: lower case, IDNA-encoded; an IPv6 address without its brackets.
        port: always a number, the scheme's own where none was given.
        path: percent-encoded, begins with ``/``, free of dot segments.
        query: percent-encoded, without ``?``; None when there is none.
        userinfo: percent-encoded ``user`` or ``user:password``; empty when there is none.
        fragment: percent-encoded, without ``#``; empty when there is none.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    query: str | None = None
    userinfo: str = ""
    fragment: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what may share a secret (RFC 6454 section 4)."""
        return (self.scheme, self.host, self.port)

    @property
    def netloc(self) -> str:
        """Host and port as the Host header and the URL have them; the default port is left out."""
        return _netloc(self.scheme, self.host, self.port)

    @property
    def target(self) -> str:
        """Path and query: the request line's origin form (RFC 9112 section 3.2.1)."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def request_url(self) -> str:
        """The whole URL as it is asked for: without userinfo and fragment."""
        return f"{self.scheme}://{self.netloc}{self.target}"


_url_of = partial(tuple.__new__, Url)
"""A URL of all its fields; calling the class takes three times as long."""


def parse(text: str) -> Url:
    """Take a URL apart and normalise it (RFC 3986 sections 3 and 6.2.2).

    Blanks and non-ASCII characters in path and query are percent-encoded as UTF-8; what is
    percent-encoded already stays as it is. A host in other scripts is IDNA-encoded.

    Raises:
        InvalidUrl: it is not http or https, has no host, a bad host or port, control characters,
            or more than `MAX_LENGTH` characters.
    """
    return _parse_plain(text) or _parse_any(text)


def has_scheme(text: str) -> bool:
    """Whether it begins as a URL that can be downloaded, ``https://`` say; it may be none yet."""
    return _SCHEME.match(text) is not None


def is_plain(text: str) -> bool:
    """Whether `parse` is sure to accept it and finds no fragment; False says nothing.

    Found out in half a microsecond where the origin is known.
    """
    slash = text.find("/", _AUTHORITY)
    return (
        slash > 0
        and len(text) <= MAX_LENGTH
        and _origin(text[:slash]) is not None
        and (match := _TARGET.fullmatch(text, slash)) is not None
        and match[3] is None
    )


def _parse_plain(text: str) -> Url | None:
    slash = text.find("/", _AUTHORITY)
    origin = _origin(text[:slash]) if slash > 0 and len(text) <= MAX_LENGTH else None
    match = _TARGET.fullmatch(text, slash) if origin else None
    if origin is None or match is None:
        return None
    path, query, fragment = match.groups()
    # A segment that begins with a dot, encoded or not, may be a dot segment.
    if "/." in path or "/%2" in path:
        return None
    return _url_of((*origin, path, query, "", fragment or ""))


@lru_cache(maxsize=_ORIGINS_KEPT)
def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of what stands before a URL's path; None if it takes more to tell."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme, host, digits = match.groups()
    port = int(digits) if digits else DEFAULT_PORTS[scheme]
    return (scheme, host, port) if len(host) <= _MAX_HOST and 0 < port <= _MAX_PORT else None


@lru_cache(maxsize=_ORIGINS_KEPT)
def _netloc(scheme: str, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == DEFAULT_PORTS[scheme] else f"{shown}:{port}"


def _parse_any(text: str) -> Url:
    text = text.strip(" ")
    if len(text) > MAX_LENGTH:
        raise InvalidUrl(f"longer than {MAX_LENGTH} characters")
    if bad := _FORBIDDEN.search(text):
        raise InvalidUrl(f"has a forbidden character, {printable(bad[0])}")
    shape = _SHAPE.fullmatch(text)
    assert shape is not None  # the pattern fits any text
    scheme, authority, path, query, fragment = shape.groups()
    if authority is None and _PORT_FIRST.match(path):  # host:8080/x
        scheme = None
    scheme = _scheme(scheme)
    userinfo, _, host_port = (authority or "").rpartition("@")
    host, port = _host_and_port(host_port)
    url = Url(
        scheme,
        host,
        DEFAULT_PORTS[scheme] if port is None else port,
        _without_dots(_encode(path, "/")),
        None if query is None else _encode(query, "/?"),
        _encode(userinfo).replace("@", "%40"),
        _encode(fragment or "", "/?"),
    )
    if len(url.request_url) > MAX_LENGTH:
        raise InvalidUrl(f"longer than {MAX_LENGTH} characters, when it is encoded")
    return url


NO_SCHEME = f"has no scheme: it must begin with {BEGINNINGS}"
"""What `InvalidUrl` says of a relative reference."""


def _scheme(found: str | None) -> str:
    if found is None:
        raise InvalidUrl(NO_SCHEME)
    scheme = found.lower()
    if scheme not in DEFAULT_PORTS:
        # What stands before the colon may as well be a user's name or a secret.
        known = re.fullmatch("[a-z][a-z0-9+.-]{0,15}", scheme)
        shown = f", not {scheme}" if known else ""
        begin = "" if known else f"; the URL must begin with {BEGINNINGS}"
        raise InvalidUrl(f"only {' and '.join(DEFAULT_PORTS)} can be downloaded{shown}{begin}")
    return scheme


def _host_and_port(text: str) -> tuple[str, int | None]:
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise InvalidUrl("has a bad host or port")
    host, digits = match.groups()
    if not host:
        raise InvalidUrl("has no host")
    return _host(host), _port(digits) if digits else None


def _port(digits: str) -> int:
    significant = digits.lstrip("0")
    port = int(significant or "0") if len(significant) <= _MAX_PORT_DIGITS else 0
    if not 0 < port <= _MAX_PORT:
        raise InvalidUrl(f"has a bad port: it must be 1 to {_MAX_PORT}")
    return port


def _host(raw: str) -> str:
    if raw.startswith("["):
        try:
            return ipaddress.IPv6Address(raw[1:-1] if "%" not in raw else "zone").compressed
        except ValueError:
            raise InvalidUrl("has a bad IPv6 address as host") from None
    try:
        host = unquote(raw, errors="strict").lower()
        host = host if host.isascii() else _idna(host)
    except UnicodeError:
        raise InvalidUrl("has a bad host name") from None
    if len(host) > _MAX_HOST or not _HOST_ONLY.fullmatch(host):
        raise InvalidUrl("has a bad host name")
    return host


def _idna(host: str) -> str:
    import idna  # its tables take milliseconds that plain lists need not pay

    if len(host) > _MAX_HOST:
        raise InvalidUrl("has a bad host name: too long")
    return idna.encode(host, uts46=True).decode("ascii").lower()


def _encode(text: str, more: str = "") -> str:
    """Percent-encode what may not stand there, and a ``%`` that begins no escape."""
    return re.sub(
        rf"%(?![0-9A-Fa-f]{{2}})|[^%{_PCHAR}{more}]+", lambda m: quote(m[0], safe=""), text
    )


def _without_dots(path: str) -> str:
    """Resolve ``.`` and ``..`` segments (RFC 3986 section 5.2.4), also percent-encoded ones."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for place, segment in enumerate(segments, 1):
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain not in {".", ".."}:
            kept.append(segment)
            continue
        if plain == ".." and kept:
            kept.pop()
        if place == len(segments):
            kept.append("")
    return "/" + "/".join(kept)


# --- Showing -------------------------------------------------------------------------------


# A URL's key is 64 bits of a hash, of which one bit is always set. So a table of keys can also hold
# these numbers, none of which a URL has for its key (the last but by a chance that is nil):


# --- What tells URLs apart -------------------------------------------------------------------
# A URL's key is 64 bits of a hash, of which one bit is always set. So a table of keys can also hold
# these numbers, none of which a URL has for its key (the last but by a chance that is nil):
FREE = 0
"""Nobody has it: there is no entry."""
DIRECTORY = 1
"""A directory has the name."""
RUNS_OWN = 2
"""A file of the run itself has the name, as a report or the list."""
_URL_BIT = 2
"""Set in every URL's key, which is therefore neither `FREE` nor `DIRECTORY`."""


KIN_DIGITS = 16
"""Digits of a part's name that its URL's query does not change."""


class Asked:
    """What is asked for, and as whom: what tells URLs apart, and names a part.

    Attributes:
        url: that it is made of.
        netloc: the URL's.
        text: the request URL, with the user's name if there is one. That counts, for it may decide
            what is served; the password does not, so that nothing derived from it is ever seen.
        key: the first 64 bits of its SHA-256, with `_URL_BIT` set.
    """

    __slots__ = ("_hashed", "key", "netloc", "text", "url")

    def __init__(self, url: Url) -> None:
        self.url = url
        scheme, host, port, path, query, user, _ = url
        self.netloc = netloc = _netloc(scheme, host, port) if port else url.netloc
        text = f"{scheme}://{netloc}{path}" if query is None else f"{scheme}://{netloc}{url.target}"
        user = user and user.partition(":")[0]
        self.text = f"{user}@{text}" if user else text
        self._hashed = sha256(self.text.encode())
        self.key = int.from_bytes(self._hashed.digest()[:8], "big") | _URL_BIT

    def part_name(self, path: str) -> str:
        """File name of the part: 32 hex digits and ``.part``, the same on every run.

        The first `KIN_DIGITS` are the same whatever the URL's query.
        """
        hashed = self._hashed.copy()
        end = f"\n{path}".encode()
        hashed.update(end)
        digits = hashed.hexdigest()[:32]
        if "?" in self.text:
            kin = sha256(self.text.partition("?")[0].encode() + end).hexdigest()
            digits = kin[:KIN_DIGITS] + digits[:-KIN_DIGITS]
        return digits + ".part"


def url_key(url: Url) -> int:
    """The `Asked.key` of a URL."""
    return Asked(url).key


def suffix_of(key: int) -> str:
    """The first 8 hex digits of the SHA-256 that `key` comes from."""
    return f"{key:016x}"[:8]


def part_name(url: Url, path: str) -> str:
    """The `Asked.part_name` of a URL's file."""
    return Asked(url).part_name(path)


def identity(url: Url) -> str:
    """The `Asked.text` of a URL."""
    return Asked(url).text


def places_fault(places: Iterable[tuple[str, int, Sequence[str]]]) -> str:
    """Why nothing can be connected to where hosts are said to be, empty if it can.

    Args:
        places: host, port and addresses of each, see `pdl.settings.Resolved`.
    """
    for host, port, addresses in places:
        try:
            parse(f"http://{host}:{port}/")
        except InvalidUrl as error:
            return f"{host}:{port} {error}"
        for each in addresses:
            try:
                ipaddress.ip_address(each)
            except ValueError:
                return f"{each!r} is no address such as 192.0.2.1 or 2001:db8::1"
        if not addresses:
            return f"no address is given for {host}:{port}"
    return ""


def url_fault(url: str) -> str:
    """Why this is no URL, empty if it is one; shows no part of it that may be secret."""
    try:
        parse(url)
    except InvalidUrl as error:
        return f"{mask(url)!r} {error}"
    return ""


def proxy_fault(url: str) -> str:
    """Why this can be no proxy, empty if it can; shows no part of it that may be secret."""
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower() if found else "http"  # host:port alone
    if scheme not in {"http", "https", *SOCKS}:
        return f"is none of http, https, {', '.join(SOCKS)}"
    try:
        parse(f"http://{rest if found else url}")
    except InvalidUrl as error:
        return str(error)
    if scheme in SOCKS:
        from importlib.util import find_spec  # where one is named

        if find_spec("python_socks") is None:
            return f"names a SOCKS proxy, which needs python-socks: pip install '{_WITH_SOCKS}'"
    return ""


_WITH_SOCKS = "pdl-downloader[socks]"
SOCKS = ("socks5", "socks5h", "socks4a")
"""Proxies that connect to anything; that are asked by name, but for the first."""
