"""The commands that are compared: pdl, its peers, and what some cases hold them against."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING = "/dev/null"


class Order(NamedTuple):
    """What is to be downloaded, the same for every tool.

    Attributes:
        work: a directory for the tool's input.
        out: an empty directory, which the command runs in.
        source: where the served files are; None where the server makes them up.
        urls: what to get.
        jobs: how many at a time.
        cacert: what to trust, or None.
        sha256: of the only file, in hex, or None.
    """

    work: Path
    out: Path
    source: Path | None
    urls: list[str]
    jobs: int
    cacert: Path | None
    sha256: str | None = None


class Command(NamedTuple):
    """What is run, and the file that is its standard input."""

    argv: list[str]
    stdin: str = NOTHING


class Tool(NamedTuple):
    """A command of the comparison.

    Attributes:
        name: for the table.
        program: what has to be installed.
        command: made once a case, outside of what is timed.
        downloads: whether it leaves the files in the directory.
    """

    name: str
    program: str
    command: Callable[[Order], Command]
    downloads: bool = True

    def installed(self) -> bool:
        """Whether it can be run here."""
        return shutil.which(self.program) is not None


def _list(order: Order) -> str:
    path = order.work / "urls.txt"
    digest = f"\n  checksum=sha-256={order.sha256}" if order.sha256 else ""
    path.write_text("".join(f"{url}{digest}\n" for url in order.urls))
    return str(path)


def _trust(option: str, order: Order) -> list[str]:
    return [f"{option}={order.cacert}"] if order.cacert else []


def _pdl(order: Order) -> Command:
    words = [_list(order), "-j", str(order.jobs), *_trust("--cacert", order)]
    return Command([sys.executable, "-m", "pdl", *words])


def _wget2(order: Order) -> Command:
    options = ["-q", f"--max-threads={order.jobs}", *_trust("--ca-certificate", order)]
    return Command(["wget2", "--no-config", *options, "-i", _list(order)])


def _curl(order: Order) -> Command:
    config = order.work / "curl.config"
    names = (url.rpartition("/")[2] for url in order.urls)
    pairs = zip(order.urls, names, strict=True)
    config.write_text("".join(f'url="{url}"\noutput="{name}"\n' for url, name in pairs))
    trust = ["--cacert", str(order.cacert)] if order.cacert else []
    options = ["-s", "-Z", "--parallel-max", str(order.jobs), *trust]
    return Command(["curl", "-q", *options, "-K", str(config)])


def _aria2(order: Order) -> Command:
    options = ["-q", f"-j{order.jobs}", *_trust("--ca-certificate", order)]
    return Command(["aria2c", "--no-conf", *options, "-i", _list(order)])


def _xargs(order: Order) -> Command:
    wget = ["wget", "--no-config", "-q", *_trust("--ca-certificate", order)]
    return Command(["xargs", f"-P{order.jobs}", "-n50", *wget], _list(order))


def _requests(order: Order) -> Command:
    return Command([sys.executable, "-c", f"import requests; requests.get({order.urls[0]!r})"])


def _sha256sum(order: Order) -> Command:
    assert order.source is not None
    return Command(["sha256sum", str(order.source / order.urls[0].rpartition("/")[2])])


def _unchecked(order: Order) -> Command:
    return _pdl(order._replace(sha256=None))


PDL = Tool("pdl", sys.executable, _pdl)
UNCHECKED = Tool("pdl, no digest", sys.executable, _unchecked)
ARIA2 = Tool("aria2c -i", "aria2c", _aria2)
PEERS = (
    Tool("wget2 -i", "wget2", _wget2),
    Tool("curl -Z", "curl", _curl),
    ARIA2,
    Tool("xargs wget", "wget", _xargs),
)
REQUESTS = Tool("requests.get", sys.executable, _requests, downloads=False)
SHA256SUM = Tool("sha256sum alone", "sha256sum", _sha256sum, downloads=False)
VERSION = Tool(
    "pdl --version", sys.executable, lambda _: Command([sys.executable, "-m", "pdl", "--version"])
)._replace(downloads=False)
PASS = Tool(
    "python -c pass", sys.executable, lambda _: Command([sys.executable, "-c", "pass"])
)._replace(downloads=False)
