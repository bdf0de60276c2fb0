"""Reports for spreadsheets: CSV in UTF-8, a row for each line of the list."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from pdl.model import Outcome, Result
from pdl.text.masking import printable

if TYPE_CHECKING:
    from pdl.model import Item
    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import Summary

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""How a cell begins that a spreadsheet takes for a formula (OWASP, CSV injection); the last four
are the wide forms of the first four. Tabs and carriage returns, which begin one as well, are
never written as they are."""


class CsvReport:
    """Writes a header row, then the fields of `pdl.model.Result`, a line each.

    What begins as a formula has an apostrophe before it, by which a spreadsheet takes it for text:
    the list, and not its owner, says what a URL is.
    """

    every = True
    hosts = False
    facts = True
    lists = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._writer = csv.writer(sink, lineterminator="\n")
        self._writer.writerow(Result._fields)

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the row."""
        self._writer.writerow(map(_cell, result))

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Let the file have its name."""
        self.sink.commit()


def _cell(value: Any) -> object:  # noqa: ANN401 - of any field
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Outcome):
        return value.value
    if isinstance(value, dict):
        from pdl.output.reports.json_ import json_text  # where columns are kept

        return json_text(value)
    if isinstance(value, tuple):
        return " ".join(value)
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value
