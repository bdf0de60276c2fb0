"""``--archive FILE``: which URLs are done, whatever has become of their files.

A line for each: 16 hex digits of its `pdl.text.urls.url_key`, a blank, and the URL for people.
Several runs may share a file. Whoever adds to it holds its lock for that moment, and first reads
what others have added. A line that was cut off (by a power cut, a full disk) ends the file: it gets
its end if its digits are whole, else it goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from pdl.errors import ListError, MachineError, UsageError
from pdl.naming.claims import IntTable
from pdl.system import file_lock
from pdl.text.masking import printable
from pdl.text.urls import FREE

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGITS = 16
_LINE = re.compile(rb"([0-9a-f]{16})(?: [^\n]*)?")
_TORN = re.compile(rb"[0-9a-f]{0,15}|#.*|\s*")
_READ = 1 << 20


class Archive:
    """The URLs in the file when the run began, and those that other runs have added since.

    Args:
        path: of the file.
        flush: flush each line to the disk.
        look_only: the file is neither made nor written.

    Attributes:
        error: why a line could not be added; then none is.

    Raises:
        UsageError, MachineError: the file cannot be opened.
        ListError: it is no archive.
    """

    def __init__(self, path: str, *, flush: bool = False, look_only: bool = False) -> None:
        self._path = path
        self._flush = flush
        self._known = IntTable()
        self._mine = IntTable()
        self._place = 0
        self._lines = 0
        self._fd = -1
        self.error: OSError | None = None
        try:
            if not look_only or os.path.lexists(path):
                self._open(os.O_RDONLY if look_only else os.O_RDWR | os.O_APPEND | os.O_CREAT)
        except (IsADirectoryError, NotADirectoryError, FileNotFoundError, ValueError) as exc:
            raise UsageError(f"--archive {printable(path)}: {_reason(exc)}") from exc
        except OSError as exc:
            raise MachineError(f"cannot use --archive {printable(path)}: {_reason(exc)}") from exc

    def _open(self, flags: int) -> None:
        self._fd = os.open(self._path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        with contextlib.ExitStack() as failing:
            failing.callback(self.close)
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                raise IsADirectoryError(errno.EISDIR, "it is no regular file")
            self._catch_up()
            failing.pop_all()

    def has(self, key: int) -> bool:
        """Whether a URL is in it, but for those that this run has added."""
        return self._known.get(key) != FREE

    def add(self, key: int, url: str) -> None:
        """Add a URL, once; what comes in the way is in `error`.

        Args:
            key: of the URL.
            url: without what is secret.
        """
        if self.error is not None or self._mine.setdefault(key, 1) != FREE:
            return
        try:
            with self._held():
                rest = self._catch_up()
                if rest:
                    self._mend(rest)
                if not self.has(key):
                    self._write(f"{key:016x} {url}\n".encode("utf-8", "backslashreplace"))
        except (OSError, ListError) as exc:
            self.error = exc if isinstance(exc, OSError) else OSError(0, str(exc))

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with contextlib.ExitStack() as ending:
            with contextlib.suppress(OSError):  # not every file system has such locks
                ending.enter_context(file_lock.held(self._fd))
            yield

    def _catch_up(self) -> bytes:
        """Read on to the end; what stands there that has no end of its line."""
        rest = b""
        while data := os.pread(self._fd, _READ, self._place + len(rest)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._place += len(line) + 1
                self._lines += 1
                self._take(line)
            if len(rest) > _READ:
                self._take(rest)
        found = _LINE.fullmatch(rest)
        if found:  # all of it that matters
            self._known.setdefault(int(found[1], 16), 1)
        return rest

    def _take(self, line: bytes) -> None:
        found = _LINE.fullmatch(line)
        if found is not None:
            self._known.setdefault(int(found[1], 16), 1)
        elif not _TORN.fullmatch(line):
            raise ListError(
                f"{printable(self._path)}:{self._lines} is no line of an archive, "
                "so nothing is added to that file",
                "name another file with --archive; it is made if it is not there",
            )

    def _mend(self, rest: bytes) -> None:
        """Nobody writes now: whoever began this line does not end it."""
        if _LINE.fullmatch(rest):
            self._write(b"\n")
            self._place += len(rest)
        else:
            os.ftruncate(self._fd, self._place)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._place += len(data)
        if self._flush:
            os.fsync(self._fd)


def _reason(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)
