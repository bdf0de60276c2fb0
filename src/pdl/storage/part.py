"""The part file: where bytes are until they are a whole file.

A part lies in ``DIR/.pdl`` under a name made from its URL and path. A part worth going on with
has a note beside it (JSON, the same name) that says which version of the file its bytes are of.
The order of steps is what keeps versions apart: the old note goes before the old bytes, the new
note comes before more than a little of the new bytes.

Several lanes may write one part (`Part.share`). Then it may have holes, its length says nothing,
and its ranges stand in a file of their own (`pdl.storage.board`). A note that says so is there
before anybody else can begin.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from pdl.http_rules.ranges import Known, Validator
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.storage.final_name import (
    InTheWay,
    keep_mode,
    link_new,
    make_parents,
    refused_name,
    remove,
    set_time,
)
from pdl.storage.note import Note, read_note
from pdl.system.atomic_file import NEW, sync_directory
from pdl.system.disk_space import LEAST, Reservation, check_room
from pdl.system.kernel_copy import splice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Headers, SafePath
    from pdl.scheduling.range_map import Range, Share
    from pdl.storage.board import Split

SYNC_EVERY = 256 * 1024 * 1024
"""Bytes after which a part is flushed to the disk, so that a power cut costs no more."""

LOOK_EVERY = 32 * 1024 * 1024
"""Bytes after which it is looked at how much others have written."""

_NEW = NEW ^ os.O_WRONLY | os.O_RDWR
_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Part:
    """One task's part file, from nothing or an earlier attempt's bytes to the final name.

    Every method raises `OSError` as the system gives it.

    Args:
        directory: the output directory.
        name: of the part, as ``HEX.part``.

    Attributes:
        path: of the part.
        size: bytes of it so far; of a shared one, where the next byte goes.
        split: what this lane has of a shared one; None for any other.
        unknown: bytes of an earlier part of which nothing tells the version; `known` sets it.
    """

    def __init__(self, directory: str, name: str) -> None:
        self._directory = directory
        self.path = f"{directory}/{STATE_DIRECTORY}/{name}"
        self._note = f"{self.path[:-5]}.json"
        self._ranges = f"{self.path[:-5]}.ranges"
        self._kin: str | None = None
        self._fd = -1
        self._version = Note(Validator(), None)
        self._begun = False
        self._noted = False
        self._synced = 0
        self._looked = 0
        self._reserved: Reservation | None = None
        self._done: list[Range] | None = None
        self._shared = False
        self._shift = 0
        self.split: Split | None = None
        self.size = 0
        self.unknown = 0

    def known(self) -> Known | None:
        """What can be gone on with; None when the file must start from nothing."""
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return None
        note = read_note(self._note)
        self.unknown = found.st_size if note is None else 0
        if note is None or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        if note.ranges is not None:
            return self._known_of_many(note, found.st_size)
        offset = found.st_size if note.synced is None else min(found.st_size, note.synced)
        if note.total is not None and offset > note.total:
            return None
        if offset == note.total:
            offset -= 1  # its last byte again: the answer proves the version, with no special case
        return Known(offset, note.validator, note.total, note.told) if offset > 0 else None

    def _known_of_many(self, note: Note, size: int) -> Known | None:
        """The same of a shared part. Whoever still writes to it is told to stop."""
        done: list[Range] | None = None
        if note.synced is None:
            from pdl.storage import board  # for large files alone, as below

            with contextlib.suppress(OSError):
                done = board.take_over(self._ranges)
        done, total = [*(note.ranges or ())] if done is None else done, note.total
        if total is None or not done or done[0][0] > 0 or done[-1][1] > min(size, total):
            return None
        if done == [(0, total)]:
            done = [(0, total - 1)]  # as in `known`
        self._done = done
        offset = done[0][1]
        if offset <= 0:
            return None
        return Known(offset, note.validator, total, note.told, mixed=note.mixed)

    def known_of(self, kin: Sequence[str]) -> Known | None:
        """The same of the first that can be gone on with of other parts; `go_on` then takes it.

        Args:
            kin: names of parts of the URL with another query.
        """
        for name in kin:
            other = Part(self._directory, name)
            known = other.known()
            if known is not None:
                self._kin, self._done = name, other._done
                return known._replace(foreign=True)
        return None

    def _take_kin(self) -> None:
        """Make the other part that was found this one's: the bytes first, their note afterwards."""
        if self._kin is not None:
            kin, self._kin = Part(self._directory, self._kin), None
            self.discard()
            os.rename(kin.path, self.path)
            with contextlib.suppress(FileNotFoundError):
                os.rename(kin._ranges, self._ranges)
            os.rename(kin._note, self._note)

    def start(self) -> None:
        """Open an empty part; what an earlier attempt left is dropped, its note first."""
        self._close()
        self.size = 0
        self._begun = True
        self._noted = False
        self._synced = self._looked = self._shift = 0
        self._done = None
        try:
            self._fd = os.open(self.path, _NEW, 0o666)
        except FileExistsError:
            self.discard()
            self._fd = os.open(self.path, _NEW, 0o666)

    def go_on(self, known: Known) -> bool:
        """Open the part to append at the known offset; False if it is no longer that long."""
        try:
            self._take_kin()
            self._fd = os.open(self.path, _OLD)
        except FileNotFoundError:
            return False
        length = known.offset if self._done is None else self._done[-1][1]
        if os.fstat(self._fd).st_size < length:
            return False
        os.ftruncate(self._fd, length)
        os.lseek(self._fd, known.offset, os.SEEK_SET)
        self.size = known.offset
        self._version = Note(known.validator, known.total, known.told, mixed=known.mixed)
        self._noted = True
        if self._done is not None:
            self._split(known.total or length, self._done)
        return True

    def share(self, total: int, *, mixed: bool = False) -> None:
        """Let other lanes write ranges of the part as well, where that can be.

        Args:
            total: bytes of the whole file.
            mixed: also lanes that ask another server for it, as `Known.mixed` has it.
        """
        split, version = self.split, self._version._replace(mixed=mixed)
        if split is not None and self._version.mixed >= mixed:
            return
        if split is None and version.validator.if_range() is None:
            return
        done = [(0, self.size)] if split is None else split.done()
        try:
            if split is None:
                remove(self._ranges)
            if self.size:
                os.fsync(self._fd)
                self._synced = sum(end - start for start, end in done)
            # before anybody begins: one that says less would be believed of all that is there
            version._replace(ranges=tuple(done)).write(self._note)
            if split is None:
                self._split(total, done)
            self._version = version
        except OSError:  # not every file system can do that
            if split is None:
                self._version._replace(synced=self._synced).write(self._note)
        self._noted = True

    def _split(self, total: int, done: list[Range]) -> None:
        from pdl.storage import board

        self.split = board.Split(board.create(self._ranges, total, done), self.size)
        self._shared = True
        self._shift = sum(end - start for start, end in done) - self.size

    def versioned(self, validator: Validator, total: int | None, told: Headers = ()) -> None:
        """Say which version the bytes are of; they can be gone on with if it says any.

        Args:
            validator: of the version; see `pdl.storage.note.note_of`.
            total: bytes of the whole file, or None.
            told: as `pdl.storage.note.told` has it.
        """
        self._version = Note(validator, total, told)

    def expect(self, total: int | None) -> None:
        """Say how many bytes the file will have, if anyone knows: there must be room for them."""
        self._reserved = None
        if total is None or total - self.size < LEAST:
            return
        check_room(f"{self._directory}/{STATE_DIRECTORY}", total - self.reached)
        self._reserved = Reservation(self._fd, total, cuts=self.split is None)
        self._reserved.ahead_of(self.size)

    def write(self, data: memoryview) -> None:
        """Append the bytes."""
        if self._reserved is not None:
            self._reserved.ahead_of(self.size)
        while data:
            count = os.write(self._fd, data)
            self.size += count
            data = data[count:]
        if self.split is not None:
            self.split.wrote(self.size)

    def take(self, pipe: int, most: int) -> int:
        """Append what a pipe holds, up to `most` bytes; how many were appended.

        Raises:
            OSError: also where that cannot be done at all, see `pdl.system.kernel_copy.REFUSALS`.
        """
        if self._reserved is not None:
            self._reserved.ahead_of(self.size)
        count = splice(pipe, self._fd, most)
        self.size += count
        if self.split is not None:
            self.split.wrote(self.size)
        return count

    @property
    def shared(self) -> bool:
        """Whether other lanes may write it, too; then its end need not be the file's."""
        return self.split is not None

    @property
    def reached(self) -> int:
        """Bytes of the file that there were before, and that this lane has added."""
        return self.size + self._shift

    def left(self, total: int) -> int:
        """Bytes that this lane is still to write, of a file that has so many."""
        return total - self.size if self.split is None else self.split.left()

    def claim(self, share: Share | None) -> Range | None:
        """Take another range of a shared part, as `Split.claim` has it; it is written next."""
        assert self.split is not None
        taken = self.split.claim(share)
        if taken is not None:
            self._move_to(taken[0])
        return taken

    def _move_to(self, offset: int) -> None:
        self._shift += self.size - offset
        self.size = self._looked = os.lseek(self._fd, offset, os.SEEK_SET)

    def settle(self) -> bool:
        """Be done with this lane's range of a shared part; False if some of it is left."""
        assert self.split is not None
        return self.split.settle()

    def version(self) -> Known:
        """Which version the bytes are of, to ask for more of them."""
        version = self._version
        return Known(0, version.validator, version.total, version.told)

    def note(self, *, look: bool = False) -> None:
        """Make sure that a later attempt can go on with what is there, if anyone can.

        Args:
            look: others may have added much to it.
        """
        if self._version.validator.names_none():
            return
        if self.split is not None:
            self._note_ranges(self.split, look=look)
            return
        if self.size - self._synced >= SYNC_EVERY:
            os.fsync(self._fd)
            self._synced = self.size
        elif self._noted:
            return
        self._version._replace(synced=self._synced).write(self._note)
        self._noted = True

    def _note_ranges(self, split: Split, *, look: bool) -> None:
        """The same of a shared part; the ranges themselves stand beside it always."""
        if self._noted and not look and self.size - self._looked < LOOK_EVERY:
            return
        self._looked = self.size
        done = split.done()
        count = sum(end - start for start, end in done)
        if count - self._synced >= SYNC_EVERY:
            os.fsync(self._fd)
            self._synced = count
        elif self._noted:
            return
        else:
            done = []
        self._version._replace(ranges=tuple(done)).write(self._note)
        self._noted = True

    def read_back(self, buffer: memoryview, offset: int) -> int:
        """Fill some of `buffer` from the part, for digests of a part that is gone on with."""
        return os.preadv(self._fd, [buffer], offset)

    def finish(self, path: SafePath, modified: float | None, *, fsync: bool) -> None:
        """Give the part its final name, atomically.

        Args:
            path: the final name.
            modified: time of the last change in seconds since the epoch, or None for now.
            fsync: flush the file and its directory to the disk.

        Raises:
            InTheWay: something that is no file stands there.
        """
        final = f"{self._directory}/{path}"
        if self._fd >= 0:  # else it is tried with another name
            keep_mode(self._fd, final)
            if modified is not None:
                set_time(self._fd, modified)
            if fsync:
                os.fsync(self._fd)
            self._close()
        self._rename(final, path)
        if fsync:
            sync_directory(os.path.dirname(final))
        self._forget()

    def finish_new(self, path: SafePath, modified: float | None, *, fsync: bool) -> bool:
        """Give the part a second, final name, atomically, if nobody has that name.

        The part itself stays where the file system has links; it is not written any more.

        Args:
            path: the final name.
            modified: as in `finish`.
            fsync: as in `finish`.

        Returns:
            Whether it has the name; if not, another can be tried.
        """
        final = f"{self._directory}/{path}"
        if modified is not None:
            set_time(self._fd, modified)
        if fsync:
            os.fsync(self._fd)
        if "/" in path:
            make_parents(self._directory, path)
        if not link_new(self.path, final):
            return False
        self._close()
        if fsync:
            sync_directory(os.path.dirname(final))
        self._forget()
        return True

    def _forget(self) -> None:
        """Remove what stands beside the part."""
        if self._noted:
            remove(self._note)
        if self._shared:
            remove(self._ranges)

    def refused_name(self, error: OSError) -> bool:
        """See `pdl.storage.final_name.refused_name`."""
        return refused_name(error, self._directory, self.path)

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes; of a shared part, what this lane has written there."""
        if self.split is None:
            os.truncate(self.path, size)
        else:
            self.split.unwrite(size, self.size)
        self.size = size

    def _rename(self, final: str, path: SafePath) -> None:
        if "/" in path:
            make_parents(self._directory, path)
        try:
            os.rename(self.path, final)
        except IsADirectoryError as exc:
            raise InTheWay(f"{path} is a directory") from exc

    def leave(self, *, keep: bool) -> int:
        """Close after a failed attempt; what cannot be gone on with is removed.

        An attempt that got no answer has not begun a part: an earlier one stays as it was.

        Returns:
            Bytes that this attempt leaves for the next one to go on with.
        """
        try:
            if self._reserved is not None and self._fd >= 0 and self.split is None:
                self._reserved.release(self.size)
            kept = self.size if self.split is None else self.split.count()
            if keep and self._fd >= 0 and kept:
                self.note()
            keep = keep and (self.split is None or kept > 0)
        finally:
            self._close()
            if not keep or (self._begun and not self._noted):
                self.discard()
        return kept if keep and self._noted else 0

    def discard(self) -> None:
        """Remove the part and its note, the note first; the same of kin that was to be taken."""
        self._close()
        remove(self._note)
        remove(self._ranges)
        remove(self.path)
        if self._kin is not None:
            kin, self._kin = Part(self._directory, self._kin), None
            kin.discard()

    def _close(self) -> None:
        self._reserved = None  # its handle may be another file's from here on
        split, self.split = self.split, None
        if split is not None:
            split.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
