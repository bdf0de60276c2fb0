"""Files written in one step: after a crash at any moment the old or the new one is there.

The bytes go to a new file beside the target, which gets the target's name when it is whole. What
the new one is called, who may read it and whether it must survive a power cut, the caller says.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Name = str | os.PathLike[str]

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a file is opened that nobody else has made; a link in its place is an error."""


def create(path: Name, mode: int = 0o666) -> int:
    """Open a file for writing that is not there yet.

    Args:
        path: of the file.
        mode: permission bits, less the umask's.

    Raises:
        OSError: as the system gives it; `FileExistsError` if something has that name.
    """
    return os.open(path, NEW, mode)


def replace(new: Name, path: Name, *, parents: bool = False) -> None:
    """Give a file that is whole its name; what had that name is gone.

    Args:
        new: the file.
        path: its name.
        parents: make the directory if it is not there.

    Raises:
        OSError: as the system gives it; both are as they were.
    """
    try:
        os.replace(new, path)
    except FileNotFoundError:
        if not parents:
            raise
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.replace(new, path)


def write(
    path: str,
    new: str,
    pieces: Iterable[str],
    *,
    mode: int | None = 0o666,
    durable: bool = False,
    parents: bool = False,
) -> None:
    """Write a file of text, in UTF-8, in one step.

    Args:
        path: the file.
        new: what the new one is called until it is whole; nothing has that name.
        pieces: of its text.
        mode: as in `create`; None takes those of the file it replaces, else the umask's.
        durable: a power cut leaves the old or the new one, too; else perhaps an empty one.
        parents: as in `replace`.

    Raises:
        OSError: as the system gives it; the old file is there, and nothing of the new one.
    """
    fd = create(new, mode or 0o666)  # what has that name already is somebody else's, and stays
    placed = False
    try:
        with open(fd, "w", encoding="utf-8", newline="\n") as file:
            if mode is None:
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(fd, stat.S_IMODE(os.stat(path).st_mode))
            file.writelines(pieces)
            if durable:
                file.flush()
                os.fsync(fd)
        replace(new, path, parents=parents)
        placed = True
    finally:
        if not placed:
            with contextlib.suppress(OSError):
                os.unlink(new)
    if durable:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Bring the names in a directory to the disk.

    Raises:
        OSError: as the system gives it.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
