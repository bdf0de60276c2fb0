"""Every way to ask gives the same outcome for the same answer, whatever it is.

``PDL_DIFFERENTIAL=20000`` makes that many answers instead of a few hundred, and as many answers to
a range.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

from marks import slow
from pdl.fetch.blocking import Fetcher
from pdl.fetch.zero_copy import Mover
from pdl.http_rules.ranges import Validator
from pdl.model import SafePath, Success, Task
from pdl.pool.inline import InlineMeter
from pdl.settings import FileSettings, HttpSettings
from pdl.storage.part import Part
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.requests_ import RequestsTransport
from quicklane import WARM, QuickLane
from responses import make, make_ranged
from servers.files import File
from servers.misbehave import Server
from servers.row import BODY, DATE, ETAG, HALF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pdl.model import Answer
    from responses import Ranged

COUNT = int(os.environ.get("PDL_DIFFERENTIAL", "400"))
BLOCK = 100
BLOCKS = [
    first if not first or "PDL_DIFFERENTIAL" in os.environ else slow(first)
    for first in range(0, COUNT, BLOCK)
]
"""The first seed of each block; without a number asked for, one block is enough for a plain run."""
HTTP = HttpSettings(timeout=5.0, connect_timeout=5.0)


class Came(NamedTuple):
    """What came of an attempt: of the answer, and on the disk."""

    word: str
    kind: str
    transient: bool
    status: int | None
    retry_after: float | None
    size: int | None
    checksum: str | None
    message: str
    resumed_from: int
    files: dict[str, bytes]


def came(answer: Answer, directory: Path) -> Came:
    files = {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    for path in directory.rglob("*"):
        if path.is_file():
            path.unlink()
    if isinstance(answer, Success):
        kind, transient, pause = "", False, None
    else:
        kind, transient, pause = str(answer.kind), answer.transient, answer.retry_after
    return Came(
        answer.word,
        kind,
        transient,
        answer.status,
        pause,
        answer.size if isinstance(answer, Success) else None,
        answer.checksum if isinstance(answer, Success) else None,
        re.split(": ['\"]", answer.message)[0],  # bytes are shown as far as they had come
        answer.resumed_from,
        files,
    )


def leave_half(directory: Path, total: int | None) -> None:
    """Leave a part of `BODY`, as an attempt does that was cut."""
    stamps = dict(File(BODY, last_modified=DATE).validators())
    part = Part(str(directory), "f.part")
    part.start()
    part.versioned(Validator(ETAG, stamps["Last-Modified"]), total)
    part.write(memoryview(BODY)[:HALF])
    part.leave(keep=True)


class Ways:
    """A lane of each kind, each in a directory of its own."""

    def __init__(self, base: Path) -> None:
        self.quick = QuickLane(HTTP, self._files(base / "quick"))
        moving = Fetcher(KeepaliveTransport(HTTP), HTTP, self._files(base / "moving"))
        moving.mover = Mover(least=1)
        self.direct = Fetcher(KeepaliveTransport(HTTP), HTTP, self._files(base / "direct"))
        self.lanes: dict[str, Callable[..., Answer]] = {
            "requests": Fetcher(RequestsTransport(HTTP), HTTP, self._files(base / "requests")),
            "direct": self.direct,
            "keepalive": Fetcher(KeepaliveTransport(HTTP), HTTP, self._files(base / "keepalive")),
            "quick": self.quick,
            "moving": moving,
        }
        self._base = base

    @staticmethod
    def _files(directory: Path) -> FileSettings:
        (directory / ".pdl").mkdir(parents=True)
        return FileSettings(directory=str(directory))

    def ask(self, server: Server, seed: int, part: Ranged | None = None) -> dict[str, Came]:
        """What each makes of the answer of that number; the kept connections are warm.

        Args:
            server: has it.
            seed: the number.
            part: half of a file is there, to go on with.
        """
        outcomes = {}
        self.quick.cool()
        warm = Task(0, server.url(WARM), SafePath("warm.bin"), "warm.part")
        task = Task(
            seed, server.url(f"/{seed}.zip"), SafePath("f.zip"), "f.part", begun=part is not None
        )
        for name, lane in self.lanes.items():
            if name in {"keepalive", "moving"}:
                lane(warm, InlineMeter())
                (self._base / name / "warm.bin").unlink()
            if name == "direct":
                self.direct.transport.close()  # the next connection is a new one
            if part is not None:
                leave_half(self._base / name, len(BODY) if part.total else None)
            outcomes[name] = came(lane(task, InlineMeter()), self._base / name)
        return outcomes

    def close(self) -> None:
        for lane in self.lanes.values():
            lane.close()  # type: ignore[attr-defined]


@pytest.fixture
def ways(tmp_path: Path) -> Iterator[Ways]:
    made = Ways(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("first", BLOCKS)
def test_every_way_gives_the_same_outcome(first: int, ways: Ways) -> None:
    different = []
    with Server() as server:
        server.on(WARM, File(b"warm"))
        for seed in range(first, min(first + BLOCK, COUNT)):
            server.on(f"/{seed}.zip", make(seed).behaviour())
            outcomes = ways.ask(server, seed)
            if len({str(outcome) for outcome in outcomes.values()}) > 1:
                different.append((seed, make(seed), outcomes))
    assert different == []
    assert ways.quick.ways["quick"] > BLOCK // 10
    assert ways.quick.ways["call"] > BLOCK // 10


@pytest.mark.parametrize("first", BLOCKS)
def test_every_way_goes_on_in_the_same_way(first: int, ways: Ways) -> None:
    different, wrong, words = [], [], Counter[str]()
    with Server(lifetime=900, cap=4 << 30) as server:
        server.on(WARM, File(b"warm"))
        for seed in range(first, min(first + BLOCK, COUNT)):
            ranged = make_ranged(seed)
            server.on(f"/{seed}.zip", ranged.behaviour())
            outcomes = ways.ask(server, seed, ranged)
            if len({str(outcome) for outcome in outcomes.values()}) > 1:
                different.append((seed, ranged, outcomes))
            came = outcomes["direct"]
            words[f"{came.word} {bool(came.resumed_from)}"] += 1
            placed = came.files.get("f.zip")
            if placed not in {None, ranged.now.body}:
                wrong.append((seed, ranged, outcomes))
    assert different == []
    assert wrong == []
    assert words["success True"] >= BLOCK // 50
    assert words["success False"] >= BLOCK // 50
