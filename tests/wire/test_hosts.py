"""Hosts that bear little, are away for a while, count requests, or are dead: no file is lost by it.

The rules are shown on a virtual clock (``unit/scheduling/test_governor.py``); here is what comes of
them on the wire, with workers, kept connections and clocks.
"""

from __future__ import annotations

import json
import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from marks import slow
from servers.behaviours import Reply
from servers.limits import (
    Away,
    Bears,
    BearsConnections,
    Counts,
    Limits,
    Silent,
    reply,
    unused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runner import Run, Runner
    from servers.misbehave import Server


class Scene:
    """A run over a list of URLs, and what came of it."""

    def __init__(self, pdl_run: Runner, urls: Sequence[str], *options: str) -> None:
        self.where = pdl_run.directory
        (self.where / "list").write_text("".join(f"{url}\n" for url in urls))
        told = ("--report", "r.json", "--failed", "failed", "--name", "{n}")
        self.run: Run = pdl_run("list", "-d", "out", *told, *options, timeout=170)
        self.report: dict[str, Any] = json.loads((self.where / "r.json").read_text())
        self.rows = self.report["items"]

    def files(self) -> int:
        return files(self.where)

    def host(self, server: Limits) -> dict[str, Any]:
        (found,) = [each for each in self.report["hosts"] if each["host"] == server.host]
        return dict(found)


def files(where: Path) -> int:
    return len([each for each in (where / "out").iterdir() if each.name != ".pdl"])


# --- so many at once ---


@pytest.mark.parametrize(
    ("kind", "most", "resets"),
    [
        (BearsConnections, 3, True),
        slow(BearsConnections, 1, True),
        slow(BearsConnections, 4, True),
        slow(BearsConnections, 16, True),
        slow(BearsConnections, 1, False),
        slow(BearsConnections, 4, False),
        slow(BearsConnections, 16, False),
        slow(Bears, 1, True),
        slow(Bears, 4, True),
        slow(Bears, 16, True),
        slow(Bears, 1, False),
        slow(Bears, 4, False),
        slow(Bears, 16, False),
    ],
)
def test_a_server_that_bears_few_at_once_gives_every_file(
    pdl_run: Runner, kind: Callable[..., Bears | BearsConnections], most: int, resets: bool
) -> None:
    count = 60 if most == 3 else 200
    takes = 0.02 if most == 3 else 0.05
    with kind(most, resets=resets, takes=takes) as server:
        scene = Scene(pdl_run, server.urls(count), "-j", "32", "-q")
    assert scene.run.code == 0, scene.run.err
    assert scene.files() == count
    first = min(server.good + server.refused)
    assert sum(at > first + 1 for at in server.refused) <= 3 * most
    assert server.most <= most
    told = scene.host(server)
    assert told["requests"] == count + told["pressure"]
    assert told["given_up"] == 0


# --- away ---


@pytest.mark.slow
def test_an_outage_in_the_middle_of_a_list_loses_nothing(pdl_run: Runner) -> None:
    with Away(50, 0.8) as server:
        scene = Scene(pdl_run, server.urls(150), "-v")
    assert scene.run.code == 0, scene.run.err
    assert scene.files() == 150
    assert f"host       {server.host} rests for " in scene.run.err
    assert f"host       {server.host} answers again after " in scene.run.err
    told = scene.host(server)
    assert told["rests"] == 1
    assert told["first_byte_p50"] >= 0.019
    assert told["first_byte_p95"] >= told["first_byte_p50"]
    assert told["bytes"] == sum(row["bytes"] for row in scene.rows)
    assert "hosts" not in scene.report["summary"]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [6.0, 60.0])
def test_a_long_outage_loses_nothing(pdl_run: Runner, seconds: float) -> None:
    with Away(100, seconds) as server:
        scene = Scene(pdl_run, server.urls(400), "-q")
    assert scene.run.code == 0, scene.run.err
    assert scene.files() == 400
    assert server.connections < 100


