"""multiprocessing's helpers as forks of this process, which has imported what they need.

multiprocessing starts its fork server and its resource tracker as new interpreters. That is right
in the middle of any program; at the very start of ours, when there is one thread and nothing is
open, a fork is as safe and takes 50 ms less for the one and 25 for the other, a third of what a
small run takes in all. It is used only where multiprocessing is as it was in Python 3.10 to 3.13,
whose insides it has to know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import warnings
from multiprocessing import connection, forkserver, resource_tracker, util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


TRACKER_SAYS = "resource_tracker"
"""What the tracker's warnings begin with."""

_SERVER_STATE = ("_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid")
_TRACKER_STATE = ("_fd", "_pid")


def start(preload: Sequence[str]) -> bool:
    """Fork both, as `multiprocessing.forkserver.ensure_running` and the tracker's would start them.

    Args:
        preload: modules that the fork server imports.

    Returns:
        Whether that could be done; if not, nothing has been.

    Raises:
        OSError: the system would not.
    """
    server: Any = getattr(forkserver, "_forkserver", None)
    tracker: Any = getattr(resource_tracker, "_resource_tracker", None)
    if threading.active_count() > 1 or not hasattr(os, "fork") or not _as_known(server, tracker):
        return False
    if server._forkserver_pid is None:  # noqa: SLF001 - see above
        _start_server(server, preload)
    if tracker._fd is None:  # noqa: SLF001
        _start_tracker(tracker, without=server._forkserver_alive_fd)  # noqa: SLF001
    return True


def _as_known(server: Any, tracker: Any) -> bool:  # noqa: ANN401 - multiprocessing's own
    """Whether multiprocessing has the insides that are used here."""
    return (
        _takes(forkserver.main, "listener_fd", "alive_r", "preload", "main_path", "sys_path")
        and _takes(resource_tracker.main, "fd")
        and all(hasattr(server, name) for name in _SERVER_STATE)
        and all(hasattr(tracker, name) for name in _TRACKER_STATE)
    )


def _takes(function: object, *names: str) -> bool:
    code = getattr(function, "__code__", None)
    if code is None or code.co_kwonlyargcount:
        return False
    return bool(code.co_varnames[: code.co_argcount] == names)


def _start_server(server: Any, preload: Sequence[str]) -> None:  # noqa: ANN401 - see above
    with socket.socket(socket.AF_UNIX) as listener:
        address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
        listener.bind(address)
        if not util.is_abstract_socket_namespace(address):
            os.chmod(address, 0o600)
        listener.listen()
        alive_reader, alive_writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(alive_writer)
            here = listener.detach()
            _be("pdl-forkserver", lambda: _serve(here, alive_reader, list(preload), address))
        os.close(alive_reader)
    server._forkserver_address = address  # noqa: SLF001 - see above
    server._forkserver_alive_fd = alive_writer  # noqa: SLF001
    server._forkserver_pid = pid  # noqa: SLF001


def _serve(listener: int, alive: int, preload: list[str], address: str) -> None:
    """Be the fork server, until the main process is no more."""
    # what goes wrong in a worker before it is one is told by the main process, as a death
    sys.excepthook = lambda *_: None
    try:
        forkserver.main(listener, alive, preload)
    except SystemExit:
        with contextlib.suppress(OSError):  # left by a main process that was killed
            os.unlink(address)
            os.rmdir(os.path.dirname(address))
        raise


def _start_tracker(tracker: Any, without: int) -> None:  # noqa: ANN401 - see above
    """Fork the tracker.

    Args:
        tracker: multiprocessing's own.
        without: the descriptor that keeps the fork server; the tracker is not to hold it.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.close(without)
        _be("pdl-tracker", lambda: _track(reader))
    os.close(reader)
    tracker._fd = writer  # noqa: SLF001 - see above
    tracker._pid = pid  # noqa: SLF001


def _track(reader: int) -> None:
    """Be the tracker: what a killed main process left is removed, of which nobody need be told."""
    warnings.filterwarnings("ignore", TRACKER_SAYS)
    resource_tracker.main(reader)


def end_server() -> None:
    """Kill multiprocessing's fork server: one that is stopped tells of no worker's end.

    The next process that it is wanted for starts another one.
    """
    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def name_process(name: str) -> None:
    """What ``ps`` and ``top`` call this process, at most 15 characters; on Linux alone."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write(name)


def _be(name: str, task: Callable[[], object]) -> None:
    """Be a process of its own for the task, as a new interpreter would; never returns.

    What a terminal or a service manager sends to all processes of a run is the main process's to
    mind: it may let downloads end that this one is needed for. This one ends when that does.
    """
    try:
        name_process(name)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP})
        task()
    finally:
        os._exit(0)


@contextlib.contextmanager
def uninterrupted(*more: signal.Signals) -> Iterator[None]:
    """Block SIGINT in whatever is started inside of the ``with`` block.

    Ctrl-C reaches every process of the terminal. One that is still importing would end with a
    traceback. A process that is started inherits the blocked signals, and never needs SIGINT.

    Args:
        more: signals to block as well.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *more})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
