"""A run with a lock file: what is pinned stays as it was, what drifts is named."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from hashlib import md5, sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import ListError, UsageError
from pdl.integrity.lock import Lock, lock_url
from pdl.integrity.lock_file import LockEntry
from pdl.model import Item, Outcome, Pin, Refusal, Result, SafePath
from pdl.run.planner import Known, Planner
from pdl.scheduling.job import Plan, Share
from pdl.settings import FileSettings, LockSettings, NamingSettings
from pdl.text.urls import InvalidUrl, parse
from servers.misbehave import File, Reply, Server
from servers.row import BODY, ETAG, cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner import Run, Runner

pytestmark = pytest.mark.usefixtures("no_leftovers")
SHA = sha256(b"").hexdigest()
OTHER = sha256(b"other").hexdigest()
INLINE = ("--engine", "inline")
"""Starts faster; a few tests use both."""


def digest(body: bytes) -> str:
    return f"sha256:{sha256(body).hexdigest()}"


def serve(server: Server, **bodies: bytes) -> None:
    for name, body in bodies.items():
        server.on(f"/{name}", File(body, etag=f'"{sha256(body).hexdigest()[:8]}"'))


def listed(pdl_run: Runner, *lines: str) -> None:
    (pdl_run.directory / "urls.txt").write_text("".join(f"{line}\n" for line in lines))


def locked(pdl_run: Runner, *more: str) -> Run:
    return pdl_run("urls.txt", "-d", "out", "--lock", "urls.lock", *INLINE, *more)


def entries(pdl_run: Runner) -> list[dict[str, object]]:
    text = (pdl_run.directory / "urls.lock").read_text()
    return [json.loads(line) for line in text.splitlines()]


# --- the promise ---


def test_a_run_writes_its_lock_and_the_lock_downloads_the_same(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    serve(server, b=b"bb", a=b"a", c=b"ccc")
    server.on("/moved", Reply(302, (("Location", "/c"),)))
    listed(pdl_run, *map(server.url, ("/b", "/a", "/gone", "/moved")))
    run = locked(pdl_run)
    assert run.code == 1
    assert [tuple(entry) for entry in entries(pdl_run)] == [
        ("url", "out", "size", "sha256", "final_url")
    ] * 3
    assert [tuple(entry.values()) for entry in entries(pdl_run)] == [
        (server.url("/a"), "a", 1, sha256(b"a").hexdigest(), server.url("/a")),
        (server.url("/b"), "b", 2, sha256(b"bb").hexdigest(), server.url("/b")),
        (server.url("/moved"), "moved", 3, sha256(b"ccc").hexdigest(), server.url("/c")),
    ]
    again = pdl_run("urls.lock", "-d", "again", "--report", "r.jsonl")
    assert again.code == 0
    assert "unknown" not in again.err
    assert (tmp_path / "again/moved").read_bytes() == b"ccc"
    rows = [json.loads(row) for row in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert {row["checksum"] for row in rows} == {digest(b"a"), digest(b"bb"), digest(b"ccc")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "there"), [("process", "overwritten"), ("process", "removed"), ("inline", "removed")]
)
def test_one_byte_changed_on_the_server_is_named_and_the_old_file_kept(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str, there: str
) -> None:
    serve(server, a=b"first", b=b"second")
    listed(pdl_run, server.url("/a"), server.url("/b"))
    assert locked(pdl_run).code == 0
    before = (tmp_path / "urls.lock").read_bytes()
    serve(server, b=b"sEcond")
    if there == "removed":
        (tmp_path / "out/b").unlink()
    run = locked(pdl_run, "--locked", "--if-exists", "overwrite", "--engine", engine)
    assert run.code == 1
    assert f"the digest is {digest(b'sEcond')}, urls.lock:2 has {digest(b'second')}" in run.err
    assert "urls.txt:2)" in run.err
    assert "checksum: 1 failure" in run.err
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[ab]")}
    assert kept == ({"a": b"first", "b": b"second"} if there == "overwritten" else {"a": b"first"})
    assert (tmp_path / "urls.lock").read_bytes() == before


@pytest.mark.slow
def test_a_file_of_another_size_is_refused_before_its_bytes_come(
    server: Server, pdl_run: Runner
) -> None:
    serve(server, a=b"first")
    listed(pdl_run, server.url("/a"))
    assert locked(pdl_run).code == 0
    serve(server, a=b"longer now")
    run = locked(pdl_run, "--if-exists", "overwrite")
    assert run.code == 1
    assert f"10 B, expected 5 B (urls.lock:1, {digest(b'first')})" in run.err


@pytest.mark.slow
def test_spellings_of_one_url_have_one_entry(server: Server, pdl_run: Runner) -> None:
    serve(server, a=b"a")
    plain = server.url("/a")
    sha256_of_a = sha256(b"a").hexdigest()
    spellings = (f"{plain}#part", plain.replace("http:", "HTTP:"), server.url("/x/../a"), plain)
    listed(pdl_run, *spellings, f"{plain}#sha256={sha256_of_a}")
    run = locked(pdl_run)
    assert (run.code, "entry" in run.err) == (0, False)
    assert [(entry["url"], entry["out"]) for entry in entries(pdl_run)] == [(plain, "a")]
    for spelling in spellings:
        listed(pdl_run, spelling)
        assert locked(pdl_run, "--locked").code == 0


@pytest.mark.slow
def test_new_lines_are_added_and_old_entries_stay(server: Server, pdl_run: Runner) -> None:
    serve(server, a=b"a", b=b"b", c=b"c")
    listed(pdl_run, server.url("/b"))
    assert locked(pdl_run).code == 0
    listed(pdl_run, server.url("/c"), server.url("/a"), server.url("/gone"))
    assert locked(pdl_run).code == 1
    assert [entry["out"] for entry in entries(pdl_run)] == ["a", "b", "c"]


@pytest.mark.slow
def test_locked_asks_nothing_for_a_new_line(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    serve(server, a=b"a", b=b"b")
    listed(pdl_run, server.url("/a"))
    assert locked(pdl_run).code == 0
    before = (tmp_path / "urls.lock").read_bytes()
    listed(pdl_run, server.url("/a"), server.url("/b"))
    asked = len(server.requests())
    run = locked(pdl_run, "--locked")
    assert run.code == 1
    assert "policy: 1 failure" in run.err
    assert "not in urls.lock (--locked)" in run.err
    assert len(server.requests()) == asked
    assert (tmp_path / "urls.lock").read_bytes() == before
    assert not (tmp_path / "out/b").exists()


@pytest.mark.slow
def test_a_file_that_is_there_must_be_the_locked_one(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    serve(server, a=b"first", b=b"second")
    listed(pdl_run, server.url("/a"), server.url("/b"))
    assert locked(pdl_run).code == 0
    (tmp_path / "out/a").write_bytes(b"fIrst")
    asked = len(server.requests())
    run = locked(pdl_run)
    assert run.code == 1
    found, has = digest(b"fIrst"), digest(b"first")
    assert f"a on this disk: the digest is {found}, urls.lock:1 has {has}" in run.err
    assert "(not tried, urls.txt:1)" in run.err
    assert "1 unchanged, 1 failed" in run.err
    assert len(server.requests()) == asked
    assert (tmp_path / "out/a").read_bytes() == b"fIrst"


@pytest.mark.slow
def test_files_that_were_there_before_the_lock_get_into_it(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    serve(server, a=b"a")
    listed(pdl_run, server.url("/a"), server.url("/b"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b").write_bytes(b"here")
    run = locked(pdl_run)
    assert run.code == 0
    assert "1 succeeded, 1 skipped" in run.err
    found = {entry["out"]: (entry["sha256"], entry.get("final_url")) for entry in entries(pdl_run)}
    assert found["b"] == (sha256(b"here").hexdigest(), None)
    assert locked(pdl_run, "--locked").code == 0


@pytest.mark.slow
def test_a_digest_of_another_kind_in_the_list_is_checked_too(
    server: Server, pdl_run: Runner
) -> None:
    serve(server, a=b"a")
    url = server.url("/a")
    listed(pdl_run, url, f"  checksum=md5={md5(b'a').hexdigest()}")
    assert locked(pdl_run).code == 0
    assert entries(pdl_run)[0]["sha256"] == sha256(b"a").hexdigest()
    listed(pdl_run, url, f"  checksum=md5={md5(b'b').hexdigest()}")
    for more in ((), ("--if-exists", "overwrite")):
        run = locked(pdl_run, *more)
        assert run.code == 1
        assert f"expected {md5(b'b').hexdigest()}" in run.err


@pytest.mark.slow
def test_no_secret_gets_into_the_lock_and_its_lines_still_match(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    server.on("/x", lambda exchange: File(exchange.seen.target.encode())(exchange))
    plain = server.url("/x").replace("http://", "http://user:hidden@")
    listed(pdl_run, f"{plain}?key=one", f"{plain}?key=two")
    assert locked(pdl_run).code == 0
    text = (tmp_path / "urls.lock").read_text()
    assert "hidden" not in text
    assert "key=one" not in text
    assert len({entry["out"] for entry in entries(pdl_run)}) == 2
    assert len({entry["url"] for entry in entries(pdl_run)}) == 1
    assert locked(pdl_run, "--locked", "--if-exists", "overwrite").code == 0


@pytest.mark.slow
def test_the_lock_is_no_file_that_a_download_may_have(server: Server, pdl_run: Runner) -> None:
    serve(server, **{"urls.lock": b"from the server"})
    listed(pdl_run, server.url("/urls.lock"))
    run = pdl_run("urls.txt", "--lock", "urls.lock", *INLINE)
    assert run.code == 0
    assert str(entries(pdl_run)[0]["out"]).startswith("urls-")
    assert pdl_run("urls.txt", "--lock", "urls.lock", "--locked", *INLINE).code == 0


def test_a_dry_run_knows_the_lock_and_writes_none(server: Server, pdl_run: Runner) -> None:
    listed(pdl_run, server.url("/a"))
    assert locked(pdl_run, "--dry-run").code == 0
    assert not (pdl_run.directory / "urls.lock").exists()
    (pdl_run.directory / "urls.lock").write_text("")
    run = locked(pdl_run, "--dry-run", "--locked")
    assert run.code == 1
    assert "policy" in run.out


@pytest.mark.slow
@pytest.mark.parametrize("listed_too", [False, True])
def test_the_lock_rules_over_what_the_server_declares(
    server: Server, pdl_run: Runner, tmp_path: Path, *, listed_too: bool
) -> None:
    def serve_declared(body: bytes) -> None:
        said = base64.b64encode(sha256(body).digest()).decode()
        server.on("/a", File(body, headers=(("Repr-Digest", f"sha-256=:{said}:"),)))

    serve_declared(b"first")
    url = server.url("/a")
    listed(pdl_run, url, *([f"  checksum=md5={md5(b'First').hexdigest()}"] if listed_too else []))
    assert locked(pdl_run).code == int(listed_too)
    listed(pdl_run, url)
    assert locked(pdl_run).code == 0
    serve_declared(b"First")  # and the server says so
    listed(pdl_run, url, *([f"  checksum=md5={md5(b'First').hexdigest()}"] if listed_too else []))
    run = locked(pdl_run, "--if-exists", "overwrite")
    assert run.code == 1
    assert f"is {digest(b'First')}, urls.lock:1 has {digest(b'first')}" in run.err
    assert (tmp_path / "out/a").read_bytes() == b"first"


@pytest.mark.slow
def test_a_part_that_goes_on_is_held_against_the_lock_whole(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    honest = File(BODY, etag=ETAG)
    server.on("/a", honest)
    listed(pdl_run, server.url("/a"))
    assert locked(pdl_run).code == 0
    (tmp_path / "out/a").unlink()
    server.on("/a", cut((("ETag", ETAG),)), honest)
    run = locked(pdl_run, "--locked", "--report", "r.jsonl", "--retry-wait", "0")
    assert run.code == 0, run.err
    row = json.loads((tmp_path / "r.jsonl").read_text())
    assert row["resumed_from"] > 0
    assert row["checksum"] == digest(BODY)


# --- what can be no lock ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--locked",), "--locked needs a lock file"),
        (("--lock", "none.lock", "--locked"), "there is no lock file none.lock"),
        (("--lock", "none.lock", "--check"), "there is no lock file none.lock"),
        (("--lock", "locks.csv"), "no name for a lock file"),
        (("--lock", "no/such/x.lock"), "no such directory"),
        (("--lock", "."), "is not a file"),
        (("--lock", "urls.txt"), "urls.txt:1: is no JSON"),
        (("--lock", "r.jsonl", "--report", "r.jsonl"), "r.jsonl is also --lock"),
    ],
)
def test_what_can_be_no_lock(pdl_run: Runner, args: tuple[str, ...], said: str) -> None:
    listed(pdl_run, "http://127.0.0.1:9/x")
    run = pdl_run("urls.txt", "-d", "out", *INLINE, *args)
    assert run.code == 2
    assert said in run.err
    assert "Traceback" not in run.err


# --- pins, one by one ---


OPENED: list[Lock] = []
"""What a test has not closed yet."""


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Every lock is closed after its test: Python 3.13 warns of a database that is not."""
    yield
    while OPENED:
        OPENED.pop().close()


