"""What TLS connections are verified by, read once in a process for all its lanes and hosts.

requests has the bundle of trusted certificates read for every connection, which takes 35 ms of CPU
each time: more than all else that a small file costs. It does not look at the system's store, where
companies put a root certificate of their own. A directory of certificates costs nothing: OpenSSL
reads there only the one that it looks for.
"""

from __future__ import annotations

import os
import ssl
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from pdl.model import FailureKind
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple
from pdl.transport import TransportError
from pdl.transport.http.dial import dial

if TYPE_CHECKING:
    from typing import NoReturn

    from pdl.settings import HttpSettings
    from pdl.transport.http.dial import Reach

_READING = threading.Lock()


class Store(NamedTuple):
    """Certificates that are trusted.

    Attributes:
        files: in PEM form; all of each is read.
        directories: whose files have the names that ``openssl rehash`` gives.
        named_by: option or variables that say so; empty for what is usual.
    """

    files: tuple[str, ...]
    directories: tuple[str, ...] = ()
    named_by: str = ""

    def told(self) -> str:
        """Whose they are, for a message."""
        own = [each for each in self.files if self.named_by or each != DEFAULT_CA_BUNDLE_PATH]
        places = printable(" and ".join([*own, *self.directories]))
        if self.named_by:
            return f"those in {places} ({self.named_by})"
        return f"the system's ({places}) and certifi's" if places else "certifi's"


class Trust(NamedTuple):
    """What of a run's settings a context is made from.

    Attributes:
        store: of trusted certificates; None accepts any certificate.
        cert: PEM file of the client's certificate, or None.
        key: PEM file of its key, where it is not in `cert`.
        states: of the files, so that one that has changed is read again by the next run.
    """

    store: Store | None
    cert: str | None
    key: str | None
    states: tuple[tuple[int, ...], ...] = ()


ELSEWHERE = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora and its like
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
"""Where systems keep their certificates, for an OpenSSL that was built for another system."""


def store_of(cacert: str | None) -> Store:
    """The certificates that are trusted: the first place that is named, else what is usual.

    Args:
        cacert: what ``--cacert`` names, or None.
    """
    if cacert:
        return Store((cacert,), (), "--cacert")
    said = {name: place for name in _OF_OPENSSL if (place := os.environ.get(name))}
    if said:
        places = [each for each in said.get("SSL_CERT_DIR", "").split(os.pathsep) if each]
        there = [each for each in places if os.path.isdir(each)]
        file = said.get("SSL_CERT_FILE")
        return Store((file,) if file else (), tuple(there or places), " and ".join(said))
    for name in _OF_REQUESTS:
        if place := os.environ.get(name):
            return Store((), (place,), name) if os.path.isdir(place) else Store((place,), (), name)
    files, directories = system_store()
    return Store((*files, DEFAULT_CA_BUNDLE_PATH), directories)


_OF_OPENSSL = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_OF_REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables of the environment; the first that is set counts, of the former both."""


def system_store() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files and directories in which the system keeps what it trusts, if it does.

    The environment has no say in it.
    """
    usual = ssl.get_default_verify_paths()
    file, directory = usual.openssl_cafile, usual.openssl_capath
    directories = (directory,) if _hashed(directory) else ()
    # a file in the directory is made of what the directory has, and would all be read
    same = directories and os.path.dirname(os.path.realpath(file)) == os.path.realpath(directory)
    files = (file,) if os.path.isfile(file) and not same else ()
    if not files and not directories:
        files = next(((each,) for each in ELSEWHERE if os.path.isfile(each)), ())
    return files, directories


def _hashed(directory: str) -> bool:
    """Whether OpenSSL finds anything there: a name is of eight digits and a number."""
    try:
        with os.scandir(directory) as entries:
            return any(each.name[8:] == ".0" for each in entries)
    except OSError:
        return False


def trust_of(settings: HttpSettings) -> Trust:
    """What a context is made from, with the files as they are now."""
    store = None if settings.insecure else store_of(settings.cacert)
    paths = (*(store.files + store.directories if store else ()), settings.cert, settings.key)
    return Trust(store, settings.cert, settings.key, tuple(map(_state, paths)))


def without_client(trust: Trust) -> Trust:
    """The same, where the client has no certificate to show: that is not for a proxy."""
    return trust._replace(cert=None, key=None)


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


@lru_cache(maxsize=16)
def _context(trust: Trust) -> ssl.SSLContext:
    made = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if trust.store else ssl.CERT_NONE)
    if trust.store is not None:
        _load(made, trust.store)
    if trust.cert:
        try:
            made.load_cert_chain(trust.cert, trust.key, _no_password)
        except (OSError, ValueError) as exc:
            raise _unusable("the client's certificate or key", trust.cert, exc) from exc
    return made


def _load(made: ssl.SSLContext, store: Store) -> None:
    for place in (*store.files, *store.directories):
        try:
            if place in store.files:
                made.load_verify_locations(place)
            else:
                os.stat(place)  # OpenSSL does not mind that it is not there
                made.load_verify_locations(capath=place)
        except OSError as exc:
            if not store.named_by and place != DEFAULT_CA_BUNDLE_PATH:
                continue  # the system's own may be broken where nobody needs it
            error = _unusable("trusted certificates", place, exc)
            if store.named_by not in {"", "--cacert"}:
                error.message += f", which {store.named_by} of the environment names"
            raise error from exc


_UNKNOWN = frozenset({18, 19, 20, 21})
"""How OpenSSL numbers that nobody who is trusted has signed a certificate."""
_NAME = "--cacert FILE takes an authority of your own"
_ADD = "the authority of this server has to be among them"
_TIMES = {
    9: "is the clock here right?",
    10: "its owner has to renew it, or the clock here is wrong",
}
"""The same for one whose time has not come, or is over."""


def refusal(exc: ssl.SSLCertVerificationError, trust: Trust) -> TransportError:
    """What to tell of a certificate that is not accepted: by which store, and what to do."""
    store = trust.store
    said = f"the certificate is not accepted: {exc.verify_message or exc}"
    if store is not None:
        said = f"{said}; trusted are {store.told()}"
        if exc.verify_code in _UNKNOWN:
            said = f"{said}; {_ADD if store.named_by else _NAME}"
    if exc.verify_code in _TIMES:
        said = f"{said}; {_TIMES[exc.verify_code]}"
    return TransportError(FailureKind.TLS, said, transient=False)


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
    try:
        looking.load_verify_locations(cadata=b"".join(trusted.get_ca_certs(binary_form=True)))
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
