"""A program on a terminal of its own, and the keys that somebody presses there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

CTRL_C = "\x03"
BOUND = 30.0
"""Seconds after which what was waited for will not be shown."""
_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b\(B|[\r\x08]")


class Terminal:
    """A context manager; leaving it kills the program.

    Args:
        words: the program.
        directory: where it runs.
        env: all of its environment.
        columns: of the terminal.

    Attributes:
        shown: all that was, as it came.
    """

    def __init__(
        self, words: Sequence[str], directory: Path, env: Mapping[str, str], columns: int = 80
    ) -> None:
        self.shown = ""
        self._at = 0
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover - another program from here on
            os.chdir(directory)
            os.execvpe(words[0], [*words], dict(env))
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def press(self, keys: str) -> None:
        """Press some keys."""
        os.write(self._terminal, keys.encode())

    def until(self, wanted: str) -> bool:
        """Read until it is shown, since what was waited for last; then it is true.

        Raises:
            TimeoutError: it is not.
        """
        end = time.monotonic() + BOUND
        while wanted not in _MOVES.sub("", self.shown[self._at :]):
            if not self._read(end):
                raise TimeoutError(f"{wanted!r} is not in {self.shown[self._at :]!r}")
        self._at = len(self.shown)
        return True

    def ended(self) -> int:
        """Read until the program has ended; its exit code, negative for a signal."""
        end = time.monotonic() + BOUND
        while self._read(end):
            pass
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _read(self, end: float) -> bool:
        """Whether anything more was shown."""
        if not select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            more = os.read(self._terminal, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            return False
        self.shown += more.decode(errors="replace")
        return bool(more)
