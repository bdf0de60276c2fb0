"""Small files stay on the fast path with credentials and cookies, and ask for the right ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdl.auth.credentials import Credentials
from pdl.auth.gather import gather
from pdl.model import AuthSettings, SafePath, Success, Task, User
from pdl.pool.inline import InlineMeter
from pdl.settings import FileSettings, HttpSettings
from quicklane import WARM, QuickLane
from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def directory(server: Server, tmp_path: Path) -> str:
    (tmp_path / ".pdl").mkdir()
    server.on(WARM, File(b"warm"))
    return str(tmp_path)


@pytest.fixture
def lane(directory: str) -> Iterator[QuickLane]:
    made = QuickLane(HttpSettings(timeout=20.0), FileSettings(directory=directory))
    yield made
    made.lane.close()


def setting(cookie: str) -> Reply:
    return Reply(200, (("Set-Cookie", cookie),), b"body")


def get(lane: QuickLane, server: Server, path: str) -> str | None:
    """Fetch a file; the Cookie field of the last request for it."""
    task = Task(1, server.url(path), SafePath(f"{len(server.requests())}.bin"), "1.part")
    answer = lane(task, InlineMeter())
    assert isinstance(answer, Success), answer
    return server.requests(path)[-1].header("Cookie")


GIVEN: dict[str, tuple[AuthSettings, dict[str, object], str]] = {
    "--bearer": (AuthSettings(bearer=(("127.0.0.1", "TOKEN"),)), {}, "Bearer mine"),
    "-u HOST": (AuthSettings(users=(User("127.0.0.1", "me", "p"),)), {}, "Basic bWU6cA=="),
    "-u": (AuthSettings(users=(User("ORIGIN", "me", "p"),)), {}, "Basic bWU6cA=="),
    "netrc": (AuthSettings(netrc_file="netrc"), {}, "Basic bWU6cA=="),
    "-H": (AuthSettings(), {"headers": (("Authorization", "Key mine"),)}, "Key mine"),
    "cookies": (AuthSettings(cookies_file="cookies"), {}, "a=b"),
    "a helper": (AuthSettings(helpers=(("", "./helper"),)), {}, "Key mine"),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_credentials_that_are_taken_are_sent_the_quick_way(
    kind: str, server: Server, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth, more, value = GIVEN[kind]
    monkeypatch.chdir(directory)
    monkeypatch.setenv("TOKEN", "mine")
    Path("netrc").write_text("machine 127.0.0.1 login me password p\n")
    Path("cookies").write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4000000000\ta\tb\n"
    )
    said = '{"headers": {"Authorization": "Key mine"}, "expires": "2099-01-01T00:00:00Z"}'
    Path("helper").write_text(f"#!/bin/sh\necho '{said}'\n")
    Path("helper").chmod(0o700)
    users = tuple(
        user._replace(host=user.host.replace("ORIGIN", server.base)) for user in auth.users
    )
    mine = gather(auth._replace(users=users), pytest.fail)
    http = HttpSettings(timeout=20.0, credentials=mine)._replace(**more)  # type: ignore[arg-type]
    lane = QuickLane(http, FileSettings(directory=directory))
    for number in range(5):
        server.on(f"/{number}.bin", File(b"body"))
        get(lane, server, f"/{number}.bin")
    lane.lane.close()
    assert lane.ways == {"quick": 5}
    field = "Cookie" if kind == "cookies" else "Authorization"
    assert {seen.header(field) for seen in server.requests()} == {value}
    assert server.connections == 1


def test_a_cookie_is_sent_from_the_next_file_on(server: Server, lane: QuickLane) -> None:
    server.on("/a.bin", setting("a=1; Path=/"), setting("a=2; Path=/"), File(b"body"))
    assert [get(lane, server, "/a.bin") for _ in range(4)] == [None, "a=1", "a=2", "a=2"]
    assert lane.ways == {"quick": 4}
    assert server.connections == 1


def test_two_cookies_of_one_answer(server: Server, lane: QuickLane) -> None:
    fields = (
        ("Set-Cookie", "a=1; Path=/"),
        ("Set-Cookie", "b=2; Expires=Sat, 01 Jan 2050 00:00:00 GMT; Path=/"),
    )
    server.on("/a.bin", Reply(200, fields, b"body"), File(b"body"))
    assert [get(lane, server, "/a.bin") for _ in range(2)] == [None, "a=1; b=2"]


def test_cookies_for_some_paths_go_to_these_alone(server: Server, lane: QuickLane) -> None:
    server.on("/dir/a.bin", setting("a=1"), File(b"body"))
    server.on("/b.bin", File(b"body"))
    asked = [get(lane, server, path) for path in ("/dir/a.bin", "/b.bin", "/dir/a.bin")]
    assert asked == [None, None, "a=1"]


def test_a_cookie_is_sent_until_its_end(
    server: Server, lane: QuickLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = (("Set-Cookie", "a=1; Max-Age=60; Path=/"), ("Set-Cookie", "b=2; Path=/"))
    server.on("/a.bin", Reply(200, fields, b"body"), File(b"body"))
    asked = [get(lane, server, "/a.bin") for _ in range(3)]
    later = time.time() + 61
    credentials = lane.lane.http.credentials
    assert isinstance(credentials, Credentials)
    monkeypatch.setattr(credentials._open_jar(), "_clock", lambda: later)
    monkeypatch.setattr(time, "time", lambda: later)
    asked += [get(lane, server, "/a.bin") for _ in range(2)]
    assert asked == [None, "a=1; b=2", "a=1; b=2", "b=2", "b=2"]
    assert lane.ways == {"quick": 5}


def test_an_origin_with_cookies_that_end_is_one_of_several(server: Server, lane: QuickLane) -> None:
    server.on("/a.bin", setting("a=1; Max-Age=60; Path=/"), File(b"body"))
    with Server() as other:
        other.on(WARM, File(b"warm"))
        other.on("/a.bin", File(b"body"))
        asked = [get(lane, each, "/a.bin") for each in (server, other, server, other)]
    assert asked == [None, "a=1", "a=1", "a=1"]  # a cookie is for any port of its host
    assert lane.ways == {"quick": 4}


def test_lanes_share_their_cookies(server: Server, lane: QuickLane, directory: str) -> None:
    other = QuickLane(lane.lane.http, FileSettings(directory=directory))
    server.on("/a.bin", File(b"body"), setting("a=1; Path=/"), File(b"body"))
    asked = [get(each, server, "/a.bin") for each in (lane, other, lane, other)]
    other.lane.close()
    assert asked == [None, None, "a=1", "a=1"]
    assert lane.ways + other.ways == {"quick": 4}


def test_a_cookie_that_comes_with_a_redirect(server: Server, lane: QuickLane) -> None:
    away = Reply(302, (("Set-Cookie", "a=1; Path=/"), ("Location", "/a.bin")), b"")
    server.on("/a.bin", away, File(b"body"))
    assert [get(lane, server, "/a.bin") for _ in range(2)] == ["a=1", "a=1"]
    assert len(server.requests("/a.bin")) == 3
