"""The command line: options, `Settings` and `CommandOptions` made of them, a run, an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pdl.cli.exit import complain, complain_text, exit_code
from pdl.cli.option_types import PathName, SettingOption, environment_hint
from pdl.cli.options import ROWS
from pdl.cli.own_files import STDIN, check_outputs, own_paths
from pdl.cli.to_settings import (
    READER,
    agree_on_if_exists,
    agree_on_ip_version,
    config_of,
    convert,
    files_of,
    nearness,
    usual_config,
    with_shard,
    with_sums,
)
from pdl.errors import ExitCode, PdlError, UsageError
from pdl.output.terminal import Out
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask_urls, masked_traceback, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.cli.to_settings import CommandOptions, Config
    from pdl.output.display.base import Display
    from pdl.output.log_file import LogFile
    from pdl.output.reports.registry import Reporter
    from pdl.output.sinks import Sink
    from pdl.run.download import Report
    from pdl.run.outputs import Outputs
    from pdl.settings import Settings
    from pdl.sources.feed import Feed

_UNCHECKED = "certificates are not checked (--insecure): anyone may have sent these files"
_NO_SCHEME = lazy(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+/", re.IGNORECASE)


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Called by click; what is usual elsewhere is told what it is here, in one line.

        Raises:
            UsageError: another program has such an option, or `-` is missing.
        """
        ctx.meta[READER] = _read_config
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as exc:
            from pdl.cli.help import OTHERS  # as below

            if exc.option_name in OTHERS:
                raise UsageError(f"{exc.option_name} {OTHERS[exc.option_name]}") from None
            raise
        except click.MissingParameter as exc:
            if isinstance(exc.param, click.Argument) and _is_given(STDIN):
                raise UsageError("no SOURCE is given; - is standard input: pdl -") from None
            raise

    def invoke(self, ctx: click.Context) -> None:
        """Called by click; do what the options say, and exit."""
        try:
            self._invoke(ctx)
        except PdlError as exc:
            raise _explained(exc, ctx) from exc.__cause__

    def _invoke(self, ctx: click.Context) -> None:
        settings, options = read_values(ctx)
        settings, options = with_shard(settings, options)
        if options.check and options.dry_run:
            raise UsageError("--check and --dry-run exclude each other: neither downloads")
        if (config := config_of(ctx)) is not None:
            options = options._replace(config=config.path)
        check_outputs(settings, options)
        if options.dry_run or options.log_file is None:
            raise SystemExit((_dry_run if options.dry_run else _run)(settings, options, ctx))
        from pdl.output.log_file import LogFile  # where there is one

        log = LogFile(options.log_file)
        with log:
            raise SystemExit(_run(settings, options, ctx, log))


def _read_config(path: str, profile: str | None) -> Config:
    from pdl.cli.config_file import read_config  # where there is one

    return read_config(path, profile)


def _explained(error: PdlError, ctx: click.Context) -> PdlError:
    """The error, with what the environment has to do with it."""
    if said := environment_hint(ctx, str(error)):
        error.hint = f"{error.hint}; {said}" if error.hint else said
    return error


def read_values(ctx: click.Context) -> tuple[Settings, CommandOptions]:
    """What the options say, as typed values.

    Raises:
        UsageError: two of them contradict each other.
    """
    values = {**ctx.params, "if_exists": agree_on_if_exists(ctx), "update": False}
    values |= agree_on_ip_version(ctx)
    if nearness(ctx, "max_failures") > nearness(ctx, "fail_fast"):
        values["fail_fast"] = False
    said: list[tuple[str, object]] = [
        (row.target, values[row.key])
        for row in ROWS
        if row.target and row.kind is not None and values[row.key] not in {None, ()}
    ]
    # a flag wins: --fail-fast over --max-failures
    flags = [row for row in ROWS if row.kind is None and values.get(row.key)]
    said += [(row.target, values[row.key] if row.multiple else row.sets) for row in flags]
    if (config := config_of(ctx)) is not None and (tables := config.tables(ctx)):
        said += [("http.hosts", tables), ("auth.near", config.near(ctx))]
    return convert(said, tuple(map(_with_scheme, values["sources"])))


