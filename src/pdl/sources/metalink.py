"""Metalink 3 and 4 (RFC 5854): files with sizes, digests, and URLs in an order of preference.

Read with expat as the bytes come; a file is handed out at its end tag. There is nothing to expand
and nothing to fetch: a document type is refused, and without one there are no entities but XML's
own. What expat, or this module, keeps is bounded whatever comes: tags, text, depth, URLs of a file.

Digests of pieces (section 4.1.3) are a help and no must: a set that is malformed, of an unknown
algorithm, too large or of another size than the file is left out, and the file is held against its
whole digest alone.

Only where an element stands decides what it is: ``size`` and ``hash`` of a part or of another
version of the file (Fedora's alternates) are not the file's.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar
from xml.parsers import expat

from pdl.errors import ListError
from pdl.integrity.digests import BadChecksum, parse_checksum, strength
from pdl.model import Item, Pieces
from pdl.sources import Pause
from pdl.sources.item_options import bad_line, check_urls, parse_size, resolve
from pdl.sources.streams import MAX_LINE, shown_name
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.sources import Entry, Line

_V3 = "http://www.metalinker.org/"
_V4 = "urn:ietf:params:xml:ns:metalink"
_BETWEEN = "\n"  # expat puts it between namespace and name; neither can hold it
_LAST = 999_999
"""The priority of a URL without one (RFC 5854 section 4.2.16.1)."""
_MAX_DEPTH = 64
_MAX_TAG = 256 * 1024
_MAX_URLS = 1000
MAX_PIECES = 16 * 1024
"""Bytes of all digests of pieces: a task has to fit into a pipe that nobody may be reading."""
_MAX_DIGITS = 18

_FILES: dict[tuple[str, ...], dict[tuple[str, ...], str]] = {
    ("metalink", "file"): {  # version 4
        ("size",): "size",
        ("hash",): "hash",
        ("pieces",): "pieces",
        ("pieces", "hash"): "piece",
        ("url",): "url",
    },
    ("metalink", "files", "file"): {  # version 3
        ("size",): "size",
        ("verification", "hash"): "hash",
        ("verification", "pieces"): "pieces",
        ("verification", "pieces", "hash"): "piece",
        ("resources", "url"): "url",
    },
}


class MetalinkFormat:
    """Reads metalinks; an item's line is that of its ``file`` tag.

    Args:
        base: URL that relative ones are resolved against.
    """

    by_line: ClassVar[bool] = False

    def __init__(self, _warn: Callable[[str], None], base: str | None) -> None:
        self._base = base

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`."""
        reader = _Reader(source, self._base)
        for piece in lines:
            if isinstance(piece, Pause):
                yield piece
                continue
            error = reader.feed(piece)
            while reader.entries:
                yield reader.entries.popleft()
            if error is not None:
                raise error
        error = reader.feed(b"", last=True)
        if error is not None:
            raise error


class _Url(NamedTuple):
    """A URL of a file; they sort by preference, best first."""

    priority: int
    place: int
    url: str


class _File:
    """A file under way."""

    def __init__(self, name: str, line: int, what: dict[tuple[str, ...], str]) -> None:
        self.name = name
        self.line = line
        self.what = what
        self.size = ""
        self.hashes: dict[str, str] = {}
        self.urls: list[_Url] = []
        self.pieces = _PieceSets()

    def take(self, what: str, attributes: dict[str, str], text: str) -> None:
        """An element of the file is complete."""
        if what == "size":
            self.size = text
        elif what == "hash":
            self.hashes.setdefault(attributes.get("type", "").strip(), text)
        elif what == "piece":
            self.pieces.add(text, attributes)
        elif text and len(self.urls) < _MAX_URLS:
            self.urls.append(_Url(_priority(attributes), len(self.urls), text))

    def item(self, source: str, base: str | None) -> Item:
        """The whole.

        Raises:
            ValueError: it has no URL that can be asked, or a digest or size that is none.
        """
        if not self.name:
            raise ValueError("a file without a name")
        urls = self._usable(base)
        size = parse_size(self.size) if self.size else None
        checksum = self._checksum() or check_urls(urls)
        item = Item(
            urls[0], urls[1:], self.name, None, checksum, size, source=source, line=self.line
        )
        return item._replace(pieces=self.pieces.of(size))

    def _usable(self, base: str | None) -> tuple[str, ...]:
        """The http(s) URLs, best first; others (ftp, torrents, rsync) are for other programs."""
        why = "has no URL"
        usable = []
        for url in resolve(tuple(each.url for each in sorted(self.urls)), base):
            try:
                parse(url)
            except InvalidUrl as error:
                why = f"has no URL that can be used: {error}"
            else:
                usable.append(url)
        if not usable:
            raise ValueError(why)
        return tuple(dict.fromkeys(usable))

    def _checksum(self) -> str | None:
        known = [name for name in self.hashes if strength(name)]
        if not known:
            return None
        best = max(known, key=strength)
        return parse_checksum(f"{best}:{self.hashes[best]}")


