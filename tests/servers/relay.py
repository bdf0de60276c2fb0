"""A relay before a real server: it cuts a connection, or holds it, after so many bytes.

What passes is the server's own, byte for byte, so that the fault is the wire's alone.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from servers.wire import Seen, parse_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

_PIECE = 65_536
_END = b"\r\n\r\n"


class Relay:
    """Passes connections on to a port of 127.0.0.1 while the context is entered.

    Args:
        port: of the server.
        lifetime: seconds after which nothing is passed on any more.
    """

    def __init__(self, port: int, lifetime: float = 120.0) -> None:
        self._server = port
        self._end = time.monotonic() + lifetime
        self._limits: list[tuple[int, threading.Event | None]] = []
        self._seen: list[Seen] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.1)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def cut(self, after: int, held: threading.Event | None = None) -> None:
        """End the next connection, of those that nothing is said of yet, after so many bytes.

        Args:
            after: bytes of what the server sends, heads included.
            held: the end comes when this is set.
        """
        with self._changed:
            self._limits.append((after, held))

    def requests(self) -> list[Seen]:
        """The first request of each connection."""
        with self._changed:
            return list(self._seen)

    def wait_until(self, true: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        """Wait for what a client does while it is held.

        Raises:
            TimeoutError: it did not do it in time.
        """
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not come within {seconds} s")
            self._stopping.wait(0.01)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _over(self) -> bool:
        return self._stopping.is_set() or time.monotonic() > self._end

    def _accept(self) -> None:
        while not self._over():
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                with self._changed:
                    limit = self._limits.pop(0) if self._limits else None
                self._start(self._pass_on, client, limit)

    def _pass_on(
        self, client: socket.socket, limit: tuple[int, threading.Event | None] | None
    ) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._server)) as up:
            for sock in (client, up):
                sock.settimeout(20)
            left = None if limit is None else limit[0]
            head = b""
            with selectors.DefaultSelector() as selector:
                for sock in (client, up):
                    selector.register(sock, selectors.EVENT_READ)
                while not self._over() and left != 0:
                    for key, _ in selector.select(0.1):
                        source = key.fileobj
                        assert isinstance(source, socket.socket)
                        data = source.recv(_PIECE if left is None else min(_PIECE, left))
                        if not data:
                            return
                        if source is client:
                            head = self._note(head, data)
                            up.sendall(data)
                        else:
                            client.sendall(data)
                            left = None if left is None else left - len(data)
            while limit is not None and limit[1] is not None and not self._over():
                if limit[1].wait(0.1):
                    return

    def _note(self, head: bytes, data: bytes) -> bytes:
        """Remember a connection's first request."""
        if _END in head:
            return head
        head += data
        if _END in head:
            with self._changed:
                self._seen.append(parse_head(head.partition(_END)[0], len(self._seen) + 1, 1))
        return head