@pytest.mark.parametrize(("patience", "seconds"), [(1.0, 60.0), slow(10.0, 60.0)])
def test_a_host_that_is_away_for_too_long_is_given_up_and_the_rest_comes_later(
    pdl_run: Runner, patience: float, seconds: float
) -> None:
    with Away(50, seconds) as server:
        scene = Scene(pdl_run, server.urls(200), "--host-patience", f"{patience:g}")
        assert scene.run.code == 1
        got = scene.files()
        assert 51 <= got < 80
        lost = [row for row in scene.rows if row["outcome"] == "fail"]
        assert len(lost) == 200 - got
        assert {row["transient"] for row in lost} == {True}
        assert {row["kind"] for row in lost} <= {"connect", "reset"}
        reason = f"not asked again: {server.host} is given up, no good answer for "
        assert all(reason in row["message"] for row in lost)
        assert {row["attempts"] for row in lost} >= {0, 1}
        told = scene.host(server)
        assert told["given_up"] == len(lost)
        assert told["given_up_at"] is not None
        assert f"  {server.host} was given up at " in scene.run.err
        assert f"that ended {len(lost)} lines" in scene.run.err
        assert max(row["seconds"] for row in scene.rows) < patience + 3
        server.back()
        again = pdl_run("failed", "-d", "out", "--name", "{n}", "-q")
    assert again.code == 0, again.err


def test_a_program_that_reads_along_hears_of_hosts(pdl_run: Runner) -> None:
    with Away(30, 60.0) as server:
        scene = Scene(pdl_run, server.urls(60), "--host-patience", "1", "--progress", "json")
    events = [json.loads(line) for line in scene.run.out.splitlines()]
    told = [each for each in events if each["event"] == "host"]
    assert {each["host"] for each in told} == {server.host}
    assert [each["what"] for each in told if each["what"] != "cut"] == ["rest", "given-up"]
    (rest,) = [each for each in told if each["what"] == "rest"]
    assert rest["message"].startswith(f"{server.host} rests for ")
    assert (rest["jobs"], rest["why"] in {"connect", "reset"}) == (1, True)
    assert 0 < rest["seconds"] < 1
    assert [each["event"] for each in events].index("host-row") == len(events) - 2
    assert events[-2] == {"schema": 1, "event": "host-row", **scene.host(server)}


# --- servers that count ---

