"""Reading what nobody wants of an answer, so that its connection can serve again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.transport import TransportError

if TYPE_CHECKING:
    from pdl.transport import Response

MOST = 64 * 1024
SECONDS = 1.0
"""Bytes of a refused answer that are read, and seconds spent on it, to keep the connection."""


def drain(response: Response, buffer: memoryview) -> None:
    """Read a short body to its end, drop a long one; the response is closed afterwards."""
    try:
        if response.length is not None and response.length <= MOST:
            response.hurry(SECONDS)
            while response.readinto(buffer):
                pass
    except TransportError:
        pass  # the connection is lost, and what was asked is answered
    finally:
        response.close()
