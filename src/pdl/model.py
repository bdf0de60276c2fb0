"""The nouns: what a list holds, what a worker is given, what it answers, what a report says.

Everything here is an immutable value made of plain data, so that it crosses a process boundary
without surprises. Nothing here does any work.
"""

import enum
from functools import partial
from typing import Literal, NewType

from pdl.text.named_tuple import NamedTuple

SafePath = NewType("SafePath", str)
"""A relative path that `pdl.naming.namer` has made; nothing else makes one. Separator is ``/``."""


class FailureKind(str, enum.Enum):
    """Why an item failed; the value is the stable word that reports show.

    `HTTP` is shown with its status, as ``http-404``: see `failure_word`.
    """

    INVALID_URL = "invalid-url"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    RESET = "reset"
    TRUNCATED = "truncated"
    PROTOCOL = "protocol"
    HTTP = "http"
    REDIRECT = "redirect"
    MISSING = "missing"
    CHECKSUM = "checksum"
    SIZE = "size"
    CONTENT = "content"
    NAME = "name"
    EXISTS = "exists"
    HELPER = "helper"
    POLICY = "policy"
    DISK = "disk"
    EXEC = "exec"
    WORKER_DIED = "worker-died"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    def __str__(self) -> str:
        return self.value


def failure_word(kind: FailureKind, status: int | None) -> str:
    """The word a report shows: the kind, and ``http-NNN`` for a refused status."""
    return f"http-{status}" if kind is FailureKind.HTTP else kind.value


class Outcome(str, enum.Enum):
    """How one line of the list ended."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"
    FAIL = "fail"

    def __str__(self) -> str:
        return self.value


Headers = tuple[tuple[str, str], ...]
"""Header fields, in order, name and value."""


class User(NamedTuple):
    """A user, for one receiver.

    Attributes:
        host: a host, or host and port; empty for the origin of the first line; that origin, as
            ``https://example.org``, once it is known.
        password: None if it is to be asked for.
        variable: of the environment, which holds the password instead; in a host's table alone.
    """

    host: str
    name: str
    password: str | None = None
    variable: str = ""


class AuthSettings(NamedTuple):
    """Who the user is, and to whom; see `pdl.auth`.

    Attributes:
        users: with their passwords.
        bearer: hosts, and variables of the environment that hold their tokens.
        netrc: use the user's netrc file.
        netrc_file: use this one.
        cookies: take those that servers set, for the run.
        cookies_file: others, to begin with, in Netscape's format.
        helpers: hosts, or empty for all that are listed, and commands that give credentials.
        near: of ``users`` and ``bearer`` those that count more than what hosts' tables say.
    """

    users: tuple[User, ...] = ()
    bearer: tuple[tuple[str, str], ...] = ()
    netrc: bool = False
    netrc_file: str | None = None
    cookies: bool = True
    cookies_file: str | None = None
    helpers: tuple[tuple[str, str], ...] = ()
    near: tuple[str, ...] = ()


class Pieces(NamedTuple):
    """Digests of a file's pieces, in order; the last piece may be shorter.

    Attributes:
        algorithm: a name of hashlib's.
        length: bytes of each piece.
        digests: one after the other.
    """

    algorithm: str
    length: int
    digests: bytes


class Item(NamedTuple):
    """One line of a list: what is to be fetched and what is known of it beforehand.

    Attributes:
        url: as listed.
        mirrors: further URLs of the same file, best first.
        out: the wanted file name, relative to the directory; None means from the URL.
        directory: a directory below the output directory, from the list.
        checksum: ``algorithm:hex``, or None.
        size: in bytes, or None.
        headers: sent to the origin of `url` alone.
        pieces: digests of its pieces, or None.
        fields: further columns of its row in the list: names and values, where they are kept.
        source: the list's name as the user gave it; ``-`` is standard input. By keyword.
        line: line number in it, from 1; 0 where there are no lines (a URL argument). By keyword.
    """

    url: str
    mirrors: tuple[str, ...] = ()
    out: str | None = None
    directory: str | None = None
    checksum: str | None = None
    size: int | None = None
    headers: Headers = ()
    pieces: Pieces | None = None
    fields: tuple[tuple[str, object], ...] = ()
    source: str = ""
    line: int = 0


class BadLine(NamedTuple):
    """A line that is not an item; it becomes that line's ``invalid-url`` outcome."""

    source: str
    line: int
    text: str
    message: str


