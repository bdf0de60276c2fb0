"""Digests: parsing what lists say, and checking bytes as they pass."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

_FORM = re.compile(r"\s*([A-Za-z0-9_-]+)\s*[:=]\s*([0-9A-Fa-f]+)\s*")
_SHORT = {"sha256", "sha512", "sha1", "sha224", "sha384", "md5"}


class BadChecksum(ValueError):
    """The text is no checksum; the message says why."""


def parse_checksum(text: str) -> str:
    """Normalise ``sha256:HEX``, ``sha256=HEX`` or ``sha-256=HEX`` to ``sha256:hex``.

    Raises:
        BadChecksum: unknown algorithm, or not as many hex digits as it gives.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadChecksum(f"{text[:80]!r} is not of the form algorithm:hex")
    name = _plain_name(match.group(1))
    digits = match.group(2).lower()
    size = _digest_size(name)
    if len(digits) != 2 * size:
        raise BadChecksum(f"{name} has {2 * size} hex digits, not {len(digits)}")
    return f"{name}:{digits}"


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


class Verifier:
    """Digests bytes as they pass and compares at the end.

    Args:
        checksum: as `parse_checksum` returns it.
    """

    def __init__(self, checksum: str) -> None:
        self.algorithm, _, self.expected = checksum.partition(":")
        self._hash: Any = hashlib.new(self.algorithm, usedforsecurity=False)

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(data)

    def actual(self) -> str:
        """The digest of what was taken, as ``algorithm:hex``."""
        return f"{self.algorithm}:{self._hash.hexdigest()}"

    def agrees(self) -> bool:
        """Whether it is the expected one."""
        return bool(self._hash.hexdigest() == self.expected)
