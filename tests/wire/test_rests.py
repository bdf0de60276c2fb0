"""A rest is never taken for the whole, whatever is known of the file and wherever it goes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pdl.model import Item, Pieces, Result
from pdl.run.download import download
from pdl.settings import (
    CacheSettings,
    FileSettings,
    LockSettings,
    NamingSettings,
    PoolSettings,
    RetrySettings,
    Settings,
)
from servers.behaviours import Close, Raw, Reply, Then, WhenRange, chunk, head
from servers.files import File
from servers.row import BODY, DATE, ETAG, ETAG_OTHER, HALF, OTHER, REST, cut, length

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdl.settings import EngineKind
    from servers.misbehave import Server
    from servers.wire import Behaviour, Exchange, Pairs

    Way = Callable[["Place"], Settings]
    """What a run is told that the file's way leads through."""

SHA256 = hashlib.sha256(BODY).hexdigest()
REPR = ("Repr-Digest", f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:")
NAMED = ("Content-Range", f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}")
HTML = ("Content-Type", "text/html")
TAG = (("ETag", ETAG),)
HONEST = File(BODY, etag=ETAG)
PIECES = Pieces(
    "sha1", HALF, b"".join(hashlib.sha1(each).digest() for each in (BODY[:HALF], BODY[HALF:]))
)
BASE = Settings(
    pool=PoolSettings(engine="inline"),
    retry=RetrySettings(retries=2, wait=0.01),
    files=FileSettings(if_exists="overwrite"),
)


class Done(NamedTuple):
    """What came of one line."""

    row: Result
    file: bytes | None


class Place:
    """A directory, beside which a lock and a cache have their places."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.out = root / "out"
        self.settings = BASE

    def get(self, url: str, **item: Any) -> Done:  # noqa: ANN401 - those of Item
        rows: list[Result] = []

        def note(event: object) -> None:
            if isinstance(event, Result):
                rows.append(event)

        lines = [Item(url, source="list", line=1, **item)]
        download(lines, str(self.out), settings=self.settings, on_event=note)
        (row,) = rows
        path = self.out / (row.path or "none")
        return Done(row, path.read_bytes() if path.is_file() else None)

    def later(self) -> None:
        """From here on no attempt is made twice, as in a run that comes after a cut one."""
        self.settings = self.settings._replace(retry=RetrySettings(retries=0))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def ranges(server: Server, path: str = "/x.bin") -> list[str | None]:
    return [seen.header("Range") for seen in server.requests(path)]


# --- with all that can be known of a file, and every place that it can go to ---

RESTS: dict[str, Behaviour] = {
    "named": Reply(200, (*TAG, NAMED), BODY[HALF:]),
    "unnamed": Reply(200, TAG, BODY[HALF:]),
    "refused": Reply(400, (), b"no"),
}
KNOWN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "size": {"size": len(BODY)},
    "digest": {"checksum": f"sha256:{SHA256}"},
    "pieces": {"pieces": PIECES},
}


def plain(place: Place) -> Settings:
    return place.settings


def locked(place: Place) -> Settings:
    return place.settings._replace(lock=LockSettings(str(place.root / "lock")))


def cached(place: Place) -> Settings:
    return place.settings._replace(cache=CacheSettings(str(place.root / "cache")))


def named(place: Place) -> Settings:
    return place.settings._replace(naming=NamingSettings(server_names=True))


def updated(place: Place) -> Settings:
    return place.settings._replace(files=FileSettings(if_exists="update"))


WAYS = [plain, locked, cached, named, updated]


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("way", WAYS)
def test_the_file_is_asked_for_once_more_and_whole(
    server: Server, place: Place, rest: str, known: str, way: Way
) -> None:
    place.settings = way(place)
    url = server.on("/x.bin", cut(TAG), WhenRange(RESTS[rest], HONEST))
    done = place.get(url, **KNOWN[known])
    assert (done.row.outcome, done.row.size, done.file) == ("success", len(BODY), BODY)
    assert (done.row.attempts, done.row.resumed_from) == (2, 0)
    assert ranges(server) == [None, REST, None]
    if way is locked:
        (entry,) = map(json.loads, (place.root / "lock").read_text().splitlines())
        assert (entry["sha256"], entry["size"]) == (SHA256, len(BODY))


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_has_only_the_rest_fails_and_leaves_the_old_file(
    server: Server, place: Place, known: str, way: Way
) -> None:
    place.settings = way(place)
    place.out.mkdir()
    (place.out / "x.bin").write_bytes(b"old")
    os.utime(place.out / "x.bin", (0, 0))
    url = server.on("/x.bin", cut(TAG), RESTS["named"])
    done = place.get(url, **KNOWN[known])
    assert (done.row.kind, done.row.transient, done.row.status) == ("protocol", False, 200)
    assert done.row.message.endswith(f"only a part of the file by its own words: '{NAMED[1]}'")
    assert done.file == b"old"
    assert ranges(server) == [None, REST, None]
    assert not list(place.out.glob(".pdl/*.part"))
    if way is locked:
        assert not (place.root / "lock").exists() or not (place.root / "lock").read_text()


def test_the_next_mirror_is_asked_instead(server: Server, place: Place) -> None:
    mirror = server.on("/mirror", HONEST)
    done = place.get(server.on("/x.bin", RESTS["named"]), mirrors=(mirror,))
    assert done.file == BODY
    assert done.row.message.startswith("from mirror 1")
    assert not (place.out / ".pdl").exists()


def test_a_range_that_leads_elsewhere_is_no_whole_either(server: Server, place: Place) -> None:
    server.on("/there", cut(TAG), WhenRange(RESTS["named"], HONEST))
    url = server.on("/x.bin", Reply(302, (("Location", "/there"),)))
    assert place.get(url).file == BODY
    assert ranges(server, "/there") == [None, REST, None]


# --- where only the digest can tell ---

WEAK = File(BODY, etag=f"W/{ETAG}")


@pytest.mark.parametrize("known", ["digest", "pieces"])
def test_a_part_of_a_weak_tag_goes_on_where_a_digest_is_known(
    server: Server, place: Place, known: str
) -> None:
    url = server.on("/x.bin", cut((("ETag", f"W/{ETAG}"),)), WEAK)
    done = place.get(url, **KNOWN[known])
    assert (done.row.outcome, done.row.resumed_from, done.file) == ("success", HALF, BODY)
    assert [seen.header("If-Range") for seen in server.requests()] == [None, None]


def test_a_part_that_only_a_digest_can_prove_starts_again_where_there_is_none(
    server: Server, place: Place
) -> None:
    place.later()
    url = server.on("/x.bin", cut((("ETag", f"W/{ETAG}"),)), WEAK)
    place.get(url, **KNOWN["digest"])
    assert place.get(url).file == BODY
    assert ranges(server) == [None, None]


def test_a_rest_of_the_same_weak_tag_that_is_wrong_is_found_out(
    server: Server, place: Place
) -> None:
    first = Then(Raw(head(200, (("ETag", f"W/{ETAG}"), length())) + OTHER[:HALF]), Close())
    url = server.on("/x.bin", first, WEAK)
    done = place.get(url, **KNOWN["digest"])
    assert (done.row.outcome, done.file) == ("success", BODY)
    assert ranges(server) == [None, REST, None]


# --- the link has changed ---

BOTH: dict[str, Any] = {"etag": ETAG, "last_modified": DATE}
STAMPED = File(b"", **BOTH).validators()


def resumed(server: Server, place: Place, second: Behaviour, **item: Any) -> Done:  # noqa: ANN401
    """Half a file by a link that runs out, and the rest by another."""
    place.later()
    url = server.on("/x.bin", cut(STAMPED), Reply(403), second)
    kinds = [place.get(f"{url}?signed=1", **item).row.kind for _ in range(2)]
    assert kinds == ["truncated", "http-403"]
    return place.get(f"{url}?signed=2", **item)


def test_a_part_goes_on_where_only_the_query_has_changed(server: Server, place: Place) -> None:
    done = resumed(server, place, File(BODY, **BOTH))
    assert (done.row.outcome, done.row.resumed_from, done.file) == ("success", HALF, BODY)
    assert ranges(server) == [None, REST, REST]
    assert not (place.out / ".pdl").exists()


@pytest.mark.parametrize(
    "validators",
    [
        {"etag": ETAG_OTHER, "last_modified": DATE},
        {"etag": ETAG, "last_modified": DATE + 1},
        {"etag": ETAG},
        {"last_modified": DATE},
    ],
    ids=["other tag", "other date", "no date", "no tag"],
)
@pytest.mark.parametrize("rude", [False, True])
def test_a_part_of_another_query_starts_again_where_anything_differs(
    server: Server, place: Place, validators: dict[str, Any], rude: bool
) -> None:
    honest = File(OTHER, **validators)
    rest = Reply(206, (*honest.validators(), NAMED), OTHER[HALF:])
    done = resumed(server, place, WhenRange(rest, honest) if rude else honest)
    assert (done.row.outcome, done.row.resumed_from, done.file) == ("success", 0, OTHER)
    assert not (place.out / ".pdl").exists()


def test_a_part_of_another_query_is_proven_by_a_digest(server: Server, place: Place) -> None:
    done = resumed(server, place, File(BODY, etag=ETAG), **KNOWN["digest"])
    assert (done.row.resumed_from, done.file) == (HALF, BODY)


def test_a_part_of_another_path_is_no_part_of_this(server: Server, place: Place) -> None:
    place.later()
    place.get(f"{server.on('/x.bin', cut(STAMPED))}?signed=1")
    assert place.get(f"{server.on('/y.bin', File(OTHER, **BOTH))}?signed=2").file == OTHER
    assert ranges(server, "/y.bin") == [None]


def test_a_part_that_was_not_taken_goes_with_the_file(server: Server, place: Place) -> None:
    """Also where another line keeps the run from its good end."""
    place.later()
    url = server.on("/x.bin", cut(STAMPED), File(OTHER))
    place.get(f"{url}?signed=1")
    assert len(list(place.out.glob(".pdl/*.part"))) == 1
    lines = [f"{url}?signed=2", server.on("/gone", Reply(404))]
    assert not download(lines, str(place.out), settings=place.settings).ok
    assert not (place.out / ".pdl").exists()


# --- a refusal of the range ---


@pytest.mark.parametrize(("status", "kept"), [(503, True), (429, True), (400, False), (404, False)])
def test_a_part_goes_only_when_the_file_comes_or_cannot(
    server: Server, place: Place, status: int, kept: bool
) -> None:
    place.later()
    url = server.on("/x.bin", cut(TAG), Reply(400), Reply(status))
    place.get(url)
    done = place.get(url)
    assert done.row.kind == f"http-{status}"
    assert ranges(server) == [None, REST, None]
    parts = list(place.out.glob(".pdl/*.part"))
    assert [part.stat().st_size for part in parts] == ([HALF] if kept else [])


def test_a_part_that_a_server_did_not_mean_to_refuse_goes_on(server: Server, place: Place) -> None:
    place.later()
    url = server.on("/x.bin", cut(TAG), Reply(400), Reply(503), HONEST)
    assert [place.get(url).row.kind for _ in range(2)] == ["truncated", "http-503"]
    done = place.get(url)
    assert (done.row.resumed_from, done.file) == (HALF, BODY)


# --- a refusal of the condition ---


@pytest.mark.parametrize("status", [400, 405, 412, 501])
@pytest.mark.parametrize("way", [updated, cached])
def test_a_condition_that_is_refused_is_left_out(
    server: Server, place: Place, status: int, way: Way
) -> None:
    place.settings = way(place)
    url = server.on("/x.bin", HONEST, Reply(status), File(OTHER, etag=ETAG_OTHER))
    place.get(url)
    done = place.get(url)
    assert (done.row.outcome, done.row.attempts, done.file) == ("success", 1, OTHER)
    conditions = [seen.header("If-None-Match") for seen in server.requests("/x.bin")]
    assert conditions == [None, ETAG, None]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 503])
def test_a_refusal_that_means_the_file_is_taken_at_its_word(
    server: Server, place: Place, status: int
) -> None:
    place.settings = updated(place)
    place.later()
    url = server.on("/x.bin", HONEST, Reply(status))
    place.get(url)
    done = place.get(url)
    assert (done.row.kind, done.file) == (f"http-{status}", BODY)
    assert len(server.requests()) == 2


# --- a 304 that is about another version ---


class NotModified:
    """Says 304 with these fields to every condition, and gives the new file without one."""

    def __init__(self, *fields: tuple[str, str]) -> None:
        self.unchanged = Reply(304, fields)
        self.new = File(OTHER, etag=ETAG, last_modified=DATE + 5)

    def __call__(self, exchange: Exchange) -> None:
        asked = exchange.seen.header("If-None-Match") or exchange.seen.header("If-Modified-Since")
        (self.unchanged if asked else self.new)(exchange)


STAMP, STAMP_LATER, STAMP_EARLIER = (
    f"Sun, 13 Sep 2020 12:26:{seconds} GMT" for seconds in (40, 45, 39)
)
OTHER_REPR = base64.b64encode(hashlib.sha256(OTHER).digest()).decode()
LIES: dict[str, Pairs] = {
    "other tag": (("ETag", ETAG_OTHER),),
    "other tag, same date": (("ETag", ETAG_OTHER), ("Last-Modified", STAMP)),
    "later date, same tag": (("ETag", ETAG), ("Last-Modified", STAMP_LATER)),
    "earlier date, same tag": (("ETag", ETAG), ("Last-Modified", STAMP_EARLIER)),
    "later date": (("Last-Modified", STAMP_LATER),),
    "earlier date": (("Last-Modified", STAMP_EARLIER),),
    "other length": (("ETag", ETAG), ("Content-Length", str(len(BODY) + 1))),
    "other digest": (("ETag", ETAG), ("Repr-Digest", f"sha-256=:{OTHER_REPR}:")),
}
TRUE: dict[str, Pairs] = {
    "nothing": (),
    "tag": (("ETag", ETAG),),
    "weak tag": (("ETag", f"W/{ETAG}"),),
    "date": (("Last-Modified", STAMP),),
    "all": (("ETag", ETAG), ("Last-Modified", STAMP), length(), REPR),
    "length of a body": (("ETag", ETAG), ("Content-Length", "0")),
}


def unchanged_or_new(server: Server, place: Place, way: Way, fields: Pairs) -> Done:
    place.settings = way(place)
    first = File(BODY, etag=ETAG, last_modified=DATE, headers=(REPR,))
    url = server.on("/x.bin", first, NotModified(*fields))
    assert place.get(url).file == BODY
    if way is cached:
        (place.out / "x.bin").unlink()
    return place.get(url)


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("way", [updated, cached])
def test_a_304_that_names_another_version_proves_nothing(
    server: Server, place: Place, lie: str, way: Way
) -> None:
    done = unchanged_or_new(server, place, way, LIES[lie])
    assert (done.row.outcome, done.file) == ("success", OTHER)
    asked = [seen.header("If-None-Match") for seen in server.requests("/x.bin")]
    assert asked == [None, ETAG, None]


@pytest.mark.parametrize("true", TRUE)
@pytest.mark.parametrize("way", [updated, cached])
def test_a_304_that_fits_is_believed(server: Server, place: Place, true: str, way: Way) -> None:
    done = unchanged_or_new(server, place, way, TRUE[true])
    assert done.row.outcome == ("unchanged" if way is updated else "success")
    assert (done.row.status, done.file) == (304, BODY)
    assert len(server.requests("/x.bin")) == 2


# --- what the first answer has told holds for a file that was resumed ---

TYPED = (*TAG, ("Content-Type", "text/csv"))
RANGED = Reply(206, (*TAG, NAMED, HTML), BODY[HALF:])
PAST = Reply(416, (*TAG, HTML, ("Content-Range", f"bytes */{len(BODY)}")), b"<html>")


def whole_but_for_the_last_chunk(*fields: tuple[str, str]) -> Then:
    chunks = (*fields, ("Accept-Ranges", "bytes"), ("Transfer-Encoding", "chunked"))
    return Then(Raw(head(200, chunks) + chunk(BODY)), Close())


@pytest.mark.parametrize("past", [False, True], ids=["206", "416"])
def test_the_type_of_a_rest_is_not_the_files(server: Server, place: Place, past: bool) -> None:
    place.settings = place.settings._replace(files=FileSettings(expect_types=("text/csv",)))
    first = whole_but_for_the_last_chunk(*TYPED) if past else cut(TYPED)
    url = server.on("/x.zip", first, PAST if past else RANGED)
    done = place.get(url)
    assert (done.row.outcome, done.file) == ("success", BODY)
    assert done.row.resumed_from == (len(BODY) if past else HALF)


def test_a_type_that_was_refused_once_is_refused_when_it_goes_on(
    server: Server, place: Place
) -> None:
    place.later()
    url = server.on("/x.dat", cut((*TAG, HTML)), Reply(206, (*TAG, NAMED), BODY[HALF:]))
    assert place.get(url).row.kind == "truncated"
    place.settings = place.settings._replace(files=FileSettings(expect_types=("text/csv",)))
    done = place.get(url)
    assert (done.row.kind, done.file) == ("content", None)
    assert "the type is text/html" in done.row.message


@pytest.mark.parametrize("past", [False, True], ids=["206", "416"])
def test_name_and_time_and_version_are_those_of_the_first_answer(
    server: Server, place: Place, past: bool
) -> None:
    place.settings = named(place)._replace(files=FileSettings(if_exists="update"))
    fields = (*TAG, ("Last-Modified", STAMP), ("Content-Disposition", "filename=a.bin"))
    first = whole_but_for_the_last_chunk(*fields) if past else cut(fields)
    url = server.on("/get", first, PAST if past else RANGED, Reply(304))
    done = place.get(url)
    assert (done.row.path, done.file) == ("a.bin", BODY)
    assert (place.out / "a.bin").stat().st_mtime == DATE
    assert place.get(url).row.outcome == "unchanged"
    asked = server.requests("/get")[-1]
    assert (asked.header("If-None-Match"), asked.header("If-Modified-Since")) == (ETAG, STAMP)


@pytest.mark.parametrize("listed", [False, True], ids=["declared", "listed"])
def test_a_digest_of_the_first_answer_proves_a_resumed_file(
    server: Server, place: Place, listed: bool
) -> None:
    md5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    url = server.on("/x.bin", cut((*TAG, ("Content-MD5", md5))), RANGED)
    done = place.get(url, **(KNOWN["digest"] if listed else {}))
    assert (done.row.outcome, done.row.resumed_from) == ("success", HALF)
    proven = f"sha256:{SHA256}" if listed else f"md5:{hashlib.md5(BODY).hexdigest()}"
    assert done.row.checksum == proven


@pytest.mark.parametrize("kept", [True, False])
def test_the_cache_goes_by_what_the_first_answer_said(
    server: Server, place: Place, kept: bool
) -> None:
    place.settings = cached(place)
    fields = TYPED if kept else (*TYPED, ("Cache-Control", "no-store"))
    url = server.on("/x.csv", cut(fields), RANGED, Reply(304), HONEST)
    assert place.get(url).row.resumed_from == HALF
    place.settings = place.settings._replace(files=FileSettings(expect_types=("text/csv",)))
    (place.out / "x.csv").unlink()
    place.get(url)
    conditions = [seen.header("If-None-Match") for seen in server.requests("/x.csv")]
    assert conditions[:3] == [None, None, ETAG if kept else None]


# --- an answer in between that brings nothing ---


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["inline", "process"])
@pytest.mark.parametrize("again", [{404, 500}, {500}], ids=["listed", "final"])
def test_a_part_is_kept_exactly_where_the_status_is_tried_again(
    way: Way, engine: EngineKind, again: set[int], server: Server, place: Place
) -> None:
    place.settings = way(place)._replace(
        retry=RetrySettings(retries=2, wait=0.01, statuses=frozenset(again)),
        pool=PoolSettings(jobs=1, engine=engine),
    )
    url = server.on("/x.bin", cut(TAG), Reply(404), HONEST)
    done = place.get(url)
    if 404 in again:
        assert (done.row.outcome, done.row.resumed_from, done.file) == ("success", HALF, BODY)
        assert ranges(server) == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    else:
        assert (done.row.kind, done.row.transient) == ("http-404", False)
        assert ranges(server) == [None, f"bytes={HALF}-"]
        assert list(place.out.glob(".pdl/*.part")) == []


@pytest.mark.parametrize("status", [404, 403, 500])
@pytest.mark.parametrize("runs", [1, 2])
def test_a_server_that_refuses_every_range_is_asked_without_one(
    server: Server, place: Place, status: int, runs: int
) -> None:
    """Else the part would be in the way of every later run."""
    place.settings = place.settings._replace(
        retry=RetrySettings(retries=0 if runs > 1 else 3, wait=0.01, statuses=frozenset({status})),
    )
    url = server.on("/x.bin", cut(TAG), WhenRange(Reply(status), HONEST))
    if runs > 1:
        assert place.get(url).row.outcome == "fail"
        place.settings = place.settings._replace(
            retry=RetrySettings(retries=3, wait=0.01, statuses=frozenset({status}))
        )
    done = place.get(url)
    assert (done.row.outcome, done.row.resumed_from, done.file) == ("success", 0, BODY)
    rest = f"bytes={HALF}-"
    assert ranges(server) == [None, rest, rest, rest, None]


@pytest.mark.parametrize("listed", [(), ("image/*",)])
def test_a_rest_that_is_refused_by_its_head_says_where_it_would_have_gone_on(
    server: Server, place: Place, listed: tuple[str, ...]
) -> None:
    files = FileSettings(max_size=None if listed else len(BODY) - 1, expect_types=listed)
    url = server.on("/x.bin", cut(TAG), HONEST)
    place.settings = place.settings._replace(retry=RetrySettings(retries=0))
    assert place.get(url).row.kind == "truncated"
    place.settings = place.settings._replace(files=files)
    done = place.get(url)
    assert (done.row.kind, done.row.resumed_from) == ("content" if listed else "size", HALF)
