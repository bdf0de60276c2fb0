"""Reports and events for programs: JSON in printable ASCII."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdl.model import Item, Result
    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import HostRow, Summary


def json_text(fields: Mapping[str, object]) -> str:
    """`fields` as a JSON object of printable ASCII, without a line break."""
    text = json.dumps(fields, ensure_ascii=True, separators=(",", ":"))
    # json leaves DEL alone; it can only stand inside a string, where the escape means the same
    return text.replace("\x7f", "\\u007f")


def json_line(fields: Mapping[str, object]) -> str:
    """The same with ``"schema": 1`` in front: a row or an event for machines."""
    return json_text({"schema": 1, **fields})


class JsonReport:
    """Writes ``{"schema":1,"items":[...],"hosts":[...],"summary":{...}}``, an item or host a line.

    It holds no item.

    The summary stands last because it is known last; the order of an object's members means
    nothing (RFC 8259 section 4).
    """

    every = True
    hosts = True
    facts = True
    lists = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._before = "\n"
        sink.write('{"schema":1,"items":[')

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the item."""
        self.sink.write(self._before + json_text(result._asdict()))
        self._before = ",\n"

    def finish(self, summary: Summary) -> None:
        """Write the summary and let the file have its name."""
        hosts = ",\n".join(json_text(host_fields(each)) for each in summary.hosts)
        numbers = json_text(summary_fields(summary))
        self.sink.write(f'\n],"hosts":[\n{hosts}\n],"summary":{numbers}}}\n')
        self.sink.commit()


def host_fields(host: HostRow) -> dict[str, object]:
    """The fields of a host, with as many digits as mean something."""
    at, *firsts = host.given_up_at, host.first_byte_p50, host.first_byte_p95
    p50, p95 = (None if each is None else round(each, 4) for each in firsts)
    since = None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    fields = host._replace(first_byte_p50=p50, first_byte_p95=p95)._asdict()
    return {**fields, "bytes_per_second": round(host.bytes_per_second), "given_up_at": since}


def summary_fields(summary: Summary) -> dict[str, object]:
    """The fields of the run but for its hosts."""
    fields = summary._asdict()
    del fields["hosts"]
    return fields


class JsonLinesReport:
    """Writes ``{"schema":1, ...}`` with the fields of `pdl.model.Result`, a line each.

    Every line stands for itself, so the partial file of a run that was killed can be read too.
    """

    every = True
    hosts = False
    facts = True
    lists = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the row."""
        self.sink.write(json_line(result._asdict()) + "\n")

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Let the file have its name."""
        self.sink.commit()
