"""The output directory and its ``.pdl``: made, held by one run, and cleared away."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import weakref
from pathlib import Path

from pdl.errors import LockedError, MachineError
from pdl.naming.claims import FoundFiles
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.system import file_lock

LOCK = "lock"
RETRY_SECONDS = 0.1
_TRIES = 100
_OF_A_PART = frozenset({"part", "json", "json.new", "ranges", "ranges.new"})
"""Suffixes of what may be there of one."""


class OutputDirectory:
    """The output directory, held by this run until `close`.

    A file lock of the system marks it as held: it ends with the process in whatever way that ends,
    and a forked child lets go of it, so a dead run's lock is none.

    Args:
        directory: the output directory; made if it is not there.
        wait: seconds to wait for another run to let go of it.
        aside: where in ``.pdl`` all is that is this run's: of a shard, beside which others run.

    Raises:
        MachineError: it cannot be made or written.
        LockedError: another run holds it.
    """

    def __init__(self, directory: str, wait: float = 0.0, aside: str = "") -> None:
        self._directory = directory
        self._aside = aside
        self.state = Path(directory, STATE_DIRECTORY, aside)
        self._fd = -1
        try:
            os.makedirs(directory, exist_ok=True)
            if not file_lock.take_within(wait, RETRY_SECONDS, self._try):
                raise self._held()
        except OSError as exc:
            self.close()
            raise _unusable(directory, _reason(exc, self.state)) from exc

    def _try(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._make_state()
        try:
            fd = os.open(self.state / LOCK, flags, 0o600)
        except FileNotFoundError:  # its last holder has just cleared it all away
            return False
        try:
            taken = file_lock.take(fd)
        except PermissionError:  # so some say that another has it
            taken = False
        if not taken or not self._still_there(fd):  # or removed it between open and lock
            os.close(fd)
            return False
        self._fd = fd
        _HELD.add(self)
        now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        os.ftruncate(fd, 0)
        os.write(fd, f'{{"pid": {os.getpid()}, "started": "{now}"}}'.encode())
        return True

    def let_go(self) -> None:
        """In a forked child: it must not hold the directory when the run is dead."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _make_state(self) -> None:
        """Make the state directory if it is not there; a link would lead writes elsewhere."""
        if not self._aside:
            _make_directory(self.state)
            return
        for _ in range(_TRIES):  # the last shard of others may just clear it away
            _make_directory(self.state.parent)
            with contextlib.suppress(FileNotFoundError):
                _make_directory(self.state)
                return

    def _still_there(self, fd: int) -> bool:
        try:
            there = (self.state / LOCK).stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(fd)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def _held(self) -> LockedError:
        import json  # for this alone

        try:
            holder = json.loads((self.state / LOCK).read_text())
            who = f"pid {int(holder['pid'])}, started {str(holder['started'])[:40]}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "which has just begun"
        return LockedError(
            f"another run holds {self._shown()} ({who})",
            "wait for it, with --wait-lock SECONDS, or choose another --dir",
        )

    def _shown(self) -> str:
        shard = f"shard {self._aside.rstrip('/')} of " if self._aside else ""
        return f"{shard}{Path(self._directory)}"

    def found(self) -> FoundFiles:
        """What is in the directory now."""
        try:
            parts = frozenset(self._aside + path.name for path in self.state.glob("*.part"))
            with os.scandir(self._directory) as entries:  # one by one: there may be a million
                empty = all(entry.name == STATE_DIRECTORY for entry in entries)
            since = os.fstat(self._fd).st_ctime_ns  # the lock file was written when the run began
            return FoundFiles(parts, empty, since)
        except OSError:
            return FoundFiles()

    def clear_parts(self) -> None:
        """Remove all parts: after a run in which every line had its file, no line needs one."""
        with contextlib.suppress(OSError):  # a directory that is gone has no parts either
            for path in [*self.state.iterdir()]:
                if path.name.partition(".")[2] in _OF_A_PART:
                    path.unlink()

    def close(self) -> None:
        """Let go of the directory; ``.pdl`` goes when nothing in it is worth keeping."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            (self.state / LOCK).unlink()
        with contextlib.suppress(OSError):
            self.state.rmdir()
            if self._aside:
                self.state.parent.rmdir()
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1


def _make_directory(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def check_directory(directory: str) -> None:
    """See whether a run could write there; nothing is made.

    Raises:
        MachineError: as `OutputDirectory` has it.
    """
    state, here = os.path.join(directory, STATE_DIRECTORY), os.path.realpath(directory)
    error = errno.EEXIST  # as whoever makes a directory hears of a file in its place
    while not os.path.lexists(here):
        here, error = os.path.dirname(here), errno.ENOTDIR
    if not os.path.isdir(here):
        raise _unusable(directory, os.strerror(error))
    if not os.access(here, os.W_OK | os.X_OK):
        raise _unusable(directory, os.strerror(errno.EACCES))
    if os.path.lexists(state) and not stat.S_ISDIR(os.lstat(state).st_mode):
        raise _unusable(directory, f"{os.strerror(errno.ENOTDIR)} ({state})")


def _unusable(directory: str, reason: str) -> MachineError:
    return MachineError(
        f"cannot write to the output directory {directory}: {reason}",
        "choose another with --dir, or mend what is wrong with this one",
    )


_HELD: weakref.WeakSet[OutputDirectory] = weakref.WeakSet()
"""What this process holds. One hook sees to all of them, for a hook cannot be taken away again."""


def _let_go_in_child() -> None:
    for held in list(_HELD):
        held.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)


def _reason(exc: OSError, state: Path) -> str:
    """The system's words; with the path only where it is not plainly the directory's own."""
    reason = exc.strerror or str(exc)
    return f"{reason} ({state})" if exc.filename == str(state) else reason
