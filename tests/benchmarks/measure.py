"""Runs one command and tells what it took, with every process that descends from it.

A program of its own: ``python measure.py WHAT RESULT STDIN COMMAND...`` writes a `Taken` as JSON to
RESULT. WHAT is ``memory`` or ``time``: looking at the memory takes the cores that the command runs
on, and more so if it is of many processes. It adopts what the command orphans
(PR_SET_CHILD_SUBREAPER), so that no helper's CPU time is lost. Linux alone can tell all this.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
EVERY = 0.05
"""Seconds between two looks at the memory."""
LIMIT = 900.0
"""Seconds a command may take."""


class Taken(NamedTuple):
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of all its processes, user and system.
        memory: the most bytes (PSS) all its processes held together, as sampled; or 0.
        code: what it exited with; negative is a signal.
    """

    seconds: float
    cpu: float
    memory: int
    code: int


def descendants(root: int) -> list[int]:
    """The pids of a process and of all that come from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:  # it grows meanwhile
        found += children.get(pid, [])
    return found


def memory_of(pids: list[int]) -> int:
    """The bytes they hold together, shared pages counted once."""
    total = 0
    for pid in pids:
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            pss = next(line for line in lines if line.startswith("Pss:"))
            total += int(pss.split()[1]) * 1024
    return total


def watch(process: subprocess.Popen[bytes], *, memory: bool) -> int:
    """Wait until the process ends; the most memory there was, if that is to be looked at."""
    most = 0
    me = os.getpid()
    ended = os.pidfd_open(process.pid)
    end = time.monotonic() + LIMIT
    pause = EVERY / 4 if memory else LIMIT  # a short command is seen at least once
    while not select.select([ended], [], [], pause)[0]:
        if memory:
            most = max(most, memory_of([pid for pid in descendants(me) if pid != me]))
            pause = EVERY
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)
    os.close(ended)
    return most


def reap(pid: int) -> tuple[float, int]:
    """Wait for every process there is; their CPU seconds, and the exit code of one."""
    cpu, code = 0.0, 0
    while True:
        try:
            ended, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return cpu, code
        cpu += usage.ru_utime + usage.ru_stime
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)


def measure(stdin: str, command: list[str], *, memory: bool) -> Taken:
    """Run the command to its end."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(stdin, "rb") as given:  # noqa: PTH123
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        most = watch(process, memory=memory)
        seconds = time.monotonic() - began
    cpu, code = reap(process.pid)
    process.returncode = code  # it has been waited for
    return Taken(seconds, cpu, most, code)


def main() -> None:
    """See the module's docstring."""
    what, result, stdin, *command = sys.argv[1:]
    Path(result).write_text(json.dumps(measure(stdin, command, memory=what == "memory")))


if __name__ == "__main__":
    main()
