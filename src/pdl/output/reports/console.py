"""The final report: what a person reads when the run is over."""

from __future__ import annotations

import bisect
import signal
import time
from typing import TYPE_CHECKING, TextIO

from pdl.model import NOT_KEPT, ON_DISK, FailureKind, Item, Outcome, Result
from pdl.output.terminal import Out
from pdl.scheduling.kinds import check_hint_of, hint_of
from pdl.text.masking import printable
from pdl.text.units import count_text, duration_text, place_text, size_text, tried_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import HostRow, Summary

SHOWN = 20
"""Failures of one kind that are shown one by one."""


class _Group:
    """The failures of one kind: all counted, the first few kept in the list's order.

    Args:
        told: so many have been told already, from the first that came on; None: all.
    """

    def __init__(self, told: int | None) -> None:
        self.count = 0
        self.transient = 0
        self.on_disk = 0
        self._told = told
        self._shown: list[tuple[int, int, int, Result]] = []

    def add(self, result: Result, rank: int) -> None:
        """Take one; `rank` is that of its list among the lists."""
        self.count += 1
        self.transient += bool(result.transient)
        self.on_disk += f" {ON_DISK}: " in result.message
        if self._told is None or self.count <= self._told:
            return
        bisect.insort(self._shown, (rank, result.line, self.count, result))
        del self._shown[SHOWN:]

    def above(self) -> int:
        """How many have been told already."""
        return self.count if self._told is None else min(self.count, self._told)

    def shown(self) -> list[Result]:
        """Those that are told now."""
        return [each[-1] for each in self._shown]


