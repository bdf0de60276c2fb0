"""checksums: what ``sha256sum`` and its like write, in GNU's and in BSD's style.

::

    2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  f.iso
    SHA256 (g.iso) = fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9

Names are relative to the base URL. The line names the algorithm; else the list's own name does, or
the length of the digest. A signature around the list (OpenPGP's clear text form) is skipped, and is
not checked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from pdl.errors import ListError
from pdl.integrity.digests import BY_LENGTH, of_tag, parse_checksum, strength, words
from pdl.model import Item
from pdl.sources import Pause
from pdl.sources.item_options import bad_line, check_urls, resolve
from pdl.sources.streams import MAX_LINE, shown_name
from pdl.sources.text import bad_bytes, why_no_text
from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import has_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.model import BadLine
    from pdl.sources import Entry, Line

_GNU = lazy(r"(\\?)([0-9a-fA-F]+)(?: [ *]|[ \t]+)(.+)", re.DOTALL)
_BSD = lazy(r"(\\?)([A-Za-z][\w/-]*) ?\((.+)\) ?= ?([0-9a-fA-F]+)", re.DOTALL)
_IN_NAME = lazy(rf"(?:^|[./_-])({words()})(?![a-z0-9])")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}  # those of GNU's coreutils
_ARMOR = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"


class Listed(NamedTuple):
    """A line of a checksum file.

    Attributes:
        line: its number, from 1.
        text: as it stands there.
        checksum: ``algorithm:hex``.
        name: whose it is.
    """

    line: int
    text: str
    checksum: str
    name: str


class ChecksumsFormat:
    """Reads checksum files.

    Args:
        base: URL that the names are resolved against.
    """

    by_line: ClassVar[bool] = True

    def __init__(self, _warn: Callable[[str], None], base: str | None) -> None:
        self._base = base

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`."""
        for each in digests(lines, source):
            yield self._entry(each, source) if isinstance(each, Listed) else each

    def _entry(self, listed: Listed, source: str) -> Entry:
        name = listed.name
        if self._base is None and not has_scheme(name):
            raise ListError(
                f"{shown_name(source)} names files and no URLs: --base-url URL says where they "
                "are; --check needs none"
            )
        try:
            url = name if has_scheme(name) else relative_url(name)
            (url,) = resolve((url,), self._base)
            check_urls((url,))
        except ValueError as error:
            return bad_line(listed.text, source, listed.line, str(error))
        return Item(url, out=_out(name), checksum=listed.checksum, source=source, line=listed.line)


def escaped(name: str) -> tuple[str, str]:
    """A file's name as GNU's coreutils write it, and what they put before its digest then."""
    text = name
    for escape, char in _ESCAPES.items():  # the backslash first
        text = text.replace(char, escape)
    return ("\\" if text != name else ""), text


def relative_url(name: str) -> str:
    """The name of a file as a URL relative to where the list is: a path, which names no host."""
    return quote(re.sub("^//+", "/", name))


def digests(lines: Iterable[Line], source: str) -> Iterator[Listed | BadLine | Pause]:
    """What each line says; pauses pass, and so does what is no digest, as a bad line.

    Args:
        lines: see `pdl.sources.Format.read`.
        source: the list's name, which may tell the algorithm.
    """
    preferred = _algorithm_of(source)
    number = 0
    ends: str | None = None  # what the lines that are skipped end with
    for line in lines:
        if isinstance(line, Pause):
            yield line
            continue
        number += 1
        text = _text(line)
        if ends is not None:
            ends = None if text == ends else ends
        elif text in {_ARMOR, _SIGNATURE}:
            ends = "" if text == _ARMOR else _END
        elif text is None:
            yield bad_bytes(line, source, number, why_no_text(line))
        elif text.strip() and text[0] != "#":
            try:
                yield Listed(number, text, *_taken_apart(text, preferred))
            except ValueError as error:
                yield bad_line(text, source, number, str(error))


def _text(raw: bytes) -> str | None:
    """The line, without its end and a byte order mark; None where it is no text."""
    try:
        text = raw.decode().removeprefix("\ufeff").removesuffix("\r")
    except UnicodeDecodeError:
        return None
    return text if len(raw) <= MAX_LINE else None


def _taken_apart(text: str, preferred: str | None) -> tuple[str, str]:
    """The digest of a line and the name it belongs to."""
    if bsd := _BSD.fullmatch(text.strip()):
        escaped, algorithm, name, digits = bsd.groups()
    elif gnu := _GNU.fullmatch(text):
        escaped, digits, name = gnu.groups()
        algorithm = _algorithm(digits, preferred)
    else:
        raise ValueError("is neither DIGEST  NAME nor ALGORITHM (NAME) = DIGEST")
    if escaped:
        name = re.sub(r"\\[\\nr]", lambda found: _ESCAPES[found[0]], name)
    return parse_checksum(f"{of_tag(algorithm)}:{digits}"), name


def _algorithm(digits: str, preferred: str | None) -> str:
    if preferred and 2 * strength(preferred) == len(digits):
        return preferred
    if len(digits) not in BY_LENGTH:
        raise ValueError(f"no digest has {len(digits)} hex digits")
    return BY_LENGTH[len(digits)]


def _algorithm_of(source: str) -> str | None:
    """The algorithm that the list's name tells: SHA256SUMS, ``x.iso.md5``, ``b2sums.txt``."""
    name = source.rpartition("/")[2].lower()
    found = _IN_NAME.search(re.sub("-?sums?", "", name))
    return of_tag(found[1]) if found else None


def _out(name: str) -> str | None:
    """The name below the output directory where it has one; others are called as their URLs."""
    parts = name.removeprefix("./").split("/")
    if has_scheme(name) or len(parts) == 1 or {"", "..", "."} & set(parts):
        return None
    return "/".join(parts)
