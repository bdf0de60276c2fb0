"""End to end: the real command, in a process of its own, against a real server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from marks import slow
from runner import Run, Runner, has, until
from servers.misbehave import File, Pause, Reply, Server, Then
from servers.row import pattern

FIELDS = {
    *("source", "line", "url", "final_url", "path", "outcome", "kind", "transient", "status"),
    *("bytes", "size", "resumed_from", "attempts", "seconds", "started", "checksum", "message"),
    *("content_type", "etag", "last_modified", "host", "digests", "fields", "schema"),
}
BIG = pattern(4 << 20, 5)
SLOWLY = 2 << 20
BOUND = 20.0

pytestmark = pytest.mark.usefixtures("no_leftovers")
engines = pytest.mark.parametrize("engine", ["process", "inline"])


def listed(pdl_run: Runner, *urls: str, name: str = "urls.txt") -> Path:
    path = pdl_run.directory / name
    path.write_text("".join(f"{url}\n" for url in urls))
    return path


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def files(server: Server, count: int) -> dict[str, bytes]:
    """Serve so many files; names with bytes."""
    bodies = {f"f{number}.bin": pattern(1 + number * 997, number) for number in range(count)}
    for name, body in bodies.items():
        server.on(f"/{name}", File(body, etag=f'"{name}"'))
    return bodies


def there(directory: Path) -> dict[str, bytes]:
    """The files that a run has left, with ``.pdl`` as None would be."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


# --- good runs and bad lines ---