class ConsoleReport:
    """One summary line, then the failures grouped by kind, but those that were told already.

    Args:
        stream: where people look; None shows nothing.
        quiet: print nothing when all went well.
        lists: in which every failure stands, the failure list first; looked at when all of them
            are finished.
        told: failures of each kind that the display has told; see `Display.told`.
        fail_fast: the run is to stop at the first failure.
        explain: says where the options were set that a text names; empty where that is plain.
    """

    every = False
    hosts = False
    facts = False
    lists = False
    sink = None

    def __init__(
        self,
        stream: TextIO | None,
        *,
        quiet: bool = False,
        lists: Sequence[Sink] = (),
        told: int | None = 0,
        fail_fast: bool | None = None,
        explain: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._out = Out(stream)
        self._quiet = quiet
        self._lists = tuple(lists)
        self._told = told
        self._fail_fast = fail_fast
        self._explain = explain
        self._groups: dict[str, _Group] = {}
        self._ranks: dict[str, int] = {}
        self._lost: list[Result] = []

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Remember a failure; what a stop of the run cancelled is told as one number."""
        if result.kind == FailureKind.CANCELLED.value and NOT_KEPT in result.message:
            self._lost.append(result)
        if result.outcome is Outcome.FAIL and result.kind != FailureKind.CANCELLED.value:
            kind = result.kind or FailureKind.INTERNAL.value
            rank = self._ranks.setdefault(result.source, len(self._ranks))
            group = self._groups.get(kind)
            if group is None:
                group = self._groups[kind] = _Group(self._told)
            group.add(result, rank)

    def finish(self, summary: Summary) -> None:
        """Print the report."""
        stopped = summary.left or summary.unread or summary.stopped_by is not None
        if self._quiet and not self._groups and not stopped:
            return
        if _says_nothing(summary):
            return
        lists = placed(self._lists)
        lines = [summary_line(summary, fail_fast=self._fail_fast)]
        if summary.unchecked:
            lines.append(f"  {summary.unchecked} there already, not checked (-N asks the server)")
        lines += _lost_lines(summary.hosts)
        # the largest group last: its end is what stands above the prompt
        for kind, group in sorted(self._groups.items(), key=lambda each: (each[1].count, each[0])):
            lines += ["", *_group_lines(kind, group, lists)]
        again = _again_lines(summary, self._lost, fail_fast=self._fail_fast) if stopped else []
        if said := self._explain("\n".join(lines + again)):
            again.append(said)
        lines += closing_lines(again, lists if self._groups else ())
        self._out.write("".join(f"{printable(line)}\n" for line in lines))


def _says_nothing(summary: Summary) -> bool:
    """Whether nothing came of any line; what was in the way is said elsewhere."""
    lines = summary.succeeded + summary.skipped + summary.unchanged + summary.failed
    left = summary.left or summary.unread
    return not lines and summary.stopped_by is None and (summary.halted or not left)


def summary_line(summary: Summary, *, fail_fast: bool | None = None) -> str:
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
    return f"pdl: {ending(summary, fail_fast=fail_fast)}{', '.join(counts)}, {amount}"


def ending(summary: Summary, *, fail_fast: bool | None = None) -> str:
    """How the run ended, to begin its summary with; empty for one that came to its end.

    Args:
        summary: of the run.
        fail_fast: the first failure was to stop it; None: that is not known here.
    """
    if summary.stopped_by is None:
        early = summary.left or summary.unread
        return f"{_limit(summary, fail_fast=fail_fast)}: " if early else ""
    try:
        name = signal.Signals(summary.stopped_by).name
    except ValueError:
        name = f"signal {summary.stopped_by}"
    return f"interrupted by {name}: "


def _limit(summary: Summary, *, fail_fast: bool | None) -> str:
    """What made a run stop early that no signal stopped."""
    if summary.limit == "deadline":
        return "stopped at the deadline (--deadline)"
    if summary.limit == "quota":
        return "stopped at the quota (--quota)"
    if summary.limit is None:
        return "stopped early"
    option = _failure_limit(summary, fail_fast=fail_fast)
    if option == "--fail-fast":
        return f"stopped at the first failure ({option})"
    return f"stopped after {count_text(summary.failed, 'failure')} ({option})"


def _failure_limit(summary: Summary, *, fail_fast: bool | None) -> str:
    """The option that stopped a run for its failures."""
    first = summary.failed == 1 if fail_fast is None else fail_fast
    return "--fail-fast" if first else "--max-failures"


def _group_lines(kind: str, group: _Group, lists: Sequence[str]) -> list[str]:
    """The failures of a kind; a reason of several stands once above them."""
    hint = f", {text}" if (text := hint_of(kind)) else ""
    count = f"{group.count:,} failure{'' if group.count == 1 else 's'}"
    lines = [f"{kind}: {count}{hint} ({_again(group)}){_spread(group, lists)}"]
    reasons: dict[str, list[Result]] = {}
    for result in group.shown():
        reasons.setdefault(result.message or "no reason given", []).append(result)
    for reason, failures in reasons.items():
        told = _once(failures)
        if len(told) == 1:
            lines += [f"  {told[0][0]}", f"      {reason} ({told[0][1]})"]
        else:
            lines += [f"  {reason}", *(f"    {url} ({about})" for url, about in told)]
    if group.on_disk and (hint := check_hint_of(kind)):
        lines.append(f"  {hint}")
    return lines


def _once(failures: Sequence[Result]) -> list[tuple[str, str]]:
    """The URLs, and what there is to say of each; further lines of one stand with its first."""
    told: dict[str, list[Result]] = {}
    texts: list[list[Result]] = []
    for result in failures:
        first = told.get(result.url)
        if first is None or result.attempts:  # two may differ in what is masked
            told[result.url] = first = []
            texts.append(first)
        first.append(result)
    return [(first.url, ", ".join([_about(first), *map(_place, more)])) for first, *more in texts]


def _place(result: Result) -> str:
    return place_text(result.source, result.line) or result.source


def _spread(group: _Group, lists: Sequence[str]) -> str:
    """Where the failures of a kind are told, unless all of them follow."""
    above, here = group.above(), len(group.shown())
    hidden = group.count - above - here
    if not above and not hidden:
        return ""
    places = [
        f"{number:,} {where}" for number, where in ((above, "above"), (here, "here")) if number
    ]
    if hidden and lists:
        places.append(f"{hidden:,} in {lists[0]}")
    text = ", ".join(places)
    return f": {text}; --failed FILE lists them all" if hidden and not lists else f": {text}"


def _lost_lines(hosts: Sequence[HostRow]) -> list[str]:
    """The hosts that were given up, since when, and how many lines that was."""
    return [
        f"  {each.host} was given up at {_clock(each.given_up_at)}, {each.reason}: that ended "
        f"{count_text(each.given_up, 'line')}"
        for each in hosts
        if each.given_up
    ]


def _clock(seconds: float | None) -> str:
    """The time of the day, here."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def placed(lists: Sequence[Sink]) -> list[str]:
    """The names of those that were written."""
    return [each.name for each in lists if each.placed]


def _again(group: _Group) -> str:
    if group.transient == group.count:
        return "transient, trying again may help"
    if group.transient:
        return f"{group.transient} transient, trying those again may help"
    return "permanent"


def _about(result: Result) -> str:
    return ", ".join(
        filter(None, (tried_text(result.attempts), place_text(result.source, result.line)))
    )


def _again_lines(summary: Summary, lost: Sequence[Result], *, fail_fast: bool | None) -> list[str]:
    """What is to be done about the rest of a run that was stopped.

    Args:
        summary: of the run.
        lost: rows of what was left, and has no part to go on with.
        fail_fast: as `ending` has it.
    """
    if not (summary.left or summary.unread) or summary.halted:  # what halts a run says how to go on
        return []
    if summary.limit == "max_failures":  # what failed would mostly end the next run as well
        option = _failure_limit(summary, fail_fast=fail_fast)
        return [f"the same command without {option} goes on from here"]
    if not lost:
        return ["the same command again goes on from here"]
    more = f", and so for {count_text(len(lost) - 1, 'other')}" if len(lost) > 1 else ""
    about = f"{lost[0].url}{more}: {lost[0].message}"
    if len(lost) == summary.left and not summary.unread:
        return [f"the same command again begins anew with {about}"]
    return ["the same command again goes on from here", f"but for {about}"]


def closing_lines(again: Sequence[str], lists: Sequence[str]) -> list[str]:
    """What to do next, and where the failures stand; an empty line before it.

    Args:
        again: lines of the former.
        lists: in which the failures stand.
    """
    told = [f"the failures are listed in {', '.join(lists)}"] if lists else []
    return ["", *again, *told] if again or told else []
