"""The error tree and the exit codes.

::

    PdlError                 anything pdl says to the user instead of a traceback
     ├─ UsageError           the command or an argument is wrong              (exit 2)
     ├─ ListError            a list cannot be read, or none of it be asked    (exit 2)
     ├─ MachineError         disk full, no permission, too few file handles   (exit 3)
     └─ LockedError          another run holds the directory                  (exit 4)

A failed download is no exception: it is a `pdl.model.Fail` value.
"""

from __future__ import annotations

import enum
import signal


class ExitCode(enum.IntEnum):
    """What the shell sees."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    MACHINE = 3
    LOCKED = 4
    NOTHING_TRANSFERRED = 9
    HANGUP = 128 + signal.SIGHUP
    INTERRUPTED = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


class PdlError(Exception):
    """The base: a message that says what happened, and a hint that says what to do.

    Attributes:
        message: what happened, naming the file or URL.
        hint: what the user can do about it; may be empty.
        exit_code: what the command exits with.
    """

    exit_code = ExitCode.SOME_FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(PdlError):
    """The command or an argument is wrong."""

    exit_code = ExitCode.USAGE


class ListError(PdlError):
    """A list cannot be read, or its lines cannot be asked for as things are."""

    exit_code = ExitCode.USAGE


class MachineError(PdlError):
    """This machine cannot go on.

    Attributes:
        told: the row of an item says why already.
    """

    exit_code = ExitCode.MACHINE
    told = False


class LockedError(PdlError):
    """Another run holds the directory."""

    exit_code = ExitCode.LOCKED
