"""The cache's files and index by themselves: copies, seals, the bound, and those who share it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from pdl.settings import CacheSettings
from pdl.storage.cache.eviction import BLOCK, Room, evict, room_of
from pdl.storage.cache.store import Cache, CacheEntry, prepare
from pdl.system import kernel_copy
from pdl.system.kernel_copy import copy
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
BUFFER = memoryview(bytearray(4096))
URL = parse("http://example.org/x?token=secret")


def never() -> bool:
    return False


def always() -> bool:
    return True


def fail(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def settings(tmp_path: Path) -> CacheSettings:
    ready = prepare(CacheSettings(str(tmp_path / "cache"), 0), fail)
    assert ready is not None
    return ready


@pytest.fixture
def home(settings: CacheSettings) -> Path:
    return Path(str(settings.path), "v1")


@pytest.fixture
def cache(settings: CacheSettings, tmp_path: Path) -> Cache:
    """With `DATA` in it."""
    (tmp_path / "source").write_bytes(DATA)
    ready = Cache(settings)
    assert ready.keep(str(tmp_path / "source"), SHA256, len(DATA), never)
    return ready


def content(cache: Cache, sha256: str = SHA256) -> bytes | None:
    found = cache.find(sha256, BUFFER, never)
    if found is None:
        return None
    with closing(os.fdopen(found.fd, "rb")) as file:
        data = file.read()
    assert len(data) == found.size
    return data


def stored(home: Path, sha256: str = SHA256) -> Path:
    return home / "files" / sha256[:2] / sha256[2:]


# --- copies ---


def _by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(18, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)


def _bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_copy, "STEP", 1000)
    monkeypatch.setattr(kernel_copy, "BUFFER", 1000)


def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "another system")


@pytest.mark.parametrize("how", [None, _by_hand, _bit_by_bit, _elsewhere])
@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_a_copy_is_whole_and_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[pytest.MonkeyPatch], None] | None,
    data: bytes,
) -> None:
    if how is not None:
        how(monkeypatch)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        assert copy(source.fileno(), target.fileno(), len(data), never)
    (tmp_path / "a").write_bytes(b"changed")
    assert (tmp_path / "b").read_bytes() == data
    assert (tmp_path / "a").stat().st_ino != (tmp_path / "b").stat().st_ino


@pytest.mark.parametrize(("size", "stopped"), [(len(DATA) + 1, never), (len(DATA), always)])
def test_a_copy_that_is_not_whole_says_so(
    tmp_path: Path, size: int, stopped: Callable[[], bool]
) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target:
        assert not copy(source.fileno(), target.fileno(), size, stopped)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with (tmp_path / "a").open("rb") as source:
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            with pytest.raises(OSError, match="No space left"):
                copy(source.fileno(), full, len(DATA), never)
        finally:
            os.close(full)


# --- files ---


def test_what_was_kept_is_found_and_cannot_be_edited_by_accident(cache: Cache, home: Path) -> None:
    assert content(cache) == DATA
    assert cache.size(SHA256) == len(DATA)
    assert not stored(home).stat().st_mode & 0o222
    assert (home / "files").stat().st_mode & 0o077 == 0
    assert content(cache, "0" * 64) is None
    assert cache.size("0" * 64) is None


def test_bytes_are_believed_by_their_seal_and_digested_without(cache: Cache, home: Path) -> None:
    """That the first holds shows only where somebody forges one."""
    before = stored(home).stat()
    stored(home).chmod(0o600)
    stored(home).write_bytes(DATA[::-1])
    os.utime(stored(home), ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert content(cache) == DATA[::-1]
    os.utime(stored(home))
    assert content(cache) is None
    assert not stored(home).exists()


@pytest.mark.parametrize("change", [lambda p: p.chmod(0o666), lambda p: os.chown(p, 12345, -1)])
def test_what_others_could_have_written_is_digested(
    cache: Cache, home: Path, change: Callable[[Path], None]
) -> None:
    if os.geteuid() and change is not None:
        pytest.skip("only root gives files away")
    cache.gave(URL, CacheEntry(SHA256, 1, 1, '"one"'))
    sealed = stored(home).stat().st_mtime_ns
    stored(home).write_bytes(DATA[::-1])
    os.utime(stored(home), ns=(sealed, sealed))
    for path in (home / "index").rglob("*/*"):
        change(path)
    change(stored(home))
    assert content(cache) is None
    assert cache.given_by(URL) is None


def test_a_stop_while_digesting_removes_nothing(cache: Cache, home: Path) -> None:
    os.utime(stored(home))
    assert cache.find(SHA256, BUFFER, always) is None
    assert content(cache) == DATA


def test_a_stop_while_keeping_leaves_nothing(cache: Cache, home: Path, tmp_path: Path) -> None:
    stored(home).unlink()
    assert not cache.keep(str(tmp_path / "source"), SHA256, len(DATA), always)
    assert not stored(home).exists()
    assert not list((home / "new").iterdir())


def test_what_is_there_is_not_written_again_unless_it_is_in_doubt(
    cache: Cache, home: Path, tmp_path: Path
) -> None:
    first = stored(home).stat()
    assert cache.keep(str(tmp_path / "source"), SHA256, len(DATA), never)
    assert stored(home).stat().st_ino == first.st_ino
    os.truncate(stored(home), 5)
    assert cache.keep(str(tmp_path / "source"), SHA256, len(DATA), never)
    assert stored(home).read_bytes() == DATA


def test_the_index_finds_by_url_and_by_other_digests(cache: Cache, home: Path) -> None:
    entry = CacheEntry(
        SHA256, 2**64 - 2, 6, '"\xff"', "Sun, 13 Sep 2020 12:26:40 GMT", "text/plain"
    )
    assert cache.given_by(URL) is None
    cache.gave(URL, entry)
    assert cache.given_by(URL) == entry
    assert cache.given_by(parse("http://example.org/x?token=other")) is None
    assert cache.digest(f"sha256:{SHA256}") == SHA256
    assert cache.digest("md5:00") is None
    cache.learn("md5:00", SHA256)
    cache.learn(f"sha256:{SHA256}", SHA256)
    assert cache.digest("md5:00") == SHA256
    assert len(list((home / "index").rglob("*/*"))) == 2


def test_an_entry_has_room_for_the_longest_words(cache: Cache) -> None:
    entry = CacheEntry(SHA256, 2**64 - 2, 2**64 - 2, "\xff" * 256, "x" * 256, "\xff" * 256)
    cache.gave(URL, entry)
    assert cache.given_by(URL) == entry


def test_a_cache_is_marked_for_backups_and_made_once(settings: CacheSettings, home: Path) -> None:
    assert prepare(settings, fail) == settings
    assert (home / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f0688")
    assert not list((home / "new").iterdir())
    assert prepare(CacheSettings(), fail) is None


# --- the bound ---


def make(home: Path, number: int, second: int, size: int) -> Path:
    path = home / "files" / f"{number % 256:02x}" / f"{number:062x}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (second, second))
    return path


def admit(room: Room, stopped: Callable[[], bool] = never) -> None:
    with room.admitted(1, stopped):
        pass


@settings_of_hypothesis(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3 * BLOCK)), max_size=12),
    st.integers(0, 60 * BLOCK),
)
def test_the_least_recently_used_go_and_no_more_than_needed(
    files: list[tuple[int, int]], most: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        made = [(make(Path(place), n, *each), *each) for n, each in enumerate(files)]
        left = evict(place, most)
        there = [(second, size) for path, second, size in made if path.exists()]
        gone = [(second, size) for path, second, size in made if not path.exists()]
        assert left == sum(room_of(size) for _, size in there) <= most
        assert not gone or not there or max(gone)[0] <= min(there)[0]
        if gone:
            newest = max(gone)[0]
            largest = max(room_of(size) for second, size in gone if second == newest)
            assert left + largest > most - 4 * BLOCK


def test_what_is_known_of_what_has_gone_goes_too(cache: Cache, home: Path) -> None:
    cache.gave(URL, CacheEntry(SHA256, 1))
    cache.learn("md5:00", SHA256)
    stranger = home / "files" / "00" / "README"
    stranger.parent.mkdir()
    stranger.write_text("not ours")
    os.utime(stranger, (1, 1))
    for path in (home / "index").rglob("*/*"):
        os.utime(path, (5, 5))
    cache.digest("md5:00")  # which is a use
    make(home, 1, 7, 1)
    make(home, 2, 8, 1)
    assert evict(str(home), 2 * BLOCK + room_of(len(DATA))) == 2 * BLOCK + room_of(len(DATA))
    assert len(list((home / "index").rglob("*/*"))) == 1
    assert stranger.exists()


@pytest.mark.parametrize("said", [b"", b"nonsense", None])
def test_a_count_that_is_lost_is_made_anew(home: Path, said: bytes | None) -> None:
    for number in range(4):
        make(home, number, number, 1)
    (home / "used").unlink()
    if said is not None:
        (home / "used").write_bytes(said)
    admit(Room(str(home), 6 * BLOCK))
    assert int((home / "used").read_text()) == 2 * BLOCK * 2
    assert len(list((home / "files").rglob("*/*"))) == 1


def test_nobody_waits_for_ever_while_another_makes_room(home: Path) -> None:
    with (home / "used").open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match="another run"):
            admit(Room(str(home), 0), always)
        Room(str(home), 1).settle()
    admit(Room(str(home), 0))
    assert int((home / "used").read_text()) == 2 * BLOCK
