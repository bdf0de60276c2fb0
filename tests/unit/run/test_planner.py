"""From lines to jobs: twins, collisions, and what is on disk already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdl.fetch.fast_path import FastPath
from pdl.model import BadLine, FailureKind, Item, Outcome, Pieces, Refusal, SafePath, Success, Task
from pdl.naming.claims import FoundFiles
from pdl.run.planner import Known, Planner
from pdl.run.rows import settled
from pdl.run.server_names import RememberedNames, ServerNaming
from pdl.scheduling.job import Job, Plan, Share, Skip
from pdl.settings import FileSettings, IfExists, NamingSettings
from pdl.text.urls import parse, part_name, suffix_of, url_key

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.naming.claims import Pairing
    from pdl.scheduling.job import Planned

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
        self.files, self.naming = files, naming or NamingSettings()
        self.planner = self.knowing()
        self.line = 0

    def knowing(self, **known: object) -> Planner:
        """Another planner of the same directory, which knows this before the first line."""
        what = Known(on_pairing=self.pairings.append)._replace(**known)  # type: ignore[arg-type]
        self.planner = Planner(self.files, self.naming, what)
        return self.planner

    def plan(self, url: str, **fields: object) -> Planned:
        self.line += 1
        return self.planner.plan(Item(url, source="list", line=self.line)._replace(**fields))  # type: ignore[arg-type]

    def job(self, url: str, **fields: object) -> Plan:
        found = self.plan(url, **fields)
        assert isinstance(found, Plan), found
        return found

    def refusal(self, url: str, **fields: object) -> Refusal:
        found = self.plan(url, **fields)
        assert isinstance(found, Refusal), found
        return found


def test_a_job_carries_what_the_list_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    headers = (("X-A", "b"),)
    job = bench.job("http://H:8080/d/f.txt", checksum=f"SHA-256={SHA}", size=7, headers=headers)
    task = Job(job).task()
    assert task.path == "f.txt"
    assert task.checksum == job.item.checksum == f"sha256:{SHA}"
    assert (task.url, task.size, task.headers) == (job.item.url, 7, headers)
    assert (job.host, job.item.line) == ("h:8080", 1)


def test_every_task_has_its_own_id_and_part(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    jobs = [bench.job(f"http://h/{number}") for number in range(50)]
    assert len({job.id for job in jobs}) == len({job.part for job in jobs}) == 50


def test_a_part_is_the_same_on_every_run(tmp_path: Path) -> None:
    first, second = (Bench(tmp_path).job("http://h/x").part for _ in range(2))
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
    bench = Bench(tmp_path)
    refusal = bench.refusal(url, **fields)
    assert refusal.kind == kind
    assert refusal.message
    item = Item(url, source="list", line=1)._replace(**fields)  # type: ignore[arg-type]
    row = settled(item, refusal)
    assert (row.outcome, row.kind, row.attempts, row.transient) == (Outcome.FAIL, kind, 0, False)
    assert row.message == refusal.message


def test_a_bad_line_is_its_own_outcome(tmp_path: Path) -> None:
    line = BadLine("list", 9, "x\x1b", "has\x1bno scheme")
    planned = Bench(tmp_path).planner.plan(line)
    assert isinstance(planned, Refusal)
    result = settled(line, planned)
    assert (result.source, result.line, result.kind) == ("list", 9, "invalid-url")
    assert (result.url, result.message) == ("x\\x1b", "has\\x1bno scheme")


# --- names that servers give ---


def test_a_line_never_follows_a_job_that_has_ended(tmp_path: Path) -> None:
    """Not even where nothing of the name that the file got can be remembered."""
    bench = Bench(tmp_path)
    bench.knowing(servers=ServerNaming(RememberedNames({}), str(tmp_path)))
    job = bench.job("http://h/get")
    assert isinstance(bench.plan("http://h/get"), Share)
    answer = Success("success", job.id, 200, "http://h/get", 1, 1, 0, 0.0, name="a.bin")
    assert bench.planner.ended(job, Outcome.SUCCESS, answer) == "a.bin"
    assert bench.job("http://h/get").path == "get"


def test_where_servers_give_names_every_file_has_a_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    before = RememberedNames({(url_key(parse("http://h/c")), SafePath("c")): SafePath("given")})
    bench = Bench(tmp_path, if_exists="overwrite")
    bench.knowing(servers=ServerNaming(before, str(tmp_path)))
    jobs = [bench.job(f"http://h/{path}") for path in ("1/get", "2/get", "old", "c")]
    own = bench.job("http://h/x", out="own")
    paths = [job.path for job in (*jobs, own)]
    assert paths == ["get", f"get-{suffix_of(jobs[1].key)}", "old", "given", "own"]
    served = [job.served for job in (*jobs, own)]
    assert [each and each.named for each in served] == [True] * 4 + [False]
    assert [each and each.replaces for each in served] == [False, False, True, False, False]
    assert not any(short(Job(job).task()) for job in jobs)
    assert jobs[1].part == part_name(parse("http://h/2/get"), SafePath("get"))
    assert bench.pairings == []


# --- the same URL ---


@pytest.mark.parametrize(
    "again", ["http://h/x", "http://H:80/x", "http://h/x#frag", "http://h/./x"]
)
def test_the_same_url_follows_the_first(tmp_path: Path, again: str) -> None:
    bench = Bench(tmp_path)
    job = bench.job("http://h/x")
    follow = bench.plan(again)
    assert isinstance(follow, Share)
    assert (follow.id, follow.item.line) == (job.id, 2)


def test_the_same_url_after_it_was_fetched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.planner.ended(bench.job("http://h/x"), Outcome.SUCCESS)
    assert bench.plan("http://h/x") == Skip(SafePath("x"), Outcome.SUCCESS)


def test_the_same_url_after_it_failed_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = bench.job("http://h/x")
    bench.planner.ended(first, Outcome.FAIL)
    assert bench.job("http://h/x").part == first.part


def test_the_same_url_under_two_names_is_two_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = bench.job("http://h/x", out="a"), bench.job("http://h/x", out="b")
    assert (first.path, second.path) == ("a", "b")
    assert first.part != second.part
    bench.planner.ended(first, Outcome.SUCCESS)
    follow = bench.plan("http://h/x", out="b")
    assert isinstance(follow, Share)
    assert follow.id == second.id
    assert bench.plan("http://h/x", out="a") == Skip(SafePath("a"), Outcome.SUCCESS)


def test_a_failure_is_not_that_of_a_line_with_other_mirrors(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = bench.job("http://h/x", mirrors=("http://m/x",), headers=(("A", "b"),))
    same, other = job.item, job.item._replace(mirrors=("http://n/x",))
    assert [job.shares(each, Outcome.FAIL) for each in (same, other)] == [True, False]
    assert job.shares(other, Outcome.SUCCESS)


def test_what_another_way_of_writing_a_digest_says_is_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    job = bench.job("http://h/x", checksum=f"SHA-256={SHA}")
    follow = bench.plan("http://h/x", checksum=f"sha256:{SHA.upper()}")
    assert isinstance(follow, Share)
    assert job.shares(follow.item, Outcome.SUCCESS)
    assert job.shares(follow.item, Outcome.FAIL)
    other = bench.plan("http://h/x", checksum=f"sha256:{SHA[::-1]}")
    assert isinstance(other, Share)
    assert not job.shares(other.item, Outcome.SUCCESS)
    bench.planner.ended(job, Outcome.SUCCESS)
    again = bench.planner.plan_again(other.item, job)
    assert isinstance(again, Plan)
    assert (again.path, again.item.checksum) == (job.path, f"sha256:{SHA[::-1]}")
    assert isinstance(bench.planner.plan_again(follow.item, job), Share)


def test_parts_of_another_mirror_are_not_left_by_the_short_way(tmp_path: Path) -> None:
    item = Item("http://h/x", ("http://m/x",), source="list", line=1)
    plain = {}
    for there in ("", "http://h/x", "http://m/x", "http://n/x"):
        part = part_name(parse(there), SafePath("x")) if there else ""
        found = FoundFiles(frozenset({part} if part else ()))
        plan = Bench(tmp_path).knowing(found=found).plan(item)
        assert isinstance(plan, Plan)
        plain[there] = short(Job(plan).task())
    assert plain.pop("http://n/x") is False  # of whose list it is nobody looks up
    assert plain == {"": True, "http://h/x": False, "http://m/x": False}


ITEM = Item("http://h/x", source="list", line=1)


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
    first = Bench(tmp_path).planner.plan(item)
    assert isinstance(first, Plan)
    assert short(Job(first).task()) is plain
    # one that an earlier run has begun is gone on with
    found = FoundFiles(frozenset({first.part} if there else ()))
    again = Bench(tmp_path).knowing(found=found).plan(item)
    assert again == first._replace(begun=there)


def test_only_the_first_attempt_may_go_the_short_way() -> None:
    plan = Plan(7, ITEM, parse(ITEM.url), 5, "h", SafePath("x"), SafePath("x"), "p")
    job = Job(plan)
    assert job.task() == Task(7, ITEM.url, SafePath("x"), "p")
    job.attempts = 1
    assert job.task() == Task(7, ITEM.url, SafePath("x"), "p", begun=True)
    job.attempts, job.deaths = 0, job.deaths.another(0, kept=False)
    assert job.task() == Task(7, ITEM.url, SafePath("x"), "p", fragile=True, begun=True)


@pytest.mark.parametrize("mirrors", [(), ("http://h/x",), ("http://H:80/x#y",)])
def test_one_url_has_no_mirrors(tmp_path: Path, mirrors: tuple[str, ...]) -> None:
    assert Job(Bench(tmp_path).job("http://h/x", mirrors=mirrors)).mirrors is None


def test_the_password_is_no_other_url_and_the_query_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.job("http://me:a@h/x")
    assert isinstance(bench.plan("http://me:b@h/x"), Share)
    assert bench.job("http://h/x?2").path != "x"


# --- two URLs, one name ---


def test_two_urls_that_want_one_name_get_two(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = bench.job("http://a/x.gz"), bench.job("http://b/x.gz")
    assert first.path == "x.gz"
    assert second.path.startswith("x-")
    assert second.path.endswith(".gz")
    assert {pairing.path for pairing in bench.pairings} == {"x.gz", second.path}


def test_what_was_remembered_holds_in_any_order(tmp_path: Path) -> None:
    before = Bench(tmp_path)
    urls = ["http://a/x", "http://b/x", "http://c/x"]
    expected = {url: before.job(url).path for url in urls}
    after = Bench(tmp_path)
    after.knowing(pairings=before.pairings)
    assert {url: after.job(url).path for url in reversed(urls)} == expected


def test_collisions_may_be_failures(tmp_path: Path) -> None:
    bench = Bench(tmp_path, naming=NamingSettings(on_collision="fail"))
    bench.job("http://a/x")
    assert bench.refusal("http://b/x").kind == "exists"
    assert bench.pairings == []


# --- what is on disk ---


def test_what_is_there_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    bench = Bench(tmp_path)
    for _ in range(2):
        assert bench.plan("http://h/x") == Skip(SafePath("x"), Outcome.SKIPPED, 5, unchecked=True)


def test_what_is_there_is_held_against_what_the_list_says(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    bench = Bench(tmp_path)
    assert bench.plan("http://h/x", size=5) == Skip(SafePath("x"), Outcome.SKIPPED, 5)
    digested = bench.job("http://h/x", size=5, checksum=f"sha256:{SHA}")
    assert (digested.local, digested.refetch, digested.host) == (True, True, "")
    instead = bench.planner.fetch_instead(digested)
    assert (instead.local, instead.refetch, instead.host) == (False, False, "h")
    assert (instead.item, instead.path) == (digested.item, "x")
    bench.planner.ended(instead, Outcome.FAIL)
    longer = bench.job("http://h/x", size=6, checksum=f"sha256:{SHA}")
    assert (longer.local, longer.host) == (False, "h")


def test_what_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    assert Bench(tmp_path, "overwrite").job("http://h/x").path == "x"


def test_what_is_there_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    result = Bench(tmp_path, "fail").refusal("http://h/x")
    assert (result.kind, result.path) == ("exists", "x")


@pytest.mark.parametrize("if_exists", ["skip", "overwrite", "fail"])
def test_a_directory_is_in_the_way_whatever_is_wanted(tmp_path: Path, if_exists: IfExists) -> None:
    (tmp_path / "x").mkdir()
    result = Bench(tmp_path, if_exists).refusal("http://h/x")
    assert result.kind == "exists"
    assert "not a file" in result.message


def test_a_dangling_link_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    assert Bench(tmp_path, "fail").job("http://h/x").path == "x"


def test_secrets_are_masked(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("12345")
    item = Item("http://me:hunter2@h/x?token=hunter2", source="list", line=1)
    planned = Bench(tmp_path).planner.plan(item)
    assert isinstance(planned, Skip)
    assert "hunter2" not in repr(settled(item, planned))


def test_pieces_go_to_the_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    pieces = Pieces("md5", 4, b"0" * 16)
    job = bench.job("http://h/x", pieces=pieces)
    assert Job(job).task().pieces == pieces
    twin = job.item._replace(pieces=Pieces("md5", 4, b"1" * 16))
    assert job.shares(job.item, Outcome.SUCCESS)
    assert job.shares(job.item._replace(pieces=None), Outcome.SUCCESS)
    assert not job.shares(twin, Outcome.SUCCESS)
    bench.planner.ended(job, Outcome.SUCCESS)
    assert isinstance(bench.plan("http://h/x"), Skip)
    assert bench.job("http://h/x", pieces=twin.pieces).item.pieces == twin.pieces


def test_where_nothing_was_nothing_is_looked_for(tmp_path: Path) -> None:
    planner = Bench(tmp_path).knowing(found=FoundFiles())
    empty = Bench(tmp_path).knowing(found=FoundFiles(empty=True))
    (tmp_path / "file.bin").write_bytes(b"there")
    item = Item("http://host/file.bin", source="list", line=1)
    assert isinstance(planner.plan(item), Skip)
    job = empty.plan(item)
    assert isinstance(job, Plan)
    empty.ended(job, Outcome.SUCCESS)
    assert isinstance(empty.plan(item._replace(line=2, size=5)), Skip)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X A", "b"), ("", "b"), ("X:", "b"), ("X\n", "b"), ("\u00e9", "b"), ("X", "hunter2\r\nY: z")]
    + [("X", f"hunter2{control}") for control in "\0\n\r\x1b\x7f"],
)
def test_fields_that_break_out_of_their_line(tmp_path: Path, name: str, value: str) -> None:
    fields = (("X-Good", "yes"), (name, value))
    planned = Bench(tmp_path).planner.plan(Item("http://h/x", headers=fields))
    assert isinstance(planned, Refusal)
    assert planned.kind is FailureKind.INVALID_URL
    assert "hunter2" not in planned.message


def test_fields_that_do_not(tmp_path: Path) -> None:
    fields = (("X-Good", "yes; no\tand \u00e9 \u4e2d"), ("X-Empty", ""))
    assert isinstance(Bench(tmp_path).planner.plan(Item("http://h/x", headers=fields)), Plan)