class Pin(NamedTuple):
    """What a lock file has of an item's file, or that it wants to have it.

    Attributes:
        checksum: ``sha256:hex`` the bytes must have; None where it is to be found out.
        size: in bytes, or None.
        where: the lock's name and line, as ``urls.lock:3``; empty for what is new to it.
    """

    checksum: str | None = None
    size: int | None = None
    where: str = ""


class Refusal(NamedTuple):
    """Why an item fails before any request.

    Attributes:
        kind: of the failure.
        message: what the user is told.
        path: where the item's file would go, where that is known.
    """

    kind: FailureKind
    message: str
    path: SafePath | None = None


class Served(NamedTuple):
    """How a task's file is named where servers give names (``--content-disposition``).

    Attributes:
        digits: 16 hex digits of the URL's, which set its file apart where a name is taken.
        named: the server's name goes before the task's.
        replaces: what stands at the task's path is this URL's file, and may be replaced.
        alone: a file whose name is taken is a failure.
    """

    digits: str
    named: bool
    replaces: bool
    alone: bool


class Version(NamedTuple):
    """A version of a file as it was placed, and what its server named it by.

    Attributes:
        listed: `pdl.text.urls.url_key` of the listed URL.
        giver: the same of the URL that answered, after redirects; 0 when nobody named the version
            and `modified` is a guess from the file's own time.
        bare: the giver's, without its query.
        etag: entity tag with its quotes, weak or strong (RFC 9110 section 8.8.3), or None.
        modified: Last-Modified as sent, or None.
        size: of the file, in bytes.
        mtime_ns: its time of the last change, nanoseconds since the epoch.
        proven: each ``algorithm:hex`` or the like that its bytes were held against.
    """

    listed: int
    giver: int
    bare: int
    etag: str | None
    modified: str | None
    size: int
    mtime_ns: int
    proven: tuple[str, ...] = ()


FIRST_HELPER = 1 << 40
"""The least id of a task that helps; a job's is lower."""
HELPS, HELPS_ELSEWHERE = 1, 2  # see `Task.helps`


class Task(NamedTuple):
    """One attempt's worth of work for a worker.

    Attributes:
        id: names the task in outcomes; unique in a run.
        url: the URL to ask for: the item's own, or one of its mirrors.
        path: where the file goes, relative to the output directory.
        part: file name of the part in ``.pdl``; the same on every run for the same URL and path.
        headers: sent to the origin of `url` alone.
        checksum: ``algorithm:hex`` the bytes must have, or None.
        size: bytes the file must have, or None.
        fragile: a worker died over it: every byte is to be kept for the next.
        pieces: digests that the bytes of its pieces must have, or None.
        pin: what a lock file says of the file, or None; the SHA-256 is found out if there is one.
        local: the file that is there is looked at, and no server asked.
        begun: something of the file may be there: at its path, or a part of this or of another of
            its URLs.
        as_listed: `url` is as the list has it, and is asked for in another form: it has user
            information or a fragment, or is to be normalised.
        remember: the answer is to say which version was placed.
        version: what stands at `path`: to hear that it is unchanged is enough. None fetches.
        other_parts: part files of the item's other mirrors; they go once the file is whole.
        served: the server may name the file, and no file is put over another; mostly None.
        kin: part files for the same path of the URL with another query. One may be gone on with
            where there is no `part`; they go once the file is whole.
        doubted: the server has refused it again and again. If it refuses a range once more, the
            file is asked for without one: it may be the range that it will not have.
        scarce: name and port of its host, if that takes few connections: one that is open is to be
            used before another is opened. Else empty.
        helps: another task is at the same file, and this one is to fetch some of it beside that:
            `HELPS` from the same URL, or `HELPS_ELSEWHERE` from another of the item's. Else 0.
    """

    id: int
    url: str
    path: SafePath
    part: str
    headers: Headers = ()
    checksum: str | None = None
    size: int | None = None
    fragile: bool = False
    pieces: Pieces | None = None
    pin: Pin | None = None
    local: bool = False
    begun: bool = False
    as_listed: bool = False
    remember: bool = False
    version: Version | None = None
    other_parts: tuple[str, ...] = ()
    served: Served | None = None
    kin: tuple[str, ...] = ()
    doubted: bool = False
    scarce: str = ""
    helps: int = 0


task_of = partial(tuple.__new__, Task)


Stay = tuple[int, float]
"""Where an attempt was made: the number of its lane, and `time.monotonic` of its end."""
Facts = tuple[str | None, str | None, str | None, tuple[str, ...], Stay | None]
"""What was found out of a file beside its outcome: Content-Type, ETag and Last-Modified of the
answer that brought it, digests, each ``algorithm:hex``, and where it came from."""


