"""Conditional requests: what may be asked about a file that is there, and what a 304 then proves.

A validator names a version of one resource (RFC 9110 section 8.8), so it is shown to the URL that
gave it and to no other: another resource may use the same words for other bytes, and an entity tag
is something that a visitor can be known by. Only a query that has changed does not matter where the
entity tag is strong, for redirects lead to the same path with another signature each time.

Whatever is in doubt is asked for without a condition: that costs a download, never a wrong file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import TYPE_CHECKING, Protocol

from pdl.model import Version
from pdl.naming import url_key
from pdl.patterns import later
from pdl.resume import NOT_MODIFIED, http_seconds
from pdl.verify import wanted_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Headers, SafePath, Task
    from pdl.urls import Url

    Header = Callable[[str], str | None]
    """Gives a field's value, or None."""

MAX_TEXT = 256
"""Characters of a validator that is kept; an answer has to fit into one message."""

_TAG = later(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_NANO = 1_000_000_000
_NOT_WITH = {"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range"}
"""Fields of the user's own that decide what an answer means."""


class Versions(Protocol):
    """Which version of each file was placed; see `pdl.state.Memory`."""

    def version_of(self, path: SafePath) -> Version | None:
        """What is remembered of the file."""

    def remember(self, path: SafePath, version: Version) -> None:
        """Remember it."""


def standing(directory: str, task: Task, key: int, versions: Versions | None) -> Version | None:
    """The version that stands at the task's path; None where the file has to be fetched.

    It has to be when it is not there, when it is no longer as it was placed, when another URL gave
    it, and when the list names a digest or size that it was not found to have. Of a file that
    nothing is remembered of, the time is taken for the version's.

    Args:
        directory: the output directory.
        task: whose path it is, and what the list says of it.
        key: the listed URL's `pdl.naming.url_key`.
        versions: what earlier runs have placed.
    """
    try:
        found = os.stat(f"{directory}/{task.path}")  # noqa: PTH116 - a string, for speed
    except OSError:
        return None
    kept = versions.version_of(task.path) if versions is not None else None
    version = _guess(found, key) if kept is None else kept
    if version is None or version.listed != key or not _is(version, found):
        return None
    if not wanted(task) <= set(version.proven) or wanted_size(task) not in {None, version.size}:
        return None
    if task.pin is not None and digest_of(task, version) is None:
        return None
    return version


def wanted(task: Task) -> set[str]:
    """What the list and the lock say of the bytes, each in a few characters: ``algorithm:hex``."""
    found = {task.checksum, task.pin and task.pin.checksum}
    if task.pieces is not None:
        algorithm, length, digests = task.pieces
        found.add(f"{algorithm}/{length}:{hashlib.sha256(digests).hexdigest()}")
    return {each for each in found if each is not None}


def digest_of(task: Task, version: Version) -> str | None:
    """What of that which a version was proven to be its report has: for a lock the SHA-256."""
    if task.pin is None:
        return task.checksum
    return next((each for each in version.proven if each.startswith("sha256:")), None)


def _guess(found: os.stat_result, key: int) -> Version | None:
    """The version a file's time speaks of; None for a time that no server takes for one."""
    if not 0 < found.st_mtime <= time.time():  # RFC 9110 section 13.1.3: what is to come is invalid
        return None
    from email.utils import formatdate  # noqa: PLC0415 - where no version is kept, and long to import

    modified = formatdate(found.st_mtime_ns // _NANO, usegmt=True)
    return Version(key, 0, 0, None, modified, found.st_size, found.st_mtime_ns)


def _is(version: Version, found: os.stat_result) -> bool:
    same = (found.st_size, found.st_mtime_ns) == (version.size, version.mtime_ns)
    return same and stat.S_ISREG(found.st_mode)


def stands(version: Version, directory: str, path: SafePath) -> bool:
    """Whether the file still is as the version says."""
    try:
        return _is(version, os.stat(f"{directory}/{path}"))  # noqa: PTH116 - a string, for speed
    except OSError:
        return False


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


def _bare(url: Url) -> int:
    return url_key(url._replace(query=None))


def placed(
    directory: str, task: Task, url: Url, header: Header, proven: str | None = None
) -> Version | None:
    """The version that has just got its name; None if someone has taken the file away already.

    Args:
        directory: the output directory.
        task: that is done.
        url: that answered.
        header: gives the answer's fields.
        proven: ``algorithm:hex`` that the bytes were found to have, or None.
    """
    try:
        found = os.stat(f"{directory}/{task.path}")  # noqa: PTH116 - a string, for speed
    except OSError:
        return None
    held = wanted(task) | ({proven} if proven else set())
    version = Version(0, 0, 0, None, None, found.st_size, found.st_mtime_ns, tuple(sorted(held)))
    return named(version, url, header)


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


def contradicts(version: Version, header: Header) -> bool:
    """Whether a 304 itself names another version than the one it was asked about.

    Some servers compare less than they say: many take If-Modified-Since for "not newer than", and
    would leave a file that was replaced by an older one; one remembers entity tags of files that
    have changed since. Then the 304 proves nothing.

    Args:
        version: that the request asked about.
        header: gives the answer's fields.
    """
    there, then = http_seconds(header("last-modified")), http_seconds(version.modified)
    return (
        _other_tag(version, header("etag"), dated=there is not None and there == then)
        or _other_date(there, then, guess=not version.giver)
        or _other_size(version, header("content-length"))
        or _other_digest(version, header)
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
    said = (length or "").partition(",")[0].strip()
    return said.isascii() and said.isdigit() and int(said) not in {0, version.size}


def _other_digest(version: Version, header: Header) -> bool:
    from pdl.declared import declared  # noqa: PLC0415 - in the workers alone

    said = declared(NOT_MODIFIED, header)
    if said is None:
        return False
    name = said.checksum.partition(":")[0]
    known = {each for each in version.proven if each.partition(":")[0] == name}
    return bool(known) and said.checksum not in known


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
