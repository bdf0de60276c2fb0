"""What an attempt decides, told by events alone: no server, no file, no clock."""

from __future__ import annotations

import ast
import errno
from pathlib import Path
from typing import NamedTuple

import pytest

from pdl import fetch
from pdl.fetch.attempt import Attempt
from pdl.fetch.commands import Ask, Command, Do, Offer, Place, Receive, Refuse
from pdl.fetch.failures import AttemptFailed, StartAgain
from pdl.http_rules.ranges import Known, Validator
from pdl.integrity.check import Mismatch
from pdl.model import Fail, FailureKind, SafePath, Served, Success, Task, Version
from pdl.settings import FileSettings, HttpSettings
from pdl.storage.cache.store import CacheEntry
from pdl.storage.note import NOTE_BYTES, NOTE_SECONDS
from pdl.transport import TransportError

URL = "http://h/f.zip"
TAG = '"1"'
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
SECONDS = 784111777.0
ZERO = "sha256:" + "0" * 64
PART = Known(40, Validator(TAG), 100)
ZIP = b"PK\x03\x04" + bytes(96)


class Head(NamedTuple):
    """An answer's head."""

    status: int = 200
    length: int | None = 100
    fields: tuple[tuple[str, str], ...] = ()
    framed: bool = True
    reason: str = "words"

    def header(self, name: str, /) -> str | None:
        return dict(self.fields).get(name)


def with_fields(status: int = 200, length: int | None = 100, **fields: str) -> Head:
    named = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return Head(status, length, named)


REST = with_fields(206, 60, content_range="bytes 40-99/100", etag=TAG)


def attempt_at(
    http: HttpSettings | None = None, files: FileSettings | None = None, **task: object
) -> Attempt:
    told = Task(1, URL, SafePath("f.zip"), "1.part")._replace(**task)  # type: ignore[arg-type]
    return Attempt(http or HttpSettings(), files or FileSettings(), told, 10.0)


def failed(attempt: Attempt, fault: type[Exception] | Exception) -> Ask | Fail:
    """What becomes of an error."""
    return attempt.error(fault if isinstance(fault, Exception) else fault(), 12.0)


def fault_of(attempt: Attempt, head: Head) -> FailureKind:
    with pytest.raises(AttemptFailed) as caught:
        attempt.head(head)
    fail = attempt.error(caught.value, 12.0)
    assert isinstance(fail, Fail)
    assert fail.seconds == 2.0
    return fail.kind


# --- from the beginning to the end ---


def test_a_file_from_its_start() -> None:
    attempt = attempt_at()
    assert attempt.begin() is Do.FIND
    ask = attempt.found(None)
    assert isinstance(ask, Ask)
    assert ask.request.url == URL
    assert {name for name, _ in ask.request.headers}.isdisjoint({"Range", "If-Range"})
    assert attempt.head(with_fields(last_modified=DATE)) is Do.START
    assert attempt.opened() == Receive(100, body=True)
    assert not attempt.took(100, 100, 10.5, stopped=False, slow=False)
    attempt.end(100)
    assert attempt.complete(100) == Place(SECONDS)
    done = Success("success", 1, 200, URL, 100, 100, 0, 2.0)
    assert attempt.placed(100, 12.0) == done


def test_all_at_once_is_the_same() -> None:
    attempt = attempt_at()
    attempt.asked = URL
    assert attempt.head(with_fields(last_modified=DATE), memoryview(ZIP)) == Place(SECONDS)
    assert attempt.placed(100, 12.0) == Success("success", 1, 200, URL, 100, 100, 0, 2.0)


def test_a_rest() -> None:
    attempt = attempt_at(checksum=ZERO)
    attempt.begin()
    ask = attempt.found(PART)
    assert isinstance(ask, Ask)
    assert ask.request.headers[-2:] == (("Range", "bytes=40-"), ("If-Range", TAG))
    assert attempt.head(REST) is Do.GO_ON
    assert attempt.opened(memoryview(ZIP)[:40]) == Receive(100, body=True)
    attempt.took(60, 100, 10.5, stopped=False, slow=False)
    attempt.end(100)
    assert attempt.complete(100) is Do.PROVE
    assert attempt.proven_as(ZERO, "a remark") == Place(None)
    done = attempt.placed(100, 12.0)
    assert (done.received, done.size, done.resumed_from) == (60, 100, 40)
    assert (done.checksum, done.message) == (ZERO, "a remark")


