"""The files that a command names: which of them are one, and what would replace what."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from pdl.cli.to_settings import files_of
from pdl.errors import UsageError
from pdl.text.masking import printable
from pdl.text.urls import has_scheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.cli.to_settings import CommandOptions
    from pdl.settings import Settings

STDIN = 0
STDOUT = 1


def check_outputs(settings: Settings, options: CommandOptions) -> None:
    """See to it that nothing that the run writes replaces what it reads, or writes besides.

    One exception is a natural loop: the failure list of the last run is the only source, and gets
    the failures of this one. It is replaced at the end of the run, and only if all of it was read.

    Raises:
        UsageError: two of the files are one, by whatever name.
    """
    taken = _read_files(settings, options)
    written = [("--report", path) for path in options.reports]
    asked = {
        "--log-file": options.log_file,
        "--failed": options.failed,
        "--sums": options.sums,
        "--archive": settings.input.archive,
    }
    written += [(name, path) for name, path in asked.items() if path]
    for what, path in written:
        key = _file_key(path, STDOUT) or os.path.realpath("/dev/stdout" if path == "-" else path)
        other = taken.get(key)
        if other == "a source" and what == "--failed" and len(options.sources) == 1:
            if _is_failure_list(path):
                continue
            raise UsageError(
                f"--failed {printable(path)} would replace the list that is read",
                "a failure list may replace itself, but this list was not written by --failed",
            )
        if other is None and what == "--failed" and _would_be_lost(path):
            raise UsageError(
                f"--failed {printable(path)} would replace a file that was not written by --failed",
                "give it another name, or remove that file",
            )
        if other is not None:
            raise UsageError(
                f"{what} {printable(path)} is also {other}: writing it would replace that file",
                "give each a file of its own",
            )
        taken[key] = what


def _read_files(settings: Settings, options: CommandOptions) -> dict[object, str]:
    """What the run reads: each file's key, and as what it is read."""
    http = settings.http
    read = {
        "a source": options.sources,
        "--checksums": settings.input.checksums,
        "--rewrite": (settings.input.rewrite,),
        "--lock": (settings.lock.path,),
        "--cacert": (http.cacert,),
        "--cert": (http.cert,),
        "--key": (http.key,),
        "--netrc-file": (settings.auth.netrc_file,),
        "--cookies": (settings.auth.cookies_file,),
        "the configuration": (options.config,),
        "a file of a host table": files_of(settings),
    }
    found: dict[object, str] = {}
    for what, paths in read.items():
        for path in paths:
            if path is not None and not has_scheme(path) and (key := _file_key(path, STDIN)):
                found.setdefault(key, what)
    return found


def _file_key(path: str, stream: int) -> object:
    """What is the same for all names of a file; None for a terminal and its like.

    Args:
        path: its name.
        stream: the descriptor that ``-`` stands for.
    """
    try:
        if path == "-":
            status = os.fstat(stream)
        else:  # a directory in it that is not there yet hides no file
            status = os.stat(path if os.path.exists(path) else os.path.realpath(path))
    except (OSError, ValueError):
        return os.path.realpath(path)
    return None if stat.S_ISCHR(status.st_mode) else (status.st_dev, status.st_ino)


def _is_failure_list(path: str) -> bool:
    from pdl.output.reports.failure_list import HEAD  # where a list is to replace itself

    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(HEAD)) == HEAD.encode()
    except OSError:
        return True  # that it cannot be read is told when it is to be


def _would_be_lost(path: str) -> bool:
    """Whether something is there that is no failure list; it may be the list behind a pipe."""
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        return stat.S_ISREG(found.st_mode) and found.st_size > 0 and not _is_failure_list(path)
    return False


def own_paths(files: Sequence[str], directory: str) -> tuple[str, ...]:
    """Those of the run's own files that are in the output directory, relative to it."""
    home = os.path.realpath(directory)
    real = [os.path.realpath(path) for path in files if path != "-" and "://" not in path]
    return tuple(path[len(home) + 1 :] for path in real if path.startswith(f"{home}{os.sep}"))
