"""Every fallible call of a small run fails in turn, or the process is killed there.

A sample runs by default. ``PDL_TORTURE=full`` takes every call with every error.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from places import TESTS
from runner import base_environment
from servers.behaviours import Close, Raw, Reply, Then, head
from servers.files import File
from servers.misbehave import Server
from servers.row import pattern
from torture.harness import Case, Ending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = os.environ.get("PDL_TORTURE") == "full"
SAMPLE = 20
FLAVOURS = 2
BIG = pattern(1_300_000, 9)
BODIES = {
    1: pattern(2_000, 3),
    2: BIG,
    3: pattern(3_000, 4),
    4: pattern(4_000, 5),
    5: pattern(5_000, 6),
    7: pattern(6_000, 7),
    8: pattern(70_000, 8),
}
"""The files by their line in the list; line 6 is an option."""
DATE = 1_600_000_000
OPTIONS = ("--engine", "inline", "--progress", "none", "--retry-wait", "0", "--retries", "2")
REPORTS = ("--report", "rows.jsonl", "--failed", "failed.txt")


pytestmark = [pytest.mark.timeout(1800)]
if not FULL:  # who asks for all of it need not ask for slow tests too
    pytestmark.append(pytest.mark.slow)


class Torturer:
    """The server, the harness and the files of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = Server(lifetime=3600, cap=8 << 30)
        self.count = 0
        self.cases = 0
        self.problems: list[str] = []
        home = directory / "home"
        home.mkdir()
        environment = base_environment(home)
        tests = str(TESTS)
        environment["PYTHONPATH"] += os.pathsep + tests
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torture.harness"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, place: Path, how: str, at: int = 0, flavour: int = 0) -> Ending:
        args = [*OPTIONS, *REPORTS, "--fsync", "-d", "out", "list"]
        case = Case(args, str(place), how, at, flavour)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(case._asdict()) + "\n")
        self.process.stdin.flush()
        return Ending(**json.loads(self.process.stdout.readline()))

    def prepare(self) -> Path:
        """A fresh directory, and fresh scripts on the server, for the next case."""
        self.count += 1
        place = self.directory / str(self.count)
        place.mkdir()
        on, base = self.server.on, f"/{self.count}"
        good = {line: File(body, etag='"e"', last_modified=DATE) for line, body in BODIES.items()}
        promise = head(200, (("ETag", '"e"'), ("Content-Length", str(len(BIG)))))
        cut = Then(Raw(promise + BIG[:1_100_000]), Close())
        digest = hashlib.sha256(BODIES[8]).hexdigest()
        lines = (
            on(f"{base}/same", good[1]),
            on(f"{base}/resumed", cut, good[2]),
            on(f"{base}/moved", Reply(302, (("Location", on(f"{base}/target", good[3])),))),
            on(f"{base}/flaky", Reply(503), good[4]),
            on(f"{base}/named", good[5]),
            "  out=deep/deeper/name.bin",
            on(f"{base}/other/same", good[7]),
            on(f"{base}/chunks", File(BODIES[8], chunked=True)) + f"#sha256={digest}",
        )
        (place / "list").write_text("\n".join(lines))
        return place

    def case(self, how: str, at: int, flavour: int = 0) -> None:
        """Run with one call spoilt, run again plainly, and note every broken promise."""
        self.cases += 1
        place = self.prepare()
        spoilt = self.run(place, how, at, flavour)
        text = (place / "output").read_text(errors="replace")
        before = files(place / "out")
        after = self.run(place, "count")
        name = f"{how} {at}/{flavour} ({' '.join(text.split()[:40])})"
        self.problems += [f"{name}: {why}" for why in broken(how, spoilt, text)]
        self.problems += [f"{name}: {why}" for why in unfinished(place, before, after)]
        shutil.rmtree(place)

    def check_promises(self, calls: int) -> None:
        """Say how much was tried, and that no promise was broken."""
        sys.stdout.write(f"{calls} calls, {self.cases} spoilt, {len(self.problems)} violations\n")
        assert self.problems == []

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def files(where: Path) -> dict[str, bytes]:
    """What stands at final names."""
    return {
        str(path.relative_to(where)): path.read_bytes()
        for path in where.rglob("*")
        if path.is_file() and ".pdl" not in path.relative_to(where).parts
    }


def broken(how: str, ending: Ending, text: str) -> Iterator[str]:
    """The promises that the spoilt run itself has broken."""
    if "Traceback" in text or "internal" in text:
        yield "a traceback"
    if how == "kill":
        if ending.code not in {-signal.SIGKILL, 0}:  # 0: it needed fewer calls this time
            yield f"not killed: {ending.code}"
        return
    lines = [line for line, _, _ in ending.rows]
    if ending.code not in {0, 1, 2, 3}:
        yield f"exit code {ending.code}"
    if len(lines) != len(set(lines)):
        yield f"a line has two outcomes: {lines}"
    whole = ending.code != 2 and (ending.code != 3 or lines)  # 2: the list could not be read on
    if whole and set(lines) != set(BODIES):
        yield f"lines without an outcome: {set(BODIES) - set(lines)}"
    if ending.code in {2, 3} and not text.strip():
        yield "ended without a word"


def unfinished(place: Path, before: dict[str, bytes], after: Ending) -> Iterator[str]:
    """What the plain run afterwards has left undone, or found wrong."""
    paths = {line: path for line, path, _ in after.rows if path}
    if after.code != 0 or set(paths) != set(BODIES):
        text = (place / "output").read_text(errors="replace")
        yield f"the run afterwards: {after.code} {after.rows} {text}"
        return
    expected = {paths[line]: body for line, body in BODIES.items()}
    yield from (f"wrong bytes at {p}" for p, data in before.items() if expected.get(p) != data)
    if files(place / "out") != expected:
        yield "the run afterwards is not byte-exact"
    rest = {path.name for path in (place / "out" / ".pdl").glob("*")}
    if rest - {"state.sqlite"}:
        yield f"left behind: {rest}"


@pytest.fixture
def torturer(tmp_path: Path) -> Iterator[Torturer]:
    found = Torturer(tmp_path)
    with found.server:
        yield found
    found.close()


def places(torturer: Torturer) -> list[str]:
    """The calls of a plain run, which must be a good one."""
    place = torturer.prepare()
    ending = torturer.run(place, "count")
    assert ending.code == 0, (place / "output").read_text()
    assert sorted(line for line, _, _ in ending.rows) == sorted(BODIES)
    assert {"write", "rename", "fsync", "mkdir", "connect"} <= set(ending.calls)
    return ending.calls


def sample(calls: list[str]) -> list[int]:
    """Numbers of calls: all of them, or some, among which is every kind of call."""
    if FULL:
        return list(range(1, len(calls) + 1))
    first = {name: place for place, name in reversed(list(enumerate(calls, 1)))}
    step = -(-len(calls) // SAMPLE)
    return sorted({*first.values(), *range(1, len(calls) + 1, step)})


def test_no_failing_call_breaks_a_promise(torturer: Torturer) -> None:
    calls = places(torturer)
    for at in sample(calls):
        for flavour in range(FLAVOURS if FULL else 1):
            torturer.case("fail", at, flavour + at)
    torturer.check_promises(len(calls))


def test_no_kill_at_a_call_breaks_a_promise(torturer: Torturer) -> None:
    calls = places(torturer)
    for at in sample(calls):
        torturer.case("kill", at)
    torturer.check_promises(len(calls))