def test_a_part_that_is_whole_is_not_received_but_after_starting_again_it_is() -> None:
    attempt = attempt_at(checksum=ZERO)
    attempt.begin()
    attempt.found(PART._replace(offset=100))
    whole = with_fields(416, 0, content_range="bytes */100", etag=TAG)
    assert attempt.head(whole) is Do.GO_ON
    assert attempt.opened() == Receive(100, body=False)
    attempt.end(100)
    assert attempt.complete(100) is Do.PROVE
    again = failed(attempt, Mismatch("wrong", transient=False))
    assert isinstance(again, Ask)
    assert again.drop
    assert attempt.head(Head()) is Do.START
    assert attempt.opened() == Receive(100, body=True)


# --- the order of the checks ---

BAD = with_fields(content_type="text/html", content_range="bytes 5-9/10")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (BAD, FailureKind.PROTOCOL),  # the range before the type,
        (with_fields(content_type="text/html"), FailureKind.CONTENT),  # the type before the size
        (Head(), FailureKind.SIZE),
    ],
)
def test_a_head_is_checked_in_this_order(head: Head, kind: FailureKind) -> None:
    attempt = attempt_at(size=5)
    attempt.begin()
    attempt.found(None)
    assert fault_of(attempt, head) is kind
    assert not attempt.keep


def test_a_status_comes_before_everything() -> None:
    attempt = attempt_at(size=5)
    attempt.begin()
    attempt.found(None)
    command = attempt.head(with_fields(404, content_type="text/html"))
    assert isinstance(command, Refuse)
    assert command.failure.status == 404


def test_the_size_comes_before_the_digest() -> None:
    attempt = attempt_at(checksum=ZERO)
    attempt.begin()
    attempt.found(None)
    attempt.head(Head(length=None))
    attempt.opened()
    attempt._files = FileSettings(min_size=50)
    with pytest.raises(AttemptFailed) as caught:
        attempt.complete(49)
    assert caught.value.kind is FailureKind.SIZE


def test_no_byte_of_a_page_is_taken_for_an_archive() -> None:
    attempt = attempt_at()
    attempt.asked = URL
    with pytest.raises(AttemptFailed) as caught:
        attempt.head(Head(length=6), memoryview(b"<html>"))
    assert caught.value.kind is FailureKind.CONTENT
    attempt.head(Head(length=6))
    assert attempt.opening is not None
    attempt.opening.look(memoryview(b"<html>"))
    with pytest.raises(AttemptFailed):
        attempt.end(6)


@pytest.mark.parametrize(
    ("size", "seconds", "fragile", "noted"),
    [
        (NOTE_BYTES - 1, 0.0, False, False),
        (NOTE_BYTES, 0.0, False, True),
        (1, NOTE_SECONDS, False, True),
        (1, 0.0, True, True),
    ],
)
def test_when_a_part_is_noted(size: int, seconds: float, fragile: bool, noted: bool) -> None:
    attempt = attempt_at(fragile=fragile)
    attempt.begin()
    attempt.found(None)
    attempt.head(Head(length=None))
    attempt.opened()
    assert attempt.took(1, size, 10.0 + seconds, stopped=False, slow=False) == noted


# --- what is asked next ---


def test_redirects_are_followed_so_often_and_not_longer() -> None:
    attempt = attempt_at(HttpSettings(max_redirects=2))
    attempt.begin()
    attempt.found(None)
    command: Command = Do.FIND
    for number in range(2):
        command = attempt.head(with_fields(302, location=f"/{number}"))
        assert isinstance(command, Ask)
        assert (command.drain, command.request.url) == (True, f"http://h/{number}")
    command = attempt.head(with_fields(302, location="/2"))
    assert isinstance(command, Refuse)
    fail = failed(attempt, command.failure)
    assert isinstance(fail, Fail)
    assert (fail.kind, fail.final_url) == (FailureKind.REDIRECT, "http://h/2")


@pytest.mark.parametrize("status", [304, 400, 501])
def test_what_a_range_may_have_caused_is_asked_without_one(status: int) -> None:
    attempt = attempt_at()
    attempt.begin()
    attempt.found(PART)
    try:
        again: Command = attempt.head(Head(status))
    except StartAgain as exc:
        again = attempt.error(exc, 12.0)
    assert isinstance(again, Ask)
    assert "Range" not in dict(again.request.headers)


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("again", [frozenset({404}), frozenset({500}), frozenset[int]()])
def test_a_part_is_kept_where_the_status_is_tried_again(status: int, again: frozenset[int]) -> None:
    attempt = attempt_at(HttpSettings(retry_statuses=again))
    attempt.begin()
    attempt.found(PART)
    command = attempt.head(Head(status))
    assert isinstance(command, Refuse)
    fail = failed(attempt, command.failure)
    assert isinstance(fail, Fail)
    assert fail.transient == attempt.keep == (status in again)


