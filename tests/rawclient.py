"""A client that believes nothing: it sends bytes and keeps the bytes that come back."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from servers.misbehave import Server

NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
"""What the request that is sent behind the first gets, where the connection still serves it."""


class Heard(NamedTuple):
    """What came back.

    Attributes:
        data: the bytes, without those of `NEXT`.
        end: ``open`` (the connection served another request), ``closed``, ``reset``, or
            ``goes-on`` (there was more than the limit).
    """

    data: bytes
    end: str

    @property
    def status(self) -> int:
        """The status of the first head."""
        return int(self.data.split(b" ", 2)[1])

    @property
    def body(self) -> bytes:
        """What follows the first head."""
        return self.data.partition(b"\r\n\r\n")[2]


def request(path: str, *fields: tuple[str, str]) -> bytes:
    """A GET request."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in fields)]
    return "\r\n".join([*lines, "", ""]).encode()


def ask(server: Server, path: str, *fields: tuple[str, str], limit: int = 2 << 20) -> Heard:
    """Ask for a path, with another request behind it to see whether the connection lives on."""
    server.on("/next", lambda exchange: exchange.wire.send(NEXT))
    both = request(path, *fields) + request("/next", ("Connection", "close"))
    with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
        sock.sendall(both)
        data, end = _read(sock, limit)
    if end == "closed" and data.endswith(NEXT):
        return Heard(data[: -len(NEXT)], "open")
    return Heard(data, end)


def _read(sock: socket.socket, limit: int) -> tuple[bytes, str]:
    data = bytearray()
    while len(data) < limit:
        try:
            piece = sock.recv(min(65_536, limit - len(data)))
        except ConnectionResetError:
            return bytes(data), "reset"
        if not piece:
            return bytes(data), "closed"
        data += piece
    return bytes(data), "goes-on"
