"""The command line: options, `Settings` and `CommandOptions` made of them, a run, an exit code."""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pdl.cli.exit import complain, complain_text, exit_code
from pdl.cli.option_types import PathName, SettingOption, agree_on_if_exists
from pdl.cli.options import ROWS
from pdl.cli.to_settings import convert
from pdl.errors import ExitCode, PdlError
from pdl.output.terminal import Out

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from pdl.cli.to_settings import CommandOptions
    from pdl.output.display.base import Display
    from pdl.output.reports.registry import Reporter
    from pdl.output.sinks import Sink
    from pdl.settings import Settings

STDIN = 0


class DownloadCommand(click.Command):
    """The command ``pdl``; its options are the rows of the table."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:  # noqa: ARG002 - click's
        """Called by click; the help options are in the table, too."""
        return self.params

    def get_help_option(self, ctx: click.Context) -> click.Option | None:  # noqa: ARG002 - click's
        """Called by click, which names it in a usage error."""
        options = (each for each in self.params if isinstance(each, SettingOption))
        return next(option for option in options if option.row.names == "--help")

    def get_help_option_names(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Called by click."""
        return ["--help"]

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's
        """Called by click."""
        from pdl.cli.help import long_help, page_width  # as below

        return long_help(page_width())

    def invoke(self, ctx: click.Context) -> None:
        """Called by click; do what the options say, and exit."""
        settings, options = read_values(ctx)
        if options.check and options.dry_run:
            raise click.UsageError("--check and --dry-run exclude each other: neither downloads")
        raise SystemExit((_dry_run if options.dry_run else _run)(settings, options))


def read_values(ctx: click.Context) -> tuple[Settings, CommandOptions]:
    """What the options say, as typed values.

    Raises:
        UsageError: two of them contradict each other.
    """
    values = {**ctx.params, "if_exists": agree_on_if_exists(ctx), "update": False}
    said: list[tuple[str, object]] = [
        (row.target, values[row.key])
        for row in ROWS
        if row.target and row.kind is not None and values[row.key] not in {None, ()}
    ]
    # a flag wins: --fail-fast over --max-failures
    said += [(row.target, row.sets) for row in ROWS if row.kind is None and values.get(row.key)]
    return convert(said, values["sources"])


def _answer(option: str, value: Any) -> None:  # noqa: ANN401 - of any option
    from pdl.cli.help import ANSWERS  # a run needs none of it

    ANSWERS[option](value)


command = DownloadCommand(
    "pdl",
    params=[
        *(
            SettingOption(row, None if row.target else partial(_answer, row.opts[-1]))
            for row in ROWS
        ),
        click.Argument(["sources"], nargs=-1, required=True, metavar="SOURCE...", type=PathName()),
    ],
    context_settings={"help_option_names": ["--help"]},
)


def _dry_run(settings: Settings, options: CommandOptions) -> int:
    from pdl.run.dry_run import print_plan

    _collect_again()
    return print_plan(options.sources, settings, complain_text)


def _run(settings: Settings, options: CommandOptions) -> int:
    # imported here, so that --help and --version need not wait for it; the fork server first, as
    # it imports what the workers need while this process imports the rest
    from pdl.pool.startup import prestart

    prestart.prepare(settings.pool, alone=True)

    from pdl.output.reports.failure_list import FailedList
    from pdl.output.reports.registry import check_distinct, open_report
    from pdl.run.download import run
    from pdl.run.outputs import Outputs, listeners_of
    from pdl.sources.feed import open_sources

    display, console = _make_display(options, fail_fast=settings.stop.max_failures == 1)
    _collect_again()
    _unwind_on_signals()
    if settings.http.insecure:
        display.notice(
            "certificates are not checked (--insecure): anyone may have sent these files"
        )
    feed = open_sources(options.sources, STDIN, display.notice, settings=settings.input)
    made = [*options.reports, *filter(None, (options.failed, settings.lock.path))]
    check_distinct(made)
    read = [*options.sources, *settings.input.checksums]
    own = own_paths([*made, *read], settings.files.directory)
    settings = settings._replace(naming=settings.naming._replace(reserved=own))
    reporters: list[Any] = []
    if options.failed:
        reporters.append(FailedList(options.failed, display.notice, options.sources))
    reporters += [open_report(path, display.notice) for path in options.reports]
    sinks = [reporter.sink for reporter in reporters]
    outputs = Outputs(listeners_of([*reporters, console(sinks)], display))
    try:
        if options.check:
            from pdl.run.check import check

            report = check(settings, feed, outputs)
        else:
            report = run(settings, feed, outputs, options.wait_lock)
    finally:
        feed.close()
    lost = display.lost or any(sink.lost for sink in sinks)
    return exit_code(report, options, lost=lost)


