"""Room on the disk: reserved as a file grows, given back, and told where it is short."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

import pytest

from pdl.storage.part import Part
from pdl.system import disk_space
from pdl.system.disk_space import FIRST_STEP, LEAST, Reservation, check_room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    path = tmp_path / "file"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    Reservation(fd, LEAST).ahead_of(0)
    if blocks(path) < LEAST:
        os.close(fd)
        pytest.skip("this file system reserves nothing")
    os.ftruncate(fd, 0)
    yield fd, path
    os.close(fd)


def test_what_is_reserved_is_no_part_of_the_file(opened: tuple[int, Path]) -> None:
    fd, path = opened
    Reservation(fd, 3 * MIB).ahead_of(0)
    assert path.stat().st_size == 0
    assert blocks(path) >= 3 * MIB


def test_a_claim_holds_no_more_than_a_step_until_bytes_come(opened: tuple[int, Path]) -> None:
    fd, path = opened
    reserved = Reservation(fd, 1 << 40)
    reserved.ahead_of(0)
    assert FIRST_STEP <= blocks(path) < 2 * FIRST_STEP


def test_it_grows_with_the_file_and_stops_at_its_total(opened: tuple[int, Path]) -> None:
    fd, path = opened
    reserved = Reservation(fd, FIRST_STEP + 3 * MIB)
    reserved.ahead_of(0)
    before = blocks(path)
    reserved.ahead_of(FIRST_STEP - 1)
    assert blocks(path) == before
    os.ftruncate(fd, FIRST_STEP)
    reserved.ahead_of(FIRST_STEP)
    assert 0 < blocks(path) - FIRST_STEP < 4 * MIB


def test_what_is_released_is_free_again_and_the_bytes_stay(opened: tuple[int, Path]) -> None:
    fd, path = opened
    reserved = Reservation(fd, 4 * MIB)
    reserved.ahead_of(0)
    os.write(fd, b"bytes")
    reserved.release(5)
    assert path.read_bytes() == b"bytes"
    assert blocks(path) < MIB


def test_room_for_more_than_there_is_names_both_numbers(tmp_path: Path) -> None:
    check_room(str(tmp_path), 1)
    with pytest.raises(OSError, match=r"needs 88\.8 PiB more, [\d.,]+ [KMGTP]?i?B free") as caught:
        check_room(str(tmp_path), 10**17)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(tmp_path)


def part_in(tmp_path: Path) -> Part:
    (tmp_path / ".pdl").mkdir()
    part = Part(str(tmp_path), "ab.part")
    part.start()
    return part


def test_a_failed_part_gives_back_what_it_reserved(opened: object, tmp_path: Path) -> None:
    part = part_in(tmp_path)
    part.expect(8 * MIB)
    path = tmp_path / ".pdl" / "ab.part"
    assert blocks(path) >= 8 * MIB
    part.write(memoryview(b"x"))
    fd = os.dup(part._fd)  # the file goes with the attempt, as it has no validator
    part.leave(keep=True)
    assert os.fstat(fd).st_blocks * 512 < MIB
    os.close(fd)


def test_what_the_part_has_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("pdl.storage.part.check_room", lambda _where, needed: asked.append(needed))
    part = part_in(tmp_path)
    part.write(memoryview(bytes(1000)))
    part.expect(LEAST + 999)
    part.expect(None)
    assert asked == []
    part.expect(LEAST + 1000)
    assert asked == [LEAST]
    part.leave(keep=False)


def test_a_system_that_cannot_reserve_is_none_the_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdl.system.disk_space._allocator", lambda: None)
    part = part_in(tmp_path)
    part.expect(2 * MIB)
    part.write(memoryview(b"x"))
    assert part.size == 1
    part.leave(keep=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="procfs has no room at all")
def test_a_refused_reservation_of_another_kind_is_only_none() -> None:
    reader, writer = os.pipe()  # nothing can be reserved in a pipe
    reserved = Reservation(writer, MIB)
    reserved.ahead_of(0)
    os.write(writer, b"bytes")
    assert os.read(reader, 9) == b"bytes"
    os.close(reader)
    os.close(writer)


FREE = 500 * MIB


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: FREE)


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(("needed", "least"), [(0, FREE), (100 * MIB, 400 * MIB), (0, 0)])
def test_what_leaves_enough_may_come(needed: int, least: int) -> None:
    disk_space.check_kept_free("here", needed, least)


@pytest.mark.usefixtures("free")
@pytest.mark.parametrize(
    ("needed", "least", "number", "said"),
    [
        (
            100 * MIB + 1,
            400 * MIB,
            errno.EFBIG,
            "needs 100 MiB more, 500 MiB free, and --min-free keeps 400 MiB",
        ),
        (0, FREE + MIB, errno.ENOSPC, "500 MiB free, and --min-free keeps 501 MiB"),
        (1 << 50, 800 * MIB, errno.ENOSPC, "500 MiB free, and --min-free keeps 800 MiB"),
    ],
)
def test_what_leaves_too_little_says_by_its_number_whether_another_file_may_fit(
    needed: int, least: int, number: int, said: str
) -> None:
    with pytest.raises(OSError, match=said) as caught:
        disk_space.check_kept_free("here", needed, least)
    assert (caught.value.errno, caught.value.filename) == (number, "here")


def test_a_file_system_that_knows_no_numbers_is_not_asked_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: None)
    disk_space.check_kept_free("here", 1 << 60, 1 << 60)
    check_room("here", 1 << 60)