def _with_scheme(source: str) -> str:
    """The source; ``example.org/f.iso`` becomes a URL, unless it is a file."""
    # most are files; a pattern takes a millisecond to compile
    unknown = os.path.lexists(source) or not _NO_SCHEME.match(source)
    return source if unknown else f"https://{source}"


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


def _dry_run(settings: Settings, options: CommandOptions, ctx: click.Context) -> int:
    from pdl.output.reports.registry import check_report
    from pdl.output.sinks import check_target
    from pdl.run.dry_run import print_plan

    _collect_again()
    config = config_of(ctx)
    if options.verbose:
        none = f"no configuration file is read: {printable(usual_config())} is not there"
        lines = ["--no-config: none is read"] if options.no_config else [none]
        for line in lines if config is None else config.lines(ctx):
            complain_text(line)
    if config is not None and (warning := config.warning()):
        complain_text(warning)
    for path in options.reports:
        check_report(path)
    for path in filter(None, (options.failed, options.log_file, settings.input.archive)):
        check_target(path)
    if options.sums:
        from pdl.output.reports.checksum_file import check_sums

        check_sums(options.sums, settings.files.directory)
    return print_plan(options.sources, _complete(settings, options), complain_text)


def _run(
    settings: Settings, options: CommandOptions, ctx: click.Context, log: LogFile | None = None
) -> int:
    # imported here, so that --help and --version need not wait for it; the fork server first, as
    # it imports what the workers need while this process imports the rest
    from pdl.pool.startup import prestart

    prestart.prepare(settings.pool, alone=True)

    from pdl.run.download import run
    from pdl.sources.feed import open_sources

    explain = partial(environment_hint, ctx, values=False)
    display, console = _make_display(
        options, fail_fast=settings.stop.max_failures == 1, explain=explain
    )
    if log is not None:
        display = log.beside(display)
    _collect_again()
    _unwind_on_signals()
    _warn_of_what_is_set(settings, ctx, display)
    settings = _complete(settings, options)
    if settings.auth.users and not options.check:
        from pdl.cli.secret_input import with_passwords

        settings = with_passwords(settings)
    feed = open_sources(options.sources, STDIN, display.notice, settings=settings.input)
    outputs, lost = _make_outputs(settings, options, display, lambda lists: console(lists, feed))

    def ended(report: Report) -> int:
        for error in filter(None, (report.machine_error, report.list_error)):
            _explained(error, ctx)
        return exit_code(report, options, machine=lost())

    with contextlib.closing(feed):
        work = partial(run, settings, feed, outputs, options.wait_lock)
        if options.check:
            from pdl.run.check import check

            work = partial(check, settings, feed, outputs)
        if options.exec_after is None:
            return ended(work())
        from pdl.cli.after import with_command_after  # where there is one

        return with_command_after(work, ended, settings, options)


def _make_outputs(
    settings: Settings,
    options: CommandOptions,
    display: Display,
    console: Callable[[Sequence[Sink]], Reporter],
) -> tuple[Outputs, Callable[[], bool]]:
    """What is told of the run, and whether this machine has failed it, or lost any of that."""
    from pdl.output.reports.registry import unasked
    from pdl.run import outputs as to

    reporters = _open_reports(options, settings.files.directory, display.notice)
    sinks = [reporter.sink for reporter in reporters]
    disk = to.DiskListener()
    lists = [reporter.sink for reporter in reporters if reporter.lists]
    reporters = [*reporters, *unasked(sys.stderr), console(lists)]
    shown, *told = to.listeners_of(reporters, display)
    remarks = [to.RemarkListener(display.notice), to.BaseListener(display.notice, settings.input)]
    outputs = (to.NamesOnly if options.check else to.Outputs)([shown, *remarks, *told, disk])
    return outputs, lambda: display.lost or disk.failed or any(sink.lost for sink in sinks)


def _warn_of_what_is_set(settings: Settings, ctx: click.Context, display: Display) -> None:
    if settings.http.insecure:
        display.notice(_UNCHECKED)
    if (config := config_of(ctx)) is not None and (warning := config.warning()):
        display.notice(warning)


