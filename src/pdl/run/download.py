"""`download`: a run that fetches what a list names, and what comes back of it."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING

from pdl.errors import ListError, LockedError, MachineError
from pdl.fetch.lane_factory import lanes
from pdl.pool import registry
from pdl.run import build
from pdl.run.outputs import (
    ArchiveListener,
    CallbackListener,
    FailureListener,
    LockListener,
    Outputs,
    StateListener,
)
from pdl.run.stop import Stop, signals
from pdl.scheduling.progress import Summary
from pdl.settings import Settings
from pdl.sources.feed import Feed, chosen_of
from pdl.storage.output_directory import OutputDirectory
from pdl.storage.state_db import StateDb
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pdl.integrity.lock import Lock
    from pdl.model import Event, Item, Result
    from pdl.settings import Jobs

_LATER = ("email.utils", "idna", "json", "sqlite3")
"""Modules that a run imports when it first needs them."""
_LATER_INLINE = (
    *("base64", "concurrent.futures", "ctypes", "netrc", "shlex"),
    "pdl.transport.http.requests_",
)
"""The same of what workers do; they mind that themselves."""
_NOT_BEGUN = Summary(unread=True)


class Report(NamedTuple):
    """What came of a run.

    Attributes:
        summary: the run in numbers.
        failures: one row for each line that failed or was left.
        machine_error: why this machine could not begin or not go on (a `MachineError`), or who
            holds the directory (a `LockedError`); or None.
        list_error: why a list, lock file or checksum file could not be read to its end, or None.
    """

    summary: Summary
    failures: Sequence[Result] = ()
    machine_error: MachineError | LockedError | None = None
    list_error: ListError | None = None

    @property
    def ok(self) -> bool:
        """Whether every line succeeded, was skipped or is unchanged."""
        broken = self.machine_error or self.list_error
        return not self.failures and not self.summary.unread and broken is None


def run(settings: Settings, feed: Feed, outputs: Outputs, wait_lock: float = 0.0) -> Report:
    """Download what the feed gives, wired as the settings say; the report has no failures.

    Raises:
        MachineError: the directory cannot be written or processes cannot be started.
        LockedError: another run holds the directory.
        UsageError: a setting is wrong.
        ListError: the lock file is none, or a checksum file cannot be had.
    """
    warn = outputs.warn
    settings = _fitted(settings, feed, outputs)
    sums = build.gather_checksums(settings, warn, download)
    with contextlib.ExitStack() as ending:
        lock = build.open_lock(settings, warn)
        if lock is not None:
            ending.callback(lock.close)
            outputs = outputs.and_also(LockListener(lock))
        archive = build.open_archive(settings)
        archived = None
        if archive is not None:
            archived = ArchiveListener(archive, build.parser(settings))
            ending.callback(archived.close)
            outputs = outputs.after(archived)
        workspace = OutputDirectory(settings.files.directory, wait_lock, settings.naming.aside)
        ending.callback(workspace.close)
        memory = StateDb(workspace.state, warn)
        outputs = outputs.and_also(StateListener(memory))
        ending.callback(memory.close)
        planner = build.run_planner(settings, workspace.found(), memory, lock, sums, archived)
        stop = Stop()
        with signals(stop, outputs.abandon):
            factory = lanes(settings, warn)
            engine = build.make_engine(settings, feed, planner, factory, outputs, stop)
            summary = engine.run()
            memory.save()
            if sums is not None and (remark := sums.remark()):
                warn(remark)
            whole = not summary.failed and not summary.left and not summary.unread
            if whole:
                workspace.clear_parts()
            outputs.finish(summary)
            report = Report(summary, (), engine.machine_error(), engine.list_error())
            if archived is not None and report.machine_error is None:
                report = report._replace(machine_error=archived.error())
            return report if lock is None else _saved(lock, report, whole=whole)


def _fitted(settings: Settings, feed: Feed, outputs: Outputs) -> Settings:
    """The settings, seen to be good, with what depends on the machine, the list and the outputs."""
    build.check_settings(settings)
    files = settings.files._replace(describe=outputs.facts)
    settings = settings._replace(pool=build.fitted(settings.pool), files=files)
    if settings.auth.users or settings.http.headers:
        settings = _bound(settings, feed, outputs.warn)
    return settings


def _bound(settings: Settings, feed: Feed, warn: Callable[[str], None]) -> Settings:
    """The settings, in which it is known whom credentials are for; what may surprise is told."""
    from pdl.auth import origins  # where there are any

    if origins.is_unbound(settings.auth):
        settings = settings._replace(auth=origins.bound(settings.auth, feed.peek()))
    watch = origins.watch_of(settings, warn)
    if watch is not None:
        feed.tell(watch)
    return settings


def _saved(lock: Lock, report: Report, *, whole: bool) -> Report:
    """The report, after the lock file has been written; what came in its way is in it."""
    try:
        lock.save(whole=whole)
    except MachineError as exc:
        return report._replace(machine_error=report.machine_error or exc)
    except ListError as exc:
        return report._replace(list_error=report.list_error or exc)
    return report


def _import_early(*, inline: bool) -> None:
    """Import what may be needed when downloads lie where a program finds its modules."""
    for name in (*_LATER, *(_LATER_INLINE if inline else ())):
        with contextlib.suppress(ImportError):  # there is no SQLite: told where it is wanted
            importlib.import_module(name)


def download(
    items: Iterable[str | Item],
    dir: str = ".",  # noqa: A002 - the name the command line has
    *,
    jobs: Jobs = 8,
    settings: Settings | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Download URLs to a directory.

    A failed download raises nothing. Neither does trouble of the machine, a directory that another
    run holds, or a checksum file that cannot be had: the report says so.

    With the ``spawn`` and ``forkserver`` start methods a script must call this under
    ``if __name__ == "__main__":``, as for every use of multiprocessing.

    Args:
        items: URLs, or `Item` values where more is known than the URL; taken as they come.
        dir: the output directory; made if it is not there.
        jobs: downloads in flight, or ``auto`` for as many as the link and the hosts bear.
        settings: everything else; `dir` and `jobs` take precedence.
        on_event: called in this process with every outcome and every retry.

    Returns:
        The numbers, a row for each failure, and what kept the run from its end, if anything did.

    Raises:
        UsageError: a setting is wrong. What `on_event` raises goes through, too.
    """
    wanted = _wanted(settings or Settings(), dir, jobs)
    _import_early(inline=registry.engine_of(wanted.pool.engine).here)
    failures = FailureListener()
    told = [] if on_event is None else [CallbackListener(on_event)]
    foreign = wanted.input.url_command is not None
    with contextlib.closing(chosen_of(Feed.of(items, foreign=foreign), wanted.input)) as feed:
        try:
            report = run(wanted, feed, Outputs([failures, *told]))
        except (MachineError, LockedError, ListError) as exc:
            report = _not_begun(exc)
    error = report.machine_error or report.list_error
    if error is not None and any(each.calling for each in told):  # the callback has raised it
        raise error
    return report._replace(failures=failures.rows)


def _wanted(base: Settings, directory: str, jobs: Jobs) -> Settings:
    """The settings of a run that a program asks for."""
    wanted = base._replace(
        files=base.files._replace(directory=directory), pool=base.pool._replace(jobs=jobs)
    )
    if wanted.input.shard is None:
        return wanted
    from pdl.sources.shards import with_shard  # where there is one

    return with_shard(wanted)


def _not_begun(exc: MachineError | LockedError | ListError) -> Report:
    """The report of a run that could not begin."""
    if isinstance(exc, ListError):
        return Report(_NOT_BEGUN, list_error=exc)
    return Report(_NOT_BEGUN, machine_error=exc)
