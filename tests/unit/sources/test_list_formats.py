"""Every format of lists: the same files in each, found out by name or content, packed or not."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import ListError
from pdl.model import BadLine, FailureKind, Item, Outcome, Result
from pdl.output.reports.failure_list import entry_text
from pdl.settings import InputSettings, ListFormat
from pdl.sources import Pause
from pdl.sources.feed import open_sources
from pdl.sources.registry import Formats, by_content, by_name
from pdl.sources.streams import MAX_LINE
from pdl.sources.text import TextFormat
from pdl.text.masking import printable
from servers.files import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pdl.sources import Entry
    from runner import Runner
    from servers.misbehave import Server

BASE = "http://h/d/"
FORMATS: tuple[ListFormat, ...] = ("text", "csv", "tsv", "jsonl", "metalink", "checksums")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


class Wanted(NamedTuple):
    """One of the files that every form lists."""

    name: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


FILES = [Wanted(f"f {n}.bin" if n % 7 == 0 else f"f{n}.bin", b"%d" % n * n) for n in range(1, 51)]


def url(file: Wanted, base: str) -> str:
    return base + file.name.replace(" ", "%20")


def table(base: str, dialect: type[csv.Dialect]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, dialect)
    writer.writerow(["url", "out", "sha256", "size", "mirrors"])
    for file in FILES:
        row = [url(file, base), file.name, file.sha256, len(file.body)]
        writer.writerow([*row, f"http://m1/{len(file.body)} http://m2/x"])
    return out.getvalue()


def text(base: str) -> str:
    return "".join(
        f"{url(file, base)}\thttp://m1/{len(file.body)}\thttp://m2/x\n  out={file.name}\n"
        f"  size={len(file.body)}\n  checksum=sha-256={file.sha256}\n"
        for file in FILES
    )


def jsonl(base: str) -> str:
    rows = [
        {
            "url": url(file, base),
            "out": file.name,
            "sha256": file.sha256,
            "size": len(file.body),
            "mirrors": [f"http://m1/{len(file.body)}", "http://m2/x"],
        }
        for file in FILES
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def metalink4(base: str) -> str:
    files = "".join(
        f'<file name="{file.name}"><size>{len(file.body)}</size>'
        f'<hash type="sha-1">{"0" * 40}</hash><hash type="sha-256">{file.sha256.upper()}</hash>'
        f'<url>http://m2/x</url><url priority="2">http://m1/{len(file.body)}</url>'
        f'<url priority="1">{url(file, base)}</url></file>\n'
        for file in FILES
    )
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{files}</metalink>'


def metalink3(base: str) -> str:
    files = "".join(
        f'<file name="{file.name}"><size>{len(file.body)}</size>'
        f'<verification><hash type="sha256">{file.sha256}</hash></verification><resources>'
        f'<url type="http" preference="10">http://m1/{len(file.body)}</url>'
        f'<url type="http" preference="100">{url(file, base)}</url>'
        f'<url type="http">http://m2/x</url></resources></file>\n'
        for file in FILES
    )
    xmlns = 'version="3.0" xmlns="http://www.metalinker.org/"'
    return f'<?xml version="1.0"?>\n<metalink {xmlns}><files>{files}</files></metalink>'


FORMS: dict[str, Callable[[str], str]] = {
    "urls.txt": text,
    "urls.csv": lambda base: table(base, csv.excel),
    "urls.tsv": lambda base: table(base, csv.excel_tab),
    "urls.jsonl": jsonl,
    "urls.metalink": metalink3,
    "urls.meta4": metalink4,
    "SHA256SUMS": lambda _: "".join(f"{file.sha256}  {file.name}\n" for file in FILES),
}


def read(path: Path, base: str | None = None, form: ListFormat = "auto") -> list[Entry]:
    settings = InputSettings(form, base)
    with closing(open_sources([str(path)], 0, pytest.fail, settings=settings)) as feed:
        return list(drain(feed.take, lambda: feed.exhausted))


def drain(take: Callable[[int], list[Entry]], done: Callable[[], bool]) -> Iterator[Entry]:
    while not done():
        yield from take(7)


def parse(form: ListFormat, data: bytes, name: str = "list") -> list[Entry | Pause]:
    formats = Formats(InputSettings(form, BASE), lambda _: None)
    pieces = [data[at : at + MAX_LINE] for at in range(0, len(data), MAX_LINE)]
    return list(formats.read(pieces, name))


def plain(entries: Iterable[Entry | Pause]) -> list[Item]:
    items = [entry for entry in entries if isinstance(entry, Item)]
    return [item._replace(source="", line=0) for item in items]


# --- The same list in every form -----------------------------------------------------------


@pytest.mark.parametrize("packed", ["", *PACKERS])
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_files_in_every_form(form: str, named: bool, packed: str, tmp_path: Path) -> None:
    path = tmp_path / (f"{form}.{packed}".rstrip(".") if named else "list")
    data = FORMS[form](BASE).encode()
    path.write_bytes(PACKERS[packed](data) if packed else data)
    entries = read(path, BASE)
    expected = [
        Item(
            url(file, BASE), (f"http://m1/{len(file.body)}", "http://m2/x"),
            file.name, None, f"sha256:{file.sha256}", len(file.body),
        )
        for file in FILES
    ]  # fmt: skip
    if form == "SHA256SUMS":
        expected = [item._replace(mirrors=(), out=None, size=None) for item in expected]
    assert plain(entries) == expected
    assert {entry.source for entry in entries} == {str(path)}


@pytest.mark.parametrize("form", FORMS)
def test_the_estimate_is_right(form: str, tmp_path: Path) -> None:
    path = tmp_path / form
    path.write_text(FORMS[form](BASE))
    feed = open_sources([str(path)], 0, pytest.fail)
    assert feed.estimate() == len(FILES)


@pytest.mark.slow
@pytest.mark.usefixtures("no_leftovers")
def test_every_form_downloads_the_same(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    bodies = {file.name: file.body for file in FILES}
    for file in FILES:
        server.on("/d/" + file.name.replace(" ", "%20"), File(file.body))
    base = server.url("/d/")
    lists = []
    for number, (name, make) in enumerate(FORMS.items()):
        lists.append(tmp_path / name)
        packed = [*PACKERS.values(), bytes][number % 4]
        lists[-1].write_bytes(packed(make(base).encode()))
        out = tmp_path / f"out{number}"
        run = pdl_run(lists[-1], "-d", out, "--base-url", base, "--engine", "inline")
        assert run.code == 0, run.err
        assert {path.name: path.read_bytes() for path in out.iterdir()} == bodies
    together = pdl_run(*lists, "-d", "all", "--base-url", base, "--progress", "none")
    assert together.code == 0, together.err
    assert f"{len(FILES) * len(FORMS)} succeeded" in together.err


# --- Which format --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a/urls.CSV", "csv"), ("x.tab", "tsv"), ("x.ndjson.xz", "jsonl"),
        ("x.metalink", "metalink"),
        ("x.meta4.gz", "metalink"), ("SHA256SUMS", "checksums"), ("sha512sum.txt", "checksums"),
        ("MD5SUMS.bz2", "checksums"), ("x.iso.sha256", "checksums"), ("B2SUMS", "checksums"),
        ("x-CHECKSUM", "checksums"), ("sha3-256sums.txt", "checksums"),
        ("urls.txt", None), ("-", None), ("csv", None), ("a.csv/urls", None), ("sums", None),
    ],
)  # fmt: skip
def test_names(name: str, form: str | None) -> None:
    assert by_name(name) == form


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("http://h/a\n", "text"),
        ("", None),
        ("# c\n\n", None),
        ("http://h/url,url", None),
        ("# c\n\nurl\n", "tsv"),
        ('\ufeff"URL","out"\n', "csv"),
        ("out;url\r\n", "csv"),
        ("out\turl\n", "tsv"),
        ("out,urls\n", "text"),
        ('{"url": "x"}\n', "jsonl"),
        ("<?xml ", "metalink"),
        ("\n <metalink ", "metalink"),
        ("<!DOCTYPE html>\n", "text"),
        (f"{'0' * 64}  x\n", "checksums"),
        (f"{'0' * 31}  x\n", "text"),
        (f"SHA256 (x y) = {'0' * 64}\n", "checksums"),
        (f"SHA2-256(x)= {'0' * 64}\n", "checksums"),
        ("-----BEGIN PGP SIGNED MESSAGE-----\n", "checksums"),
        ("#" * (MAX_LINE + 1), "text"),
    ],
)
def test_contents(head: str, form: str | None) -> None:
    assert by_content(head.encode(), whole=False) == form
    assert by_content(head.encode(), whole=True) == (form or "text")


def test_the_format_given_rules(tmp_path: Path) -> None:
    path = tmp_path / "urls.csv"
    path.write_text("http://h/a,b\n")
    assert [item.url for item in plain(read(path, form="text"))] == ["http://h/a,b"]
    with pytest.raises(ListError, match="no header row with a column url"):
        read(path)


def test_a_stream_is_read_as_it_comes_in_any_format() -> None:
    reader, writer = os.pipe()
    clock = [0.0]
    feed = open_sources(["-"], reader, pytest.fail, lambda: clock[0])
    taken: list[list[str]] = []
    try:
        for piece in ("#\nurl,o", "ut\nhttp://h/a,x\nhttp", "://h/b,y\n"):
            os.write(writer, piece.encode())
            taken.append([item.url for item in plain(feed.take(9))])
            clock[0] += 9
            assert feed.take(9) == []
    finally:
        feed.close()
        os.close(reader)
        os.close(writer)
    assert taken == [[], ["http://h/a"], ["http://h/b"]]


# --- What is wrong -------------------------------------------------------------------------

GOOD: dict[ListFormat, tuple[str, str, str, str]] = {  # start, an item, a bad one, end
    "text": ("", "http://h/f{n}\n", "ftp://h/\n", ""),
    "csv": ("url,size\n", "http://h/f{n},1\n", "http://h/f,x\n", ""),
    "tsv": ("size\turl\n", "1\thttp://h/f{n}\n", "\tjunk:\n", ""),
    "jsonl": ("", '{{"url":"http://h/f{n}"}}\n', '{"url":\n', ""),
    "metalink": (
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n',
        '<file name="f{n}"><url>http://h/f{n}</url></file>\n',
        '<file name="f"><url>ftp://h/f</url></file>\n',
        "</metalink>\n",
    ),
    "checksums": ("", "a" * 64 + "  f{n}\n", "a" * 63 + "  f\n", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_an_error_deep_in_a_list_is_that_lines(form: ListFormat, tmp_path: Path) -> None:
    start, good, bad, end = GOOD[form]
    lines = [good.format(n=n) for n in range(100_000 if form == "jsonl" else 10_000)]
    place = len(lines) * 7 // 10
    lines[place] = bad
    path = tmp_path / "list"
    path.write_text(start + "".join(lines) + end)
    entries = read(path, "http://h/", form)
    assert len(entries) == len(lines)
    wrong = [entry for entry in entries if isinstance(entry, BadLine)]
    assert [(each.source, each.line) for each in wrong] == [
        (str(path), place + 1 + start.count("\n"))
    ]
    assert entries[-1].line == len(lines) + start.count("\n")


@pytest.mark.slow
@pytest.mark.parametrize("packed", PACKERS)
def test_a_packed_list_that_breaks_off_counts_so_far(packed: str, tmp_path: Path) -> None:
    # digests do not pack well, so that half of the data holds many lines
    lines = [f'{{"url":"http://h/{hashlib.sha512(b"%d" % n).hexdigest()}"}}' for n in range(20_000)]
    data = PACKERS[packed]("\n".join(lines).encode())
    path = tmp_path / "list.jsonl"
    path.write_bytes(data[: len(data) * 3 // 4])
    feed = open_sources([str(path)], 0, pytest.fail)
    entries: list[Entry] = []
    with closing(feed), pytest.raises(ListError) as raised:
        entries.extend(drain(feed.take, lambda: feed.exhausted))
    assert "list.jsonl" in str(raised.value)
    assert plain(entries) == [Item(json.loads(line)["url"]) for line in lines[: len(entries)]]
    assert len(entries) > 1000


@pytest.mark.parametrize("packed", PACKERS)
def test_members_one_after_the_other_are_one_list(packed: str) -> None:
    pack = PACKERS[packed]
    data = pack(b"http://h/a\nhttp") + pack(b"") + pack(b"://h/b\n") + b"\0" * 8
    assert [item.url for item in plain(parse("text", data))] == ["http://h/a", "http://h/b"]


@pytest.mark.slow
@pytest.mark.parametrize("packed", PACKERS)
def test_a_bomb_gives_control_back_and_is_one_bad_line(packed: str) -> None:
    data = PACKERS[packed](b"http://h/a\n" + b"x" * (16 << 20) + b"\nhttp://h/b\n")
    entries = parse("text", data)
    assert entries.count(Pause.HOLD) >= 10
    kept = [entry for entry in entries if not isinstance(entry, Pause)]
    assert [type(entry) for entry in kept] == [Item, BadLine, Item]
    assert all(len(str(entry)) < 1000 for entry in kept)


def test_a_list_that_wants_too_much_memory_is_refused() -> None:
    # a header that asks for 2 GiB: an encoder that does would need as much itself
    small = bytearray(lzma.compress(b"http://h/a\n", check=lzma.CHECK_NONE))
    header = small[12:24]
    header[4] = 38  # a dictionary of 2 GiB (xz file format, section 5.3.1)
    small[12:24] = header
    small[20:24] = zlib.crc32(bytes(small[12:20])).to_bytes(4, "little")
    with pytest.raises(ListError, match="broken xz data: Memory usage limit"):
        parse("text", bytes(small))


# --- Relative URLs, digests and sizes ------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("text", "a b\t/c\n"),
        ("csv", "url,mirrors\na b,/c\n"),
        ("jsonl", '{"url":"a b","mirrors":["/c"]}'),
        (
            "metalink",
            '<metalink><file name="n"><url>a b</url><url>/c</url></file></metalink>',
        ),
    ],
)
def test_relative_urls_are_resolved(form: ListFormat, data: str) -> None:
    (item,) = plain(parse(form, data.encode()))
    assert (item.url, item.mirrors) == (BASE + "a b", ("http://h/c",))


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("text", "http://h/a#sha256={}"),
        ("csv", "url\nhttp://h/a#sha256={}"),
        ("tsv", "url\nhttp://h/a#sha256={}"),
        ("jsonl", '{{"url":"http://h/a#sha256={}"}}'),
        (
            "metalink",
            '<metalink><file name="n"><url>http://h/a#sha256={}</url></file></metalink>',
        ),
    ],
)
def test_a_fragment_may_be_the_digest_in_every_format(form: ListFormat, data: str) -> None:
    (item,) = plain(parse(form, data.format("a" * 64).encode()))
    assert item.checksum == "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("text", "http://h/a#sha256={0}\n  checksum=sha256={1}"),
        ("csv", "url,sha256\nhttp://h/a#sha256={0},{1}"),
        ("csv", "url,checksum\nhttp://h/a#sha256={0},sha256={1}"),
        ("jsonl", '{{"url":"http://h/a#sha256={0}","sha256":"{1}"}}'),
        (
            "metalink",
            """<metalink><file name="n"><hash type="sha256">{1}</hash>
            <url>http://h/a#sha256={0}</url></file></metalink>""",
        ),
    ],
)
def test_a_digest_that_the_list_gives_itself_goes_before_a_fragment(
    form: ListFormat, data: str
) -> None:
    (item,) = plain(parse(form, data.format("a" * 64, "b" * 64).encode()))
    assert item.checksum == "sha256:" + "b" * 64


