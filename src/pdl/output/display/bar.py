"""The display for terminals; the only module that imports tqdm.

The total bar is tqdm's; where it goes is not. The frame, that is the bar and the lines below it,
is written in one piece that leaves the cursor at the bar's first column. From there "clear to the
end of the screen" removes the whole frame, also after a resize has wrapped its lines.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, NoReturn

from pdl.model import FailureKind, Outcome
from pdl.output.display.base import (
    SilentDisplay,
    host_line,
    jobs_line,
    notice_line,
    result_line,
    retry_line,
)
from pdl.output.display.tally import Slots, Tally, commands_text, waiting_text, was_cancelled
from pdl.text.masking import printable
from pdl.text.units import clock_text, count_text, pad, shorten, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tqdm import tqdm

    from pdl.model import Result, Retrying
    from pdl.output.terminal import Out
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Standing, Transfer

_SHOW_AFTER = 0.3
"""Seconds before the bar appears: a shorter run needs neither it nor the import of tqdm."""
_EVERY = 0.25
"""Seconds from one look of the frame to the next: digits that change faster cannot be read."""
_TOLD = 3
"""Failures of a kind that stand above the bar as they happen."""
_CLEAR = "\r\x1b[J"


class BarDisplay(SilentDisplay):
    """A tqdm bar over all files, and lines for the largest in flight."""

    def __init__(self, out: Out, *, verbose: int) -> None:
        super().__init__(out)
        self.every = verbose > 0
        self.told = None if verbose else _TOLD
        self._all = verbose > 1
        self._tally = Tally()
        self._slots = Slots()
        self._next = 0.0
        self._frame = ""
        self._size = (0, 0)
        self._above: list[str] = []
        self._bar: tqdm[NoReturn] | None = None

    def passed(self, count: int) -> None:
        """Count them."""
        self._tally.passed(count)

    def record(self, result: Result) -> None:
        """A line above the bar at the next tick: the first failures of a kind; all if `verbose`."""
        self._tally.record(result)
        if was_cancelled(result):
            return
        kind = result.kind or FailureKind.INTERNAL.value
        shown = self.told is None or self._tally.kinds[kind] <= self.told
        if self.every or (result.outcome is Outcome.FAIL and shown):
            self._above.append(result_line(result))

    def retrying(self, event: Retrying) -> None:
        """With `verbose`, a line above the bar at the next tick."""
        self._tally.retrying(event)
        if self.every:
            self._above.append(retry_line(event))

    def happened(self, event: HostEvent) -> None:
        """With `verbose`, a line above the bar at the next tick."""
        if self.every:
            self._above.append(host_line(event))

    def resized(self, jobs: int) -> None:
        """With `verbose`, a line above the bar at the next tick."""
        if self.every:
            self._above.append(jobs_line(jobs))

    def said(self, lines: Sequence[str]) -> None:
        """With `verbose` given twice, lines above the bar at the next tick."""
        if self._all:
            self._above.extend(map(printable, lines))

    def tick(self, standing: Standing) -> None:
        """Draw the frame anew, if anything in it has changed."""
        self._tally.update(standing)
        now = standing.now
        shown = self._slots.update(standing.live, now)
        if self._tally.elapsed < _SHOW_AFTER:
            self._draw("")
            return
        before = self._size
        self._size = self._out.size()
        resized = self._size != before
        if resized or self._above or now >= self._next:
            self._next = now + _EVERY
            self._draw(self._compose(shown), anew=resized)

    def notice(self, text: str) -> None:
        """Print the warning above the bar at once."""
        self._above.append(notice_line(text))
        self._draw(self._frame)

    def close(self) -> None:
        """Take the frame away; the report has the numbers."""
        self._draw("", anew=True)

    def abandon(self) -> None:
        """Take the frame away."""
        if self._frame:
            self._out.write(_CLEAR)

    def _draw(self, frame: str, *, anew: bool = False) -> None:
        if frame == self._frame and not self._above and not anew:
            return
        erase = _CLEAR if self._frame and (self._above or anew) else ""
        above = "".join(line + "\n" for line in self._above)
        self._above.clear()
        self._frame = frame
        self._out.write(erase + above + frame)

    def _compose(self, shown: list[Transfer | None]) -> str:
        columns, rows = self._size
        # one column stays free: text in the last one makes terminals differ about the next line
        width = max(columns - 1, 1)
        waiting = self._tally.waiting
        said = [shorten(f"  {waiting_text(waiting)}", width, "")] if waiting else []
        if self._tally.commands:
            said.append(shorten(f"  {commands_text(self._tally.commands)}", width, ""))
        while shown and (shown[-1] is None or len(shown) + len(said) > rows - 2):
            shown = shown[:-1]
        if self._bar is None:
            self._bar = _new_bar()
        lines = [_bar_line(self._bar, self._tally, width, fancy=self._out.draws("█"))]
        lines += said[: max(rows - 2, 0)]
        lines += [_file_line(each, width, self._out) if each else "" for each in shown]
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        return "\r" + "\r\n".join(line + "\x1b[K" for line in lines) + "\x1b[J" + up + "\r"


def _new_bar() -> tqdm[NoReturn]:
    """A tqdm bar that draws into nothing: its line is one of a frame that is drawn as a whole."""
    # imported here: it takes a tenth of a second, which most commands need not spend
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]  # it cannot be subscripted at run time
        monitor_interval = 0  # no thread: a process with threads must not fork

    return Bar(total=0, file=StringIO(), unit="file", leave=False)


def _bar_line(bar: tqdm[NoReturn], tally: Tally, width: int, *, fancy: bool) -> str:
    bar.n = tally.position
    bar.total = tally.total or 0
    bar.ncols = width
    bar.ascii = False if fancy else " #"
    bar.bar_format = _bar_format(tally, width)
    return shorten(str(bar), width, "")


def _bar_format(tally: Tally, width: int) -> str:
    """The fullest of the layouts that fits; each field keeps its width, so nothing jumps."""
    failed, speed = f"{tally.failed} failed", f"{size_text(tally.speed):>8}/s"
    amount, elapsed = f"{size_text(tally.received):>8}", f"{clock_text(tally.elapsed):>5}"
    if not tally.total:
        done = f"{count_text(tally.done, 'file')} done"
        ends = (
            f"{done}, {failed}, {amount}, {speed}, {elapsed}",
            f"{done}, {failed}, {amount}, {speed}",
            f"{done}, {failed}",
            f"{tally.done}, {failed}",
        )
        return next((end for end in ends if len(end) <= width), failed)
    count = f"{tally.done:>{len(str(tally.total))}}/{tally.total}"
    left, percent = f"{clock_text(tally.remaining):>5}", f"{tally.percent:>3}"
    layouts = (
        (f"| {count} files, {failed}, {amount}, {speed}, {elapsed}, {left:>7} left", 10),
        (f"| {count}, {failed}, {amount}, {speed}, {elapsed}, {left} left", 5),
        (f"| {count}, {failed}, {speed}, {left} left", 5),
        (f"| {count}, {failed}, {left}", 5),
        (f"| {count}, {failed}", 3),
    )
    for right, room in layouts:
        if len("100%|") + room + len(right) <= width:
            return f"{percent}%|{{bar}}{right}"
    if len(count) + len(failed) + 2 <= width:
        return f"{count}, {failed}"
    return f"{tally.percent}%, {failed}" if len(failed) + 6 <= width else failed


def _file_line(transfer: Transfer, width: int, out: Out) -> str:
    received, size = transfer.received, transfer.size
    # rounded down: 100 % is for a file that is whole
    percent = f"{min(received * 100 // size, 100):>3}%" if size else "    "
    amount = f"{size_text(received):>8}" + (f" / {size_text(size):<8}" if size else " " * 11)
    name = out.encodable(printable(transfer.path))
    dots = "…" if out.draws("…") else ".."
    for right in (f"  {percent}  {amount}", f" {percent}"):
        room = width - 2 - len(right)
        if room >= 12:  # noqa: PLR2004 - a name shorter than that tells nothing
            break
    else:
        return shorten(f"  {name}", width, dots)
    return f"  {pad(shorten(name, min(room, 48), dots), min(room, 48))}{right}".rstrip()
