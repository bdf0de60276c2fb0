"""Digests: parsing what lists say, and checking bytes as they pass."""

from __future__ import annotations

import binascii
import functools
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

from pdl.text.lazy_regex import lazy

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORM = lazy(r"\s*([A-Za-z0-9_-]+)\s*[:=]\s*([0-9A-Fa-f]+|[A-Za-z0-9+/_-]+={0,2})\s*")
_HEX = lazy("[0-9A-Fa-f]+")
_INTEGRITY = lazy(r"([A-Za-z0-9]+)-([A-Za-z0-9+/_-]+={0,2})(?:\?[\x21-\x7e]*)?")
_SHORT = {"sha256", "sha512", "sha1", "sha224", "sha384", "md5"}
_STANDARD = str.maketrans("-_", "+/")  # from base64's alphabet for URLs (RFC 4648 section 5)
CRC32 = "crc32"
"""What some servers declare; no list may rely on it."""


class BadChecksum(ValueError):
    """The text is no checksum; the message says why."""


def parse_checksum(text: str) -> str:
    """Normalise a digest as lists and servers write it to ``sha256:hex``.

    It may be ``sha256:HEX``, ``sha256=HEX`` or ``sha-256=HEX`` (aria2), the same with base64 for
    the digits, or Subresource Integrity's ``sha256-BASE64``: of several of these, separated by
    blanks, the strongest counts.

    Raises:
        BadChecksum: unknown algorithm, or not as many digits as it gives.
    """
    integrity = [_INTEGRITY.fullmatch(word) for word in text.split()]
    if integrity and None not in integrity:  # first: its padding may look like ``name=digits``
        return _parse_integrity(text, [each.groups() for each in integrity if each])
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadChecksum(f"{text[:80]!r} is not of the form algorithm:hex")
    name, digits = _plain_name(match[1]), match[2]
    size = _digest_size(name)
    if not _HEX.fullmatch(digits):
        raw = decoded(digits, size)
        if raw is None:
            raise BadChecksum(f"{text[:80]!r} is not of the form algorithm:hex")
        digits = raw.hex()
    if len(digits) != 2 * size:
        raise BadChecksum(f"{name} has {2 * size} hex digits, not {len(digits)}")
    return f"{name}:{digits.lower()}"


def _parse_integrity(text: str, words: Sequence[Sequence[str]]) -> str:
    """Integrity metadata (W3C Subresource Integrity): unknown algorithms in it are ignored."""
    known = [(name.lower(), digits) for name, digits in words if name.lower() in _SHORT]
    if not known:
        raise BadChecksum(f"{text[:80]!r} has no digest algorithm that is known")
    best = max((name for name, _ in known), key=strength)
    found = {decoded(digits, strength(best)) for name, digits in known if name == best}
    digest = found.pop()
    if digest is None or None in found:
        raise BadChecksum(f"{best} has {strength(best)} bytes in base64")
    if found:
        raise BadChecksum(f"several {best} digests; give one")
    return f"{best}:{digest.hex()}"


def decoded(text: str, size: int) -> bytes | None:
    """The `size` bytes that `text` stands for in base64, of either alphabet; None if it does not.

    Padding may be left out.
    """
    plain = text.rstrip("=")
    whole = plain + "=" * (-len(plain) % 4)
    if text not in {plain, whole} or len(plain) != -(-4 * size // 3):
        return None
    try:
        raw = binascii.a2b_base64(whole.translate(_STANDARD))
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size else None


def strength(algorithm: str) -> int:
    """Bytes of the algorithm's digests, by which the strongest is found; 0 for an unknown one."""
    try:
        return _digest_size(_plain_name(algorithm))
    except BadChecksum:
        return 0


def _plain_name(name: str) -> str:
    name = name.lower().replace("_", "-")
    plain = name.replace("-", "")
    return plain if plain in _SHORT else name.replace("-", "_")


@functools.cache
def _digest_size(name: str) -> int:
    if name not in hashlib.algorithms_available:
        raise BadChecksum(f"unknown digest algorithm {name!r}")
    try:
        size = hashlib.new(name, usedforsecurity=False).digest_size
    except ValueError:  # OpenSSL knows the name, and has been built or set up to refuse it
        raise BadChecksum(f"digest algorithm {name!r} is not available here") from None
    if not size:
        raise BadChecksum(f"{name} has no fixed length")
    return size


class _Crc32:
    """CRC-32 with the manners of hashlib's digests."""

    digest_size = 4

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class Verifier:
    """Digests bytes as they pass and compares at the end.

    Args:
        checksum: as `parse_checksum` returns it, or ``crc32:hex``.
    """

    def __init__(self, checksum: str) -> None:
        self.algorithm, _, self.expected = checksum.partition(":")
        self._hash: Any = (
            _Crc32()
            if self.algorithm == CRC32
            else hashlib.new(self.algorithm, usedforsecurity=False)
        )

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(data)

    def actual(self) -> str:
        """The digest of what was taken, as ``algorithm:hex``."""
        return f"{self.algorithm}:{self._hash.hexdigest()}"

    def agrees(self) -> bool:
        """Whether it is the expected one."""
        return bool(self._hash.hexdigest() == self.expected)
