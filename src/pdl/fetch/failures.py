"""How attempts fail: what a status, an error of the connection or of the system is to the user."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pdl.http_rules.dates import retry_after
from pdl.model import Fail, FailureKind
from pdl.scheduling.kinds import USELESS_PARTS
from pdl.storage.part import InTheWay
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from pdl.model import Task


_OF_THE_FILE = frozenset({401, 402, 403, 404, 407, 408, 410, 423, 425, 429, 451})
"""Statuses that speak of the file, the user or the moment, whatever was asked beside the URL."""
_OF_THE_USER = frozenset({401, 403, 407})
"""They say that a link has run out, or that something is to be sent with it: its file may be had
with another link, and then goes on."""
_NOT_IMPLEMENTED = 501
_SERVER_ERROR = 500

_FATAL = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
    errno.ENOENT,
    errno.ENOMEM,
}
"""They would meet every other file as well."""

_KINDS = {
    errno.ENAMETOOLONG: FailureKind.NAME,
    errno.EISDIR: FailureKind.EXISTS,
    errno.ENOTDIR: FailureKind.EXISTS,
    errno.EEXIST: FailureKind.EXISTS,
    errno.ELOOP: FailureKind.EXISTS,
}


def minds_the_fields(status: int) -> bool:
    """Whether a refusal may be of a request's range or condition, and not of the file.

    Small servers answer 400 to a range that begins behind the end, where RFC 9110 section 15.5.17
    has 416; gateways answer 501 to conditions that they do not know.

    Args:
        status: of the answer.
    """
    return status == _NOT_IMPLEMENTED or (status < _SERVER_ERROR and status not in _OF_THE_FILE)


def is_useless(fail: Fail) -> bool:
    """Whether after the failure a part is not worth keeping, as far as nothing more is known."""
    if fail.kind is FailureKind.CHECKSUM:
        return True
    if fail.status in _OF_THE_USER:
        return False
    return not fail.transient and fail.kind in USELESS_PARTS


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


def refusal(
    status: int, reason: str, header: Callable[[str], str | None], again: Container[int]
) -> AttemptFailed:
    """How an attempt ends whose answer has a status that brings no file.

    Args:
        status: of the answer; no redirect.
        reason: the server's words for it.
        header: gives a field's value, or None.
        again: statuses worth another try. That is said here alone: whether the part is kept and
            whether the schedule tries again both follow from `Fail.transient`.
    """
    return AttemptFailed(
        FailureKind.HTTP,
        f"the server answered {status} {reason}".rstrip(),
        transient=status in again,
        status=status,
        retry_after=retry_after(header("retry-after"), header("date")),
    )


def failure_of(exc: Exception, task: Task, directory: str) -> Fail:
    """The failure that an error makes of an attempt.

    Args:
        exc: an `AttemptFailed`, a `TransportError`, an `InTheWay` or an `OSError`.
        task: what was attempted.
        directory: the output directory.
    """
    if isinstance(exc, AttemptFailed):
        return exc.as_fail(task.id)
    if isinstance(exc, TransportError):
        fatal = exc.kind is FailureKind.DISK
        return Fail("fail", task.id, exc.kind, exc.transient, exc.message, fatal=fatal)
    if isinstance(exc, InTheWay):
        return Fail("fail", task.id, FailureKind.EXISTS, transient=False, message=str(exc))
    assert isinstance(exc, OSError)
    return _system_failure(exc, task, directory)


def _system_failure(exc: OSError, task: Task, directory: str) -> Fail:
    """A write, unlike an open, does not say of which file its error is: then it is the task's."""
    reason = exc.strerror or str(exc)
    where = exc.filename2 or exc.filename or f"{directory}/{task.path}"
    return Fail(
        "fail",
        task.id,
        _KINDS.get(exc.errno or 0, FailureKind.DISK),
        transient=False,
        message=f"{reason} ({where})",
        fatal=exc.errno in _FATAL,
    )
