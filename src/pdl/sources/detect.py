"""Which format a list has: by its name, then by how it begins; and its reading in that format.

Compression is always seen by the first bytes. A name decides where it says something (``.csv``,
``SHA256SUMS``, ``x.meta4.xz``); ``.txt`` and the like do not, so that the first line that is
neither blank nor a comment does. Each format's module is imported when its first list comes.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, TypeVar

from pdl.sources import Line, Pause
from pdl.sources.lines import MAX_LINE, split_lines
from pdl.sources.streams import TEXT, Counting
from pdl.sources.text import TextFormat
from pdl.text.lazy_regex import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from pdl.settings import InputSettings
    from pdl.sources import Entry, Format

    T = TypeVar("T")

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_PACKED = lazy(r"\.(?:gz|bz2|xz)$", re.IGNORECASE)
_NAMES = {
    "csv": lazy(r"\.csv$", re.IGNORECASE),
    "tsv": lazy(r"\.(?:tsv|tab)$", re.IGNORECASE),
    "jsonl": lazy(r"\.(?:jsonl|ndjson)$", re.IGNORECASE),
    "metalink": lazy(r"\.(?:metalink4?|meta4)$", re.IGNORECASE),
    "checksums": lazy(
        r"(?:^|[./_-])(?:(?:md5|sha-?\d+|sha3-?\d+|b2|blake2[bs]?)-?sums?|checksums?"
        r"|md5|sha1|sha224|sha256|sha384|sha512)(?:\.(?:txt|asc))?$",
        re.IGNORECASE,
    ),
}
_BLANK = b" \t\r\f\v\xef\xbb\xbf"
_XML = lazy(rb"<(?:\?xml|!--|(?:\w+:)?metalink)[\s>?!-]?")
_DIGEST_LINE = lazy(
    rb"\\?[0-9a-fA-F]{32,128}[ \t]"
    rb"|\\?[A-Za-z][A-Za-z0-9/_-]{1,15} ?\(.+\) ?= ?[0-9a-fA-F]{32,128}$"
    rb"|-----BEGIN PGP SIGNED MESSAGE-----"
)
_COUNTED = {
    "csv": TEXT._replace(without=1),
    "tsv": TEXT._replace(without=1),
    "metalink": Counting(lazy(rb"<(?:\w+:)?file\s")),
}


class Formats:
    """Reads lists in whatever format they have.

    Args:
        settings: the format, if it is to be one, and the base of relative URLs.
        warn: told of what in a list is ignored.
    """

    def __init__(self, settings: InputSettings, warn: Callable[[str], None]) -> None:
        self._settings = settings
        self._warn = warn
        self._made: dict[str, Format] = {}

    def read(self, chunks: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """Turn the bytes of a list into its entries, with the pauses among them.

        Raises:
            ListError: the list as a whole is none, or is broken from here on.
        """
        packed, plain = yield from _peek(chunks, _compression)
        if packed:
            from pdl.sources.compressed import unpack  # its libraries

            plain = unpack(plain, packed, source)
        name: str = self._settings.format
        if name == "auto":
            name = by_name(source) or "auto"
        if name == "auto":
            name, plain = yield from _peek(plain, _by_content)
        form = self._format(name)
        yield from form.read(split_lines(plain) if form.by_line else plain, source)

    def counting(self, source: str, head: bytes) -> Counting | None:
        """How the items of a list that begins like that are counted; None if they cannot be."""
        if compression(head):
            return None
        name: str = self._settings.format
        if name == "auto":
            name = by_name(source) or by_content(head, whole=True) or "text"
        return _COUNTED.get(name, TEXT)

    def _format(self, name: str) -> Format:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Format:
        # Each import is here, so that nobody waits for a format that is not used.
        base = self._settings.base_url
        if name in {"csv", "tsv"}:
            from pdl.sources.csv_ import CsvFormat

            return CsvFormat(self._warn, base, tabs=name == "tsv")
        if name == "jsonl":
            from pdl.sources.jsonl import JsonlFormat

            return JsonlFormat(self._warn, base)
        if name == "metalink":
            from pdl.sources.metalink import MetalinkFormat

            return MetalinkFormat(base)
        if name == "checksums":
            from pdl.sources.checksums import ChecksumsFormat

            return ChecksumsFormat(base)
        return TextFormat(self._warn, base)


def by_name(source: str) -> str | None:
    """The format that a list's name tells, or None."""
    name = _PACKED.sub("", source.rpartition("/")[2])
    return next((form for form, pattern in _NAMES.items() if pattern.search(name)), None)


def compression(head: bytes) -> str:
    """What the first bytes of a list say of its compression; empty for none."""
    return next((form for magic, form in _MAGIC.items() if head.startswith(magic)), "")


def by_content(head: bytes, *, whole: bool) -> str | None:
    """The format that the beginning of a list tells; None while it takes more to tell.

    Args:
        head: the first bytes.
        whole: nothing follows them.
    """
    whole = whole or len(head) > MAX_LINE
    lines = head.split(b"\n")
    last = len(lines) - 1
    for place, raw in enumerate(lines):
        line = raw.strip(_BLANK)
        if line[:1] == b"<" and _XML.match(line):
            return "metalink"
        if place == last and not whole:
            return None
        if line and line[:1] != b"#":
            return _by_line(line)
    return "text"


def _by_line(line: bytes) -> str:
    if line[:1] == b"{":
        return "jsonl"
    if _DIGEST_LINE.match(line):
        return "checksums"
    if b"://" in line:  # a URL, and no header row
        return "text"
    for separator, form in ((b"\t", "tsv"), (b",", "csv"), (b";", "csv")):
        if b"url" in [cell.strip(b" \t\"'").lower() for cell in line.split(separator)]:
            return form
    return "text"


def _compression(head: bytes, whole: bool) -> str | None:
    undecided = not whole and any(len(head) < len(m) and m.startswith(head) for m in _MAGIC)
    return None if undecided else compression(head)


def _by_content(head: bytes, whole: bool) -> str | None:
    return by_content(head, whole=whole)


def _peek(
    chunks: Iterable[Line], decide: Callable[[bytes, bool], T | None]
) -> Generator[Pause, None, tuple[T, Iterator[Line]]]:
    """Read until it can be decided; return that and the bytes from the beginning. Pauses pass."""
    head = b""
    following = iter(chunks)
    verdict = None
    for chunk in following:
        if isinstance(chunk, Pause):
            yield chunk
            continue
        head += chunk
        verdict = decide(head, False)
        if verdict is not None:
            break
    if verdict is None:
        verdict = decide(head, True)
    assert verdict is not None  # of the whole, something can always be said
    pieces = [head[at : at + MAX_LINE] for at in range(0, len(head), MAX_LINE)]
    return verdict, itertools.chain(pieces, following)
