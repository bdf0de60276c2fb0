"""``--exec-after``: one command at the end, which is told what came of the run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pdl.cli.exit import complain_text
from pdl.errors import ExitCode, PdlError
from pdl.run.hooks import environment_of
from pdl.scheduling.progress import Summary
from pdl.system.child import GRACE, ending_text, hear_of_ends

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.cli.to_settings import CommandOptions
    from pdl.run.download import Report
    from pdl.settings import Settings


def with_command_after(
    work: Callable[[], Report],
    ended: Callable[[Report], int],
    settings: Settings,
    options: CommandOptions,
) -> int:
    """Run, and then the command; gives the exit code.

    Args:
        work: the run.
        ended: says what the shell is told of it.
        settings: of the run.
        options: have the command.

    Raises:
        PdlError: the run has raised it; the command has been run.
    """
    try:
        report = work()
    except PdlError as exc:
        _run(Summary(), exc.exit_code, settings, options)
        raise
    code = ended(report)
    well = _run(report.summary, code, settings, options)
    return code if well or code != ExitCode.OK else ExitCode.SOME_FAILED


def variables_of(summary: Summary, code: int) -> dict[str, str]:
    """What the command finds in its environment."""
    numbers = {
        "SUCCEEDED": summary.succeeded,
        "SKIPPED": summary.skipped,
        "UNCHANGED": summary.unchanged,
        "FAILED": summary.failed,
        "LEFT": summary.left,
        "BYTES": summary.bytes,
        "SECONDS": f"{summary.seconds:.3f}",
        "EXIT": int(code),
    }
    return {f"PDL_RUN_{name}": str(value) for name, value in numbers.items()}


def _run(summary: Summary, code: int, settings: Settings, options: CommandOptions) -> bool:
    """Run the command; whether it went well. What goes wrong is told."""
    hear_of_ends()
    words = shlex.split(options.exec_after or "")
    environment = environment_of(settings) | variables_of(summary, code)
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            words,
            stdin=subprocess.DEVNULL,
            stdout=2 if _has_stderr() else subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        complain_text(f"the command {words[0]} of --exec-after cannot be run: {reason}")
        return False
    try:
        how = process.wait(settings.hooks.seconds)
    except subprocess.TimeoutExpired:
        how = None
    finally:  # also where a signal ends this process
        _end(process)
    if how == 0:
        return True
    limit = f"took more than {settings.hooks.seconds:g} s (--exec-time)"
    said = limit if how is None else ending_text(how)
    complain_text(f"the command {words[0]} of --exec-after {said}")
    return False


def _has_stderr() -> bool:
    return sys.stderr is not None and not sys.stderr.closed


def _end(process: subprocess.Popen[bytes]) -> None:
    """End its group, unless it has ended by itself."""
    if process.returncode is not None:
        return

    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
