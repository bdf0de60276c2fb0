"""``--content-disposition`` on the wire: names, collisions, further runs, what a kill leaves."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pdl.model import Item, Result
from pdl.run.download import download
from pdl.settings import (
    CacheSettings,
    EngineKind,
    FileSettings,
    IfExists,
    LockSettings,
    NamingSettings,
    PoolSettings,
    RetrySettings,
    Settings,
)
from pdl.text.urls import parse, suffix_of, url_key
from servers.behaviours import Close, Pause, Raw, Reply, Then, head
from servers.files import File
from servers.row import BODY, DATE, ETAG, ETAG_OTHER, HALF, OTHER, length
from survive import kill_workers

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.model import Event
    from pdl.run.download import Report
    from runner import Runner
    from servers.misbehave import Server
    from servers.wire import Exchange

NAMED = NamingSettings(server_names=True)
BASE = Settings(
    naming=NAMED,
    pool=PoolSettings(engine="inline"),
    retry=RetrySettings(retries=2, wait=0.01),
)
BOTH = pytest.mark.parametrize("engine", ["inline", "process"])


def called(name: str, body: bytes = BODY, etag: str | None = ETAG) -> File:
    field = ("Content-Disposition", f'attachment; filename="{name}"')
    return File(body, etag=etag, headers=(field,))


def suffix(url: str) -> str:
    return suffix_of(url_key(parse(url)))


class Copy:
    """A directory, and what came of the last run.

    Attributes:
        rows: path by URL's last part, or the failure's word.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        self.settings = BASE
        self.results: list[Result] = []
        self.report: Report | None = None

    def run(
        self, *items: str | Item | Iterator[str], if_exists: IfExists = "skip"
    ) -> list[tuple[str, str | None]]:
        """Outcome or failure's word, and path, of each line."""
        self.results = []
        files = self.settings.files._replace(if_exists=if_exists)

        def note(event: Event) -> None:
            if isinstance(event, Result):
                self.results.append(event)

        settings = self.settings._replace(files=files)
        lines: Any = items[0] if len(items) == 1 and isinstance(items[0], Iterator) else items
        self.report = download(lines, str(self.where), settings=settings, on_event=note)
        return [(str(row.kind or row.outcome), row.path) for row in self.results]

    def files(self) -> dict[str, bytes]:
        paths = [path for path in self.where.rglob("*") if ".pdl" not in path.parts]
        return {str(p.relative_to(self.where)): p.read_bytes() for p in paths if p.is_file()}

    def parts(self) -> list[str]:
        return [path.name for path in self.where.glob(".pdl/*") if path.name != "state.sqlite"]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "out")


# --- names ---


@BOTH
def test_a_file_is_called_what_its_server_calls_it(
    server: Server, copy: Copy, engine: EngineKind
) -> None:
    copy.settings = BASE._replace(pool=PoolSettings(engine=engine))
    first = server.on("/1/get", called("a.bin"))
    second = server.on("/2/get", called("../../b.bin", OTHER))
    plain = server.on("/3/get", File(BODY))
    rows = copy.run(first, second, plain)
    usual = f"get-{suffix(plain)}"
    assert sorted(rows) == sorted([("success", "a.bin"), ("success", "b.bin"), ("success", usual)])
    assert copy.files() == {"a.bin": BODY, "b.bin": OTHER, usual: BODY}
    assert copy.parts() == []


def test_a_later_run_skips_what_is_there_in_any_order(server: Server, copy: Copy) -> None:
    urls = [server.on(f"/{n}/get", called(f"{n}.bin")) for n in "12"]
    urls += [server.on("/3/get", File(BODY)), server.on("/x.bin", File(OTHER))]
    before = sorted(path or "" for _, path in copy.run(*urls))
    for listed in (urls, urls[::-1]):
        assert sorted(copy.run(*listed)) == [("skipped", path) for path in before]
    assert len(server.requests()) == len(urls)
    (copy.where / "2.bin").unlink()
    assert ("success", "2.bin") in copy.run(*urls)
    assert len(server.requests()) == len(urls) + 1


def test_the_final_answer_of_redirects_names_the_file(server: Server, copy: Copy) -> None:
    target = server.on("/target", called("a.bin"))
    fields = (("Location", target), ("Content-Disposition", "attachment; filename=wrong"))
    assert copy.run(server.on("/get", Reply(302, fields))) == [("success", "a.bin")]


