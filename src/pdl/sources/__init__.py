"""Lists of what to download, read lazily: one module a format, and the feed that reads them.

Bytes come in as lines, items go out. In between stands no thread and no buffer of items: whoever
wants the next item pulls it through. So that this never blocks on a pipe, a `Pause` travels along
with the lines and comes out at the other end.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, Protocol

from pdl.model import BadLine, Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    """Understands one format of lists; made with the warner and the base of relative URLs.

    Attributes:
        by_line: `read` is to be given lines; else the bytes as they come, in pieces of at most
            `pdl.sources.streams.MAX_LINE`.
    """

    by_line: ClassVar[bool]

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """Turn lines into entries, as lazily as the format allows.

        Each `Pause` that comes in goes out again, at once: before a FLUSH whatever is held goes
        out. A line that is not understood becomes a `BadLine`; nothing is raised for it.

        Args:
            lines: at most `pdl.sources.streams.MAX_LINE` + 1 bytes each; what is longer than
                `MAX_LINE` has been cut. Where not `by_line`, pieces of the list.
            source: the list's name, for the entries.

        Raises:
            ListError: the list as a whole is none, or is broken from here on.
        """


class Chosen(Protocol):
    """Says of each entry whether it is taken.

    Attributes:
        share: about one in so many is; None if nobody can say.
        first: the first item that was seen, taken or not; None before.
    """

    share: int | None
    first: Item | None

    def __call__(self, entry: Entry | Pause) -> bool:
        """Whether it is; a pause always is."""


class Lines(Protocol):
    """Where the lines come from; see `pdl.sources.feed.Feed`."""

    @property
    def exhausted(self) -> bool:
        """Whether there are no more lines."""

    def take(self, limit: int) -> Sequence[Entry]:
        """Some lines that are there now, without waiting."""

    def fileno(self) -> int | None:
        """Readable when there may be more lines; None if they need no waiting for."""

    def estimate(self) -> int | None:
        """How many lines there are in all, or None."""
