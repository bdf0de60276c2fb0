"""The output directory: one run at a time, a dead run's lock is none, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pdl.errors import ExitCode, LockedError, MachineError
from pdl.naming.claims import FoundFiles
from pdl.run.download import download
from pdl.settings import PoolSettings, Settings
from pdl.storage.output_directory import LOCK, OutputDirectory
from servers.misbehave import File, Pause, Reply, Server, Then

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys
from pdl.storage.output_directory import OutputDirectory
held = OutputDirectory(sys.argv[1])
print("held", flush=True)
if sys.stdin.readline() == "close\\n":
    held.close()
    print("closed", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path`; "close" on its input makes it let go."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_it_is_made_and_cleared_away(tmp_path: Path) -> None:
    held = OutputDirectory(str(tmp_path / "a/b"))
    assert held.state == tmp_path / "a/b/.pdl"
    assert held.state.stat().st_mode & 0o777 == 0o700
    held.close()
    held.close()
    assert list((tmp_path / "a/b").iterdir()) == []


def test_the_lock_says_who(tmp_path: Path) -> None:
    held = OutputDirectory(str(tmp_path))
    assert json.loads((held.state / LOCK).read_text())["pid"] == os.getpid()
    held.close()


def test_two_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(LockedError) as caught:
        OutputDirectory(str(tmp_path))
    assert f"pid {holder.pid}, started 2" in caught.value.message
    assert caught.value.exit_code is ExitCode.LOCKED
    assert (tmp_path / ".pdl" / LOCK).exists()
    with pytest.raises(LockedError):
        OutputDirectory(str(tmp_path), wait=0.15)


def test_a_dead_runs_lock_is_none(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / ".pdl" / LOCK).exists()
    OutputDirectory(str(tmp_path)).close()
    assert list(tmp_path.iterdir()) == []


def test_waiting_for_the_other_run(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.write("close\n")
    holder.stdin.flush()
    held = OutputDirectory(str(tmp_path), wait=60)
    assert json.loads((held.state / LOCK).read_text())["pid"] == os.getpid()
    held.close()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"pid": "x", "started": 1}'])
def test_a_holder_that_says_nothing_of_itself(
    tmp_path: Path, holder: subprocess.Popen[str], text: str
) -> None:
    (tmp_path / ".pdl" / LOCK).write_text(text)
    with pytest.raises(LockedError, match="which has just begun"):
        OutputDirectory(str(tmp_path))


def test_a_lock_that_its_last_holder_has_just_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    real = os.open

    def racing(path: Path, flags: int, mode: int = 0o777) -> int:
        opened.append(real(path, flags, mode))
        if len(opened) == 1:
            path.unlink()
        return opened[-1]

    monkeypatch.setattr(os, "open", racing)
    held = OutputDirectory(str(tmp_path), wait=30)
    assert len(opened) == 2
    assert (held.state / LOCK).stat().st_ino == os.fstat(opened[1]).st_ino
    held.close()


@pytest.mark.parametrize("what", ["file", "link"])
def test_something_else_is_called_pdl(tmp_path: Path, what: str) -> None:
    (tmp_path / "outside").mkdir()
    if what == "file":
        (tmp_path / ".pdl").write_text("a file")
    else:
        (tmp_path / ".pdl").symlink_to(tmp_path / "outside")
    with pytest.raises(MachineError) as caught:
        OutputDirectory(str(tmp_path))
    assert caught.value.exit_code is ExitCode.MACHINE
    assert "Not a directory" in caught.value.message
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_lock_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / ".pdl").mkdir()
    (tmp_path / ".pdl" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(MachineError):
        OutputDirectory(str(tmp_path))
    assert not (tmp_path / "precious").exists()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(MachineError, match="cannot write to the output directory"):
        OutputDirectory(str(tmp_path / "file/below"))


def test_parts_are_cleared_and_what_is_remembered_is_not(tmp_path: Path) -> None:
    held = OutputDirectory(str(tmp_path))
    for name in ("lone.part", "note.json", "a.json.new", "a.json", "a.part", "state.sqlite"):
        (held.state / name).write_text("x")
    held.clear_parts()
    held.close()
    assert [path.name for path in (tmp_path / ".pdl").iterdir()] == ["state.sqlite"]


def test_it_says_what_is_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    before = (tmp_path / "before").stat().st_ctime_ns
    (tmp_path / "before").unlink()
    with contextlib.closing(OutputDirectory(str(tmp_path))) as workspace:
        first = workspace.found()
        assert first[:2] == (frozenset(), True)
        assert first.since_ns is not None
        (tmp_path / ".pdl" / "0a.part").touch()
        (tmp_path / ".pdl" / "0a.json").touch()
        assert workspace.found() == FoundFiles(
            frozenset({"0a.part"}), empty=True, since_ns=first.since_ns
        )
        (tmp_path / "other").mkdir()
        assert workspace.found()[:2] == (frozenset({"0a.part"}), False)
        assert before <= first.since_ns <= (tmp_path / "other").stat().st_ctime_ns


# --- two runs, and what one leaves of the other ---

INLINE = Settings(pool=PoolSettings(engine="inline"))


def test_two_runs_of_one_process_keep_apart(server: Server, tmp_path: Path) -> None:
    release = threading.Event()
    url = server.on("/slow", Then(Pause(20, until=release), File(b"whole")))
    first = threading.Thread(target=lambda: download([url], str(tmp_path), settings=INLINE))
    first.start()
    server.wait_for("/slow")
    try:
        report = download([url], str(tmp_path), settings=INLINE)
        assert isinstance(report.machine_error, LockedError)
    finally:
        release.set()
        first.join()
    assert (tmp_path / "slow").read_bytes() == b"whole"


@pytest.mark.parametrize("whole", [True, False])
def test_parts_of_lines_that_are_not_listed_go_when_every_line_has_its_file(
    server: Server, tmp_path: Path, whole: bool
) -> None:
    state = tmp_path / ".pdl"
    state.mkdir()
    (state / "abc.part").write_bytes(b"half")
    (state / "abc.json").write_text("{}")
    urls = [server.on("/a", File(b"a")), server.on("/b", File(b"b") if whole else Reply(404))]
    assert download(urls, str(tmp_path), settings=INLINE).ok is whole
    left = sorted(path.name for path in state.iterdir()) if state.exists() else []
    assert left == ([] if whole else ["abc.json", "abc.part"])
