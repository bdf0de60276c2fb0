"""What the requests of one worker say of the user, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from pdl.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pdl.model import Headers
    from pdl.settings import HttpSettings
    from pdl.text.urls import Url

USER, BEARER, NETRC = "--user", "--bearer", "the netrc file"
"""Where credentials are from, as people are told."""
_LINE, _RUN, _URL = "the line's own fields", "--header", "the user in the URL"


class Said(NamedTuple):
    """A field of a request.

    Attributes:
        source: where it is from; empty for what every request has.
    """

    name: str
    value: str
    source: str = ""


class Named(NamedTuple):
    """An Authorization for one host.

    Attributes:
        port: that it is for alone; None for any.
        value: of the field.
        source: where it is from.
    """

    port: int | None
    value: str
    source: str


class Credentials:
    """What a run is told of its user. A worker's lanes share one.

    Args:
        named: for each host what it may be sent, the first that its port allows.
        bound: for each origin, as `pdl.text.urls.Url.origin`, the Authorization that goes there
            alone, if it is listed.
    """

    def __init__(
        self,
        named: Mapping[str, Sequence[Named]] | None = None,
        bound: Mapping[tuple[str, str, int], str] | None = None,
    ) -> None:
        self._named = dict(named or {})
        self._bound = dict(bound or {})

    @property
    def personal(self) -> bool:
        """Whether answers may be for this user alone."""
        return bool(self._named or self._bound)

    def said(self, listed: Url, current: Url) -> Iterator[Said]:
        """What is sent to `current` when `listed` is what the list says; the last counts."""
        if self._named and (named := self.named(current)) and may_be_told(listed, current):
            yield Said("Authorization", named.value, named.source)
        if self._bound and current.origin == listed.origin and listed.origin in self._bound:
            yield Said("Authorization", self._bound[listed.origin], USER)

    def named(self, url: Url) -> Named | None:
        """What is for the URL's host."""
        found = self._named.get(url.host, ())
        return next((each for each in found if each.port in {None, url.port}), None)


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


def all_said(http: HttpSettings, listed: Url, current: Url, extra: Headers) -> list[Said]:
    """Every field of a request, as `request_fields`, with where it is from."""
    said = {
        "user-agent": Said("User-Agent", _sendable(http.user_agent)),
        "accept": Said("Accept", "*/*"),
        "accept-encoding": Said("Accept-Encoding", "identity"),
    }
    if isinstance(http.credentials, Credentials):
        for each in http.credentials.said(listed, current):
            said[each.name.lower()] = each
    if current.origin == listed.origin:
        if listed.userinfo:
            said["authorization"] = Said("Authorization", _basic_of_url(listed.userinfo), _URL)
        for fields, source in ((http.headers, _RUN), (extra, _LINE)):
            for name, value in fields:
                said[name.lower()] = Said(name, _sendable(value), source)
    return list(said.values())


def request_fields(http: HttpSettings, listed: Url, current: Url, extra: Headers) -> Headers:
    """What is sent to `current` when `listed` is what the list says.

    Every field the user gave, and the URL's own user and password, go to the listed origin alone.
    An origin is scheme, host and port (RFC 6454), so a downgrade to http is another one. Of several
    for one field the first of these counts: the item's, the run's, the URL's user, `credentials`.

    Args:
        http: the run's settings; `headers` are the user's.
        listed: where the user's fields belong.
        current: where this request goes.
        extra: the item's own fields.
    """
    return tuple((each.name, each.value) for each in all_said(http, listed, current, extra))


def basic(user: bytes, password: bytes) -> str:
    """The Authorization value for a user (RFC 7617)."""
    from base64 import b64encode  # for this alone

    return f"Basic {b64encode(user + b':' + password).decode('ascii')}"


def _basic_of_url(userinfo: str) -> str:
    user, _, password = userinfo.partition(":")
    return basic(unquote_to_bytes(user), unquote_to_bytes(password))


def _sendable(value: str) -> str:
    """The value as UTF-8, in the form in which the transports write it: a character an octet."""
    return value if value.isascii() else value.encode("utf-8").decode("latin-1")
