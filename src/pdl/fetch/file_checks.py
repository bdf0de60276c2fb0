"""Whether what comes is what was asked for: by its size, its type, and how its body begins.

A page that says "log in" or "not found" comes with status 200 more often than it should, and is
then often sent as ``application/octet-stream`` or without any type. So where the name promises a
form that has a beginning of its own, the first bytes count as well, whatever the type says. Where
the name promises some other form, type and bytes together tell a page. Where it promises none, what
was found is a remark. The sizes a file may have are those of the list, the lock, and the limits of
the run.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from pdl.fetch.failures import AttemptFailed, StartAgain
from pdl.http_rules.codings import coding_of
from pdl.http_rules.ranges import OK
from pdl.integrity.check import size_fault, wanted_size
from pdl.integrity.declared_digests import declared
from pdl.model import CODED_REMARK, PAGE_REMARK, POINTER_REMARK, FailureKind
from pdl.text.lazy_regex import lazy
from pdl.text.masking import printable
from pdl.text.units import amounts_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.http_rules.ranges import Known
    from pdl.integrity.declared_digests import Declared
    from pdl.model import Task
    from pdl.settings import FileSettings

    Header = Callable[[str], str | None]
    """Gives a field's value, or None."""

LOOKED_AT = 512
"""Bytes of a body that are looked at; the last of the magic numbers below ends at 262."""

LEAST_TEXT = 4
"""Bytes that can be told for text; so many have the shortest magic numbers of binary forms."""

_BINARY_FORMS = (
    "zip gz tgz bz2 tbz tbz2 xz txz lzma zst lz lz4 7z rar tar cab whl egg jar war nupkg vsix deb "
    "rpm apk ipa msi qcow2 png jpg jpeg gif webp avif heic tif tiff pdf epub docx xlsx pptx odt "
    "ods odp mp3 mp4 m4a m4v mov avi mkv webm wav flac ogg opus ttf otf woff woff2 "
    "parquet npz npy h5 onnx safetensors gguf wasm crate gem"
)
_BINARY = frozenset(_BINARY_FORMS.split())
"""Extensions of what never is plain text; a ``.so`` may be a script for the linker."""
_FORMS = "|".join((*sorted(_BINARY), "exe", "dll", "dmg", "pkg", "iso", "bmp", "ico", "so"))
_NO_PAGE = lazy(rf"\.({_FORMS}|bin|img)$", re.IGNORECASE)
"""Names whose content is never an HTML page."""
_OWN_START = lazy(rf"\.({_FORMS})$", re.IGNORECASE)
"""Names whose content never begins as a text does; ``.bin`` and ``.img`` may be any bytes."""
_EXTENSION = lazy(r"[^/]\.(?=[0-9_-]*[A-Za-z])([A-Za-z0-9_-]{1,12})$")
_PAGES = lazy(
    r"(?:[sx]?html?[0-9]?|mhtml|php[0-9]?|phtml|aspx?|ashx|jspx?|jsf|cgi|fcgi|cfm|do|action|pl)$",
    re.IGNORECASE,
)
"""Extensions of pages, and of programs that answer with one."""
_PACKED_PAGE = lazy(r"\.x?html?\.[a-z0-9]+$", re.IGNORECASE)
"""Names of packed pages: servers give them the type of what is in them."""

_SUSPECT = b"<{[ \t\n\f\r\xef"
"""How what `_document` finds can begin; nearly all files are past it with one look."""
_PAGE = lazy(
    rb"(?:\xef\xbb\xbf)?[ \t\n\f\r]*(?:<!--|(?:<\?xml[^>]*>[ \t\n\f\r]*)?"
    rb"<(?:!doctype[ \t\n\f\r]+html|html|head|body|title|script)\b)",
    re.IGNORECASE,
)
_ERROR = lazy(rb"(?:\xef\xbb\xbf)?[ \t\n\f\r]*(?:<\?xml[^>]*>[ \t\n\f\r]*)?<Error\b")
"""How object stores say no, in XML."""
_JSON = lazy(rb"(?:\xef\xbb\xbf)?[ \t\n\r]*[{\[]")

