"""What a list may say of an item beside its URL, checked and normalised; items of named fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pdl.errors import ListError
from pdl.integrity.digests import integrity_words, parse_checksum, strength, words
from pdl.model import BadLine, Item
from pdl.sources import Entry
from pdl.sources.streams import shown_name
from pdl.text.lazy_regex import HTTP_WORD, lazy
from pdl.text.masking import mask, printable
from pdl.text.named_tuple import NamedTuple
from pdl.text.units import place_text
from pdl.text.urls import InvalidUrl, has_scheme, is_plain, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pdl.sources import Entry


_TOKEN = lazy(HTTP_WORD)
_VALUE = lazy(r"[\t\x20-\x7e\xa0-\xff]*")  # section 5.5, as far as Latin-1 goes
_DIGEST = lazy(
    rf"(?:{words(common=True)})=[^&]*"
    # so long that no word only looks like Subresource Integrity
    rf"|(?:{integrity_words(least=32)})={{0,2}}(?=$|[&?])",
    re.IGNORECASE,
)
_HEADERS = {"user-agent": "User-Agent", "referer": "Referer"}
_ABSOLUTE = lazy("[A-Za-z][A-Za-z0-9+.-]*:")
_ELSEWHERE = lazy("[A-Za-z][A-Za-z0-9+.-]*://|magnet:", re.IGNORECASE)
"""URLs, also those that are for other programs, as ``ftp://``."""
_SIZE = lazy("[0-9]{1,18}")
Fields = tuple[tuple[str, object], ...]
"""As `pdl.model.Item.fields`."""
ALL = "all"
"""Stands for all columns that are no fields of an item."""
NO_BASE = "http://base-url.invalid/"
"""Stands for the base of a checksum file where nobody is asked, and is never shown (RFC 2606)."""
OPTIONS = frozenset({"out", "dir", "checksum", "size", "header", *_HEADERS})
"""What a list may say of an item, by the names of its text format."""


def with_option(item: Item, name: str, value: str) -> Item | None:
    """The item with an option of aria2's input file, or ``size``; None when pdl does not know it.

    An empty value leaves the item as it is.

    Raises:
        ValueError: the value cannot be used; the message says why.
    """
    if name not in OPTIONS:
        return None
    if not value:
        return item
    if name in _FIELDS:
        field, parsed = _FIELDS[name]
        return item._replace(**{field: parsed(value)})
    header = parse_header(f"{_HEADERS[name]}: {value}" if name in _HEADERS else value)
    return item._replace(headers=(*item.headers, header))


def parse_size(text: str) -> int:
    """The size of a file in bytes.

    Raises:
        ValueError: it is no number of bytes.
    """
    if not _SIZE.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no size in bytes")
    return int(text)


def resolve(urls: tuple[str, ...], base: str | None) -> tuple[str, ...]:
    """The URLs, relative ones made absolute (RFC 3986 section 5.2); all as they are without base.

    Raises:
        ValueError: one cannot be joined to the base.
    """
    if base is None:
        return urls
    return tuple(url if is_absolute(url) else urljoin(base, url) for url in urls)


def is_absolute(text: str) -> bool:
    """Whether it begins with a scheme, of whatever kind."""
    return _ABSOLUTE.match(text) is not None


_FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "out": ("out", str),
    "dir": ("directory", str),
    "checksum": ("checksum", parse_checksum),
    "size": ("size", parse_size),
}


def parse_header(text: str) -> tuple[str, str]:
    """Take ``Name: value`` apart.

    Raises:
        ValueError: it is no header field that can be sent; its value is not in the message.
    """
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()):
        raise ValueError("a header is written as Name: value")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header {name.strip()} cannot be sent")
    return name.strip(), value.strip()


def check_urls(urls: tuple[str, ...], *, foreign: bool = False) -> str | None:
    """Check an item's URL and its mirrors, and find the digest that one has as its fragment.

    A mirror that is plainly meant for another program (ftp, rsync) is none that pdl asks, and does
    no harm; text that is no URL at all is a list misunderstood.

    Args:
        urls: the item's own, then its mirrors.
        foreign: its own may be of any scheme.

    Returns:
        The first ``#sha256=HEX`` as ``sha256:hex``, or None.

    Raises:
        ValueError: one is no URL, or its digest none; the message tells which unless the first.
    """
    found = None
    for place, text in enumerate(urls):
        if is_plain(text):  # most have no fragment
            continue
        if place and not has_scheme(text) and _ELSEWHERE.match(text):
            continue
        try:
            fragment = _fragment(text, foreign=foreign and not place)
            if digest := _DIGEST.search(fragment):
                found = found or parse_checksum(digest[0])
        except InvalidUrl as error:
            raise InvalidUrl(f"mirror {place}: {error}" if place else str(error)) from None
    return found


def _fragment(text: str, *, foreign: bool) -> str:
    if foreign:
        from pdl.text.foreign import parse_foreign  # where there may be one

        if parse_foreign(text) is not None:
            return text.partition("#")[2]
    return parse(text).fragment


_MAX_WARNINGS = 20
_SHOWN = 10


class Row(NamedTuple):
    """One file as a list names it.

    Attributes:
        fields: by their names, none empty: ``url``, those of the text format, algorithms.
        mirrors: further URLs, best first.
        headers: each as ``Name: value``.
        kept: other columns, see `pdl.model.Item.fields`.
    """

    fields: Mapping[str, str]
    mirrors: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    kept: Fields = ()


