"""Programs that give credentials (``--credential-helper``), by the protocol that Bazel calls.

``CMD get`` is told ``{"uri": URL}``, and says ``{"headers": {NAME: [VALUE]}, "expires": DATE}``.
What it says is kept for the origin, in each worker, until it ends or is refused.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

from pdl.auth.programs import HelperFailed, Turn, run
from pdl.http_rules.redirects import may_be_told
from pdl.text.named_tuple import NamedTuple
from pdl.text.rules import header_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import Headers
    from pdl.text.rules import Receiver
    from pdl.text.urls import Url

_EARLY = 5.0
"""Seconds before its end in which what was said is not used any more."""

Origin = tuple[str, str, int]


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


class _Failed(NamedTuple):
    error: HelperFailed
    until: float


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
        self._failed: dict[Origin, _Failed] = {}
        self._locks: dict[Origin, threading.Lock] = {}
        self._making = threading.Lock()

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

        That it has failed is believed for as long as it took: of many lines that wait for one that
        hangs, only the first waits in vain.

        Args:
            words: of the helper.
            current: whose origin is to be sent what it says.
            stopped: the run is to stop.

        Raises:
            HelperFailed: it said nothing that can be used.
        """
        origin = current.origin
        with self._making:
            lock = self._locks.setdefault(origin, threading.Lock())
        with lock:
            if self.fields(current) is not None:
                return
            begun, before = time.monotonic(), self._failed.get(origin)
            if before is not None and begun < before.until:
                raise HelperFailed(before.error.message, transient=before.error.transient)
            try:
                said = _heard(words, current, stopped)
            except HelperFailed as exc:
                now = time.monotonic()
                self._failed[origin] = _Failed(exc, now + (now - begun))
                raise
            self._kept[origin] = said
        self._changed()
        if said.until is not None:
            timer = threading.Timer(max(0.0, said.until - time.time()), self._changed)
            timer.daemon = True
            timer.start()


class HelperTurn(Turn):
    """A request that has to wait for a helper."""

    def __init__(self, helpers: Helpers, words: tuple[str, ...], current: Url) -> None:
        self._helpers, self._words, self._current = helpers, words, current

    def wait(self, stopped: Callable[[], bool], _seconds: float) -> bool:
        """Ask it; then the request is to be made anew.

        Raises:
            HelperFailed: as `Helpers.ask`.
        """
        self._helpers.ask(self._words, self._current, stopped)
        return True


def _heard(words: tuple[str, ...], current: Url, stopped: Callable[[], bool]) -> _Said:
    from json import dumps  # where one is asked

    told = dumps({"uri": current.request_url}).encode()
    said = _parsed(run((*words, "get"), told, stopped, "the helper"))
    if said.until is not None and said.until <= time.time():
        raise HelperFailed("what the helper said has ended already")
    return said


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
