"""The formats of lists: a row each, the choice among them, and the reading of a list.

Compression is always seen by the first bytes. A name decides where it says something (``.csv``,
``SHA256SUMS``, ``x.meta4.xz``); ``.txt`` and the like do not, so that the first line that is
neither blank nor a comment does. Each format's module is imported when its first list comes.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import re
from typing import TYPE_CHECKING, TypeVar

from pdl.errors import ListError, UsageError
from pdl.model import BadLine
from pdl.sources import Line, Pause
from pdl.sources.item_options import NO_BASE, Columns
from pdl.sources.streams import (
    MAX_LINE,
    TEXT,
    Counting,
    compression,
    decode,
    lists_only,
    may_be_packed,
    shown_name,
    split_lines,
    utf16,
)
from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import NO_SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from pdl.settings import InputSettings
    from pdl.sources import Entry, Format

    T = TypeVar("T")

AUTO = "auto"
"""Stands for the format that a list's name or beginning tells."""

_PACKED = lazy(r"\.(?:gz|bz2|xz)$", re.IGNORECASE)
_BLANK = b" \t\r\f\v\xef\xbb\xbf"
_XML = lazy(rb"<(?:\?xml|!--|(?:\w+:)?metalink)[\s>?!-]?")
_ARRAY = lazy(rb"\[[ \t\r]*(?:[\"{\]]|\Z)")
_FILE_TAG = lazy(rb"<(?:\w+:)?file\s")
_HEADED = TEXT._replace(without=1)
_LINES_ENOUGH = 20
"""Lines without a URL among them, after which a list is taken to have none."""


def _has_column(separators: bytes) -> Callable[[bytes], bool]:
    """Whether a line is a header row with a column ``url``, and no URL itself."""

    def begins(line: bytes) -> bool:
        rows = (line.split(separators[at : at + 1]) for at in range(len(separators)))
        names = (cell.strip(b" \t\"'").lower() for row in rows for cell in row)
        return b"://" not in line and b"url" in names

    return begins


@functools.cache
def _checksums() -> tuple[re.Pattern[str], re.Pattern[bytes]]:
    """What the names of checksum files are like, and their lines."""
    from pdl.integrity.digests import BY_LENGTH, hex_digits, words  # as below

    sums = rf"(?:{words()}|sha-?\d+)-?sums?"  # some call theirs sha3sums, which is no algorithm
    alone = "|".join(BY_LENGTH.values())
    names = re.compile(rf"(?:^|[./_-])(?:{sums}|checksums?|{alone})(?:\.(?:txt|asc))?$")
    lines = re.compile(
        rf"\\?[0-9a-fA-F]{hex_digits(common=True)}[ \t]"
        rf"|\\?[A-Za-z][A-Za-z0-9/_-]{{1,15}} ?\(.+\) ?= ?[0-9a-fA-F]{hex_digits()}$"
        r"|-----BEGIN PGP SIGNED MESSAGE-----".encode()
    )
    return names, lines


def _is_checksum_file(name: str) -> bool:
    from pdl.integrity.digests import BY_LENGTH  # no help needs it

    if "sum" not in name and not any(alone in name for alone in BY_LENGTH.values()):
        return False  # most lists: the patterns take milliseconds to make
    return _checksums()[0].search(name) is not None


def _is_digest(line: bytes) -> bool:
    return _checksums()[1].match(line) is not None


class ListFormat(NamedTuple):
    """A format of lists.

    Attributes:
        name: as ``--format`` has it.
        sentence: what it is, for the manual.
        module: in which it is read; imported when the first list of the format comes.
        factory: of the module; makes a `pdl.sources.Format` of the warner and the base URL.
        suffixes: of a list's name, in lower case, without that of its compression.
        named: whether another name, in lower case, tells the format.
        begins: whether a line tells it, the first that is neither blank nor a comment.
        early: `begins` needs not all of the line.
        counting: how its items are counted.
    """

    name: str
    sentence: str
    module: str
    factory: str
    suffixes: tuple[str, ...] = ()
    named: Callable[[str], object] = lambda _: False
    begins: Callable[[bytes], object] = lambda _: False
    early: bool = False
    counting: Counting = TEXT


