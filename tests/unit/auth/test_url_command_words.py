"""What a URL command prints, what is kept of it, and which URLs it is told."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.auth.credentials import basic, request_fields
from pdl.auth.programs import HelperFailed
from pdl.auth.url_command import KEPT, UrlCommand, printed_in
from pdl.errors import UsageError
from pdl.model import Item
from pdl.naming.namer import Namer
from pdl.settings import HttpSettings, InputSettings, NamingSettings, Settings, check
from pdl.text.foreign import ForeignUrl, is_foreign, parse_foreign, parse_listed
from pdl.text.urls import Asked, InvalidUrl, parse

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.text.urls import Url

LISTED = parse("https://h.example/a?b=c#d")


def going_on() -> bool:
    return False


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "printed nothing"),
        (b"\n\n", "printed nothing"),
        (b"s3cret", "no URL that can be downloaded: it has no scheme"),
        (b"drive:s3cret", "no URL that can be downloaded: it only http"),
        (b"https://h/\x01s3cret", "no URL that can be downloaded: it has a forbidden"),
        (b"\xffs3cret", "what is no text"),
        (b"https://h/a\ns3cret", "a line below the URL that is no header field"),
        (b"https://h/a\nA B: s3cret", "a line below the URL that is no header field"),
        (b"https://h/a\nA: s3\x00cret", "a line below the URL that is no header field"),
    ],
)
def test_what_cannot_be_meant(said: bytes, why: str) -> None:
    with pytest.raises(HelperFailed, match=why) as failed:
        printed_in(said)
    assert "cret" not in failed.value.message
    assert not failed.value.transient


def test_a_url_with_fields_below() -> None:
    printed = printed_in(b"\r\n https://me:pw@h.example/a?k=v&w=x%2By#f\r\n\r\nA: b: c\r\nD:e\r\n")
    assert printed.url.request_url == "https://h.example/a?k=v&w=x%2By"
    assert printed.fields == (("A", "b: c"), ("D", "e"))
    assert printed.secrets() == {"k=v&w=x%2By", "k=v&w=x+y", "v", "x%2By", "x+y", "me", "pw"}


def test_what_is_printed_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; log = open(sys.argv[1], 'a'); log.write(sys.argv[2] + '\\n');"
        "print('https://o.example/?' + str(log.tell()))"
    )
    command = UrlCommand((sys.executable, "-c", code, str(tmp_path / "log")))
    lanes = [threading.Thread(target=command.ask, args=(LISTED, going_on)) for _ in range(6)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(30)
    # without its fragment and user: others can see the arguments
    assert (tmp_path / "log").read_text() == "https://h.example/a?b=c\n"
    first = command.kept(LISTED)
    command.refused(LISTED, None)
    command.refused(LISTED, printed_in(b"https://o.example/"))
    assert command.kept(LISTED) is first is not None
    command.refused(LISTED, first)
    assert command.kept(LISTED) is None
    command.ask(LISTED, going_on)
    assert command.kept(LISTED) != first


def test_only_so_much_is_kept() -> None:
    command = UrlCommand((sys.executable, "-c", "print('https://o.example/')"))
    command._kept = {str(number): printed_in(b"https://o.example/") for number in range(KEPT)}
    command.ask(LISTED, going_on)
    assert len(command._kept) == KEPT
    assert command.kept(LISTED) is not None


def test_nothing_is_run_once_the_run_is_to_stop() -> None:
    with pytest.raises(HelperFailed, match="the run was stopped"):
        UrlCommand(("/nowhere",)).ask(LISTED, lambda: True)


def test_who_is_sent_what_is_printed() -> None:
    http = HttpSettings(headers=(("X-Run", "run"), ("A", "run")))
    printed = printed_in(b"https://me:pw@new.example/a?sig=x\nA: printed\nCookie: c")
    there, elsewhere = parse("https://new.example/b"), parse("https://new.example:8443/a")

    def sent(listed: Url, current: Url) -> dict[str, str]:
        fields = request_fields(http, listed, current, (("X-Line", "line"),), printed)
        return {name: value for name, value in fields if name[0] in "AXC" and name[1:2] != "c"}

    for listed in (LISTED, parse_listed("drive:abc")):
        assert sent(listed, elsewhere) == {}
        assert sent(listed, there) == {
            "A": "printed",
            "Authorization": basic(b"me", b"pw"),
            "Cookie": "c",
        }
    assert sent(LISTED, LISTED) == {"X-Run": "run", "A": "run", "X-Line": "line"}
    # the command may sign for the very host of the line, which then gets both
    assert sent(there, there)["A"] == "printed"
    assert sent(there, there)["X-Line"] == "line"


@pytest.mark.parametrize(
    ("text", "netloc", "name"),
    [
        ("drive:abc", "drive:", "abc"),
        ("DRIVE:abc", "drive:", "abc"),
        ("drive://abc", "drive://abc", "abc"),
        ("drive://abc/", "drive://abc", "abc"),
        ("drive://Host:9/a/b.zip?x=y#z", "drive://Host_9", "b.zip"),
        ("drive:///a/b.zip", "drive://drive", "b.zip"),
        ("doi:10.1000/182", "doi:", "182"),
        ("s3://me@bucket/key%20a", "s3://bucket", "key a"),
        ("pmid:12345", "pmid:", "12345"),
        ("ftp://h/a", "ftp://h", "a"),
    ],
)
def test_urls_of_other_schemes(text: str, netloc: str, name: str) -> None:
    url = parse_foreign(text)
    assert url is not None
    assert url.netloc == netloc
    assert Namer(NamingSettings(tree=True)).path_for(Item(text), url, 1).endswith(f"/{name}")
    assert Namer(NamingSettings()).path_for(Item(text), url, 1) == name
    assert url.request_url[len(url.scheme) :] == text.partition("#")[0][len(url.scheme) :]
    assert isinstance(parse_listed(text), ForeignUrl)


@pytest.mark.parametrize(
    "text",
    [
        *("", "abc", "http://h/a", "https:abc", "c:\\x", "host.example:80/x", "localhost:80/x"),
        *("a b:c", "drive:", "drive://", "drive:a b", "drive:a\x00b", "x:y"),
        f"drive:{9000 * 'x'}",
    ],
)
def test_what_is_none_of_another_scheme(text: str) -> None:
    assert parse_foreign(text) is None
    assert not is_foreign(text)


def test_a_password_would_be_seen_in_the_arguments() -> None:
    with pytest.raises(InvalidUrl, match="has a password") as refused:
        parse_listed("sftp://me:s3cret@h/a")
    assert "s3cret" not in str(refused.value)
    assert is_foreign("sftp://me:s3cret@h/a")


_REST = st.text("ab/?=:%.", min_size=1, max_size=8).map(lambda rest: f"x{rest}")


@given(_REST, _REST)
def test_other_urls_have_other_keys(one: str, other: str) -> None:
    urls = [f"drive:{one}", f"drive://{one}", f"drive:{other}", f"drive://{other}"]
    keys = {Asked(parse_listed(url)).key for url in urls if is_foreign(url)}
    assert len(keys) == len({url for url in urls if is_foreign(url)})


@pytest.mark.parametrize(
    ("command", "said"), [("", "is empty"), ("''", "is empty"), ("'x", "no co")]
)
def test_what_is_no_command(command: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check(Settings(input=InputSettings(url_command=command)))
