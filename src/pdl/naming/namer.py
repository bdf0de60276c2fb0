"""Where the name of an item's file comes from: the list, a template, the tree or the URL.

Who gets a name that several URLs want is the business of `pdl.naming.claims`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pdl.errors import UsageError
from pdl.model import Item, SafePath
from pdl.naming.safe_name import (
    MAX_PATH,
    SafeName,
    UnsafeName,
    decoded,
    digest_of_text,
    listed_parts,
)
from pdl.text.masking import printable
from pdl.text.urls import DEFAULT_PORTS, Url, suffix_of, url_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.settings import NamingSettings


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
        below = listed_parts(item.directory) if item.directory else []
        if item.out:
            if item.out.endswith("/") or not (names := listed_parts(item.out)):
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
        import string  # a millisecond that few runs need spend

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
        text = ""
        for literal, field, spec, _ in self._pieces:
            text += literal
            if field is not None:
                text += format(n, spec) if spec else FIELDS[field](url, n)
        return _shallow([SafeName.component(part) for part in text.split("/") if part.strip()])


def field_words() -> str:
    """The fields as a template has them, for people."""
    return " ".join(f"{{{field}}}" for field in FIELDS)


def _hint() -> str:
    return f"the fields are {field_words()}"


def _host(url: Url) -> SafeName:
    default = url.port == DEFAULT_PORTS.get(url.scheme, 0)
    return SafeName.component(url.host if default else f"{url.host}_{url.port}")


def _path(url: Url) -> Iterator[SafeName]:
    *directories, _ = url.path.split("/")
    yield from (SafeName.component(decoded(part)) for part in directories if part)
    yield SafeName.from_url(url)


FIELDS: dict[str, Callable[[Url, int], str]] = {
    "name": lambda url, _: SafeName.from_url(url),
    "stem": lambda url, _: SafeName.from_url(url).stem,
    "ext": lambda url, _: SafeName.from_url(url).ext,
    "host": lambda url, _: _host(url),
    "path": lambda url, _: "/".join(_path(url)),
    "n": lambda _, n: str(n),
    "hash": lambda url, _: suffix_of(url_key(url)),
}
"""What a template may hold: each field's value for a URL and the number of its item."""


def _tree(url: Url) -> list[SafeName]:
    return _shallow([_host(url), *_path(url)])


def _shallow(parts: list[SafeName]) -> list[SafeName]:
    """A server may nest deeper than a path can be long: then one hash stands for the middle."""
    if not parts:
        return [SafeName.component("")]
    if len("/".join(parts).encode()) <= MAX_PATH // 2:
        return parts
    return [parts[0], SafeName.component(digest_of_text("/".join(parts[:-1]))[:16]), parts[-1]]


# --- Parts of names ------------------------------------------------------------------------
