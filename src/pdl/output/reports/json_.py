"""One JSON object for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.json_text import json_text

if TYPE_CHECKING:
    from pdl.model import Item, Result, Summary
    from pdl.output.sinks import Sink


class JsonReport:
    """Writes ``{"schema":1,"items":[...],"summary":{...}}``, an item a line, holding none of them.

    The summary stands last because it is known last; the order of an object's members means
    nothing (RFC 8259 section 4).
    """

    every = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._before = "\n"
        sink.write('{"schema":1,"items":[')

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the item."""
        self.sink.write(self._before + json_text(result._asdict()))
        self._before = ",\n"

    def finish(self, summary: Summary) -> None:
        """Write the summary and let the file have its name."""
        self.sink.write(f'\n],"summary":{json_text(summary._asdict())}}}\n')
        self.sink.commit()
