"""The examples for cron, systemd, make, CI, images and asyncio are run, or read, as those would."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conftest import need
from places import ROOT
from runner import base_environment, run_program
from servers.misbehave import File, Reply, Server
from servers.programs import find

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = ROOT / "examples"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which pdl is where the examples expect it."""
    folder = tmp_path / ".local" / "bin"
    folder.mkdir(parents=True)
    (folder / "pdl").write_text(f'#!/bin/sh\nexec {sys.executable} -m pdl "$@"\n')
    (folder / "pdl").chmod(0o755)
    return tmp_path


def bare(home: Path) -> dict[str, str]:
    """What cron gives, and where this pdl is."""
    python = base_environment(home)["PYTHONPATH"]
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": python}


def run(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=home,
        env=bare(home) | more,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_line_of_cron_is_silent_until_a_file_fails(server: Server, home: Path) -> None:
    lines = (EXAMPLES / "crontab").read_text().splitlines()
    (line,) = [each for each in lines if not each.startswith("#")]
    command = line.split(maxsplit=5)[5]
    url = server.on("/a.bin", File(b"there"), Reply(404))
    (home / "mirror.txt").write_text(f"{url}\n")
    done = run(home, "sh", "-c", command)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (home / "mirror" / "a.bin").read_bytes() == b"there"
    done = run(home, "sh", "-c", command)
    assert (done.returncode, "http-404" in done.stderr) == (1, True)
    assert url in (home / "failed.txt").read_text()
    assert (home / "pdl.log").stat().st_size


def test_the_service_of_systemd_runs(server: Server, home: Path) -> None:
    units = configparser.ConfigParser(interpolation=None)
    units.optionxform = str  # type: ignore[assignment,method-assign]
    units.read([EXAMPLES / "mirror.service", EXAMPLES / "mirror.timer"])
    assert units["Service"]["Type"] == "oneshot"
    assert units["Timer"]["OnCalendar"] == "03:17"
    assert units["Install"]["WantedBy"] == "timers.target"
    (home / "mirror.txt").write_text(server.on("/a.bin", File(b"there")) + "\n")
    done = run(home, *units["Service"]["ExecStart"].replace("%h", str(home)).split())
    assert done.returncode == 0, done.stderr
    assert (home / "mirror" / "a.bin").read_bytes() == b"there"


def test_the_rule_of_make_needs_every_file(server: Server, home: Path) -> None:
    need("make", available=find("make") is not None)
    (home / "urls.txt").write_text(server.on("/a.bin", Reply(404), File(b"there")) + "\n")
    path = f"{home}/.local/bin:/usr/bin:/bin"
    words = ("make", "-f", str(EXAMPLES / "Makefile"))
    assert [run(home, *words, PATH=path).returncode for _ in range(2)] == [2, 0]
    assert "data.stamp" in {each.name for each in home.iterdir()}
    assert "a.bin" in (home / "data.sha256").read_text() + (home / "urls.lock").read_text()


def test_asyncio_sees_each_outcome(server: Server, tmp_path: Path) -> None:
    urls = [server.on("/a.bin", File(b"there")), server.on("/b.bin", Reply(404))]
    done = run_program(tmp_path, (EXAMPLES / "asyncio_api.py").read_text(), *urls)
    assert done.returncode == 1, done.stderr
    assert set(done.stdout.splitlines()) == {f"success: {urls[0]}", f"fail: {urls[1]}"}


@pytest.mark.parametrize(
    ("name", "start"), [("github.yml", "- run: "), ("gitlab.yml", "- "), ("Dockerfile", "RUN ")]
)
def test_what_is_pinned_stays_so(name: str, start: str, server: Server, home: Path) -> None:
    lines = [each.strip() for each in (EXAMPLES / name).read_text().splitlines()]
    (line,) = [each for each in lines if each.startswith(f"{start}pdl ")]
    command = line.removeprefix(start).replace(" /", f" {home}/")
    lists = home / "lists" if name == "Dockerfile" else home
    lists.mkdir(exist_ok=True)
    url = server.on("/a.bin", File(b"there"), File(b"there"), File(b"other"))
    (lists / "urls.txt").write_text(f"{url}\n")
    more = {
        "PATH": f"{home}/.local/bin:/usr/bin:/bin",
        "GITHUB_ACTIONS": "true" if name == "github.yml" else "",
        "GITHUB_STEP_SUMMARY": str(home / "summary.md"),
        "PDL_RETRIES": "0",
    }
    pin = run(home, "sh", "-c", f"pdl {lists}/urls.txt -d first --lock {lists}/urls.lock", **more)
    assert pin.returncode == 0, pin.stderr
    done = run(home, "sh", "-c", command, **more)
    assert done.returncode == 0, done.stderr
    assert (home / "data" / "a.bin").read_bytes() == b"there"
    shutil.rmtree(home / "data")
    shutil.rmtree(home / ".cache", ignore_errors=True)
    done = run(home, "sh", "-c", command, **more)
    assert done.returncode == 1, done.stderr
    assert not (home / "data" / "a.bin").exists()
    if name == "github.yml":
        assert "::error" in done.stderr
        assert "0 succeeded, 1 failed" in (home / "summary.md").read_text()
    if name == "gitlab.yml":
        assert "a.bin" in (home / "junit.xml").read_text()


def test_the_cells_of_the_notebook_run_in_order(server: Server, tmp_path: Path) -> None:
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text())
    cells = [each["source"] for each in notebook["cells"] if each["cell_type"] == "code"]
    server.on("/a.bin", File(b"there"))
    code = "\n".join("".join(each) for each in cells).replace("https://example.org", server.base)
    guarded = "if __name__ == '__main__':\n" + re.sub("^", "    ", code, flags=re.MULTILINE)
    done = run_program(tmp_path, guarded)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 False"
    assert (tmp_path / "downloads" / "a.bin").read_bytes() == b"there"


@pytest.mark.parametrize("language", ["crontab", "ini", "yaml", "dockerfile", "make"])
def test_the_recipes_of_the_readme_are_the_examples(language: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    names = ("crontab", "mirror.*", "git*.yml", "Dockerfile", "Makefile")
    files = [path.read_text() for name in names for path in EXAMPLES.glob(name)]
    there = {line.strip() for text in files for line in text.splitlines()}
    said = [line.strip() for block in blocks for line in block.splitlines()]
    assert blocks
    # an example may go on with more options where the README's lines have no room
    strange = [line for line in said if not any(each.startswith(line) for each in there)]
    assert [line for line in strange if not line.startswith("#")] == []
