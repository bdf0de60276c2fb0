"""Digests that a server declares of what it sends, and which of them a file can be held to.

What a field covers decides where it can be used. The whole representation, content coding
included: Repr-Digest (RFC 9530 section 3), the older Digest (RFC 3230) and Google's x-goog-hash;
they hold for a file put together from ranges, and for one that a 304 leaves as it is, too. The
content of one message alone: Content-Digest (RFC 9530 section 2), Content-MD5 (RFC 2616 section
14.15) and Amazon's x-amz-checksum fields, which beside a range may be those of a part of an upload.

A field that is malformed, unknown or of something else counts as absent: nothing here raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.http_rules.codings import coding_of
from pdl.integrity.digests import HTTP_KEYS, declared_size, decoded
from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Header = Callable[[str], str | None]
    Named = Iterable[tuple[str, str]]

_OK = 200
_PARTIAL_CONTENT = 206
_NOT_MODIFIED = 304
_MOST = 4096
"""Characters of a field that are looked at; honest ones are far shorter."""

_MEMBER = lazy(  # of a dictionary (RFC 8941 section 3.2), if it is a byte sequence
    r"(?:^|,)[ \t]*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):(?:;[^,\"]*)?(?=[ \t]*(?:,|$))"
)


class Declared(NamedTuple):
    """A digest that a server declared.

    Attributes:
        field: the header field's name as people write it.
        checksum: ``algorithm:hex``, as `pdl.integrity.digests.Verifier` takes it.
    """

    field: str
    checksum: str


def declared(status: int, header: Header) -> Declared | None:
    """The strongest digest that an answer declares of the whole file it leads to, or None.

    Args:
        status: 200, 206 where the file ends with this answer's range, or 304, which is about the
            file that is there; others declare nothing.
        header: gives a field's value, or None.
    """
    best: Declared | None = None
    most = 0
    for field in _FIELDS:
        value = header(field.name)
        if value is None or status not in field.statuses:
            continue
        for algorithm, text in field.read(value[:_MOST], header):
            size = declared_size(algorithm)
            raw = decoded(text, size) if size > most else None
            if raw is not None:
                most, best = size, Declared(field.shown, f"{algorithm}:{raw.hex()}")
    return best


def _modern(value: str, _: Header) -> Named:
    """RFC 9530: whoever changes the coding on the way has to change the field."""
    return _known(_MEMBER.findall(value))


def _instance(value: str, header: Header) -> Named:
    """RFC 3230; with a coding, which someone on the way may have added, it says nothing."""
    return () if _coding(header) else _known(_pairs(value))


def _content_md5(value: str, header: Header) -> Named:
    return () if _coding(header) else (("md5", value.strip()),)


def _google(value: str, header: Header) -> Named:
    """Of the object as it is stored: it may be sent unpacked."""
    if _coding(header, "x-goog-stored-content-encoding") != _coding(header):
        return ()
    return [(name, text) for name, text in _pairs(value) if name == "md5"]


def _amazon(algorithm: str) -> Callable[[str, Header], Named]:
    def read(value: str, header: Header) -> Named:
        # that of an upload in parts is made of the parts' own
        kind = header("x-amz-checksum-type") or "FULL_OBJECT"
        whole = kind.strip().upper() == "FULL_OBJECT" and not _coding(header)
        return ((algorithm, value.strip()),) if whole else ()

    return read


def _pairs(value: str) -> Named:
    for part in value.split(","):
        name, equals, text = part.strip().partition("=")
        if equals:
            yield name.lower(), text


def _known(pairs: Named) -> Named:
    return [(HTTP_KEYS[name], text) for name, text in pairs if name in HTTP_KEYS]


def _coding(header: Header, name: str = "content-encoding") -> str:
    return coding_of(header(name))


class _Field(NamedTuple):
    """A header field that declares digests, as names of algorithms and base64."""

    shown: str
    statuses: frozenset[int]
    read: Callable[[str, Header], Named]
    name: str


def _field(shown: str, statuses: frozenset[int], read: Callable[[str, Header], Named]) -> _Field:
    return _Field(shown, statuses, read, shown.lower())


_WHOLE = frozenset({_OK, _PARTIAL_CONTENT, _NOT_MODIFIED})
_MESSAGE = frozenset({_OK})
_FIELDS = (
    _field("Repr-Digest", _WHOLE, _modern),
    _field("Content-Digest", _MESSAGE, _modern),
    _field("Digest", _WHOLE, _instance),
    _field("Content-MD5", _MESSAGE, _content_md5),
    _field("x-goog-hash", _WHOLE, _google),
    _field("x-amz-checksum-sha256", _MESSAGE, _amazon("sha256")),
    _field("x-amz-checksum-sha1", _MESSAGE, _amazon("sha1")),
    _field("x-amz-checksum-crc32", _MESSAGE, _amazon("crc32")),
)
NAMES = frozenset(field.name for field in _FIELDS)
"""Of the fields that may declare a digest, in lower case."""
