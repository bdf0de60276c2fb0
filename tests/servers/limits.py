"""Servers that bear only so much, and servers that are away for a while.

Each answers a GET with the path as the body. They are threads of the test, and end with the
context. Times are of `time.monotonic`.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

RST = struct.pack("ii", 1, 0)
_LONGEST = 180.0
"""Seconds after which a connection ends, whatever is under way."""


def reply(status: str = "200 OK", body: bytes = b"x", *fields: str) -> bytes:
    """A whole answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Limits:
    """A server on a free port of 127.0.0.1.

    Args:
        takes: seconds from a request to its answer.

    Attributes:
        good: when each request was answered.
        refused: when each was refused.
        host, base: its name and port, and its URL without a path.
        connections: how many were opened.
        most: requests that were under way at once, those that were refused left out.
    """

    def __init__(self, takes: float = 0.0) -> None:
        self.takes = takes
        self.good: list[float] = []
        self.refused: list[float] = []
        self.connections = 0
        self.most = 0
        self.under_way = 0
        self.lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self._sock = self._listen(0)
        self.port: int = self._sock.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.base = f"http://{self.host}"

    @staticmethod
    def _listen(port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen(256)
        sock.settimeout(0.02)
        return sock

    def urls(self, count: int) -> list[str]:
        """URLs of it."""
        return [f"{self.base}/{number}" for number in range(count)]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._sock.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End every connection."""
        with self.lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ended.is_set():
            if self.away():
                self._sock.close()
                self.hang_up()
                while self.away() and not self._ended.wait(0.01):
                    pass
                if not self._ended.is_set():
                    self._sock = self._listen(self.port)
                continue
            try:
                sock, _ = self._sock.accept()
            except OSError:
                continue
            self.connections += 1
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def away(self) -> bool:
        """Whether it takes no connection now."""
        return False

    def welcome(self, sock: socket.socket) -> bool:  # noqa: ARG002 - for those that override it
        """A connection has come; whether it is taken."""
        return True

    def left(self) -> None:
        """A connection that was taken has ended."""

    def answer(self) -> bytes | None:
        """The answer to a request; None if it is a good one."""

    def good_answer(self, path: bytes) -> bytes:
        """What a good answer is; called with the lock held."""
        return reply(body=path)

    def _talk(self, sock: socket.socket) -> None:
        sock.settimeout(_LONGEST)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self._open.add(sock)
            # one that was taken just before all were ended is ended here
            taken = not self.away() and self.welcome(sock)
        try:
            if taken:
                self._serve(sock)
        except OSError:
            pass
        finally:
            with self.lock:
                self._open.discard(sock)
                if taken:
                    self.left()
            sock.close()

    def _serve(self, sock: socket.socket) -> None:
        data = b""
        while not self._ended.is_set():
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            path = head.split(b" ")[1]
            with self.lock:
                refusal = self.answer()
                if refusal is None:
                    self.under_way += 1
                    self.most = max(self.most, self.under_way)
                else:
                    self.refused.append(time.monotonic())
            if refusal is None:
                self._ended.wait(self.takes)
                with self.lock:
                    self.under_way -= 1
                    self.good.append(time.monotonic())
                    # with the lock, for what counts as answered is to arrive: see `hang_up`
                    sock.sendall(self.good_answer(path))
            elif refusal:
                sock.sendall(refusal)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                return


class Bears(Limits):
    """Bears so many requests at once, and refuses what is beyond: by 503, or by a reset."""

    def __init__(self, most: int, *, resets: bool = False, takes: float = 0.05) -> None:
        super().__init__(takes)
        self.bears = most
        self.resets = resets

    def answer(self) -> bytes | None:
        """See `Limits.answer`."""
        if self.under_way < self.bears:
            return None
        return b"" if self.resets else reply("503 Too many", b"too many")


class BearsConnections(Limits):
    """The same of connections, whether anything is asked on them or not."""

    def __init__(self, most: int, *, resets: bool = False, takes: float = 0.05) -> None:
        super().__init__(takes)
        self.bears = most
        self.resets = resets
        self.held = 0

    def welcome(self, sock: socket.socket) -> bool:
        """See `Limits.welcome`."""
        if self.held < self.bears:
            self.held += 1
            return True
        self.refused.append(time.monotonic())
        with suppress(OSError):
            if self.resets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
            else:
                sock.settimeout(1.0)
                sock.recv(65536)
                sock.sendall(reply("503 Too many", b"too many", "Connection: close"))
        return False

    def left(self) -> None:
        """See `Limits.left`."""
        self.held -= 1


class Away(Limits):
    """Is away for some seconds, once so many requests have been answered."""

    def __init__(self, after: int, seconds: float, takes: float = 0.02) -> None:
        super().__init__(takes)
        self.after = after
        self.seconds = seconds

    def back(self) -> None:
        """Be back, and stay."""
        self.after = 1 << 60

    def away(self) -> bool:
        """See `Limits.away`."""
        if len(self.good) <= self.after:
            return False
        return time.monotonic() < self.good[self.after] + self.seconds


class Counts(Limits):
    """Takes so many requests in a window of time, and refuses the others.

    Args:
        refuse: makes a refusal of the seconds until the next window.

    Attributes:
        count: requests in this window.
    """

    def __init__(
        self,
        per: int,
        window: float,
        refuse: Callable[[float], bytes],
        takes: float = 0.02,
    ) -> None:
        super().__init__(takes)
        self.per = per
        self.window = window
        self.refuse = refuse
        self._start = 0.0
        self.count = 0

    def answer(self) -> bytes | None:
        """See `Limits.answer`."""
        now = time.monotonic()
        if now - self._start >= self.window:
            self._start, self.count = now, 0
        self.count += 1
        if self.count <= self.per:
            return None
        return self.refuse(self._start + self.window - now)

    def fewest(self, count: int) -> int:
        """Requests that it takes, at the least, to get so many: each full window has a refusal."""
        return count + (count - 1) // self.per


class Silent(Limits):
    """Takes every connection and says nothing."""

    def answer(self) -> bytes | None:
        """See `Limits.answer`."""
        self.takes = _LONGEST
        return None


def unused() -> Any:  # noqa: ANN401 - a context that is a socket
    """A socket that holds a port at which nobody listens."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock
