"""What is said of a 401 or 403: what was sent, why nothing was, what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdl.auth.cookies import Cookie
from pdl.auth.credentials import BEARER, NETRC, Credentials, Named, secrets_in
from pdl.auth.refusals import Asked, netrc_hosts
from pdl.http_rules.challenges import realm, schemes
from pdl.settings import HttpSettings
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdl.model import Headers

HERE, THERE = "https://h.example/a", "https://o.example:8443/b"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose netrc file has one host, and no NETRC."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    (tmp_path / ".netrc").write_text("machine Entry.example login me password hunter2\n")
    netrc_hosts.cache_clear()
    yield tmp_path
    netrc_hosts.cache_clear()


def told(
    credentials: Credentials | None = None,
    url: str = HERE,
    listed: str | None = None,
    headers: Headers = (),
    status: int = 401,
    challenge: str | None = None,
) -> str:
    http = HttpSettings(headers=headers, credentials=credentials)
    asked = Asked(http, parse(listed or url), parse(url), ())
    text = asked.explained(status, challenge)
    assert "hunter2" not in text
    return text


NAMED = Credentials(
    {"h.example": [Named(None, "Bearer hunter2", BEARER)], "l": [Named(None, "x", NETRC)]}
)


def test_what_was_sent_and_from_where() -> None:
    refused = "the credentials that were sent are refused: "
    assert told(NAMED) == f"{refused}Authorization from --bearer"
    fields = (("X-Api-Key", "hunter2"), ("Accept", "x/y"))
    assert told(headers=fields) == f"{refused}X-Api-Key from --header"
    assert told(NAMED, headers=fields, status=403) == (
        "credentials were sent: Authorization from --bearer, X-Api-Key from --header"
    )
    given = Credentials(cookies=[("h.example", Cookie("a", "hunter2"))])
    assert told(given) == f"{refused}Cookie from cookies"


def test_a_cookie_that_the_server_has_set_is_no_credential() -> None:
    credentials = Credentials()
    credentials.heard(parse(HERE), parse(HERE), "a=b")
    assert told(credentials, status=403) == "no credentials were sent"


def test_what_would_help() -> None:
    none = "no credentials were sent; "
    assert told() == f"{none}-u h.example=USER, --bearer h.example=VARIABLE or --netrc give some"
    assert told(status=403) == "no credentials were sent"


def test_an_entry_that_nobody_has_asked_for(home: Path) -> None:
    said = f"{home}/.netrc has an entry for entry.example, which --netrc uses"
    assert told(url="https://entry.example/") == f"no credentials were sent; {said}"


@pytest.mark.parametrize("text", [None, "nonsense hunter2", "default login a password b"])
def test_a_netrc_file_that_is_none(text: str | None, home: Path) -> None:
    (home / ".netrc").unlink()
    if text is not None:
        (home / ".netrc").write_text(text)
    assert told(url="https://entry.example/", status=403) == "no credentials were sent"


def test_a_netrc_file_without_an_entry() -> None:
    credentials = Credentials(netrc="/x/netrc")
    assert told(credentials) == "no credentials were sent; /x/netrc has no entry for h.example"


def test_what_goes_over_https_alone() -> None:
    assert told(NAMED, url="http://h.example/") == (
        "no credentials were sent; those of --bearer for h.example go over https alone"
    )


def test_what_does_not_go_where_a_redirect_has_led() -> None:
    text = told(headers=(("Authorization", "hunter2"),), listed=HERE, url=THERE, status=403)
    assert text == "no credentials were sent; those for h.example do not go to o.example:8443"


# --- what is asked for ---


@pytest.mark.parametrize(
    ("challenge", "names", "where"),
    [
        ("Basic", ["Basic"], ""),
        ('Basic realm="a b"', ["Basic"], "a b"),
        ('Basic realm="a, Digest", charset="UTF-8"', ["Basic"], "a, Digest"),
        ('Digest realm=x, nonce="n", qop="auth", Basic realm="y"', ["Digest", "Basic"], "x"),
        ("Negotiate, NTLM", ["Negotiate", "NTLM"], ""),
        ("Negotiate YII=, Basic", ["Negotiate", "Basic"], ""),
        ('Bearer error="invalid_token"', ["Bearer"], ""),
        ('realm="x"', [], "x"),
        ("", [], ""),
        (",,", [], ""),
    ],
)
def test_schemes_and_realms(challenge: str, names: list[str], where: str) -> None:
    assert (schemes(challenge), realm(challenge)) == (names, where)


def test_a_challenge_is_read_in_linear_time() -> None:
    for text in ('"' * 60_000, "a=" * 60_000, "a b" * 60_000, "realm" * 60_000, "\\" * 60_000):
        assert len(schemes(text)) <= 1
        assert realm(text) == ""


def test_what_is_asked_for_is_told() -> None:
    assert told(status=403, challenge='Basic realm="the\x1b[31m archive"') == (
        "no credentials were sent; it asks for Basic for 'the\\\\x1b[31m archive'"
    )
    assert told(status=403, challenge="Negotiate, NTLM").endswith(
        "; it asks for Negotiate or NTLM, which pdl does not know"
    )
    assert told(status=403, challenge="=").endswith("were sent")


def test_secrets_are_known_in_every_form() -> None:
    found = secrets_in((("Authorization", "Basic bWU6aHVudGVyMg=="), ("Cookie", 'a=b; c="def"')))
    assert {"hunter2", "me:hunter2", "bWU6aHVudGVyMg==", "b", "def"} <= found
    assert "Bearer x" in secrets_in((("Authorization", "Bearer x"),))
    assert secrets_in((("Authorization", "Basic nonsense"),))
