"""The ways to show a run while it goes on: a row each, and the choice among them."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from pdl.output.terminal import Out
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from typing import TextIO

    from pdl.output.display.base import Display

AUTO = "auto"
"""Stands for the first row on a terminal that is not that of a CI service, else the second."""


class Mode(NamedTuple):
    """A way to show a run.

    Attributes:
        name: as ``--progress`` has it.
        sentence: what it is, for the manual.
        module: imported when a run is shown so.
        factory: of the module; makes a `Display` of the terminal's `Out`, and of `verbose`.
        asked: nobody gets it unasked, so that ``--quiet`` does not silence it.
    """

    name: str
    sentence: str
    module: str
    factory: str
    asked: bool = False


MODES = (
    Mode(
        "bar",
        "A bar over all files, and lines for the largest in flight.",
        "pdl.output.display.bar",
        "BarDisplay",
    ),
    Mode(
        "plain",
        "Lines for a log: how far the run is, every half minute.",
        "pdl.output.display.base",
        "PlainDisplay",
    ),
    Mode(
        "json",
        "One JSON object a line on standard output, for programs.",
        "pdl.output.display.json_",
        "json_display",
        asked=True,
    ),
    Mode(
        "none",
        "Nothing but warnings.",
        "pdl.output.display.base",
        "SilentDisplay",
    ),
)
CHOICES = (AUTO, *(row.name for row in MODES))
"""What ``--progress`` takes."""


def _in_ci() -> bool:
    """Whether nobody looks on: what a service for continuous integration runs goes to a log."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def make_display(mode: str, stream: TextIO | None, *, quiet: bool, verbose: int) -> Display:
    """The display for `mode`.

    Args:
        mode: one of `CHOICES`.
        stream: where people look. None, as `sys.stderr` is when it was closed at the start, shows
            nothing.
        quiet: show nothing but notices, except where that was asked for by its name.
        verbose: from 1 on, every finished item and every retry has its line.
    """
    out = Out(stream)
    if mode == AUTO:
        mode = MODES[0 if out.is_terminal() and not _in_ci() else 1].name
    row = next(row for row in MODES if row.name == mode)
    if quiet and not row.asked:
        row = MODES[-1]
    display: Display = getattr(importlib.import_module(row.module), row.factory)(
        out, verbose=verbose
    )
    return display
