"""Redirects: where they may lead, and that what belongs to one origin stays with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.http_rules.redirects import BadRedirect, target
from pdl.text.urls import parse

HERE = parse("http://h.example/a/b?q=1")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://other.example/x", "http://other.example/x"),
        ("https://h.example/x", "https://h.example/x"),
        ("//other.example/x", "http://other.example/x"),
        ("/x", "http://h.example/x"),
        ("x", "http://h.example/a/x"),
        ("./x", "http://h.example/a/x"),
        ("../x", "http://h.example/x"),
        ("../../../x", "http://h.example/x"),
        ("/%2e%2e/x", "http://h.example/x"),
        ("?y=2", "http://h.example/a/b?y=2"),
        ("#top", "http://h.example/a/b?q=1"),
        ("  /x  ", "http://h.example/x"),
        ("/a b", "http://h.example/a%20b"),
        ("/\u00c3\u00a9", "http://h.example/%C3%A9"),
        ("http:x", "http://h.example/a/x"),
        ("http:///x", "http://h.example/x"),
        ("HTTP://H.Example:80/x", "http://h.example/x"),
        ("http://user:secret@h.example/x", "http://h.example/x"),
        ("http://b\u00c3\u00bccher.example/", "http://xn--bcher-kva.example/"),
        ("/x#part", "http://h.example/x"),
    ],
)
def test_where_it_leads(location: str, expected: str) -> None:
    assert target(HERE, location).request_url == expected


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (None, "without a Location"),
        ("", "without a Location"),
        ("file:///etc/passwd", "only http and https can be downloaded, not file"),
        ("FILE:///etc/passwd", "only http and https"),
        ("ftp://h.example/x", "only http and https can be downloaded, not ftp"),
        ("javascript:alert(1)", "only http and https"),
        ("data:,x", "only http and https"),
        ("gopher://h.example/", "only http and https"),
        ("http://h.example:0/", "bad port"),
        ("http://h.example:99999/", "bad port"),
        ("http://[::1", "redirect to"),
        ("http://h example/", "bad host"),
        ("/\x00", "forbidden character"),
        ("/\x1b[31m", r"redirect to '/\\\\x1b\[31m': has a forbidden"),
        ("http://\u4e2d.example/", "redirect to"),
        ("/b\n/c", "to several places"),
    ],
)
def test_where_nobody_goes(location: str | None, reason: str) -> None:
    with pytest.raises(BadRedirect, match=reason):
        target(HERE, location)


@pytest.mark.parametrize(
    "location", ["/x\r\nX-Forged: 1", "http://h.example/\r\n\r\nGET /", "/x\ny"]
)
def test_a_line_break_never_gets_into_a_request(location: str) -> None:
    try:
        url = target(HERE, location).request_url
    except BadRedirect:
        return
    assert url.isprintable()
    assert " " not in url


@given(st.text(st.characters(max_codepoint=255)) | st.text())
def test_any_location_is_a_clean_url_or_refused(location: str) -> None:
    try:
        url = target(HERE, location)
    except BadRedirect as exc:
        refusal = str(exc)
    else:
        refusal = ""
    if refusal:
        assert refusal.isprintable()
        return
    assert url.scheme in {"http", "https"}
    assert url.request_url.isascii()
    assert url.request_url.isprintable()
    assert " " not in url.request_url


def test_https_only() -> None:
    with pytest.raises(BadRedirect, match="plain http, which --https-only refuses"):
        target(parse("https://h.example/"), "http://h.example/", https_only=True)
    assert target(HERE, "https://h.example/", https_only=True).scheme == "https"
