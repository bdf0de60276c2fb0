"""Credentials from settings, variables and netrc files, and the faults of each."""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from pdl.auth.gather import gather
from pdl.auth.origins import bound, watch_of
from pdl.errors import UsageError
from pdl.model import AuthSettings, BadLine, Item, User
from pdl.settings import HttpSettings, Settings, check
from pdl.text.rules import Receiver, receiver_of
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdl.auth.credentials import Credentials

SECRET = "hunter2"


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


def sent(credentials: Credentials, url: str) -> str | None:
    asked = parse(url)
    values = [said.value for said in credentials.said(asked, asked)]
    return values[-1] if values else None


def fail_on(text: str) -> None:
    raise AssertionError(text)


# --- receivers ---


@pytest.mark.parametrize(
    ("text", "receiver"),
    [
        ("example.org", Receiver("example.org")),
        ("EXAMPLE.org:8443", Receiver("example.org", 8443)),
        ("[2001:DB8::1]", Receiver("2001:db8::1")),
        ("[::1]:80", Receiver("::1", 80)),
        ("b\u00fccher.example", Receiver("xn--bcher-kva.example")),
    ],
)
def test_a_receiver_is_a_host_as_urls_have_it(text: str, receiver: Receiver) -> None:
    assert receiver_of(text) == receiver


@pytest.mark.parametrize(
    "text", ["", "a b", "https://h", "h/x", "u@h", "h:99999", "h:0", "[::1", "a..b", "*.h"]
)
def test_what_is_no_receiver(text: str) -> None:
    with pytest.raises(UsageError, match=r"auth.bearer: .* is no host such as"):
        check(Settings(auth=AuthSettings(bearer=((text, "HOME"),))))


# --- tokens ---


def test_a_token_is_that_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", f" {SECRET}\n")
    settings = AuthSettings(bearer=(("H.example", "TOKEN"),))
    check(Settings(auth=settings))
    found = gather(settings, fail_on)
    assert sent(found, "https://h.example/") == f"Bearer {SECRET}"
    assert sent(found, "https://other.example/") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the variable TOKEN, which is to hold the token for h, is not set"),
        (" ", "the variable TOKEN, which is to hold the token for h, is not set"),
        (f"{SECRET}\nX: y", "the variable TOKEN holds no token"),
        (f"{SECRET}\u00e9", "the variable TOKEN holds no token"),
    ],
)
def test_a_token_that_is_none(
    value: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("TOKEN", value)
    with pytest.raises(UsageError, match=f"--bearer: {message}") as caught:
        gather(AuthSettings(bearer=(("h", "TOKEN"),)), fail_on)
    assert SECRET not in str(caught.value)


def test_a_token_in_place_of_a_variable_is_not_shown() -> None:
    with pytest.raises(UsageError, match="not a token") as caught:
        check(Settings(auth=AuthSettings(bearer=(("h", f"{SECRET}.abc"),))))
    assert SECRET not in str(caught.value)


# --- users ---


def test_users_by_host_and_by_origin() -> None:
    users = (User("h.example:8443", "a", "b"), User("h.example", "c", "d"))
    found = gather(AuthSettings(users=(*users, User("http://l.example", "m\u00e9", ""))), fail_on)
    assert sent(found, "https://h.example:8443/") == basic("a:b")
    assert sent(found, "https://h.example/") == basic("c:d")
    assert sent(found, "http://l.example/") == basic("m\u00e9:")
    assert sent(found, "https://l.example/") is None


def test_what_names_a_port_counts_more_whatever_came_first() -> None:
    users = (User("h.example", "c", "d"), User("h.example:8443", "a", "b"))
    found = gather(AuthSettings(users=users), fail_on)
    assert sent(found, "https://h.example:8443/") == basic("a:b")


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ((User("", "a", ""), User("", "b", "")), "two users have no host"),
        ((User("h", "a:b", SECRET),), "the name of a user has a colon"),
        ((User("h", "a", f"{SECRET}\n"),), "a control character"),
        ((User("h/x", "a", SECRET),), "is no host"),
    ],
)
def test_users_that_are_none(users: tuple[User, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check(Settings(auth=AuthSettings(users=users)))
    assert SECRET not in str(caught.value)


def test_a_password_that_is_missing() -> None:
    with pytest.raises(UsageError, match="the password of me is missing"):
        gather(AuthSettings(users=(User("h", "me"),)), fail_on)


# --- netrc ---


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AuthSettings]:
    def write(text: str) -> AuthSettings:
        path = tmp_path / "own netrc"
        path.write_text(text)
        return AuthSettings(netrc_file=str(path))

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    return write


def test_entries_are_for_their_host_alone(netrc: Callable[[str], AuthSettings]) -> None:
    more = "password z" if sys.version_info < (3, 11) else ""  # which wants one in each entry
    found = gather(
        netrc(
            f"machine H.example login me password {SECRET}\nmachine b login x account y {more}\n"
        ),
        fail_on,
    )
    assert sent(found, "https://h.example/") == basic(f"me:{SECRET}")
    assert sent(found, "https://b/") == basic("x:z" if more else "x:")
    assert sent(found, "https://c.h.example/") is None


def test_the_default_entry_is_ignored_and_that_is_told(
    netrc: Callable[[str], AuthSettings],
) -> None:
    told: list[str] = []
    settings = netrc(f"machine a login b password c\ndefault login d password {SECRET}")
    found = gather(settings, told.append)
    assert sent(found, "https://a/") == basic("b:c")
    assert sent(found, "https://h.example/") is None
    (warning,) = told
    assert "its default entry is ignored" in warning
    assert SECRET not in warning


def test_which_file_it_is(
    netrc: Callable[[str], AuthSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine h login home password p")
    (tmp_path / "other").write_text("machine h login other password p")
    assert sent(gather(AuthSettings(netrc=True), fail_on), "https://h/") == basic("home:p")
    monkeypatch.setenv("NETRC", str(tmp_path / "other"))
    assert sent(gather(AuthSettings(netrc=True), fail_on), "https://h/") == basic("other:p")
    both = netrc("machine h login given password p")._replace(netrc=True)
    assert sent(gather(both, fail_on), "https://h/") == basic("given:p")
    assert sent(gather(AuthSettings(), fail_on), "https://h/") is None


@pytest.mark.parametrize(
    "text",
    [
        f"machine h login me password {SECRET}\n{SECRET}\n",
        f"machine h login me passwort {SECRET}\n",
        f"{SECRET}",
    ],
)
def test_a_broken_file_is_refused_and_nothing_of_it_shown(
    text: str, netrc: Callable[[str], AuthSettings]
) -> None:
    with pytest.raises(UsageError, match=r"own netrc:\d+: this is no entry") as caught:
        gather(netrc(text), fail_on)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            f'machine h login "me password {SECRET}\n',
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="no entry there"),
        ),
        f'machine h login me password "{SECRET}\nmachine i login me password x\n"',
        f"machine h login me password {SECRET}\0",
    ],
)
def test_a_quote_that_is_not_closed_gives_nobody_a_password(
    text: str, netrc: Callable[[str], AuthSettings]
) -> None:
    with pytest.raises(
        UsageError, match=r"own netrc: .* of h has a control|own netrc:\d+: "
    ) as caught:
        gather(netrc(text), fail_on)
    assert SECRET not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(UsageError, match="does not exist"):
        check(Settings(auth=AuthSettings(netrc_file=str(missing))))
    with pytest.raises(UsageError, match=re.escape(str(missing))):
        gather(AuthSettings(netrc_file=str(missing)), fail_on)
    missing.write_bytes(b"machine \xff")
    with pytest.raises(UsageError, match="is not UTF-8"):
        gather(AuthSettings(netrc_file=str(missing)), fail_on)


