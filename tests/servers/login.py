"""A server of data and one of logins, which play a dance: 302, 401 or Basic, 302 with a cookie."""

from __future__ import annotations

import threading
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from runner import until
from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from typing_extensions import Self

    from servers.wire import Exchange, Script, Seen

DATA, LOGIN = "data.example", "login.example"
USER, PASSWORD = "me", "c4n4ry-5ecret"
BASIC = f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
SESSION = "s3ssion-c4n4ry"


class Dance:
    """Both servers; a context manager.

    Args:
        context: of TLS, for both names.
        body: of every file.

    Attributes:
        crowd: requests for data that must have come before the first login is answered.
    """

    crowd = 0

    def __init__(self, context: ssl.SSLContext, body: bytes) -> None:
        self._body = body
        self._valid: set[str] = set()
        self._lock = threading.Lock()
        self.data = Server(tls=context, fallback=self._data)
        self.login = Server(tls=context, fallback=self._login)

    def __enter__(self) -> Self:
        self.data.__enter__()
        self.login.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.data.close()
        self.login.close()

    def url(self, path: str) -> str:
        """A file's."""
        return self.data.url(path, DATA)

    def resolve(self) -> tuple[str, ...]:
        """Options that say where the hosts are."""
        hosts = ((DATA, self.data), (LOGIN, self.login))
        places = [f"{name}:{server.port}:127.0.0.1" for name, server in hosts]
        return tuple(word for place in places for word in ("--resolve", place))

    def logins(self) -> list[Seen]:
        """The requests of the login server that were let in."""
        return [each for each in self.login.requests() if each.header("Authorization") == BASIC]

    def end_sessions(self) -> None:
        """No cookie of the past is good any more."""
        with self._lock:
            self._valid.clear()

    def _data(self, path: str) -> Script:
        return (self._call_back if path == "/callback" else self._file,)

    def _file(self, exchange: Exchange) -> None:
        cookies = (exchange.seen.header("Cookie") or "").split("; ")
        with self._lock:
            known = not self._valid.isdisjoint(cookies)
        there = f"{self.login.url('/authorize', LOGIN)}?to={quote(exchange.seen.target, safe='')}"
        reply = File(self._body) if known else Reply(302, (("Location", there),), b"log in")
        reply(exchange)

    def _call_back(self, exchange: Exchange) -> None:
        with self._lock:
            session = f"session={SESSION}-{len(self._valid)}"
            self._valid.add(session)
        to = parse_qs(exchange.seen.target.partition("?")[2])["to"][0]
        cookie = ("Set-Cookie", f"{session}; Path=/; Secure; HttpOnly")
        Reply(302, (cookie, ("Location", self.url(to))))(exchange)

    def _login(self, _: str) -> Script:
        return (self._authorize,)

    def _authorize(self, exchange: Exchange) -> None:
        if exchange.seen.header("Authorization") != BASIC:
            asks = ("WWW-Authenticate", 'Basic realm="the login"')
            return Reply(401, (asks,), b"who are you?")(exchange)
        with suppress(TimeoutError):
            until(lambda: len(self.data.requests()) >= self.crowd, "a crowd", 5)
        back = f"{self.url('/callback')}?{exchange.seen.target.partition('?')[2]}"
        mine = ("Set-Cookie", f"login={SESSION}; Path=/")
        return Reply(302, (mine, ("Location", back)))(exchange)
