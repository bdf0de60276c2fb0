"""Which fields a request has, by whom it is asked and who is listed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from pdl.auth.credentials import (
    BEARER,
    NETRC,
    Credentials,
    Named,
    all_said,
    request_fields,
)
from pdl.http_rules.redirects import is_loopback
from pdl.settings import HttpSettings
from pdl.text.urls import parse

HERE = parse("https://h.example/dir/file?q")

# --- what the user gave ---

SECRETS = HttpSettings(
    headers=(("Authorization", "Bearer s3cret"), ("Cookie", "s3cret=1"), ("X-Own", "s3cret")),
    user_agent="agent/1",
)
LISTED = parse("https://me:s3cret@h.example/file")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://other.example/file",
        "https://sub.h.example/file",
        "https://h.example.evil.example/",
        "https://h.example:8443/file",
        "https://h.example:80/file",
        "http://h.example/file",
        "http://h.example:443/file",
        "https://me:s3cret@other.example/",
    ],
)
def test_nothing_of_the_users_leaves_the_listed_origin(elsewhere: str) -> None:
    sent = request_fields(SECRETS, LISTED, parse(elsewhere), (("X-Item", "s3cret"),))
    assert dict(sent) == {"User-Agent": "agent/1", "Accept": "*/*", "Accept-Encoding": "identity"}


@pytest.mark.parametrize("same", ["https://h.example/", "https://H.EXAMPLE:443/other?x"])
def test_the_listed_origin_gets_everything(same: str) -> None:
    sent = request_fields(SECRETS, LISTED, parse(same), (("X-Item", "7"),))
    assert dict(sent) == {
        "User-Agent": "agent/1",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Authorization": "Bearer s3cret",
        "Cookie": "s3cret=1",
        "X-Own": "s3cret",
        "X-Item": "7",
    }


@pytest.mark.parametrize(
    ("userinfo", "value"),
    [
        ("me:pass", "Basic bWU6cGFzcw=="),
        ("me", "Basic bWU6"),
        ("me:", "Basic bWU6"),
        (":pass", "Basic OnBhc3M="),
        ("me:a%3Ab%40", "Basic bWU6YTpiQA=="),
        ("m%C3%A9:p", "Basic bcOpOnA="),
        ("me:%0d%0a", "Basic bWU6DQo="),
    ],
)
def test_user_and_password_of_the_url(userinfo: str, value: str) -> None:
    url = parse(f"http://{userinfo}@h.example/")
    assert dict(request_fields(HttpSettings(), url, url, ()))["Authorization"] == value


def test_the_redirects_own_userinfo_is_not_used() -> None:
    url = parse("http://h.example/")
    again = parse("http://evil:pass@h.example/2")
    assert "Authorization" not in dict(request_fields(HttpSettings(), url, again, ()))


def test_the_item_overrules_the_run_and_both_the_defaults() -> None:
    run = HttpSettings(headers=(("user-agent", "run"), ("X-A", "run"), ("ACCEPT", "text/html")))
    sent = request_fields(run, HERE, HERE, (("x-a", "item"),))
    assert {name.lower(): value for name, value in sent} == {
        "user-agent": "run",
        "accept": "text/html",
        "accept-encoding": "identity",
        "x-a": "item",
    }
    assert len(sent) == 4


def test_fields_go_out_as_utf8() -> None:
    fields = (("X-Good", "yes; no\tand \u00e9 \u4e2d"), ("X-Empty", ""))
    written = [(name, value.encode().decode("latin-1")) for name, value in fields]
    assert set(written) <= set(request_fields(HttpSettings(), HERE, HERE, fields))


# --- what names its receiver ---

NAMED = Credentials({"h.example": [Named(8443, "port", NETRC), Named(None, "any", BEARER)]})
SELF = Credentials({host: [Named(None, "mine", BEARER)] for host in ("localhost", "127.0.0.1")})


def authorization(credentials: Credentials, listed: str, current: str) -> str | None:
    http = HttpSettings(credentials=credentials)
    return dict(request_fields(http, parse(listed), parse(current), ())).get("Authorization")


@pytest.mark.parametrize(
    ("listed", "current", "value"),
    [
        ("https://h.example/a", "https://h.example/a", "any"),
        ("https://other.example/a", "https://h.example/b", "any"),
        ("https://h.example/a", "https://h.example:8443/b", "port"),
        ("http://other.example/a", "https://h.example/b", "any"),
        ("https://h.example/a", "https://sub.h.example/a", None),
        ("https://h.example/a", "https://h.example.evil.example/a", None),
        ("https://h.example/a", "https://example/a", None),
        ("http://h.example/a", "http://h.example/a", None),
        ("https://h.example/a", "http://h.example/a", None),
        ("https://h.example/a", "http://h.example:443/a", None),
    ],
)
def test_a_host_gets_what_is_for_it_wherever_it_is_met(
    listed: str, current: str, value: str | None
) -> None:
    assert authorization(NAMED, listed, current) == value


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_to_this_machine_it_goes_in_the_clear_unless_it_came_from_tls(host: str) -> None:
    assert authorization(SELF, f"http://{host}/a", f"http://{host}:8000/a") == "mine"
    assert authorization(SELF, "http://h.example/a", f"http://{host}/a") == "mine"
    assert authorization(SELF, f"https://{host}/a", f"http://{host}/a") is None


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("127.0.0.1.example", False),
        ("127.example.org.net", False),
        ("localhost.example", False),
        ("128.0.0.1", False),
        ("::2", False),
    ],
)
def test_what_this_machine_is(host: str, is_it: bool) -> None:
    assert is_loopback(host) == is_it


def test_a_user_without_a_host_is_for_one_listed_origin_alone() -> None:
    bound = Credentials(bound={("http", "h.example", 80): "mine"})
    assert authorization(bound, "http://h.example/a", "http://h.example/b") == "mine"
    for listed, current in (
        ("http://other.example/", "http://h.example/"),
        ("http://h.example/", "http://other.example/"),
        ("https://h.example/", "https://h.example/"),
        ("http://h.example:81/", "http://h.example:81/"),
    ):
        assert authorization(bound, listed, current) is None


def test_the_precedence() -> None:
    """Item, run, URL, user, token, netrc: what is left when the first is taken away, and so on."""
    url = parse("https://u:p@h.example/")
    field = "Authorization"
    named = [Named(None, "bearer", BEARER), Named(None, "netrc", NETRC)]
    ways: tuple[Any, ...] = (
        (((field, "item"),), ((field, "run"),), url, {url.origin: "user"}, named),
        ((), ((field, "run"),), url, {url.origin: "user"}, named),
        ((), (), url, {url.origin: "user"}, named),
        ((), (), HERE, {HERE.origin: "user"}, named),
        ((), (), HERE, {}, named),
        ((), (), HERE, {}, named[1:]),
        ((), (), HERE, {}, []),
    )
    sent = []
    for extra, headers, listed, bound, entries in ways:
        http = HttpSettings(headers=headers, credentials=Credentials({"h.example": entries}, bound))
        sent.append(dict(request_fields(http, listed, listed, extra)).get(field))
    assert sent == ["item", "run", "Basic dTpw", "user", "bearer", "netrc", None]


def test_each_field_tells_where_it_is_from() -> None:
    http = HttpSettings(headers=(("Cookie", "a=b"),), credentials=NAMED)
    said = {each.name: each.source for each in all_said(http, HERE, HERE, (("X-A", "b"),))}
    assert said["Cookie"] == "--header"
    assert said["X-A"] == "the line's own fields"
    assert said["Authorization"] == "--bearer"
    assert said["User-Agent"] == ""


def test_credentials_travel_to_workers() -> None:
    again = pickle.loads(pickle.dumps(NAMED))
    assert authorization(again, "https://h.example/", "https://h.example/") == "any"