def test_the_list_and_the_directory_rule(server: Server, copy: Copy) -> None:
    first = server.on("/1/get", called("a.bin"))
    second = server.on("/2/get", called("b.bin"))
    items = [Item(first, out="own", line=1), Item(second, directory="d/e", line=2)]
    assert copy.run(*items) == [("success", "own"), ("success", "d/e/b.bin")]
    assert copy.run(*items) == [("skipped", "own"), ("skipped", "d/e/b.bin")]
    copy.settings = BASE._replace(naming=NAMED._replace(tree=True))
    host = parse(first).netloc.replace(":", "_")
    assert copy.run(first) == [("success", f"{host}/1/a.bin")]


@pytest.mark.slow
def test_lines_with_the_same_url_share_the_file(server: Server, copy: Copy) -> None:
    url = server.on("/get", called("a.bin"))
    rows = copy.run(url, url, *[server.on(f"/{n}", File(b"x")) for n in range(1100)], url)
    assert [row for row in rows if row[1] == "a.bin"] == [("success", "a.bin")] * 3
    assert len(server.requests("/get")) == 1


def test_a_line_that_knows_more_is_fetched_for_itself_to_the_same_name(
    server: Server, copy: Copy
) -> None:
    url = server.on("/get", called("a.bin"))
    digest = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    rows = copy.run(url, Item(url, checksum=digest, line=2))
    assert rows == [("success", "a.bin")] * 2
    assert copy.files() == {"a.bin": BODY}


def test_what_the_server_names_is_what_its_content_is_held_against(
    server: Server, copy: Copy
) -> None:
    page = b"<!doctype html>" + b"x" * 1000
    assert copy.run(server.on("/get", called("a.zip", page))) == [("content", "get")]
    assert copy.files() == {}


# --- collisions ---


@BOTH
def test_the_same_name_at_the_same_moment(server: Server, copy: Copy, engine: EngineKind) -> None:
    # a host that has not answered yet is else asked for two at once
    retry = BASE.retry._replace(host_patience=0.0)
    copy.settings = BASE._replace(pool=PoolSettings(jobs=8, engine=engine), retry=retry)
    meet = threading.Barrier(8 if engine == "process" else 1)

    def together(exchange: Exchange) -> None:
        meet.wait(30)
        called("a.bin", exchange.seen.target.encode())(exchange)

    urls = [server.on(f"/{number}/get", together) for number in range(8)]
    rows = copy.run(*urls)
    assert {how for how, _ in rows} == {"success"}
    found = copy.files()
    assert sorted(found.values()) == sorted(f"/{n}/get".encode() for n in range(8))
    by_body = {f"/{n}/get".encode(): suffix(url) for n, url in enumerate(urls)}
    for path, body in found.items():
        assert path in {"a.bin", f"a-{by_body[body]}.bin"}
    assert sorted(copy.run(*urls)) == [("skipped", path) for path in sorted(found)]
    assert copy.parts() == []


@pytest.mark.parametrize("if_exists", ["skip", "overwrite", "update"])
def test_a_strange_file_is_never_replaced(server: Server, copy: Copy, if_exists: IfExists) -> None:
    copy.where.mkdir()
    (copy.where / "a.bin").write_bytes(b"precious")
    (copy.where / "link.bin").symlink_to(copy.where.parent / "elsewhere")
    (copy.where / "dir.bin").mkdir()
    names = ("a", "link", "dir")
    urls = [server.on(f"/{name}/get", called(f"{name}.bin")) for name in names]
    expected = [f"{name}-{suffix(url)}.bin" for name, url in zip(names, urls, strict=True)]
    assert copy.run(*urls, if_exists=if_exists) == [("success", path) for path in expected]
    assert (copy.where / "a.bin").read_bytes() == b"precious"
    assert (copy.where / "link.bin").is_symlink()
    assert not (copy.where.parent / "elsewhere").exists()


