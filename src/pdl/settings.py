"""What a run is told: frozen, nested, each part for the one component that needs it."""

import os
from typing import Literal, NamedTuple, get_args

from pdl._version import __version__
from pdl.errors import UsageError
from pdl.model import Headers
from pdl.text.lazy_regex import lazy
from pdl.text.urls import InvalidUrl, parse

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses worth another try (RFC 9110 section 15, RFC 6585, RFC 8470)."""

HOSTS_KEPT = 16
"""Hosts a lane keeps a connection to, where file handles allow it."""

MAX_SECONDS = 1_000_000
"""The longest time a setting may be: eleven days; the system's timers end not far above it."""

_WORD = r"[!#$%&'+.^_`|~0-9A-Za-z-]+"
_MEDIA_RANGE = lazy(rf"\*/\*|{_WORD}/(\*|{_WORD})")
"""RFC 9110 section 12.5.1, without parameters."""

IfExists = Literal["skip", "update", "overwrite", "fail"]
OnCollision = Literal["hash", "fail"]
ProgressMode = Literal["auto", "bar", "plain", "json", "none"]
ListFormat = Literal["auto", "text", "csv", "tsv", "jsonl", "metalink", "checksums"]
EngineKind = Literal["process", "inline"]
StartMethod = Literal["fork", "forkserver", "spawn"]


class InputSettings(NamedTuple):
    """How lists are read; the feed's.

    Attributes:
        format: of every list; ``auto`` goes by its name, then by how it begins.
        base_url: what relative URLs in lists are resolved against (RFC 3986 section 5.2), or None.
        checksums: files and http(s) URLs that hold digests of what the lists name.
    """

    format: ListFormat = "auto"
    base_url: str | None = None
    checksums: tuple[str, ...] = ()


class HttpSettings(NamedTuple):
    """How requests are made; the transport's.

    Attributes:
        headers: sent with every request to a listed origin, never to another.
        user_agent: the User-Agent header's value.
        proxy: URL of a proxy for everything; None takes the environment's.
        cacert: PEM file of trusted certificates; None takes REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE
            of the environment, else certifi's.
        cert: PEM file of the client's certificate.
        key: PEM file of its key, where it is not in `cert`.
        insecure: accept any certificate.
        connect_timeout: seconds to connect.
        timeout: seconds without a byte before an attempt fails.
        max_redirects: hops followed for one file.
        https_only: refuse http, listed or redirected to.
        public_only: connect to addresses of the open internet alone.
        min_speed: bytes per second below which an attempt is given up, or None.
        hosts_kept: connections that a lane has at most, the one in use included.
        pipe: a lane may have a pipe open, for `pdl.system.splice`.
        retry_statuses: statuses after which the same request may succeed later: those of
            `RetrySettings`, where a run hands its settings to its workers.
    """

    headers: Headers = ()
    user_agent: str = f"pdl/{__version__}"
    proxy: str | None = None
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False
    connect_timeout: float = 10.0
    timeout: float = 60.0
    max_redirects: int = 10
    https_only: bool = False
    public_only: bool = False
    min_speed: float | None = None
    hosts_kept: int = HOSTS_KEPT
    pipe: bool = True
    retry_statuses: frozenset[int] = RETRY_STATUSES


class RetrySettings(NamedTuple):
    """When an attempt is made again; the retry policy's.

    Attributes:
        retries: further attempts after the first.
        wait: seconds before the first retry at most; doubles with each.
        max_wait: seconds a back-off or a server's Retry-After may take.
        statuses: HTTP statuses worth another try.
    """

    retries: int = 3
    wait: float = 0.5
    max_wait: float = 120.0
    statuses: frozenset[int] = RETRY_STATUSES


class FileSettings(NamedTuple):
    """Where files go and how they are finished; the worker's.

    Attributes:
        directory: the output directory.
        mtime: give a file its Last-Modified time.
        fsync: flush each file to the disk before it gets its name.
        if_exists: what is done with a file that is there already.
        content_check: refuse an HTML page where the name promises something else.
        max_time: seconds one attempt may take, or None.
        max_size: bytes a file may have, or None.
        min_size: bytes a file must have, or None.
        expect_types: media types a file may be of, as ``image/*``; empty for any.
        reserved: paths that no server may give a file; see `NamingSettings`.
    """

    directory: str = "."
    mtime: bool = True
    fsync: bool = False
    if_exists: IfExists = "skip"
    content_check: bool = True
    max_time: float | None = None
    max_size: int | None = None
    min_size: int | None = None
    expect_types: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()

    def takes(self, size: int) -> bool:
        """Whether a file may have so many bytes."""
        return (self.max_size is None or size <= self.max_size) and (
            self.min_size is None or size >= self.min_size
        )


class NamingSettings(NamedTuple):
    """How names are chosen; the planner's.

    Attributes:
        template: as ``{n}-{name}``; None is ``{name}``.
        tree: put files under ``host/path``.
        on_collision: what happens when two URLs want one name.
        reserved: paths relative to the output directory that no download may have: of the run's
            own lists and reports.
        server_names: a file gets the name that its server gives, where it gives one.
    """

    template: str | None = None
    tree: bool = False
    on_collision: OnCollision = "hash"
    reserved: tuple[str, ...] = ()
    server_names: bool = False


