"""The display for programs: one JSON object a line on standard output."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from pdl.output.display.base import SilentDisplay
from pdl.output.display.tally import Tally
from pdl.output.reports.json_ import host_fields, json_line, summary_fields
from pdl.output.sinks import StreamSink

if TYPE_CHECKING:
    from typing import TextIO

    from pdl.model import Result, Retrying
    from pdl.output.terminal import Out
    from pdl.scheduling.host_news import HostEvent
    from pdl.scheduling.progress import Standing, Summary

_EVERY = 1.0


class JsonDisplay(SilentDisplay):
    """One JSON object a line for a program that reads along; notices stay on the other stream."""

    every = True
    hosts = True
    facts = True

    def __init__(self, objects: TextIO | None, notices: Out) -> None:
        super().__init__(notices)
        self._objects = StreamSink(objects, self.notice)
        self._tally = Tally()
        self._next = -math.inf

    @property
    def lost(self) -> bool:
        """See `Display.lost`."""
        return self._objects.lost

    def record(self, result: Result) -> None:
        """``"event": "done"`` with the fields of a report row."""
        self._tally.record(result)
        self._emit("done", **result._asdict())

    def retrying(self, event: Retrying) -> None:
        """``"event": "retry"``; `delay` in seconds."""
        self._tally.retrying(event)
        self._emit("retry", **event._asdict())

    def happened(self, event: HostEvent) -> None:
        """``"event": "host"`` with the fields of a `HostEvent`."""
        self._emit("host", **event._asdict())

    def resized(self, jobs: int) -> None:
        """``"event": "jobs"``: so many downloads may be in flight from now on."""
        self._emit("jobs", jobs=jobs)

    def finish(self, summary: Summary) -> None:
        """``"event": "host-row"`` for each host, and ``"event": "summary"``, as in a report."""
        for host in summary.hosts:
            self._emit("host-row", **host_fields(host))
        self._emit("summary", **summary_fields(summary))

    def tick(self, standing: Standing) -> None:
        """``"event": "progress"`` once a second; `speed` in bytes per second."""
        tally = self._tally
        tally.update(standing)
        if standing.now < self._next:
            return
        self._next = standing.now + _EVERY
        self._emit(
            "progress",
            done=tally.done,
            failed=tally.failed,
            total=standing.total,
            bytes=standing.received,
            speed=round(tally.speed),
            remaining=None if tally.remaining is None else round(tally.remaining, 1),
            transfers=[transfer._asdict() for transfer in standing.live],
        )

    def _emit(self, event: str, **fields: object) -> None:
        self._objects.write(json_line({"event": event, **fields}) + "\n")


def json_display(out: Out, *, verbose: int) -> JsonDisplay:  # noqa: ARG001 - everything is told
    """See `pdl.output.display.registry.Mode`."""
    return JsonDisplay(sys.stdout, out)
