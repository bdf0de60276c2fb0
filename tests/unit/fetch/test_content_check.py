"""What came instead of a file: by its type, by its first bytes, by its size; in every way."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import UsageError
from pdl.fetch.blocking import Fetcher
from pdl.fetch.failures import AttemptFailed
from pdl.fetch.file_checks import Opening, by_bytes, remark, unlike
from pdl.http_rules.ranges import Validator
from pdl.model import PAGE_REMARK, FailureKind, Outcome, Result, SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.run.download import download
from pdl.run.outputs import RemarkListener
from pdl.scheduling.progress import Summary
from pdl.settings import FileSettings, HttpSettings, Settings
from pdl.storage.part import Part
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.requests_ import RequestsTransport
from quicklane import WARM, QuickLane
from servers.behaviours import Close, Pause, Raw, Reply, Then, chunk, head
from servers.files import File
from servers.row import BODY, ETAG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdl.fetch.file_checks import Header
    from pdl.model import Answer
    from runner import Runner
    from servers.misbehave import Server
    from servers.wire import Behaviour, Pairs

GUARD = FileSettings()
NO_GUARD = FileSettings(content_check=False)
PAGE = b"<!DOCTYPE html><title>Sign in</title>"
ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
ZIP = b"PK\x03\x04" + BODY
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
LOGIN = "; is a login needed?"
"""Said of pages alone: another type is no sign of it."""
OCTETS = "application/octet-stream"


def header_of(media: str | None) -> Header:
    fields: dict[str, str] = {} if media is None else {"content-type": media}
    return lambda name: fields.get(name)  # noqa: PLW0108 - a dict.get takes more arguments


def wanting(*types: str) -> FileSettings:
    return FileSettings(expect_types=types)


# --- by the head ---


@pytest.mark.parametrize(
    ("path", "media", "fault"),
    [
        ("x.zip", "text/html", True),
        ("x.ZIP", "Text/HTML ; charset=utf-8", True),
        ("x.zip", "text/html, text/html", True),
        ("x.tar.gz", "text/html", True),
        ("x.bin", "text/html", True),
        ("x.zip", "text/htmlish", False),
        ("x.zip", "text/plain", False),
        ("x.zip", "", False),
        ("x.zip", None, False),
        ("x.html", "text/html", False),
        ("zip", "text/html", False),
        ("x.txt", "text/html", False),
        ("page.html.gz", "text/html", False),
        ("page.xhtml.br.zst", "text/html", True),
    ],
)
def test_a_page_by_its_type(path: str, media: str | None, fault: bool) -> None:
    assert (unlike(GUARD, path, header_of(media), None) is not None) is fault
    assert unlike(NO_GUARD, path, header_of(media), None) is None


# --- by the first bytes ---


@pytest.mark.parametrize(
    ("path", "media", "begin", "what"),
    [
        ("x.zip", OCTETS, PAGE, "an HTML page"),
        ("x.zip", None, PAGE, "an HTML page"),
        ("x.png", "image/png", PAGE, "an HTML page"),
        ("x.pdf", None, b"\xef\xbb\xbf \r\n\t<HTML>", "an HTML page"),
        ("x.pdf", None, b"<html lang=en>", "an HTML page"),
        ("x.pdf", None, b"<!-- who knows", "an HTML page"),
        ("x.pdf", None, b"<!doctype\nHTML PUBLIC", "an HTML page"),
        ("x.pdf", None, b'<?xml version="1.0"?>\n<!DOCTYPE html>', "an HTML page"),
        ("x.pdf", None, b"<body>", "an HTML page"),
        ("page.html.gz", "text/html", PAGE, "an HTML page"),
        ("x.zip", OCTETS, ERROR, "an error in XML"),
        ("x.zip", OCTETS, b"<Error><Code>", "an error in XML"),
        ("x.zip", "application/json", b' {"error": "no"}', "a JSON document"),
        ("x.zip", "application/problem+json; v=1", b"{", "a JSON document"),
        ("x.zip", OCTETS, b'{"error": "no"}', "plain text"),
        ("x.tar", "application/json", b"{{name}}/a", "a JSON document"),
        ("x.tar", "application/x-tar", b"{{name}}/a" + bytes(90), None),
        ("x.zip", OCTETS, b"", None),
        ("x.zip", OCTETS, b"<x>", None),  # too short to tell
        ("x.zip", OCTETS, b"<htmlish\0", None),
        ("x.zip", OCTETS, b"<!doctype htm\0", None),
        ("x.zip", OCTETS, b"a<html>", "plain text"),
        ("x.safetensors", OCTETS, b"Not found\n", "plain text"),
        ("x.tar.gz", None, "nicht verf\xfcgbar".encode(), "plain text"),
        ("x.gz", None, ("\xfc" * 300).encode()[1:], None),
        ("x.gz", None, b"a" + ("\xfc" * 300).encode(), "plain text"),
        ("x.gz", None, b"nicht verf\xfcgbar", None),
        ("x.whl", None, b"text with \x00", None),
        ("x.pdf", None, b"%PDF-1.4\n% all of it is text", None),
        ("x.deb", None, b"!<arch>\ndebian-binary", None),
        ("x.so", None, b"/* GNU ld script */", None),
        ("x.iso", None, b"any", None),
        ("x.bin", None, b"any", None),
        ("x.csv", "text/html", PAGE, "an HTML page"),
        ("x.he5", "text/html; charset=utf-8", b"\r\n<!-- x -->\n<html>", "an HTML page"),
        ("x.csv", "text/html", b"<title>a part</title>", None),
        ("x.csv", "text/html", b"a,b\n", None),
        ("x.csv", "text/plain", PAGE, None),
        ("x.csv", OCTETS, PAGE, None),
        ("x.php", "text/html", PAGE, None),
        ("x.aspx", "text/html", PAGE, None),
        ("x", "text/html", PAGE, None),
        ("v1.2", "text/html", PAGE, None),
        ("a.b/x", "text/html", PAGE, None),
        ("x.dat", None, POINTER, "a Git LFS pointer"),
        ("x.bin", "text/plain", POINTER, "a Git LFS pointer"),
        ("x.zip", "text/plain", POINTER, "a Git LFS pointer"),
        ("x.html", None, POINTER, "a Git LFS pointer"),
        ("x.md", None, POINTER, None),
        (".gitattributes", None, POINTER, None),
        ("x", None, POINTER, None),
        ("x.dat", None, b"version 1", None),
        ("x.zip", OCTETS, ZIP, None),
        ("x.png", "image/svg+xml", b'<?xml version="1.0"?><!-- made by --><svg>', None),
        ("x.png", "image/svg+xml", b"<svg>", None),
        ("x.bin", OCTETS, PAGE, None),
        ("x.img", None, PAGE, None),
        ("x.txt", None, PAGE, None),
        ("x", None, PAGE, None),
        ("x.html", None, PAGE, None),
        ("x.xls", None, PAGE, None),
    ],
)
def test_what_a_body_begins_as(path: str, media: str | None, begin: bytes, what: str) -> None:
    ending = path.rpartition(".")[2]
    expected = what and f"got {what} instead of a .{ending} (--no-content-check takes it)"
    if what == "an HTML page":
        expected += LOGIN
    for data in (begin, memoryview(begin)):
        assert unlike(GUARD, path, header_of(media), data) == expected
    assert unlike(NO_GUARD, path, header_of(media), begin) is None


@given(st.binary(max_size=40), st.sampled_from([b"<html>", PAGE, ERROR, b"{", b""]), st.text())
def test_only_what_begins_with_a_mark_is_a_page(before: bytes, mark: bytes, media: str) -> None:
    fault = unlike(GUARD, "x.zip", header_of(OCTETS), before + mark)
    if fault is not None and "plain text" not in fault:
        assert (before + mark).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\f").startswith(b"<")
    assert unlike(GUARD, "x.zip", header_of(media), b"PK\0" + before) in {
        None,
        unlike(GUARD, "x.zip", header_of(media), None),
    }


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_an_opening_is_the_same_however_it_comes(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    for begin in (b"", PAGE):
        opening = Opening(GUARD, "x.zip", 200, header_of(None))
        said = None
        try:
            for piece in (begin, *pieces):
                opening.look(memoryview(piece))
            opening.end()
        except AttemptFailed as exc:
            said = exc.message
        assert said == unlike(GUARD, "x.zip", header_of(None), begin + whole)


# --- the types that are wanted ---


@pytest.mark.parametrize(
    ("wanted", "media", "begin", "fault"),
    [
        ("application/zip", "application/zip", None, None),
        ("application/zip", "Application/ZIP; q=1", None, None),
        ("application/zip", "application/x-zip", None, None),
        ("application/x-zip", "application/zip", None, None),
        ("application/zip", "application/zipper", None, "the type is application/zipper"),
        ("image/*", "image/png", None, None),
        ("image/*", "imagery/png", None, "the type is imagery/png"),
        ("image/*", "text/html; charset=x", None, "the type is text/html"),
        ("*/*", "text/html", None, None),
        ("application/octet-stream", OCTETS, None, None),
        ("image/png", OCTETS, None, None),
        ("application/zip", None, ZIP, None),
        ("application/zip", "", ZIP, None),
        ("application/zip", OCTETS, ZIP, None),
        ("application/*", "binary/octet-stream", b"\xfd7zXZ\0...", None),
        ("application/tar", None, b"\0" * 257 + b"ustar\0", None),
        ("text/html", None, PAGE, None),
        (
            "image/png",
            OCTETS,
            ZIP,
            "the server does not say the type, and its first bytes are those of application/zip",
        ),
        ("image/png", None, b"", "the server does not say the type, nor do its first bytes"),
        ("*/*", None, b"abc", "the server does not say the type, nor do its first bytes"),
        ("image/png", "nonsense", None, "the type is nonsense"),
    ],
)
def test_types(wanted: str, media: str | None, begin: bytes | None, fault: str | None) -> None:
    found = unlike(wanting(wanted), "x", header_of(media), begin)
    head_said = "; " if fault and "first bytes" in fault else ", "
    login = LOGIN if fault == "the type is text/html" else ""
    assert found == (fault and f"{fault}{head_said}--expect-type wants {wanted}{login}")


def test_one_of_several_types_is_enough() -> None:
    files = wanting("image/png", "image/jpeg")
    assert unlike(files, "x", header_of("image/jpeg"), None) is None
    said = unlike(files, "x", header_of("text/plain"), None)
    assert said == "the type is text/plain, --expect-type wants image/png or image/jpeg"


@given(st.text(max_size=30), st.binary(max_size=600))
def test_a_type_that_is_said_is_not_looked_for(media: str, begin: bytes) -> None:
    files = wanting("image/*")._replace(content_check=False)
    by_head = unlike(files, "x", header_of(media), None)
    if not by_bytes(files, "x", header_of(media)):
        assert unlike(files, "x", header_of(media), begin) == by_head
    if by_head is not None:
        assert not by_bytes(files, "x", header_of(media))


@pytest.mark.parametrize(
    "text", ["", "zip", "image/", "/png", "image/*/x", "*/png", "a b/c", "a/b;c"]
)
def test_what_is_no_type_is_a_usage_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a type"):
        download([], str(tmp_path), settings=Settings(files=wanting(text)))


# --- on the wire ---

MAKERS: dict[str, Callable[[HttpSettings, FileSettings], Fetcher | QuickLane]] = {
    "requests": lambda http, files: Fetcher(RequestsTransport(http), http, files),
    "kept": lambda http, files: Fetcher(KeepaliveTransport(http), http, files),
    "quick": QuickLane,
}


class Bench:
    """A lane of one of the ways, in a directory of its own.

    Attributes:
        quick: files that the quick way has placed.
    """

    def __init__(self, way: str, where: Path, server: Server) -> None:
        self.where = where
        self.server = server
        self.way = way
        self.quick = 0
        (where / ".pdl").mkdir(parents=True)
        server.on(WARM, File(b"PK\x03\x04 and no more"))  # that no check here refuses

    def get(self, name: str, behaviour: Behaviour, **files: object) -> Answer:
        settings = FileSettings(directory=str(self.where), **files)  # type: ignore[arg-type]
        lane = MAKERS[self.way](HttpSettings(timeout=20.0), settings)
        url = self.server.on(f"/{name}", behaviour)
        try:
            answer = lane(Task(1, url, SafePath(name), "1.part"), InlineMeter())
            if isinstance(lane, QuickLane) and answer.word == "success":
                self.quick += lane.ways["quick"]
            return answer
        finally:
            lane.close()

    def left(self) -> list[str]:
        return sorted(each.name for each in self.where.rglob("*") if each.name != ".pdl")


@pytest.fixture(params=list(MAKERS))
def bench(request: pytest.FixtureRequest, tmp_path: Path, server: Server) -> Bench:
    return Bench(request.param, tmp_path / "out", server)


def typed(media: str | None, body: bytes, *, tag: bool = True) -> Reply:
    fields: Pairs = () if media is None else (("Content-Type", media),)
    return Reply(200, (*fields, ("ETag", ETAG)) if tag else fields, body)


def refused(answer: Answer, kind: FailureKind, words: str) -> None:
    assert answer.word == "fail"
    assert (answer.kind, answer.transient) == (kind, False), answer.message
    assert words in answer.message


@pytest.mark.parametrize("media", ["text/html", OCTETS, None])
def test_a_page_for_an_archive_leaves_nothing(bench: Bench, media: str | None) -> None:
    for times in (1, 50):
        page = typed(media, PAGE * times)
        refused(bench.get("x.zip", page), FailureKind.CONTENT, "an HTML page")
    assert bench.left() == []
    assert bench.get("x.zip", typed(media, PAGE), content_check=False).word == "success"
    assert bench.get("x.bin", typed(OCTETS, PAGE)).word == "success"
    assert bench.left() == ["x.bin", "x.zip"]
    assert bench.quick == (2 if bench.way == "quick" else 0)


def test_a_type_that_is_not_wanted(bench: Bench) -> None:
    wanted = {"expect_types": ("application/zip",)}
    answer = bench.get("x", typed("text/plain", ZIP), **wanted)
    refused(answer, FailureKind.CONTENT, "the type is text/plain, --expect-type wants applic")
    answer = bench.get("x", typed(None, BODY), **wanted)
    refused(answer, FailureKind.CONTENT, "does not say the type, nor do its first bytes")
    assert bench.left() == []
    assert bench.get("x", typed(OCTETS, ZIP), **wanted).word == "success"
    assert bench.get("y", typed("application/zip", b"empty?"), **wanted).word == "success"
    assert bench.quick == (2 if bench.way == "quick" else 0)


OUTSIDE = {
    0: "0 B, expected 10 B at least (--min-size)",
    9: "9 B, expected 10 B at least (--min-size)",
    21: "21 B, expected 20 B at most (--max-size)",
}


@pytest.mark.parametrize("size", [9, 21])
def test_a_size_outside_the_limits_is_refused_by_the_head(bench: Bench, size: int) -> None:
    """The body never comes: who waits for it does not end in time."""
    announced = head(200, (("Content-Length", str(size)), ("ETag", ETAG)))
    answer = bench.get("x", Then(Raw(announced), Pause(30.0)), min_size=10, max_size=20)
    refused(answer, FailureKind.SIZE, OUTSIDE[size])
    assert answer.seconds < 15
    assert bench.left() == []


@pytest.mark.parametrize("size", [9, 21])
def test_a_size_that_nobody_announces_is_refused_all_the_same(bench: Bench, size: int) -> None:
    limits = {"min_size": 10, "max_size": 20}
    fields = (("Transfer-Encoding", "chunked"), ("ETag", ETAG))
    more = Raw(chunk(b"")) if size < 10 else Pause(30.0)
    answer = bench.get("x", Then(Raw(head(200, fields) + chunk(b"x" * size)), more), **limits)
    refused(answer, FailureKind.SIZE, f"(--{'min' if size < 10 else 'max'}-size)")
    assert bench.left() == []


@pytest.mark.parametrize("size", [0, 9, 21])
def test_a_body_that_comes_at_once_is_counted_too(bench: Bench, size: int) -> None:
    answer = bench.get("x", typed(None, b"x" * size), min_size=10, max_size=20)
    refused(answer, FailureKind.SIZE, OUTSIDE[size])
    assert bench.left() == []


@pytest.mark.parametrize("size", [10, 20])
def test_a_size_at_the_limits_is_taken(bench: Bench, size: int) -> None:
    for name in ("x", "y"):
        behaviour = File(b"x" * size, chunked=name == "y")
        assert bench.get(name, behaviour, min_size=10, max_size=20).word == "success"


def coded(name: str, body: bytes) -> Reply:
    return Reply(200, (("Content-Type", "text/csv"), ("Content-Encoding", "gzip")), body)


REMARKS = [
    ("x", "text/html", PAGE, "an HTML page"),
    ("x.csv", "text/csv", PAGE, ""),
    ("x.html", "text/html", PAGE, ""),
    ("x", "text/plain", PAGE, ""),
    ("x", None, POINTER, "a Git LFS pointer, which stands for the file itself"),
    ("x.md", "text/plain", POINTER, "a Git LFS pointer, which stands for the file itself"),
    ("x", None, b"plain", ""),
]


@pytest.mark.parametrize(("name", "media", "body", "said"), REMARKS)
def test_what_the_name_says_nothing_of_is_a_remark(
    bench: Bench, name: str, media: str | None, body: bytes, said: str
) -> None:
    answer = bench.get(name, typed(media, body))
    assert answer.word == "success"
    assert answer.message == said
    assert bench.get(f"d{name}", typed(media, body), content_check=False).message == ""


def test_a_coded_body_under_a_plain_name_is_a_remark(bench: Bench) -> None:
    body = gzip.compress(BODY)
    for name, said in (("x.csv", "as the server coded it (Content-Encoding: gzip)"), ("x.gz", "")):
        answer = bench.get(name, coded(name, body))
        assert answer.word == "success"
        assert answer.message == said
        assert (bench.where / name).read_bytes() == body


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("utf-8", ""),
        ("none", ""),
        ("Binary", ""),
        ("identity", ""),
        ("ISO-8859-1", ""),
        (", identity,", ""),
        ("utf-8,gzip", "gzip"),
        ("br, GZip", "br, gzip"),
        ("amz-1.0", "amz-1.0"),
    ],
)
def test_what_servers_call_a_coding_and_is_none_is_no_remark(said: str, shown: str) -> None:
    about = shown and f"as the server coded it (Content-Encoding: {shown})"
    assert remark(GUARD, "x.csv", {"content-encoding": said}.get, b"") == about


def test_one_page_is_named_and_so_is_the_first_of_several() -> None:
    page = Result("l", 1, "http://h/p", None, "p", Outcome.SUCCESS, attempts=1, message=PAGE_REMARK)
    for count, told in (
        (0, []),
        (1, ["p is an HTML page"]),
        (2, ["p and 1 more of the files are HTML pages"]),
        (3, ["p and 2 more of the files are HTML pages"]),
    ):
        said: list[str] = []
        listener = RemarkListener(said.append)
        for number in range(count):
            listener.record(page._replace(path=f"p{number or ''}"), None)
        listener.finish(Summary(count))
        assert said == told


@pytest.mark.parametrize(
    ("name", "media", "body", "what"),
    [
        ("x.csv", "text/html", PAGE, "an HTML page"),
        ("x.nc", "text/html", PAGE * 50, "an HTML page"),
        ("x.dat", None, POINTER, "a Git LFS pointer"),
        ("x.whl", None, b"Not found", "plain text"),
        ("x.whl", None, b"Not found\n" * 100, "plain text"),
    ],
)
def test_what_is_no_file_leaves_nothing(
    bench: Bench, name: str, media: str | None, body: bytes, what: str
) -> None:
    refused(bench.get(name, typed(media, body)), FailureKind.CONTENT, f"got {what} instead of")
    assert bench.left() == []
    assert bench.get(name, typed(media, body), content_check=False).word == "success"


# --- parts ---


def test_a_page_that_trickles_is_never_a_part_to_go_on_with(tmp_path: Path, server: Server) -> None:
    bench = Bench("kept", tmp_path / "out", server)
    fields = (("Content-Length", "1000"), ("ETag", ETAG))
    answer = bench.get("x.zip", Then(Raw(head(200, fields) + PAGE), Close()))
    assert answer.word == "fail"
    assert answer.kind is FailureKind.TRUNCATED  # too little of it came to say what it is
    whole = PAGE + b"x" * (1000 - len(PAGE))
    refused(bench.get("x.zip", File(whole, etag=ETAG)), FailureKind.CONTENT, "an HTML page")
    assert bench.left() == []


@pytest.mark.parametrize("have", [3, 600])
def test_the_part_of_an_earlier_run_is_looked_at(tmp_path: Path, server: Server, have: int) -> None:
    whole = PAGE + b"x" * 1000
    bench = Bench("kept", tmp_path / "out", server)
    part = Part(str(bench.where), "1.part")
    part.start()
    part.versioned(Validator(ETAG), len(whole))
    part.write(memoryview(whole)[:have])
    part.leave(keep=True)
    refused(bench.get("x.zip", File(whole, etag=ETAG)), FailureKind.CONTENT, "an HTML page")
    assert [seen.header("Range") for seen in server.requests()] == [f"bytes={have}-"]
    assert bench.left() == []


# --- the command ---


def test_the_command_says_both_types(pdl_run: Runner, server: Server, tmp_path: Path) -> None:
    page = server.on("/a.dat", typed("text/html; charset=utf-8", PAGE))
    image = server.on("/b.dat", typed("image/png", BODY))
    run = pdl_run(page, image, "--expect-type", "image/*", "--retries", "0")
    assert run.code == 1
    assert "the type is text/html, --expect-type wants image/*" in run.err
    assert (tmp_path / "b.dat").read_bytes() == BODY
    assert not (tmp_path / "a.dat").exists()
    run = pdl_run(page, env={"PDL_EXPECT_TYPE": "image/* text/html"})
    assert run.code == 0, run.err


def test_the_command_counts_pages_and_tells_once_of_codings(
    pdl_run: Runner, server: Server
) -> None:
    urls = [server.on(f"/p{n}", typed("text/html", PAGE)) for n in range(2)]
    body = gzip.compress(BODY)
    urls += [server.on(f"/c{n}.csv", coded(f"c{n}.csv", body)) for n in range(2)]
    run = pdl_run(*urls, "-d", "out", "--progress", "plain", "--report", "r.jsonl")
    assert run.code == 0
    assert re.search(r"^pdl: p[01] and 1 more of the files are HTML pages$", run.err, re.MULTILINE)
    assert run.err.count("Content-Encoding: gzip") == 1
    assert run.err.count("--compressed decodes them") == 1
    report = (pdl_run.directory / "r.jsonl").read_text()
    assert report.count("Content-Encoding: gzip") == 2
    assert report.count('"an HTML page"') == 2
    run = pdl_run(*urls, "-d", "quick", "-q")
    assert re.search(r"^pdl: p[01] and 1 more of the files are HTML pages$", run.err, re.MULTILINE)


def test_the_command_refuses_what_is_no_type(pdl_run: Runner) -> None:
    run = pdl_run("http://127.0.0.1:9/", "--expect-type", "zip")
    assert run.code == 2
    assert "'zip' is not a type such as application/zip or image/*" in run.err
