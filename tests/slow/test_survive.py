"""Small forms of the runs in ``tests/survive``, and the great runs of everyday use, on nginx."""

from __future__ import annotations

import hashlib
import json
import random
import signal
from typing import TYPE_CHECKING

from survive import kill_main, kill_workers
from survive.common import fill, missing, until_size, wrong

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner import Runner
    from servers.nginx import Nginx

SMALL, LARGE = 1, 5 << 20


def mixed(root: Path, count: int) -> dict[str, str]:
    """Files of 1 byte to 5 MiB, most of them small; names with SHA-256."""
    chance = random.Random(3)
    sizes = [SMALL, LARGE, *(int(LARGE ** chance.random()) for _ in range(count - 2))]
    digests = {}
    for number, size in enumerate(sizes):
        data = chance.randbytes(size)
        (root / f"m{number}.bin").write_bytes(data)
        digests[f"m{number}.bin"] = hashlib.sha256(data).hexdigest()
    return digests


def check_a_great_list(nginx: Nginx, pdl_run: Runner, count: int) -> None:
    """`count` URLs of which one in twenty is missing; then what failed; then all of it again."""
    digests = mixed(nginx.root, count - count // 20)
    gone = {nginx.url(f"/gone{number}") for number in range(count // 20)}
    urls = [*map(nginx.url, (f"/{name}" for name in digests)), *gone]
    random.Random(5).shuffle(urls)
    directory = pdl_run.directory
    (directory / "urls.txt").write_text("\n".join(urls))
    command = ("urls.txt", "-d", "out", "-j", "8", "--failed", "failed.txt", "--report", "r.jsonl")
    run = pdl_run(*command)
    assert run.code == 1
    assert not wrong(directory / "out", digests) + missing(directory / "out", digests)
    rows = [json.loads(line) for line in (directory / "r.jsonl").read_text().splitlines()]
    failed = {(row["url"], row["kind"], row["attempts"]) for row in rows if row["kind"]}
    assert failed == {(url, "http-404", 1) for url in gone}
    nginx.wait_log(count)
    for again in (("failed.txt", "-d", "out"), command):
        nginx.clear_log()
        assert pdl_run(*again).code == 1
        assert {nginx.url(row.uri) for row in nginx.wait_log(len(gone))} == gone
        assert len(nginx.log()) == len(gone)


def test_a_list_of_mixed_files_some_of_them_missing(nginx: Nginx, pdl_run: Runner) -> None:
    check_a_great_list(nginx, pdl_run, 200)


def check_it_goes_on(nginx: Nginx, pdl_run: Runner, size: int) -> None:
    """SIGINT in the middle of one file; the same command fetches what is missing of it."""
    digests = fill(nginx.root, 1, size)
    [name] = digests
    process = pdl_run.start(nginx.url(f"/{name}"), "-d", "out")
    state = pdl_run.directory / "out/.pdl"
    until_size(state, size // 4)
    process.send_signal(signal.SIGINT)
    assert pdl_run.finish(process).code == 130
    assert pdl_run.leftovers() == []
    again = pdl_run(nginx.url(f"/{name}"), "-d", "out")
    assert again.code == 0, again.err
    assert not wrong(pdl_run.directory / "out", digests) + missing(
        pdl_run.directory / "out", digests
    )
    assert nginx.wait_log(2)[1].range.startswith("bytes=")
    assert nginx.log()[1].status == 206


def test_an_interrupted_file_goes_on_where_it_was(
    make_nginx: Callable[..., Nginx], pdl_run: Runner
) -> None:
    check_it_goes_on(make_nginx(rate=8 << 20), pdl_run, 32 << 20)


def test_a_storm_over_the_workers_costs_no_file(
    make_nginx: Callable[..., Nginx], tmp_path: Path
) -> None:
    nginx = make_nginx(rate=200 * 1024)
    it = kill_workers.survive(tmp_path, nginx, fill(nginx.root, 60, 256 * 1024), 0.1, [])
    assert it.kills > 3
    assert it.ok, it


def test_killing_the_main_process_costs_no_file(
    make_nginx: Callable[..., Nginx], tmp_path: Path
) -> None:
    nginx = make_nginx(rate=512 * 1024)
    it = kill_main.survive(tmp_path, nginx, fill(nginx.root, 30, 1 << 20), 8, 1.2)
    assert it.ok, it
