"""``--update`` on the wire: what is asked, what is fetched, and what a killed run leaves."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections import Counter
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from pdl.model import Item, Outcome, Result
from pdl.run.download import download
from pdl.settings import EngineKind, FileSettings, PoolSettings, RetrySettings, Settings
from servers.behaviours import Close, Raw, Reply, Then, WhenRange, head
from servers.files import File
from servers.row import BODY, DATE, DATE_OTHER, ETAG, ETAG_OTHER, HALF, OTHER, cut, length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pdl.model import Event
    from pdl.run.download import Report
    from runner import Runner
    from servers.misbehave import Server
    from servers.nginx import Nginx
    from servers.wire import Behaviour

UPDATE = Settings(
    files=FileSettings(if_exists="update"),
    pool=PoolSettings(engine="inline"),
    retry=RetrySettings(retries=1, wait=0.01),
)
BOTH = pytest.mark.parametrize("engine", ["inline", "process"])


class Copy:
    """A directory that is kept current.

    Attributes:
        results: of the last run.
        report: the same.
    """

    def __init__(self, where: Path, settings: Settings = UPDATE) -> None:
        self.where = where
        self.settings = settings
        self.results: list[Result] = []
        self.report: Report | None = None

    def update(self, *items: str | Item) -> Counter[str]:
        """Run once; how many lines had which outcome, or which kind of failure."""
        self.results = []

        def note(event: Event) -> None:
            if isinstance(event, Result):
                self.results.append(event)

        self.report = download(items, str(self.where), settings=self.settings, on_event=note)
        return Counter(str(row.kind or row.outcome) for row in self.results)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "out")


def conditions(server: Server, path: str = "/x.bin") -> list[tuple[str | None, str | None]]:
    """If-None-Match and If-Modified-Since of each request so far."""
    return [
        (seen.header("If-None-Match"), seen.header("If-Modified-Since"))
        for seen in server.requests(path)
    ]


STAMP = "Sun, 13 Sep 2020 12:26:40 GMT"
NOTHING = (None, None)


# --- a server that minds no conditions ---

BOTH_FIELDS = (("ETag", f"W/{ETAG}"), ("Last-Modified", STAMP))


@pytest.mark.parametrize(
    "fields",
    [BOTH_FIELDS, BOTH_FIELDS[:1], BOTH_FIELDS[1:]],
    ids=["both", "weak tag", "date"],
)
def test_a_200_that_has_all_that_is_noted_is_not_read(
    server: Server, copy: Copy, fields: tuple[tuple[str, str], ...]
) -> None:
    promise = Raw(head(200, (*fields, ("Content-Length", "1000000"))))
    whole = Raw(bytes(1_000_000))
    url = server.on("/x.bin", Then(promise, whole, Close()), Then(promise, Close()))
    assert copy.update(url) == {"success": 1}
    assert copy.update(url) == {"unchanged": 1}
    assert copy.results[0].status == 304
    assert copy.results[0].bytes == 0
    assert (copy.where / "x.bin").stat().st_size == 1_000_000


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ((BOTH_FIELDS[0], ("Last-Modified", "Sun, 13 Sep 2020 12:26:45 GMT")), OTHER),
        ((("ETag", f"W/{ETAG_OTHER}"), BOTH_FIELDS[1]), OTHER),
        (BOTH_FIELDS[:1], OTHER),
        (BOTH_FIELDS[1:], OTHER),
        (BOTH_FIELDS, OTHER[:HALF]),
    ],
    ids=["other date", "other tag", "no date", "no tag", "other length"],
)
def test_a_200_that_differs_in_anything_is_read(
    server: Server, copy: Copy, fields: tuple[tuple[str, str], ...], body: bytes
) -> None:
    url = server.on("/x.bin", Reply(200, BOTH_FIELDS, BODY), Reply(200, fields, body))
    assert copy.update(url) == {"success": 1}
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == body


def test_a_200_of_what_was_noted_is_read_where_the_file_is_another_now(
    server: Server, copy: Copy
) -> None:
    url = server.on("/x.bin", Reply(200, BOTH_FIELDS, BODY))
    assert copy.update(url) == {"success": 1}
    (copy.where / "x.bin").write_bytes(b"edited")
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == BODY


# --- what is unchanged, and what is not ---


@BOTH
@pytest.mark.parametrize(
    ("etag", "modified", "sent"),
    [
        (ETAG, DATE, (ETAG, STAMP)),
        (ETAG, None, (ETAG, None)),
        (f"W/{ETAG}", None, (f"W/{ETAG}", None)),
        (None, DATE, (None, STAMP)),
    ],
    ids=["both", "tag", "weak tag", "date"],
)
def test_an_unchanged_file_is_asked_about_once_and_left_alone(
    server: Server,
    copy: Copy,
    etag: str | None,
    modified: int | None,
    sent: tuple[str | None, str | None],
    engine: EngineKind,
) -> None:
    url = server.on("/x.bin", File(BODY, etag=etag, last_modified=modified))
    copy.settings = UPDATE._replace(pool=PoolSettings(engine=engine))
    assert copy.update(url) == {"success": 1}
    placed = (copy.where / "x.bin").stat()
    for _ in range(2):
        assert copy.update(url) == {"unchanged": 1}
        row = copy.results[0]
        assert (row.status, row.bytes, row.size, row.attempts) == (304, 0, len(BODY), 1)
    assert conditions(server) == [NOTHING, sent, sent]
    assert (copy.where / "x.bin").stat() == placed
    assert copy.report is not None
    assert copy.report.ok
    assert copy.report.summary.unchanged == 1
    assert not copy.report.summary.succeeded


@pytest.mark.parametrize("now", [{"etag": ETAG_OTHER}, {"last_modified": DATE_OTHER}, {}])
def test_a_file_that_changed_on_the_server_is_fetched(
    server: Server, copy: Copy, now: dict[str, Any]
) -> None:
    validators: dict[str, Any] = {"last_modified": DATE} if "last_modified" in now else {}
    url = server.on("/x.bin", File(BODY, **({"etag": ETAG} | validators if now else {})))
    copy.update(url)
    server.on("/x.bin", File(OTHER, **({"etag": ETAG_OTHER} | now if now else {})))
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == OTHER
    assert copy.update(url) == {"unchanged" if now else "success": 1}


def test_a_date_that_goes_back_is_a_change(server: Server, copy: Copy) -> None:
    """The server here takes the condition for "not newer than", as many do."""
    url = server.on("/x.bin", File(BODY, last_modified=DATE_OTHER))
    copy.update(url)
    server.on("/x.bin", File(OTHER, last_modified=DATE))
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == OTHER
    assert len(server.requests("/x.bin")) == 3


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"!")


def _flip_a_byte(path: Path) -> None:
    path.write_bytes(b"?" + path.read_bytes()[1:])


def _flip_a_byte_and_set_it_back(path: Path) -> None:
    before = path.stat()
    _flip_a_byte(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "change", [_append, _flip_a_byte, _flip_a_byte_and_set_it_back, _remove, os.truncate]
)
def test_a_file_that_changed_here_is_fetched(
    server: Server, copy: Copy, change: Callable[..., None]
) -> None:
    urls = [server.on(f"/{name}.bin", File(BODY, etag=ETAG, last_modified=DATE)) for name in "xyz"]
    copy.update(*urls)
    change(copy.where / "y.bin", *([5] if change is os.truncate else []))
    assert copy.update(*urls) == {"unchanged": 2, "success": 1}
    assert {path.read_bytes() for path in copy.where.glob("*.bin")} == {BODY}
    assert conditions(server, "/y.bin") == [NOTHING, NOTHING]
    assert copy.update(*urls) == {"unchanged": 3}


def test_a_file_that_is_changed_while_it_is_asked_about_is_fetched(
    server: Server, copy: Copy
) -> None:
    honest = File(BODY, etag=ETAG)
    url = server.on("/x.bin", honest)
    copy.update(url)
    changed = Then(lambda _: _append(copy.where / "x.bin"), honest)
    server.on("/x.bin", changed, honest)
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == BODY
    assert conditions(server) == [NOTHING, (ETAG, None), NOTHING]


@pytest.mark.parametrize("tool", ["pdl", "another"])
def test_a_file_nothing_is_kept_of_is_asked_about_by_its_time(
    server: Server, copy: Copy, tool: str
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG, last_modified=DATE))
    if tool == "pdl":
        copy.settings = Settings(pool=PoolSettings(engine="inline"))
        copy.update(url)
        copy.settings = UPDATE
    else:
        copy.where.mkdir()
        (copy.where / "x.bin").write_bytes(BODY)
        os.utime(copy.where / "x.bin", (DATE, DATE))
    assert copy.update(url) == {"unchanged": 1}
    assert conditions(server)[-1] == (None, STAMP)
    assert copy.update(url) == {"unchanged": 1}  # its validators were in that 304
    assert conditions(server)[-1] == (ETAG, STAMP)
    _append(copy.where / "x.bin")
    assert copy.update(url) == {"success": 1}


def test_another_url_of_the_same_name_is_no_condition(server: Server, copy: Copy) -> None:
    first = server.on("/a/x.bin", File(BODY, etag=ETAG, last_modified=DATE))
    other = server.on("/b/x.bin", File(OTHER, etag=ETAG, last_modified=DATE))
    copy.update(first)
    assert copy.update(other) == {"success": 1}
    assert conditions(server, "/b/x.bin") == [NOTHING]
    assert (copy.where / "x.bin").read_bytes() == OTHER


# --- what the list says ---


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def test_a_digest_that_is_new_in_the_list_is_fetched_and_checked(
    server: Server, copy: Copy
) -> None:
    """The server says that nothing has changed; only the list knows."""
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    pinned = Item(url, checksum=_digest(BODY), source="list", line=1)
    assert copy.update(pinned) == {"success": 1}
    assert copy.update(pinned) == {"unchanged": 1}
    assert copy.results[0].checksum == _digest(BODY)
    assert copy.update(url) == {"unchanged": 1}
    moved = pinned._replace(checksum=_digest(OTHER))
    assert copy.update(moved) == {"checksum": 1}
    assert (copy.where / "x.bin").read_bytes() == BODY
    server.on("/x.bin", File(OTHER, etag=ETAG))
    assert copy.update(moved) == {"success": 1}
    assert conditions(server)[-3:] == [(ETAG, None), NOTHING, NOTHING]


@pytest.mark.slow
def test_a_lock_and_a_copy_agree(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    command = (url, "-N", "--lock", "lock.jsonl", "--engine", "inline", "--error-on-no-transfer")
    assert pdl_run(url, "-N", "--engine", "inline").code == 0
    assert pdl_run(*command).code == 0  # nobody knows its SHA-256 yet
    locked = (tmp_path / "lock.jsonl").read_text()
    assert hashlib.sha256(BODY).hexdigest() in locked
    run = pdl_run(*command)
    assert run.code == 9, run.err
    server.on("/x.bin", File(OTHER, etag=ETAG_OTHER))
    run = pdl_run(*command, "--locked")
    assert run.code == 1
    assert "lock.jsonl:1" in run.err
    assert (tmp_path / "x.bin").read_bytes() == BODY
    assert (tmp_path / "lock.jsonl").read_text() == locked
    assert [etag for etag, _ in conditions(server)] == [None, None, ETAG, ETAG]


@pytest.mark.slow
def test_a_line_that_follows_has_the_same_outcome(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    others = [server.on(f"/{n}", File(b"x", etag=ETAG)) for n in range(2000)]
    assert copy.update(url, url) == {"success": 2}
    assert copy.update(url, url) == {"unchanged": 2}
    assert len(server.requests("/x.bin")) == 2
    copy.update(*others)
    assert copy.update(url, url, *others, url) == {"unchanged": 2003}  # the last line comes late
    assert len(server.requests("/x.bin")) == 3


def test_a_line_that_follows_with_a_digest_has_its_own(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    pinned = Item(url, checksum=_digest(BODY), source="list", line=2)
    assert copy.update(url, pinned) == {"unchanged": 1, "success": 1}
    assert conditions(server)[1:] == [(ETAG, None), NOTHING]


# --- what fails leaves the old file, and a part is gone on with ---


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (Reply(500), "http-500"),
        (Reply(404), "http-404"),
        (cut(), "truncated"),
        (cut((("ETag", ETAG_OTHER),)), "truncated"),
        (Then(Raw(head(200, (length(),))), Close()), "truncated"),
        (Reply(206, (("Content-Range", "bytes 0-0/1"),), b"x"), "protocol"),
        (Reply(412), "http-412"),
    ],
    ids=["500", "404", "cut", "cut with a tag", "no body", "206", "412"],
)
def test_a_failed_update_leaves_the_old_file(
    server: Server, copy: Copy, broken: Behaviour, kind: str
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    before = (copy.where / "x.bin").stat()
    server.on("/x.bin", broken)
    assert copy.update(url) == {kind: 1}
    assert (copy.where / "x.bin").read_bytes() == BODY
    assert (copy.where / "x.bin").stat().st_mtime_ns == before.st_mtime_ns
    server.on("/x.bin", File(BODY, etag=ETAG, ranges=False))
    copy.update(url)
    assert copy.report is not None
    assert copy.report.ok
    assert (copy.where / "x.bin").read_bytes() == BODY


def test_a_part_of_the_newer_version_goes_on(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG, last_modified=DATE))
    copy.update(url)
    newer = File(OTHER, etag=ETAG_OTHER, last_modified=DATE_OTHER)
    promise = Raw(head(200, (("ETag", ETAG_OTHER), length(OTHER))) + OTHER[:HALF])
    server.on("/x.bin", Then(promise, Close()), newer)
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == OTHER
    assert copy.results[0].resumed_from == HALF
    last = server.requests("/x.bin")[-1]
    assert (last.header("Range"), last.header("If-Range")) == (f"bytes={HALF}-", ETAG_OTHER)
    assert conditions(server)[1:] == [(ETAG, STAMP), NOTHING]


def test_a_304_to_a_range_proves_nothing(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    whole = File(OTHER, etag=ETAG_OTHER, ranges=False)
    promise = Raw(head(200, (("ETag", ETAG_OTHER), length(OTHER))) + OTHER[:HALF])
    server.on("/x.bin", Then(promise, Close()), WhenRange(Reply(304), whole))
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == OTHER


# --- a 304 that is none ---


def test_a_304_that_nothing_asked_for_fails(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", Reply(304, (("ETag", ETAG),)))
    assert copy.update(url) == {"protocol": 1}
    assert not (copy.where / "x.bin").exists()


def test_a_server_that_only_ever_says_304_fails(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    server.on("/x.bin", Reply(304, (("ETag", ETAG_OTHER),)))
    assert copy.update(url) == {"protocol": 1}
    assert conditions(server) == [NOTHING, (ETAG, None), NOTHING]
    assert (copy.where / "x.bin").read_bytes() == BODY


@pytest.mark.parametrize("settings", [UPDATE, UPDATE._replace(files=FileSettings())])
def test_a_304_that_names_another_version_is_asked_again(
    server: Server, copy: Copy, settings: Settings
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    other = Reply(304, (("ETag", ETAG_OTHER),))
    server.on("/x.bin", other, File(OTHER, etag=ETAG_OTHER))
    copy.settings = settings
    assert copy.update(url) == {"success" if settings is UPDATE else "skipped": 1}


# --- redirects ---


def _moved(server: Server, to: str) -> str:
    return server.on("/x.bin", Reply(302, (("Location", to),)))


def test_a_condition_goes_to_the_target_that_gave_the_validator(server: Server, copy: Copy) -> None:
    target = server.on("/y", File(BODY, etag=ETAG, last_modified=DATE)).replace(
        "127.0.0.1", "localhost"
    )
    url = _moved(server, target)
    copy.update(url)
    assert copy.update(url) == {"unchanged": 1}
    assert copy.results[0].final_url == target
    assert conditions(server, "/x.bin") == [NOTHING, NOTHING]
    assert conditions(server, "/y") == [NOTHING, (ETAG, STAMP)]


def test_another_target_is_asked_without_a_condition(server: Server, copy: Copy) -> None:
    """Its validators may be the same for other bytes; and they are none of its business."""
    url = _moved(server, server.on("/y", File(BODY, etag=ETAG, last_modified=DATE_OTHER)))
    copy.update(url)
    _moved(server, server.on("/z", File(OTHER, etag=ETAG, last_modified=DATE)))
    assert copy.update(url) == {"success": 1}
    assert (copy.where / "x.bin").read_bytes() == OTHER
    assert conditions(server, "/z") == [NOTHING]
    assert copy.update(url) == {"unchanged": 1}


def test_a_signed_target_is_asked_by_its_tag(server: Server, copy: Copy) -> None:
    target = server.on("/y", File(BODY, etag=ETAG, last_modified=DATE))
    url = _moved(server, f"{target}?signature=1")
    copy.update(url)
    _moved(server, f"{target}?signature=2")
    assert copy.update(url) == {"unchanged": 1}
    assert conditions(server, "/y") == [NOTHING, (ETAG, None)]


@pytest.mark.parametrize("where", ["/x.bin", "/z"])
def test_a_304_from_elsewhere_fails(server: Server, copy: Copy, where: str) -> None:
    url = _moved(server, server.on("/y", File(BODY, etag=ETAG)))
    copy.update(url)
    _moved(server, server.url("/z"))
    server.on(where, Reply(304, (("ETag", ETAG),)))
    assert copy.update(url) == {"protocol": 1}
    assert (copy.where / "x.bin").read_bytes() == BODY


def test_a_304_behind_a_redirect_that_was_asked_fails(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.update(url)
    _moved(server, server.on("/z", Reply(304, (("ETag", ETAG),))))
    assert copy.update(url) == {"protocol": 1}
    assert conditions(server)[-1] == (ETAG, None)
    assert conditions(server, "/z") == [NOTHING]


def test_what_is_remembered_has_no_secrets(server: Server, copy: Copy) -> None:
    target = server.on("/y", File(BODY, etag=ETAG))
    url = _moved(server, f"{target}?signature=hunter2").replace("//", "//me:hunter3@")
    copy.update(url)
    copy.update(url.replace("/x.bin", "/x.bin?token=hunter4"))
    state = b"".join(path.read_bytes() for path in (copy.where / ".pdl").iterdir())
    assert b"x.bin" in state
    assert b"hunter" not in state


# --- many files, and a killed run ---


def _serve(server: Server, count: int) -> list[str]:
    return [server.on(f"/f{n}", File(b"%d" % n, etag=f'"{n}"')) for n in range(count)]


def _state(copy: Path) -> int:
    where = f"file:{copy / '.pdl' / 'state.sqlite'}?mode=ro"
    with closing(sqlite3.connect(where, uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM versions").fetchone()
        return int(count)


@pytest.mark.slow
def test_each_unchanged_file_costs_one_request_and_nothing_else(server: Server, copy: Copy) -> None:
    urls = _serve(server, 1500)
    assert copy.update(*urls) == {"success": 1500}
    state = copy.where / ".pdl" / "state.sqlite"
    before = {path: path.stat() for path in copy.where.iterdir() if path.is_file()}
    text = state.read_bytes()
    assert copy.update(*urls) == {"unchanged": 1500}
    requests = server.requests()[1500:]
    assert Counter(seen.path for seen in requests) == dict.fromkeys(
        (f"/f{n}" for n in range(1500)), 1
    )
    assert all(seen.header("If-None-Match") for seen in requests)
    assert {seen.connection for seen in requests} <= {2, 3}
    assert {path: path.stat() for path in before} == before
    assert state.read_bytes() == text
    assert [path.name for path in state.parent.iterdir()] == ["state.sqlite"]


@pytest.mark.slow
def test_it_writes_while_it_goes_on(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    """Killed while it waits for its last file, it knows the thousands before."""
    urls = [*_serve(server, 2500), server.on("/last", File(b"x", etag=ETAG, delay=60.0))]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    process = pdl_run.start("urls.txt", "-N", "-d", "out", "--retries", "0")
    server.wait_for("/last")
    for _ in range(500):
        with suppress(sqlite3.OperationalError):  # it has only just been made, or not yet
            if _state(tmp_path / "out") >= 2500:
                break
        threading.Event().wait(0.02)
    process.kill()
    pdl_run.finish(process)
    server.on("/last", File(b"x", etag=ETAG))
    run = pdl_run("urls.txt", "-N", "-d", "out")
    assert run.code == 0, run.err
    assert "state" not in run.err
    assert "1 succeeded, 2500 unchanged" in run.err
    assert _state(tmp_path / "out") == 2501


@pytest.mark.slow
def test_killed_again_and_again_it_is_never_confused(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = _serve(server, 1500)
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    for enough in (500, 1000, 1600):
        process = pdl_run.start("urls.txt", "-N", "-d", "out", "--progress", "none")
        while len(server.requests()) < enough and process.poll() is None:
            threading.Event().wait(0.001)
        process.kill()
        assert "state" not in pdl_run.finish(process).err
    run = pdl_run("urls.txt", "-N", "-d", "out")
    assert run.code == 0, run.err
    assert "state" not in run.err
    for n in range(1500):
        assert (tmp_path / "out" / f"f{n}").read_bytes() == b"%d" % n
    assert _state(tmp_path / "out") == 1500


@pytest.mark.slow
def test_a_damaged_state_is_one_warning_and_a_new_one(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = _serve(server, 300)
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    command = ("urls.txt", "-N", "-d", "out", "--engine", "inline")
    assert pdl_run(*command).code == 0
    state = tmp_path / "out" / ".pdl" / "state.sqlite"
    text = state.read_bytes()
    state.write_bytes(text[: len(text) // 2])
    run = pdl_run(*command)
    assert run.code == 0, run.err
    assert run.err.count("state.sqlite") == 1, run.err
    assert pdl_run(*command, "--error-on-no-transfer").code == 9
    assert _state(tmp_path / "out") == 300


# --- nginx ---


def _seen(nginx: Nginx, count: int) -> Counter[tuple[str, int]]:
    found = Counter((row.uri, row.status) for row in nginx.wait_log(count))
    nginx.clear_log()
    return found


@pytest.mark.parametrize(
    "extra", ["", "etag off;", "add_header Last-Modified '';", "if_modified_since before;"]
)
def test_a_copy_of_what_nginx_serves(
    make_nginx: Callable[..., Nginx], pdl_run: Runner, tmp_path: Path, extra: str
) -> None:
    nginx = make_nginx(extra=extra)
    names = [f"f{n}" for n in range(40)]
    for name in names:
        (nginx.root / name).write_text(name)
        os.utime(nginx.root / name, (DATE, DATE))
    (tmp_path / "urls.txt").write_text("\n".join(nginx.url(f"/{name}") for name in names))
    command = ("urls.txt", "-d", "out", "--error-on-no-transfer", "--report", "r.jsonl")

    def outcomes() -> Counter[str]:
        rows = (tmp_path / "r.jsonl").read_text().splitlines()
        return Counter(json.loads(row)["outcome"] for row in rows)

    assert pdl_run(*command, "-N").code == 0
    assert _seen(nginx, 40) == {(f"/{name}", 200): 1 for name in names}
    run = pdl_run(*command, "--if-exists", "update")
    assert run.code == 9, run.err
    assert "0 succeeded, 40 unchanged, 0 failed" in run.err
    assert outcomes() == {"unchanged": 40}
    assert _seen(nginx, 40) == {(f"/{name}", 304): 1 for name in names}

    os.utime(nginx.root / "f7")
    (tmp_path / "out" / "f8").write_text("f!")
    (tmp_path / "out" / "f9").unlink()
    run = pdl_run(*command, env={"PDL_UPDATE": "1"})
    assert run.code == 0, run.err
    assert outcomes() == {"unchanged": 37, "success": 3}
    fetched = {uri for uri, status in _seen(nginx, 40) if status == 200}
    assert fetched == {"/f7", "/f8", "/f9"}
    assert {(tmp_path / "out" / name).read_text() for name in names} == set(names)


# --- the options ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "env", "meant"),
    [
        (("-N",), {}, "unchanged"),
        (("--update",), {"PDL_IF_EXISTS": "fail"}, "unchanged"),
        (("--if-exists", "update", "-N"), {}, "unchanged"),
        (("--if-exists", "skip"), {"PDL_UPDATE": "1"}, "skipped"),
        ((), {"PDL_UPDATE": "1", "PDL_IF_EXISTS": "fail"}, "unchanged"),
    ],
)
def test_the_nearer_of_two_options_holds(
    server: Server,
    pdl_run: Runner,
    args: Iterable[str],
    env: dict[str, str],
    meant: str,
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    base = (url, "-d", "out", "--engine", "inline")
    pdl_run(*base, "-N")
    run = pdl_run(*base, *args, env=env)
    assert f"1 {meant}" in run.err


def test_two_options_that_contradict_each_other(server: Server, pdl_run: Runner) -> None:
    run = pdl_run(server.url("/x.bin"), "-N", "--if-exists", "fail")
    assert run.code == 2
    assert "--if-exists fail" in run.err
    assert not server.requests()


@pytest.mark.slow
def test_a_check_asks_no_server(server: Server, pdl_run: Runner) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    assert pdl_run(url, "-N", "--engine", "inline").code == 0
    assert pdl_run(url, "-N", "--check").code == 0
    assert len(server.requests()) == 1


def test_a_dry_run_says_what_would_be_asked_about(server: Server, pdl_run: Runner) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    pdl_run(url, "-N")
    run = pdl_run(url, server.url("/y.bin"), "-N", "--dry-run")
    assert [line.split("\t")[0] for line in run.out.splitlines()] == ["check", "get"]


@pytest.mark.slow
def test_a_dry_run_knows_what_was_found_of_the_files(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    known, other = (server.on(path, File(BODY, etag=ETAG)) for path in ("/x.bin", "/y.bin"))
    pdl_run(known, other, "-N", "--lock", "x.lock")
    os.utime(tmp_path / "y.bin", (1, 1))  # no longer as it was placed
    before = (tmp_path / ".pdl/state.sqlite").read_bytes()
    run = pdl_run(known, other, "-N", "--lock", "x.lock", "--dry-run")
    assert [line.split("\t")[0] for line in run.out.splitlines()] == ["check", "get"]
    assert (tmp_path / ".pdl/state.sqlite").read_bytes() == before
    (tmp_path / ".pdl/state.sqlite").write_bytes(b"?" * 9999)
    run = pdl_run(known, other, "-N", "--lock", "x.lock", "--dry-run")
    assert [line.split("\t")[0] for line in run.out.splitlines()] == ["get", "get"]


def test_a_plain_run_remembers_nothing(server: Server, copy: Copy) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    copy.settings = UPDATE._replace(files=FileSettings())
    assert copy.update(url) == {"success": 1}
    assert not (copy.where / ".pdl").exists()
    assert copy.results[0].outcome is Outcome.SUCCESS
