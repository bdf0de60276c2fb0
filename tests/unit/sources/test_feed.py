"""Lists one after the other, standard input, values: entries come when they are there."""

from __future__ import annotations

import fcntl
import gzip
import os
import socket
from contextlib import closing, contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdl.errors import ListError
from pdl.model import BadLine, Item
from pdl.sources import Pause
from pdl.sources import streams as streams_module
from pdl.sources.feed import Feed, open_sources
from pdl.sources.streams import GRACE, MAX_LINE, StreamChunks, count_items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.sources import Entry


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Piped:
    """A feed of one pipe, its writing end and its clock."""

    def __init__(self, reader: int, writer: int) -> None:
        self.clock = Clock()
        self.reader = reader
        self.writer = writer
        self.feed = open_sources(["-"], reader, print, self.clock)

    def write(self, text: str) -> None:
        os.write(self.writer, text.encode())

    def end(self) -> None:
        os.close(self.writer)
        self.writer = -1

    def urls(self, limit: int = 100) -> list[str]:
        return urls(self.feed.take(limit))


@contextmanager
def piped() -> Iterator[Piped]:
    pipe = Piped(*os.pipe())
    try:
        yield pipe
    finally:
        pipe.feed.close()
        os.close(pipe.reader)
        if pipe.writer >= 0:
            pipe.end()


def urls(entries: list[Entry]) -> list[str]:
    return [entry.url if isinstance(entry, Item) else "bad" for entry in entries]


def everything(feed: Feed, portion: int = 3) -> list[Entry]:
    entries: list[Entry] = []
    while not feed.exhausted:
        if (fd := feed.fileno()) is not None:
            wait([fd], feed.due())
        entries += feed.take(portion)
    return entries


def count_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def of_args(*args: str) -> Feed:
    return open_sources(args, 0, print)


# --- Files and arguments -------------------------------------------------------------------


def test_sources_come_one_after_the_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("http://h/1\njunk\nhttp://h/3")
    two.write_text("# nothing\n")
    args = [str(one), "http://h/4", str(two), "HTTPS://h/5", "http://"]
    with closing(of_args(*args)) as feed:
        assert feed.estimate() == 6
        entries = everything(feed)
    assert urls(entries) == ["http://h/1", "bad", "http://h/3", "http://h/4", "HTTPS://h/5", "bad"]
    places = [(entry.source, entry.line) for entry in entries]
    assert places == [*((str(one), n) for n in (1, 2, 3)), *[("argument", 0)] * 3]


