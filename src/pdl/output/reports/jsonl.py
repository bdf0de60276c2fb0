"""JSON lines: one object an item, in the order in which they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.json_text import json_line

if TYPE_CHECKING:
    from pdl.model import Item, Result, Summary
    from pdl.output.sinks import Sink


class JsonLinesReport:
    """Writes ``{"schema":1, ...}`` with the fields of `pdl.model.Result`, a line each.

    Every line stands for itself, so the partial file of a run that was killed can be read too.
    """

    every = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the row."""
        self.sink.write(json_line(result._asdict()) + "\n")

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Let the file have its name."""
        self.sink.commit()