def opened(lock: Lock) -> Lock:
    OPENED.append(lock)
    return lock


def lock_of(tmp_path: Path, *found: LockEntry, frozen: bool = False) -> Lock:
    path = tmp_path / "x.lock"
    path.write_text("".join(f"{entry.text()}\n" for entry in found))
    return opened(Lock(str(path), LockSettings(str(path), frozen), lambda _: None))


def test_entries_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="contradicts line 1"):
        lock_of(
            tmp_path, LockEntry("http://h/x", "x", 0, SHA), LockEntry("http://h/x", "x", 0, OTHER)
        )


@given(
    st.text(max_size=20),
    st.sampled_from(["", "http://h/", "http://u:p@h/", "http://h/k?key=", "http://h/#key="]),
)
def test_a_url_of_a_lock_is_written_one_way(text: str, before: str) -> None:
    with suppress(InvalidUrl):
        parse(before + text)
        written = lock_url(before + text)
        assert lock_url(written) == written


@pytest.mark.parametrize(
    ("url", "path", "wanted"),
    [
        ("http://h/x", "x", SHA),  # as it is
        ("http://h/x", "y", SHA),  # no secret in it: wherever it goes
        ("http://H:80/d/../x#part", "y", SHA),  # the same, otherwise written
        ("http://h/%C3%BC", "z", SHA),
        ("http://h/new", "new", None),
        ("http://h/k?key=mine", "k", SHA),
        ("http://h/k?key=theirs", "k", SHA),  # signed anew
        ("http://h/k?key=theirs", "k-12345678", None),  # another
        ("http://h/two", "b", OTHER),
        ("http://h/two", "c", None),  # which of them?
    ],
)
def test_which_entry_an_item_has(tmp_path: Path, url: str, path: str, wanted: str | None) -> None:
    lock = lock_of(
        tmp_path,
        LockEntry("http://h/x", "x", 0, SHA),
        LockEntry("http://h/\N{LATIN SMALL LETTER U WITH DIAERESIS}", "u", 0, SHA),
        LockEntry(lock_url("http://h/k?key=mine"), "k", 0, SHA),
        LockEntry("http://h/two", "a", 0, SHA),
        LockEntry("http://h/two", "b", 0, OTHER),
    )
    pin = lock.pin(Item(url, source="list", line=1), SafePath(path), None)
    assert isinstance(pin, Pin)
    assert pin.checksum == (None if wanted is None else f"sha256:{wanted}")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h/get", "served"),
        ("http://H:80/get#part", "served"),
        ("http://h/k?key=mine", None),  # nobody knows whose entry it is
        ("http://h/new", None),
    ],
)
def test_which_path_a_url_has(tmp_path: Path, url: str, path: str | None) -> None:
    signed = LockEntry(lock_url("http://h/k?key=mine"), "k", 0, SHA)
    lock = lock_of(tmp_path, LockEntry("http://h/get", "served", 0, SHA), signed)
    assert lock.path_of(Item(url, source="list", line=1)) == path


