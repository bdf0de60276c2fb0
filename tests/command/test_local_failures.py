"""What the machine itself can refuse, met by the real command."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from runner import Run, Runner
from servers.behaviours import Close, Pause, Raw, Then, head
from servers.files import File
from servers.misbehave import Server
from servers.row import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024
BODY = pattern(3 * MIB, 21)
SMALL = pattern(5_000, 22)
QUIET = ("--progress", "none", "--retry-wait", "0")

pytestmark = pytest.mark.usefixtures("no_leftovers")


def good(server: Server, path: str = "/file.bin", body: bytes = BODY) -> str:
    return server.on(path, File(body, etag='"one"'))


def check_it_says_once(run: Run, code: int, *texts: str) -> None:
    """The exit code, each text once on standard error, and nothing a user should not see."""
    assert run.code == code, run.err
    for text in texts:
        assert run.err.count(text) == 1, (text, run.err)
    for word in ("Traceback", "internal", "Errno"):
        assert word not in run.err


def parts(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / ".pdl").glob("*.part"))


# --- no room ---


def limited(kind: int, value: int, pdl_run: Runner, tmp_path: Path) -> Runner:
    """A runner whose pdl has a limit of the system from its first instruction on."""
    script = (
        "import resource, runpy, sys; "
        f"resource.setrlimit({kind}, ({value}, {value})); "
        "sys.argv[0] = 'pdl'; runpy.run_module('pdl', run_name='__main__')"
    )
    return Runner(tmp_path, pdl_run._home, (sys.executable, "-c", script))


@pytest.fixture
def small_files(pdl_run: Runner, tmp_path: Path) -> Iterator[Runner]:
    runner = limited(resource.RLIMIT_FSIZE, 2 * MIB, pdl_run, tmp_path)
    yield runner
    runner.close()


def test_a_file_larger_than_allowed_is_that_files_failure(
    server: Server, small_files: Runner, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [good(server), good(server, "/small.bin", SMALL)]
    run = small_files(*QUIET, "-d", "out", *urls)
    check_it_says_once(run, 3, "File too large", "out/file.bin")
    assert (tmp_path / "out" / "small.bin").read_bytes() == SMALL
    assert len(parts(tmp_path / "out")) == 1
    assert pdl_run(*QUIET, "-d", "out", *urls).code == 0
    assert (tmp_path / "out" / "file.bin").read_bytes() == BODY
    assert server.requests("/file.bin")[-1].header("Range") == f"bytes={2 * MIB}-"


def test_a_file_that_cannot_fit_fails_before_its_bytes_come(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    endless = Then(Raw(head(200, (("Content-Length", str(10**16)),))), Pause(60))
    url = server.on("/huge.bin", endless)
    run = pdl_run(*QUIET, "-d", "out", url, good(server))
    check_it_says_once(run, 3, "needs 8.88 PiB more", " free", "huge.bin")
    assert "disk" in run.err
    assert len(server.requests("/huge.bin")) == 1
    assert (tmp_path / "out" / "file.bin").read_bytes() == BODY


def test_a_server_cannot_fill_the_disk_by_a_claim(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    free = os.statvfs(tmp_path)
    claim = free.f_bavail * free.f_frsize // 2
    come = threading.Event()
    start = Raw(head(200, (("Content-Length", str(claim)),)) + SMALL)
    url = server.on("/huge.bin", Then(start, Pause(60, come)))
    process = pdl_run.start(*QUIET, "--retries", "0", "-d", "out", url)
    server.wait_until(lambda: server.sent("/huge.bin") > len(SMALL))
    part = None
    end = time.monotonic() + 20
    while part is None or part.stat().st_size < len(SMALL):  # it may come in two pieces
        assert time.monotonic() < end
        part = next((tmp_path / "out" / ".pdl").glob("*.part"), None)
    assert part.stat().st_size == len(SMALL)
    assert part.stat().st_blocks * 512 < 64 * MIB
    process.send_signal(signal.SIGINT)
    assert pdl_run.finish(process).code == 130


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, mounted for the test."""
    where = tmp_path / "disk"
    where.mkdir()
    mount(where, "-t", "tmpfs", "-o", "size=2m", "none")
    yield where
    subprocess.run(["umount", where], check=False)


