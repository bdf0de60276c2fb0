"""Starts the fork server at once, so that it imports while the main process still does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import stat
import sys
import tempfile
from multiprocessing import forkserver, resource_tracker, util
from typing import TYPE_CHECKING

from pdl.pool.registry import engine_of
from pdl.pool.startup import fork_helpers, start_limits
from pdl.pool.startup.fork_helpers import uninterrupted
from pdl.pool.startup.import_path import importing_nothing_from_here, variable
from pdl.pool.startup.start_limits import starting
from pdl.system import proxy_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pdl.settings import PoolSettings

PRELOAD = (
    "multiprocessing.popen_forkserver",
    "multiprocessing.sharedctypes",
    "multiprocessing.synchronize",
    "pdl.pool.process.pool",
    "pdl.fetch.lane_factory",
    "pdl.fetch.blocking",
    "pdl.fetch.fast_path",
    "pdl.transport.http.keepalive",
)
"""What every worker needs, imported once in the fork server; by name, as it is not for here."""

THROUGH_REQUESTS = "pdl.transport.http.requests_"
"""What most workers need: all but those that ask nothing but plain http."""

LOOKED_AT = 16 * 1024
"""Bytes of a list that are taken for its like."""

_NO_RUN = frozenset({"-h", "--help", "--version", "--dry-run", "--check"})
_OTHER_RUN = ("--engine", "--start-method")
_VARIABLES = ("PDL_ENGINE", "PDL_DRY_RUN", "PDL_CHECK", "PDL_START_METHOD")


def guess(arguments: Sequence[str]) -> None:
    """Start the fork server if a command with these arguments is likely to want it.

    Before the arguments are understood: that takes as long as the server needs to come up. One
    that is not wanted in the end does no harm.
    """
    unlikely = any(each in _NO_RUN or each.startswith(_OTHER_RUN) for each in arguments)
    if arguments and not unlikely and not any(name in os.environ for name in _VARIABLES):
        with contextlib.suppress(OSError):  # met again when it is wanted, and then told
            fit_socket_directory()
            modules = wanted(arguments)
            multiprocessing.set_forkserver_preload(modules)
            # a signal may end this process; by then its temporary directory is to be known
            with uninterrupted(signal.SIGTERM, signal.SIGHUP):
                started = fork_helpers.start(modules)
            if not started:
                _start_server(alone=True)


def prepare(settings: PoolSettings, *, alone: bool = False) -> None:
    """Get ready what `settings` ask for, as far as it takes time; it can be called again.

    Args:
        settings: of the pool.
        alone: this process has no other use for multiprocessing, whose fork server is one for all.

    Raises:
        MachineError: too few file handles are allowed, or the system would not.
    """
    if not engine_of(settings.engine).prestarts:
        return
    start_limits.ensure(*start_limits.fitted(settings).split())
    method = settings.method()
    with starting():
        if method != "fork":
            os.getcwd()
        if method == "spawn":
            with importing_nothing_from_here(), _elsewhere():
                _start_tracker(quiet=alone)
        if method == "forkserver":
            multiprocessing.set_forkserver_preload([*PRELOAD, THROUGH_REQUESTS])
            _start_server(alone=alone)


def wanted(arguments: Sequence[str]) -> list[str]:
    """The modules that the workers of such a command are likely to need.

    A wrong guess is no harm: a worker imports what it misses, in a tenth of a second.
    """
    if proxy_variables.possible() or any(each.startswith("--proxy") for each in arguments):
        return [*PRELOAD, THROUGH_REQUESTS]
    text = b"\n".join(_beginning(each) for each in arguments).lower()
    plain = b"http:" in text and b"https:" not in text
    return [*PRELOAD] if plain else [*PRELOAD, THROUGH_REQUESTS]


def _beginning(argument: str) -> bytes:
    """The argument, and what the file begins with that it may name."""
    found = os.fsencode(argument)
    try:
        if stat.S_ISREG(os.stat(argument).st_mode):
            with open(argument, "rb") as listed:
                found += b"\n" + listed.read(LOOKED_AT)
    except (OSError, ValueError):  # no file at all, or one that cannot be read: told later
        pass
    return found


def _start_tracker(*, quiet: bool) -> None:
    """Start it; `quiet` if all that it may warn of is ours, which a forced end has left."""
    silence = variable("PYTHONWARNINGS", f"ignore:{fork_helpers.TRACKER_SAYS}")
    # it leaves that signal held back, and lives
    with silence if quiet else contextlib.nullcontext(), uninterrupted(signal.SIGHUP):
        resource_tracker.ensure_running()


def _start_server(*, alone: bool) -> None:
    fit_socket_directory()
    # all that it ever starts inherits what is held back, another's processes too
    signals = uninterrupted(signal.SIGTERM, signal.SIGHUP) if alone else contextlib.nullcontext()
    with importing_nothing_from_here(), _elsewhere():
        _start_tracker(quiet=alone)  # first, because it unblocks SIGINT
        with signals:
            forkserver.ensure_running()


@contextlib.contextmanager
def _elsewhere() -> Iterator[None]:
    """Be in another directory, for a Python that cannot be told; its workers come back."""
    if sys.version_info >= (3, 11):
        yield
        return
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(here)
        os.close(here)


SOCKET_ROOM = 103 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")
"""Bytes that a directory's name may have for a socket below it: macOS takes paths of 103."""
USUAL_PLACES = "/tmp", "/var/tmp"  # noqa: S108 - a directory is made there, as tempfile does it


def fit_socket_directory() -> None:
    """See that a socket can be made in multiprocessing's own temporary directory.

    TMPDIR may be too long for that, as it is in some batch systems. Then the directory is made in
    one of the usual places; where none will do, the socket's failure is told.
    """
    if len(os.fsencode(tempfile.gettempdir())) <= SOCKET_ROOM:
        return
    before = tempfile.tempdir
    for other in USUAL_PLACES:
        tempfile.tempdir = other
        try:
            with contextlib.suppress(OSError):
                util.get_temp_dir()
                return
        finally:
            tempfile.tempdir = before
