"""What each format of lists says in detail, in tables and in shapes met in the wild."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from pdl.errors import ListError
from pdl.model import BadLine, Item, Pieces
from pdl.settings import InputSettings
from pdl.sources.registry import Formats
from pdl.sources.streams import MAX_LINE

if TYPE_CHECKING:
    from pdl.sources import Entry, Pause

MD5, SHA1 = "d" * 32, "1" * 40
SHA256, SHA512 = "a" * 64, "b" * 128
BASE = "http://h/d/"


def parse(
    form: str,
    data: str,
    name: str = "list",
    base: str | None = None,
    warned: list[str] | None = None,
) -> list[Entry | Pause]:
    warn = [] if warned is None else warned
    formats = Formats(InputSettings(form, base), warn.append)
    raw = data.encode()
    return list(formats.read([raw[i : i + 1000] for i in range(0, len(raw), 1000)], name))


def brief(entries: list[Entry | Pause]) -> list[object]:
    """Line and URL of an item, line and message of what is none."""
    return [
        (each.line, each.url if isinstance(each, Item) else f"bad: {each.message}")
        for each in entries
        if isinstance(each, (Item, BadLine))
    ]


# --- csv and tsv ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "data", "expected"),
    [
        ("csv", "url\r\n\r\n# c\r\nhttp://h/a\r\n", [(4, "http://h/a")]),
        ("csv", "\ufeffOut, URL \nx,http://h/a\n,,\n", [(2, "http://h/a")]),
        ("csv", "out;url\nx,y;http://h/a\n", [(2, "http://h/a")]),
        (
            "csv",
            'url,"a note"\nhttp://h/a,"two\nlines"\nhttp://h/b,x\n',
            [(2, "http://h/a"), (4, "http://h/b")],
        ),
        ("csv", 'url\n"http://h/a,b"\n', [(2, "http://h/a,b")]),
        ("csv", 'url\nhttp://h/"a\nhttp://h/b\n', [(2, 'http://h/"a'), (3, "http://h/b")]),
        ("csv", "url,out\nhttp://h/a,b,c\n", [(2, "bad: has 3 fields, the header has 2")]),
        ("csv", "out,url\nx\nhttp://h/a\n", [(2, "bad: has no url"), (3, "bad: has no url")]),
        (
            "csv",
            'url\n"http://h/a\nhttp://h/b\n',
            [(2, "bad: a quote that is not closed"), (3, "http://h/b")],
        ),
        (
            "csv",
            'url\n"x\n' + "http://h/b\n" * 150,
            [(2, "bad: a quote that is not closed"), *((n, "http://h/b") for n in range(3, 153))],
        ),
        ("csv", f"url,sha256\nhttp://h/a,{MD5}\n", [(2, "bad: sha256 has 64 hex digits, not 32")]),
        ("csv", "url,size\nhttp://h/a,1K\n", [(2, "bad: field size: '1K' is no size in bytes")]),
        (
            "csv",
            f"url\n{'x' * (MAX_LINE + 1)}\nhttp://h/b\n",
            [(2, f"bad: longer than {MAX_LINE} bytes"), (3, "http://h/b")],
        ),
        ("tsv", "url\tout\nhttp://h/a,b\tc;d\n", [(2, "http://h/a,b")]),
        ("tsv", 'out\turl\n""\thttp://h/a\n', [(2, "http://h/a")]),
    ],
)
def test_tables(form: str, data: str, expected: list[object]) -> None:
    assert brief(parse(form, data)) == expected


def test_a_row_has_all_that_a_list_can_say() -> None:
    (item,) = parse(
        "csv",
        "url,dir,checksum,md5,sha-256,mirrors,header,user-agent\n"
        f"http://h/a,sub,sha1:{SHA1},{MD5},{SHA256},http://m/1  http://m/2,X: 1,me\n",
    )
    assert isinstance(item, Item)
    assert item.directory == "sub"
    assert item.checksum == f"sha1:{SHA1}"  # what is said expressly
    assert item.mirrors == ("http://m/1", "http://m/2")
    assert item.headers == (("X", "1"), ("User-Agent", "me"))


def test_the_strongest_digest_counts() -> None:
    (item,) = parse("csv", f"sha1,sha512,url,md5\n{SHA1},{SHA512},http://h/a,{MD5}\n")
    assert isinstance(item, Item)
    assert item.checksum == f"sha512:{SHA512}"


def test_columns_that_are_not_known_are_told_once() -> None:
    warned: list[str] = []
    parse("csv", "url,note,sha257\nhttp://h/a,,\nhttp://h/b,,\n", warned=warned)
    assert warned == ["list:1: fields note, sha257 are unknown and ignored"]


# --- jsonl ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"http://h/a"', "http://h/a"),
        ("# comment\n", None),
        ("  ", None),
        ('{"url": "http://h/a", "size": null, "out": ""}', "http://h/a"),
        ("{", "bad: is no JSON: Expecting property name enclosed in double quotes (column 2)"),
        ("[1]", "bad: is no JSON object"),
        ("[" * 60_000, "bad: is no JSON that makes sense here"),
        ('{"url": 1}', "bad: field url is no string"),
        ('{"url": "http://h/a", "size": 1.5}', "bad: field size is no number"),
        ('{"url": "http://h/a", "size": true}', "bad: field size is no number"),
        ('{"url": "http://h/a", "size": -1}', "bad: field size: '-1' is no size in bytes"),
        ('{"url": "http://h/a", "mirrors": {}}', "bad: field mirrors is no list of strings"),
        (
            '{"url": "http://h/a", "mirrors": ["ftp:x"]}',
            "bad: mirror 1: only http and https can be downloaded, not ftp",
        ),
        (
            '{"url": "http://h/a", "headers": {"A": 1}}',
            "bad: field headers is neither an object nor a list of strings",
        ),
        (
            '{"url": "http://h/a", "headers": {"A": "x\\ny"}}',
            "bad: field header: the value of header A cannot be sent",
        ),
        ('{"out": "x"}', "bad: has no url"),
    ],
)
def test_json_lines(line: str, expected: str | None) -> None:
    assert brief(parse("jsonl", line)) == ([] if expected is None else [(1, expected)])


def test_json_headers_and_unknown_names() -> None:
    warned: list[str] = []
    data = (
        '{"url":"http://h/a","headers":{"A":"1"},"x":1}\n'
        '{"url":"http://h/a","headers":["B: 2"],"x":1}'
    )
    one, two = parse("jsonl", data, warned=warned)
    assert isinstance(one, Item)
    assert isinstance(two, Item)
    assert (one.headers, two.headers) == ((("A", "1"),), (("B", "2"),))
    assert warned == ["list:1: field x is unknown and ignored"]


# --- checksums -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("x", f"{SHA256}  f", (BASE + "f", None, f"sha256:{SHA256}")),
        ("x", f"{SHA256.upper()} *f", (BASE + "f", None, f"sha256:{SHA256}")),
        ("x", f"{SHA256}  *f", (BASE + "%2Af", None, f"sha256:{SHA256}")),
        ("x", f"{MD5} f\r", (BASE + "f", None, f"md5:{MD5}")),
        ("x", f"{SHA512}  a b#c?d:e", (BASE + "a%20b%23c%3Fd%3Ae", None, f"sha512:{SHA512}")),
        ("x", f"{SHA1}  ./s/t/f", (BASE + "./s/t/f", "s/t/f", f"sha1:{SHA1}")),
        ("x", f"{SHA1}  ../f", (BASE[:-2] + "f", None, f"sha1:{SHA1}")),
        ("x", f"{SHA1}  //evil/f", ("http://h/evil/f", None, f"sha1:{SHA1}")),
        ("x", f"\\{SHA1}  a\\\\b\\nc", (BASE + "a%5Cb%0Ac", None, f"sha1:{SHA1}")),
        ("x", f"{SHA1}  https://g/f", ("https://g/f", None, f"sha1:{SHA1}")),
        ("x", f"SHA256 (a (1)) = {SHA256}", (BASE + "a%20%281%29", None, f"sha256:{SHA256}")),
        ("x", f"SHA2-256(f)= {SHA256}", (BASE + "f", None, f"sha256:{SHA256}")),
        ("x", f"BLAKE2b (f) = {SHA512}", (BASE + "f", None, f"blake2b:{SHA512}")),
        ("B2SUMS", f"{SHA512}  f", (BASE + "f", None, f"blake2b:{SHA512}")),
        ("dir.sha1/B2SUMS.txt", f"{SHA256}  f", (BASE + "f", None, f"sha256:{SHA256}")),
        ("SHA3-256SUMS", f"{SHA256}  f", (BASE + "f", None, f"sha3_256:{SHA256}")),
        ("f.iso.sha512", f"{SHA512}  f", (BASE + "f", None, f"sha512:{SHA512}")),
    ],
)
def test_checksum_lines(name: str, line: str, expected: tuple[str | None, ...]) -> None:
    (item,) = parse("checksums", line, name, BASE)
    assert isinstance(item, Item)
    if item.url.startswith(BASE + "./"):
        pytest.fail("dots are left in the URL")
    wanted = (str(expected[0]).replace("/./", "/"), *expected[1:])
    assert (item.url, item.out, item.checksum) == wanted


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "is neither DIGEST  NAME nor ALGORITHM (NAME) = DIGEST"),
        ("abc  f", "no digest has 3 hex digits"),
        (f"WHIRL (f) = {SHA256}", "unknown digest algorithm 'whirl'"),
        (f"SHA1 (f) = {SHA256}", "sha1 has 40 hex digits, not 64"),
    ],
)
def test_checksum_lines_that_are_none(line: str, message: str) -> None:
    assert brief(parse("checksums", f"\n# c\n{line}\n", "x", BASE)) == [(3, f"bad: {message}")]


def test_checksums_without_a_base_say_what_is_missing() -> None:
    with pytest.raises(ListError, match="names files and no URLs: --base-url URL says"):
        parse("checksums", f"{SHA1}  f\n{SHA1}  g")


def test_a_signed_checksum_file() -> None:
    data = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# Fedora-39.iso: 12 bytes\n"
        f"SHA256 (Fedora-39.iso) = {SHA256}\n-----BEGIN PGP SIGNATURE-----\n\niQIz\n=abc\n"
        f"-----END PGP SIGNATURE-----\n{SHA1}  more\n"
    )
    entries = parse("auto", data, "Fedora-39-CHECKSUM", BASE)
    assert brief(entries) == [(5, BASE + "Fedora-39.iso"), (11, BASE + "more")]


# --- metalink ------------------------------------------------------------------------------

MIRRORMANAGER = f"""<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" pubdate="Tue, 01 Oct 2024"
  generator="mirrormanager" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="repomd.xml">
   <mm0:timestamp>1</mm0:timestamp>
   <size>7</size>
   <verification><hash type="md5">{MD5}</hash><hash type="sha256">{SHA256}</hash></verification>
   <mm0:alternates><mm0:alternate>
     <mm0:timestamp>0</mm0:timestamp><size>9</size>
     <verification><hash type="sha512">{SHA512}</hash></verification>
   </mm0:alternate></mm0:alternates>
   <resources maxconnections="1">
    <url protocol="rsync" type="rsync" location="US" preference="100">rsync://a/r.xml</url>
    <url protocol="http" type="http" location="US" preference="97">http://b/r.xml</url>
    <url protocol="https" type="https" location="US" preference="99">https://c/r.xml</url>
   </resources>
  </file>
 </files>