def mount(where: Path, *options: str) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount")
    done = subprocess.run(["mount", *options, where], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.decode().strip()}")


@pytest.mark.real
@pytest.mark.parametrize("engine", ["process", "inline"])
def test_a_full_disk_is_said_once_and_parts_stay(
    server: Server, pdl_run: Runner, disk: Path, engine: str
) -> None:
    urls = [
        server.on(f"/{n}.bin", File(BODY, etag='"one"', chunked=True, throttle=4e6))
        for n in range(6)
    ]
    run = pdl_run(*QUIET, "--engine", engine, "-j", "4", "-d", disk, *urls)
    check_it_says_once(run, 3, "No space left on device")
    assert parts(disk)
    assert not list(disk.glob("*.bin"))


@pytest.mark.real
def test_a_disk_without_room_for_the_ranges_of_a_file_kills_no_worker(
    server: Server, pdl_run: Runner, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = tmp_path / "tiny"
    where.mkdir()
    mount(where, "-t", "tmpfs", "-o", "size=8k", "none")  # the lock and the note fill it
    request.addfinalizer(lambda: subprocess.run(["umount", where], check=False))
    url = server.on("/big.bin", File(b"x" * 3 * MIB, etag='"one"'))
    run = pdl_run(*QUIET, "--min-split", "1M", "-d", where, url)
    check_it_says_once(run, 3, "No space left on device")
    assert "SIGBUS" not in run.err


@pytest.mark.real
def test_what_is_known_not_to_fit_does_not_touch_the_disk(
    server: Server, pdl_run: Runner, disk: Path
) -> None:
    run = pdl_run(*QUIET, "-d", disk, good(server), good(server, "/small.bin", SMALL))
    check_it_says_once(run, 3, "needs ", " more, ", " free")
    assert (disk / "small.bin").read_bytes() == SMALL
    assert sorted(path.name for path in disk.iterdir()) == ["small.bin"]


@pytest.mark.real
def test_a_cache_that_has_filled_its_disk_makes_room_first(
    server: Server, pdl_run: Runner, disk: Path, tmp_path: Path
) -> None:
    url = server.on("/x.bin", File(b"x" * MIB, etag='"one"'))
    cache = disk / "cache"
    assert pdl_run(url, "-d", "out", "--cache", cache).code == 0
    with suppress(OSError), (disk / "other").open("wb", buffering=0) as file:
        while file.write(b"x" * 512):
            pass
    run = pdl_run(url, "-d", "again", "--cache", cache, "--cache-size", "100K")
    assert (run.code, "cannot be used" in run.err) == (0, False)
    assert not list(cache.rglob("files/*/*"))
    assert (tmp_path / "again/x.bin").stat().st_size == MIB


@pytest.mark.real
def test_a_disk_full_from_the_start(server: Server, pdl_run: Runner, disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(2 * MIB))
    run = pdl_run(*QUIET, "-d", disk, good(server))
    check_it_says_once(run, 3, "No space left on device", str(disk))


# --- no permission ---


@pytest.mark.real
def test_a_read_only_directory(server: Server, pdl_run: Runner, disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    run = pdl_run(*QUIET, "-d", disk / "out", good(server))
    check_it_says_once(run, 3, "Read-only file system", str(disk))
    assert server.requests() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root needs no permission")
def test_a_directory_that_may_not_be_written(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir(mode=0o555)
    run = pdl_run(*QUIET, "-d", "out", good(server))
    check_it_says_once(run, 3, "Permission denied", "out")


@pytest.mark.slow
@pytest.mark.parametrize("handles", [16, 24, 28, 40])
def test_too_few_file_handles(
    server: Server, pdl_run: Runner, tmp_path: Path, handles: int
) -> None:
    runner = limited(resource.RLIMIT_NOFILE, handles, pdl_run, tmp_path)
    run = runner(*QUIET, "--processes", "4", "-j", "64", "-d", "out", good(server))
    check_it_says_once(run, 3, "too few file handles")
    assert runner.leftovers() == []


def test_file_handles_are_taken_as_far_as_the_system_allows(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    script = (
        "import resource, runpy; "
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard)); "
        "runpy.run_module('pdl', run_name='__main__')"
    )
    runner = Runner(tmp_path, pdl_run._home, (sys.executable, "-c", script))
    assert runner(*QUIET, "-d", "out", good(server)).code == 0
    assert runner.leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_hosts_take_no_more_file_handles_than_there_are(
    pdl_run: Runner, tmp_path: Path, hard: bool
) -> None:
    """Sixteen lanes that each kept a connection to each of these hosts would need 320."""
    most = "100" if hard else "resource.getrlimit(resource.RLIMIT_NOFILE)[1]"
    script = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (100, {most})); "
        "runpy.run_module('pdl', run_name='__main__')"
    )
    runner = Runner(tmp_path, pdl_run._home, (sys.executable, "-c", script))
    with ExitStack() as stack:
        hosts = [stack.enter_context(Server()) for _ in range(20)]
        urls = [
            host.on(f"/{n}/{i}", File(SMALL)) for n in range(32) for i, host in enumerate(hosts)
        ]
        (tmp_path / "list").write_text("\n".join(urls))
        jobs = ("-j", "16", "--processes", "1")
        run = runner(*QUIET, *jobs, "-d", "out", "--name", "{path}", "--retries", "0", "list")
        asked = {(i, seen.connection) for i, host in enumerate(hosts) for seen in host.requests()}
    assert run.code == 0, run.err
    if not hard:
        assert len(asked) < len(urls)


