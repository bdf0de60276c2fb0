"""What a row of the fault table is, and the bytes that the rows are about."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from servers.behaviours import Close, Raw, Then, head

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.wire import Behaviour, Pairs, Script


def pattern(size: int, seed: int) -> bytes:
    """`size` bytes, always the same for a seed, in which no part looks like another."""
    return random.Random(seed).randbytes(size)


BODY = pattern(100_000, 1)
OTHER = pattern(100_000, 2)
"""As long as `BODY`, so that only its bytes give a splice away."""

HALF = len(BODY) // 2
REST = f"bytes={HALF}-"
"""The Range that asks for what half of a file lacks."""
ETAG = '"one"'
ETAG_OTHER = '"two"'
DATE = 1_600_000_000
DATE_OTHER = 1_600_086_400

TWICE = (None, None)
"""Two requests for all of it: a try and a retry, or a redirect and where it leads."""
THRICE = (None, None, None)
WENT_ON = (None, REST)
"""All of it, and then what was missing."""
TRIED_ON = (None, REST, REST)
"""The same, and the second answer did not help, but the part was kept."""
STARTED_AGAIN = (None, REST, None)
"""The same, but the second answer cannot be taken, so that all of it is asked for once more."""
PAST_THE_END = (None, f"bytes={len(BODY)}-")
"""What came was all of it, but nobody had said so."""

FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nforged"
"""A whole response that nobody asked for."""


class Fault(NamedTuple):
    """A row: how the server misbehaves, how pdl has to end, and all that is expected on the way.

    Attributes:
        make: the script, anew for each run.
        right: acceptable endings: ``success`` or failure words, as in reports.
        body: the bytes of the file where the ending is a success.
        suffix: what a URL's name needs to end with for the row to make sense.
        label: the row's name where the function has none of its own.
        ranges: the Range of each request that has to be made, None where it asks for all.
        waits: seconds that the server asks for, all in all; a date has no fractions.
        keeps_part: its bytes have a strong validator, so another run can go on from half of them.
        sent_twice: it ends a kept connection, where a request goes out once more on a new one.
        spoils: the connection must serve nothing else, even after a success.
        forges: what it sends unasked cannot be told from the answer to the next request.
        hungry: its answer would take a careless client's memory.
        retries: how often the row is tried again at most.
        timeout: seconds without a byte after which a try ends.
        max_time: seconds after which a try ends though bytes keep coming, or None.
    """

    make: Callable[[], Script]
    right: tuple[str, ...] = ("success",)
    body: bytes = BODY
    suffix: str = ".bin"
    label: str = ""
    ranges: tuple[str | None, ...] = (None,)
    waits: float = 0.0
    keeps_part: bool = False
    sent_twice: bool = False
    spoils: bool = False
    forges: bool = False
    hungry: bool = False
    retries: int = 2
    timeout: float = 5.0
    max_time: float | None = None

    def __repr__(self) -> str:
        """The name, for the bytes of a row fill the screen."""
        return f"Fault({self.name})"

    @property
    def name(self) -> str:
        """The row's name, in URLs and tests."""
        return self.label or str(getattr(self.make, "__name__", "")).replace("_", "-")


def length(body: bytes = BODY) -> tuple[str, str]:
    """The honest Content-Length of a body."""
    return ("Content-Length", str(len(body)))


def cut(fields: Pairs = (), *, end: Behaviour | None = None) -> Then:
    """A head that promises `BODY`, half of it, and the end (a FIN unless told otherwise)."""
    promise = head(200, (*fields, ("Accept-Ranges", "bytes"), length()))
    return Then(Raw(promise + BODY[:HALF]), end or Close())
