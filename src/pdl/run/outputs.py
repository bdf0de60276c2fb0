"""Who listens to a run: reports, the display, a callback, the lock file, what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.errors import MachineError
from pdl.model import (
    CODED_REMARK,
    PAGE_REMARK,
    POINTER_REMARK,
    Event,
    FailureKind,
    Outcome,
    Result,
    Retrying,
)
from pdl.sources.item_options import NO_BASE
from pdl.text.masking import mask, printable
from pdl.text.urls import url_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pdl.integrity.lock import Lock
    from pdl.model import Item
    from pdl.output.display.base import Display
    from pdl.output.reports.registry import Reporter, Watch
    from pdl.scheduling.governor import Governor
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Span, Standing, Summary
    from pdl.settings import InputSettings
    from pdl.storage.archive import Archive
    from pdl.storage.state_db import StateDb
    from pdl.text.urls import Url

_CANCELLED = FailureKind.CANCELLED.value
_ERRORS = 400
"""Statuses from which on there is no file, though the user may allow them."""


class Listener:
    """Told of what happens in a run. Each that derives from this overrides what it wants to know.

    Attributes:
        every: whether each line that succeeded is to be told; else their number will do.
        hosts: whether it has a use for numbers of each host.
        facts: whether it has a use for what servers say of files, and where attempts were made.
        spans: whether it is to be told when each lane was at which line; then it wants the facts.
    """

    every: bool = False
    hosts: bool = False
    facts: bool = False
    spans: bool = False

    def passed(self, count: int) -> None:
        """So many lines succeeded that are not recorded."""

    def record(self, result: Result, item: Item | None) -> None:
        """A line has its outcome; `item` is what the list said, None for a bad line."""

    def retrying(self, event: Retrying) -> None:
        """An attempt is to be made again."""

    def tick(self, standing: Standing) -> None:
        """Where things stand, about ten times a second; see `pdl.output.display.base.Display`."""

    def span(self, span: Span) -> None:
        """A lane has been at a line."""

    def warn(self, text: str) -> None:
        """There is something the user should know that is no failure."""

    def happened(self, event: HostEvent) -> None:
        """Something has happened to a host that only those want to know who look closely."""

    def resized(self, jobs: int) -> None:
        """So many downloads may be in flight from now on; told where nobody has said how many."""

    def said(self, lines: Sequence[str]) -> None:
        """A worker has something for whoever looks closely, masked; see `pdl.pool.Said`."""

    def abandon(self) -> None:
        """The process ends at once, from within a signal handler; nothing is told after it."""

    def finish(self, summary: Summary) -> None:
        """The run is over. Called once, also after an interrupted run."""


class Outputs:
    """Hands everything that happens to each listener that has a use for it.

    Args:
        listeners: told in this order; a display before the reports, for it is to be gone when they
            print their end.

    Attributes:
        every: whether a listener wants to be told of every line.
        hosts: whether one has a use for numbers of each host.
        facts: whether one has a use for what servers say of files.
        spans: whether one is to be told when each lane was at which line.
    """

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = tuple(listeners)
        self.every = any(each.every for each in self._listeners)
        self.hosts = any(each.hosts for each in self._listeners)
        self.facts = any(each.facts for each in self._listeners)
        self.spans = any(each.spans for each in self._listeners)
        self._recording = tuple(each for each in self._listeners if _wants(each, "record"))
        self._troubled = False

    def and_also(self, *more: Listener) -> Outputs:
        """These listeners and more of them."""
        return type(self)((*self._listeners, *more))

    def after(self, first: Listener) -> Outputs:
        """These listeners, who are told after another one."""
        return type(self)((first, *self._listeners))

    def passed(self, count: int) -> None:
        """See `Listener.passed`."""
        for each in self._listeners:
            each.passed(count)

    def record(self, result: Result, item: Item | None) -> None:
        """See `Listener.record`."""
        for each in self._recording:
            each.record(result, item)

    def retrying(self, event: Retrying) -> None:
        """See `Listener.retrying`."""
        for each in self._listeners:
            each.retrying(event)

    def tick(self, standing: Standing) -> None:
        """See `Listener.tick`."""
        for each in self._listeners:
            each.tick(standing)

    def span(self, span: Span) -> None:
        """See `Listener.span`."""
        for each in self._listeners:
            each.span(span)

    def warn(self, text: str) -> None:
        """See `Listener.warn`."""
        for each in self._listeners:
            each.warn(text)

    def tell_news(self, governor: Governor) -> None:
        """Tell what has happened to hosts since the last time."""
        for text in governor.warnings:
            self.warn(printable(text))
        for event in governor.news:
            for each in self._listeners:
                each.happened(event)
        governor.warnings.clear()
        governor.news.clear()

    def resized(self, jobs: int) -> None:
        """See `Listener.resized`."""
        for each in self._listeners:
            each.resized(jobs)

    def said(self, lines: Sequence[str]) -> None:
        """See `Listener.said`."""
        for each in self._listeners:
            each.said(lines)

    def trouble(self, text: str) -> None:
        """The cache failed in a worker, and mostly will again: the first time is told."""
        if not self._troubled:
            self._troubled = True
            self.warn(printable(text))

    def abandon(self) -> None:
        """See `Listener.abandon`."""
        for each in self._listeners:
            each.abandon()

    def finish(self, summary: Summary) -> None:
        """See `Listener.finish`."""
        for each in self._listeners:
            each.finish(summary)


class NamesOnly(Outputs):
    """The same for a look; where `NO_BASE` stood for a base, names are told without it."""

    def record(self, result: Result, item: Item | None) -> None:
        """See `Listener.record`."""
        if result.url.startswith(NO_BASE):
            result = result._replace(url=result.url.removeprefix(NO_BASE), host=None)
        super().record(result, item and item._replace(url=item.url.removeprefix(NO_BASE)))


def _wants(listener: Listener, name: str) -> bool:
    """Whether a listener has a method of its own, and not just the one that does nothing."""
    return getattr(type(listener), name) is not getattr(Listener, name)


def listeners_of(reporters: Iterable[Reporter], display: Display) -> list[Listener]:
    """What people and programs read of a run, as listeners."""
    return [DisplayListener(display), *map(_listener_of, reporters)]


def _listener_of(reporter: Reporter) -> Listener:
    watch: Watch | None = getattr(reporter, "watch", None)
    return ReportListener(reporter) if watch is None else WatchingListener(reporter, watch)


class DisplayListener(Listener):
    """The display."""

    def __init__(self, display: Display) -> None:
        self.every, self.hosts, self.facts = display.every, display.hosts, display.facts
        self._display = display

    def passed(self, count: int) -> None:
        """Count them."""
        self._display.passed(count)

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Show it, unless a stop of the run cancelled it."""
        if result.kind != _CANCELLED:
            self._display.record(result)

    def retrying(self, event: Retrying) -> None:
        """Show it."""
        self._display.retrying(event)

    def tick(self, standing: Standing) -> None:
        """Bring it up to date."""
        self._display.tick(standing)

    def warn(self, text: str) -> None:
        """Print it."""
        self._display.notice(text)

    def happened(self, event: HostEvent) -> None:
        """Show it, if it is to show everything."""
        self._display.happened(event)

    def resized(self, jobs: int) -> None:
        """Show it, if it is to show everything."""
        self._display.resized(jobs)

    def said(self, lines: Sequence[str]) -> None:
        """Show it, if it is to show that much."""
        self._display.said(lines)

    def abandon(self) -> None:
        """Take away what stands on the terminal."""
        self._display.abandon()

    def finish(self, summary: Summary) -> None:
        """Leave the terminal tidy."""
        self._display.finish(summary)
        self._display.close()