class _PieceSets:
    """The sets of digests of a file's pieces, as they come; the strongest usable one counts."""

    def __init__(self) -> None:
        self._best: Pieces | None = None
        self._algorithm = ""
        self._length = 0
        self._digests = bytearray()
        self._good = False

    def begin(self, attributes: dict[str, str]) -> None:
        """A set begins, with these attributes of its element."""
        self._algorithm = attributes.get("type", "").strip()
        length = attributes.get("length", "").strip()
        number = length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS
        self._length = int(length) if number else 0
        self._digests = bytearray()
        self._good = self._length > 0 and strength(self._algorithm) > 0

    def add(self, text: str, attributes: dict[str, str]) -> None:
        """The next digest; version 3 numbers them."""
        if not self._good:
            return
        index = len(self._digests) // strength(self._algorithm)
        try:
            self._algorithm, _, digits = parse_checksum(f"{self._algorithm}:{text}").partition(":")
        except BadChecksum:
            self._good = False
            return
        self._digests += bytes.fromhex(digits)
        in_turn = attributes.get("piece", str(index)).strip() == str(index)
        self._good = in_turn and len(self._digests) <= MAX_PIECES

    def end(self) -> None:
        """The set is complete."""
        if not self._good or not self._digests:
            return
        if self._best is None or strength(self._algorithm) > strength(self._best.algorithm):
            self._best = Pieces(self._algorithm, self._length, bytes(self._digests))

    def of(self, size: int | None) -> Pieces | None:
        """The file's pieces, if there are any for a file of that many bytes."""
        best = self._best
        if best is None or size is None:
            return best
        count = len(best.digests) // strength(best.algorithm)
        return best if -(-size // best.length) == count else None


class _Reader:
    """One metalink under way; `entries` is what has been completed."""

    def __init__(self, source: str, base: str | None) -> None:
        self._source = source
        self._base = base
        self.entries: deque[Entry] = deque()
        self._path: list[str] = []
        self._file: _File | None = None
        self._depth = 0  # of the file's tag
        self._attributes: dict[str, str] = {}
        self._text: list[str] | None = None
        self._length = 0
        self._fed = 0
        self._parser = expat.ParserCreate(namespace_separator=_BETWEEN)
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, piece: bytes, *, last: bool = False) -> ListError | None:
        """Take the next bytes; the error after which there are no more entries."""
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            return self._broken(expat.ErrorString(error.code), error.lineno)
        except ListError as error:
            return error
        self._fed += len(piece)
        if self._fed - self._parser.CurrentByteIndex > _MAX_TAG:
            return self._broken("a tag is too long", self._parser.CurrentLineNumber)
        return None

    def _broken(self, why: str, line: int) -> ListError:
        return ListError(f"{shown_name(self._source)} is no metalink: line {line}: {why}")

    def _refuse(self, why: str) -> ListError:
        return self._broken(why, self._parser.CurrentLineNumber)

    def _doctype(self, *_: object) -> None:
        raise self._refuse("a document type, which no metalink needs")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(_local(tag))
        depth = len(self._path)
        if depth > _MAX_DEPTH:
            raise self._refuse("elements are nested too deep")
        if depth == 1 and self._path[0] != "metalink":
            raise self._refuse("the document is something else")
        if self._file is not None:
            self._begin(self._file, attributes)
        elif what := _FILES.get(tuple(self._path)):
            name = attributes.get("name", "").strip()
            self._file = _File(name, self._parser.CurrentLineNumber, what)
            self._depth = depth

    def _begin(self, file: _File, attributes: dict[str, str]) -> None:
        what = self._what()
        if what == "pieces":
            file.pieces.begin(attributes)
            what = None
        self._text = [] if what else None
        self._length = 0
        self._attributes = attributes

    def _what(self) -> str | None:
        assert self._file is not None
        return self._file.what.get(tuple(self._path[self._depth :]))

    def _characters(self, text: str) -> None:
        if self._text is None:
            return
        self._length += len(text)
        if self._length > MAX_LINE:
            raise self._refuse("a text is too long")
        self._text.append(text)

    def _end(self, _tag: str) -> None:
        if self._file is not None:
            if len(self._path) == self._depth:
                self.entries.append(self._entry(self._file))
                self._file = None
            elif (what := self._what()) == "pieces":
                self._file.pieces.end()
            elif what and self._text is not None:
                self._file.take(what, self._attributes, "".join(self._text).strip())
        self._text = None
        self._path.pop()

    def _entry(self, file: _File) -> Entry:
        try:
            return file.item(self._source, self._base)
        except ValueError as error:
            return bad_line(file.name, self._source, file.line, str(error))


def _local(tag: str) -> str:
    """The name of an element of metalink's; another one's keeps its namespace."""
    namespace, between, name = tag.rpartition(_BETWEEN)
    return name if not between or namespace in {_V3, _V4} else tag


def _priority(attributes: dict[str, str]) -> int:
    """How late it is asked: ``priority`` of version 4, 1 first; ``preference`` of 3, 100 first."""
    for name, worst in (("priority", 0), ("preference", 100)):
        text = attributes.get(name, "").strip()
        if text.isascii() and text.isdigit() and len(text) <= len(str(_LAST)):
            return max(0, worst - int(text)) if worst else int(text)
    return _LAST