def _open_reports(
    options: CommandOptions, directory: str, warn: Callable[[str], None]
) -> list[Any]:
    """The failure list, the checksum file and the reports that are asked for."""
    from pdl.output.reports.failure_list import FailedList
    from pdl.output.reports.registry import open_report

    failed = [FailedList(options.failed, warn, options.sources)] if options.failed else []
    others = [open_report(path, warn, directory) for path in options.reports]
    if options.sums:
        from pdl.output.reports.checksum_file import ChecksumFile

        others.append(ChecksumFile(options.sums, warn, directory))
    return [*failed, *others]


def _complete(settings: Settings, options: CommandOptions) -> Settings:
    """The settings with what the command knows: its own files, and a base where none matters."""
    kept = settings.lock.path, settings.input.archive
    asked = options.failed, options.sums, options.log_file, *kept
    made = [*options.reports, *filter(None, asked)]
    auth = settings.auth.netrc_file, settings.auth.cookies_file, settings.input.rewrite
    mine = filter(None, (*auth, *files_of(settings)))
    read = [*options.sources, *settings.input.checksums, *mine]
    own = own_paths([*made, *read], settings.files.directory)
    settings = with_sums(settings, options)
    http = settings.http._replace(tell_heads=options.verbose > 1)
    settings = settings._replace(naming=settings.naming._replace(reserved=own), http=http)
    return with_any_base(settings) if options.check else settings


def with_any_base(settings: Settings) -> Settings:
    """The settings of a look, for which it does not matter where a checksum file's files were."""
    from pdl.sources.item_options import NO_BASE  # for a look alone

    inputs = settings.input
    matters = inputs.checksums or inputs.shard or settings.lock.path or settings.naming.tree
    if matters or inputs.base_url is not None:
        return settings
    return settings._replace(input=inputs._replace(base_url=NO_BASE))


def _make_display(
    options: CommandOptions, *, fail_fast: bool, explain: Callable[[str], str]
) -> tuple[Display, Callable[[Sequence[Sink], Feed], Reporter]]:
    """What people see of the run while it lasts, and what makes that of its end."""
    from pdl.output.display.registry import make_display

    mode, quiet, verbose = options.progress, options.quiet, options.verbose
    if options.check:
        from pdl.run.check import CheckReport

        if mode == "plain" or (mode == "auto" and not Out(sys.stderr).is_terminal()):
            mode = "none"  # the report has a line for each failure itself
        display = make_display(mode, sys.stderr, quiet=quiet, verbose=0)
        display.told = 0

        def look(lists: Sequence[Sink], feed: Feed) -> Reporter:
            report = CheckReport(
                sys.stderr, display.notice, quiet=quiet, verbose=verbose, lists=lists
            )
            feed.tell(report.turns.came)
            return report

        return display, look
    from pdl.output.reports.console import ConsoleReport

    display = make_display(mode, sys.stderr, quiet=quiet, verbose=verbose)
    return display, lambda lists, _: ConsoleReport(
        sys.stderr,
        quiet=quiet,
        lists=lists,
        told=display.told,
        fail_fast=fail_fast,
        explain=explain,
    )


def _is_given(descriptor: int) -> bool:
    """Whether somebody has put a file or a pipe there."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


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


def _show_where(exc: Exception) -> None:
    """Show the traceback, if it is asked for."""
    if os.environ.get("PDL_DEBUG"):
        from pdl.pool.process.worker import show  # as above

        show(masked_traceback(exc))


def main() -> None:
    """Run the command and exit; no traceback reaches the user."""
    if os.environ.get("_PDL_COMPLETE") == "bash_complete":
        from pdl.cli.help import join_completed_words  # for a completion alone

        join_completed_words(os.environ)
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
        complain_text(mask_urls(str(nowhere() or what)))
        _show_where(exc)
        code = int(ExitCode.MACHINE)
    except MemoryError:
        complain_text("this machine cannot go on: out of memory")
        code = int(ExitCode.MACHINE)
    except Exception as exc:  # noqa: BLE001 - one of the two agreed places
        what = mask_urls(f"internal error: {type(exc).__name__}: {exc}")
        complain_text(f"{what}\n  hint: PDL_DEBUG=1 shows more")
        _show_where(exc)
        code = int(ExitCode.MACHINE)
    sys.exit(code)
