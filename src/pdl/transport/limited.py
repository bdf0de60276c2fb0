"""A transport whose bodies are received no faster than a lane is allowed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pdl.transport import Request, Response, Transport


class Allowance(Protocol):
    """What may be received; see `pdl.pool.rate_limit.Allowance`."""

    def take(self, most: int) -> int:
        """Wait until something may be received; how much, up to `most` bytes."""

    def used(self, count: int) -> None:
        """So much of it has been received."""


class LimitedTransport:
    """`pdl.transport.Transport` with a limit on what comes.

    Args:
        transport: makes the requests.
        allowance: of the lane.
    """

    def __init__(self, transport: Transport, allowance: Allowance) -> None:
        self._transport = transport
        self._allowance = allowance
        self.close = transport.close
        self.holds = transport.holds
        self.hang_up = transport.hang_up

    def open(self, request: Request) -> Response:
        """See `pdl.transport.Transport.open`."""
        return LimitedResponse(self._transport.open(request), self._allowance)


class LimitedResponse:
    """`pdl.transport.Response` that waits before it reads, when nothing is under way.

    So no timeout of the connection runs meanwhile.
    """

    def __init__(self, response: Response, allowance: Allowance) -> None:
        self._response = response
        self._allowance = allowance
        self._left = response.length
        self.status = response.status
        self.reason = response.reason
        self.url = response.url
        self.length = response.length
        self.framed = response.framed
        self.header = response.header
        self.fields = response.fields
        self.hurry = response.hurry
        self.close = response.close

    def readinto(self, buffer: memoryview) -> int:
        """See `pdl.transport.Response.readinto`."""
        if self._left == 0:  # all has come: what ends it is no byte of it
            return self._response.readinto(buffer)
        count = self._response.readinto(buffer[: self._take(len(buffer))])
        self._used(count)
        return count

    def splice_into(self, pipe: int, most: int) -> int | None:
        """See `pdl.transport.Response.splice_into`."""
        if self._left == 0:
            return self._response.splice_into(pipe, most)
        count = self._response.splice_into(pipe, self._take(most))
        if count is not None:
            self._used(count)
        return count

    def _take(self, most: int) -> int:
        return self._allowance.take(most if self._left is None else min(most, self._left))

    def _used(self, count: int) -> None:
        self._allowance.used(count)
        if self._left is not None:
            self._left -= count
