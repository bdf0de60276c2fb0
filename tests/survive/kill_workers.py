"""A random worker is killed again and again for the whole run; every file is whole in the end.

By hand: ``python tests/survive/kill_workers.py --runs 20``. A few small rounds are in
``tests/slow/test_survive.py``.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from servers.nginx import Nginx
from survive.common import fill, make_runner, missing, workers, write_list, wrong

if TYPE_CHECKING:
    from runner import Runner


class Survived(NamedTuple):
    """What came of one run.

    Attributes:
        left: processes, and files in ``.pdl``, that should be gone.
    """

    code: int
    kills: int
    seconds: float
    missing: int
    wrong: int
    left: list[str]
    err: str

    @property
    def ok(self) -> bool:
        """Whether nothing was lost."""
        return not (self.code or self.missing or self.wrong or self.left)


def storm(runner: Runner, main: int, every: float, over: threading.Event) -> int:
    """Kill a random worker in each period until `over`; how many were killed."""
    chance = random.Random(main)
    kills = 0
    while not over.wait(every):
        with suppress(ProcessLookupError, IndexError):
            os.kill(chance.choice(workers(runner, main)), signal.SIGKILL)
            kills += 1
    return kills


def survive(
    directory: Path, nginx: Nginx, digests: dict[str, str], every: float, args: list[str]
) -> Survived:
    """One run in an empty directory under a storm."""
    runner = make_runner(directory)
    urls, out = directory / "urls.txt", directory / "out"
    write_list(urls, nginx, digests)
    begun = time.monotonic()
    process = runner.start(urls, "-d", out, "-j", "8", "--progress", "none", *args)
    over = threading.Event()
    kills: list[int] = []
    killer = threading.Thread(target=lambda: kills.append(storm(runner, process.pid, every, over)))
    killer.start()
    try:
        run = runner.finish(process, timeout=600)
    finally:
        over.set()
        killer.join()
        left = runner.leftovers()
        runner.close()
    state = out / ".pdl"
    left += [str(path) for path in ([state, *state.iterdir()] if state.exists() else [])]
    return Survived(
        run.code,
        kills[0],
        time.monotonic() - begun,
        len(missing(out, digests)),
        len(wrong(out, digests)),
        left,
        run.err,
    )


def main() -> None:
    """Run it so many times; exit 1 if any run lost anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--size", type=int, default=256 * 1024)
    parser.add_argument(
        "--rate", type=int, default=200 * 1024, help="bytes/s, after one second's worth at once"
    )
    parser.add_argument("--every", type=float, default=0.1, help="seconds between two kills")
    told, args = parser.parse_known_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        www = Path(name, "www")
        www.mkdir()
        digests = fill(www, told.files, told.size)
        with Nginx(www, rate=told.rate) as nginx:
            for number in range(1, told.runs + 1):
                with tempfile.TemporaryDirectory(dir=name) as work:
                    it = survive(Path(work), nginx, digests, told.every, args)
                bad += not it.ok
                sys.stdout.write(
                    f"run {number}: exit {it.code}, {told.files - it.missing - it.wrong} of "
                    f"{told.files} whole, {it.kills} kills, {it.seconds:.1f} s, left {it.left}\n"
                )
                sys.stdout.write("" if it.ok else it.err[-3000:])
                sys.stdout.flush()
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
