"""`download`: builds the parts of a run, wires them, and gives back what came of it."""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, NamedTuple

from pdl.errors import ListError, MachineError, UsageError
from pdl.fetch.lane_factory import lanes
from pdl.http_rules.redirects import BadField, check_fields
from pdl.pool import registry
from pdl.run.engine import Engine, Parts
from pdl.run.outputs import Outputs
from pdl.run.planner import Planner
from pdl.run.server_names import ServerNaming
from pdl.run.stop import Stop, signals
from pdl.scheduling.retry import RetryPolicy
from pdl.scheduling.schedule import Schedule
from pdl.settings import Settings, check
from pdl.sources.feed import Feed
from pdl.sources.registry import by_name, format_of
from pdl.storage.output_directory import OutputDirectory
from pdl.storage.state_db import StateDb
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pdl.integrity.checksum_index import ChecksumIndex
    from pdl.integrity.lock import Lock
    from pdl.model import Event, Item, Result, Summary
    from pdl.naming.claims import FoundFiles
    from pdl.pool import LaneFactory, Pool


_LATER = ("email.utils", "idna", "json", "sqlite3")
"""Modules that a run imports when it first needs them."""
_LATER_INLINE = ("base64", "concurrent.futures", "ctypes", "pdl.transport.http.requests_")
"""The same of what workers do; they mind that themselves."""


class Report(NamedTuple):
    """What came of a run.

    Attributes:
        summary: the run in numbers.
        failures: one row for each line that failed or was left.
        machine_error: why this machine could not go on, or None.
        list_error: why a list could not be read to its end, or None.
    """

    summary: Summary
    failures: Sequence[Result] = ()
    machine_error: MachineError | None = None
    list_error: ListError | None = None

    @property
    def ok(self) -> bool:
        """Whether every line succeeded, was skipped or is unchanged."""
        broken = self.machine_error or self.list_error
        return not self.failures and not self.summary.unread and broken is None


def make_pool(settings: Settings, stop: Stop, factory: LaneFactory) -> Pool:
    """The pool the settings ask for; an inline one looks at `stop` while it is at work.

    Raises:
        MachineError: its processes cannot be started.
    """
    return registry.make_pool(factory, settings.pool, lambda: stop.asked)


def _check(settings: Settings) -> None:
    check(settings)
    format_of(settings.input.format)
    registry.engine_of(settings.pool.engine)
    http = settings.http
    try:
        check_fields((*http.headers, ("User-Agent", http.user_agent)))
    except BadField as exc:
        raise UsageError(str(exc)) from exc


def _digests(settings: Settings, warn: Callable[[str], None]) -> ChecksumIndex | None:
    """Of the checksum files that the settings name; None if they name none.

    Raises:
        ListError, MachineError: as `pdl.sources.checksum_files.gather`.
    """
    if not settings.input.checksums:
        return None
    from pdl.sources.checksum_files import gather  # only where there are any

    return gather(settings, warn, download)


def _planner(settings: Settings, found: FoundFiles, memory: StateDb, lock: Lock | None) -> Planner:
    """The planner of a run, which knows what earlier runs left."""
    planner = Planner(settings.files, settings.naming, memory.keep, lock, found, memory)
    if settings.naming.server_names:
        planner.servers = _server_names(settings, memory, found)
    for pairing in memory.pairings():
        planner.remember(pairing)
    return planner


def run(settings: Settings, feed: Feed, outputs: Outputs, wait_lock: float = 0.0) -> Report:
    """Download what the feed gives, wired as the settings say.

    Raises:
        MachineError: the directory cannot be written or processes cannot be started.
        LockedError: another run holds the directory.
        UsageError: a setting is wrong.
        ListError: the lock file is none, or a checksum file cannot be had.
    """
    _check(settings)
    sums = _digests(settings, outputs.warn)
    with contextlib.ExitStack() as ending:
        lock = open_lock(settings, outputs)
        if lock is not None:
            ending.callback(lock.close)
        workspace = OutputDirectory(settings.files.directory, wait_lock)
        ending.callback(workspace.close)
        memory = outputs.memory = StateDb(workspace.state, outputs.warn)
        ending.callback(memory.close)
        planner = _planner(settings, workspace.found(), memory, lock)
        planner.sums = sums
        stop = Stop()
        with signals(stop):
            parts = Parts(
                feed,
                planner,
                Schedule(settings.stop.per_host),
                RetryPolicy(settings.retry),
                make_pool(settings, stop, lanes(settings, outputs.warn)),
                outputs,
            )
            engine = Engine(parts, settings.stop, stop)
            summary = engine.run()
            memory.save()
            if sums is not None and (remark := sums.remark()):
                outputs.warn(remark)
            whole = not summary.failed and not summary.left and not summary.unread
            if whole:
                workspace.clear_parts()
            outputs.finish(summary)
            report = Report(summary, outputs.failures, engine.machine_error(), engine.list_error())
            return report if lock is None else _saved(lock, report, whole=whole)


def _server_names(settings: Settings, memory: StateDb, found: FoundFiles) -> ServerNaming:
    alone = settings.naming.on_collision == "fail"
    return ServerNaming(memory, settings.files.directory, found.since_ns, alone=alone)


def open_lock(settings: Settings, outputs: Outputs, *, look_only: bool = False) -> Lock | None:
    """The lock file that the settings name, which then takes every result; None if they do not.

    Raises:
        UsageError, ListError, MachineError: as `pdl.integrity.lock.Lock` has it.
    """
    lock = outputs.lock = lock_of(settings, outputs.warn, look_only=look_only)
    return lock


def lock_of(
    settings: Settings, warn: Callable[[str], None], *, look_only: bool = False
) -> Lock | None:
    """The lock file that the settings name; None if they name none.

    Raises:
        UsageError, ListError, MachineError: as `pdl.integrity.lock.Lock` has it.
    """
    path = settings.lock.path
    if path is None:
        return None
    if by_name(path) not in {None, "jsonl"}:
        raise UsageError(
            f"{printable(path)} is no name for a lock file, which is a list in jsonl",
            "call it NAME.jsonl",
        )
    from pdl.integrity.lock import Lock  # only where there is one

    return Lock(path, settings.lock, warn, look_only=look_only)


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
    jobs: int = 8,
    settings: Settings | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Download URLs to a directory.

    With the ``spawn`` and ``forkserver`` start methods a script must call this under
    ``if __name__ == "__main__":``, as for every use of multiprocessing.

    Args:
        items: URLs, or `Item` values where more is known than the URL; taken as they come.
        dir: the output directory; made if it is not there.
        jobs: downloads in flight.
        settings: everything else; `dir` and `jobs` take precedence.
        on_event: called in this process with every outcome and every retry.

    Returns:
        The numbers, and a row for each failure. A failed download raises nothing.

    Raises:
        MachineError: the directory cannot be written or processes cannot be started.
        LockedError: another run holds the directory.
        UsageError: a setting is wrong.
        ListError: a checksum file cannot be had.
    """
    base = settings or Settings()
    wanted = base._replace(
        files=base.files._replace(directory=dir), pool=base.pool._replace(jobs=jobs)
    )
    _import_early(inline=registry.engine_of(wanted.pool.engine).here)
    outputs = Outputs(on_event=on_event)
    outputs.keep_failures = True
    with contextlib.closing(Feed.of(items)) as feed:
        return run(wanted, feed, outputs)
