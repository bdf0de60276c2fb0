"""What is around a run and not as usual: no threads, no directory, no output, another encoding."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pdl
from pdl.pool.refused import cannot_start, starting
from runner import PDL, Runner, until
from servers.misbehave import Pause, Reply, Server

BOUND = 20.0
pytestmark = pytest.mark.usefixtures("no_leftovers")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="finds its processes in /proc")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory whose ``sitecustomize`` every Python of a run imports first."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


def with_site(place: Path, code: str) -> dict[str, str]:
    """The environment of a run whose interpreters begin with the code."""
    (place / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{place}{os.pathsep}{Path(pdl.__file__).parents[1]}"}


def there(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.iterdir() if each.is_file()}


# --- starting ---

FEW_THREADS = """
import os, threading
left, born, start = {left}, os.getpid(), threading.Thread.start
def counted(self):
    global left
    if os.getpid() == born:
        left -= 1
        if left < 0:
            raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = counted
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("left", range(3))
def test_a_main_process_that_may_have_no_threads_says_so_and_ends(
    server: Server, pdl_run: Runner, place: Path, left: int, method: str
) -> None:
    env = with_site(place, FEW_THREADS.format(left=left))
    run = pdl_run(server.url("/a"), "--start-method", method, env=env)
    assert run.code == 3
    assert "cannot start worker processes: can't start new thread" in run.err
    assert "ulimit" in run.err


@pytest.mark.parametrize(
    ("exc", "message", "hint"),
    [
        (OSError(errno.EAGAIN, "Again"), "Again", "ulimit"),
        (FileNotFoundError(errno.ENOENT, "No", "/dev/shm"), "No: /dev/shm", "--engine inline"),
        (OSError(errno.ENOSPC, "Full"), "Full", "/dev/shm"),
        (OSError("AF_UNIX path too long"), "AF_UNIX path too long", "ulimit"),
        (MemoryError(), "out of memory", "ulimit"),
        (RuntimeError("can't start new thread"), "can't start new thread", "ulimit"),
    ],
)
def test_what_the_system_refuses_is_told_with_a_remedy(
    exc: OSError | MemoryError | RuntimeError, message: str, hint: str
) -> None:
    error = cannot_start(exc)
    assert str(error.message) == f"cannot start worker processes: {message}"
    assert hint in error.hint
    with pytest.raises(type(error)), starting():
        raise exc


def test_what_is_no_refusal_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="bootstrapping"), starting():
        raise RuntimeError("before the current process has finished its bootstrapping phase")


WAITS_AT_ITS_START = """
import os, pathlib, sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    here = pathlib.Path(__file__).parent
    (here / str(os.getpid())).touch()
    until = time.monotonic() + 20
    while not (here / "go").exists() and time.monotonic() < until:
        time.sleep(0.01)
"""


def test_ctrl_c_while_the_interpreter_of_a_worker_starts_is_no_traceback(
    server: Server, pdl_run: Runner, place: Path
) -> None:
    env = with_site(place, WAITS_AT_ITS_START)
    process = pdl_run.start(server.url("/a"), "--start-method", "spawn", env=env)
    until(lambda: len(list(place.glob("[0-9]*"))) >= 2, "two workers")
    for worker in place.glob("[0-9]*"):
        os.kill(int(worker.name), signal.SIGINT)
    process.send_signal(signal.SIGINT)
    (place / "go").touch()
    run = pdl_run.finish(process)
    assert (run.code, "Traceback" in run.err) == (130, False), run.err


# --- directories ---


