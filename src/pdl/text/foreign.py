"""URLs of schemes that pdl does not know, and a program of the user's does (``--url-command``)."""

from __future__ import annotations

import re

from pdl.text.lazy_regex import lazy
from pdl.text.urls import DEFAULT_PORTS, MAX_LENGTH, InvalidUrl, Url, parse

_SHAPE = lazy(r"([a-z][a-z0-9+.-]{1,31}):((?://([^/?#]*))?[^#]*)(?:#.*)?", re.IGNORECASE)
_HOST_PORT = lazy(r"(?:localhost|[^:]*\.[^:]*):[0-9]{1,5}(?:/|$)", re.IGNORECASE)
_UNSENDABLE = lazy(r"[\x00-\x20\x7f\ud800-\udfff]")


class ForeignUrl(Url):
    """A URL that can only be told to a program.

    Its scheme is none of `pdl.text.urls.DEFAULT_PORTS`; `host` and `path` serve for names, and
    `fragment` is all that stands behind the scheme, as listed. `port` is 0.
    """

    __slots__ = ()

    @property
    def netloc(self) -> str:
        """The queue that it waits in: that of its scheme, and of its authority if it has one."""
        slashes = self.fragment.startswith("//")
        return f"{self.scheme}://{self.host}" if slashes else f"{self.scheme}:"

    @property
    def target(self) -> str:
        """What stands behind the scheme."""
        return self.fragment

    @property
    def request_url(self) -> str:
        """As listed, without a fragment."""
        return f"{self.scheme}:{self.fragment}"


def parse_foreign(text: str) -> ForeignUrl | None:
    """The URL, if its scheme is one that pdl does not know; else None.

    Raises:
        InvalidUrl: it has a password, which a program would be given where others can see it.
    """
    text = text.strip(" ")
    match = _SHAPE.fullmatch(text)
    if match is None or len(text) > MAX_LENGTH or _UNSENDABLE.search(text):
        return None
    scheme, rest, authority = match[1].lower(), match[2], match[3] or ""
    if scheme in DEFAULT_PORTS or _HOST_PORT.match(text) or not rest.strip("/"):
        return None
    userinfo, _, host = authority.rpartition("@")
    if ":" in userinfo:
        raise InvalidUrl("has a password, which would stand in the arguments of --url-command")
    path = rest.partition("?")[0].removeprefix(f"//{authority}" if match[3] is not None else "")
    path = path if path.strip("/") else host
    named = host.replace(":", "_") or scheme
    return ForeignUrl(scheme, named, 0, f"/{path.removeprefix('/')}", "", userinfo, rest)


def is_foreign(text: str) -> bool:
    """Whether the scheme is one that pdl does not know, whatever may be wrong with the rest."""
    try:
        return parse_foreign(text) is not None
    except InvalidUrl:
        return True


def parse_listed(text: str) -> Url:
    """As `pdl.text.urls.parse`, for lists that may have URLs of any scheme.

    Raises:
        InvalidUrl: it is none.
    """
    try:
        return parse(text)
    except InvalidUrl:
        found = parse_foreign(text)
        if found is None:
            raise
        return found
