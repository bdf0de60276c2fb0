"""Chunks of bytes into lines, in memory that a line without end cannot exhaust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.sources import Line, Pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 64 * 1024
"""Bytes a line may have."""


def split_lines(chunks: Iterable[Line]) -> Iterator[Line]:
    """Cut chunks at line feeds; the last line needs none.

    Of a line longer than `MAX_LINE` the first `MAX_LINE` + 1 bytes are given, the rest is skipped.
    A pause is passed on; the line that is not complete by then waits.
    """
    begun = b""
    skipping = False
    for chunk in chunks:
        if isinstance(chunk, Pause):
            yield chunk
            continue
        first, *rest = chunk.split(b"\n")
        if not skipping:
            begun += first
        if rest:
            if not skipping:
                yield begun[: MAX_LINE + 1]
            begun = rest.pop()
            skipping = False
            yield from (line[: MAX_LINE + 1] for line in rest) if _long(chunk) else rest
        if len(begun) > MAX_LINE:
            yield begun[: MAX_LINE + 1]
            begun = b""
            skipping = True
    if begun:
        yield begun


def _long(chunk: bytes) -> bool:
    return len(chunk) > MAX_LINE