def test_a_file_is_read_lazily_and_never_needs_waiting(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("".join(f"http://h/{n:050}\n" for n in range(10_000)))
    with closing(of_args(str(path))) as feed:
        assert urls(feed.take(1)) == [f"http://h/{0:050}"]
        assert feed.fileno() is None
        assert feed.due() is None
        assert not feed.exhausted
        path.write_text("")
        assert 1000 <= len(everything(feed, 100)) < 2 * MAX_LINE / 60


def test_an_endless_comment_gives_control_back(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("#" * (3 * 1024 * 1024) + "\n#\nhttp://h/")
    with closing(of_args(str(path))) as feed:
        assert feed.take(5) == []
        assert not feed.exhausted
        assert urls(everything(feed)) == ["bad", "http://h/"]


def test_the_end_of_no_sources() -> None:
    feed = of_args()
    assert feed.exhausted
    assert feed.take(3) == []
    assert feed.estimate() == 0


def test_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.touch()
    feed = of_args(str(path))
    assert not feed.exhausted
    assert feed.take(3) == []
    assert feed.exhausted


def test_binary_lines_below_a_list(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"#" * 4096 + b"\nhttp://h/a\n" + bytes(range(256)) * 2000)
    first, *entries = everything(of_args(str(path)))
    assert isinstance(first, Item)
    assert len(entries) == 2001
    assert all(isinstance(entry, BadLine) for entry in entries)
    path.write_bytes(b"#" * 4096 + b"\n" + bytes(range(256)) * 2000)
    with pytest.raises(ListError, match="none of its first 20 lines has one"):
        everything(of_args(str(path)))


ZIP = b"PK\x03\x04\x14\0\0\0"
CURL = b'# mine\n-L\noutput = "a.bin"\nurl = "https://h/a.bin"\n'


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bytes(range(256)), "binary data"),
        (b"http://h/a\n" * 300 + b"\0", "binary data"),
        ("http://h/a".encode("utf-16-le"), "binary data, or UTF-16 without a byte order mark"),
        (b"<!DOCTYPE html>\n<html><body>", "an HTML page"),
        (b"\xef\xbb\xbf \n<!-- x --><HTML lang=en>", "an HTML page"),
        ("<html>".encode("utf-16"), "an HTML page"),
        (ZIP, "a zip archive: unpack it first"),
        (b"\x28\xb5\x2f\xfd\x04", "packed with zstd"),
        (b"PAR1\x15", "a Parquet file"),
        (b"%PDF-1.4\n", "a PDF"),
        (b'{\n  "url": "http://h/a"\n}', "JSON in one piece"),
        (CURL, "a configuration of curl's"),
        (b"url=https://h/a\n", "a configuration of curl's"),
        (b"--url https://h/a\n", "a configuration of curl's"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole_in_one_line(
    tmp_path: Path, data: bytes, what: str, packed: bool
) -> None:
    path = tmp_path / "list"
    path.write_bytes(gzip.compress(data) if packed else data)
    if packed:  # else it is refused before the run
        feed = of_args(str(path))
        with pytest.raises(ListError) as caught:
            everything(feed)
    else:
        with pytest.raises(ListError) as caught:
            of_args(str(path))
    assert what in caught.value.message
    assert not caught.value.hint
    reading, writing = os.pipe()
    os.write(writing, path.read_bytes())
    os.close(writing)
    try:
        with pytest.raises(ListError, match="no list but"):
            everything(open_sources(["-"], reading, print))
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    "data",
    [
        b"url,out\nhttp://h/a,b\n",
        b"http://h/a\n  url=https://h/b\n",
        b"# <html>\nhttp://h/a\n",
        b'{"url": "http://h/a"}\n',
        b'["http://h/a"]',
        b'\xef\xbb\xbf\n[\r\n  {"url": "http://h/a"}\r\n]',
    ],
)
def test_what_only_looks_like_none_is_a_list(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    assert urls(everything(of_args(str(path)))) == ["http://h/a"]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "list"
    long = "http://h/" + "x" * 70_000
    lines = ["\ufeff# \U0001f600", "http://h/\xe9", long, "http://h/b", ""]
    path.write_bytes("\r\n".join(lines).encode(codec))
    first, bad, last = everything(of_args(str(path)))
    assert isinstance(first, Item)
    assert (first.url, first.line) == ("http://h/\xe9", 2)
    assert isinstance(bad, BadLine)
    assert isinstance(last, Item)
    assert last.line == 4
    assert of_args(str(path)).estimate() is None
    path.write_bytes("\ufeffhttp://h/a\nhttp://h/b".encode(codec)[:-1])
    with pytest.raises(ListError, match="in the middle of a character"):
        everything(of_args(str(path)))


@pytest.mark.parametrize("data", [b"", b"\n# nothing\n", b"url\n"])
def test_an_empty_list_is_said(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "list"
    path.write_bytes(data)
    said: list[str] = []
    assert everything(open_sources([str(path)], 0, said.append)) == []
    assert len(said) == 1
    assert "is empty" in said[0]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "No such file"),
        (".", "directory"),
        ("ftp://h/x", "only http and https"),
        ("", "No such"),
    ],
)
def test_a_list_that_cannot_be_read(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ListError, match=why) as caught:
        of_args(name)
    assert repr(name) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["a\x00b", "x" * 5000, "\udc80\x1b"])
def test_an_odd_name_is_refused_and_shown_escaped(name: str) -> None:
    with pytest.raises(ListError) as caught:
        of_args(name)
    str(caught.value).encode()
    assert "\x1b" not in str(caught.value)


def test_a_list_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list"
    path.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ListError, match="Permission"):
        of_args(str(path))


