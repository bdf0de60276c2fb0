"""What one file's bytes are held against: a whole digest, digests of pieces, or both.

The list's digest rules. What the server declares counts where the list knows nothing, and beside
the list's it tells whose fault a mismatch is, if it is of the same algorithm. A lock's digest holds
beside all of these. `examine` holds a file that is there against them, and asks no server.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Any, Protocol

from pdl.integrity.digests import Verifier, new_hash, strength
from pdl.model import ON_DISK, Answer, Fail, FailureKind, Success
from pdl.text.units import amounts_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.integrity.declared_digests import Declared
    from pdl.model import Pieces, Pin, Task

ALGORITHM = "sha256"
"""Of the digests in lock files."""
BUFFER = 512 * 1024
"""Bytes to read at once; only the pages that were used take memory."""
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Not blocking, for what was a file a moment ago may be a pipe now."""


class Mismatch(Exception):
    """The bytes are not what they should be.

    Attributes:
        message: with both digests.
        transient: whether they may have been spoilt on the way.
        sound: as many from the start are known to be right; None where nothing is known of that.
    """

    def __init__(self, message: str, *, transient: bool, sound: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.transient = transient
        self.sound = sound


class Check:
    """Takes a file's bytes as they come, and says in the end what they were proven to be.

    Args:
        whole: the digest of all bytes, as `Verifier` takes it, or None.
        pieces: of their parts, or None.
        declared: what the server said of them, or None.
        pin: what a lock has of them, or None; with one, their SHA-256 is found out.
        digests: algorithms, by which they are digested besides.

    Attributes:
        digests: those, each ``algorithm:hex``, once the bytes are known to be right.
    """

    def __init__(
        self,
        whole: str | None,
        pieces: Pieces | None,
        declared: Declared | None = None,
        pin: Pin | None = None,
        digests: tuple[str, ...] = (),
    ) -> None:
        self._of = (whole, pieces, declared, pin, digests)
        self._listed = whole is not None
        self._declared = declared
        if whole is None and pieces is None and declared is not None:
            whole = declared.checksum
        self._whole = Verifier(whole) if whole else None
        self._pieces = PieceVerifier(pieces) if pieces else None
        self._pin = pin
        self._sha256: Verifier | None = None
        if pin is not None and (self._whole is None or self._whole.algorithm != ALGORITHM):
            self._sha256 = Verifier(f"{ALGORITHM}:")
        taken = {each.algorithm: each for each in (self._whole, self._sha256) if each is not None}
        self._more = {name: Verifier(f"{name}:") for name in digests if name not in taken}
        self._wanted = [(taken | self._more)[name] for name in digests]
        self.digests: tuple[str, ...] = ()

    def anew(self) -> Check:
        """One that knows the same, and has seen no bytes."""
        return Check(*self._of)

    def update(self, data: memoryview) -> None:
        """Take the next bytes.

        Raises:
            Mismatch: a piece is wrong.
        """
        if self._pieces is not None:
            self._pieces.update(data)
        if self._whole is not None:
            self._whole.update(data)
        if self._sha256 is not None:
            self._sha256.update(data)
        for each in self._more.values():
            each.update(data)

    def finish(self) -> str:
        """There are no more bytes.

        Returns:
            What they were held against, for the report: ``algorithm:hex``, or ``pieces:algorithm``;
            with a pin their SHA-256; if they were held against nothing, the first digest.

        Raises:
            Mismatch: they are wrong.
        """
        proven = ""
        if self._whole is not None:
            if not self._whole.agrees():
                raise self._wrong(self._whole)
            proven = self._whole.actual()
        elif self._pieces is not None:
            proven = self._pieces.finish()
        if self._sha256 is not None:
            proven = self._sha256.actual()
        pin = self._pin
        if pin is not None and pin.checksum not in {None, proven}:
            message = f"the digest is {proven}, {pin.where} has {pin.checksum}"
            raise Mismatch(message, transient=False)
        self.digests = tuple(each.actual() for each in self._wanted)
        return proven or next(iter(self.digests), "")

    def _wrong(self, whole: Verifier) -> Mismatch:
        declared, actual = self._declared, whole.actual()
        if not self._listed and declared is not None:
            message = f"the server declared {declared.checksum} ({declared.field}), "
            return Mismatch(f"{message}the bytes have {actual}", transient=True)
        message = f"the digest is {actual}, expected {whole.expected}"
        if declared is None or declared.checksum.partition(":")[0] != whole.algorithm:
            return Mismatch(message, transient=False)
        if declared.checksum == actual:
            return Mismatch(f"{message}; the server declares the former", transient=False)
        return Mismatch(f"{message}; the server declared {declared.checksum}", transient=True)

    @property
    def remark(self) -> str:
        """For the report, where it is not the list that the bytes were held against."""
        if self._listed or self._pieces is not None or self._declared is None:
            return ""
        return f"digest as declared by the server ({self._declared.field})"


class PieceVerifier:
    """Digests each piece (RFC 5854 section 4.1.3) and compares it as soon as it is complete."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._size = strength(pieces.algorithm)
        self._count = len(pieces.digests) // self._size
        self._index = 0
        self._begin()

    def _begin(self) -> None:
        self._hash: Any = new_hash(self._pieces.algorithm)
        self._left = self._pieces.length

    def update(self, data: memoryview) -> None:
        """Take the next bytes.

        Raises:
            Mismatch: a piece is wrong; or there are more bytes than pieces.
        """
        while data:
            if self._index == self._count:
                message = f"longer than the {self._count} pieces that the list has"
                raise Mismatch(message, transient=False)
            self._hash.update(data[: self._left])
            taken = min(self._left, len(data))
            self._left -= taken
            data = data[taken:]
            if not self._left:
                self._end()

    def _end(self) -> None:
        start = self._index * self._size
        expected = self._pieces.digests[start : start + self._size].hex()
        actual = self._hash.hexdigest()
        if actual != expected:
            message = (
                f"piece {self._index + 1} of {self._count} has {self._pieces.algorithm}:{actual}, "
                f"expected {expected}"
            )
            raise Mismatch(message, transient=True, sound=self._index * self._pieces.length)
        self._index += 1
        self._begin()

    def finish(self) -> str:
        """There are no more bytes; returns ``pieces:algorithm``.

        Raises:
            Mismatch: the last piece is wrong, or some are missing.
        """
        if self._left != self._pieces.length:
            self._end()
        if self._index != self._count:
            message = f"ends after piece {self._index} of the {self._count} that the list has"
            raise Mismatch(message, transient=False)
        return f"pieces:{self._pieces.algorithm}"


def wrong_pieces(
    pieces: Pieces, read: Callable[[memoryview, int], int], buffer: memoryview, begin: int
) -> list[tuple[int, int]]:
    """Which ranges of a file have bytes that are not what its pieces should be.

    Args:
        pieces: of the file.
        read: fills some of a buffer from an offset of the file; 0 at its end.
        buffer: is read into.
        begin: bytes from the start that are known to be right.
    """
    size = strength(pieces.algorithm)
    wrong = []
    for number in range(begin // pieces.length, len(pieces.digests) // size):
        digest = pieces.digests[number * size : (number + 1) * size]
        piece = PieceVerifier(pieces._replace(digests=digest))
        start = at = number * pieces.length
        try:
            while count := read(buffer[: start + pieces.length - at], at):
                piece.update(buffer[:count])
                at += count
            piece.finish()
        except Mismatch:
            wrong.append((start, start + pieces.length))
    return wrong


def check_of(
    task: Task,
    declared: Declared | None,
    pin: Pin | None = None,
    digests: tuple[str, ...] = (),
) -> Check | None:
    """What a task's bytes are to be held against; None if nothing is known or asked of them.

    Args:
        task: has what the list and the lock know.
        declared: as `Check` has it.
        pin: in place of the task's, where it has none.
        digests: as `Check` has it.
    """
    pin = task.pin or pin
    known = pin or declared or digests
    if not known and task.checksum is None and task.pieces is None:
        return None
    return Check(task.checksum, task.pieces, declared, pin, digests)


def has_digest(task: Task) -> bool:
    """Whether the list or the lock knows what all bytes of the task's file must be."""
    pinned = task.pin is not None and task.pin.checksum is not None
    return pinned or task.checksum is not None or task.pieces is not None


def wanted_size(task: Task) -> int | None:
    """Bytes the task's file must have, by the list or else by the lock; None if neither says."""
    if task.size is None and task.pin is not None:
        return task.pin.size
    return task.size


def size_fault(task: Task, size: int) -> str:
    """What to say of a file that has not its `wanted_size`."""
    pin = task.pin
    expected, where = task.size, "list"
    if expected is None and pin is not None:
        expected, where = pin.size, f"{pin.where}, {pin.checksum}"
    texts = amounts_text(size, expected or 0)
    return f"{texts[0]}, expected {texts[1]} ({where})"


class _Wrong(Exception):
    """The file is not what it should be."""

    def __init__(self, kind: FailureKind, message: str, size: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.size = size


class Watcher(Protocol):
    """Is told how far the look at a file is; a pool's meter is one."""

    def looked(self, count: int, size: int) -> None:
        """So many bytes of so many have been read."""

    def stopped(self) -> bool:
        """Whether the run is to stop."""


def examine(
    task: Task,
    directory: str,
    buffer: memoryview,
    watcher: Watcher,
    digests: tuple[str, ...] = (),
) -> Answer:
    """Look at the task's file; its bytes are read only if a digest is known or asked for.

    Args:
        task: what the file should be.
        directory: the output directory.
        buffer: is read into.
        watcher: is told how far it is.
        digests: as `Check` has it; they are the answer's `Success.facts`.
    """
    began = time.monotonic()
    size: int | None = None
    try:
        check = check_of(task, None, None, digests)
        size, found = _look(task, check, f"{directory}/{task.path}", buffer, watcher)
    except _Wrong as exc:
        kind, message, size = exc.kind, exc.message, exc.size
    except (FileNotFoundError, NotADirectoryError):
        kind, message = FailureKind.MISSING, f"there is no file {task.path}"
    except OSError as exc:
        kind, message = FailureKind.DISK, f"{exc.strerror or exc} ({directory}/{task.path})"
    else:
        spent = time.monotonic() - began
        answer = Success("success", task.id, 0, "", 0, size, 0, spent, checksum=found)
        found_out = (None, None, None, check.digests, None) if check and digests else None
        return answer if found_out is None else answer._replace(facts=found_out)
    return Fail(
        "fail",
        task.id,
        kind,
        transient=kind is FailureKind.CANCELLED,
        message=message,
        size=size,
        seconds=time.monotonic() - began,
    )


def _look(
    task: Task, check: Check | None, path: str, buffer: memoryview, watcher: Watcher
) -> tuple[int, str | None]:
    """The file's size and digest, the latter None where none is known or asked for."""
    size = _size_of(task, os.stat(path))
    if check is None:
        return size, None
    fd = os.open(path, _READ)
    try:
        size = _size_of(task, os.fstat(fd))
        size = _digest(check, fd, buffer, size, watcher)
        return size, check.finish()
    except Mismatch as exc:
        message = f"{task.path} {ON_DISK}: {exc.message}"
        raise _Wrong(FailureKind.CHECKSUM, message, size) from exc
    finally:
        os.close(fd)


def _size_of(task: Task, found: os.stat_result) -> int:
    if not stat.S_ISREG(found.st_mode):
        raise _Wrong(FailureKind.EXISTS, f"{task.path} is there and is not a file")
    if wanted_size(task) not in {None, found.st_size}:
        fault = size_fault(task, found.st_size)
        raise _Wrong(FailureKind.SIZE, f"{task.path} {ON_DISK}: {fault}", found.st_size)
    return found.st_size


def _digest(check: Check, fd: int, buffer: memoryview, size: int, watcher: Watcher) -> int:
    done = 0
    while count := os.readv(fd, [buffer]):
        check.update(buffer[:count])
        done += count
        watcher.looked(done, max(done, size))
        if watcher.stopped():
            raise _Wrong(FailureKind.CANCELLED, "the run was stopped")
    return done
