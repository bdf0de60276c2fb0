"""``--check``: every line of the list against what is on this disk. No server is asked.

It is a run like any other, with workers that only look. It takes no lock on the directory and
writes nothing into it: what a run that is under way has not finished yet is found missing.
"""

from __future__ import annotations

import mmap
from collections import Counter
from typing import TYPE_CHECKING

from pdl.integrity.check import BUFFER, examine
from pdl.model import FailureKind, Item, Outcome, Pin, Refusal, Result, SafePath, Summary
from pdl.output.reports.console import closing_lines, ending, placed
from pdl.output.terminal import Out
from pdl.run import build
from pdl.run.download import Report
from pdl.run.outputs import LockListener
from pdl.run.stop import Stop, signals
from pdl.scheduling.kinds import check_hint_of
from pdl.text.masking import printable
from pdl.text.units import count_text, duration_text, place_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from pdl.model import Answer, Task
    from pdl.output.sinks import Sink
    from pdl.pool import Lane, Meter
    from pdl.run.outputs import Outputs
    from pdl.settings import Settings
    from pdl.sources.feed import Feed


def check(settings: Settings, feed: Feed, outputs: Outputs) -> Report:
    """Look at what the feed gives.

    Raises:
        MachineError: processes cannot be started.
        UsageError: a setting is wrong, or the lock file is not there.
        ListError: the lock file is none, or a checksum file cannot be read.
    """
    build.check_settings(settings)
    lock = build.open_lock(settings, outputs.warn, look_only=True)
    if lock is not None:
        outputs = outputs.and_also(LockListener(lock))
    planner = build.look_planner(settings, outputs.warn, lock or _NoLock())
    stop = Stop()
    with signals(stop, outputs.abandon):
        looking = Looking(settings.files.directory)
        engine = build.make_engine(settings, feed, planner, looking, outputs, stop)
        summary = engine.run()
        outputs.finish(summary)
    return Report(summary, (), engine.machine_error(), engine.list_error())


class _NoLock:
    """Nothing is known beyond the list."""

    look_only = True

    def pin(self, item: Item, path: SafePath, checksum: str | None) -> Pin | Refusal | None:  # noqa: ARG002
        return None

    def path_of(self, item: Item) -> SafePath | None:  # noqa: ARG002
        return None


class Looking:
    """Builds lanes that only look; see `pdl.pool.LaneFactory`."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __call__(self) -> Lane:
        """Build a lane."""
        buffer = memoryview(mmap.mmap(-1, BUFFER))

        def look(task: Task, meter: Meter) -> Answer:
            return examine(task, self.directory, buffer, meter)

        return look


class CheckReport:
    """A line for each thing that is wrong, as it is found, and what it comes to.

    Args:
        stream: where people look.
        say: prints a line there.
        quiet: print nothing when all is well.
        verbose: print a line for every file.
        lists: in which every failure stands; looked at when all of them are finished.
    """

    hosts = False
    every = True
    sink = None

    def __init__(
        self,
        stream: TextIO | None,
        say: Callable[[str], None],
        *,
        quiet: bool = False,
        verbose: int = 0,
        lists: Sequence[Sink] = (),
    ) -> None:
        self._out = Out(stream)
        self._say = say
        self._quiet = quiet
        self._verbose = verbose
        self._lists = tuple(lists)
        self._wrong: Counter[str] = Counter()
        self._hashed = 0

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Say at once what is wrong."""
        if result.checksum and result.outcome is Outcome.UNCHANGED:
            self._hashed += result.size or 0
        kind = result.kind or FailureKind.INTERNAL.value
        if kind == FailureKind.CANCELLED.value:
            return
        place = place_text(result.source, result.line) or result.source
        if result.outcome is Outcome.FAIL:
            self._wrong[kind] += 1
            self._say(printable(f"{place}: {kind}: {result.message} ({result.url})"))
        elif self._verbose:
            self._say(printable(f"{place}: {result.path}: {result.message}"))

    def finish(self, summary: Summary) -> None:
        """Print the sum."""
        stopped = summary.left or summary.unread or summary.stopped_by is not None
        if self._quiet and not self._wrong and not stopped:
            return
        hints = {hint: None for kind in self._wrong if (hint := check_hint_of(kind))}
        lines = [self._sum(summary), *(f"  {hint}" for hint in hints)]
        lines += closing_lines(summary, placed(self._lists) if self._wrong else ())
        self._out.write("".join(f"{printable(line)}\n" for line in lines))

    def _sum(self, summary: Summary) -> str:
        counts = [f"{summary.unchanged} as they should be"]
        if summary.skipped:
            counts.append(f"{summary.skipped} there with no digest to prove them by")
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self._wrong.items()))
        counts.append(f"{summary.failed} wrong" + (f" ({kinds})" if kinds else ""))
        if summary.left or summary.unread:
            counts.append(f"{summary.left}{' or more' if summary.unread else ''} left")
        lines = summary.unchanged + summary.skipped + summary.failed
        looked = f"{count_text(lines, 'line')} checked"
        amount = f"{size_text(self._hashed)} hashed in {duration_text(summary.seconds)}"
        return f"pdl: {ending(summary)}{looked}: {', '.join(counts)}, {amount}"
