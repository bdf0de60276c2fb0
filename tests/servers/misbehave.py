"""A server that does on the wire exactly what a script per path tells it.

It listens on 127.0.0.1 only, lives for a limited time and sends a limited number of bytes, so a
test that goes wrong harms nobody. By hand, from ``tests/``::

    python -m servers.misbehave --port 8099 --seconds 600

serves every row of `servers.faults` at ``/fault/<name>``; further path segments before the name
(``/fault/curl/<name>``) start the row's script anew, a suffix (``<name>.zip``) only changes the
name a client sees.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from servers.behaviours import Close, Pause, Raw, Reply, Reset, Then, WhenRange
from servers.faults import script_for
from servers.files import File
from servers.wire import Behaviour, Exchange, HangupError, Script, Seen, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = [
    "Behaviour",
    "Close",
    "Exchange",
    "File",
    "Pause",
    "Raw",
    "Reply",
    "Reset",
    "Script",
    "Seen",
    "Server",
    "Then",
    "WhenRange",
]

_NOT_FOUND = Reply(404, (("Content-Type", "text/plain"),), b"no such path in this test\n")
_MAX_CONNECTIONS = 2_000
_MAX_SCRIPTS = 2_000
"""Beyond them the oldest begins anew if its path is asked for again; they have large bodies."""


class Server:
    """A context manager; leaving it ends every connection at once.

    Args:
        tls: serve https with this context.
        fallback: makes the script of a path that `on` was not told of; None is a 404.
        port: 0 takes any free one.
        lifetime: seconds after which the server ends by itself.
        cap: bytes it sends at most, all connections together.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        fallback: Callable[[str], Script | None] | None = None,
        port: int = 0,
        lifetime: float = 300.0,
        cap: int = 512 << 20,
    ) -> None:
        self._tls = tls
        self._fallback = fallback
        self._lifetime = lifetime
        self._cap = cap
        self._scripts: dict[str, list[Behaviour]] = {}
        self._seen: list[Seen] = []
        self._sent: Counter[str] = Counter()
        self._total = 0
        self._wires: dict[int, Wire] = {}
        self._threads: list[threading.Thread] = []
        self._count = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self._listener.setblocking(False)
        self._wake, self._waker = socket.socketpair()
        self.port: int = self._listener.getsockname()[1]
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept_all, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every connection and thread."""
        self._waker.close()
        self._acceptor.join(10)
        for thread in self._threads:
            thread.join(10)
        self._wake.close()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The absolute URL of a path; by ``localhost`` it is another origin."""
        return self.base.replace("127.0.0.1", host) + path

    def on(self, path: str, *script: Behaviour) -> str:
        """Say what requests to `path` (any query) get: one each, the last one from then on.

        Returns:
            The URL of the path.
        """
        with self._changed:
            self._scripts[path] = list(script)
        return self.url(path)

    def requests(self, path: str | None = None) -> list[Seen]:
        """The requests that came for `path`, or all, in order of arrival."""
        with self._changed:
            return [seen for seen in self._seen if path in (None, seen.path)]

    def sent(self, path: str) -> int:
        """Bytes that the kernel has taken in answer to requests for `path`."""
        with self._changed:
            return self._sent[path]

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return self._count

    @property
    def open(self) -> frozenset[int]:
        """The numbers of the connections that are still open."""
        with self._changed:
            return frozenset(self._wires)

    def wait_for(self, path: str, n: int = 1, timeout: float = 20.0) -> list[Seen]:
        """Wait until `n` requests for `path` have come.

        Raises:
            TimeoutError: they have not.
        """
        self.wait_until(lambda: len(self.requests(path)) >= n, f"{n} requests for {path}", timeout)
        return self.requests(path)

    def wait_until(
        self, true: Callable[[], bool], what: str = "condition", timeout: float = 20.0
    ) -> None:
        """Wait until what the server knows (requests, bytes, connections) makes `true` true.

        Raises:
            TimeoutError: it did not in time.
        """
        with self._changed:
            if not self._changed.wait_for(true, timeout):
                raise TimeoutError(f"{what} did not come within {timeout} s")

    def _accept_all(self) -> None:
        end = time.monotonic() + self._lifetime
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while (left := end - time.monotonic()) > 0:
                ready = {key.fileobj for key, _ in selector.select(left)}
                if self._wake in ready:
                    break
                if self._listener in ready:
                    self._accept()
        with self._changed:
            self._stopping = True
            wires = list(self._wires.values())
        for wire in wires:
            wire.abort()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            sock, _ = self._listener.accept()
            sock.setblocking(True)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        with self._changed:
            if len(self._wires) >= _MAX_CONNECTIONS:
                sock.close()
                return
            self._count += 1
            wire = Wire(sock, self._count, self._spend)
            self._wires[wire.number] = wire
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._serve, args=(wire,), daemon=True)
            thread.start()
            self._threads.append(thread)
            self._changed.notify_all()

    def _serve(self, wire: Wire) -> None:
        try:
            wire.handshake()
            while not wire.closed and (seen := wire.read_request()) is not None:
                behaviour = self._record(wire, seen)
                behaviour(Exchange(seen, wire, self.base))
                if (seen.header("Connection") or "").lower() == "close":
                    break
        except (HangupError, OSError):
            pass
        finally:
            wire.close()
            with self._changed:
                self._wires.pop(wire.number, None)
                self._changed.notify_all()

    def _record(self, wire: Wire, seen: Seen) -> Behaviour:
        with self._changed:
            if self._stopping:
                raise HangupError
            self._seen.append(seen)
            wire.path = seen.path
            self._changed.notify_all()
            if seen.path not in self._scripts and self._fallback:
                if len(self._scripts) >= _MAX_SCRIPTS:
                    del self._scripts[next(iter(self._scripts))]
                self._scripts[seen.path] = list(self._fallback(seen.path) or ())
            script = self._scripts.get(seen.path) or [_NOT_FOUND]
            return script.pop(0) if len(script) > 1 else script[0]

    def _spend(self, wire: Wire, size: int) -> None:
        with self._changed:
            self._sent[wire.path] += size
            self._changed.notify_all()
            self._total += size
            if self._stopping or self._total > self._cap:
                raise HangupError("the server may send no more")


def main(args: list[str] | None = None) -> None:
    """Serve the faults until the time is up or the server is interrupted."""
    parser = argparse.ArgumentParser(description="serve every fault at /fault/<name>")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--cap-mb", type=int, default=512, help="megabytes sent at most")
    told = parser.parse_args(args)
    with (
        suppress(KeyboardInterrupt),
        Server(
            fallback=script_for, port=told.port, lifetime=told.seconds, cap=told.cap_mb << 20
        ) as server,
    ):
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        threading.Event().wait(told.seconds)


if __name__ == "__main__":
    main()
