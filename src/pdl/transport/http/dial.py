"""Connecting: every address of a name in turn, none waited for long, and only public ones if told.

A name often has an address that does not answer, mostly the IPv6 one. As RFC 8305 (Happy
Eyeballs) has it, the next address is tried beside the last a moment later, and the first that
connects is taken. The addresses are looked up first and connected to as numbers, so what was
checked is what is connected to, whatever the name says a moment later (DNS rebinding).
"""

from __future__ import annotations

import errno
import ipaddress
import math
import os
import select
import socket
import time
from typing import TYPE_CHECKING

from pdl.model import FailureKind
from pdl.settings import LOOKUPS_MOST
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import parse
from pdl.transport import TransportError
from pdl.transport.http.resolver import Address, Wanted, process_resolver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdl.settings import HttpSettings
    from pdl.transport.http.resolver import Resolver

    Options = Sequence[tuple[int, int, int | bytes]]

STAGGER = 0.25
"""Seconds an address has to itself: the Connection Attempt Delay of RFC 8305 section 5."""
_UNDER_WAY = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """Whether an IP address is one of the open internet, whatever form it is written in."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if hidden is not None:
            return is_public(str(hidden))
        if address not in _GLOBAL_UNICAST or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


class Reach(NamedTuple):
    """Which addresses may be connected to.

    Attributes:
        public_only: no address but those of the open internet.
        family: of sockets; AF_UNSPEC for any.
        resolve: hosts that nobody is asked for: each a name and port, and its addresses.
        lookups: names that are looked up at once.
    """

    public_only: bool = False
    family: int = socket.AF_UNSPEC
    resolve: tuple[tuple[tuple[str, int], tuple[str, ...]], ...] = ()
    lookups: int = LOOKUPS_MOST


ANYWHERE = Reach()


def reach_of(settings: HttpSettings) -> Reach:
    """What the settings let be connected to."""
    resolve = {}
    for host, port, addresses in settings.resolve:
        resolve[_name_of(parse(f"http://{host}:{port}/").host), port] = addresses
    family = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}
    wanted = family[settings.ip_version]
    return Reach(settings.public_only, wanted, tuple(resolve.items()), settings.lookups)


def _name_of(host: str) -> str:
    """The same for all ways to write a host."""
    return host.strip("[]").removesuffix(".").lower()


def dial(
    host: str, port: int, seconds: float, options: Options = (), reach: Reach = ANYWHERE
) -> socket.socket:
    """Connect to the first of a name's addresses that answers.

    Args:
        host: a name, or an address with or without brackets.
        port: of TCP.
        seconds: for the look-up and all addresses together.
        options: set on the socket before it connects, as `socket.setsockopt` takes them.
        reach: which addresses may be connected to.

    Raises:
        TransportError: none of them may be connected to, or nobody answered in time.
        OSError: the name has none, or none took the connection; the first one's reason.
    """
    end = time.monotonic() + seconds
    race = _Race(addresses_of(host, port, seconds, reach), options)
    try:
        return race.run(end)
    except (OSError, TransportError):
        wanted = Wanted(host.strip("[]"), port, reach.family)
        process_resolver(reach.lookups).forget(wanted)  # they may be out of date
        raise
    finally:
        race.end()


def addresses_of(host: str, port: int, seconds: float, reach: Reach) -> list[Address]:
    """The addresses of a name that may be connected to.

    Args:
        host: a name, or an address with or without brackets.
        port: of TCP.
        seconds: for the look-up.
        reach: which addresses may be connected to.

    Raises:
        TransportError: none may be connected to, or nobody answered in time.
        OSError: the name has none.
    """
    wanted = Wanted(host.strip("[]"), port, reach.family)
    addresses = _given(wanted, dict(reach.resolve)) if reach.resolve else None
    if addresses is None:
        addresses = _look_up(process_resolver(reach.lookups), wanted, seconds)
    return _allowed(addresses, reach)


def _given(
    wanted: Wanted, resolve: Mapping[tuple[str, int], Sequence[str]]
) -> list[Address] | None:
    """What the user has said of the host's addresses; None if nothing."""
    texts = resolve.get((_name_of(wanted.name), wanted.port))
    if texts is None:
        return None
    families = [socket.AF_INET6 if ":" in text else socket.AF_INET for text in texts]
    found = zip(families, texts, strict=True)
    any_ = wanted.family == socket.AF_UNSPEC
    return [
        Address(family, (text, wanted.port))
        for family, text in found
        if any_ or family == wanted.family
    ]


def _look_up(resolver: Resolver, wanted: Wanted, seconds: float) -> list[Address]:
    try:
        return resolver.addresses(wanted, seconds)
    except socket.gaierror as exc:
        if wanted.family == socket.AF_UNSPEC or exc.errno == socket.EAI_AGAIN:
            raise
        return []


def _allowed(addresses: list[Address], reach: Reach) -> list[Address]:
    """Those that may be connected to.

    Raises:
        TransportError: none may.
    """
    if not addresses and reach.family != socket.AF_UNSPEC:
        number = 4 if reach.family == socket.AF_INET else 6
        what = f"the host has no IPv{number} address that is known, and -{number} takes no other"
        raise TransportError(FailureKind.DNS, what, transient=False)
    if not reach.public_only:
        return addresses
    public = [each for each in addresses if is_public(str(each.place[0]))]
    if not public:
        raise TransportError(
            FailureKind.POLICY,
            "the host's address is not public, which --public-only refuses",
            transient=False,
        )
    return public


class _Race:
    """Connections under way to the addresses of one name; the first that stands wins."""

    def __init__(self, addresses: Sequence[Address], options: Options) -> None:
        self._left = list(reversed(addresses))
        self._options = options
        self._under_way: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._error: OSError | None = None

    def run(self, end: float) -> socket.socket:
        """The first that connects before `end`, a value of `time.monotonic`."""
        while self._left or self._under_way:
            if self._left and (won := self._attempt(lambda: self._start(self._left.pop()))):
                return won
            pause = min(STAGGER if self._left else math.inf, end - time.monotonic())
            if pause <= 0:
                raise TransportError(
                    FailureKind.CONNECT, "no connection in time (--connect-timeout)", transient=True
                )
            if not self._under_way:
                continue
            for fd, _ in self._poll.poll(pause * 1000):
                if won := self._attempt(lambda fd=fd: self._finish(fd)):  # type: ignore[misc]
                    return won
        raise self._error or OSError(errno.EADDRNOTAVAIL, "the name has no address")

    def _attempt(self, step: Callable[[], socket.socket | None]) -> socket.socket | None:
        try:
            return step()
        except OSError as exc:
            self._error = self._error or exc
            return None

    def _start(self, address: Address) -> socket.socket | None:
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        self._under_way[sock.fileno()] = sock
        sock.setblocking(False)
        for option in self._options:
            sock.setsockopt(*option)
        failed = sock.connect_ex(address.place)
        if failed in _UNDER_WAY:
            self._poll.register(sock, select.POLLOUT)
            return None
        return self._ended(sock.fileno(), failed)

    def _finish(self, fd: int) -> socket.socket | None:
        self._poll.unregister(fd)
        return self._ended(fd, self._under_way[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _ended(self, fd: int, failed: int) -> socket.socket | None:
        sock = self._under_way.pop(fd)
        if not failed:
            return sock
        sock.close()
        raise OSError(failed, os.strerror(failed))

    def end(self) -> None:
        """Close what has not won."""
        for sock in self._under_way.values():
            sock.close()
        self._under_way.clear()
