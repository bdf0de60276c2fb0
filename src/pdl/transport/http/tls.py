"""What TLS connections are verified by, read once in a process for all its lanes and hosts.

requests has the bundle of trusted certificates read for every connection, which takes 35 ms of CPU
each time: more than all else that a small file costs.
"""

from __future__ import annotations

import os
import ssl
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from urllib3.util.ssl_ import create_urllib3_context

from pdl.model import FailureKind
from pdl.named_tuple import NamedTuple
from pdl.text.masking import printable
from pdl.transport import TransportError
from pdl.transport.http.dial import dial

if TYPE_CHECKING:
    from typing import NoReturn

    from pdl.transport.http.dial import Reach

_READING = threading.Lock()


class Trust(NamedTuple):
    """What of a run's settings a context is made from.

    Attributes:
        bundle: file or directory of trusted certificates; None accepts any certificate.
        cert: PEM file of the client's certificate, or None.
        key: PEM file of its key, where it is not in `cert`.
        states: of the files, so that one that has changed is read again by the next run.
    """

    bundle: str | None
    cert: str | None
    key: str | None
    states: tuple[tuple[int, ...], ...] = ()


def trust_of(bundle: str | None, cert: str | None, key: str | None) -> Trust:
    """What a context is made from, with the files as they are now."""
    return Trust(bundle, cert, key, tuple(map(_state, (bundle, cert, key))))


def _state(path: str | None) -> tuple[int, ...]:
    try:
        found = os.stat(path or "")
    except OSError:  # met again when it is read, and then told
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def context(trust: Trust) -> ssl.SSLContext:
    """The context for it; the same one each time.

    Raises:
        TransportError: a file cannot be read or is not what it should be.
    """
    with _READING:  # lanes begin at the same time, and one reading is enough
        return _context(trust)


@lru_cache(maxsize=4)
def _context(trust: Trust) -> ssl.SSLContext:
    made = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if trust.bundle else ssl.CERT_NONE)
    if trust.bundle:
        try:
            if Path(trust.bundle).is_dir():
                made.load_verify_locations(capath=trust.bundle)
            else:
                made.load_verify_locations(trust.bundle)
        except OSError as exc:
            raise _unusable("trusted certificates", trust.bundle, exc) from exc
    if trust.cert:
        try:
            made.load_cert_chain(trust.cert, trust.key, _no_password)
        except (OSError, ValueError) as exc:
            raise _unusable("the client's certificate or key", trust.cert, exc) from exc
    return made


OTHER_NAME = frozenset({62, 64})
"""How OpenSSL numbers that a certificate is good, and for another name or another address."""
_NAMES_SHOWN = 3


@lru_cache(maxsize=256)
def names_of(host: str, port: int, seconds: float, trusted: ssl.SSLContext, reach: Reach) -> str:
    """Whose certificate a server shows, for a message; empty if that cannot be told.

    OpenSSL does not give away a certificate that it refuses. So the server is asked once more, by
    the same trust but for the name, and nothing is sent to it.

    Args:
        host: of the server.
        port: of the server.
        seconds: for connecting, and for the handshake.
        trusted: what its certificate is verified by.
        reach: which addresses may be connected to.
    """
    looking = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    looking.check_hostname = False
    looking.load_verify_locations(cadata=b"".join(trusted.get_ca_certs(binary_form=True)))
    try:
        sock = dial(host, port, seconds, reach=reach)
        sock.settimeout(seconds)
        with sock, looking.wrap_socket(sock, server_hostname=host) as tls:
            shown = tls.getpeercert() or {}
    except (OSError, ValueError, TransportError):
        return ""
    pairs = shown.get("subjectAltName", ())
    names = [str(each[1]) for each in pairs]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return printable(", ".join(names[:_NAMES_SHOWN]) + more)


def _no_password() -> NoReturn:
    """Called by OpenSSL for an encrypted key; otherwise it would ask on the terminal."""
    raise ValueError("the key is encrypted, and nobody is here to give its password")


def _unusable(what: str, path: str, exc: Exception) -> TransportError:
    reason = getattr(exc, "strerror", None) or str(exc)
    return TransportError(
        FailureKind.TLS, f"cannot use {what} in {path}: {reason}", transient=False
    )
