"""Reports: what becomes of the results, one file a format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pdl.model import Item, Result, Summary
    from pdl.output.sinks import Sink


class Reporter(Protocol):
    """Takes the results as they come and is told when the run is over.

    Attributes:
        every: whether it wants to see those of files that were fetched, too.
    """

    every: bool

    @property
    def sink(self) -> Sink | None:
        """Where it is written; None is where people look."""

    def record(self, result: Result, item: Item | None) -> None:
        """Take one result; `item` is what the list said, None for a bad line."""

    def finish(self, summary: Summary) -> None:
        """Write what is left to write. Called once, also after an interrupted run."""
