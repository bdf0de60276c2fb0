"""Rows: how an outcome reads in the reports, secrets masked and nothing that a terminal obeys.

Here alone a row is made. Each is counted, and told to whoever listens, by `Results`.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from pdl.model import (
    NOT_MODIFIED,
    BadLine,
    Fail,
    FailureKind,
    Outcome,
    Refusal,
    Result,
    Retrying,
    Success,
    failure_word,
)
from pdl.scheduling.job import Skip
from pdl.scheduling.progress import Summary
from pdl.text.masking import mask, mask_urls, printable
from pdl.text.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from pdl.model import Facts, Item, SafePath
    from pdl.run.outputs import Outputs
    from pdl.scheduling.job import Job
    from pdl.scheduling.progress import Standing

_THERE = "already there"
_ARCHIVED = "in the archive"
CANCELLED = FailureKind.CANCELLED.value
"""The kind of what a stop of the run left."""
_STOPPED = Refusal(FailureKind.CANCELLED, "the run was stopped")


class Results:
    """Every outcome of a run, counted and handed on.

    Args:
        outputs: told of each row.

    Attributes:
        left: lines that were cancelled, as the run was stopped.
        unchecked: files that were there and were held against nothing.
    """

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._facts = outputs.facts
        self._counts = dict.fromkeys(Outcome, 0)
        self._untold = 0
        self.left = 0
        self.unchecked = 0

    def record(self, row: Result, item: Item | None) -> None:
        """A line has its outcome."""
        if row.kind == CANCELLED:
            self.left += 1
        else:
            self._counts[row.outcome] += 1
        if row.outcome is Outcome.SKIPPED and row.digests and item and item.size is None:
            self.unchecked += 1  # it was read for its digest alone
        if self._facts or row.outcome is Outcome.FAIL:
            row = row._replace(host=_host_of(row))
        self._outputs.record(row, item)

    def passed(self) -> None:
        """A line succeeded, and nobody wants more than the number of those."""
        self._untold += 1

    def tell_passed(self) -> None:
        """Hand on how many `passed` since the last time."""
        self._outputs.passed(self._untold)
        self._counts[Outcome.SUCCESS] += self._untold
        self._untold = 0

    def tick(self, standing: Standing) -> None:
        """Tell where things stand."""
        self._outputs.tick(standing)

    def asked(self) -> int:
        """How many ended so far, but for those that nobody was asked for."""
        counts = self._counts
        ended = counts[Outcome.SUCCESS] + counts[Outcome.UNCHANGED] + counts[Outcome.FAIL]
        return ended + self._untold

    def failed(self) -> int:
        """How many failed so far."""
        return self._counts[Outcome.FAIL]

    def summary(self) -> Summary:
        """How many ended in which way; the rest of it is not known here."""
        counts = self._counts
        return Summary(
            counts[Outcome.SUCCESS],
            counts[Outcome.SKIPPED],
            counts[Outcome.UNCHANGED],
            counts[Outcome.FAIL],
            self.left,
            unchecked=self.unchecked,
        )


def settled(entry: Item | BadLine, how: Skip | Refusal) -> Result:
    """The row of a line that needs no request."""
    if isinstance(entry, BadLine):
        return bad_line(entry)
    if isinstance(how, Skip):
        message = _THERE if how.how is Outcome.SKIPPED else "the same URL as an earlier line"
        message = message if how.path is not None else _ARCHIVED
        return _untried(entry, how.how, message, how.path, how.size)
    row = _untried(entry, Outcome.FAIL, how.message, how.path)
    return row._replace(kind=how.kind.value, transient=how.kind is FailureKind.CANCELLED)


def never_planned(entry: Item | BadLine) -> Result:
    """The row of a line that was read after the run had been stopped."""
    return settled(entry, _STOPPED)


def _untried(
    item: Item, how: Outcome, message: str, path: SafePath | None, size: int | None = None
) -> Result:
    return Result(
        item.source,
        item.line,
        mask(item.url),
        None,
        path,
        how,
        size=size,
        message=printable(message),
        fields=_kept(item),
    )


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


def outcome_of(job: Job, answer: Success) -> Outcome:
    """How a job ended whose file is whole."""
    plan = job.plan
    if plan.local:
        proven = plan.item.checksum or plan.item.pieces or (plan.pin and plan.pin.checksum)
        return Outcome.UNCHANGED if proven else Outcome.SKIPPED
    fetched = answer.status != NOT_MODIFIED or answer.cached
    return Outcome.SUCCESS if fetched else Outcome.UNCHANGED


def succeeded(job: Job, how: Outcome, answer: Success, seconds: float) -> Result:
    """The row of a job whose file is whole."""
    item = job.plan.item
    if job.plan.local:
        message = _THERE if how is Outcome.SKIPPED else "as it should be"
        row = _untried(item, how, message, job.path, answer.size)
        facts = _printable_facts(answer.facts)
        return row._replace(checksum=answer.checksum, digests=facts[3])
    url = mask(item.url)
    content_type, etag, modified, digests = _printable_facts(answer.facts)
    row = Result(
        item.source,
        item.line,
        url,
        url if answer.final_url == item.url else mask(answer.final_url),
        job.path,
        how,
        status=answer.status,
        bytes=job.received,
        size=answer.size,
        resumed_from=answer.resumed_from,
        attempts=job.attempts + job.deaths.total,
        seconds=seconds,
        started=_iso(job.started),
        checksum=answer.checksum,
        message=answer.message,
        content_type=content_type,
        etag=etag,
        last_modified=modified,
        digests=digests,
        fields=_kept(item),
    )
    if answer.status:
        return row
    return row._replace(final_url=None, status=None, attempts=job.attempts - 1 + job.deaths.total)


def _printable_facts(
    facts: Facts | None,
) -> tuple[str | None, str | None, str | None, tuple[str, ...] | None]:
    if facts is None:
        return None, None, None, None
    content_type, etag, modified, digests, _ = facts
    return (
        content_type and printable(content_type),
        etag and printable(etag),
        modified and printable(modified),
        digests or None,
    )


def _host_of(row: Result) -> str | None:
    """Name and port of the server that was asked last; None where the line has no URL."""
    url = row.final_url or row.url
    path = url.find("/", len("https://"))
    return _netloc(url if path < 0 else url[:path])


@functools.lru_cache(maxsize=256)
def _netloc(begin: str) -> str | None:
    """The same of how a URL begins, up to its path."""
    try:
        return parse(begin).netloc
    except InvalidUrl:
        return None


def failed(job: Job, fail: Fail, seconds: float, *, transient: bool) -> Result:
    """The row of a job that is given up."""
    item = job.plan.item
    return Result(
        item.source,
        item.line,
        mask(item.url),
        mask(fail.final_url) if fail.final_url else None,
        job.path,
        Outcome.FAIL,
        kind=failure_word(fail.kind, fail.status),
        transient=transient,
        status=fail.status,
        bytes=job.received,
        size=fail.size,
        resumed_from=fail.resumed_from,
        attempts=0 if job.plan.local else job.attempts + job.deaths.total,
        seconds=seconds,
        started=_iso(job.started),
        checksum=item.checksum,
        message=printable(fail.message),
        fields=_kept(item),
    )


def allowed(row: Result) -> Result:
    """The row of a job whose failure the user allows; no file has come of it, nor any proof."""
    return row._replace(
        outcome=Outcome.SKIPPED,
        kind=None,
        transient=None,
        size=None,
        checksum=None,
        message=f"{row.message} (--allow-status)",
    )


def cancelled(job: Job, seconds: float) -> Result:
    """The row of a job that a stop of the run left unfinished."""
    message = job.stopped or _STOPPED.message
    row = settled(job.plan.item, _STOPPED._replace(path=job.path, message=message))
    return row._replace(
        bytes=job.received,
        attempts=job.attempts + job.deaths.total,
        seconds=seconds,
        started=_iso(job.started),
    )


def shared(result: Result, item: Item) -> Result:
    """The row of a further line with the same URL: received once, and counted once."""
    return result._replace(
        source=item.source,
        line=item.line,
        url=mask(item.url),
        bytes=0,
        attempts=0,
        fields=_kept(item),
    )


def _kept(item: Item) -> dict[str, object] | None:
    """The kept columns of an item; URLs in them may have secrets."""
    return {printable(name): _masked(value) for name, value in item.fields} or None


def _masked(value: object) -> object:
    if isinstance(value, str):
        return mask_urls(value)
    if isinstance(value, dict):
        return {printable(name): _masked(each) for name, each in value.items()}
    return [_masked(each) for each in value] if isinstance(value, list) else value


def retrying(job: Job, fail: Fail, delay: float) -> Retrying:
    """What is told of an attempt that is to be made again after so many seconds."""
    word = failure_word(fail.kind, fail.status)
    url, message = mask(job.plan.item.url), printable(fail.message)
    return Retrying(url, message, word, job.attempts, delay, job.path)


def _iso(clock: float | None) -> str | None:
    return None if clock is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock))