@pytest.mark.parametrize(
    ("item", "checksum", "kind"),
    [
        (Item("http://h/x", source="list", line=1), f"sha256:{OTHER}", "checksum"),
        (Item("http://h/x", size=3, source="list", line=1), None, "size"),
        (Item("http://h/y", source="list", line=1), None, "policy"),
    ],
)
def test_a_list_that_contradicts_the_lock(
    tmp_path: Path, item: Item, checksum: str | None, kind: str
) -> None:
    lock = lock_of(tmp_path, LockEntry("http://h/x", "x", 0, SHA), frozen=True)
    refusal = lock.pin(item, SafePath(item.url[-1]), checksum)
    assert isinstance(refusal, Refusal)
    assert refusal.kind.value == kind
    if kind == "checksum":
        assert f"the list says sha256:{OTHER}" in refusal.message
        assert f"x.lock:1 has sha256:{SHA}" in refusal.message


def test_locked_wants_the_path_too(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, LockEntry("http://h/x", "x", 0, SHA), frozen=True)
    refusal = lock.pin(Item("http://h/x", source="list", line=1), SafePath("y"), None)
    assert isinstance(refusal, Refusal)
    assert "x.lock:1 has it as x" in refusal.message


def test_a_path_that_another_url_has_now_loses_its_old_entry(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "x.lock"
    path.write_text(LockEntry("http://h/1/f", "f", 0, SHA).text() + "\n")
    lock = opened(Lock(str(path), LockSettings(str(path)), warnings.append))
    row = Result("list", 1, "", None, "f", Outcome.SUCCESS, size=0, checksum=f"sha256:{OTHER}")
    lock.record(row, Item("http://h/2/f", source="list", line=1))
    lock.save(whole=True)
    assert [json.loads(line)["url"] for line in path.read_text().splitlines()] == ["http://h/2/f"]
    assert len(warnings) == 1
    assert "x.lock:1" in warnings[0]


def test_two_runs_that_write_one_lock_both_get_in(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    settings = LockSettings(str(path))
    one, two = (opened(Lock(str(path), settings, lambda _: None)) for _ in range(2))
    for lock, name in ((one, "one"), (two, "two")):
        row = Result("list", 1, "", None, name, Outcome.SUCCESS, size=0, checksum=f"sha256:{SHA}")
        lock.record(row, Item(f"http://h/{name}", source="list", line=1))
        lock.save(whole=True)
    assert [json.loads(line)["out"] for line in path.read_text().splitlines()] == ["one", "two"]


def test_of_two_runs_the_last_to_write_knows_best_what_is_at_a_path(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    settings = LockSettings(str(path))
    one, two = (opened(Lock(str(path), settings, lambda _: None)) for _ in range(2))
    for lock, host, digest in ((one, "a", SHA), (two, "b", OTHER)):
        row = Result("list", 1, "", None, "f", Outcome.SUCCESS, size=0, checksum=f"sha256:{digest}")
        lock.record(row, Item(f"http://{host}/f", source="list", line=1))
        lock.save(whole=True)
    (entry,) = map(json.loads, path.read_text().splitlines())
    assert (entry["url"], entry["out"], entry["sha256"]) == ("http://b/f", "f", OTHER)


def test_an_unwritable_place_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        Lock(str(tmp_path / "d/x.lock"), LockSettings(), lambda _: None)


def test_a_lock_makes_a_job_of_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    lock = lock_of(tmp_path, LockEntry("http://h/x", "x", 0, SHA))
    planner = Planner(FileSettings(directory=str(tmp_path)), NamingSettings(), Known(pins=lock))
    job = planner.plan(Item("http://h/x", source="list", line=1))
    assert isinstance(job, Plan)
    assert job.local
    assert job.pin == Pin(f"sha256:{SHA}", 0, f"{tmp_path}/x.lock:1")
    again = Item("http://h/x", source="list", line=2)
    assert planner.plan(again) == Share(job.id, again)


def test_a_dry_run_refuses_the_settings_that_a_run_refuses(pdl_run: Runner) -> None:
    run = pdl_run("http://h/a", "--dry-run", "--locked")
    assert (run.code, run.out) == (2, "")
    assert "--locked needs a lock file" in run.err
