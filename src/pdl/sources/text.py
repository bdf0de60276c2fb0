"""The text format: a URL a line, mirrors behind TABs, options indented below as aria2 has them.

::

    # a comment
    https://a.example/f.iso<TAB>https://b.example/f.iso
      out=disc/f.iso
      checksum=sha-256=2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    https://a.example/g.txt#sha256=fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
    https://a.example/h.txt # a comment, for a blank stands before it

An item may still get options from the next line, so it is held until a line that is none, the
end, or a flush. An option that comes after a flush would be lost in silence: it is a bad line.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pdl.model import BadLine, Item
from pdl.sources import Entry, Line, Pause
from pdl.sources.item_options import (
    MAX_SHOWN,
    OPTIONS,
    bad_line,
    check_urls,
    is_absolute,
    resolve,
    with_option,
)
from pdl.sources.streams import MAX_LINE, shown_name
from pdl.text.lazy_regex import lazy
from pdl.text.masking import printable
from pdl.text.units import place_text
from pdl.text.urls import MAX_LENGTH, has_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.sources.aria2 import Noise


# the last two: what is copied from a page may end with it; the BOM, also of a list in another
_BLANKS = " \t\r\f\v\xa0\u200b\ufeff"
_OPTION = lazy(r"[ \t]+([a-z][a-z0-9-]{0,40})[ \t]*=(.*)", re.DOTALL)
_COMMENT = lazy(r"[ \t]#.*", re.DOTALL)
_RANGE = lazy(r"\[(?:[0-9]+-[0-9]+|[a-z]-[a-z]|[A-Z]-[A-Z])(?::[0-9]+)?\]")
"""What curl expands."""
_ALONE = "write the URL alone on its line"
_MISREAD = (
    (lazy(r"[\"'`\u201c\u2018]"), f"begins with a quote; {_ALONE}"),
    (lazy("<"), f"begins with <; {_ALONE}"),
    (lazy(r"[(\[{][ \"'<]*https?://"), f"begins with a bracket; {_ALONE}"),
    (lazy(r"[-*+\u2022][ \t]"), f"begins with the dash of a list; {_ALONE}"),
    (lazy(r"[0-9]+[.)][ \t]"), f"begins with a number; {_ALONE}"),
    (lazy(r"!?\[[^\]]*\](?:\(|:[ \t])"), f"is a link of Markdown; {_ALONE}"),
    (
        lazy(rf"(?:{'|'.join(sorted(OPTIONS))})[ ]*="),
        "is an option of the URL above it; begin the line with a blank",
    ),
    (
        lazy(r"ftps?://", re.IGNORECASE),
        "only http and https can be downloaded, not ftp; many FTP servers have the same at https://",
    ),
    (
        lazy(r"(?!https?://)(?:.*[ ]|[a-z_]+=)[\"'<]?https?://", re.IGNORECASE),
        f"has words before the URL; {_ALONE}",
    ),
    (
        lazy(r".*(?<![ \t])[ ]+[\"'<]?https?://", re.IGNORECASE),
        "has two URLs on one line; write each on a line of its own, or a TAB between mirrors",
    ),
    (
        lazy(r"https?://\S+[ ]+(?:;|//)[ ]", re.IGNORECASE),
        "has a comment behind the URL that does not begin with #",
    ),
    (
        # the last segment has its extension already
        lazy(r"[^\s?]+\.[A-Za-z][A-Za-z0-9]{0,7}[ ]+[^ \t]"),
        "has a name behind the URL; write out=NAME indented below it; a blank in a URL is %20",
    ),
)
"""How lines begin that are no URL, though one may be in them, and what is said of each."""
_MISREAD_ALONE = (
    (
        lazy(r"[^\t:]*\t+https?://", re.IGNORECASE),
        f"has a column before the URL; {_ALONE}, or the names of the columns in a first row",
    ),
    (
        lazy(r"https?://[^\t]*\t[^\t:]+(?:\t|\Z)", re.IGNORECASE),
        "has a name behind the URL; write out=NAME indented below it; only mirrors follow a TAB",
    ),
)
"""The same where no relative URL can be meant."""
_USUAL = re.compile(
    r"https?://[a-z0-9_-]{1,62}(?:\.[a-z0-9_-]{1,62}){0,3}(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}))?"
    r"/(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]*[A-Za-z0-9._~:/?@!$&'()*+=-])?"
)
"""A line that has nothing but a URL which is sure to be one, as most have; told in one go."""
_SEPARATORS = {",": "comma, which is %2C in a URL", ";": "semicolon, which is %3B in a URL"}
_ENDS_A_ROW = lazy(r"[^?#]*[,;]\Z")
_NO_REFERENCE = lazy(
    r"[^\t]*(?:[<>\"{}|\\^`]|://)|(?=[^\t]* [^\t]* )(?![^\t]*(?:\.[A-Za-z0-9]{1,8}|/)(?:\t|$))"
)
"""What is no relative URL: it has what none has, or it reads as words and names no file."""
_MAX_WARNINGS = 20

_item = partial(tuple.__new__, Item)
"""An item of its fields, in half the time: most lines of most lists are nothing but a URL."""
_NOTHING_MORE = Item("")[1:-2]


class TextFormat:
    """Reads the text format.

    Args:
        warn: told once of each unknown option, with the line it was first seen in; of those of
            aria2's that mean nothing here at a list's end, in one line.
        base: URL that relative ones are resolved against.
    """

    by_line: ClassVar[bool] = True
    foreign = False

    def __init__(self, warn: Callable[[str], None], base: str | None = None) -> None:
        self._warn = warn
        self._base = base
        self._warned: set[str] = set()
        self._noise: Noise | None = None
        self._source = ""

    def read(self, lines: Iterable[Line], source: str) -> Iterator[Entry | Pause]:
        """See `pdl.sources.Format.read`."""
        self._noise, self._source = None, source
        reader = _Reader(source, self._unknown, self._base)
        reader.foreign = self.foreign
        for line in lines:
            if isinstance(line, Pause):
                if line is Pause.FLUSH and (entry := reader.flush()):
                    yield entry
                yield line
            elif entry := reader.line(line):
                yield entry
        if entry := reader.flush():
            yield entry
        if self._noise is not None:
            self._noise.tell()

    def _unknown(self, name: str, where: str) -> None:
        if self._noise is None:
            from pdl.sources.aria2 import Noise  # most lists have no such option

            self._noise = Noise(shown_name(self._source), self._warn)
        if self._noise.take(name):
            return
        if name not in self._warned and len(self._warned) < _MAX_WARNINGS:
            self._warned.add(name)
            self._warn(f"{where}: option {name} is unknown and ignored")


class _Reader:
    """One list under way: where it is, and the entry that the next line may still change."""

    foreign = False

    def __init__(self, source: str, unknown: Callable[[str, str], None], base: str | None) -> None:
        self._source = source
        self._base = base
        self._unknown = unknown
        self._number = 0
        self._held: Entry | None = None
        self._stray = "an option without a URL above it"

    def line(self, raw: bytes) -> Entry | None:
        """Take a line; return the entry that it completes."""
        self._number += 1
        entry = self._entry(raw)
        if entry is None:
            return None
        held, self._held = self._held, entry
        return held

    def flush(self) -> Entry | None:
        """Return what is held; no option can be added to it from now on."""
        held, self._held = self._held, None
        self._stray = "an option that came when its URL had been handed out; write both at once"
        return held

    def _entry(self, raw: bytes) -> Entry | None:
        """What begins with this line; None for a blank, a comment and an option."""
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = None
        if text is None or len(raw) > MAX_LINE:
            return self._bad(raw, why_no_text(raw))
        if _USUAL.fullmatch(text) and len(text) <= MAX_LENGTH:
            return _item((text, *_NOTHING_MORE, self._source, self._number))
        stripped = text.strip(_BLANKS)
        if not stripped or stripped[0] == "#":
            return None
        if option := _OPTION.fullmatch(text):
            return self._option(option, raw)
        if " #" in stripped or "\t#" in stripped:
            stripped = _COMMENT.sub("", stripped).rstrip(_BLANKS)
        foreign = self.foreign and _is_foreign(stripped)
        if not foreign and (fault := misread(stripped, self._base)):
            return bad_line(stripped, self._source, self._number, fault)
        return entry_of(stripped, self._source, self._number, self._base, foreign=foreign)

    def _option(self, option: re.Match[str], raw: bytes) -> Entry | None:
        held = self._held
        if held is None:
            return self._bad(raw, self._stray)
        if isinstance(held, Item):
            self._held = self._with_option(held, option[1], option[2].strip(_BLANKS))
        return None

    def _with_option(self, held: Item, name: str, value: str) -> Entry:
        try:
            changed = with_option(held, name, value)
        except ValueError as error:
            message = f"option {name} in line {self._number}: {error}"
            return bad_line(held.url, held.source, held.line, message)
        if changed is None:
            self._unknown(name, printable(place_text(self._source, self._number)))
        return changed or held

    def _bad(self, raw: bytes, message: str) -> BadLine:
        return bad_bytes(raw, self._source, self._number, message)


def _is_foreign(text: str) -> bool:
    from pdl.text.foreign import is_foreign  # where there may be one

    return is_foreign(text.partition("\t")[0])


def misread(text: str, base: str | None) -> str:
    """Why a line is no URL that can be meant as it stands; empty if it can.

    Args:
        text: the line, without blanks around it and without a comment.
        base: URL that relative ones are resolved against.
    """
    # most lines that have something odd at all have nothing of this
    if " " in text or "\t" in text or not has_scheme(text):
        for pattern, fault in _MISREAD if base is not None else (*_MISREAD, *_MISREAD_ALONE):
            if pattern.match(text):
                return fault
    if text[-1:] in _SEPARATORS and _ENDS_A_ROW.match(text):
        return f"ends with a {_SEPARATORS[text[-1]]}; {_ALONE}"
    if base is not None and not is_absolute(text) and _NO_REFERENCE.match(text):
        return "is neither a URL nor the name of a file below --base-url"
    return ""


def entry_of(
    text: str, source: str, line: int, base: str | None = None, *, foreign: bool = False
) -> Entry:
    """The entry for a URL, or for several separated by TABs; never raises."""
    urls = tuple(filter(None, (url.strip(_BLANKS) for url in text.split("\t"))))
    try:
        if "[" in text and (found := _RANGE.search(text)):
            raise ValueError(_range_fault(found[0]))  # noqa: TRY301 - a bad line as for any reason
        urls = resolve(urls, base)
        checksum = check_urls(urls or ("",), foreign=foreign)
    except ValueError as error:
        return bad_line(text, source, line, str(error))
    return Item(urls[0], urls[1:], checksum=checksum, source=source, line=line)


def _range_fault(found: str) -> str:
    return (
        f"has {found}, which curl expands and pdl does not; list each URL, as "
        "printf 'https://.../%03d.jpg\\n' $(seq 100) | pdl - does; %5B and %5D are brackets"
    )


def bad_bytes(raw: bytes, source: str, line: int, message: str) -> BadLine:
    """`bad_line` for a line that is no text."""
    text = raw[: 4 * MAX_SHOWN].decode("utf-8", "backslashreplace")
    return bad_line(text, source, line, message)


def why_no_text(raw: bytes) -> str:
    """What is wrong with a line that cannot be decoded, or has been cut."""
    return f"longer than {MAX_LINE} bytes" if len(raw) > MAX_LINE else "is not UTF-8 text"
