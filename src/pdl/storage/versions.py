"""Which version of a file stands in the output directory, and what it was found to be."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Protocol

from pdl.http_rules.codings import coding_of
from pdl.http_rules.conditional import named
from pdl.integrity.check import wanted_size
from pdl.model import Version
from pdl.text.named_tuple import NamedTuple
from pdl.text.sha256 import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import SafePath, Task
    from pdl.text.urls import Url

    Header = Callable[[str], str | None]
    """Gives a field's value, or None."""


CODED = "coded"
"""Stands in `Version.proven` of a file whose bytes are kept in the coding that its server gave."""

_NANO = 1_000_000_000


class Stamp(NamedTuple):
    """What a file is known by later.

    Attributes:
        size: in bytes.
        mtime_ns: its time of the last change, nanoseconds since the epoch.
    """

    size: int
    mtime_ns: int


class Versions(Protocol):
    """Which version of each file was placed; see `pdl.storage.state_db.StateDb`."""

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
        key: the listed URL's `pdl.text.urls.url_key`.
        versions: what earlier runs have placed.
    """
    try:
        found = os.stat(f"{directory}/{task.path}")
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
        found.add(f"{algorithm}/{length}:{sha256(digests).hexdigest()}")
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
    from email.utils import formatdate  # where no version is kept, and long to import

    modified = formatdate(found.st_mtime_ns // _NANO, usegmt=True)
    return Version(key, 0, 0, None, modified, found.st_size, found.st_mtime_ns)


def _is(version: Version, found: os.stat_result) -> bool:
    same = (found.st_size, found.st_mtime_ns) == (version.size, version.mtime_ns)
    return same and stat.S_ISREG(found.st_mode)


def stands(version: Version, directory: str, path: SafePath) -> bool:
    """Whether the file still is as the version says."""
    try:
        return _is(version, os.stat(f"{directory}/{path}"))
    except OSError:
        return False


def stamp_of(directory: str, path: SafePath) -> Stamp | None:
    """Of the file that has just got its name; None if someone has taken it away already."""
    try:
        found = os.stat(f"{directory}/{path}")
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns)


def placed(
    stamp: Stamp, task: Task, url: Url, header: Header, proven: str | None = None
) -> Version:
    """The version that has just got its name.

    Args:
        stamp: of the file.
        task: that is done.
        url: that answered.
        header: gives the answer's fields.
        proven: ``algorithm:hex`` that the bytes were found to have, or None.
    """
    held = wanted(task) | ({proven} if proven else set())
    if coding_of(header("content-encoding")):
        held.add(CODED)
    version = Version(0, 0, 0, None, None, stamp.size, stamp.mtime_ns, tuple(sorted(held)))
    return named(version, url, header)
