"""What a driver tells an attempt and is told by it, see `pdl.fetch.attempt`: plain values."""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pdl.integrity.check import ALGORITHM
from pdl.model import Fail, Pin, Success, Version
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from pdl.auth.logins import Login
    from pdl.auth.programs import Turn
    from pdl.fetch.failures import AttemptFailed
    from pdl.storage.cache.store import CacheEntry
    from pdl.transport import Request


FROM_CACHE = "from the cache"
FIND_OUT = Pin()
"""Makes a check find out the SHA-256."""


class Head(Protocol):
    """The head of an answer; a `pdl.transport.Response` is one."""

    @property
    def status(self) -> int:
        """Status code, never 1xx."""

    @property
    def reason(self) -> str:
        """The server's words for it."""

    @property
    def length(self) -> int | None:
        """Bytes its body will have; None where only the end tells."""

    @property
    def framed(self) -> bool:
        """Whether the end of the body can be told from a cut connection."""

    def header(self, name: str, /) -> str | None:
        """A field's value, or None; the name is in lower case."""


class Offer(NamedTuple):
    """A file of the cache that may be the one.

    Attributes:
        entry: what is known of it.
        size: in bytes; 0 where that is still to be seen.
        sure: it has the digest that is asked for, so that no server is asked.
    """

    entry: CacheEntry
    size: int
    sure: bool

    def proof(self) -> str:
        """What its bytes were held against."""
        return f"{ALGORITHM}:{self.entry.sha256}"

    def version(self) -> Version:
        """What its server named it by, to ask whether it still is that."""
        entry = self.entry
        named_by = (entry.giver, entry.bare, entry.etag, entry.modified)
        return Version(0, *named_by, self.size, 0, (self.proof(),))

    def named(self, version: Version | None) -> Version | None:
        """The version that was placed, with what its server named it by when it gave it."""
        entry = self.entry
        if version is None or not entry.giver:
            return version
        return version._replace(
            giver=entry.giver, bare=entry.bare, etag=entry.etag, modified=entry.modified
        )


class Do(enum.Enum):
    """Commands that say it all; each is followed by the event that is named last."""

    FIND = "look for a part that can be gone on with: found"
    LOOK = "look for a file that an attempt has placed that was killed: looked"
    COMPARE = "look whether the file at the path still is `version`: compared"
    COPY = "fill the part from the cache: copied"
    START = "open an empty part (`pdl.storage.note.note_of`): opened"
    GO_ON = "open the part where `known` ends: opened; if it is shorter: error(StartAgain)"
    PROVE = "finish `check`: proven_as; if the bytes are wrong: error(Mismatch)"


class Ask(NamedTuple):
    """Send a request, and tell the `Attempt.head` of its answer.

    Attributes:
        drain: read what is left of the last answer before, if that is little.
        drop: the part does not lead to the file, and goes before.
        login: wait for it before; if it has brought anything, the listed URL is asked again.
    """

    request: Request
    drain: bool = False
    drop: bool = False
    login: Login | Turn | None = None


class Receive(NamedTuple):
    """Append the body to the part.

    `Attempt.opening` is to see bytes before they are kept, `Attempt.check` all of the part's. Tell
    what it `took`, then the `end`, and when the check has had all, that the part is `complete`.

    Attributes:
        size: bytes the file will have, if anyone knows: there must be room for them.
        body: False if there is nothing to read, the part is whole.
    """

    size: int | None
    body: bool


class Refuse(NamedTuple):
    """Read what is left of the answer, if that is little; then tell the `Attempt.error`."""

    failure: AttemptFailed


class Place(NamedTuple):
    """Give the part its name; the parts of other mirrors go. Then tell `Attempt.placed`.

    Attributes:
        modified: time of the last change in seconds since the epoch, or None for now.
    """

    modified: float | None


place_of = partial(tuple.__new__, Place)
"""As `Place`, of a tuple; calling the class takes four times as long."""

Command = Do | Ask | Receive | Refuse | Place | Success | Fail
