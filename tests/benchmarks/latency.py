"""A server that answers every request after a while: what many downloads in flight are for.

A program of its own: ``python latency.py MILLISECONDS BYTES`` prints its port and serves until its
standard input ends.
"""

from __future__ import annotations

import asyncio
import sys


class Slow(asyncio.Protocol):
    """One connection, kept alive; answers in the order of the requests."""

    def __init__(self, delay: float, answer: bytes) -> None:
        self._delay = delay
        self._answer = answer
        self._begun = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._begun = (self._begun + data).split(b"\r\n\r\n")
        for _ in heads:
            asyncio.get_running_loop().call_later(self._delay, self._reply)

    def _reply(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer)


async def serve(delay: float, size: int) -> None:
    """Serve until standard input ends."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nContent-Type: application/octet-stream"
    answer = f"{head}\r\n\r\n".encode() + b"x" * size
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Slow(delay, answer), "127.0.0.1", 0, backlog=2048)
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - whoever started it reads
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) / 1000, int(sys.argv[2])))
