"""Where a case is run: its files on tmpfs, its server, and every tool in turn, checked."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.cases import DELAY, Case
from benchmarks.measure import Taken
from benchmarks.tools import Command, Order, Tool
from runner import base_environment
from servers.certs import Authority
from servers.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
_SPARE = 256 * 1024 * 1024
_BLOCK = 1024 * 1024
WRONG = 1000
"""Stands for an exit code where the command says all is well and its files say otherwise."""


class NoRoom(Exception):
    """The files do not fit; the message says where."""


def home_of_files(needed: int) -> str | None:
    """A directory in memory with room for so many bytes, or None for the usual one.

    Raises:
        NoRoom: neither has the room.
    """
    for place in ("/dev/shm", tempfile.gettempdir()):
        if os.access(place, os.W_OK) and shutil.disk_usage(place).free > needed + _SPARE:
            return place
    raise NoRoom(f"{needed / 2**30:.1f} GiB of room are needed in /dev/shm or for temporary files")


class Arena:
    """A case under way; made by `entered`.

    Args:
        case: what is run.
        root: an empty directory, for everything.
        order: what the tools are given.
    """

    def __init__(self, case: Case, root: Path, order: Order) -> None:
        self.case = case
        self._root = root
        self._order = order
        self._commands: dict[str, Command] = {}

    def run(self, tool: Tool, what: Literal["time", "memory"] = "time") -> Taken:
        """Run a tool once; exit code `WRONG` if it is content and its files are not right.

        Args:
            tool: is run.
            what: is measured; see `benchmarks.measure`.
        """
        if tool.name not in self._commands:
            work = self._root / tool.name.replace(" ", "")
            work.mkdir()
            self._commands[tool.name] = tool.command(self._order._replace(work=work))
        if not self.case.there:
            shutil.rmtree(self._order.out, ignore_errors=True)
            self._order.out.mkdir()
        taken = self._measure(self._commands[tool.name], what)
        if tool.downloads and not taken.code and not self._whole():
            taken = taken._replace(code=WRONG)
        return taken

    def _measure(self, command: Command, what: str) -> Taken:
        result = self._root / "taken.json"
        words = [str(HERE / "measure.py"), what, str(result), command.stdin, *command.argv]
        subprocess.run(
            [sys.executable, *words],
            cwd=self._order.out,
            env=base_environment(self._root),
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return Taken(*json.loads(result.read_text()))

    def _whole(self) -> bool:
        with os.scandir(self._order.out) as entries:
            sizes = [entry.stat().st_size for entry in entries if entry.is_file()]
        return len(sizes) == self.case.count and set(sizes) <= {self.case.size}


@contextmanager
def entered(case: Case) -> Iterator[Arena]:
    """Build a case's files and start its server.

    Raises:
        NoRoom: there is no room for the files.
    """
    each = max(case.size, 4096)
    place = home_of_files(2 * case.count * each)
    with tempfile.TemporaryDirectory(prefix="pdl-benchmark-", dir=place) as name, ExitStack() as on:
        root = Path(name)
        source, out = root / "source", root / "out"
        source.mkdir()
        out.mkdir()
        names = [f"file-{number:07}.bin" for number in range(case.count)]
        if case.there or case.server in {"http", "https"}:
            _fill(out if case.there else source, names, case.size)
        base, cacert = _served(case, source, on)
        sha256 = _sha256(source / names[0]) if case.digest else None
        urls = [f"{base}/{name}" for name in names]
        yield Arena(case, root, Order(root, out, source, urls, case.jobs, cacert, sha256))


def _served(case: Case, source: Path, on: ExitStack) -> tuple[str, Path | None]:
    """Start the server; its address, and the authority to trust."""
    if case.server == "slow":
        return on.enter_context(_slow(case.size)), None
    if case.server == "none":
        return "http://127.0.0.1:9", None
    authority = Authority(source.parent) if case.server == "https" else None
    nginx = on.enter_context(Nginx(source, tls=authority.files() if authority else None))
    if authority:
        return nginx.tls_url(""), authority.pem
    return nginx.url(""), None


@contextmanager
def _slow(size: int) -> Iterator[str]:
    command = [sys.executable, str(HERE / "latency.py"), str(DELAY), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()  # which ends it


def _fill(directory: Path, names: list[str], size: int) -> None:
    block = os.urandom(min(size, _BLOCK))
    for name in names:
        with (directory / name).open("wb") as file:
            for at in range(0, size, _BLOCK):
                file.write(block[: size - at])


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
