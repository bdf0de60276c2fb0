"""What TLS is verified by: read once, for every lane and host, and told when it cannot be used."""

from __future__ import annotations

import os
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pdl.model import FailureKind
from pdl.settings import HttpSettings
from pdl.transport import Request, TransportError
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.tls import Store, Trust, context, trust_of
from servers.certs import Authority
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from pathlib import Path


def trust_in(pem: Path) -> Trust:
    return Trust(Store((str(pem),), (), "--cacert"), None, None)


def test_it_is_read_once_for_all_lanes(authority: Authority) -> None:
    with ThreadPoolExecutor(8) as lanes:
        found = set(lanes.map(context, [trust_in(authority.pem)] * 32))
    (made,) = found
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname


def test_nobody_is_trusted_by_none() -> None:
    made = context(Trust(None, None, None))
    assert made.verify_mode is ssl.CERT_NONE
    assert not made.check_hostname


def test_a_bundle_that_vanishes_is_needed_no_more(tmp_path: Path, authority: Authority) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.pem.read_bytes())
    with Server(tls=authority.good()) as one, Server(tls=authority.good()) as other:
        transport = KeepaliveTransport(HttpSettings(cacert=str(bundle)))
        for server in (one, other):
            response = transport.open(Request(server.on("/f", File(b"f")), ()))
            assert response.status == 200
            response.close()
            bundle.unlink(missing_ok=True)
        transport.close()


def test_another_bundle_of_the_same_name_is_read_by_the_next_run(
    tmp_path: Path, authority: Authority
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    bundle = tmp_path / "bundle.pem"
    with Server(tls=authority.good()) as server:
        request = Request(server.on("/f", File(b"f")), ())
        for pem, accepted in [(authority.pem, True), (Authority(other).pem, False)]:
            bundle.write_bytes(pem.read_bytes())
            transport = KeepaliveTransport(HttpSettings(cacert=str(bundle)))
            with nullcontext() if accepted else pytest.raises(TransportError):
                transport.open(request).close()
            transport.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxys_own_certificate_is_verified(authority: Authority, scheme: str) -> None:
    with Server(tls=authority.expired()) as proxy:
        proxy.on("/f", File(b"f"))
        transport = KeepaliveTransport(HttpSettings(cacert=str(authority.pem), proxy=proxy.base))
        with pytest.raises(TransportError) as caught:
            transport.open(Request(f"{scheme}://origin.invalid/f", (("X-Key", "secret"),)))
        transport.close()
        assert caught.value.kind is FailureKind.TLS
        assert "expired" in caught.value.message
        assert proxy.requests() == []


def test_a_proxy_that_is_trusted_is_asked(authority: Authority) -> None:
    with Server(tls=authority.good()) as proxy:
        proxy.on("/f", File(b"f"))
        transport = KeepaliveTransport(HttpSettings(cacert=str(authority.pem), proxy=proxy.base))
        assert transport.open(Request("http://origin.invalid/f", ())).status == 200
        transport.close()


def encrypted_key(place: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    path = place / "key.pem"
    path.write_bytes(key)
    return path


@pytest.mark.parametrize(
    ("bundle", "cert", "key", "told"),
    [
        ("missing.pem", None, None, "trusted certificates in {}/missing.pem: No such file"),
        ("text.pem", None, None, "trusted certificates in {}/text.pem"),
        (None, "missing.pem", None, "{}/missing.pem: No such file"),
        (None, "text.pem", None, "the client's certificate or key in {}/text.pem"),
        (None, "good.pem", "key.pem", "encrypted"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_path(
    tmp_path: Path,
    authority: Authority,
    bundle: str | None,
    cert: str | None,
    key: str | None,
    told: str,
) -> None:
    (tmp_path / "text.pem").write_text("no certificate\n")
    (tmp_path / "good.pem").write_bytes(authority.pem.read_bytes())
    encrypted_key(tmp_path)
    paths = [None if name is None else os.fspath(tmp_path / name) for name in (bundle, cert, key)]
    with pytest.raises(TransportError) as caught:
        context(trust_of(HttpSettings(cacert=paths[0], cert=paths[1], key=paths[2])))
    assert caught.value.kind is FailureKind.TLS
    assert not caught.value.transient
    assert told.format(tmp_path) in caught.value.message
