"""Report files with one row an item, and the choice of their format by suffix."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from pdl.errors import UsageError
from pdl.output.reports.json_ import JsonReport
from pdl.output.reports.jsonl import JsonLinesReport
from pdl.output.sinks import FileSink, StreamSink, Warn, warn_on_stderr
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdl.output.reports import Reporter

_STDOUT = frozenset({"-", "/dev/stdout"})
_KNOWN = ".jsonl .json"


def check_distinct(paths: Iterable[str]) -> None:
    """See to it that no report replaces another.

    Raises:
        UsageError: two of the paths are one file.
    """
    seen = set()
    for path in paths:
        real = os.path.realpath("/dev/stdout" if path in _STDOUT else path)
        if real in seen:
            raise UsageError(
                f"{printable(path)} is given for two reports", "give each a file of its own"
            )
        seen.add(real)


def open_report(path: str, warn: Warn = warn_on_stderr) -> Reporter:
    """The reporter for `path`, chosen by its suffix; standard output takes JSON lines.

    Args:
        path: a file name; ``-`` or ``/dev/stdout`` is standard output.
        warn: told once if the report cannot be written to its end.

    Raises:
        UsageError: the suffix stands for no format, or the path can be no file.
        MachineError: the file cannot be made.
    """
    if path in _STDOUT:
        return JsonLinesReport(StreamSink(sys.stdout, warn))
    suffix = PurePath(path).suffix.lower()
    if suffix == ".jsonl":
        return JsonLinesReport(FileSink(path, warn, keep=True))
    if suffix == ".json":
        return JsonReport(FileSink(path, warn))
    raise UsageError(
        f"no report format is known by the suffix of {printable(path)}",
        f"the name of a report ends in one of {_KNOWN}; - is JSON lines on standard output",
    )
