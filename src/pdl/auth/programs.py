"""Programs of the user's that know what pdl does not: one is run, heard out, and always ended.

There is no shell. A program has `SECONDS`, and may say `BYTES_MOST`; it and all that it has started
are ended with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from pdl.model import FailureKind
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask_urls, printable
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 30.0
"""What a program may take."""
BYTES_MOST = 64 * 1024
"""What it may say."""
AT_ONCE = 4
"""How many of them a worker runs at once."""
TEMPORARY = 75
"""The exit code (EX_TEMPFAIL) that means: later it may go well."""
_WORDS_MOST = 200
_LOOK_SECONDS = 0.1
_QUERY = lazy(r"(://[^\s?]*\?)\S+")

_ROOM = threading.BoundedSemaphore(AT_ONCE)
"""Is held while a program runs."""


class HelperFailed(TransportError):
    """A program gave nothing that can be used; the message says why.

    Args:
        transient: later it may.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(FailureKind.HELPER, message, transient=transient)


class Turn:
    """A request that has to wait for a program; see `pdl.fetch.commands.Ask`."""

    once = False

    def wait(self, stopped: Callable[[], bool], seconds: float) -> bool:
        """Run it; whether the request is to be made anew.

        Raises:
            HelperFailed: it gave nothing that can be used.
        """
        raise NotImplementedError

    def answered(self) -> None:
        """There is nothing to let go of."""

    def leave(self) -> None:
        """The same."""


def run(
    words: tuple[str, ...], told: bytes | None, stopped: Callable[[], bool], what: str
) -> bytes:
    """What a program says.

    Args:
        words: it, and its arguments.
        told: what it reads; None for nothing.
        stopped: the run is to stop.
        what: it is called in messages.

    Raises:
        HelperFailed: it cannot be run, fails, says too much or takes too long.
    """
    what = f"{what} {printable(os.path.basename(words[0]))}"
    with _ROOM:
        if stopped():
            raise HelperFailed(f"{what} was not asked: the run was stopped", transient=True)
        return _heard(words, told, stopped, what)


def _heard(
    words: tuple[str, ...], told: bytes | None, stopped: Callable[[], bool], what: str
) -> bytes:
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own program, and no shell
            words,
            stdin=subprocess.DEVNULL if told is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise HelperFailed(f"{what} cannot be run: {why}") from None
    talk = _Talk(process)
    try:
        talk.begin(told)
        end = time.monotonic() + SECONDS
        while not talk.done(_LOOK_SECONDS):
            if talk.too_much():
                raise HelperFailed(f"{what} said more than {BYTES_MOST} bytes")
            if stopped() or time.monotonic() > end:
                raise HelperFailed(f"{what} took more than {SECONDS:g} s")
    finally:
        talk.end()
    if talk.too_much():
        raise HelperFailed(f"{what} said more than {BYTES_MOST} bytes")
    if process.returncode:
        complaint = _first_line(talk.complaint)
        why = f": {complaint}" if complaint else ""
        raise HelperFailed(
            f"{what} failed with exit code {process.returncode}{why}",
            transient=process.returncode == TEMPORARY,
        )
    return talk.said


class _Talk:
    """What goes to a process and comes from it; nothing that it does can hold this up."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._threads: list[threading.Thread] = []
        self.said = b""
        self.complaint = b""

    def begin(self, told: bytes | None) -> None:
        works: list[Callable[[], None]] = [self._hear, self._hear_complaint]
        if told is not None:
            works.append(partial(self._tell, told))
        for work in works:
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _tell(self, told: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(told)
            self._process.stdin.close()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            self.said = self._process.stdout.read(BYTES_MOST + 1)

    def _hear_complaint(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            self.complaint = self._process.stderr.read(BYTES_MOST + 1)

    def too_much(self) -> bool:
        return max(len(self.said), len(self.complaint)) > BYTES_MOST

    def done(self, seconds: float) -> bool:
        """Wait so long; whether the process has ended and all has been heard."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return False
        try:
            self._process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it and all that it has started."""
        if self._process.returncode is None:  # else its number may be another's by now
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for thread in self._threads:
            thread.join(1)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _first_line(complaint: bytes) -> str:
    lines = complaint.decode("utf-8", "replace").splitlines()
    line = next((" ".join(each.split()) for each in lines if each.strip()), "")
    return _QUERY.sub(r"\1***", mask_urls(line))[:_WORDS_MOST]
