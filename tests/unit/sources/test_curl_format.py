"""Configurations of curl's, and options of aria2's that mean nothing here."""

from __future__ import annotations

import os
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import ListError
from pdl.model import BadLine, Item
from pdl.settings import InputSettings
from pdl.sources import Pause
from pdl.sources.aria2 import MEANINGLESS
from pdl.sources.curl import CurlFormat
from pdl.sources.feed import open_sources
from pdl.sources.item_options import OPTIONS
from pdl.sources.registry import CHOICES, Formats
from pdl.sources.streams import split_lines

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.sources import Entry

MINE = b64encode(b"me:pw").decode()


def read(text: str, *, base: str | None = None) -> tuple[list[Entry], list[str]]:
    warnings: list[str] = []
    lines = split_lines([text.encode()] if text else [])
    entries = CurlFormat(warnings.append, base).read(lines, "l.conf")
    return [each for each in entries if not isinstance(each, Pause)], warnings


def items(text: str) -> list[tuple[str, str | None, tuple[tuple[str, str], ...]]]:
    entries, _ = read(text)
    assert all(isinstance(each, Item) for each in entries), entries
    return [(each.url, each.out, each.headers) for each in entries if isinstance(each, Item)]


@pytest.mark.parametrize(
    "line",
    [
        "url = http://h/a",
        "url=http://h/a",
        "url: http://h/a",
        "url:http://h/a",
        "url http://h/a",
        'url = "http://h/a"',
        'url\t"http://h/a"',
        "--url http://h/a",
        '--url "http://h/a"',
        "--url=http://h/a",
        "  url = http://h/a  # why",
        'url = "http://h/a" # why',
        "url = http://h/a\r",
    ],
)
def test_a_url_as_curl_writes_it(line: str) -> None:
    assert items(f"# mine\n\n{line}\n") == [("http://h/a", None, ())]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (r'"a b"', "a b"),
        (r'"a\"b"', 'a"b'),
        (r'"a\\b"', "a\\b"),
        (r'"a\tb"', "a\tb"),
        (r'"a\xb"', "axb"),
        ("a#b", "a#b"),
        ("a'b", "a'b"),
        ('"a#b"', "a#b"),
        ('"# a"', "# a"),
        ("é", "é"),
        (r"a\b", r"a\b"),
    ],
)
@pytest.mark.parametrize("option", ["output = ", "-o ", "--output ", "output:", "-o"])
def test_values_and_their_quotes(option: str, value: str, meant: str) -> None:
    if option == "-o" and " " in value:
        pytest.skip("curl takes a quote for a part of the word here")
    if option == "-o" and value[0] == '"':
        meant = value
    assert items(f"url = http://h/a\n{option}{value}\n") == [("http://h/a", meant, ())]


def test_outputs_belong_to_urls_in_their_order() -> None:
    text = "output = 1\nurl = http://h/a\nurl = http://h/b\noutput = 2\nurl = http://h/c\n"
    assert [out for _, out, _ in items(text)] == ["1", "2", None]
    text = "url = http://h/a\n-O\nurl = http://h/b\noutput = 2\n"
    assert [out for _, out, _ in items(text)] == [None, "2"]


def test_an_option_counts_up_to_the_next_next() -> None:
    text = (
        'url = http://h/a\nheader = "X-A: 1"\n-H "X-B: 2"\nurl = http://h/b\nuser-agent = "old"\n'
        'user-agent = "new 1"\nreferer = "http://r/;auto"\nuser = "me:pw"\nnext\nurl = http://h/c\n'
        "--next\nurl = http://h/d\n-A x\n-:\nurl = http://h/e\n"
    )
    both = (
        ("X-A", "1"),
        ("X-B", "2"),
        ("User-Agent", "new 1"),
        ("Referer", "http://r/"),
        ("Authorization", f"Basic {MINE}"),
    )
    found = {url[-1]: headers for url, _, headers in items(text)}
    assert found == {"a": both, "b": both, "c": (), "d": (("User-Agent", "x"),), "e": ()}


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("header = X-A;", (("X-A", ""),)),
        ('header = "Accept:"', ()),
        ('referer = ";auto"', ()),
        ("-sSLuu:p@ss", (("Authorization", f"Basic {b64encode(b'u:p@ss').decode()}"),)),
    ],
)
def test_fields_as_curl_has_them(line: str, headers: tuple[tuple[str, str], ...]) -> None:
    assert items(f"url = http://h/a\n{line}\n") == [("http://h/a", None, headers)]


