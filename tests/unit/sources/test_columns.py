"""Columns of other names, columns that are kept, and arrays in JSON."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import ListError, UsageError
from pdl.model import BadLine, Item, Outcome
from pdl.naming.namer import Namer, columns_in
from pdl.run.build import check_settings
from pdl.run.rows import settled
from pdl.scheduling.job import Skip
from pdl.settings import InputSettings, NamingSettings, Settings
from pdl.sources import Pause
from pdl.sources.registry import Formats
from pdl.text.rules import columns_fault
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdl.sources import Entry

CSV = "id,Image,caption,size\n1,http://h/a,A cat,9kB\n2,http://h/b,,10kB\n"
JSONL = (
    '{"id": 1, "Image": "http://h/a", "caption": "A cat", "size": "9kB"}\n'
    '{"id": 2, "Image": "http://h/b", "size": "10kB"}\n'
)
ARRAY = "[" + JSONL.replace("\n", ",\n").rstrip(",\n") + "\n]\n"
URL = (("url", "Image"),)


def read(
    text: str,
    *columns: tuple[str, str],
    keep: Iterable[str] = (),
    form: str = "auto",
    name: str = "list",
    piece: int = 1 << 16,
) -> tuple[list[Entry], list[str]]:
    told: list[str] = []
    data = text.encode()
    chunks = [data[at : at + piece] for at in range(0, len(data), piece)]
    formats = Formats(InputSettings(form, columns=columns, keep=tuple(keep)), told.append)
    return [each for each in formats.read(chunks, name) if not isinstance(each, Pause)], told


def urls(entries: list[Entry]) -> list[str]:
    return [each.url if isinstance(each, Item) else each.message for each in entries]


# --- where fields are ---


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (CSV, [("url", "Image"), ("size", "id")]),
        (CSV, [("url", "IMAGE"), ("size", "#1")]),
        (CSV.replace(",", ";"), [("url", "Image"), ("size", "id")]),
        (CSV.replace(",", "\t"), [("url", "Image"), ("size", "id")]),
        (JSONL, [("url", "Image"), ("size", "number")]),
        (ARRAY, [("url", "Image"), ("size", "number")]),
    ],
)
def test_fields_are_taken_from_columns_of_other_names(
    text: str, columns: list[tuple[str, str]]
) -> None:
    for found in ("auto", ""):
        entries, _ = read(text, *columns, name="l" if found else "l.txt")
        assert urls(entries) == ["http://h/a", "http://h/b"]
        sizes = [each.size for each in entries if isinstance(each, Item)]
        assert sizes == (
            [1, 2] if "id" in dict(columns).values() or "#1" in str(columns) else [None] * 2
        )


def test_a_column_has_no_name_where_the_url_has_a_number() -> None:
    text = "1,http://h/a,x y\n2,http://h/b\n\n3,http://h/c,z,more\n"
    entries, told = read(text, ("url", "#2"), ("out", "#3"))
    assert urls(entries) == ["http://h/a", "http://h/b", "http://h/c"]
    assert [each.out for each in entries if isinstance(each, Item)] == ["x y", None, "z"]
    assert [each.line for each in entries] == [1, 2, 4]
    assert told == []
    assert urls(read("http://h/a\nhttp://h/b\n", ("url", "#1"))[0]) == ["http://h/a", "http://h/b"]


def test_a_column_that_is_not_there_is_told_with_those_that_are() -> None:
    for text, form in ((CSV, "csv"), (CSV.replace(",", ";"), "auto")):
        for columns, keep in ([("url", "image_link")], []), ([*URL], ["image_link"]):
            with pytest.raises(ListError, match="'image_link'; its columns are id, Image, caption"):
                read(text, *columns, keep=keep, form=form)
    with pytest.raises(ListError, match="no column '#9'; its columns are #1, #2"):
        read("a,http://h/a\n", ("url", "#9"))
    with pytest.raises(ListError, match="no column 'url'; its columns are id, Image"):
        read(CSV, ("out", "caption"), form="csv")
    for text in (JSONL, ARRAY):
        with pytest.raises(ListError, match="'#2'; its columns are id, Image"):
            read(text, ("url", "#2"))
        (entry, *_), _ = read(text, ("url", "image_link"))
        assert isinstance(entry, BadLine)
        assert "no field 'image_link'; its fields are id, Image, caption, size" in entry.message


@pytest.mark.parametrize("columns", [URL, ()])
def test_a_list_without_columns_is_refused(columns: tuple[tuple[str, str], ...]) -> None:
    what = "--column" if columns else "--keep"
    for form in ("text", "checksums", "curl", "metalink"):
        with pytest.raises(ListError, match=f"format {form}: {what} needs columns"):
            read("http://h/a\n", *columns, keep=["all"], form=form)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([("url", "#0")], "neither"),
        ([("url", "#x")], "neither"),
        ([("url", "")], "neither"),
        ([("url", "a"), ("url", "b")], "two columns"),
        ([("url", "#2"), ("out", "name")], "no row of names"),
        ([("url", "a"), ("out", "#2")], ""),
        ([("url", "#1"), ("out", "#2")], ""),
    ],
)
def test_columns_that_cannot_be(columns: list[tuple[str, str]], said: str) -> None:
    assert said in columns_fault(columns)
    assert bool(columns_fault(columns)) == bool(said)


# --- what is kept ---


@pytest.mark.parametrize("text", [CSV, JSONL, ARRAY])
def test_columns_are_kept(text: str) -> None:
    entries, told = read(text, ("url", "Image"), ("size", "id"), keep=["caption", "size"])
    kept = [dict(each.fields) for each in entries if isinstance(each, Item)]
    assert kept[0] == {"caption": "A cat", "size": "9kB"}
    assert kept[1].get("caption") in {"", None}
    assert told == []


@pytest.mark.parametrize("text", [CSV, JSONL, ARRAY])
def test_all_that_are_no_fields_are_kept(text: str) -> None:
    entries, told = read(text.replace("size", "weight"), *URL, keep=["all"])
    (first, _) = (dict(each.fields) for each in entries if isinstance(each, Item))
    assert {name: str(value) for name, value in first.items()} == {
        "id": "1",
        "caption": "A cat",
        "weight": "9kB",
    }
    assert told == []
    assert "unknown and ignored" in read(text.replace("size", "weight"), *URL)[1][0]


def test_numbers_are_names_where_there_are_none() -> None:
    entries, _ = read("1,http://h/a,x\n2,http://h/b\n", ("url", "#2"), keep=["#3"])
    assert [dict(each.fields) for each in entries if isinstance(each, Item)] == [{"#3": "x"}, {}]


def test_a_row_has_them_without_secrets() -> None:
    fields = (
        ("caption", "at http://u:hunter2@h/?token=hunter2 me@x"),
        ("n", [1, {"u": "http://h/?sig=hunter2"}]),
    )
    item = Item("http://h/a", fields=fields, source="l", line=1)
    row = settled(
        item, Skip(Namer(NamingSettings()).path_for(item, parse(item.url), 1), Outcome.SKIPPED)
    )
    assert row.fields is not None
    assert row.fields["caption"] == "at http://u:***@h/?token=*** me@x"
    assert "hunter2" not in str(row)
    plain = settled(item._replace(fields=()), Skip(row.path, Outcome.SKIPPED))  # type: ignore[arg-type]
    assert plain.fields is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("A cat", "A cat.jpg"),
        ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd.jpg"),
        ("a\nb\x1b[2J", "a%0Ab\\x1b[2J.jpg".replace("\\", "%5C")),
        ("", "7.jpg"),
        (None, "7.jpg"),
        (12.5, "12.5.jpg"),
        ("see http://h/?token=hunter2", "see http:%2F%2Fh%2F?token=***.jpg"),
    ],
)
def test_a_column_in_a_name_is_safe(value: object, name: str) -> None:
    template = "{f.a b}.jpg" if value not in {None, ""} else "{n}{f.a b}.jpg"
    item = Item("http://h/a", fields=(("a b", value),), source="l", line=1)
    namer = Namer(NamingSettings(template=template))
    assert namer.path_for(item, parse(item.url), 7) == name
    bare = namer.path_for(item._replace(fields=()), parse(item.url), 7)
    assert bare in {"7.jpg", ".jpg"}


def test_a_very_long_column_keeps_the_extension() -> None:
    item = Item("http://h/a", fields=(("c", "é" * 400),), source="l", line=1)
    path = Namer(NamingSettings(template="{f.c}.jpg")).path_for(item, parse(item.url), 1)
    assert path.endswith(".jpg")
    assert len(path.encode()) <= 255


def test_a_column_in_a_name_must_be_kept() -> None:
    assert columns_in("{f.a}-{name}{f.b c}") == ["a", "b c"]
    naming = NamingSettings(template="{f.a}")
    for keep in ((), ("b",)):
        with pytest.raises(UsageError, match="'a', which is not kept") as caught:
            check_settings(Settings(input=InputSettings(keep=keep), naming=naming))
        assert caught.value.hint == "--keep a keeps it"
    for keep in (("a",), ("all",)):
        check_settings(Settings(input=InputSettings(keep=keep), naming=naming))


# --- arrays ---


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=9),
    st.integers(1, 40),
    st.sampled_from([None, 1, "\t"]),
)
def test_an_array_is_read_however_it_comes(
    names: list[str], piece: int, indent: int | None
) -> None:
    rows = [
        {"url": f"http://h/{n}", "out": name or "x", "é]": [{}]} for n, name in enumerate(names)
    ]
    text = json.dumps(rows, indent=indent, ensure_ascii=bool(piece % 2))
    entries, _ = read(text, form="json", piece=piece)
    assert [(each.url, each.out) for each in entries if isinstance(each, Item)] == [
        (row["url"], row["out"]) for row in rows
    ]
    if indent and entries:
        assert [each.line for each in entries[:1]] == [2]


@pytest.mark.parametrize(
    ("text", "good", "said"),
    [
        ("[", 0, "ends before its array does"),
        ('["http://h/a"', 1, "ends before its array does"),
        ('["http://h/a",', 1, "ends before its array does"),
        ('["http://h/a" "http://h/b"]', 1, "has no , or ]"),
        ('["http://h/a"] x', 1, "has no end"),
        ('["http://h/a",\n{"url" 1}]', 1, "is no JSON: Expecting ':' delimiter, from line 2 on"),
        ('{"url": 1}', 0, "has no ["),
        ('["http://h/a", "\\ud800"', 1, "ends before"),
        ("[" * 100_000, 0, "is no JSON"),
        ('["http://h/a", "' + "x" * 200_000 + '"]', 1, "longer than 65536 bytes"),
    ],
)
def test_an_array_that_is_broken_is_so_from_there_on(text: str, good: int, said: str) -> None:
    told: list[str] = []
    entries = iter(Formats(InputSettings("json"), told.append).read(pieces(text), "l"))
    found = []
    with pytest.raises(ListError) as caught:  # noqa: PT012 - all that comes before counts
        for each in entries:
            found.append(each)  # noqa: PERF402
    assert len([each for each in found if isinstance(each, Item)]) == good
    assert said in caught.value.message


def pieces(text: str) -> Iterator[bytes]:
    data = text.encode()
    return (data[at : at + 65536] for at in range(0, len(data), 65536))


def test_an_element_that_is_none_is_its_lines_failure() -> None:
    text = '[1,\n{"url": 2},\n{"out": "x"},\n"http://h/a"]'
    entries, _ = read(text, form="json")
    assert [each.line for each in entries] == [1, 2, 3, 4]
    assert urls(entries)[3] == "http://h/a"
    assert "is no JSON object" in urls(entries)[0]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_the_memory_of_many_rows_is_flat(form: str) -> None:
    def rows() -> Iterator[bytes]:
        yield {"csv": b"id,image,caption\n", "jsonl": b"", "json": b"["}[form]
        for n in range(50):
            lines = []
            for m in range(n * 1000, (n + 1) * 1000):
                row = {"id": m, "image": f"http://h/{m}", "caption": f"picture {m}"}
                text = json.dumps(row) if form != "csv" else ",".join(map(str, row.values()))
                lines.append(("," if form == "json" and m else "") + text + "\n")
            yield "".join(lines).encode()
        yield b"]" if form == "json" else b""

    settings = InputSettings(form, columns=(("url", "image"),), keep=("caption",))
    entries = Formats(settings, print).read(rows(), "l")
    for _ in range(1000):
        next(entries)
    tracemalloc.start()
    count = sum(isinstance(each, Item) and bool(each.fields) for each in entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 49_000
    assert peak < 1_000_000
