"""Failures as annotations: where GitHub Actions runs pdl, they stand at their lines of the list.

A line of the log that begins with ``::error`` is a command for the runner (Workflow commands for
GitHub Actions). It looks for them in both streams of a step. They go to standard error: standard
output is for programs, and mostly for one behind a pipe, where the runner would see nothing.
"""

from __future__ import annotations

import bisect
import os
from typing import TYPE_CHECKING, TextIO

from pdl.model import FailureKind, Outcome
from pdl.output.terminal import Out
from pdl.text.masking import printable
from pdl.text.units import tried_text
from pdl.text.urls import has_scheme

if TYPE_CHECKING:
    from pdl.model import Item, Result
    from pdl.scheduling.progress import Summary

MOST = 10
"""Errors of a step that GitHub shows."""
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = _DATA | str.maketrans({":": "%3A", ",": "%2C"})
"""As the toolkit of GitHub's own actions escapes them."""


class Annotations:
    """Prints the first failures, in the order of the list, when the run is over.

    Args:
        stream: the log; None prints nothing.
    """

    every = False
    hosts = False
    facts = False
    lists = False
    sink = None

    def __init__(self, stream: TextIO | None) -> None:
        self._out = Out(stream)
        self._ranks: dict[str, int] = {}
        self._first: list[tuple[int, int, int, Result]] = []
        self._count = 0

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Keep a failure, if there are not as many before it."""
        if result.outcome is not Outcome.FAIL or result.kind == FailureKind.CANCELLED.value:
            return
        self._count += 1
        rank = self._ranks.setdefault(result.source, len(self._ranks))
        bisect.insort(self._first, (rank, result.line, self._count, result))
        del self._first[MOST:]

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Print them."""
        self._out.write("".join(f"{annotation(each[-1])}\n" for each in self._first))


def annotation(failure: Result) -> str:
    """The command that makes an annotation."""
    place = ""
    if failure.line and failure.source != "-" and not has_scheme(failure.source):
        file = _in_workspace(failure.source).translate(_PROPERTY)
        place = f" file={printable(file)},line={failure.line}"
    kind = failure.kind or FailureKind.INTERNAL.value
    text = f"{kind}: {failure.url}: {failure.message} ({tried_text(failure.attempts)})"
    return f"::error{place}::{printable(text.translate(_DATA))}"


def _in_workspace(path: str) -> str:
    """The path relative to where the repository is, if it is in there: so GitHub finds its line."""
    home = os.environ.get("GITHUB_WORKSPACE")
    if not home or not os.path.exists(path):
        return path
    real, top = os.path.realpath(path), os.path.realpath(home)
    return os.path.relpath(real, top) if real.startswith(f"{top}{os.sep}") else path
