"""`--archive FILE`: what was fetched once is not fetched again, though its file is gone."""

from __future__ import annotations

import json
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pdl.errors import UsageError
from pdl.model import Item, Outcome, Result
from pdl.run.download import Report, download
from pdl.settings import (
    FileSettings,
    HookSettings,
    InputSettings,
    LockSettings,
    PoolSettings,
    RetrySettings,
    Settings,
)
from pdl.text.urls import parse, url_key
from runner import until
from servers.behaviours import Reply
from servers.files import File
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")
INLINE = Settings(pool=PoolSettings(engine="inline"), retry=RetrySettings(0))


class Bench:
    """Runs with one archive, in this process."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.path = where / "done"
        self.settings = INLINE._replace(input=InputSettings(archive=str(self.path)))
        self.rows: list[tuple[str, str]] = []

    def run(self, *items: str | Item, **changed: object) -> Report:
        self.rows = []
        settings = self.settings._replace(**changed)  # type: ignore[arg-type]
        return download(items, str(self.where / "o"), settings=settings, on_event=self._take)

    def _take(self, event: object) -> None:
        if isinstance(event, Result):
            self.rows.append((event.outcome.value, event.message))
            if (
                event.outcome is Outcome.SUCCESS and self.path.exists()
            ):  # what is told is in the archive
                assert event.url in self.path.read_text()

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def line(url: str) -> str:
    return f"{url_key(parse(url)):016x} {url}"


def test_what_was_fetched_is_skipped_though_the_file_is_gone(server: Server, bench: Bench) -> None:
    urls = [server.on(f"/{name}", File(b"abc")) for name in "ab"]
    gone = server.on("/gone", Reply(404))
    assert not bench.run(*urls, gone, urls[0]).ok
    assert [how for how, _ in bench.rows] == ["success", "success", "success", "fail"]
    assert sorted(bench.lines()) == sorted(map(line, urls))
    (bench.where / "o/a").unlink()
    asked = len(server.requests())
    bench.run(*urls, gone)
    assert sorted(bench.rows)[1:] == [("skipped", "in the archive")] * 2
    assert len(server.requests()) == asked + 1
    assert not (bench.where / "o/a").exists()
    assert len(bench.lines()) == 2


def test_its_name_is_not_given_to_another_url(server: Server, bench: Bench) -> None:
    bench.run(server.on("/1/x.bin", File(b"one")))
    (bench.where / "o/x.bin").unlink()
    bench.run(server.on("/1/x.bin", File(b"one")), server.on("/2/x.bin", File(b"two")))
    assert [how for how, _ in bench.rows] == ["skipped", "success"]
    assert not (bench.where / "o/x.bin").exists()


def test_secrets_are_not_in_it(server: Server, bench: Bench) -> None:
    url = server.on("/a", File(b"abc")) + "?token=secret"
    bench.run(url.replace("://", "://me:password@"))
    assert "secret" not in bench.path.read_text()
    assert "password" not in bench.path.read_text()
    assert len(bench.lines()) == 1


def test_a_file_that_was_there_is_added_as_a_killed_run_may_have_left_it(
    server: Server, bench: Bench
) -> None:
    url = server.on("/a", File(b"abc"))
    bench.run(url, input=InputSettings())
    bench.run(url)
    assert bench.rows == [("skipped", "already there")]
    assert bench.lines() == [line(url)]


def test_an_allowed_status_is_no_file(server: Server, bench: Bench) -> None:
    url = server.on("/a", Reply(404))
    bench.run(url, retry=RetrySettings(0, allowed=frozenset({404})))
    assert bench.rows[0][0] == "skipped"
    assert bench.lines() == []


def test_a_line_is_added_after_its_command_went_well(server: Server, bench: Bench) -> None:
    urls = [server.on(f"/{name}", File(b"abc")) for name in "ab"]
    (bench.where / "o").mkdir()
    bench.run(*urls, hooks=HookSettings(f"test {bench.where}/o/a -ef {{path}}"))
    assert bench.lines() == [line(urls[0])]


def test_an_update_does_not_ask_for_it(server: Server, bench: Bench) -> None:
    url = server.on("/a", File(b"abc", etag=ETAG))
    bench.run(url)
    asked = len(server.requests())
    bench.run(url, files=FileSettings(if_exists="update"))
    assert bench.rows == [("skipped", "in the archive")]
    assert len(server.requests()) == asked


def test_it_is_refused_beside_a_lock(bench: Bench) -> None:
    with pytest.raises(UsageError, match="--archive skips those that may be gone"):
        bench.run("http://127.0.0.1:9/a", lock=LockSettings("l.jsonl"))


def test_what_is_no_file_is_no_archive(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    run = pdl_run(server.on("/a", File(b"abc")), "-d", "o", "--archive", "full")
    assert (run.code, "it is no regular file" in run.err) == (2, True)
    assert not (tmp_path / "o").exists()


def test_dry_run_looks_and_makes_nothing(pdl_run: Runner, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/a"
    run = pdl_run(url, "--dry-run", "--archive", "done")
    assert run.out.startswith("get\t")
    assert not (tmp_path / "done").exists()
    (tmp_path / "done").write_text(line(url))
    assert pdl_run(url, "--dry-run", "--archive", "done").out == f"skip\t{url}\tin the archive\n"
    (tmp_path / "list").write_text(url)
    for arguments in (
        ("list", "--archive", "list"),
        (url, "--archive", "d/x"),
        (url, "--archive", "-"),
    ):
        assert pdl_run(*arguments, "--dry-run").code == 2


def _grown(path: Path, size: int, runs: list[subprocess.Popen[bytes]]) -> bool:
    grown = path.exists() and path.stat().st_size > size
    return grown or any(run.poll() is not None for run in runs)


@pytest.mark.slow
def test_runs_that_are_killed_lose_nothing_that_was_told(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    body = pattern(2000, 5)
    urls = [server.on(f"/{number}", File(body, delay=0.01)) for number in range(150)]
    (tmp_path / "l.txt").write_text("".join(f"{url}\n" for url in urls))
    archive = tmp_path / "done"
    for number in range(6):
        runs = [
            pdl_run.start("l.txt", "-d", where, "--archive", "done", "--report", f"{where}.jsonl")
            for where in ("one", "two")
        ]
        before = archive.stat().st_size if archive.exists() else 0
        until(partial(_grown, archive, before + 800, runs), "it grows")
        for run in runs:
            run.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
            pdl_run.finish(run)
        pdl_run.kill_all()
        kept = {each.split(" ")[1] for each in archive.read_text().splitlines() if " " in each}
        for path in tmp_path.glob("*.partial"):
            rows = [json.loads(each) for each in path.read_text().splitlines()[:-1]]
            assert {row["url"] for row in rows if row.get("outcome") == "success"} <= kept
            path.unlink()
    last = pdl_run("l.txt", "-d", "one", "--archive", "done")
    assert last.code == 0
    assert sorted(archive.read_text().splitlines()) == sorted(map(line, urls))
