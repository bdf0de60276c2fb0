"""Digest authentication (RFC 7616): the answers to servers that ask for it, by requests' own class.

A server's challenge is kept for its origin and user in each worker, so that later requests answer
it at once, each with its own count. Whose nonce has run out sends another, and is asked again.
"""

from __future__ import annotations

import threading
from base64 import b64decode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pdl.http_rules.challenges import challenges
from pdl.text.rules import header_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.text.urls import Url

_KEPT = 256
"""Challenges that a worker keeps."""

Key = tuple[tuple[str, str, int], str]
"""An origin, and the Authorization value (Basic) of a user."""


class Digests:
    """The challenges of one worker, whose lanes may all answer at once."""

    def __init__(self) -> None:
        self._kept: dict[Key, _Answers] = {}

    def learn(self, url: Url, basic: str, challenge: str) -> bool:
        """Take a challenge; whether it can be answered.

        Args:
            url: that was refused.
            basic: the Authorization value of the user.
            challenge: a WWW-Authenticate field. Of several for Digest the first counts that can be
                answered (RFC 7616 section 3.7).
        """
        user = _user_of(basic)
        if user is None:
            return False
        kept = self._kept.get((url.origin, basic))
        for asked in _asked(challenge):
            if kept is not None and kept.nonce == asked["nonce"]:
                return True  # another lane has learnt it, and the count goes on
            answers = _Answers(*user, asked)
            if answers.field(url) is not None:
                while len(self._kept) >= _KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[url.origin, basic] = _Answers(*user, asked)
                return True
        return False

    def forget(self, url: Url, basic: str) -> None:
        """The user is refused there."""
        self._kept.pop((url.origin, basic), None)

    def field(self, url: Url, value: str) -> str:
        """The Authorization value for a GET; `value` where nobody has asked for Digest."""
        answers = self._kept.get((url.origin, value))
        return (answers and answers.field(url)) or value

    def know(self, host: str) -> bool:
        """Whether there is a challenge of the host."""
        return any(origin[1] == host for origin, _ in tuple(self._kept))


class _Answers:
    """Those to one challenge; requests by itself would count for each thread."""

    def __init__(self, user: str, password: str, asked: dict[str, Any]) -> None:
        from requests.auth import HTTPDigestAuth  # as heavy as it is, few servers ask for it

        self._auth: Any = HTTPDigestAuth(user, password)
        self._user = user
        self._realm = asked["realm"]
        self.nonce = asked["nonce"]
        self._lock = threading.Lock()
        vars(self._auth)["_thread_local"] = SimpleNamespace()  # one state for all lanes
        self._auth.init_per_thread_state()
        vars(self._auth)["_thread_local"].chal = asked

    def field(self, url: Url) -> str | None:
        """The Authorization value for a GET; None if the challenge cannot be answered."""
        with self._lock:
            # of a scheme that urlparse knows it would cut the parameters of the last segment
            value: str | None = self._auth.build_digest_header(
                "GET", f"x://{url.netloc}{url.target}"
            )
        if value is None:
            return None
        for name in (self._user, self._realm):
            escaped = name.replace("\\", "\\\\").replace('"', '\\"')
            value = value.replace(f'"{name}"', f'"{escaped}"', 1)
        return None if header_fault("Authorization", value) else _sendable(value)


def _asked(challenge: str) -> list[dict[str, Any]]:
    """The parameters of each challenge for Digest."""
    from requests.utils import parse_dict_header  # as above

    found = []
    for scheme, text in challenges(challenge):
        parse: Callable[[str], dict[str, Any]] = parse_dict_header
        asked = parse(text) if scheme.lower() == "digest" else {}
        if asked.get("nonce") and asked.get("realm") is not None:
            if asked.get("qop"):
                asked["qop"] = ",".join(each.strip().lower() for each in asked["qop"].split(","))
            found.append({key.lower(): value for key, value in asked.items()})
    return found


def is_stale(challenge: str) -> bool:
    """Whether only the nonce was too old (RFC 7616 section 3.3)."""
    return any(str(asked.get("stale")).lower() == "true" for asked in _asked(challenge))


def _user_of(basic: str) -> tuple[str, str] | None:
    try:
        user, _, password = b64decode(basic.partition(" ")[2]).decode().partition(":")
    except ValueError:
        return None
    return user, password


def _sendable(value: str) -> str:
    return value if value.isascii() else value.encode().decode("latin-1")
