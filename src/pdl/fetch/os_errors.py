"""What the system's own errors are to the user: an item's failure, or the end of the run."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pdl.model import Fail, FailureKind

if TYPE_CHECKING:
    from pdl.model import Task

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


def system_failure(task: Task, directory: str, exc: OSError) -> Fail:
    """The failure that an error of the file system makes of an attempt.

    Args:
        task: what was attempted.
        directory: the output directory.
        exc: the error. A write, unlike an open, does not say of which file: then it is the task's.
    """
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
