"""Faults of kept connections: closed under the client's feet, or fed what nobody asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.behaviours import Close, Pause, Raw, Reset, Then
from servers.files import File
from servers.row import BODY, ETAG, FORGED, Fault

if TYPE_CHECKING:
    import threading

    from servers.wire import Behaviour, Exchange, Script

_GOOD = File(BODY, etag=ETAG)


def _on_reuse(again: Behaviour) -> Script:
    """A connection's first request is answered well, any later one with `again`."""

    def answer(exchange: Exchange) -> None:
        (_GOOD if exchange.seen.nth == 1 else again)(exchange)

    return (answer,)


def closed_after_answer() -> Script:
    return (Then(_GOOD, Close()),)


def closed_when_idle(gate: threading.Event | None = None) -> Script:
    """Closes once the gate is set, or half a second after the answer."""
    return (Then(_GOOD, Pause(300 if gate else 0.5, gate), Close()),)


def closed_on_second_request() -> Script:
    return _on_reuse(Close())


def reset_on_second_request() -> Script:
    return _on_reuse(Reset())


def unsolicited_bytes(
    gate: threading.Event | None = None, forged: threading.Event | None = None
) -> Script:
    """A forged response, once the gate is set, on the connection that is idle by then.

    Args:
        gate: is waited for.
        forged: is set when the kernel has taken the response.
    """

    def tell(_: Exchange) -> None:
        if forged is not None:
            forged.set()

    return (Then(_GOOD, Pause(300 if gate else 0.05, gate), Raw(FORGED), tell),)


FAULTS = (
    Fault(closed_after_answer),
    Fault(closed_when_idle),
    Fault(closed_on_second_request, sent_twice=True),
    Fault(reset_on_second_request, sent_twice=True),
    Fault(unsolicited_bytes, forges=True),
)
"""They show only when a URL of theirs is asked for again, or another on the same server."""
