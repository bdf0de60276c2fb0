"""Credentials as options of the command: who is sent what, and what nobody sees."""

from __future__ import annotations

import os
import pty
import stat
import sys
import threading
from base64 import b64encode
from pathlib import Path

import pytest

from runner import Runner, base_environment, until
from servers.behaviours import Pause, Then
from servers.files import File
from servers.misbehave import Server

SECRET = "c4n4ry-5ecret"
BODY = b"some bytes"


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


def seen(server: Server, path: str) -> list[str | None]:
    return [each.header("Authorization") for each in server.requests(path)]


def served(server: Server, *names: str) -> list[str]:
    return [server.on(f"/{name}", File(BODY)) for name in names]


# --- each way ---


def test_a_bearer_token_of_the_environment(server: Server, pdl_run: Runner) -> None:
    urls = served(server, "a.bin", "b.bin")
    options = ("--bearer", "127.0.0.1=MY_TOKEN", "-j", "1", "--processes", "1")
    run = pdl_run(*urls, *options, env={"MY_TOKEN": SECRET})
    assert (run.code, run.err.count("\n")) == (0, 1)
    assert seen(server, "/a.bin") == seen(server, "/b.bin") == [f"Bearer {SECRET}"]
    assert SECRET not in run.out + run.err


def test_a_variable_that_is_not_set_is_a_usage_error(server: Server, pdl_run: Runner) -> None:
    (url,) = served(server, "a.bin")
    run = pdl_run(url, "--bearer", "127.0.0.1=MY_TOKEN")
    assert run.code == 2
    assert "--bearer: the variable MY_TOKEN, which is to hold the token for 127.0.0.1" in run.err
    assert server.requests() == []


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--bearer", "a.org=MY_TOKEN"), "--bearer: the variable MY_TOKEN, which is to hold"),
        (("--netrc-file", "netrc"), "netrc:1: this is no entry of a netrc file"),
        (("--cookies", "netrc"), "netrc is no file of cookies in Netscape's format"),
        (("-u", "me"), ""),
    ],
)
def test_a_dry_run_refuses_what_a_run_refuses(
    args: tuple[str, ...], said: str, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("nonsense")
    run = pdl_run("http://127.0.0.1:9/a", "--dry-run", *args)
    assert run.code == (2 if said else 0)
    assert said in run.err


def test_a_token_on_the_command_line_is_refused_unseen(pdl_run: Runner) -> None:
    run = pdl_run("http://127.0.0.1:9/", "--bearer", SECRET)
    assert run.code == 2
    assert "HOST=ENVVAR" in run.err
    assert SECRET not in run.err


def test_a_user_goes_to_the_origin_of_the_first_line_alone(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    with Server() as other:
        lines = [*served(server, "a.bin", "b.bin"), *served(other, "c.bin")]
        (tmp_path / "l.txt").write_text("# list\n" + "\n".join(lines) + "\n")
        run = pdl_run("l.txt", "-u", f"me:{SECRET}:x")
        assert run.code == 0
        assert seen(server, "/a.bin") == seen(server, "/b.bin") == [basic(f"me:{SECRET}:x")]
        assert seen(other, "/c.bin") == [None]
        assert f"write -u 127.0.0.1:{other.port}=USER" in run.err
        assert SECRET not in run.err


def test_a_user_for_a_list_that_comes_slowly(server: Server, pdl_run: Runner) -> None:
    a, b = served(server, "a.bin", "b.bin")
    run = pdl_run("-", "-u", "me:p", stdin=f"{a}\n{b}\n")
    assert run.code == 0
    assert seen(server, "/a.bin") == seen(server, "/b.bin") == [basic("me:p")]


def test_users_by_host_in_the_environment(server: Server, pdl_run: Runner) -> None:
    (url,) = served(server, "a.bin")
    there = url.replace("127.0.0.1", "localhost").replace("a.bin", "b.bin")
    server.on("/b.bin", File(BODY))
    users = f"127.0.0.1:{server.port}=me:{SECRET}\nlocalhost=you:p=w"
    run = pdl_run(url, there, env={"PDL_USER": users})
    assert run.code == 0
    assert seen(server, "/a.bin") == [basic(f"me:{SECRET}")]
    assert seen(server, "/b.bin") == [basic("you:p=w")]
    assert "header" not in run.err


@pytest.mark.slow
def test_entries_of_netrc_files(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    url, other = served(server, "a.bin", "b.bin")
    path = tmp_path / "entries"
    path.write_text(f"machine 127.0.0.1\nlogin me\npassword {SECRET}\ndefault login x password y\n")
    run = pdl_run(url, other.replace("127.0.0.1", "localhost"), "--netrc-file", path)
    assert run.code == 0
    assert seen(server, "/a.bin") == [basic(f"me:{SECRET}")]
    assert seen(server, "/b.bin") == [None]
    assert run.err.count("its default entry is ignored") == 1
    again = pdl_run(url, "--netrc", "--if-exists", "overwrite", env={"NETRC": str(path)})
    assert again.code == 0
    assert seen(server, "/a.bin")[1:] == [basic(f"me:{SECRET}")]


def test_a_netrc_file_is_not_replaced_by_a_report(pdl_run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "entries.json"
    path.write_text("machine a login b password c")
    run = pdl_run("http://127.0.0.1:9/", "--netrc-file", path, "--report", path)
    assert run.code == 2
    assert "also --netrc-file" in run.err


def test_a_look_at_files_asks_for_no_password(pdl_run: Runner, tmp_path: Path) -> None:
    run = pdl_run("http://127.0.0.1:9/a", "-u", "me", "--check")
    assert run.code == 1
    assert "password" not in run.err


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--netrc-file", "--cookies"])
def test_a_file_of_credentials_is_not_replaced_by_a_download(
    option: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    text = "# Netscape HTTP Cookie File\n" if option == "--cookies" else "machine a login b\n"
    (tmp_path / "mine").write_text(text)
    (url,) = served(server, "mine")
    assert pdl_run(url, option, "mine", "--if-exists", "overwrite").code == 0
    assert (tmp_path / "mine").read_text() == text


def test_header_fields_in_a_file(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    (url,) = served(server, "a.bin")
    (tmp_path / "f").write_text(f"# mine\nAuthorization: Bearer {SECRET}\n\nX-A:  b \n")
    run = pdl_run(url, "-H", "X-B: c", "-H", "@f")
    assert run.code == 0
    (request,) = server.requests()
    assert [request.header(name) for name in ("Authorization", "X-A", "X-B")] == [
        f"Bearer {SECRET}",
        "b",
        "c",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"X-A: b\n{SECRET}\n", "f:2: a header has the form"),
        (f"X-A: {SECRET}\x01\n", "f:1: the value of header X-A has a control character"),
        (None, "f cannot be read: No such file"),
    ],
)
def test_a_file_of_fields_that_is_none(
    text: str | None, said: str, pdl_run: Runner, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "f").write_text(text)
    run = pdl_run("http://127.0.0.1:9/", "-H", "@f")
    assert run.code == 2
    assert said in run.err
    assert SECRET not in run.err


def test_a_header_for_several_origins_is_told_once(server: Server, pdl_run: Runner) -> None:
    with Server() as other:
        urls = [*served(server, "a.bin"), *served(other, "b.bin", "c.bin")]
        run = pdl_run(*urls, env={"PDL_HEADER": f"X-Api-Key: {SECRET}"})
    assert run.code == 0
    assert run.err.count("the header X-Api-Key goes to") == 1
    assert SECRET not in run.err


# --- a password that is typed ---


def test_without_a_terminal_a_missing_password_is_a_usage_error(
    server: Server, tmp_path: Path
) -> None:
    (url,) = served(server, "a.bin")
    session = (
        "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    apart = Runner(tmp_path, tmp_path, (sys.executable, "-c", session, "-m", "pdl"))
    run = apart(url, "-u", "me")
    assert (run.code, server.requests()) == (2, [])
    assert "no password is given for me, and there is no terminal" in run.err


def test_a_password_is_typed_on_the_terminal(server: Server, tmp_path: Path) -> None:
    (url,) = served(server, "a.bin")
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - another program from here on
        os.chdir(tmp_path)
        arguments = [sys.executable, "-m", "pdl", url, "-u", "127.0.0.1=me", "-q"]
        os.execve(sys.executable, arguments, base_environment(tmp_path))
    shown = b""
    while b"password of me at 127.0.0.1: " not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, f"{SECRET}\n".encode())
    try:
        while more := os.read(terminal, 1024):
            shown += more
    except OSError:  # the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert SECRET.encode() not in shown
    assert seen(server, "/a.bin") == [basic(f"me:{SECRET}")]


# --- where no secret is ---


def test_no_secret_is_in_arguments_files_or_messages(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    gate = threading.Event()
    urls = served(server, "a.bin", "b.bin", "d.bin")
    slow = server.on("/c.bin", Then(Pause(60, gate), File(BODY)))
    hidden = tmp_path.parent / f"{tmp_path.name}-hidden"
    hidden.mkdir()
    (hidden / "netrc").write_text(f"machine localhost login me password {SECRET}")
    (hidden / "fields").write_text(f"X-Key: {SECRET}")
    reports = ("--report", "r.json", "--failed", "f.txt", "--lock", "l.jsonl", "--cache", "cache")
    options = ("--bearer", "127.0.0.1=T", "--netrc-file", hidden / "netrc", "-v")
    missing = server.url("/missing.bin")
    process = pdl_run.start(
        *urls,
        slow,
        missing,
        *options,
        *reports,
        "-H",
        f"@{hidden / 'fields'}",
        "--update",
        env={"T": SECRET, "PDL_USER": f"localhost=me:{SECRET}"},
    )
    until(lambda: server.requests("/c.bin"), "a request")
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pdl_run.alive()]
    gate.set()
    run = pdl_run.finish(process)
    assert run.code == 1
    assert len(lines) > 1
    assert not any(SECRET.encode() in line for line in lines)
    assert SECRET not in run.out + run.err
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"r.json", "f.txt", "l.jsonl", "a.bin"} <= {path.name for path in found}
    assert not any(SECRET.encode() in path.read_bytes() for path in found)
    assert stat.S_IMODE((tmp_path / "f.txt").stat().st_mode) == 0o600
