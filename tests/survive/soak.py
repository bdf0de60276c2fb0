"""A long run against a server that misbehaves at random in every way the fault table knows.

    python tests/survive/soak.py --seconds 1800 --requests 100000

Lines go into pdl's standard input at an even pace for that long. At the end every line's outcome
must be one that its fault explains, every file must have the right bytes, and neither the memory
nor the open files of pdl's processes may have grown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from servers.faults import FAULTS, Fault  # noqa: E402 - found through the path above

SLOW = ("stall", "drip", "retry-after", "continue-flood", "headers-endless", "redirect-huge")
"""Rows that hold a lane or the whole host for long; each comes rarely."""
RACE = "unsolicited-bytes"
"""A forged answer that comes just after a request was sent is its answer, to any client: HTTP/1.1
has nothing to tell them apart by. Held with a gate, which makes it come before, in test_faults."""
RARE = 0.0005
GOOD = 0.55
"""Share of lines with nothing wrong."""
MEMORY_GROWTH = 6 << 20
"""Bytes by which the memory of the whole tree may grow from the run's middle fifth to its last.

Before that, caches fill, and pages that were shared at the start are written to. What remains is
the table of the names that were given: 25 to 75 bytes a line.
"""


class Sample(NamedTuple):
    """Of pdl's processes together."""

    processes: int
    memory: int
    handles: int


def lines_for(port: int, count: int, seed: int) -> list[tuple[str, Fault]]:
    """URLs, each a run of its own of one row, and the rows."""
    rng = random.Random(seed)
    slow = [row for row in FAULTS.values() if row.name.startswith(SLOW)]
    quick = [row for row in FAULTS.values() if not row.name.startswith((*SLOW, RACE))]
    good = FAULTS["chunked-honest"], FAULTS["status-500-then-good"], FAULTS["cut-then-206"]
    chosen = []
    for number in range(count):
        dice = rng.random()
        row = rng.choice(slow if dice < RARE else good if dice < GOOD else quick)
        name = f"{row.name}.{number}{row.suffix}"
        chosen.append((f"http://127.0.0.1:{port}/fault/{number}/{name}", row))
    return chosen


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def sample(pid: int) -> Sample:
    """What pdl's processes hold now."""
    memory = handles = 0
    pids = tree(pid)
    for each in pids:
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
            memory += next(int(w.split()[1]) for w in rollup.splitlines() if w[:4] == "Pss:")
            handles += len(list(Path(f"/proc/{each}/fd").iterdir()))
        except (OSError, StopIteration):
            continue
    return Sample(len(pids), memory * 1024, handles)


def feed(pdl: subprocess.Popen[bytes], urls: list[str], seconds: float) -> list[Sample]:
    """Write the lines at an even pace; look at the processes now and then."""
    assert pdl.stdin is not None
    began = time.monotonic()
    samples = []
    next_look = began
    for number, url in enumerate(urls):
        pdl.stdin.write(f"{url}\n".encode())
        pdl.stdin.flush()
        due = began + seconds * (number + 1) / len(urls)
        if (now := time.monotonic()) >= next_look:
            samples.append(sample(pdl.pid))
            next_look = now + max(0.5, seconds / 300)
        if due > now:
            with suppress(subprocess.TimeoutExpired):
                pdl.wait(due - now)  # which it should not end before the list does
    pdl.stdin.close()
    return samples


def verdicts(
    rows: list[dict[str, object]], chosen: list[tuple[str, Fault]], out: Path
) -> list[str]:
    """What is wrong with the outcomes, a line each."""
    wrong = []
    seen = {row["line"]: row for row in rows}
    if len(seen) != len(rows) or len(rows) != len(chosen):
        wrong.append(f"{len(chosen)} lines, {len(rows)} rows, {len(seen)} of them different")
    for number, (url, fault) in enumerate(chosen, start=1):
        row = seen.get(number)
        if row is None:
            wrong.append(f"line {number} has no outcome: {url}")
            continue
        word = row["kind"] or row["outcome"]
        if word not in fault.right:
            wrong.append(f"{url}: {word}, not {fault.right}: {row['message']}")
        path = out / str(row["path"])
        if word == "success" and hashlib.sha256(path.read_bytes()).digest() != digest(fault):
            wrong.append(f"{url}: wrong bytes")
        if word != "success" and path.exists():
            wrong.append(f"{url}: {word}, and yet there is a file")
    return wrong


def digest(fault: Fault) -> bytes:
    """Of the bytes the row has to end with."""
    return hashlib.sha256(fault.body).digest()


def growth(samples: list[Sample]) -> tuple[int, int, str]:
    """Bytes and handles by which the end differs from the middle, and a line that tells."""
    fifth = max(1, len(samples) // 5)
    middle, late = samples[2 * fifth : 3 * fifth] or samples, samples[-fifth:]
    memory = [int(statistics.median(each.memory for each in part)) for part in (middle, late)]
    handles = [int(statistics.median(each.handles for each in part)) for part in (middle, late)]
    text = (
        f"memory {memory[0] >> 20} -> {memory[1] >> 20} MiB, "
        f"handles {handles[0]} -> {handles[1]}, {len(samples)} looks"
    )
    return memory[1] - memory[0], handles[1] - handles[0], text


def run(seconds: float, requests: int, seed: int = 1) -> tuple[list[str], str]:
    """Run it once: what was wrong, and the figures."""
    with tempfile.TemporaryDirectory(prefix="soak") as directory:
        return _run_in(Path(directory), seconds, requests, seed)


def _run_in(home: Path, seconds: float, requests: int, seed: int) -> tuple[list[str], str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "servers.misbehave", "--seconds", str(int(seconds) + 600),
         "--cap-mb", "4000000"],
        cwd=TESTS, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        chosen = lines_for(port, int(requests / 1.75), seed)
        out, report = home / "out", home / "report.jsonl"
        with (home / "stderr").open("wb") as errors:
            pdl = subprocess.Popen(
                [sys.executable, "-m", "pdl", "-", "-j", "8", "-d", str(out), "-q", "--report",
                 str(report), "--retry-wait", "0.05", "--timeout", "5", "--max-time", "20"],
                stdin=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            samples = feed(pdl, [url for url, _ in chosen], seconds)
            code = pdl.wait(timeout=300)
        rows = [json.loads(line) for line in report.read_text().splitlines()]
        wrong = verdicts(rows, chosen, out)
        if code != 3:  # one row claims to be larger than any disk
            wrong.append(f"exit code {code}, not 3")
        if b"Traceback" in (home / "stderr").read_bytes():
            wrong.append("a traceback")
        memory, handles, text = growth(samples)
        if memory > MEMORY_GROWTH or handles > 4:
            wrong.append(f"grown: {text}")
        attempts = sum(int(row["attempts"]) for row in rows)
        return wrong, f"{len(rows)} lines, {attempts} attempts, {text}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        if server.stdout is not None:
            server.stdout.close()


def main() -> None:
    """Run as asked; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description="A long run against a misbehaving server.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wrong, figures = run(given.seconds, given.requests, given.seed)
    for line in wrong[:50]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{figures}; {len(wrong)} wrong\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
