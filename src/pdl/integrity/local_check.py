"""A look at a file that is there: whether it is what the list and the lock say. Asks no server."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from pdl.integrity.check import Check, Mismatch, check_of, size_fault, wanted_size
from pdl.model import Answer, Fail, FailureKind, Success

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Task

BUFFER = 512 * 1024
"""Bytes to read at once; only the pages that were used take memory."""
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Not blocking, for what was a file a moment ago may be a pipe now."""


class _Wrong(Exception):
    """The file is not what it should be."""

    def __init__(self, kind: FailureKind, message: str, size: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.size = size


def examine(task: Task, directory: str, buffer: memoryview, stopped: Callable[[], bool]) -> Answer:
    """Look at the task's file; its bytes are read only if a digest is known or asked for.

    Args:
        task: what the file should be.
        directory: the output directory.
        buffer: is read into.
        stopped: says whether the run is to stop.
    """
    began = time.monotonic()
    size: int | None = None
    try:
        size, found = _look(task, f"{directory}/{task.path}", buffer, stopped)
    except _Wrong as exc:
        kind, message, size = exc.kind, exc.message, exc.size
    except (FileNotFoundError, NotADirectoryError):
        kind, message = FailureKind.MISSING, f"there is no file {task.path}"
    except OSError as exc:
        kind, message = FailureKind.DISK, f"{exc.strerror or exc} ({directory}/{task.path})"
    else:
        spent = time.monotonic() - began
        return Success("success", task.id, 0, "", 0, size, 0, spent, checksum=found)
    return Fail(
        "fail",
        task.id,
        kind,
        transient=kind is FailureKind.CANCELLED,
        message=message,
        size=size,
        seconds=time.monotonic() - began,
    )


def _look(
    task: Task, path: str, buffer: memoryview, stopped: Callable[[], bool]
) -> tuple[int, str | None]:
    """The file's size and digest, the latter None where none is known or asked for."""
    size = _size_of(task, os.stat(path))
    check = check_of(task, None)
    if check is None:
        return size, None
    fd = os.open(path, _READ)
    try:
        _size_of(task, os.fstat(fd))
        size = _digest(check, fd, buffer, stopped)
        return size, check.finish()
    except Mismatch as exc:
        message = f"{task.path} on this disk: {exc.message}"
        raise _Wrong(FailureKind.CHECKSUM, message, size) from exc
    finally:
        os.close(fd)


def _size_of(task: Task, found: os.stat_result) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise _Wrong(FailureKind.EXISTS, f"{task.path} is there and is not a file")
    if wanted_size(task) not in {None, found.st_size}:
        fault = size_fault(task, found.st_size)
        raise _Wrong(FailureKind.SIZE, f"{task.path} on this disk: {fault}", found.st_size)
    return found.st_size


def _digest(check: Check, fd: int, buffer: memoryview, stopped: Callable[[], bool]) -> int:
    size = 0
    while count := os.readv(fd, [buffer]):
        check.update(buffer[:count])
        size += count
        if stopped():
            raise _Wrong(FailureKind.CANCELLED, "the run was stopped")
    return size
