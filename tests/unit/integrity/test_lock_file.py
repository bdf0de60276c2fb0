"""The lock file as such: entries and lines, order, and writing that a kill cannot spoil."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdl.errors import ListError
from pdl.integrity.lock_file import (
    LockEntries,
    LockEntry,
    held,
    parse_entry,
    read_entries,
    replace_file,
)
from pdl.model import Item
from pdl.sources.jsonl import JsonlFormat

if TYPE_CHECKING:
    from pathlib import Path

SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
GOOD = {"url": "http://h/x", "out": "x", "size": 0, "sha256": SHA}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
entries = st.builds(
    LockEntry,
    texts,
    texts,
    st.integers(0, 10**18 - 1),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.none() | texts,
    st.just(7),
)


@given(entries)
def test_a_line_reads_back_as_the_entry(entry: LockEntry) -> None:
    text = entry.text()
    assert "\n" not in text
    assert parse_entry(text.encode(), 7) == entry


VALUES = st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=5) | st.just(SHA.upper())


@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*GOOD, "final_url", "more"]), VALUES).map(
        lambda more: json.dumps({**GOOD, **more}).encode()
    )
)
@example(json.dumps({**GOOD, "sha256": SHA.upper()}).encode())
def test_any_bytes_are_an_entry_or_no_entry(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        entry = parse_entry(raw, 1)
        assert parse_entry(entry.text().encode(), 1) == entry
        assert entry.url
        assert entry.path
        assert entry.size >= 0
        assert entry.sha256 == SHA


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": None}, "url"),
        ({"url": 5}, "url"),
        ({"out": ""}, "out"),
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"size": "5"}, "size"),
        ({"size": 10**18}, "size"),
        ({"sha256": SHA[1:]}, "sha256"),
        ({"sha256": "g" * 64}, "sha256"),
        ({"url": "http://h/\ud800"}, "character"),
    ],
)
def test_what_is_no_entry(change: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_entry(json.dumps({**GOOD, **change}).encode(), 1)


def test_a_line_that_is_no_entry_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_text(f"\n# comment\n{json.dumps(GOOD)}\n<<<<<<< HEAD\n")
    with pytest.raises(ListError, match="l:4: is no JSON") as caught:
        list(read_entries(str(path)))
    assert caught.value.hint


def test_an_entry_is_an_item_of_a_list(tmp_path: Path) -> None:
    warnings: list[str] = []
    text = LockEntry("http://h/x", "d/x", 5, SHA, "http://other/x").text().encode()
    found = list(JsonlFormat(warnings.append, None).read([text], "l"))
    assert found == [
        Item("http://h/x", out="d/x", size=5, checksum=f"sha256:{SHA}", source="l", line=1)
    ]
    assert warnings == []


@given(st.lists(entries, max_size=20))
def test_a_shelf_is_a_sorted_map(many: list[LockEntry]) -> None:
    shelf = LockEntries()
    model = {}
    for entry in many:
        shelf.put(entry)
        model[entry.url, entry.path] = entry
    assert list(shelf.all()) == [model[key] for key in sorted(model)]
    for entry in many:
        assert shelf.get(entry.url, entry.path) == model[entry.url, entry.path]
        assert model[entry.url, entry.path] in shelf.of_path(entry.path)
    for entry in many:
        shelf.drop(entry)
        assert shelf.get(entry.url, entry.path) is None
    shelf.close()


# --- writing ---

KILLED = """
import os, signal, sys
from pdl.integrity.lock_file import held, replace_file

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def lines():
    for number in range(10_000):
        if number == int(sys.argv[2]):
            die()
        yield "new" * 10

if sys.argv[2] == "fsync":
    os.fsync = die
if sys.argv[2] == "rename":
    os.replace = die
sys.argv[2] = sys.argv[2] if sys.argv[2].isdigit() else "-1"
with held(sys.argv[1]):
    replace_file(sys.argv[1], lines())
"""


@pytest.mark.parametrize("moment", ["0", "9999", "fsync", "rename"])
def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "x.lock"
    path.write_text("old\n")
    command = [sys.executable, "-c", KILLED, str(path), moment]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert path.read_text() == "old\n"
    assert len(list(tmp_path.iterdir())) == 2
    other = tmp_path / "x.lock.12345678.newer"
    other.touch()
    with held(str(path)):
        replace_file(str(path), ["next"])
    assert path.read_text() == "next\n"
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_a_file_that_cannot_be_written_stays_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text("old\n")

    def lines() -> list[str]:
        return ["\ud800"]

    with pytest.raises(UnicodeEncodeError):
        replace_file(str(path), lines())
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old\n"


def test_a_link_stays_and_so_does_the_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "d" / "real", tmp_path / "link"
    real.parent.mkdir()
    real.write_text("old\n")
    real.chmod(0o640)
    link.symlink_to(real)
    with held(str(link)):
        replace_file(str(link), ["new"])
    assert link.is_symlink()
    assert real.read_text() == "new\n"
    assert real.stat().st_mode & 0o777 == 0o640
