"""What both survival runs share: files in nginx, the command, and what may be left after it."""

from __future__ import annotations

import hashlib
import random
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from runner import PDL, Runner

if TYPE_CHECKING:
    from servers.nginx import Nginx

WORKER_SIGNS = ("spawn_main", "forkserver")


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
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            parent = int(fields[1])
            helper = b"resource_tracker" in command or (parent == main and b"forkserver" in command)
            if pid != main and fields[0] != "Z" and not helper:
                found.append(pid)
    return found


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
