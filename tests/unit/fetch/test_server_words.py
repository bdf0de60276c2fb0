"""A refusal says what the server said: the first words of a short body, without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from every_lane import LANES, LaneMaker
from pdl.fetch.failures import WORDS_MOST, AttemptFailed, Refused, _told_proxies, explain
from pdl.model import FailureKind, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.settings import FileSettings, HttpSettings
from pdl.text.host_tables import HostTable
from servers.behaviours import Raw, Reply, head

if TYPE_CHECKING:
    from pathlib import Path

    from servers.misbehave import Server

URL = "http://h.org/a.zip"
HTTP = HttpSettings()
NO_FIELDS: dict[str, str] = {}
BARE = "the server answered 403 Forbidden"
S3 = (
    b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message>"
)
PAGE = b"<!DOCTYPE html><html><head><style>p {}</style><title>%s</title></head><body><h1>x</h1>"


def said(
    body: bytes, media: str | None = None, *, url: str = URL, http: HttpSettings = HTTP, **more: str
) -> str:
    """The words that are told of a 403 with that body, without what is said of credentials."""
    failure = AttemptFailed(FailureKind.HTTP, BARE, status=403)
    fields = {"content-type": media, **{name.replace("_", "-"): more[name] for name in more}}
    task = Task(1, url, SafePath("a"), "p")
    explain(failure, http, Refused(task, url, fields.get, body))
    words = failure.message.removeprefix(BARE)
    return re.sub("; (no credentials|credentials) were sent.*", "", words)


@pytest.mark.parametrize(
    ("body", "media", "words"),
    [
        (b"quota exceeded\nsecond line\n", "text/plain", ": quota exceeded"),
        (b"\n\n  blanks   between\twords \n", None, ": blanks between words"),
        (S3, "application/xml", ": Request has expired"),
        (S3, "application/vnd.x+xml; charset=utf-8", ": Request has expired"),
        (b'{"message": "Daily quota exceeded"}', "application/json", ": Daily quota exceeded"),
        (b'{"error": {"code": 403, "message": "no \\"key\\""}}', "application/json", ': no "key"'),
        (b'{"error": "rate", "message": "slow down"}', "application/problem+json", ": slow down"),
        (b'{"error": "invalid_token"}', "application/json; charset=utf-8", ": invalid_token"),
        (b'[{"detail": "caf\\u00e9 closed"}, ', "application/json", ": caf\u00e9 closed"),
        (b'{"code": 5}', "application/json", ""),
        (PAGE % b"Access denied &amp; logged", "text/html", ": Access denied & logged"),
        (PAGE % b"403 Forbidden", "text/html", ""),
        (b"Forbidden\n", "text/plain", ""),
        (b"Error response\n", "text/plain", ""),
        ("\ufeffgesperrt für immer".encode(), "text/plain", ": gesperrt für immer"),
        (b"gesperrt f\xfcr immer", "text/plain; charset=latin-1", ": gesperrt f\ufffdr immer"),
        (b"words in an image", "image/png", ""),
        (b"bytes\0of something", "text/plain", ""),
        (b"", "text/plain", ""),
    ],
)
def test_the_first_words_of_a_text_are_told(body: bytes, media: str | None, words: str) -> None:
    assert said(body, media) == words


def test_coded_words_are_not_told() -> None:
    assert said(b"quota", "text/plain", content_encoding="gzip") == ""
    assert said(b"quota", "text/plain", content_encoding="identity") == ": quota"


def test_long_words_are_cut() -> None:
    words = said(b"x" * 3000).removeprefix(": ")
    assert (len(words), words[-3:]) == (WORDS_MOST, "...")


def test_what_was_sent_as_a_secret_is_masked_in_them() -> None:
    keyed = HTTP._replace(headers=(("X-Api-Key", "k-123456"), ("Authorization", "Bearer tok-99")))
    assert said(b"key k-123456 is not known", http=keyed) == ": key *** is not known"
    assert said(b"tok-99 has expired", http=keyed) == ": *** has expired"
    signed = f"{URL}?Signature=abc%2Fdef&Expires=1"
    assert said(b"abc/def is wrong", url=signed) == ": *** is wrong"
    assert said(b"try http://o.org/?token=1234 now") == ": try http://o.org/?token=*** now"
    assert said(b"token=1234 is old") == ": token=*** is old"
    user = "http://user:geheim@h.org/a.zip"
    assert said(b"no geheim for you", url=user) == ": no *** for you"


def test_what_was_sent_is_masked_in_all_that_a_server_thinks_up() -> None:
    keyed = HTTP._replace(headers=(("Authorization", "Bearer tok-99"),))
    failure = AttemptFailed(FailureKind.HTTP, "the server answered 401 not tok-99", status=401)
    fields = {"www-authenticate": 'Basic realm="not tok-99"'}
    task = Task(1, URL, SafePath("a"), "p")
    explain(failure, keyed, Refused(task, URL, fields.get, b""))
    assert failure.message.startswith("the server answered 401 not ***; ")
    assert failure.message.endswith("; it asks for Basic for 'not ***'")


def test_what_a_proxy_was_sent_is_masked_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    words = b"bWU6Z2UvaGVpbQ== is me:ge/heim, not x"
    proxy = "http://me:ge%2Fheim@proxy.example:3128"
    assert said(words, http=HTTP._replace(proxy=proxy)) == ": *** is ***, not x"
    table = HostTable("h.org", (("http.proxy", proxy),))
    assert said(words, http=HTTP._replace(hosts=(table,))) == ": *** is ***, not x"
    monkeypatch.setenv("https_proxy", proxy)
    _told_proxies.cache_clear()
    assert said(words) == ": *** is ***, not x"
    monkeypatch.undo()
    _told_proxies.cache_clear()


def test_a_401_says_whether_credentials_were_sent() -> None:
    def of(http: HttpSettings, url: str, asked: str) -> str:
        failure = AttemptFailed(FailureKind.HTTP, "401", status=401)
        task = Task(1, url, SafePath("a"), "p")
        explain(failure, http, Refused(task, asked, NO_FIELDS.get, b""))
        return failure.message

    none = "401; no credentials were sent"
    some = "401; the credentials that were sent are refused: Authorization from "
    keyed = HTTP._replace(headers=(("Authorization", "Bearer x"),))
    assert of(HTTP, URL, URL).startswith(none)
    assert of(keyed, URL, URL) == f"{some}--header"
    assert of(HTTP, "http://u:p@h.org/a.zip", URL) == f"{some}the user in the URL"
    assert of(keyed, URL, "http://other.org/").startswith(none)  # it was led there


@pytest.mark.parametrize("make", LANES.values(), ids=LANES)
@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
def test_every_way_tells_them(
    make: LaneMaker, chunked: bool, server: Server, tmp_path: Path
) -> None:
    (tmp_path / ".pdl").mkdir()
    plain = (("Content-Type", "text/plain"),)
    reply = Reply(403, plain, b"quota exceeded")
    if chunked:
        begin = head(403, (*plain, ("Transfer-Encoding", "chunked")))
        reply = Raw(begin + b"e\r\nquota exceeded\r\n0\r\n\r\n")  # type: ignore[assignment]
    lane = make(HttpSettings(timeout=20.0), FileSettings(directory=str(tmp_path)))
    try:
        for _ in range(2):  # the second goes the fast way, where there is one
            answer = lane(
                Task(1, server.on("/a.bin", reply), SafePath("a.bin"), "1.part"), InlineMeter()
            )
            assert answer.word == "fail"
            told = "the server answered 403 Forbidden: quota exceeded; no credentials were sent"
            assert answer.message == told
    finally:
        lane.close()
