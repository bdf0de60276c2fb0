"""Numbers for Prometheus: its text format, which node_exporter's textfile collector reads.

Each number has the label ``run``, the name of the report file without its suffix: so that the files
of several jobs may stand in one directory, where no two may have the same number.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from pdl.model import FailureKind, Outcome
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.model import Item, Result
    from pdl.output.sinks import Sink
    from pdl.scheduling.progress import Summary

_LAST_SUCCESS = "pdl_last_success_timestamp_seconds"
_MOST = 1024 * 1024
"""Characters that are read of a report that is there; pdl's own has two thousand."""
_NUMBER = re.compile(rf"^{_LAST_SUCCESS}\{{.*\}} ([0-9.]+)$", re.MULTILINE)


class PrometheusReport:
    """Writes numbers of the last run, and when the last one was that went well.

    A run went well if it came to its end and no line failed.
    """

    every = False
    hosts = False
    facts = False
    lists = False

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._kinds: dict[str, int] = {}
        self._last_success = _last_success(sink.name)
        # json escapes quotes, backslashes and ends of lines as this format does
        self._run = json.dumps(printable(PurePath(sink.name).stem), ensure_ascii=False)

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Count a failure."""
        kind = result.kind or FailureKind.INTERNAL.value
        if result.outcome is Outcome.FAIL and kind != FailureKind.CANCELLED.value:
            self._kinds[kind] = self._kinds.get(kind, 0) + 1

    def finish(self, summary: Summary) -> None:
        """Write it all."""
        now = f"{time.time():.3f}"
        well = not (summary.failed or summary.left or summary.unread or summary.halted)
        last = now if well else self._last_success
        self.sink.write("".join(f"{line}\n" for line in self._lines(summary, now, last)))
        self.sink.commit()

    def _lines(self, summary: Summary, now: str, last: str | None) -> Iterator[str]:
        files: dict[str, object] = {
            Outcome.SUCCESS.value: summary.succeeded,
            Outcome.SKIPPED.value: summary.skipped,
            Outcome.UNCHANGED.value: summary.unchanged,
            Outcome.FAIL.value: summary.failed,
            "left": summary.left,
        }
        yield from self._metric(
            "pdl_files", "Lines of the list by outcome, in the last run.", files, "outcome"
        )
        if self._kinds:
            yield from self._metric(
                "pdl_failures", "Failures by kind, in the last run.", {**self._kinds}, "kind"
            )
        yield from self._metric(
            "pdl_received_bytes", "Bytes received in the last run.", {"": summary.bytes}
        )
        yield from self._metric(
            "pdl_duration_seconds", "How long the last run took.", {"": f"{summary.seconds:.3f}"}
        )
        yield from self._metric(
            "pdl_last_run_timestamp_seconds", "When the last run ended.", {"": now}
        )
        if last is not None:
            yield from self._metric(
                _LAST_SUCCESS, "When the last run ended that went well.", {"": last}
            )

    def _metric(
        self, name: str, about: str, values: dict[str, object], label: str = ""
    ) -> Iterator[str]:
        yield f"# HELP {name} {about}"
        yield f"# TYPE {name} gauge"
        for word, value in values.items():
            more = f',{label}="{word}"' if label else ""
            yield f"{name}{{run={self._run}{more}}} {value}"


def _last_success(path: str) -> str | None:
    """When the last run went well, as the report that is there says; None if it does not."""
    try:
        if not os.path.isfile(path):  # to open a pipe would wait for whoever writes it
            return None
        with open(path, encoding="utf-8") as file:
            found = _NUMBER.search(file.read(_MOST))
    except (OSError, ValueError):
        return None
    return found[1] if found else None
