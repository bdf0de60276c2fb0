"""What an answer's head means for an attempt, whichever way it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.http_rules.dates import retry_after
from pdl.model import Fail, FailureKind
from pdl.scheduling.kinds import USELESS_PARTS
from pdl.settings import RETRY_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable


USELESS = USELESS_PARTS

_OF_THE_FILE = frozenset({401, 402, 403, 404, 407, 408, 410, 423, 425, 429, 451})
"""Statuses that speak of the file, the user or the moment, whatever was asked beside the URL."""
_NOT_IMPLEMENTED = 501
_SERVER_ERROR = 500


def minds_the_fields(status: int) -> bool:
    """Whether a refusal may be of a request's range or condition, and not of the file.

    Small servers answer 400 to a range that begins behind the end, where RFC 9110 section 15.5.17
    has 416; gateways answer 501 to conditions that they do not know.

    Args:
        status: of the answer.
    """
    return status == _NOT_IMPLEMENTED or (status < _SERVER_ERROR and status not in _OF_THE_FILE)


class StartAgain(Exception):
    """The file is to be asked for anew in the attempt, without a range and without a condition.

    Args:
        drop: the part does not lead to the file, and goes at once; else it goes when the file
            comes from the start.
    """

    def __init__(self, *, drop: bool = True) -> None:
        super().__init__()
        self.drop = drop


class AttemptFailed(Exception):
    """Ends the attempt from within; becomes a `Fail`."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        transient: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.transient = transient
        self.status = status
        self.retry_after = retry_after

    def as_fail(self, task_id: int) -> Fail:
        """The answer that says so."""
        return Fail(
            "fail",
            task_id,
            self.kind,
            self.transient,
            self.message,
            status=self.status,
            retry_after=self.retry_after,
        )


def refusal(status: int, reason: str, header: Callable[[str], str | None]) -> AttemptFailed:
    """How an attempt ends whose answer has a status that brings no file.

    Args:
        status: of the answer; no redirect.
        reason: the server's words for it.
        header: gives a field's value, or None.
    """
    return AttemptFailed(
        FailureKind.HTTP,
        f"the server answered {status} {reason}".rstrip(),
        transient=status in RETRY_STATUSES,
        status=status,
        retry_after=retry_after(header("retry-after"), header("date")),
    )
