"""Looking up names: `socket.getaddrinfo` with an end.

The system's look-up cannot be interrupted, and a name server that is silent holds it for as long as
``/etc/resolv.conf`` has it, mostly ten seconds and more. So a thread asks, and the lane waits for
the thread no longer than it may. A thread that nobody waits for any more is left to itself: it is a
daemon, so it does not hold the process's end. (The threads of `concurrent.futures` would: Python
joins them.) Lanes that want the same name at the same time share one look-up, and what came of it
is remembered for a while, unless it was of no use: addresses of which none connects are forgotten.

What needs no name server, an address and ``localhost``, is answered at once, without a thread.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import threading
import time
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pdl.model import FailureKind
from pdl.settings import LOOKUPS_MOST
from pdl.text.named_tuple import NamedTuple
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

REMEMBERED_SECONDS = 60.0
NAMES_REMEMBERED = 10_000
"""How long an answer holds, and how many are kept."""


class Address(NamedTuple):
    """One of a name's addresses: the socket's family, and what `socket.connect` takes."""

    family: int
    place: tuple[Any, ...]


class Wanted(NamedTuple):
    """What is looked up.

    Attributes:
        name: without brackets.
        port: of TCP.
        family: of sockets; AF_UNSPEC for any.
    """

    name: str
    port: int
    family: int = socket.AF_UNSPEC


class Resolver:
    """Finds the addresses of names, for all lanes of a process.

    Args:
        most: look-ups at once.
        clock: seconds, never going back.
    """

    def __init__(
        self, most: int = LOOKUPS_MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._clock = clock
        self._known: dict[Wanted, tuple[float, list[Address]]] = {}
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting: deque[_LookUp] = deque()
        self._wanted: dict[Wanted, _LookUp] = {}

    def addresses(self, wanted: Wanted, seconds: float) -> list[Address]:
        """The addresses of a name, the families in turn, the system's favourite first.

        Args:
            wanted: the name, or an address.
            seconds: to wait for an answer.

        Raises:
            TransportError: no answer came in time.
            OSError: the name has no address.
            UnicodeError: it is no name.
        """
        if needs_no_server(wanted.name):
            return _ask(wanted)
        until, known = self._known.get(wanted, (0.0, []))
        if known and self._clock() < until:
            return known
        lookup = self._join(wanted)
        if not lookup.ended.wait(seconds):
            self._leave(lookup)
            what = f"the name server did not answer within {seconds:g} s (--connect-timeout)"
            raise TransportError(FailureKind.DNS, what, transient=True)
        if lookup.error is not None:
            raise type(lookup.error)(*lookup.error.args)  # one for each lane: it gets a traceback
        return lookup.addresses

    def forget(self, wanted: Wanted) -> None:
        """Ask again the next time: nobody was there."""
        self._known.pop(wanted, None)

    def _join(self, wanted: Wanted) -> _LookUp:
        with self._lock:
            lookup = self._wanted.get(wanted)
            if lookup is None:
                if self._threads < self._most:
                    self._start()
                lookup = self._wanted[wanted] = _LookUp(wanted)
                self._waiting.append(lookup)
            lookup.lanes += 1
            return lookup

    def _start(self) -> None:
        """Start one more thread; where the system has none, those that are there have to do."""
        try:
            threading.Thread(target=self._serve, daemon=True).start()
        except RuntimeError as exc:
            if not self._threads:
                raise OSError(errno.ENOMEM, "no thread can be started to look up a name") from exc
        else:
            self._threads += 1

    def _leave(self, lookup: _LookUp) -> None:
        """Wait no longer for it; nobody asks what nobody waits for."""
        with self._lock:
            lookup.lanes -= 1
            if not lookup.lanes and lookup in self._waiting:
                self._waiting.remove(lookup)
                del self._wanted[lookup.wanted]

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                lookup = self._waiting.popleft()
            lookup.run()
            with self._lock:
                del self._wanted[lookup.wanted]
                if lookup.addresses:
                    self._remember(lookup.wanted, lookup.addresses)
            lookup.ended.set()

    def _remember(self, wanted: Wanted, addresses: list[Address]) -> None:
        if len(self._known) >= NAMES_REMEMBERED:
            self._known.clear()  # a list of so many hosts has little use for what is remembered
        self._known[wanted] = self._clock() + REMEMBERED_SECONDS, addresses


class _LookUp:
    """One question to the system, and what came of it once it has ended.

    Attributes:
        lanes: how many wait for it.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.lanes = 0
        self.ended = threading.Event()
        self.addresses: list[Address] = []
        self.error: OSError | ValueError | None = None

    def run(self) -> None:
        try:
            self.addresses = _ask(self.wanted)
        except (OSError, ValueError) as exc:
            self.error = exc


def process_resolver(most: int = LOOKUPS_MOST) -> Resolver:
    """The one of this process; a fork of it has its own, for threads do not come along."""
    return _resolver_of(os.getpid(), most)


@lru_cache(maxsize=1)
def _resolver_of(_process: int, most: int) -> Resolver:
    return Resolver(most)


def needs_no_server(name: str) -> bool:
    """Whether the system knows the name's address by itself: it is one, or means this machine."""
    if ":" in name or name == "localhost":
        return True
    try:
        socket.inet_aton(name)  # in every form that `getaddrinfo` takes
    except (OSError, ValueError):
        return False
    return True


def _ask(wanted: Wanted) -> list[Address]:
    name, port, family = wanted
    # as bytes where that is the same: text takes Python's IDNA codec, 2 ms in each worker
    found = socket.getaddrinfo(
        name.encode() if name.isascii() else name, port, family, socket.SOCK_STREAM
    )
    each = [Address(family, place) for family, _, _, _, place in found]
    first = [address for address in each if address.family == each[0].family]
    other = [address for address in each if address.family != each[0].family]
    pairs = itertools.zip_longest(first, other)
    return [address for pair in pairs for address in pair if address is not None]
