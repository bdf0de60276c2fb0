"""Who is sent which credential: each kind, to each place that a file may be asked at, over TLS."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pdl.cli.secret_input import header_fields
from pdl.model import AuthSettings, Item, User
from pdl.run.download import download
from pdl.settings import HttpSettings, PoolSettings, Resolved, RetrySettings, Settings
from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.certs import Authority
    from servers.wire import Seen

HOST, SUB, OTHER, LOOSE = "h.example", "sub.h.example", "o.example", "h.example.o.example"
CANARY = "c4n4ry"
PASSWORD = b64encode(f"me:{CANARY}".encode()).decode()
BODY = b"some bytes"


class Place(NamedTuple):
    """Servers, and the settings with which their names are found."""

    tls: Server
    second: Server
    plain: Server
    http: HttpSettings

    def at(self, host: str, path: str) -> str:
        """A URL on the first server."""
        return self.tls.url(path, host)


@pytest.fixture(scope="module")
def place(authority: Authority) -> Iterator[Place]:
    context = authority.good(HOST, SUB, OTHER, LOOSE)
    with Server(tls=context) as tls, Server(tls=context) as second, Server() as plain:
        found = [
            Resolved(host, server.port, ("127.0.0.1",))
            for host in (HOST, SUB, OTHER, LOOSE)
            for server in (tls, second, plain)
        ]
        http = HttpSettings(timeout=10.0, cacert=str(authority.pem), resolve=tuple(found))
        yield Place(tls, second, plain, http)


class Kind(NamedTuple):
    """A kind of credential.

    Attributes:
        settings: makes those of a run in which `HOST` is to have it.
        item: makes the item of it.
        receivers: who is to have it; see `WAYS`.
    """

    settings: Callable[[Settings, Place, Path], Settings]
    item: Callable[[str], Item]
    receivers: frozenset[str]


LISTED = frozenset({"same origin", "redirect within", "redirect back"})
NAMED = LISTED | {"other port", "redirect there", "redirect to other port"}
"""A name without a port is for any port of the host."""
PORT = LISTED | {"redirect there"}
EACH = LISTED | {"other port", "other scheme", "sub-domain", "longer name", "mirror", "by others"}
"""What ``-H`` says goes to whatever is listed."""
SET = frozenset(
    {
        "same origin",
        "other port",
        "redirect within",
        "redirect back",
        "redirect there",
        "redirect to other port",
    }
)


def plain_item(url: str) -> Item:
    return Item(url, source="-")


def fielded(name: str, value: str) -> Callable[[str], Item]:
    return lambda url: Item(url, headers=((name, value),), source="-")


def with_user(url: str) -> Item:
    return plain_item(url.replace("://", f"://me:{CANARY}@"))


def unchanged(settings: Settings, _place: Place, _home: Path) -> Settings:
    return settings


def header(name: str) -> Callable[[Settings, Place, Path], Settings]:
    return lambda settings, _place, _home: settings._replace(
        http=settings.http._replace(headers=((name, CANARY),))
    )


def auth(**fields: object) -> Callable[[Settings, Place, Path], Settings]:
    return lambda settings, _place, _home: settings._replace(auth=AuthSettings(**fields))  # type: ignore[arg-type]


def with_port(settings: Settings, place: Place, _home: Path) -> Settings:
    user = User(f"{HOST}:{place.tls.port}", "me", CANARY)
    return settings._replace(auth=AuthSettings(users=(user,)))


def netrc(settings: Settings, _place: Place, home: Path) -> Settings:
    (home / "netrc").write_text(f"machine {HOST} login me password {CANARY}\n")
    return settings._replace(auth=AuthSettings(netrc_file=str(home / "netrc")))


def cookies(line: str) -> Callable[[Settings, Place, Path], Settings]:
    def make(settings: Settings, _place: Place, home: Path) -> Settings:
        (home / "cookies").write_text(f"# Netscape HTTP Cookie File\n{line}\n")
        return settings._replace(auth=AuthSettings(cookies_file=str(home / "cookies")))

    return make


def fields_of_a_file(settings: Settings, _place: Place, home: Path) -> Settings:
    (home / "fields").write_text(f"Authorization: {CANARY}\n")
    return settings._replace(
        http=settings.http._replace(headers=header_fields(str(home / "fields")))
    )


def helper(host: str) -> Callable[[Settings, Place, Path], Settings]:
    def make(settings: Settings, _place: Place, home: Path) -> Settings:
        said = json.dumps({"headers": {"Authorization": [CANARY]}})
        (home / "helper").write_text(f"#!/bin/sh\necho '{said}'\n")
        (home / "helper").chmod(0o700)
        return settings._replace(auth=AuthSettings(helpers=((host, str(home / "helper")),)))

    return make


KINDS = {
    "the line's Authorization": Kind(unchanged, fielded("Authorization", CANARY), LISTED),
    "the line's Cookie": Kind(unchanged, fielded("Cookie", f"a={CANARY}"), LISTED),
    "the line's other field": Kind(unchanged, fielded("X-Key", CANARY), LISTED),
    "the URL's user": Kind(unchanged, with_user, LISTED),
    "-H Authorization": Kind(header("Authorization"), plain_item, EACH),
    "-H Cookie": Kind(header("Cookie"), plain_item, EACH),
    "-H @FILE": Kind(fields_of_a_file, plain_item, EACH),
    "-H X-Key": Kind(header("X-Key"), plain_item, EACH),
    "-u": Kind(auth(users=(User("", "me", CANARY),)), plain_item, LISTED),
    "-u HOST": Kind(auth(users=(User(HOST, "me", CANARY),)), plain_item, NAMED),
    "-u HOST:PORT": Kind(with_port, plain_item, PORT),
    "--bearer": Kind(auth(bearer=((HOST, "CANARY"),)), plain_item, NAMED),
    "netrc": Kind(netrc, plain_item, NAMED),
    "--credential-helper": Kind(helper(""), plain_item, EACH),
    "--credential-helper HOST": Kind(helper(HOST), plain_item, NAMED),
    "a cookie of a file": Kind(
        cookies(f"{HOST}\tFALSE\t/\tTRUE\t0\ta\t{CANARY}"), plain_item, NAMED
    ),
    "a cookie for hosts below": Kind(
        cookies(f".{HOST}\tTRUE\t/\tTRUE\t0\ta\t{CANARY}"),
        plain_item,
        NAMED | {"sub-domain", "redirect to sub-domain"},
    ),
    "a cookie that was set": Kind(unchanged, plain_item, NAMED),
}


class Way(NamedTuple):
    """How a place is met.

    Attributes:
        urls: makes the line's URL and its mirrors, and says what each server is to answer; the
            request for ``/target`` is looked at.
        first: the first line of the list is at `HOST`; else at `OTHER`.
    """

    urls: Callable[[Place], tuple[str, ...]]
    first: bool = True


def _to(server: Server, path: str, there: str) -> None:
    server.on(path, Reply(302, (("Location", there),), b""))


def _target(server: Server, host: str) -> str:
    server.on("/target", File(BODY))
    return server.url("/target", host)


def _redirected(place: Place, begin: str, *hops: str) -> tuple[str, ...]:
    """A file at host `begin`, and where its redirects lead, in order."""
    for number, hop in enumerate(hops):
        _to(place.tls, "/file" if not number else f"/hop{number}", hop)
    return (place.at(begin, "/file"),)


WAYS = {
    "same origin": Way(lambda p: (_target(p.tls, HOST),)),
    "other port": Way(lambda p: (_target(p.second, HOST),)),
    "other scheme": Way(lambda p: (_target(p.plain, HOST),)),
    "sub-domain": Way(lambda p: (_target(p.tls, SUB),)),
    "longer name": Way(lambda p: (_target(p.tls, LOOSE),)),
    "by others": Way(lambda p: (_target(p.tls, OTHER),)),
    "mirror": Way(lambda p: (p.at(HOST, "/missing"), _target(p.tls, OTHER))),
    "redirect within": Way(lambda p: _redirected(p, HOST, _target(p.tls, HOST))),
    "redirect away": Way(lambda p: _redirected(p, HOST, _target(p.tls, OTHER))),
    "redirect to sub-domain": Way(lambda p: _redirected(p, HOST, _target(p.tls, SUB))),
    "redirect to other port": Way(lambda p: _redirected(p, HOST, _target(p.second, HOST))),
    "redirect to other scheme": Way(lambda p: _redirected(p, HOST, _target(p.plain, HOST))),
    "redirect there": Way(lambda p: _redirected(p, OTHER, _target(p.tls, HOST))),
    "redirect back": Way(
        lambda p: _redirected(p, HOST, p.at(OTHER, "/hop1"), _target(p.tls, HOST))
    ),
}
OF_THE_LINE = {
    *("the line's Authorization", "the line's Cookie", "the line's other field"),
    "the URL's user",
}


def shown(seen: Seen) -> bool:
    """Whether a request has the credential."""
    said = [value for _, value in seen.headers]
    return any(CANARY in value or PASSWORD in value for value in said)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_is_at_its_own_host_only(
    kind: str, way: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    what = KINDS[kind]
    usual = Settings(http=place.http, pool=PoolSettings(engine="inline"), retry=RetrySettings(0))
    settings = what.settings(usual, place, tmp_path)
    fields = (("Set-Cookie", f"a={CANARY}; Path=/"),) if kind == "a cookie that was set" else ()
    place.tls.on("/first", Reply(200, fields, BODY))
    listed, *mirrors = WAYS[way].urls(place)
    # a line of the host comes before: it tells -u its origin, and sets a cookie
    own = kind not in OF_THE_LINE or listed.startswith(place.at(HOST, ""))
    item = what.item(listed) if own else plain_item(listed)
    first = what.item(place.at(HOST, "/first"))
    before = [len(server.requests("/target")) for server in place[:3]]
    items = [first, item._replace(mirrors=tuple(mirrors), out="target", line=1)]
    report = download(items, str(tmp_path / "out"), jobs=1, settings=settings)
    assert report.ok, report.failures
    (seen,) = [
        each
        for server, count in zip(place[:3], before, strict=True)
        for each in server.requests("/target")[count:]
    ]
    assert shown(seen) == (way in what.receivers)


def test_the_table_has_each_kind_of_receiver() -> None:
    assert all(what.receivers <= set(WAYS) for what in KINDS.values())
