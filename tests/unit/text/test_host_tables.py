"""What is said of some hosts alone: which tables are for a host, and which of them counts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdl.auth.credentials import request_fields
from pdl.errors import UsageError
from pdl.model import User
from pdl.settings import HttpSettings, Settings, StopSettings, check
from pdl.text.host_tables import (
    FIELDS,
    HostTable,
    applied,
    for_workers,
    nearest_first,
    part_of,
    pattern_of,
    said_in,
)
from pdl.text.urls import InvalidUrl, parse


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


# --- tables that a program gives ---

TABLE = HostTable("a.org", (("http.timeout", 3.0),))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("http.timeout", 0, "0 is not a number of seconds"),
        ("http.timeout", "x", "a value of type str is none of it"),
        ("http.timeout", None, "None is no value of it"),
        ("http.timeuot", 3, "it cannot differ by host"),
        ("pool.jobs", 3, "it cannot differ by host"),
        ("http.headers", (("a b", "c"),), "'a b' is no name of a header field"),
        ("http.headers", [("A", "c")], "a value of type list is none of it"),
        ("http.headers", "x", "a value of type str is none of it"),
        ("http.proxy", "gopher://x", "the URL "),
        ("http.cacert", "gone.pem", "'gone.pem' does not exist"),
        ("retry.statuses", frozenset({200}), "200 is no HTTP status of an error"),
        ("stop.per_host", 0, "0 is less than 1"),
        ("pace.rate", "x", "'x' is "),
        ("auth.netrc", 1, "it is neither True nor False"),
        ("auth.users", (User("", "me"),), "the password is missing"),
        ("auth.users", (User("b.org", "me", "s3cret"),), "its host is to be empty"),
        ("auth.users", User("", "me", "s3cret"), "one is wanted, in a tuple"),
        ("auth.users", (("", "me", "s3cret"),), "one is wanted, in a tuple"),
        ("auth.users", (User("", "me", None, "a b"),), "a variable of the environment is to be"),
        ("auth.bearer", (("", "s3 cret"),), "for h a variable of the environment is to be named"),
        ("auth.bearer", "TOKEN", "one is wanted, in a tuple"),
        (3, 3, "it cannot differ by host"),
    ],
)
def test_a_program_s_table_is_refused_as_that_of_a_file(
    path: str, value: object, said: str
) -> None:
    wrong = HostTable("a.org", ((path, value),))
    begin = f"http.hosts: 'a.org': {path if isinstance(path, str) else '?'}: {said}"
    with pytest.raises(UsageError, match=f"^{re.escape(begin)}") as refused:
        check(Settings(http=HttpSettings(hosts=(TABLE, wrong))))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([TABLE], "a tuple of HostTable is wanted"),
        ((("a.org", ()),), "a tuple of HostTable is wanted"),
        (None, "None is no value of it"),
        ((HostTable("A.org", ()),), "'A.org': it is written as a.org"),
        ((HostTable("[::1]", ()),), "'[::1]': it is written as ::1"),
        ((HostTable("", ()),), "'': it is not as example.org"),
        ((HostTable("http://a.org/", ()),), "'http://a.org/': it is not as example.org"),
        ((HostTable("a.org:443", ()),), "'a.org:443': the usual ports are left out"),
        ((HostTable(3, ()),), "3: a host is text"),  # type: ignore[arg-type]
        ((HostTable("a.org", {"http.timeout": 3}),), "'a.org': a tuple of paths and values"),  # type: ignore[arg-type]
        ((HostTable("a.org", (("http.timeout",),)),), "'a.org': a tuple of paths and values"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_tuple_of_tables_is_refused(tables: object, said: str) -> None:
    told = Settings(http=HttpSettings(hosts=tables))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"^{re.escape(f'http.hosts: {said}')}"):
        check(told)


@pytest.mark.parametrize("pattern", ["a.org", "*.a.org", "a.org:81", "::1", "::1:81", "127.0.0.1"])
def test_a_good_table_is_taken(pattern: str) -> None:
    said: tuple[tuple[str, object], ...] = (
        ("http.timeout", 3),
        ("http.headers", (("A", "b"),)),
        ("auth.users", (User("", "me", "p"),)),
        ("auth.bearer", (("", "TOKEN"),)),
        ("auth.netrc", False),
        ("retry.statuses", frozenset({404})),
    )
    check(Settings(http=HttpSettings(hosts=(HostTable(pattern, said),))))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner).map(tuple) | st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=50)
@given(
    st.text() | st.sampled_from(["a.org", "*.a.org", "::1"]) | ANYTHING,
    st.lists(st.tuples(st.sampled_from(sorted(FIELDS)) | st.text(), ANYTHING)).map(tuple)
    | ANYTHING,
)
def test_no_table_of_a_program_is_more_than_refused(pattern: Any, said: Any) -> None:  # noqa: ANN401
    try:
        check(Settings(http=HttpSettings(hosts=(HostTable(pattern, said),))))
    except UsageError:
        return
    said_in((HostTable(pattern, said),), "http", f"http://{pattern}/")


@given(
    st.text(max_size=30) | st.from_regex(r"(\*\.)?[a-z0-9.-]{1,20}(:[0-9]{1,6})?", fullmatch=True)
)
def test_a_pattern_is_in_its_normal_form(text: str) -> None:
    try:
        pattern = pattern_of(text)
    except InvalidUrl:
        return
    check(Settings(http=HttpSettings(hosts=(HostTable(pattern, ()),))))


# --- whom a table's fields are sent to ---


@pytest.mark.parametrize(
    ("listed", "asked", "told"),
    [
        ("https://b.org/", "https://a.org/", True),
        ("https://b.org/", "https://a.org:8443/", True),
        ("http://b.org/", "https://a.org/", True),
        ("http://a.org/", "https://a.org/", True),
        ("http://b.org/", "http://a.org/", False),
        ("https://b.org/", "http://a.org/", False),
        ("https://a.org/", "http://a.org/", False),
        ("https://b.org/", "https://x.a.org/", False),
        ("https://b.org/", "https://a.org.evil/", False),
        ("https://a.org/", "https://c.org/", False),
        ("http://b.org/", "http://127.0.0.1:81/", True),
        ("https://b.org/", "http://127.0.0.1:81/", False),
        ("http://b.org/", "http://127.0.0.1:82/", False),
    ],
)
def test_what_names_its_receiver_goes_there_where_nobody_hears_it(
    listed: str, asked: str, *, told: bool
) -> None:
    said = (("http.headers", (("X-Key", "s3cret"),)), ("http.referer", "http://s3cret/"))
    hosts = (HostTable("a.org", said), HostTable("127.0.0.1:81", said))
    http = applied(HttpSettings(hosts=hosts), hosts, "http", listed)
    sent = str(request_fields(http, parse(listed), parse(asked), ()))
    assert sent.count("s3cret") == 2 * told


def test_workers_are_told_of_requests_alone() -> None:
    said = (("auth.netrc", True), ("retry.statuses", frozenset({404})), ("stop.per_host", 2))
    tables = (HostTable("a", said), HostTable("b", said[:1]), TABLE)
    wanted = HostTable("a", (("http.retry_statuses", frozenset({404})),))
    assert for_workers(tables) == (wanted, TABLE)
    assert part_of(tables, "auth") == (HostTable("a", said[:1]), HostTable("b", said[:1]))
