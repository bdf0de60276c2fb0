"""The imports of pdl find no download, whatever lies next to the program that uses it."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from marks import slow
from runner import run_program
from servers.behaviours import Close, Raw, Reply, Then, WhenRange, head
from servers.misbehave import Server

if TYPE_CHECKING:
    from pathlib import Path

LARGE = bytes(range(256)) * (16 << 10)
OTHERS = ("brotli", "certifi", "charset_normalizer", "idna", "requests", "tqdm", "urllib3")
AHEAD = 2100
NAMES = sorted({*sys.stdlib_module_names, *OTHERS})
"""What the downloads are called: modules that pdl or what it uses might import."""

PROGRAM = """
import pdl, sys
if __name__ == "__main__":
    base, names, digest, how = sys.argv[1:]
    urls = [f"{base}/{name}.py" for name in names.split()]
    urls += [f"{base}/cut", f"{base}/secure", f"{base.replace('//', '//me:secret@')}/mine"]
    urls += [pdl.Item(f"{base}/large", checksum=f"sha256:{digest}")]
    # so many that what follows is read when the modules are there
    urls += [f"{base}/again?{number}" for number in range(AHEAD)]
    urls += ["http://b\u00fccher.invalid/x", f"{base.replace('127.0.0.1', 'localhost')}/again"]
    pool = pdl.PoolSettings(**dict([how.split("=")]))
    files = pdl.FileSettings(if_exists="update")
    retry = pdl.RetrySettings(retries=1, wait=0.01)
    settings = pdl.Settings(pool=pool, files=files, retry=retry)
    report = pdl.download(urls, ".", jobs=1, settings=settings)
    print(report.summary.succeeded, report.summary.failed)
""".replace("AHEAD", str(AHEAD))


def serve(server: Server, marked: Path) -> None:
    """Serve modules that leave a mark, and what makes pdl import late."""
    evil = f"open({str(marked)!r}, 'a').write(__name__ + ' ')\n".encode()
    for name in NAMES:
        server.on(f"/{name}.py", Reply(200, (), evil))
    half, size = len(LARGE) // 2, len(LARGE)
    first = head(200, (("ETag", '"1"'), ("Content-Length", str(size)))) + LARGE[:half]
    rest = (("ETag", '"1"'), ("Content-Range", f"bytes {half}-{size - 1}/{size}"))
    server.on("/cut", WhenRange(Reply(206, rest, LARGE[half:]), Then(Raw(first), Close())))
    server.on("/large", Reply(200, (), LARGE))
    server.on("/secure", Reply(302, (("Location", "https://127.0.0.1:1/x"),)))
    server.on("/mine", Reply(200, (), b"mine"))


@pytest.mark.parametrize(
    "how",
    [
        slow("start_method=fork"),
        "start_method=forkserver",
        slow("start_method=spawn"),
        slow("engine=inline"),
    ],
)
def test_no_download_is_taken_for_a_module(how: str, tmp_path: Path) -> None:
    here, marked = tmp_path / "here", tmp_path / "marked"
    here.mkdir()
    digest = hashlib.sha256(LARGE).hexdigest()
    with Server(fallback=lambda _: (Reply(200, (("ETag", '"1"'),), b"again"),)) as server:
        serve(server, marked)
        run = run_program(here, PROGRAM, server.base, " ".join(NAMES), digest, how)
        cut = server.requests("/cut")
    assert not marked.exists(), marked.read_text()
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == f"{len(NAMES) + AHEAD + 4} 2\n"
    assert cut[-1].header("Range") is not None


SMALL = """
import pdl, sys
{line}
if __name__ == "__main__":
    pool = pdl.PoolSettings(start_method=sys.argv[2])
    settings = pdl.Settings(pool=pool, retry=pdl.RetrySettings(retries=0))
    report = pdl.download([sys.argv[1], "https://127.0.0.1:1/x"], ".", settings=settings)
    print(report.summary.succeeded, [each.kind for each in report.failures])
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize(
    ("how", "line"),
    [
        (["-m", "cProfile", "-o", "profile"], ""),  # a main module of Python's own
        ([], "sys.path.append(None)"),
    ],
)
def test_what_workers_need_is_found(
    method: str, how: list[str], line: str, server: Server, tmp_path: Path
) -> None:
    url = server.on("/a", Reply(200, (), b"a"))
    run = run_program(tmp_path, SMALL.format(line=line), url, method, python=how)
    assert (run.stdout, run.stderr) == ("1 ['connect']\n", "")


def path_after(code: str, here: Path) -> list[str]:
    """What a program's `sys.path` is after the code, and what a worker of it does."""
    script = "import sys\nfrom pdl.pool.startup.import_path import forget_here\n"
    script += f"{code}\nforget_here()\nprint(*sys.path, sep='\\n')"
    run = run_program(here, script)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


def test_a_place_is_forgotten_if_nothing_in_it_is_needed(tmp_path: Path) -> None:
    path = path_after("sys.path.insert(1, '.')", tmp_path)
    assert path
    assert not {"", ".", str(tmp_path)} & {*path}


@pytest.mark.parametrize("name", ["requests", "concurrent"])
def test_a_place_with_what_is_needed_comes_last(name: str, tmp_path: Path) -> None:
    hidden = "from importlib.machinery import PathFinder as P; find = P.find_spec\n"
    hidden += f"P.find_spec = lambda n, p: find(n, p) if n != {name!r} or '.' in p else None\n"
    path = path_after(f"{hidden}sys.path.insert(0, '.')", tmp_path)
    assert path[-2:] == [".", str(tmp_path)]


def test_without_a_current_directory_nothing_breaks(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    assert path_after("import os, shutil; shutil.rmtree(os.getcwd())", gone)
