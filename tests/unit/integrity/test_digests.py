"""Digests as lists write them, and bytes held against them."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdl.integrity.digests import (
    BY_LENGTH,
    DIGESTS,
    HTTP_KEYS,
    BadChecksum,
    Digest,
    Verifier,
    decoded,
    new_hash,
    of_tag,
    parse_checksum,
    spelling,
    strength,
)

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
SHA256 = hashlib.sha256(b"").hexdigest()
SHA3 = hashlib.sha3_256(b"").hexdigest()
BLAKE = hashlib.blake2b(b"").hexdigest()


def base64_of(name: str, data: bytes = b"") -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


INTEGRITY = {name: f"{name}-{base64_of(name)}" for name in ("sha1", "sha256", "sha384", "sha512")}
OTHER = f"sha512-{base64_of('sha512', b'other')}"
FF = base64.urlsafe_b64encode(b"\xff" * 32).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"sha256:{SHA256}", f"sha256:{SHA256}"),
        (f"sha256={SHA256}", f"sha256:{SHA256}"),
        (f"sha-256={SHA256}", f"sha256:{SHA256}"),
        (f"SHA_256:{SHA256.upper()}", f"sha256:{SHA256}"),
        (f"  sha-256 = {SHA256} ", f"sha256:{SHA256}"),
        (f"md5:{MD5}", f"md5:{MD5}"),
        (f"sha-1:{SHA1}", f"sha1:{SHA1}"),
        (f"sha3-256:{SHA3}", f"sha3_256:{SHA3}"),
        (f"SHA3_256:{SHA3}", f"sha3_256:{SHA3}"),
        (f"blake2b:{BLAKE}", f"blake2b:{BLAKE}"),
        *((text, f"{name}:{hashlib.new(name).hexdigest()}") for name, text in INTEGRITY.items()),
        (f" {INTEGRITY['sha256']}?type=x ", f"sha256:{SHA256}"),
        (" ".join(INTEGRITY.values()), f"sha512:{hashlib.sha512().hexdigest()}"),
        (f"{INTEGRITY['sha512']}\n{INTEGRITY['sha256']}", f"sha512:{hashlib.sha512().hexdigest()}"),
        (f"sha999-YQ== {INTEGRITY['sha256']}", f"sha256:{SHA256}"),
        (f"{INTEGRITY['sha512']} {INTEGRITY['sha512']}", f"sha512:{hashlib.sha512().hexdigest()}"),
        (f"sha256-{FF}", f"sha256:{'ff' * 32}"),
        (f"sha256-{FF.rstrip('=')}", f"sha256:{'ff' * 32}"),
        (f"sha-256:{base64_of('sha256')}", f"sha256:{SHA256}"),
        (f"sha256={base64_of('sha256')}", f"sha256:{SHA256}"),
        (f"md5:{base64_of('md5')}", f"md5:{MD5}"),
        (f"blake2b:{base64_of('blake2b')}", f"blake2b:{BLAKE}"),
        *((f"sha{n}:{'a' * (n // 4)}", f"sha{n}:{'a' * (n // 4)}") for n in (224, 384, 512)),
    ],
)
def test_forms(text: str, expected: str) -> None:
    assert parse_checksum(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not of the form algorithm:hex"),
        (SHA256, "not of the form"),
        ("sha256:", "not of the form"),
        (":abcd", "not of the form"),
        ("sha256:xyz", "not of the form"),
        ("sha256 abcd", "not of the form"),
        (f"sha256:{SHA256} more", "not of the form"),
        ("x" * 500, f"'{'x' * 80}' is not of the form"),
        (f"sha256:{SHA256[:-1]}", "sha256 has 64 hex digits, not 63"),
        (f"sha256:{SHA256}0", "sha256 has 64 hex digits, not 65"),
        (f"sha1:{MD5}", "sha1 has 40 hex digits, not 32"),
        (f"sha256:{'a' * 43}", "sha256 has 64 hex digits, not 43"),
        (f"sha256-{SHA256}", "sha256 has 32 bytes in base64"),
        (f"{INTEGRITY['sha512']} sha512-YQ==", "sha512 has 64 bytes in base64"),
        (f"{INTEGRITY['sha512']} {OTHER}", "several sha512 digests"),
        (f"{INTEGRITY['sha512']} more", "not of the form"),
        ("sha999-YQ==", "no digest algorithm that is known"),
        (f"sha256:{base64_of('md5')}", "not of the form"),
        (f"sha256:{base64_of('sha256')}=", "not of the form"),
        ("crc32:00000000", "unknown digest algorithm 'crc32'"),
        ("shake-128:00", "shake_128 has no fixed length"),
        ("__class__:00", "unknown digest algorithm"),
    ],
)
def test_what_is_no_checksum(text: str, reason: str) -> None:
    with pytest.raises(BadChecksum, match=reason):
        parse_checksum(text)


@given(st.permutations(["sha256", "sha384", "sha512"]), st.binary(max_size=9))
@example(["sha256", "sha512"], b"without either of + and /")
def test_the_strongest_of_several_counts_whatever_their_digits(
    names: list[str], data: bytes
) -> None:
    text = " ".join(f"{name}-{base64_of(name, data)}" for name in names)
    assert parse_checksum(text) == f"sha512:{hashlib.sha512(data).hexdigest()}"


@given(
    st.text(max_size=90)
    | st.sampled_from(sorted(hashlib.algorithms_available)).map("{}:00".format)
    | st.from_regex(r"(?i:md5|sha-?1|crc32)[:=][0-9a-fA-F]{8}([0-9a-f]{24,32})?", fullmatch=True)
)
@example(f"sha256:{SHA256}")
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        algorithm, _, digits = parse_checksum(text).partition(":")
    except BadChecksum:
        return
    size = 4 if algorithm == "crc32" else hashlib.new(algorithm).digest_size
    assert len(bytes.fromhex(digits)) == size


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha3_256", "blake2s"])
def test_bytes_are_held_against_it(name: str) -> None:
    expected = f"{name}:{hashlib.new(name, b'some bytes').hexdigest()}"
    verifier = Verifier(expected)
    verifier.update(memoryview(b"some "))
    assert not verifier.agrees()
    verifier.update(memoryview(b"bytes"))
    assert verifier.agrees()
    assert verifier.actual() == expected
    verifier.update(memoryview(b"!"))
    assert not verifier.agrees()
    assert verifier.actual() != expected


def test_a_crc_too() -> None:
    verifier = Verifier(f"crc32:{zlib.crc32(b'some bytes'):08x}")
    verifier.update(memoryview(b"some "))
    verifier.update(memoryview(b"bytes"))
    assert verifier.agrees()


@given(st.binary(min_size=1, max_size=64), st.booleans(), st.booleans())
def test_base64_of_either_alphabet(data: bytes, padded: bool, url: bool) -> None:
    text = (base64.urlsafe_b64encode if url else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    assert decoded(text, len(data)) == data
    assert decoded(text, len(data) + 1) is None
    assert decoded(text + "===", len(data)) is None


LISTED = [digest for digest in DIGESTS if digest.listed]


@pytest.mark.parametrize("digest", DIGESTS, ids=lambda digest: digest.name)
def test_a_row_of_the_table_gives_digests_of_its_size(digest: Digest) -> None:
    made = new_hash(digest.name)
    made.update(memoryview(b"abc"))
    assert len(made.hexdigest()) == 2 * digest.size
    assert made.hexdigest() != new_hash(digest.name).hexdigest()


@pytest.mark.parametrize("digest", LISTED, ids=lambda digest: digest.name)
def test_each_spelling_of_a_listed_digest_is_understood(digest: Digest) -> None:
    expected = f"{digest.name}:{'ab' * digest.size}"
    written = {digest.name, digest.name.upper(), digest.name.replace("_", "-"), digest.spelling}
    for name in written - {""}:
        assert parse_checksum(f"{name}={'AB' * digest.size}") == expected
    assert strength(digest.name) == digest.size
    assert parse_checksum(f"{spelling(digest.name)}:{'ab' * digest.size}") == expected
    assert {of_tag(tag.upper()) for tag in digest.tags} <= {digest.name}


def test_no_name_in_the_table_means_two_digests() -> None:
    names = [digest.name for digest in DIGESTS]
    spelt = [each for digest in DIGESTS for each in (digest.spelling, *digest.tags) if each]
    assert len(set(names + spelt)) == len(names + spelt)
    assert len(HTTP_KEYS) == sum(len(digest.http) for digest in DIGESTS)
    assert len(BY_LENGTH) == sum(digest.common for digest in DIGESTS)


def test_what_servers_alone_declare_is_unknown_to_lists() -> None:
    for digest in set(DIGESTS) - set(LISTED):
        assert strength(digest.name) == 0
        with pytest.raises(BadChecksum, match="unknown"):
            parse_checksum(f"{digest.name}:{'ab' * digest.size}")
