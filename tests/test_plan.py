"""From lines to jobs: twins, collisions, and what is on disk already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdl.fetch.fast_path import FastPath
from pdl.model import BadLine, Item, Outcome, Pieces, Result, SafePath, Task
from pdl.naming.claims import FoundFiles
from pdl.run.planner import Planner
from pdl.run.server_names import RememberedNames, ServerNaming
from pdl.scheduling.job import Job
from pdl.settings import FileSettings, IfExists, NamingSettings
from pdl.text.url_identity import part_name, suffix_of, url_key
from pdl.text.urls import parse

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.naming.claims import Pairing

SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def short(task: Task) -> bool:
    """Whether the fast path may take it."""
    usual = Task._field_defaults
    return all(getattr(task, name) == usual[name] for name in FastPath.DECLINES[Task])


class Bench:
    """A planner, and the names that it wants to be remembered."""

    def __init__(
        self, where: Path, if_exists: IfExists = "skip", naming: NamingSettings | None = None
    ) -> None:
        self.pairings: list[Pairing] = []
        files = FileSettings(directory=str(where), if_exists=if_exists)
        self.planner = Planner(files, naming or NamingSettings(), self.pairings.append)
        self.line = 0

    def plan(self, url: str, **fields: object) -> Job | Result | None:
        self.line += 1
        return self.planner.plan(Item("list", self.line, url)._replace(**fields))  # type: ignore[arg-type]

    def job(self, url: str, **fields: object) -> Job:
        found = self.plan(url, **fields)
        assert isinstance(found, Job), found
        return found

    def result(self, url: str, **fields: object) -> Result:
        found = self.plan(url, **fields)
        assert isinstance(found, Result), found
        return found


def test_a_job_carries_what_the_list_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    headers = (("X-A", "b"),)
    job = bench.job("http://H:8080/d/f.txt", checksum=f"SHA-256={SHA}", size=7, headers=headers)
    assert job.task.path == "f.txt"
    assert job.task.checksum == f"sha256:{SHA}"
    assert (job.task.size, job.task.headers, job.host) == (7, headers, "h:8080")
    assert job.item.line == 1


def test_every_task_has_its_own_id_and_part(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    jobs = [bench.job(f"http://h/{number}") for number in range(50)]
    assert len({job.task.id for job in jobs}) == len({job.task.part for job in jobs}) == 50


def test_a_part_is_the_same_on_every_run(tmp_path: Path) -> None:
    first, second = (Bench(tmp_path).job("http://h/x").task.part for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("url", "fields", "kind"),
    [
        ("ftp://h/x", {}, "invalid-url"),
        ("http://h:0/x", {}, "invalid-url"),
        ("http://h/x", {"checksum": "sha256:12"}, "invalid-url"),
        ("http://h/x", {"out": "../x"}, "name"),
        ("http://h/x", {"out": "/etc/x"}, "name"),
        ("http://h/x", {"directory": "a/../../b"}, "name"),
    ],
)
def test_what_is_refused(tmp_path: Path, url: str, fields: dict[str, object], kind: str) -> None:
    result = Bench(tmp_path).result(url, **fields)
    assert (result.outcome, result.kind, result.attempts) == (Outcome.FAIL, kind, 0)
    assert not result.transient
    assert result.message


def test_a_bad_line_is_its_own_outcome(tmp_path: Path) -> None:
    result = Bench(tmp_path).planner.plan(BadLine("list", 9, "x\x1b", "has\x1bno scheme"))
    assert isinstance(result, Result)
    assert (result.source, result.line, result.kind) == ("list", 9, "invalid-url")
    assert (result.url, result.message) == ("x\\x1b", "has\\x1bno scheme")


# --- names that servers give ---


def test_a_line_never_follows_a_job_that_has_ended(tmp_path: Path) -> None:
    """Not even where nothing of the name that the file got can be remembered."""
    bench = Bench(tmp_path)
    bench.planner.servers = ServerNaming(RememberedNames({}), str(tmp_path))
    job = bench.job("http://h/get")
    assert bench.plan("http://h/get") is None
    bench.planner.named(job, "a.bin")
    assert job.task.path == "a.bin"
    bench.planner.ended(job, Outcome.SUCCESS)
    assert bench.job("http://h/get").task.path == "get"


def test_where_servers_give_names_every_file_has_a_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    before = RememberedNames({(url_key(parse("http://h/c")), SafePath("c")): SafePath("given")})
    bench = Bench(tmp_path, if_exists="overwrite")
    bench.planner.servers = ServerNaming(before, str(tmp_path))
    jobs = [bench.job(f"http://h/{path}") for path in ("1/get", "2/get", "old", "c")]
    own = bench.job("http://h/x", out="own")
    paths = [job.task.path for job in (*jobs, own)]
    assert paths == ["get", f"get-{suffix_of(jobs[1].key)}", "old", "given", "own"]
    served = [job.task.served for job in (*jobs, own)]
    assert [each and each.named for each in served] == [True] * 4 + [False]
    assert [each and each.replaces for each in served] == [False, False, True, False, False]
    assert not any(short(job.task) for job in jobs)
    assert jobs[1].task.part == part_name(parse("http://h/2/get"), SafePath("get"))
    assert bench.pairings == []


# --- the same URL ---


@pytest.mark.parametrize(
    "again", ["http://h/x", "http://H:80/x", "http://h/x#frag", "http://h/./x"]
)
def test_the_same_url_follows_the_first(tmp_path: Path, again: str) -> None:
    bench = Bench(tmp_path)
    job = bench.job("http://h/x")
    assert bench.plan(again) is None
    assert [item.line for item in job.followers] == [2]


def test_the_same_url_after_it_was_fetched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.planner.ended(bench.job("http://h/x"), Outcome.SUCCESS)
    result = bench.result("http://h/x")
    assert (result.outcome, result.path, result.bytes) == (Outcome.SUCCESS, "x", 0)


def test_the_same_url_after_it_failed_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = bench.job("http://h/x")
    bench.planner.ended(first, Outcome.FAIL)
    assert bench.job("http://h/x").task.part == first.task.part


def test_the_same_url_under_two_names_is_two_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = bench.job("http://h/x", out="a"), bench.job("http://h/x", out="b")
    assert (first.task.path, second.task.path) == ("a", "b")
    assert first.task.part != second.task.part
    assert bench.plan("http://h/x", out="b") is None
    assert (first.followers, len(second.followers)) == ([], 1)
    bench.planner.ended(first, Outcome.SUCCESS)
    assert bench.plan("http://h/x", out="b") is None
    assert bench.result("http://h/x", out="a").outcome is Outcome.SUCCESS


def test_a_failure_is_not_that_of_a_line_with_other_mirrors(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = bench.job("http://h/x", mirrors=("http://m/x",), headers=(("A", "b"),))
    assert job.mirrors is not None
    job.task = job.task._replace(url="http://m/x", headers=())  # as if it were asked there
    same, other = job.item, job.item._replace(mirrors=("http://n/x",))
    assert [bench.planner.shares(job, each, Outcome.FAIL) for each in (same, other)] == [
        True,
        False,
    ]
    assert bench.planner.shares(job, other, Outcome.SUCCESS)


def test_parts_of_another_mirror_are_not_left_by_the_short_way(tmp_path: Path) -> None:
    item = Item("list", 1, "http://h/x", ("http://m/x",))
    plain = {}
    for there in ("", "http://h/x", "http://m/x", "http://n/x"):
        part = part_name(parse(there), SafePath("x")) if there else ""
        files = FileSettings(directory=str(tmp_path))
        job = Planner(files, NamingSettings(), found=FoundFiles(frozenset({part}))).plan(item)
        assert isinstance(job, Job)
        plain[there] = short(job.task)
    assert plain == {"": True, "http://h/x": False, "http://m/x": False, "http://n/x": True}


ITEM = Item("list", 1, "http://h/x")


@pytest.mark.parametrize(
    ("item", "plain"),
    [
        (ITEM, True),
        (ITEM._replace(out="d/y", size=5, checksum=f"sha256:{SHA}"), True),
        (ITEM._replace(url="http://h/x?query"), True),
        (ITEM._replace(headers=(("X-Key", "mine"),)), False),
        (ITEM._replace(pieces=Pieces("md5", 4, bytes(16))), False),
        (ITEM._replace(url="http://me@h/x"), False),
        (ITEM._replace(url="http://me:secret@h/x"), False),
        (ITEM._replace(url="http://H/x"), False),
        (ITEM._replace(url="http://h/x#part"), False),
        (ITEM._replace(url="http://h/a/../x"), False),
        (ITEM._replace(url="http://h/\u00e9"), False),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_only_what_has_nothing_special_about_it_may_go_the_short_way(
    tmp_path: Path, item: Item, plain: bool, there: bool
) -> None:
    files = FileSettings(directory=str(tmp_path))
    first = Planner(files, NamingSettings()).plan(item)
    assert isinstance(first, Job)
    assert short(first.task) is plain
    # one that an earlier run has begun is gone on with
    found = FoundFiles(frozenset({first.task.part} if there else ()))
    again = Planner(files, NamingSettings(), found=found).plan(item)
    assert isinstance(again, Job)
    assert again.task == first.task._replace(begun=there)


@pytest.mark.parametrize("mirrors", [(), ("http://h/x",), ("http://H:80/x#y",)])
def test_one_url_has_no_mirrors(tmp_path: Path, mirrors: tuple[str, ...]) -> None:
    assert Bench(tmp_path).job("http://h/x", mirrors=mirrors).mirrors is None


def test_the_password_is_no_other_url_and_the_query_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.job("http://me:a@h/x")
    assert bench.plan("http://me:b@h/x") is None
    assert bench.job("http://h/x?2").task.path != "x"


# --- two URLs, one name ---


def test_two_urls_that_want_one_name_get_two(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = bench.job("http://a/x.gz"), bench.job("http://b/x.gz")
    assert first.task.path == "x.gz"
    assert second.task.path.startswith("x-")
    assert second.task.path.endswith(".gz")
    assert {pairing.path for pairing in bench.pairings} == {"x.gz", second.task.path}


def test_what_was_remembered_holds_in_any_order(tmp_path: Path) -> None:
    before = Bench(tmp_path)
    urls = ["http://a/x", "http://b/x", "http://c/x"]
    expected = {url: before.job(url).task.path for url in urls}
    after = Bench(tmp_path)
    for pairing in before.pairings:
        after.planner.remember(pairing)
    assert {url: after.job(url).task.path for url in reversed(urls)} == expected


def test_collisions_may_be_failures(tmp_path: Path) -> None:
    bench = Bench(tmp_path, naming=NamingSettings(on_collision="fail"))
    bench.job("http://a/x")
    assert bench.result("http://b/x").kind == "exists"
    assert bench.pairings == []


# --- what is on disk ---


def test_what_is_there_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    bench = Bench(tmp_path)
    for _ in range(2):
        result = bench.result("http://h/x")
        assert (result.outcome, result.path, result.size) == (Outcome.SKIPPED, "x", 5)


def test_what_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    assert Bench(tmp_path, "overwrite").job("http://h/x").task.path == "x"


def test_what_is_there_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    result = Bench(tmp_path, "fail").result("http://h/x")
    assert (result.kind, result.path) == ("exists", "x")


@pytest.mark.parametrize("if_exists", ["skip", "overwrite", "fail"])
def test_a_directory_is_in_the_way_whatever_is_wanted(tmp_path: Path, if_exists: IfExists) -> None:
    (tmp_path / "x").mkdir()
    result = Bench(tmp_path, if_exists).result("http://h/x")
    assert result.kind == "exists"
    assert "not a file" in result.message


def test_a_dangling_link_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    assert Bench(tmp_path, "fail").job("http://h/x").task.path == "x"


def test_secrets_are_masked(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    assert "hunter2" not in repr(Bench(tmp_path).result("http://me:hunter2@h/x?token=hunter2"))


def test_pieces_go_to_the_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    pieces = Pieces("md5", 4, b"0" * 16)
    job = bench.job("http://h/x", pieces=pieces)
    assert job.task.pieces == pieces
    twin = job.item._replace(pieces=Pieces("md5", 4, b"1" * 16))
    assert bench.planner.shares(job, job.item, Outcome.SUCCESS)
    assert bench.planner.shares(job, job.item._replace(pieces=None), Outcome.SUCCESS)
    assert not bench.planner.shares(job, twin, Outcome.SUCCESS)
    bench.planner.ended(job, Outcome.SUCCESS)
    assert bench.result("http://h/x").outcome is Outcome.SUCCESS
    assert bench.job("http://h/x", pieces=twin.pieces).task.pieces == twin.pieces


def test_where_nothing_was_nothing_is_looked_for(tmp_path: Path) -> None:
    planner = Planner(FileSettings(directory=str(tmp_path)), NamingSettings(), found=FoundFiles())
    empty = Planner(
        FileSettings(directory=str(tmp_path)), NamingSettings(), found=FoundFiles(empty=True)
    )
    (tmp_path / "file.bin").write_bytes(b"there")
    item = Item("list", 1, "http://host/file.bin")
    skipped = planner.plan(item)
    assert isinstance(skipped, Result)
    assert skipped.outcome is Outcome.SKIPPED
    job = empty.plan(item)
    assert isinstance(job, Job)
    empty.ended(job, Outcome.SUCCESS)
    again = empty.plan(item._replace(line=2, size=5))
    assert isinstance(again, Result)