@pytest.mark.parametrize("where", ["files", "naming"])
def test_a_taken_name_can_be_a_failure(server: Server, copy: Copy, where: str) -> None:
    copy.where.mkdir()
    (copy.where / "a.bin").write_bytes(b"precious")
    url = server.on("/get", called("a.bin"))
    if where == "naming":
        copy.settings = BASE._replace(naming=NAMED._replace(on_collision="fail"))
    rows = copy.run(url, if_exists="fail" if where == "files" else "skip")
    assert rows == [("exists", "get")]
    assert copy.files() == {"a.bin": b"precious"}
    assert "a.bin" in copy.results[0].message


@pytest.mark.parametrize("on_collision", ["hash", "fail"])
def test_a_name_that_is_taken_while_its_file_comes(
    server: Server, copy: Copy, on_collision: Literal["hash", "fail"]
) -> None:
    copy.settings = BASE._replace(naming=NAMED._replace(on_collision=on_collision))
    fields = (length(BODY), ("Content-Disposition", "attachment; filename=a.bin"))
    whole = head(200, fields) + BODY
    begun, taken = threading.Event(), threading.Event()

    def take() -> None:
        begun.wait(30)
        while not any(path.stat().st_size for path in copy.where.glob(".pdl/*.part")):
            threading.Event().wait(0.005)
        (copy.where / "a.bin").write_bytes(b"precious")
        taken.set()

    def begin(exchange: Exchange) -> None:
        Raw(whole[:-1])(exchange)
        begun.set()

    other = threading.Thread(target=take)
    other.start()
    url = server.on("/get", Then(begin, Pause(30, taken), Raw(whole[-1:])))
    rows = copy.run(url)
    other.join()
    usual = f"a-{suffix(url)}.bin"
    if on_collision == "fail":
        assert [word for word, _ in rows] == ["exists"]
        assert copy.files() == {"a.bin": b"precious"}
    else:
        assert rows == [("success", usual)]
        assert copy.files() == {"a.bin": b"precious", usual: BODY}


def test_urls_that_want_one_name_are_no_collision_as_long_as_servers_are_asked(
    server: Server, copy: Copy
) -> None:
    copy.settings = BASE._replace(naming=NAMED._replace(on_collision="fail"))
    urls = [server.on(f"/{n}/get", called(f"{n}.bin")) for n in "12"]
    assert copy.run(*urls) == [("success", "1.bin"), ("success", "2.bin")]


@pytest.mark.parametrize("first", ["server", "list"])
@pytest.mark.parametrize("chosen", ["out", "url"])
def test_what_the_list_and_what_a_server_names_are_kept_apart(
    server: Server, copy: Copy, first: str, chosen: str
) -> None:
    """One after the other, or planned together: both files are there, on every further run."""
    by_server = server.on("/get", called("a.bin", OTHER))
    listed = server.on("/a.bin" if chosen == "url" else "/x", File(BODY))
    by_list = Item(listed, out="a.bin" if chosen == "out" else None, line=2)
    pair: dict[str, str | Item] = {"server": by_server, "list": by_list}
    order = ["server", "list"] if first == "server" else ["list", "server"]
    rows = dict(zip(order, copy.run(*[pair[each] for each in order]), strict=True))
    other = f"a-{suffix(listed if first == 'server' else by_server)}.bin"
    assert rows[first] == ("success", "a.bin")
    bodies = [OTHER, BODY] if first == "server" else [BODY, OTHER]
    assert copy.files() == dict(zip(("a.bin", other), bodies, strict=True))
    for again in (order, order[::-1]):
        found = copy.run(*[pair[each] for each in again])
        assert found == [("skipped", rows[each][1]) for each in again]
    # without the option the name is still the other URL's
    copy.settings = BASE._replace(naming=NamingSettings())
    assert copy.run(by_list) == [("skipped", rows["list"][1])]


def test_a_file_of_this_run_is_not_one_that_was_there(server: Server, copy: Copy) -> None:
    """A worker has placed it, the main process has not heard of it, and reads on in the list."""
    copy.where.mkdir()
    (copy.where / "there.bin").write_bytes(b"from before")
    by_server = server.on("/get", called("a.bin", OTHER))
    by_url = server.on("/a.bin", File(BODY))
    old = server.on("/there.bin", File(BODY))

    def lines() -> Iterator[str]:
        yield by_server
        (copy.where / "a.bin").write_bytes(OTHER)  # what the worker does
        yield by_url
        yield old

    rows = copy.run(lines())
    assert ("skipped", "there.bin") in rows
    assert ("success", f"a-{suffix(by_url)}.bin") in rows


