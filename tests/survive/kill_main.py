"""The main process is killed at random moments, each time the same command follows.

By hand: ``python tests/survive/kill_main.py --kills 200``. A small form is in
``tests/slow/test_survive.py``.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from servers.nginx import Nginx
from survive.common import Watched, fill, make_runner, missing, watch, write_list, wrong


class Survived(NamedTuple):
    """What came of it.

    Attributes:
        wrong: names that at any time had bytes that were not theirs.
        lingering: processes that were there too long after a kill, see `watch`.
        rounds: how often the whole set was fetched.
        workers: seconds in which all workers were gone, at worst.
        helpers: the same of the fork server and the resource tracker.
    """

    kills: int
    code: int
    wrong: list[str]
    missing: list[str]
    lingering: list[str]
    left: list[str]
    rounds: int
    workers: float
    helpers: float

    @property
    def ok(self) -> bool:
        """Whether nothing was lost."""
        return not any((self.code, self.wrong, self.missing, self.lingering, self.left))


def survive(
    directory: Path, nginx: Nginx, digests: dict[str, str], kills: int, longest: float
) -> Survived:
    """Start, kill within `longest` seconds, look, again; then let the command end."""
    runner, chance = make_runner(directory), random.Random(11)
    urls, out = directory / "urls.txt", directory / "out"
    write_list(urls, nginx, digests)
    bad: list[str] = []
    watched: list[Watched] = []
    done, rounds = 0, 1
    while done < kills:
        process = runner.start(urls, "-d", out, "--progress", "none")
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, longest))
        if process.poll() is None:
            process.kill()
            done += 1
        elif not missing(out, digests):
            rounds += 1
            for path in out.iterdir():  # everything is there: from the start again
                path.unlink()
        watched.append(watch(runner, process.pid))
        runner.finish(process)
        bad += wrong(out, digests)
    code = runner(urls, "-d", out).code
    left = runner.leftovers() + ([".pdl"] if (out / ".pdl").exists() else [])
    runner.close()
    return Survived(
        done,
        code,
        [*bad, *wrong(out, digests)],
        missing(out, digests),
        [late for each in watched for late in each.late],
        left,
        rounds,
        max((each.workers for each in watched), default=0.0),
        max((each.helpers for each in watched), default=0.0),
    )


def main() -> None:
    """Run it; exit 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--rate", type=int, default=512 * 1024)
    parser.add_argument("--longest", type=float, default=1.2)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        www, work = Path(name, "www"), Path(name, "work")
        www.mkdir()
        work.mkdir()
        digests = fill(www, told.files, told.size)
        with Nginx(www, rate=told.rate) as nginx:
            it = survive(work, nginx, digests, told.kills, told.longest)
    sys.stdout.write(f"{it}\n")
    sys.exit(not it.ok)


if __name__ == "__main__":
    main()
