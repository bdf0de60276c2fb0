"""Programs that give credentials (``--credential-helper``), by the protocol that Bazel calls.

``CMD get`` is told ``{"uri": URL}``, and says ``{"headers": {NAME: [VALUE]}, "expires": DATE}``.
What it says is kept for the origin, in each worker, until it ends or is refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from pdl.http_rules.redirects import may_be_told
from pdl.model import FailureKind
from pdl.named_tuple import NamedTuple
from pdl.settings import header_fault
from pdl.text.masking import mask_urls, printable
from pdl.transport import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import Headers
    from pdl.text.rules import Receiver
    from pdl.text.urls import Url

SECONDS = 30.0
"""What a helper may take."""
BYTES_MOST = 64 * 1024
"""What it may say."""
AT_ONCE = 4
"""How many of them a worker starts at once."""
TEMPORARY = 75
"""The exit code (EX_TEMPFAIL) that means: later it may go well."""
_WORDS_MOST = 200
_LOOK_SECONDS = 0.1
_EARLY = 5.0
"""Seconds before its end in which what was said is not used any more."""

Origin = tuple[str, str, int]


class HelperFailed(TransportError):
    """There are no credentials; the message says why.

    Args:
        transient: later there may be some.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(FailureKind.HELPER, message, transient=transient)


class Command(NamedTuple):
    """A helper.

    Attributes:
        receiver: whom it is for; None for every origin that is listed.
        words: the program and its arguments.
    """

    receiver: Receiver | None
    words: tuple[str, ...]


class _Said(NamedTuple):
    fields: Headers
    until: float | None


class Helpers:
    """Those of one worker, and what they have said.

    Args:
        commands: the first that fits is asked.
        changed: called when what is kept has changed.
    """

    def __init__(self, commands: Sequence[Command], changed: Callable[[], None]) -> None:
        self._commands = tuple(commands)
        self._changed = changed
        self._kept: dict[Origin, _Said] = {}
        self._locks: dict[Origin, threading.Lock] = {}
        self._making = threading.Lock()
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def words_for(self, listed: Url, current: Url) -> tuple[str, ...] | None:
        """The helper that is asked for a request, or None."""
        for receiver, words in self._commands:
            if receiver is None:
                if current.origin == listed.origin:
                    return words
            elif receiver.host == current.host and receiver.port in {None, current.port}:
                return words if may_be_told(listed, current) else None
        return None

    def fields(self, current: Url) -> Headers | None:
        """What is kept for the URL's origin; None if the helper is to be asked."""
        said = self._kept.get(current.origin)
        if said is None or (said.until is not None and said.until <= time.time()):
            return None
        return said.fields

    def refused(self, current: Url, fields: Headers) -> None:
        """The server has refused what was sent; another lane may have got something newer."""
        with self._making:
            said = self._kept.get(current.origin)
            if said is not None and said.fields == fields:
                del self._kept[current.origin]
        self._changed()

    def ask(self, words: tuple[str, ...], current: Url, stopped: Callable[[], bool]) -> None:
        """Ask a helper, unless another lane has meanwhile.

        Args:
            words: of the helper.
            current: whose origin is to be sent what it says.
            stopped: the run is to stop.

        Raises:
            HelperFailed: it said nothing that can be used.
        """
        with self._making:
            lock = self._locks.setdefault(current.origin, threading.Lock())
        with lock:
            if self.fields(current) is not None:
                return
            with self._room:
                said = _parsed(_run(words, current.request_url, stopped))
            if said.until is not None and said.until <= time.time():
                raise HelperFailed("what the helper said has ended already")
            self._kept[current.origin] = said
        self._changed()
        if said.until is not None:
            timer = threading.Timer(max(0.0, said.until - time.time()), self._changed)
            timer.daemon = True
            timer.start()


class HelperTurn:
    """A request that has to wait for a helper; see `pdl.fetch.commands.Ask`."""

    once = False

    def __init__(self, helpers: Helpers, words: tuple[str, ...], current: Url) -> None:
        self._helpers, self._words, self._current = helpers, words, current

    def wait(self, stopped: Callable[[], bool], _seconds: float) -> bool:
        """Ask it; then the request is to be made anew.

        Raises:
            HelperFailed: as `Helpers.ask`.
        """
        self._helpers.ask(self._words, self._current, stopped)
        return True

    def answered(self) -> None:
        """There is nothing to let go of."""

    def leave(self) -> None:
        """The same."""


def _run(words: tuple[str, ...], url: str, stopped: Callable[[], bool]) -> bytes:
    """What the helper says."""
    from json import dumps  # where one is asked

    shown = printable(os.path.basename(words[0]))
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own program, and no shell
            [*words, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        raise HelperFailed(f"the helper {shown} cannot be run: {exc.strerror or exc}") from None
    talk = _Talk(process)
    try:
        talk.begin(dumps({"uri": url}).encode())
        end = time.monotonic() + SECONDS
        while not talk.done(_LOOK_SECONDS):
            if talk.too_much():
                raise HelperFailed(f"the helper {shown} said more than {BYTES_MOST} bytes")
            if stopped() or time.monotonic() > end:
                raise HelperFailed(f"the helper {shown} took more than {SECONDS:g} s")
    finally:
        talk.end()
    if talk.too_much():
        raise HelperFailed(f"the helper {shown} said more than {BYTES_MOST} bytes")
    if process.returncode:
        words_said = _first_line(talk.complaint)
        why = f": {words_said}" if words_said else ""
        raise HelperFailed(
            f"the helper {shown} failed with exit code {process.returncode}{why}",
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

    def begin(self, told: bytes) -> None:
        for work in (lambda: self._tell(told), self._hear, self._hear_complaint):
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
    return mask_urls(line)[:_WORDS_MOST]


def _parsed(said: bytes) -> _Said:
    from json import loads  # where one is asked

    try:
        found = loads(said)
        fields = [
            (name, value)
            for name, values in found.get("headers", {}).items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        expires = found.get("expires")
        good = not any(header_fault(name, value) for name, value in fields)
        until = None if expires is None else _time_of(expires) - _EARLY
    except (ValueError, AttributeError, TypeError, RecursionError, OverflowError):
        raise HelperFailed("what the helper said is not what helpers say (JSON)") from None
    if not good:
        raise HelperFailed("the helper said header fields that cannot be sent")
    return _Said(tuple(fields), until)


def _time_of(expires: str) -> float:
    from datetime import datetime  # as above

    whole = re.sub(r"\.[0-9]+", "", expires)  # older versions of Python take no such fractions
    date = datetime.fromisoformat(whole.replace("Z", "+00:00"))
    return date.timestamp()
