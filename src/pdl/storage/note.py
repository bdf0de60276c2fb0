"""A part's note: which version its bytes are of, and what the answer that it began with has told.

A 206 may leave out nearly every field of its 200 (RFC 9110 section 15.3.7), a 416 is about no file
at all, and some servers give their ranges a type of their own. So the note keeps the fields of the
first answer that matter when the file is whole. They hold for the rest as well, because it is of
the same version; a rest that contradicts them is not.

The note of a part that several lanes may write has everything below one name. A pdl that knows no
such parts finds no version in it, and starts again: how long the part is says nothing of how many
of its bytes are there. It is another name where the lanes may be at several servers: then the
version that is noted is not that of all bytes.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pdl.http_rules.ranges import Validator, can_go_on, obstacle, validator_of
from pdl.integrity.declared_digests import NAMES
from pdl.system import atomic_file
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.http_rules.ranges import Known
    from pdl.model import Headers
    from pdl.scheduling.range_map import Range

    Header = Callable[[str], str | None]
    """Gives a field's value, or None; the name is in lower case."""

NOTE_BYTES = 1024 * 1024
NOTE_SECONDS = 1.0
"""A part is noted, so that a killed worker's bytes are not lost, once it is this long or old."""

MAX_VALUE = 8192
"""Characters of a field that is noted; a longer one is left out."""

_OCTET = 0xFF
_TYPE = "content-type"
_FIELDS = (
    "content-disposition",
    "content-encoding",
    "cache-control",
    "vary",
    "x-goog-stored-content-encoding",
    "x-amz-checksum-type",
    *sorted(NAMES),
)
_RANGES = "ranges"
_MIXED = "mixed ranges"
"""What all of the note is below, of a part that several lanes may write; see `Note.mixed`."""
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> str:
    """Names this boot of the machine; empty where the system has no such name."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


class Note(NamedTuple):
    """What stands beside a part, as JSON.

    Attributes:
        validator: of the version that the bytes are of.
        total: bytes of the whole file, or None.
        told: further fields of the answer that the part began with; see `told`.
        synced: bytes that are on the disk for sure; None for all that are there.
        ranges: of a part that several lanes may write: the ranges that are on the disk for sure,
            and `synced` says no more than whether others count, too. None for any other part.
        mixed: lanes at other servers may write that part as well, as `Known.mixed` has it.
    """

    validator: Validator
    total: int | None
    told: Headers = ()
    synced: int | None = None
    ranges: tuple[Range, ...] | None = None
    mixed: bool = False

    def write(self, path: str) -> None:
        """Put it at `path`, atomically.

        Raises:
            OSError: as the system gives it.
        """
        import json  # small files have no note

        fields = {
            **self.validator._asdict(),
            "total": self.total,
            "synced": (self.synced or 0) if self.ranges is None else self.ranges,
            "boot": boot_id(),
            "told": dict(self.told),
        }
        if self.ranges is not None:
            fields = {_MIXED if self.mixed else _RANGES: fields}
        text = json.dumps(fields)
        temporary = f"{path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        atomic_file.write(path, temporary, (text,))


def read_note(path: str) -> Note | None:
    """The note at `path`; None if there is none that helps.

    After a restart of the machine only what was brought to the disk is believed.
    """
    try:
        import json  # as above; where no file can be opened this is an OSError, too

        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        mixed = found.get(_MIXED)
        many = found.get(_RANGES) if mixed is None else mixed
        found = found if many is None else many
        weak = found.get("weak", False) is not False
        validator = Validator(found["etag"], found["modified"], found["coding"], weak)
        total, synced = found["total"], found["synced"]
        synced, ranges = (int(synced), None) if many is None else (0, _ranges_of(synced, total))
        same_boot = found["boot"] == boot_id()
        fields = tuple(found.get("told", {}).items())
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return None
    texts = (*validator[:3], *(text for _, text in fields))
    if not all(text is None or isinstance(text, str) for text in texts):
        return None
    # a validator is sent as it came, each octet one character
    if any(ord(max(text)) > _OCTET for text in validator[:3] if text):
        return None
    if validator.names_none() or not isinstance(total, int | None):
        return None
    synced = None if same_boot else synced
    return Note(validator, total, fields, synced, ranges, mixed is not None)


def _ranges_of(found: list[list[int]], total: int) -> tuple[Range, ...]:
    """The ranges of a note, which are no others than the file may have.

    Raises:
        ValueError, TypeError: they are none.
    """
    from pdl.scheduling.range_map import union  # for large files alone

    ranges = union((int(start), int(end)) for start, end in found)
    if ranges and (ranges[0][0] < 0 or ranges[-1][1] > total):
        raise ValueError
    return tuple(ranges)


def told(header: Header) -> Headers:
    """The fields of an answer that are worth a place in a note; the type also where there is none.

    Args:
        header: of the answer that the part begins with.
    """
    found = ((name, header(name) or "") for name in (_TYPE, *_FIELDS))
    noted = ((name, text) for name, text in found if text or name == _TYPE)
    return tuple((name, text) for name, text in noted if len(text) <= MAX_VALUE)


_VERSION = ("etag", "last-modified", "date", "content-encoding")


def note_of(header: Header, total: int | None, *, proven: bool) -> Note:
    """The note of a part that begins with an answer; it names no version if it cannot be gone on.

    Args:
        header: gives the answer's fields.
        total: bytes of the whole file, or None.
        proven: as `pdl.http_rules.ranges.can_go_on` has it.
    """
    validator = validator_of(*map(header, _VERSION))
    if not can_go_on(validator, total, proven=proven):
        return Note(Validator(), total)
    return Note(validator, total, told(header))


def obstacle_of(header: Header, total: int | None, *, proven: bool) -> str:
    """Why a part that begins with an answer cannot be gone on with; empty if it can.

    Args:
        header: gives the answer's fields.
        total: bytes of the whole file, or None.
        proven: as `pdl.http_rules.ranges.can_go_on` has it.
    """
    return obstacle(validator_of(*map(header, _VERSION)), total, proven=proven)


def head_of_whole(known: Known | None, header: Header) -> Header:
    """The fields of the whole file: those of the answer, and what only the first one has told.

    The type is the first answer's alone, if its note has one: what a file is, its beginning tells.

    Args:
        known: the part that the answer goes on with; None if it brings the file from the start.
        header: of the answer.
    """
    if known is None:
        return header
    first = {**dict(known.told), "last-modified": known.validator.modified}

    def field(name: str) -> str | None:
        if name == _TYPE and name in first:
            return first[name] or None
        said = header(name)
        return first.get(name) if said is None else said

    return field