def _make_display(
    options: CommandOptions, *, fail_fast: bool
) -> tuple[Display, Callable[[Sequence[Sink]], Reporter]]:
    """What people see of the run while it lasts, and what makes that of its end."""
    from pdl.output.display.registry import make_display

    mode, quiet, verbose = options.progress, options.quiet, options.verbose
    if options.check:
        from pdl.run.check import CheckReport

        if mode == "plain" or (mode == "auto" and not Out(sys.stderr).is_terminal()):
            mode = "none"  # the report has a line for each failure itself
        display = make_display(mode, sys.stderr, quiet=quiet, verbose=0)
        display.told = 0
        return display, lambda lists: CheckReport(
            sys.stderr, display.notice, quiet=quiet, verbose=verbose, lists=lists
        )
    from pdl.output.reports.console import ConsoleReport

    display = make_display(mode, sys.stderr, quiet=quiet, verbose=verbose)
    return display, lambda lists: ConsoleReport(
        sys.stderr, quiet=quiet, lists=lists, told=display.told, fail_fast=fail_fast
    )


def own_paths(files: Sequence[str], directory: str) -> tuple[str, ...]:
    """Those of the run's own files that are in the output directory, relative to it."""
    home = os.path.realpath(directory)
    real = [os.path.realpath(path) for path in files if path != "-" and "://" not in path]
    return tuple(path[len(home) + 1 :] for path in real if path.startswith(f"{home}{os.sep}"))


def _unwind_on_signals() -> None:
    """What ends the process before or after the run itself leaves no half-made file behind."""

    def unwind(number: int, _frame: object) -> None:
        complain_text("interrupted")
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, unwind)


def _collect_again() -> None:
    """Look for garbage from here on, but not among what was imported: that stays."""
    gc.freeze()
    gc.enable()


def _join_completed_words(environ: MutableMapping[str, str]) -> None:
    """Make ``--format js`` of what bash calls three words, ``--format = js``; click does not."""
    words = environ["COMP_WORDS"].split("\n")
    place = int(environ["COMP_CWORD"])
    if words[place - 1] == "=" and words[place - 2].startswith("--"):
        del words[place - 1]
        environ.update({"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(place - 1)})


def main() -> None:
    """Run the command and exit; no traceback reaches the user."""
    if os.environ.get("_PDL_COMPLETE") == "bash_complete":
        _join_completed_words(os.environ)
    try:
        command(prog_name="pdl")
    except PdlError as exc:
        complain(exc)
        code = int(exc.exit_code)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except OSError as exc:
        from pdl.pool.startup.start_limits import nowhere

        what = f"this machine cannot go on: {exc.strerror or exc} ({exc.filename or 'pdl'})"
        complain_text(str(nowhere() or what))
        if os.environ.get("PDL_DEBUG"):
            raise
        code = int(ExitCode.MACHINE)
    except MemoryError:
        complain_text("this machine cannot go on: out of memory")
        code = int(ExitCode.MACHINE)
    except Exception as exc:
        complain_text(
            f"internal error: {type(exc).__name__}: {exc}\n  hint: PDL_DEBUG=1 shows more"
        )
        if os.environ.get("PDL_DEBUG"):
            raise
        code = int(ExitCode.MACHINE)
    sys.exit(code)
