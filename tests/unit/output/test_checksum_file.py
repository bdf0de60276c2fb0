"""The checksum file, read by ``sha256sum`` itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pdl.errors import MachineError, UsageError
from pdl.model import Outcome, Result
from pdl.output.reports.checksum_file import ChecksumFile, check_sums
from pdl.scheduling.progress import Summary

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["a", "-a", " a ", "*a", "a\\b", "a\nb", "\\", "\\n", "d/e f", "ü", "#x", "a  b", "\ta"]
EMPTY = hashlib.sha256(b"").hexdigest()


def row(path: str | None, *digests: str) -> Result:
    return Result("l", 1, "http://h/", None, path, Outcome.SUCCESS, digests=digests or None)


def write(path: Path, *rows: Result) -> str:
    report = ChecksumFile(str(path), pytest.fail, ".")
    for each in rows:
        report.record(each, None)
    report.finish(Summary())
    return path.read_text(encoding="utf-8")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="there is no sha256sum")
def test_it_is_what_sha256sum_writes_and_reads_whatever_the_names(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    rows = []
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(bytes(number))
        rows.append(row(name, f"sha256:{hashlib.sha256(bytes(number)).hexdigest()}"))
    text = write(tmp_path / "sums", *rows)
    made = subprocess.run(
        ["sha256sum", "--", *NAMES], cwd=tmp_path, capture_output=True, check=True
    )
    assert text == made.stdout.decode()
    subprocess.run(
        ["sha256sum", "-c", "--strict", "--quiet", "sums"], cwd=tmp_path, check=True, timeout=30
    )


def test_a_file_stands_there_once_and_only_if_it_has_that_digest(tmp_path: Path) -> None:
    other = "0" * 64
    text = write(
        tmp_path / "sums",
        row("a", "md5:00", f"sha256:{EMPTY}"),
        row("a", f"sha256:{EMPTY}"),
        row("b", "md5:00"),
        row("c"),
        row(None, f"sha256:{EMPTY}"),
        row("a", f"sha256:{other}"),  # it was fetched again, and is another one now
    )
    assert text == f"{EMPTY}  a\n{other}  a\n"


def test_the_old_one_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "sums").write_text("old")
    report = ChecksumFile(str(tmp_path / "sums"), pytest.fail, ".")
    report.record(row("a", f"sha256:{EMPTY}"), None)
    assert (tmp_path / "sums").read_text() == "old"
    report.finish(Summary())
    assert (tmp_path / "sums").read_text() == f"{EMPTY}  a\n"


def test_the_directory_of_the_files_is_made_for_it_and_no_other(tmp_path: Path) -> None:
    out = tmp_path / "x" / "out"
    check_sums(str(out / "sums"), str(out))
    assert not out.exists()
    ChecksumFile(str(out / "sums"), pytest.fail, f"{out}/").finish(Summary())
    assert os.listdir(out) == ["sums"]  # noqa: PTH208
    for refused in (check_sums, lambda path, home: ChecksumFile(path, pytest.fail, home)):
        with pytest.raises(UsageError, match="No such file"):
            refused(str(tmp_path / "other" / "sums"), str(out))
    (tmp_path / "file").touch()
    with pytest.raises((UsageError, MachineError)):
        ChecksumFile(str(tmp_path / "file" / "sums"), pytest.fail, str(tmp_path / "file"))
