"""``--cache`` on the wire: what is asked, what is taken from it, and what it must never do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pdl.fetch.commands import FROM_CACHE
from pdl.fetch.lane_factory import CachedFetching, Fetching, lanes
from pdl.model import Headers, Item, Outcome, Pieces, Result
from pdl.output.display.registry import make_display
from pdl.run.download import download
from pdl.run.outputs import Outputs, listeners_of
from pdl.settings import (
    CacheSettings,
    EngineKind,
    FileSettings,
    HttpSettings,
    PoolSettings,
    RetrySettings,
    Settings,
)
from servers.behaviours import Close, Pause, Raw, Reply, Then, head
from servers.files import File
from servers.row import BODY, DATE, ETAG, ETAG_OTHER, HALF, OTHER, cut, length

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.model import Event
    from pdl.run.download import Report
    from runner import Runner
    from servers.certs import Authority
    from servers.misbehave import Server
    from servers.wire import Behaviour, Pairs

STAMP = "Sun, 13 Sep 2020 12:26:40 GMT"
NOTHING = (None, None)
BOTH = pytest.mark.parametrize("engine", ["inline", "process"])


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def pinned(url: str, body: bytes = BODY, **more: Any) -> Item:  # noqa: ANN401 - Item's
    return Item(url, source="list", line=1, **{"checksum": f"sha256:{sha256(body)}", **more})


class Jobs:
    """Runs with one cache, each into a directory of its own.

    Attributes:
        results: of the last run.
        report: the same.
        out: its directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.settings = Settings(
            cache=CacheSettings(str(self.cache)),
            pool=PoolSettings(engine="inline"),
            retry=RetrySettings(retries=1, wait=0.01),
        )
        self.results: list[Result] = []
        self.report: Report | None = None
        self.count = 0
        self.out = root

    def run(
        self,
        *items: str | Item,
        again: bool = False,
        **files: Any,  # noqa: ANN401 - those of FileSettings
    ) -> Counter[str]:
        """Run once; how many lines had which outcome, or which kind of failure."""
        self.count += not again
        self.out = self.root / f"out{self.count}"
        self.results = []

        def note(event: Event) -> None:
            if isinstance(event, Result):
                self.results.append(event)

        settings = self.settings._replace(files=FileSettings(**files))
        self.report = download(items, str(self.out), settings=settings, on_event=note)
        return Counter(str(row.kind or row.outcome) for row in self.results)

    def entry(self, body: bytes = BODY) -> Path:
        """Where the cache has that file."""
        name = sha256(body)
        return self.cache / "v1" / "files" / name[:2] / name[2:]

    def files(self, kind: str = "files") -> list[Path]:
        """What is in it."""
        return [path for path in (self.cache / "v1" / kind).rglob("*") if path.is_file()]

    def placed(self, body: bytes = BODY, name: str = "x.bin") -> bool:
        """Whether the last run's directory has that file and nothing else."""
        assert [path.name for path in self.out.iterdir() if path.name != ".pdl"] == [name]
        return (self.out / name).read_bytes() == body


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def conditions(server: Server, path: str = "/x.bin") -> list[tuple[str | None, str | None]]:
    """If-None-Match and If-Modified-Since of each request so far."""
    return [
        (seen.header("If-None-Match"), seen.header("If-Modified-Since"))
        for seen in server.requests(path)
    ]


# --- what is pinned ---


PIECES = Pieces(
    "sha1", HALF, b"".join(hashlib.sha1(p).digest() for p in (BODY[:HALF], BODY[HALF:]))
)


@BOTH
@pytest.mark.parametrize(
    "known",
    [
        {"checksum": f"sha256:{sha256(BODY)}"},
        {"checksum": f"sha512:{hashlib.sha512(BODY).hexdigest()}"},
        {"checksum": f"md5:{hashlib.md5(BODY).hexdigest()}", "size": len(BODY)},
        {"pieces": PIECES},
        {"checksum": f"sha256:{sha256(BODY)}", "pieces": PIECES},
    ],
    ids=["sha256", "sha512", "md5 and size", "pieces", "both"],
)
def test_what_is_pinned_is_asked_for_once(
    server: Server, jobs: Jobs, known: dict[str, Any], engine: EngineKind
) -> None:
    item = Item(server.on("/x.bin", File(BODY)), source="list", line=1, **known)
    jobs.settings = jobs.settings._replace(pool=PoolSettings(engine=engine))
    assert jobs.run(item) == {"success": 1}
    assert jobs.results[0].message == ""
    for _ in range(2):
        assert jobs.run(item) == {"success": 1}
        assert jobs.placed()
        row = jobs.results[0]
        assert (row.status, row.final_url, row.bytes, row.attempts) == (None, None, 0, 0)
        assert (row.size, row.checksum) == (len(BODY), f"sha256:{sha256(BODY)}")
        assert row.message == FROM_CACHE
        assert jobs.report is not None
        assert jobs.report.summary.bytes == 0
    assert len(server.requests()) == 1


