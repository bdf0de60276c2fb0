"""Names: the only way from a URL, a list or a server's header to a path.

Whatever cannot stand in a file name stays or gets percent-encoded, so that a name is safe, the
same on every run, and still says where it came from. Who gets a name that several URLs want is
the business of `pdl.taken`.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from pdl.errors import UsageError
from pdl.model import Item, SafePath
from pdl.patterns import later
from pdl.urls import DEFAULT_PORTS, UNPRINTABLE, Url, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.settings import NamingSettings

STATE_DIRECTORY = ".pdl"
"""Below the output directory; no download may get this name."""

MAX_NAME = 255
"""Bytes of UTF-8 in one component: what Linux and macOS allow."""

MAX_PATH = 3000
"""Bytes of UTF-8 in a relative path; leaves room below PATH_MAX (4,096) for the directory."""

FIELDS = ("name", "stem", "ext", "host", "path", "n", "hash")
"""What a template may hold."""

_EMPTY = "index.html"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}")
_UNSAFE = later(rf"[/\\{UNPRINTABLE}]")
_NOT_UTF8 = later("[\udc80-\udcff]")
_EXTENSION = later(r"(?<=.)(?:\.tar)?\.[A-Za-z0-9_+-]{1,16}\Z", re.IGNORECASE | re.DOTALL)
_JOINERS = later("[\u200c\u200d]")


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
        return cls.component(_decoded(last))

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


class Namer:
    """Finds the path an item's file should have, from the list, the template or the URL."""

    def __init__(self, settings: NamingSettings) -> None:
        """Check the template.

        Raises:
            UsageError: it is malformed, has an unknown field, leaves the directory or names none,
                or is given together with the tree.
        """
        if settings.tree and settings.template is not None:
            raise UsageError("a name template and a tree exclude each other", "{host}/{path}")
        self._tree = settings.tree
        self._template = None if settings.template is None else _Template(settings.template)
        self._by_url = not settings.tree and settings.template is None

    def path_for(self, item: Item, url: Url, n: int) -> SafePath:
        """The wanted path, relative to the output directory; it may be taken already.

        Args:
            item: its `out` and `directory` win over everything else.
            url: the item's, parsed.
            n: the item's number in the run, for ``{n}``.

        Raises:
            UnsafeName: the list's own path is absolute, has ``..``, names no file or is too long.
        """
        if self._by_url and not item.out and not item.directory:
            return SafePath(str(SafeName.from_url(url)))  # plain text crosses processes
        below = _listed(item.directory) if item.directory else []
        if item.out:
            if item.out.endswith("/") or not (names := _listed(item.out)):
                raise UnsafeName(f"{printable(item.out)!r} names no file")
        elif self._tree:
            names = _tree(url)
        else:
            names = self._template.parts(url, n) if self._template else [SafeName.from_url(url)]
        path = "/".join([*below, *names])
        if len(path.encode()) > MAX_PATH:
            raise UnsafeName(f"the path is longer than {MAX_PATH} bytes")
        return SafePath(path)


class _Template:
    """A name with fields, as ``{host}/{n:04}-{name}``."""

    def __init__(self, text: str) -> None:
        import string  # noqa: PLC0415 - a millisecond that few runs need spend

        try:
            self._pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UsageError(f"name template {printable(text)!r}: {error}", _hint()) from None
        for _, field, spec, conversion in self._pieces:
            if field is not None and (field not in FIELDS or conversion):
                raise UsageError(f"name template: unknown field {{{printable(field)}}}", _hint())
            if spec and (field != "n" or not re.fullmatch("[0-9]{1,2}", spec)):
                raise UsageError(f"name template: {printable(spec)!r} only fits as {{n:04}}")
        literal = "".join(piece[0] + ("x" if piece[1] else "") for piece in self._pieces)
        if literal.startswith("/") or ".." in literal.split("/"):
            raise UsageError(f"name template {printable(text)!r} leaves the output directory")
        if not literal or literal.endswith("/"):
            raise UsageError(f"name template {printable(text)!r} names no file", _hint())

    def parts(self, url: Url, n: int) -> list[SafeName]:
        """The components for this URL; a value never adds one, but for ``{path}``."""
        name = SafeName.from_url(url)
        values = {
            "name": name,
            "stem": name.stem,
            "ext": name.ext,
            "host": _host(url),
            "path": "/".join(_path(url)),
            "hash": suffix_of(url_key(url)),
        }
        text = ""
        for literal, field, spec, _ in self._pieces:
            value = format(n, spec or "") if field == "n" else values.get(field or "", "")
            text += literal + value
        return _shallow([SafeName.component(part) for part in text.split("/") if part.strip()])