# --- something in the way ---


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_state_directory_that_is_none_is_refused(
    server: Server, pdl_run: Runner, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    if kind == "link":
        (out / ".pdl").symlink_to(outside)
    else:
        (out / ".pdl").write_text("mine")
    run = pdl_run(*QUIET, "-d", "out", good(server))
    check_it_says_once(run, 3, "Not a directory (out/.pdl)")
    assert list(outside.iterdir()) == []
    assert [path.name for path in out.iterdir()] == [".pdl"]
    assert server.requests() == []


def test_a_link_in_place_of_a_note_leads_nowhere(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    cut = Then(Raw(head(200, (("ETag", '"one"'), ("Content-Length", "9999"))) + SMALL), Close())
    url = server.on("/file.bin", cut)
    once = (*QUIET, "--retries", "0", "-d", "out", url)
    assert pdl_run(*once).code == 1
    note = next((tmp_path / "out" / ".pdl").glob("*.json"))
    note.unlink()
    note.with_suffix(".json.new").symlink_to(tmp_path / "outside")
    check_it_says_once(pdl_run(*once), 1)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["lock", "state.sqlite"])
def test_a_link_in_the_state_directory_leads_nowhere(
    server: Server, pdl_run: Runner, tmp_path: Path, name: str
) -> None:
    state = tmp_path / "out" / ".pdl"
    state.mkdir(parents=True)
    (state / name).symlink_to(tmp_path / "outside")
    run = pdl_run(*QUIET, "-d", "out", good(server), good(server, "/other/file.bin", SMALL))
    assert "Traceback" not in run.err
    assert "internal" not in run.err
    assert not (tmp_path / "outside").exists()


def test_an_output_directory_that_is_a_file(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    check_it_says_once(pdl_run(*QUIET, "-d", "out", good(server)), 3, "directory out: File exists")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_directory_where_a_file_should_be(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "out" / "file.bin").mkdir(parents=True)
    urls = [good(server), good(server, "/small.bin", SMALL)]
    run = pdl_run(*QUIET, "-d", "out", *urls)
    check_it_says_once(run, 1, "file.bin is there and is not a file")
    assert (tmp_path / "out" / "small.bin").read_bytes() == SMALL


def test_a_file_where_a_directory_should_be(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").write_text("mine")
    (tmp_path / "list").write_text(f"{good(server)}\n  out=sub/file.bin\n")
    run = pdl_run(*QUIET, "-d", "out", "--report", "r.jsonl", "list")
    check_it_says_once(run, 1, "out/sub is not a directory")
    assert json.loads((tmp_path / "r.jsonl").read_text())["kind"] == "exists"
    assert (tmp_path / "out" / "sub").read_text() == "mine"


def test_a_path_longer_than_the_system_takes(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    """Every component fits, and so does the path below the directory: but not the whole."""
    deep = tmp_path.joinpath(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    wanted = "/".join(["e" * 200] * 14 + ["file.bin"])
    (tmp_path / "list").write_text(f"{good(server, body=SMALL)}\n  out={wanted}\n")
    run = pdl_run(*QUIET, "-d", deep / ("f" * 250) / ("g" * 250), "--report", "r.jsonl", "list")
    check_it_says_once(run, 1, "File name too long")
    assert json.loads((tmp_path / "r.jsonl").read_text())["kind"] == "name"


@pytest.mark.parametrize("engine", ["process", "inline"])
def test_the_directory_is_removed_under_way(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    gate = threading.Event()
    answer = head(200, (("Content-Length", str(len(SMALL))),))
    held = server.on("/held.bin", Then(Pause(30, gate), Raw(answer + SMALL)))
    process = pdl_run.start(*QUIET, "--engine", engine, "-d", "out", held)
    server.wait_for("/held.bin")
    shutil.rmtree(tmp_path / "out")
    gate.set()
    check_it_says_once(pdl_run.finish(process), 3, "No such file or directory")
    assert not (tmp_path / "out").exists()


# --- the lock ---


@pytest.mark.slow
def test_the_second_run_names_the_first_and_a_killed_one_holds_nothing(
    server: Server, pdl_run: Runner
) -> None:
    gate = threading.Event()
    answer = head(200, (("Content-Length", str(len(SMALL))),))
    url = server.on("/held.bin", Then(Pause(30, gate), Raw(answer + SMALL)), File(SMALL))
    first = pdl_run.start(*QUIET, "-d", "out", url)
    server.wait_for("/held.bin")
    second = pdl_run(*QUIET, "-d", "out", url)
    check_it_says_once(second, 4, f"pid {first.pid}, started 20")
    first.kill()
    first.wait(10)
    assert pdl_run(*QUIET, "-d", "out", url).code == 0
    gate.set()


@pytest.mark.slow
def test_a_run_waits_for_the_lock_as_long_as_it_is_told(server: Server, pdl_run: Runner) -> None:
    gate = threading.Event()
    answer = head(200, (("Content-Length", str(len(SMALL))),))
    url = server.on("/held.bin", Then(Pause(30, gate), Raw(answer + SMALL)))
    other = good(server, "/other.bin", SMALL)
    first = pdl_run.start(*QUIET, "-d", "out", url)
    server.wait_for("/held.bin")
    second = pdl_run.start(*QUIET, "--wait-lock", "30", "-d", "out", other)
    assert pdl_run(*QUIET, "--wait-lock", "0.2", "-d", "out", other).code == 4
    assert second.poll() is None
    gate.set()
    assert pdl_run.finish(first).code == 0
    assert pdl_run.finish(second).code == 0
    assert len(server.requests("/other.bin")) == 1


def test_what_a_dead_run_wrote_into_the_lock_is_nothing(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    state = tmp_path / "out" / ".pdl"
    state.mkdir(parents=True)
    (state / "lock").write_text(json.dumps({"pid": os.getpid(), "started": "now"}))
    assert pdl_run(*QUIET, "-d", "out", good(server)).code == 0
    assert not state.exists()