</metalink>"""

MIRRORCACHE = f"""<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <generator>MirrorCache</generator>
  <origin dynamic="true">http://h/o.meta4</origin>
  <published>2024-10-01T00:00:00Z</published>
  <publisher><name>openSUSE</name><url>http://h/publisher</url></publisher>
  <file name="leap.iso">
    <size>7</size>
    <hash type="md5">{MD5}</hash><hash type="sha-1">{SHA1}</hash><hash type="sha-256">
      {SHA256}
    </hash>
    <pieces length="262144" type="sha-512"><hash>{SHA512}</hash><hash>{SHA512}</hash></pieces>
    <signature mediatype="application/pgp-signature">-----BEGIN PGP SIGNATURE-----</signature>
    <metaurl mediatype="torrent" priority="1">http://h/leap.iso.torrent</metaurl>
    <!-- Mirrors in the same country -->
    <url location="de" priority="2">http://b/r.xml</url>
    <url location="cz" priority="1">https://c/r.xml</url>
    <url location="us">https://c/r.xml</url>
  </file>
</metalink>"""

PREFIXED = f"""<m:metalink xmlns:m="urn:ietf:params:xml:ns:metalink"><m:file name="x">
<m:size>7</m:size><m:hash type="sha-256">{SHA256}</m:hash><m:url>https://c/r.xml</m:url>
<m:url><![CDATA[http://b/r.xml]]></m:url></m:file></m:metalink>"""


@pytest.mark.parametrize("data", [MIRRORMANAGER, MIRRORCACHE, PREFIXED])
def test_metalinks_as_mirrors_write_them(data: str) -> None:
    (item,) = parse("auto", data)
    assert isinstance(item, Item)
    assert (item.url, item.mirrors) == ("https://c/r.xml", ("http://b/r.xml",))
    assert (item.size, item.checksum) == (7, f"sha256:{SHA256}")
    assert item.line == data[: data.index("file name=")].count("\n") + 1


def metalink(inside: str) -> str:
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">\n{inside}\n</metalink>'


URL = "<url>http://h/a&amp;b</url>"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (f'<file name="x">{URL}</file>', "http://h/a&b"),
        (f"<file>{URL}</file>", "bad: a file without a name"),
        ('<file name="x"/>', "bad: has no URL"),
        (
            '<file name="x"><url>ftp://h/</url></file>',
            "bad: has no URL that can be used: only http and https can be downloaded, not ftp",
        ),
        (f'<file name="x"><size>x</size>{URL}</file>', "bad: 'x' is no size in bytes"),
        (
            f'<file name="x"><hash type="md5">x</hash>{URL}</file>',
            "bad: 'md5:x' is not of the form algorithm:hex",
        ),
        (f'<file name="x"><hash type="new">x</hash>{URL}</file>', "http://h/a&b"),
        (
            '<file name="x"><url priority="0x1">http://h/z</url>'
            + URL
            + '<url priority="5">http://h/1</url></file>',
            "http://h/1",
        ),
    ],
)
def test_files_of_a_metalink(inside: str, expected: str) -> None:
    assert brief(parse("metalink", metalink(inside))) == [(2, expected)]


