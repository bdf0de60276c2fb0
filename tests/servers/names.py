"""A name server that fails when it is told to: it knows every name, and each is this machine.

It answers on UDP, which is all that the system's look-up needs for answers so short (RFC 1035).
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_A = 1
_SERVFAIL, _NXDOMAIN = 2, 3
_HEADER = struct.Struct(">6H")


def _listen() -> tuple[socket.socket, str]:
    """A socket at port 53 of an address that no other test has."""
    for number in range(250):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = f"127.53.{os.getpid() % 250}.{number + 1}"
        try:
            sock.bind((address, 53))
        except OSError:
            sock.close()
            if number == 249:
                raise
        else:
            return sock, address
    raise AssertionError


class NameServer:
    """On port 53 of an address of this machine, in a thread that ends with the context.

    Args:
        fails: whether the look-up of a name fails for now, as by a server that cannot be reached.

    Attributes:
        asked: when each name was asked for, in the order of the questions.
        config: what ``/etc/resolv.conf`` has to be.
    """

    def __init__(self, fails: Callable[[str], bool]) -> None:
        self._fails = fails
        self.asked: list[tuple[str, float]] = []
        self._sock, address = _listen()
        self.config = f"nameserver {address}\noptions timeout:1 attempts:1\n"
        self._sock.settimeout(0.05)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                question, sender = self._sock.recvfrom(512)
                self._sock.sendto(self._answer(question), sender)
            except OSError:
                continue

    def _answer(self, message: bytes) -> bytes:
        number, flags, *_ = _HEADER.unpack_from(message)
        at, labels = _HEADER.size, []
        while length := message[at]:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = message[_HEADER.size : at + 5]
        (kind,) = struct.unpack_from(">H", message, at + 1)
        name = ".".join(labels)
        self.asked.append((name, time.monotonic()))
        if self._fails(name):
            return self._head(number, flags, _SERVFAIL) + question
        if name.startswith("no"):
            return self._head(number, flags, _NXDOMAIN) + question
        if kind != _A:
            return self._head(number, flags, 0) + question
        address = struct.pack(">HHHIH", 0xC00C, _A, 1, 0, 4) + socket.inet_aton("127.0.0.1")
        return self._head(number, flags, 0, answers=1) + question + address

    @staticmethod
    def _head(number: int, flags: int, code: int, *, answers: int = 0) -> bytes:
        return _HEADER.pack(number, 0x8180 | flags & 0x0100 | code, 1, answers, 0, 0)
