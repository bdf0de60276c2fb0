"""Foreign errors get their meaning in one place, however deep they are wrapped."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import ssl

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import FailureKind as Kind
from pdl.transport import TransportError
from pdl.transport.errors import causes, translated


def system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def tls(cls: type[ssl.SSLError], reason: str) -> ssl.SSLError:
    found = cls(1, reason)
    found.reason = reason
    return found


POOL = urllib3.HTTPConnectionPool("h")

ROWS: list[tuple[BaseException, Kind, bool]] = [
    (system(errno.ECONNREFUSED), Kind.CONNECT, True),
    (system(errno.EHOSTUNREACH), Kind.CONNECT, True),
    (system(errno.ENETUNREACH), Kind.CONNECT, True),
    (system(errno.ECONNRESET), Kind.RESET, True),
    (system(errno.EPIPE), Kind.RESET, True),
    (system(errno.ECONNABORTED), Kind.RESET, True),
    (system(errno.ETIMEDOUT), Kind.TIMEOUT, True),
    (TimeoutError("timed out"), Kind.TIMEOUT, True),
    (system(errno.EMFILE), Kind.DISK, False),
    (system(errno.ENFILE), Kind.DISK, False),
    (system(errno.ENOMEM), Kind.DISK, False),
    (system(errno.EPROTO), Kind.CONNECT, True),
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Kind.DNS, False),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), Kind.DNS, True),
    (tls(ssl.SSLError, "WRONG_VERSION_NUMBER"), Kind.TLS, False),
    (tls(ssl.SSLEOFError, "EOF"), Kind.RESET, True),
    (tls(ssl.SSLZeroReturnError, "closed"), Kind.RESET, True),
    (urllib3.exceptions.ConnectTimeoutError(POOL, "connect"), Kind.CONNECT, True),
    (urllib3.exceptions.ReadTimeoutError(POOL, "/", "read"), Kind.TIMEOUT, True),
    (requests.exceptions.ConnectTimeout("connect"), Kind.CONNECT, True),
    (requests.exceptions.ReadTimeout("read"), Kind.TIMEOUT, True),
    (requests.exceptions.InvalidURL("no host"), Kind.INVALID_URL, False),
    (urllib3.exceptions.LocationParseError("x"), Kind.INVALID_URL, False),
    (UnicodeError("label too long"), Kind.INVALID_URL, False),
    (OSError("Tunnel connection failed: 403 Forbidden"), Kind.CONNECT, False),
    (OSError("Tunnel connection failed: 429 Slow"), Kind.CONNECT, True),
    (OSError("Tunnel connection failed: 502 Bad Gateway"), Kind.CONNECT, True),
    (http.client.BadStatusLine("x"), Kind.PROTOCOL, False),
    (ValueError("nobody knows"), Kind.PROTOCOL, False),
    (TransportError(Kind.STALLED, "too slow", transient=True), Kind.STALLED, True),
]


@pytest.mark.parametrize(("exc", "kind", "transient"), ROWS)
def test_meaning(exc: BaseException, kind: Kind, transient: bool) -> None:
    found = translated(exc)
    assert (found.kind, found.transient) == (kind, transient)
    assert found.message


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("WRONG_VERSION_NUMBER", "the server speaks no TLS at that port; is it http://?"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tlsv1 alert protocol version"),
    ],
)
def test_what_tls_has_is_told_in_words(reason: str, said: str) -> None:
    assert translated(tls(ssl.SSLError, reason)).message == said


def by_cause(exc: BaseException) -> BaseException:
    outer = requests.exceptions.ConnectionError("outer")
    outer.__cause__ = exc
    return outer


def by_context(exc: BaseException) -> BaseException:
    outer = urllib3.exceptions.ProtocolError("outer")
    outer.__context__ = exc
    return outer


def by_argument(exc: BaseException) -> BaseException:
    return urllib3.exceptions.ProtocolError("Connection aborted.", exc)


def by_reason(exc: BaseException) -> BaseException:
    return requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(POOL, "/", exc)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("wrap", [by_cause, by_context, by_argument, by_reason])
@pytest.mark.parametrize(("exc", "kind", "transient"), ROWS[:22])
def test_meaning_survives_wrapping(
    exc: BaseException, kind: Kind, transient: bool, wrap: object
) -> None:
    assert callable(wrap)
    found = translated(wrap(exc))
    assert (found.kind, found.transient) == (kind, transient)


def test_a_refused_certificate_is_explained() -> None:
    exc = ssl.SSLCertVerificationError(1, "certificate verify failed")
    exc.verify_message = "certificate has expired"
    found = translated(requests.exceptions.SSLError(exc))
    assert (found.kind, found.transient) == (Kind.TLS, False)
    assert found.message == "the certificate is not accepted: certificate has expired"


def test_the_systems_own_words() -> None:
    assert translated(system(errno.ECONNREFUSED)).message == "Connection refused"
    assert translated(system(errno.EMFILE)).message == "Too many open files"
    assert "403" in translated(OSError("Tunnel connection failed: 403 Forbidden")).message


def test_our_own_error_is_the_same_one() -> None:
    ours = TransportError(Kind.STALLED, "too slow", transient=True)
    assert translated(by_cause(ours)) is ours


def test_errors_in_a_circle_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__ = second
    second.__context__ = first
    first.args = (second, first)
    assert list(causes(first)) == [first, second]
    assert translated(first).kind is Kind.PROTOCOL


@given(st.lists(st.sampled_from([row[0] for row in ROWS]), min_size=1, max_size=5))
def test_no_chain_raises(chain: list[BaseException]) -> None:
    outer: BaseException = RuntimeError("outer")
    for exc in chain:
        outer = RuntimeError(exc, outer)
    assert isinstance(translated(outer), TransportError)
