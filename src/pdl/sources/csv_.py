"""csv and tsv: a header row names the fields, each further row is a file.

::

    url,out,sha256,size,mirrors
    https://a.example/f.iso,disc.iso,2c26b4...,1024,https://b.example/f.iso https://c.example/f.iso

Fields are those of the text format, the name of any digest algorithm, and ``mirrors``, separated by
blanks. Quoting is that of RFC 4180, so that a record may go over several lines.
"""

from __future__ import annotations

import csv
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from pdl.errors import ListError
from pdl.sources import Pause
from pdl.sources.item_options import Columns, Row, Unknown, is_field, item_of, no_column
from pdl.sources.streams import MAX_LINE, shown_name
from pdl.sources.text import bad_bytes, why_no_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.sources import Entry, Line

_MAX_LINES = 100
"""Lines a record may have: a quote that is never closed must not swallow the list."""


class CsvFormat:
    """Reads csv, with commas or semicolons.

    Args:
        warn: told of the columns that are not known.
        base: URL that relative ones are resolved against.
    """

    by_line: ClassVar[bool] = True
    separators: ClassVar[str] = ",;"
    foreign = False
    columns = Columns()

    def __init__(self, warn: Callable[[str], None], base: str | None) -> None:
        self._unknown = Unknown(warn)
        self._base = base

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`."""
        reader = _Reader(source, self._base, self._unknown, self.separators)
        reader.foreign, reader.columns = self.foreign, self.columns
        for line in lines:
            if isinstance(line, Pause):
                yield line
            else:
                yield from reader.line(line)
        yield from reader.end()


class TsvFormat(CsvFormat):
    """Reads tsv: as csv, with TABs."""

    separators: ClassVar[str] = "\t"


class _Reader:
    """One list under way: its header, and the lines of a record that is not complete."""

    foreign = False
    columns: Columns

    def __init__(self, source: str, base: str | None, unknown: Unknown, separators: str) -> None:
        self._source = source
        self._base = base
        self._unknown = unknown
        self._separators = separators
        self._separator = separators[0]
        self._header: list[str] = []
        self._kept: list[tuple[str, int]] = []
        self._number = 0
        self._open: list[bytes] = []

    def line(self, raw: bytes) -> Iterator[Entry]:
        """Take a line; give what it completes."""
        self._number += 1
        if not self._open:
            yield from self._first(raw, self._number)
            return
        self._open.append(raw)
        if b'"' in raw and _is_complete(b"\n".join(self._open), self._separator):
            record, self._open = self._open, []
            yield from self._record(b"\n".join(record), self._number - len(record) + 1)
        elif len(self._open) >= _MAX_LINES or sum(map(len, self._open)) > MAX_LINE:
            yield from self._give_up()

    def end(self) -> Iterator[Entry]:
        """Give what is left when nothing follows.

        Raises:
            ListError: there was not even a header.
        """
        while self._open:
            yield from self._give_up()
        if not self._header and self._number:
            raise self._no_header()

    def _first(self, raw: bytes, number: int) -> Iterator[Entry]:
        """A line that begins a record."""
        if not raw.strip(b" \r\f\v\xef\xbb\xbf") or raw[:1] == b"#":
            return
        if b'"' in raw and len(raw) <= MAX_LINE and not _is_complete(raw, self._separator):
            self._open = [raw]
        else:
            yield from self._record(raw, number)

    def _give_up(self) -> Iterator[Entry]:
        """The quote in the first line is not closed: that line is bad, the others are not."""
        bad, *others = self._open
        self._open = []
        self._number -= len(others)  # they are read again
        yield bad_bytes(bad, self._source, self._number, "a quote that is not closed")
        for raw in others:
            yield from self.line(raw)

    def _record(self, raw: bytes, number: int) -> Iterator[Entry]:
        try:
            text = raw.decode("utf-8-sig" if not self._header else "utf-8")
            if len(raw) > MAX_LINE:
                raise ValueError  # noqa: TRY301 - said below, as for what is no text
        except ValueError:
            yield bad_bytes(raw, self._source, number, why_no_text(raw))
            return
        if not self._header:
            self._take_header(text.rstrip("\r"), number)
            if not self.columns.headless:
                return
        try:
            cells = _cells(text.rstrip("\r"), self._separator)
        except csv.Error as error:
            yield bad_bytes(raw, self._source, number, f"is no record: {error}")
            return
        if not self.columns.headless and any(map(str.strip, cells[len(self._header) :])):
            message = f"has {len(cells)} fields, the header has {len(self._header)}"
            yield bad_bytes(raw, self._source, number, message)
        elif any(map(str.strip, cells)):
            row = self._row(cells)
            yield item_of(row, self._source, number, self._base, foreign=self.foreign)

    def _row(self, cells: list[str]) -> Row:
        named = zip(self._header, map(str.strip, cells), strict=False)
        fields = {name: cell for name, cell in named if cell}
        mirrors = tuple(fields.pop("mirrors", "").split())
        if not self._kept:
            return Row(fields, mirrors)
        kept = tuple((name, cells[at]) for name, at in self._kept if at < len(cells))
        return Row(fields, mirrors, kept=kept)

    def _take_header(self, text: str, number: int) -> None:
        if self.columns:
            self._take_columns(text, number)
            return
        for separator in self._separators:
            try:
                names = [name.strip().lower() for name in _cells(text, separator)]
            except csv.Error:
                continue
            if "url" in names:
                self._header, self._separator = names, separator
                unknown = (name for name in names if not is_field(name))
                self._unknown.tell(unknown, self._source, number)
                return
        raise self._no_header()

    def _take_columns(self, text: str, number: int) -> None:
        """Take a header of which it was said what is where; or the number of columns alone."""
        found = []
        for separator in self._separators:
            with suppress(csv.Error):
                found.append((_cells(text, separator), separator))
        if not found:
            raise self._no_header()
        cells, self._separator = max(found, key=lambda each: len(each[0]))
        names = [name.strip() for name in cells]
        if self.columns.headless:
            names = [f"#{place}" for place in range(1, len(cells) + 1)]
        self._header = self.columns.fields_of(names, self._source)
        self._kept = self.columns.kept_of(names, self._source)
        if "url" not in self._header:
            raise no_column("url", names, self._source)
        if not self.columns.headless:
            kept = {at for _, at in self._kept}
            unknown = (
                name
                for at, name in enumerate(self._header)
                if at not in kept and name and not is_field(name)
            )
            self._unknown.tell(unknown, self._source, number)

    def _no_header(self) -> ListError:
        hint = "the first row names the columns, such as url,out,sha256"
        return ListError(f"{shown_name(self._source)} has no header row with a column url", hint)


def _cells(text: str, separator: str) -> list[str]:
    return next(csv.reader(iter([text]), delimiter=separator), [])


def _is_complete(raw: bytes, separator: str) -> bool:
    """Whether no quote is open at the end."""
    ended = True

    def lines() -> Iterator[str]:
        nonlocal ended
        yield raw.decode("latin-1")
        ended = False  # the parser asks for more

    try:
        next(csv.reader(lines(), delimiter=separator), None)
    except csv.Error:
        return True
    return ended