def test_a_second_job_with_a_lock_fetches_nothing(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{n}.bin", File(BODY[: n * 1000])) for n in range(20)]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    command = ("urls.txt", "--lock", "urls.lock")
    assert pdl_run(*command, "-d", "first", "--cache", "cache").code == 0
    assert len(server.requests()) == len(urls)
    run = pdl_run(*command, "-d", "second", "--locked", env={"PDL_CACHE": "cache"})
    assert run.code == 0, run.err
    assert len(server.requests()) == len(urls)
    for number in range(20):
        assert (tmp_path / "second" / f"{number}.bin").read_bytes() == BODY[: number * 1000]
    assert "20 succeeded" in run.err


def test_a_file_fetched_by_its_url_is_found_by_its_digest(server: Server, jobs: Jobs) -> None:
    jobs.run(server.on("/x.bin", File(BODY, etag=ETAG, last_modified=DATE)))
    assert jobs.run(pinned(server.on("/y", Reply(500)), out="x.bin")) == {"success": 1}
    assert jobs.placed()
    assert not server.requests("/y")
    assert (jobs.out / "x.bin").stat().st_mtime > DATE  # that URL never said how old it is


def test_the_same_bytes_under_two_names_are_fetched_once(server: Server, jobs: Jobs) -> None:
    urls = [server.on(f"/{name}", File(BODY)) for name in "ab"]
    assert jobs.run(*(pinned(url) for url in urls)) == {"success": 2}
    assert len(server.requests()) == 1
    assert len(jobs.files()) == 1
    (jobs.out / "b").write_bytes(b"changed here")
    assert jobs.entry().read_bytes() == (jobs.out / "a").read_bytes() == BODY


def test_mirrors_are_not_asked_either(server: Server, jobs: Jobs) -> None:
    jobs.run(pinned(server.on("/x.bin", File(BODY))))
    dead = pinned("http://127.0.0.1:1/x.bin", mirrors=("http://127.0.0.1:2/x.bin",))
    assert jobs.run(dead) == {"success": 1}
    assert jobs.placed()
    assert jobs.results[0].message == FROM_CACHE


def test_a_mirror_is_not_doing_well_by_what_the_cache_has(server: Server, jobs: Jobs) -> None:
    """Three failures in a row, and it is not asked first."""
    jobs.run(pinned(server.on("/x.bin", File(BODY))))
    dead, good = "http://127.0.0.1:1/", server.url("/")
    items = []
    for number in range(4):
        server.on(f"/{number}", File(OTHER))
        items.append(Item(f"{dead}{number}", (f"{good}{number}",), source="list", line=1))
        items.append(pinned(f"{dead}cached{number}", mirrors=(good,)))
    assert jobs.run(*items) == {"success": 8}
    attempts = {row.path: row.attempts for row in jobs.results}
    assert [attempts[str(number)] for number in range(4)] == [2, 2, 2, 1]
    assert {attempts[f"cached{number}"] for number in range(4)} == {0}


def test_parts_give_way(server: Server, jobs: Jobs) -> None:
    jobs.run(pinned(server.on("/y.bin", File(BODY))))
    url, mirror = (server.on(path, cut((("ETag", ETAG),))) for path in ("/x.bin", "/z"))
    item = Item(url, (mirror,), source="list", line=1)
    assert jobs.run(item) == {"truncated": 1}
    assert len(list((jobs.out / ".pdl").glob("*.part"))) == 2
    assert jobs.run(pinned(url, mirrors=(mirror,)), again=True) == {"success": 1}
    assert jobs.placed()
    assert not (jobs.out / ".pdl").exists()


def test_the_file_that_is_there_is_replaced_and_keeps_its_mode(server: Server, jobs: Jobs) -> None:
    item = pinned(server.on("/x.bin", File(BODY)))
    jobs.run(item)
    (jobs.out / "x.bin").write_bytes(b"old")
    (jobs.out / "x.bin").chmod(0o640)
    assert jobs.run(item, again=True, if_exists="overwrite") == {"success": 1}
    assert jobs.placed()
    assert (jobs.out / "x.bin").stat().st_mode & 0o777 == 0o640
    assert len(server.requests()) == 1


@pytest.mark.parametrize(
    ("item", "files", "kind"),
    [
        ({"size": 5}, {}, "size"),
        ({}, {"max_size": 5}, "size"),
        ({}, {"min_size": 10**6}, "size"),
        ({"checksum": f"sha256:{sha256(OTHER)}"}, {}, "checksum"),
    ],
)
def test_what_is_no_file_for_the_list_is_none_from_the_cache(
    server: Server, jobs: Jobs, item: dict[str, Any], files: dict[str, Any], kind: str
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    for _ in range(2):
        jobs.run(pinned(url))
        assert jobs.run(pinned(url, **item), **files) == {kind: 1}
        assert not (jobs.out / "x.bin").exists()
        asked = len(server.requests())
        assert jobs.run(url, **files) == {kind if files else "success": 1}
        assert conditions(server)[asked:] == [NOTHING if files else (ETAG, None)]


def test_what_may_not_be_asked_is_not_taken(server: Server, jobs: Jobs) -> None:
    item = pinned(server.on("/x.bin", File(BODY)))
    jobs.run(item)
    jobs.settings = jobs.settings._replace(http=HttpSettings(https_only=True))
    assert jobs.run(item) == {"policy": 1}


def test_a_directory_in_the_way_is_told(server: Server, jobs: Jobs) -> None:
    item = pinned(server.on("/x.bin", File(BODY)))
    jobs.run(item)
    in_the_way = jobs.root / "out2" / "x.bin"
    (in_the_way / "y").mkdir(parents=True)
    assert jobs.run(item) == {"exists": 1}
    assert jobs.run(pinned(item.url, out="x.bin/y/z"), again=True) == {"success": 1}


# --- what is not pinned ---


@BOTH
@pytest.mark.parametrize(
    ("etag", "modified", "sent"),
    [
        (ETAG, DATE, (ETAG, STAMP)),
        (f"W/{ETAG}", None, (f"W/{ETAG}", None)),
        (None, DATE, (None, STAMP)),
    ],
    ids=["both", "weak tag", "date"],
)
def test_what_is_not_pinned_is_asked_about_once(
    server: Server,
    jobs: Jobs,
    etag: str | None,
    modified: int | None,
    sent: tuple[str | None, str | None],
    engine: EngineKind,
) -> None:
    url = server.on("/x.bin", File(BODY, etag=etag, last_modified=modified))
    jobs.settings = jobs.settings._replace(pool=PoolSettings(engine=engine))
    jobs.run(url)
    for _ in range(2):
        assert jobs.run(url) == {"success": 1}
        assert jobs.placed()
        row = jobs.results[0]
        assert (row.status, row.bytes, row.attempts, row.message) == (304, 0, 1, FROM_CACHE)
        assert (row.final_url, row.size) == (url, len(BODY))
        assert modified is None or (jobs.out / "x.bin").stat().st_mtime == modified
    assert conditions(server) == [NOTHING, sent, sent]


def test_what_has_changed_is_fetched(server: Server, jobs: Jobs) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    jobs.run(url)
    server.on("/x.bin", File(OTHER, etag=ETAG_OTHER))
    for _ in range(2):
        assert jobs.run(url) == {"success": 1}
        assert jobs.placed(OTHER)
    assert conditions(server) == [NOTHING, (ETAG, None), (ETAG_OTHER, None)]


@pytest.mark.parametrize("gone", [False, True], ids=["of another version", "of what has gone"])
def test_a_304_that_leads_to_nothing_is_asked_again(server: Server, jobs: Jobs, gone: bool) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    jobs.run(url)
    answer: Behaviour = Reply(304, (("ETag", ETAG_OTHER),))
    if gone:
        answer = Then(lambda _: jobs.entry().unlink(), Reply(304, (("ETag", ETAG),)))
    server.on("/x.bin", answer, File(OTHER, etag=ETAG_OTHER))
    assert jobs.run(url) == {"success": 1}
    assert jobs.placed(OTHER)
    assert conditions(server) == [NOTHING, (ETAG, None), NOTHING]


def test_a_file_that_has_gone_is_not_asked_about(server: Server, jobs: Jobs) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    jobs.run(url)
    jobs.entry().unlink()
    jobs.run(url)
    jobs.run(url)
    assert conditions(server) == [NOTHING, NOTHING, (ETAG, None)]


@pytest.mark.parametrize(
    ("fields", "validators"),
    [
        ((), {}),
        ((("Cache-Control", "max-age=9, No-Store"),), {"etag": ETAG}),
        ((("Cache-Control", "private"),), {"etag": ETAG}),
        ((("Cache-Control", 'private="set-cookie"'),), {"etag": ETAG}),
        ((("Vary", "Accept-Encoding, user-agent"),), {"etag": ETAG}),
        ((("Vary", "*"),), {"etag": ETAG}),
    ],
    ids=["nothing", "no-store", "private", "private field", "user-agent", "star"],
)
def test_what_is_not_for_others_is_not_kept_by_its_url(
    server: Server, jobs: Jobs, fields: Pairs, validators: dict[str, Any]
) -> None:
    url = server.on("/x.bin", File(BODY, headers=fields, **validators))
    for _ in range(2):
        jobs.run(url)
        assert jobs.placed()
    assert conditions(server) == [NOTHING, NOTHING]
    assert not jobs.files()
    jobs.run(pinned(url))
    jobs.run(pinned(url))
    assert len(server.requests()) == 3


@pytest.mark.parametrize(
    ("userinfo", "http", "own"),
    [
        ("me:hunter2@", {}, ()),
        ("", {"headers": (("Authorization", "Bearer hunter2"),)}, ()),
        ("", {"cert": None}, ()),
        ("", {}, (("Cookie", "hunter2"),)),
    ],
    ids=["userinfo", "every request", "certificate", "one item"],
)
def test_what_was_asked_for_as_somebody_is_not_kept_by_its_url(
    server: Server,
    jobs: Jobs,
    userinfo: str,
    http: dict[str, Any],
    own: Headers,
    authority: Authority,
) -> None:
    if "cert" in http:
        mine = authority.files("me@example.org", stem="client")
        http = {"cert": str(mine.cert), "key": str(mine.key)}
    plain = server.on("/x.bin", File(BODY, etag=ETAG))
    item = Item(plain.replace("//", f"//{userinfo}"), headers=own, source="list", line=1)
    with_fields = jobs.settings._replace(http=HttpSettings(**http))
    jobs.settings, nobody = with_fields, jobs.settings
    jobs.run(item)
    jobs.settings = nobody
    jobs.run(plain)
    jobs.settings = with_fields
    jobs.run(item)
    assert conditions(server) == [NOTHING] * 3
    jobs.run(item._replace(checksum=f"sha256:{sha256(BODY)}"))  # who knows that may have it
    jobs.settings = nobody
    server.on("/x.bin", File(OTHER, etag=ETAG))
    assert jobs.run(plain) == {"success": 1}
    assert len(server.requests()) == 4
    assert b"hunter" not in b"".join(path.read_bytes() for path in jobs.files("index"))


def test_a_length_nobody_told_is_not_kept_unless_a_digest_proves_it(
    server: Server, jobs: Jobs
) -> None:
    url = server.on("/x.bin", Then(Raw(head(200, (("ETag", ETAG),)) + BODY), Close()))
    jobs.run(url)
    assert not jobs.files()
    jobs.run(pinned(url))
    assert len(jobs.files()) == 1


def test_a_condition_goes_to_the_target_that_gave_the_file(server: Server, jobs: Jobs) -> None:
    target = server.on("/y", File(BODY, etag=ETAG))
    url = server.on("/x.bin", Reply(302, (("Location", f"{target}?signature=hunter2"),)))
    jobs.run(url)
    assert jobs.run(url) == {"success": 1}
    server.on("/x.bin", Reply(302, (("Location", f"{target}?signature=hunter3"),)))
    assert jobs.run(url) == {"success": 1}
    assert conditions(server) == [NOTHING] * 3
    assert conditions(server, "/y") == [NOTHING, (ETAG, None), (ETAG, None)]
    elsewhere = server.on("/z", File(OTHER, etag=ETAG))
    server.on("/x.bin", Reply(302, (("Location", elsewhere),)))
    assert jobs.run(url) == {"success": 1}
    assert jobs.placed(OTHER)
    assert conditions(server, "/z") == [NOTHING]


def test_the_cache_has_no_secret_of_a_url(server: Server, jobs: Jobs) -> None:
    url = server.on("/hunter2", File(BODY, etag=ETAG)) + "?token=hunter3"
    jobs.run(Item(url, out="x.bin", source="list", line=1))
    jobs.run(Item(url, out="x.bin", source="list", line=1))
    assert conditions(server, "/hunter2")[-1] == (ETAG, None)
    index = jobs.files("index")
    assert index
    assert not any(b"hunter" in path.read_bytes() or "hunter" in str(path) for path in index)


def test_a_page_is_none_for_an_archive(server: Server, jobs: Jobs) -> None:
    media = (("Content-Type", "text/html"),)
    url = server.on("/x", File(BODY, etag=ETAG, headers=media))
    jobs.run(url)
    assert jobs.run(Item(url, out="x.zip", source="list", line=1)) == {"content": 1}
    assert jobs.run(Item(url, out="x.zip", source="list", line=1), content_check=False) == {
        "success": 1
    }
    assert conditions(server, "/x") == [NOTHING, NOTHING, (ETAG, None)]


@pytest.mark.parametrize("pin", [False, True])
def test_bytes_that_begin_as_a_page_are_no_archive(server: Server, jobs: Jobs, pin: bool) -> None:
    page = b"<!DOCTYPE html><title>log in</title>"
    url = server.on("/x", File(page, etag=ETAG))
    item = pinned(url, page) if pin else Item(url, source="list", line=1)
    jobs.run(item)
    assert jobs.run(item._replace(out="x.zip")) == {"content": 1}
    assert jobs.run(item) == {"success": 1}
    assert jobs.results[0].message == FROM_CACHE


def test_a_type_that_is_wanted_is_that_of_its_url(server: Server, jobs: Jobs) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG, headers=(("Content-Type", "image/x-raw"),)))
    jobs.run(pinned(url))
    assert jobs.run(pinned(url), expect_types=("image/*",)) == {"success": 1}
    assert len(server.requests()) == 1
    assert jobs.run(pinned(url), expect_types=("text/*",)) == {"content": 1}


