"""A file gets its name: in one step, over nobody's file, through no link."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.system import file_lock
from pdl.system.atomic_file import NEW

if TYPE_CHECKING:
    from pdl.model import SafePath

_REFUSALS = frozenset({errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG})
"""How file systems say that they do not take a name."""

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""How file systems say that they have no hard links."""


class InTheWay(Exception):
    """Something stands where the file or its directory should be; the message says what."""


def place(
    directory: str, name: str, path: SafePath, data: memoryview, modified: float | None
) -> None:
    """Write a file that is here as a whole: part, time, final name; nothing is there of it yet.

    Args:
        directory: the output directory.
        name: of the part; nothing has that name.
        path: the final name; nothing that is to keep its mode has that name.
        data: the file's bytes.
        modified: as in `pdl.storage.part.Part.finish`.

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
                set_time(fd, modified)
        finally:
            os.close(fd)
        if "/" in path:
            make_parents(directory, path)
        os.rename(part, f"{directory}/{path}")
    except (OSError, InTheWay):
        remove(part)
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


def link_new(part: str, final: str) -> bool:
    """Give a file a name that nobody has; False if somebody has it.

    Raises:
        OSError: as the system gives it.
    """
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


def set_time(fd: int, modified: float) -> None:
    """Set when an open file was changed last; a time that no file can have is left out."""
    try:  # noqa: SIM105 - costs half a microsecond less
        os.utime(fd, (modified, modified))
    except OverflowError:
        pass


def remove(path: str) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def keep_mode(fd: int, final: str) -> None:
    """Give an open file the permissions of the one that it is to replace, if there is one.

    Raises:
        OSError: as the system gives it.
    """
    try:
        old = os.lstat(final)
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISREG(old.st_mode):
        os.fchmod(fd, stat.S_IMODE(old.st_mode) & 0o777)


def refused_name(error: OSError, directory: str, part: str) -> bool:
    """Whether an error of giving a part its name is about that name, and not the directory.

    Some file systems say of a name that they do not take that it is not there.

    Args:
        error: that was met.
        directory: the output directory.
        part: the path of the part.
    """
    if error.errno != errno.ENOENT:
        return error.errno in _REFUSALS
    probe = f"{directory}/{STATE_DIRECTORY}-{os.getpid()}"
    try:
        os.close(os.open(probe, NEW, 0o600))
        os.unlink(probe)
    except OSError:
        return False
    return os.path.lexists(part)
