"""Lists, headers and answers made to hurt: every parser takes anything, and nothing gets out."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdl.cli.failure_options import Allowance, Statuses
from pdl.cli.option_types import Header, Kind, Size
from pdl.errors import PdlError
from pdl.http_rules.dates import http_seconds, retry_after
from pdl.http_rules.ranges import Answered, Known, Step, Validator, parse_content_range, step
from pdl.http_rules.redirects import BadRedirect, target
from pdl.integrity.digests import BadChecksum, parse_checksum
from pdl.model import BadLine, Item
from pdl.naming.namer import Namer
from pdl.naming.safe_name import SafeName, UnsafeName
from pdl.settings import NamingSettings
from pdl.sources.item_options import parse_header
from pdl.sources.streams import split_lines
from pdl.sources.text import TextFormat
from pdl.text.masking import mask, printable
from pdl.text.rules import header_fault
from pdl.text.urls import InvalidUrl, Url, parse, part_name
from pdl.transport import TransportError
from pdl.transport.http.head import MAX_LENGTH, content_length, framing, parse_head
from servers.files import File

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner import Run, Runner
    from servers.misbehave import Server

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal may obey, but for a tabulator and the line's own end."""

NASTY = (
    "http://h/../../etc/passwd",
    "http://h/%2e%2e%2f%2e%2e%2fx",
    "http://h/..%5c..%5cx",
    "http://h/\x1b]0;owned\x07",
    "http://h/%1b%5b2J",
    "http://h/\u202egpj.exe",
    "http://h/a\x00b",
    "http://h/.pdl",
    "http://h/%2Epdl%2Flock",
    "http://h/" + "é" * 300 + ".tar.gz",
    "http://[::1",
    "http://h:99999999999999999999/",
    "http://user:pa\x1bss@h/",
    "file:///etc/passwd",
    "http://h/a\r\nHost: evil",
    "//h/x",
    "http://\udcff/",
    "http://h/#sha256=zz",
    "http://xn--\u0378/",
)
PIECES = st.sampled_from(
    (*NASTY, "http://h/", "%2e", "..", "/", "\\", "\x1b[", "\t", "\r", "\n", "  out=", "  dir=")
) | st.sampled_from(
    ("  checksum=sha-256=", "  header=", "#", "@", ":", "[", "]", "\u202e", "\ufeff", "%", "~")
)
TEXT = st.lists(PIECES | st.text(max_size=8), max_size=8).map("".join)
BYTES = st.binary(max_size=200) | TEXT.map(lambda text: text.encode("utf-8", "surrogateescape"))
ANY = st.text(max_size=60) | TEXT | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))


def safe_below(path: str) -> bool:
    """Whether the path stays below its directory, out of pdl's own, and can be shown."""
    parts = path.split("/")
    return (
        all(part not in {"", ".", ".."} for part in parts)
        and parts[0].casefold() != ".pdl"
        and all(len(part.encode()) <= 255 for part in parts)
        and not CONTROL.search(path)
        and "\\" not in path
        and Path("/base", path).resolve().is_relative_to("/base")
    )


def shown(text: str) -> bool:
    return not CONTROL.search(text) and "\n" not in text


# --- lists and URLs ---


@pytest.mark.slow
@given(BYTES)
@settings(max_examples=400)
def test_any_bytes_are_a_list(data: bytes) -> None:
    warnings: list[str] = []
    for entry in TextFormat(warnings.append).read(split_lines([data]), "list"):
        if isinstance(entry, BadLine):
            assert shown(entry.text)
            assert shown(printable(entry.message))
        elif isinstance(entry, Item):
            checked = parse(entry.url)
            assert checked.scheme in {"http", "https"}
            check_names(entry, checked)
    assert all(shown(printable(text)) for text in warnings)


def check_names(item: Item, url: Url) -> None:
    for template in (NamingSettings(), NamingSettings(tree=True), NamingSettings("{host}-{name}")):
        with suppress(UnsafeName):
            path = Namer(template).path_for(item, url, 1)
            assert safe_below(path), path
            assert re.fullmatch(r"[0-9a-f]+\.part", part_name(url, path))


@pytest.mark.slow
@given(TEXT | ANY)
@settings(max_examples=400)
def test_any_text_is_a_url_or_refused(text: str) -> None:
    assert shown(mask(text))
    try:
        url = parse(text)
    except InvalidUrl:
        return
    assert re.fullmatch(r"[\x21-\x7e]+", url.request_url)
    assert parse(url.request_url).request_url == url.request_url
    check_names(Item(text, source="list", line=1), url)


