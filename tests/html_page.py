"""A page of the HTML report, read back without a browser: by Python's own parser of HTML."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple

from pdl.output.reports.html import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

VOID = {"meta", "input", "link", "br"}


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str | None]
    inside: list[str]


class _Reader(HTMLParser):
    """Collects elements with the text in them; whatever is not closed in order is an error."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, dict(attrs), [])
        self.found.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].inside.append(data)


class Page:
    """What is in a page.

    Attributes:
        elements: in their order.
        run: what it says of the run as a whole.
        rows: its lines, each with the names of its columns.
        spans: the attempts, as they stand there.
    """

    def __init__(self, path: Path) -> None:
        reader = _Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        reader.close()
        assert reader.open == []
        self.elements = reader.found
        (self.run,) = self.data("run")
        self.rows = [
            dict(zip(COLUMNS, [*row, *[None] * (len(COLUMNS) - len(row))], strict=True))
            for part in self.data("rows")
            for row in part
        ]
        self.spans: list[list[Any]] = [span for part in self.data("spans") for span in part]

    def data(self, name: str) -> list[Any]:
        """What stands in the elements of data with that name."""
        return [
            json.loads("".join(each.inside))
            for each in self.elements
            if each.tag == "script" and each.attributes.get("class") == name
        ]

    def texts(self, tag: str) -> list[str]:
        """What stands in the elements of that tag."""
        return ["".join(each.inside) for each in self.elements if each.tag == tag]
