"""Reports for services of continuous integration: JUnit's XML, in which each line is a test.

There is no standard. This is what the readers of Jenkins, GitLab and GitHub have in common: one
``testsuite`` with its numbers, and a ``testcase`` for each line with ``failure``, ``error`` or
``skipped`` in it. An error is what was never tried to its end, for the run was stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pdl.model import FailureKind, Outcome
from pdl.text.lazy_regex import lazy
from pdl.text.masking import escape_code
from pdl.text.units import place_text, tried_text

if TYPE_CHECKING:
    from pdl.model import Item, Result
    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import Summary

_NO_XML = lazy(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no document of XML 1.0 can hold, in whatever form (section 2.2)."""
_HEAD = "<?xml version='1.0' encoding='utf-8'?>\n<testsuites>\n"
_ROOM = 200
"""Characters kept for the start tag with the numbers, which are known last."""


class JUnitReport:
    """Writes one suite of tests. It holds no row: the numbers go to the place kept for them."""

    every = True
    hosts = False
    facts = False
    lists = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
        sink.write(_HEAD + _suite() + "\n")

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the test."""
        case = _case(result)
        self._counts["tests"] += 1
        for found in case:
            self._counts[_COUNTED[found.tag]] += 1
        self.sink.write(ET.tostring(case, encoding="unicode") + "\n")

    def finish(self, summary: Summary) -> None:
        """Write the numbers and let the file have its name."""
        self.sink.write("</testsuite>\n</testsuites>\n")
        self.sink.amend(len(_HEAD), _suite(**self._counts, time=f"{summary.seconds:.3f}"))
        self.sink.commit()


_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def _suite(**numbers: object) -> str:
    """The start tag of the suite; blanks before its end make it as long as any other."""
    element = ET.Element("testsuite", {key: str(number) for key, number in numbers.items()})
    element.set("name", "pdl")
    return ET.tostring(element, encoding="unicode").removesuffix(" />").ljust(_ROOM) + ">"


def _case(result: Result) -> ET.Element:
    where = {"file": result.source, "line": str(result.line)} if result.line else {}
    told = {"classname": result.source, "name": result.url, "time": f"{result.seconds:.3f}"}
    case = _element("testcase", told | where)
    if result.outcome is Outcome.SKIPPED:
        case.append(_element("skipped", {"message": result.message}))
    elif result.outcome is Outcome.FAIL:
        kind = result.kind or FailureKind.INTERNAL.value
        tag = "error" if kind == FailureKind.CANCELLED.value else "failure"
        failed = _element(tag, {"type": kind, "message": f"{kind}: {result.message}"})
        place = place_text(result.source, result.line) or result.source
        tried = f"{tried_text(result.attempts)} ({place})"
        failed.text = _clean(f"{result.url}\n{result.message}\n{tried}")
        case.append(failed)
    return case


def _element(tag: str, attributes: dict[str, str]) -> ET.Element:
    return ET.Element(tag, {name: _clean(text) for name, text in attributes.items()})


def _clean(text: str) -> str:
    return _NO_XML.sub(lambda found: escape_code(ord(found[0])), text)
