"""Safe names: the only text that becomes a part of a path.

Whatever cannot stand in a file name stays or gets percent-encoded, so that a name is safe, the
same on every run, and still says where it came from.
"""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from pdl.model import SafePath
from pdl.text.lazy_regex import lazy
from pdl.text.masking import UNPRINTABLE, printable
from pdl.text.sha256 import sha256

if TYPE_CHECKING:
    from pdl.text.urls import Url

STATE_DIRECTORY = ".pdl"
"""Below the output directory; no download may get this name."""
MAX_NAME = 255
"""Bytes of UTF-8 in one component: what Linux and macOS allow."""
MAX_PATH = 3000
"""Bytes of UTF-8 in a relative path; leaves room below PATH_MAX (4,096) for the directory."""
_EMPTY = "index.html"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}")
_UNSAFE = lazy(rf"[/\\{UNPRINTABLE}]")
_NOT_UTF8 = lazy("[\udc80-\udcff]")
_EXTENSION = lazy(r"(?<=.)(?:\.tar)?\.[A-Za-z0-9_+-]{1,16}\Z", re.IGNORECASE | re.DOTALL)
_PORTABLE = re.compile(r"(?:[A-Za-z0-9._-]*[A-Za-z0-9_-]/?)+")
_REFUSED = lazy(r'[<>:"|?*\\]|[. ](?=/|\Z)')
_REFUSED_OR_NOT_ASCII = lazy(r'[<>:"|?*\\]|[. ](?=/|\Z)|[^ -~]')
_CODES = {" ": "%20", ".": "%2E"}
_JOINERS = lazy("[\u200c\u200d]")


class UnsafeName(ValueError):
    """A list asks for a path that would leave the output directory, or names no file."""


class SafeName(str):
    """One path component that is safe in any directory; made only by its constructors.

    It is not empty, at most `MAX_NAME` bytes in UTF-8 and NFC; it has no slash or backslash, no
    control or bidi character, no blank at either end, nothing that the file system's encoding
    lacks; it is not made of dots only and not `STATE_DIRECTORY`. It does not pickle: a
    `pdl.model.SafePath` is what crosses processes.
    """

    __slots__ = ()

    def __new__(cls, *_: object) -> SafeName:  # noqa: PYI034 - Self is not in Python 3.10
        """Refuse: nothing becomes a safe name by just being called one."""
        raise TypeError("a SafeName is made by from_url, from_text or component")

    @classmethod
    def from_url(cls, url: Url) -> SafeName:
        """The last segment of the path, percent-decoded; ``index.html`` when it is empty."""
        last = url.path.rpartition("/")[2]
        if _PLAIN.fullmatch(last):
            return str.__new__(cls, last)
        return cls.component(decoded(last))

    @classmethod
    def from_text(cls, raw: str) -> SafeName:
        """The name a server gives: the last component, whichever slash it was written with."""
        return cls.component(re.split(r"[/\\]", raw.rstrip("/\\"))[-1])

    @classmethod
    def component(cls, raw: str) -> SafeName:
        """The whole text as one component: a slash in it is encoded, not followed."""
        if _PLAIN.fullmatch(raw):
            return str.__new__(cls, raw)
        name = _UNSAFE.sub(lambda m: quote(m[0], safe="", errors="surrogatepass"), raw.strip())
        name = unicodedata.normalize("NFC", name).strip() or _EMPTY
        if not name.strip("."):
            name = name.replace(".", "%2E")
        elif _JOINERS.sub("", name).casefold() == STATE_DIRECTORY:
            name = f"%2E{name.lstrip('.')}" if name[0] == "." else quote(name)
        return str.__new__(cls, _cut(_expressed(name)))

    @property
    def stem(self) -> str:
        """What stands before the extension; never empty."""
        return split_name(self)[0]

    @property
    def ext(self) -> str:
        """The extension with its dot, ``.tar.gz`` as one; may be empty."""
        return split_name(self)[1]


def listed_parts(text: str) -> list[SafeName]:
    """The components of a path from a list, refused rather than repaired."""
    if text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", text):
        raise UnsafeName(f"{printable(text)!r} is an absolute path")
    if ".." in (part.strip() for part in re.split(r"[/\\]", text)):
        raise UnsafeName(f"{printable(text)!r} has '..', which may leave the output directory")
    return [SafeName.component(part) for part in text.split("/") if part.strip() not in {"", "."}]


def stored_path(text: object) -> SafePath | None:
    """A path that was made here and kept elsewhere; None if it is none that is made here."""
    try:
        sound = isinstance(text, str) and bool(text) and "/".join(listed_parts(text)) == text
    except UnsafeName:
        return None
    return SafePath(str(text)) if sound else None


def decoded(segment: str) -> str:
    """Percent-decode; bytes that are not UTF-8 stay percent-encoded."""
    text = unquote_to_bytes(segment).decode("utf-8", "surrogateescape")
    return _NOT_UTF8.sub(lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)


def digest_of_text(text: str) -> str:
    """The SHA-256 of a text, in hex; a lone surrogate does no harm."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def split_name(name: str) -> tuple[str, str]:
    """Stem and extension; ``.tar.gz`` and its like are one, a leading dot begins none."""
    match = _EXTENSION.search(name)
    return (name[: match.start()], match[0]) if match else (name, "")


def suffixed(name: str, suffix: str) -> str:
    """The name with the suffix before its extension, its stem cut to keep within `MAX_NAME`."""
    stem, ext = split_name(name)
    room = MAX_NAME - len(suffix.encode()) - len(ext)
    return stem.encode()[:room].decode("utf-8", "ignore") + suffix + ext


def _expressed(name: str) -> str:
    """The name, with what the file system's encoding lacks percent-encoded.

    That is UTF-8 nearly everywhere, which lacks nothing.
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "".join(char if _expressible(char) else quote(char) for char in name)
    return name


def _expressible(char: str) -> bool:
    try:
        os.fsencode(char)
    except UnicodeEncodeError:
        return False
    return True


def _cut(name: str) -> str:
    if len(name.encode()) <= MAX_NAME:
        return name
    return suffixed(name, f"-{digest_of_text(name)[:8]}")


def renamed(path: SafePath, name: SafeName) -> SafePath:
    """The path of another name in the same directory."""
    above, slash, _ = path.rpartition("/")
    return SafePath(f"{above}{slash}{name}")


def escaped_forms(path: SafePath) -> tuple[SafePath, ...]:
    """What to call a file instead where a file system refuses the path, best first; mostly none.

    First without what exFAT, NTFS and shares of theirs refuse, then in ASCII alone. A form that
    makes a component longer than `MAX_NAME` is left out.
    """
    if _PORTABLE.fullmatch(path):
        return ()
    found: list[str] = []
    for refused in (_REFUSED, _REFUSED_OR_NOT_ASCII):
        form = refused.sub(lambda m: quote(m[0]) if m[0] not in {" ", "."} else _CODES[m[0]], path)
        if form not in {path, *found} and max(map(len, form.split("/"))) <= MAX_NAME:
            found.append(form)
    return tuple(map(SafePath, found))
