"""Real programs started for a test: found, awaited, and ended by their own pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_BESIDES_PATH = ("/usr/sbin", "/usr/local/sbin", "/sbin", str(Path(sys.executable).parent))
_TICK = 0.02


def find(program: str) -> str | None:
    """Where a program is, also in the places that users' PATH leaves out.

    What PyPI brought is beside the interpreter.
    """
    return shutil.which(program, path=os.pathsep.join((os.environ["PATH"], *_BESIDES_PATH)))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def end_process(process: subprocess.Popen[bytes], seconds: float = 5.0) -> None:
    """Terminate a process, kill it when it does not obey."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)


class Program:
    """A server on a free port of 127.0.0.1 while the context is entered.

    Attributes:
        home: a directory of its own, gone afterwards.
        port: what it has to listen on.
    """

    def __init__(self, name: str, *args: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix=f"{name}-")
        self._name = name
        self._args = args
        self._process: subprocess.Popen[bytes] | None = None
        self.home = Path(self._directory.name)
        self.port = free_port()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program and remove its directory."""
        if self._process is not None:
            end_process(self._process)
        self._directory.cleanup()

    def _start(self, seconds: float = 10.0) -> None:
        program = find(self._name)
        if program is None:
            raise RuntimeError(f"{self._name} is not installed")
        output = self.home / "output"
        with output.open("wb") as said:
            self._process = subprocess.Popen(
                [program, *self._args],
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + seconds
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{program} does not serve: {output.read_text()}")
            threading.Event().wait(_TICK)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except ConnectionError:
            return False
        return True
