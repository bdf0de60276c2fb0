"""What a run is told: frozen, nested, each part for the one component that needs it."""

import os
from typing import TYPE_CHECKING, Any, Literal

from pdl._version import __version__
from pdl.errors import UsageError
from pdl.model import AuthSettings, Headers
from pdl.text import rules
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import places_fault, url_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.text.host_tables import HostTable

_LASTING = frozenset({501, 505, 506, 508, 510, 511})
RETRY_STATUSES = frozenset({408, 425, 429, *range(500, 600)}) - _LASTING
"""Statuses worth another try (RFC 6585, RFC 8470). A 5xx that is not known is as 500 (RFC 9110
section 15), and proxies have many of their own for an origin that is in trouble."""

HOSTS_KEPT = 16
"""Hosts a lane keeps a connection to, where file handles allow it."""

LOOKUPS_MOST = 32
"""Names that are looked up at once on this machine: name servers answer no faster for more."""

AUTO, AUTO_FIRST, AUTO_MOST, NO_END = "auto", 8, 256, 1 << 62
"""As many jobs as the link bears: the word, how many at first, at the most. Retries without end."""


IfExists = Literal["skip", "update", "overwrite", "fail"]
OnCollision = Literal["hash", "fail"]
ShardBy = Literal["url", "host"]
Apart = Literal["", "listed", "url", "host"]
ProgressMode = str
"""A row of `pdl.output.display.registry`."""
ListFormat = str
"""A row of `pdl.sources.registry`."""
EngineKind = str
"""A row of `pdl.pool.registry`."""
StartMethod = Literal["fork", "forkserver", "spawn"]
Jobs = int | Literal["auto"]


class InputSettings(NamedTuple):
    """How lists are read; the feed's.

    Attributes:
        format: of every list; ``auto`` goes by its name, then by how it begins.
        base_url: what relative URLs in lists are resolved against (RFC 3986 section 5.2), or None.
        checksums: files and http(s) URLs that hold digests of what the lists name.
        url_command: gives the URL to ask, where that is not the listed one; see `pdl.auth`.
        shard: the part of the lines that is taken, as ``1/16``, or ``auto``; None takes all.
        shard_by: what tells whose a line is.
        columns: fields of items, and the columns that have them, as ``("url", "#2")``.
        rewrite: a file that says whom to ask instead; see `pdl.sources.rewriting`.
        keep: columns that are carried into reports and names; ``all``, all that are no fields.
        archive: a file with URLs that need not be fetched again, or None.
    """

    format: ListFormat = "auto"
    base_url: str | None = None
    checksums: tuple[str, ...] = ()
    url_command: str | None = None
    shard: str | None = None
    shard_by: ShardBy = "url"
    columns: tuple[tuple[str, str], ...] = ()
    keep: tuple[str, ...] = ()
    rewrite: str | None = None
    archive: str | None = None


class Resolved(NamedTuple):
    """Addresses that a host is connected to, whatever the name service says.

    Attributes:
        host: as in a URL.
        port: of TCP.
        addresses: IPv4 or IPv6 ones, without brackets.
    """

    host: str
    port: int
    addresses: tuple[str, ...]


