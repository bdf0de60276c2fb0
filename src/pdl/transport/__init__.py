"""Transports: how one request becomes one response whose body can be read as it comes.

No exception of requests, urllib3, http.client or the socket leaves this package: every failure is
a `TransportError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import FailureKind, Headers


class TransportError(Exception):
    """The request failed before or while the response was read.

    Attributes:
        kind: what it is to the user.
        transient: whether the same request may succeed later.
        message: in words, with the system's own reason.
    """

    def __init__(self, kind: FailureKind, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.transient = transient


class Request(NamedTuple):
    """A GET.

    Attributes:
        url: where to, without userinfo and fragment.
        headers: all that are sent beyond Host and Connection.
        deadline: `time.monotonic` value by which the response must have been read, or None.
    """

    url: str
    headers: Headers
    deadline: float | None = None


class Response(Protocol):
    """A response whose head has been read and found sound.

    Attributes:
        status: final status code; never 1xx.
        reason: the server's words for it.
        url: that was asked.
        length: bytes the body will have, or None when only its end tells.
        framed: whether the end of the body can be told from a cut connection.
    """

    status: int
    reason: str
    url: str
    length: int | None
    framed: bool

    def header(self, name: str) -> str | None:
        """The field's value, several joined by commas; None when absent. Case does not matter."""

    def fields(self) -> Sequence[tuple[str, str]]:
        """All fields in their order, with names in lower case."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer` with the next bytes of the body as they are on the wire.

        Returns:
            How many; 0 at the end of a body that is complete.

        Raises:
            TransportError: the connection failed or the framing is broken.
        """

    def splice_into(self, pipe: int, most: int) -> int | None:
        """Move the next bytes of the body, at most so many, into a pipe that has room for them.

        Returns:
            How many; 0 at the end of a body that is complete; None if these bytes, or all, have to
            be read: they are here already, they are encrypted, they are chunked.

        Raises:
            TransportError: as `readinto`.
        """

    def hurry(self, seconds: float) -> None:
        """Let reading the rest of the body fail when that takes longer."""

    def close(self) -> None:
        """Be done: the connection is kept only if the whole body has been read."""


class Transport(Protocol):
    """Makes requests. One belongs to one lane; it is not shared between threads."""

    def open(self, request: Request) -> Response:
        """Send the request and read the head of its response. Follows no redirect.

        Raises:
            TransportError: there is no sound response.
        """

    def holds(self, host: str) -> bool:
        """Whether a connection to the host, as ``name:port``, is kept."""

    def hang_up(self, host: str) -> None:
        """Close the connections to the host that are kept."""

    def close(self) -> None:
        """Close every connection."""
