"""Runs the real command in a process of its own, and knows what is left of it afterwards."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PDL = (sys.executable, "-m", "pdl")
_MARK = "TESTED_RUN"
_CERTIFICATES = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_GITHUB = {"GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"}
_STEERING = {"CI", "COLUMNS", "LINES", "NO_COLOR", "NETRC", "PYTHONUTF8", *_GITHUB} | _CERTIFICATES
_FOR_TESTS = {"PDL_REQUIRE_REAL", "PDL_TORTURE", "PDL_DIFFERENTIAL"}
"""What our own tests are told by; it means nothing to pdl."""
_GRACE = 2.0
"""Seconds that helpers of multiprocessing may take to see that their parent is gone."""


class Run(NamedTuple):
    """How a command ended: its exit code and what it wrote, decoded leniently."""

    code: int
    out: str
    err: str


def until(true: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait until `true` gives something true, where there is no event to wait for.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(what)
        threading.Event().wait(0.005)


def steers_pdl(name: str) -> bool:
    """Whether the variable changes what pdl does, or how it looks."""
    return name in _STEERING or name.startswith("PDL_") or name.lower().endswith("_proxy")


def forget_surroundings() -> None:
    """Take from this process what steers pdl: tests of parts see what tests of the command see."""
    for name in [name for name in os.environ if steers_pdl(name) and name not in _FOR_TESTS]:
        del os.environ[name]
    os.environ["XDG_CONFIG_HOME"] = os.devnull  # in which there is no file


def base_environment(home: Path) -> dict[str, str]:
    """The environment of a run: none of the caller's proxies, netrc or settings of pdl."""
    kept = {name: value for name, value in os.environ.items() if not steers_pdl(name)}
    spec = importlib.util.find_spec("pdl")
    if spec is not None and spec.origin is not None:
        # A relative PYTHONPATH would mean nothing in the directory the command runs in.
        kept["PYTHONPATH"] = str(Path(spec.origin).parent.parent)
    return kept | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}


def run_program(
    directory: Path, code: str, *args: str, python: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program that uses pdl, as ``program.py`` in the directory, which is the current one.

    Raises:
        subprocess.TimeoutExpired: it did not end.
    """
    (directory / "program.py").write_text(code)
    return subprocess.run(
        [sys.executable, *python, "program.py", *args],
        cwd=directory,
        env=base_environment(directory),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def marked(mark: str) -> list[int]:
    """The pids whose environment carries the mark, zombies left out; Linux alone can tell."""
    needle = f"{_MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def has(pid: int, mask: str, number: signal.Signals) -> bool:
    """Whether a signal is in one of a process's masks (``SigIgn``, ``SigBlk``, ``SigCgt``)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.findall(rf"^{mask}:\t(\w+)", status, re.MULTILINE)
    return bool(int(found[0], 16) >> (number - 1) & 1)


def describe(pid: int) -> str:
    """A process as its pid and command line."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return f"{pid}: {b' '.join(words).decode(errors='replace')}"
    return f"{pid}: gone"


class Runner:
    """Starts pdl; every process that descends from it can be found by a mark in its environment.

    Args:
        directory: where the command runs.
        home: its HOME.
        command: what is run, before the arguments of each run.
    """

    def __init__(self, directory: Path, home: Path, command: Sequence[str] = PDL) -> None:
        self._command = command
        self.directory = directory
        self._home = home
        self._mark = uuid.uuid4().hex
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, *args: str | Path, env: Mapping[str, str] | None = None, stdin: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the command and do not wait: for signals, and for input that comes slowly."""
        process = subprocess.Popen(
            [*self._command, *map(str, args)],
            cwd=self.directory,
            env={**base_environment(self._home), _MARK: self._mark, **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def __call__(
        self,
        *args: str | Path,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Run:
        """Run the command to its end.

        Raises:
            subprocess.TimeoutExpired: it did not end; it has been killed.
        """
        process = self.start(*args, env=env, stdin=None if stdin is None else subprocess.PIPE)
        given = stdin.encode() if isinstance(stdin, str) else stdin
        return self.finish(process, given, timeout)

    def finish(
        self, process: subprocess.Popen[bytes], stdin: bytes | None = None, timeout: float = 60.0
    ) -> Run:
        """Wait for a started command and take what it wrote.

        Raises:
            subprocess.TimeoutExpired: it did not end; it and its children have been killed.
        """
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            self.kill_all()
            process.communicate()
            raise
        return Run(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def alive(self) -> list[int]:
        """The pids of every process, of whatever generation, that the commands have left."""
        return marked(self._mark)

    def leftovers(self, grace: float = _GRACE) -> list[str]:
        """What is still alive after so many seconds, described."""
        end = time.monotonic() + grace
        while (pids := self.alive()) and time.monotonic() < end:
            threading.Event().wait(0.02)
        return [describe(pid) for pid in pids]

    def kill_all(self) -> None:
        """Kill every process of the commands, by pid."""
        for pid in self.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill what is left and let go of every pipe."""
        self.kill_all()
        for process in self._started:
            process.wait(10)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
