"""The archive: what it holds, whoever was killed in the middle of a line."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import ListError, UsageError
from pdl.storage.archive import Archive

KEYS = [0xFEDCBA9876543210 + 4 * number for number in range(8)]


def line(key: int, url: str = "http://h/a b") -> str:
    return f"{key:016x} {url}\n"


def test_what_is_added_is_there_at_once_and_for_later_runs(tmp_path: Path) -> None:
    path = tmp_path / "done"
    with closing(Archive(str(path))) as archive:
        assert path.read_text() == ""
        archive.add(KEYS[0], "http://h/a")
        assert path.read_text() == line(KEYS[0], "http://h/a")
        archive.add(KEYS[0], "http://h/a")
        archive.add(KEYS[1], "http://h/\ud800")
        assert not archive.has(KEYS[0])  # a further line of this run is as without an archive
    assert len(path.read_text().splitlines()) == 2
    with closing(Archive(str(path), look_only=True)) as archive:
        assert [archive.has(key) for key in KEYS[:3]] == [True, True, False]


def test_a_look_makes_no_file(tmp_path: Path) -> None:
    with closing(Archive(str(tmp_path / "none"), look_only=True)) as archive:
        assert not archive.has(KEYS[0])
    assert not (tmp_path / "none").exists()


def test_runs_at_once_learn_from_each_other(tmp_path: Path) -> None:
    path = str(tmp_path / "done")
    with closing(Archive(path)) as one, closing(Archive(path)) as other:
        one.add(KEYS[0], "http://h/0")
        other.add(KEYS[0], "http://h/0")
        other.add(KEYS[1], "http://h/1")
        one.add(KEYS[2], "http://h/2")
        assert [one.has(key) for key in KEYS[:3]] == [False, True, False]
        assert [other.has(key) for key in KEYS[:3]] == [True, False, False]
    assert (tmp_path / "done").read_text() == "".join(
        line(KEYS[number], f"http://h/{number}") for number in range(3)
    )


@given(st.integers(0, 3 * len(line(KEYS[0]))), st.booleans())
def test_nothing_is_lost_that_stood_there_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int, open_before: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn"
    text = "".join(line(key) for key in KEYS[:3])
    path.write_text("" if open_before else text[:cut])
    with closing(Archive(str(path))) as archive:
        path.write_text(text[:cut])  # or another run is cut off while this one runs
        archive.add(KEYS[5], "http://h/5")
        assert archive.error is None
    whole = {key for number, key in enumerate(KEYS[:3]) if cut >= number * len(line(key)) + 16}
    with closing(Archive(str(path))) as archive:
        assert {key for key in KEYS if archive.has(key)} == {*whole, KEYS[5]}
    assert all(each[16:18] == " h" or each[17:] in "http://h/a b" for each in lines_of(path))
    assert path.read_text().endswith(line(KEYS[5], "http://h/5"))


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("text", ["http://h/a\n", "youtube abc\n", "x" * 3_000_000, "\0\n"])
def test_another_file_is_not_added_to(tmp_path: Path, text: str) -> None:
    path = tmp_path / "urls.txt"
    path.write_text(line(KEYS[0]) + text)
    with pytest.raises(ListError, match="no line of an archive"):
        Archive(str(path))
    assert path.read_text() == line(KEYS[0]) + text


def test_what_can_be_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no/such"):
        with pytest.raises(UsageError, match="--archive"):
            Archive(str(path))


def test_comments_and_empty_lines_are_no_urls(tmp_path: Path) -> None:
    path = tmp_path / "done"
    path.write_text(f"# kept by hand\n\n{line(KEYS[0])}{KEYS[1]:016x}\n")
    with closing(Archive(str(path))) as archive:
        assert [archive.has(key) for key in KEYS[:3]] == [True, True, False]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_told_and_loses_no_line(tmp_path: Path) -> None:
    archive = Archive(str(tmp_path / "done"))
    with closing(archive):
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, archive._fd)
        os.close(full)
        archive._catch_up = lambda: b""  # type: ignore[method-assign]
        archive.add(KEYS[0], "http://h/a")
        assert archive.error is not None


def test_100_000_lines_are_read_quickly(tmp_path: Path) -> None:
    path = tmp_path / "done"
    path.write_text("".join(line(4 * number + 2, "http://h/x") for number in range(1, 100_001)))
    with closing(Archive(str(path))) as archive:
        assert archive.has(4 * 100_000 + 2)
