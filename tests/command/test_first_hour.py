"""What people try in their first hour: lists as they have them, sources and options of others."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from pdl.cli.help import OTHERS
from pdl.cli.options import ROWS
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "# mine\n" + "".join(f"f{n}.bin\n" for n in range(5000))),
        ("l.txt", "f1.bin\n  out=x\nf2.bin"),
        ("l.csv", "url,out\nf1.bin,a\nf2.bin,b\n"),
    ],
    ids=["many", "two", "csv"],
)
def test_a_list_of_names_without_a_base_is_told_once(pdl_run: Runner, name: str, text: str) -> None:
    (pdl_run.directory / name).write_text(text)
    run = pdl_run(name, "-d", "out")
    assert (run.code, run.err.count("names files and no URLs")) == (2, 1)
    assert run.err.count("--base-url") == 1
    assert run.err.count("\n") == 1


def test_a_text_that_is_no_list_is_told_once(pdl_run: Runner) -> None:
    (pdl_run.directory / "l.txt").write_text("import os\nif os:\n    x = {1: 2}\n" * 50)
    run = pdl_run("l.txt", "-d", "out")
    assert (run.code, run.err.count("is no list of URLs: none of its first 20 lines")) == (2, 1)


@pytest.mark.slow
def test_one_name_among_urls_is_that_lines_failure(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a", File(b"a"))
    for text in ("f1.bin\nf2.bin\n" + url, url + "\nf1.bin\nf2.bin\n", "f1.bin\n"):
        (pdl_run.directory / "l.txt").write_text(text)
        run = pdl_run("l.txt", "-d", "out")
        assert run.code == 1
        assert "has no scheme" in run.err


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-i", "l.txt"), "-i is not needed: give the list itself"),
        (("--input-file=l.txt",), "--input-file is not needed"),
        (("-c", "l.txt"), "-c is not needed: pdl always goes on where it was"),
        (("l.txt", "--continue=true"), "--continue is not needed"),
        (("-o", "x", "l.txt"), "--name TEMPLATE or out=NAME"),
        (("l.txt", "-Ox"), "--name TEMPLATE or out=NAME"),
        (("-LO", "l.txt"), "-L is not needed"),
        (("-P", "out", "l.txt"), "-P is -d DIR here"),
        (("-k", "l.txt"), "-k is --insecure here"),
        (("-x16", "l.txt"), "-x is --proxy URL here for curl's, --per-host N for aria2's"),
        (("--http-user", "me", "l.txt"), "--http-user is -u HOST=USER:PASSWORD here, or --netrc"),
        (("-nc", "l.txt"), "pdl skips files that are there"),
    ],
)
def test_an_option_of_another_program_is_told_what_it_is_here(
    pdl_run: Runner, arguments: tuple[str, ...], said: str
) -> None:
    run = pdl_run(*arguments)
    assert run.code == 2
    assert said in run.err
    assert run.err.count("\n") == 1
    assert "hunter2" not in run.err


def test_what_is_told_of_others_options_is_true() -> None:
    own = {name for row in ROWS for name in row.opts}
    assert own.isdisjoint(OTHERS)
    named = {word for said in OTHERS.values() for word in re.findall(r"(?<![\w-])--?[\w-]+", said)}
    assert named - {"-"} <= own


def test_a_list_on_standard_input_is_told_of_its_source(pdl_run: Runner) -> None:
    run = pdl_run(stdin="http://h/a\n")
    assert (run.code, run.err) == (2, "pdl: no SOURCE is given; - is standard input: pdl -\n")
    assert "Missing argument" in pdl_run().err


@pytest.mark.slow
def test_a_checksum_file_is_checked_without_a_base(pdl_run: Runner) -> None:
    digest = hashlib.sha256(b"a").hexdigest()
    (pdl_run.directory / "SHA256SUMS").write_text(f"{digest}  a b\n{digest}  d/b\n{digest}  c\n")
    (pdl_run.directory / "a b").write_bytes(b"a")
    (pdl_run.directory / "d").mkdir()
    (pdl_run.directory / "d" / "b").write_bytes(b"a")
    run = pdl_run("SHA256SUMS", "--check", "--failed", "failed", "--report", "r.jsonl")
    assert run.code == 1
    assert "2 as they should be" in run.err
    assert "(c)" in run.err
    written = (pdl_run.directory / "failed").read_text() + (
        pdl_run.directory / "r.jsonl"
    ).read_text()
    assert ".invalid" not in run.err + written
    (pdl_run.directory / "c").write_bytes(b"a")
    assert pdl_run("SHA256SUMS", "--check", "-q") == (0, "", "")


@pytest.mark.slow
def test_a_list_from_a_pipe_that_is_none_is_one_line(pdl_run: Runner) -> None:
    run = pdl_run("-", "-d", "out", stdin="<!doctype html><html><body>x</body></html>\n")
    assert (run.code, run.err.count("\n")) == (2, 1)
    run = pdl_run("-", "-d", "out", stdin="")
    assert run == (0, "", "pdl: standard input is empty: it names nothing to download\n")


@pytest.mark.slow
@pytest.mark.parametrize("between", [" ", "\n", "  '"])
def test_two_urls_in_one_argument_are_refused(pdl_run: Runner, between: str) -> None:
    run = pdl_run(f"http://h/a?token=secret{between}http://h/b", "--dry-run")
    assert (run.code, run.out) == (2, "")
    assert "two URLs in one argument: http://h/a?token=*** " in run.err
    assert "secret" not in run.err


@pytest.mark.slow
def test_a_url_within_a_url_is_one(pdl_run: Runner) -> None:
    for url in ("http://h/a?to=http://x/b", "http://h/web/http://x/b", "http://h/b?c=1,http://x/b"):
        assert pdl_run(url, "--dry-run").code == 0


def test_a_base_that_is_missing_is_one_message(pdl_run: Runner) -> None:
    lines = "".join(f"{n:064x}  f{n}\n" for n in range(50))
    (pdl_run.directory / "SHA256SUMS").write_text(lines)
    run = pdl_run("SHA256SUMS", "-d", "out")
    assert run.code == 2
    assert run.err.count("--base-url") == 1
    assert run.err.count("\n") <= 3


@pytest.mark.slow
def test_a_base_without_a_slash_that_gives_only_404s_is_told(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/d/a.bin", File(b"a"))
    (pdl_run.directory / "l.txt").write_text("a.bin\nb.bin\n")
    hint = f"try --base-url {server.url('/d')}/"
    assert hint in pdl_run("l.txt", "--base-url", server.url("/d")).err
    assert hint not in pdl_run("l.txt", "--base-url", server.url("/d/")).err
