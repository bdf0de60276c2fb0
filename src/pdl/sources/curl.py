r"""curl: a configuration of curl's, read for its URLs and what is said of each.

::

    # -L --fail
    header = "X-Api-Key: 4711"
    url = "https://a.example/f.iso"
    output = "discs/f.iso"
    next
    url "https://b.example/g.txt"

What curl's manual says of ``--config`` holds. An option counts for all URLs up to the next
``next``, also for those above it, so that these are held until then. The first ``output`` is of the
first URL, whichever stands first. Options that pdl does not read are told in one line for a list.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, ClassVar

from pdl.model import BadLine, Item
from pdl.sources import Pause
from pdl.sources.item_options import bad_line, parse_header
from pdl.sources.streams import MAX_LINE, shown_name
from pdl.sources.text import bad_bytes, entry_of, why_no_text
from pdl.text.lazy_regex import lazy
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.model import Headers
    from pdl.sources import Entry, Line

_BLANKS = " \t\r\f\v"
_SHORT = lazy(r"(-[^ \t\r\f\v]+)[ \t\r\f\v]*(.*)", re.DOTALL)
_LONG = lazy(r"(?:--)?([^ \t\r\f\v=:]+)[=: \t\r\f\v]*(.*)", re.DOTALL)
_QUOTED = lazy(r'"((?:[^"\\]|\\.)*)("?)', re.DOTALL)
_ESCAPED = lazy(r"\\(.)", re.DOTALL)
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_LETTERS = {
    ":": "next",
    "A": "user-agent",
    "e": "referer",
    "H": "header",
    "o": "output",
    "O": "remote-name",
    "u": "user",
    "L": "location",
    "f": "fail",
    "s": "silent",
    "S": "show-error",
    "Z": "parallel",
    "#": "progress-bar",
    "d": "data",
    "F": "form",
    "I": "head",
    "T": "upload-file",
    "X": "request",
}
_TAKE_VALUES = frozenset("AbcCdDeEFHhKmoPQrtTuUwxXyYz")
"""Letters behind which, in one word or the next, a value stands."""
_AS_HERE_WORDS = """
    remote-name remote-name-all location fail fail-with-body create-dirs parallel silent
    show-error progress-bar progress-meter
"""
_AS_HERE = frozenset(_AS_HERE_WORDS.split())
"""Options that say what pdl does anyway, or how the run is shown."""
_NO_DOWNLOAD_WORDS = """
    data data-ascii data-binary data-raw data-urlencode json form form-string upload-file
    head quote mail-from telnet-option
"""
_NO_DOWNLOAD = frozenset(_NO_DOWNLOAD_WORDS.split())
"""Options of requests that are no downloads."""
_SHOWN = 20


class _Wanted(NamedTuple):
    """A URL that is held."""

    url: str
    line: int


class CurlFormat:
    """Reads a configuration of curl's.

    Args:
        warn: told, for each list, of the options that mean nothing here.
        base: URL that relative ones are resolved against.
    """

    by_line: ClassVar[bool] = True

    def __init__(self, warn: Callable[[str], None], base: str | None) -> None:
        self._warn = warn
        self._base = base

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`; nothing goes out before a ``next`` or the end."""
        ignored: dict[str, None] = {}
        group = _Group(source, self._base, ignored)
        for number, line in _numbered(lines):
            if isinstance(line, Pause):
                yield line
                continue
            option = _option(line, source, number)
            if isinstance(option, BadLine):
                yield option
                continue
            for name, value in option:
                if name == "next":
                    yield from group.entries()
                    group = _Group(source, self._base, ignored)
                elif fault := group.take(name, value, number):
                    yield bad_line(f"{name} ...", source, number, fault)
        yield from group.entries()
        if ignored:
            shown = ", ".join(printable(name[:40]) for name in list(ignored)[:_SHOWN])
            more = ", ..." if len(ignored) > _SHOWN else ""
            what = "options of curl's that mean nothing here are ignored"
            self._warn(f"{shown_name(source)}: {what}: {shown}{more}")


def _numbered(lines: Iterable[Line]) -> Iterator[tuple[int, Line]]:
    number = 0
    for line in lines:
        number += not isinstance(line, Pause)
        yield number, line


