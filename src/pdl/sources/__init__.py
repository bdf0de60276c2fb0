"""Lists of what to download, read lazily: one module a format, and the feed that reads them.

Bytes come in as lines, items go out. In between stands no thread and no buffer of items: whoever
wants the next item pulls it through. So that this never blocks on a pipe, a `Pause` travels along
with the lines and comes out at the other end.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from pdl.model import BadLine, Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Entry = Item | BadLine
"""What one line of a list turns out to be."""


class Pause(enum.Enum):
    """There is no line now, though the list goes on.

    Attributes:
        HOLD: more may come at once; keep what further lines may still belong to.
        FLUSH: nothing has come for a while; hand out what is held, it is complete.
    """

    HOLD = "hold"
    FLUSH = "flush"


Line = bytes | Pause
"""A line without its line feed, or a pause."""


class Format(Protocol):
    """Understands one format of lists."""

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """Turn lines into entries, as lazily as the format allows.

        Each `Pause` that comes in goes out again, at once: before a FLUSH whatever is held goes
        out. A line that is not understood becomes a `BadLine`; nothing is raised for it.

        Args:
            lines: at most `pdl.sources.lines.MAX_LINE` + 1 bytes each; what is longer than
                `MAX_LINE` has been cut.
            source: the list's name, for the entries.
        """
