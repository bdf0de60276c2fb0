"""Items from named fields: what csv, tsv and jsonl have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pdl.integrity.digests import parse_checksum, strength
from pdl.model import Item
from pdl.sources.item_options import OPTIONS, check_urls, resolve, with_option
from pdl.sources.text import bad_line
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdl.sources import Entry

_MAX_WARNINGS = 20
_SHOWN = 10


class Row(NamedTuple):
    """One file as a list names it.

    Attributes:
        fields: by their names, none empty: ``url``, those of the text format, algorithms.
        mirrors: further URLs, best first.
        headers: each as ``Name: value``.
    """

    fields: Mapping[str, str]
    mirrors: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


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
        where = f"{printable(source)}: line {line}"
        self._warn(f"{where}: {what} {shown}{more} {verb} unknown and ignored")


def is_field(name: str) -> bool:
    """Whether it is a field of an item: ``url``, ``mirrors``, an option or a digest's name."""
    return name in OPTIONS or name in {"url", "mirrors"} or strength(name) > 0


def item_of(row: Row, source: str, line: int, base: str | None) -> Entry:
    """The entry that a row is; a `BadLine` where a field of it cannot be used."""
    listed = row.fields.get("url", "")
    try:
        if not listed:
            raise ValueError("has no url")  # noqa: TRY301 - a bad line as for any other reason
        urls = resolve((listed, *row.mirrors), base)
        fragment = check_urls(urls)
        item = Item(
            urls[0], urls[1:], checksum=_digest(row.fields) or fragment, source=source, line=line
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
