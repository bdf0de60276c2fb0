"""What both survival runs share: files in nginx, the command, and what may be left after it."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from runner import PDL, Runner, describe

if TYPE_CHECKING:
    from collections.abc import Container

    from servers.nginx import Nginx

WORKER_SECONDS = 1.0
"""In which every worker is gone after the main process was killed; promised to users."""

HELPER_SECONDS = 5.0
"""In which the fork server and the resource tracker are, even if they were still importing."""

LISTENING = "00010000"
"""The flags of a listening socket in ``/proc/net/unix``."""


def fill(root: Path, count: int, size: int) -> dict[str, str]:
    """Make files of random bytes; their names with their SHA-256."""
    chance = random.Random(7)
    digests = {}
    for number in range(count):
        data = chance.randbytes(size)
        name = f"f{number:05}.bin"
        (root / name).write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()
    return digests


def write_list(path: Path, nginx: Nginx, names: dict[str, str]) -> None:
    """The list of all the files."""
    path.write_text("".join(nginx.url(f"/{name}\n") for name in names))


def wrong(out: Path, digests: dict[str, str]) -> list[str]:
    """Names whose file is there and is not the right bytes."""
    found = []
    for name, digest in digests.items():
        with suppress(FileNotFoundError):
            if hashlib.sha256((out / name).read_bytes()).hexdigest() != digest:
                found.append(name)
    return found


def missing(out: Path, digests: dict[str, str]) -> list[str]:
    """Names that are not there."""
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    return [name for name in digests if name not in there]


def workers(runner: Runner, main: int) -> list[int]:
    """The pids of the worker processes that a run of pdl has now; its helpers left out."""
    found = []
    for pid in runner.alive():
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            helper = _tracks(pid) or (int(fields[1]) == main and _listens(pid))
            if pid != main and fields[0] != "Z" and not helper:
                found.append(pid)
    return found


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _born(pid: int) -> float:
    """When it was forked, by `CLOCK_BOOTTIME`."""
    return int(_stat(pid)[19]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Its stat from the state on, which is field 3."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _listens(pid: int) -> bool:
    """Whether it holds the socket on which a fork server is asked for workers."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            held.add(str(entry.readlink()))
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return bool(held & {f"socket:[{row[6]}]" for row in rows if row[3] == LISTENING})


def _tracks(pid: int) -> bool:
    """Whether it is the resource tracker, forked or started anew."""
    named = Path(f"/proc/{pid}/comm").read_bytes() == b"pdl-tracker\n"
    return named or b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _helper(pid: int, pids: Container[int], main: int) -> bool:
    with suppress(OSError, IndexError):
        if _tracks(pid):
            return True
        parent = _parent(pid)  # a worker just forked has not let go of the socket yet
        return (parent == main or parent not in pids) and _listens(pid)
    return False


class Watched(NamedTuple):
    """How the processes of a killed run went.

    Attributes:
        late: those that were there too long, described.
        workers: seconds until the last worker was gone, from the kill or its own later birth.
        helpers: the same of the fork server and the resource tracker, from the kill.
    """

    late: list[str]
    workers: float
    helpers: float


def watch(runner: Runner, main: int) -> Watched:
    """Wait until the processes of a run that was killed just now are gone.

    Workers have `WORKER_SECONDS`, the helpers of multiprocessing `HELPER_SECONDS`. A fork server
    that is still importing does not see that the main process is gone; it may even fork the one
    worker it was last asked for afterwards, whose time begins with its birth. It has the same
    command line as its workers. What tells it from them is the listening socket, its number in
    the command line, that it was born with and that every worker closes first of all. Whoever
    was once seen to hold it is the fork server to the end, for one that is exiting holds nothing.
    """
    killed = now = time.clock_gettime(time.CLOCK_BOOTTIME)
    helpers: set[int] = set()
    late: dict[int, str] = {}
    lasted = {True: 0.0, False: 0.0}
    while (pids := runner.alive()) and now < killed + 2 * HELPER_SECONDS:
        helpers.update(pid for pid in pids if _helper(pid, pids, main))
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        for pid in pids:
            helps = pid in helpers
            with suppress(OSError, IndexError):
                age = now - (killed if helps else max(killed, _born(pid)))
                lasted[helps] = max(lasted[helps], age)
                if age > (HELPER_SECONDS if helps else WORKER_SECONDS):
                    late.setdefault(pid, f"{'helper' if helps else 'worker'} {describe(pid)}")
        threading.Event().wait(0.02)
    return Watched(list(late.values()), lasted[False], lasted[True])


def make_runner(directory: Path) -> Runner:
    """Runs the command in the directory."""
    home = directory / "home"
    home.mkdir(exist_ok=True)
    return Runner(directory, home, PDL)


def until_size(state: Path, size: int, seconds: float = 60.0) -> None:
    """Wait until some part has that many bytes.

    Raises:
        TimeoutError: none has.
    """
    end = time.monotonic() + seconds
    while not any(part.stat().st_size >= size for part in state.glob("*.part")):
        if time.monotonic() > end:
            raise TimeoutError(f"no part of {size} bytes")
        threading.Event().wait(0.01)
