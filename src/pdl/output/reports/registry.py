"""The formats of report files: a row each, and the choice among them by suffix."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Protocol

from pdl.errors import UsageError
from pdl.output.sinks import (
    AppendSink,
    FileSink,
    StreamSink,
    Warn,
    check_target,
    warn_on_stderr,
)
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from pdl.model import Item, Result
    from pdl.output.sinks import Sink
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Span, Standing, Summary


_STDOUT = frozenset({"-", "/dev/stdout"})


class ReportFormat(NamedTuple):
    """A format of reports.

    Attributes:
        suffix: of a report's name, in lower case.
        sentence: what it is, for the help and the manual.
        module: imported when a report is opened, with all that it needs to its end: by then the
            system may give no file handles any more.
        factory: of the module; makes a `Reporter` of the `Sink` that it writes to.
        keep: what a run that was killed has written can be read.
        links: the factory is given the output directory, too: the report has links to the files.
        appended: variable of the environment that may name a file. A report with that name has
            this format, and is added to the file's end; empty if there is none.
    """

    suffix: str
    sentence: str
    module: str
    factory: str
    keep: bool = False
    links: bool = False
    appended: str = ""


FORMATS = (
    ReportFormat(
        ".jsonl",
        "A JSON object a line.",
        "pdl.output.reports.json_",
        "JsonLinesReport",
        keep=True,
    ),
    ReportFormat(
        ".json",
        "One JSON object with the items and the summary.",
        "pdl.output.reports.json_",
        "JsonReport",
    ),
    ReportFormat(
        ".csv",
        "A table with a row for each line of the list.",
        "pdl.output.reports.csv_",
        "CsvReport",
        keep=True,
    ),
    ReportFormat(
        ".xml",
        "JUnit's XML: each line of the list is a test.",
        "pdl.output.reports.junit",
        "JUnitReport",
    ),
    ReportFormat(
        ".md",
        "Markdown: the numbers, and the first hundred failures. It is appended if FILE is what "
        "`$GITHUB_STEP_SUMMARY` names.",
        "pdl.output.reports.markdown",
        "MarkdownReport",
        appended="GITHUB_STEP_SUMMARY",
    ),
    ReportFormat(
        ".prom",
        "Numbers for the textfile collector of Prometheus' node_exporter.",
        "pdl.output.reports.prometheus",
        "PrometheusReport",
    ),
    ReportFormat(
        ".html",
        "A page for people: what each lane did when, the hosts, the failures, and every line.",
        "pdl.output.reports.html",
        "HtmlReport",
        links=True,
    ),
)
"""The first is that of standard output."""

SUFFIXES = tuple(row.suffix for row in FORMATS)
"""What a report's name may end in."""


def open_report(path: str, warn: Warn = warn_on_stderr, directory: str = ".") -> Reporter:
    """The reporter for `path`, chosen by its suffix; standard output takes JSON lines.

    Args:
        path: a file name; ``-`` or ``/dev/stdout`` is standard output.
        warn: told once if the report cannot be written to its end.
        directory: of the files.

    Raises:
        UsageError: the suffix stands for no format, or the path can be no file.
        MachineError: the file cannot be made.
    """
    row = _format_of(path)
    factory = _factory(row)
    if path in _STDOUT:
        return factory(StreamSink(sys.stdout, warn))
    if _is_appended(row, path):
        return factory(AppendSink(path, warn))
    sink = FileSink(path, warn, keep=row.keep)
    return factory(sink, directory) if row.links else factory(sink)


def unasked(stream: TextIO | None) -> list[Reporter]:
    """The reports that those who run pdl want, and not who calls it: of GitHub Actions.

    Args:
        stream: the log.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return []
    from pdl.output.reports.annotations import Annotations  # there alone

    return [Annotations(stream)]


def check_report(path: str) -> None:
    """See whether there could be such a report; nothing is opened or made.

    Raises:
        UsageError, MachineError: as `open_report` has it.
    """
    _format_of(path)
    if path not in _STDOUT:
        check_target(path)


def _format_of(path: str) -> ReportFormat:
    if path in _STDOUT:
        return FORMATS[0]
    suffix = PurePath(path).suffix.lower()
    row = next((row for row in FORMATS if _is_appended(row, path)), None)
    row = row or next((row for row in FORMATS if row.suffix == suffix), None)
    if row is None:
        raise UsageError(
            f"no report format is known by the suffix of {printable(path)}",
            f"the name of a report ends in one of {' '.join(SUFFIXES)}; "
            "- is JSON lines on standard output",
        )
    return row


def _is_appended(row: ReportFormat, path: str) -> bool:
    named = os.environ.get(row.appended, "") if row.appended else ""
    if not named or "\0" in path:
        return False
    return os.path.realpath(named) == os.path.realpath(path)


def _factory(row: ReportFormat) -> Callable[..., Reporter]:
    factory: Callable[..., Reporter] = getattr(importlib.import_module(row.module), row.factory)
    return factory


class Watch(Protocol):
    """Takes what happens in the course of a run.

    A report that shows it has one, as its attribute ``watch``.
    """

    def span(self, span: Span) -> None:
        """A lane has been at a line; told before that line's result, but for one that helped."""

    def tick(self, standing: Standing) -> None:
        """Where things stand, about ten times a second."""

    def happened(self, event: HostEvent) -> None:
        """Something has happened to a host."""


class Reporter(Protocol):
    """Takes the results as they come and is told when the run is over.

    Attributes:
        every: whether it wants to see those of files that were fetched, too.
        hosts: whether it wants `Summary.hosts` to have numbers of every host.
        facts: whether it shows what servers say of files, as `Result.etag`.
        lists: whether every failure stands in it.
    """

    every: bool
    hosts: bool
    facts: bool
    lists: bool

    @property
    def sink(self) -> Sink | None:
        """Where it is written; None is where people look."""

    def record(self, result: Result, item: Item | None) -> None:
        """Take one result; `item` is what the list said, None for a bad line."""

    def finish(self, summary: Summary) -> None:
        """Write what is left to write. Called once, also after an interrupted run."""
