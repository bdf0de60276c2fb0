"""The command line: options → Settings → api → exit code. Nothing else is decided here."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from pdl._version import __version__
from pdl.cli.exit import complain, complain_text, exit_code
from pdl.cli.options import (
    Allowance,
    BaseUrl,
    FileOrUrl,
    GroupedCommand,
    Header,
    MediaRange,
    OutputPath,
    ProxyUrl,
    Seconds,
    Size,
    Statuses,
    grouped,
    if_exists,
)
from pdl.errors import ExitCode, PdlError
from pdl.output.display.registry import CHOICES as DISPLAYS
from pdl.output.reports.registry import SUFFIXES
from pdl.output.terminal import Out
from pdl.pool.registry import CHOICES as ENGINES
from pdl.settings import (
    RETRY_STATUSES,
    CacheSettings,
    FileSettings,
    HttpSettings,
    InputSettings,
    LockSettings,
    NamingSettings,
    PoolSettings,
    RetrySettings,
    Settings,
    StopSettings,
)
from pdl.sources.registry import CHOICES as LIST_FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.output.display.base import Display
    from pdl.output.reports import Reporter
    from pdl.output.sinks import Sink

reading = grouped("Input")
where = grouped("Where to")
many = grouped("How many")
fast = grouped("How fast")
again = grouped("Trying again")
counts = grouped("What counts as failure")
proving = grouped("Integrity")
http = grouped("HTTP")
seeing = grouped("Seeing")
running = grouped("Running")

SECONDS = Seconds(zero=True)
POSITIVE = Seconds()
STDIN = 0
COUNT = click.IntRange(min=1)


@click.command(
    cls=GroupedCommand,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every option can be set in the environment: PDL_JOBS=16. Exit codes: 0 all well, "
    "1 some failed, 2 usage, 3 this machine cannot go on, 4 the directory is in use, "
    "9 nothing transferred, 129/130/143 by signal.",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@reading(
    "--format",
    type=click.Choice(LIST_FORMATS),
    default="auto",
    help="Of the lists.  [auto: by name, then by content]",
)
@reading("--base-url", type=BaseUrl(), metavar="URL", help="Where relative URLs in lists begin.")
@where("-d", "--dir", "directory", default=".", metavar="DIR", help="Output directory.  [.]")
@where(
    "--name",
    "template",
    metavar="TEMPLATE",
    help="Name of each file, of {name} {stem} {ext} {host} {path} {n} {hash}.  [{name}]",
)
@where("--tree", is_flag=True, help="Put each file under HOST/PATH.")
@where(
    "-J",
    "--content-disposition",
    is_flag=True,
    help="Name each file as its server does, never over another.",
)
@where(
    "--if-exists",
    type=click.Choice(["skip", "update", "overwrite", "fail"]),
    default="skip",
    help="What to do with a file that is there.  [skip]",
)
@where("-N", "--update", is_flag=True, help="Fetch what has changed: --if-exists update.")
@where(
    "--on-collision",
    type=click.Choice(["hash", "fail"]),
    default="hash",
    help="What to do when two URLs want one name.  [hash]",
)
@where("--no-mtime", is_flag=True, help="Do not give files their Last-Modified time.")
@where("--fsync", is_flag=True, help="Flush each file to the disk before it gets its name.")
@many("-j", "--jobs", type=COUNT, default=8, help="Downloads in flight.  [8]")
@many("--per-host", type=COUNT, help="Of these, at most so many from one host.")
@many("--processes", type=COUNT, help="Worker processes.  [chosen]")
@fast("--min-speed", type=Size(), help="Give up what is slower for 10 s, and try again.")
@fast("--connect-timeout", type=POSITIVE, default=10.0, metavar="S", help="To connect.  [10]")
@fast("--timeout", type=POSITIVE, default=60.0, metavar="S", help="Without a single byte.  [60]")
@fast("--max-time", type=POSITIVE, metavar="S", help="For one attempt at one file.")
@fast("--deadline", type=POSITIVE, metavar="S", help="For the whole run.")
@fast("--max-size", type=Size(), help="Refuse larger files.")
@fast("--min-size", type=Size(), help="Refuse smaller files.")
@again("--retries", type=click.IntRange(min=0), default=3, help="After the first try.  [3]")
@again(
    "--retry-wait",
    type=SECONDS,
    default=0.5,
    metavar="S",
    help="Longest wait before the first retry; doubles, with jitter.  [0.5]",
)
@again(
    "--max-retry-wait",
    type=SECONDS,
    default=120.0,
    metavar="S",
    help="Longest wait; a server that asks for more is given up.  [120]",
)
@again(
    "--retry-status",
    "statuses",
    type=Statuses(),
    default=RETRY_STATUSES,
    show_default=False,
    help="HTTP statuses worth another try.  [408,425,429,500,502,503,504]",
)
@counts("--fail-fast", is_flag=True, help="Stop at the first failure.")
@counts("--max-failures", type=COUNT, help="Stop after so many.")
@counts("--allow-failures", type=Allowance(), help="Exit 0 with up to so many.")
@counts("--error-on-no-transfer", is_flag=True, help="Exit 9 if nothing was transferred.")
@proving(
    "--checksums",
    type=FileOrUrl(),
    multiple=True,
    metavar="FILE|URL",
    help="Digests of the lists' files, as sha256sum writes them.  [repeatable]",
)
@proving(
    "--lock",
    type=OutputPath(),
    metavar="FILE",
    help="Hold every file against this lock file; it is written, and grows, by the run.",
)
@proving("--locked", is_flag=True, help="What is not in the lock file is a failure.")
@proving("--check", is_flag=True, help="Only look at the files that are there; ask no server.")
@proving(
    "--cache",
    type=OutputPath(),
    metavar="DIR",
    help="Keep files here for other runs, and take them from here.",
)
@proving("--cache-size", type=Size(), default="10G", help="What it may take; 0 is no bound.  [10G]")
@counts("--no-content-check", is_flag=True, help="Take an HTML page for an archive or image.")
@counts(
    "--expect-type",
    "expect_types",
    type=MediaRange(),
    multiple=True,
    help="Refuse other types than this, as application/zip or image/*.  [repeatable]",
)
@http(
    "-H",
    "--header",
    "headers",
    type=Header(),
    multiple=True,
    help="Sent to listed origins only.  [repeatable]",
)
@http("-A", "--user-agent", metavar="TEXT", help="The User-Agent.")
@http(
    "--proxy", type=ProxyUrl(), metavar="URL", help="Proxy for everything.  [from the environment]"
)
@http("--cacert", type=click.Path(exists=True, dir_okay=False), help="Trusted certificates, PEM.")
@http("--cert", type=click.Path(exists=True, dir_okay=False), help="Client certificate, PEM.")
@http("--key", type=click.Path(exists=True, dir_okay=False), help="Its key, PEM.")
@http("--insecure", is_flag=True, help="Accept any certificate.")
@http("--max-redirects", type=click.IntRange(min=0), default=10, help="For one file.  [10]")
@http("--https-only", is_flag=True, help="Refuse plain http, also in redirects.")
@http("--public-only", is_flag=True, help="Connect to public addresses only.")
@seeing(
    "--progress",
    type=click.Choice(DISPLAYS),
    default="auto",
    help="How to show it.  [auto: bar on a terminal, else plain]",
)
@seeing("-q", "--quiet", is_flag=True, help="Say nothing but failures.")
@seeing("-v", "--verbose", count=True, help="A line for every file.")
@seeing("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@seeing(
    "--report",
    "reports",
    type=click.Path(readable=False),  # a path, so that a variable holds several as PATH does
    multiple=True,
    metavar="FILE",
    help=f"One row for each line; {' or '.join(SUFFIXES)}.  [repeatable]",
)
@seeing(
    "--failed",
    type=OutputPath(),
    metavar="FILE",
    help="Write what failed as a list that pdl can run.",
)
@running(
    "--engine",
    type=click.Choice(ENGINES),
    default="process",
    help="Worker processes, or this process alone.  [process]",
)
@running(
    "--start-method",
    type=click.Choice(["fork", "forkserver", "spawn"]),
    help="Of the processes.  [forkserver]",
)
@running(
    "--wait-lock",
    type=SECONDS,
    default=0.0,
    metavar="S",
    help="Wait for another run in the same directory.  [0]",
)
@click.version_option(__version__, prog_name="pdl")
def command(**given: Any) -> None:  # noqa: ANN401 - click's
    """Download every URL of the SOURCEs: list files, - for standard input, or http(s) URLs."""
    given["lock"] = given["lock"] or None
    given["if_exists"] = if_exists(click.get_current_context())
    if given["check"] and given["dry_run"]:
        raise click.UsageError("--check and --dry-run exclude each other: neither downloads")
    if given["dry_run"]:
        raise SystemExit(_dry_run(given))
    raise SystemExit(_run(given))


def settings_of(given: dict[str, Any]) -> Settings:
    """What the options say, as settings."""
    return Settings(
        input=InputSettings(given["format"], given["base_url"], given["checksums"]),
        http=_http_settings(given),
        retry=RetrySettings(
            retries=given["retries"],
            wait=given["retry_wait"],
            max_wait=given["max_retry_wait"],
            statuses=given["statuses"],
        ),
        files=FileSettings(
            directory=given["directory"],
            mtime=not given["no_mtime"],
            fsync=given["fsync"],
            if_exists=given["if_exists"],
            content_check=not given["no_content_check"],
            max_time=given["max_time"],
            max_size=given["max_size"],
            min_size=given["min_size"],
            expect_types=given["expect_types"],
        ),
        naming=NamingSettings(
            given["template"],
            given["tree"],
            given["on_collision"],
            server_names=given["content_disposition"],
        ),
        pool=PoolSettings(
            given["jobs"], given["processes"], given["engine"], given["start_method"]
        ),
        stop=StopSettings(
            1 if given["fail_fast"] else given["max_failures"],
            given["deadline"],
            given["per_host"],
        ),
        lock=LockSettings(given["lock"], given["locked"]),
        cache=CacheSettings(given["cache"] or None, given["cache_size"]),
    )


def _http_settings(given: dict[str, Any]) -> HttpSettings:
    agent = {"user_agent": given["user_agent"]} if given["user_agent"] else {}
    return HttpSettings(
        headers=given["headers"],
        proxy=given["proxy"],
        cacert=given["cacert"],
        cert=given["cert"],
        key=given["key"],
        insecure=given["insecure"],
        connect_timeout=given["connect_timeout"],
        timeout=given["timeout"],
        max_redirects=given["max_redirects"],
        https_only=given["https_only"],
        public_only=given["public_only"],
        min_speed=given["min_speed"],
        **agent,
    )


def _run(given: dict[str, Any]) -> ExitCode | int:
    # imported here, so that --help and --version need not wait for it; the fork server first, as
    # it imports what the workers need while this process imports the rest
    from pdl.pool.startup import prestart

    settings = settings_of(given)
    prestart.prepare(settings.pool, alone=True)

    from pdl.output.reports.failure_list import FailedList
    from pdl.output.reports.registry import check_distinct, open_report
    from pdl.run.download import run
    from pdl.run.outputs import Outputs, listeners_of
    from pdl.sources.feed import open_sources

    display, console = _shown(given)
    _collect_again()
    _unwind_on_signals()
    if settings.http.insecure:
        display.notice(
            "certificates are not checked (--insecure): anyone may have sent these files"
        )
    feed = open_sources(given["sources"], STDIN, display.notice, settings=settings.input)
    made = [*given["reports"], *filter(None, (given["failed"], given["lock"]))]
    check_distinct(made)
    read = [*given["sources"], *given["checksums"]]
    own = own_paths([*made, *read], settings.files.directory)
    settings = settings._replace(naming=settings.naming._replace(reserved=own))
    reporters: list[Any] = []
    if given["failed"]:
        reporters.append(FailedList(given["failed"], display.notice, given["sources"]))
    reporters += [open_report(path, display.notice) for path in given["reports"]]
    sinks = [reporter.sink for reporter in reporters]
    outputs = Outputs(listeners_of([*reporters, console(sinks)], display))
    try:
        if given["check"]:
            from pdl.run.check import check

            report = check(settings, feed, outputs)
        else:
            report = run(settings, feed, outputs, given["wait_lock"])
    finally:
        feed.close()
    lost = display.lost or any(sink.lost for sink in sinks)
    return exit_code(report, given, lost=lost)


def _shown(given: dict[str, Any]) -> tuple[Display, Callable[[Sequence[Sink]], Reporter]]:
    """What people see of the run while it lasts, and what makes that of its end."""
    from pdl.output.display.registry import make_display

    mode, quiet, verbose = given["progress"], given["quiet"], given["verbose"]
    if given["check"]:
        from pdl.run.check import CheckReport

        if mode == "plain" or (mode == "auto" and not Out(sys.stderr).is_terminal()):
            mode = "none"  # the report has a line for each failure itself
        display = make_display(mode, sys.stderr, quiet=quiet, verbose=0)
        return display, lambda lists: CheckReport(
            sys.stderr, display.notice, quiet=quiet, verbose=verbose, lists=lists
        )
    from pdl.output.reports.console import ConsoleReport

    display = make_display(mode, sys.stderr, quiet=quiet, verbose=verbose)
    return display, lambda lists: ConsoleReport(sys.stderr, quiet=quiet, lists=lists)


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


def _dry_run(given: dict[str, Any]) -> int:
    from pdl.run.dry_run import print_plan

    _collect_again()
    return print_plan(given["sources"], settings_of(given), complain_text)


def main() -> None:
    """Run the command and exit; no traceback reaches the user."""
    try:
        command(prog_name="pdl")
    except PdlError as exc:
        complain(exc)
        code = int(exc.exit_code)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except OSError as exc:
        from pdl.pool.startup.start_errors import nowhere  # for this alone

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
