"""Content codings (RFC 9110 section 8.4): what is one, which can be taken back, which files are."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from typing import TYPE_CHECKING

from pdl.text.lazy_regex import lazy

if TYPE_CHECKING:
    from types import ModuleType

_NONE = lazy(
    r"identity|none|null|undefined|raw|plain|text|binary|[78]-?bit|(?:aws-)?chunked"
    # character sets
    r"|(?:us-)?ascii|utf-?(?:8|16|32)(?:le|be)?|iso-?8859-?\d+|latin-?\d|(?:windows|cp)-?125\d",
    re.IGNORECASE,
)
_PACKED = lazy(
    r"\.(t?gz|svgz|emz|z|taz|br|tbr|t?zst|zstd|t?bz2|tbz|t?xz|t?lz|t?lzma|lz4|zip|7z|rar|warc|arc"
    r"|whl|jar|war|egg|nupkg|vsix|apk|ipa|deb|rpm|crate|gem|bgz|vcfz)$",
    re.IGNORECASE,
)
"""Names of what is packed as a file: servers take the packing for a coding of something else."""

_ALWAYS = ("gzip", "deflate")
_SAME = {"x-gzip": "gzip"}
"""Other names (RFC 9110 section 8.4.1.3)."""
_PYTHON_WITH_ZSTD = (3, 14)


def coding_of(value: str | None) -> str:
    """The codings of a body, in lower case, as ``gzip`` or ``br, gzip``; empty if there is none.

    Args:
        value: of the field Content-Encoding, or None.
    """
    if not value:
        return ""
    words = (word.strip(" \t") for word in value.lower().split(","))
    return ", ".join(word for word in words if word and not _NONE.fullmatch(word))


def codings_of(value: str | None) -> tuple[str, ...]:
    """The same as names of codings, in the order in which they were made, each by its usual name.

    Args:
        value: as `coding_of` has it.
    """
    return tuple(_SAME.get(word, word) for word in coding_of(value).split(", ") if word)


def packed(*paths: str) -> bool:
    """Whether a file or a URL's path has the name of something packed, which stays as it is."""
    return any(_PACKED.search(path) for path in paths)


@functools.cache
def known() -> tuple[str, ...]:
    """The codings that can be taken back here, in the order in which they are asked for."""
    return (
        *_ALWAYS,
        *(("br",) if brotli() is not None else ()),
        *(("zstd",) if zstd() is not None else ()),
    )


def brotli() -> ModuleType | None:
    """The library for ``br``; None if it is not there, or too old to bound what it makes."""
    found = _imported("brotli")
    able = found is not None and hasattr(found.Decompressor, "can_accept_more_data")
    return found if able else None


def zstd() -> ModuleType | None:
    """The library for ``zstd``, which is Python's own from 3.14 on; None if it is not there."""
    own = sys.version_info >= _PYTHON_WITH_ZSTD
    return _imported("compression.zstd" if own else "backports.zstd")


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