class HttpSettings(NamedTuple):
    """How requests are made; the transport's.

    Attributes:
        headers: sent with every request to a listed origin, never to another.
        user_agent: the User-Agent header's value.
        referer: the Referer that goes where `headers` go, or None.
        proxy: URL of a proxy for everything; None takes the environment's.
        cacert: PEM file of trusted certificates; None takes SSL_CERT_FILE and SSL_CERT_DIR of the
            environment, else REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, else the system's and certifi's.
        cert: PEM file of the client's certificate.
        key: PEM file of its key, where it is not in `cert`.
        insecure: accept any certificate.
        connect_timeout: seconds to look up the name and connect.
        timeout: seconds without a byte before an attempt fails.
        max_redirects: hops followed for one file.
        https_only: refuse http, listed or redirected to.
        public_only: connect to addresses of the open internet alone.
        ip_version: 4 or 6: connect to no other addresses; None takes both.
        resolve: where hosts are; of several for one host and port the last counts.
        lookups: names that a process looks up at once.
        min_speed: bytes per second below which an attempt is given up, or None.
        limit_rate: bytes per second of all downloads, as ``2M`` or a `pdl.text.timetable`, or None.
        hosts_kept: connections that a lane has at most, the one in use included.
        pipe: a lane may have a pipe open, for `pdl.fetch.zero_copy`.
        retry_statuses: after which the same request may succeed later, as in `RetrySettings`.
        credentials: a `pdl.auth.credentials.Credentials`, made of `AuthSettings` there, or None.
        tell_heads: say the heads of requests and answers, masked.
        hosts: what differs for some hosts; of these tables the first that says it counts.
        policy: a `pdl.sources.rewriting.HostPolicy`, read of `InputSettings.rewrite`, or None.
        compressed: ask for coded bodies, and take their codings back; see `pdl.fetch.decoding`.
    """

    headers: Headers = ()
    user_agent: str = f"pdl/{__version__}"
    referer: str | None = None
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
    ip_version: Literal[4, 6] | None = None
    resolve: tuple[Resolved, ...] = ()
    lookups: int = LOOKUPS_MOST
    min_speed: float | None = None
    limit_rate: str | None = None
    hosts_kept: int = HOSTS_KEPT
    pipe: bool = True
    retry_statuses: frozenset[int] = RETRY_STATUSES
    credentials: object | None = None
    tell_heads: bool = False
    hosts: "tuple[HostTable, ...]" = ()
    policy: object | None = None
    compressed: bool = False


class RetrySettings(NamedTuple):
    """When an attempt is made again; the retry policy's.

    Attributes:
        retries: further attempts after the first; `NO_END` of them never end.
        wait: seconds before the first retry at most; doubles with each.
        max_wait: seconds a back-off or a server's Retry-After may take.
        statuses: HTTP statuses worth another try.
        allowed: HTTP statuses that are no failure once they are final.
        host_patience: seconds that a host which has answered may give no good answer, before it is
            given up; with 0 every file is on its own.
    """

    retries: int = 3
    wait: float = 0.5
    max_wait: float = 120.0
    statuses: frozenset[int] = RETRY_STATUSES
    allowed: frozenset[int] = frozenset()
    host_patience: float = 120.0


class FileSettings(NamedTuple):
    """Where files go and how they are finished; the worker's.

    Attributes:
        directory: the output directory.
        mtime: give a file its Last-Modified time.
        fsync: flush each file to the disk before it gets its name.
        if_exists: what is done with a file that is there already.
        trust_existing: with ``skip`` it is not even held against what the list says of it.
        content_check: refuse an HTML page where the name promises something else.
        max_time: seconds one attempt may take, or None.
        max_size: bytes a file may have, or None.
        min_size: bytes a file must have, or None.
        min_free: bytes of the disk that are to stay free, or None.
        expect_types: media types a file may be of, as ``image/*``; empty for any.
        reserved: paths that no server may give a file; see `NamingSettings`.
        split: connections that fetch one large file at once, where there are idle lanes.
        min_split: bytes that a connection is given to fetch, at the least; less only at the end.
        digests: algorithms; with each the digest of every fetched file is computed.
        digest_there: also those of files that are there already.
        describe: workers tell what servers say of a file, see `pdl.model.Facts`.
    """

    directory: str = "."
    mtime: bool = True
    fsync: bool = False
    if_exists: IfExists = "skip"
    trust_existing: bool = False
    content_check: bool = True
    max_time: float | None = None
    max_size: int | None = None
    min_size: int | None = None
    min_free: int | None = None
    expect_types: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    split: int = 4
    min_split: int = 20 * 1024 * 1024
    digests: tuple[str, ...] = ()
    digest_there: bool = False
    describe: bool = False


class NamingSettings(NamedTuple):
    """How names are chosen; the planner's.

    Attributes:
        template: as ``{n}-{name}``; None is ``{name}``.
        tree: put files under ``host/path``.
        on_collision: what happens when two URLs want one name.
        reserved: paths relative to the output directory that no download may have: of the run's
            own lists and reports.
        server_names: a file gets the name that its server gives, where it gives one.
        cut_dirs: so many directories below the host are left out of the tree.
        aside: the directory in ``.pdl`` that is a shard's own, with its slash; mostly empty.
        apart: names that get digits of the URL, as other runs fill the directory: those that the
            list gives, or all; with ``host`` more digits. See `pdl.sources.shards`.
    """

    template: str | None = None
    tree: bool = False
    on_collision: OnCollision = "hash"
    reserved: tuple[str, ...] = ()
    server_names: bool = False
    cut_dirs: int = 0
    aside: str = ""
    apart: Apart = ""