REFUSALS = {
    "429 with Retry-After": lambda left: reply(
        "429 Too Many Requests", b"no", f"Retry-After: {math.ceil(left)}"
    ),
    "429": lambda _: reply("429 Too Many Requests", b"no"),
    "429 with RateLimit-Reset": lambda left: reply(
        "429 Too Many Requests", b"no", f"RateLimit-Reset: {math.ceil(left)}"
    ),
    "429 with RateLimit": lambda left: reply(
        "429 Too Many Requests", b"no", f'RateLimit: "some";r=0;t={math.ceil(left)}'
    ),
    "403 with Retry-After": lambda left: reply(
        "403 Forbidden", b"no", f"Retry-After: {math.ceil(left)}"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_counts_is_hardly_asked_in_vain(pdl_run: Runner, refusal: str) -> None:
    with Counts(20, 2.0, REFUSALS[refusal]) as server:
        scene = Scene(pdl_run, server.urls(100), "-q")
    assert scene.run.code == 0, scene.run.err
    assert scene.files() == 100
    assert len(server.good) + len(server.refused) <= 1.1 * server.fewest(100)


@pytest.mark.parametrize("refusal", ["403 with Retry-After", slow("429 with RateLimit-Reset")])
def test_what_a_server_says_of_its_next_window_is_waited_for(pdl_run: Runner, refusal: str) -> None:
    with Counts(8, 0.9, REFUSALS[refusal]) as server:
        scene = Scene(pdl_run, server.urls(12), "-q", "-j", "3")
    assert scene.run.code == 0, scene.run.err
    assert scene.files() == 12
    # those under way, and one more of each lane that was begun before the run heard of it
    assert len(server.refused) <= 6


@pytest.mark.parametrize(
    "fields",
    [
        ("X-RateLimit-Remaining: {}", "X-RateLimit-Reset: 1"),
        ('RateLimit: "burst";r={};t=1, "day";r=9000', 'RateLimit-Policy: "day";q=9999;w=86400'),
        slow(("RateLimit: burst;r={}", "RateLimit-Policy: burst;q=5;w=1")),
    ],
    ids=["reset", "policies", "window"],
)
@pytest.mark.parametrize("engine", ["process", slow("inline")])
def test_a_good_answer_that_says_that_nothing_is_left_is_a_pause(
    pdl_run: Runner, fields: tuple[str, ...], engine: str
) -> None:
    class Telling(Counts):
        def good_answer(self, path: bytes) -> bytes:
            left = self.per - self.count
            return reply("200 OK", path, *(field.format(left) for field in fields))

    with Telling(5, 1.0, REFUSALS["429"]) as server:
        scene = Scene(pdl_run, server.urls(8), "-q", "-j", "1", "--engine", engine)
    assert scene.run.code == 0, scene.run.err
    assert len(server.refused) <= 1  # it was under way when that was heard
    assert server.good[5] - server.good[4] > 0.9


# --- dead ones ---


@pytest.mark.parametrize("kind", ["no such name", slow("refusing"), slow("silent")])
def test_a_dead_host_among_live_ones_costs_them_nothing(pdl_run: Runner, kind: str) -> None:
    with ExitStack() as stack:
        live = [stack.enter_context(Limits(0.002)) for _ in range(9)]
        base = "http://nothing.invalid"
        silent = None
        if kind == "silent":
            silent = stack.enter_context(Silent())
            base = silent.base
        elif kind == "refusing":
            base = f"http://127.0.0.1:{stack.enter_context(unused()).getsockname()[1]}"
        rows = zip(*(server.urls(40) for server in live), strict=True)
        mixed = [url for row in rows for url in row]
        lines = [f"{base}/{number}" for number in range(1000)]
        lines[500:500] = mixed
        scene = Scene(pdl_run, lines, "--timeout", "2")
    assert scene.run.code == 1
    assert scene.files() == len(mixed)
    dead = [row for row in scene.rows if row["outcome"] == "fail"]
    assert len(dead) == 1000
    assert sum(row["attempts"] for row in dead) <= 40
    assert silent is None or silent.connections <= 40
    # the time of one line: its own attempts and the waits between them
    assert scene.report["summary"]["seconds"] < 4 * 2 + 3.5 + 2 if silent else 3.5 + 2
    untried = [row for row in dead if not row["attempts"]]
    assert len(untried) > 900
    assert all("in a row failed, and none was answered" in row["message"] for row in untried)


class Unavailable(Limits):
    """Always 503."""

    def answer(self) -> bytes | None:
        return reply("503 Service Unavailable", b"")


@pytest.mark.parametrize(("options", "asked"), [((), 4), (("--retries", "0"), 1)])
def test_a_single_url_has_its_own_retries_alone(
    pdl_run: Runner, options: tuple[str, ...], asked: int
) -> None:
    with Unavailable() as server:
        scene = Scene(pdl_run, server.urls(1), "--retry-wait", "0.1", *options)
    assert (scene.run.code, len(server.refused)) == (1, asked)
    assert scene.rows[0]["message"] == "the server answered 503 Service Unavailable"
    with unused() as port:
        scene = Scene(
            pdl_run, [f"http://127.0.0.1:{port.getsockname()[1]}/"], "--retry-wait", "0.1", *options
        )
    assert scene.rows[0]["attempts"] == asked
    assert scene.rows[0]["message"] == "Connection refused"


def test_without_retries_each_line_is_asked_once_whatever_it_meets(pdl_run: Runner) -> None:
    with Bears(1, takes=0.02) as server:
        scene = Scene(pdl_run, server.urls(60), "--retries", "0", "-j", "16")
    assert len(server.good) + len(server.refused) == 60
    assert {row["attempts"] for row in scene.rows} == {1}
    assert scene.files() == len(server.good)


@pytest.mark.slow
def test_another_host_of_the_list_is_not_slowed(pdl_run: Runner) -> None:
    def seconds(*servers: Limits) -> float:
        rows = zip(*(server.urls(1000) for server in servers), strict=True)
        Scene(
            pdl_run,
            [url for row in rows for url in row],
            "-j",
            "32",
            "-q",
            "--if-exists",
            "overwrite",
        )
        return max(servers[0].good) - min(servers[0].good)

    with Limits(0.02) as free, Limits(0.02) as other:
        beside_a_good_one = seconds(free, other)
    with Limits(0.02) as free, Bears(4, takes=0.02) as few:
        beside_one_in_trouble = seconds(free, few)
    assert beside_one_in_trouble < 1.3 * beside_a_good_one  # 1.05 where the machine is quiet


def test_mirrors_of_a_host_in_trouble_are_asked_at_once(pdl_run: Runner) -> None:
    with Away(20, 100.0) as first, Limits(0.02) as second:
        lines = [
            f"{one}\t{other}" for one, other in zip(first.urls(100), second.urls(100), strict=True)
        ]
        scene = Scene(pdl_run, lines, "-q")
    assert scene.run.code == 0, scene.run.err
    assert scene.files() == 100
    assert scene.report["summary"]["seconds"] < 10


@pytest.mark.slow
def test_an_item_fails_when_all_its_mirrors_are_given_up(pdl_run: Runner) -> None:
    with Away(20, 100.0) as first, Away(20, 100.0) as second:
        lines = [
            f"{one}\t{other}" for one, other in zip(first.urls(100), second.urls(100), strict=True)
        ]
        lines += second.urls(60)
        scene = Scene(pdl_run, lines, "-q", "--host-patience", "1")
    assert scene.run.code == 1
    failed = [row for row in scene.rows if row["outcome"] == "fail"]
    assert failed
    assert len(failed) + scene.files() == 160
    assert scene.report["summary"]["seconds"] < 15


def test_a_redirect_to_where_nobody_answers_is_the_files_own_trouble(
    pdl_run: Runner, server: Server
) -> None:
    with unused() as port:
        dead = f"http://127.0.0.1:{port.getsockname()[1]}/x"
        urls = [server.on(f"/{number}", Reply(200, (), b"x")) for number in range(5)]
        urls.append(server.on("/away", Reply(302, (("Location", dead),))))
        scene = Scene(pdl_run, urls, "--retry-wait", "0.1", "-v")
    (failed,) = [row for row in scene.rows if row["outcome"] == "fail"]
    assert (failed["kind"], failed["attempts"], failed["final_url"]) == ("connect", 4, dead)
    assert "not asked again" not in failed["message"]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_the_last_file_that_is_always_put_off_ends_by_its_own_retries(
    pdl_run: Runner, status: str
) -> None:
    """Its host has served all the others meanwhile, and it has waited as long as it was told."""

    class PutsOff(Limits):
        def good_answer(self, path: bytes) -> bytes:
            return reply(status, b"", "Retry-After: 1") if path == b"/9" else reply(body=path)

    with PutsOff(takes=0.1) as server:
        scene = Scene(pdl_run, server.urls(12), "--retry-wait", "0.1", "-j", "4")
    (failed,) = [row for row in scene.rows if row["outcome"] == "fail"]
    assert failed["kind"] == f"http-{status[:3]}"
    assert failed["attempts"] in {4, 5}
    assert scene.files() == 11
    assert scene.report["summary"]["seconds"] < 8
