"""A login by redirects, made once in a worker: the other lanes wait for the cookie that it brings.

A server of data sends who has no cookie to a server of logins, which sends it back, and then the
server of data sets the cookie. Lanes that begin at once would all go that way.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.auth.cookies import CookieJar
    from pdl.text.urls import Url

_LOOK_SECONDS = 0.1
"""How long a lane waits before it looks whether it is to stop."""

Origin = tuple[str, str, int]


class Logins:
    """Those of one worker.

    Attributes:
        others: origins whose redirects bring no cookie, and are no logins.
    """

    def __init__(self) -> None:
        self.others: set[Origin] = set()
        self._locks: dict[Origin, threading.Lock] = {}
        self._making = threading.Lock()

    def lock(self, origin: Origin) -> threading.Lock:
        """Is held by the lane that is on its way."""
        with self._making:
            return self._locks.setdefault(origin, threading.Lock())


class Login:
    """The way of one attempt.

    Args:
        logins: of the worker.
        jar: of the worker.
        listed: which is asked for.
        before: `CookieJar.changes` of its host when it was asked.

    Attributes:
        once: that another lane has brought something is believed once in an attempt.
    """

    once = True

    def __init__(self, logins: Logins, jar: CookieJar, listed: Url, before: int) -> None:
        self._logins = logins
        self._jar = jar
        self._origin = listed.origin
        self._before = before
        self._lock: threading.Lock | None = None

    def _is_made(self) -> bool:
        return self._jar.changes(self._origin[1]) != self._before

    def wait(self, stopped: Callable[[], bool], seconds: float) -> bool:
        """Wait while another lane is on its way; then this one is.

        Args:
            stopped: the run is to stop.
            seconds: to wait, at the most.

        Returns:
            Whether the other has brought a cookie: then the listed URL is to be asked again.
        """
        if self._lock is not None:
            return False
        lock, end = self._logins.lock(self._origin), time.monotonic() + seconds
        while not lock.acquire(timeout=_LOOK_SECONDS):
            if stopped() or time.monotonic() > end:
                return False
        if self._is_made() or self._origin in self._logins.others:
            lock.release()
            return self._is_made()
        self._lock = lock
        return False

    def answered(self) -> None:
        """The way has come to its end."""
        if self._lock is not None and not self._is_made():
            self._logins.others.add(self._origin)
        self.leave()

    def leave(self) -> None:
        """Let the others go their way."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
