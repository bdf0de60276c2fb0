"""The examples and the benchmarks are programs, and do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import need
from runner import base_environment
from servers import nginx as nginx_program
from servers.misbehave import File, Reply, Server

ROOT = Path(__file__).parent.parent


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
