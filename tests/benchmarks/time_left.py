"""The bar of one real run, sampled once a second beside what was really left.

``python time_left.py [--stop SECONDS] pdl -d DIR LIST`` runs that command on a terminal of its own,
200 columns wide, and prints a line a second when it has ended: what the bar showed, what was left,
their ratio, and in the second half whether that is within a factor of 1.5 (or a second).
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from typing import NamedTuple

WITHIN = 1.5
_FRAME = re.compile(
    r"(?P<percent>\d+)%\|[^|]*\| +(?P<done>\d+/\d+) files, .*?, +(?P<left>[\d:]+|--:--|>99 h) left"
)
_KEPT = 10_000
"""Characters of what came last: more than a frame."""


class Sample(NamedTuple):
    """What the bar showed so many seconds after the start; `left` in seconds, None: not known."""

    at: float
    percent: int
    done: str
    left: float | None

    def line(self, end: float) -> str:
        """It beside what was left of a run that took until `end`."""
        truth = end - self.at
        ratio = "    -" if self.left is None else f"{self.left / truth:5.2f}"
        shown = "    -" if self.left is None else f"{self.left:5.0f}"
        word = "" if self.at < end / 2 else "within" if self.near(end) else "off"
        start = f"{self.at:6.1f} s {self.percent:>3}% {self.done:>11}"
        return f"{start}  left {shown} s, truth {truth:5.1f} s, x {ratio} {word}"

    def near(self, end: float) -> bool:
        """Whether it is within a factor of `WITHIN`, or a second."""
        truth = end - self.at
        if self.left is None:
            return False
        return truth / WITHIN <= self.left <= truth * WITHIN or abs(self.left - truth) <= 1


def seconds_of(clock: str) -> float | None:
    """``1:02:03`` in seconds; None for what is no clock."""
    if not clock[0].isdigit():
        return None
    total = 0
    for part in clock.split(":"):
        total = total * 60 + int(part)
    return total


def sample(command: list[str], stop: float | None) -> tuple[list[Sample], float]:
    """Run it, with a Ctrl-C after `stop` seconds; the samples, and how long it took."""
    pid, terminal = pty.fork()
    if not pid:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        os.execvpe(command[0], command, {**os.environ, "TERM": "xterm", "CI": ""})
    began, text, found = time.monotonic(), "", list[Sample]()
    while True:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                text = (text + os.read(terminal, 65536).decode(errors="replace"))[-_KEPT:]
            except OSError:  # it has ended
                break
        now = time.monotonic() - began
        frames = list(_FRAME.finditer(text))
        if now >= len(found) + 1 and frames:
            last = frames[-1]
            left = seconds_of(last["left"])
            found.append(Sample(now, int(last["percent"]), last["done"], left))
        if stop is not None and now >= stop:
            os.kill(pid, signal.SIGINT)
            stop = None
    os.waitpid(pid, 0)
    return found, time.monotonic() - began


def main() -> None:
    """Print the table; exit with 1 where a sample is off or the end is shown early."""
    parser = argparse.ArgumentParser(description="the bar beside what was really left")
    parser.add_argument("--stop", type=float, help="press Ctrl-C after so many seconds")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    samples, end = sample(args.command, args.stop)
    for each in samples:
        print(each.line(end))  # noqa: T201 - its purpose
    late = [each for each in samples if each.at >= end / 2]
    off = sum(not each.near(end) for each in late)
    early = sum(each.percent == 100 for each in samples)
    print(f"{end:.1f} s; second half: {len(late)} samples, {off} off; 100 % early: {early}")  # noqa: T201
    sys.exit(bool(off or early))


if __name__ == "__main__":
    main()