@LINUX
def test_a_main_process_that_is_killed_leaves_no_directory_behind(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"), env={"TMPDIR": str(temporary)})
    server.wait_for("/held")
    assert len(list(temporary.iterdir())) == 1
    process.kill()
    pdl_run.finish(process)
    until(lambda: pdl_run.alive() == [], "the end of all of its processes")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("late", [False, True])
def test_a_long_tmpdir_is_no_hindrance(
    server: Server, pdl_run: Runner, tmp_path: Path, *, late: bool
) -> None:
    temporary = tmp_path / ("t" * 200)
    temporary.mkdir()
    env = {"TMPDIR": str(temporary), **({"PDL_START_METHOD": "forkserver"} if late else {})}
    run = pdl_run(server.on("/a", Reply(200, (), b"a")), "-d", "out", env=env)
    assert (run.code, there(tmp_path / "out")) == (0, {"a": b"a"}), run.err
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("option", ["--quiet", "--check", "--dry-run"])
def test_a_current_directory_that_is_gone_is_told(
    server: Server, tmp_path: Path, option: str
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    leave = ("sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh")
    run = Runner(gone, tmp_path, (*leave, *PDL))(server.url("/a"), "-d", tmp_path, option)
    assert run.code == 3
    assert run.err == (
        "pdl: the current directory does not exist any more\n"
        "  hint: change to one that does (cd), and run the command there\n"
    )


# --- signals ---


@LINUX
def test_what_a_service_manager_sends_to_all_ends_no_helper_before_its_main_process(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"))
    server.wait_for("/held")
    helpers = [pid for pid in pdl_run.alive() if pid != process.pid]
    names = sorted(Path(f"/proc/{pid}/comm").read_text().strip() for pid in helpers)
    assert names == ["pdl-forkserver", "pdl-tracker", "pdl-worker", "pdl-worker"]
    for pid in helpers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    process.kill()
    pdl_run.finish(process)
    until(lambda: pdl_run.alive() == [], "the end of all of its processes")


# --- output ---

FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def redirected(where: str, tmp_path: Path) -> Runner:
    """Runs pdl with its streams redirected by the shell."""
    return Runner(tmp_path, tmp_path, ("sh", "-c", f'exec "$@" {where}', "sh", *PDL))


@pytest.mark.parametrize("where", [">&-", pytest.param(">/dev/full", marks=full)])
@pytest.mark.parametrize("args", [("--progress", "json"), ("--report", "-")])
def test_machine_output_that_is_lost_is_told_and_no_success(
    server: Server, tmp_path: Path, args: tuple[str, ...], where: str
) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    run = redirected(where, tmp_path)(url, "-d", "out", "-q", *args)
    assert run.code == 3
    assert run.err.count("cannot write standard output: ") == 1
    assert there(tmp_path / "out") == {"a": b"a"}


def test_a_reader_that_has_gone_away_is_no_failure(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PDL, url, "-d", "out", "--report", "-"]
    done = subprocess.run(command, cwd=tmp_path, stdout=writer, check=False)
    os.close(writer)
    assert done.returncode == 0


def test_a_plan_that_nobody_can_see_is_told(server: Server, tmp_path: Path) -> None:
    run = redirected(">&-", tmp_path)(server.url("/a"), "--dry-run")
    assert run.code == 2
    assert run.err == "pdl: standard output is closed, and --dry-run prints on it\n"


@full
def test_no_failures_are_said_to_stand_in_a_list_that_was_not_written(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/a", Reply(404, (), b""))
    (tmp_path / "failed.txt").symlink_to(FULL)
    run = pdl_run(url, "--failed", "failed.txt", "--report", "rows.jsonl")
    assert run.code == 3
    assert "cannot write failed.txt: No space left on device" in run.err
    assert run.err.endswith("\nthe failures are listed in rows.jsonl\n")


# --- names ---


@LINUX
@pytest.mark.parametrize(
    "args", [(), ("--engine", "inline"), ("--update",), ("-J",), ("--tree",), ("--dry-run",)]
)
def test_a_name_that_the_encoding_here_lacks_is_percent_encoded(
    server: Server, pdl_run: Runner, tmp_path: Path, args: tuple[str, ...]
) -> None:
    urls = [
        server.on(target, Reply(200, (), b"a"))
        for target in ("/f%C3%A4.txt", "/%E6%97%A5.txt", "/plain")
    ]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = pdl_run(*urls, "-d", "out", *args, env=ascii_only)
    assert run.code == 0, run.err
    names = {"f%C3%A4.txt", "%E6%97%A5.txt", "plain"}
    if "--dry-run" in args:
        assert {line.split("\t")[2] for line in run.out.splitlines()} == names
    else:
        assert {each.name for each in (tmp_path / "out").rglob("*[!.]") if each.is_file()} >= names
