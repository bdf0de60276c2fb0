"""What other downloaders make of the fault table, or of odd heads: run by hand, prints a table.

    python tests/peers.py [--heads] [--bound SECONDS] [PROGRAM...]

A program fails a row of faults when it says all is well (exit 0) and the bytes are wrong, when it
leaves wrong bytes at the final name whatever it says, when it gives up on what can be had whole, or
when it has not ended by the bound. Of an odd head each program's answer is told, and why pdl
refuses it, if it does.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from servers import odd_heads
from servers.faults import FAULTS, path_for, script_for
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servers.row import Fault

PROGRAMS: dict[str, str] = {
    "pdl": (
        f"{sys.executable} -m pdl -q --retries {{retries}} --retry-wait 0.1 --timeout 2 "
        "--max-time 3 --max-retry-wait 5 {url}"
    ),
    "curl": (
        "curl -q -sS -f -L --max-redirs 10 --retry {retries} --retry-all-errors "
        "--connect-timeout 5 --speed-time 2 --speed-limit 100 -o {name} {url}"
    ),
    "wget2": (
        "wget2 --no-config -q --tries={tries} --waitretry=1 --timeout=2 --max-redirect=10 "
        "-O {name} {url}"
    ),
    "aria2c": (
        "aria2c --no-conf -q --max-tries={tries} --retry-wait=1 --timeout=2 --connect-timeout=5 "
        "--lowest-speed-limit=100 --file-allocation=none -o {name} {url}"
    ),
    "wget": (
        "wget --no-config -q --tries={tries} --waitretry=1 --timeout=2 --max-redirect=10 "
        "-O {name} {url}"
    ),
}


def words_of(program: str, name: str, url: str, retries: int) -> list[str]:
    """A program's command for one file."""
    line = PROGRAMS[program]
    return [
        word.format(name=name, url=url, retries=retries, tries=retries + 1) for word in line.split()
    ]


class Verdict(NamedTuple):
    """How a program did on a row; `wrong` is empty when it did well."""

    row: str
    wrong: str


def judge(program: str, fault: Fault, server: Server, bound: float) -> Verdict:
    """Run a program on a row, in a directory of its own."""
    name = f"{fault.name}{fault.suffix}"
    url = server.url(path_for(fault, run=program))
    words = words_of(program, name, url, retries=2)
    with tempfile.TemporaryDirectory() as home:
        try:
            code = subprocess.run(
                words, cwd=home, timeout=bound, check=False, capture_output=True
            ).returncode
        except subprocess.TimeoutExpired:
            return Verdict(fault.name, "no end")
        return Verdict(fault.name, _wrong(fault, code, Path(home, name)))


def _wrong(fault: Fault, code: int, final: Path) -> str:
    there = final.is_file()
    good = there and "success" in fault.right and final.read_bytes() == fault.body
    if code == 0 and not good:
        return "wrong bytes, exit 0" if there else "nothing, exit 0"
    if there and not good and not final.with_name(f"{final.name}.aria2").exists():
        return "a partial at the name"
    if code != 0 and fault.right == ("success",):
        return "gave up"
    return ""


def table(programs: Sequence[str], bound: float) -> dict[str, list[Verdict]]:
    """The rows that each program fails; two at a time."""
    failed: dict[str, list[Verdict]] = {}
    with ThreadPoolExecutor(2) as workers:
        for program in programs:
            with Server(fallback=script_for, lifetime=900, cap=16 << 30) as server:
                verdicts = workers.map(
                    lambda fault, program=program, server=server: judge(
                        program, fault, server, bound
                    ),
                    FAULTS.values(),
                )
                failed[program] = [verdict for verdict in verdicts if verdict.wrong]
    return failed


def taken(program: str, row: odd_heads.OddHead, server: Server, bound: float) -> str:
    """What a program makes of an odd head, in a word."""
    words = words_of(program, row.name, server.url(row.path), retries=0)
    with tempfile.TemporaryDirectory() as home:
        try:
            done = subprocess.run(words, cwd=home, timeout=bound, check=False, capture_output=True)
        except subprocess.TimeoutExpired:
            return "no end"
        final = Path(home, row.name)
        if done.returncode:
            return "-"
        return "whole" if final.is_file() and final.read_bytes() == odd_heads.BODY else "WRONG"


def heads_table(programs: Sequence[str], bound: float) -> list[str]:
    """A line for each odd head; two programs at a time."""
    lines = [
        f"{len(odd_heads.HEADS)} odd heads: whole is the file, - refused, WRONG exit 0 without it",
        f"{'':27}" + "".join(f"{program:8}" for program in programs),
    ]
    with (
        Server(fallback=odd_heads.script_for, lifetime=900) as server,
        ThreadPoolExecutor(2) as workers,
    ):
        for row in odd_heads.HEADS:
            said = workers.map(
                lambda program, row=row: taken(program, row, server, bound), programs
            )
            cells = "".join(f"{word:8}" for word in said)
            lines.append(f"{row.name:27}{cells}{row.refused}".rstrip())
    return lines


def faults_table(programs: Sequence[str], bound: float) -> list[str]:
    """The rows that each program fails."""
    lines = [f"{len(FAULTS)} rows"]
    for program, verdicts in table(programs, bound).items():
        lines.append(f"{program}: fails {len(verdicts)}")
        lines += [f"  {verdict.row}: {verdict.wrong}" for verdict in verdicts]
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", action="store_true", help="odd heads in place of the faults")
    parser.add_argument("--bound", type=float, default=20.0, help="seconds for a row")
    parser.add_argument("programs", nargs="*", help="some of: " + " ".join(PROGRAMS))
    told = parser.parse_args()
    programs = [
        name for name in told.programs or PROGRAMS if shutil.which(PROGRAMS[name].split()[0])
    ]
    make = heads_table if told.heads else faults_table
    sys.stdout.write("\n".join(make(programs, told.bound)) + "\n")


if __name__ == "__main__":
    main()
