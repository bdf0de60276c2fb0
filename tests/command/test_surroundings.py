"""What is around a run and not as usual: no threads, no directory, no output, another encoding."""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import termios
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

import pdl
from marks import slow
from pdl.cli import main
from pdl.pool.startup.start_limits import cannot_start, starting
from runner import PDL, Runner, base_environment, describe, has, run_program, until
from servers.misbehave import Pause, Reply, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND = 20.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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


TELLS_OF_GARBAGE = """
import gc, os, pathlib, sys
leave, disable, freeze, seen, turns = os._exit, gc.disable, gc.freeze, [], []
gc.callbacks.append(lambda phase, _: turns.append(phase))
def disabled():
    seen.append(len(turns))
    disable()
def frozen():
    seen.append(len(turns))
    freeze()
def left(code):
    name = pathlib.Path("/proc/self/comm").read_text().strip()
    who = name if name.startswith("pdl-") else f"main {seen[1] - seen[0]}"
    path = pathlib.Path(__file__).parent / f"{os.getpid()}.new"
    path.write_text(f"{who} {gc.isenabled()}")
    path.rename(path.with_suffix(".told"))
    leave(code)
gc.disable, gc.freeze, os._exit = disabled, frozen, left
"""


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("how", [[], ["--start-method", "fork"], ["--start-method", "spawn"]])
def test_garbage_is_looked_for_once_the_start_is_over(
    how: list[str], server: Server, pdl_run: Runner, place: Path
) -> None:
    env = with_site(place, TELLS_OF_GARBAGE)
    run = pdl_run(server.on("/a", Reply(200, (), b"a")), *how, env=env)
    assert run.code == 0, run.err
    told = {each.read_text() for each in place.glob("*.told")}
    helpers = {"pdl-forkserver False", "pdl-tracker False"}  # make none; not with all methods
    assert told - helpers == {"main 0 True", "pdl-worker True"}


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


@pytest.mark.parametrize("method", [slow("fork"), "forkserver", slow("spawn")])
@pytest.mark.parametrize("left", range(3))
def test_a_main_process_that_may_have_no_threads_says_so_and_ends(
    server: Server, pdl_run: Runner, place: Path, left: int, method: str
) -> None:
    env = with_site(place, FEW_THREADS.format(left=left))
    run = pdl_run(server.url("/a"), "--start-method", method, env=env)
    assert run.code == 3
    assert "cannot start worker processes: can't start new thread" in run.err
    assert "ulimit" in run.err


AGAIN_AND_AGAIN = """
import gc, multiprocessing, os, sys, threading
import pdl
left, start = 0, threading.Thread.start
def counted(self):
    global left
    left -= 1
    if left < 0:
        raise RuntimeError("can't start new thread")
    start(self)
if __name__ == "__main__":
    settings = pdl.Settings(pool=pdl.PoolSettings(start_method=sys.argv[1]))
    before = None
    for _ in range(3):
        left, threading.Thread.start = int(sys.argv[2]), counted
        report = pdl.download(["http://127.0.0.1:9/"], "out", settings=settings)
        error = report.machine_error
        assert error is None or "new thread" in str(error), error
        threading.Thread.start = start
        gc.collect()
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(20)
        gc.collect()
        children = len(multiprocessing.active_children())
        now = (threading.active_count(), children, len(os.listdir("/dev/fd")))
        assert before in (None, now), (before, now)
        before = now
    print(before[:2])
"""


@pytest.mark.parametrize("method", [slow("fork"), "forkserver", slow("spawn")])
@pytest.mark.parametrize("left", [slow(0), 1, slow(2)])
def test_a_program_that_tries_again_and_again_loses_nothing_by_it(
    tmp_path: Path, left: int, method: str
) -> None:
    run = run_program(tmp_path, AGAIN_AND_AGAIN, method, str(left))
    assert run.stdout == "(1, 0)\n", run.stderr


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "needed",
    [
        "multiprocessing.forkserver.ensure_running",
        "multiprocessing.context.BaseContext.Array",
        "pdl.pool.process.pool.Poller",
    ],
)
def test_what_cannot_be_had_at_the_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needed: str
) -> None:
    monkeypatch.setattr(needed, refuse)
    report = pdl.download(["http://127.0.0.1:9/"], str(tmp_path / "out"))
    assert "cannot start worker processes: No space left" in str(report.machine_error)
    assert not report.ok


