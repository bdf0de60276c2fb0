"""A transport that says the heads of what is asked and answered, for ``-vv``; secrets are masked.

Of a request, the values of well-known fields alone are said: any other may be a credential,
whatever its name is. Of an answer, all but those whose names mostly hold a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.masking import is_secret_name, mask, mask_urls
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pdl.transport import Request, Response, Transport

_HARMLESS = {
    *("accept", "accept-encoding", "accept-language", "cache-control", "pragma", "user-agent"),
    *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range"),
    *("want-content-digest", "want-digest", "want-repr-digest"),
}
_URLS = {"referer", "origin", "location", "content-location", "refresh", "link"}
_SECRET = {"set-cookie", "set-cookie2", "authentication-info", "proxy-authentication-info"}
_SCHEMES = {"basic", "bearer", "digest"}
_LEAST = 4
"""Characters of a secret that is looked for in what a server says back."""


def _silent(lines: Sequence[str]) -> None:
    """Nobody listens yet."""


class TellingTransport:
    """`pdl.transport.Transport` that says what goes through it.

    Args:
        transport: makes the requests.

    Attributes:
        say: takes lines.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.say: Callable[[Sequence[str]], None] = _silent
        self.close = transport.close
        self.holds = transport.holds
        self.hang_up = transport.hang_up

    def open(self, request: Request) -> Response:
        """See `pdl.transport.Transport.open`."""
        url = mask(request.url)
        self.say([f"> GET {url}", *(f"> {line}" for line in request_lines(request))])
        try:
            response = self._transport.open(request)
        except TransportError as exc:
            self.say([f"< no answer from {url}: {mask_urls(exc.message)}"])
            raise
        head = f"< {response.status} {response.reason}".rstrip()
        lines = answer_lines(response.fields(), secrets_of(request))
        self.say([f"{head} from {url}", *(f"< {line}" for line in lines)])
        return response


def request_lines(request: Request) -> list[str]:
    """The fields of a request, with the secrets in them masked."""
    return [f"{name}: {_shown(name.lower(), value)}" for name, value in request.headers]


def _shown(name: str, value: str) -> str:
    if name in _HARMLESS:
        return mask_urls(value)
    return mask(value) if name in _URLS else "***"


def secrets_of(request: Request) -> set[str]:
    """What must not be said of a request, nor what a server repeats of it."""
    hidden = [value for name, value in request.headers if _shown(name.lower(), "") == "***"]
    query = request.url.partition("#")[0].partition("?")[2]
    parts = (part for part in query.split("&") if mask(f"?{part}") != f"?{part}")
    words = {word for value in hidden for word in value.replace(";", " ").split()}
    values = {part.partition("=")[2] for part in (*parts, *words)}
    found = {*hidden, *words, *values}
    return {each for each in found if len(each) >= _LEAST and each.lower() not in _SCHEMES}


def answer_lines(fields: Iterable[tuple[str, str]], secrets: set[str]) -> list[str]:
    """The fields of an answer.

    Args:
        fields: of the answer.
        secrets: of its request.
    """
    lines = []
    for name, value in fields:
        said = value
        for secret in sorted(secrets, key=len, reverse=True):
            said = said.replace(secret, "***")
        if name in _SECRET or is_secret_name(name):
            said = "***"
        lines.append(f"{name}: {mask(said) if name in _URLS else mask_urls(said)}")
    return lines