def test_no_server_names_a_file_as_the_run_s_own(
    pdl_run: Runner, server: Server, tmp_path: Path
) -> None:
    url = server.on("/get", called("Run.jsonl"))
    run = pdl_run("-J", url, "--report", "run.jsonl")
    assert run.code == 0, run.err
    row = json.loads((tmp_path / "run.jsonl").read_text())
    assert row["path"] == f"Run-{suffix(url)}.jsonl"
    assert (tmp_path / row["path"]).read_bytes() == BODY


# --- going on ---


def test_a_part_goes_on_under_its_first_name(server: Server, copy: Copy) -> None:
    """A 206 need not repeat what the 200 said."""
    named = ("Content-Disposition", "attachment; filename*=UTF-8''%E4%BD%A0.bin")
    broken = Then(Raw(head(200, (named, ("ETag", ETAG), length())) + BODY[:HALF]), Close())
    url = server.on("/get", broken, File(BODY, etag=ETAG))
    assert copy.run(url) == [("success", "你.bin")]
    assert copy.files() == {"你.bin": BODY}
    assert copy.results[0].resumed_from == HALF


def test_a_new_version_has_its_own_name(server: Server, copy: Copy) -> None:
    named = ("Content-Disposition", "attachment; filename=old.bin")
    broken = Then(Raw(head(200, (named, ("ETag", ETAG), length())) + BODY[:HALF]), Close())
    url = server.on("/get", broken, File(OTHER, etag=ETAG_OTHER))
    assert copy.run(url) == [("success", "get")]
    assert copy.files() == {"get": OTHER}


@pytest.mark.parametrize("if_exists", ["skip", "overwrite"])
@pytest.mark.parametrize("checksum", [None, f"sha256:{hashlib.sha256(BODY).hexdigest()}"])
def test_what_a_killed_run_has_placed_is_found_again(
    server: Server, copy: Copy, if_exists: IfExists, checksum: str | None
) -> None:
    """Placed, and the main process was killed before it had remembered whose it is."""
    url = server.on("/get", called("a.bin"))
    item = Item(url, checksum=checksum, line=1)
    state = copy.where / ".pdl"
    assert copy.run(item) == [("success", "a.bin")]
    part = next(iter(_part_of(server, copy, item)))
    (state / "state.sqlite").unlink()
    os.link(copy.where / "a.bin", state / part)
    assert copy.run(item, if_exists=if_exists) == [("success", "a.bin")]
    assert copy.results[0].bytes == (0 if if_exists == "skip" else len(BODY))
    assert copy.results[0].checksum == checksum
    assert copy.files() == {"a.bin": BODY}
    assert copy.parts() == []
    assert copy.run(item) == [("unchanged" if checksum else "skipped", "a.bin")]


def _part_of(server: Server, copy: Copy, item: Item) -> list[str]:
    """The name of the item's part, seen while it is one."""
    seen: list[str] = []
    honest = called("a.bin")

    def look(exchange: Exchange) -> None:
        fields = (("ETag", ETAG), length(), ("Content-Disposition", "filename=a.bin"))
        exchange.wire.send(head(200, fields) + BODY[:HALF])
        while not (names := [path.name for path in copy.where.glob(".pdl/*.part")]):
            exchange.wire.pause(0.01)
        seen.extend(names)
        exchange.wire.send(BODY[HALF:])

    server.on("/get", look, honest)
    copy.run(item, if_exists="overwrite")
    return seen


def exactly_once(pdl_run: Runner, server: Server, tmp_path: Path, args: tuple[str, ...]) -> None:
    """The command, run to its end, has each file once, and knows all of them."""
    urls = server_urls(server)
    run = pdl_run(*args, "--report", "r.jsonl")
    assert run.code == 0, run.err
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.bin")}
    assert sorted(int(body) for body in found.values()) == list(range(COUNT))
    by_url = {row["url"]: int(found[row["path"]]) for row in rows}
    assert by_url == {url: number for number, url in enumerate(urls)}


COUNT = 150


def server_urls(server: Server) -> list[str]:
    """Files of which always ten have one name."""
    paths = [f"/{n}/get" for n in range(COUNT)]
    return [server.on(p, called(f"{n // 10}.bin", b"%d" % n)) for n, p in enumerate(paths)]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["workers", "main"])
