"""Where a list's bytes come from, a regular file or a stream, and how they become lines.

A file is read at once. A stream (pipe, terminal, FIFO, socket) is read only when the system says
that it is ready, in the calling thread: nothing blocks, no thread can hang the exit, and the
descriptor, which may be the shell's own, keeps its mode.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import stat
from typing import TYPE_CHECKING, Protocol

from pdl.errors import ListError
from pdl.sources import Line, Pause
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask, printable
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import BEGINNINGS, InvalidUrl, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_LINE = 64 * 1024
"""Bytes a line may have, and a chunk."""

GRACE = 0.2
"""Seconds of silence after which a stream's last line is taken to be complete in itself."""

_BURST = 1024 * 1024  # read without giving control back: a list may be one endless comment
_SAMPLE = 64 * 1024 * 1024  # read to estimate how many items a list has; takes a tenth of a second


_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}

_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}

LOOKED_AT = 4096
"""Bytes of a list that are looked at to see whether it is one."""
_PACKED = "unpack it first; of packed lists pdl reads those of gzip, bzip2 and xz"
_MAGIC_OF_OTHERS = {
    b"PK\x03\x04": ("a zip archive", _PACKED),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", _PACKED),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _PACKED),
    b"Rar!\x1a\x07": ("a rar archive", _PACKED),
    b"\x04\x22\x4d\x18": ("packed with lz4", _PACKED),
    b"LZIP\x01": ("packed with lzip", _PACKED),
    b"\x1f\x9d": ("packed with compress", _PACKED),
    b"PAR1": ("a Parquet file", "write its URLs to a text or a csv list"),
    b"%PDF-": ("a PDF", "write its URLs to a text list"),
}
"""How what is no list begins, what that is, and the way on."""
_HTML = lazy(
    rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_JSON = lazy(rb"\{[ \t\r]*\n")
_TEXTS_OF_OTHERS = (
    (b"<", _HTML, ("an HTML page", "save the list itself; the links of a page are not read")),
    (
        b"{",
        _JSON,
        ("JSON in one piece", "write an array of objects with a url, as jq '.files' does"),
    ),
)
_CURL_OPTION = lazy(rb"(?:\s*#[^\n]*\n)*\s*(?:--?[A-Za-z]|url[ \t]|[a-z][a-z-]*[ \t]*[=:](?!//))")
_CURL_URL = lazy(rb"^[ \t]*(?:--?)?url[ \t]*[=: \t][ \t]*[\"']?https?://", re.MULTILINE)


class Counting(NamedTuple):
    """How the items of a format are counted.

    Attributes:
        item: what each of them has; a line feed stands before the first byte.
        without: of what has been found, so many are none.
    """

    item: re.Pattern[bytes]
    without: int = 0


TEXT = Counting(re.compile(rb"\n[^\s#]"))
"""A list with a line for each item."""


def split_lines(chunks: Iterable[Line]) -> Iterator[Line]:
    """Cut chunks at line feeds; the last line needs none.

    Of a line longer than `MAX_LINE` the first `MAX_LINE` + 1 bytes are given, the rest is skipped.
    A pause is passed on; a line that is not complete by then waits.

    Args:
        chunks: at most `MAX_LINE` bytes each.
    """
    begun = b""
    skipping = False
    for chunk in chunks:
        if isinstance(chunk, Pause):
            yield chunk
            continue
        first, *rest = chunk.split(b"\n")
        if not skipping:
            begun += first
        if rest:
            if not skipping:
                yield begun[: MAX_LINE + 1]
            skipping = False
            begun = rest.pop()
            yield from rest
        elif len(begun) > MAX_LINE:
            yield begun[: MAX_LINE + 1]
            skipping = True
            begun = b""
    if begun:
        yield begun


def compression(head: bytes) -> str:
    """What the first bytes of a list say of its compression; empty for none."""
    return next((form for magic, form in _MAGIC.items() if head.startswith(magic)), "")


def may_be_packed(head: bytes) -> bool:
    """Whether it takes more bytes to tell."""
    return any(len(head) < len(magic) and magic.startswith(head) for magic in _MAGIC)


def utf16(head: bytes) -> str:
    """The codec that a byte order mark of UTF-16 tells; empty for any other text."""
    return _UTF16.get(head[:2], "")


def decode(chunks: Iterable[Line], codec: str, source: str) -> Iterator[Line]:
    """The same text in UTF-8, in pieces of at most `MAX_LINE` bytes; pauses pass.

    Half of a pair of surrogates stays what it is, and makes its line no text.

    Args:
        chunks: of the list, in any pieces.
        codec: as `utf16` has it.
        source: the list's name, for errors.

    Raises:
        ListError: it ends in the middle of a character.
    """
    decoder = codecs.getincrementaldecoder(codec)("surrogatepass")
    for chunk in chunks:
        if isinstance(chunk, Pause):
            yield chunk
            continue
        data = decoder.decode(chunk).encode("utf-8", "surrogatepass")
        yield from (data[at : at + MAX_LINE] for at in range(0, len(data), MAX_LINE))
    if decoder.getstate()[0]:
        raise ListError(f"{shown_name(source)} ends in the middle of a character of UTF-16")


def refuse(head: bytes, source: str, *, given: bool = False) -> None:
    """See whether what begins like that can be a list.

    Args:
        head: the first bytes, unpacked and in UTF-8.
        source: its name.
        given: its format is given, so that text is what that says.

    Raises:
        ListError: it is something else.
    """
    if found := _binary(head) or (None if given else _text_of_others(head)):
        raise ListError(f"{shown_name(source)} is no list but {found[0]}: {found[1]}")


def _binary(head: bytes) -> tuple[str, str] | None:
    """What is there instead of text, and the way on."""
    for magic, found in _MAGIC_OF_OTHERS.items():
        if head.startswith(magic):
            return found
    if b"\0" in head:
        return "binary data, or UTF-16 without a byte order mark", "save it as UTF-8 text"
    return None


def _text_of_others(head: bytes) -> tuple[str, str] | None:
    """What text it is instead of a list, and the way on."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"http"):  # as nearly all do: no pattern is compiled for them
        return None
    for first, pattern, found in _TEXTS_OF_OTHERS:
        if start[:1] in first and pattern.match(start):
            return found
    if b"url" in head and _CURL_OPTION.match(start) and _CURL_URL.search(start):
        return "a configuration of curl's", "--format curl reads it"
    return None


def lists_only(chunks: Iterable[Line], source: str, *, given: bool = False) -> Iterator[Line]:
    """Pass the chunks of a list on; of what comes slowly as much is looked at as is there.

    Raises:
        ListError: as `refuse`.
    """
    head = b""
    for chunk in chunks:
        if len(head) < LOOKED_AT and not isinstance(chunk, Pause):
            head += chunk[: LOOKED_AT - len(head)]
            refuse(head, source, given=given)
        yield chunk


class Chunks(Protocol):
    """The bytes of an open list."""

    def read(self) -> Iterator[Line]:
        """Read chunks of at most `MAX_LINE` bytes, with pauses in between; never blocks."""

    def fileno(self) -> int | None:
        """What to wait on after a pause; None when there is no need to wait."""

    def due(self) -> float | None:
        """Seconds until silence becomes a FLUSH; None when nothing is awaiting one."""


class FileChunks:
    """A regular file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def read(self) -> Iterator[Line]:
        """See `Chunks`."""
        for number, data in enumerate(iter(lambda: os.read(self._fd, MAX_LINE), b""), 1):
            yield data
            if number % (_BURST // MAX_LINE) == 0:
                yield Pause.HOLD

    def fileno(self) -> int | None:
        """See `Chunks`."""
        return None

    def due(self) -> float | None:
        """See `Chunks`."""
        return None


class StreamChunks:
    """A pipe, terminal, FIFO or socket."""

    def __init__(self, fd: int, clock: Callable[[], float]) -> None:
        self._fd = fd
        self._clock = clock
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._last: float | None = None  # when something came that no flush has followed yet

    def read(self) -> Iterator[Line]:
        """See `Chunks`."""
        room = _BURST
        while True:
            if room <= 0:
                room = _BURST
                yield Pause.HOLD
            elif (data := self._ready()) is None:
                yield self._pause()
            elif data:
                room -= len(data)
                self._last = self._clock()
                yield data
            else:
                return

    def _ready(self) -> bytes | None:
        """What is there now; None when nothing is, empty at the end."""
        if not self._poll.poll(0):
            return None
        try:
            return os.read(self._fd, MAX_LINE)
        except BlockingIOError:
            return None

    def _pause(self) -> Pause:
        if self.due() != 0:
            return Pause.HOLD
        self._last = None
        return Pause.FLUSH

    def fileno(self) -> int | None:
        """See `Chunks`."""
        return self._fd

    def due(self) -> float | None:
        """See `Chunks`."""
        return None if self._last is None else max(0.0, self._last - self._clock() + GRACE)


def check_path(path: str, *, given: bool = False) -> None:
    """Make sure that a list is there, and looks like one; only a regular file is opened for that.

    Args:
        path: of the list.
        given: see `refuse`.

    Raises:
        ListError: it is missing, a directory, not readable, or no list.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        hint = f"a URL begins with {BEGINNINGS}; - is standard input"
        if "://" in path:
            hint = "many FTP servers have the same files at https://"
            raise ListError(f"{mask(path)!r}: {_url_fault(path)}", hint) from None
        raise ListError(f"list {printable(path)!r}: {_reason(error)}", hint) from None
    if stat.S_ISDIR(mode):
        raise ListError(f"list {printable(path)!r} is a directory", "name a file in it")
    if not os.access(path, os.R_OK):
        raise ListError(f"list {printable(path)!r}: Permission denied", "make it readable")
    if stat.S_ISREG(mode):
        fd = open_path(path)
        try:
            check_head(path, fd, 0, given=given)
        finally:
            os.close(fd)


def check_head(name: str, fd: int, start: int, *, given: bool = False) -> None:
    """Look at how an open list begins, if it is a regular file; its position stays.

    Args:
        name: of the list.
        fd: of it.
        start: offset of its first byte.
        given: see `refuse`.

    Raises:
        ListError: it is no list.
    """
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        head = os.pread(fd, LOOKED_AT, start) if regular else b""
    except OSError as error:
        raise unreadable(name, error) from None
    if codec := utf16(head):
        head = head.decode(codec, "ignore").encode("utf-8", "ignore")
    if not compression(head):
        refuse(head, name, given=given)


def _url_fault(text: str) -> str:
    try:
        parse(text)
    except InvalidUrl as error:
        return str(error)
    return "is no list"


def open_path(path: str) -> int:
    """Open a list; does not wait for the writer of a FIFO.

    Raises:
        ListError: the system refuses.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(path, error) from None


def chunks_of(name: str, fd: int, clock: Callable[[], float]) -> Chunks:
    """The bytes of an open descriptor, which stays the caller's to close.

    Raises:
        ListError: it is closed, or a directory.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError as error:
        raise unreadable(name, error) from None
    if stat.S_ISDIR(mode):
        raise ListError(f"list {printable(name)!r} is a directory", "name a file in it")
    return FileChunks(fd) if stat.S_ISREG(mode) else StreamChunks(fd, clock)


def unreadable(name: str, error: OSError) -> ListError:
    """What to raise for a list that the system does not let be read."""
    return ListError(f"{shown_name(name)}: {_reason(error)}")


def shown_name(name: str) -> str:
    """The list as a message calls it."""
    return "standard input" if name == "-" else f"list {printable(name)!r}"


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def position(fd: int) -> int:
    """The offset that a regular file is read from next; 0 for what has none."""
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return 0


def count_items(
    fd: int, start: int = 0, guess: Callable[[bytes], Counting | None] = lambda _: TEXT
) -> int | None:
    """How many items a list has from that offset on, nearly; 2 ms a MB.

    Of a text list, lines that begin with neither a blank nor ``#`` are counted; in a large file
    those of the first `_SAMPLE` bytes. The descriptor's position stays.

    Args:
        fd: of the list.
        start: offset of the first byte.
        guess: what to count, from the first bytes; None where counting makes no sense.

    Returns:
        The number, or None where that cannot be known.
    """
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        counting = guess(os.pread(fd, MAX_LINE, start))
        if counting is None:
            return None
        count, offset, last = -counting.without, start, b"\n"
        while offset - start < _SAMPLE and (data := os.pread(fd, MAX_LINE, offset)):
            count += len(counting.item.findall(last + data))
            last = data[-1:]
            offset += len(data)
    except OSError:
        return None
    left = status.st_size - offset
    count = max(0, count)
    return count + (count * left // (offset - start) if left > 0 else 0)


def count_in_path(
    path: str, guess: Callable[[bytes], Counting | None] = lambda _: TEXT
) -> int | None:
    """`count_items` of a file that is not open; None for anything but a regular file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return count_items(fd, 0, guess)
    finally:
        os.close(fd)