def test_size_and_mirrors_survive_the_failure_list() -> None:
    item = Item(
        "http://h/a", ("http://m/a",), size=0, checksum="sha256:" + "a" * 64, source="l", line=1
    )
    result = Result("l", 1, "", None, None, Outcome.FAIL, FailureKind.SIZE.value)
    lines = entry_text(result, item).encode().split(b"\n")
    assert plain(TextFormat(pytest.fail).read(lines, "f")) == plain([item])


@pytest.mark.parametrize("given_url", ["ftp://h/", "junk", "http://"])
def test_a_base_that_is_no_url_is_a_usage_error(given_url: str, pdl_run: Runner) -> None:
    run = pdl_run("--base-url", given_url, "list")
    assert run.code == 2
    assert "--base-url" in run.err


# --- Anything at all -----------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *"<>\"'{}[],;\t\n\r#()=\\ &", "<metalink>", "<files>", "<file name='x'>", "</file>",
        "<url>http://h/</url>", "<hash type='md5'>", "</hash>", "<size>", "</size>", "<!--", "-->",
        "<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;", "<![CDATA[", "url,size\n", "url\tout\n", "http://h/a",
        '{"url":', '"http://h/"', "\\ud800", "NaN", "1e999", "null", "[" * 2000, "9" * 5000,
        "0" * 32 + "  ", "SHA256 (x) = ", "a" * 64, "\udc80", "\x00", "\ufeff", "'''", "../",
        "-----BEGIN PGP SIGNATURE-----\n", "\x1b[2J", "é",
    ]
)  # fmt: skip
ANYTHING = (
    st.lists(PIECES | st.text(max_size=5), max_size=12)
    .map("".join)
    .map(lambda each: each.encode("utf-8", "surrogatepass"))
) | st.binary(max_size=200)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["auto", *FORMATS])
@pytest.mark.parametrize("start", ["", "prefixed"])
@given(data=ANYTHING)
def test_no_bytes_raise_anything_but_a_list_error(
    form: ListFormat, start: str, data: bytes
) -> None:
    prefix = {"csv": b"url,out\n", "tsv": b"url\tsize\n", "metalink": b"<metalink><file name='a'>"}
    try:
        entries = parse(form, (prefix.get(form, b"") if start else b"") + data)
    except ListError as error:
        entries = []
        shown = error.message
    else:
        shown = ""
    assert printable(shown) == shown
    for entry in entries:
        assert isinstance(entry, (Item, BadLine))
        if isinstance(entry, BadLine):
            assert printable(entry.text) == entry.text
            assert len(entry.text) <= 200


