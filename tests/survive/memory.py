"""Peak memory of the whole process tree while servers try to make pdl take it.

    python tests/survive/memory.py

Runs pdl once over as many honest files and once over every row of the fault table that is about
memory, all at the same time, and prints the most that its processes ever held together (PSS).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from servers.faults import FAULTS, path_for, script_for  # noqa: E402 - found through the path above
from servers.files import File  # noqa: E402
from servers.misbehave import Server  # noqa: E402

HUNGRY = tuple(name for name, fault in FAULTS.items() if fault.hungry)
"""Rows whose answers would take a careless client's memory."""
MEASURE = TESTS / "benchmarks" / "measure.py"
ALLOWED = 100_000_000
"""Bytes that they may cost beyond honest answers."""


def peak(urls: list[str], place: Path) -> int:
    """The most bytes that the processes of a run over these URLs held."""
    place.mkdir()
    words = ["-m", "pdl", *urls, "-d", str(place / "out"), "-q", "-j", str(len(urls))]
    limits = ["--retries", "0", "--max-time", "10"]
    measure = [sys.executable, str(MEASURE), "memory", str(place / "taken"), "/dev/null"]
    subprocess.run([*measure, sys.executable, *words, *limits], check=True, timeout=120)
    return int(json.loads((place / "taken").read_text())[2])


def main() -> None:
    """Measure, and print."""
    with Server(fallback=script_for) as server, tempfile.TemporaryDirectory() as name:
        honest = [server.on(f"/{n}.bin", File(b"x" * 4096)) for n in range(len(HUNGRY))]
        plain = peak(honest, Path(name) / "plain")
        hungry = peak([server.url(path_for(FAULTS[row])) for row in HUNGRY], Path(name) / "hungry")
    more = hungry - plain
    sys.stdout.write(f"plain {plain} bytes, hungry {hungry} bytes: {more} more\n")
    sys.exit(more > ALLOWED)


if __name__ == "__main__":
    main()
