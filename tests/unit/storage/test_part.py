"""The part file: what may go on, what never does, and in which order its steps come."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.http_rules.ranges import Known, Validator
from pdl.model import SafePath
from pdl.storage import note
from pdl.storage.final_name import InTheWay, make_parents
from pdl.storage.note import boot_id
from pdl.storage.part import Part

NAME = f"{'ab' * 16}.part"
STRONG = Validator(etag='"1"')
DATE = Validator(modified="Sun, 06 Nov 1994 08:49:37 GMT")
ALL = Validator('"1"', "Sun, 06 Nov 1994 08:49:37 GMT", "gzip")
FINAL = SafePath("file.bin")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / ".pdl").mkdir()
    return tmp_path


def part_of(place: Path) -> Part:
    return Part(str(place), NAME)


def bytes_at(place: Path) -> Path:
    return place / ".pdl" / NAME


def note_at(place: Path) -> Path:
    return bytes_at(place).with_suffix(".json")


def begin(place: Path, data: bytes, validator: Validator = STRONG, total: int | None = 100) -> Part:
    part = part_of(place)
    part.start()
    part.versioned(validator, total)
    part.write(memoryview(data))
    return part


def left(place: Path, data: bytes, validator: Validator = STRONG, total: int | None = 100) -> None:
    begin(place, data, validator, total).leave(keep=True)


def edit_note(place: Path, **fields: object) -> None:
    note = json.loads(note_at(place).read_text())
    note_at(place).write_text(json.dumps(note | fields))


def state(place: Path) -> list[str]:
    return sorted(each.name for each in (place / ".pdl").iterdir())


# --- a name that nobody has ---


def test_a_new_name_is_given_once(place: Path) -> None:
    part = begin(place, b"new")
    part.note()
    (place / "file.bin").write_bytes(b"old")
    assert not part.finish_new(FINAL, 5.0, fsync=True)
    assert part.finish_new(SafePath("d/e/other.bin"), 5.0, fsync=True)
    assert (place / "file.bin").read_bytes() == b"old"
    found = place / "d/e/other.bin"
    assert (found.read_bytes(), found.stat().st_mtime) == (b"new", 5.0)
    assert state(place) == [NAME]  # until it is remembered whose it is
    assert part_of(place).known() is None
    part.leave(keep=True)
    again = begin(place, b"again")
    assert found.read_bytes() == b"new"
    again.leave(keep=False)


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_is_none_the_less_asked(
    place: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def link(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    (place / "file.bin").symlink_to("nowhere")
    part = begin(place, b"new")
    assert not part.finish_new(FINAL, None, fsync=False)
    assert part.finish_new(SafePath("other"), None, fsync=False)
    assert state(place) == []
    assert (place / "other").read_bytes() == b"new"


@pytest.mark.parametrize("new", [False, True])
def test_the_bytes_are_on_the_disk_before_the_name_and_then_the_name(
    place: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    brought: list[tuple[int, bool]] = []
    final = place / "d" / "file.bin"
    fsync = os.fsync

    def note(fd: int) -> None:
        brought.append((os.fstat(fd).st_ino, final.exists()))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    for wanted in (False, True):
        finish = Part.finish_new if new else Part.finish
        finish(begin(place, b"new"), SafePath("d/file.bin"), None, fsync=wanted)
        expected = [(final.stat().st_ino, False), (final.parent.stat().st_ino, True)]
        assert brought == (expected if wanted else [])
        final.unlink()
        bytes_at(place).unlink(missing_ok=True)


def test_a_disk_that_refuses_a_link_is_a_failure(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", link)
    part = begin(place, b"new")
    with pytest.raises(OSError, match="full"):
        part.finish_new(FINAL, None, fsync=False)
    part.leave(keep=False)


def test_what_the_first_answer_told_is_in_the_note(place: Path) -> None:
    told = (("content-type", "text/csv"), ("content-disposition", "filename=\u4f60 a.bin"))
    part = part_of(place)
    part.start()
    part.versioned(STRONG, 100, told)
    part.write(memoryview(b"0123456789"))
    part.leave(keep=True)
    assert part_of(place).known() == Known(10, STRONG, 100, told)
    edit_note(place, told={})
    assert part_of(place).known() == Known(10, STRONG, 100)


@pytest.mark.parametrize("told", [7, "x", ["x"], {"content-type": 7}, {"content-type": ["x"]}])
def test_a_note_that_tells_nonsense_is_none(place: Path, told: object) -> None:
    left(place, b"0123456789")
    edit_note(place, told=told)
    assert part_of(place).known() is None


def test_a_part_that_starts_again_lets_go_of_what_it_had_reserved(place: Path) -> None:
    """Its handle's number may be another file's by then."""
    part = part_of(place)
    part.start()
    part.expect(64 << 20)
    part.discard()
    with (place / "other").open("wb") as other:  # gets that number
        other.write(b"other")
        other.flush()
        part.start()
        part.leave(keep=False)
    assert (place / "other").read_bytes() == b"other"


# --- going on ---


@pytest.mark.parametrize("validator", [STRONG, DATE, ALL])
@pytest.mark.parametrize("total", [100, None])
def test_what_was_left_is_known(place: Path, validator: Validator, total: int | None) -> None:
    left(place, b"0123456789", validator, total)
    assert part_of(place).known() == Known(10, validator, total)


def test_nothing_there_is_nothing_known(place: Path) -> None:
    assert part_of(place).known() is None


def test_without_a_strong_validator_nothing_stays(place: Path) -> None:
    left(place, b"0123456789", Validator())
    assert state(place) == []


def test_an_empty_part_does_not_stay(place: Path) -> None:
    left(place, b"")
    assert state(place) == []


def test_what_is_not_to_be_kept_goes(place: Path) -> None:
    part = begin(place, b"0123456789")
    part.note()
    part.leave(keep=False)
    assert state(place) == []


def test_an_attempt_without_an_answer_leaves_an_earlier_part_alone(place: Path) -> None:
    left(place, b"0123456789")
    part = part_of(place)
    known = part.known()
    part.leave(keep=True)
    assert part_of(place).known() == known == Known(10, STRONG, 100)


def test_a_part_that_was_begun_and_not_noted_does_not_outlive_a_refused_name(place: Path) -> None:
    part = begin(place, b"0123456789", Validator())
    (place / FINAL).mkdir()
    with pytest.raises(InTheWay):
        part.finish(FINAL, None, fsync=False)
    part.leave(keep=True)
    assert state(place) == []


def test_it_goes_on_where_it_was(place: Path) -> None:
    left(place, b"0123456789")
    part = part_of(place)
    assert part.go_on(Known(8, STRONG, 100))
    part.write(memoryview(b"abc"))
    assert part.size == 11
    buffer = bytearray(20)
    assert part.read_back(memoryview(buffer), 6) == 5
    assert buffer[:5] == b"67abc"
    part.finish(FINAL, None, fsync=False)
    assert (place / FINAL).read_bytes() == b"01234567abc"
    assert state(place) == []


def test_it_does_not_go_on_where_there_are_too_few_bytes(place: Path) -> None:
    left(place, b"0123456789")
    assert not part_of(place).go_on(Known(11, STRONG, 100))
    assert bytes_at(place).read_bytes() == b"0123456789"
    bytes_at(place).unlink()
    assert not part_of(place).go_on(Known(8, STRONG, 100))


def test_a_whole_part_asks_for_its_last_byte_again(place: Path) -> None:
    left(place, b"0123456789", total=10)
    assert part_of(place).known() == Known(9, STRONG, 10)


def test_a_part_of_one_byte_that_is_all_starts_again(place: Path) -> None:
    left(place, b"0", total=1)
    assert part_of(place).known() is None


def test_a_part_longer_than_the_file_starts_again(place: Path) -> None:
    left(place, b"0123456789", total=9)
    assert part_of(place).known() is None


# --- notes ---


def test_after_a_boot_only_what_was_flushed_counts(place: Path) -> None:
    left(place, b"0123456789")
    edit_note(place, boot="another", synced=4)
    assert part_of(place).known() == Known(4, STRONG, 100)


def test_after_a_boot_nothing_flushed_is_nothing(place: Path) -> None:
    left(place, b"0123456789")
    edit_note(place, boot="another")
    assert part_of(place).known() is None


def test_flushing_is_noted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdl.storage.part.SYNC_EVERY", 6)
    part = begin(place, b"0123")
    part.note()
    assert json.loads(note_at(place).read_text())["synced"] == 0
    part.write(memoryview(b"4567"))
    part.note()
    assert json.loads(note_at(place).read_text())["synced"] == 8
    part.write(memoryview(b"89"))
    part.note()
    assert json.loads(note_at(place).read_text())["synced"] == 8
    part.leave(keep=True)


def test_this_boot_has_a_name_or_none() -> None:
    assert boot_id() == boot_id()


def test_no_name_for_the_boot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(note, "_BOOT_ID", tmp_path / "none")
    assert boot_id() == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "{}",
        '{"etag": 1, "modified": null, "coding": null, "total": 5, "synced": 0, "boot": ""}',
        '{"etag": null, "modified": null, "coding": null, "total": 5, "synced": 0, "boot": ""}',
        (
            '{"etag": "\\"1\\"", "modified": null, "coding": null, '
            '"total": "5", "synced": 0, "boot": ""}'
        ),
        (
            '{"etag": "\\"1\\"", "modified": null, "coding": null, '
            '"total": 5, "synced": "x", "boot": ""}'
        ),
        (
            '{"etag": "\\"1\\"", "modified": null, "coding": null, '
            '"total": 5, "synced": Infinity, "boot": ""}'
        ),
        (
            '{"etag": "\\"1\\"", "modified": null, "coding": null, '
            '"total": 100, "synced": -7, "boot": "other"}'
        ),
    ],
)
def test_a_broken_note_is_none(place: Path, text: str) -> None:
    left(place, b"0123456789")
    note_at(place).write_text(text)
    assert part_of(place).known() is None


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8")))
def test_no_bytes_in_a_note_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    place = tmp_path_factory.mktemp("note")
    (place / ".pdl").mkdir()
    bytes_at(place).write_bytes(b"0123456789")
    note_at(place).write_bytes(data)
    assert part_of(place).known() is None


def test_a_note_that_does_not_say_all_is_none(place: Path) -> None:
    left(place, b"0123456789", ALL)
    for field in ("etag", "modified", "coding"):
        note = json.loads(note_at(place).read_text())
        kept = note.pop(field)
        note_at(place).write_text(json.dumps(note))
        assert part_of(place).known() is None
        edit_note(place, **{field: kept})
        assert part_of(place).known() == Known(10, ALL, 100)


def test_a_part_without_its_note_starts_again(place: Path) -> None:
    left(place, b"0123456789")
    note_at(place).unlink()
    assert part_of(place).known() is None


def test_the_old_note_goes_before_the_old_bytes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(place, b"0123456789")
    order: list[str] = []
    unlink = os.unlink

    def watched(path: str) -> None:
        order.append(Path(path).suffix)
        unlink(path)

    monkeypatch.setattr(os, "unlink", watched)
    part = part_of(place)
    part.start()
    assert order == [".json", ".ranges", ".part"]
    part.leave(keep=False)


def test_a_part_that_starts_again_has_no_note_until_it_is_noted(place: Path) -> None:
    left(place, b"0123456789")
    part = part_of(place)
    part.start()
    part.versioned(Validator(etag='"2"'), 100)
    part.write(memoryview(b"ab"))
    assert part_of(place).known() is None
    part.note()
    assert part_of(place).known() == Known(2, Validator(etag='"2"'), 100)
    part.leave(keep=False)


# --- what stands in the way ---


def test_a_symlinked_part_is_not_followed(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "precious"
    outside.write_bytes(b"precious bytes")
    left(place, b"0123456789")
    bytes_at(place).unlink()
    bytes_at(place).symlink_to(outside)
    assert part_of(place).known() is None
    with pytest.raises(OSError, match="symbolic link"):
        part_of(place).go_on(Known(5, STRONG, 100))
    begin(place, b"new").finish(FINAL, None, fsync=False)
    assert (place / FINAL).read_bytes() == b"new"
    assert outside.read_bytes() == b"precious bytes"


def test_a_hard_linked_part_is_not_written(place: Path) -> None:
    outside = place / "precious"
    left(place, b"0123456789")
    os.link(bytes_at(place), outside)
    assert part_of(place).known() is None
    begin(place, b"new").finish(FINAL, None, fsync=False)
    assert outside.read_bytes() == b"0123456789"


def test_a_directory_as_part_is_an_error_of_the_system(place: Path) -> None:
    left(place, b"0123456789")
    bytes_at(place).unlink()
    bytes_at(place).mkdir()
    assert part_of(place).known() is None
    with pytest.raises(OSError, match=NAME):
        part_of(place).start()


def test_a_link_where_the_note_is_written_is_not_followed(place: Path) -> None:
    outside = place / "precious"
    outside.write_text("precious")
    note_at(place).with_suffix(".json.new").symlink_to(outside)
    left(place, b"0123456789")
    assert outside.read_text() == "precious"
    assert part_of(place).known() == Known(10, STRONG, 100)


def test_a_link_at_the_final_name_is_replaced(place: Path) -> None:
    outside = place / "precious"
    outside.write_text("precious")
    (place / FINAL).symlink_to(outside)
    begin(place, b"new").finish(FINAL, None, fsync=False)
    assert not (place / FINAL).is_symlink()
    assert outside.read_text() == "precious"


def test_a_directory_at_the_final_name(place: Path) -> None:
    (place / FINAL).mkdir()
    part = begin(place, b"new")
    with pytest.raises(InTheWay, match=r"file\.bin is a directory"):
        part.finish(FINAL, None, fsync=False)
    part.leave(keep=False)


def test_parents_are_made(place: Path) -> None:
    begin(place, b"new").finish(SafePath("a/b/c"), None, fsync=True)
    assert (place / "a/b/c").read_bytes() == b"new"


@pytest.mark.parametrize("blocked", ["a", "a/b"])
def test_no_parent_is_a_link(place: Path, blocked: str) -> None:
    (place / "outside").mkdir()
    (place / blocked).parent.mkdir(exist_ok=True)
    (place / blocked).symlink_to(place / "outside")
    part = begin(place, b"new")
    with pytest.raises(InTheWay, match=f"{blocked} is a link, which is not followed"):
        part.finish(SafePath("a/b/c"), None, fsync=False)
    part.leave(keep=False)
    assert list((place / "outside").iterdir()) == []


def test_no_parent_is_a_file(place: Path) -> None:
    (place / "a").write_text("here first")
    with pytest.raises(InTheWay, match="a is not a directory"):
        make_parents(str(place), SafePath("a/b"))
    part = begin(place, b"new")
    with pytest.raises(InTheWay):
        part.finish(SafePath("a/b"), None, fsync=False)
    part.leave(keep=False)
    assert (place / "a").read_text() == "here first"


# --- finishing ---


@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o4755, 0o755)])
def test_a_replaced_file_keeps_its_mode(place: Path, before: int, after: int) -> None:
    (place / FINAL).write_text("old")
    (place / FINAL).chmod(before)
    begin(place, b"new").finish(FINAL, None, fsync=False)
    assert (place / FINAL).stat().st_mode & 0o7777 == after


def test_a_new_file_has_the_mode_the_umask_allows(place: Path) -> None:
    mask = os.umask(0o027)
    try:
        begin(place, b"new").finish(FINAL, None, fsync=False)
    finally:
        os.umask(mask)
    assert (place / FINAL).stat().st_mode & 0o777 == 0o640


def test_the_time_is_the_one_given(place: Path) -> None:
    begin(place, b"new").finish(FINAL, 784111777.0, fsync=False)
    assert (place / FINAL).stat().st_mtime == 784111777.0


def test_an_absurd_time_is_no_failure(place: Path) -> None:
    begin(place, b"new").finish(FINAL, 1e30, fsync=False)
    assert (place / FINAL).read_bytes() == b"new"


def test_the_note_goes_with_the_part(place: Path) -> None:
    part = begin(place, b"0123456789", total=10)
    part.note()
    part.finish(FINAL, None, fsync=True)
    assert state(place) == []