class Success(NamedTuple):
    """A worker's answer: the file is whole and stands at its final name.

    Attributes:
        status: of the answer; 304 where the file that was there is left as it is.
        received: bytes that came over the wire in this attempt.
        size: bytes of the whole file.
        resumed_from: offset this attempt went on from; 0 when it began at the start.
        seconds: what the attempt took.
        message: a remark for the report, such as ``length unverified``; mostly empty.
        version: that was placed, where the task asks for it and there is anything new to remember.
        cached: the bytes came from the cache; `status` is 0 where nobody was asked at all.
        trouble: what came in the cache's way.
        name: the last component of its path, where that was to be found out (`Task.served`) or
            the file system has refused the task's; else None.
        first: seconds from the last request to the first byte of its answer; None if nobody was
            asked.
        hold: seconds in which the server takes no more requests, as it says, or None.
        facts: what is asked for of each file; mostly None.
    """

    word: Literal["success"]
    id: int
    status: int
    final_url: str
    received: int
    size: int
    resumed_from: int
    seconds: float
    checksum: str | None = None
    message: str = ""
    version: Version | None = None
    cached: bool = False
    trouble: str = ""
    name: str | None = None
    first: float | None = None
    hold: float | None = None
    facts: Facts | None = None


PAGE_REMARK = "an HTML page"
"""Of a file whose name promises nothing: begins a message of `Success`, as those below."""
POINTER_REMARK = "a Git LFS pointer, which stands for the file itself"
CODED_REMARK = "as the server coded it"


ON_DISK = "on this disk"
"""Stands in the message of a `Fail` of the file that was there, and not of one that came."""
NOT_KEPT = "are not kept"
"""Stands in the message of a `Fail` whose part was lost, though the failure alone is no reason."""


class Fail(NamedTuple):
    """A worker's answer: this attempt failed.

    Attributes:
        transient: whether the same request may succeed later.
        retry_after: seconds the server asked to wait, or None.
        fatal: the machine itself cannot go on (disk full, no permission, no file handles).
        kept: bytes of the file that this attempt leaves for the next one to go on with.
        first: as in `Success`; None if no byte of an answer came.
        facts: as in `Success`; of a failure there is nothing but where it was.
        The others are as in `Success`.
    """

    word: Literal["fail"]
    id: int
    kind: FailureKind
    transient: bool
    message: str
    status: int | None = None
    final_url: str | None = None
    received: int = 0
    size: int | None = None
    resumed_from: int = 0
    seconds: float = 0.0
    retry_after: float | None = None
    fatal: bool = False
    kept: int = 0
    first: float | None = None
    hold: float | None = None
    facts: Facts | None = None


NOT_MODIFIED = 304
"""Status of a `Success` whose file is left as it is."""

success_of = partial(tuple.__new__, Success)
fail_of = partial(tuple.__new__, Fail)
"""These, and `task_of`, of all their fields; calling the class takes four times as long."""

Answer = Success | Fail


class Result(NamedTuple):
    """How one line of the list ended: a report's row. The fields are those of every format.

    Attributes:
        url: as listed, secrets masked.
        final_url: after redirects, secrets masked.
        path: relative to the output directory.
        kind: the failure's word, as ``http-404``; None unless `outcome` is fail.
        bytes: received over the wire, all attempts together.
        size: of the whole file in bytes, where known.
        resumed_from: offset the last attempt went on from.
        attempts: requests made for it; 0 for what was never tried.
        seconds: from the first attempt's start to the end.
        started: ISO 8601, UTC; None for what was never tried.
        content_type, etag, last_modified: header fields of the answer that brought the file. These
            and `host` are None where nothing that listens has a use for them.
        host: name and port of the server that was asked last; a failure always has it.
        digests: those that were asked for, each ``algorithm:hex``; else None.
        fields: those of `Item`, secrets masked; None where none are kept.
    """

    source: str
    line: int
    url: str
    final_url: str | None
    path: str | None
    outcome: Outcome
    kind: str | None = None
    transient: bool | None = None
    status: int | None = None
    bytes: int = 0
    size: int | None = None
    resumed_from: int = 0
    attempts: int = 0
    seconds: float = 0.0
    started: str | None = None
    checksum: str | None = None
    message: str = ""
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    host: str | None = None
    digests: tuple[str, ...] | None = None
    fields: dict[str, object] | None = None


class Retrying(NamedTuple):
    """An attempt failed and the task is to run again, after `delay` seconds; `path` as in a row."""

    url: str
    message: str
    kind: str
    attempt: int
    delay: float
    path: str


Event = Result | Retrying
"""What an event callback is given: a line's outcome, or an attempt that is to be made again."""