def pieces(length: str, algorithm: str, *digests: str) -> str:
    hashes = "".join(f"<hash>{each}</hash>" for each in digests)
    return f'<pieces length="{length}" type="{algorithm}">{hashes}</pieces>'


SHA1_PIECES = Pieces("sha1", 4, bytes.fromhex(SHA1) * 2)
SIZED = "<size>7</size>"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (SIZED + pieces("4", "sha-1", SHA1, SHA1.upper()), SHA1_PIECES),
        (pieces("4", "sha-1", SHA1, SHA1) + SIZED, SHA1_PIECES),
        (pieces("4", "sha-1", SHA1, SHA1), SHA1_PIECES),
        (SIZED, None),
        (SIZED + pieces("4", "sha-1"), None),
        (SIZED + pieces("4", "sha-1", SHA1), None),
        (SIZED + pieces("4", "sha-1", SHA1, SHA1, SHA1), None),
        (SIZED + pieces("4", "sha-1", SHA1, "x"), None),
        (SIZED + pieces("4", "sha-1", SHA1, MD5), None),
        (SIZED + pieces("4", "new", SHA1, SHA1), None),
        (SIZED + pieces("0", "sha-1", SHA1, SHA1), None),
        (SIZED + pieces("-4", "sha-1", SHA1, SHA1), None),
        (SIZED + pieces("9" * 19, "sha-1", SHA1), None),
        (pieces("4", "sha-1", *[SHA1] * 820), None),
        # of several the strongest that can be used
        (
            pieces("4", "md5", MD5, MD5) + pieces("4", "sha-1", SHA1, SHA1)
            + pieces("4", "sha-512", "x") + pieces("4", "md5", MD5, MD5) + SIZED,
            SHA1_PIECES,
        ),
    ],
)  # fmt: skip
def test_pieces_of_a_metalink(inside: str, expected: Pieces | None) -> None:
    data = metalink(f'<file name="x">{inside}{URL}<hash type="md5">{MD5}</hash></file>')
    (item,) = parse("metalink", data)
    assert isinstance(item, Item)
    assert item.pieces == expected
    assert item.checksum == f"md5:{MD5}"


