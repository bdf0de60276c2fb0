"""A server that asks for Digest, and works each answer out by itself (RFC 7616 section 3.4)."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servers.behaviours import Reply

if TYPE_CHECKING:
    from servers.wire import Behaviour, Exchange

_PAIR = re.compile(r'([a-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


@dataclass
class Digest:
    """Guards a behaviour.

    Attributes:
        behind: what is guarded.
        user, password: who gets it.
        algorithm: of the answers; empty for MD5, unsaid.
        qop: as it is asked for; empty for the form of RFC 2069.
        before: challenges that are named before its own.
        lives: answers that a nonce is good for; then it is stale.
        strict: a count that has been used is refused.

    Attributes:
        seen: for each request the count that it had, and None where it had no right answer.
    """

    behind: Behaviour
    user: str = "me"
    password: str = "c4n4ry-5ecret"
    realm: str = 'the "best" files'
    algorithm: str = ""
    qop: str = "auth"
    before: str = ""
    lives: int = 1000
    seen: list[int | None] = field(default_factory=list)
    _nonce: int = 0
    _spent: bool = False
    _counts: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            right, stale = self._judge(exchange)
            challenge = "" if right else self._challenge(stale=stale)
        if right:
            self.behind(exchange)
        else:
            Reply(401, (("WWW-Authenticate", challenge),), b"")(exchange)

    def _judge(self, exchange: Exchange) -> tuple[bool, bool]:
        said = exchange.seen.header("Authorization") or ""
        scheme, _, rest = said.partition(" ")
        if scheme != "Digest":
            self.seen.append(None)
            return False, False
        got = {
            name: re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
            for name, quoted, bare in _PAIR.findall(rest)
        }
        count = int(got.get("nc", "0"), 16)
        right = self._response(got, exchange) == got["response"]
        current = got["nonce"] == f"nonce-{self._nonce}"
        self._spent = current and count > self.lives
        fresh = current and not self._spent
        new = not self.qop or count not in self._counts
        good = right and fresh and new
        if good:
            self._counts.add(count)
        self.seen.append(count if good else None)
        return good, right and not fresh

    def _response(self, got: dict[str, str], exchange: Exchange) -> str:
        assert (got["username"], got["realm"]) == (self.user, self.realm), got
        assert got["uri"] == exchange.seen.target, got
        assert got.get("opaque") == "op=aque"
        hashed = _HASHES[self.algorithm or "MD5"]

        def digest(*parts: str) -> str:
            return hashed(":".join(parts).encode()).hexdigest()

        first = digest(self.user, self.realm, self.password)
        second = digest(exchange.seen.method, got["uri"])
        if not self.qop:
            return digest(first, got["nonce"], second)
        assert got["qop"] == "auth"
        return digest(first, got["nonce"], got["nc"], got["cnonce"], "auth", second)

    def _challenge(self, *, stale: bool) -> str:
        if not self._nonce or self._spent:
            self._nonce += 1
            self._spent = False
            self._counts.clear()
        realm = self.realm.replace('"', '\\"')
        said = [f'realm="{realm}"', f'nonce="nonce-{self._nonce}"', 'opaque="op=aque"']
        said += [f"algorithm={self.algorithm}"] if self.algorithm else []
        said += [f'qop="{self.qop}"'] if self.qop else []
        said += ["stale=true"] if stale else []
        return f"{self.before}Digest {', '.join(said)}"