class ReportListener(Listener):
    """A report."""

    def __init__(self, reporter: Reporter) -> None:
        self.every, self.hosts, self.facts = reporter.every, reporter.hosts, reporter.facts
        self._reporter = reporter

    def record(self, result: Result, item: Item | None) -> None:
        """Take the row."""
        self._reporter.record(result, item)

    def finish(self, summary: Summary) -> None:
        """Write what is left to write."""
        self._reporter.finish(summary)


class WatchingListener(ReportListener):
    """A report that shows how the run went on."""

    spans = True

    def __init__(self, reporter: Reporter, watch: Watch) -> None:
        super().__init__(reporter)
        self._watch = watch

    def span(self, span: Span) -> None:
        """Take it."""
        self._watch.span(span)

    def tick(self, standing: Standing) -> None:
        """Take how much has been received."""
        self._watch.tick(standing)

    def happened(self, event: HostEvent) -> None:
        """Take it."""
        self._watch.happened(event)


class RemarkListener(Listener):
    """Tells of files that were taken, and may not be what is wanted: once, and how many.

    Args:
        say: prints a line where people look.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._first: dict[str, str] = {}
        self._counts = dict.fromkeys((PAGE_REMARK, POINTER_REMARK), 0)
        self._coded = False

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Count it by its remark; a further line of one URL is no further file."""
        if result.outcome is not Outcome.SUCCESS or not result.attempts:
            return
        if result.message in self._counts:
            self._first.setdefault(result.message, result.path or result.url)
            self._counts[result.message] += 1
        elif result.message.startswith(CODED_REMARK) and not self._coded:
            self._coded = True
            self._say(
                f"{result.path} is {result.message}: its bytes are kept as they came, and "
                "--compressed decodes them; this is told once"
            )

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Say which, and how many more."""
        for remark, what in (
            (PAGE_REMARK, ("is an HTML page", "are HTML pages")),
            (POINTER_REMARK, ("is a Git LFS pointer", "are Git LFS pointers")),
        ):
            if count := self._counts[remark]:
                more = f" and {count - 1} more of the files" if count > 1 else ""
                self._say(f"{self._first[remark]}{more} {what[count > 1]}")


class BaseListener(Listener):
    """Tells of a base URL that seems to lack its slash: every file was missing.

    Args:
        say: prints a line where people look.
        settings: have the base.
    """

    def __init__(self, say: Callable[[str], None], settings: InputSettings) -> None:
        self._say = say
        base = settings.base_url or "/"
        self._base = "" if base.endswith("/") or "?" in base else base
        self._missing = 0
        self._other = False

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Count what is missing."""
        if result.kind == "http-404":
            self._missing += 1
        else:
            self._other = True

    def finish(self, summary: Summary) -> None:
        """Say it, if nothing else came of the run."""
        if self._base and self._missing and not self._other and not summary.succeeded:
            self._say(
                "every file was missing (404): without a / at its end, the last part of a base "
                f"URL is replaced; try --base-url {mask(self._base)}/"
            )


