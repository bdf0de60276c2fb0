"""The examples, the benchmarks and what the README shows are run, and do what they say."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conftest import need
from places import ROOT
from runner import Runner, base_environment
from servers import nginx as nginx_program
from servers.misbehave import File, Reply, Server

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "https://example.org"
"""Where the texts say their files are."""


def run(
    script: str, *words: str, cwd: Path, home: Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *words],
        cwd=cwd,
        env=base_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_the_demo_sees_all_it_promises(tmp_path: Path) -> None:
    shown = run("examples/demo.py", "--fast", cwd=tmp_path, home=tmp_path).stdout
    assert "All as promised." in shown
    assert shown.count("  ok  ") == 10
    assert "WRONG" not in shown


def test_the_demo_fails_when_pdl_is_not_itself(tmp_path: Path) -> None:
    # without a retry what is busy or dropped at first stays missing
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/demo.py"), "--fast"],
        cwd=tmp_path,
        env={**base_environment(tmp_path), "PDL_RETRIES": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 1
    assert "WRONG 503 and reset were tried again, once" in done.stdout


def test_the_api_example_shows_outcomes_and_retries(server: Server, tmp_path: Path) -> None:
    server.on("/a.txt", File(b"hello"))
    server.on("/b.txt", Reply(503), File(b"again"))
    urls = [f"{server.base}/{name}" for name in ("a.txt", "b.txt", "gone.txt")]
    shown = run("examples/api.py", *urls, cwd=tmp_path, home=tmp_path, code=1).stdout
    assert (tmp_path / "downloads" / "a.txt").read_bytes() == b"hello"
    assert (tmp_path / "downloads" / "b.txt").read_bytes() == b"again"
    assert "success: a.txt, 5 bytes" in shown
    assert f"again in 0.{shown.partition('again in 0.')[2][0]} s: {urls[1]}" in shown
    assert f"failed: {urls[2]}: http-404" in shown
    assert "2 files, 10 bytes" in shown


@pytest.mark.slow
def test_the_benchmarks_run(tmp_path: Path) -> None:
    words = ["--quick", "--cases", "latency-128,there,start"]
    table = run("tests/benchmarks/run.py", *words, cwd=tmp_path, home=tmp_path).stdout
    cases = {line.split()[0] for line in table.splitlines()[1:]}
    assert cases == {"latency-128", "there", "start"}
    assert "FAILED" not in "".join(line for line in table.splitlines() if " pdl" in line)


@pytest.mark.real
def test_the_benchmarks_run_on_nginx_with_every_peer(tmp_path: Path) -> None:
    need("nginx", available=nginx_program.available())
    words = ["--quick", "--cases", "small,small-tls,large-sha256"]
    table = run("tests/benchmarks/run.py", *words, cwd=tmp_path, home=tmp_path).stdout
    assert "needs nginx" not in table
    assert "FAILED" not in table


def test_an_unknown_case_is_a_usage_error(tmp_path: Path) -> None:
    words = ["--cases", "small,smal"]
    done = run("tests/benchmarks/run.py", *words, cwd=tmp_path, home=tmp_path, code=2)
    assert "no such case: smal;" in done.stderr


# --- What the README and the manual show ----------------------------------------------------


def shown(page: str, language: str, first: str) -> list[str]:
    """The lines of a page's block of this language that begins with this line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(
        rf"^```{language}\n({re.escape(first)}.*?)^```$", text, re.MULTILINE | re.DOTALL
    )
    assert found, first
    return found[1].splitlines()


