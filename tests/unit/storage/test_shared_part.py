"""A part that several lanes write: what its note and its board say of it, whatever is killed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pdl.http_rules.ranges import Known, Validator, to_go_on
from pdl.model import SafePath
from pdl.scheduling.range_map import ALIGNED as K
from pdl.scheduling.range_map import RangeMap, Share
from pdl.storage.board import find, take_over, tell
from pdl.storage.helper_part import HelperPart, RangeEnded
from pdl.storage.note import Note, read_note
from pdl.storage.part import Part

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"{'ab' * 16}.part"
STRONG = Validator(etag='"1"')
TOTAL = 16 * K
WHOLE = bytes(range(256)) * (TOTAL // 256)
HELPER = 7


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / ".pdl").mkdir()
    return tmp_path


def state(place: Path) -> list[str]:
    return sorted(each.suffix for each in (place / ".pdl").iterdir())


def begin(place: Path, count: int = K) -> Part:
    """A part with some bytes, that others may write."""
    part = Part(str(place), NAME)
    part.start()
    part.versioned(STRONG, TOTAL)
    part.share(TOTAL)
    part.write(memoryview(WHOLE[:count]))
    part.note()
    return part


def helper(place: Path, who: int = HELPER) -> HelperPart:
    part = HelperPart(str(place), NAME, who)
    assert part.join() == Known(0, STRONG, TOTAL)
    return part


def write(part: Part, count: int) -> None:
    part.write(memoryview(WHOLE[part.size : part.size + count]))


def test_two_lanes_make_one_file(place: Path) -> None:
    first, second = begin(place), helper(place)
    assert second.claim(Share(K)) == (8 * K, TOTAL)
    write(first, first.left(TOTAL))
    assert first.split is not None
    assert first.split.settle()
    write(second, second.left(TOTAL))
    second.close()
    assert first.split.done() == [(0, TOTAL)]
    first.finish(SafePath("file"), None, fsync=False)
    assert (place / "file").read_bytes() == WHOLE
    assert state(place) == []


@pytest.mark.parametrize("boot", ["this", "another"])
def test_what_is_there_is_known_after_a_kill(
    place: Path, boot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begin(place, 2 * K), helper(place)
    assert second.claim(Share(K)) == (9 * K, TOTAL)
    write(second, K)
    if boot == "another":  # nothing has been brought to the disk
        monkeypatch.setattr("pdl.storage.note.boot_id", lambda: "another")
        assert Part(str(place), NAME).known() is None
        return
    part = Part(str(place), NAME)
    assert part.known() == Known(2 * K, STRONG, TOTAL)
    assert part.go_on(Known(2 * K, STRONG, TOTAL))
    assert part.left(TOTAL) == 7 * K
    write(part, 7 * K)
    assert part.split is not None
    assert part.split.settle()
    assert part.claim(Share(TOTAL)) == (10 * K, TOTAL)
    write(part, 6 * K)
    part.finish(SafePath("file"), None, fsync=False)
    assert (place / "file").read_bytes() == WHOLE
    del first


def test_after_a_boot_only_what_was_flushed_counts(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdl.storage.part.SYNC_EVERY", 3 * K)
    monkeypatch.setattr("pdl.storage.part.LOOK_EVERY", 1)
    first, second = begin(place), helper(place)
    assert second.claim(Share(K)) == (8 * K, TOTAL)
    write(second, 2 * K)
    write(first, K)
    first.note()
    write(second, K)
    monkeypatch.setattr("pdl.storage.note.boot_id", lambda: "another")
    part = Part(str(place), NAME)
    assert part.known() == Known(2 * K, STRONG, TOTAL)
    assert part.go_on(Known(2 * K, STRONG, TOTAL))
    assert part.split is not None
    assert part.split.done() == [(0, 2 * K), (8 * K, 10 * K)]


def test_a_pdl_that_knows_no_ranges_finds_no_version(place: Path) -> None:
    """It looked for these names at the top; without them it starts again."""
    begin(place)
    note = json.loads((place / ".pdl" / NAME).with_suffix(".json").read_text())
    assert not set(note) & {"etag", "modified", "coding", "total", "synced", "boot"}


def test_a_part_of_old_says_so_before_anybody_begins(place: Path) -> None:
    old = Part(str(place), NAME)
    old.start()
    old.versioned(STRONG, TOTAL)
    write(old, 3 * K)
    old.leave(keep=True)
    part = Part(str(place), NAME)
    known = part.known()
    assert known is not None
    assert part.go_on(known)
    part.share(TOTAL)
    second = helper(place)
    assert second.claim(Share(K)) is not None
    write(second, 1)
    assert Part(str(place), NAME).known() == Known(3 * K, STRONG, TOTAL)


def test_nothing_is_shared_where_two_versions_could_be_mixed(place: Path) -> None:
    part = Part(str(place), NAME)
    part.start()
    part.versioned(Validator('W/"1"'), TOTAL)
    part.share(TOTAL)
    assert part.split is None
    assert state(place) == [".part"]


def test_a_helper_writes_nothing_when_the_first_is_over(place: Path) -> None:
    first, second = begin(place), helper(place)
    assert second.claim(Share(K)) is not None
    first.leave(keep=True)
    assert second.recalled()
    with pytest.raises(RangeEnded):
        write(second, 1)
    second.close()
    assert (place / ".pdl" / NAME).stat().st_size == K


def test_a_helper_writes_nothing_when_another_attempt_has_begun(place: Path) -> None:
    begin(place)
    second = helper(place)
    assert second.claim(Share(K)) is not None
    assert Part(str(place), NAME).known() is not None
    with pytest.raises(RangeEnded):
        write(second, 1)


def test_a_helper_writes_no_more_than_what_is_left_to_it(place: Path) -> None:
    begin(place)
    second, third = helper(place), helper(place, 8)
    assert second.claim(Share(K)) == (8 * K, TOTAL)
    assert third.claim(Share(K)) == (12 * K, TOTAL)
    with pytest.raises(RangeEnded):
        write(second, 5 * K)
    assert second.size == 12 * K


def test_splice_ends_with_the_range_too(place: Path) -> None:
    begin(place)
    second = helper(place)
    assert second.claim(Share(K)) is not None
    out, into = os.pipe()
    os.write(into, b"x" * 10)
    tell(str((place / ".pdl" / NAME).with_suffix(".ranges")), RangeMap.end, alone=True)
    with pytest.raises(RangeEnded):
        second.take(out, 10)
    os.close(out)
    os.close(into)


def test_a_helper_finds_nothing_where_nobody_shares(place: Path) -> None:
    assert HelperPart(str(place), NAME, HELPER).join() is None
    begin(place).finish(SafePath("file"), None, fsync=False)
    assert HelperPart(str(place), NAME, HELPER).join() is None


def test_a_part_that_starts_again_takes_its_ranges_with_it(place: Path) -> None:
    begin(place).leave(keep=True)
    assert state(place) == [".json", ".part", ".ranges"]
    Part(str(place), NAME).start()
    assert state(place) == [".part"]


def test_the_ranges_of_another_query_come_along(place: Path) -> None:
    begin(place).leave(keep=True)
    part = Part(str(place), f"{'cd' * 16}.part")
    known = part.known_of([NAME])
    assert known is not None
    assert part.go_on(known)
    assert part.left(TOTAL) == 15 * K
    assert {each.stem for each in (place / ".pdl").iterdir()} == {"cd" * 16}


def test_what_is_cut_off_is_fetched_again_and_no_more(place: Path) -> None:
    first, second = begin(place, 4 * K), helper(place)
    assert second.claim(Share(K)) is not None
    write(second, 2 * K)
    second.close()
    first.cut(3 * K)
    assert first.leave(keep=True) == 5 * K
    board = find(str((place / ".pdl" / NAME).with_suffix(".ranges")))
    assert board is not None
    assert board.ranges.done() == [(0, 3 * K), (10 * K, 12 * K)]
    board.close()


def test_the_main_process_waits_for_no_lane(place: Path) -> None:
    begin(place)
    path = str((place / ".pdl" / NAME).with_suffix(".ranges"))
    board = find(path)
    assert board is not None
    with board.writing():
        assert not tell(path, lambda ranges: ranges.abandon(HELPER), alone=True)
        assert tell(path, RangeMap.end, alone=False)
    assert tell(path, lambda ranges: ranges.abandon(HELPER), alone=True)
    board.close()
    assert tell(f"{path}.gone", RangeMap.end, alone=True)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\xff" * 5000])
def test_a_board_that_is_none_is_not_believed(place: Path, data: bytes) -> None:
    begin(place).leave(keep=True)
    path = (place / ".pdl" / NAME).with_suffix(".ranges")
    path.write_bytes(data)
    assert take_over(str(path)) is None
    assert Part(str(place), NAME).known() is None


@pytest.mark.parametrize(
    "ranges",
    [[[-1, 5]], [[0, TOTAL + 1]], [[1]], [["a", 2]], [None], {"a": 1}, 3, "text", None],
)
def test_a_note_of_impossible_ranges_is_none(place: Path, ranges: object) -> None:
    path = place / "note.json"
    Note(STRONG, TOTAL, ranges=((0, K),)).write(str(path))
    assert read_note(str(path)) == Note(STRONG, TOTAL, ranges=((0, K),))
    note = json.loads(path.read_text())
    note["ranges"]["synced"] = ranges
    path.write_text(json.dumps(note))
    assert read_note(str(path)) is None


def test_the_first_goes_on_where_helpers_left_nothing_in_whatever_order(place: Path) -> None:
    """With the one request that it began with."""
    first, second, third = begin(place), helper(place), helper(place, 8)
    assert second.claim(Share(K, lanes=4)) == (12 * K, TOTAL)
    assert third.claim(Share(K, lanes=4)) == (9 * K, 12 * K)
    second.close()
    third.close()
    write(first, first.left(TOTAL))
    assert first.size < TOTAL
    assert not first.settle()
    write(first, first.left(TOTAL))
    assert first.settle()
    assert first.split is not None
    assert first.split.whole()
    first.leave(keep=False)


# --- lanes at other servers ---


def elsewhere(place: Path) -> HelperPart | None:
    """A helper that asks another server; None if the part takes none."""
    part = HelperPart(str(place), NAME, HELPER)
    if part.join(elsewhere=True) is None:
        part.close()
        return None
    return part


def test_other_servers_may_have_a_share_where_that_was_said(place: Path) -> None:
    begin(place).leave(keep=True)
    assert elsewhere(place) is None
    part = Part(str(place), NAME)
    known = part.known()
    assert known is not None
    assert part.go_on(known)
    part.share(TOTAL, mixed=True)
    helper = elsewhere(place)
    assert helper is not None
    helper.close()
    part.leave(keep=True)


@pytest.mark.parametrize("boot", ["this", "another"])
def test_what_other_servers_may_have_written_is_known_to_be_so(
    place: Path, boot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gone_on in (False, True):
        part = Part(str(place), NAME)
        known = part.known()
        if gone_on:
            assert known is not None
            assert known.mixed
            assert part.go_on(known)
        else:
            part.start()
            part.versioned(STRONG, TOTAL)
        part.share(TOTAL, mixed=not gone_on)
        write(part, K)
        monkeypatch.setattr("pdl.storage.part.SYNC_EVERY", 1)
        part.note(look=True)
        part.leave(keep=True)
    if boot == "another":
        monkeypatch.setattr("pdl.storage.note.boot_id", lambda: "another")
    known = Part(str(place), NAME).known()
    assert known == Known(2 * K, STRONG, TOTAL, mixed=True)
    assert to_go_on(known, proven=False) is None
    assert to_go_on(known, proven=True) == known
