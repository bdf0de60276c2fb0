"""Reports for people: one page with all that is known of a run, which asks for nothing else.

What is shown is data: JSON in elements of the type ``application/json``. The page's own script puts
it into the document as text, and never as markup. Where there is no script, the numbers and the
first failures are a table that ElementTree has made. So nothing is escaped here by hand but for
``<`` in JSON, which would end the element (HTML, 4.12.1.3, Restrictions for contents of script
elements). The policy of the page lets no other script run, and nothing be asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree as ET

from pdl._version import __version__
from pdl.model import FailureKind, Outcome
from pdl.output.reports.console import ending, summary_line
from pdl.output.reports.json_ import host_fields, summary_fields
from pdl.output.reports.timeline import Timeline
from pdl.scheduling.kinds import hint_of
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdl.model import Item, Result
    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import Span, Summary

SHOWN = 100
"""Failures that are shown where no script runs."""
CHUNK = 500
"""Rows or spans in one element: as many are held, and a browser reads them in one go."""
COLUMNS = (
    *("source", "line", "outcome", "url", "path", "status", "bytes", "size", "attempts"),
    *("seconds", "content_type", "checksum", "message", "kind", "transient", "final_url"),
    *("resumed_from", "digests"),
)
"""Of a row in the page; those that are mostly empty come last, and are left out there."""
SCRIPTS = ("data.js", "rows.js", "timeline.js", "page.js")
"""The parts of the page's script, in this order."""
_OUTCOMES = {outcome: number for number, outcome in enumerate(Outcome)}
_EMPTY = (None, "", 0)


