"""A lane that says the heads of what is asked and answered, for ``-vv``; secrets are masked.

It has no fast path: what is asked there, and what comes, is never put into fields.

Of a request, the values of well-known fields alone are said: any other may be a credential,
whatever its name is. Of an answer, all but those whose names mostly hold a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from pdl.auth.credentials import secrets_in
from pdl.text.masking import is_secret_name, mask, mask_urls
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pdl.fetch.blocking import Fetcher
    from pdl.model import Answer, Task
    from pdl.pool import Meter
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


class TellingLane:
    """`pdl.pool.Lane` that says the heads.

    Args:
        lane: makes the attempts.
    """

    def __init__(self, lane: Fetcher) -> None:
        lane.transport = self._transport = TellingTransport(lane.transport)
        self._lane = lane
        self.connections = lane.connections
        self.close = lane.close

    def __call__(self, task: Task, meter: Meter) -> Answer:
        """Make one attempt."""
        self._transport.say = meter.say
        return self._lane(task, meter)


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
        secrets = secrets_of(request)
        reason = mask_urls(without(secrets, response.reason))
        head = f"< {response.status} {reason}".rstrip()
        lines = answer_lines(response.fields(), secrets)
        self.say([f"{head} from {url}", *(f"< {line}" for line in lines)])
        return response


def request_lines(request: Request) -> list[str]:
    """The fields of a request, with the secrets in them masked."""
    return [f"{name}: {_shown(name.lower(), value)}" for name, value in request.headers]


def _shown(name: str, value: str) -> str:
    if name in _HARMLESS:
        return mask_urls(value)
    return mask(value) if name in _URLS else "***"


def secrets_of(request: Request) -> list[str]:
    """What must not be said of a request, nor what a server repeats of it; the longest first."""
    hidden = tuple(pair for pair in request.headers if _shown(pair[0].lower(), "") == "***")
    query = request.url.partition("#")[0].partition("?")[2]
    values = {part.partition("=")[2] for part in query.split("&") if mask(f"?{part}") != f"?{part}"}
    found = secrets_in(hidden) | values | set(map(unquote_plus, values))
    secrets = (each for each in found if len(each) >= _LEAST and each.lower() not in _SCHEMES)
    return sorted(secrets, key=len, reverse=True)


def answer_lines(fields: Iterable[tuple[str, str]], secrets: Sequence[str]) -> list[str]:
    """The fields of an answer.

    Args:
        fields: of the answer.
        secrets: of its request.
    """
    lines = []
    for name, value in fields:
        said = "***" if _is_secret(name) else without(secrets, value)
        lines.append(f"{name}: {mask(said) if name in _URLS else mask_urls(said)}")
    return lines


def _is_secret(name: str) -> bool:
    return name in _SECRET or is_secret_name(name)


def without(secrets: Sequence[str], text: str) -> str:
    """The text, with `***` for each of the secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
