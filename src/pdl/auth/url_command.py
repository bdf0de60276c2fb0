"""The program that gives the URL of a file (``--url-command``).

``CMD URL`` is told the listed URL as its last argument, and prints one that can be downloaded, with
header fields in the lines below it. What it prints may be a secret as a whole, a signed link say:
of its query nothing is shown. It is kept for the listed URL, in each worker, until it is refused.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from pdl.auth.programs import HelperFailed, Turn, run
from pdl.text.named_tuple import NamedTuple
from pdl.text.rules import header_fault
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Headers

STATUSES = frozenset({401, 403, 410})
"""They may mean that a URL is no longer the one to ask."""
KEPT = 1024
"""URLs that are kept in a worker."""
_WHAT = "the URL command"


class Printed(NamedTuple):
    """What the command has printed.

    Attributes:
        url: to ask.
        fields: that go to its origin alone.
    """

    url: Url
    fields: Headers

    def secrets(self) -> set[str]:
        """What must not be shown of it."""
        query, userinfo = self.url.query or "", self.url.userinfo.split(":")
        found = {query, *userinfo, *(each.partition("=")[2] for each in query.split("&"))}
        return {form for each in found if each for form in (each, unquote_plus(each))}


class UrlCommand:
    """The command in one worker, and what it has printed.

    Args:
        words: the program and its arguments.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self._kept: dict[str, Printed] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._making = threading.Lock()

    def kept(self, listed: Url) -> Printed | None:
        """What it has printed for the URL, and nobody has refused."""
        return self._kept.get(listed.request_url)

    def may_know(self, status: int | None) -> bool:
        """Whether it may know another URL where a server answers so."""
        return status in STATUSES

    def refused(self, listed: Url, printed: Printed | None) -> None:
        """That is no longer the URL to ask; another lane may have got another by now."""
        key = listed.request_url
        with self._making:
            if printed is not None and self._kept.get(key) is printed:
                del self._kept[key]

    def ask(self, listed: Url, stopped: Callable[[], bool]) -> None:
        """Run the command, unless another lane has meanwhile.

        Raises:
            HelperFailed: it printed nothing that can be asked.
        """
        key = listed.request_url
        with self._making:
            lock = self._locks.setdefault(key, threading.Lock())
        try:
            with lock:
                if key not in self._kept:
                    printed = printed_in(run((*self.words, key), None, stopped, _WHAT))
                    with self._making:
                        while len(self._kept) >= KEPT:
                            del self._kept[next(iter(self._kept))]
                        self._kept[key] = printed
        finally:
            with self._making:
                self._locks.pop(key, None)


class UrlTurn(Turn):
    """A request that has to wait for the command.

    Args:
        command: of the worker.
        listed: URL.
        status: with which it was refused; 0 if nobody was asked.
    """

    def __init__(self, command: UrlCommand, listed: Url, status: int = 0) -> None:
        self._command, self._listed, self._status = command, listed, status

    def wait(self, stopped: Callable[[], bool], _seconds: float) -> bool:
        """Run it; then the request is to be made anew.

        Raises:
            HelperFailed: as `UrlCommand.ask`.
        """
        try:
            self._command.ask(self._listed, stopped)
        except HelperFailed as exc:
            before = f"the server answered {self._status}, and " if self._status else ""
            raise HelperFailed(f"{before}{exc.message}", transient=exc.transient) from None
        return True


def printed_in(said: bytes) -> Printed:
    """What a command means by what it says.

    Raises:
        HelperFailed: it is no URL with header fields below it. The message shows nothing of it.
    """
    try:
        lines = [line.strip(" \t\r") for line in said.decode().strip().split("\n")]
        url = parse(lines[0])
    except UnicodeDecodeError:
        raise HelperFailed(f"{_WHAT} printed what is no text") from None
    except InvalidUrl as exc:
        why = f"no URL that can be downloaded: it {exc}" if lines[0] else "nothing"
        raise HelperFailed(f"{_WHAT} printed {why}") from None
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not line:
            continue
        if not colon or header_fault(name, value.strip()):
            raise HelperFailed(f"{_WHAT} printed a line below the URL that is no header field")
        fields.append((name, value.strip()))
    return Printed(url, tuple(fields))