@pytest.mark.parametrize(("second", "known"), [("1", True), ("2", False)])
def test_pieces_of_version_3_are_numbered(second: str, known: bool) -> None:
    (item,) = parse(
        "metalink",
        f"""<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="x">
        <size>7</size><verification><pieces length="4" type="sha1"><hash piece="0">{SHA1}</hash>
        <hash piece="{second}">{SHA1}</hash></pieces><hash type="md5">{MD5}</hash></verification>
        <resources><url>http://h/x</url></resources></file></files></metalink>""",
    )
    assert isinstance(item, Item)
    assert item.pieces == (SHA1_PIECES if known else None)
    assert item.checksum == f"md5:{MD5}"


def test_a_file_has_so_many_urls_and_no_more() -> None:
    urls = "".join(f"<url>http://h/{number}</url>" for number in range(1500))
    [item] = parse("metalink", metalink(f'<file name="x">{urls}</file>'))
    assert isinstance(item, Item)
    assert (item.url, item.mirrors[-1], len(item.mirrors)) == ("http://h/0", "http://h/999", 999)


def test_a_quote_that_is_closed_a_hundred_lines_below_is_a_mistake() -> None:
    lines = [f"http://h/{number}" for number in range(120)]
    found = parse("csv", "\n".join(["url,out", '"http://h/open,x', *lines, 'http://h/y"']))
    bad, *items = found
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.message) == (2, "a quote that is not closed")
    urls = [item.url for item in items[:120] if isinstance(item, Item)]
    assert urls == lines


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "no element found"),
        ("<rss/>", "something else"),
        ("<metalink><files>", "no element found"),
        ('<!DOCTYPE m [<!ENTITY a "b">]><metalink/>', "document type"),
        ('<!DOCTYPE m SYSTEM "file:///etc/passwd"><metalink/>', "document type"),
        ("<metalink>&a;</metalink>", "undefined entity"),
        ("<metalink>" + "<a>" * 100, "too deep"),
        ('<metalink><file name="' + "x" * 400_000, "too long"),
        ('<metalink><file name="x"><url>' + "x" * 70_000, "too long"),
        ('<metalink xmlns="http://other/">', "something else"),
    ],
)
def test_what_is_no_metalink(data: str, why: str) -> None:
    with pytest.raises(ListError, match=why):
        parse("metalink", data)


def test_what_came_before_the_break_counts() -> None:
    formats = Formats(InputSettings("metalink"), lambda _: None)
    whole = metalink(f'<file name="x">{URL}</file>\n<file name="y">{URL}</file><oops')
    entries = formats.read([whole.encode()], "list")
    assert [next(entries), next(entries)] == [
        Item("http://h/a&b", out="x", source="list", line=2),
        Item("http://h/a&b", out="y", source="list", line=3),
    ]
    with pytest.raises(ListError, match="list 'list' is no metalink: line 4"):
        next(entries)


def test_the_digests_of_the_tables_have_their_lengths() -> None:
    for text, name in ((MD5, "md5"), (SHA1, "sha1"), (SHA256, "sha256"), (SHA512, "sha512")):
        assert len(text) == 2 * hashlib.new(name, usedforsecurity=False).digest_size
