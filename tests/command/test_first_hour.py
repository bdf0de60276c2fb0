"""What people try in their first hour: lists as they have them, sources and options of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from servers.misbehave import File, Server

if TYPE_CHECKING:
    from runner import Runner

pytestmark = pytest.mark.usefixtures("no_leftovers")


def test_a_list_of_powershell_is_read(server: Server, pdl_run: Runner) -> None:
    server.on("/a.bin", File(b"a"))
    text = f"# mine\r\n{server.url('/a.bin')} # the first\r\n"
    (pdl_run.directory / "l.txt").write_bytes(text.encode("utf-16"))
    run = pdl_run("l.txt", "-d", "out")
    assert run.code == 0
    assert (pdl_run.directory / "out" / "a.bin").read_bytes() == b"a"


def test_what_is_no_list_is_one_line_and_makes_nothing(pdl_run: Runner) -> None:
    (pdl_run.directory / "l.txt").write_bytes(b"\n\0" * 49_000)
    for dry in ((), ("--dry-run",)):
        run = pdl_run("l.txt", "-d", "out", "--failed", "failed.txt", *dry)
        assert run.code == 2
        assert run.err.count("\n") == 1
        assert [path.name for path in pdl_run.directory.iterdir()] == ["l.txt"]


def test_an_argument_without_a_scheme_is_https_unless_it_is_a_file(pdl_run: Runner) -> None:
    run = pdl_run("example.org/f.iso", "--dry-run")
    assert (run.code, run.out) == (0, "get\thttps://example.org/f.iso\tf.iso\n")
    (pdl_run.directory / "example.org").mkdir()
    (pdl_run.directory / "example.org" / "f.iso").write_text("http://h/listed\n")
    assert "http://h/listed" in pdl_run("example.org/f.iso", "--dry-run").out
    for source in ("example/f.iso", "./example.net/f.iso", "example.net:80/f.iso", "f.txt"):
        run = pdl_run(source, "--dry-run")
        assert run.code == 2
        assert "begins with http:// or https://" in run.err


def test_an_ftp_url_is_told_of_https(pdl_run: Runner) -> None:
    run = pdl_run("ftp://me:hunter2@h/x", "-d", "out")
    assert run.code == 2
    assert "https://" in run.err
    assert "hunter2" not in run.err