@engines
def test_every_file_arrives_byte_for_byte(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    bodies = files(server, 25)
    urls = listed(pdl_run, *map(server.url, (f"/{name}" for name in bodies)))
    run = pdl_run(urls, "-d", "out", "--engine", engine)
    assert run.code == 0, run.err
    assert there(tmp_path / "out") == bodies
    assert "25 succeeded, 0 failed" in run.err
    assert run.out == ""


@pytest.mark.slow
@engines
def test_failures_are_explained_listed_and_tried_alone(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    bodies = files(server, 8)
    missing = [server.url(f"/missing{number}") for number in range(2)]
    urls = listed(pdl_run, missing[0], *(server.url(f"/{name}") for name in bodies), missing[1])
    common = ("-d", "out", "--engine", engine, "--failed", "failed.txt", "--report", "r.jsonl")
    run = pdl_run(urls, *common)
    assert run.code == 1
    assert "http-404: 2 failures" in run.err
    assert [run.err.count(f"    {url} (1 attempt, ") for url in missing] == [1, 1]
    assert run.err.partition("http-404: ")[2].count("(1 attempt, ") == 2
    failed = [row for row in rows(tmp_path / "r.jsonl") if row["outcome"] == "fail"]
    assert [(row["kind"], row["attempts"], row["status"]) for row in failed] == [
        ("http-404", 1, 404)
    ] * 2
    assert (tmp_path / "failed.txt").stat().st_mode & 0o777 == 0o600

    before = len(server.requests())
    again = pdl_run("failed.txt", "-d", "out", "--engine", engine)
    assert again.code == 1
    assert sorted(seen.path for seen in server.requests()[before:]) == ["/missing0", "/missing1"]


@pytest.mark.slow
@engines
def test_the_same_command_again_fetches_nothing(
    server: Server, pdl_run: Runner, engine: str
) -> None:
    urls = listed(pdl_run, *(server.url(f"/{name}") for name in files(server, 5)))
    assert pdl_run(urls, "-d", "out", "--engine", engine).code == 0
    before = len(server.requests())
    again = pdl_run(urls, "-d", "out", "--engine", engine)
    assert again.code == 0
    assert "0 succeeded, 5 skipped, 0 failed" in again.err
    assert len(server.requests()) == before


def test_a_slow_answer_holds_nobody_up(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    released = threading.Event()
    server.on("/slow", Then(Pause(BOUND, released), Reply(200, (), b"late")))
    names = [f"fast{number}" for number in range(300)]
    for name in names:
        server.on(f"/{name}", Reply(200, (), name.encode()))
    urls = listed(pdl_run, server.url("/slow"), *(server.url(f"/{name}") for name in names))
    process = pdl_run.start(urls, "-d", "out")
    server.wait_for("/slow")
    until(lambda: all((tmp_path / "out" / name).exists() for name in names), "the fast ones")
    assert not (tmp_path / "out/slow").exists()
    released.set()
    run = pdl_run.finish(process)
    assert run.code == 0, run.err
    assert (tmp_path / "out/slow").read_bytes() == b"late"


@pytest.mark.slow
@engines
def test_downloading_begins_while_the_list_is_still_being_written(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    bodies = files(server, 2)
    process = pdl_run.start("-", "-d", "out", "--engine", engine, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(server.url("/f0.bin\n").encode())
    process.stdin.flush()
    until((tmp_path / "out/f0.bin").exists, "the first file")
    run = pdl_run.finish(process, server.url("/f1.bin\n").encode())
    assert run.code == 0, run.err
    assert there(tmp_path / "out") == bodies


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "code"), [(b"", 0), (b"\n# nothing\n", 0), (b"\x00\x01\xff\xfe\x80" * 50, 1)]
)
def test_odd_lists_end_with_a_message_and_no_traceback(
    pdl_run: Runner, tmp_path: Path, content: bytes, code: int
) -> None:
    (tmp_path / "urls.txt").write_bytes(content)
    run = pdl_run("urls.txt", "-d", "out")
    assert run.code in {code, 2 if code else code}
    assert "Traceback" not in run.err
    assert re.search("^pdl: ", run.err, re.MULTILINE)


def test_a_bad_line_is_that_lines_failure(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    bodies = files(server, 1)
    urls = listed(pdl_run, "not a url", server.url("/f0.bin"), "ftp://host/x")
    run = pdl_run(urls, "-d", "out", "--report", "r.jsonl")
    assert run.code == 1
    assert there(tmp_path / "out") == bodies
    bad = [row for row in rows(tmp_path / "r.jsonl") if row["kind"] == "invalid-url"]
    assert [row["line"] for row in bad] == [1, 3]


# --- exit codes ---


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--no-such-option", "x"),
        ("nowhere.txt",),
        (".",),
        ("urls.txt", "-j", "0"),
        ("urls.txt", "--failed", "r.jsonl", "--report", "./r.jsonl"),
        ("urls.txt", "--report", "r.json", "--report", "r.json"),
        ("urls.txt", "--wait-lock", "nan"),
        ("urls.txt", "--max-retry-wait", "1e10"),
        ("urls.txt", "--timeout", "inf"),
        ("urls.txt", "--proxy", "http://user:hunter2@h:99999"),
    ],
    ids=str,
)
def test_usage_errors_exit_2_with_a_message(pdl_run: Runner, arguments: tuple[str, ...]) -> None:
    listed(pdl_run)
    run = pdl_run(*arguments)
    assert run.code == 2
    assert run.err
    assert "Traceback" not in run.err
    assert "hunter2" not in run.err


@engines
def test_a_directory_that_cannot_be_made_exits_3(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    run = pdl_run(server.on("/a", Reply()), "-d", "file/out", "--engine", engine)
    assert run.code == 3
    assert "cannot write to the output directory file/out" in run.err
    assert "Traceback" not in run.err


@pytest.mark.slow
def test_nothing_transferred_exits_9_if_asked_to(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    assert pdl_run(url, "--error-on-no-transfer").code == 0
    assert pdl_run(url, "--error-on-no-transfer").code == 9
    assert pdl_run(url).code == 0


# --- signals ---


def resumable(server: Server) -> str:
    """A file of which half comes, then nothing; a later range gets the rest."""
    return server.on("/big.bin", File(BIG, etag='"big"', throttle=SLOWLY), File(BIG, etag='"big"'))


@engines
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_keeps_the_part_and_the_same_command_goes_on(
    server: Server,
    pdl_run: Runner,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    engine: str,
) -> None:
    url = resumable(server)
    process = pdl_run.start(url, "-d", "out", "--engine", engine)
    server.wait_until(lambda: server._sent["/big.bin"] > 1 << 19, "half a megabyte")
    process.send_signal(number)
    run = pdl_run.finish(process)
    assert run.code == code, run.err
    assert f"interrupted by {number.name}: 0 succeeded, 0 failed, 1 left" in run.err
    assert pdl_run.leftovers() == []
    assert not (tmp_path / "out/big.bin").exists()

    again = pdl_run(url, "-d", "out", "--engine", engine)
    assert again.code == 0, again.err
    seen = server.requests("/big.bin")[-1]
    assert re.fullmatch(r"bytes=[1-9]\d{4,}-", seen.header("Range") or "")
    assert seen.header("If-Range") == '"big"'
    assert there(tmp_path / "out") == {"big.bin": BIG}


def test_the_second_interrupt_ends_it_at_once_and_leaves_no_bar(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"), "--progress", "bar")
    assert process.stderr is not None
    shown = b""
    while b"0/1" not in shown:
        shown += os.read(process.stderr.fileno(), 65536)
    process.send_signal(signal.SIGINT)
    while b"pdl: stopping; again to end at once\n" not in shown:
        shown += os.read(process.stderr.fileno(), 65536)
    process.send_signal(signal.SIGINT)
    run = pdl_run.finish(process)
    assert run.code == -signal.SIGINT
    assert (shown.decode() + run.err).endswith("\r\x1b[J")
    assert "interrupted" not in run.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_before_the_run_is_one_line(
    pdl_run: Runner, number: signal.Signals, code: int
) -> None:
    process = pdl_run.start("-", "--dry-run", stdin=subprocess.PIPE)
    until(lambda: has(process.pid, "SigCgt", signal.SIGHUP), "its handlers")
    process.send_signal(number)
    run = pdl_run.finish(process)
    assert (run.code, run.err) == (code, "pdl: interrupted\n")


def test_a_signal_while_it_waits_for_the_directory_leaves_nothing(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    server.on("/held", Pause(BOUND))
    first = pdl_run.start(server.url("/held"))
    server.wait_for("/held")
    second = pdl_run.start(server.url("/b"), "--wait-lock", "60", "--failed", "failed.txt")
    until(lambda: any(tmp_path.glob("failed.txt*")), "its failure list")
    second.send_signal(signal.SIGINT)
    run = pdl_run.finish(second)
    assert (run.code, run.err) == (130, "pdl: interrupted\n")
    assert not any(tmp_path.glob("failed.txt*"))
    first.send_signal(signal.SIGINT)
    pdl_run.finish(first)


@pytest.mark.parametrize(
    ("words", "file", "name"),
    [
        (("--start-method", "forkserver"), "cmdline", b"multiprocessing.forkserver"),
        ((), "comm", b"pdl-forkserver"),
    ],
)
def test_the_fork_server_never_dies_of_ctrl_c(
    words: tuple[str, ...], file: str, name: bytes, server: Server, pdl_run: Runner
) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"), *words)
    server.wait_for("/held")
    servers = [pid for pid in pdl_run.alive() if name in Path(f"/proc/{pid}/{file}").read_bytes()]
    # blocked from its first instruction on; that it ignores the signal comes later
    assert servers
    assert all(has(pid, "SigBlk", signal.SIGINT) for pid in servers)
    assert not has(process.pid, "SigBlk", signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert pdl_run.finish(process).code == 130


def test_a_killed_fork_server_is_started_anew(server: Server, pdl_run: Runner) -> None:
    gate = threading.Event()
    held = server.on("/held", Then(Pause(BOUND, gate), Reply(200, (), b"held")))
    process = pdl_run.start(held, "--retry-wait", "0")
    server.wait_for("/held")
    stats = {pid: Path(f"/proc/{pid}/stat").read_text() for pid in pdl_run.alive()}
    parents = {pid: int(stat.rpartition(")")[2].split()[1]) for pid, stat in stats.items()}
    ours = [pid for pid, parent in parents.items() if parent == process.pid]
    (helper,) = [pid for pid in ours if "(pdl-forkserver)" in stats[pid]]
    for pid in [helper, *(pid for pid, parent in parents.items() if parent == helper)]:
        os.kill(pid, signal.SIGKILL)
    server.wait_for("/held", 2)
    gate.set()
    run = pdl_run.finish(process)
    assert (run.code, run.err.count("1 succeeded")) == (0, 1)
    assert pdl_run.leftovers() == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn", None])
def test_a_second_signal_ends_it_now(server: Server, pdl_run: Runner, method: str | None) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"), *(("--start-method", method) if method else ()))
    server.wait_for("/held")
    while process.poll() is None:  # as a person does who has lost patience
        process.send_signal(signal.SIGINT)
        threading.Event().wait(0.05)
    run = pdl_run.finish(process)
    assert (run.code in {-signal.SIGINT, 130}, "leaked" in run.err) == (True, False), run.err
    assert pdl_run.leftovers() == []


# --- the lock ---


@pytest.mark.slow
def test_one_run_holds_a_directory(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    released = threading.Event()
    server.on("/held", Then(Pause(BOUND, released), Reply(200, (), b"held")))
    other = server.on("/other", Reply(200, (), b"other"))
    first = pdl_run.start(server.url("/held"), "-d", "out")
    server.wait_for("/held")
    second = pdl_run(other, "-d", "out")
    assert second.code == 4
    assert f"another run holds out (pid {first.pid}, started " in second.err
    waiting = pdl_run.start(other, "-d", "out", "--wait-lock", "30")
    assert server.requests("/other") == []
    released.set()
    assert pdl_run.finish(first).code == 0
    assert pdl_run.finish(waiting).code == 0
    assert there(tmp_path / "out") == {"held": b"held", "other": b"other"}


def test_the_lock_of_a_killed_run_is_none(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    server.on("/a", Pause(BOUND), Reply(200, (), b"a"))
    process = pdl_run.start(server.url("/a"), "-d", "out")
    server.wait_for("/a")
    process.kill()
    pdl_run.finish(process)
    assert (tmp_path / "out/.pdl/lock").exists()
    assert pdl_run(server.url("/a"), "-d", "out").code == 0
    assert there(tmp_path / "out") == {"a": b"a"}


# --- streams ---


@pytest.mark.parametrize("progress", ["plain", slow("json"), slow("bar")])
@pytest.mark.parametrize("redirect", [">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_downloads_go_on_without_standard_streams(
    server: Server, pdl_run: Runner, tmp_path: Path, redirect: str, progress: str
) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    shell = Runner(
        tmp_path, tmp_path, ("sh", "-c", f'exec "$@" {redirect}', "-", *pdl_run._command)
    )
    run = shell(url, "-d", "out", "--progress", progress)
    assert run == Run(3 if progress == "json" else 0, "", "")  # a program was to read those
    assert there(tmp_path / "out") == {"a": b"a"}
    assert shell.leftovers() == []


def test_no_control_character_reaches_what_is_no_terminal(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a", Reply(404))
    escape = server.on("/%1b%5b2J%07", Reply(200, (), b"e"))
    run = pdl_run(url, escape, "-v", "--report", "r.jsonl")
    assert run.code == 1
    assert not set(run.err) & {chr(code) for code in {*range(32), 127, *range(128, 160)} - {10}}


def test_quiet_says_nothing_unless_something_failed(server: Server, pdl_run: Runner) -> None:
    good = server.on("/a", Reply(200, (), b"a"))
    assert pdl_run(good, "-q") == Run(0, "", "")
    bad = pdl_run(server.url("/missing"), "-q")
    assert bad.code == 1
    assert server.url("/missing") in bad.err


@engines
def test_progress_json_is_one_object_a_line_on_standard_output(
    server: Server, pdl_run: Runner, engine: str
) -> None:
    urls = [server.url(f"/{name}") for name in files(server, 3)]
    run = pdl_run(*urls, server.url("/no"), "--progress", "json", "--engine", engine)
    assert run.code == 1
    events = [json.loads(line) for line in run.out.splitlines()]
    assert len(events) >= 4
    assert all(isinstance(event, dict) for event in events)
    assert (events[-2]["event"], events[-2]["requests"]) == ("host-row", 4)
    assert (events[-1]["event"], events[-1]["failed"]) == ("summary", 1)


@engines
def test_report_rows_have_every_field(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    good, bad = server.on("/dir/a", File(b"12345")), server.url("/b")
    urls = listed(pdl_run, good, bad)
    pdl_run(urls, "-d", "out", "--report", "r.jsonl", "--report", "r.json", "--engine", engine)
    first, second = sorted(rows(tmp_path / "r.jsonl"), key=lambda row: str(row["line"]))
    assert set(first) == set(second) == FIELDS
    wanted = {"line": 1, "url": good, "final_url": good, "path": "a", "outcome": "success"}
    wanted |= {"kind": None, "transient": None, "status": 200, "bytes": 5, "size": 5}
    wanted |= {"resumed_from": 0, "attempts": 1, "message": "", "schema": 1, "source": str(urls)}
    assert wanted.items() <= first.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(first["started"]))
    assert (second["kind"], second["transient"], second["status"]) == ("http-404", False, 404)
    assert isinstance(json.loads((tmp_path / "r.json").read_text()), dict | list)


def test_a_dry_run_prints_the_plan_and_does_nothing(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = listed(pdl_run, server.url("/a"), server.url("/x/a"), server.url("/a"), "bad line")
    run = pdl_run(urls, "-d", "out", "--dry-run")
    assert run.code == 1
    words = [line.split("\t") for line in run.out.splitlines()]
    assert [row[0] for row in words] == ["get", "get", "same", "fail"]
    assert words[0][1:] == [server.url("/a"), "a"]
    assert server.requests() == []
    assert not (tmp_path / "out").exists()


# --- names and settings ---


def test_colliding_names_are_kept_apart_and_remembered(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    one, two = server.on("/1/a.bin", File(b"one")), server.on("/2/a.bin", File(b"two"))
    assert pdl_run(one, two, "-d", "out").code == 0
    names = {name for name in there(tmp_path / "out") if not name.startswith(".pdl")}
    [other] = names - {"a.bin"}
    assert re.fullmatch(r"a-[0-9a-f]{8}\.bin", other)
    before = len(server.requests())
    assert pdl_run(two, one, "-d", "out").code == 0  # in the other order, yet the same names
    assert len(server.requests()) == before
    assert (tmp_path / "out/a.bin").read_bytes() == b"one"
    assert (tmp_path / "out" / other).read_bytes() == b"two"


@engines
def test_the_same_url_twice_is_fetched_once_and_both_lines_succeed(
    server: Server, pdl_run: Runner, engine: str
) -> None:
    url = server.on("/a", File(b"a"))
    run = pdl_run(url, url, "-d", "out", "--engine", engine)
    assert run.code == 0
    assert "2 succeeded, 0 failed" in run.err
    assert len(server.requests("/a")) == 1


@pytest.mark.parametrize("first", ["", f"#sha256={hashlib.sha256(b'hello').hexdigest()}"])
def test_a_digest_on_a_later_line_of_the_same_url_is_checked(
    first: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/twice.bin", File(b"hello"))
    wrong = hashlib.sha256(b"other").hexdigest()
    (tmp_path / "urls.txt").write_text(f"{url}{first}\n{url}#sha256={wrong}\n")
    run = pdl_run("urls.txt", "--report", "run.jsonl")
    assert run.code == 1
    by_line = {row["line"]: row for row in rows(tmp_path / "run.jsonl")}
    assert (by_line[1]["outcome"], by_line[2]["kind"]) == ("success", "checksum")
    assert (tmp_path / "twice.bin").read_bytes() == b"hello"


def test_no_download_gets_the_name_of_the_runs_own_files(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    for name in ("/r.jsonl", "/failed.txt", "/urls.txt"):
        server.on(name, File(b"from the server"))
    listed(pdl_run, *(server.url(name) for name in ("/r.jsonl", "/failed.txt", "/urls.txt")))
    run = pdl_run("urls.txt", "--report", "r.jsonl", "--failed", "failed.txt")
    assert run.code == 0
    paths = [str(row["path"]) for row in rows(tmp_path / "r.jsonl")]
    assert len(paths) == 3
    assert not set(paths) & {"r.jsonl", "failed.txt", "urls.txt"}
    assert {(tmp_path / path).read_bytes() for path in paths} == {b"from the server"}


def test_what_goes_to_standard_output_is_no_file_to_look_into(pdl_run: Runner) -> None:
    listed(pdl_run, "ftp://h/x")
    run = pdl_run("urls.txt", "--report", "-", "--failed", "failed.txt")
    assert run.code == 1
    assert "the failures are listed in failed.txt\n" in run.err
    assert "listed in" not in pdl_run("urls.txt", "--report", "-").err


def test_names_by_template_and_tree(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    url = server.on("/x/y.txt", File(b"a"))
    assert pdl_run(url, "-d", "one", "--name", "{n}-{stem}{ext}").code == 0
    assert pdl_run(url, "-d", "two", "--tree").code == 0
    assert list(there(tmp_path / "one")) in (["1-y.txt"], ["1-ytxt"])
    [tree] = there(tmp_path / "two")
    assert re.fullmatch(rf"127\.0\.0\.1.?({server.port})?/x/y\.txt", tree)


def test_an_option_comes_from_the_environment(server: Server, pdl_run: Runner) -> None:
    released = threading.Event()
    urls = [
        server.on(f"/{number}", Then(Pause(BOUND, released), Reply(200, (), b".")))
        for number in range(6)
    ]
    process = pdl_run.start(*urls, "-d", "out", env={"PDL_JOBS": "2"})
    server.wait_until(lambda: len(server._seen) >= 2, "two requests")
    with pytest.raises(TimeoutError):
        server.wait_until(lambda: len(server._seen) >= 3, "a third", 0.3)
    released.set()
    assert pdl_run.finish(process).code == 0
    assert pdl_run(urls[0], env={"PDL_JOBS": "none"}).code == 2


@pytest.mark.slow
@engines
def test_a_truncated_answer_is_tried_again_from_where_it_stopped(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    from servers.row import BODY, ETAG, HALF, cut  # noqa: PLC0415

    url = server.on("/a", cut((("ETag", ETAG),)), File(BODY, etag=ETAG))
    run = pdl_run(url, "-d", "out", "--retry-wait", "0", "--engine", engine)
    assert run.code == 0, run.err
    assert there(tmp_path / "out") == {"a": BODY}
    assert server.requests("/a")[1].header("Range") == f"bytes={HALF}-"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_resource_tracker_outlives_a_terminals_signals_and_holds_nobody(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/held", Pause(BOUND))
    process = pdl_run.start(server.url("/held"))
    server.wait_for("/held")
    (tracker,) = [
        pid for pid in pdl_run.alive() if Path(f"/proc/{pid}/comm").read_bytes() == b"pdl-tracker\n"
    ]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert has(tracker, "SigIgn", number)
    process.kill()
    pdl_run.finish(process)
    until(lambda: pdl_run.alive() == [], "the end of all of its processes")


@pytest.mark.skipif(sys.platform != "linux", reason="finds its processes in /proc")
@pytest.mark.parametrize("method", [slow("fork"), "forkserver", slow("spawn")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_of_its_processes_is_no_traceback(
    server: Server, pdl_run: Runner, number: signal.Signals, method: str
) -> None:
    server.on("/held", Pause(BOUND))
    args = ("-j", "1", "--progress", "none", "--start-method", method)
    process = pdl_run.start(server.url("/held"), *args)
    server.wait_for("/held")
    for pid in sorted(pdl_run.alive(), reverse=True):  # the main process last
        os.kill(pid, number)
    run = pdl_run.finish(process)
    assert (run.code, "racker" in run.err) == (128 + number, False), run.err


def test_nothing_is_left_at_exit(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    url = server.on("/a", Reply(200, (), b"a"))
    run = pdl_run(url, env={"TMPDIR": str(temporary)})
    assert (run.code, "leaked" in run.err) == (0, False), run.err
    assert list(temporary.iterdir()) == []