def test_a_list_that_vanishes_is_reported_after_what_came_before(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("http://h/1\nhttp://h/2\n")
    two.touch()
    feed = of_args(str(one), str(two), "http://h/3")
    two.unlink()
    assert urls(feed.take(10)) == ["http://h/1", "http://h/2"]
    assert not feed.exhausted
    assert feed.take(0) == []
    with pytest.raises(ListError, match="two"):
        feed.take(10)
    assert feed.exhausted


def test_a_read_error_names_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    path = tmp_path / "list"
    path.write_text("http://h/")
    feed = of_args(str(path))
    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(ListError, match=f"{path}.*Input/output error"):
        feed.take(1)


def test_descriptors_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("http://h/1\nhttp://h/2\nhttp://h/3\n")
    before = count_descriptors()
    feed = of_args(str(path), str(path))
    feed.estimate()
    feed.take(1)
    feed.close()
    assert feed.exhausted
    assert feed.take(1) == []
    feed = of_args(str(path))
    everything(feed)
    assert count_descriptors() == before


# --- Pipes ---------------------------------------------------------------------------------


def test_the_first_item_comes_while_the_pipe_is_open() -> None:
    with piped() as pipe:
        assert pipe.urls() == []
        assert not pipe.feed.exhausted
        assert pipe.feed.due() is None
        pipe.write("http://h/1\n")
        assert pipe.feed.fileno() == pipe.reader
        assert pipe.urls() == []
        assert pipe.feed.due() == GRACE
        pipe.clock.now += GRACE / 2
        assert pipe.urls() == []
        pipe.clock.now += GRACE
        assert pipe.feed.due() == 0
        assert pipe.urls() == ["http://h/1"]
        assert pipe.feed.due() is None
        assert pipe.urls() == []
        pipe.write("http://h/2\nhttp://h/3\nhttp://h/4")
        assert pipe.urls() == ["http://h/2"]
        pipe.end()
        assert pipe.urls() == ["http://h/3", "http://h/4"]
        assert pipe.feed.exhausted
        assert pipe.feed.fileno() is None


def test_options_that_come_a_little_later_still_count() -> None:
    with piped() as pipe:
        pipe.write("http://h/1\n")
        assert pipe.feed.take(9) == []
        pipe.write("  out=x\n")
        pipe.end()
        (entry,) = pipe.feed.take(9)
        assert isinstance(entry, Item)
        assert entry.out == "x"


def test_half_a_line_waits() -> None:
    with piped() as pipe:
        pipe.write("http://h/1\nhttp://h/2")
        pipe.clock.now += 1
        pipe.urls()
        pipe.clock.now += 1
        assert pipe.urls() == ["http://h/1"]
        pipe.write("2\n")
        pipe.end()
        assert pipe.urls() == ["http://h/22"]


def test_an_endless_pipe_gives_control_back() -> None:
    reader, writer = os.pipe()
    ticks = iter(range(10**6))
    chunks = StreamChunks(reader, lambda: next(ticks) / 1000)
    size = 0
    for chunk in chunks.read():
        if isinstance(chunk, Pause) and size >= 1024 * 1024:
            break
        size += 0 if isinstance(chunk, Pause) else len(chunk)
        os.write(writer, b"#" * 60_000)
    assert size < 1024 * 1024 + MAX_LINE
    assert chunk is Pause.HOLD
    os.close(reader)
    os.close(writer)


def test_standard_input_keeps_its_mode_and_stays_open() -> None:
    with piped() as pipe:
        before = fcntl.fcntl(pipe.reader, fcntl.F_GETFL)
        pipe.write("http://h/1\n")
        pipe.urls()
        pipe.feed.close()
        assert fcntl.fcntl(pipe.reader, fcntl.F_GETFL) == before
        assert not before & os.O_NONBLOCK


def test_a_pipe_that_others_made_non_blocking() -> None:
    with piped() as pipe:
        os.set_blocking(pipe.reader, False)
        pipe.write("http://h/1\n")
        assert pipe.urls() == []
        pipe.end()
        assert pipe.urls() == ["http://h/1"]


def test_a_reader_that_is_not_ready_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise BlockingIOError

    with piped() as pipe:
        pipe.write("http://h/1\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", fail)
            assert pipe.urls() == []
        pipe.end()
        assert pipe.urls() == ["http://h/1"]


def test_a_file_as_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("http://h/0\nhttp://h/1\n#\nhttp://h/2\n")
    with path.open("rb", buffering=0) as file:
        file.readline()  # another program has read so far
        feed = open_sources(["-"], file.fileno(), print)
        assert urls(feed.take(1)) == ["http://h/1"]
        assert feed.estimate() == 2
        assert urls(everything(feed)) == ["http://h/2"]


def test_the_estimate_counts_what_is_taken_too(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("http://h/1\nhttp://h/2\n")
    feed = of_args(str(path), "http://h/3")
    everything(feed)
    assert feed.estimate() == 3
    path.unlink()
    assert feed.estimate() == 3


def test_a_socket_as_standard_input() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        feed = open_sources(["-"], ours.fileno(), print)
        assert feed.estimate() is None
        theirs.sendall(b"http://h/1\n")
        theirs.close()
        assert urls(everything(feed)) == ["http://h/1"]


def test_a_terminal_as_standard_input() -> None:
    ours, theirs = os.openpty()
    clock = Clock()
    feed = open_sources(["-"], theirs, print, clock)
    os.write(ours, b"http://h/1\n")
    wait([theirs], 10)
    feed.take(9)
    clock.now += 1
    assert urls(feed.take(9)) == ["http://h/1"]
    os.write(ours, b"\x04")
    wait([theirs], 10)
    assert feed.take(9) == []
    assert feed.exhausted
    os.close(ours)
    os.close(theirs)


def test_standard_input_that_is_closed_or_a_directory(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(ListError, match="standard input"):
        open_sources(["-"], reader, print)
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ListError, match="directory"):
        open_sources(["-"], directory, print)
    os.close(directory)


def test_standard_input_twice() -> None:
    with pytest.raises(ListError, match="once"):
        of_args("-", "-")


def test_a_fifo_waits_for_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with closing(of_args(str(path))) as feed:
        assert feed.estimate() is None
        assert feed.take(9) == []
        assert not feed.exhausted
        with path.open("w") as writer:
            writer.write("http://h/1\n")
        assert urls(everything(feed)) == ["http://h/1"]


def test_a_warning_names_list_and_line(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("http://h/1\n  splat=5\n")
    warnings: list[str] = []
    everything(open_sources([str(path)], 0, warnings.append))
    assert warnings == [f"{path}:2: option splat is unknown and ignored"]


# --- Values --------------------------------------------------------------------------------


def test_a_feed_of_values() -> None:
    listed = Item("http://h/2", out="x", source="mine", line=7)
    feed = Feed.of(["http://h/1", listed, Item("http://h/3"), "junk", Item("a\tb")])
    assert feed.estimate() == 5
    entries = everything(feed, 2)
    assert entries[:3] == [
        Item("http://h/1", source="items", line=1),
        listed,
        Item("http://h/3", source="items", line=3),
    ]
    assert [(type(entry), entry.line) for entry in entries[3:]] == [(BadLine, 4), (BadLine, 5)]


def test_values_are_taken_lazily() -> None:
    def endless() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"http://h/{number}"

    feed = Feed.of(endless())
    assert feed.estimate() is None
    assert len(feed.take(5)) == 5
    assert urls(feed.take(1)) == ["http://h/6"]
    assert feed.fileno() is None


def test_values_of_another_type() -> None:
    with pytest.raises(TypeError, match="one string"):
        Feed.of("http://h/")
    with pytest.raises(TypeError, match="item 1"):
        Feed.of([3]).take(1)  # type: ignore[list-item]


# --- Estimates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("http://h/", 1),
        ("http://h/\n", 1),
        ("#\n\n\r\nhttp://h/\n out=x\nhttp://h/", 2),
        ("http://h/\n" * 20_000, 20_000),
    ],
)
def test_estimate(text: str, count: int, tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(text, newline="")
    assert of_args(str(path)).estimate() == count
    with path.open("rb") as file:
        assert count_items(file.fileno()) == count


def test_a_large_list_is_extrapolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "_SAMPLE", MAX_LINE)
    path = tmp_path / "list"
    path.write_text("http://h/123456\n" * 100_000)
    assert of_args(str(path)).estimate() == 100_000