@pytest.mark.parametrize(
    ("exc", "message", "hint"),
    [
        (OSError(errno.EAGAIN, "Again"), "Again", "ulimit"),
        (FileNotFoundError(errno.ENOENT, "No", "/dev/shm"), "No: /dev/shm", "--engine inline"),
        (OSError(errno.ENOSPC, "Full"), "Full", "/dev/shm"),
        (OSError("AF_UNIX path too long"), "AF_UNIX path too long", "TMPDIR"),
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
import fcntl, os, pathlib, sys
if "--multiprocessing-fork" in sys.orig_argv:
    here = pathlib.Path(__file__).parent
    (here / str(os.getpid())).touch()
    with (here / "go").open() as gate:
        fcntl.flock(gate, fcntl.LOCK_SH)
"""
"""Each waits for a lock, which the test gives back, or its end."""


@pytest.mark.slow
def test_ctrl_c_while_the_interpreter_of_a_worker_starts_is_no_traceback(
    server: Server, pdl_run: Runner, place: Path
) -> None:
    env = with_site(place, WAITS_AT_ITS_START)
    with (place / "go").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        urls = server.url("/a"), server.url("/b")
        process = pdl_run.start(*urls, "--start-method", "spawn", env=env)
        until(lambda: len(list(place.glob("[0-9]*"))) >= 2, "two workers")
        for worker in place.glob("[0-9]*"):
            os.kill(int(worker.name), signal.SIGINT)
        process.send_signal(signal.SIGINT)
    run = pdl_run.finish(process)
    assert (run.code, "Traceback" in run.err) == (130, False), run.err


def test_memory_that_is_short_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse_memory(**_: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(main, "command", refuse_memory)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 3
    assert capsys.readouterr().err == "pdl: this machine cannot go on: out of memory\n"


# --- directories ---


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory with a name short enough for a socket in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@LINUX
def test_a_main_process_that_is_killed_leaves_no_directory_behind(
    server: Server, pdl_run: Runner, temporary: Path
) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"), env={"TMPDIR": str(temporary)})
    server.wait_for("/held")
    assert len(list(temporary.iterdir())) == 1
    process.kill()
    pdl_run.finish(process)
    until(lambda: pdl_run.alive() == [], "the end of all of its processes")
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
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


LEAVE = ("sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *PDL)


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    """A directory that will be gone."""
    directory = tmp_path / "gone"
    directory.mkdir()
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("args", [("--quiet",), ("--check",), ("-d", "/tmp")])
def test_a_current_directory_that_is_gone_is_told(
    server: Server, tmp_path: Path, gone: Path, args: tuple[str, ...]
) -> None:
    run = Runner(gone, tmp_path, LEAVE)(server.url("/a"), *args)
    assert run.code == 3
    assert run.err == (
        "pdl: the current directory does not exist any more\n"
        "  hint: change to one that does (cd), and run the command there\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("args", [("--engine", "inline"), ("--start-method", "fork")])
def test_a_current_directory_that_nobody_needs_may_be_gone(
    server: Server, tmp_path: Path, gone: Path, args: tuple[str, ...]
) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    run = Runner(gone, tmp_path, LEAVE)(url, "-d", tmp_path / "out", *args)
    assert (run.code, there(tmp_path / "out")) == (0, {"a": b"a"}), run.err


# --- signals ---


@LINUX
def test_what_a_service_manager_sends_to_all_is_the_main_processs_alone(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"), "--processes", "1")
    server.wait_for("/held")
    helpers = [pid for pid in pdl_run.alive() if pid != process.pid]
    assert len(helpers) == 3  # the fork server, the tracker, the worker
    for pid in helpers:
        assert all(has(pid, "SigIgn", number) for number in ENDING), describe(pid)
    process.kill()
    pdl_run.finish(process)
    until(lambda: pdl_run.alive() == [], "the end of all of its processes")


OTHERS = """
import multiprocessing, sys, time
import pdl
if __name__ == "__main__":
    assert pdl.download([sys.argv[1]], "out", jobs=2).ok
    process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join(20)
    print(process.exitcode)
"""


def test_another_process_of_the_fork_server_can_be_terminated(
    server: Server, tmp_path: Path
) -> None:
    run = run_program(tmp_path, OTHERS, server.on("/a", Reply(200, (), b"a")))
    assert run.stdout == f"{-signal.SIGTERM}\n", run.stderr


# --- output ---

FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")


def waiting(pipe: int) -> int:
    """Bytes in it that nobody has read."""
    found = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, found)
    return found[0]


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize("args", [("--progress", "json"), ("--report", "-")])
def test_a_reader_that_takes_its_time_gets_every_row(
    server: Server, tmp_path: Path, args: tuple[str, ...]
) -> None:
    urls = [server.url(f"/{'x' * 400}/{number}") for number in range(300)]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # takes three rows
    os.set_blocking(writer, False)  # as a parent or another on the same terminal may do
    command = [*PDL, "urls.txt", "-q", "--retries", "0", *args]
    with subprocess.Popen(
        command, cwd=tmp_path, env=base_environment(tmp_path), stdout=writer,
        stderr=subprocess.DEVNULL,
    ) as process, os.fdopen(reader, "rb") as rows:  # fmt: skip
        os.close(writer)
        until(lambda: waiting(reader) > 2000, "the first rows")
        lines = rows.read().decode().splitlines()
        assert process.wait(BOUND) == 1
    done = [json.loads(line) for line in lines]
    assert sum("outcome" in row for row in done) == len(urls)


NO_SQLITE = "import sys; sys.modules['_sqlite3'] = None"


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_without_sqlite_nothing_is_remembered_and_that_is_told(
    server: Server, pdl_run: Runner, place: Path, tmp_path: Path, there: bool
) -> None:
    url = server.on("/a", Reply(200, (("ETag", '"1"'),), b"a"))
    if there:
        assert pdl_run(url, "-N").code == 0
    run = pdl_run(url, "-N", "--report", "-", env=with_site(place, NO_SQLITE))
    assert (run.code, run.err.count("state.sqlite")) == (0, 1), run.err
    assert run.out.count("\n") == 1
    assert not [*tmp_path.rglob("*.broken")]


def redirected(where: str, tmp_path: Path) -> Runner:
    """Runs pdl with its streams redirected by the shell."""
    return Runner(tmp_path, tmp_path, ("sh", "-c", f'exec "$@" {where}', "sh", *PDL))


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("report", ["-", "rows.jsonl"])
def test_a_reader_that_has_gone_away_is_no_failure(
    server: Server, tmp_path: Path, report: str
) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    if report != "-":
        (tmp_path / report).symlink_to("/dev/fd/1")
    reader, writer = os.pipe()
    command = [*PDL, url, "-d", "out", "-q", "--report", report]
    with subprocess.Popen(
        command, cwd=tmp_path, env=base_environment(tmp_path), stdout=writer, stderr=subprocess.PIPE
    ) as process:
        os.close(writer)
        os.close(reader)
        assert process.communicate(timeout=BOUND)[1] == b""
    assert process.returncode == 0


def test_an_empty_list_is_no_reason_to_be_silent_about_lost_output(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    run = redirected(">&-", tmp_path)("empty.txt", "-q", "--report", "-")
    assert (run.code, run.err.count("cannot write standard output: ")) == (3, 1)


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


@pytest.mark.slow
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
