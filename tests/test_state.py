"""The remembered names: kept, read again, and never a reason for a run to end."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from pdl import state
from pdl.model import SafePath
from pdl.state import FILE, Memory
from pdl.taken import Pairing

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = [Pairing(SafePath("x"), 2), Pairing(SafePath("d/\u00e9-1"), 2**64 - 1)]


def memory(where: Path) -> tuple[Memory, list[str]]:
    warnings: list[str] = []
    return Memory(where, warnings.append), warnings


def keep(where: Path, *pairs: Pairing) -> None:
    kept, warnings = memory(where)
    for pair in pairs:
        kept.keep(pair)
    kept.save()
    assert warnings == []


def test_nothing_to_remember_leaves_nothing(tmp_path: Path) -> None:
    kept, warnings = memory(tmp_path)
    assert kept.pairings() == []
    assert warnings == []
    kept.save()
    assert list(tmp_path.iterdir()) == []


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
    assert memory(tmp_path)[0].pairings() == [PAIRS[0]]


def test_it_is_not_written_for_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "SAVE_SECONDS", 1000.0)
    kept, _ = memory(tmp_path)
    kept.keep(PAIRS[0])
    kept.keep(PAIRS[1])
    assert memory(tmp_path)[0].pairings() == [PAIRS[0]]
    kept.save()
    assert len(memory(tmp_path)[0].pairings()) == 2


def table(where: Path, *rows: tuple[object, object]) -> None:
    with sqlite3.connect(where / FILE) as database:
        database.execute("CREATE TABLE names (path, key)")
        database.executemany("INSERT INTO names VALUES (?, ?)", rows)
    database.close()


@pytest.mark.parametrize("broken", ["bytes", "half", "no table", "no number", "null"])
def test_a_broken_database_is_put_aside(tmp_path: Path, broken: str) -> None:
    path = tmp_path / FILE
    if broken == "bytes":
        path.write_bytes(b"this is no database" * 100)
    elif broken == "half":
        keep(tmp_path, *PAIRS)
        path.write_bytes(path.read_bytes()[:5000])
    elif broken == "no table":
        sqlite3.connect(path).close()
        path.write_bytes(b"")
    else:
        table(tmp_path, ("x", "no number" if broken == "no number" else None))
    kept, warnings = memory(tmp_path)
    assert kept.pairings() == []
    assert len(warnings) == 1
    assert FILE in warnings[0]
    assert not path.exists()
    assert (tmp_path / "state.broken").exists()
    keep(tmp_path, *PAIRS)
    assert len(memory(tmp_path)[0].pairings()) == 2


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"")
    (tmp_path / FILE).symlink_to(outside)
    kept, _ = memory(tmp_path)
    kept.pairings()
    kept.keep(PAIRS[0])
    kept.save()
    assert outside.read_bytes() == b""


def test_a_database_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    kept, warnings = memory(tmp_path)
    kept.keep(PAIRS[0])
    assert len(warnings) == 1
    assert "cannot be written" in warnings[0]
    kept.save()
    assert len(warnings) == 1
