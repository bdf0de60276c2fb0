"""The table "coming from another program" of the README: each line beside the program itself."""

from __future__ import annotations

import subprocess
from shutil import which
from typing import TYPE_CHECKING

import pytest

from conftest import need
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

NAMED = (("Content-Disposition", 'attachment; filename="named.bin"'),)
LINES = [
    ("wget -q -i urls.txt", "urls.txt"),
    ("wget -q -c -i urls.txt", "urls.txt"),
    ("wget -q -N -x -i urls.txt -P dir", "urls.txt -N --tree -d dir"),
    ("wget -q --content-disposition URL", "URL -J"),
    ("curl -sOJ URL", "URL -J"),
    ("wget -q --tries=6 --timeout=30 -i urls.txt", "urls.txt --retries 5 --timeout 30"),
    ("curl -s --parallel --remote-name-all URL URL2", "URL URL2"),
    ("curl -s -o name URL", "URL --name name"),
    ("curl -s -L -f -O URL2", "URL2"),
    ("curl -s -H X-Key:1 -A me/1 -O URL2", "URL2 -H X-Key:1 -A me/1"),
    ("curl -s -u user:password -O URL2", "URL2 -u user:password"),
    ("aria2c -q --no-conf -i urls.txt -j 8", "urls.txt -j 8"),
    ("aria2c -q --no-conf -i aria2.txt", "aria2.txt"),
    ("xargs -n 1 -P 8 curl -s -O -a urls.txt", "urls.txt -j 8"),
]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("theirs", "ours"), LINES)
def test_a_line_makes_the_files_that_the_program_makes(
    server: Server, pdl_run: Runner, tmp_path: Path, theirs: str, ours: str
) -> None:
    one = server.on("/d/1.bin", File(b"one", headers=NAMED if ours.endswith("-J") else ()))
    two = server.on("/e/2.bin", File(b"two" * 5000))
    urls = {"URL": one, "URL2": two}
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "urls.txt").write_text(f"{one}\n{two}\n")
        (tmp_path / name / "aria2.txt").write_text(f"{one}\n  out=x/y.bin\n{two}\n  dir=z\n")
    words = [urls.get(word, word) for word in theirs.split()]
    need(words[0], available=which(words[0]) is not None)
    if words[0] == "xargs":
        words = ["xargs", "-a", "urls.txt", *words[1:-2]]
    done = subprocess.run(
        words, cwd=tmp_path / "theirs", check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    pdl_run.directory = tmp_path / "ours"
    run = pdl_run(*(urls.get(word, word) for word in ours.split()))
    assert run.code == 0, run.err
    made, wanted = files_in(tmp_path / "ours"), files_in(tmp_path / "theirs")
    if "--tree" in ours:  # what cannot stand in a name everywhere has no place in a directory's
        made = {name.replace("127.0.0.1_", "127.0.0.1:"): body for name, body in made.items()}
    assert made == wanted
    assert len(made) > 2


def files_in(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file() and ".pdl" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}
