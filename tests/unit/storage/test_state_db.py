"""The remembered names: kept, read again, and never a reason for a run to end."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdl.model import SafePath, Version
from pdl.naming.claims import GivenName, Pairing
from pdl.storage import state_db
from pdl.storage.state_db import FILE, StateDb, given_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS = [Pairing(SafePath("x"), 2), Pairing(SafePath("d/\u00e9-1"), 2**64 - 1)]


VERSION = Version(2**64 - 1, 2, 6, 'W/"e"', "Sun, 13 Sep 2020 12:26:40 GMT", 3, 7, ("md5:0", "x:1"))


OPENED: list[StateDb] = []
"""What a test has not closed yet."""


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Every memory is closed after its test: Python 3.13 warns of a database that is not."""
    yield
    while OPENED:
        OPENED.pop()._disconnect()


def memory(where: Path) -> tuple[StateDb, list[str]]:
    warnings: list[str] = []
    OPENED.append(StateDb(where, warnings.append))
    return OPENED[-1], warnings


def keep(where: Path, *pairs: Pairing) -> None:
    kept, warnings = memory(where)
    for pair in pairs:
        kept.keep(pair)
    kept.close()
    assert warnings == []


def left_by_a_kill(where: Path) -> list[Pairing]:
    """The names in a copy of what is on the disk while the database is open."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(where, copy, dirs_exist_ok=True)
        kept, warnings = memory(Path(copy))
        pairings = kept.pairings()
        kept.close()
        assert warnings == []
        return pairings


def test_nothing_to_remember_leaves_nothing(tmp_path: Path) -> None:
    kept, warnings = memory(tmp_path)
    assert kept.pairings() == []
    assert warnings == []
    kept.save()
    assert list(tmp_path.iterdir()) == []


def give(kept: StateDb, number: int, path: str) -> None:
    kept.give(GivenName(number, SafePath(f"get-{number}"), SafePath(path), f"{number}.part"))


def test_what_was_given_is_found_again(tmp_path: Path) -> None:
    kept, _ = memory(tmp_path)
    for number, path in ((2, "a.bin"), (2**64 - 1, "d/\u00e9.bin"), (2, "b.bin")):
        give(kept, number, path)
        assert kept.given(number, SafePath(f"get-{number}")) == path
    assert kept.given(3, SafePath("get-2")) is None
    kept.close()
    again, warnings = memory(tmp_path)
    assert again.given(2, SafePath("get-2")) == "b.bin"
    assert again.given(2**64 - 1, SafePath(f"get-{2**64 - 1}")) == "d/\u00e9.bin"
    assert {pair.path for pair in again.pairings()} == {"a.bin", "b.bin", "d/\u00e9.bin"}
    again.close()
    assert given_of(tmp_path, warnings.append) == {
        (2, "get-2"): "b.bin",
        (2**64 - 1, f"get-{2**64 - 1}"): "d/\u00e9.bin",
    }
    assert warnings == []


def test_a_part_stands_for_what_is_not_written_yet(tmp_path: Path) -> None:
    kept, _ = memory(tmp_path)
    kept.save()
    kept.tick()  # so that the next one is a moment away
    (tmp_path / "7.part").touch()
    kept.give(GivenName(7, SafePath("x"), SafePath("y"), "7.part"))
    if (tmp_path / "7.part").exists():
        with contextlib.closing(memory(tmp_path)[0]) as other:
            assert other.given(7, SafePath("x")) is None
    kept.close()
    assert not (tmp_path / "7.part").exists()
    with contextlib.closing(memory(tmp_path)[0]) as other:
        assert other.given(7, SafePath("x")) == "y"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "", ".pdl/x", b"x"])
def test_a_path_from_elsewhere_is_none(tmp_path: Path, path: object) -> None:
    kept, warnings = memory(tmp_path)
    give(kept, 2, "a.bin")
    kept.close()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("UPDATE given SET path = ?", (path,))
        database.commit()
    again, warnings = memory(tmp_path)
    assert again.given(2, SafePath("get-2")) is None
    again.close()
    assert given_of(tmp_path, warnings.append) == {}
    assert warnings == []


def test_a_database_of_before_has_nothing_given(tmp_path: Path) -> None:
    keep(tmp_path, *PAIRS)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("DROP TABLE given")
        database.commit()
    warnings: list[str] = []
    assert given_of(tmp_path, warnings.append) == {}
    kept = StateDb(tmp_path, warnings.append)
    assert kept.given(2, SafePath("x")) is None
    kept.close()
    assert warnings == []


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    keep(tmp_path, *PAIRS)
    assert sorted(memory(tmp_path)[0].pairings()) == sorted(PAIRS)


def test_the_last_word_counts(tmp_path: Path) -> None:
    keep(tmp_path, PAIRS[0])
    keep(tmp_path, PAIRS[0]._replace(key=6))
    assert memory(tmp_path)[0].pairings() == [PAIRS[0]._replace(key=6)]


def test_it_is_written_before_the_run_ends(tmp_path: Path) -> None:
    kept, _ = memory(tmp_path)
    kept.keep(PAIRS[0])
    assert left_by_a_kill(tmp_path) == [PAIRS[0]]
    kept.close()


def test_it_is_not_written_for_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_db, "SAVE_SECONDS", 1000.0)
    kept, _ = memory(tmp_path)
    kept.keep(PAIRS[0])
    kept.keep(PAIRS[1])
    assert left_by_a_kill(tmp_path) == [PAIRS[0]]
    kept.save()
    assert len(left_by_a_kill(tmp_path)) == 2
    kept.close()


def table(where: Path, *rows: tuple[object, object]) -> None:
    with contextlib.closing(sqlite3.connect(where / FILE)) as database, database:
        database.execute("CREATE TABLE names (path, key)")
        database.executemany("INSERT INTO names VALUES (?, ?)", rows)
    database.close()


@pytest.mark.parametrize("broken", ["bytes", "half", "other columns", "no number", "null"])
def test_a_broken_database_is_put_aside(tmp_path: Path, broken: str) -> None:
    path = tmp_path / FILE
    if broken == "bytes":
        path.write_bytes(b"this is no database" * 100)
    elif broken == "half":
        keep(tmp_path, *PAIRS)
        path.write_bytes(path.read_bytes()[:5000])
    elif broken == "other columns":
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE names (place TEXT, owner TEXT)")
    else:
        table(tmp_path, ("x", "no number" if broken == "no number" else None))
    kept, warnings = memory(tmp_path)
    assert kept.pairings() == []
    assert len(warnings) == 1
    assert FILE in warnings[0]
    assert (tmp_path / "state.broken").exists()
    keep(tmp_path, *PAIRS)
    assert len(memory(tmp_path)[0].pairings()) == 2


def fill(where: Path, count: int) -> bytes:
    kept, warnings = memory(where)
    for number in range(count):
        kept.remember(SafePath(f"f{number}"), VERSION._replace(size=number))
    kept.close()
    assert warnings == []
    return (where / FILE).read_bytes()


def test_a_version_is_remembered_as_it_was(tmp_path: Path) -> None:
    far = VERSION._replace(mtime_ns=253_402_300_799 * 10**9, etag=None, modified=None)
    kept, warnings = memory(tmp_path)
    kept.remember(SafePath("x"), VERSION)
    kept.remember(SafePath("y"), far)
    assert kept.version_of(SafePath("y")) == far
    kept.close()
    again, _ = memory(tmp_path)
    assert again.version_of(SafePath("x")) == VERSION
    assert again.version_of(SafePath("y")) == far
    assert again.version_of(SafePath("z")) is None
    again.remember(SafePath("x"), far)
    assert again.version_of(SafePath("x")) == far
    again.close()
    assert warnings == []


def rows(where: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{where / FILE}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM versions").fetchone()
        return int(count)


def test_versions_are_written_in_batches_and_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_db, "SAVE_SECONDS", 1000.0)
    monkeypatch.setattr(state_db, "SAVE_ROWS", 100)
    kept, _ = memory(tmp_path)
    counts = []
    for number in range(250):
        kept.remember(SafePath(f"f{number}"), VERSION)
        assert kept.version_of(SafePath("f0")) == VERSION
        counts.append(rows(tmp_path))
        assert len(kept._versions) < 100
    assert sorted(set(counts)) == [1, 101, 201]
    kept.close()
    assert rows(tmp_path) == 250


def test_a_tick_writes_what_has_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _ = memory(tmp_path)
    kept.tick()
    assert list(tmp_path.iterdir()) == []
    kept.remember(SafePath("x"), VERSION)
    kept.remember(SafePath("y"), VERSION)
    monkeypatch.setattr(kept, "_next_save", 0.0)
    kept.tick()
    assert rows(tmp_path) == 2
    kept.close()


def test_killed_within_a_write_it_is_as_before(tmp_path: Path) -> None:
    fill(tmp_path, 500)
    killed = tmp_path / "killed"
    with contextlib.closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as database:
        database.execute("PRAGMA cache_size=5")  # some of it is in the file before it is whole
        database.execute("BEGIN")
        database.execute("UPDATE versions SET size = 7")
        shutil.copytree(tmp_path, killed)
    assert (killed / f"{FILE}-journal").stat().st_size > 0
    assert (killed / FILE).read_bytes() != (tmp_path / FILE).read_bytes()
    kept, warnings = memory(killed)
    for number in range(500):
        version = kept.version_of(SafePath(f"f{number}"))
        assert version is not None
        assert version.size == number
    kept.close()
    assert warnings == []
    assert [path.name for path in killed.iterdir()] == [FILE]


@pytest.mark.parametrize("damage", ["no database", "half", "a page", "a type"])
def test_a_damaged_database_is_put_aside_with_one_warning(tmp_path: Path, damage: str) -> None:
    text = fill(tmp_path, 500)
    path = tmp_path / FILE
    if damage == "a type":
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE versions SET size = 'large', etag = x'00'")
    elif damage == "a page":
        path.write_bytes(text[:8192] + b"\xa5" * (len(text) - 8192))
    else:
        path.write_bytes(b"x" * 9999 if damage == "no database" else text[: len(text) // 2])
    kept, warnings = memory(tmp_path)
    kept.pairings()
    found = [kept.version_of(SafePath(f"f{number}")) for number in range(500)]
    assert None in found
    assert len(warnings) == 1
    kept.remember(SafePath("x"), VERSION)
    kept.close()
    assert memory(tmp_path)[0].version_of(SafePath("x")) == VERSION
    assert len(warnings) == 1


def test_what_belongs_to_a_damaged_database_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"x" * 9999)
    for suffix in ("-journal", "-wal", "-shm"):
        (tmp_path / f"{FILE}{suffix}").write_bytes(b"y" * 9999)
    kept, warnings = memory(tmp_path)
    kept.pairings()
    assert len(warnings) == 1
    kept.keep(PAIRS[0])
    kept.close()
    assert memory(tmp_path)[0].pairings() == [PAIRS[0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.broken", FILE]


@pytest.mark.parametrize("leftover", ["", "-wal", "-journal"])
def test_a_beginning_of_nothing_is_no_damage(tmp_path: Path, leftover: str) -> None:
    (tmp_path / FILE).write_bytes(b"")
    (tmp_path / f"{FILE}{leftover}").write_bytes(b"")
    kept, warnings = memory(tmp_path)
    assert kept.pairings() == []
    assert kept.version_of(SafePath("x")) is None
    kept.close()
    assert warnings == []


def test_a_database_that_is_in_use_is_let_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_db, "LOCK_SECONDS", 0.01)
    fill(tmp_path, 1)
    holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    other, warnings = memory(tmp_path)
    assert other.pairings() == []
    assert other.version_of(SafePath("x")) is None
    other.remember(SafePath("x"), VERSION)
    other.close()
    assert len(warnings) == 1
    holder.close()
    assert memory(tmp_path)[0].version_of(SafePath("f0")) is not None


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"")
    (tmp_path / FILE).symlink_to(outside)
    kept, _ = memory(tmp_path)
    kept.pairings()
    kept.keep(PAIRS[0])
    kept.save()
    assert outside.read_bytes() == b""


@pytest.mark.parametrize("suffix", ["-wal", "-journal", "-shm"])
def test_no_file_beside_it_is_a_link(tmp_path: Path, suffix: str) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    (tmp_path / f"{FILE}{suffix}").symlink_to(outside)
    kept, warnings = memory(tmp_path)
    kept.remember(SafePath("x"), VERSION)
    kept.close()
    assert outside.read_bytes() == b"precious"
    assert warnings == []


def test_a_database_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    kept, warnings = memory(tmp_path)
    kept.keep(PAIRS[0])
    assert len(warnings) == 1
    assert "cannot be written" in warnings[0]
    kept.save()
    assert len(warnings) == 1