FORMATS = (
    ListFormat(
        "text",
        "A URL a line, mirrors behind TABs, options indented below as in aria2's input file.",
        "pdl.sources.text",
        "TextFormat",
    ),
    ListFormat(
        "csv",
        "A header row names the columns, each further row is a file; commas or semicolons.",
        "pdl.sources.csv_",
        "CsvFormat",
        suffixes=(".csv",),
        begins=_has_column(b",;"),
        counting=_HEADED,
    ),
    ListFormat(
        "tsv",
        "As csv, with TABs.",
        "pdl.sources.csv_",
        "TsvFormat",
        suffixes=(".tsv", ".tab"),
        begins=_has_column(b"\t"),
        counting=_HEADED,
    ),
    ListFormat(
        "jsonl",
        "A JSON object a line, with the names of csv.",
        "pdl.sources.jsonl",
        "JsonlFormat",
        suffixes=(".jsonl", ".ndjson"),
        begins=lambda line: line[:1] == b"{",
    ),
    ListFormat(
        "json",
        "An array in JSON of such objects.",
        "pdl.sources.jsonl",
        "JsonFormat",
        begins=lambda line: line[:1] == b"[" and _ARRAY.match(line),
        counting=Counting(re.compile(rb"\n?[ \t]*[\[,]?[ \t]*\{")),
    ),
    ListFormat(
        "metalink",
        "Metalink 3 and 4 (RFC 5854): files with sizes, digests, pieces and mirrors.",
        "pdl.sources.metalink",
        "MetalinkFormat",
        suffixes=(".metalink", ".metalink4", ".meta4"),
        begins=lambda line: line[:1] == b"<" and _XML.match(line),
        early=True,
        counting=Counting(_FILE_TAG),
    ),
    ListFormat(
        "checksums",
        "What sha256sum and its like write, in GNU's and in BSD's style; needs a base URL.",
        "pdl.sources.checksums",
        "ChecksumsFormat",
        named=_is_checksum_file,
        begins=_is_digest,
    ),
    ListFormat(
        "curl",
        "A configuration of curl's: url, output, header, user-agent, referer, user, next.",
        "pdl.sources.curl",
        "CurlFormat",
        counting=Counting(re.compile(rb"\n[ \t]*(?:--)?url[ \t=:]")),
    ),
)
"""Each row is a format. A line that several of them know is the last one's; the first is that of
lists that tell nothing."""

CHOICES = (AUTO, *(row.name for row in FORMATS))
"""What ``--format`` takes."""


def format_of(name: str) -> ListFormat:
    """The row with that name; that of text for `AUTO`, where nothing else is known.

    Raises:
        UsageError: there is none.
    """
    if name not in CHOICES:
        raise UsageError(f"input.format: {name!r} is none of {', '.join(CHOICES)}")
    return next((row for row in FORMATS if row.name == name), FORMATS[0])


