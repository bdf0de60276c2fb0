"""Files written in one step, and locks on files: the rules that every caller relies on."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pdl
from pdl.system import atomic_file, file_lock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("old")
    return path


def pieces(error: BaseException | None = None) -> Iterator[str]:
    yield "ne"
    if error is not None:
        raise error
    yield "w\n"


def write(target: Path, error: BaseException | None = None, *, mode: int | None = 0o600) -> None:
    atomic_file.write(str(target), f"{target}.new", pieces(error), mode=mode)


def test_the_new_file_has_the_name_and_nothing_else_is_left(target: Path) -> None:
    write(target)
    assert target.read_bytes() == b"new\n"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_file_alone(target: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write(target, error)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_what_stands_under_the_new_name_is_somebody_elses(target: Path) -> None:
    other = Path(f"{target}.new")
    other.symlink_to(target)
    with pytest.raises(FileExistsError):
        write(target)
    assert other.is_symlink()
    assert target.read_text() == "old"


def test_the_mode_of_the_old_file_can_be_kept(target: Path) -> None:
    target.chmod(0o640)
    write(target, mode=None)
    assert target.stat().st_mode & 0o777 == 0o640


def test_directories_are_made_only_where_that_is_wanted(tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.write_text("x")
    path = tmp_path / "a" / "b"
    with pytest.raises(FileNotFoundError):
        atomic_file.replace(new, path)
    assert not path.parent.exists()
    atomic_file.replace(new, path, parents=True)
    assert path.read_text() == "x"


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(*args: object, real: object = real, name: str = name) -> None:
            calls.append(name)
            assert callable(real)
            real(*args)

        monkeypatch.setattr(os, name, noted)
    atomic_file.write(str(target), f"{target}.new", pieces(), durable=True)
    assert calls == ["fsync", "replace", "fsync"]


def test_a_lock_is_taken_once_and_ends_with_its_file(target: Path) -> None:
    with target.open() as first, target.open() as second:
        assert file_lock.take(first.fileno())
        assert not file_lock.take(second.fileno())
        with closing(first):
            pass
        assert file_lock.take(second.fileno())


def test_trying_again_ends_by_success_by_a_stop_or_by_time() -> None:
    answers = iter([False, False, True])
    assert file_lock.take_within(60, 0, lambda: next(answers))
    stopped = iter([False])  # and an error if it is tried again
    assert not file_lock.take_within(60, 0, lambda: next(stopped), lambda: True)
    late = iter([False])
    assert not file_lock.take_within(0, 60, lambda: next(late))


@pytest.mark.parametrize(
    ("call", "home"),
    [(r"\bflock\(", "file_lock.py"), (r"\bos\.replace\(", "atomic_file.py")],
)
def test_nobody_else_does_it_by_hand(call: str, home: str) -> None:
    sources = Path(pdl.__file__).parent.rglob("*.py")
    users = {path.name for path in sources if re.search(call, path.read_text())}
    assert users == {home}
