"""The nouns of a run under way: what a display is told.

Immutable values made of plain data; nothing here does any work.
"""

from pdl.named_tuple import NamedTuple


class Transfer(NamedTuple):
    """A download under way, for the display.

    Attributes:
        path: relative to the output directory.
        received: bytes of the file so far, a resumed part included.
        size: of the whole file, or None while unknown.
    """

    path: str
    received: int
    size: int | None


class Waiting(NamedTuple):
    """What a run waits for before it asks a host again, for the display.

    Attributes:
        host: whom it is asked of.
        seconds: until then.
        why: the failure's word, as ``http-503``; empty where it is not known.
        files: that wait for it.
    """

    host: str
    seconds: float
    why: str
    files: int


class Standing(NamedTuple):
    """Where a run stands at one moment, for the display.

    Attributes:
        live: the transfers under way.
        received: bytes of the whole run so far; never falls.
        total: items expected, or None while the list is still being read.
        now: seconds on a clock that never goes back.
        waiting: whom the run waits for before it asks again, if it does.
        limit: bytes a second that all transfers together may have now, or None.
        ahead: items that were read and need a lane, and have none yet.
    """

    live: tuple[Transfer, ...]
    received: int
    total: int | None
    now: float
    waiting: Waiting | None = None
    limit: int | None = None
    ahead: int = 0
