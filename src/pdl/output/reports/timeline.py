"""How a run went on: what each lane did when, how much came when, and what happened to hosts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Span, Standing

SAMPLES = 1200
"""Points of the curve that are kept at the most; a page has room for about as many."""
EVENTS = 5000
"""Events of hosts that are kept; the page says that there were more."""
_HOST_TEXT = 200


class Timeline:
    """Takes what happens in a run, at times since its own beginning. It grows no further.

    Args:
        put: takes each span as a list: its source and line, its lane, milliseconds of its begin
            and of how long it took, those to the first byte or None, bytes, and, only where there
            is something to say, the word of the failure and whether it helped.
        clock: as `time.monotonic`.

    Attributes:
        samples: seconds, and bytes received until then.
        events: seconds, host, what happened, why, and for how many seconds or None.
        lost: events for which there was no room.
    """

    def __init__(
        self, put: Callable[[Span, list[object]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._put = put
        self._clock = clock
        self._zero = clock()
        self._every = self._next = 0.0
        self.samples: list[tuple[float, int]] = []
        self.events: list[tuple[float, str, str, str, float | None]] = []
        self.lost = 0

    def seconds(self) -> float:
        """How long ago it began."""
        return self._clock() - self._zero

    def span(self, span: Span) -> None:
        """Hand it on in milliseconds."""
        took = max(0.0, span.ended - span.began)
        first = None if span.first is None else _milliseconds(min(span.first, took))
        told: list[object] = [span.line, span.lane, _milliseconds(span.began - self._zero)]
        told += [_milliseconds(took), first, span.received]
        if span.word or span.helps:
            told.append(span.word)
        if span.helps:
            told.append(1)
        self._put(span, told)

    def tick(self, standing: Standing) -> None:
        """Keep a point of the curve; every other one goes where there are too many."""
        at = standing.now - self._zero
        if at < self._next:
            return
        self.samples.append((round(at, 3), standing.received))
        if len(self.samples) >= SAMPLES:
            del self.samples[1::2]
            self._every = max(2 * self._every, 2 * at / SAMPLES)
        self._next = at + self._every

    def happened(self, event: HostEvent) -> None:
        """Keep it, if there is room."""
        if len(self.events) >= EVENTS:
            self.lost += 1
            return
        host, why = event.host[:_HOST_TEXT], event.why[:_HOST_TEXT]
        self.events.append((round(self.seconds(), 3), host, event.what, why, event.seconds))


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
