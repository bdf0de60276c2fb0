"""Where a report goes: a file that is complete or untouched, or a stream.

Rows go to ``NAME.xxxxxxxx.partial`` beside the target, which gets its name in one step at the end:
a half-written report never replaces an old one. Every write is handed to the system at once, so
after a ``kill -9`` the partial file holds all rows but perhaps the last.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from pdl.errors import MachineError, UsageError
from pdl.output.terminal import Out
from pdl.system import atomic_file
from pdl.text.masking import printable

Warn = Callable[[str], None]
"""Takes one line of text for people, which it makes safe to print itself."""

_LONGEST = 255 - len(".00000000.partial")


def warn_on_stderr(text: str) -> None:
    """Print a warning where people look; for callers who pass no other way."""
    Out(sys.stderr).write(f"pdl: {printable(text)}\n")


class Sink(Protocol):
    """Takes a report's text; what goes wrong after its construction is one warning.

    Attributes:
        name: of the file, as it was given; empty where there is none.
        placed: the report is whole, and where its name says.
    """

    name: str
    placed: bool

    @property
    def lost(self) -> bool:
        """Whether it could not be written, though somebody wants it."""

    def write(self, text: str) -> None:
        """Append `text`, in UTF-8."""

    def amend(self, place: int, text: str) -> None:
        """Write over what stands from this byte on, as long as it was; a stream stays as it is."""

    def commit(self) -> None:
        """The report is whole."""

    def discard(self) -> None:
        """The report is not wanted; an old one stays."""


class StreamSink:
    """Writes through to standard output, or another stream of text."""

    name = ""
    placed = False

    def __init__(self, stream: TextIO | None, warn: Warn) -> None:
        self._out = Out(stream, patient=True)
        self._warn = warn
        if stream is None:
            self._warn("cannot write standard output: it is closed; what was to go there is lost")

    @property
    def lost(self) -> bool:
        """See `Sink.lost`; a reader that has gone away wants no more."""
        return self._out.broken and not isinstance(self._out.error, BrokenPipeError)

    def write(self, text: str) -> None:
        """Append `text`; the first failure is a warning, the rest is dropped."""
        before = self._out.broken
        self._out.write(text)
        if self.lost and not before and self._out.error is not None:
            self._warn(
                f"cannot write standard output: {_reason(self._out.error)}; the rest is lost"
            )

    def amend(self, place: int, text: str) -> None:
        """What is written is written."""

    def commit(self) -> None:
        """Nothing is left to do."""

    def discard(self) -> None:
        """What is written is written."""


class FileSink:
    """A file that gets its name when it is whole.

    Args:
        path: the name; what is no regular file (a pipe, a device) is written to directly.
        warn: takes the one warning.
        mode: permission bits; None takes those of the file it replaces, else the umask's.
        keep: leave the partial file after a crash of this process, because it can be read.

    Raises:
        MachineError: the system refuses to make the file.
        UsageError: the path can be no file.
    """

    def __init__(
        self, path: str, warn: Warn, *, mode: int | None = None, keep: bool = False
    ) -> None:
        self.name = path
        self.placed = False
        self.lost = False
        self._path = Path(path)
        self._warn = warn
        self._debris = _Debris(keep=keep)
        # before there is anything to remove: an exception may come out of a signal at any moment
        self._crash = weakref.finalize(self, self._debris.clear)
        with refusing(path):
            self._file = self._open(mode)

    def write(self, text: str) -> None:
        """Append `text`."""
        if self._file.closed:
            return
        try:
            self._file.write(_encoded(text))
            self._file.flush()
        except OSError as error:
            self._fail(error)

    def amend(self, place: int, text: str) -> None:
        """Write over what stands from this byte on; what is no regular file stays as it is."""
        if self._file.closed or self._debris.partial is None:
            return
        try:
            self._file.seek(place)
            self._file.write(_encoded(text))
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            self._fail(error)

    def commit(self) -> None:
        """Give the file its name."""
        if self._file.closed:
            return
        try:
            self._file.close()
            if self._debris.partial is not None:
                atomic_file.replace(self._debris.partial, self._path)
            self.placed = True
        except OSError as error:
            self._fail(error)
        self._crash.detach()

    def discard(self) -> None:
        """Remove what was written."""
        with suppress(OSError):  # closing is where some systems first tell of a full disk
            self._file.close()
        self._debris.keep = False
        self._crash()

    def _open(self, mode: int | None) -> BinaryIO:
        old = _status_of(self._path)
        if old is not None and not stat.S_ISREG(old.st_mode):
            self._debris.file = self._path.open("wb")
            return self._debris.file
        # where the name is a link, the file behind it is replaced and the link stays
        self._path = self._path.resolve()
        file = self._debris.create(self._path, 0o666 if mode is None else mode)
        if old is not None and mode is None:
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        return file

    def _fail(self, error: OSError) -> None:
        self.discard()
        if isinstance(error, BrokenPipeError):  # nobody reads it any more, nor wants to
            return
        self.lost = True
        what = "the rest is lost" if self._debris.partial is None else "it was not updated"
        self._warn(f"cannot write {self._path}: {_reason(error)}; {what}")


class AppendSink:
    """Adds to the end of a file that others write, too: all at once, when the report is whole.

    Args:
        path: of the file; it is made if it is not there.
        warn: takes the one warning.

    Raises:
        MachineError, UsageError: as `FileSink` has it.
    """

    def __init__(self, path: str, warn: Warn) -> None:
        self.name = path
        self.placed = self.lost = False
        self._warn = warn
        self._texts: list[str] = []
        with refusing(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - until it is whole

    def write(self, text: str) -> None:
        """Append `text`, later."""
        self._texts.append(text)

    def amend(self, place: int, text: str) -> None:
        """It is the file of others."""

    def commit(self) -> None:
        """Append it."""
        left = memoryview(_encoded("".join(self._texts)))
        try:
            with self._file:
                while left:
                    left = left[self._file.write(left) :]
            self.placed = True
        except OSError as error:
            self.lost = True
            self._warn(f"cannot write {self.name}: {_reason(error)}; the rest is lost")

    def discard(self) -> None:
        """Nothing has been written."""
        self._file.close()


class _Debris:
    """What a sink leaves behind when it ends without having been committed.

    Attributes:
        partial: the file that has not got its name, from just before it is made.
        file: the same, open.
        keep: leave the partial file.
    """

    def __init__(self, *, keep: bool) -> None:
        self.partial: Path | None = None
        self.file: BinaryIO | None = None
        self.keep = keep
        self._owner = os.getpid()

    def create(self, path: Path, mode: int) -> BinaryIO:
        """Make a partial file beside `path`."""
        stem = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
        while True:
            partial = self.partial = path.with_name(f"{stem}.{os.urandom(4).hex()}.partial")
            try:
                file = self.file = os.fdopen(atomic_file.create(partial, mode), "wb")
            except FileExistsError:
                self.partial = None  # somebody else's
            else:
                return file

    def clear(self) -> None:
        """Close the file and remove it."""
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
        # a forked worker holds a copy of its parent's sink and must not clean up for it
        if self.partial is None or self.keep or os.getpid() != self._owner:
            return
        with suppress(OSError):  # a stray partial file does no harm, and nobody is left to tell
            self.partial.unlink()


def check_target(path: str) -> None:
    """See whether a `FileSink` could be made; nothing is opened or made.

    Raises:
        UsageError, MachineError: as `FileSink` has it.
    """
    with refusing(path):
        old = _status_of(Path(path))
        new = old is None or stat.S_ISREG(old.st_mode)
        written = os.path.dirname(os.path.realpath(path)) if new else path
        os.stat(f"{written}/" if new else written)
        if not os.access(written, os.W_OK | (os.X_OK if new else 0)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """Make of the system's errors what is said of a file that cannot be written."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError, FileNotFoundError, ValueError) as error:
        raise UsageError(f"cannot write {printable(path)}: {_reason(error)}") from error
    except OSError as error:
        raise MachineError(f"cannot write {printable(path)}: {_reason(error)}") from error


def _status_of(path: Path) -> os.stat_result | None:
    """What is there; None if nothing is. A directory is an error."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(0, "it is a directory")
    return found


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or str(error)
