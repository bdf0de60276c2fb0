"""The last word of a command: what it says of its end, and what the shell is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pdl.errors import ExitCode, MachineError, PdlError
from pdl.output.terminal import Out

if TYPE_CHECKING:
    from pdl.cli.to_settings import CommandOptions
    from pdl.run.download import Report
    from pdl.scheduling.progress import Summary


def exit_code(report: Report, options: CommandOptions, *, machine: bool = False) -> int:
    """What the shell is told.

    Args:
        report: of the run.
        options: of the command.
        machine: this machine could not do all of it: a line failed with ``disk``, or a report
            could not be written, as a warning said.
    """
    summary = report.summary
    error = report.machine_error or report.list_error
    if error is not None:
        complain(error)
        return error.exit_code
    if summary.stopped_by is not None:
        return 128 + summary.stopped_by
    if machine:
        return ExitCode.MACHINE
    if summary.left or summary.unread or summary.failed > _allowed(summary, options):
        return ExitCode.SOME_FAILED
    if options.error_on_no_transfer and not summary.succeeded:
        return ExitCode.NOTHING_TRANSFERRED
    return ExitCode.OK


def _allowed(summary: Summary, options: CommandOptions) -> float:
    if options.allow_failures is None:
        return 0
    lines = summary.succeeded + summary.skipped + summary.unchanged + summary.failed
    return options.allow_failures.most(lines)


def complain(error: PdlError) -> None:
    """Say on standard error what went wrong and what to do; the same thing only once."""
    if isinstance(error, MachineError) and error.told:
        error = MachineError("this machine cannot go on, see above", error.hint)
    complain_text(str(error))


def complain_text(text: str) -> None:
    """Say it on standard error, if that can be written."""
    Out(sys.stderr).write(f"pdl: {text}\n")
