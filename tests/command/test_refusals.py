"""What a run refuses before it starts: told once, and to ``--dry-run`` as well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from marks import slow
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Run, Runner
    from servers.misbehave import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Refused(NamedTuple):
    """A command that is refused.

    Attributes:
        arguments: beside the list.
        said: is part of the message.
        code: the exit code.
        env: of the environment.
    """

    arguments: tuple[str, ...]
    said: str
    code: int = 2
    env: tuple[tuple[str, str], ...] = ()


@pytest.fixture
def home(pdl_run: Runner) -> Path:
    """Where the command runs: with a list, and with what stands in the way of files."""
    (pdl_run.directory / "l.txt").write_text("http://127.0.0.1:9/a\nhttps://127.0.0.1:9/b\n")
    (pdl_run.directory / "directory.json").mkdir()
    (pdl_run.directory / "file").write_text("")
    (pdl_run.directory / "broken.lock").write_text("[")
    (pdl_run.directory / "comments").write_text("# mine\n")
    entry = {"url": "http://h/a", "out": "a", "size": 0, "sha256": "0" * 64, "header": "A: b"}
    (pdl_run.directory / "of-fields").write_text(json.dumps(entry))
    (pdl_run.directory / "linked").mkdir()
    (pdl_run.directory / "linked" / ".pdl").symlink_to("../directory.json")
    return pdl_run.directory


REFUSED = [
    Refused(("--report", "r.txt"), "no report format is known by the suffix of r.txt"),
    Refused(("--report", "missing/r.json"), "cannot write missing/r.json: No such file"),
    slow(Refused(("--report", "directory.json"), "directory.json: it is a directory")),
    slow(Refused(("--report", "file/r.json"), "cannot write file/r.json: Not a directory")),
    Refused(("--report", "r" * 300 + ".json"), "File name too long", 3),
    Refused(("--failed", "missing/f"), "cannot write missing/f: No such file"),
    slow(Refused(("--failed", "directory.json"), "directory.json: it is a directory")),
    Refused(("-d", "file"), "cannot write to the output directory file", 3),
    slow(Refused(("-d", "file/below"), "output directory file/below: Not a directory", 3)),
    Refused(("-d", "linked"), "output directory linked: Not a directory (linked/.pdl)", 3),
    slow(Refused(("--lock", "missing/l.jsonl"), "l.jsonl: there is no such directory")),
    slow(Refused(("--lock", "broken.lock"), "broken.lock:1: is no JSON")),
    slow(Refused(("--checksums", "missing"), "--checksums missing: No such file")),
    slow(Refused(("--name", "{x}"), "name template: unknown field {x}")),
    slow(Refused(("--name", "{host}", "--tree"), "exclude each other")),
    Refused(("--proxy", "socks4://h:1"), "the URL is none of http, https, socks5, socks5h, "),
    Refused((), "l.txt:1: no way to http://127.0.0.1:9/a: the proxy's URL, of ALL_PROXY, is none "
            "of http, https, socks5", env=(("ALL_PROXY", "socks4://me:secret@h:1"),)),
    Refused((), "l.txt:2: no way to https://127.0.0.1:9/b: the proxy's URL, of https_proxy, is "
            "none of http, https", env=(("https_proxy", "ftp://h"),)),
    slow(Refused(("--lock", "comments"), "comments was not written by --lock, which would")),
    Refused(("--lock", "of-fields"), "would replace it: it has the field header"),
    slow(Refused((), "of http_proxy, has a bad port", env=(("http_proxy", "h:99999"),))),
    slow(Refused((), "of HTTP_PROXY, has no host", env=(("HTTP_PROXY", "http://"),))),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("refused", REFUSED)
def test_what_a_run_refuses_a_dry_run_refuses(
    pdl_run: Runner, home: Path, refused: Refused
) -> None:
    def run(*more: str) -> Run:
        return pdl_run("l.txt", "-d", "out", *refused.arguments, *more, env=dict(refused.env))

    before = sorted(home.rglob("*"))
    dry = run("--dry-run")
    assert sorted(home.rglob("*")) == before
    real = run("--retries", "0")
    assert (dry.code, real.code) == (refused.code, refused.code)
    assert refused.said in dry.err
    assert real.err == dry.err
    assert real.err.count(refused.said) == 1
    assert "secret" not in real.err + dry.err


def test_a_dry_run_knows_the_names_of_the_runs_own_files(pdl_run: Runner) -> None:
    run = pdl_run("http://h/r.jsonl", "--report", "r.jsonl", "--dry-run")
    assert run.out.split("\t")[2].startswith("r-")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("proxies", "code"),
    [
        ({"ALL_PROXY": "socks4://h", "no_proxy": "127.0.0.1"}, 0),
        ({"https_proxy": "socks4://h"}, 0),
        ({"ALL_PROXY": "socks4://h"}, 2),
    ],
)
def test_a_proxy_that_no_line_needs_ends_no_run(
    server: Server, pdl_run: Runner, proxies: dict[str, str], code: int
) -> None:
    url = server.on("/a.bin", File(b"bytes"))
    assert pdl_run(url, env=proxies).code == code


@pytest.mark.slow
def test_a_file_that_is_there_needs_no_proxy(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a.bin", File(b"bytes"))
    assert pdl_run(url).code == 0
    assert pdl_run(url, env={"ALL_PROXY": "socks4://h"}).code == 0
    assert pdl_run(url, "-N", env={"ALL_PROXY": "socks4://h"}).code == 2


def test_lines_before_the_one_without_a_way_are_not_lost(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a.bin", File(b"bytes"))
    listed = f"{url}\n" + "https://127.0.0.1:9/b\n" * 200
    run = pdl_run("-", "--report", "r.jsonl", stdin=listed, env={"https_proxy": "socks4://h"})
    assert run.code == 2
    rows = (pdl_run.directory / "r.jsonl").read_text().splitlines()
    assert len(rows) == 201  # each line has its one outcome
    assert run.err.count("no way to") == 1


def test_a_line_of_standard_input_is_called_so_wherever_it_is_told(pdl_run: Runner) -> None:
    listed = "\n\n\nhtp://x\n"
    assert "\tstdin:4: " in pdl_run("-", "--dry-run", stdin=listed).out
    assert "stdin:4)" in pdl_run("-", "--failed", "f", stdin=listed).err
    assert "# from stdin:4\n" in (pdl_run.directory / "f").read_text()