@pytest.mark.slow
@pytest.mark.parametrize("packed", PACKERS)
@given(st.data())
def test_no_broken_packing_raises_anything_else(packed: str, data: st.DataObject) -> None:
    whole = bytearray(PACKERS[packed](text(BASE).encode()))
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)
    ):
        whole[place] = value
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    shown = ""
    try:
        entries = parse("auto", cut)
    except ListError as error:
        entries, shown = [], error.message
    assert printable(shown) == shown
    assert all(isinstance(entry, (Item, BadLine)) for entry in entries)


# --- Memory --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_memory_does_not_grow_with_the_list(form: ListFormat) -> None:
    start, good, _, end = GOOD[form]

    def pieces() -> Iterator[bytes]:
        yield start.encode()
        for block in range(100):
            yield "".join(good.format(n=block * 200 + n) for n in range(200)).encode()
        yield end.encode()

    entries = Formats(InputSettings(form, BASE), pytest.fail).read(pieces(), "list")
    next(entries)
    tracemalloc.start()
    try:
        assert sum(1 for _ in entries) == 20_000 - 1
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_format_is_imported_when_its_list_comes() -> None:
    code = (
        "import sys, pdl.sources.feed as feed; feed.open_sources(['http://h/'], 0, print).take(9)"
        "; print(sorted(n for n in sys.modules if n.startswith('pdl.sources.')))"
        "; assert not {'csv', 'json', 'bz2', 'xml.parsers.expat'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not any(name in run.stdout for name in ("csv_", "jsonl", "metalink", "checksums"))
