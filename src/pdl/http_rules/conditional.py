"""Conditional requests: what may be asked about a file that is there, and what a 304 then proves.

A validator names a version of one resource (RFC 9110 section 8.8), so it is shown to the URL that
gave it and to no other: another resource may use the same words for other bytes, and an entity tag
is something that a visitor can be known by. Only a query that has changed does not matter where the
entity tag is strong, for redirects lead to the same path with another signature each time.

Whatever is in doubt is asked for without a condition: that costs a download, never a wrong file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.http_rules.dates import http_seconds
from pdl.text.lazy_regex import lazy
from pdl.text.urls import url_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Headers, Version
    from pdl.text.urls import Url

    Header = Callable[[str], str | None]
    """Gives a field's value, or None."""

MAX_TEXT = 256
"""Characters of a validator that is kept; an answer has to fit into one message."""

_TAG = lazy(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_NOT_WITH = {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range"}
"""Fields of the user's own that decide what an answer means."""


def condition(version: Version, url: Url, fields: Headers) -> Headers:
    """The fields that let `url` answer 304 (RFC 9110 section 13.1); empty where none may be sent.

    Args:
        version: that is there.
        url: whom the request goes to; a redirect's target is another than the listed one.
        fields: that the request has already.
    """
    etag, modified = _shown(version, url)
    if any(name.lower() in _NOT_WITH for name, _ in fields):
        return ()
    found = []
    if etag is not None and _TAG.fullmatch(etag):
        found.append(("If-None-Match", etag))
    if modified is not None and http_seconds(modified) is not None:
        found.append(("If-Modified-Since", modified))
    return tuple(found)


def _shown(version: Version, url: Url) -> tuple[str | None, str | None]:
    """The entity tag and date that this URL gave."""
    if url_key(url) == (version.giver or version.listed):
        return version.etag, version.modified
    strong = version.etag is not None and not version.etag.startswith("W/")
    if strong and url.query is not None and _bare(url) == version.bare:
        return version.etag, None
    return None, None


def is_same(
    version: Version, url: Url, length: int | None, header: Header, digest: str | None
) -> bool:
    """Whether a 200 is of the very version that is there, though the server minds no conditions.

    Many frameworks send validators with each file and never look at those of a request. An answer
    that has all that is noted, tag, date and length, says what a 304 would have said.

    Args:
        version: that the request asked about.
        url: that answered.
        length: bytes that the body has, or None.
        header: gives the answer's fields.
        digest: as `contradicts` has it.
    """
    noted = version.etag, version.modified
    if not version.giver or noted == (None, None) or _shown(version, url) != noted:
        return False
    same = length == version.size and noted == (header("etag"), header("last-modified"))
    return same and not _other_digest(version, digest)


def _bare(url: Url) -> int:
    return url_key(url._replace(query=None))


def named(version: Version, url: Url, header: Header) -> Version:
    """The version with what an answer names it by.

    Args:
        version: of a file.
        url: that answered.
        header: gives the answer's fields.
    """
    key = url_key(url)
    return version._replace(
        giver=key,
        bare=key if url.query is None else _bare(url),
        etag=_kept(header("etag"), _TAG.fullmatch),
        modified=_kept(header("last-modified"), http_seconds),
    )


def _kept(value: str | None, sound: Callable[[str], object]) -> str | None:
    if value is None or len(value) > MAX_TEXT or not value.isprintable() or sound(value) is None:
        return None
    return value


def contradicts(version: Version, header: Header, digest: str | None) -> bool:
    """Whether a 304 itself names another version than the one it was asked about.

    Some servers compare less than they say: many take If-Modified-Since for "not newer than", and
    would leave a file that was replaced by an older one; one remembers entity tags of files that
    have changed since. Then the 304 proves nothing.

    Args:
        version: that the request asked about.
        header: gives the answer's fields.
        digest: ``algorithm:hex`` that they declare of the file, or None.
    """
    there, then = http_seconds(header("last-modified")), http_seconds(version.modified)
    return (
        _other_tag(version, header("etag"), dated=there is not None and there == then)
        or _other_date(there, then, guess=not version.giver)
        or _other_size(version, header("content-length"))
        or _other_digest(version, digest)
    )


def _other_tag(version: Version, tag: str | None, *, dated: bool) -> bool:
    """By the weak comparison (RFC 9110 section 8.8.3.2).

    A tag where the server gave none is another version's, unless the date is the same (`dated`).
    """
    if tag is None or version.etag is None:
        new = version.giver and not dated
        return bool(new) and _kept(tag, _TAG.fullmatch) is not None
    return tag.removeprefix("W/") != version.etag.removeprefix("W/")


def _other_date(there: float | None, then: float | None, *, guess: bool) -> bool:
    """Of a guess only what is newer is another: the file got its time when it was fetched."""
    if there is None or then is None:
        return False
    return there > then if guess else there != then


def _other_size(version: Version, length: str | None) -> bool:
    """A 304 may say how long the file is (RFC 9110 section 8.6); many say 0, which is its body."""
    said = (length or "").partition(",")[0].strip(" \t")
    return said.isascii() and said.isdigit() and int(said) not in {0, version.size}


def _other_digest(version: Version, digest: str | None) -> bool:
    if digest is None:
        return False
    name = digest.partition(":")[0]
    known = {each for each in version.proven if each.partition(":")[0] == name}
    return bool(known) and digest not in known


def confirmed(version: Version, url: Url, header: Header) -> Version | None:
    """What a 304 adds to what is remembered: a guess is none when the server names that very time.

    Args:
        version: that the request asked about.
        url: that answered.
        header: gives the answer's fields.
    """
    if version.giver or http_seconds(header("last-modified")) != http_seconds(version.modified):
        return None
    return named(version, url, header)