class CallbackListener(Listener):
    """A program's function, called with every event.

    Attributes:
        calling: it is being called, or has raised.
    """

    every = True
    facts = True

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self.calling = False

    def _call(self, event: Event) -> None:
        self.calling = True
        self._on_event(event)
        self.calling = False

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Call it."""
        self._call(result)

    def retrying(self, event: Retrying) -> None:
        """Call it."""
        self._call(event)


class FailureListener(Listener):
    """Keeps the rows of what failed.

    Attributes:
        rows: one for each line that failed or was left.
    """

    def __init__(self) -> None:
        self.rows: list[Result] = []

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Keep a failure."""
        if result.outcome is Outcome.FAIL:
            self.rows.append(result)


class DiskListener(Listener):
    """Notes whether a line failed for want of this machine.

    Attributes:
        failed: one did.
    """

    failed = False

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Look at a failure."""
        if result.kind == FailureKind.DISK.value:
            self.failed = True


class LockListener(Listener):
    """The lock file, which takes what was proven."""

    every = True

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def record(self, result: Result, item: Item | None) -> None:
        """Take it."""
        self._lock.record(result, item)


class ArchiveListener(Listener):
    """The archive, which takes each URL whose file is there.

    It is told first: what is told elsewhere is in it.
    """

    every = True

    def __init__(self, archive: Archive, parse: Callable[[str], Url]) -> None:
        self.archive = archive
        self._parse = parse

    def record(self, result: Result, item: Item | None) -> None:
        """Add it, also if an earlier run had placed the file, and was killed then."""
        there = result.path is not None and (result.status or 0) < _ERRORS
        if item is not None and there and result.outcome is not Outcome.FAIL:
            self.archive.add(url_key(self._parse(item.url)), result.url)

    def error(self) -> MachineError | None:
        """Why it could not take all of them, if so."""
        error = self.archive.error
        if error is None:
            return None
        reason = error.strerror or str(error)
        return MachineError(
            f"the archive could not be written: {reason}",
            "the files are there; the same command adds them to it",
        )

    def close(self) -> None:
        """Close it."""
        self.archive.close()


class StateListener(Listener):
    """The state database, which writes now and then what is new."""

    def __init__(self, state: StateDb) -> None:
        self._state = state

    def tick(self, standing: Standing) -> None:  # noqa: ARG002
        """Write it, if it has waited long enough."""
        self._state.tick()
