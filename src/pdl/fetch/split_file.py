"""A file that several lanes fetch at once: what its first lane does more, and what a helper does.

Theory of operation
===================

A lane that makes an attempt at a large file lets others write its part as well (`may_share`), if
the answer names a version that can be asked for again. It notices nothing of them but that its
range ends earlier. When lanes are idle, and the file pays for it (`pdl.scheduling.split`), the main
process gives one of them a task of the same file that says that it `helps`. A helper takes its
share of the largest rest (`pdl.scheduling.range_map`), asks for just that range of just that
version, and goes on so until nothing is left that is worth a request.

- Where a digest proves the whole, a helper may ask another of the item's URLs. That server has its
  own names for versions, so its ranges have to fit in size alone, and the digest decides. The note
  says so (`Note.mixed`): without a digest such a part is not gone on with.
- Each range is an `Attempt` of its own, of which only the part up to the body is used: it asks,
  follows redirects, and judges the answer. An answer that does not fit exactly, whatever it is,
  ends the helper; its range goes back, and the first lane does it alone, as if nobody had helped.
- When its own range is done, the first lane takes what nobody fetches, or helps a helper. Then it
  waits for the rest. What does not get any further meanwhile it takes over.
- A digest is computed by the first lane alone. It takes what that lane receives from the file's
  start on as it comes, follows the others while it waits, and reads the rest at the end. That is
  never slower in all than one connection, unless a connection brings more than the digest takes.
  It follows nobody where there are pieces, for it ends at a wrong one.
- If the digest is wrong, the answers may have been of two files under one tag: the first lane
  begins again, alone.
- Bytes of pieces are held against the pieces' digests once all are there. What is wrong is fetched
  again, once and alone. If the first lane finds a wrong piece earlier, and not at the file's very
  beginning, it goes on, and the whole is digested at the end, when that has been mended.
- If the first lane fails, the map is over: the helpers write nothing more, and what is there stands
  in the note for the next attempt. Of a killed helper the main process gives the range back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pdl.fetch.asking import http_for
from pdl.fetch.attempt import Attempt
from pdl.fetch.commands import Ask, Do, Refuse
from pdl.fetch.failures import AttemptFailed, StartAgain, failure_of
from pdl.fetch.receiving import stream
from pdl.integrity.check import Mismatch, has_digest, wrong_pieces
from pdl.model import HELPS_ELSEWHERE, Fail, FailureKind, Success
from pdl.scheduling.range_map import Share
from pdl.storage.final_name import InTheWay
from pdl.storage.helper_part import HelperPart, RangeEnded
from pdl.transport import TransportError
from pdl.transport.errors import truncated

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.fetch.receiving import LaneTools
    from pdl.http_rules.ranges import Known
    from pdl.integrity.background_digest import BackgroundDigest
    from pdl.model import Answer, Task
    from pdl.pool import Meter
    from pdl.settings import FileSettings
    from pdl.storage.board import Split
    from pdl.storage.part import Part
    from pdl.transport import Response

LOOK_SECONDS = 0.02
"""Between two looks of the first lane at what it waits for."""
STUCK_SECONDS, STUCK_MOST = 5.0, 12
"""Seconds that the first lane waits for helpers. If what is left would take so many times as long,
it fetches what they are at."""
TAIL_SECONDS = 0.1
"""That a range is to take at the least, when those who have done theirs share what is left."""
TAIL_WAITS = 4
"""Times as long as an answer takes to begin: the same."""
TAIL_LEAST = 256 * 1024
"""Bytes that it has at the least."""
STRIDE = 8 * 1024 * 1024
"""Bytes that the digest follows the others by before the lane looks around again."""
TAKES_NONE = "the file takes no helpers"
"""Said by a helper that has found nothing to help with."""
TOO_LONG = "took longer than --max-time allows"
NOT_THE_RANGE = "the server does not give the range that was asked for"


def may_share(files: FileSettings, attempt: Attempt, part: Part) -> bool:
    """Whether other lanes may fetch ranges of the file beside this one.

    Args:
        files: of the run.
        attempt: has an answer.
        part: open where its body goes.
    """
    size = attempt.announced
    if size is None or files.split < 2 or not attempt.framed:  # noqa: PLR2004 - one is no other
        return False
    ranges = attempt.header("accept-ranges")
    return size - part.size >= 2 * files.min_split and (ranges or "").lower() != "none"


def share(files: FileSettings, attempt: Attempt, part: Part) -> None:
    """Let other lanes fetch ranges of the file, where that can be; see `may_share`."""
    if may_share(files, attempt, part):
        task = attempt.task
        part.share(attempt.announced or 0, mixed=has_digest(task) and bool(task.other_parts))


def share_of(
    files: FileSettings, received: int = 0, seconds: float = 0.0, wait: float = 0.0
) -> Share:
    """How much a lane takes at once.

    No two connections are just as fast. So what the slower ones have left in the end is shared
    again, as long as that is worth a request.

    Args:
        files: of the run.
        received: bytes of the lane's last range.
        seconds: that they took; 0 if it is its first.
        wait: of these, until the answer began.
    """
    tail = None
    if seconds:
        worth = received / max(seconds - wait, 1e-3) * max(TAIL_SECONDS, TAIL_WAITS * wait)
        tail = max(TAIL_LEAST, int(worth))
    return Share(files.min_split, tail, files.split)


class RangeFetch:
    """Fetches one range into a part that is open at its start.

    Args:
        lane: makes the request.
        task: of the file.
        meter: is told.
        part: shared, of the version.
        known: the version, and the range.
        started: when the attempt began that this is a part of.

    Attributes:
        received: bytes so far.
        next: how much the lane takes after this one.
    """

    def __init__(
        self,
        lane: LaneTools,
        task: Task,
        meter: Meter,
        part: Part,
        known: Known,
        started: float,
    ) -> None:
        self._lane = lane
        self._meter = meter
        self._part = part
        self._known = known
        bare = task._replace(version=None, served=None, remember=False)
        self._attempt = Attempt(http_for(lane.http, bare), lane.files, bare, started)
        self._response: Response | None = None
        self.next = share_of(lane.files)

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._attempt.received

    def run(self) -> None:
        """Fetch it, as far as it is not taken away meanwhile.

        Raises:
            AttemptFailed, StartAgain, TransportError, OSError: it could not be fetched.
            RangeEnded: it has been taken away.
        """
        began = opened = time.monotonic()
        try:
            response = self._open()
            opened = time.monotonic()
            self._receive(response)
        finally:
            self._hang_up()
            seconds, wait = time.monotonic() - began, opened - began
            self.next = share_of(self._lane.files, self.received, seconds, wait)

    def _open(self) -> Response:
        """Ask for the range, wherever redirects lead."""
        attempt = self._attempt
        attempt.begin()
        command = attempt.found(self._known)
        while isinstance(command, (Ask, Refuse)):
            if attempt.known is None:  # it is to be asked for the whole file, which is not wanted
                raise StartAgain
            asking, response = attempt.asking(), self._response
            self._hang_up()
            if isinstance(command, Refuse):
                if response is None or not asking.refused(command.failure.status, response.header):
                    raise command.failure
            elif not asking.waits(command.login, self._meter.stopped):
                self._response = self._lane.transport.open(command.request)
                command = attempt.head(self._response)
                continue
            command = attempt.found(self._known)
        if command is not Do.GO_ON or self._response is None:
            raise StartAgain
        attempt.check = attempt.opening = None  # the first lane's matters
        return self._response

    def _receive(self, response: Response) -> None:
        part, total = self._part, self._known.total
        assert total is not None
        while True:
            before = part.size
            stream(self._lane, self._attempt, response, self._part, self._meter, None)
            if part.settle():
                return
            if part.size == before:
                raise truncated("the range ended before its end")

    def _hang_up(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()


class Gathering:
    """The first lane: when its own range is done, it sees to the rest, until the file is whole.

    Args:
        lane: makes the requests.
        attempt: its attempt.
        part: shared, and open.
        meter: is told.
        beside: takes the file's bytes.
    """

    def __init__(
        self,
        lane: LaneTools,
        attempt: Attempt,
        part: Part,
        meter: Meter,
        beside: BackgroundDigest | None,
    ) -> None:
        self._lane = lane
        self._attempt = attempt
        self._part = part
        self._meter = meter
        self._beside = beside
        self._digested = 0
        self._late = False
        self._lonely = self._count = 0
        self._since = 0.0

    def take_own(self, response: Response, digest_part: Callable[[], None]) -> bool:
        """Receive the lane's own range; False if its body ends too early.

        Args:
            response: has the body.
            digest_part: lets the digest have what an earlier attempt left.
        """
        attempt, part = self._attempt, self._part
        received, size = attempt.received, part.size
        try:
            digest_part()
            self._stream(response)
        except Mismatch as exc:
            self._mend(exc)
            attempt.received = received + part.size - size
            self._stream(response)
        while not part.settle():
            before = part.size
            self._stream(response)
            if part.size == before:
                return False
        return True

    def _stream(self, response: Response) -> None:
        beside = None if self._late else self._beside
        stream(self._lane, self._attempt, response, self._part, self._meter, beside)

    def _mend(self, wrong: Mismatch) -> None:
        """Go on though a piece is wrong, if it may be that alone, and digest the whole at the end.

        Where it is the first piece, it is rather another file.
        """
        attempt, beside = self._attempt, self._beside
        if beside is None or attempt.check is None or attempt.task.pieces is None:
            raise wrong
        if not wrong.sound:
            raise wrong
        attempt.check = attempt.check.anew()
        beside.begin_again(attempt.check.update)
        self._late, self._digested = True, 0

    def run(self, known: Known) -> None:
        """Do the rest; the part is whole then, and the digest has had all of it.

        Args:
            known: the version.

        Raises:
            AttemptFailed, StartAgain, TransportError, OSError: some of it is not to be had.
        """
        part, split, total = self._part, self._part.split, known.total
        assert total is not None
        assert split is not None
        pieces = self._attempt.task.pieces
        if not self._late:
            self._digested = part.size
        if pieces is None and part.size < total:
            self._attempt.mixed_from = part.size
        self._fetch(known, split)
        self._free_the_buffer()
        if pieces is not None and self._digested < total:
            for start, end in wrong_pieces(
                pieces, part.read_back, self._lane.buffer, self._digested
            ):
                split.unwrite(start, end)
            self._fetch(known, split)
        self._attempt.received += max(0, total - part.reached)
        part.size = total
        while self._follow(total):
            self._look_around()

    def _fetch(self, known: Known, split: Split) -> None:
        part, attempt = self._part, self._attempt
        seconds = time.monotonic() - attempt.started
        share = share_of(self._lane.files, attempt.received, seconds, attempt.first or 0.0)
        while not split.whole():
            taken = part.claim(share)
            if taken is None and self._stuck(split):
                taken = part.claim(None)
            if taken is None:
                self._look_around()
                # a digest of pieces ends at a wrong one, which can be mended once all are there
                if attempt.task.pieces is not None or not self._follow(split.prefix()):
                    time.sleep(LOOK_SECONDS)
                continue
            this = known._replace(offset=taken[0], until=taken[1])
            fetch = RangeFetch(self._lane, attempt.task, self._meter, part, this, attempt.started)
            self._free_the_buffer()
            try:
                fetch.run()
            finally:
                attempt.received += fetch.received
            share = fetch.next
            self._since = 0.0

    def _stuck(self, split: Split) -> bool:
        """Whether helpers have got hardly any further for a while; none ends the attempt."""
        if not split.running() and not split.whole():
            self._lonely += 1
            if self._lonely > 1:  # nobody is at it, and there is nothing to take: no sound map
                raise StartAgain
            return False
        self._lonely = 0
        now, count = time.monotonic(), split.count()
        if now - self._since <= STUCK_SECONDS:
            return False
        left, came, waits = (self._attempt.announced or 0) - count, count - self._count, self._since
        self._since, self._count = now, count
        return waits > 0 and came * STUCK_MOST < left

    def _free_the_buffer(self) -> None:
        if self._beside is None:
            return
        try:
            self._beside.catch_up()
        except Mismatch as exc:
            self._mend(exc)

    def _look_around(self) -> None:
        """See whether the run is to stop, or the attempt takes too long; note what is there."""
        now, part, most = time.monotonic(), self._part, self._lane.files.max_time
        if most is not None and now - self._attempt.started > most:
            raise AttemptFailed(FailureKind.STALLED, TOO_LONG, transient=True)
        stopped = self._meter.stopped()
        self._attempt.took(0, part.size, now, stopped=stopped, slow=False)
        part.note(look=True)

    def _follow(self, until: int) -> bool:
        """Let the digest have some more of what is there; whether there was any."""
        beside, start = self._beside, self._digested
        if beside is None or start >= until:
            return False
        end = min(until, start + STRIDE)
        while self._digested < end:
            room = beside.room[: end - self._digested]
            count = self._part.read_back(room, self._digested)
            if not count:  # somebody has cut it meanwhile
                raise StartAgain
            beside.took(count)
            self._digested += count
        return True


def help_out(lane: LaneTools, task: Task, meter: Meter) -> Answer:
    """Be a helper: fetch ranges of a file that another lane has begun, as long as there are any.

    The answer says how many bytes it fetched. It is a failure of kind ``cancelled`` if there was
    nothing to help with, or the run is to stop.
    """
    started = time.monotonic()
    helper = _Helper(lane, task, meter, started)
    try:
        helper.run()
    except StartAgain:
        failed = AttemptFailed(FailureKind.PROTOCOL, NOT_THE_RANGE)
        return helper.failed(failed)
    except (AttemptFailed, TransportError, InTheWay, OSError) as exc:
        return helper.failed(exc)
    finally:
        helper.close()
    seconds = time.monotonic() - started
    return Success("success", task.id, 206, task.url, helper.received, helper.received, 0, seconds)


class _Helper:
    """Makes the requests of one helper, one after the other."""

    def __init__(self, lane: LaneTools, task: Task, meter: Meter, started: float) -> None:
        self._lane = lane
        self._task = task
        self._meter = meter
        self._started = started
        self._part = HelperPart(lane.files.directory, task.part, task.id)
        self.received = 0

    def run(self) -> None:
        part, meter = self._part, self._meter
        meter.update(0, None)
        known = part.join(elsewhere=self._task.helps == HELPS_ELSEWHERE)
        if known is None:
            raise AttemptFailed(FailureKind.CANCELLED, TAKES_NONE, transient=True)
        share = share_of(self._lane.files)
        while (taken := part.claim(share)) is not None:
            this = known._replace(offset=taken[0], until=taken[1])
            fetch = RangeFetch(self._lane, self._task, meter, part, this, self._started)
            try:
                fetch.run()
            except RangeEnded:
                pass
            finally:
                self.received += fetch.received
            share = fetch.next
            if part.recalled():
                return
            part.leave_range()

    def failed(self, exc: Exception) -> Fail:
        http, files = http_for(self._lane.http, self._task), self._lane.files
        fail = failure_of(exc, self._task, files.directory, http.timeout)
        seconds = time.monotonic() - self._started
        return fail._replace(received=self.received, seconds=seconds)

    def close(self) -> None:
        self._part.close()
