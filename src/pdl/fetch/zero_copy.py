"""Moves a body from its socket to its part within the kernel, where nobody has to look at it.

splice(2) moves bytes between a pipe and anything else, so a lane has a pipe: `Mover` lets the
response fill it and the part empty it, by turns. Whatever happens in between, the pipe is empty
when `Mover.move` returns or is thrown away, so that no byte comes to be in another file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.system.kernel_copy import REFUSALS

if TYPE_CHECKING:
    from pdl.storage.part import Part
    from pdl.transport import Response


LEAST = 1024 * 1024
"""Bytes still to come below which there is nothing to gain."""
PIPE = 1024 * 1024
"""Bytes a pipe is asked to hold: what Linux allows to everyone."""
WORTH = 256 * 1024
"""Bytes a pipe has to hold; with a smaller one copying through a large buffer is as fast."""


class Mover:
    """A lane's pipe, made when a body is first large enough.

    Args:
        least: bytes still to come below which nothing is moved.
        able: it may have a pipe; without one nothing is moved.
    """

    def __init__(self, least: int = LEAST, *, able: bool = True) -> None:
        self._least = least
        self._able = able and hasattr(os, "splice")
        self._ends: tuple[int, int] | None = None
        self._size = 0

    def move(self, response: Response, part: Part, total: int | None) -> int | None:
        """Append the next bytes of the body to the part.

        Args:
            response: whose body it is.
            part: open, with all that came before.
            total: bytes the file will have, as far as anyone knows.

        Returns:
            How many; 0 at the end of a body that is complete; None if these are to be read.

        Raises:
            TransportError: as `Response.readinto`.
            OSError: the part could not be written; its size says what it has.
        """
        if not self._able or total is None or (left := part.left(total)) < self._least:
            return None
        ends = self._ends or self._open()
        if ends is None:
            return None
        count = response.splice_into(ends[1], min(self._size, left))
        if count:
            self._empty(ends[0], part, count)
        return count

    def _open(self) -> tuple[int, int] | None:
        import fcntl  # for large files alone

        try:
            self._ends = os.pipe()
        except OSError:  # too many are open: the part and the connection need theirs more
            self._able = False
            return None
        out = self._ends[0]
        try:
            self._size = fcntl.fcntl(out, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:  # one user's pipes may hold so much together
            self._size = fcntl.fcntl(out, fcntl.F_GETPIPE_SZ)
        if self._size < WORTH:
            self._able = False
            self.close()
        return self._ends

    def _empty(self, pipe: int, part: Part, count: int) -> None:
        try:
            while count:
                count -= self._put(pipe, part, count)
        finally:
            if count or not self._able:
                self.close()

    def _put(self, pipe: int, part: Part, count: int) -> int:
        if self._able:
            try:
                return part.take(pipe, count)
            except OSError as exc:
                if exc.errno not in REFUSALS:
                    raise
                self._able = False
        data = os.read(pipe, count)
        part.write(memoryview(data))
        return len(data)

    def close(self) -> None:
        """Close the pipe, if there is one; the next large body gets another."""
        ends, self._ends = self._ends, None
        for end in ends or ():
            os.close(end)
