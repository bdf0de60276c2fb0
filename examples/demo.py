"""Shows pdl at work: a small server that misbehaves, and the real command on a list of its files.

Run it with ``python examples/demo.py``. It needs nothing but pdl, talks to this machine alone,
takes about ten seconds, and exits with 0 when pdl did all that is promised below.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS = 8
LIMIT = 120
"""Seconds a run of pdl may take before the demo calls it a failure."""
RATE = 900 * 1024
"""Bytes a second for each connection, so that there is something to see."""
CHUNK = 32 * 1024

KIB = 1024
MISSING = {f"/missing-{n}.bin" for n in range(1, 5)}
BUSY = {f"/busy-{n}.bin" for n in range(1, 4)}
DROPPED = {f"/dropped-{n}.bin" for n in range(1, 4)}
TRUNCATED = "/truncated.bin"
BAD_LINE = "this line is no URL"


def make_files() -> dict[str, bytes]:
    """About a hundred files by their path, of 1 byte to 3 MiB, the same in every run."""
    dice = random.Random(8)
    sizes = [1, 2, 3, *(dice.randrange(1, 8 * KIB) for _ in range(50))]
    sizes += [dice.randrange(20 * KIB, 400 * KIB) for _ in range(26)]
    sizes += [dice.randrange(KIB * KIB, 3 * KIB * KIB) for _ in range(14)]
    dice.shuffle(sizes)
    files = {f"/file-{n:02}.bin": dice.randbytes(size) for n, size in enumerate(sizes)}
    special = sorted({TRUNCATED, *MISSING, *BUSY, *DROPPED})
    return files | {path: dice.randbytes(200 * KIB) for path in special}


class Site:
    """What the server knows.

    Attributes:
        files: the bytes by path.
        mended: whether it has stopped misbehaving.
        slow: whether it holds its connections to `RATE`.
        asked: how often each path was asked for.
    """

    def __init__(self, files: dict[str, bytes], *, slow: bool) -> None:
        self.files = files
        self.slow = slow
        self.mended = False
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, path: str) -> int:
        """Count a request; which one for this path it is, from 1."""
        with self._lock:
            self.asked[path] += 1
            return self.asked[path]


class Server(ThreadingHTTPServer):
    """Serves a `Site` on a free port of this machine."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, site: Site) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.site = site

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: half of what happens here is meant to."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Leave the terminal to pdl."""

    def do_GET(self) -> None:
        """Misbehave as the path says, unless the site is mended."""
        site, nth = self.server.site, self.server.site.count(self.path)
        body = site.files.get(self.path)
        if body is None or (self.path in MISSING and not site.mended):
            self._refuse(404)
        elif self.path in BUSY and nth == 1:
            self._refuse(503)
        elif self.path in DROPPED and nth == 1:
            self._send(body, upto=len(body) // 2)
            self._reset()
        elif self.path == TRUNCATED and not site.mended:
            self._send(body, upto=len(body) // 3)
            self.close_connection = True
        else:
            self._send(body)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body: bytes, upto: int | None = None) -> None:
        etag = f'"{len(body)}"'
        start = self._start_of_range(etag, len(body))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        for at in range(start, len(body) if upto is None else upto, CHUNK):
            end = at + CHUNK if upto is None else min(at + CHUNK, upto)
            self.wfile.write(body[at:end])
            if self.server.site.slow:
                time.sleep(CHUNK / RATE)

    def _start_of_range(self, etag: str, size: int) -> int:
        if self.path == TRUNCATED or self.headers.get("If-Range") != etag:
            return 0
        first = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        return int(first) if first.isdigit() and int(first) < size else 0

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # closing now sends a reset instead of an end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True


@contextmanager
def serving(site: Site) -> Iterator[str]:
    """Serve the site in a thread; give its address."""
    with Server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def pdl(directory: Path, *words: str) -> int:
    """Run the real command with this terminal as its own; its exit code."""
    beside = Path(sys.executable).with_name("pdl")
    command = [str(beside)] if beside.exists() else [sys.executable, "-m", "pdl"]
    say(f"$ pdl {' '.join(words)}")
    environment = {**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [*command, *words], cwd=directory, env=environment, check=False, timeout=LIMIT
    ).returncode


def say(text: str) -> None:
    """Print, in order with what pdl prints."""
    print(text, flush=True)


class Checks:
    """What was expected, and whether it was so."""

    def __init__(self) -> None:
        self.wrong = 0

    def __call__(self, what: str, *, holds: bool) -> None:
        """Show one of them."""
        say(f"  {'ok   ' if holds else 'WRONG'} {what}")
        self.wrong += not holds


def listed(path: Path) -> set[str]:
    """The URLs of a list."""
    return {line for line in path.read_text().splitlines() if line.startswith("http")}


def same(directory: Path, site: Site, paths: set[str]) -> bool:
    """Whether these files are there, byte for byte, and no others."""
    there = {f"/{path.name}": path.read_bytes() for path in directory.iterdir() if path.is_file()}
    return there == {path: site.files[path] for path in paths}


def first_run(work: Path, base: str, site: Site, check: Checks) -> None:
    """The whole list: most of it is fine."""
    bad = {*MISSING, TRUNCATED}
    code = pdl(work, "urls.txt", "-j", str(JOBS), "-d", "files", "--failed", "failed.txt")
    say(f"\nIt exited with {code}: 0 is all well, 1 is that some failed.")
    check("exit code 1", holds=code == 1)
    good = set(site.files) - bad
    check(f"{len(good)} files are there, byte for byte", holds=same(work / "files", site, good))
    tries = {path: site.asked[path] for path in sorted(BUSY | DROPPED)}
    check("503 and reset were tried again, once", holds=set(tries.values()) == {2})
    check("404 was not: that is permanent", holds={site.asked[path] for path in MISSING} == {1})
    check("the truncated file was tried 4 times", holds=site.asked[TRUNCATED] == 1 + 3)
    failed = listed(work / "failed.txt")
    check("failed.txt lists what failed", holds=failed == {base + path for path in bad})
    say(f"\nThis is failed.txt:\n\n{(work / 'failed.txt').read_text()}")


def second_run(work: Path, site: Site, check: Checks) -> None:
    """What failed is a list too; meanwhile the server has been mended."""
    site.mended = True
    site.asked.clear()
    say("Somebody mends the server. A failure list is a list: only what failed is tried again.\n")
    code = pdl(work, "failed.txt", "-d", "files")
    say(f"\nIt exited with {code}.")
    check("exit code 0", holds=code == 0)
    check("only what had failed was asked for", holds=set(site.asked) == {*MISSING, TRUNCATED})
    check("every file is there", holds=same(work / "files", site, set(site.files)))
    check("nothing else is left", holds=not (work / "files" / ".pdl").exists())


def main() -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(description="Show pdl at work.")
    parser.add_argument("--fast", action="store_true", help="do not slow the server down")
    site = Site(make_files(), slow=not parser.parse_args().fast)
    check = Checks()
    with tempfile.TemporaryDirectory(prefix="pdl-demo-") as name, serving(site) as base:
        work = Path(name)
        lines = [base + path for path in site.files]
        random.Random(1).shuffle(lines)
        (work / "urls.txt").write_text("\n".join([*lines, BAD_LINE]) + "\n")
        say(f"{len(lines)} URLs; 4 are missing, 3 busy at first, 3 dropped once, 1 cut always,")
        say("and one line of the list is no URL at all.\n")
        first_run(work, base, site, check)
        second_run(work, site, check)
    say("\nAll as promised." if not check.wrong else f"\n{check.wrong} not as promised.")
    return 1 if check.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
