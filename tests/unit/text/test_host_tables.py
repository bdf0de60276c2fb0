"""What is said of some hosts alone: which tables are for a host, and which of them counts."""

from __future__ import annotations

import pytest

from pdl.settings import HttpSettings, StopSettings
from pdl.text.host_tables import HostTable, applied, nearest_first, pattern_of, said_in
from pdl.text.urls import InvalidUrl


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.org.", "example.org"),
        ("example.org:8443", "example.org:8443"),
        ("*.nasa.gov", "*.nasa.gov"),
        ("*.NASA.gov:81", "*.nasa.gov:81"),
        ("127.0.0.1:81", "127.0.0.1:81"),
        ("[::1]", "::1"),
        ("[::1]:81", "::1:81"),
        ("b\u00fccher.de", "xn--bcher-kva.de"),
    ],
)
def test_patterns(text: str, pattern: str) -> None:
    assert pattern_of(text) == pattern


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "a.*.b", "http://a", "a/b", "u@a", "a b", "a:x", "a:80", "a:443", "**.a", "[a"],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidUrl):
        pattern_of(text)


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        ("a.org", "http://a.org/", True),
        ("a.org", "https://u:p@A.org.:81/x?http://b.org", True),
        ("a.org", "http://b.a.org/", False),
        ("a.org", "http://xa.org/", False),
        ("a.org", "http://b.org/?a.org", False),
        ("a.org", "http://a.org@b.org/", False),
        ("a.org", "http://b.org#@a.org/", False),
        ("a.org", "http://b.org?@a.org/", False),
        ("a.org:81", "http://a.org:81", True),
        ("a.org:81", "http://a.org", False),
        ("*.a.org", "http://b.a.org", True),
        ("*.a.org", "http://c.b.a.org", True),
        ("*.a.org", "http://a.org", False),
        ("*.a.org", "http://ba.org", False),
        ("*.a.org:81", "http://b.a.org:81/", True),
        ("*.a.org:81", "http://b.a.org/", False),
        ("::1", "http://[::1]/", True),
        ("::1:81", "http://[::1]:81/", True),
    ],
)
def test_which_hosts_a_pattern_is_for(pattern: str, url: str, matches: bool) -> None:
    tables = (HostTable(pattern, (("http.timeout", 5.0),)),)
    assert said_in(tables, "http", url) == ({"timeout": 5.0} if matches else {})


def test_the_nearest_counts_key_by_key() -> None:
    tables = nearest_first(
        [
            HostTable("*.org", (("http.timeout", 1.0), ("http.proxy", "a"), ("http.cacert", "a"))),
            HostTable("x.a.org", (("http.timeout", 3.0),)),
            HostTable("*.a.org", (("http.timeout", 2.0), ("http.proxy", "b"))),
        ]
    )
    said = said_in(tuple(tables), "http", "http://x.a.org/")
    assert said == {"timeout": 3.0, "proxy": "b", "cacert": "a"}


def test_a_part_has_its_own_fields_alone() -> None:
    tables = (HostTable("a", (("http.timeout", 1.0), ("stop.per_host", 3))),)
    assert applied(StopSettings(), tables, "stop", "http://a/") == StopSettings(per_host=3)
    assert applied(HttpSettings(), tables, "http", "http://a/") == HttpSettings(timeout=1.0)
    usual = HttpSettings()
    assert applied(usual, tables, "http", "http://b/") is usual
    assert applied(usual, (), "http", "http://a/") is usual


def test_a_certificate_brings_its_own_key() -> None:
    usual = HttpSettings(cert="usual.pem", key="usual.key")
    tables = (HostTable("a", (("http.cert", "a.pem"),)),)
    found = applied(usual, tables, "http", "https://a/")
    assert (found.cert, found.key) == ("a.pem", None)
    both = (HostTable("a", (("http.cert", "a.pem"), ("http.key", "a.key"))),)
    found = applied(usual, both, "http", "https://a/")
    assert (found.cert, found.key) == ("a.pem", "a.key")


def test_what_is_no_url_has_none() -> None:
    assert said_in((HostTable("a", (("http.timeout", 1.0),)),), "http", "http://a:x/") == {}
