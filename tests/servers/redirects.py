"""Faults of redirects, and of names that the server chooses."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

from servers.behaviours import Raw, Reply, Then, head
from servers.files import File
from servers.heads import gzip_bomb
from servers.row import (
    BODY,
    ETAG,
    TWICE,
    Fault,
)

if TYPE_CHECKING:
    from servers.wire import Exchange, Script

SECRET = "secret-of-the-server"
"""A password, or a cookie, that must show nowhere else."""
_GOOD = File(BODY, etag=ETAG)
_HOPS = 1_000
_HUGE_MEGABYTES = 300


def _to(location: str, status: int = 302) -> Reply:
    return Reply(status, (("Location", location),), b"over there")


def redirect_to(location: str, status: int = 302) -> Script:
    """A redirect to any place; for tests with a second server."""
    return (_to(location, status),)


def _here(exchange: Exchange, query: str) -> str:
    """The same path, which the script answers next, under a query of its own."""
    return f"{exchange.base}{exchange.seen.path}?{query}"


def redirect_honest() -> Script:
    return (lambda exchange: _to(_here(exchange, "final"))(exchange), _GOOD)


def redirect_relative() -> Script:
    return (_to("?final", 307), _GOOD)


def redirect_loop() -> Script:
    return (lambda exchange: _to(exchange.seen.target)(exchange),)


def redirect_1_000_hops() -> Script:
    def hop(exchange: Exchange) -> None:
        number = int(exchange.seen.target.partition("?hop=")[2] or 0)
        answer = _GOOD if number >= _HOPS else _to(f"?hop={number + 1}")
        answer(exchange)

    return (hop,)


def redirect_huge_body() -> Script:
    """The sender's count (`Server.sent`) tells how much of it was taken."""
    size = ("Content-Length", str(_HUGE_MEGABYTES << 20))
    megabyte = bytes(1 << 20)
    return (
        Then(
            Raw(head(302, (("Location", "?final"), size))),
            Raw(lambda: itertools.repeat(megabyte, _HUGE_MEGABYTES)),
        ),
        _GOOD,
    )


def redirect_bomb_body() -> Script:
    labels = (("Location", "?final"), ("Content-Encoding", "gzip"))
    return (Reply(302, labels, gzip_bomb()), _GOOD)


def redirect_other_origin() -> Script:
    """From the address to ``localhost``: another host, so another origin, on the same server."""

    def away(exchange: Exchange) -> None:
        there = _here(exchange, "final").replace("127.0.0.1", "localhost")
        Reply(302, (("Set-Cookie", f"c={SECRET}; Path=/"), ("Location", there)))(exchange)

    return (away, _GOOD)


def redirect_to_file() -> Script:
    return redirect_to("file:///etc/passwd")


def redirect_to_ftp() -> Script:
    return redirect_to("ftp://127.0.0.1:9/x")


def redirect_to_data() -> Script:
    return redirect_to("data:text/plain,forged")


def redirect_malformed() -> Script:
    return redirect_to("http://[::1/")


def redirect_with_encoded_crlf() -> Script:
    return (_to("?final%0d%0aX-Forged:%20yes%0d%0a%0d%0aGET%20/forged"), _GOOD)


def redirect_with_bare_cr() -> Script:
    return (_to("?final\rX-Forged: yes"), _GOOD)


def redirect_with_userinfo() -> Script:
    def away(exchange: Exchange) -> None:
        _to(_here(exchange, "final").replace("://", f"://user:{SECRET}@"))(exchange)

    return (away, _GOOD)


def named(disposition: str) -> Script:
    """A good file under a name of the server's choice."""
    return (File(BODY, etag=ETAG, headers=(("Content-Disposition", disposition),)),)


HOSTILE_NAMES = {
    "parent": 'attachment; filename="../escaped"',
    "parents": 'attachment; filename="../../../../../../tmp/escaped"',
    "absolute": 'attachment; filename="/tmp/escaped"',
    "dotfile": 'attachment; filename=".bashrc"',
    "backslash": 'attachment; filename="..\\\\..\\\\escaped"',
    "drive": 'attachment; filename="C:\\\\escaped"',
    "encoded": 'attachment; filename="..%2fescaped"',
    "double-encoded": 'attachment; filename="..%252f..%252fescaped"',
    "extended": "attachment; filename*=UTF-8''..%2F..%2Fescaped",
    "extended-nul": "attachment; filename*=UTF-8''escaped%00.txt",
    "control": 'attachment; filename="a\x1b[31mred\x07"',
    "dots": 'attachment; filename=".."',
    "empty": 'attachment; filename=""',
    "long": f'attachment; filename="{"a" * 1_000}.txt"',
    "state": 'attachment; filename=".pdl/lock"',
}
"""Content-Disposition fields that try to choose a path, by what they try."""


def _row(what: str, disposition: str) -> Fault:
    return Fault(functools.partial(named, disposition), label=f"name-{what}")


_REFUSED = ("redirect", "policy", "invalid-url", "protocol")

FAULTS = (
    Fault(redirect_honest, ranges=TWICE),
    Fault(redirect_relative, ranges=TWICE),
    Fault(redirect_loop, ("redirect",), ranges=(None,) * 11),
    Fault(redirect_1_000_hops, ("redirect",), ranges=(None,) * 11),
    Fault(redirect_huge_body, ranges=TWICE, hungry=True),
    Fault(redirect_bomb_body, ranges=TWICE, hungry=True),
    Fault(redirect_other_origin, ranges=TWICE),
    Fault(redirect_to_file, _REFUSED),
    Fault(redirect_to_ftp, _REFUSED),
    Fault(redirect_to_data, _REFUSED),
    Fault(redirect_malformed, _REFUSED),
    Fault(redirect_with_encoded_crlf, ("success", *_REFUSED), ranges=TWICE),
    Fault(redirect_with_bare_cr, ("success", *_REFUSED)),
    Fault(redirect_with_userinfo, ("success", *_REFUSED), ranges=TWICE),
    *(_row(what, disposition) for what, disposition in HOSTILE_NAMES.items()),
)
"""Rows of ``-J`` (``name-...``) are plain downloads without it."""