def test_what_is_killed_neither_loses_nor_doubles_a_file(
    pdl_run: Runner, server: Server, tmp_path: Path, victim: str
) -> None:
    args = ("-J", "urls.txt", "-d", "out", "-q")
    (tmp_path / "urls.txt").write_text("\n".join(server_urls(server)))
    for number in range(1 if victim == "workers" else 6):
        process = pdl_run.start(*args)
        over = threading.Event()
        if victim == "workers":
            storm = threading.Thread(
                target=kill_workers.storm, args=(pdl_run, process.pid, 0.04, over)
            )
            storm.start()
            assert pdl_run.finish(process).code == 0
            over.set()
            storm.join()
        else:
            server.wait_for(f"/{20 * number + 5}/get")
            process.kill()
            pdl_run.finish(process)
            assert not pdl_run.leftovers()
    exactly_once(pdl_run, server, tmp_path, args)


# --- with the other options ---


def test_an_update_keeps_the_name(server: Server, copy: Copy) -> None:
    url = server.on("/get", called("a.bin"))
    assert copy.run(url, if_exists="update") == [("success", "a.bin")]
    assert copy.run(url, if_exists="update") == [("unchanged", "a.bin")]
    server.on("/get", called("a.bin", OTHER, ETAG_OTHER))
    assert copy.run(url, if_exists="update") == [("success", "a.bin")]
    assert copy.files() == {"a.bin": OTHER}
    server.on("/get", called("b.bin", BODY))
    assert copy.run(url, if_exists="update") == [("success", "b.bin")]
    assert copy.files() == {"a.bin": OTHER, "b.bin": BODY}
    assert copy.run(url, if_exists="update") == [("unchanged", "b.bin")]
    assert copy.run(url, if_exists="overwrite") == [("success", "b.bin")]
    assert copy.files() == {"a.bin": OTHER, "b.bin": BODY}


def test_times_and_modes_are_as_ever(server: Server, copy: Copy) -> None:
    copy.settings = BASE._replace(files=FileSettings(fsync=True))
    file = replace(called("a.bin"), last_modified=DATE)
    assert copy.run(server.on("/get", file)) == [("success", "a.bin")]
    found = (copy.where / "a.bin").stat()
    assert (found.st_mtime, found.st_nlink) == (DATE, 1)


@pytest.mark.parametrize(
    ("listed", "target", "expected"),
    [
        ("/files/a-1.2.tar.gz/download", "/mirror/a-1.2.tar.gz?ts=1", "a-1.2.tar.gz"),
        ("/latest", "/v%20%C3%A9.bin", "v \u00e9.bin"),
        ("/a.bin", "/", "a.bin"),
        ("/a.bin", "/other/a.bin", "a.bin"),
        ("/a.bin", "/.bashrc", "%2Ebashrc"),
        ("/a.bin", "/..%2F..%2Fetc", "etc"),
    ],
)
def test_a_redirect_to_another_name_gives_that_name(
    server: Server, copy: Copy, listed: str, target: str, expected: str
) -> None:
    server.on(target.partition("?")[0], File(BODY, etag=ETAG))
    url = server.on(listed, Reply(302, (("Location", target),)))
    assert copy.run(url) == [("success", expected)]
    assert copy.files() == {expected: BODY}
    assert copy.run(url) == [("skipped", expected)]


def test_what_the_answer_says_goes_before_the_redirect(server: Server, copy: Copy) -> None:
    server.on("/there.bin", called("a.bin"))
    url = server.on("/get", Reply(302, (("Location", "/there.bin"),)))
    assert copy.run(url) == [("success", "a.bin")]
    item = Item(url, out="own", line=1)
    assert copy.run(item) == [("success", "own")]


def test_a_redirect_to_log_in_is_not_the_file(server: Server, copy: Copy) -> None:
    server.on("/login", Reply(200, (("Content-Type", "text/html"),), b"<html>log in"))
    url = server.on("/a.zip", Reply(302, (("Location", "/login"),)))
    assert [word for word, _ in copy.run(url)] == ["content"]
    assert copy.files() == {}


