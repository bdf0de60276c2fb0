"""Runs pdl again and again in forks of one process, each with one system call spoilt.

Reads a `Case` as a JSON line from standard input, answers with an `Ending` as another. A fork
costs a tenth of a fresh interpreter, and nothing is imported in it, so that the calls counted are
the run's own.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import importlib
import io
import json
import mmap
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Item, Result
    from pdl.run.outputs import Outputs

    Call = Callable[..., object]

SECONDS = 20.0
_PATCHED: tuple[tuple[Any, str, tuple[int, ...]], ...] = (
    (os, "open", (errno.EMFILE, errno.EACCES)),
    (os, "write", (errno.ENOSPC, errno.EIO)),
    (os, "read", (errno.EIO,)),
    (os, "close", (errno.EIO,)),
    (os, "fsync", (errno.EIO, errno.ENOSPC)),
    (os, "rename", (errno.EIO, errno.ENOSPC)),
    (os, "replace", (errno.EIO, errno.ENOSPC)),
    (os, "unlink", (errno.EIO, errno.EACCES)),
    (os, "rmdir", (errno.EIO,)),
    (os, "mkdir", (errno.ENOSPC, errno.EACCES)),
    (os, "stat", (errno.EIO, errno.EACCES)),
    (os, "lstat", (errno.EIO, errno.EACCES)),
    (os, "fstat", (errno.EIO,)),
    (os, "statvfs", (errno.EIO,)),
    (os, "utime", (errno.EPERM,)),
    (os, "fchmod", (errno.EPERM,)),
    (os, "ftruncate", (errno.EIO,)),
    (os, "lseek", (errno.EIO,)),
    (os, "preadv", (errno.EIO,)),
    (os, "scandir", (errno.EIO,)),
    (os, "listdir", (errno.EIO,)),
    (os, "pipe", (errno.EMFILE,)),
    (io, "open", (errno.EMFILE, errno.EACCES)),
    (builtins, "open", (errno.EMFILE,)),
    (fcntl, "lockf", (errno.ENOLCK,)),
    (mmap, "mmap", (errno.ENOMEM,)),
    (socket, "create_connection", (errno.ECONNREFUSED, errno.EMFILE)),
    (socket, "getaddrinfo", (socket.EAI_AGAIN, socket.EAI_FAIL)),
    (socket.socket, "connect", (errno.ECONNREFUSED, errno.ENETUNREACH)),
    (socket.socket, "setsockopt", (errno.EINVAL,)),
    (socket.socket, "send", (errno.EPIPE,)),
    (socket.socket, "sendall", (errno.EPIPE, errno.ECONNRESET)),
    (socket.socket, "recv", (errno.ECONNRESET, errno.ETIMEDOUT)),
    (socket.socket, "recv_into", (errno.ECONNRESET, errno.ETIMEDOUT)),
    (sqlite3, "connect", (errno.EIO,)),
)
"""Where each call is looked up, its name, and the errors it is made to fail with."""

_IMPORTED = (
    "ctypes",
    "idna",
    "pdl.run.download",
    "pdl.cli.main",
    "pdl.pool.inline",
    "pdl.output.display.bar",
    "pdl.output.display.base",
    "pdl.output.display.registry",
    "pdl.output.reports.console",
    "pdl.output.reports.failure_list",
    "pdl.output.reports.json_",
    "pdl.output.reports.registry",
    "pdl.sources.feed",
    "pdl.transport.http.requests_",
)


class Case(NamedTuple):
    """One run.

    Attributes:
        args: pdl's.
        directory: where it runs; it gets ``output`` and ``ending.json``.
        how: ``count`` (spoil nothing), ``fail`` or ``kill``.
        at: number of the call that is spoilt, from 1.
        flavour: which of its errors, counted round.
    """

    args: list[str]
    directory: str
    how: str = "count"
    at: int = 0
    flavour: int = 0


class Ending(NamedTuple):
    """How a run ended.

    Attributes:
        code: exit code; negative for a signal.
        calls: names of the calls that were made, in order; empty after a kill.
        rows: source line, path and outcome of each row.
    """

    code: int
    calls: list[str]
    rows: list[tuple[int, str | None, str]]


class Injector:
    """Counts the calls and spoils one."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.calls: list[str] = []
        self.depth = 0

    def wrap(self, name: str, real: Call, errors: tuple[int, ...]) -> Call:
        def call(*args: object, **kwargs: object) -> object:
            if self.depth:  # the work of a call that was counted already
                return real(*args, **kwargs)
            self.calls.append(name)
            if len(self.calls) == self.case.at:
                self.spoil(name, real, args, errors)
            self.depth += name in {"create_connection", "open"}
            try:
                return real(*args, **kwargs)
            finally:
                self.depth -= name in {"create_connection", "open"}

        return call

    def spoil(self, name: str, real: Call, args: tuple[Any, ...], errors: tuple[int, ...]) -> None:
        if self.case.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = errors[self.case.flavour % len(errors)]
        if name == "close":  # as Linux does it: the descriptor is gone all the same
            real(*args)
        if name in {"send", "sendall"}:  # or the server would wait for a request that never comes
            args[0].shutdown(socket.SHUT_RDWR)
        if name == "getaddrinfo":
            raise socket.gaierror(number, "injected")
        if real is _SQLITE_CONNECT:
            raise sqlite3.OperationalError("disk I/O error")
        raise OSError(number, os.strerror(number), *[a for a in args[:1] if isinstance(a, str)])

    def install(self) -> None:
        for place, name, errors in _PATCHED:
            setattr(place, name, self.wrap(name, getattr(place, name), errors))


_SQLITE_CONNECT = sqlite3.connect


def run(case: Case) -> None:
    """In the fork: be pdl, and write how it ended."""
    os.chdir(case.directory)
    out = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    api = importlib.import_module("pdl.run.download")
    rows: list[tuple[int, str | None, str]] = []
    recorded = api.Outputs.record

    def record(outputs: Outputs, result: Result, item: Item | None) -> None:
        rows.append((result.line, result.path, str(result.outcome)))
        recorded(outputs, result, item)

    api.Outputs.record = record
    sys.argv = ["pdl", *case.args]
    ending = os.open("ending.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    write = os.write
    injector = Injector(case)
    code = 99
    try:
        main = importlib.import_module("pdl.cli.main").main
        injector.install()
        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 98
    finally:  # anything else is a traceback on standard error
        write(ending, json.dumps(Ending(code, injector.calls, rows)).encode())
    os._exit(0)


def ended(case: Case, pid: int) -> Ending:
    """Wait for the fork, but not for ever."""
    timer = threading.Event()
    end = time.monotonic() + SECONDS
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Ending(-1000, [], [])
        timer.wait(0.002)
    if os.WIFSIGNALED(status):
        return Ending(-os.WTERMSIG(status), [], [])
    code, calls, rows = json.loads(Path(case.directory, "ending.json").read_text())
    return Ending(code, calls, rows)


def serve() -> None:
    """Take cases until there are no more."""
    for name in _IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        case = Case(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            run(case)
        sys.stdout.write(json.dumps(ended(case, pid)._asdict()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
