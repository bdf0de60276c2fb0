"""The name that a server gives a file: Content-Disposition (RFC 6266), or where it redirects.

What servers send is read where its meaning is plain: blanks in a name without quotes, a name
without a disposition type, UTF-8 as it is. What would be guessing (continuations and encoded words
of e-mail, percent signs in a plain ``filename``) is not done.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from pdl.naming.safe_name import SafeName, decoded
from pdl.text.lazy_regex import HTTP_WORD, lazy

if TYPE_CHECKING:
    from pdl.text.urls import Url

MAX_VALUE = 8192
"""Characters of a field that is read; the longest name takes a tenth of that."""

_SEGMENT = lazy(
    rf"[ \t]*(?:({HTTP_WORD})[ \t]*=[ \t]*"
    r'(?:"((?:[^"\\]|\\.)*)"[^;]*|([^;]*))|[^;]*)(?:;|\Z)',
    re.DOTALL,
)
"""A parameter, with its value in quotes or without, or whatever else stands up to a semicolon."""
_QUOTED_PAIR = lazy(r'\\(["\\])')
"""A backslash before anything else is a path's, written by someone who forgot to double it."""
_EXTENDED = lazy(r"(utf-8|iso-8859-1)'[^']*'((?:[^%]|%[0-9A-Fa-f]{2})*)", re.IGNORECASE)
"""RFC 8187 section 3.2.1, and the charset that was in its predecessor, RFC 5987."""


def server_name(value: str | None) -> SafeName | None:
    """The file name in a Content-Disposition field; None if it gives none that can be used.

    ``filename*`` goes before ``filename`` (RFC 6266 section 4.3), and of several the first. Only
    the last component counts. A name never begins with a dot: a server must not make
    ``.bashrc``.

    Args:
        value: of the field, each byte as one character.
    """
    if value is None or len(value) > MAX_VALUE:
        return None
    found: dict[str, str] = {}
    for name, quoted, bare in _SEGMENT.findall(value):
        text = _QUOTED_PAIR.sub(r"\1", quoted) if quoted else bare.strip(' \t"')
        found.setdefault(name.lower(), text)
    extended = _extended(found.get("filename*", ""))
    return (extended and safe_name(extended)) or safe_name(_plain(found.get("filename", "")))


def redirect_name(listed: Url, final: Url) -> SafeName | None:
    """The name that a redirect leads to; None where it has not changed, or there is none.

    Args:
        listed: the URL of the list.
        final: that answered.
    """
    last = final.path.rpartition("/")[2]
    return None if last == listed.path.rpartition("/")[2] else safe_name(decoded(last))


def safe_name(text: str) -> SafeName | None:
    """The last component of what a server calls a file; None if it names none."""
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    if not last.strip(". \t\r\n"):
        return None
    name = SafeName.from_text(last)
    return SafeName.component(f"%2E{name[1:]}") if name.startswith(".") else name


def _extended(value: str) -> str | None:
    match = _EXTENDED.fullmatch(value)
    if match is None or not value.isascii():
        return None
    try:
        return unquote_to_bytes(match[2]).decode(match[1])
    except UnicodeDecodeError:
        return None


def _plain(value: str) -> str:
    """UTF-8 where it is that, else ISO-8859-1, as which it came."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
