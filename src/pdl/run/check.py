"""``--check``: every line of the list against what is on this disk. No server is asked.

It is a run like any other, with workers that only look. It takes no lock on the directory and
writes nothing into it: what a run that is under way has not finished yet is found missing.
"""

from __future__ import annotations

import mmap
from collections import Counter, deque
from typing import TYPE_CHECKING

from pdl.integrity.check import BUFFER, examine
from pdl.model import FailureKind, Item, Outcome, Pin, Refusal, Result, SafePath
from pdl.output.reports.console import closing_lines, ending, placed
from pdl.output.terminal import Out
from pdl.run import build
from pdl.run.download import Report
from pdl.run.outputs import LockListener
from pdl.run.stop import Stop, signals
from pdl.scheduling.kinds import check_hint_of
from pdl.settings import HookSettings
from pdl.text.masking import printable
from pdl.text.units import count_text, duration_text, place_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from pdl.model import Answer, Task
    from pdl.output.sinks import Sink
    from pdl.pool import Lane, Meter
    from pdl.run.outputs import Outputs
    from pdl.scheduling.progress import Summary
    from pdl.settings import Settings
    from pdl.sources import Entry
    from pdl.sources.feed import Feed


def check(settings: Settings, feed: Feed, outputs: Outputs) -> Report:
    """Look at what the feed gives.

    Raises:
        MachineError: processes cannot be started.
        UsageError: a setting is wrong, or the lock file is not there.
        ListError: the lock file is none, or a checksum file cannot be read.
    """
    build.check_settings(settings)
    settings = settings._replace(input=settings.input._replace(rewrite=None))  # nobody is asked
    lock = build.open_lock(settings, outputs.warn, look_only=True)
    if lock is not None:
        outputs = outputs.and_also(LockListener(lock))
    planner = build.look_planner(settings, outputs.warn, lock or _NoLock())
    stop = Stop()
    with signals(stop, outputs.abandon):
        settings = settings._replace(hooks=HookSettings())  # they are for what is fetched
        files = settings.files
        looking = Looking(files.directory, files.digests, timed=outputs.facts)
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

    def __init__(
        self, directory: str, digests: tuple[str, ...] = (), *, timed: bool = False
    ) -> None:
        self.directory = directory
        self.digests = digests
        self.timed = timed

    def __call__(self) -> Lane:
        """Build a lane."""
        buffer = memoryview(mmap.mmap(-1, BUFFER))

        def look(task: Task, meter: Meter) -> Answer:
            return examine(task, self.directory, buffer, meter, self.digests)

        return look


class Turns:
    """What is to be said of lines, in the list's order, which workers do not keep.

    Args:
        say: prints a line.
        most: lines wait for one before them; it is told late then.
    """

    def __init__(self, say: Callable[[str], None], most: int = 16_384) -> None:
        self._say = say
        self._most = most
        self._order: deque[tuple[str, int]] = deque()
        self._said: dict[tuple[str, int], list[str]] = {}
        self._late: list[tuple[str, int]] = []

    def came(self, entries: Sequence[Entry]) -> None:
        """These follow in the list."""
        self._order.extend((each.source, each.line) for each in entries)

    def over(self, source: str, line: int, text: str) -> None:
        """A line has come to its end; of what is well there is nothing to say."""
        place = (source, line)
        if place in self._late:
            self._late.remove(place)
            self._tell(text)
            return
        self._said.setdefault(place, []).append(text)
        while self._order and (self._order[0] in self._said or len(self._said) > self._most):
            if not self._next(first := self._order.popleft()):
                self._late.append(first)

    def end(self) -> None:
        """No more lines come to their end."""
        while self._order:
            self._next(self._order.popleft())
        while self._said:
            self._next(next(iter(self._said)))

    def _next(self, place: tuple[str, int]) -> bool:
        """Tell what there is to say of a place; whether that is known."""
        texts = self._said.get(place)
        if texts is None:
            return False
        self._tell(texts.pop(0))  # several entries may stand in one line
        if not texts:
            del self._said[place]
        return True

    def _tell(self, text: str) -> None:
        if text:
            self._say(text)


class CheckReport:
    """A line for each thing that is wrong, in the list's order, and what it comes to.

    Args:
        stream: where people look.
        say: prints a line there.
        quiet: print nothing when all is well.
        verbose: print a line for every file.
        lists: in which every failure stands; looked at when all of them are finished.

    Attributes:
        turns: to be told of every line that is read.
    """

    hosts = False
    facts = False
    lists = False
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
        self.turns = Turns(say)
        self._quiet = quiet
        self._verbose = verbose
        self._lists = tuple(lists)
        self._wrong: Counter[str] = Counter()
        self._hashed = 0

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Say what is wrong, when all lines before it are known."""
        proven = result.checksum and result.outcome is Outcome.UNCHANGED
        if proven or result.kind == FailureKind.CHECKSUM.value:
            self._hashed += result.size or 0
        kind = result.kind or FailureKind.INTERNAL.value
        place = place_text(result.source, result.line) or result.source
        text = ""
        if result.outcome is Outcome.FAIL and kind != FailureKind.CANCELLED.value:
            self._wrong[kind] += 1
            text = printable(f"{place}: {kind}: {result.message} ({result.url})")
        elif result.outcome is not Outcome.FAIL and self._verbose:
            text = printable(f"{place}: {result.path}: {result.message}")
        self.turns.over(result.source, result.line, text)

    def finish(self, summary: Summary) -> None:
        """Print the sum."""
        self.turns.end()
        stopped = summary.left or summary.unread or summary.stopped_by is not None
        if self._quiet and not self._wrong and not stopped:
            return
        hints = {hint: None for kind in self._wrong if (hint := check_hint_of(kind))}
        lines = [self._sum(summary), *(f"  {hint}" for hint in hints)]
        again = ["the same command again looks at all of it"] if stopped else []
        lines += closing_lines(again, placed(self._lists) if self._wrong else ())
        self._out.write("".join(f"{printable(line)}\n" for line in lines))

    def _sum(self, summary: Summary) -> str:
        as_it = "as it should be" if summary.unchanged == 1 else "as they should be"
        counts = [f"{summary.unchanged} {as_it}"]
        if summary.skipped:
            it = "it" if summary.skipped == 1 else "them"
            counts.append(f"{summary.skipped} there with no digest to prove {it} by")
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(self._wrong.items()))
        counts.append(f"{summary.failed} wrong" + (f" ({kinds})" if kinds else ""))
        if summary.left or summary.unread:
            counts.append(f"{summary.left}{' or more' if summary.unread else ''} left")
        lines = summary.unchanged + summary.skipped + summary.failed
        looked = f"{count_text(lines, 'line')} checked"
        amount = f"{size_text(self._hashed)} hashed in {duration_text(summary.seconds)}"
        return f"pdl: {ending(summary)}{looked}: {', '.join(counts)}, {amount}"
