"""Name servers that fail for a while, or for one name: a real look-up, by the system's own code.

The rules are shown on a virtual clock in ``unit/scheduling/test_governor.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from marks import slow
from runner import base_environment
from servers.limits import Limits
from servers.names import NameServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
        reason="needs a mount namespace and port 53",
    ),
]

_ENTER = 'mount --bind resolv.conf /etc/resolv.conf && exec "$@"'


class Failing:
    """Fails for all names but some, for so long since one of them was asked for first."""

    def __init__(self, seconds: float, *known: str) -> None:
        self.seconds = seconds
        self.known = known
        self.since: float | None = None

    def __call__(self, name: str) -> bool:
        if name in self.known:
            return False
        now = time.monotonic()
        if self.since is None:
            self.since = now
        return now < self.since + self.seconds


def fetch(
    where: Path, names: NameServer, urls: Sequence[str], *options: str
) -> tuple[str, dict[str, Any]]:
    """What pdl said, and its report."""
    (where / "resolv.conf").write_text(names.config)
    (where / "list").write_text("".join(f"{url}\n" for url in urls))
    told = ("-d", "out", "--name", "{n}", "--report", "r.json", "-v", *options)
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", _ENTER, "sh", sys.executable, "-m", "pdl", "list", *told],
        cwd=where,
        env=base_environment(where),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if "mount" in ended.stderr:
        pytest.skip("mount namespaces are not allowed here")
    return ended.stderr, json.loads((where / "r.json").read_text())


@pytest.mark.parametrize(
    ("jobs", "engine"), [("2", "process"), slow("2", "inline"), slow("16", "process")]
)
def test_a_name_server_that_fails_for_a_while_costs_no_retries(
    jobs: str, engine: str, tmp_path: Path
) -> None:
    with Limits() as server, NameServer(Failing(2.0, "known.test")) as names:
        urls = [f"http://known.test:{server.port}/{n}" for n in range(20)]
        # more than are looked ahead for while one host may be asked
        hosts = [f"h{n}.test" for n in range(6)]
        urls += [f"http://{host}:{server.port}/{n}" for host in hosts for n in range(4)]
        less = () if jobs == "2" else ("--wait", "0.05")
        said, report = fetch(
            tmp_path, names, urls, "-j", jobs, "--engine", engine, "--retries", "1", *less
        )
    assert report["summary"]["succeeded"] == len(urls), said
    rests = {each["host"]: each["rests"] for each in report["hosts"]}
    assert sum(count > 0 for count in rests.values()) >= 2
    assert " (dns)" in said
    asked = [at for name, at in names.asked if name in hosts]
    assert len(asked) < 150
    assert 2 <= max(asked) - min(asked) < 8


def test_where_no_name_is_ever_found_it_fails_in_seconds(tmp_path: Path) -> None:
    with NameServer(lambda _: True) as names:
        urls = [f"http://h{n}.test/x" for n in range(3)]
        said, report = fetch(tmp_path, names, urls, "--retry-wait", "0.1")
    assert {(row["kind"], row["transient"], row["attempts"]) for row in report["items"]} == {
        ("dns", True, 4)
    }, said
    assert report["summary"]["seconds"] < 5


@pytest.mark.slow
def test_a_name_that_alone_cannot_be_found_is_waited_for_less(tmp_path: Path) -> None:
    with Limits() as server, NameServer(lambda name: name == "bad.test") as names:
        urls = [f"http://good.test:{server.port}/{n}" for n in range(50)]
        urls += [f"http://bad.test:{server.port}/{n}" for n in range(500)]
        said, report = fetch(tmp_path, names, urls, "-j", "2", "--retry-wait", "0.1")
    assert report["summary"]["succeeded"] == 50, said
    assert report["summary"]["seconds"] < 25
    assert sum(row["attempts"] for row in report["items"]) <= 50 + 40
    assert f"bad.test:{server.port} is given up" in said
