"""What happens to hosts, as it is told: a sentence for people, the facts of it for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pdl.text.named_tuple import NamedTuple
from pdl.text.units import duration_text

if TYPE_CHECKING:
    from pdl.scheduling.origin import Origin

SHORTEST = 0.1
"""Seconds; one that was away for less has served others meanwhile."""


class HostEvent(NamedTuple):
    """Something that has happened to a host.

    Attributes:
        host: name and port.
        what: it is asked for less at once, or for as many as before; it rests, or answers again; it
            is given up.
        message: that in words.
        why: the word of the last sign of trouble, as ``http-503``.
        jobs: files that it is asked for at once from now on; None for as many as before.
        seconds: that it rests for, or was away; None for neither.
    """

    host: str
    what: Literal["cut", "uncut", "rest", "back", "given-up"]
    message: str
    why: str = ""
    jobs: int | None = None
    seconds: float | None = None


def cut(origin: Origin) -> HostEvent:
    """It is asked for less."""
    assert origin.trouble is not None
    share, why = origin.trouble.share, origin.trouble.why
    message = f"{origin.host} is asked for {share} at once ({why})"
    return HostEvent(origin.host, "cut", message, why, share)


def uncut(origin: Origin) -> HostEvent:
    """Nothing limits it any more but what the user said."""
    return HostEvent(origin.host, "uncut", f"{origin.host} is asked for as many at once as before")


def rests(origin: Origin, seconds: float) -> HostEvent:
    """Nobody asks it for so many seconds."""
    assert origin.trouble is not None
    why = origin.trouble.why
    message = f"{origin.host} rests for {duration_text(seconds)} ({why})"
    return HostEvent(origin.host, "rest", message, why, 1, seconds)


def is_back(origin: Origin, seconds: float) -> HostEvent:
    """It answers again, so many seconds after its trouble began."""
    assert origin.trouble is not None
    after = f" after {duration_text(seconds)}" if seconds >= SHORTEST else ""
    message = f"{origin.host} answers again{after}"
    return HostEvent(origin.host, "back", message, "", origin.trouble.share, seconds)


def given_up(origin: Origin) -> HostEvent:
    """Its lines end."""
    assert origin.trouble is not None
    message = f"{origin.host} is given up: {origin.trouble.reason}"
    return HostEvent(origin.host, "given-up", message, origin.trouble.why)


def network_is_down(why: str, patience: float) -> str:
    """That no host answers any more, for everybody to read."""
    return (
        f"no host answers any more ({why}): the network may be down; "
        f"each is asked again for {patience:g} s (--host-patience)"
    )
