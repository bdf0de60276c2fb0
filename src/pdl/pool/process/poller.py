"""Waits for descriptors to be ready, without naming them anew each time."""

from __future__ import annotations

import contextlib
import select
from typing import Any


class Poller:
    """A set of descriptors, and what of it is ready.

    Args:
        many: use epoll where there is one, which does not slow down when there are many; else
            poll, which a fork cannot confuse.
    """

    def __init__(self, *, many: bool) -> None:
        self._epoll = many and hasattr(select, "epoll")
        self._poll: Any = select.epoll() if self._epoll else select.poll()

    def add(self, descriptor: int, *, writable: bool = False) -> None:
        """Begin to watch whether it is readable, or writable.

        Raises:
            OSError: it cannot be watched; a file always is readable.
        """
        self._poll.register(descriptor, select.POLLOUT if writable else select.POLLIN)

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; it may have been closed."""
        with contextlib.suppress(OSError, KeyError, ValueError):
            self._poll.unregister(descriptor)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """The descriptors that are ready, each with its events; empty after that time."""
        found: list[tuple[int, int]] = self._poll.poll(seconds if self._epoll else seconds * 1000)
        return found