def _hint() -> str:
    return "the fields are " + " ".join(f"{{{field}}}" for field in FIELDS)


def _listed(text: str) -> list[SafeName]:
    """The components of a path from a list, refused rather than repaired."""
    if text.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", text):
        raise UnsafeName(f"{printable(text)!r} is an absolute path")
    if ".." in (part.strip() for part in re.split(r"[/\\]", text)):
        raise UnsafeName(f"{printable(text)!r} has '..', which may leave the output directory")
    return [SafeName.component(part) for part in text.split("/") if part.strip() not in {"", "."}]


def stored_path(text: object) -> SafePath | None:
    """A path that was made here and kept elsewhere; None if it is none that is made here."""
    try:
        sound = isinstance(text, str) and bool(text) and "/".join(_listed(text)) == text
    except UnsafeName:
        return None
    return SafePath(str(text)) if sound else None


def _host(url: Url) -> SafeName:
    default = url.port == DEFAULT_PORTS[url.scheme]
    return SafeName.component(url.host if default else f"{url.host}_{url.port}")


def _path(url: Url) -> Iterator[SafeName]:
    *directories, _ = url.path.split("/")
    yield from (SafeName.component(_decoded(part)) for part in directories if part)
    yield SafeName.from_url(url)


def _tree(url: Url) -> list[SafeName]:
    return _shallow([_host(url), *_path(url)])


def _shallow(parts: list[SafeName]) -> list[SafeName]:
    """A server may nest deeper than a path can be long: then one hash stands for the middle."""
    if not parts:
        return [SafeName.component("")]
    if len("/".join(parts).encode()) <= MAX_PATH // 2:
        return parts
    return [parts[0], SafeName.component(_digest("/".join(parts[:-1]))[:16]), parts[-1]]


def _decoded(segment: str) -> str:
    """Percent-decode; bytes that are not UTF-8 stay percent-encoded."""
    text = unquote_to_bytes(segment).decode("utf-8", "surrogateescape")
    return _NOT_UTF8.sub(lambda m: f"%{ord(m[0]) - 0xDC00:02X}", text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# --- Parts of names ------------------------------------------------------------------------


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
    return suffixed(name, f"-{_digest(name)[:8]}")


def renamed(path: SafePath, name: SafeName) -> SafePath:
    """The path of another name in the same directory."""
    above, slash, _ = path.rpartition("/")
    return SafePath(f"{above}{slash}{name}")


class Asked:
    """What is asked for, and as whom: what tells URLs apart, and names a part.

    Attributes:
        url: that it is made of.
        netloc: the URL's.
        text: the request URL, with the user's name if there is one. That counts, for it may decide
            what is served; the password does not, so that nothing derived from it is ever seen.
        key: the first 64 bits of its SHA-256. The last bits are bent so that 0 and 1 never occur.
    """

    __slots__ = ("_hashed", "key", "netloc", "text", "url")

    def __init__(self, url: Url) -> None:
        self.url = url
        self.netloc = netloc = url.netloc
        text = f"{url.scheme}://{netloc}{url.target}"
        user = url.userinfo and url.userinfo.partition(":")[0]
        self.text = f"{user}@{text}" if user else text
        self._hashed = hashlib.sha256(self.text.encode())
        self.key = int.from_bytes(self._hashed.digest()[:8], "big") | 2

    def part_name(self, path: SafePath) -> str:
        """File name of the part: 32 hex digits and ``.part``, the same on every run."""
        hashed = self._hashed.copy()
        hashed.update(f"\n{path}".encode())
        return hashed.hexdigest()[:32] + ".part"


def url_key(url: Url) -> int:
    """The `Asked.key` of a URL."""
    return Asked(url).key


def suffix_of(key: int) -> str:
    """The first 8 hex digits of the SHA-256 that `key` comes from."""
    return f"{key:016x}"[:8]


def part_name(url: Url, path: SafePath) -> str:
    """The `Asked.part_name` of a URL's file."""
    return Asked(url).part_name(path)


def identity(url: Url) -> str:
    """The `Asked.text` of a URL."""
    return Asked(url).text
