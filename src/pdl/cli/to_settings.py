"""From what was said to typed values: `Settings` for the run, `CommandOptions` for the command."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pdl import settings
from pdl.named_tuple import NamedTuple
from pdl.output.display.registry import CHOICES as DISPLAYS
from pdl.settings import ProgressMode, Settings, output_fault, time_fault, word_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class AllowedFailures(NamedTuple):
    """How many lines may fail before the command does.

    Attributes:
        number: of lines, or per cent of them.
        share: it is per cent.
    """

    number: float
    share: bool

    def most(self, lines: int) -> float:
        """How many of so many lines may fail."""
        return lines * self.number / 100 if self.share else self.number


class CommandOptions(NamedTuple):
    """What concerns the command alone, and not the run.

    Attributes:
        sources: list files, ``-`` and URLs.
        reports: files that get a row for each line.
        failed: file that gets a list of what failed, or None.
        progress: how the run is shown.
        quiet: say nothing when all is well.
        verbose: say something of every file.
        dry_run: print the plan, and do nothing.
        check: look at the files that are there, and ask no server.
        allow_failures: how many failures are none; None allows no failure.
        error_on_no_transfer: a run that fetched nothing has an exit code of its own.
        wait_lock: seconds to wait for another run in the same directory.
    """

    sources: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    failed: str | None = None
    progress: ProgressMode = "auto"
    quiet: bool = False
    verbose: bool = False
    dry_run: bool = False
    check: bool = False
    allow_failures: AllowedFailures | None = None
    error_on_no_transfer: bool = False
    wait_lock: float = 0.0


COMMAND = "command"
"""The first part of the path of a field of `CommandOptions`; others are of `Settings`."""

_SETTINGS = Settings()
_COMMAND_OPTIONS = CommandOptions()
_RULES: dict[str, Callable[[Any], str]] = {
    "command.failed": output_fault,
    "command.progress": partial(word_fault, choices=DISPLAYS),
    "command.wait_lock": partial(time_fault, zero=True),
}


def fault_of(path: str, value: object) -> str:
    """As `pdl.settings.fault_of`, for the fields of the command, too."""
    rule = _RULES.get(path)
    if rule is None or value is None:
        return settings.fault_of(path, value)
    return rule(value)


def default_of(path: str) -> object:
    """What a field is if nothing is said."""
    part, _, name = path.partition(".")
    home = _COMMAND_OPTIONS if part == COMMAND else getattr(_SETTINGS, part)
    value: object = getattr(home, name)
    return value


def convert(
    said: Iterable[tuple[str, object]], sources: tuple[str, ...]
) -> tuple[Settings, CommandOptions]:
    """Make typed values of what was said.

    Args:
        said: path of a field, and its value; of two for one field the later counts.
        sources: the lists and URLs.
    """
    parts: dict[str, dict[str, Any]] = {}
    for path, value in said:
        part, _, name = path.partition(".")
        parts.setdefault(part, {})[name] = value
    options = _COMMAND_OPTIONS._replace(sources=sources, **parts.pop(COMMAND, {}))
    changed = {part: getattr(_SETTINGS, part)._replace(**fields) for part, fields in parts.items()}
    return _SETTINGS._replace(**changed), options
