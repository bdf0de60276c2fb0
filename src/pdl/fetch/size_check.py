"""The sizes a file may have: by the list, the lock, and the limits of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.fetch.failures import AttemptFailed
from pdl.integrity.check import size_fault, wanted_size
from pdl.model import FailureKind

if TYPE_CHECKING:
    from pdl.model import Task
    from pdl.settings import FileSettings


class SizeCheck:
    """What one attempt's bytes are counted against.

    Attributes:
        wanted: bytes the file must have by the list or the lock; None if neither says.
        announced: bytes it will have by the answer's head; None while nobody has said.
    """

    def __init__(self, task: Task, files: FileSettings) -> None:
        self._task = task
        self._least = files.min_size
        self._most = files.max_size
        self.wanted = wanted_size(task)
        self.announced: int | None = None

    def expected(self) -> int | None:
        """Bytes the file will have, if anyone knows."""
        return self.wanted if self.announced is None else self.announced

    def check_announced(self) -> None:
        """See whether the file can be what it should, before a byte of it is read.

        Raises:
            AttemptFailed: it cannot.
        """
        if self.announced is not None:
            self.check_so_far(self.announced)
            self._check_least(self.announced)

    def check_so_far(self, size: int) -> None:
        """See whether so many bytes are not too many.

        Raises:
            AttemptFailed: they are.
        """
        if self._most is not None and size > self._most:
            raise AttemptFailed(
                FailureKind.SIZE, f"{size} bytes are more than --max-size allows ({self._most})"
            )
        wanted = self.wanted
        if wanted is not None and (size > wanted or self.announced not in {None, wanted}):
            raise AttemptFailed(FailureKind.SIZE, size_fault(self._task, size))

    def check_whole(self, size: int) -> None:
        """See whether a file may have so many bytes that has no more.

        Raises:
            AttemptFailed: it is cut, or not of the right size.
        """
        if self.announced is not None and size != self.announced:
            raise AttemptFailed(
                FailureKind.TRUNCATED, f"{size} of {self.announced} bytes", transient=True
            )
        if self.wanted is not None and size != self.wanted:
            raise AttemptFailed(FailureKind.SIZE, size_fault(self._task, size))
        self._check_least(size)

    def _check_least(self, size: int) -> None:
        if self._least is not None and size < self._least:
            raise AttemptFailed(
                FailureKind.SIZE, f"{size} bytes are fewer than --min-size allows ({self._least})"
            )
