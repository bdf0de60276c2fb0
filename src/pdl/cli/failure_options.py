"""A part of the table of `pdl.cli.options`: what is tried again, what fails a run, and hooks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from pdl import settings
from pdl.cli.option_types import Number, Row, Seconds
from pdl.cli.to_settings import AllowedFailures

if TYPE_CHECKING:
    Kind = click.ParamType[Any]
else:
    Kind = click.ParamType  # as in `option_types`


class Retries(Number):
    """A whole number, or ``inf``."""

    name = "integer|inf"
    natives = (int, str)

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's
        """Called by click."""
        if str(value).strip() == "inf":
            return settings.NO_END
        return super().convert(value, param, ctx)


class Statuses(Kind):
    """HTTP statuses, comma-separated: ``429``, ``5xx`` for a class, ``-501`` but not this.

    Args:
        usual: those that a list which begins with ``-`` takes some from.
    """

    name = "list"
    natives = (int, str)

    def __init__(self, usual: frozenset[int] = frozenset()) -> None:
        self._usual = usual

    def convert(self, value: Any, param: Any, ctx: Any) -> frozenset[int]:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, frozenset):
            return value
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        if not all(re.fullmatch(r"-?([0-9]{3}|[0-9]xx)", word) for word in words):
            self.fail(f"{value!r} is not a list of statuses such as 429,5xx,-501", param, ctx)
        found = set(self._usual) if words and words[0][0] == "-" else set()
        for word in words:
            digits = word.removeprefix("-")
            first = int(digits.replace("xx", "00"))
            these = range(first, first + 100) if digits.endswith("xx") else [first]
            (found.difference_update if word[0] == "-" else found.update)(these)
        return frozenset(found)


class Allowance(Kind):
    """A number of failures, or a share of all lines: ``5``, ``1%``."""

    name = "N|P%"
    natives = (int, str)

    def convert(self, value: Any, param: Any, ctx: Any) -> AllowedFailures:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, AllowedFailures):
            return value
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", str(value).strip())
        if match is None or (not match.group(2) and "." in match.group(1)):
            self.fail(f"{value!r} is neither a number nor a percentage", param, ctx)
        return AllowedFailures(float(match.group(1)), bool(match.group(2)))


NUMBER, SECONDS, STRING = Number(), Seconds(), click.STRING

TRYING_AGAIN = (
    Row(
        "--retries N|inf",
        "retry.retries",
        "Try a file up to N times more if it fails.",
        Retries(),
    ),
    Row(
        "--retry-wait S",
        "retry.wait",
        "Wait up to S seconds before the first retry. The limit doubles with each retry, and "
        "each wait is a random part of it.",
        SECONDS,
    ),
    Row(
        "--max-retry-wait S",
        "retry.max_wait",
        "Wait at most S seconds before any retry. A server that asks for more is given up, and "
        "the report says so.",
        SECONDS,
    ),
    Row(
        "--retry-status LIST",
        "retry.statuses",
        "Try again after one of these HTTP statuses. LIST is as 429,5xx,-501. One that begins with "
        "- takes them from the default.",
        Statuses(settings.RETRY_STATUSES),
        default="408, 425, 429 and 5xx but 501, 505, 506, 508, 510, 511",
    ),
    Row(
        "--host-patience S",
        "retry.host_patience",
        "Wait S seconds for a host that is in trouble. It is given up after that. Its files use up "
        "no retries meanwhile. With 0, every file is on its own.",
        SECONDS,
    ),
)
WHAT_COUNTS_AS_FAILURE = (
    Row(
        "--fail-fast",
        "stop.max_failures",
        "Stop at the first failure. The next run goes on with what was under way.",
        sets=1,
    ),
    Row("--max-failures N", "stop.max_failures", "Stop after N failures.", NUMBER),
    Row(
        "--allow-failures N|P%",
        "command.allow_failures",
        "Exit with 0 although so many lines failed. N is a number of lines, P% a share of all "
        "of them.",
        Allowance(),
    ),
    Row(
        "--allow-status LIST",
        "retry.allowed",
        "Skip a file for which such a status comes. It is no failure, and nothing is written for "
        "it. LIST is as 404,410.",
        Statuses(),
    ),
    Row(
        "--error-on-no-transfer",
        "command.error_on_no_transfer",
        "Exit with 9 if nothing was transferred.",
    ),
    Row(
        "--no-content-check",
        "files.content_check",
        "Accept an HTML page for an archive or an image.",
        sets=False,
    ),
    Row(
        "--expect-type TYPE",
        "files.expect_types",
        "Refuse files of another media type than this. TYPE is as application/zip or image/*.",
        STRING,
        multiple=True,
    ),
)
HOOKS = (
    Row(
        "--exec CMD",
        "hooks.command",
        "Run CMD after each file that was fetched. Its fields are {path}, {url}, {final_url}, "
        "{checksum}, {size}, {source} and {line}. No shell reads it. If it fails, the line fails.",
        STRING,
    ),
    Row(
        "--exec-jobs N",
        "hooks.jobs",
        "Run at most N commands of --exec at once.",
        NUMBER,
        default="one for each core",
    ),
    Row(
        "--exec-time S",
        "hooks.seconds",
        "Let each such command run S seconds at most. It is ended after that.",
        SECONDS,
    ),
    Row(
        "--exec-after CMD",
        "command.exec_after",
        "Run CMD once at the end of the run. It is run whatever came of that, and finds the "
        "numbers in variables such as PDL_RUN_FAILED.",
        STRING,
    ),
)
