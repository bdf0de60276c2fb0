"""URLs: taken apart, checked, made whole, and shown without their secrets."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdl.text.masking import mask, printable
from pdl.text.urls import MAX_LENGTH, InvalidUrl, Url, _parse_any, _parse_plain, is_plain, parse


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("http://example.com", "http://example.com/"),
        ("http://example.com?q", "http://example.com/?q"),
        ("HTTP://Example.COM/A", "http://example.com/A"),
        ("http://h:80/", "http://h/"),
        ("https://h:443/", "https://h/"),
        ("http://h:443/", "http://h:443/"),
        ("http://h:/x", "http://h/x"),
        ("http://h:0008080/x", "http://h:8080/x"),
        ("http://h/?", "http://h/?"),
        ("http://h/a#frag", "http://h/a"),
        ("http://u:p@h/a", "http://h/a"),
        ("http://h/a b?c d", "http://h/a%20b?c%20d"),
        ("  http://h/a  ", "http://h/a"),
        ("http://h/ä?ö=ü", "http://h/%C3%A4?%C3%B6=%C3%BC"),
        ("http://h/%c3%a4%41", "http://h/%c3%a4%41"),
        ("http://h/100%", "http://h/100%25"),
        ("http://h/%zz%20", "http://h/%25zz%20"),
        ('http://h/"<>\\^`{|}[]', "http://h/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D"),
        ("http://h/a/./b/../c", "http://h/a/c"),
        ("http://h/a/b/..", "http://h/a/"),
        ("http://h/a/b/.", "http://h/a/b/"),
        ("http://h/../../etc", "http://h/etc"),
        ("http://h/a/%2e%2E/b", "http://h/b"),
        ("http://h/a/.%2e/b", "http://h/b"),
        ("http://h/.hidden", "http://h/.hidden"),
        ("http://h/a/...", "http://h/a/..."),
        ("http://h//a//b", "http://h//a//b"),
        ("http://h/?a=../..", "http://h/?a=../.."),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://ex%61mple.com/", "http://example.com/"),
        ("http://[::1]/x", "http://[::1]/x"),
        ("http://[2001:DB8:0::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
        ("http://my_host.local./x", "http://my_host.local./x"),
    ],
)
def test_normal_form(text: str, asked: str) -> None:
    assert parse(text).request_url == asked
    assert parse(asked).request_url == asked


def test_parts() -> None:
    url = parse("https://me:p%40s@s@Host:8443/a/b.txt?x=1#sha256=00")
    assert url == Url("https", "host", 8443, "/a/b.txt", "x=1", "me:p%40s%40s", "sha256=00")
    assert url.origin == ("https", "host", 8443)
    assert url.netloc == "host:8443"
    assert url.target == "/a/b.txt?x=1"
    assert parse("http://h").origin == ("http", "h", 80)
    assert parse("http://@h/").userinfo == ""
    assert parse("http://u:a b@h/").userinfo == "u:a%20b"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no scheme"),
        ("example.com/x", "no scheme"),
        ("//h/x", "no scheme"),
        ("ftp://h/x", "not ftp"),
        ("file:///etc/passwd", "not file"),
        ("javascript:alert(1)", "only http"),
        ("http:", "no host"),
        ("http://", "no host"),
        ("http:///x", "no host"),
        ("http:/x", "no host"),
        ("http://u:p@/x", "no host"),
        ("http://:80/x", "no host"),
        ("http://h:99999/", "port"),
        ("http://h:0/", "port"),
        ("http://h:9999999999999999999/", "port"),
        ("http://h:8o/", "host or port"),
        ("http://h:\uff18\uff10/", "host or port"),
        ("http://h:1:2/", "host or port"),
        ("http://good.example\\@evil.example:x/", "host or port"),
        ("http://good\\evil/", "bad host name"),
        ("http://a..b/", "bad host name"),
        ("http://.a/", "bad host name"),
        (f"http://{'a' * 64}.b/", "bad host name"),
        (f"http://{'a.' * 127}b/", "bad host name"),
        (f"http://{'ä' * 300}/", "bad host name"),
        ("http://a b/", "bad host name"),
        ("http://a%00b/", "bad host name"),
        ("http://a%2fb/", "bad host name"),
        ("http://a%ff/", "bad host name"),
        ("http://a%/", "bad host name"),
        ("http://☃-\u200b.example/", "bad host name"),
        ("http://[::1/", "host or port"),
        ("http://[::g]/", "IPv6"),
        ("http://[]/", "IPv6"),
        ("http://[fe80::1%25eth0]/", "IPv6"),
        ("http://[::1]x/", "host or port"),
        ("http://h/a\r\nX: y", r"\\x0d"),
        ("http://h/a\nb", r"\\x0a"),
        ("http://h/a\x00", r"\\x00"),
        ("http://h/a\tb", r"\\x09"),
        ("http://h/\x1b[2J", r"\\x1b"),
        ("http://h/\x7f", r"\\x7f"),
        ("http://h/\udc80", r"\\udc80"),
        ("http://h/" + "a" * MAX_LENGTH, "longer"),
    ],
)
def test_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidUrl, match=why):
        parse(text)


def test_the_longest_url_passes() -> None:
    text = "http://h/".ljust(MAX_LENGTH, "a")
    assert parse(text).request_url == text


def test_a_message_shows_no_secret() -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse("hunter2hunter2hunter2:x@h")
    assert "hunter2" not in str(caught.value)


_plain_text = st.from_regex(
    r"\Ahttps?://[a-z0-9]{1,5}(\.[a-z]{1,4}){0,2}(:[0-9]{1,5})?"
    r"(/([a-zA-Z0-9._~-]|%2[eEfF]|\.){0,6}){0,4}(\?[a-z=&%20/?]{0,9})?(#[a-z]{0,4})?\Z"
)


@given(_plain_text)
def test_the_fast_way_agrees_with_the_full_one(text: str) -> None:
    fast = _parse_plain(text)
    if fast is not None:
        assert fast == _parse_any(text)


def test_the_usual_is_plain() -> None:
    for text in ("http://h/", "https://h.example:8443/a%20b?c", "http://127.0.0.1:65535/f.bin"):
        assert is_plain(text)
    for text in ("http://h", "http://h:65536/", "http://h/#f", "http://u@h/", "h/", "https://h?/"):
        assert not is_plain(text)


@given(_plain_text)
def test_plain_is_always_accepted(text: str) -> None:
    if is_plain(text):
        found = parse(text)
        # nobody looks for a secret or a digest in one that is plain
        assert (found.userinfo, found.fragment) == ("", "")


@given(st.text() | st.text().map("http://".__add__) | st.text().map("https://h/".__add__))
def test_any_text_parses_to_clean_ascii_or_is_refused(text: str) -> None:
    try:
        url = parse(text)
    except InvalidUrl as error:
        assert printable(str(error)) == str(error)  # noqa: PT017 - or it is accepted
        return
    assert re.fullmatch(r"https?://[!-~]+", url.request_url)
    assert parse(url.request_url).request_url == url.request_url
    assert not {".", ".."} & set(url.path.split("/"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h/a?b=c#d", "http://h/a?b=c#d"),
        ("http://u:pw@h/", "http://u:***@h/"),
        ("http://tok@h/", "http://***@h/"),
        ("http://u:p@w@h/", "http://u:***@h/"),
        ("http://u:p/w@h/", "http://u:***@h/"),
        ("http://u:p#w@h/", "http://u:***@h/"),
        ("http://u:1?2@h/x", "http://u:1?2@h/x"),  # host u, port 1: that is what it says
        ("http://h:80/x@y", "http://h:80/x@y"),
        ("http://[::1]:80/x@y", "http://[::1]:80/x@y"),
        ("ftp://u:pw@h/", "ftp://u:***@h/"),
        ("u:pw@h/", "u:***@h/"),
        ("http:u:pw@h/", "http:u:***@h/"),
        ("http://h/?to=http://u:pw@g/", "http://h/?to=http://u:***@g/"),
        ("http://h/?X-Amz-Signature=a/b=&x=1", "http://h/?X-Amz-Signature=***&x=1"),
        ("http://h/?X-Amz-Credential=a", "http://h/?X-Amz-Credential=***"),
        ("http://h/?X-Amz-Security-Token=a", "http://h/?X-Amz-Security-Token=***"),
        ("http://h/?X-Amz-Date=1&X-Amz-Expires=2", "http://h/?X-Amz-Date=1&X-Amz-Expires=2"),
        ("http://h/?x-goog-signature=a", "http://h/?x-goog-signature=***"),
        ("http://h/?se=2030&sp=r&sig=abc", "http://h/?se=2030&sp=r&sig=***"),
        ("http://h/?Policy=a&Key-Pair-Id=b", "http://h/?Policy=***&Key-Pair-Id=***"),
        ("http://h/?AWSAccessKeyId=a", "http://h/?AWSAccessKeyId=***"),
        ("http://h/?accessToken=a", "http://h/?accessToken=***"),
        ("http://h/?api_key=a&apikey=b", "http://h/?api_key=***&apikey=***"),
        ("http://h/?TOKEN=a", "http://h/?TOKEN=***"),
        ("http://h/?%74oken=a", "http://h/?%74oken=***"),
        ("http://h/?\x1bkey=a", r"http://h/?\x1bkey=***"),
        ("http://h/?user[password]=a", "http://h/?user[password]=***"),
        ("http://h/?a=1;token=b;c", "http://h/?a=1;token=***"),
        ("http://h/?token=a b", "http://h/?token=***"),
        ("http://h/?auth=a&author=b", "http://h/?auth=***&author=b"),
        ("http://h/?keyword=a&monkey=b", "http://h/?keyword=a&monkey=b"),
        ("http://h/a;jsessionid=12/b", "http://h/a;jsessionid=***/b"),
        ("http://h/a#access_token=b&x=1", "http://h/a#access_token=***&x=1"),
        ("http://h/a#" + "aB3" * 8, "http://h/a#***"),
        ("http://h/a#section-two", "http://h/a#section-two"),
        ("http://h/a#sha256=" + "0a" * 32, "http://h/a#sha256=" + "0a" * 32),
        ("http://h/\x1b[31m\u202e", r"http://h/\x1b[31m\u202e"),
    ],
)
def test_mask(text: str, shown: str) -> None:
    assert mask(text) == shown


_pieces = st.lists(
    st.sampled_from(list("/:@?&;#=[1k \\\n\x1b\ud800")) | st.just("http://token=")
).map("".join)


@given(st.text() | _pieces)
@example("u:p@h:q/@")
def test_masked_is_printable_and_stays_so(text: str) -> None:
    shown = mask(text)
    assert printable(shown) == shown
    shown.encode()
    assert mask(shown) == shown


@given(st.from_regex(r"\A[a-zA-Z0-9/+;=.?:!-]{8,20}\Z"))
def test_no_password_is_seen(secret: str) -> None:
    for text in (f"https://me:x{secret}@h/", f"https://h/?a=b&sig={secret.replace('?', '')}"):
        assert secret not in mask(text)


@given(st.text())
def test_printable(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert printable(shown) == shown
    if text.isascii() and text.isprintable():
        assert shown == text


def test_printable_forms() -> None:
    assert printable("a\x1b\u202e\U000e0001\udc80ä") == r"a\x1b\u202e\U000e0001\udc80ä"


def test_a_url_that_is_too_long_when_it_is_encoded_is_refused() -> None:
    assert len(parse(f"http://h/{'é' * 1331}").request_url) <= MAX_LENGTH
    with pytest.raises(InvalidUrl, match="longer than 8000 characters, when it is encoded"):
        parse(f"http://h/{'é' * 1332}")