# --- one origin or several ---

A, B = Item("https://me@a.example:443/1"), Item("https://b.example/1")
BAD = BadLine("l", 1, "x", "no")


def test_a_user_without_a_host_gets_that_of_the_first_line() -> None:
    settings = AuthSettings(users=(User("", "me", "p"), User("h", "other", "p")))
    assert bound(settings, [BAD, A, B]).users == (
        User("https://a.example", "me", "p"),
        User("h", "other", "p"),
    )
    assert bound(settings, [BAD]).users == (User("h", "other", "p"),)


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Api-Key", "PRIVATE-TOKEN"])
def test_a_field_for_several_origins_is_told_once(name: str) -> None:
    told: list[str] = []
    http = HttpSettings(headers=(("Accept", "x"), (name, SECRET)))
    watch = watch_of(Settings(http=http), told.append)
    assert watch is not None
    watch([BAD, A, A._replace(url="https://a.example/2")])
    assert told == []
    watch([A._replace(mirrors=("https://b.example/m",)), B])
    watch([B._replace(url="https://c.example/")])
    (warning,) = told
    assert f"the header {name} goes to https://a.example and to https://b.example" in warning
    assert SECRET not in warning


def test_other_fields_surprise_nobody() -> None:
    http = HttpSettings(headers=(("Accept", "x"), ("Referer", "y")))
    assert watch_of(Settings(http=http), fail_on) is None
    assert watch_of(Settings(auth=AuthSettings(users=(User("h", "a", "b"),))), fail_on) is None


def test_a_user_that_others_do_not_get_is_told_once() -> None:
    told: list[str] = []
    settings = bound(AuthSettings(users=(User("", "me", SECRET),)), [A])
    watch = watch_of(Settings(auth=settings), told.append)
    assert watch is not None
    watch([A, B, B])
    (warning,) = told
    assert "write -u b.example=USER" in warning
    assert SECRET not in warning
