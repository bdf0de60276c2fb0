"""Cookies: what is taken of servers and of files, and who is sent it back."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from pdl.auth.cookies import BYTES_MOST, HOST_MOST, HOSTS_MOST, Cookie, CookieJar, cookie_of
from pdl.auth.credentials import Credentials
from pdl.auth.gather import gather
from pdl.errors import UsageError
from pdl.model import AuthSettings
from pdl.text.host_tables import HostTable
from pdl.text.urls import parse

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000.0
HERE = "https://h.example/dir/file"


class Clock:
    """Says what time it is."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """The time."""
        return self.now


def jar_with(*fields: str, url: str = HERE, clock: Clock | None = None) -> CookieJar:
    jar = CookieJar(clock=clock or Clock())
    jar.take(parse(url), parse(url), fields)
    return jar


def sent(jar: CookieJar, url: str, listed: str | None = None) -> str:
    return jar.value(parse(listed or url), parse(url))


# --- what is set ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("a=b", "a=b"),
        ("a=b; Path=/", "a=b"),
        ("  a = b c ;path=/;HttpOnly", "a=b c"),
        ('a="b,c"; Secure', 'a="b,c"'),
        ("a=b=c", "a=b=c"),
        ("a=", "a="),
        ("a=b; Path=/other", ""),
        ("a=b; Path=/dir", "a=b"),
        ("a=b; Path=/di", ""),
        ("a=b; Path=dir", "a=b"),
        ("a=b; Domain=h.example", "a=b"),
        ("a=b; Domain=.H.example", "a=b"),
        ("a=b; Domain=example", "a=b"),
        ("a=b; Domain=other.example", ""),
        ("a=b; Domain=sub.h.example", ""),
        ("a", ""),
        ("=b", ""),
        ("a=b\x01", ""),
        ("a=b\r", ""),
        ("__Secure-a=b; Secure", "__Secure-a=b"),
        ("__Secure-a=b", ""),
        ("__Host-a=b; Secure; Path=/", "__Host-a=b"),
        ("__Host-a=b; Secure; Path=/dir", ""),
        ("__Host-a=b; Secure; Path=/; Domain=h.example", ""),
        ("a=" + "b" * (BYTES_MOST - 1), "a=" + "b" * (BYTES_MOST - 1)),
        ("a=" + "b" * BYTES_MOST, ""),
        ("a=b; Max-Age=5", "a=b"),
        ("a=b; Max-Age=0", ""),
        ("a=b; Max-Age=-1", ""),
        ("a=b; Max-Age=x", "a=b"),
        ("a=b; Expires=Wed, 01 Jan 2020 00:00:00 GMT", ""),
        ("a=b; Expires=Wed, 01-Jan-2020 00:00:00 GMT", ""),
        ("a=b; Expires=Sat, 01 Jan 2050 00:00:00 GMT", "a=b"),
        ("a=b; Expires=nonsense", "a=b"),
        ("a=b; Expires=Wed, 01 Jan 2020 00:00:00 GMT; Max-Age=9", "a=b"),
    ],
)
def test_what_is_sent_back(field: str, value: str) -> None:
    assert sent(jar_with(field), HERE) == value


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("https://h.example/", "a=b"),
        ("https://h.example:8443/x", "a=b"),
        ("https://sub.h.example/", ""),
        ("https://example/", ""),
        ("https://xh.example/", ""),
        ("http://h.example/", ""),
    ],
)
def test_a_cookie_is_for_its_host_alone_whatever_it_says(url: str, value: str) -> None:
    assert sent(jar_with("a=b; Path=/; Domain=h.example"), url) == value
    assert sent(jar_with("a=b; Path=/; Domain=example"), url) == value


def test_what_was_set_in_the_clear_may_go_so_and_replaces_nothing_else() -> None:
    jar = jar_with("a=b; Path=/", url="http://h.example/")
    assert sent(jar, "http://h.example/x") == "a=b"
    assert sent(jar, "https://h.example/x") == "a=b"
    assert sent(jar, "http://h.example/x", listed="https://h.example/") == ""
    assert sent(jar_with("a=b; Secure", url="http://h.example/"), "https://h.example/") == ""
    safe = jar_with("a=safe; Path=/", url="https://h.example/")
    assert not safe.take(parse("http://h.example/"), parse("http://h.example/"), ["a=evil; Path=/"])
    assert sent(safe, "https://h.example/") == "a=safe"


def test_what_began_with_tls_takes_no_cookie_in_the_clear() -> None:
    jar = CookieJar(clock=Clock())
    assert not jar.take(parse("https://h.example/"), parse("http://o.example/"), ["a=b"])
    assert sent(jar, "http://o.example/") == ""


def test_this_machine_takes_secure_cookies_in_the_clear() -> None:
    jar = jar_with("a=b; Secure; Path=/", url="http://127.0.0.1:80/")
    assert sent(jar, "http://127.0.0.1:80/") == "a=b"


def test_longer_paths_come_first_and_a_name_stands_once_a_path() -> None:
    jar = jar_with("a=1; Path=/", "b=2; Path=/dir", "a=3; Path=/")
    assert sent(jar, HERE) == "b=2; a=3"
    assert jar.minds_path("h.example")
    assert not jar_with("a=1; Path=/").minds_path("h.example")


def test_a_cookie_ends() -> None:
    clock = Clock()
    jar = jar_with("a=b; Max-Age=10", clock=clock)
    clock.now += 9
    assert sent(jar, HERE) == "a=b"
    clock.now += 1
    assert sent(jar, HERE) == ""


def test_the_first_end_that_is_to_come_is_known() -> None:
    clock = Clock()
    fields = ("a=b; Path=/", "c=d; Max-Age=20", "e=f; Max-Age=10", "g=h; Max-Age=0")
    jar = jar_with(*fields, clock=clock)
    assert (jar.ends("h.example"), jar.ends("other.example")) == (NOW + 10, None)
    clock.now += 10
    assert jar.ends("h.example") == NOW + 20
    clock.now += 10
    assert jar.ends("h.example") is None


def test_the_end_of_a_cookie_for_hosts_below_is_theirs_too() -> None:
    cookies = [("example", Cookie("a", "b", until=NOW + 5, deep=True))]
    jar = CookieJar(cookies, clock=Clock())
    assert jar.ends("h.example") == NOW + 5
    jar = CookieJar([("example", cookies[0][1]._replace(deep=False))], clock=Clock())
    assert jar.ends("h.example") is None


def test_changes_are_counted_by_host() -> None:
    jar = CookieJar(clock=Clock())
    here = parse(HERE)
    assert jar.take(here, here, ["a=b"])
    assert not jar.take(here, here, ["a=b", "nonsense"])
    assert jar.take(here, here, ["a=c"])
    assert jar.take(here, here, ["a=c; Max-Age=0"])
    assert not jar.take(here, here, ["a=c; Max-Age=0"])
    assert (jar.changes("h.example"), jar.changes("other")) == (3, 0)


def test_there_is_a_limit_to_all_of_it() -> None:
    jar = jar_with(*(f"c{number}=x" for number in range(HOST_MOST + 5)))
    names = [each.partition("=")[0] for each in sent(jar, HERE).split("; ")]
    assert names == [f"c{number}" for number in range(5, HOST_MOST + 5)]
    for number in range(HOSTS_MOST + 5):
        url = parse(f"http://h{number}/")
        jar.take(url, url, ["a=b"])
    assert sent(jar, "http://h4/") == ""
    assert sent(jar, "http://h5/") == "a=b"


def test_a_field_is_cut_in_linear_time() -> None:
    url = parse(HERE)
    assert cookie_of("a=b" + " ;=" * 30_000, url, NOW) is not None


# --- those of a file ---

FILE = """# Netscape HTTP Cookie File
h.example\tFALSE\t/\tTRUE\t0\tsafe\tone
#HttpOnly_h.example\tFALSE\t/dir\tFALSE\t4000000000\tdeep\ttwo
h.example\tFALSE\t/\tFALSE\t1\told\tthree
.example\tTRUE\t/\tTRUE\t0\tall\tfour
"""


def credentials_of(text: str, tmp_path: Path) -> Credentials:
    path = tmp_path / "own cookies"
    path.write_text(text)
    return gather(AuthSettings(cookies_file=str(path)), lambda _: None)


def cookie(credentials: Credentials, url: str) -> str | None:
    asked = parse(url)
    return {each.name: each.value for each in credentials.said(asked, asked)}.get("Cookie")


@pytest.mark.parametrize(
    ("url", "value"),
    [
        (HERE, "deep=two; safe=one; all=four"),
        ("http://h.example/dir/", "deep=two"),
        ("https://h.example/", "safe=one; all=four"),
        ("https://sub.h.example/dir/", "all=four"),
        ("https://xexample/", None),
    ],
)
def test_cookies_of_a_file(url: str, value: str | None, tmp_path: Path) -> None:
    credentials = credentials_of(FILE, tmp_path)
    assert credentials.personal
    assert cookie(credentials, url) == value
    assert cookie(pickle.loads(pickle.dumps(credentials)), url) == value


@pytest.mark.parametrize(
    "text",
    [
        "h.example\tFALSE\t/\tTRUE\t0\tsafe\thunter2\n",
        "# Netscape HTTP Cookie File\nhunter2\n",
        "# Netscape HTTP Cookie File\nh.example\tTRUE\t/\tTRUE\t0\tsafe\thunter2\n",
        "# Netscape HTTP Cookie File\nh\tFALSE\t/\tTRUE\tx\tsafe\thunter2\n",
        "# Netscape HTTP Cookie File\nh\tFALSE\t/\tTRUE\t0\tsafe\thunter2\x01\n",
    ],
)
def test_a_file_of_something_else(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="own cookies") as caught:
        credentials_of(text, tmp_path)
    assert "hunter2" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_no_cookies_means_none() -> None:
    credentials = gather(AuthSettings(cookies=False), lambda _: None)
    here = parse(HERE)
    credentials.heard(here, here, "a=b")
    assert cookie(credentials, HERE) is None
    with pytest.raises(UsageError, match="contradict"):
        gather(AuthSettings(cookies=False, cookies_file="x"), lambda _: None)


def test_who_watches_is_told_of_changes() -> None:
    told: list[str] = []
    credentials, here = Credentials(), parse(HERE)
    credentials.watchers.append(lambda: told.append("again"))
    for fields in ("a=b\nc=d", "a=b", "nonsense", "a=c"):
        credentials.heard(here, here, fields)
    assert told == ["again", "again"]
    assert cookie(credentials, HERE) == "c=d; a=c"


# --- files that are for some hosts alone ---


def test_each_host_is_sent_the_cookies_of_its_own_file(tmp_path: Path) -> None:
    """Also where two files have a cookie of one name; what a server sets takes their place."""
    for name in ("all", "wild", "exact"):
        line = f".h.example\tTRUE\t/\tFALSE\t0\tsid\t{name}\n"
        (tmp_path / name).write_text(f"# Netscape HTTP Cookie File\n{line}")
    said = [("x.h.example", "exact"), ("*.h.example", "wild")]
    tables = tuple(
        HostTable(pattern, (("auth.cookies_file", str(tmp_path / name)),)) for pattern, name in said
    )
    settings = AuthSettings(cookies_file=str(tmp_path / "all"))
    made = gather(settings, lambda _: None, tables=tables)
    for credentials in (made, pickle.loads(pickle.dumps(made))):

        def cookie(url: str, mine: Credentials = credentials) -> list[str]:
            return [each.value for each in mine.said(parse(url), parse(url))]

        assert cookie("https://h.example/") == ["sid=all"]
        assert cookie("https://x.h.example/") == ["sid=exact"]
        assert cookie("https://y.h.example/") == ["sid=wild"]
        assert cookie("https://other.example/") == []
        url = parse("https://h.example/")
        credentials.heard(url, url, "sid=server; Path=/")
        assert cookie("https://h.example/") == ["sid=server"]
        assert cookie("https://y.h.example/") == ["sid=wild"]
    assert list(gather(AuthSettings(cookies=False), fail, tables=tables).said(url, url)) == []


def fail(text: str) -> None:
    raise AssertionError(text)
