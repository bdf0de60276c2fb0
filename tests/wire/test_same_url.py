"""Lines that name one URL: each has what it asked for, and its own outcome."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pdl.model import Item
from pdl.run.download import download
from pdl.settings import PoolSettings, RetrySettings, Settings
from servers.misbehave import File, Reply, Server

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
