"""Chunks of bytes into lines, in memory that a line without end cannot exhaust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.sources import Line, Pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 64 * 1024
"""Bytes a line may have, and a chunk."""


def split_lines(chunks: Iterable[Line]) -> Iterator[Line]:
    """Cut chunks at line feeds; the last line needs none.

    Of a line longer than `MAX_LINE` the first `MAX_LINE` + 1 bytes are given, the rest is skipped.
    A pause is passed on; a line that is not complete by then waits.

    Args:
        chunks: at most `MAX_LINE` bytes each.
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
            skipping = False
            begun = rest.pop()
            yield from rest
        elif len(begun) > MAX_LINE:
            yield begun[: MAX_LINE + 1]
            skipping = True
            begun = b""
    if begun:
        yield begun