@pytest.mark.parametrize("url", NASTY)
def test_a_nasty_url_is_refused_or_stays_inside(url: str) -> None:
    with suppress(InvalidUrl):
        check_names(Item(url, source="list", line=1), parse(url))


@pytest.mark.slow
@given(ANY, ANY)
@settings(max_examples=300)
def test_a_list_chooses_no_path_outside(out: str, directory: str) -> None:
    check_names(
        Item("http://h/x", out=out, directory=directory, source="list", line=1), parse("http://h/x")
    )


@given(ANY)
@settings(max_examples=300)
def test_a_server_chooses_no_path_outside(text: str) -> None:
    assert safe_below(SafeName.from_text(text))
    assert safe_below(SafeName.component(text))


@given(ANY)
def test_any_template_is_one_or_refused(text: str) -> None:
    with suppress(PdlError, UnsafeName):
        path = Namer(NamingSettings(text)).path_for(
            Item("http://h/x", source="list", line=1), parse("http://h/x"), 1
        )
        assert safe_below(path)


@given(
    ANY
    | st.from_regex(r"(sha-?256|md5|shake_128|crc32)[:=][0-9a-f]{0,70}", fullmatch=True)
    | st.from_regex(r"(?i:md5)[:=][0-9a-fA-F]{32}|sha-?256[:=][0-9a-f]{64}", fullmatch=True)
)
def test_any_text_is_a_checksum_or_refused(text: str) -> None:
    with suppress(BadChecksum):
        assert re.fullmatch(r"[a-z0-9_]+:[0-9a-f]+", parse_checksum(text))


# --- options ---


@given(ANY | st.tuples(st.sampled_from(["X: ", "A:", ": "]), ANY).map("".join))
@settings(max_examples=300)
def test_no_header_forges_another(text: str) -> None:
    with suppress(ValueError):
        name, value = parse_header(text)
        assert not re.search(r"[\r\n\0:]", name)
        assert not re.search(r"[\r\n\0]", value)
        (name + value).encode("latin-1")
    with suppress(click.BadParameter):
        name, value = Header().convert(text, None, None)
        assert not re.search(r"[\r\n\0]", name + value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sound"),
    [
        (Size(), lambda size: 0 <= size < 1 << 120),
        (
            Statuses(),
            lambda each: each <= set(range(1000)),
        ),  # which of them, says the setting's rule
        (Allowance(), lambda most: most[0] >= 0),
        (Header(), lambda field: not header_fault(*field)),
    ],
)
def test_option_values_are_read_or_refused(kind: Kind, sound: Callable[..., object]) -> None:
    @given(ANY | st.from_regex(r"[0-9]{1,400}[KMGT%]?", fullmatch=True))
    def check(text: str) -> None:
        with suppress(click.BadParameter):
            found = kind.convert(text, None, None)
            assert sound(found), found

    check()


# --- what servers say ---

NUMBERS = st.integers(-5, 10**20)
NEAR = st.integers(0, 3)
RANGES = (
    st.builds("bytes {}-{}/{}".format, NUMBERS, NUMBERS, NUMBERS | st.just("*"))
    | st.builds("bytes {}-{}/{}".format, NEAR, NEAR, NEAR | st.just("*"))
    | ANY
)


@given(RANGES, st.integers(1, 3) | st.integers(1, 10**6), NEAR | NUMBERS)
@example("bytes 1-2/3", 1, 2)
@settings(max_examples=300)
def test_no_content_range_joins_what_does_not_fit(field: str, offset: int, length: int) -> None:
    known = Known(offset, Validator('"one"'), None)
    answer = Answered(206, field, length, '"one"', None)
    if step(known, answer) is Step.APPEND:
        where = parse_content_range(field)
        assert where is not None
        assert where.first == offset
        assert where.last is not None
        assert length == where.last - offset + 1


@given(ANY | st.from_regex(r"[0-9]{1,30}", fullmatch=True), ANY)
@settings(max_examples=300)
def test_dates_and_waits_are_numbers_or_nothing(text: str, date: str) -> None:
    seconds = http_seconds(text)
    assert seconds is None or isinstance(seconds, float)
    wait = retry_after(text, date)
    assert wait is None or wait >= 0


@given(
    st.binary(max_size=300)
    | st.from_regex(rb"[0-9]{1,30}(\r\n[A-Za-z-]{1,9}: ?[a-z0-9]{0,9})?", fullmatch=True)
    | ANY.map(lambda text: text.encode("utf-8", "surrogateescape"))
)
@settings(max_examples=300)
def test_any_bytes_are_a_head_or_refused(raw: bytes) -> None:
    for data in (raw, b"HTTP/1.1 200 OK\r\n" + raw, b"HTTP/1.1 200 OK\r\nContent-Length: " + raw):
        with suppress(TransportError):
            framed = framing(parse_head(data))
            assert framed.length is None or framed.length >= 0
    with suppress(TransportError):
        length = content_length(raw.decode("latin-1"))
        assert length is not None
        assert 0 <= length <= MAX_LENGTH