def _option(raw: bytes, source: str, number: int) -> list[tuple[str, str | None]] | BadLine:
    """The options of a line, mostly one, with their values; None where there is none."""
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip(_BLANKS)
    except UnicodeDecodeError:
        text = None
    if text is None or len(raw) > MAX_LINE:
        return bad_bytes(raw, source, number, why_no_text(raw))
    if not text or text[0] == "#":
        return []
    if text[:8].lower().startswith(("http://", "https://")):
        return bad_line(text, source, number, "is a URL without its option; write url = URL")
    short = text[0] == "-" and text[:2] != "--"
    found = (_SHORT if short else _LONG).fullmatch(text)
    if found is None:
        return bad_line(text[:1], source, number, "is no option of curl's")
    name = found[1]
    try:
        value = _value(found[2])
    except ValueError as error:  # the value may be a secret, and so may what follows a letter
        return bad_line(f"{name[:2] if short else name} ...", source, number, str(error))
    return list(_letters(name[1:], value)) if short else [(name, value)]


def _value(text: str) -> str | None:
    """What stands behind an option; of a comment, and of blanks, nothing."""
    if text[:1] == '"':
        found = _QUOTED.match(text)
        assert found is not None  # it fits whatever begins with a quote
        if not found[2]:
            raise ValueError("has a quote that is not closed")
        return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1], m[1]), found[1])
    value, *rest = re.split(rf"[{_BLANKS}]+", text, maxsplit=1) or [""]
    if rest and rest[0] and rest[0][0] != "#":
        raise ValueError('has a blank in its value; write the value in quotes, as "a b"')
    return value if value and value[0] != "#" else None


def _letters(letters: str, value: str | None) -> Iterator[tuple[str, str | None]]:
    """The options of a word such as ``-sSLo``."""
    for place, letter in enumerate(letters, 1):
        name = _LETTERS.get(letter, f"-{letter}")
        if letter in _TAKE_VALUES:
            yield name, letters[place:] or value
            return
        yield name, None


class _Group:
    """The URLs up to the next ``next``, and what is said of all of them."""

    def __init__(self, source: str, base: str | None, ignored: dict[str, None]) -> None:
        self._source = source
        self._base = base
        self._ignored = ignored
        self._urls: list[_Wanted] = []
        self._outputs: list[str | None] = []
        self._headers: Headers = ()
        self._single: dict[str, tuple[str, str]] = {}
        self._fault = ""

    def take(self, name: str, value: str | None, line: int) -> str:
        """Take an option; say why it cannot be taken, which is mostly empty."""
        if name == "remote-name":
            self._outputs.append(None)
        elif name in _NO_DOWNLOAD or (name == "request" and value not in {"GET", None}):
            self._fault = self._fault or f"is no download for curl: it has the option {name}"
        elif name in _AS_HERE or name == "request":
            pass
        elif name not in {"url", "output", "header", "user-agent", "referer", "user"}:
            self._ignored[name] = None
        elif value is None:
            return f"option {name} has no value"
        elif name == "url":
            self._urls.append(_Wanted(value, line))
        elif name == "output":
            self._outputs.append(value)
        else:
            return self._take_field(name, value)
        return ""

    def _take_field(self, name: str, value: str) -> str:
        try:
            if name == "header":
                self._headers = (*self._headers, *_fields(value))
            elif name == "user":
                self._single[name] = parse_header(f"Authorization: {_basic(value)}")
            elif value := value.removesuffix(";auto"):
                field = "User-Agent" if name == "user-agent" else "Referer"
                self._single[name] = parse_header(f"{field}: {value}")
        except ValueError as error:
            self._fault = self._fault or f"option {name}: {error}"
        return ""

    def entries(self) -> Iterator[Entry]:
        """What comes of it."""
        headers = (*self._headers, *self._single.values())
        for place, (url, line) in enumerate(self._urls):
            out = self._outputs[place] if place < len(self._outputs) else None
            entry = self._entry(url, line)
            if isinstance(entry, Item):
                fault = self._fault
                if out == "-":
                    fault = "output - is standard output, and pdl writes files"
                if fault:
                    entry = bad_line(url, self._source, line, fault)
                else:
                    entry = entry._replace(out=out, headers=headers)
            yield entry

    def _entry(self, url: str, line: int) -> Entry:
        if "\t" in url:  # which separates mirrors elsewhere
            return bad_line(url, self._source, line, "has a tabulator")
        return entry_of(url, self._source, line, self._base)


def _fields(text: str) -> Headers:
    """The field that an option ``header`` adds; ``X-A:`` takes away one that pdl does not send."""
    if text[:1] == "@":
        raise ValueError("fields in a file are not read from a list; -H @FILE reads them")
    if text[-1:] == ";" and ":" not in text:
        return (parse_header(f"{text[:-1]}:"),)
    name, value = parse_header(text)
    return ((name, value),) if value else ()


def _basic(user: str) -> str:
    """The value of Authorization (RFC 7617)."""
    if ":" not in user:
        raise ValueError(
            "the user has no password, and pdl asks for none here; write USER:PASSWORD"
        )
    return f"Basic {base64.b64encode(user.encode()).decode()}"
