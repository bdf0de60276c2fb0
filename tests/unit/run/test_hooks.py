"""`--exec` in one process: what a command is told, what its end means, what is remembered."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdl import HookSettings, Item, PoolSettings, Report, Result, Settings, download
from pdl.model import AuthSettings, Outcome
from pdl.run import hooks
from runner import until
from servers.behaviours import Reply
from servers.files import File
from servers.row import ETAG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servers.misbehave import Server

SAY = """import json, os, sys
open('told', 'a').write(json.dumps([sys.argv[1:], dict(os.environ)]) + chr(10))"""
PRINT = f"{shlex.quote(sys.executable)} -c {shlex.quote(SAY)}"
FIELDS = "{path} {url} {final_url} {checksum} {size} {source} {line}"
ASLEEP = "sh -c 'trap \"\" TERM; sleep 60 & wait; sleep 60'"


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    items: Sequence[str | Item],
    command: str,
    settings: Settings | None = None,
    jobs: int | None = None,
    seconds: float = 60,
) -> tuple[Report, list[Result]]:
    seen: list[Any] = []
    base = settings or Settings()
    wanted = base._replace(
        pool=PoolSettings(engine="inline"), hooks=HookSettings(command, jobs, seconds)
    )
    report = download(items, "out", settings=wanted, on_event=seen.append)
    return report, [each for each in seen if isinstance(each, Result)]


def told(path: Path) -> list[list[Any]]:
    lines = (path / "told").read_text().splitlines()
    return sorted(json.loads(line) for line in lines)


def test_a_command_is_told_of_its_file_and_of_no_secret(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDL_USER", "me:hunter2")
    monkeypatch.setenv("MY_TOKEN", "hunter2")
    monkeypatch.setenv("MINE", "kept")
    url = server.on("/a%20b;$(x)", File(b"123")).replace("http://", "http://me:hunter2@")
    moved = server.on("/moved", Reply(302, (("Location", "/a%20b;$(x)"),)))
    items = [
        Item(url, out="a b;$(x)", source="list", line=7),
        Item(url, out="a b;$(x)", source="list", line=8),
        Item(moved, checksum="md5:202cb962ac59075b964b07152d234b70"),
    ]
    auth = AuthSettings(bearer=(("example.org", "MY_TOKEN"),))
    report, rows = run(items, f"{PRINT} {FIELDS}", Settings(auth=auth))
    assert report.ok
    assert [row.outcome for row in rows] == [Outcome.SUCCESS] * 3
    (first, environment), (second, _) = told(tmp_path)  # the same URL twice is one file
    masked, asked = url.replace("hunter2", "***"), url.replace("me:hunter2@", "")
    assert first == [str(tmp_path / "out/a b;$(x)"), masked, asked, "", "3", "list", "7"]
    assert second[1:5] == [moved, server.url("/a%20b;$(x)"), items[2].checksum, "3"]
    assert environment["MINE"] == "kept"
    assert "hunter2" not in json.dumps(environment)
    assert not (tmp_path / "out/.pdl").exists()


def test_one_that_fails_fails_its_line_and_is_run_again_by_the_next_run(
    server: Server, tmp_path: Path
) -> None:
    urls = [server.on(f"/{name}", File(b"x")) for name in "abc"]
    command = (
        "sh -c 'echo first; echo at \"http://me:pw@h/\" >&2; test ! -e bad || exit 75' sh {path}"
    )
    (tmp_path / "bad").touch()
    report, _ = run(urls, command)
    assert [(row.kind, row.transient, row.attempts) for row in report.failures] == [
        ("exec", True, 1)
    ] * 3
    said = "the command sh failed with exit code 75: at http://me:***@h/"
    assert report.failures[0].message == said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".pdl", "a", "b", "c"]
    (tmp_path / "bad").unlink()
    report, rows = run(urls[:2], f"{PRINT} {{path}}")
    assert [row.outcome for row in rows] == [Outcome.SKIPPED] * 2
    assert len(told(tmp_path)) == 2
    report, rows = run(urls, f"{PRINT} {{path}}")
    assert len(told(tmp_path)) == 3
    assert not (tmp_path / "out/.pdl").exists()
    report, rows = run(urls, "false")
    assert report.ok


def test_with_update_an_unchanged_file_has_its_command_only_if_that_is_owed(
    server: Server, tmp_path: Path
) -> None:
    url = server.on("/a", File(b"x", etag=ETAG))
    settings = Settings()
    settings = settings._replace(files=settings.files._replace(if_exists="update"))
    assert not run([url], "false", settings)[0].ok
    assert run([url], f"{PRINT} {{path}}", settings)[1][0].outcome is Outcome.UNCHANGED
    assert len(told(tmp_path)) == 1
    assert run([url], "false", settings)[1][0].outcome is Outcome.UNCHANGED


def test_a_file_that_its_server_names_is_told_by_that_name(server: Server, tmp_path: Path) -> None:
    named = (("Content-Disposition", 'attachment; filename="n.txt"'),)
    url = server.on("/a", File(b"x", headers=named))
    settings = Settings()
    settings = settings._replace(naming=settings.naming._replace(server_names=True))
    assert not run([url], "false", settings)[0].ok
    assert run([url], f"{PRINT} {{path}}", settings)[0].ok
    assert [args for args, _ in told(tmp_path)] == [[str(tmp_path / "out/n.txt")]]


@pytest.mark.parametrize(
    ("command", "seconds", "message"),
    [
        (ASLEEP, 0.1, "took more than 0.1 s (--exec-time)"),
        ("sh -c 'kill -9 $$'", 60, "was ended by SIGKILL"),
        ("sh -c 'head -c 3000000 /dev/zero; echo; echo the end; exit 3'", 60, "code 3: the end"),
        ("{path}", 60, "cannot be run: Permission denied"),
    ],
)
def test_how_a_command_fails(
    server: Server,
    command: str,
    seconds: float,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pdl.system.child.GRACE", 0.1)
    report, _ = run([server.on("/a", File(b"x"))], command, seconds=seconds)
    [row] = report.failures
    assert row.kind == "exec"
    assert message in row.message


def test_a_command_that_takes_too_long_ends_with_all_it_has_started(
    server: Server, tmp_path: Path
) -> None:
    command = "sh -c '(trap \"\" TERM; exec sleep 60) & echo $! > pid; sleep 60'"
    assert not run([server.on("/a", File(b"x"))], command, seconds=0.2)[0].ok
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    until(lambda: not stat.exists() or stat.read_text().rpartition(") ")[2][0] in "ZX", "it ended")


def test_a_line_of_the_same_url_fails_with_it(server: Server) -> None:
    url = server.on("/a", File(b"x"))
    _, rows = run([url, url], "sh -c 'echo x >> ran; exit 1'")
    assert [row.kind for row in rows] == ["exec"] * 2
    assert Path("ran").read_text() == "x\n"


def test_a_failure_is_one_though_the_ends_of_children_were_ignored(server: Server) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert not run([server.on("/a", File(b"x"))], "false")[0].ok
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_failed_download_has_no_command_and_leaves_nothing_to_be_run(
    server: Server, tmp_path: Path
) -> None:
    report, _ = run([server.on("/a", Reply(404))], "false")
    assert [row.kind for row in report.failures] == ["http-404"]
    assert not (tmp_path / "out/.pdl").exists()


def test_the_rows_that_are_held_are_bounded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "HELD_MOST", 2)
    most = []
    start = hooks.HookedResults._start

    def counting(self: hooks.HookedResults, path: str) -> None:
        most.append(self.held())
        start(self, path)

    monkeypatch.setattr(hooks.HookedResults, "_start", counting)
    urls = [server.on(f"/{number}", File(b"x")) for number in range(12)]
    report, rows = run(urls, "true", jobs=1)
    assert report.ok
    assert len(rows) == len(most) == 12
    assert max(most) <= 3