class HtmlReport:
    """Writes the page as the rows come, and holds no more than `CHUNK` of them.

    Args:
        sink: takes the page.
        directory: of the files, which the page has links to.

    Attributes:
        watch: takes what happens in the course of the run.
    """

    every = True
    hosts = True
    facts = True
    lists = True

    def __init__(self, sink: Sink, directory: str) -> None:
        self.sink = sink
        page = files("pdl") / "output" / "reports" / "page"
        style = (page / "page.css").read_text(encoding="utf-8")
        self._script = "".join((page / name).read_text(encoding="utf-8") for name in SCRIPTS)
        head, self._middle, self._end = (
            (page / "page.html").read_text(encoding="utf-8").split("<!--here-->\n")
        )
        # the policy names both by their digests, so they are put in to the letter
        head = head.replace("STYLE-DIGEST", _digest(style))
        head = head.replace("SCRIPT-DIGEST", _digest(self._script))
        self._home = _from(sink.name, directory)
        self._started = time.time()
        self._sources: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._shown: list[Result] = []
        self._rows: list[list[object]] = []
        self._spans: list[list[object]] = []
        self.watch = Timeline(self._span)
        self.sink.write(f"{head}<style>{style}</style>\n{self._middle}")

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Take the row."""
        kind = result.kind or FailureKind.INTERNAL.value
        if result.outcome is Outcome.FAIL and kind != FailureKind.CANCELLED.value:
            self._kinds[kind] = self._kinds.get(kind, 0) + 1
            if len(self._shown) < SHOWN:
                self._shown.append(result)
        self._rows.append(row_of(result, self._source(result.source)))
        if len(self._rows) >= CHUNK:
            self._put("rows", self._rows)

    def finish(self, summary: Summary) -> None:
        """Write the rest, and let the file have its name."""
        self._put("rows", self._rows)
        self._put("spans", self._spans)
        self._put("run", self._run(summary))
        self.sink.write(f"<noscript>\n{self._static(summary)}\n</noscript>\n")
        self.sink.write(f"<script>{self._script}</script>\n{self._end}")
        self.sink.commit()

    def _source(self, source: str) -> int:
        return self._sources.setdefault(source, len(self._sources))

    def _span(self, span: Span, told: list[object]) -> None:
        self._spans.append([self._source(span.source), *told])
        if len(self._spans) >= CHUNK:
            self._put("spans", self._spans)

    def _put(self, name: str, data: dict[str, object] | list[list[object]]) -> None:
        """Write data; a list is empty after it."""
        if isinstance(data, dict):
            text = embedded(data)
        else:
            text = f"[{','.join(f'{chr(10)}{embedded(each)}' for each in data)}]"
            data.clear()
        self.sink.write(f'<script type="application/json" class="{name}">{text}</script>\n')

    def _run(self, summary: Summary) -> dict[str, object]:
        """What there is to say of the run as a whole."""
        watch = self.watch
        return {
            "schema": 1,
            "version": __version__,
            "columns": COLUMNS,
            "outcomes": [outcome.value for outcome in Outcome],
            "sources": list(map(printable, self._sources)),
            "home": self._home,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started)),
            "seconds": round(watch.seconds(), 3),
            "line": summary_line(summary).removeprefix("pdl: "),
            "ending": ending(summary).removesuffix(": "),
            "summary": summary_fields(summary),
            "hosts": [
                dict(zip(fields, shown(fields.values()), strict=True))
                for fields in map(host_fields, summary.hosts)
            ],
            "hints": {kind: hint_of(kind) for kind in self._kinds},
            "samples": [*watch.samples, (round(watch.seconds(), 3), summary.bytes)],
            "events": list(map(shown, watch.events)),
            "lost": watch.lost,
        }

    def _static(self, summary: Summary) -> str:
        """The numbers and the first failures, for where no script runs."""
        top = ET.Element("section")
        _add(top, "p", summary_line(summary))
        _add(top, "p", "This page needs a script for more than this, and none runs here.")
        if self._kinds:
            kinds = sorted(self._kinds.items(), key=lambda each: (-each[1], each[0]))
            _table(top, ("kind", "failures", "what may help"), (
                (kind, str(count), hint_of(kind)) for kind, count in kinds
            ))  # fmt: skip
            _table(top, ("kind", "URL", "reason"), (
                (each.kind or "", each.url, each.message) for each in self._shown
            ))  # fmt: skip
        return ET.tostring(top, encoding="unicode", method="html")


def row_of(result: Result, source: int) -> list[object]:
    """The row as a list of `COLUMNS`, without what is empty at its end.

    Args:
        result: of which it is.
        source: the number of its list.
    """
    digests = None if result.digests is None else " ".join(result.digests)
    final = None if result.final_url == result.url else result.final_url
    row: list[object] = [source, result.line, _OUTCOMES[result.outcome], result.url, result.path]
    row += [result.status, result.bytes, result.size, result.attempts, round(result.seconds, 3)]
    row += [result.content_type, result.checksum, result.message, result.kind]
    row += [result.transient, final, result.resumed_from, digests]
    while row[-1] in _EMPTY:
        row.pop()
    return shown(row)


def shown(values: Iterable[object]) -> list[object]:
    """The values, whose texts do nothing to the order of what stands around them.

    Isolation alone (UAX 9, X5c) would not do: a text may open one more than it closes.
    """
    return [printable(value) if isinstance(value, str) else value for value in values]


def embedded(data: object) -> str:
    """The data as JSON that no document takes for its own: of printable ASCII, without ``<``."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\x7f", "\\u007f")


def _from(report: str, directory: str) -> str:
    """Where the files are, as a link in the report has it; ends with a slash."""
    home = os.path.dirname(os.path.realpath(report))
    # without ./ a name with a colon would be a link of another scheme
    path = os.path.relpath(os.path.realpath(directory), home)
    return f"./{quote(os.fsencode(path))}/"


def _digest(text: str) -> str:
    """The text's digest, as a policy has it (Content Security Policy 3, section 2.3.1)."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _add(parent: ET.Element, tag: str, text: str = "") -> ET.Element:
    element = ET.SubElement(parent, tag)
    element.text = printable(text)
    return element


def _table(parent: ET.Element, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = ET.SubElement(parent, "table")
    for tag, cells in [("th", heads), *(("td", row) for row in rows)]:
        line = ET.SubElement(table, "tr")
        for cell in cells:
            _add(line, tag, cell)
