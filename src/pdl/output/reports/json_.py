"""Reports and events for programs: JSON in printable ASCII."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdl.model import Item, Result, Summary
    from pdl.output.sinks import Sink


def json_text(fields: Mapping[str, object]) -> str:
    """`fields` as a JSON object of printable ASCII, without a line break."""
    text = json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
    # json leaves DEL alone; it can only stand inside a string, where the escape means the same
    return text.replace("\x7f", "\\u007f")


def json_line(fields: Mapping[str, object]) -> str:
    """The same with ``"schema": 1`` in front: a row or an event for machines."""
    return json_text({"schema": 1, **fields})


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
