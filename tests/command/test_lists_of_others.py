"""Lists written for other programs: what comes of them here, and beside the program itself."""

from __future__ import annotations

import csv
import json
import subprocess
from base64 import b64encode
from shutil import which
from typing import TYPE_CHECKING

import pytest

from conftest import need
from servers.behaviours import Reply
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

SECRET = "c4n4ry-5ecret"


def files_in(directory: Path) -> dict[str, bytes]:
    """What is there, by its path; of directories nothing."""
    found = (path for path in directory.rglob("*") if path.is_file() and ".pdl" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def run_other(directory: Path, *command: str) -> None:
    """Run another program there; skip the test if this machine has none."""
    need(command[0], available=which(command[0]) is not None)
    directory.mkdir(exist_ok=True)
    done = subprocess.run(command, check=False, cwd=directory, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_a_line_of_curls_has_goes_to_its_origin_alone(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    there = server.on("/there.bin", File(b"there")).replace("127.0.0.1", "localhost")
    away = server.on("/away.bin", Reply(302, (("Location", there),)))
    last = server.on("/last.bin", File(b"last"))
    conf = tmp_path / "l.conf"
    conf.write_text(
        f'user = "me:{SECRET}"\nheader = "X-Key: {SECRET}"\nuser-agent = "ua/1"\n'
        f'url = "{away}"\noutput = "x/a b.bin"\nnext\nurl = "{last}"\nmax-time = 9\nhttp2\n'
    )
    run = pdl_run(conf, "--format", "curl", "-d", tmp_path / "out", "--report", "r.jsonl", "-v")
    assert run.code == 0, run.err
    assert files_in(tmp_path / "out") == {"x/a b.bin": b"there", "last.bin": b"last"}
    (asked,) = server.requests("/away.bin")
    assert asked.header("Authorization") == f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}"
    assert (asked.header("X-Key"), asked.header("User-Agent")) == (SECRET, "ua/1")
    for path in ("/there.bin", "/last.bin"):
        (asked,) = server.requests(path)
        assert (asked.header("Authorization"), asked.header("X-Key")) == (None, None)
    told = "options of curl's that mean nothing here are ignored: max-time, http2\n"
    assert run.err.count("mean nothing here") == 1
    assert told in run.err
    assert SECRET not in run.err + run.out + (pdl_run.directory / "r.jsonl").read_text()


@pytest.mark.real
def test_a_configuration_of_curls_gives_the_files_that_curl_makes(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    one, two, three = (server.on(f"/{name}", File(name.encode())) for name in ("1", "2", "3"))
    conf = tmp_path / "l.conf"
    conf.write_text(
        f'# mine\n-sSfL\n--create-dirs\noutput = "d/\\"o\\\\ne\\".bin"\nurl={one}\n'
        f'url: "{two}" # two\n-o two.bin\nnext\n  --url {three}\n-O\nsilent\n'
    )
    run_other(tmp_path / "theirs", "curl", "-K", str(conf))
    run = pdl_run(conf, "--format", "curl", "-d", tmp_path / "ours", "-q")
    assert run == (0, "", "")
    ours, theirs = files_in(tmp_path / "ours"), files_in(tmp_path / "theirs")
    # a backslash in a name is percent-encoded here
    assert {name.replace("%5C", "\\"): body for name, body in ours.items()} == theirs
    assert set(ours.values()) == {b"1", b"2", b"3"}


def test_a_directory_of_aria2s_that_is_absolute(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/a.bin", File(b"a"))
    home = tmp_path / "out"
    (tmp_path / "l.txt").write_text(
        f"{url}\n  dir={home}/x\n  split=5\n{url}?b\n  dir={home}\n  out=b\n"
        f"  max-tries=2\n{url}?c\n  dir={tmp_path}/other\n"
    )
    run = pdl_run(tmp_path / "l.txt", "-d", home)
    assert run.code == 1
    assert files_in(home) == {"x/a.bin": b"a", "b": b"a"}
    assert "is not in the output directory" in run.err
    assert run.err.count("mean nothing here") == 1


@pytest.mark.real
def test_a_list_of_aria2s_gives_the_files_that_aria2_makes(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{name}", File(name.encode())) for name in ("1.bin", "2.bin", "3.bin")]
    for name in ("ours", "theirs"):
        home = tmp_path / name
        (tmp_path / f"{name}.txt").write_text(
            f"# mine\n{urls[0]}\n  dir={home}/x\n  split=2\n  allow-overwrite=true\n"
            f"{urls[1]}\n  dir={home}\n  out=y/two.bin\n  header=X-A: 1\n{urls[2]}\n"
        )
    arguments = ("-i", str(tmp_path / "theirs.txt"), "-d", str(tmp_path / "theirs"), "--no-conf")
    run_other(tmp_path / "theirs", "aria2c", *arguments)
    assert pdl_run(tmp_path / "ours.txt", "-d", tmp_path / "ours").code == 0
    assert files_in(tmp_path / "ours") == files_in(tmp_path / "theirs")
    assert set(files_in(tmp_path / "ours")) == {"x/1.bin", "y/two.bin", "3.bin"}


def test_columns_of_other_names_are_taken_and_kept(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{name}.jpg", File(name.encode())) for name in ("a", "b")]
    table = tmp_path / "images.csv"
    table.write_text(f"id,image_link,caption\n1,{urls[0]},A/cat\n2,{urls[1]},\n")
    options = ("--column", "url=image_link", "-d", tmp_path / "out")
    name = ("--name", "{n}-{f.caption}{ext}")
    run = pdl_run(table, *options, *name)
    assert run.code == 2
    assert "--keep caption keeps it" in run.err
    for again in (pdl_run(table, "--column", "url=link"), pdl_run(table, *options, "--keep", "x")):
        assert again.code == 2
        assert "its columns are id, image_link, caption" in again.err
    run = pdl_run(
        table, *options, *name, "--keep", "caption,id", "--report", "r.jsonl", "--report", "r.csv"
    )
    assert run.code == 0, run.err
    assert files_in(tmp_path / "out") == {"1-A%2Fcat.jpg": b"a", "2-.jpg": b"b"}
    rows = [json.loads(line) for line in (pdl_run.directory / "r.jsonl").read_text().splitlines()]
    kept = {row["line"]: row["fields"] for row in rows}
    with (pdl_run.directory / "r.csv").open(newline="") as file:
        cells = {int(row["line"]): json.loads(row["fields"]) for row in csv.DictReader(file)}
    assert cells == kept
    assert kept == {2: {"caption": "A/cat", "id": "1"}, 3: {"caption": "", "id": "2"}}
