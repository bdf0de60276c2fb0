"""What a tester broke: each was seen to fail before it was mended."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from pdl.errors import LockedError
from pdl.model import Item
from pdl.run.download import download
from pdl.settings import PoolSettings, RetrySettings, Settings
from servers.misbehave import File, Pause, Reply, Server, Then

if TYPE_CHECKING:
    from pathlib import Path

    from servers.wire import Exchange

INLINE = Settings(pool=PoolSettings(engine="inline"), retry=RetrySettings(retries=1, wait=0.01))


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def outcomes(items: list[Item], directory: Path) -> dict[int, str]:
    """Each line's word, by its number."""
    words: dict[int, str] = {}

    def note(event: object) -> None:
        line = getattr(event, "line", None)
        if line is not None:
            words[line] = getattr(event, "kind", None) or str(getattr(event, "outcome", ""))

    download(items, str(directory), settings=INLINE, on_event=note)
    return words


def test_two_runs_of_one_process_keep_apart(server: Server, tmp_path: Path) -> None:
    release = threading.Event()
    url = server.on("/slow", Then(Pause(20, until=release), File(b"whole")))
    first = threading.Thread(target=download, args=([url], str(tmp_path)), kwargs={
        "settings": INLINE})  # fmt: skip
    first.start()
    server.wait_for("/slow")
    try:
        report = download([url], str(tmp_path), settings=INLINE)
        assert isinstance(report.machine_error, LockedError)
    finally:
        release.set()
        first.join()
    assert (tmp_path / "slow").read_bytes() == b"whole"


def test_a_wrong_digest_of_one_line_is_not_that_of_another(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", File(b"hello"))
    items = [
        Item(url, checksum=digest(b"other"), source="x", line=1),
        Item(url, checksum=digest(b"hello"), source="x", line=2),
        Item(url, source="x", line=3),
    ]
    assert outcomes(items, tmp_path) == {1: "checksum", 2: "success", 3: "success"}


def test_a_line_with_its_own_header_is_asked_for_itself(server: Server, tmp_path: Path) -> None:
    def guarded(exchange: Exchange) -> None:
        known = exchange.seen.header("Tok") == "good"
        (File(b"in") if known else Reply(401, (), b""))(exchange)

    url = server.on("/a", guarded)
    items = [
        Item(url, source="x", line=1),
        Item(url, headers=(("Tok", "good"),), source="x", line=2),
    ]
    assert outcomes(items, tmp_path) == {1: "http-401", 2: "success"}


def test_a_listed_size_of_a_later_line_counts(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", File(b"abc"))
    items = [
        Item(url, source="x", line=1),
        Item(url, size=999, source="x", line=2),
        Item(url, size=3, source="x", line=3),
    ]
    assert outcomes(items, tmp_path) == {1: "success", 2: "size", 3: "success"}
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_a_host_that_asks_to_wait_starves_no_other(server: Server, tmp_path: Path) -> None:
    """More lines of a waiting host than are read ahead, and one of another behind them."""
    waiting = [server.on(f"/w{n}", Reply(503, (("Retry-After", "600"),), b"")) for n in range(1)]
    waiting += [server.url(f"/w{n}") for n in range(1, 1100)]
    free = server.on("/free", File(b"x")).replace("127.0.0.1", "localhost")
    settings = Settings(
        pool=PoolSettings(engine="inline"), retry=RetrySettings(wait=0.01, max_wait=900)
    )
    got = threading.Event()

    class GotIt(Exception):
        pass

    def note(event: object) -> None:
        if getattr(event, "url", "").endswith("/free"):
            got.set()
            raise GotIt

    with pytest.raises(GotIt):
        download([*waiting, free], str(tmp_path), settings=settings, on_event=note)
    assert got.is_set()


def test_another_lists_part_outlives_a_good_run(server: Server, tmp_path: Path) -> None:
    state = tmp_path / ".pdl"
    state.mkdir()
    (state / "abc.part").write_bytes(b"half")
    (state / "abc.json").write_text("{}")
    (state / "orphan.part").write_bytes(b"")
    assert download([server.on("/a", File(b"a"))], str(tmp_path), settings=INLINE).ok
    assert sorted(path.name for path in state.iterdir()) == ["abc.json", "abc.part"]
