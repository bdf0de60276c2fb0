"""A text stream that may break without anybody noticing.

Downloads go on when standard error is closed, full or gone with its terminal, so whatever is
written for people passes through `Out`, which falls silent at the first failure.
"""

from __future__ import annotations

import io
import os
import select
import shutil
from typing import TextIO

_ASCII_LOCALES = {"C", "POSIX"}


class Out:
    """Writes text to `stream` until that fails; None is a stream that was never there.

    Attributes:
        broken: a write has failed; everything since was dropped.
        error: why, if there ever was a stream.

    Args:
        patient: wait for a stream that takes no more just now, as one does that blocks; else what
            it does not take is lost.
    """

    def __init__(self, stream: TextIO | None, *, patient: bool = False) -> None:
        self._patient = patient
        self.broken = stream is None
        self.error: OSError | ValueError | None = None
        self._stream: TextIO = stream if stream is not None else io.StringIO()
        self._fd = _descriptor(self._stream)
        self._encoding = getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> None:
        """Write all of `text` at once and keep none of it in a buffer."""
        if self.broken:
            return
        try:
            self._send(self.encodable(text))
        except BlockingIOError:
            return  # a terminal somebody made non-blocking is full: this text is lost, not the rest
        except (OSError, ValueError) as error:
            self.broken, self.error = True, error

    def encodable(self, text: str) -> str:
        """`text` with everything escaped that the stream's encoding cannot express."""
        if text.isascii():
            return text
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def draws(self, char: str) -> bool:
        """Whether a character that is no letter can be shown: it can be written, and is wanted.

        Python writes UTF-8 in the locale C as well, but whoever has set that one wants ASCII.
        """
        return self.encodable(char) == char and not _in_ascii_locale()

    def is_terminal(self) -> bool:
        """Whether the stream is a terminal that can move its cursor."""
        try:
            return self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        except ValueError:  # closed
            return False

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal now; 80 by 24 where nobody knows."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            size = shutil.get_terminal_size()
        return size.columns or 80, size.lines or 24

    def _send(self, text: str) -> None:
        if self._fd is None:
            self._stream.write(text)
            self._stream.flush()
            return
        # Past Python's buffer: text that could not be written would stay in it, fail again when
        # the interpreter exits, and turn the exit code into 120.
        self._stream.flush()
        rest = memoryview(text.encode(self._encoding, "backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                if not self._patient:
                    raise
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                writable.poll()


def _in_ascii_locale() -> bool:
    names = [os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if names[2] in _ASCII_LOCALES and names[1] == "C.UTF-8":
        names[1] = None  # Python itself has put it there (PEP 538)
    return next(filter(None, names), None) in _ASCII_LOCALES


def _descriptor(stream: TextIO) -> int | None:
    # A stand-in (a notebook's, a test's) may name a descriptor that is not where its text goes.
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
