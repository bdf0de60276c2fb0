"""A run says which tests it left out, whoever collected them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from places import ROOT, TESTS

if TYPE_CHECKING:
    from pathlib import Path

THREE = """
import pytest
@pytest.mark.slow
def test_slow(): ...
@pytest.mark.slow
@pytest.mark.real
def test_real(): ...
def test_plain(): ...
"""
TOLD = "left out: 1 slow tests (pytest -m slow), 1 that need other programs (pytest -m real)"


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_is_left_out_is_told(workers: str, tmp_path: Path) -> None:
    (tmp_path / "test_three.py").write_text(THREE)
    words = ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", "-n", workers]
    words += ["-o", f"pythonpath={TESTS}", "-p", "conftest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *words, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "1 passed" in run.stdout, run.stdout
    assert TOLD in run.stdout.splitlines()
