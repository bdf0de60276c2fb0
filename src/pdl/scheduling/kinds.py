"""What a failure's kind means: whose fault it is, whether its part is kept, what helps.

One table with a row for every `FailureKind`. Whether one failure is transient is found out where it
happens; here stands whether that kind ever is.
"""

from __future__ import annotations

import enum
from typing import Literal

from pdl.model import Fail, FailureKind
from pdl.text.named_tuple import NamedTuple


class Fault(enum.Enum):
    """Whose fault a failure is, and so whether another mirror may do better."""

    HOST = "the host's: it would have failed whatever was asked of it"
    FILE = "that of the file, or of its URL: the next mirror may do better"
    MACHINE = "this machine's: no mirror would do better"
    RUN = "the run's, by its options or its end: no mirror would do better"


class Kind(NamedTuple):
    """What a kind of failure means.

    Attributes:
        kind: of which this is the row.
        fault: whose.
        hint: what to do, for people; empty where the message says it all.
        lasting: whether it is always permanent, always transient (the same request may succeed
            later), or now this and now that.
        keeps_part: the bytes so far are worth keeping, even if the failure is permanent.
        proves_host: only a host that is up and answers can cause it.
        check_hint: what to do where ``--check`` finds it.
    """

    kind: FailureKind
    fault: Fault
    hint: str
    lasting: Literal["permanent", "transient", "both"] = "permanent"
    keeps_part: bool = True
    proves_host: bool = False
    check_hint: str = ""


_AGAIN = (
    "remove what is wrong, and a run fetches just that; "
    "--if-exists overwrite fetches every file again"
)

KINDS = (
    Kind(FailureKind.INVALID_URL, Fault.FILE, "correct the line in the list"),
    Kind(FailureKind.DNS, Fault.HOST, "check the host's name", lasting="both"),
    Kind(
        FailureKind.CONNECT,
        Fault.HOST,
        "check the port, the proxy and the network",
        lasting="both",
    ),
    Kind(
        FailureKind.TLS,
        Fault.HOST,
        "no secure connection came about",
    ),
    Kind(
        FailureKind.TIMEOUT,
        Fault.HOST,
        "the server was silent; --timeout allows more",
        lasting="transient",
    ),
    Kind(
        FailureKind.STALLED,
        Fault.HOST,
        "the server was too slow for --timeout, --max-time or --min-speed",
        lasting="transient",
    ),
    Kind(
        FailureKind.RESET,
        Fault.FILE,  # the host's if nothing of the file had come: see `mirrors`
        "the server closed the connection; fewer jobs may help",
        lasting="transient",
    ),
    Kind(
        FailureKind.TRUNCATED,
        Fault.FILE,
        "the server keeps closing the connection too early",
        lasting="transient",
    ),
    Kind(
        FailureKind.PROTOCOL,
        Fault.FILE,
        "the server's answer breaks the rules of HTTP",
        keeps_part=False,
    ),
    Kind(
        FailureKind.HTTP,
        Fault.FILE,  # the host's for some statuses: see `mirrors`
        "",  # what the status says: see `hint_of`
        lasting="both",
        keeps_part=False,
        proves_host=True,
    ),
    Kind(FailureKind.REDIRECT, Fault.FILE, "the redirects lead nowhere pdl may go"),
    Kind(
        FailureKind.MISSING,
        Fault.FILE,
        "",
        check_hint="the same command without --check fetches what is missing",
    ),
    Kind(
        FailureKind.CHECKSUM,
        Fault.FILE,
        "the bytes are not those that were promised",
        lasting="both",
        keeps_part=False,
        proves_host=True,
        check_hint=_AGAIN,
    ),
    Kind(
        FailureKind.SIZE,
        Fault.FILE,
        "the file's size is not the expected one",
        keeps_part=False,
        proves_host=True,
        check_hint=_AGAIN,
    ),
    Kind(
        FailureKind.CONTENT,
        Fault.FILE,
        "not what was expected",
        keeps_part=False,
        proves_host=True,
    ),
    Kind(FailureKind.NAME, Fault.RUN, "give the file another name with out= in the list"),
    Kind(FailureKind.EXISTS, Fault.MACHINE, "something is in the way of that name"),
    Kind(
        FailureKind.HELPER,
        Fault.FILE,
        "the program that is to give credentials or the URL did not",
        lasting="both",
    ),
    Kind(FailureKind.POLICY, Fault.FILE, "the options given forbid it"),
    Kind(FailureKind.DISK, Fault.MACHINE, "make room or give permission on this machine first"),
    Kind(
        FailureKind.EXEC,
        Fault.RUN,
        "the file is there, and the next run runs the command of --exec for it again",
        lasting="both",
    ),
    Kind(
        FailureKind.WORKER_DIED,
        Fault.MACHINE,
        "the process that downloaded it was killed; is memory short?",
        lasting="transient",
    ),
    Kind(FailureKind.CANCELLED, Fault.RUN, "", lasting="transient"),
    Kind(FailureKind.INTERNAL, Fault.FILE, "a mistake in pdl itself; please report it"),
)