class PoolSettings(NamedTuple):
    """How the work is spread; the pool's.

    Attributes:
        jobs: downloads in flight, or ``auto``.
        processes: worker processes; None chooses.
        engine: which pool runs the tasks.
        start_method: of multiprocessing; None chooses.
        auto_most: downloads in flight with ``auto``, at the most.
    """

    jobs: Jobs = 8
    processes: int | None = None
    engine: EngineKind = "process"
    start_method: StartMethod | None = None
    auto_most: int = AUTO_MOST

    def first_jobs(self) -> int:
        """Downloads in flight when the run begins."""
        return min(AUTO_FIRST, self.auto_most) if self.jobs == AUTO else int(self.jobs)

    def most_jobs(self) -> int:
        """Downloads in flight at the most."""
        return self.auto_most if self.jobs == AUTO else int(self.jobs)

    def method(self) -> StartMethod:
        """The start method, chosen if it was not given.

        A fork is the fastest, but a copy of a process with threads may find locks held for ever;
        the fork server has none, and starts while the main process still reads the list.
        """
        return self.start_method or "forkserver"

    def split(self) -> tuple[int, int]:
        """How many processes, and how many lanes in each at the most; `most_jobs` together."""
        cores = os.cpu_count() or 1
        chosen = min(self.first_jobs(), max(2, cores))
        processes = max(1, min(self.most_jobs(), self.processes or chosen))
        return processes, -(-self.most_jobs() // processes)


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
        quota: bytes received after which nothing new starts, or None.
    """

    max_failures: int | None = None
    deadline: float | None = None
    per_host: int | None = None
    quota: int | None = None


class PaceSettings(NamedTuple):
    """How often attempts begin at one origin, retries included; the schedule's.

    Attributes:
        rate: how many in a time, spread evenly, as ``2/s``, ``5/15s`` or ``100/m``; or None.
        wait: seconds from one to the next, or None.
        random_wait: these vary from 0.5 to 1.5 of `wait`.
    """

    rate: str | None = None
    wait: float | None = None
    random_wait: bool = False


class HookSettings(NamedTuple):
    """What is done with each file that was fetched; the results'.

    Attributes:
        command: run for each, with the fields of `pdl.text.hook_words`; or None.
        jobs: how many of these run at once; None chooses.
        seconds: that one may take.
    """

    command: str | None = None
    jobs: int | None = None
    seconds: float = 3600.0


class Settings(NamedTuple):
    """Everything a run is told."""

    input: InputSettings = InputSettings()
    http: HttpSettings = HttpSettings()
    auth: AuthSettings = AuthSettings()
    retry: RetrySettings = RetrySettings()
    files: FileSettings = FileSettings()
    naming: NamingSettings = NamingSettings()
    pool: PoolSettings = PoolSettings()
    stop: StopSettings = StopSettings()
    pace: PaceSettings = PaceSettings()
    lock: LockSettings = LockSettings()
    cache: CacheSettings = CacheSettings()
    hooks: HookSettings = HookSettings()


def check(settings: Settings) -> None:
    """See to it that the run can do what its settings say.

    Raises:
        UsageError: a value breaks its field's rule, see `fault_of`, or two do not go together.
    """
    for path in _RULES:
        part, _, name = path.partition(".")
        fields = getattr(settings, part)
        if fault := _typed_fault(path, getattr(fields, name), fields._field_defaults[name]):
            raise UsageError(f"{path}: {fault}")
    if not settings.files.directory:
        raise UsageError(
            "the output directory's name is empty (--dir)", "the current directory is ."
        )
    if settings.lock.locked and settings.lock.path is None:
        raise UsageError("--locked needs a lock file", "name it with --lock FILE")
    if settings.pace.random_wait and settings.pace.wait is None:
        raise UsageError("--random-wait needs a time to vary", "say it with --wait S")
    if settings.http.key and not settings.http.cert:
        raise UsageError("--key needs a certificate", "name it with --cert FILE")


def _typed_fault(path: str, value: object, usual: object) -> str:
    """As `fault_of`, for a value that a program gives, which may be of any type."""
    if value is usual:
        return ""  # good, and quicker than its rule
    if value is None:
        return "None is no value of it"
    try:
        return fault_of(path, value)
    except (TypeError, AttributeError, ValueError):
        return f"a value of type {type(value).__name__} is none of it"


def fault_of(path: str, value: object) -> str:
    """Why a field cannot have this value, which the text shows unless it may be secret.

    The command line and `check` both ask here, so that both say the same.

    Args:
        path: of the field in `Settings`, as ``pool.jobs``.
        value: of the field's type; None, where nothing was said, is always good.

    Returns:
        What is wrong, or the empty text.
    """
    rule = _RULES.get(path)
    return "" if rule is None or value is None else rule(value)


def _jobs_fault(jobs: Jobs) -> str:
    if isinstance(jobs, str):
        return "" if jobs == AUTO else f"{jobs!r} is neither a number nor {AUTO}"
    return rules.at_least(1)(jobs)


_hosts_fault = rules.elsewhere("pdl.text.host_tables.hosts_fault")

_FROM_0 = """
    cache.size files.max_size files.min_free files.min_size http.max_redirects http.min_speed
    naming.cut_dirs retry.retries
"""
_FROM_1 = """
    files.min_split files.split hooks.jobs pool.processes stop.max_failures stop.per_host
    stop.quota
"""
_TIMES = "files.max_time hooks.seconds http.connect_timeout http.timeout stop.deadline"
_TIMES_FROM_0 = "pace.wait retry.host_patience retry.max_wait retry.wait"

_RULES: "dict[str, Callable[[Any], str]]" = {
    "input.base_url": url_fault,
    "input.url_command": rules.command_fault,
    "input.columns": rules.columns_fault,
    "input.rewrite": rules.file_fault,
    "input.checksums": rules.checksums_fault,
    "input.shard": rules.elsewhere("pdl.text.shards.shard_fault"),
    "input.shard_by": rules.one_of(ShardBy),
    "input.archive": rules.output_fault,
    "http.headers": rules.headers_fault,
    "http.user_agent": lambda agent: rules.header_fault("User-Agent", agent),
    "http.referer": lambda url: rules.header_fault("Referer", url),
    "http.hosts": lambda tables: _hosts_fault(tables, _typed_fault),
    "http.proxy": rules.proxy_url_fault,
    **dict.fromkeys(("http.cacert", "http.cert", "http.key"), rules.file_fault),
    "http.ip_version": lambda given: "" if given in {4, 6} else f"{given!r} is neither 4 nor 6",
    "http.resolve": places_fault,
    "http.limit_rate": rules.elsewhere("pdl.text.timetable.rates_fault"),
    "auth.users": rules.users_fault,
    "auth.bearer": rules.bearers_fault,
    **dict.fromkeys(("auth.netrc_file", "auth.cookies_file"), rules.file_fault),
    "auth.helpers": rules.helpers_fault,
    "retry.statuses": rules.statuses_fault,
    "retry.allowed": rules.statuses_fault,
    "files.if_exists": rules.one_of(IfExists),
    "files.expect_types": rules.types_fault,
    "naming.on_collision": rules.one_of(OnCollision),
    "pool.jobs": _jobs_fault,
    "pool.start_method": rules.one_of(StartMethod),
    "pace.rate": rules.elsewhere("pdl.text.units.period_fault"),
    "lock.path": rules.output_fault,
    "cache.path": rules.output_fault,
    "hooks.command": rules.elsewhere("pdl.text.hook_words.command_fault"),
    **dict.fromkeys(_FROM_0.split(), rules.at_least(0)),
    **dict.fromkeys(_FROM_1.split(), rules.at_least(1)),
    **dict.fromkeys(_TIMES.split(), rules.seconds_of()),
    **dict.fromkeys(_TIMES_FROM_0.split(), rules.seconds_of(zero=True)),
}
"""What the values of a field must be; a field that is not here takes what its type has."""
