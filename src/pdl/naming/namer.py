"""Where the name of an item's file comes from: the list, a template, the tree or the URL.

Who gets a name that several URLs want is the business of `pdl.naming.claims`.
"""

from __future__ import annotations

import os
import re
import time
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
from pdl.text.masking import mask, mask_urls, printable
from pdl.text.urls import DEFAULT_PORTS, Url, identity, suffix_of, url_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.settings import NamingSettings


class Namer:
    """Finds the path an item's file should have, from the list, the template or the URL."""

    def __init__(self, settings: NamingSettings, directory: str = ".") -> None:
        """Check the template.

        Args:
            settings: how names are chosen.
            directory: the output directory.

        Raises:
            UsageError: it is malformed, has an unknown field, leaves the directory or names none,
                or is given together with the tree; or directories of no tree are cut.
        """
        if settings.tree and settings.template is not None:
            raise UsageError("a name template and a tree exclude each other", "{host}/{path}")
        if settings.cut_dirs and not settings.tree:
            raise UsageError("--cut-dirs needs the directories of --tree", "give both")
        self._directory = directory
        self._tree = settings.tree
        self._cut = settings.cut_dirs
        self._template = None if settings.template is None else _Template(settings.template)
        self._by_url = not settings.tree and settings.template is None

    def path_for(self, item: Item, url: Url, n: int) -> SafePath:
        """The wanted path, relative to the output directory; it may be taken already.

        Args:
            item: its `out` and `directory` win over everything else.
            url: the item's, parsed.
            n: the item's number in the run, for ``{n}``.

        Raises:
            UnsafeName: the list's own path is absolute, has ``..``, names no file or is too long;
                an absolute `directory` may be the output directory, or one below it.
        """
        if self._by_url and not item.out and not item.directory:
            return SafePath(str(SafeName.from_url(url)))  # plain text crosses processes
        below = listed_parts(self._below(item.directory)) if item.directory else []
        if item.out:
            if item.out.endswith("/") or not (names := listed_parts(item.out)):
                raise UnsafeName(f"{printable(item.out)!r} names no file")
        elif self._tree:
            names = _tree(url, self._cut)
        else:
            names = (
                self._template.parts(url, n, item) if self._template else [SafeName.from_url(url)]
            )
        path = "/".join([*below, *names])
        if len(path.encode()) > MAX_PATH:
            raise UnsafeName(f"the path is longer than {MAX_PATH} bytes")
        return SafePath(path)

    def _below(self, directory: str) -> str:
        """An item's directory, relative to the output directory if it is in there."""
        if directory[:1] != "/" or ".." in directory.split("/"):
            return directory
        wanted = os.path.normpath(directory)
        for home in (os.path.abspath(self._directory), os.path.realpath(self._directory)):
            if wanted == home or wanted.startswith(f"{home.rstrip('/')}/"):
                return wanted[len(home) :].lstrip("/")
        raise UnsafeName(f"{printable(directory)!r} is not in the output directory")


class _Template:
    """A name with fields, as ``{host}/{n:04}-{name}``."""

    def __init__(self, text: str) -> None:
        import string  # a millisecond that few runs need spend

        try:
            self._pieces = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UsageError(f"name template {printable(text)!r}: {error}", _hint()) from None
        for _, field, spec, conversion in self._pieces:
            if field is not None and (not _is_field(field) or conversion):
                raise UsageError(f"name template: unknown field {{{printable(field)}}}", _hint())
            if spec and (fault := _spec_fault(str(field), spec)):
                raise UsageError(f"name template: {fault}")
        today = FIELDS["date"](Url("", "", 0), 0, "")  # the same to the end of the run
        self._fields = {**FIELDS, "date": lambda *_: today}
        literal = "".join(piece[0] + ("x" if piece[1] else "") for piece in self._pieces)
        if literal.startswith("/") or ".." in literal.split("/"):
            raise UsageError(f"name template {printable(text)!r} leaves the output directory")
        if not literal or literal.endswith("/"):
            raise UsageError(f"name template {printable(text)!r} names no file", _hint())

    def parts(self, url: Url, n: int, item: Item) -> list[SafeName]:
        """The components for this item; a value never adds one, but for ``{path}``."""
        text = ""
        kept = dict(item.fields)
        for literal, field, spec, _ in self._pieces:
            text += literal
            if field is not None and field.startswith(KEPT):
                text += _kept(kept.get(field.removeprefix(KEPT)))
            elif field is not None:
                text += self._fields[field](url, n, spec)
        return _shallow([SafeName.component(part) for part in text.split("/") if part.strip()])


