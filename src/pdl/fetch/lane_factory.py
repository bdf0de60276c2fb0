"""What builds the lanes of a run, in the workers: it travels to them, and is nothing but settings.

The main process only hands it on; what a lane is made of is imported where one is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import AuthSettings
from pdl.pool.registry import engine_of
from pdl.settings import LOOKUPS_MOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.auth.credentials import Credentials
    from pdl.fetch.blocking import Fetcher
    from pdl.pool import Lane, LaneFactory
    from pdl.pool.rate_limit import RateLimit
    from pdl.settings import CacheSettings, FileSettings, HttpSettings, Settings
    from pdl.transport.http.keepalive import KeepaliveTransport


class Fetching:
    """Builds lanes that ask for every file; see `pdl.pool.LaneFactory`."""

    def __init__(
        self, http: HttpSettings, files: FileSettings, limit: RateLimit | None = None
    ) -> None:
        self.http = http
        self.files = files
        self.limit = limit
        self.timed = files.describe

    def __call__(self) -> Lane:
        """Build a lane."""
        from pdl.fetch.blocking import Fetcher
        from pdl.fetch.fast_path import FastPath

        self.http = with_credentials(self.http)
        transport = _transport(self.http)
        lane = Fetcher(transport, self.http, self.files)
        lane.quick = FastPath(transport, self.http, self.files, lane.memory)
        return _wrapped(lane, self.limit)


class CachedFetching:
    """Builds lanes with a cache."""

    def __init__(
        self,
        http: HttpSettings,
        files: FileSettings,
        cache: CacheSettings,
        limit: RateLimit | None = None,
    ) -> None:
        self.http = http
        self.files = files
        self.cache = cache
        self.limit = limit
        self.timed = files.describe

    def __call__(self) -> Lane:
        """Build a lane."""
        from pdl.fetch.blocking import Fetcher
        from pdl.fetch.from_cache import CacheLane

        self.http = with_credentials(self.http)
        cache = CacheLane(self.http, self.files, self.cache)
        lane = Fetcher(_transport(self.http), self.http, self.files, cache)
        return _wrapped(lane, self.limit)


def with_credentials(http: HttpSettings) -> HttpSettings:
    """The settings as the lanes of a process share them: they all are the same user."""
    if http.credentials is not None:
        return http
    from pdl.auth.credentials import Credentials

    return http._replace(credentials=Credentials())


def _transport(http: HttpSettings) -> KeepaliveTransport:
    if http.hosts:
        from pdl.transport.http.by_host import HostTransports  # where hosts differ

        return HostTransports(http)
    from pdl.transport.http.keepalive import KeepaliveTransport

    return KeepaliveTransport(http)


def _wrapped(lane: Fetcher, limit: RateLimit | None) -> Lane:
    """The lane, which keeps to the limit, and says the heads, where that is wanted."""
    if limit is not None:
        from pdl.pool.rate_limit import Allowance

        lane.limit(Allowance(limit))
    if lane.http.tell_heads:
        from pdl.fetch.telling import TellingLane

        return TellingLane(lane)
    return lane


def credentials_of(settings: Settings, warn: Callable[[str], None]) -> Credentials | None:
    """What the workers of a run are told of its user; None if that is nothing.

    Raises:
        UsageError: the credentials cannot be had.
    """
    command, tables = settings.input.url_command, settings.http.hosts
    if tables:
        from pdl.text.host_tables import part_of  # where hosts differ

        tables = part_of(tables, "auth")
    if settings.auth == AuthSettings() and command is None and not tables:
        return None
    from pdl.auth.gather import gather  # where there are any

    return gather(settings.auth, warn, command, tables)


def lanes(settings: Settings, warn: Callable[[str], None]) -> LaneFactory:
    """What builds the lanes of a run: those of the cache, if there is one that can be used.

    Raises:
        MachineError: too few file handles are allowed, or there is no shared memory.
        UsageError: the credentials cannot be had.
    """
    http = settings.http._replace(retry_statuses=settings.retry.statuses)
    http = http._replace(credentials=credentials_of(settings, warn))
    if http.hosts:
        from pdl.text.host_tables import for_workers  # where hosts differ

        http = http._replace(hosts=for_workers(http.hosts))
    if settings.input.rewrite is not None:
        from pdl.sources.rewriting import read_rewriting  # where there are rules

        http = http._replace(policy=read_rewriting(settings.input.rewrite).policy)
    processes = settings.pool.split()[0]
    http = http._replace(lookups=max(1, LOOKUPS_MOST // processes))
    engine, limit = engine_of(settings.pool.engine), None
    if http.limit_rate is not None:
        from pdl.pool.rate_limit import rate_limit

        limit = rate_limit(http.limit_rate, settings.pool, here=engine.here)
    if engine.prestarts:
        from pdl.pool.startup import prestart, start_limits

        prestart.prepare(settings.pool)
        hosts, pipe = start_limits.share(settings.pool.split()[1])
        http = http._replace(hosts_kept=hosts, pipe=pipe)
    if settings.cache.path is not None:
        from pdl.storage.cache.store import prepare  # only where it is used

        cache = prepare(settings.cache, warn)
        if cache is not None:
            return CachedFetching(http, _files(settings), cache, limit)
    return Fetching(http, _files(settings), limit)


def _files(settings: Settings) -> FileSettings:
    """What workers are told: also what no server may name a file, if servers name any."""
    reserved = settings.naming.reserved if settings.naming.server_names else ()
    alone = settings.pool.jobs == 1 or not engine_of(settings.pool.engine).prestarts
    split = 1 if alone else settings.files.split  # idle lanes there are none
    return settings.files._replace(reserved=reserved, split=split)
