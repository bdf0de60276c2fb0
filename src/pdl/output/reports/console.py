"""The final report: what a person reads when the run is over."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, TextIO

from pdl.model import FailureKind, Item, Outcome, Result, Summary
from pdl.output.terminal import Out
from pdl.scheduling.kinds import hint_of
from pdl.text.masking import printable
from pdl.text.units import count_text, duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.output.sinks import Sink

SHOWN = 20
"""Failures of one kind that are shown one by one."""

_LIMITS = {
    None: "",
    "max_failures": ", the limit of failures is reached",
    "deadline": ", the deadline is reached",
}
"""Of a run: what made it stop."""


class _Group:
    """The failures of one kind: all counted, the first few kept."""

    def __init__(self) -> None:
        self.count = 0
        self.transient = 0
        self.shown: list[Result] = []

    def add(self, result: Result) -> None:
        self.count += 1
        self.transient += bool(result.transient)
        if len(self.shown) < SHOWN:
            self.shown.append(result)


class ConsoleReport:
    """One summary line, then the failures grouped by kind.

    Args:
        stream: where people look; None shows nothing.
        quiet: print nothing when all went well.
        lists: in which every failure stands, the failure list first; looked at when all of them
            are finished.
    """

    every = False
    sink = None

    def __init__(
        self, stream: TextIO | None, *, quiet: bool = False, lists: Sequence[Sink] = ()
    ) -> None:
        self._out = Out(stream)
        self._quiet = quiet
        self._lists = tuple(lists)
        self._groups: dict[str, _Group] = {}

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Remember a failure; what a stop of the run cancelled is told as one number."""
        if result.outcome is Outcome.FAIL and result.kind != FailureKind.CANCELLED.value:
            kind = result.kind or FailureKind.INTERNAL.value
            self._groups.setdefault(kind, _Group()).add(result)

    def finish(self, summary: Summary) -> None:
        """Print the report."""
        stopped = summary.left or summary.unread or summary.stopped_by is not None
        if self._quiet and not self._groups and not stopped:
            return
        lists = placed(self._lists)
        lines = [summary_line(summary)]
        if summary.unchecked:
            lines.append(f"  {summary.unchecked} there already, not checked (-N asks the server)")
        # the largest group last: its end is what stands above the prompt
        for kind, group in sorted(self._groups.items(), key=lambda each: (each[1].count, each[0])):
            lines += ["", *_group_lines(kind, group, lists)]
        lines += closing_lines(summary, lists if self._groups else ())
        self._out.write("".join(f"{printable(line)}\n" for line in lines))


def summary_line(summary: Summary) -> str:
    """The run in one line, as ``pdl: 943 succeeded, 55 failed, 1.2 GiB in 12.4 s (99 MiB/s)``."""
    counts = [f"{summary.succeeded} succeeded"]
    counts += [
        f"{count} {word}"
        for count, word in ((summary.skipped, "skipped"), (summary.unchanged, "unchanged"))
        if count
    ]
    counts.append(f"{summary.failed} failed")
    if summary.left or summary.unread:
        counts.append(f"{summary.left}{' or more' if summary.unread else ''} left")
    amount = f"{size_text(summary.bytes)} in {duration_text(summary.seconds)}"
    if summary.bytes and summary.seconds > 0:
        amount += f" ({size_text(summary.bytes / summary.seconds)}/s)"
    return f"pdl: {ending(summary)}{', '.join(counts)}, {amount}"


def ending(summary: Summary) -> str:
    """How the run ended, to begin its summary with; empty for one that came to its end."""
    if summary.stopped_by is None:
        early = summary.left or summary.unread
        return f"stopped early{_LIMITS[summary.limit]}: " if early else ""
    try:
        name = signal.Signals(summary.stopped_by).name
    except ValueError:
        name = f"signal {summary.stopped_by}"
    return f"interrupted by {name}: "


def _group_lines(kind: str, group: _Group, lists: Sequence[str]) -> list[str]:
    reason = f", {hint}" if (hint := hint_of(kind)) else ""
    lines = [f"{kind}: {count_text(group.count, 'failure')}{reason} ({_again(group)})"]
    for result in group.shown:
        lines += _failure_lines(result)
    hidden = group.count - len(group.shown)
    if hidden:
        where = f"all are in {lists[0]}" if lists else "--failed FILE lists them all"
        lines.append(f"  ... and {hidden} more; {where}")
    return lines


def placed(lists: Sequence[Sink]) -> list[str]:
    """The names of those that were written."""
    return [each.name for each in lists if each.placed]


def _again(group: _Group) -> str:
    if group.transient == group.count:
        return "transient, trying again may help"
    if group.transient:
        return f"{group.transient} transient, trying those again may help"
    return "permanent, trying again will not help by itself"


def _failure_lines(result: Result) -> list[str]:
    tried = count_text(result.attempts, "attempt") if result.attempts else "not tried"
    place = f", {result.source}:{result.line}" if result.line else ""
    reason = result.message or "no reason given"
    return [f"  {result.url}", f"      {reason} ({tried}{place})"]


def closing_lines(summary: Summary, lists: Sequence[str]) -> list[str]:
    """What to do next, and where the failures stand; an empty line before it."""
    lines = []
    if summary.left or summary.unread:
        lines.append("the same command again goes on from here")
    if lists:
        lines.append(f"the failures are listed in {', '.join(lists)}")
    return ["", *lines] if lines else []
