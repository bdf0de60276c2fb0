"""A program that runs beside this process, which looks after it and never waits for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AT_A_LOOK = 64 * 1024
"""Bytes that are read of what it says: who says more has to wait for the next look."""
KEPT = 4096
"""Bytes that are kept of that, the last ones."""
GRACE = 1.0
"""Seconds from being asked to end to being killed."""


class Child:
    """A program in a session of its own: what ends this process's group does not end it.

    It reads nothing, and what it says goes to a pipe.

    Args:
        words: the program as it is to see itself, and its arguments.
        program: where it is; to look for it each time takes long.
        environment: all of it, encoded, for the same reason.

    Attributes:
        seconds: since it was started.

    Raises:
        OSError: it cannot be started.
        ValueError: a word cannot be one.
    """

    def __init__(
        self, words: Sequence[str], program: str, environment: Mapping[bytes, bytes]
    ) -> None:
        self._reader, writer = os.pipe()
        try:
            os.set_blocking(self._reader, False)
            self._process = subprocess.Popen(  # noqa: S603 - the user's own command
                words,
                executable=program,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
        self._began = time.monotonic()
        self._asked: float | None = None
        self._said = b""
        self._handle = _handle_of(self._process.pid)

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._began

    def wake_on(self) -> list[int]:
        """What can be read from when there is anything to look at."""
        return [each for each in (self._handle, self._reader) if each >= 0]

    def look(self) -> int | None:
        """Hear what it says; its exit code once it has ended, negative for a signal, else None."""
        self._hear()
        if self._asked is not None:
            self._press(self._asked)
        code = self._process.poll()
        if code is not None:
            self._hear()
            self._close()
        return code

    def _hear(self) -> None:
        if self._reader < 0:
            return
        try:
            said = os.read(self._reader, AT_A_LOOK)
        except BlockingIOError:
            return
        self._said = (self._said + said)[-KEPT:]
        if not said:
            os.close(self._reader)
            self._reader = -1

    def _press(self, since: float) -> None:
        """Kill what is left of its group, where its first process has ended or takes too long."""
        if _has_ended(self._process.pid) or time.monotonic() - since > GRACE:
            self._signal(signal.SIGKILL)

    def end(self) -> None:
        """Ask all of its group to end; `look` kills those that do not."""
        if self._asked is None:
            self._asked = time.monotonic()
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill all of its group; for the last moment, from a signal handler, too."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:  # else the number may be another's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def last_line(self) -> str:
        """The last line of what it said, that has anything in it."""
        lines = self._said.decode(errors="replace").splitlines()
        return next((each.strip() for each in reversed(lines) if each.strip()), "")

    def _close(self) -> None:
        for each in self.wake_on():
            os.close(each)
        self._handle = self._reader = -1


def _handle_of(pid: int) -> int:
    """A descriptor that can be read from when the process has ended; -1 where there are none."""
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return -1


def _has_ended(pid: int) -> bool:
    """Whether a child has ended that nobody has heard of yet, so that its number is its own."""
    if not hasattr(os, "waitid"):
        return False
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def hear_of_ends() -> None:
    """Let the system keep how children have ended.

    It does not where whoever started this process ignores SIGCHLD; every child then seems to have
    gone well. In a thread that is not the first one, nothing can be done about it.
    """
    with contextlib.suppress(ValueError):
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def ending_text(code: int) -> str:
    """How a program has ended that failed."""
    if code >= 0:
        return f"failed with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
