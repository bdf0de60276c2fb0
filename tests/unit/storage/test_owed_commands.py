"""What is remembered of commands that are still to be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.storage.owed_commands import FILE, OwedCommands

if TYPE_CHECKING:
    from pathlib import Path


def never(text: str) -> None:
    raise AssertionError(text)


def test_what_is_owed_is_so_in_the_next_run_until_it_is_settled(tmp_path: Path) -> None:
    first = OwedCommands(tmp_path, never)
    assert first.owe(["a", "b/c d", "ü\u2028"]) == ["a", "b/c d", "ü\u2028"]
    assert first.owe(["a", "e"]) == ["e"]
    first.settle("e")
    first.close()
    second = OwedCommands(tmp_path, never)
    assert [second.owes(path) for path in ("a", "b/c d", "ü\u2028", "e", "x")] == [
        *(True, True, True, False, False)
    ]
    for path in ("a", "b/c d", "ü\u2028"):
        second.settle(path)
    second.close()
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_made_where_nothing_is_owed(tmp_path: Path) -> None:
    owed = OwedCommands(tmp_path, never)
    assert not owed.owes("a")
    owed.settle("a")
    owed.close()
    assert [*tmp_path.iterdir()] == []


def test_it_outlives_a_process_that_never_closes_it(tmp_path: Path) -> None:
    first = OwedCommands(tmp_path, never, flush=True)
    first.owe(["a"])
    for path in tmp_path.iterdir():  # as a kill leaves it
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    first.close()
    assert OwedCommands(tmp_path / "copy", never).owes("a")


def test_one_that_is_none_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    told: list[str] = []
    owed = OwedCommands(tmp_path, told.append)
    assert owed.owe(["a"]) == []
    assert not owed.owes("a")
    owed.settle("a")
    owed.close()
    assert len(told) == 1
    assert "exec.sqlite cannot be used" in told[0]
    assert [*tmp_path.iterdir()] == []
