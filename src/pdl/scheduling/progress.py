"""The nouns of a run under way and at its end: what a display is told, its numbers, its hosts.

Immutable values made of plain data; nothing here does any work.
"""

from typing import Literal

from pdl.text.named_tuple import NamedTuple


class Transfer(NamedTuple):
    """A download under way, for the display.

    Attributes:
        path: relative to the output directory.
        received: bytes of the file so far, a resumed part included.
        size: of the whole file, or None while unknown.
    """

    path: str
    received: int
    size: int | None


class Waiting(NamedTuple):
    """What a run waits for before it asks a host again, for the display.

    Attributes:
        host: whom it is asked of.
        seconds: until then.
        why: the failure's word, as ``http-503``; empty where it is not known.
        files: that wait for it.
    """

    host: str
    seconds: float
    why: str
    files: int


class Standing(NamedTuple):
    """Where a run stands at one moment, for the display.

    Attributes:
        live: the transfers under way.
        received: bytes of the whole run so far; never falls.
        total: items expected, or None while the list is still being read.
        now: seconds on a clock that never goes back.
        waiting: whom the run waits for before it asks again, if it does.
        limit: bytes a second that all transfers together may have now, or None.
        ahead: items that were read and need a lane, and have none yet.
        commands: files that were fetched and wait for their command, or for its end.
    """

    live: tuple[Transfer, ...]
    received: int
    total: int | None
    now: float
    waiting: Waiting | None = None
    limit: int | None = None
    ahead: int = 0
    commands: int = 0


class HostRow(NamedTuple):
    """What a report has of a host.

    Attributes:
        host: name and port; empty for those that are counted together, where there are very many.
        requests: attempts that were answered, or failed.
        pressure: of them, those that met its limits or its absence.
        rests: how often nobody asked it for a while.
        first_byte_p50, first_byte_p95: seconds in which half, and 95 of 100, answers had begun.
        bytes: received.
        bytes_per_second: from the first attempt to the last answer.
        given_up: lines that ended because it was given up.
        given_up_at: when that was, in seconds since the epoch; None if it was not.
        reason: why it was given up.
    """

    host: str
    requests: int = 0
    pressure: int = 0
    rests: int = 0
    first_byte_p50: float | None = None
    first_byte_p95: float | None = None
    bytes: int = 0
    bytes_per_second: float = 0.0
    given_up: int = 0
    given_up_at: float | None = None
    reason: str = ""


class Span(NamedTuple):
    """A time in which a lane was at a line: one attempt.

    Attributes:
        source, line: as in `pdl.model.Result`.
        lane: its number, from 0.
        began, ended: seconds on the clock of `Standing.now`.
        first: seconds from the last request to the first byte of its answer, or None.
        received: bytes.
        word: of the failure, as ``http-404``; empty where the attempt was a success.
        helps: it was at a part of a file that another lane was at.
    """

    source: str
    line: int
    lane: int
    began: float
    ended: float
    first: float | None = None
    received: int = 0
    word: str = ""
    helps: bool = False


class Summary(NamedTuple):
    """The run in numbers.

    Attributes:
        succeeded: files fetched and whole.
        left: lines known but not finished when the run was stopped.
        bytes: received over the wire.
        seconds: wall-clock time of the run.
        stopped_by: signal number that ended the run early, or None.
        unread: the run stopped before the end of the list was seen.
        halted: it ended early by what the same command meets again, until somebody mends it.
        limit: of `pdl.settings.StopSettings`, that which ended the run early, or None.
        unchecked: of those skipped, files that were held against nothing.
        hosts: of those that were asked, where a report wants it; else of those given up.
    """

    succeeded: int = 0
    skipped: int = 0
    unchanged: int = 0
    failed: int = 0
    left: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stopped_by: int | None = None
    unread: bool = False
    limit: Literal["max_failures", "deadline", "quota"] | None = None
    unchecked: int = 0
    halted: bool = False
    hosts: "tuple[HostRow, ...]" = ()
