"""``-j auto`` on the wire: more where it pays, and never more than a host bears or was said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import pdl
from marks import slow
from pdl.pool.startup.start_limits import BASE, fitted
from pdl.settings import PoolSettings
from servers.limits import Bears, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner


pytestmark = pytest.mark.slow


def fetch(pdl_run: Runner, server: Limits, count: int, *options: str) -> int:
    """Fetch so many files; how many there are."""
    listed = pdl_run.directory / "list"
    listed.write_text("".join(f"{url}\n" for url in server.urls(count)))
    run = pdl_run("list", "-d", "out", *options, timeout=100)
    assert run.code == 0, run.err
    return len([each for each in (pdl_run.directory / "out").iterdir() if each.name != ".pdl"])


def test_more_are_in_flight_to_a_server_far_away(pdl_run: Runner) -> None:
    with Limits(takes=0.05) as server:
        assert fetch(pdl_run, server, 500, "-j", "auto") == 500
        assert server.most >= 32


def test_the_number_is_told_to_those_who_look_closely(pdl_run: Runner) -> None:
    with Limits(takes=0.05) as server:
        run = pdl_run("-v", "-d", "out", "-j", "auto", *server.urls(200))
    told = re.findall(r"^jobs +(\d+) at once from now on \(-j auto\)$", run.err, re.MULTILINE)
    assert told[:2] == ["16", "32"]


def test_a_server_that_bears_six_gives_every_file(pdl_run: Runner) -> None:
    with Bears(6, takes=0.02) as server:
        assert fetch(pdl_run, server, 200, "-j", "auto") == 200
        assert server.most <= 6
        assert len(server.refused) <= 18


def test_what_a_host_bears_is_found_on_the_way_up(pdl_run: Runner) -> None:
    with Bears(20, takes=0.05) as server:
        assert fetch(pdl_run, server, 600, "-j", "auto") == 600
        assert server.most >= 16
        assert len(server.refused) <= 60


@pytest.mark.parametrize(
    ("options", "most"),
    [(("-j", "auto", "--per-host", "3"), 3), (("-j", "5"), 5), slow(("-j", "11"), 11)],
)
def test_never_more_are_in_flight_than_was_said(
    pdl_run: Runner, options: tuple[str, ...], most: int
) -> None:
    with Limits(takes=0.02) as server:
        assert fetch(pdl_run, server, 100, *options) == 100
        assert server.most == most


def test_a_program_and_a_variable_may_say_it(pdl_run: Runner, tmp_path: Path) -> None:
    with Limits() as server:
        report = pdl.download(
            server.urls(3),
            str(tmp_path / "out"),
            jobs="auto",
            settings=pdl.Settings(pool=PoolSettings(engine="inline")),
        )
        assert report.summary.succeeded == 3
        assert pdl_run(*server.urls(2), "-d", "more", env={"PDL_JOBS": "auto"}).code == 0
        dry = pdl_run(*server.urls(2), "-j", "auto", "--dry-run")
        assert (dry.code, dry.out.count("get\t")) == (0, 2)
    wrong = pdl_run("http://h/x", env={"PDL_JOBS": "some"})
    assert wrong.code == 2
    assert "'some' is neither a number nor auto" in wrong.err


@pytest.mark.parametrize(
    ("handles", "most"), [(BASE + 7 * 10, 20), (BASE + 7, 2), (0, 2), (1 << 20, 256), (-1, 256)]
)
def test_file_handles_bound_what_is_looked_for(
    handles: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, handles))
    pool = PoolSettings(jobs="auto", processes=2)
    assert fitted(pool).most_jobs() == most
    assert fitted(pool._replace(jobs=12)) == pool._replace(jobs=12)