def test_a_mirror_names_the_file(server: Server, copy: Copy) -> None:
    dead = server.on("/get", Reply(404))
    mirror = server.on("/other", called("a.bin"))
    item = Item(dead, mirrors=(mirror,), line=1)
    assert copy.run(item) == [("success", "a.bin")]
    assert copy.run(item) == [("skipped", "a.bin")]
    assert copy.parts() == []


def test_a_file_system_without_links(
    server: Server, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    urls = [server.on(f"/{n}/get", called("a.bin", b"%d" % n)) for n in range(2)]
    other = f"a-{suffix(urls[1])}.bin"
    assert copy.run(*urls) == [("success", "a.bin"), ("success", other)]
    assert copy.files() == {"a.bin": b"0", other: b"1"}
    assert copy.parts() == []


def test_a_lock_has_the_name_and_rules_over_the_server(
    server: Server, copy: Copy, tmp_path: Path
) -> None:
    url = server.on("/get", called("a.bin"))
    lock = LockSettings(str(tmp_path / "urls.lock"))
    copy.settings = BASE._replace(lock=lock)
    assert copy.run(url) == [("success", "a.bin")]
    assert json.loads((tmp_path / "urls.lock").read_text())["out"] == "a.bin"
    server.on("/get", called("b.bin"))
    fresh = Copy(tmp_path / "fresh")
    fresh.settings = BASE._replace(lock=lock._replace(locked=True))
    assert fresh.run(url) == [("success", "a.bin")]
    assert fresh.run(url) == [("unchanged", "a.bin")]
    assert fresh.files() == {"a.bin": BODY}


@pytest.mark.parametrize("known", ["digest", "url", "only the digest"])
def test_a_file_from_the_cache_has_its_name(
    server: Server, copy: Copy, tmp_path: Path, known: str
) -> None:
    cache = CacheSettings(str(tmp_path / "cache"))
    url = server.on("/get", called(".a.bin"))
    digest = None if known == "url" else f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    copy.settings = BASE._replace(cache=cache)
    first = server.on("/x", File(BODY)) if known == "only the digest" else url
    copy.run(Item(first, checksum=digest, line=1))
    fresh = Copy(tmp_path / "fresh")
    fresh.where.mkdir()
    (fresh.where / "%2Ea.bin").write_bytes(b"precious")
    fresh.settings = copy.settings
    item = Item(url, checksum=digest, line=1)
    expected = f"%2Ea-{suffix(url)}.bin"
    assert fresh.run(item) == [("success", expected)]
    assert fresh.files() == {"%2Ea.bin": b"precious", expected: BODY}
    asked = [seen.header("If-None-Match") for seen in server.requests("/get")]
    assert asked == {"digest": [None], "url": [None, ETAG], "only the digest": [None]}[known]
    assert fresh.run(item) == [("unchanged" if digest else "skipped", expected)]
    assert fresh.parts() == []


def test_what_was_placed_from_the_cache_before_a_kill_is_found_again(
    server: Server, copy: Copy, tmp_path: Path
) -> None:
    copy.settings = BASE._replace(cache=CacheSettings(str(tmp_path / "cache")))
    url = server.on("/get", called("a.bin"))
    part = next(iter(_part_of(server, copy, Item(url, line=1))))
    (copy.where / ".pdl/state.sqlite").unlink()
    os.link(copy.where / "a.bin", copy.where / ".pdl" / part)
    digest = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    assert copy.run(Item(url, checksum=digest, line=1)) == [("success", "a.bin")]
    assert copy.files() == {"a.bin": BODY}


@pytest.mark.slow
def test_the_command_knows_where_a_file_is(pdl_run: Runner, server: Server, tmp_path: Path) -> None:
    url = server.on("/get", called("a.bin"))
    assert "get\t" in pdl_run("-J", url, "--dry-run").out
    assert pdl_run("-J", url, "--check").code == 1
    assert pdl_run("--content-disposition", url).code == 0
    assert (tmp_path / "a.bin").read_bytes() == BODY
    assert pdl_run("-J", url, "--dry-run").out == f"skip\t{url}\ta.bin\n"
    run = pdl_run(url, "--check", env={"PDL_CONTENT_DISPOSITION": "1"})
    assert run.code == 0, run.err
    assert pdl_run("-J", url, "--error-on-no-transfer").code == 9
    assert len(server.requests()) == 1
