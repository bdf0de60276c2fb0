"""The fork server as a fork of this process, which has imported half of what it needs.

multiprocessing starts its fork server as a new interpreter. That is right in the middle of any
program; at the very start of ours, when there is one thread and nothing is open, a fork is as safe
and takes 50 ms less, a quarter of what a small run takes in all. It is used only where
multiprocessing is as it was in Python 3.10 to 3.13, whose insides it has to know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from multiprocessing import connection, forkserver, util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARGUMENTS = ("listener_fd", "alive_r", "preload", "main_path", "sys_path")
_STATE = ("_forkserver_address", "_forkserver_alive_fd", "_forkserver_pid")


def start(preload: Sequence[str]) -> bool:
    """Fork the server, as `multiprocessing.forkserver.ensure_running` would start it.

    Args:
        preload: modules that it imports.

    Returns:
        Whether that could be done; if not, nothing has been.

    Raises:
        OSError: the system would not.
    """
    server: Any = getattr(forkserver, "_forkserver", None)
    if not _as_known(server) or threading.active_count() > 1 or not hasattr(os, "fork"):
        return False
    if server._forkserver_pid is not None:  # noqa: SLF001 - see above
        return True
    with socket.socket(socket.AF_UNIX) as listener:
        address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
        listener.bind(address)
        if not util.is_abstract_socket_namespace(address):
            os.chmod(address, 0o600)  # noqa: PTH101 - as multiprocessing has it
        listener.listen()
        alive_reader, alive_writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(alive_writer)
            _serve(listener.detach(), alive_reader, preload)
        os.close(alive_reader)
    server._forkserver_address = address  # noqa: SLF001
    server._forkserver_alive_fd = alive_writer  # noqa: SLF001
    server._forkserver_pid = pid  # noqa: SLF001
    return True


def _as_known(server: Any) -> bool:  # noqa: ANN401 - multiprocessing's own
    """Whether multiprocessing has the insides that are used here."""
    code = getattr(forkserver.main, "__code__", None)
    if code is None or code.co_kwonlyargcount or not all(hasattr(server, name) for name in _STATE):
        return False
    return bool(code.co_varnames[: code.co_argcount] == _ARGUMENTS)


def name_process(name: str) -> None:
    """What ``ps`` and ``top`` call this process, at most 15 characters; on Linux alone."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:  # noqa: PTH123 - pathlib would have to be imported
        comm.write(name)


def _serve(listener: int, alive: int, preload: Sequence[str]) -> None:
    """Be the fork server; never returns."""
    try:
        name_process("pdl-forkserver")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        forkserver.main(listener, alive, list(preload))
    finally:
        os._exit(0)