@pytest.mark.parametrize("pin", [False, True])
def test_a_copy_is_kept_current_with_what_came_from_the_cache(
    server: Server, jobs: Jobs, pin: bool
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG, last_modified=DATE))
    item = pinned(url) if pin else url
    jobs.run(url)
    assert jobs.run(item, if_exists="update") == {"success": 1}
    assert jobs.results[0].message == FROM_CACHE
    assert jobs.run(item, if_exists="update", again=True) == {"unchanged": 1}
    assert conditions(server)[-1] == (ETAG, STAMP)
    assert len(server.requests()) == (2 if pin else 3)
    if not pin:
        server.on("/x.bin", File(OTHER, etag=ETAG_OTHER))
        assert jobs.run(item, if_exists="update", again=True) == {"success": 1}
        assert jobs.placed(OTHER)
        assert jobs.run(item) == {"success": 1}
        assert jobs.results[0].message == FROM_CACHE


# --- a cache that is not as it should be ---


def _flip(path: Path) -> None:
    before = path.stat()
    path.chmod(0o600)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    os.utime(path, (before.st_atime, int(before.st_mtime)))


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("pin", [False, True])
@pytest.mark.parametrize("spoil", [_flip, _link, os.truncate, Path.unlink])
def test_a_spoilt_file_is_noticed_and_fetched_anew(
    server: Server, jobs: Jobs, spoil: Callable[..., None], pin: bool
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    item = pinned(url) if pin else url
    jobs.run(item)
    spoil(jobs.entry(), *([5] if spoil is os.truncate else []))
    assert jobs.run(item) == {"success": 1}
    assert jobs.placed()
    assert jobs.results[0].bytes == len(BODY)
    asked = len(server.requests())
    assert jobs.run(item) == {"success": 1}
    assert jobs.results[0].message == FROM_CACHE
    assert len(server.requests()) == asked + (not pin)
    assert jobs.entry().read_bytes() == BODY


def test_a_seal_that_is_gone_costs_a_look_and_no_request(server: Server, jobs: Jobs) -> None:
    """As after another boot, or where times have no fractions of a second."""
    item = pinned(server.on("/x.bin", File(BODY)))
    jobs.run(item)
    sealed = jobs.entry().stat().st_mtime_ns % 10**9
    os.utime(jobs.entry(), (DATE, DATE))
    assert jobs.run(item) == {"success": 1}
    assert jobs.placed()
    assert len(server.requests()) == 1
    assert jobs.entry().stat().st_mtime_ns % 10**9 == sealed
    assert jobs.entry().stat().st_mtime > DATE


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"sha256": 5}', '{"sha256": "../../../../etc/passwd"}', "[" * 4000],
)
def test_words_that_are_spoilt_are_none(server: Server, jobs: Jobs, text: str) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    jobs.run(url)
    (index,) = jobs.files("index")
    index.write_text(text)
    assert jobs.run(url) == {"success": 1}
    assert jobs.placed()
    assert conditions(server) == [NOTHING, NOTHING]
    assert json.loads(index.read_text())["sha256"] == sha256(BODY)


