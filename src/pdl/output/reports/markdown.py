"""Reports for people who look at a page: Markdown, as GitHub and others show it."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from pdl.model import FailureKind, Outcome
from pdl.output.reports.console import summary_line
from pdl.scheduling.kinds import hint_of
from pdl.text.masking import printable
from pdl.text.units import place_text, tried_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pdl.model import Item, Result
    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import Summary

SHOWN = 100
"""Failures that are shown one by one: a summary on GitHub has 1 MiB at most."""
_PLAIN = "/,;=?%-"
"""Punctuation that means nothing inside of a line, so that URLs can be read as they stand."""
_ESCAPES = str.maketrans({char: f"\\{char}" for char in string.punctuation if char not in _PLAIN})
"""CommonMark section 2.4: what has a backslash before it is no markup."""


class MarkdownReport:
    """Writes the numbers, the kinds of failures, and the first of the failures."""

    every = False
    hosts = False
    facts = False
    lists = False

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._kinds: dict[str, int] = {}
        self._shown: list[Result] = []

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Count a failure."""
        kind = result.kind or FailureKind.INTERNAL.value
        if result.outcome is not Outcome.FAIL or kind == FailureKind.CANCELLED.value:
            return
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if len(self._shown) < SHOWN:
            self._shown.append(result)

    def finish(self, summary: Summary) -> None:
        """Write it all."""
        self.sink.write("".join(f"{line}\n" for line in self._lines(summary)))
        self.sink.commit()

    def _lines(self, summary: Summary) -> Iterator[str]:
        yield f"### {escaped(summary_line(summary))}"
        yield ""
        words = ("succeeded", "skipped", "unchanged", "failed", "left")
        counts = [(word, f"{getattr(summary, word):,}") for word in words]
        yield from _table(("lines", "number"), counts)
        if not self._kinds:
            return
        kinds = sorted(self._kinds.items(), key=lambda each: (-each[1], each[0]))
        yield from _table(
            ("kind", "failures", "what may help"),
            [(kind, f"{count:,}", hint_of(kind)) for kind, count in kinds],
        )
        yield from _table(
            ("kind", "URL", "reason", "tried", "where"),
            [
                (
                    each.kind or "",
                    each.url,
                    each.message,
                    tried_text(each.attempts),
                    place_text(each.source, each.line) or each.source,
                )
                for each in self._shown
            ],
        )
        if (more := sum(self._kinds.values()) - len(self._shown)) > 0:
            yield f"{more:,} more are not shown."
            yield ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
    yield ""


def escaped(text: str) -> str:
    """The text on one line, in which nothing is markup."""
    return printable(text).translate(_ESCAPES)
