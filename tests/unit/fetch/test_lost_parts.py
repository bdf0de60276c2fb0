"""A part that nobody can go on with is told: where it is lost, and where a later run finds it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pdl.fetch.failures import TOLD_FROM
from pdl.model import Item, Result
from pdl.run.download import download
from pdl.settings import PoolSettings, RetrySettings, Settings
from runner import until
from servers.behaviours import Close, Raw, Then, chunk, head
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server
    from servers.wire import Exchange, Pairs

BODY = bytes(range(256)) * 1024
HALF = len(BODY) // 2
DIGEST = f"sha-256:{hashlib.sha256(BODY).hexdigest()}"
WEAK = (("ETag", 'W/"1"'),)
STRONG = (("ETag", '"1"'),)
ONLY_WEAKLY = (
    "the 128 KiB so far are not kept: the server names its version only weakly, and no digest is "
    "known; with one in the list, such as #sha256=..., it would go on"
)
NO_VERSION = (
    "the 128 KiB so far are not kept: the server names no version of the file, neither by ETag nor "
    "by Last-Modified"
)
SETTINGS = Settings(pool=PoolSettings(engine="inline"), retry=RetrySettings(retries=0))


def get(url: str, directory: Path, checksum: str | None = None) -> Result:
    rows: list[object] = []
    item = Item(url, checksum=checksum, source="list", line=1)
    download([item], str(directory), settings=SETTINGS, on_event=rows.append)
    (row,) = (each for each in rows if isinstance(each, Result))
    return row


def cut(fields: Pairs, body: bytes = BODY) -> Then:
    """The first half of a body; then the connection ends."""
    promise = head(200, (*fields, ("Content-Length", str(len(body)))))
    return Then(Raw(promise + body[: len(body) // 2]), Close())


class Lost(NamedTuple):
    """What a server sends before its connection ends, and what is said of it."""

    answer: Then
    said: str
    checksum: str | None = None


@pytest.mark.parametrize(
    "lost",
    [
        Lost(cut(WEAK), ONLY_WEAKLY),
        Lost(cut(()), NO_VERSION),
        Lost(cut(()), NO_VERSION, DIGEST),
        Lost(
            Then(
                Raw(head(200, (*WEAK, ("Transfer-Encoding", "chunked"))) + chunk(BODY[:HALF])),
                Close(),
            ),
            "names its version only weakly, and does not say how long the file is",
            DIGEST,
        ),
        Lost(cut(STRONG), ""),
        Lost(cut(WEAK), "", DIGEST),
        Lost(cut(WEAK, BODY[:TOLD_FROM]), ""),  # too little for a word
    ],
)
def test_a_failure_tells_of_the_part_that_is_lost_by_it(
    server: Server, tmp_path: Path, lost: Lost
) -> None:
    row = get(server.on("/a.bin", lost.answer), tmp_path, lost.checksum)
    assert row.kind == "truncated"
    if lost.said:
        assert row.message.endswith(lost.said)
    else:
        assert "not kept" not in row.message


class Found(NamedTuple):
    """What an earlier run has left, what the server has now, and what is said."""

    fields: Pairs
    checksum: str | None
    now: File
    why: str
    note: bool = True


@pytest.mark.parametrize(
    "found",
    [
        Found(WEAK, DIGEST, File(BODY, etag='W/"1"'), "the server names its version only weakly"),
        Found(STRONG, None, File(BODY, etag='"2"'), "the server has another version"),
        Found(STRONG, None, File(BODY, etag='"1"'), "nothing tells which version", note=False),
        Found(STRONG, None, File(BODY, etag='"1"'), ""),
    ],
)
def test_a_later_run_tells_of_the_part_that_it_cannot_use(
    server: Server, tmp_path: Path, found: Found
) -> None:
    url = server.on("/a.bin", cut(found.fields))
    assert get(url, tmp_path, found.checksum).kind == "truncated"
    if not found.note:
        (note,) = (tmp_path / ".pdl").glob("*.json")
        note.unlink()
    server.on("/a.bin", found.now)
    row = get(url, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert bool(row.resumed_from) is not bool(found.why)
    begin = f"begun anew, without the 128 KiB of a part: {found.why}"
    assert row.message.startswith(begin) if found.why else not row.message


def test_whoever_stops_the_run_is_told_as_well(server: Server, pdl_run: Runner) -> None:
    """And not only that the same command goes on from there."""

    def trickle(exchange: Exchange) -> None:
        exchange.wire.send(head(200, (*WEAK, ("Content-Length", str(2 * len(BODY))))) + BODY)
        exchange.wire.send(b"x" * 1000, rate=50)

    def begun() -> bool:
        parts = (pdl_run.directory / ".pdl").glob("*.part")
        return any(part.stat().st_size >= len(BODY) for part in parts)

    process = pdl_run.start(server.on("/a.bin", trickle))
    until(begun, "the part grows")
    process.terminate()
    run = pdl_run.finish(process, timeout=20)
    assert run.code == 143
    assert "the same command again goes on from here\nbut for " in run.err
    assert "so far are not kept: the server names its version only weakly" in run.err