def test_a_cache_that_cannot_be_used_is_one_warning(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/x.bin", File(BODY))
    (tmp_path / "cache").write_text("a file")
    run = pdl_run(url, "--cache", "cache", "--engine", "inline")
    assert run.code == 0
    assert run.err.count("the cache cache cannot be used") == 1
    assert (tmp_path / "x.bin").read_bytes() == BODY


@pytest.mark.slow
def test_a_cache_that_breaks_is_one_warning_and_no_failure(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    breaks = Then(lambda _: shutil.rmtree(tmp_path / "cache" / "v1" / "new"), File(BODY, etag=ETAG))
    urls = [server.on("/x.bin", breaks)]
    urls += [server.on(f"/{n}.bin", File(OTHER, etag=ETAG)) for n in range(3)]
    run = pdl_run(*urls, "--cache", "cache", "--engine", "inline", "--report", "r.jsonl")
    assert run.code == 0
    assert run.err.count("the cache failed") == 1
    assert "4 succeeded" in run.err
    assert (tmp_path / "x.bin").read_bytes() == BODY
    assert (tmp_path / "2.bin").read_bytes() == OTHER
    assert pdl_run(*urls, "--cache", "cache", "-d", "next").code == 0


def test_a_lane_has_a_cache_only_if_there_is_one(tmp_path: Path) -> None:
    def none(text: str) -> None:
        raise AssertionError(text)

    assert isinstance(lanes(Settings(), none), Fetching)
    with_cache = Settings(cache=CacheSettings(str(tmp_path)))
    assert isinstance(lanes(with_cache, none), CachedFetching)
    (tmp_path / "file").touch()
    warned: list[str] = []
    broken = Settings(cache=CacheSettings(str(tmp_path / "file")))
    assert isinstance(lanes(broken, warned.append), Fetching)
    assert len(warned) == 1


def test_a_run_tells_of_trouble_once() -> None:
    told = io.StringIO()
    display = make_display("plain", told, quiet=True, verbose=0)
    outputs = Outputs(listeners_of([], display))
    outputs.trouble("one\x1b")
    outputs.trouble("two")
    assert "one\\x1b" in told.getvalue()
    assert "two" not in told.getvalue()


# --- many runs, short runs, small caches ---


@pytest.mark.slow
def test_runs_at_once_share_one_cache(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    bodies = {f"{n}.bin": BODY[n : n + 3000] for n in range(40)}
    urls = [server.on(f"/{name}", File(body, etag=ETAG)) for name, body in bodies.items()]
    digests = [f"#sha256={sha256(body)}" if n % 2 else "" for n, body in enumerate(bodies.values())]
    (tmp_path / "urls.txt").write_text("\n".join(map(str.__add__, urls, digests)))
    command = ("urls.txt", "--cache", "cache", "--cache-size", "200K")
    started = [pdl_run.start(*command, "-d", f"out{n}") for n in range(3)]
    for process in started:
        run = pdl_run.finish(process)
        assert run.code == 0, run.err
        assert "cache" not in run.err
    for number in range(3):
        for name, body in bodies.items():
            assert (tmp_path / f"out{number}" / name).read_bytes() == body
    home = tmp_path / "cache" / "v1"
    assert not list((home / "new").iterdir())
    kept = [path for path in (home / "files").rglob("*") if path.is_file()]
    assert 0 < len(kept) <= 200 * 1024 // 8192
    assert all(sha256(path.read_bytes()) == path.parent.name + path.name for path in kept)


@pytest.mark.slow
def test_a_killed_run_confuses_nobody(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    bodies = {f"{n}.bin": BODY[n:] for n in range(60)}
    lines = []
    for number, (name, body) in enumerate(bodies.items()):
        late = Then(Pause(0.05 if number % 20 == 19 else 0), File(body))
        lines.append(f"{server.on(f'/{name}', late)}#sha256={sha256(body)}")
    (tmp_path / "urls.txt").write_text("\n".join(lines))
    for number, killed_after in enumerate((15, 19, 35, 45)):
        process = pdl_run.start("urls.txt", "--cache", "cache", "-d", f"out{number}", "-j", "4")
        server.wait_until(lambda n=killed_after: len(server.requests()) >= n)  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        pdl_run.finish(process)
        assert not pdl_run.leftovers()
    run = pdl_run("urls.txt", "--cache", "cache", "-d", "out")
    assert run.code == 0, run.err
    fetched = len(server.requests())
    run = pdl_run("urls.txt", "--cache", "cache", "-d", "next")
    assert run.code == 0, run.err
    assert len(server.requests()) == fetched
    for out in ("out", "next"):
        for name, body in bodies.items():
            assert (tmp_path / out / name).read_bytes() == body


def test_what_a_killed_run_was_writing_goes_after_a_day(server: Server, jobs: Jobs) -> None:
    item = pinned(server.on("/x.bin", File(BODY)))
    jobs.run(item)
    new = jobs.cache / "v1" / "new"
    for name, age in (("today", 3600), ("yesterday", 25 * 3600)):
        (new / name).write_bytes(BODY[:HALF])
        os.utime(new / name, (time.time() - age,) * 2)
    assert jobs.run(item) == {"success": 1}
    assert jobs.placed()
    assert [path.name for path in new.iterdir()] == ["today"]


def test_what_was_not_used_for_longest_goes_first(server: Server, jobs: Jobs) -> None:
    bodies = [bytes([n]) * 4096 for n in range(6)]
    items = [pinned(server.on(f"/{n}", File(body)), body) for n, body in enumerate(bodies)]
    room = 5 * 8192  # one block each, and one for what is known of it
    jobs.settings = jobs.settings._replace(cache=CacheSettings(str(jobs.cache), room))
    jobs.run(*items[:5])
    assert len(jobs.files()) == 5
    for age, body in enumerate(bodies[:5]):
        os.utime(jobs.entry(body), (DATE, DATE + age))
    jobs.run(items[0])  # used again, so that the next is the oldest
    jobs.run(items[5])
    there = [number for number, body in enumerate(bodies) if jobs.entry(body).exists()]
    assert there == [0, 3, 4, 5]  # room is made for a tenth more than the file itself
    assert len(server.requests()) == 6


def test_a_file_larger_than_the_cache_is_not_kept(server: Server, jobs: Jobs) -> None:
    small, large = server.on("/s", File(b"x")), server.on("/x.bin", File(BODY))
    jobs.settings = jobs.settings._replace(cache=CacheSettings(str(jobs.cache), 50_000))
    assert jobs.run(pinned(small, b"x"), pinned(large)) == {"success": 2}
    assert jobs.files() == [jobs.entry(b"x")]
    jobs.settings = jobs.settings._replace(cache=CacheSettings(str(jobs.cache), 0))
    jobs.run(pinned(large))
    assert len(jobs.files()) == 2
    jobs.settings = jobs.settings._replace(cache=CacheSettings(str(jobs.cache), 50_000))
    jobs.run(pinned(small, b"x"))
    assert jobs.files() == [jobs.entry(b"x")]


def test_a_resumed_file_is_kept_whole(server: Server, jobs: Jobs) -> None:
    promise = Raw(head(200, (("ETag", ETAG), length())) + BODY[:HALF])
    url = server.on("/x.bin", Then(promise, Close()), File(BODY, etag=ETAG))
    assert jobs.run(url) == {"success": 1}
    assert jobs.results[0].resumed_from == HALF
    assert jobs.entry().read_bytes() == BODY
    assert jobs.run(url) == {"success": 1}
    assert jobs.results[0].outcome is Outcome.SUCCESS
    assert conditions(server)[-1] == (ETAG, None)