HOST_FAULTS = frozenset(row.kind for row in KINDS if row.fault is Fault.HOST)
"""Kinds that say that the host is in trouble."""
OWN_FAULTS = frozenset(row.kind for row in KINDS if row.fault in {Fault.MACHINE, Fault.RUN})
"""Kinds that would be no other at another mirror."""
PROOFS_OF_HOST = frozenset(row.kind for row in KINDS if row.proves_host)
"""Kinds that only a host can cause that is up."""
USELESS_PARTS = frozenset(row.kind for row in KINDS if not row.keeps_part)
"""Kinds after which a part is not worth keeping, if they are permanent."""

_HINTS = {row.kind.value: row.hint for row in KINDS} | {
    "http-401": "the server wants credentials",
    "http-403": "the server refuses access",
    "http-404": "the server has no such file",
    "http-407": "the proxy wants a user name and password",
    "http-410": "the file is gone for good",
    "http-429": "the server wants fewer requests: try later, or with fewer jobs",
}
_CHECK_HINTS = {row.kind.value: row.check_hint for row in KINDS}


def hint_of(word: str) -> str:
    """What to do about failures of that kind; empty where nothing is known.

    Args:
        word: as `pdl.model.failure_word` gives it.
    """
    trouble = "the server is in trouble or overloaded" if word.startswith("http-5") else ""
    return _HINTS.get(word, trouble)


def check_hint_of(word: str) -> str:
    """The same where ``--check`` has found it."""
    return _CHECK_HINTS.get(word, "")


TOO_MANY = 429
UNAVAILABLE = 503
_UNANSWERED = frozenset({FailureKind.TIMEOUT, FailureKind.RESET, FailureKind.STALLED})


def is_pressure(fail: Fail) -> bool:
    """Whether a failure says that its origin has too much, or is away.

    What breaks off after the first byte of the answer is the file's matter.
    """
    if fail.kind is FailureKind.HTTP:
        return fail.status in {TOO_MANY, UNAVAILABLE} or fail.retry_after is not None
    if fail.kind is FailureKind.CONNECT:
        return fail.transient
    if fail.kind in _UNANSWERED:
        return fail.first is None and not fail.received
    return fail.kind is FailureKind.DNS


def may_be_of_file(fail: Fail, host: str) -> bool:
    """Whether pressure that one file alone meets may be the file's own trouble.

    Args:
        fail: how it failed.
        host: that it was asked of; a redirect may have led to another.
    """
    url = fail.final_url or ""
    elsewhere = bool(url) and url.partition("://")[2].partition("/")[0] != host
    unavailable = fail.status == UNAVAILABLE and fail.retry_after is None
    return unavailable or elsewhere or fail.kind in _UNANSWERED


MENDED_BY_FETCHING = frozenset({FailureKind.CHECKSUM, FailureKind.SIZE, FailureKind.MISSING})
"""How a file that is there may be wrong so that fetching it helps."""
