"""Digests: the table of algorithms, parsing what lists say, and checking bytes as they pass.

`DIGESTS` is the one place that names algorithms: each pattern that knows some is made from it.
What hashlib has beside them (``sm3``, ``ripemd160``) is taken under hashlib's own name.
"""

from __future__ import annotations

import binascii
import functools
import zlib
from typing import TYPE_CHECKING, Any

from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FORM = lazy(r"\s*([A-Za-z0-9_-]+)\s*[:=]\s*([0-9A-Fa-f]+|[A-Za-z0-9+/_-]+={0,2})\s*")
_HEX = lazy("[0-9A-Fa-f]+")
_INTEGRITY = lazy(r"([A-Za-z0-9]+)-([A-Za-z0-9+/_-]+={0,2})(?:\?[\x21-\x7e]*)?")
_STANDARD = str.maketrans("-_", "+/")  # from base64's alphabet for URLs (RFC 4648 section 5)


class BadChecksum(ValueError):
    """The text is no checksum; the message says why."""


class Contradiction(ValueError):
    """What is said of an item's digest cannot all be true; the message tells who says what."""


class _Crc32:
    """CRC-32 with the manners of hashlib's digests."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class Digest(NamedTuple):
    """An algorithm, and how others write its name.

    Attributes:
        name: pdl's, in lower case, in lists, reports and lock files; hashlib's where it has it.
        size: bytes; by them the stronger of two is told.
        make: gives an object with hashlib's `update` and `hexdigest`; None where hashlib has it.
            It may raise `ImportError` where an extra is not installed.
        spelling: aria2's and Metalink's (RFC 5854, IANA's textual names), where it is another.
        tags: what programs that write checksum files call it beside these: GNU's names of files,
            BSD's tags.
        http: its keys in Repr-Digest and Content-Digest (RFC 9530) and in Digest (RFC 3230).
        common: it is meant where nothing but the number of digits tells (a line of `sha256sum`);
            it may stand in a URL's fragment and in Subresource Integrity.
        listed: a list may rely on it; else servers alone declare it.
    """

    name: str
    size: int
    make: Callable[[], Any] | None = None
    spelling: str = ""
    tags: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    common: bool = False
    listed: bool = True


DIGESTS = (
    Digest("md5", 16, http=("md5",), common=True),
    Digest("sha1", 20, spelling="sha-1", http=("sha", "sha-1"), common=True),
    Digest("sha224", 28, spelling="sha-224", tags=("sha2-224",), common=True),
    Digest("sha256", 32, spelling="sha-256", tags=("sha2-256",), http=("sha-256",), common=True),
    Digest("sha384", 48, spelling="sha-384", tags=("sha2-384",), common=True),
    Digest("sha512", 64, spelling="sha-512", tags=("sha2-512",), http=("sha-512",), common=True),
    Digest("sha3_224", 28),
    Digest("sha3_256", 32),
    Digest("sha3_384", 48),
    Digest("sha3_512", 64),
    Digest("blake2b", 64, tags=("b2", "blake2")),
    Digest("blake2s", 32),
    Digest("crc32", 4, make=_Crc32, listed=False),
)
_BY_NAME = {digest.name: digest for digest in DIGESTS}
_MAKERS = {digest.name: digest.make for digest in DIGESTS if digest.make is not None}
_COMMON = {digest.name: digest for digest in DIGESTS if digest.common}


def _key(name: str) -> str:
    """The name as it is compared: neither case nor dashes count."""
    return name.lower().replace("-", "").replace("_", "")


_SPELT = {_key(digest.name): digest.name for digest in DIGESTS} | {
    _key(digest.spelling): digest.name for digest in DIGESTS if digest.spelling
}
_TAGS = {tag: digest.name for digest in DIGESTS for tag in digest.tags}
HTTP_KEYS = {key: digest.name for digest in DIGESTS for key in digest.http}
"""Algorithms by their keys in header fields."""
BY_LENGTH = {2 * digest.size: digest.name for digest in _COMMON.values()}
"""The algorithm that is meant by so many hex digits alone."""


def words(*, common: bool = False) -> str:
    """All names of algorithms that a list may rely on, as the alternatives of a pattern.

    Args:
        common: of those that are `Digest.common` only, and without the tags of checksum files.
    """
    found: set[str] = set()
    for digest in DIGESTS:
        if digest.common or (digest.listed and not common):
            found |= {digest.name, digest.name.replace("_", "-"), digest.name.replace("_", "")}
            found |= {digest.spelling or digest.name, *(() if common else digest.tags)}
    return "|".join(sorted(found, reverse=True))  # of two that begin alike the longer first


def hex_digits(*, common: bool = False) -> str:
    """How many hex digits the digests in lists have, as a pattern's ``{32,128}``."""
    sizes = [2 * each.size for each in DIGESTS if each.common or (each.listed and not common)]
    return f"{{{min(sizes)},{max(sizes)}}}"


def integrity_words(least: int) -> str:
    """Subresource Integrity's forms without padding, of digests with so many bytes or more."""
    return "|".join(
        rf"{digest.name}-[\w+/-]{{{-(-4 * digest.size // 3)}}}"
        for digest in _COMMON.values()
        if digest.size >= least
    )


def spelling(name: str) -> str:
    """The name as aria2's input file has it."""
    digest = _BY_NAME.get(name)
    return (digest and digest.spelling) or name


def of_tag(tag: str) -> str:
    """The name of what checksum files call ``B2``, ``BLAKE2b`` or ``SHA2-256``."""
    return _TAGS.get(tag.lower(), tag.lower())


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
    size = _listed_size(name)
    if not _HEX.fullmatch(digits):
        raw = decoded(digits, size)
        if raw is None:
            raise BadChecksum(f"{text[:80]!r} is not of the form algorithm:hex")
        digits = raw.hex()
    if len(digits) != 2 * size:
        raise BadChecksum(f"{name} has {2 * size} hex digits, not {len(digits)}")
    return f"{name}:{digits.lower()}"


def _parse_integrity(text: str, metadata: Sequence[Sequence[str]]) -> str:
    """Integrity metadata (W3C Subresource Integrity): unknown algorithms in it are ignored."""
    known = [(name.lower(), digits) for name, digits in metadata if name.lower() in _COMMON]
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
    """Bytes of the algorithm's digests, by which the strongest is found; 0 for an unknown one.

    One that a list may not rely on counts as unknown.
    """
    try:
        return _listed_size(_plain_name(algorithm))
    except BadChecksum:
        return 0


def algorithm_of(name: str) -> str:
    """The algorithm's name, whatever its case and dashes; an unknown one stays as it is."""
    return _plain_name(name.strip())


def algorithms_fault(names: Sequence[str]) -> str:
    """Why files cannot be digested with these algorithms; empty if they can."""
    wrong = [name for name in names if _plain_name(name) != name or not strength(name)]
    known = ", ".join(digest.name for digest in DIGESTS if digest.listed)
    return f"{wrong[0]!r} is no algorithm that is available here, as {known}" if wrong else ""


def declared_size(name: str) -> int:
    """Bytes of a digest that a server declares; 0 for one that is not available here.

    Args:
        name: as the table has it.
    """
    digest = _BY_NAME[name]
    try:
        return _listed_size(name) if digest.listed else digest.size
    except BadChecksum:
        return 0


def _plain_name(name: str) -> str:
    lower = name.lower()  # as `_key`, without a call more for an item of a list
    return _SPELT.get(lower.replace("-", "").replace("_", "")) or lower.replace("-", "_")


@functools.cache
def _listed_size(name: str) -> int:
    digest = _BY_NAME.get(name)
    if digest is not None and digest.make is not None and digest.listed:
        try:
            digest.make()
        except ImportError:
            raise BadChecksum(f"digest algorithm {name!r} is not available here") from None
        return digest.size
    import hashlib  # it loads a large library, which many runs do without

    if name not in hashlib.algorithms_available:
        raise BadChecksum(f"unknown digest algorithm {name!r}")
    try:
        size = hashlib.new(name, usedforsecurity=False).digest_size
    except ValueError:  # OpenSSL knows the name, and has been built or set up to refuse it
        raise BadChecksum(f"digest algorithm {name!r} is not available here") from None
    if not size:
        raise BadChecksum(f"{name} has no fixed length")
    return size


def new_hash(name: str) -> Any:  # noqa: ANN401 - hashlib's, or one of the table with its manners
    """An object that takes bytes and gives the digest of that algorithm.

    Args:
        name: as `parse_checksum` has it before the colon.
    """
    if make := _MAKERS.get(name):
        return make()
    import hashlib  # as above

    return hashlib.new(name, usedforsecurity=False)


class Verifier:
    """Digests bytes as they pass and compares at the end.

    Args:
        checksum: as `parse_checksum` returns it, or of an algorithm that servers declare.
    """

    def __init__(self, checksum: str) -> None:
        self.algorithm, _, self.expected = checksum.partition(":")
        self._hash = new_hash(self.algorithm)

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        self._hash.update(data)

    def actual(self) -> str:
        """The digest of what was taken, as ``algorithm:hex``."""
        return f"{self.algorithm}:{self._hash.hexdigest()}"

    def agrees(self) -> bool:
        """Whether it is the expected one."""
        return bool(self._hash.hexdigest() == self.expected)
