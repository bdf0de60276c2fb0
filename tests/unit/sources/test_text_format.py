"""The text format of lists: URLs, mirrors, options, and lines that are wrong."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import BadLine, FailureKind, Item, Outcome, Result
from pdl.output.reports.failure_list import entry_text
from pdl.sources import Entry, Line, Pause
from pdl.sources.item_options import MAX_SHOWN
from pdl.sources.streams import MAX_LINE, split_lines
from pdl.sources.text import _SEPARATORS, _USUAL, TextFormat
from pdl.text.masking import printable
from pdl.text.urls import is_plain, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

SHA = hashlib.sha256(b"").hexdigest()
SHA_BASE64 = base64.b64encode(bytes.fromhex(SHA)).decode()
MD5 = hashlib.md5(b"").hexdigest()


def run(lines: Iterable[Line], warnings: list[str] | None = None) -> list[Entry | Pause]:
    warn = [] if warnings is None else warnings
    return list(TextFormat(warn.append).read(lines, "list"))


def read(text: str | bytes, warnings: list[str] | None = None) -> list[Entry | Pause]:
    data = text.encode() if isinstance(text, str) else text
    return run(data.split(b"\n"), warnings)


def item(line: int, url: str, *mirrors: str, **more: str) -> Item:
    return Item(url, mirrors, source="list", line=line, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("\n\n  \n\t\n", []),
        ("# comment\n  # indented\n#http://h/", []),
        ("http://h/a", [item(1, "http://h/a")]),
        ("http://h/a\n\n#\nhttp://h/b\n", [item(1, "http://h/a"), item(4, "http://h/b")]),
        ("http://h/a\r\nhttp://h/b\r\n", [item(1, "http://h/a"), item(2, "http://h/b")]),
        ("\ufeffhttp://h/a\nhttp://h/b", [item(1, "http://h/a"), item(2, "http://h/b")]),
        ("\ufeff# comment", []),
        ("  http://h/a  ", [item(1, "http://h/a")]),
        ("\thttp://h/?x=1\xa0", [item(1, "http://h/?x=1")]),
        ("http://h/a b/ä", [item(1, "http://h/a b/ä")]),
        ("http://h/a\thttp://g/a", [item(1, "http://h/a", "http://g/a")]),
        ("http://h/a\t\t http://g/a\t", [item(1, "http://h/a", "http://g/a")]),
    ],
)
def test_lines(text: str, items: list[Item]) -> None:
    assert read(text) == items


@pytest.mark.parametrize(
    ("fragment", "checksum"),
    [
        (f"sha256={SHA}", f"sha256:{SHA}"),
        (f"SHA-256={SHA.upper()}&x", f"sha256:{SHA}"),
        (f"egg=x&md5={MD5}", f"md5:{MD5}"),
        (f"sha256-{SHA_BASE64}", f"sha256:{SHA}"),
        (f"a&sha256-{SHA_BASE64.rstrip('=')}&b", f"sha256:{SHA}"),
        (f"sha256={SHA_BASE64}", f"sha256:{SHA}"),
        ("part", None),
        ("sha256", None),
        ("sha256-checksums", None),
    ],
)
def test_a_fragment_may_be_a_digest(fragment: str, checksum: str | None) -> None:
    url = f"http://h/a#{fragment}"
    assert read(url) == [Item(url, checksum=checksum, source="list", line=1)]


def test_options() -> None:
    warnings: list[str] = []
    entries = read(
        "http://h/a\n"
        "  out=d/x y.txt \n"
        "\tdir = sub\r\n"
        "# in between\n"
        "\n"
        f" checksum=sha-256={SHA}\n"
        "  header=X-One: 1\n"
        "  header=X-Two:2: 3\n"
        "  user-agent=me/1\n"
        "  referer=http://r/?a=b\n"
        "  out=\n"
        "http://h/b\n"
        "  splat=5\n"
        "http://h/c\n"
        "  splat=6\n"
        "  gie=1\n",
        warnings,
    )
    headers = (
        ("X-One", "1"),
        ("X-Two", "2: 3"),
        ("User-Agent", "me/1"),
        ("Referer", "http://r/?a=b"),
    )
    assert entries == [
        Item("http://h/a", (), "d/x y.txt", "sub", f"sha256:{SHA}", None, headers)._replace(
            source="list", line=1
        ),
        item(12, "http://h/b"),
        item(14, "http://h/c"),
    ]  # fmt: skip
    assert [warning.split(":")[1] for warning in warnings] == ["13", "16"]
    assert "splat" in warnings[0]
    assert "gie" in warnings[1]


def test_warnings_do_not_flood() -> None:
    warnings: list[str] = []
    read("http://h/\n" + "".join(f" x{n}=1\n" for n in range(1000)), warnings)
    assert len(warnings) == 20


def test_an_option_wins_over_the_fragment() -> None:
    (entry,) = read(f"http://h/a#sha256={SHA}\n checksum=md5={MD5}")
    assert isinstance(entry, Item)
    assert entry.checksum == f"md5:{MD5}"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("junk", 1, "no scheme"),
        ("out=x", 1, "is an option of the URL above it; begin the line with a blank"),
        ("ftp://h/", 1, "not ftp"),
        ("http://h/\thttp://", 1, "mirror 1: has no host"),
        ("http://h/\x00", 1, "forbidden character"),
        ("http://h/\rhttp://h/", 1, "forbidden character"),
        ("  out=x", 1, "without a URL"),
        ("http://h/#sha256=12", 1, "64 hex digits"),
        ("\nhttp://h/\n checksum=sha-256=12", 2, "option checksum in line 3: sha256 has 64"),
        ("http://h/\n checksum=rot13=12", 1, "unknown digest"),
        ("http://h/\n header=x", 1, "Name: value"),
        ("http://h/\n header=a b: c", 1, "Name: value"),
        ("http://h/\n header=a: \x01", 1, "header a cannot be sent"),
        ("http://h/\n referer=☃", 1, "header Referer cannot be sent"),
        (b"http://h/\xff", 1, "not UTF-8"),
        ('"http://h/a"', 1, "begins with a quote"),
        ("'http://h/a',", 1, "begins with a quote"),
        ("<http://h/a>", 1, "begins with <"),
        ("- http://h/a", 1, "begins with the dash of a list"),
        ("12. http://h/a", 1, "begins with a number"),
        ("[a](http://h/a)", 1, "is a link of Markdown"),
        ("[a]: http://h/a", 1, "is a link of Markdown"),
        ("http://h/a HTTPS://h/b", 1, "two URLs on one line"),
        ("http://h/a\thttp://h/b http://h/c", 1, "two URLs on one line"),
        ("see http://h/a", 1, "words before the URL"),
        ("http://h/a.bin  b.bin", 1, "a name behind the URL; write out="),
        ("http://h/a ; the first", 1, "does not begin with #"),
        ("http://h/a.bin // the first", 1, "does not begin with #"),
        ("(http://h/a)", 1, "begins with a bracket"),
        ("url=http://h/a", 1, "words before the URL"),
        ("1\thttp://h/a", 1, "has a column before the URL"),
        ("http://h/a\ta.bin", 1, "a name behind the URL; write out="),
        ("http://h/a,", 1, "ends with a comma, which is %2C in a URL"),
        ("http://h/a;\r", 1, "ends with a semicolon"),
        ("sftp://h/a", 1, "not sftp"),
        ("h:8080/x", 1, "it must begin with http:// or https://"),
        ("a-long.host.example.org:80", 1, "it must begin with http:// or https://"),
        ("http://h/[001-100].jpg", 1, "has [001-100], which curl expands"),
        ("http://h/[a-z]", 1, "has [a-z], which curl expands"),
        ("http://h/" + "a" * MAX_LINE, 1, "longer than 65536 bytes"),
        ("#" + "a" * MAX_LINE, 1, "longer than 65536 bytes"),
        (b"\xff" * (MAX_LINE + 1), 1, "longer than 65536 bytes"),
        ("http://h/" + "a" * 8000, 1, "longer than 8000 characters"),
    ],
)
def test_bad_lines(text: str | bytes, line: int, why: str) -> None:
    (entry,) = read(text)
    assert isinstance(entry, BadLine)
    assert (entry.source, entry.line) == ("list", line)
    assert why in entry.message
    assert len(entry.text) <= MAX_SHOWN


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://h/a # b", ["http://h/a"]),
        ("http://h/a\t# b", ["http://h/a"]),
        ("http://h/a \t #http://h/c", ["http://h/a"]),
        ("http://h/a\thttp://h/b # c", ["http://h/a", "http://h/b"]),
        (f"http://h/a#sha256={SHA} # b", [f"http://h/a#sha256={SHA}"]),
        ("http://h/a#b", ["http://h/a#b"]),
        ("http://h/a b.bin", ["http://h/a b.bin"]),
        ("http://h/a -- b.bin", ["http://h/a -- b.bin"]),
        ("http://h/a?b=c,", ["http://h/a?b=c,"]),
        ("http://h/a\u200b", ["http://h/a"]),
        ("http://h/a\thttp://h/b\t", ["http://h/a", "http://h/b"]),
        ("http://h/get?q=a.b c.d", ["http://h/get?q=a.b c.d"]),
        ("http://h/[1]", ["http://h/[1]"]),
        ("http://h/http://i/", ["http://h/http://i/"]),
    ],
)
def test_a_comment_behind_a_url_and_what_may_be_in_one(text: str, urls: list[str]) -> None:
    (entry,) = read(text)
    assert isinstance(entry, Item)
    assert [entry.url, *entry.mirrors] == urls


@pytest.mark.parametrize(
    "text",
    [
        "This is a list of files",
        "See the files below:",
        "<b>a</b>",
        "a http://h/b",
        '{"a": 1}',
        "}",
        '"a.bin"',
        "- a.bin",
        "h:80/x",
    ],
)
def test_not_any_text_is_below_the_base(text: str) -> None:
    (entry,) = TextFormat(print, "http://h/d/").read([text.encode()], "list")
    assert isinstance(entry, BadLine)


@pytest.mark.parametrize("text", ["a", "/a.bin", "a b", "a long name.bin", "d/a?b=c", "../a", "?a"])
def test_what_is_below_the_base(text: str) -> None:
    (entry,) = TextFormat(print, "http://h/d/").read([text.encode()], "list")
    assert isinstance(entry, Item)


def test_a_mirror_may_be_below_the_base() -> None:
    lines = [b"f\thttp://i/f", b"http://i/g\tg"]
    entries = [*TextFormat(print, "http://h/d/").read(lines, "list")]
    assert [(e.url, e.mirrors) for e in entries if isinstance(e, Item)] == [
        ("http://h/d/f", ("http://i/f",)),
        ("http://i/g", ("http://h/d/g",)),
    ]


def test_options_of_a_bad_line_belong_to_it() -> None:
    assert len(read("junk\n out=x\n dir=y\nhttp://h/")) == 2
    assert len(read(" out=x\n dir=y\nhttp://h/")) == 2
    assert len(read("http://h/\n header=x\n out=y")) == 1


def test_a_bad_line_shows_no_secret_and_no_escape() -> None:
    (entry,) = read("http://me:hunter2@h:x/\x1b[31m")
    assert isinstance(entry, BadLine)
    assert entry.text == r"http://me:***@h:x/\x1b[31m"
    (entry,) = read("http://h/\n header=X: hunter2\x01")
    assert isinstance(entry, BadLine)
    assert "hunter2" not in str(entry)


URL, OUT, NEXT = b"http://h/a", b"  out=x", b"http://h/b"


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([URL, Pause.HOLD, OUT], ["hold", "a x"]),
        ([URL, Pause.FLUSH, NEXT], ["a", "flush", "b"]),
        ([URL, OUT, Pause.FLUSH, Pause.FLUSH], ["a x", "flush", "flush"]),
        ([URL, Pause.FLUSH, OUT, OUT, NEXT], ["a", "flush", "bad", "b"]),
        ([URL, Pause.FLUSH, b"", b"# x", NEXT, OUT], ["a", "flush", "b x"]),
        ([Pause.FLUSH, OUT], ["flush", "bad"]),
    ],
)
def test_pauses(lines: list[Line], shown: list[str]) -> None:
    assert [show(entry) for entry in run(lines)] == shown


def show(entry: Entry | Pause) -> str:
    if isinstance(entry, Pause):
        return entry.value
    if isinstance(entry, BadLine):
        assert "written" in entry.message or "write both" in entry.message or entry.line == 1
        return "bad"
    return f"{entry.url[-1]} {entry.out or ''}".strip()


def test_reading_is_lazy() -> None:
    def lines() -> Iterable[Line]:
        yield URL
        yield NEXT
        raise AssertionError("read too far")

    assert next(TextFormat(print).read(lines(), "list")) == item(1, "http://h/a")


@pytest.mark.parametrize("value", ["-1", "1.5", "1K", "\u0661", "9" * 19])
def test_a_size_is_a_number_of_bytes(value: str) -> None:
    (entry,) = read(f"http://h/a\n  size={value}")
    assert isinstance(entry, BadLine)
    assert "option size" in entry.message


def test_what_the_failure_list_says_is_read_back() -> None:
    listed = Item(
        "http://u:p@h/a b?x=1", ("http://g/a",), "d/x", "y", f"sha256:{SHA}", None,
        (("X-Key", "k"), ("User-Agent", "me")), source="list", line=4,
    )  # fmt: skip
    result = Result(
        "list", 4, "", None, None, Outcome.FAIL, FailureKind.DNS.value, transient=True, message="no"
    )
    (entry,) = read(entry_text(result, listed))
    assert isinstance(entry, Item)
    assert entry._replace(line=4) == listed


_lines = st.sampled_from([URL, OUT, NEXT, b"junk", b"", b"#", b"\thttp://h/\thttp://g/", b" x=1"])


@given(st.lists(st.binary(max_size=40) | _lines | st.sampled_from(Pause)))
def test_any_lines_give_clean_entries_and_all_pauses(lines: list[Line]) -> None:
    lines = [line if isinstance(line, Pause) else line.replace(b"\n", b"") for line in lines]
    entries = run(lines)
    assert [e for e in entries if isinstance(e, Pause)] == [
        line for line in lines if isinstance(line, Pause)
    ]
    numbers = [entry.line for entry in entries if not isinstance(entry, Pause)]
    assert numbers == sorted(set(numbers))
    for entry in entries:
        if isinstance(entry, BadLine):
            assert printable(entry.text) == entry.text
            assert printable(entry.message) == entry.message


# --- Lines ---------------------------------------------------------------------------------


@given(st.binary(max_size=300).map(lambda data: data.replace(b"a", b"\n")), st.data())
def test_split_lines_however_the_chunks_fall(text: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = text.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert list(split_lines(chunks)) == expected


def test_a_line_without_end_is_cut_and_skipped() -> None:
    seen = 0

    def chunks() -> Iterable[Line]:
        nonlocal seen
        for _ in range(1000):
            seen += 1
            yield b"x" * MAX_LINE
        yield b"rest\nnext"

    lines = split_lines(chunks())
    assert next(lines) == b"x" * (MAX_LINE + 1)
    assert seen == 2
    assert list(lines) == [b"next"]


@pytest.mark.parametrize(
    "length", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, MAX_LINE + 500, 3 * MAX_LINE]
)
@pytest.mark.parametrize("size", [1000, 4096, MAX_LINE])
def test_long_lines(length: int, size: int) -> None:
    text = b"a\n" + b"x" * length + b"\nb\n\n"
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(split_lines(chunks)) == [b"a", b"x" * min(length, MAX_LINE + 1), b"b", b""]


def test_a_pause_leaves_the_line_together() -> None:
    assert list(split_lines([b"a", Pause.FLUSH, b"b\nc"])) == [Pause.FLUSH, b"ab", b"c"]


@given(st.from_regex(_USUAL, fullmatch=True))
def test_what_is_taken_in_one_go_is_a_url(text: str) -> None:
    assert is_plain(text)
    assert text[-1] not in _SEPARATORS
    assert parse(text)
