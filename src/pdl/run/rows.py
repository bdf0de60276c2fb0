"""Rows: how an outcome reads in the reports, secrets masked and nothing that a terminal obeys."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pdl.http_rules.ranges import NOT_MODIFIED
from pdl.model import Fail, FailureKind, Outcome, Result, Success, failure_word
from pdl.text.masking import mask, printable

if TYPE_CHECKING:
    from pdl.model import BadLine, Item, SafePath
    from pdl.scheduling.job import Job


_SKIPPED = (Outcome.SKIPPED, "already there")


def untried(
    item: Item,
    how: Outcome,
    *,
    path: SafePath | None = None,
    size: int | None = None,
    message: str = "",
) -> Result:
    """The row of an item that needed no request."""
    return Result(
        item.source,
        item.line,
        mask(item.url),
        None,
        path,
        how,
        size=size,
        message=printable(message),
    )


def refused(item: Item, kind: FailureKind, message: str, *, path: SafePath | None = None) -> Result:
    """The row of an item that failed before any request."""
    row = untried(item, Outcome.FAIL, path=path, message=message)
    return row._replace(kind=kind.value, transient=kind is FailureKind.CANCELLED)


def bad_line(line: BadLine) -> Result:
    """The row of a line that is no item."""
    return Result(
        line.source,
        line.line,
        mask(line.text),
        None,
        None,
        Outcome.FAIL,
        kind=FailureKind.INVALID_URL.value,
        transient=False,
        message=printable(line.message),
    )


def fetched(job: Job, answer: Success) -> bool:
    """Whether a job has got its file, as it was not there before or not like that."""
    return not job.task.local and (answer.status != NOT_MODIFIED or answer.cached)


def succeeded(job: Job, answer: Success, seconds: float) -> Result:
    """The row of a job whose file is whole."""
    item = job.item
    if job.task.local:
        return looked_at(job, answer)
    url = mask(item.url)
    row = Result(
        item.source,
        item.line,
        url,
        url if answer.final_url == item.url else mask(answer.final_url),
        job.task.path,
        Outcome.SUCCESS if fetched(job, answer) else Outcome.UNCHANGED,
        status=answer.status,
        bytes=job.received,
        size=answer.size,
        resumed_from=answer.resumed_from,
        attempts=job.attempts + job.deaths.total,
        seconds=seconds,
        started=_iso(job.started),
        checksum=answer.checksum,
        message=answer.message,
    )
    if answer.status:
        return row
    return row._replace(final_url=None, status=None, attempts=job.attempts - 1 + job.deaths.total)


def looked_at(job: Job, answer: Success) -> Result:
    """The row of a file that is there: ``unchanged`` where a digest says so, else ``skipped``."""
    task = job.task
    proven = task.checksum or task.pieces or (task.pin and task.pin.checksum)
    how, message = (Outcome.UNCHANGED, "as it should be") if proven else _SKIPPED
    row = untried(job.item, how, path=task.path, size=answer.size, message=message)
    return row._replace(checksum=answer.checksum)


def failed(job: Job, fail: Fail, seconds: float, *, transient: bool) -> Result:
    """The row of a job that is given up."""
    item = job.item
    return Result(
        item.source,
        item.line,
        mask(item.url),
        mask(fail.final_url) if fail.final_url else None,
        job.task.path,
        Outcome.FAIL,
        kind=failure_word(fail.kind, fail.status),
        transient=transient,
        status=fail.status,
        bytes=job.received,
        size=fail.size,
        resumed_from=fail.resumed_from,
        attempts=0 if job.task.local else job.attempts + job.deaths.total,
        seconds=seconds,
        started=_iso(job.started),
        checksum=job.task.checksum,
        message=printable(fail.message),
    )


def cancelled(job: Job, seconds: float) -> Result:
    """The row of a job that a stop of the run left unfinished."""
    row = refused(job.item, FailureKind.CANCELLED, "the run was stopped", path=job.task.path)
    return row._replace(
        bytes=job.received,
        attempts=job.attempts + job.deaths.total,
        seconds=seconds,
        started=_iso(job.started),
    )


def shared(result: Result, item: Item) -> Result:
    """The row of a further line with the same URL: received once, and counted once."""
    return result._replace(
        source=item.source, line=item.line, url=mask(item.url), bytes=0, attempts=0
    )


def _iso(clock: float | None) -> str | None:
    return None if clock is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock))