def test_what_means_nothing_here_is_told_in_one_line() -> None:
    text = (
        "-L\n-fsS\n--parallel\ncreate-dirs\nremote-name-all\nmax-time = 20\nurl = http://h/a\n"
        "--retry 5\n-z 2020\nnext\nurl = http://h/b\nmax-time = 30\nhttp2\n"
    )
    entries, warnings = read(text)
    assert len(entries) == 2
    (warning,) = warnings
    assert warning == (
        "list 'l.conf': options of curl's that mean nothing here are ignored: max-time, retry, "
        "-z, http2"
    )
    assert read("url = http://h/a\n-L\n")[1] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://h/a\n", "write url = URL"),
        ("url = h/a\n", "has no scheme"),
        ("url = ftp://h/a\n", "only http and https"),
        ("url = http://h/[1-9]\n", "which curl expands"),
        ("url = http://h/a b\n", "write the value in quotes"),
        ('url = "http://h/a\n', "a quote that is not closed"),
        ("url =\n", "has no value"),
        ('url = "http://h/a\\thttp://h/b"\n', "has a tabulator"),
        ("url = http://h/a\ndata = x\n", "no download for curl: it has the option data"),
        ("url = http://h/a\n-XPOST\n", "no download for curl: it has the option request"),
        ("url = http://h/a\n-I\n", "no download for curl: it has the option head"),
        ("url = http://h/a\noutput = -\n", "is standard output"),
        ("url = http://h/a\nheader = @f\n", "fields in a file"),
        ("url = http://h/a\nheader = nothing\n", "a header is written as Name: value"),
        ("url = http://h/a\nuser = me\n", "the user has no password"),
        ('url = "http://h/a#sha256=x"\n', "sha256"),
    ],
)
def test_what_cannot_be_taken_is_that_lines_failure(text: str, said: str) -> None:
    (entry,), _ = read(text)
    assert isinstance(entry, BadLine)
    assert said in entry.message
    assert (entry.source, entry.line) == ("l.conf", 1)


def test_a_secret_of_a_line_that_is_wrong_is_not_shown() -> None:
    text = (
        'url = http://h/a\nuser = "me:hunter2\nheader = "Authorization: hunter2" x\n'
        'heade = "hunter2"\n-ume:hunter2 x\n-u me:hunter2 x\nheader = "X\x01: hunter2"\n'
    )
    entries, warnings = read(text)
    assert len([each for each in entries if isinstance(each, BadLine)]) == 3
    assert "hunter2" not in f"{entries}{warnings}"


def test_the_digest_of_a_fragment_is_read_and_a_base_applies() -> None:
    (entry,), _ = read(f"url = a#sha256={'0' * 64}\n", base="http://h/d/")
    assert isinstance(entry, Item)
    assert entry.url.startswith("http://h/d/a#")
    assert entry.checksum == f"sha256:{'0' * 64}"


@given(
    st.lists(
        st.sampled_from(
            [
                'url = "',
                "http://h/a",
                '"',
                "\\",
                "\n",
                "output",
                "=",
                ":",
                " ",
                "-o",
                "-u",
                "next\n",
                "#",
                "header",
                "--",
                "-",
                "\x00",
                "\ufeff",
                "é",
                "X: y",
            ]
        ),
        max_size=30,
    ).map("".join)
)
def test_any_text_has_an_outcome_for_each_of_its_lines(text: str) -> None:
    entries, warnings = read(text)
    assert len(warnings) <= 1
    for entry in entries:
        assert 1 <= entry.line <= text.count("\n") + 1


# --- the format is given ---


@pytest.mark.parametrize(
    ("form", "data", "urls"),
    [
        ("curl", b'# mine\n-L\noutput = "a.bin"\nurl = "https://h/a.bin"\n', ["https://h/a.bin"]),
        ("csv", b"<body>,url\nx,https://h/a\n", ["https://h/a"]),
        ("csv", b"url,-L\nhttps://h/a,x\n", ["https://h/a"]),
    ],
)
def test_a_format_that_is_given_decides_before_any_guess(
    tmp_path: Path, form: str, data: bytes, urls: list[str]
) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    settings = InputSettings(format=form)
    feed = open_sources([str(path)], 0, print, settings=settings)
    assert [each.url for each in feed.take(9) if isinstance(each, Item)] == urls
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    feed = open_sources(["-"], reading, print, settings=settings)
    assert [each.url for each in feed.take(9) if isinstance(each, Item)] == urls
    os.close(reading)


@pytest.mark.parametrize("form", [each for each in CHOICES if each != "auto"])
@pytest.mark.parametrize("data", [b"PK\x03\x04\x14\0\0\0", b"http://h/a\n\0"])
def test_what_is_no_text_is_no_list_in_any_format(tmp_path: Path, form: str, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    with pytest.raises(ListError, match="no list but"):
        open_sources([str(path)], 0, print, settings=InputSettings(format=form))


def test_a_configuration_of_curls_is_told_of_its_format(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("url = https://h/a\n")
    with pytest.raises(ListError, match="--format curl reads it"):
        open_sources([str(path)], 0, print)


# --- aria2 ---


def test_options_of_aria2_that_mean_nothing_here_are_told_in_one_line() -> None:
    text = (
        "http://h/a\n  out=x\n  split=5\n  continue=true\n  gid=1\nhttp://h/b\n  split=1\n"
        "  outt=y\n  max-tries=2\n  always-resume=true\n"
    )
    warnings: list[str] = []
    formats = Formats(InputSettings(), warnings.append)
    for name in ("one.txt", "two.txt"):
        entries = list(formats.read([text.encode()], name))
        assert [each.url for each in entries if isinstance(each, Item)] == [
            "http://h/a",
            "http://h/b",
        ]
    noise = "options of aria2's that mean nothing here are ignored"
    assert warnings == [
        "one.txt:8: option outt is unknown and ignored",
        f"list 'one.txt': {noise}: split, continue, gid, max-tries, always-resume",
        f"list 'two.txt': {noise}: split, continue, gid, max-tries, always-resume",
    ]


def test_what_pdl_reads_is_not_among_what_means_nothing() -> None:
    assert not MEANINGLESS & OPTIONS
