"""What every display has: the protocol, the one that shows nothing, the one for logs.

Time is passed in; no display ever raises because of its stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pdl.model import Outcome, Result, Retrying
from pdl.output.display.tally import Tally, commands_text, waiting_text, was_cancelled
from pdl.text.masking import printable
from pdl.text.units import clock_text, duration_text, place_text, size_text, tried_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.output.terminal import Out
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Standing, Summary


class Display(Protocol):
    """Shows a run under way.

    Attributes:
        every: whether it wants to be told of each file that was fetched; else their number will do.
        told: so many failures of each kind it tells as they come, from the first on; None: all.
        hosts: whether it wants `Summary.hosts` to have numbers of every host.
        facts: whether it shows what servers say of files, as `Result.etag`.
    """

    every: bool
    hosts: bool
    facts: bool
    told: int | None

    @property
    def lost(self) -> bool:
        """Whether what a program is to read could not be written."""

    def passed(self, count: int) -> None:
        """So many files were fetched that are not recorded."""

    def record(self, result: Result) -> None:
        """Take the end of one line of the list."""

    def retrying(self, event: Retrying) -> None:
        """Take note of an attempt that failed and is to be made again."""

    def tick(self, standing: Standing) -> None:
        """Bring the display up to date; called about ten times a second."""

    def happened(self, event: HostEvent) -> None:
        """Show what has happened to a host, with `verbose`."""

    def resized(self, jobs: int) -> None:
        """Show how many downloads may be in flight from now on, with `verbose`."""

    def said(self, lines: Sequence[str]) -> None:
        """Show what a worker says, masked, with `verbose` given twice."""

    def notice(self, text: str) -> None:
        """Print a warning on a line of its own."""

    def finish(self, summary: Summary) -> None:
        """Take what is known at the end of the run; only `close` is called after it."""

    def close(self) -> None:
        """Leave the terminal tidy; nothing is called after it."""

    def abandon(self) -> None:
        """The same where the process ends at once; called from within a signal handler."""


class SilentDisplay:
    """Nothing but notices; the base of the others."""

    every = False
    hosts = False
    facts = False
    told: int | None = 0

    def __init__(self, out: Out, *, verbose: int = 0) -> None:  # noqa: ARG002 - every row takes it
        self._out = out

    @property
    def lost(self) -> bool:
        """Nobody waits for it."""
        return False

    def passed(self, count: int) -> None:
        """Not shown."""

    def record(self, result: Result) -> None:
        """Not shown."""

    def retrying(self, event: Retrying) -> None:
        """Not shown."""

    def tick(self, standing: Standing) -> None:
        """Not shown."""

    def happened(self, event: HostEvent) -> None:
        """Not shown."""

    def resized(self, jobs: int) -> None:
        """Not shown."""

    def said(self, lines: Sequence[str]) -> None:
        """Not shown."""

    def notice(self, text: str) -> None:
        """Print the warning."""
        self._out.write(notice_line(text) + "\n")

    def finish(self, summary: Summary) -> None:
        """Not shown."""

    def close(self) -> None:
        """Nothing is left over."""

    def abandon(self) -> None:
        """Nothing is left over."""


def result_line(result: Result) -> str:
    """How one line of the list ended."""
    if result.outcome is Outcome.FAIL:
        tried = tried_text(result.attempts)
        about = ", ".join(filter(None, (tried, place_text(result.source, result.line))))
        return printable(f"failed     {result.kind}  {result.url}  {result.message} ({about})")
    text = f"{result.outcome.value:<9}  {result.path or result.url}"
    if result.outcome is Outcome.SUCCESS:
        text += f"  {size_text(result.size or result.bytes)} in {duration_text(result.seconds)}"
    return printable(f"{text}  ({result.message})" if result.message else text)


def retry_line(event: Retrying) -> str:
    """An attempt that is to be made again."""
    return printable(
        f"again in {duration_text(event.delay)}  {event.kind}  {event.url}  {event.message}"
        f" (attempt {event.attempt})"
    )


def host_line(event: HostEvent) -> str:
    """What has happened to a host."""
    return f"host       {printable(event.message)}"


def jobs_line(jobs: int) -> str:
    """How many downloads may be in flight, where nobody has said it."""
    return f"jobs       {jobs} at once from now on (-j auto)"


def notice_line(text: str) -> str:
    """A warning."""
    return f"pdl: {printable(text)}"


_EVERY = 30.0
_KINDS = 5
"""Kinds of failures that a line has room for."""


class PlainDisplay(SilentDisplay):
    """Lines for a log: how far it is now and then, and with `verbose` how each line ended."""

    def __init__(self, out: Out, *, verbose: int) -> None:
        super().__init__(out)
        self.every = verbose > 0
        self.told = None if verbose else 0
        self._all = verbose > 1
        self._tally = Tally()
        self._next: float | None = None

    def passed(self, count: int) -> None:
        """Count them."""
        self._tally.passed(count)

    def record(self, result: Result) -> None:
        """A line with `verbose`, but for the many that a stop leaves."""
        self._tally.record(result)
        if self.every and not was_cancelled(result):
            self._out.write(result_line(result) + "\n")

    def retrying(self, event: Retrying) -> None:
        """A line with `verbose`."""
        self._tally.retrying(event)
        if self.every:
            self._out.write(retry_line(event) + "\n")

    def happened(self, event: HostEvent) -> None:
        """A line with `verbose`."""
        if self.every:
            self._out.write(host_line(event) + "\n")

    def resized(self, jobs: int) -> None:
        """A line with `verbose`."""
        if self.every:
            self._out.write(jobs_line(jobs) + "\n")

    def said(self, lines: Sequence[str]) -> None:
        """The lines, with `verbose` given twice."""
        if self._all:
            self._out.write("".join(f"{printable(line)}\n" for line in lines))

    def tick(self, standing: Standing) -> None:
        """A line every half minute."""
        self._tally.update(standing)
        now = standing.now
        if self._next is None:
            self._next = now + _EVERY
        if now >= self._next:
            self._next = now + _EVERY
            self._out.write(_progress_line(self._tally) + "\n")


def _progress_line(tally: Tally) -> str:
    of = f" of {tally.total}" if tally.total else ""
    parts = [
        f"{tally.done}{of} done",
        f"{tally.failed} failed{_kinds(tally)}",
        f"{tally.live} in flight",
        size_text(tally.received),
        f"{size_text(tally.speed)}/s",
    ]
    if tally.remaining is not None:
        parts.append(f"{clock_text(tally.remaining)} left")
    if tally.waiting is not None and not tally.live:
        parts.append(waiting_text(tally.waiting))
    if tally.commands:
        parts.append(commands_text(tally.commands))
    return printable("pdl: " + ", ".join(parts))


def _kinds(tally: Tally) -> str:
    """The failures by kind, the most frequent first."""
    counts = ", ".join(f"{count} {kind}" for kind, count in tally.kinds.most_common(_KINDS))
    more = ", ..." if len(tally.kinds) > _KINDS else ""
    return f" ({counts}{more})" if counts else ""