def test_the_report_in_the_readme_is_what_pdl_says(server: Server, pdl_run: Runner) -> None:
    command, *expected = shown("README.md", "console", "$ pdl ")
    refused = dict(zip(expected[3::4], expected[4::4], strict=False))
    urls = [f"{server.base}/f{n}.iso" for n in range(100)]
    for url, reason in refused.items():
        status, line = re.findall(r"answered (\d+) .*:(\d+)\)", reason)[0]
        path = url.strip().removeprefix("https://example.org")
        urls[int(line) - 1] = server.on(path, Reply(int(status)))
    for url in urls:
        if "/f" in url.removeprefix(server.base):
            server.on(url.removeprefix(server.base), File(b"12345"))
    (pdl_run.directory / "urls.txt").write_text("\n".join(urls))
    quick = {"PDL_PROGRESS": "none", "PDL_RETRY_WAIT": "0"}
    said = pdl_run(*shlex.split(command)[2:], env=quick).err.replace(server.base, EXAMPLE)
    amount = r"\S+ \S+ in \S+ s \(\S+ \S+/s\)"
    assert re.sub(amount, "AMOUNT", said).splitlines() == [
        re.sub(amount, "AMOUNT", line) for line in expected
    ]


def test_the_shell_recipes_do_what_they_say(server: Server, pdl_run: Runner) -> None:
    need("jq", available=shutil.which("jq") is not None)
    need("curl", available=shutil.which("curl") is not None)
    here = pdl_run.directory
    listed = [{"url": server.on(f"/{name}", File(name.encode()))} for name in ("a.bin", "b.bin")]
    server.on("/index.json", File(json.dumps({"files": listed}).encode()))
    server.on("/r/a.bin", File(b"a.bin"))
    server.on("/r/SHA256SUMS", File(f"{hashlib.sha256(b'a.bin').hexdigest()}  a.bin\n".encode()))
    (here / "urls.txt").write_text("".join(f"{each['url']}\n" for each in listed))
    (here / "bin").mkdir()
    (here / "bin" / "pdl").write_text(f'#!/bin/sh\nexec {sys.executable} -m pdl "$@"\n')
    (here / "bin" / "pdl").chmod(0o755)
    environment = base_environment(here) | {"TOKEN": "s3cret"}
    environment["PATH"] = f"{here / 'bin'}:{environment['PATH']}"
    lines = shown("README.md", "sh", "pdl urls.txt -d files")
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line.replace(EXAMPLE, server.base)],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (line, done.stderr)
    found = {str(path.relative_to(here)) for path in here.rglob("*.bin")}
    host = server.base.removeprefix("http://").replace(":", "_")
    assert {"files/a.bin", f"mirror/{host}/b.bin", "a.bin", "b.bin"} <= found
    assert any(dict(each.headers).get("Authorization") for each in server.requests("/b.bin"))


def test_make_tries_again_until_every_file_is_there(server: Server, pdl_run: Runner) -> None:
    need("make", available=shutil.which("make") is not None)
    here = pdl_run.directory
    words = " ".join([shlex.quote(sys.executable), "-m", "pdl urls.txt"])
    makefile = "\n".join(shown("README.md", "make", "data.stamp: urls.txt"))
    (here / "Makefile").write_text(makefile.replace("pdl urls.txt", words) + "\n")
    (here / "urls.txt").write_text(server.on("/a.bin", Reply(404), File(b"there")) + "\n")
    results = [
        subprocess.run(
            ["make", "data.stamp"],
            cwd=here,
            env=base_environment(here),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        for _ in range(3)
    ]
    assert [done.returncode for done in results] == [2, 0, 0]
    assert "up to date" in results[2].stdout
    assert (here / "data" / "a.bin").read_bytes() == b"there"


@pytest.mark.parametrize(
    ("name", "first", "paths"),
    [
        ("x.txt", "# a comment", ["discs/f.iso", "g.txt"]),
        ("x.csv", "url,out,sha1", ["discs/f.iso"]),
        ("x.jsonl", "{", ["discs/f.iso"]),
    ],
)
def test_the_lists_in_the_manual_are_read(
    name: str, first: str, paths: list[str], pdl_run: Runner
) -> None:
    lines = shown("src/pdl/manual/lists.md", "", first)
    (pdl_run.directory / name).write_text("\n".join(lines))
    code, out, err = pdl_run("--dry-run", name)
    assert (code, err) == (0, "")
    assert [line.split("\t")[0::2] for line in out.splitlines()] == [
        ["get", path] for path in paths
    ]