class Columns:
    """Which columns of a list have the fields of its items, and which are kept beside them.

    Args:
        wanted: fields, and the name of the column of each or its number from 1, as ``#2``.
        keep: names or numbers of others, or ``all``.

    Attributes:
        headless: there is no row of names.
    """

    def __init__(self, wanted: Iterable[tuple[str, str]] = (), keep: Iterable[str] = ()) -> None:
        self.wanted = dict(wanted)
        self.keep = tuple(keep)
        self.headless = self.wanted.get("url", "").startswith("#")
        self._every = ALL in self.keep

    def __bool__(self) -> bool:
        return bool(self.wanted or self.keep)

    def fields_of(self, names: Sequence[str], source: str) -> list[str]:
        """For each column the field that it has, in lower case; empty for none.

        Raises:
            ListError: one that is wanted is not there.
        """
        found = [name.lower() for name in names]
        if self.wanted:
            found = ["" if name in self.wanted else name for name in found]
            for field, column in self.wanted.items():
                found[self._place(column, names, source)] = field
        return found

    def kept_of(self, names: Sequence[str], source: str) -> list[tuple[str, int]]:
        """The columns that are kept: the name of each, and its place.

        Raises:
            ListError: one of them is not there.
        """
        if not self._every:
            return [(name, self._place(name, names, source)) for name in self.keep]
        fields = self.fields_of(names, source)
        return [(names[at], at) for at in range(len(names)) if not is_field(fields[at])]

    def _place(self, column: str, names: Sequence[str], source: str) -> int:
        if column[0] == "#" and column[1:].isdecimal() and column not in names:
            place = int(column[1:]) - 1
        else:
            lower = [name.lower() for name in names]
            place = lower.index(column.lower()) if column.lower() in lower else len(names)
        if 0 <= place < len(names):
            return place
        raise no_column(column, names, source)

    def of_object(self, found: Mapping[str, Any]) -> tuple[dict[str, Any], Fields]:
        """The same of an object: its fields by their names, and what is kept."""
        taken = set(self.wanted.values())
        named = {
            name: value
            for name, value in found.items()
            if name not in self.wanted and name not in taken
        }
        named.update((to, found[name]) for to, name in self.wanted.items() if name in found)
        if self._every:
            others = (name for name in found if not is_field(name) and name not in taken)
            return named, tuple((name, found[name]) for name in others)
        return named, tuple((name, found[name]) for name in self.keep if name in found)


def no_column(column: str, names: Iterable[str], source: str) -> ListError:
    """What to raise where a list lacks a column."""
    shown = ", ".join(printable(name[:40]) for name in names)
    return ListError(
        f"{shown_name(source)} has no column {printable(column)!r}; its columns are {shown[:400]}"
    )


class Unknown:
    """Tells of the fields that pdl does not know, each name once.

    Args:
        warn: told with the place of the first.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._warned: set[str] = set()

    def tell(self, names: Iterable[str], source: str, line: int) -> None:
        """Warn of these, unless it has been done or there have been many."""
        new = [name for name in names if name and name not in self._warned]
        if not new or len(self._warned) >= _MAX_WARNINGS:
            return
        self._warned.update(new[:_MAX_WARNINGS])
        shown = ", ".join(printable(name[:40]) for name in new[:_SHOWN])
        more = ", ..." if len(new) > _SHOWN else ""
        what = "field" if len(new) == 1 else "fields"
        verb = "is" if len(new) == 1 else "are"
        where = printable(place_text(source, line))
        self._warn(f"{where}: {what} {shown}{more} {verb} unknown and ignored")


def is_field(name: str) -> bool:
    """Whether it is a field of an item: ``url``, ``mirrors``, an option or a digest's name."""
    return name in OPTIONS or name in {"url", "mirrors"} or strength(name) > 0


def item_of(row: Row, source: str, line: int, base: str | None, *, foreign: bool = False) -> Entry:
    """The entry that a row is; a `BadLine` where a field of it cannot be used."""
    listed = row.fields.get("url", "")
    try:
        if not listed:
            raise ValueError("has no url")  # noqa: TRY301 - a bad line as for any other reason
        urls = resolve((listed, *row.mirrors), base)
        fragment = check_urls(urls, foreign=foreign)
        item = Item(
            urls[0],
            urls[1:],
            checksum=_digest(row.fields) or fragment,
            fields=row.kept,
            source=source,
            line=line,
        )
        for name, value in row.fields.items():
            item = _with(item, name, value)
        for header in row.headers:
            item = _with(item, "header", header)
    except ValueError as error:
        return bad_line(listed, source, line, str(error))
    return item


def _with(item: Item, name: str, value: str) -> Item:
    try:
        return with_option(item, name, value) or item
    except ValueError as error:
        raise ValueError(f"field {name}: {error}") from None


def _digest(fields: Mapping[str, str]) -> str | None:
    """The strongest digest that has a field of its own; ``checksum`` comes on top of it later."""
    known = [name for name in fields if strength(name)]
    if not known:
        return None
    best = max(known, key=strength)
    return parse_checksum(f"{best}:{fields[best]}")


def bad_line(text: str, source: str, line: int, message: str) -> BadLine:
    """A `BadLine` whose text can be shown: printable, without secrets, `MAX_SHOWN` at most."""
    return BadLine(source, line, mask(text.strip())[:MAX_SHOWN], message)


MAX_SHOWN = 200
"""Characters of a bad line that are shown."""
