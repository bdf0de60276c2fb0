"""A SOCKS proxy for tests: versions 4a and 5, with a login if one is wanted; it notes who asked."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

SECONDS = 20.0
"""What a connection may take."""


class Asked(NamedTuple):
    """A connection that was asked for: by which version, whereto, and as whom."""

    version: int
    host: str
    port: int
    user: str = ""


class SocksServer:
    """Serves on a free port of 127.0.0.1 while the context is entered.

    Args:
        login: user and password that version 5 asks for.
        names: of hosts, and where they are; others are refused.
        reply: of version 5 to each request, if it is not to connect.
        silent: takes connections and says nothing.
    """

    def __init__(
        self,
        login: tuple[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        reply: int = 0,
        *,
        silent: bool = False,
    ) -> None:
        self.login = login
        self.names = dict(names or {})
        self.reply = reply
        self.silent = silent
        self.asked: list[Asked] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(SECONDS)
                with contextlib.suppress(OSError, EOFError):
                    outer.serve(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.port = int(self._listener.server_address[1])
        self._thread = threading.Thread(target=self._listener.serve_forever, daemon=True)

    def url(self, scheme: str, login: str = "") -> str:
        """What a client is given as its proxy."""
        return f"{scheme}://{login}{'@' if login else ''}127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        """Serve one connection."""
        if self.silent:
            client.recv(1024)
            client.recv(1024)  # until it goes
            return
        version = _exactly(client, 1)[0]
        asked = self._version_5(client) if version == 5 else self._version_4(client)
        if asked is None:
            return
        self.asked.append(asked)
        place = self.names.get(asked.host, asked.host)
        try:
            target = socket.create_connection((place, asked.port), timeout=SECONDS)
        except OSError:
            client.sendall(b"\x00\x5b" + bytes(6) if version == 4 else b"\5\5\0\1" + bytes(6))
            return
        with target:
            client.sendall(b"\x00\x5a" + bytes(6) if version == 4 else b"\5\0\0\1" + bytes(6))
            back = threading.Thread(target=_copy, args=(target, client), daemon=True)
            back.start()
            _copy(client, target)
            back.join(SECONDS)

    def _version_4(self, client: socket.socket) -> Asked:
        _, port, address = struct.unpack("!BH4s", _exactly(client, 7))
        user = _until_nul(client)
        host = socket.inet_ntoa(address)
        if host.startswith("0.0.0."):
            host = _until_nul(client)
        return Asked(4, host, port, user)

    def _version_5(self, client: socket.socket) -> Asked | None:
        methods = _exactly(client, _exactly(client, 1)[0])
        user = ""
        wanted = 2 if self.login else 0
        if wanted not in methods:
            client.sendall(b"\5\xff")
            return None
        client.sendall(bytes([5, wanted]))
        if self.login:
            _exactly(client, 1)
            user = _exactly(client, _exactly(client, 1)[0]).decode()
            password = _exactly(client, _exactly(client, 1)[0]).decode()
            good = (user, password) == self.login
            client.sendall(b"\1\0" if good else b"\1\1")
            if not good:
                return None
        kind = _exactly(client, 4)[3]
        if kind == 3:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            host = socket.inet_ntop(family, _exactly(client, 4 if kind == 1 else 16))
        (port,) = struct.unpack("!H", _exactly(client, 2))
        if self.reply:
            client.sendall(bytes([5, self.reply, 0, 1]) + bytes(6))
            return None
        return Asked(5, host, port, user)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join(SECONDS)


def _exactly(sock: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = sock.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found


def _until_nul(sock: socket.socket) -> str:
    found = b""
    while (byte := _exactly(sock, 1)) != b"\0":
        found += byte
    return found.decode()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
