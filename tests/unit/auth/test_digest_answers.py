"""Answers to challenges for Digest: which are answered, with what, and how often."""

from __future__ import annotations

import re
import threading

import pytest

from pdl.auth.credentials import (
    BEARER,
    HELPER,
    NETRC,
    URL_COMMAND,
    USER,
    Credentials,
    Said,
    basic,
    basic_said,
)
from pdl.auth.digest import _KEPT, Digests, is_stale
from pdl.http_rules.challenges import challenges
from pdl.text.urls import parse

URL = parse("http://h.example:80/a;b/c;d?e=f#g")
ME = basic(b"me", b"p:w")
ASKED = 'Digest realm="r", nonce="n", qop="auth"'


def answer(challenge: str, user: str = ME) -> str | None:
    digests = Digests()
    return digests.field(URL, user) if digests.learn(URL, user, challenge) else None


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("", []),
        ("Basic", [("Basic", "")]),
        ('Basic realm="a, Digest b", Digest x="y"', ["Basic", "Digest"]),
        (
            'Digest realm="r", nonce="n" , ,Digest realm=s,nonce="m=" , Negotiate',
            [
                ("Digest", 'realm="r", nonce="n"'),
                ("Digest", 'realm=s,nonce="m="'),
                ("Negotiate", ""),
            ],
        ),
    ],
)
def test_challenges_are_told_apart(field: str, found: list[object]) -> None:
    each = challenges(field)
    assert [
        scheme if isinstance(found[0], str) else (scheme, text) for scheme, text in each
    ] == found


@pytest.mark.parametrize(
    ("challenge", "has"),
    [
        (ASKED, 'realm="r", nonce="n", uri="/a;b/c;d?e=f"'),
        (ASKED.replace("Digest", "dIGEST"), 'username="me"'),
        (f"{ASKED}, algorithm=SHA-256", 'algorithm="SHA-256"'),
        ('Digest realm="r", nonce="n", qop="auth-int, AUTH"', 'qop="auth"'),
        ('Digest nonce="x", realm="r", algorithm=X, Digest realm="s", nonce="m"', 'realm="s"'),
        ('Digest realm="r", nonce="n", qop="auth-int", Digest realm="s", nonce="m"', 'realm="s"'),
        (r'Digest realm="a\"b", nonce="n"', r'realm="a\"b"'),
    ],
)
def test_what_is_answered(challenge: str, has: str) -> None:
    said = answer(challenge)
    assert said is not None
    assert said.startswith('Digest username="me", ')
    assert has in said
    assert "p:w" not in said


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Digest",
        'Basic realm="r"',
        'Digest realm="r"',
        'Digest nonce="n"',
        f"{ASKED}, algorithm=SHA-512-256",
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r\x01", nonce="n"',
    ],
)
def test_what_is_not_answered(challenge: str) -> None:
    assert answer(challenge) is None


@pytest.mark.parametrize(
    ("user", "said"),
    [
        (b'm"\\e', 'username="m\\"\\\\e"'),
        ("mé".encode(), 'username="mé"'),
        (b"m\r\nX: y", None),
        (b"m\xff", None),
    ],
)
def test_no_user_breaks_out_of_the_field(user: bytes, said: str | None) -> None:
    found = answer(ASKED, basic(user, b"pw"))
    if said is None:
        assert found is None
    else:
        assert found is not None
        assert said in found.encode("latin-1").decode()


def test_all_lanes_have_one_count() -> None:
    digests = Digests()
    assert digests.learn(URL, ME, ASKED)
    found: list[str] = []

    def lane() -> None:
        assert digests.learn(URL, ME, ASKED)  # as one that was refused at the same time
        found.extend(digests.field(URL, ME) for _ in range(20))

    lanes = [threading.Thread(target=lane) for _ in range(5)]
    for each in lanes:
        each.start()
    for each in lanes:
        each.join(30)
    counts = sorted(int(match[1], 16) for each in found if (match := re.search("nc=(.{8})", each)))
    assert counts == list(range(1, 101))
    assert digests.learn(URL, ME, ASKED.replace('"n"', '"other"'))
    assert "nc=00000001" in digests.field(URL, ME)


def test_whom_it_is_for() -> None:
    digests = Digests()
    assert digests.learn(URL, ME, ASKED)
    assert digests.know("h.example")
    assert not digests.know("example")
    other = basic(b"you", b"pw")
    assert digests.field(URL, other) == other
    assert digests.field(parse("https://h.example/a"), ME) == ME
    digests.forget(URL, ME)
    assert digests.field(URL, ME) == ME
    for number in range(_KEPT + 3):
        digests.learn(parse(f"http://h{number}.example/"), ME, ASKED)
    assert not digests.know("h0.example")
    assert len(digests._kept) == _KEPT


def test_only_the_answer_of_its_user_takes_the_place_of_basic() -> None:
    mine = Credentials()
    changed: list[str] = []
    mine.watchers.append(lambda: changed.append("changed"))
    fields = (("Authorization", ME), ("X", ME))
    assert mine.answered(URL, fields) == fields
    assert not mine.minds_path("h.example")
    assert not mine.challenged(URL, ME, "Digest")
    assert mine.challenged(URL, ME, ASKED)
    assert changed == ["changed"]
    assert mine.minds_path("h.example")  # no two paths have the same field
    (_, value), kept = mine.answered(URL, fields)
    assert value.startswith("Digest ")
    assert kept == ("X", ME)
    mine.forget_challenge(URL, ME)
    assert mine.answered(URL, fields) == fields


@pytest.mark.parametrize("source", ["", "--header", "the line's own fields", BEARER, HELPER])
def test_what_was_written_by_hand_is_no_user(source: str) -> None:
    assert basic_said([Said("authorization", ME, source)]) is None


@pytest.mark.parametrize("source", [USER, NETRC, URL_COMMAND, "the user in the URL"])
def test_what_is_a_user(source: str) -> None:
    assert basic_said([Said("Accept", "x"), Said("Authorization", ME, source)]) == ME
    assert basic_said([Said("Authorization", "Bearer x", source)]) is None
    assert basic_said([]) is None


def test_stale() -> None:
    assert is_stale(f"{ASKED}, stale=TRUE")
    assert not is_stale(f'{ASKED}, stale="false"')
    assert not is_stale("Basic stale=true")
