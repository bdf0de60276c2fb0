"""A large file's digest, computed beside its transfer.

hashlib lets other threads run while it digests, so the lane receives and writes the next bytes
while a helper thread digests the last ones. They share a ring of buffers: the lane fills one after
the other and waits only when every other one is still to be digested. A small file is digested by
the lane itself, and no thread is started for it.
"""

from __future__ import annotations

import mmap
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor
    from types import TracebackType

LEAST = 1024 * 1024
"""Bytes of a file that the lane digests itself before it starts a thread."""
BUFFERS = 4
"""In the ring: the lane's own and the rest."""
_TIGHT = 64 * 1024
"""A buffer with less room than that counts as full."""


class BackgroundDigest:
    """Hands a file's bytes to `update`, in order; a context, after which no thread is left.

    On leaving it without an exception all bytes have been taken; what `update` raises comes out of
    `took` or there. After an exception the rest is dropped.

    Args:
        update: takes bytes; called in one thread at a time.
        buffer: the lane's; filled first.
    """

    def __init__(self, update: Callable[[memoryview], None], buffer: memoryview) -> None:
        self._update = update
        self._ring = [buffer]
        self._free = deque(self._ring)
        self._buffer = buffer
        self._filled = 0
        self._seen = 0
        self._thread: ThreadPoolExecutor | None = None
        self._alone = False
        self._pending: deque[tuple[Future[None], memoryview]] = deque()

    @property
    def room(self) -> memoryview:
        """Where the next bytes are to be received."""
        return self._buffer[self._filled :]

    def took(self, count: int) -> memoryview:
        """So many bytes have been received in `room`; returns the next room."""
        self._seen += count
        if self._thread is None and (self._alone or self._seen < LEAST):
            self._update(self._buffer[:count])
            return self._buffer
        self._filled += count
        if len(self._buffer) - self._filled < _TIGHT:
            self._hand_over()
        return self.room

    def _hand_over(self) -> None:
        data = self._buffer[: self._filled]
        self._filled = 0
        thread = self._thread or self._start()
        if thread is None:
            self._update(data)
            return
        self._pending.append((thread.submit(self._update, data), self._buffer))
        if not self._free:
            self._settle()
        self._buffer = self._free.popleft()

    def _start(self) -> ThreadPoolExecutor | None:
        """The thread; None if the system gives no more of them, or no memory."""
        from concurrent.futures import ThreadPoolExecutor  # for large files alone

        size = len(self._buffer)
        thread = ThreadPoolExecutor(1, thread_name_prefix="digest")
        try:
            more = memoryview(mmap.mmap(-1, size * (BUFFERS - 1)))
            thread.submit(int)  # starts it
        except (RuntimeError, OSError):
            self._alone = True
            return None
        self._free = deque(more[at : at + size] for at in range(0, len(more), size))
        self._ring += self._free
        self._thread = thread
        return thread

    def _settle(self) -> None:
        """Wait until the oldest buffer has been digested."""
        future, buffer = self._pending.popleft()
        future.result()
        self._free.append(buffer)

    def catch_up(self) -> None:
        """Digest all that has been received: the lane's buffer is free until `room` is used."""
        self._finish()
        self._filled = 0

    def begin_again(self, update: Callable[[memoryview], None]) -> None:
        """Drop all that has been received: the file comes once more, and another takes it.

        Args:
            update: takes bytes from now on.
        """
        for future, _ in self._pending:
            if not future.cancel():
                future.exception()  # it is at an end then
        self._pending.clear()
        self._buffer, *rest = self._ring
        self._free = deque(rest)
        self._filled = 0
        self._update = update

    def __enter__(self) -> BackgroundDigest:  # noqa: PYI034 - Self is not in Python 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._thread is not None:
                self._thread.shutdown(cancel_futures=True)

    def _finish(self) -> None:
        while self._pending:
            self._settle()
        if self._filled:
            self._update(self._buffer[: self._filled])
