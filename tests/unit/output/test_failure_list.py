"""The failure list: readable by people, and a list that pdl takes again."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import UsageError
from pdl.model import Item, Outcome, Pieces, Result
from pdl.output.reports.failure_list import FailedList, entry_text
from pdl.scheduling.progress import Summary
from pdl.sources.text import TextFormat

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.sources import Entry, Pause

ITEM = Item("https://user:secret@h/a?token=x#y", source="urls.txt", line=7)
BAD = Result(
    "urls.txt", 7, "https://user:***@h/a?token=***", None, None, Outcome.FAIL, "http-404",
    transient=False, attempts=1, message="Not Found",
)  # fmt: skip
FULL = ITEM._replace(
    mirrors=("http://m1/a", "http://m2/a"),
    out="b.bin",
    directory="sub",
    checksum="sha256:" + "0" * 64,
    headers=(("X-Key", "s3cret"), ("Accept", "*/*")),
)


def stop(text: str) -> None:
    pytest.fail(text)


def written(path: Path, *entries: tuple[Result, Item | None], unread: bool = False) -> str:
    failed = FailedList(str(path), stop)
    for result, item in entries:
        failed.record(result, item)
    failed.finish(Summary(unread=unread))
    return path.read_text()


def effective(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_an_entry_stands_as_listed_below_its_reason(tmp_path: Path) -> None:
    text = written(tmp_path / "failed.txt", (BAD, ITEM))
    assert text.splitlines()[1:] == [
        "",
        "# http-404, permanent, 1 attempt: Not Found",
        "# from urls.txt:7",
        "https://user:secret@h/a?token=x#y",
    ]


def test_mirrors_and_options_come_along() -> None:
    transient = BAD._replace(transient=True, attempts=4, line=0)
    assert entry_text(transient, FULL).splitlines() == [
        "",
        "# http-404, transient, 4 attempts: Not Found",
        "https://user:secret@h/a?token=x#y\thttp://m1/a\thttp://m2/a",
        "  out=b.bin",
        "  dir=sub",
        "  checksum=sha-256=" + "0" * 64,
        "  header=X-Key: s3cret",
        "  header=Accept: */*",
    ]


def test_only_failures_are_listed_and_what_was_cancelled_is_one(tmp_path: Path) -> None:
    ok = BAD._replace(outcome=Outcome.SUCCESS, kind=None)
    cancelled = BAD._replace(kind="cancelled", transient=True)
    text = written(
        tmp_path / "failed.txt",
        (ok, ITEM._replace(url="http://ok/")),
        (cancelled, ITEM._replace(url="http://cancelled/")),
        (BAD._replace(outcome=Outcome.SKIPPED), ITEM._replace(url="http://skipped/")),
    )
    assert effective(text) == ["http://cancelled/"]


def test_a_bad_line_is_a_comment(tmp_path: Path) -> None:
    bad = BAD._replace(kind="invalid-url", url="no\nurl", message="has no scheme")
    text = written(tmp_path / "failed.txt", (bad, None))
    assert effective(text) == []
    assert "# no\\x0aurl\n" in text


@pytest.mark.parametrize(
    "item",
    [
        ITEM._replace(url="http://h/\nhttp://evil/"),
        ITEM._replace(url="http://h/\thttp://evil/"),
        ITEM._replace(url=" http://h/"),
        ITEM._replace(url="#http://h/"),
        ITEM._replace(url="http://h/\ud800"),
        ITEM._replace(url=""),
        ITEM._replace(mirrors=("http://h/\r",)),
        ITEM._replace(out="a\nhttp://evil/"),
        ITEM._replace(headers=(("X", "y\r\nhttp://evil/"),)),
        ITEM._replace(url="http://h/" + "x" * 70_000),
        ITEM._replace(url="http://h/a,"),
        ITEM._replace(url="http://h/a #b"),
        ITEM._replace(directory=" a"),
        ITEM._replace(out="a\u200b"),
    ],
)
def test_what_no_line_can_hold_is_a_comment_and_says_so(tmp_path: Path, item: Item) -> None:
    text = written(tmp_path / "failed.txt", (BAD, item))
    assert effective(text) == []
    assert "# no line of a list can hold https://user:***@h/" in text


@given(st.text(), st.text(), st.text(), st.none() | st.just(ITEM))
def test_no_text_breaks_out_of_a_comment(
    url: str, message: str, source: str, item: Item | None
) -> None:
    text = entry_text(BAD._replace(url=url, message=message, source=source), item)
    assert effective(text) == ([item.url] if item else [])
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


# --- read back ----------------------------------------------------------------------------

TOKEN = st.text("abcXYZ019-", min_size=1, max_size=8)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
URLS = st.builds("https://{}:{}@h.example/{}?q={}".format, TOKEN, TOKEN, WORDS, WORDS)
ITEMS = st.builds(
    Item,
    source=st.just("urls.txt"),
    line=st.integers(0, 99),
    url=URLS,
    mirrors=st.lists(URLS, max_size=2).map(tuple),
    out=st.none() | WORDS.filter(bool),
    directory=st.none() | WORDS.filter(bool),
    size=st.none(),
    checksum=st.none() | st.sampled_from(["sha256:" + "a1" * 32, "md5:" + "b2" * 16]),
    headers=st.lists(
        st.tuples(TOKEN, st.text("ab c:;=é", max_size=9).map(str.strip)), max_size=2
    ).map(tuple),
    pieces=st.none(),
)


def read_back(text: str) -> list[Entry | Pause]:
    return list(TextFormat(stop).read(text.encode().split(b"\n"), "failed.txt"))


def without_place(item: Item) -> Item:
    return item._replace(source="", line=0)


def test_everything_an_entry_can_say_is_read_back(tmp_path: Path) -> None:
    text = written(tmp_path / "failed.txt", (BAD, FULL), (BAD, None), (BAD, ITEM))
    first, second = read_back(text)
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert without_place(first) == without_place(FULL)
    assert without_place(second) == without_place(ITEM)


def test_digests_of_pieces_are_told_to_be_missing() -> None:
    text = entry_text(BAD, ITEM._replace(pieces=Pieces("sha1", 9, bytes(20))))
    (back,) = read_back(text)
    assert isinstance(back, Item)
    assert without_place(back) == without_place(ITEM)
    assert "# the digests of its pieces have no place here" in text


@given(st.lists(ITEMS, max_size=4), WORDS)
def test_what_is_written_is_read_back_the_same_or_told_to_be_missing(
    items: list[Item], message: str
) -> None:
    text = "".join(entry_text(BAD._replace(message=message), item) for item in items)
    missing = text.count("# no line of a list can hold ")
    back = [without_place(item) for item in read_back(text) if isinstance(item, Item)]
    assert len(back) == len(items) - missing == len(read_back(text))
    assert all(item in map(without_place, items) for item in back)


def test_a_list_of_nothing_is_read_as_nothing(tmp_path: Path) -> None:
    assert read_back(written(tmp_path / "failed.txt")) == []


# --- the file -----------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_for_its_owner_only_whatever_was_there(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_text("old")
    old.chmod(0o666)
    before = os.umask(0)
    try:
        failed = FailedList(str(old), stop)
        (partial,) = set(tmp_path.iterdir()) - {old}
        assert mode(partial) == 0o600
        assert old.read_text() == "old"
        failed.finish(Summary())
        written(new)
    finally:
        os.umask(before)
    assert (mode(new), mode(old)) == (0o600, 0o600)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old"}


def test_without_a_failure_it_is_a_list_of_nothing(tmp_path: Path) -> None:
    text = written(tmp_path / "failed.txt")
    assert text
    assert effective(text) == []


def test_a_run_that_was_stopped_says_that_more_is_missing(tmp_path: Path) -> None:
    text = written(tmp_path / "failed.txt", (BAD, ITEM), unread=True)
    assert effective(text) == [ITEM.url]
    assert text.endswith("# The run was stopped before it had read its whole list.\n")


def test_the_list_that_is_being_run_is_never_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "failed.txt"
    path.write_text("http://h/1\nhttp://h/2\n")
    warnings: list[str] = []
    for unread in (True, False):
        failed = FailedList(str(path), warnings.append)
        failed.record(BAD._replace(source=str(path)), ITEM)
        failed.finish(Summary(unread=unread))
        assert len(warnings) == 1
        assert ("http://h/2" in path.read_text()) == unread
    assert [each.name for each in tmp_path.iterdir()] == ["failed.txt"]


def test_a_list_of_which_no_row_came_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "second.txt"
    path.write_text("http://h/1\n")
    warnings: list[str] = []
    failed = FailedList(str(path), warnings.append, ["first.txt", str(path)])
    failed.record(BAD._replace(source="first.txt"), ITEM)
    failed.finish(Summary(unread=True))
    assert path.read_text() == "http://h/1\n"
    assert len(warnings) == 1


def test_the_list_on_standard_input_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text("http://h/1\n")
    saved = os.dup(0)
    with path.open("rb") as file:
        os.dup2(file.fileno(), 0)
    try:
        failed = FailedList(str(path), lambda _: None, ["-"])
        failed.finish(Summary(unread=True))
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    assert path.read_text() == "http://h/1\n"


def test_a_path_that_can_be_no_file_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a directory"):
        FailedList(str(tmp_path), stop)
