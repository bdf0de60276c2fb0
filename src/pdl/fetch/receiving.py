"""The next bytes of a body, from its connection to the part: what all that fetch bytes do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pdl.fetch.failures import WORDS_FROM
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.system.disk_space import check_kept_free
from pdl.transport import TransportError

if TYPE_CHECKING:
    from typing import Protocol

    from pdl.fetch.attempt import Attempt
    from pdl.fetch.zero_copy import Mover
    from pdl.integrity.background_digest import BackgroundDigest
    from pdl.pool import Meter
    from pdl.settings import FileSettings, HttpSettings
    from pdl.storage.part import Part
    from pdl.transport import Response, Transport
    from pdl.transport.min_speed import MinSpeed

    class LaneTools(Protocol):
        """What a lane has for its attempts; `pdl.fetch.blocking.Fetcher` is one."""

        @property
        def transport(self) -> Transport:
            """Makes the requests."""

        @property
        def http(self) -> HttpSettings:
            """Of the run."""

        @property
        def files(self) -> FileSettings:
            """Of the run."""

        min_speed: float | None
        """For the host that is asked."""

        def pace(self, *, shared: bool) -> MinSpeed:
            """Measures a transfer from now on, which may be one of several of a file."""

        @property
        def buffer(self) -> memoryview:
            """Takes bytes that have to be looked at."""

        @property
        def mover(self) -> Mover:
            """Moves bytes that nobody has to look at."""


DRAIN_BYTES = 64 * 1024
DRAIN_SECONDS = 1.0
"""Bytes of a refused answer that are read, and seconds spent on it, to keep the connection."""


def keep_free(files: FileSettings, needed: int = 0) -> None:
    """See that enough of the disk stays free when so many bytes have come, if that is asked for.

    Raises:
        OSError: it does not.
    """
    if files.min_free is not None:
        place = f"{files.directory}/{STATE_DIRECTORY}"
        check_kept_free(place, max(0, needed), files.min_free)


def stream(
    lane: LaneTools,
    attempt: Attempt,
    response: Response,
    part: Part,
    meter: Meter,
    beside: BackgroundDigest | None,
) -> None:
    """Append the body to the part, to its end or that of this lane's range.

    All but the meter, which learns how far the file is, are as `append` has them.

    Raises:
        TransportError, OSError, AttemptFailed: as each of them has it.
    """
    pace, files = lane.pace(shared=part.shared), lane.files
    while count := append(lane, attempt, response, part, beside):
        meter.update(part.reached, attempt.announced)
        keep_free(files)
        stopped, slow = meter.stopped(), pace.too_slow(count)
        if attempt.took(count, part.size, time.monotonic(), stopped=stopped, slow=slow):
            part.note()


def append(
    lane: LaneTools,
    attempt: Attempt,
    response: Response,
    part: Part,
    beside: BackgroundDigest | None,
) -> int:
    """Append the next bytes of the body to the part.

    Args:
        lane: its mover and its buffer.
        attempt: whose body it is; its `opening` sees them first.
        response: whose body it is.
        part: open where they are to go.
        beside: takes them as well, if the attempt has a check.

    Returns:
        How many; 0 at the body's end, and where this lane's range of the part ends.

    Raises:
        TransportError, OSError, AttemptFailed: as each of them has it.
    """
    opening, total, left = attempt.opening, attempt.announced, None
    if part.shared and total is not None:
        left = part.left(total)
        if not left:
            return 0
    if attempt.check is None and (opening is None or opening.done):
        moved = lane.mover.move(response, part, total)
        if moved is not None:
            return moved
    buffer = lane.buffer if beside is None else beside.room
    if count := response.readinto(buffer if left is None else buffer[:left]):
        if opening is not None:
            opening.look(buffer[:count])
        part.write(buffer[:count])
        if beside is not None:
            beside.took(count)
    return count


def drain(response: Response, buffer: memoryview, *, words: bool = False) -> bytes:
    """Read a short body to its end, drop a long one; the response is closed afterwards.

    Args:
        response: of which nothing is wanted but its words.
        buffer: is overwritten.
        words: read also a body of unknown length, as far as a short one goes.

    Returns:
        The first bytes of a short body, `WORDS_FROM` if it has so many.
    """
    begin = b""
    try:
        length = response.length
        if length <= DRAIN_BYTES if length is not None else words:
            response.hurry(DRAIN_SECONDS)
            total = 0
            while total <= DRAIN_BYTES and (count := response.readinto(buffer)):
                total += count
                begin += buffer[: min(count, WORDS_FROM - len(begin))]
    except TransportError:
        pass  # the connection is lost, and what was asked is answered
    finally:
        response.close()
    return begin