class PoolSettings(NamedTuple):
    """How the work is spread; the pool's.

    Attributes:
        jobs: downloads in flight.
        processes: worker processes; None chooses.
        engine: which pool runs the tasks.
        start_method: of multiprocessing; None chooses.
    """

    jobs: int = 8
    processes: int | None = None
    engine: EngineKind = "process"
    start_method: StartMethod | None = None

    def method(self) -> StartMethod:
        """The start method, chosen if it was not given.

        A fork is the fastest, but a copy of a process with threads may find locks held for ever;
        the fork server has none, and starts while the main process still reads the list.
        """
        return self.start_method or "forkserver"

    def split(self) -> tuple[int, int]:
        """How many processes, and how many lanes (threads) in each; at least `jobs` together."""
        cores = os.cpu_count() or 1
        processes = max(1, min(self.jobs, self.processes or max(2, cores)))
        return processes, -(-self.jobs // processes)


class LockSettings(NamedTuple):
    """What is proven by a lock file; the lock's.

    Attributes:
        path: the file, or None.
        locked: what is not in it is an error, and it is not written.
    """

    path: str | None = None
    locked: bool = False


class CacheSettings(NamedTuple):
    """Where files are kept for other runs; the cache's.

    Attributes:
        path: a directory, or None.
        size: bytes it may take, or 0 for as many as there are.
    """

    path: str | None = None
    size: int = 10 * 1024**3


class StopSettings(NamedTuple):
    """When the run gives up as a whole; the engine's.

    Attributes:
        max_failures: stop after that many failed items; None never does.
        deadline: seconds the whole run may take, or None.
        per_host: downloads in flight from one host, or None.
    """

    max_failures: int | None = None
    deadline: float | None = None
    per_host: int | None = None


class Settings(NamedTuple):
    """Everything a run is told."""

    input: InputSettings = InputSettings()
    http: HttpSettings = HttpSettings()
    retry: RetrySettings = RetrySettings()
    files: FileSettings = FileSettings()
    naming: NamingSettings = NamingSettings()
    pool: PoolSettings = PoolSettings()
    stop: StopSettings = StopSettings()
    lock: LockSettings = LockSettings()
    cache: CacheSettings = CacheSettings()


def check(settings: Settings) -> None:
    """See to it that the run can do what its settings say.

    Raises:
        UsageError: a time or a number is out of range, a word is not one of its choices, there is
            no directory, the proxy is no URL, a key has no certificate, a type is none, or there
            is no lock to be locked.
    """
    _check_times(settings)
    _check_numbers(settings)
    _check_words(settings)
    http = settings.http
    if not settings.files.directory:
        raise UsageError("the output directory's name is empty", "the current directory is .")
    if settings.lock.locked and settings.lock.path is None:
        raise UsageError("--locked needs a lock file", "name it with --lock FILE")
    if http.key and not http.cert:
        raise UsageError("--key needs a certificate", "name it with --cert FILE")
    for text in settings.files.expect_types:
        if fault := type_fault(text):
            raise UsageError(f"expect_types: {text!r} {fault}")
    if http.proxy and (fault := proxy_fault(http.proxy)):
        raise UsageError(f"the proxy's URL {fault}")


def _check_times(settings: Settings) -> None:
    http, retry = settings.http, settings.retry
    times = {
        "connect_timeout": (http.connect_timeout, False),
        "timeout": (http.timeout, False),
        "wait": (retry.wait, True),
        "max_wait": (retry.max_wait, True),
        "max_time": (settings.files.max_time, False),
        "deadline": (settings.stop.deadline, False),
    }
    for name, (value, zero) in times.items():
        if value is not None and (fault := time_fault(value, zero=zero)):
            raise UsageError(f"{name}: {value!r} {fault}")


def _check_numbers(settings: Settings) -> None:
    pool, stop = settings.pool, settings.stop
    numbers = {
        "jobs": (pool.jobs, 1),
        "processes": (pool.processes, 1),
        "max_failures": (stop.max_failures, 1),
        "per_host": (stop.per_host, 1),
        "retries": (settings.retry.retries, 0),
        "max_redirects": (settings.http.max_redirects, 0),
    }
    for name, (value, least) in numbers.items():
        if value is not None and value < least:
            raise UsageError(f"{name}: {value!r} is less than {least}")


def _check_words(settings: Settings) -> None:
    words = {
        "format": (settings.input.format, ListFormat),
        "if_exists": (settings.files.if_exists, IfExists),
        "on_collision": (settings.naming.on_collision, OnCollision),
        "engine": (settings.pool.engine, EngineKind),
        "start_method": (settings.pool.method(), StartMethod),
    }
    for name, (value, choices) in words.items():
        if value not in get_args(choices):
            raise UsageError(f"{name}: {value!r} is none of {', '.join(get_args(choices))}")


def time_fault(seconds: float, *, zero: bool) -> str:
    """Why this can be no time limit, empty if it can; nan never can."""
    if 0 < seconds <= MAX_SECONDS or (zero and seconds == 0):
        return ""
    least = "from 0" if zero else "above 0 and"
    return f"is not a number of seconds {least} up to {MAX_SECONDS}"


def type_fault(text: str) -> str:
    """Why this names no media types, empty if it does."""
    return (
        "" if _MEDIA_RANGE.fullmatch(text) else "is not a type such as application/zip or image/*"
    )


def proxy_fault(url: str) -> str:
    """Why this can be no proxy, empty if it can; shows no part of it that may be secret."""
    scheme, found, _ = url.partition("://")
    if found and scheme.lower() not in {"http", "https"}:
        return "is neither http nor https"
    try:
        parse(url if found else f"http://{url}")  # host:port alone is http
    except InvalidUrl as error:
        return str(error)
    return ""