_WHOLE_PAGE = lazy(
    rb"(?:\xef\xbb\xbf)?[ \t\n\f\r]*(?:<\?xml[^>]*>[ \t\n\f\r]*)?(?:<!--.*?-->[ \t\n\f\r]*)*"
    rb"<(?:!doctype[ \t\n\f\r]+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)
_POINTER = b"version https://git-lfs.github.com/spec/v"
_POINTER_SIZES = 4
"""Digits of the size of a pointer; by Git LFS's specification it has less than 1024 bytes."""
_POINTERS = {"txt", "md"}
"""Extensions of what may speak of Git LFS."""
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\f\r\x1b"))
TELLING = bytes({*range(32, 127), *b"\t\n\f\r\xef"})
"""How a text can begin of which something is to be said; nearly all files are past it."""

REMARKABLE = _SUSPECT + _POINTER[:1]  # how what `remark` finds in a body can begin

_CODED = lazy(r"\.(gz|tgz|svgz|z|br|zst|bz2|xz|warc|html?\.[a-z0-9]+)$", re.IGNORECASE)
"""Names of what is coded as a whole."""

_LOGIN = "; is a login needed?"
"""Said where a page came, for it mostly asks for one."""
_OPAQUE = {
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-download",
    "application/force-download",
}
"""Types that only say that there are bytes."""
_MAGIC = (
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/bzip2"),
    (0, b"\xfd7zXZ\0", "application/xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/tar"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\0asm", "application/wasm"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
)
"""Offset, bytes, and the type they speak of, as `_bare` has it."""


def unlike(
    files: FileSettings, path: str, header: Header, begin: bytes | memoryview | None
) -> str | None:
    """Why this is not what was asked for; None if nothing speaks against it.

    Args:
        files: what is to be minded.
        path: the file's.
        header: gives the answer's fields.
        begin: the body, at least `LOOKED_AT` bytes or all of it; None if only the head is here.
    """
    said = header("content-type")
    if files.content_check and (what := _instead(path, said, begin)):
        page_wanted = files.expect_types and _matches(files.expect_types, "text/html")
        if not (what == PAGE_REMARK and page_wanted):
            said = f"got {what} instead of a .{_extension(path)} (--no-content-check takes it)"
            return f"{said}{_LOGIN}" if what == PAGE_REMARK else said
    return _unexpected(files.expect_types, said, begin) if files.expect_types else None


def by_bytes(files: FileSettings, path: str, header: Header) -> bool:
    """Whether the first bytes can say more than the head did."""
    said = header("content-type")
    if files.expect_types and _type(said) is None:
        return True
    if not files.content_check:
        return False
    if _OWN_START.search(path) is not None or _is_html(said):
        return True
    length = header("content-length")  # small enough for a pointer
    return length is None or len(length) <= _POINTER_SIZES


def _is_html(said: str | None) -> bool:
    return said is not None and "html" in said.lower() and _media(said) == "text/html"


def _extension(path: str) -> str:
    """What the name ends in, if that says anything; the number of a version does not."""
    found = _EXTENSION.search(path)
    return found[1] if found else ""


def _instead(path: str, said: str | None, begin: bytes | memoryview | None) -> str | None:
    """What came instead of what the name promises, in words."""
    # as `_is_html`, which would be one more call for each small file
    page = said is not None and "html" in said.lower() and _media(said) == "text/html"
    if page and _NO_PAGE.search(path) and not _PACKED_PAGE.search(path):
        return PAGE_REMARK
    if not begin or (first := begin[0]) not in TELLING:
        return None
    if first in _SUSPECT and (page or _OWN_START.search(path)):
        start = bytes(begin[:LOOKED_AT])
        ending = _extension(path)
        if page and ending and not _PAGES.match(ending) and _WHOLE_PAGE.match(start):
            return PAGE_REMARK
        if _OWN_START.search(path) and (what := _document(start, said)):
            return what
    if (
        first == _POINTER[0]
        and _is_pointer(begin)
        and _extension(path).lower() not in {"", *_POINTERS}
    ):
        return "a Git LFS pointer"
    binary = path.rpartition(".")[2].lower() in _BINARY and _media(said or "") != "image/svg+xml"
    return "plain text" if binary and len(begin) >= LEAST_TEXT and _is_text(begin) else None


def _is_pointer(begin: bytes | memoryview) -> bool:
    return bytes(begin[: len(_POINTER)]) == _POINTER


def _is_text(begin: bytes | memoryview) -> bool:
    """Whether it is UTF-8 that can be read; what some binary form begins with is none."""
    start = bytes(begin[:LOOKED_AT])
    if start.translate(None, _CONTROLS) != start or start.startswith(b"!<arch>\n"):
        return False
    if _sniffed(start) not in {None, "text/html"}:
        return False
    try:
        codecs.utf_8_decode(start, "strict", len(begin) <= LOOKED_AT)
    except UnicodeDecodeError:
        return False
    return True


def remark(files: FileSettings, path: str, header: Header, begin: bytes | memoryview | None) -> str:
    """What is to be said of a file that is taken; mostly nothing. The arguments are `unlike`'s."""
    if (coding := coding_of(header("content-encoding"))) and not _CODED.search(path):
        return f"{CODED_REMARK} (Content-Encoding: {printable(coding[:40])})"
    if not files.content_check or not begin or _extension(path).lower() not in {"", *_POINTERS}:
        return ""
    if _is_pointer(begin):
        return POINTER_REMARK
    nameless = not _extension(path) and _is_html(header("content-type"))
    return PAGE_REMARK if nameless and _WHOLE_PAGE.match(bytes(begin[:LOOKED_AT])) else ""


def _document(begin: bytes, said: str | None) -> str | None:
    if _PAGE.match(begin):
        return PAGE_REMARK
    if _ERROR.match(begin):
        return "an error in XML"
    media = _media(said or "")
    if (media == "application/json" or media.endswith("+json")) and _JSON.match(begin):
        return "a JSON document"
    return None


def _unexpected(
    wanted: tuple[str, ...], said: str | None, begin: bytes | memoryview | None
) -> str | None:
    """Why the type is none of those that are wanted; None also while the bytes are to tell."""
    media = _type(said)
    if _matches(wanted, _media(said or "")):
        return None
    asked = f"--expect-type wants {' or '.join(wanted)}"
    if media is not None:
        return f"the type is {media}, {asked}{_LOGIN if 'html' in media else ''}"
    if begin is None:
        return None
    found = _sniffed(bytes(begin[:LOOKED_AT]))
    if found is not None and _matches(wanted, found):
        return None
    bytes_say = f"and its first bytes are those of {found}" if found else "nor do its first bytes"
    return f"the server does not say the type, {bytes_say}; {asked}"


def _media(said: str) -> str:
    """The type without its parameters (RFC 9110 section 8.3.1); of several the first."""
    return said.partition(";")[0].partition(",")[0].strip().lower()


def _type(said: str | None) -> str | None:
    """The type, if the server says one that means something."""
    media = _media(said or "")
    return None if not media or media in _OPAQUE else media


def _matches(wanted: tuple[str, ...], media: str) -> bool:
    kind, _, sub = _bare(media).partition("/")
    if not sub:
        return False
    pairs = [_bare(each).partition("/") for each in wanted]
    return any(major in {"*", kind} and minor in {"*", sub} for major, _, minor in pairs)


def _bare(media: str) -> str:
    """Without the ``x-`` that means nothing (RFC 6648)."""
    kind, slash, sub = media.lower().partition("/")
    return f"{kind}{slash}{sub.removeprefix('x-')}"


def _sniffed(begin: bytes) -> str | None:
    for offset, magic, media in _MAGIC:
        if begin.startswith(magic, offset):
            return media
    return "text/html" if _PAGE.match(begin) else None


def opening(files: FileSettings, path: str, status: int, header: Header) -> Opening | None:
    """Look at an answer's head; the body's first bytes are to be looked at unless it is None.

    Args:
        files: as `unlike` has it.
        path: the same.
        status: of the answer.
        header: as `unlike` has it.

    Raises:
        AttemptFailed: it is not what was asked for.
    """
    found = Opening(files, path, status, header)
    found.refuse(unlike(files, path, header, None))
    return found if by_bytes(files, path, header) else None


def would_do(
    files: FileSettings, task: Task, media: str | None, size: int, begin: memoryview | None
) -> bool:
    """Whether a file that is here would do for the task, as far as its digest does not say it.

    Args:
        files: as `check_announced` has it.
        task: the same.
        media: its Content-Type, or None.
        size: in bytes.
        begin: as `unlike` has it.
    """
    try:
        check_announced(files, task, size)
    except AttemptFailed:
        return False
    return unlike(files, task.path, {"content-type": media}.get, begin) is None


class Opening:
    """The first bytes of a body, as they come, until they are enough to be looked at.

    Args:
        files: as `unlike` has it.
        path: the same.
        status: of the answer.
        header: as `unlike` has it.

    Attributes:
        done: nobody has to look at any more.
        remark: what is to be said of the file, once there is enough of it.
    """

    def __init__(self, files: FileSettings, path: str, status: int, header: Header) -> None:
        self._files = files
        self._path = path
        self._status = status
        self._header = header
        self._begin = b""
        self.done = False
        self.remark = ""

    def look(self, data: memoryview) -> None:
        """Look at the next bytes, before they are kept.

        Raises:
            AttemptFailed: they are not of what was asked for.
        """
        if not self.done:
            self._begin += bytes(data[: LOOKED_AT - len(self._begin)])
            if len(self._begin) >= LOOKED_AT:
                self.end()

    def end(self) -> None:
        """There are no more bytes; as `look`."""
        if not self.done:
            self.done = True
            self.refuse(unlike(self._files, self._path, self._header, self._begin))
            self.remark = remark(self._files, self._path, self._header, self._begin)

    def refuse(self, fault: str | None) -> None:
        """End the attempt if there is a fault."""
        if fault is not None:
            raise AttemptFailed(FailureKind.CONTENT, fault, status=self._status)


def check_announced(files: FileSettings, task: Task, size: int | None) -> None:
    """See whether the file can be what it should, before a byte of it is read.

    Args:
        files: has the limits.
        task: says what the list and the lock know.
        size: bytes it will have by the answer's head; None while nobody has said.

    Raises:
        AttemptFailed: it cannot.
    """
    if size is None or (
        files.max_size is None and files.min_size is None and task.size is None and task.pin is None
    ):
        return
    _check_most(files, task, size, size)
    _check_least(files, size)


def check_so_far(
    files: FileSettings, task: Task, size: int, announced: int | None, *, resumed: bool
) -> None:
    """See whether so many bytes are not too many.

    Args:
        files: has the limits.
        task: says what the list and the lock know.
        size: bytes that have come.
        announced: as `check_announced` has it; it was checked then.
        resumed: some of the bytes are of an earlier attempt.

    Raises:
        StartAgain: they are, and the answer is not the rest that it should be.
        AttemptFailed: they are.
    """
    if announced is None:
        _check_most(files, task, size, None)
    elif size > announced:
        if resumed:
            raise StartAgain
        what = f"the body is longer than the {announced} bytes of its Content-Range"
        raise AttemptFailed(FailureKind.PROTOCOL, what)


def _check_most(files: FileSettings, task: Task, size: int, announced: int | None) -> None:
    most = files.max_size
    if most is not None and size > most:
        got, allowed = amounts_text(size, most)
        raise AttemptFailed(FailureKind.SIZE, f"{got}, expected {allowed} at most (--max-size)")
    wanted = wanted_size(task)
    if wanted is not None and (size > wanted or announced not in {None, wanted}):
        raise AttemptFailed(FailureKind.SIZE, size_fault(task, size))


def check_whole(files: FileSettings, task: Task, size: int, announced: int | None) -> None:
    """See whether a file may have so many bytes that has no more.

    Args:
        files: has the limits.
        task: says what the list and the lock know.
        size: bytes that have come.
        announced: as `check_announced` has it.

    Raises:
        AttemptFailed: it is cut, or not of the right size.
    """
    if announced is not None and size != announced:
        got, whole = amounts_text(size, announced)
        raise AttemptFailed(FailureKind.TRUNCATED, f"{got} of {whole} came", transient=True)
    if wanted_size(task) not in {None, size}:
        raise AttemptFailed(FailureKind.SIZE, size_fault(task, size))
    _check_least(files, size)


def _check_least(files: FileSettings, size: int) -> None:
    least = files.min_size
    if least is not None and size < least:
        got, allowed = amounts_text(size, least)
        raise AttemptFailed(FailureKind.SIZE, f"{got}, expected {allowed} at least (--min-size)")


def digest_of_whole(known: Known | None, status: int, header: Header) -> Declared | None:
    """The strongest digest that the server declared of the whole file, in this answer or the first.

    Args:
        known: as `pdl.storage.note.head_of_whole` has it.
        status: of the answer.
        header: of the answer.

    Raises:
        StartAgain: the two answers declare different digests.
    """
    said = declared(status, header)
    if known is None:
        return said
    first = declared(OK, dict(known.told).get)
    if said is None or first is None:
        return said or first
    (name, _, digits), (name_before, _, digits_before) = (
        each.checksum.partition(":") for each in (said, first)
    )
    if name == name_before and digits != digits_before:
        raise StartAgain
    return said if len(digits) >= len(digits_before) else first
