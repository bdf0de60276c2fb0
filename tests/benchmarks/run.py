"""Compares pdl with the downloaders that are installed: ``python tests/benchmarks/run.py``.

Builds files in memory, serves them on loopback, runs every tool in turn, round after round, and
prints medians of seconds and CPU seconds, the memory of one more run (PSS of all processes
together), and the ratios of pdl's seconds to each tool's, taken within a round: a machine's speed
drifts, ratios hold.
Exits with 1 if pdl failed somewhere or got a file wrong; slowness is no failure.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.arena import NoRoom, entered
from benchmarks.cases import CASES, Case
from benchmarks.table import HEADING, rows
from servers import nginx

if TYPE_CHECKING:
    from benchmarks.measure import Taken


def chosen() -> tuple[list[Case], int]:
    """The cases and the number of rounds that the command line asks for."""
    names = ", ".join(case.name for case in CASES)
    parser = argparse.ArgumentParser(description="Compare pdl with other downloaders.")
    parser.add_argument("--quick", action="store_true", help="tiny files, one round")
    parser.add_argument("--cases", metavar="A,B", help=f"only these of: {names}")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is run [3]")
    given = parser.parse_args()
    wanted = given.cases.split(",") if given.cases else [case.name for case in CASES]
    unknown = set(wanted) - {case.name for case in CASES}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are: {names}")
    cases = [case.quick() if given.quick else case for case in CASES if case.name in wanted]
    return cases, max(1, given.rounds or (1 if given.quick else 3))


def compare(case: Case, rounds: int) -> dict[str, list[Taken]]:
    """Run every tool that is installed, in turn, so often, and once before for its memory."""
    tools = [tool for tool in case.tools if tool.installed()]
    taken: dict[str, list[Taken]] = {tool.name: [] for tool in tools}
    with entered(case) as arena:
        watched = {tool.name: arena.run(tool, "memory") for tool in tools}
        for _ in range(rounds):
            for tool in tools:
                first, run = watched[tool.name], arena.run(tool)
                run = run._replace(memory=first.memory, code=first.code or run.code)
                taken[tool.name].append(run)
    return taken


def main() -> int:
    """Run what was asked for; the exit code."""
    cases, rounds = chosen()
    failed = False
    say(HEADING)
    for case in cases:
        if case.server in {"http", "https"} and not nginx.available():
            say(f"{case.name:<14}needs nginx")
            continue
        try:
            taken = compare(case, rounds)
        except NoRoom as exc:
            say(f"{case.name:<14}{exc}")
            continue
        say("\n".join(rows(case.name, taken)))
        ours = next(iter(taken.values()))
        failed = failed or any(run.code for run in ours)
    return 1 if failed else 0


def say(text: str) -> None:
    """Print it now; a case may take minutes."""
    print(text, flush=True)  # noqa: T201 - the command's output


if __name__ == "__main__":
    sys.exit(main())