@pytest.mark.parametrize(
    ("exc", "kind", "keep"),
    [
        (TransportError(FailureKind.RESET, "reset", transient=True), FailureKind.RESET, True),
        (TransportError(FailureKind.PROTOCOL, "no", transient=False), FailureKind.PROTOCOL, False),
        (OSError(errno.ENOSPC, "full"), FailureKind.DISK, True),
        (Mismatch("wrong", transient=True), FailureKind.CHECKSUM, False),
        (Mismatch("wrong", transient=True, sound=7), FailureKind.CHECKSUM, True),
    ],
)
def test_what_is_kept_after_a_failure(exc: Exception, kind: FailureKind, keep: bool) -> None:
    attempt = attempt_at()
    attempt.begin()
    attempt.found(None)
    attempt.head(Head())
    fail = failed(attempt, exc)
    assert isinstance(fail, Fail)
    assert (fail.kind, fail.size, attempt.keep) == (kind, 100, keep)


def test_a_rest_that_does_not_fit_starts_the_file_again_once() -> None:
    attempt = attempt_at()
    attempt.begin()
    attempt.found(PART)
    attempt.head(REST)
    attempt.opened()
    with pytest.raises(StartAgain):
        attempt.end(99)
    assert isinstance(failed(attempt, StartAgain), Ask)
    attempt.head(Head())
    attempt.opened()
    attempt.end(99)
    with pytest.raises(AttemptFailed) as caught:
        attempt.complete(99)
    assert caught.value.kind is FailureKind.TRUNCATED


# --- what is there already ---

KEPT = Version(1, 0, 0, None, DATE, 9, 9)


def test_a_304_leaves_the_file_only_if_it_still_is_that_version() -> None:
    attempt = attempt_at(version=KEPT._replace(listed=0, giver=0), remember=True)
    attempt.begin()
    attempt.version = KEPT
    attempt.found(None)
    attempt._conditional = True
    assert attempt.head(Head(304, 0)) is Do.COMPARE
    assert attempt.compared(12.0, same=True).status == 304
    with pytest.raises(StartAgain):
        attempt.compared(12.0, same=False)


def test_a_file_of_the_cache_is_taken_without_a_request_or_asked_for() -> None:
    sure = Offer(CacheEntry("0" * 64, modified=DATE), 0, sure=True)
    attempt = attempt_at(checksum=ZERO)
    assert attempt.begin(sure) is Do.COPY
    assert attempt.copied(9) == Place(SECONDS)
    done = attempt.placed(9, 12.0)
    assert (done.status, done.final_url, done.cached, done.checksum) == (0, "", True, ZERO)
    attempt = attempt_at(checksum=ZERO)
    attempt.begin(sure)
    assert attempt.copied(None) is Do.FIND
    assert isinstance(attempt.found(None), Ask)
    attempt.head(Head())
    assert not attempt.placed(100, 12.0).cached


def test_a_new_version_is_not_said_to_be_from_the_cache() -> None:
    attempt = attempt_at()
    attempt.begin(Offer(CacheEntry("0" * 64, 1, 1, TAG), 9, sure=False), hashes=True)
    attempt.found(None)
    assert attempt.head(Head()) is Do.START
    assert attempt.check is not None
    assert not attempt.placed(100, 12.0).cached


def test_where_servers_give_names_an_earlier_file_is_looked_for_first() -> None:
    served = Served("0" * 16, named=True, replaces=False, alone=False)
    attempt = attempt_at(served=served, size=5)
    attempt.begin()
    attempt.found(None)
    assert attempt.head(with_fields(content_disposition="attachment; filename=x.zip")) is Do.LOOK
    assert attempt.wanted == "x.zip"
    there = Success("success", 1, 0, "", 0, 9, 0, 0.0, checksum=ZERO, name="x.zip")
    found = attempt.looked(there, 12.0)
    assert isinstance(found, Success)
    assert (found.size, found.name, found.status) == (9, "x.zip", 200)
    with pytest.raises(AttemptFailed):
        attempt.looked(None, 12.0)


def test_the_machine_has_no_hands() -> None:
    """It imports nothing that could do I/O or tell the time."""
    for name in ("asking", "attempt", "commands"):
        path = Path(fetch.__path__[0]) / f"{name}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            each.name.partition(".")[0] if isinstance(node, ast.Import) else str(node.module)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for each in node.names
        }
        assert not names & {"os", "time", "socket", "select", "mmap", "pdl.storage.part"}