def columns_in(template: str | None) -> list[str]:
    """The columns of a list that a good template names."""
    if template is None or f"{{{KEPT}" not in template:
        return []
    import string  # as below

    fields = (field for _, field, _, _ in string.Formatter().parse(template))
    return [each.removeprefix(KEPT) for each in fields if each and each.startswith(KEPT)]


def _is_field(name: str) -> bool:
    return name in FIELDS or (name.startswith(KEPT) and name != KEPT)


def _kept(value: object) -> str:
    """The value of a column, without a secret that a URL in it has."""
    if value is None or value == "":
        return ""
    return SafeName.component(mask_urls(str(value)))


def field_words() -> str:
    """The fields as a template has them, for people."""
    return " ".join(f"{{{field}}}" for field in FIELDS)


def _hint() -> str:
    return f"the fields are {field_words()}, and {{{KEPT}COLUMN}} with --keep COLUMN"


def _host(url: Url) -> SafeName:
    default = url.port == DEFAULT_PORTS.get(url.scheme, 0)
    return SafeName.component(url.host if default else f"{url.host}_{url.port}")


def _path(url: Url) -> Iterator[SafeName]:
    *directories, _ = url.path.split("/")
    yield from (SafeName.component(decoded(part)) for part in directories if part)
    yield SafeName.from_url(url)


def _query(url: Url) -> str:
    """The query, percent-decoded, without its secrets; they would be seen in the directory."""
    return SafeName.component(decoded(mask(f"?{url.query}")[1:])) if url.query else ""


def _hash(url: Url, digits: str) -> str:
    return digest_of_text(identity(url))[: int(digits)] if digits else suffix_of(url_key(url))


def _spec_fault(field: str, spec: str) -> str:
    """Why this cannot stand behind a field's colon; empty if it can."""
    number = int(spec) if re.fullmatch("[0-9]{1,2}", spec) else -1
    if field == "n" and number >= 0:
        return ""
    if field == "hash":
        good = _LEAST_DIGITS <= number <= _MOST_DIGITS and spec[0] != "0"
        return "" if good else f"{{hash:{printable(spec)}}}: a hash has 8 to 64 digits"
    return f"{printable(spec)!r} only fits as {{n:04}} or {{hash:16}}"


KEPT = "f."
"""Begins the field of a column of the list, as ``{f.caption}``."""
_LEAST_DIGITS, _MOST_DIGITS = 8, 64
FIELDS: dict[str, Callable[[Url, int, str | None], str]] = {
    "name": lambda url, _, __: SafeName.from_url(url),
    "stem": lambda url, _, __: SafeName.from_url(url).stem,
    "ext": lambda url, _, __: SafeName.from_url(url).ext,
    "host": lambda url, _, __: _host(url),
    "path": lambda url, _, __: "/".join(_path(url)),
    "query": lambda url, _, __: _query(url),
    "n": lambda _, n, spec: format(n, spec or ""),
    "hash": lambda url, _, spec: _hash(url, spec or ""),
    "date": lambda _, __, ___: time.strftime("%Y-%m-%d"),
}
"""What a template may hold: each field's value for a URL, the number of its item, and what stands
behind the field's colon."""


def _tree(url: Url, cut: int) -> list[SafeName]:
    *directories, name = _path(url)
    return _shallow([_host(url), *directories[cut:], name])


def _shallow(parts: list[SafeName]) -> list[SafeName]:
    """A server may nest deeper than a path can be long: then one hash stands for the middle."""
    if not parts:
        return [SafeName.component("")]
    if len("/".join(parts).encode()) <= MAX_PATH // 2:
        return parts
    return [parts[0], SafeName.component(digest_of_text("/".join(parts[:-1]))[:16]), parts[-1]]


# --- Parts of names ------------------------------------------------------------------------
