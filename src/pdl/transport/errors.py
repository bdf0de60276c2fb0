"""The one place where errors of requests, urllib3, ssl and the system get their meaning."""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from pdl.model import FailureKind
from pdl.text.lazy_regex import lazy
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_UNREACHABLE = {
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EADDRNOTAVAIL,
    errno.EHOSTDOWN,
    errno.ENETDOWN,
}

NO_DATA = "no data"
"""How the message of a timeout begins; how long it was is said where the setting is known."""
_REFUSED = lazy(r": 4(?!08|29)[0-9]{2}\b")
"""In what a proxy answered: a status that asking again will not change."""

Rule = Callable[[BaseException], TransportError | None]


def of_tls(thing: object, name: str) -> bool:
    """Whether it is of the class that `ssl` has under this name.

    Nothing is where `ssl` has not been imported. A run without https does not import it, for that
    takes as long as a third of pdl's own modules.
    """
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(thing, getattr(ssl, name))


def causes(exc: BaseException) -> Iterator[BaseException]:
    """The error and everything it was made from, nearest first, each once."""
    seen: set[int] = set()
    waiting: deque[object] = deque([exc])
    while waiting:
        each = waiting.popleft()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting.extend([getattr(each, "reason", None), each.__cause__, each.__context__])
        waiting.extend(each.args)


def translated(exc: BaseException) -> TransportError:
    """What the error is to the user. Never fails: what nobody knows is ``protocol``."""
    chain = list(causes(exc))
    for rule in _RULES:
        for each in chain:
            found = rule(each)
            if found is not None:
                return found
    return TransportError(FailureKind.PROTOCOL, f"{type(exc).__name__}: {exc}", transient=False)


def _ours(exc: BaseException) -> TransportError | None:
    return exc if isinstance(exc, TransportError) else None


def _machine(exc: BaseException) -> TransportError | None:
    if isinstance(exc, OSError) and exc.errno in _MACHINE:
        return TransportError(FailureKind.DISK, exc.strerror or str(exc), transient=False)
    return None


def _tls(exc: BaseException) -> TransportError | None:
    if not of_tls(exc, "SSLError"):
        return None
    if of_tls(exc, "SSLCertVerificationError"):
        reason = getattr(exc, "verify_message", "") or str(exc)
        return TransportError(
            FailureKind.TLS, f"the certificate is not accepted: {reason}", transient=False
        )
    if of_tls(exc, "SSLEOFError") or of_tls(exc, "SSLZeroReturnError"):
        return TransportError(
            FailureKind.RESET, "the server ended the TLS connection", transient=True
        )
    reason = getattr(exc, "reason", "")
    said = "the server speaks no TLS at that port; is it http://?"
    if reason != "WRONG_VERSION_NUMBER":
        said = reason.replace("_", " ").lower() if reason else str(exc)
    return TransportError(FailureKind.TLS, said, transient=False)


def _dns(exc: BaseException) -> TransportError | None:
    if not isinstance(exc, socket.gaierror):
        return None
    transient = exc.errno == socket.EAI_AGAIN
    return TransportError(FailureKind.DNS, exc.strerror or "cannot resolve", transient=transient)


def _connect_timeout(exc: BaseException) -> TransportError | None:
    if type(exc).__name__ in {"ConnectTimeoutError", "ConnectTimeout"}:
        return TransportError(FailureKind.CONNECT, "no connection in time", transient=True)
    return None


def _timeout(exc: BaseException) -> TransportError | None:
    if isinstance(exc, (TimeoutError, BlockingIOError)) or type(exc).__name__ in {
        "ReadTimeoutError",
        "ReadTimeout",
    }:
        return TransportError(FailureKind.TIMEOUT, f"{NO_DATA} (--timeout)", transient=True)
    return None


def _reset(exc: BaseException) -> TransportError | None:
    if isinstance(exc, OSError) and exc.errno in _UNREACHABLE:
        return TransportError(FailureKind.CONNECT, exc.strerror or str(exc), transient=True)
    if isinstance(exc, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)):
        return TransportError(
            FailureKind.RESET, "the connection was reset by the server", transient=True
        )
    return None


def _url(exc: BaseException) -> TransportError | None:
    if type(exc).__name__ in {"LocationParseError", "InvalidURL", "LocationValueError"}:
        return TransportError(FailureKind.INVALID_URL, str(exc), transient=False)
    if isinstance(exc, UnicodeError):
        return TransportError(FailureKind.INVALID_URL, "the host name is invalid", transient=False)
    return None


def _proxy(exc: BaseException) -> TransportError | None:
    if isinstance(exc, OSError) and str(exc).startswith("Tunnel connection failed"):
        refused = _REFUSED.search(str(exc)) is not None
        return TransportError(FailureKind.CONNECT, str(exc), transient=not refused)
    return None


def _other_system(exc: BaseException) -> TransportError | None:
    if isinstance(exc, OSError) and exc.errno is not None:
        return TransportError(FailureKind.CONNECT, exc.strerror or str(exc), transient=True)
    return None


_RULES: tuple[Rule, ...] = (
    _ours,
    _machine,
    _tls,
    _dns,
    _connect_timeout,
    _proxy,
    _reset,
    _timeout,
    _url,
    _other_system,
)


def protocol_error(message: str) -> TransportError:
    """The server said something that HTTP does not allow; asking again will not help."""
    return TransportError(FailureKind.PROTOCOL, message, transient=False)


def truncated(message: str) -> TransportError:
    """The connection ended before the response did."""
    return TransportError(FailureKind.TRUNCATED, message, transient=True)
