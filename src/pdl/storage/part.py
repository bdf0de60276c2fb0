"""The part file: where bytes are until they are a whole file.

A part lies in ``DIR/.pdl`` under a name made from its URL and path. A part worth going on with
has a note beside it (JSON, the same name) that says which version of the file its bytes are of.
The order of steps is what keeps versions apart: the old note goes before the old bytes, the new
note comes before more than a little of the new bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from pdl.http_rules.ranges import Known, Validator
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.storage.note import Note, read_note
from pdl.system import file_lock
from pdl.system.atomic_file import NEW, sync_directory
from pdl.system.disk_space import LEAST, Reservation, check_room
from pdl.system.kernel_copy import splice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Headers, SafePath

SYNC_EVERY = 256 * 1024 * 1024
"""Bytes after which a part is flushed to the disk, so that a power cut costs no more."""

_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_REFUSALS = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})
"""How file systems say that they do not take a name."""
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""How file systems say that they have no hard links."""


class InTheWay(Exception):
    """Something stands where the file or its directory should be; the message says what."""


class Part:
    """One task's part file, from nothing or an earlier attempt's bytes to the final name.

    Every method raises `OSError` as the system gives it.

    Args:
        directory: the output directory.
        name: of the part, as ``HEX.part``.

    Attributes:
        path: of the part.
        size: bytes of it so far.
        unknown: bytes of an earlier part of which nothing tells the version; `known` sets it.
    """

    def __init__(self, directory: str, name: str) -> None:
        self._directory = directory
        self.path = f"{directory}/{STATE_DIRECTORY}/{name}"
        self._note = f"{self.path[:-5]}.json"
        self._kin: str | None = None
        self._fd = -1
        self._version = Note(Validator(), None)
        self._begun = False
        self._noted = False
        self._synced = 0
        self._reserved: Reservation | None = None
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
        offset = found.st_size if note.synced is None else min(found.st_size, note.synced)
        if note.total is not None and offset > note.total:
            return None
        if offset == note.total:
            offset -= 1  # its last byte again: the answer proves the version, with no special case
        return Known(offset, note.validator, note.total, note.told) if offset > 0 else None

    def known_of(self, kin: Sequence[str]) -> Known | None:
        """The same of the first that can be gone on with of other parts; `go_on` then takes it.

        Args:
            kin: names of parts of the URL with another query.
        """
        for name in kin:
            known = Part(self._directory, name).known()
            if known is not None:
                self._kin = name
                return known._replace(foreign=True)
        return None

    def _take_kin(self) -> None:
        """Make the other part that was found this one's: the bytes first, their note afterwards."""
        if self._kin is not None:
            kin, self._kin = Part(self._directory, self._kin), None
            self.discard()
            os.rename(kin.path, self.path)
            os.rename(kin._note, self._note)

    def start(self) -> None:
        """Open an empty part; what an earlier attempt left is dropped, its note first."""
        self._close()
        self.size = 0
        self._begun = True
        self._noted = False
        self._synced = 0
        try:
            self._fd = os.open(self.path, NEW, 0o666)
        except FileExistsError:
            self.discard()
            self._fd = os.open(self.path, NEW, 0o666)

    def go_on(self, known: Known) -> bool:
        """Open the part to append at the known offset; False if it is no longer that long."""
        try:
            self._take_kin()
            self._fd = os.open(self.path, _OLD)
        except FileNotFoundError:
            return False
        if os.fstat(self._fd).st_size < known.offset:
            return False
        os.ftruncate(self._fd, known.offset)
        os.lseek(self._fd, known.offset, os.SEEK_SET)
        self.size = known.offset
        self._version = Note(known.validator, known.total, known.told)
        self._noted = True
        return True

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
        check_room(f"{self._directory}/{STATE_DIRECTORY}", total - self.size)
        self._reserved = Reservation(self._fd, total)
        self._reserved.ahead_of(self.size)

    def write(self, data: memoryview) -> None:
        """Append the bytes."""
        if self._reserved is not None:
            self._reserved.ahead_of(self.size)
        while data:
            count = os.write(self._fd, data)
            self.size += count
            data = data[count:]

    def take(self, pipe: int, most: int) -> int:
        """Append what a pipe holds, up to `most` bytes; how many were appended.

        Raises:
            OSError: also where that cannot be done at all, see `pdl.system.kernel_copy.REFUSALS`.
        """
        if self._reserved is not None:
            self._reserved.ahead_of(self.size)
        count = splice(pipe, self._fd, most)
        self.size += count
        return count

    def note(self) -> None:
        """Make sure that a later attempt can go on with what is there, if anyone can."""
        if self._version.validator.names_none():
            return
        if self.size - self._synced >= SYNC_EVERY:
            os.fsync(self._fd)
            self._synced = self.size
        elif self._noted:
            return
        self._version._replace(synced=self._synced).write(self._note)
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
            self._keep_mode(final)
            if modified is not None:
                _set_time(self._fd, modified)
            if fsync:
                os.fsync(self._fd)
            self._close()
        self._rename(final, path)
        if fsync:
            sync_directory(os.path.dirname(final))
        if self._noted:
            _remove(self._note)

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
            _set_time(self._fd, modified)
        if fsync:
            os.fsync(self._fd)
        if "/" in path:
            make_parents(self._directory, path)
        if not _link(self.path, final):
            return False
        self._close()
        if fsync:
            sync_directory(os.path.dirname(final))
        if self._noted:
            _remove(self._note)
        return True

    def refused_name(self, error: OSError) -> bool:
        """Whether an error of `finish` or `finish_new` is about that name, and not the directory.

        Some file systems say of a name that they do not take that it is not there.
        """
        if error.errno != errno.ENOENT:
            return error.errno in _REFUSALS
        probe = f"{self._directory}/{STATE_DIRECTORY}-{os.getpid()}"
        try:
            os.close(os.open(probe, NEW, 0o600))
            os.unlink(probe)
        except OSError:
            return False
        return os.path.lexists(self.path)

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes."""
        os.truncate(self.path, size)
        self.size = size

    def _keep_mode(self, final: str) -> None:
        try:
            old = os.lstat(final)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISREG(old.st_mode):
            os.fchmod(self._fd, stat.S_IMODE(old.st_mode) & 0o777)

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
            if self._reserved is not None and self._fd >= 0:
                self._reserved.release(self.size)
            if keep and self._fd >= 0 and self.size:
                self.note()
        finally:
            self._close()
            if not keep or (self._begun and not self._noted):
                self.discard()
        return self.size if keep and self._noted else 0

    def discard(self) -> None:
        """Remove the part and its note, the note first; the same of kin that was to be taken."""
        self._close()
        _remove(self._note)
        _remove(self.path)
        if self._kin is not None:
            kin, self._kin = Part(self._directory, self._kin), None
            kin.discard()

    def _close(self) -> None:
        self._reserved = None  # its handle may be another file's from here on
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def place(
    directory: str, name: str, path: SafePath, data: memoryview, modified: float | None
) -> None:
    """Write a file that is here as a whole: part, time, final name; nothing is there of it yet.

    Args:
        directory: the output directory.
        name: of the part; nothing has that name.
        path: the final name; nothing that is to keep its mode has that name.
        data: the file's bytes.
        modified: as in `Part.finish`.

    Raises:
        OSError: it could not be done; nothing is left of it.
        InTheWay: something that is no file stands there.
    """
    part = f"{directory}/{STATE_DIRECTORY}/{name}"
    fd = os.open(part, NEW, 0o666)
    try:
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), part)
            if modified is not None:
                _set_time(fd, modified)
        finally:
            os.close(fd)
        if "/" in path:
            make_parents(directory, path)
        os.rename(part, f"{directory}/{path}")
    except (OSError, InTheWay):
        _remove(part)
        raise


def make_parents(directory: str, path: SafePath) -> None:
    """Make the directories above `path`, following no link.

    Raises:
        InTheWay: a file or a link stands where a directory should be.
    """
    here = directory
    for name in path.split("/")[:-1]:
        here = f"{here}/{name}"
        try:
            os.mkdir(here)
        except FileExistsError:
            mode = os.lstat(here).st_mode
            if not stat.S_ISDIR(mode):
                what = "a link, which is not followed" if stat.S_ISLNK(mode) else "not a directory"
                raise InTheWay(f"{here} is {what}") from None


def _link(part: str, final: str) -> bool:
    """Give a file a name that nobody has; False if somebody has it."""
    try:
        os.link(part, final)
    except FileExistsError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        return _rename_new(part, final)
    return True


def _rename_new(part: str, final: str) -> bool:
    """The same without links: every worker of the run looks and renames in its turn."""
    fd = os.open(os.path.dirname(part), os.O_RDONLY | os.O_DIRECTORY)
    try:
        file_lock.wait(fd)
        if os.path.lexists(final):
            return False
        os.rename(part, final)
        return True
    finally:
        os.close(fd)


def _set_time(fd: int, modified: float) -> None:
    try:  # noqa: SIM105 - costs half a microsecond less
        os.utime(fd, (modified, modified))
    except OverflowError:
        pass


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