class Formats:
    """Reads lists in whatever format they have.

    Args:
        settings: the format, if it is to be one, the base of relative URLs, where the columns of
            tables are, and whether there may be URLs of any scheme.
        warn: told of what in a list is ignored.

    Raises:
        UsageError: there is no such format.
    """

    def __init__(self, settings: InputSettings, warn: Callable[[str], None]) -> None:
        format_of(settings.format)
        self._settings = settings
        self._warn = warn
        self._made: dict[str, Format] = {}
        self._columns = Columns(settings.columns, settings.keep)

    def read(self, chunks: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """Turn the bytes of a list into its entries, with the pauses among them.

        Raises:
            ListError: the list as a whole is none, or is broken from here on.
        """
        packed, plain = yield from _peek(chunks, _compression)
        if packed:
            from pdl.sources.compressed import unpack  # its libraries

            plain = unpack(plain, packed, source)
        codec, plain = yield from _peek(plain, _codec)
        plain = decode(plain, codec, source) if codec else plain
        name = self._settings.format
        plain = lists_only(plain, source, given=name != AUTO)
        if name == AUTO:
            name = by_name(source) or AUTO
        if name == AUTO:
            decide = _by_table if self._columns.wanted else _by_content
            name, plain = yield from _peek(plain, decide)
        form = self._format(name)
        if self._columns and not hasattr(form, "columns"):
            what = "--column" if self._columns.wanted else "--keep"
            raise ListError(
                f"{shown_name(source)} is a list of format {name}: {what} needs columns"
            )
        entries = iter(form.read(split_lines(plain) if form.by_line else plain, source))
        if self._settings.format != AUTO:
            entries = _as_given(entries, name)
        if self._settings.base_url is None:
            entries = _urls_first(entries, source)
        for entry in entries:
            yield entry
            if not isinstance(entry, Pause):
                break
        else:
            self._warn(f"{shown_name(source)} is empty: it names nothing to download")
        yield from entries

    def counting(self, source: str, head: bytes) -> Counting | None:
        """How the items of a list that begins like that are counted; None if they cannot be."""
        if compression(head) or utf16(head):
            return None
        name = self._settings.format
        if name == AUTO:
            name = by_name(source) or by_content(head, whole=True) or AUTO
        return format_of(name).counting

    def _format(self, name: str) -> Format:
        if name not in self._made:
            row = format_of(name)
            factory = getattr(importlib.import_module(row.module), row.factory)
            base = self._settings.base_url
            if base == NO_BASE and name != "checksums":
                base = None
            self._made[name] = made = factory(self._warn, base)
            if self._settings.url_command is not None and hasattr(made, "foreign"):
                made.foreign = True
            if self._columns and hasattr(made, "columns"):
                made.columns = self._columns
        return self._made[name]


def by_name(source: str) -> str | None:
    """The format that a list's name tells, or None."""
    name = _PACKED.sub("", source.rpartition("/")[2]).lower()
    found = (row.name for row in FORMATS if name.endswith(row.suffixes) or row.named(name))
    return next(found, None)


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
        complete = whole or place < last
        telling = line[:1] not in {b"", b"#"}
        if telling and (row := _by_line(line, complete=complete)):
            return row.name
        if not complete:
            return None
        if telling:
            break
    return FORMATS[0].name


def _as_given(entries: Iterator[Entry | Pause], name: str) -> Iterator[Entry | Pause]:
    """Pass the entries of a list on; one that cannot be read may have another format.

    Raises:
        ListError: it cannot be read.
    """
    try:
        yield from entries
    except ListError as exc:
        given = f"--format {name} was given; without it pdl finds the format itself"
        exc.hint = f"{exc.hint}; {given}" if exc.hint else given
        raise


def _urls_first(entries: Iterator[Entry | Pause], source: str) -> Iterator[Entry | Pause]:
    """Pass the entries of a list on, unless it begins with many lines that have no URL.

    Raises:
        ListError: it does, or has nothing but names; one message does for all of them.
    """
    held: list[BadLine] = []
    for entry in entries:
        if isinstance(entry, BadLine) and "://" not in entry.text:
            held.append(entry)
            if len(held) == _LINES_ENOUGH:
                raise _no_urls(held, source)
        elif entry is Pause.HOLD:
            yield entry
        else:
            yield from held
            yield entry
            yield from entries
            return
    if len(held) > 1 and _are_names(held):
        raise _no_urls(held, source)
    yield from held


def _are_names(lines: list[BadLine]) -> bool:
    return all(line.message == NO_SCHEME for line in lines)


def _no_urls(lines: list[BadLine], source: str) -> ListError:
    if _are_names(lines):
        return ListError(
            f"{shown_name(source)} names files and no URLs, as '{lines[0].text[:40]}': --base-url "
            "URL says where they are; a name that begins with a host needs https:// before it"
        )
    return ListError(
        f"{shown_name(source)} is no list of URLs: none of its first {len(lines)} lines has one"
    )


def _by_line(line: bytes, *, complete: bool) -> ListFormat | None:
    known = (row for row in reversed(FORMATS) if (complete or row.early) and row.begins(line))
    return next(known, None)


def _compression(head: bytes, whole: bool) -> str | None:
    return None if may_be_packed(head) and not whole else compression(head)


def _codec(head: bytes, whole: bool) -> str | None:
    return utf16(head) if len(head) > 1 or whole else None


def _by_content(head: bytes, whole: bool) -> str | None:
    return by_content(head, whole=whole)


def _by_table(head: bytes, whole: bool) -> str | None:
    """The same where a list is known to have columns."""
    name = by_content(head, whole=whole)
    if name != FORMATS[0].name:
        return name
    lines = (line.strip(_BLANK) for line in head.split(b"\n"))
    telling = next((line for line in lines if line[:1] not in {b"", b"#"}), b"")
    return "tsv" if b"\t" in telling else "csv"


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