@given(ANY)
@settings(max_examples=300)
def test_a_redirect_goes_to_http_or_nowhere(text: str) -> None:
    try:
        location = text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        return
    try:
        url = target(parse("http://h/a/b"), location)
    except BadRedirect:
        return
    assert url.scheme in {"http", "https"}
    assert re.fullmatch(r"[\x21-\x7e]+", url.request_url)


# --- the real command ---


def ends_well(run: Run) -> None:
    assert run.code in {0, 1, 2}, run.err
    assert "Traceback" not in run.err + run.out
    assert "internal" not in run.err + run.out
    assert not CONTROL.search(run.err.replace("\n", "") + run.out.replace("\n", ""))


def junk(kind: str) -> bytes:
    chance = random.Random(kind)
    plain = "\n".join(NASTY).encode("utf-8", "surrogateescape")
    return {
        "nothing": b"",
        "zeros": bytes(200_000),
        "random": chance.randbytes(100_000),
        "lines": b"".join(chance.randbytes(20) + b"\n" for _ in range(2_000)),
        "endless-line": b"http://127.0.0.1:1/" + b"a" * 1_000_000,
        "nasty": plain,
        "utf-16": plain.decode("utf-8", "replace").encode("utf-16"),
        "cut-gzip": gzip.compress(chance.randbytes(5_000))[:-700],
        "gzip-of-junk": gzip.compress(chance.randbytes(5_000)),
        "junk-as-gzip": b"\x1f\x8b" + chance.randbytes(500),
        "bzip2": bz2.compress(plain)[:-5],
        "xz": lzma.compress(plain)[:-5],
    }[kind]


KINDS = ["nothing", "zeros", "random", "lines", "endless-line", "nasty", "utf-16", "cut-gzip"]
KINDS += ["gzip-of-junk", "junk-as-gzip", "bzip2", "xz"]
OPTIONS = ("--engine", "inline", "--retries", "0", "--connect-timeout", "2", "--progress", "plain")


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_takes_any_list(pdl_run: Runner, tmp_path: Path, kind: str) -> None:
    (tmp_path / "home").mkdir()
    data = junk(kind).replace(b"http://h", b"http://127.0.0.1:1")
    (tmp_path / "list").write_bytes(data)
    ends_well(pdl_run(*OPTIONS, "-d", "home/out", "--failed", "home/failed", "list"))
    if kind in {"nasty", "lines"}:
        ends_well(pdl_run("--dry-run", "-d", "home/out", "list"))
        ends_well(pdl_run(*OPTIONS, "-d", "home/out", "-", stdin=data))
    assert {path.name for path in tmp_path.iterdir()} == {"home", "list"}
    assert {path.name for path in (tmp_path / "home").iterdir()} <= {"out", "failed"}


def test_every_nasty_name_becomes_a_file_inside(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    server._fallback = lambda _path: (File(b"body"),)
    lines = [
        url.replace("http://h/", f"{server.base}/") for url in NASTY if not {"\n", "\0"} & set(url)
    ]
    outs = ("../x", "/etc/x", "a/../../x", ".pdl/lock", "\x1b[2J", "~/x", "C:\\x", "a//b", ".")
    lines += [f"{server.base}/o{n}\n  out={out}" for n, out in enumerate(outs)]
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    (tmp_path / "list").write_bytes(text)
    run = pdl_run(*OPTIONS, "-v", "-d", "out", "--report", "rows.json", "list")
    ends_well(run)
    report = (tmp_path / "rows.json").read_text()
    assert "\x1b" not in report
    assert json.loads(report)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "list", "rows.json"}
    state = tmp_path / "out" / ".pdl"
    assert {path.name for path in state.glob("*")} <= {"state.sqlite"}
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    found = [path for path in found if state not in path.parents]
    assert len(found) > 5
    for path in found:
        assert safe_below(str(path.relative_to(tmp_path / "out")))
        assert path.read_bytes() == b"body"


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", ["X\r\nY: 1", "no colon", ": empty", "X: \x1b[2J", "X: \u20ac", "A" * 70_000 + ": 1"]
)
def test_the_header_option_forges_nothing(
    server: Server, pdl_run: Runner, tmp_path: Path, value: str
) -> None:
    url = server.on("/a", File(b"body"))
    run = pdl_run(*OPTIONS, "-H", value, "-d", "out", url)
    ends_well(run)
    assert all(seen.header("Y") is None for seen in server.requests())
