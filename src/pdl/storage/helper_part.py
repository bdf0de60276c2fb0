"""A helper's side of a part that another lane has begun: it writes one range after the other.

Every write is made under the board's lock, and within what is left of the range then. So from the
moment at which a range is taken away, or the first lane is over, nothing more is written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.http_rules.ranges import Known, Validator
from pdl.storage import board
from pdl.storage.note import read_note
from pdl.storage.part import Part

if TYPE_CHECKING:
    from pdl.scheduling.range_map import Range, Share

_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class RangeEnded(Exception):
    """There is nothing left to be written: the range is done, or somebody else's by now."""


class HelperPart(Part):
    """The part, opened by a helper; `close` is to follow.

    Args:
        directory: the output directory.
        name: of the part.
        who: the id of the helper's task.
    """

    def __init__(self, directory: str, name: str, who: int) -> None:
        super().__init__(directory, name)
        self._who = who
        self._board: board.Board | None = None
        self._at: int | None = None

    def join(self, *, elsewhere: bool = False) -> Known | None:
        """Open the part: of which version it is, or None if it takes no such helper.

        Args:
            elsewhere: another server is asked than that which the version is of.

        Raises:
            OSError: as the system gives it.
        """
        self._board = board.find(self._ranges)
        note = read_note(self._note)
        if self._board is None or note is None or note.ranges is None:
            return None
        if elsewhere and not note.mixed:
            return None
        try:
            self._fd = os.open(self.path, _WRITE)
        except FileNotFoundError:
            return None
        # what was read is of the part that the board is of, unless that is over: see `claim`
        if elsewhere:  # it has its own names for versions; how its bytes are coded must be the same
            validator = Validator(coding=note.validator.coding, weak=True)
            return Known(0, validator, note.total, mixed=True)
        return Known(0, note.validator, note.total, note.told)

    def claim(self, share: Share | None) -> Range | None:
        """Take a range, as `RangeMap.claim` has it; it is written next."""
        assert self._board is not None
        assert share is not None
        ranges = self._board.ranges
        with self._board.alone():
            self._at = ranges.claim(self._who, *share)
            if self._at is None:
                return None
            taken = ranges.rest(self._at)
        self._move_to(taken[0])
        return taken

    @property
    def shared(self) -> bool:
        """See `Part.shared`."""
        return True

    def left(self, total: int) -> int:  # noqa: ARG002 - the shape of a part
        """Bytes that are left of the range; 0 as soon as the helper is to leave."""
        assert self._board is not None
        return 0 if self._at is None or self.recalled() else self._board.ranges.left(self._at)

    def recalled(self) -> bool:
        """Whether the helper is to leave, with what is left of its range."""
        assert self._board is not None
        ranges = self._board.ranges
        return ranges.over() or (self._at is not None and ranges.recalled(self._at))

    def write(self, data: memoryview) -> None:
        """Write the next bytes of the range.

        Raises:
            RangeEnded: of some of them nothing is left to be written.
        """
        assert self._board is not None
        with self._board.writing():
            room = self._room()
            super().write(data[:room])
            self._wrote()
        if room < len(data):
            raise RangeEnded

    def take(self, pipe: int, most: int) -> int:
        """See `Part.take`.

        Raises:
            RangeEnded: nothing is left to be written.
        """
        assert self._board is not None
        with self._board.writing():
            room = self._room()
            if not room:
                raise RangeEnded
            count = super().take(pipe, min(most, room))
            self._wrote()
        return count

    def _room(self) -> int:
        assert self._board is not None
        ranges = self._board.ranges
        return 0 if ranges.over() or self._at is None else ranges.left(self._at)

    def _wrote(self) -> None:
        assert self._board is not None
        assert self._at is not None
        self._board.ranges.wrote(self._at, self.size)

    def settle(self) -> bool:
        """See `Part.settle`.

        Raises:
            RangeEnded: the helper is to leave.
        """
        assert self._board is not None
        assert self._at is not None
        if self.recalled():
            raise RangeEnded
        return not self._board.ranges.left(self._at)

    def note(self, *, look: bool = False) -> None:
        """Nothing: that is the first lane's."""

    def leave_range(self) -> None:
        """Be done with the range; what is left of it others may have."""
        assert self._board is not None
        if self._at is not None:
            at, self._at = self._at, None
            with self._board.alone():
                if not self._board.ranges.over():
                    self._board.ranges.give_up(at)

    def close(self) -> None:
        """Let go of the part."""
        self._close()
        if self._board is not None:
            try:
                self.leave_range()
            finally:
                self._board.close()
                self._board = None
