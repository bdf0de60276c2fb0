"""`--shard K/N` of a real run: beside the others in one directory, and killed and run again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pdl.run.download import Report, download
from pdl.settings import InputSettings, PoolSettings, Settings
from servers.files import File
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")
INLINE = Settings(pool=PoolSettings(engine="inline"))


@pytest.mark.slow
def test_shards_fill_one_directory_at_the_same_time(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    # all of them want one name
    bodies = [pattern(100, number) for number in range(12)]
    urls = [server.on(f"/{number}/x.bin", File(body)) for number, body in enumerate(bodies)]
    (tmp_path / "l.txt").write_text("".join(f"{url}\n" for url in [*urls, *urls[:4]]) + "bad\n")
    arguments = ("l.txt", "-d", "o", "--report", "r-{shard}.jsonl", "-j", "2")
    array = {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "2"}
    started = [
        pdl_run.start(
            *arguments, "--shard", "auto", env={**array, "SLURM_ARRAY_TASK_ID": str(number)}
        )
        for number in range(3)
    ]
    runs = [pdl_run.finish(process) for process in started]
    assert [run.code for run in runs] == [1, 0, 0]
    assert sorted(path.read_bytes() for path in (tmp_path / "o").glob("x-*.bin")) == sorted(bodies)
    texts = [path.read_text() for path in tmp_path.glob("r-?.jsonl")]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    assert sorted(row["line"] for row in rows) == list(range(1, 18))
    assert not (tmp_path / "o/.pdl").exists()
    again = pdl_run(*arguments, "--shard", "2/3")
    assert again.code == 0
    assert "0 succeeded" in again.err
    assert "already there" in (tmp_path / "r-2.jsonl").read_text()


def test_a_shard_is_held_by_one_run_and_keeps_its_parts(server: Server, tmp_path: Path) -> None:
    body = pattern(3_000_000, 3)
    url = server.on("/a.bin", File(body, etag=ETAG))
    number = next(n for n in (1, 2) if _takes(url, n, tmp_path / "probe"))
    home = tmp_path / "o/.pdl" / f"{number}-of-2"
    home.mkdir(parents=True)
    (tmp_path / "o/.pdl/ab.part").write_bytes(b"another run's")
    report = _run(url, number, tmp_path / "o")
    assert report.ok
    assert [path.name for path in (tmp_path / "o/.pdl").iterdir()] == ["ab.part"]
    found = [path for path in (tmp_path / "o").iterdir() if path.is_file()]
    assert [path.read_bytes() == body for path in found] == [True]


def _run(url: str, number: int, where: Path) -> Report:
    settings = INLINE._replace(input=InputSettings(shard=f"{number}/2"))
    return download([url], str(where), jobs=1, settings=settings)


def _takes(url: str, number: int, where: Path) -> bool:
    return _run(url, number, where).summary.succeeded == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--shard", "auto"), "SLURM_ARRAY_TASK_ID is not set"),
        (("--shard", "0/4"), "'0/4' has no shard 0"),
        (("--shard", "1/4", "--on-collision", "fail"), "give each shard a directory of its own"),
    ],
)
def test_nonsense_is_refused_before_anything_starts(
    pdl_run: Runner, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    run = pdl_run("http://127.0.0.1:9/a", "-d", "o", "--dry-run", *arguments)
    assert run.code == 2
    assert says in run.err
    assert not (tmp_path / "o").exists()
