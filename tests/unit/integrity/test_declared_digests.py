"""Digests that servers declare: which of them are read, believed, and of what."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.integrity.declared_digests import Declared, declared

DATA = b"some bytes"
NAMES = ("md5", "sha1", "sha256", "sha512")


def b64(name: str, data: bytes = DATA) -> str:
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


def hexed(name: str) -> str:
    return f"{name}:{hashlib.new(name, DATA).hexdigest()}"


MD5, SHA1, SHA256, SHA512 = (b64(name) for name in NAMES)
CRC = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
CRC_HEX = f"crc32:{zlib.crc32(DATA):08x}"

Fields = dict[str, str]


def ask(fields: Fields, status: int = 200) -> Declared | None:
    return declared(status, {name.lower(): value for name, value in fields.items()}.get)


@pytest.mark.parametrize(
    ("fields", "field", "checksum"),
    [
        ({"Repr-Digest": f"sha-256=:{SHA256}:"}, "Repr-Digest", hexed("sha256")),
        ({"Repr-Digest": f"sha-512=:{SHA512}:;q=1"}, "Repr-Digest", hexed("sha512")),
        (
            {"Repr-Digest": f"a=1, md5=:{MD5}:, sha-256=:{SHA256}:,unixsum=:AAA=:"},
            "Repr-Digest",
            hexed("sha256"),
        ),
        ({"Repr-Digest": f"sha=:{SHA1}:"}, "Repr-Digest", hexed("sha1")),
        ({"Content-Digest": f"sha-256=:{SHA256}:"}, "Content-Digest", hexed("sha256")),
        ({"Digest": f"SHA-256={SHA256},unixsum=30637"}, "Digest", hexed("sha256")),
        ({"Digest": f"sha={SHA1}, md5={MD5}"}, "Digest", hexed("sha1")),
        ({"Content-MD5": MD5}, "Content-MD5", hexed("md5")),
        ({"x-goog-hash": f"crc32c=n03x6A==, md5={MD5}"}, "x-goog-hash", hexed("md5")),
        ({"x-amz-checksum-sha256": SHA256}, "x-amz-checksum-sha256", hexed("sha256")),
        ({"x-amz-checksum-sha1": SHA1}, "x-amz-checksum-sha1", hexed("sha1")),
        ({"x-amz-checksum-crc32": CRC}, "x-amz-checksum-crc32", CRC_HEX),
        (
            {"x-amz-checksum-crc32": CRC, "x-amz-checksum-type": "FULL_OBJECT"},
            "x-amz-checksum-crc32",
            CRC_HEX,
        ),
        # of several the strongest
        ({"Content-MD5": MD5, "Digest": f"sha={SHA1}"}, "Digest", hexed("sha1")),
        ({"Content-MD5": MD5, "x-amz-checksum-crc32": CRC}, "Content-MD5", hexed("md5")),
        ({"Content-MD5": MD5, "Repr-Digest": "sha-256=:x:"}, "Content-MD5", hexed("md5")),
        # with a coding
        (
            {"Repr-Digest": f"sha-256=:{SHA256}:", "Content-Encoding": "gzip"},
            "Repr-Digest",
            hexed("sha256"),
        ),
        ({"Content-MD5": MD5, "Content-Encoding": "identity"}, "Content-MD5", hexed("md5")),
        (
            {
                "x-goog-hash": f"md5={MD5}",
                "Content-Encoding": "gzip",
                "x-goog-stored-content-encoding": "gzip",
            },
            "x-goog-hash",
            hexed("md5"),
        ),
    ],
)
def test_what_is_read(fields: Fields, field: str, checksum: str) -> None:
    assert ask(fields) == Declared(field, checksum)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Repr-Digest": ""},
        {"Repr-Digest": f"sha-256={SHA256}"},
        {"Repr-Digest": f"sha-256=:{SHA256}"},
        {"Repr-Digest": f"sha-256=:{SHA256}: and more"},
        {"Repr-Digest": f"sha-256=:{SHA1}:"},
        {"Repr-Digest": "sha-256=::"},
        {"Repr-Digest": f"SHA-256=:{SHA256}:"},
        {"Repr-Digest": f"xsha-256=:{SHA256}:"},
        {"Repr-Digest": f"sha-256=:{SHA256[:-2]}-=:"},
        {"Content-MD5": hashlib.md5(DATA).hexdigest()},
        {"Content-MD5": f"{MD5}x"},
        {"Digest": f"sha-256={hashlib.sha256(DATA).hexdigest()}"},
        {"Digest": SHA256},
        {"x-goog-hash": "crc32c=n03x6A=="},
        {"x-amz-checksum-sha256": f"{SHA256}-4"},
        {"x-amz-checksum-crc32": f"{CRC}-2"},
        {"x-amz-checksum-sha256": SHA256, "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-crc32c": CRC},
        {"Content-MD5": MD5, "Content-Encoding": "gzip"},
        {"Digest": f"sha-256={SHA256}", "Content-Encoding": "br"},
        {"x-amz-checksum-sha256": SHA256, "Content-Encoding": "gzip"},
        {"x-goog-hash": f"md5={MD5}", "x-goog-stored-content-encoding": "gzip"},
        {"x-goog-hash": f"md5={MD5}", "Content-Encoding": "gzip"},
    ],
)
def test_what_is_none(fields: Fields) -> None:
    assert ask(fields) is None


def test_what_holds_for_a_range_too() -> None:
    every = {
        "Repr-Digest": f"sha-256=:{SHA256}:",
        "Digest": f"sha-256={SHA256}",
        "x-goog-hash": f"md5={MD5}",
        "Content-Digest": f"sha-256=:{SHA256}:",
        "Content-MD5": MD5,
        "x-amz-checksum-sha256": SHA256,
        "x-amz-checksum-sha1": SHA1,
        "x-amz-checksum-crc32": CRC,
    }
    assert all(ask({name: value}) for name, value in every.items())
    assert [name for name, value in every.items() if ask({name: value}, 206)] == [
        "Repr-Digest",
        "Digest",
        "x-goog-hash",
    ]
    assert ask(every, 416) is None


NAME = st.sampled_from(
    ["repr-digest", "content-digest", "digest", "content-md5", "x-goog-hash", "content-encoding"]
    + [f"x-amz-checksum-{name}" for name in ("sha256", "sha1", "crc32", "type")]
)
VALUE = st.text(max_size=60) | st.sampled_from(
    [MD5, f"sha-256=:{SHA256}:", f"md5={MD5}", "sha-256=:" * 3000, "," * 5000]
)


@given(st.dictionaries(NAME, VALUE), st.sampled_from([200, 206, 304]))
def test_no_field_raises(fields: Fields, status: int) -> None:
    found = declared(status, fields.get)
    if found is not None:
        name, _, digits = found.checksum.partition(":")
        size = 4 if name == "crc32" else hashlib.new(name).digest_size
        assert len(bytes.fromhex(digits)) == size
