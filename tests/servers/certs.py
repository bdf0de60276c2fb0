"""Certificates for the TLS tests: good ones and bad ones, none of which any system trusts."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import ssl
from typing import TYPE_CHECKING, NamedTuple

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

UTF8 = x509.name._ASN1Type.UTF8String
HOSTS = ("127.0.0.1", "localhost")


class PemFiles(NamedTuple):
    """A certificate (with its chain) and its key, as programs want them."""

    cert: Path
    key: Path


def _context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class Authority:
    """A certificate authority of a test's own.

    Args:
        directory: where its files are written.
    """

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._directory = directory
        self.pem = directory / "authority.pem"
        """What a client is given as ``--cacert``."""
        self._ca.cert_pem.write_to_path(str(self.pem))

    def hashed(self) -> Path:
        """A directory that has the authority under the name by which OpenSSL looks for it."""
        place = self._directory / "hashed"
        place.mkdir(exist_ok=True)
        subject = x509.load_pem_x509_certificate(self.pem.read_bytes()).subject
        (place / f"{_hash_of(subject)}.0").write_bytes(self.pem.read_bytes())
        return place

    def good(self, *names: str) -> ssl.SSLContext:
        """A server's context that clients trusting `pem` accept, for these hosts and the usual."""
        return self._serve(self._ca.issue_cert(*HOSTS, *names))

    def wrong_host(self) -> ssl.SSLContext:
        """One whose certificate is for another host."""
        return self._serve(self._ca.issue_cert("elsewhere.example"))

    def expired(self) -> ssl.SSLContext:
        """One whose certificate ended yesterday."""
        now = dt.datetime.now(dt.timezone.utc)
        day = dt.timedelta(days=1)
        leaf = self._ca.issue_cert(*HOSTS, not_before=now - 9 * day, not_after=now - day)
        return self._serve(leaf)

    def self_signed(self) -> ssl.SSLContext:
        """One whose certificate no authority has signed."""
        files = _self_signed(self._directory)
        context = _context()
        context.load_cert_chain(files.cert, files.key)
        return context

    def wanting_client_cert(self) -> ssl.SSLContext:
        """One that refuses clients without a certificate of this authority."""
        context = self.good()
        self._ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def files(self, *names: str, stem: str = "leaf") -> PemFiles:
        """A certificate for the hosts (or a client's e-mail address) as files."""
        leaf = self._ca.issue_cert(*(names or HOSTS))
        files = PemFiles(self._directory / f"{stem}.pem", self._directory / f"{stem}.key")
        files.cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(files.key))
        return files

    @staticmethod
    def _serve(leaf: trustme.LeafCert) -> ssl.SSLContext:
        context = _context()
        leaf.configure_cert(context)
        return context


def _hash_of(name: x509.Name) -> str:
    """OpenSSL's X509_NAME_hash: of the words in lower case, as UTF-8, without the outer head."""
    plain = x509.Name(
        x509.RelativeDistinguishedName(
            x509.NameAttribute(each.oid, " ".join(str(each.value).lower().split()), UTF8)
            for each in part
        )
        for part in name.rdns
    ).public_bytes()
    long = plain[1] & 0x7F if plain[1] & 0x80 else 0
    digest = hashlib.sha1(plain[2 + long :], usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _self_signed(directory: Path) -> PemFiles:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.timezone.utc)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = PemFiles(directory / "self-signed.pem", directory / "self-signed.key")
    files.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
