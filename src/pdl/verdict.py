"""What an answer's head means for an attempt, whichever way it came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import Fail, FailureKind
from pdl.retry import retry_after
from pdl.settings import RETRY_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable


USELESS = frozenset(
    {
        FailureKind.CHECKSUM,
        FailureKind.SIZE,
        FailureKind.CONTENT,
        FailureKind.PROTOCOL,
        FailureKind.HTTP,
    }
)
"""Kinds after which a part is not worth keeping, if they are permanent."""


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
