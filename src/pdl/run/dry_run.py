"""``--dry-run``: the plan on standard output, one line an item, and nothing done."""

from __future__ import annotations

import contextlib
import sys
from multiprocessing import connection
from typing import TYPE_CHECKING

from pdl.errors import ExitCode, UsageError
from pdl.fetch.lane_factory import credentials_of
from pdl.model import Outcome
from pdl.run import build
from pdl.run.rows import settled
from pdl.scheduling.job import Plan, Share
from pdl.sources.feed import open_sources
from pdl.storage.output_directory import check_directory
from pdl.storage.state_db import ReadOnlyVersions
from pdl.text.masking import mask, printable
from pdl.text.units import place_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import BadLine, Item
    from pdl.run.planner import Planner
    from pdl.settings import Settings

STDIN = 0


def print_plan(sources: Sequence[str], settings: Settings, warn: Callable[[str], None]) -> int:
    """Print what would be done for each line, its URL, and the path or reason; the exit code.

    ``check`` is for a file that is there and fetched only if it has changed or is wrong.

    Raises:
        ListError: a list cannot be read.
        MachineError: the directory could not be written.
        UsageError: a setting is wrong, or credentials cannot be had.
        ListError: so is the lock file.
    """
    build.check_settings(settings)
    check_directory(settings.files.directory)
    # nobody is asked for a password here
    users = tuple(user for user in settings.auth.users if user.password is not None)
    credentials_of(settings._replace(auth=settings.auth._replace(users=users)), warn)
    if sys.stdout is None:  # closed before Python started
        raise UsageError("standard output is closed, and --dry-run prints on it")
    lock = build.open_lock(settings, warn)
    versions = ReadOnlyVersions(build.state_of(settings))
    archive = build.open_archive(settings, look_only=True)
    planner = build.look_planner(settings, warn, lock, versions, archive)
    bad = False
    feed = open_sources(sources, STDIN, warn, settings=settings.input)
    with contextlib.closing(versions), contextlib.closing(feed):
        while not feed.exhausted:
            entries = feed.take(1000)
            descriptor = feed.fileno()
            if not entries and descriptor is not None:
                connection.wait([descriptor], timeout=feed.due())
            for entry in entries:
                line, failed = _line(planner, entry)
                bad = bad or failed
                sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return ExitCode.SOME_FAILED if bad else ExitCode.OK


def _line(planner: Planner, entry: Item | BadLine) -> tuple[str, bool]:
    planned = planner.plan(entry)
    if isinstance(planned, Plan):
        checked = planned.version or planned.refetch
        word = "check" if checked else "skip" if planned.local else "get"
        return f"{word}\t{mask(planned.item.url)}\t{printable(planned.path)}", False
    if isinstance(planned, Share):
        return f"same\t{mask(planned.item.url)}\tas an earlier line", False
    row = settled(entry, planned)
    if row.outcome is Outcome.FAIL:
        where = printable(place_text(row.source, row.line) or row.source)
        return f"fail\t{row.url}\t{where}: {row.kind}: {row.message}", True
    return f"skip\t{row.url}\t{printable(row.path or row.message)}", False
