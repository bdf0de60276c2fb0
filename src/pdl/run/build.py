"""The parts of a run, built from the settings: for a download, for ``--check`` and ``--dry-run``.

All three plan lines in one way. They differ in what is known before the first line: a run holds the
output directory and remembers what comes of it, a look takes no lock and writes nothing.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdl.errors import UsageError
from pdl.naming.namer import columns_in
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.pool import registry
from pdl.run.engine import Engine
from pdl.run.in_flight import InFlight
from pdl.run.parts import Parts
from pdl.run.planner import Known, Planner
from pdl.scheduling.governor import Governor
from pdl.scheduling.retry import Limits, RetryPolicy
from pdl.scheduling.schedule import Schedule
from pdl.settings import AUTO, RETRY_STATUSES, PaceSettings, check
from pdl.sources.item_options import ALL
from pdl.sources.registry import by_name, format_of
from pdl.storage.state_db import given_of, pairings_of
from pdl.system import proxy_variables
from pdl.text.masking import printable
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.integrity.checksum_index import ChecksumIndex
    from pdl.integrity.lock import Lock
    from pdl.naming.claims import FoundFiles
    from pdl.pool import LaneFactory
    from pdl.run.outputs import ArchiveListener, Outputs
    from pdl.run.planner import Pins
    from pdl.run.stop import Stop
    from pdl.scheduling.auto_jobs import AutoJobs
    from pdl.scheduling.by_host import ByHost
    from pdl.scheduling.schedule import Pace
    from pdl.settings import PoolSettings, Settings
    from pdl.sources.checksum_files import Download
    from pdl.sources.feed import Feed
    from pdl.storage.archive import Archive
    from pdl.storage.state_db import StateDb
    from pdl.storage.versions import Versions
    from pdl.text.urls import Url


def check_settings(settings: Settings) -> None:
    """See that there can be a run with these settings.

    Raises:
        UsageError: one is wrong; the message names it.
    """
    check(settings)
    keep = settings.input.keep
    for name in () if ALL in keep else columns_in(settings.naming.template):
        if name not in keep:
            what = f"the name template has the column {printable(name)!r}, which is not kept"
            raise UsageError(what, f"--keep {printable(name)} keeps it")
    if settings.input.rewrite is not None:
        from pdl.sources.rewriting import read_rewriting  # as below

        read_rewriting(settings.input.rewrite)
    format_of(settings.input.format)
    if settings.files.digests:
        from pdl.integrity.digests import algorithms_fault  # where there are any

        if fault := algorithms_fault(settings.files.digests):
            raise UsageError(f"files.digests: {fault}")
    registry.engine_of(settings.pool.engine)


def state_of(settings: Settings) -> Path:
    """Where a run keeps what the next one is to know."""
    return Path(settings.files.directory, STATE_DIRECTORY, settings.naming.aside)


def fitted(settings: PoolSettings) -> PoolSettings:
    """The settings of the pool, which looks for no more jobs than this machine allows."""
    if settings.jobs != AUTO or not registry.engine_of(settings.engine).prestarts:
        return settings
    from pdl.pool.startup import start_limits  # only where it is wanted

    return start_limits.fitted(settings)


def gather_checksums(
    settings: Settings, warn: Callable[[str], None], download: Download | None
) -> ChecksumIndex | None:
    """The digests of the checksum files that the settings name; None if they name none.

    Raises:
        ListError, MachineError: as `pdl.sources.checksum_files.gather`.
    """
    if not settings.input.checksums:
        return None
    from pdl.sources.checksum_files import gather  # only where there are any

    return gather(settings, warn, download)


def open_lock(
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


def open_archive(settings: Settings, *, look_only: bool = False) -> Archive | None:
    """The archive that the settings name; None if they name none.

    Raises:
        UsageError, MachineError, ListError: as `pdl.storage.archive.Archive` has it.
    """
    path = settings.input.archive
    if path is None:
        return None
    if settings.lock.path is not None:
        raise UsageError(
            "--lock proves every file, and --archive skips those that may be gone", "give one"
        )
    from pdl.storage.archive import Archive  # where there is one

    return Archive(path, flush=settings.files.fsync, look_only=look_only)


def run_planner(
    settings: Settings,
    found: FoundFiles,
    memory: StateDb,
    pins: Pins | None,
    sums: ChecksumIndex | None,
    archived: ArchiveListener | None = None,
) -> Planner:
    """The planner of a run that holds the output directory.

    Args:
        settings: of the run.
        found: what is in the directory.
        memory: what earlier runs left, and takes what this one leaves.
        pins: see `Known.pins`.
        sums: see `Known.sums`.
        archived: has the archive, if there is one.
    """
    archive = None if archived is None else archived.archive
    servers = None
    if settings.naming.server_names:
        from pdl.run.server_names import ServerNaming  # where servers give names

        alone = settings.naming.on_collision == "fail"
        servers = ServerNaming(memory, settings.files.directory, found.since_ns, alone=alone)
    known = Known(
        *(pins, sums, servers, memory, found, memory.pairings(), memory.keep),
        archive=archive,
        **_ways(settings),
    )
    return Planner(settings.files, settings.naming, known)


def look_planner(
    settings: Settings,
    warn: Callable[[str], None],
    pins: Pins | None,
    versions: Versions | None = None,
    archive: Archive | None = None,
) -> Planner:
    """The planner of a look: it knows the names that runs have kept, and keeps none itself.

    Args:
        settings: of the run.
        warn: told of what cannot be read.
        pins: see `Known.pins`.
        versions: see `Known.versions`.
        archive: see `Known.archive`.

    Raises:
        ListError: a checksum file cannot be read.
    """
    sums = gather_checksums(settings, warn, download=None)
    directory = settings.files.directory
    state = state_of(settings)
    pairings = pairings_of(state, warn)
    servers = None
    if settings.naming.server_names:
        from pdl.run.server_names import RememberedNames, ServerNaming

        servers = ServerNaming(RememberedNames(given_of(state, warn)), directory)
    known = Known(
        *(pins, sums, servers, versions), pairings=pairings, archive=archive, **_ways(settings)
    )
    return Planner(settings.files, settings.naming, known)


def limits_of(settings: Settings, *, measure: bool = False) -> Limits:
    """What the governor is told.

    Args:
        settings: of the run.
        measure: somebody wants numbers of each host.
    """
    retry = settings.retry
    return Limits(
        settings.pool.first_jobs(),
        settings.stop.per_host,
        retry.host_patience,
        retry.max_wait,
        retry.retries,
        heed=retry.statuses == RETRY_STATUSES,
        measure=measure,
    )


def _ways(settings: Settings) -> dict[str, Any]:
    """`Known.parse`, `Known.way_fault` and `Known.rewriting`."""
    ways: dict[str, Any] = {"way_fault": _way_fault(settings), "parse": parser(settings)}
    if settings.input.rewrite is not None:
        from pdl.sources.rewriting import read_rewriting  # where there are rules

        ways["rewriting"] = read_rewriting(settings.input.rewrite)
    return ways


def parser(settings: Settings) -> Callable[[str], Url]:
    """What takes a listed URL apart."""
    if settings.input.url_command is None:
        return parse
    from pdl.text.foreign import parse_listed  # where there may be one

    return parse_listed


def _way_fault(settings: Settings) -> Callable[[str], str] | None:
    """See `Known.way_fault`: a proxy of the environment that cannot be, which some line may need.

    That of ``--proxy`` is for every line, and looked at with the other settings.
    """
    if settings.http.proxy or not proxy_variables.possible():
        return None
    from pdl.transport.http import proxies  # where there may be one

    return proxies.way_fault if proxies.any_faulty() else None


def make_engine(
    settings: Settings,
    feed: Feed,
    planner: Planner,
    factory: LaneFactory,
    outputs: Outputs,
    stop: Stop,
) -> Engine:
    """The engine, with its pool started.

    Raises:
        MachineError: the pool's processes cannot be started.
    """
    by_host, policy = None, RetryPolicy(settings.retry)
    if settings.http.hosts:
        from pdl.scheduling.by_host import ByHost  # where hosts differ

        by_host = ByHost(settings)
        policy = policy._replace(by_host=by_host.policy)
    governor = governor_of(settings, by_host, measure=outputs.hosts)
    schedule = Schedule(governor, _pace(settings, by_host))
    pool = registry.make_pool(factory, settings.pool, lambda: stop.asked)
    if outputs.spans:
        from pdl.run.spans import WatchedPool  # where somebody looks

        pool = WatchedPool(pool, schedule, outputs.span)
    splitting = settings.files if min(settings.files.split, settings.pool.most_jobs()) > 1 else None
    first, steering = settings.pool.first_jobs(), _steering(settings.pool)
    jobs = InFlight(first, pool, schedule, steering, outputs.resized)
    parts = Parts(feed, planner, schedule, policy, pool, outputs, jobs, splitting=splitting)
    if settings.hooks.command is not None:
        from pdl.run.hooks import HookedResults  # where there are any

        parts = parts._replace(hooks=partial(HookedResults, settings, stop))
    if settings.http.limit_rate is not None:
        from pdl.text.timetable import rate_at, timetable_of  # where there is a limit

        table = timetable_of(settings.http.limit_rate)
        parts = parts._replace(limit=lambda: rate_at(table, time.localtime()))
    return Engine(parts, settings.stop, stop)


def governor_of(settings: Settings, by_host: ByHost | None, *, measure: bool = False) -> Governor:
    """The governor; where the number at once differs by host, each origin has its own bound."""
    limits = limits_of(settings, measure=measure)
    if by_host is None or not by_host.says("stop"):
        return Governor(limits)
    governor = Governor(limits._replace(per_host=None))
    governor.make = by_host.origin
    return governor


def _pace(settings: Settings, by_host: ByHost | None) -> Pace | None:
    """What spaces attempts at an origin; None if nothing does."""
    if by_host is not None and by_host.says("pace"):
        return by_host
    if settings.pace == PaceSettings():
        return None
    from pdl.scheduling.rate import spacing_of  # where it is asked for

    return spacing_of(settings.pace)


def _steering(settings: PoolSettings) -> AutoJobs | None:
    """What looks for the number of jobs; None if it was said."""
    if settings.jobs != AUTO:
        return None
    from pdl.scheduling.auto_jobs import AutoJobs  # only where it is wanted

    return AutoJobs(settings.auto_most)
