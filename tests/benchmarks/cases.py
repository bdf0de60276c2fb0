"""The cases: which files, from which server, with how many at a time, by which tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.tools import ARIA2, PASS, PDL, PEERS, REQUESTS, SHA256SUM, UNCHECKED, VERSION, Tool

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

Server = Literal["http", "https", "slow", "none"]


@dataclass(frozen=True)
class Case:
    """A line of the comparison.

    Attributes:
        name: what ``--cases`` picks it by.
        tools: the first is what the others are held against.
        count: of files.
        size: of each, in bytes.
        server: nginx with http or https, the one that answers slowly, or none at all.
        jobs: downloads in flight.
        digest: whether the list gives the only file's SHA-256.
        there: whether every file is in the output directory already.
    """

    name: str
    tools: tuple[Tool, ...]
    count: int = 1
    size: int = 0
    server: Server = "http"
    jobs: int = 8
    digest: bool = False
    there: bool = False

    def quick(self) -> Case:
        """The same in tiny, to see that everything works."""
        count = min(self.count, 40 if self.size > 4 * KIB else 200)
        return replace(self, count=count, size=min(self.size, 8 * MIB))


ALL = (PDL, *PEERS)
_PLAIN = (
    Case("small", ALL, 10_000, 4 * KIB),
    Case("many", ALL, 100_000, 4 * KIB),
    Case("medium", ALL, 2_000, 256 * KIB),
    Case("large", ALL, 1, 4 * GIB),
)
CASES = (
    *_PLAIN,
    Case("large-sha256", (PDL, UNCHECKED, SHA256SUM, ARIA2), 1, 4 * GIB, digest=True),
    *(replace(case, name=f"{case.name}-tls", server="https") for case in _PLAIN),
    Case("latency-128", (PDL, *PEERS[:2]), 4_000, 4 * KIB, "slow", 128),
    Case("latency-512", (PDL, *PEERS[:2]), 4_000, 4 * KIB, "slow", 512),
    Case("one", (PDL, REQUESTS, *PEERS), 1, 4 * KIB),
    Case("there", (PDL,), 1_000_000, 0, "none", there=True),
    Case("start", (VERSION, PASS), 0, 0, "none"),
)
DELAY = 50
"""Milliseconds after which the slow server answers."""
