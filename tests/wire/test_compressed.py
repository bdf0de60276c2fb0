"""`--compressed` on the wire: what is asked, what becomes the file, what is held against what."""

from __future__ import annotations

import base64
import gzip
import hashlib
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import brotli
import pytest

from conftest import need
from every_lane import LANES, LaneMaker
from pdl.http_rules.ranges import Validator
from pdl.model import (
    Answer,
    Fail,
    FailureKind,
    Pieces,
    Pin,
    Result,
    SafePath,
    Served,
    Success,
    Task,
)
from pdl.pool.inline import InlineMeter
from pdl.run.download import download
from pdl.settings import (
    CacheSettings,
    FileSettings,
    HttpSettings,
    PoolSettings,
    RetrySettings,
    Settings,
)
from pdl.storage.part import Part
from quicklane import WARM
from servers import programs
from servers.behaviours import Close, Raw, Reply, Then, WhenRange, chunked, head
from servers.files import File
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server
    from servers.nginx import Nginx
    from servers.wire import Behaviour, Exchange, Pairs

HTTP = HttpSettings(timeout=20.0, connect_timeout=5.0, compressed=True)
BODY = b"time,value\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(9000))
CODED = gzip.compress(BODY)
GZIP = ("Content-Encoding", "gzip")
SIZES = FileSettings()
EVERY = pytest.mark.parametrize("way", LANES)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def declares(field: str, data: bytes) -> tuple[str, str]:
    return field, f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def sends(data: bytes = CODED, *fields: tuple[str, str], coding: str = "gzip") -> Reply:
    return Reply(200, (("Content-Encoding", coding), *fields), data)


@dataclass(frozen=True)
class Coding:
    """A file that is coded for whoever asks for that."""

    body: bytes = BODY
    etag: str = ETAG
    coded_etag: str = f"W/{ETAG}"

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        asked = exchange.seen.header("Accept-Encoding") or ""
        if "gzip" not in asked:
            File(self.body, etag=self.etag, headers=(("Vary", "Accept-Encoding"),))(exchange)
            return
        assert exchange.seen.header("Range") is None
        File(gzip.compress(self.body), self.coded_etag, ranges=False, headers=(GZIP,))(exchange)


def attempt(
    place: Path,
    url: str,
    make: LaneMaker = LANES["keepalive"],
    http: HttpSettings = HTTP,
    files: FileSettings = SIZES,
    **more: Any,  # noqa: ANN401 - fields of a task
) -> Answer:
    (place / ".pdl").mkdir(exist_ok=True)
    lane = make(http, files._replace(directory=str(place)))
    more = {"path": SafePath("f.csv"), "part": "1.part", **more}
    try:
        return lane(Task(1, url, **more), InlineMeter())
    finally:
        lane.close()


def good(answer: Answer) -> Success:
    assert isinstance(answer, Success), answer
    return answer


def bad(answer: Answer, place: Path) -> Fail:
    assert isinstance(answer, Fail), answer
    assert [each.name for each in place.rglob("*")] == [".pdl"]
    return answer


def asked(server: Server) -> list[tuple[str | None, str | None]]:
    seen = [each for each in server.requests() if each.path != WARM]
    return [(each.header("Accept-Encoding"), each.header("Range")) for each in seen]


# --- what is asked, and what comes of it ---


@EVERY
def test_the_decoded_bytes_are_the_file(way: str, server: Server, tmp_path: Path) -> None:
    server.on(WARM, File(b"warm"))
    url = server.on("/f.csv", Coding())
    answer = good(attempt(tmp_path, url, LANES[way]))
    assert (tmp_path / "f.csv").read_bytes() == BODY
    assert (answer.received, answer.size, answer.message) == (len(CODED), len(BODY), "")
    assert asked(server) == [("gzip, deflate, br, zstd", None)]


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("x-gzip", CODED),
        ("GZIP", CODED),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY)[2:-4]),
        ("br", brotli.compress(BODY, quality=1)),
        ("gzip, br", brotli.compress(CODED, quality=1)),
        ("gzip", gzip.compress(BODY[:700]) + gzip.compress(BODY[700:])),
        ("identity", BODY),
        ("utf-8", BODY),
    ],
)
def test_every_coding_that_may_come_is_taken_back(
    coding: str, data: bytes, server: Server, tmp_path: Path
) -> None:
    url = server.on("/f.csv", sends(data, coding=coding))
    assert good(attempt(tmp_path, url)).message == ""
    assert (tmp_path / "f.csv").read_bytes() == BODY


def test_without_the_option_a_coded_answer_stays_as_it_is(server: Server, tmp_path: Path) -> None:
    url = server.on("/f.csv", sends())
    answer = good(attempt(tmp_path, url, http=HTTP._replace(compressed=False)))
    assert answer.message == "as the server coded it (Content-Encoding: gzip)"
    assert (tmp_path / "f.csv").read_bytes() == CODED
    assert asked(server) == [("identity", None)]


@pytest.mark.parametrize(
    ("path", "name"), [("/a.tar.gz", "f.csv"), ("/a", "f.tgz"), ("/a", "f.br"), ("/b.zip?c", "b")]
)
def test_what_is_packed_by_its_name_is_never_decoded(
    path: str, name: str, server: Server, tmp_path: Path
) -> None:
    server.on(path.partition("?")[0], sends())
    good(attempt(tmp_path, server.url(path), path=SafePath(name)))
    assert (tmp_path / name).read_bytes() == CODED
    assert asked(server) == [("identity", None)]


def test_nor_is_what_its_server_calls_packed(server: Server, tmp_path: Path) -> None:
    url = server.on("/f", sends(CODED, ("Content-Disposition", 'attachment; filename="a.tar.gz"')))
    served = Served("0" * 16, named=True, replaces=False, alone=False)
    assert good(attempt(tmp_path, url, path=SafePath("f"), served=served)).name == "a.tar.gz"
    assert (tmp_path / "a.tar.gz").read_bytes() == CODED


def test_fields_of_the_users_own_are_sent_as_they_are(server: Server, tmp_path: Path) -> None:
    url = server.on("/f.csv", sends())
    good(attempt(tmp_path, url, headers=(("accept-encoding", "gzip;q=1.0"),)))
    assert asked(server) == [("gzip;q=1.0", None)]
    assert (tmp_path / "f.csv").read_bytes() == BODY


@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
@pytest.mark.parametrize("cut", [0, 1, 8, 30])
def test_an_end_too_early_is_a_cut_however_it_is_framed(
    framing: str, cut: int, server: Server, tmp_path: Path
) -> None:
    data = CODED[: len(CODED) - cut]
    answers: dict[str, Behaviour] = {
        "length": sends(data),
        "chunks": Raw(head(200, (GZIP, ("Transfer-Encoding", "chunked"))) + chunked(data, 999)),
        "none": Then(Raw(b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + data), Close()),
    }
    answer = attempt(tmp_path, server.on("/f.csv", answers[framing]))
    if not cut:
        good(answer)
        assert (tmp_path / "f.csv").read_bytes() == BODY
        return
    fail = bad(answer, tmp_path)
    assert (fail.kind, fail.transient, fail.kept) == (FailureKind.TRUNCATED, True, 0)
    assert fail.message.startswith("the connection ended within a body that is coded as gzip")


def test_the_length_is_that_of_the_coded_bytes(server: Server, tmp_path: Path) -> None:
    short = head(200, (GZIP, ("Content-Length", str(len(CODED) + 5))))
    answer = attempt(tmp_path, server.on("/f.csv", Then(Raw(short + CODED), Close())))
    assert bad(answer, tmp_path).kind is FailureKind.TRUNCATED


@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
def test_an_empty_body_is_an_empty_file_if_its_end_is_told(
    framing: str, server: Server, tmp_path: Path
) -> None:
    answers: dict[str, Behaviour] = {
        "length": sends(b""),
        "chunks": Raw(head(200, (GZIP, ("Transfer-Encoding", "chunked"))) + chunked(b"")),
        "none": Then(Raw(b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\n\r\n"), Close()),
    }
    answer = attempt(tmp_path, server.on("/f.csv", answers[framing]))
    if framing == "none":
        assert bad(answer, tmp_path).kind is FailureKind.TRUNCATED
    else:
        assert good(answer).size == 0


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (sends(coding="compress"), FailureKind.CONTENT, "'compress', and --compressed knows gzip"),
        (sends(coding="gzip, " * 9 + "br"), FailureKind.CONTENT, "10 codings one above the other"),
        (sends(BODY), FailureKind.PROTOCOL, "not the gzip that its Content-Encoding says"),
        (sends(CODED + b"more"), FailureKind.PROTOCOL, "follows the end of the coded body"),
    ],
)
def test_what_cannot_be_decoded_says_so(
    reply: Reply, kind: FailureKind, said: str, server: Server, tmp_path: Path
) -> None:
    fail = bad(attempt(tmp_path, server.on("/f.csv", reply)), tmp_path)
    assert (fail.kind, fail.transient) == (kind, False)
    assert said in fail.message


def test_the_words_of_a_refusal_are_decoded(server: Server, tmp_path: Path) -> None:
    words = gzip.compress(b"no such table")
    url = server.on("/f.csv", Reply(404, (GZIP, ("Content-Type", "text/plain")), words))
    assert "no such table" in bad(attempt(tmp_path, url), tmp_path).message


# --- what is held against the decoded bytes, and what against the coded ones ---


@pytest.mark.parametrize(
    ("files", "task", "kind"),
    [
        ({"max_size": len(BODY)}, {}, None),
        ({"max_size": len(BODY) - 1}, {}, FailureKind.SIZE),
        ({"min_size": len(BODY)}, {}, None),
        ({"min_size": len(BODY) + 1}, {}, FailureKind.SIZE),
        ({}, {"size": len(BODY)}, None),
        ({}, {"size": len(CODED)}, FailureKind.SIZE),
        ({}, {"size": len(BODY) + 1}, FailureKind.SIZE),
        ({}, {"checksum": digest(BODY)}, None),
        ({}, {"checksum": digest(CODED)}, FailureKind.CHECKSUM),
        ({}, {"pieces": Pieces("sha1", len(BODY), hashlib.sha1(BODY).digest())}, None),
        ({}, {"pin": Pin(digest(BODY), len(BODY), "l:1")}, None),
        ({}, {"pin": Pin(digest(CODED), len(CODED), "l:1")}, FailureKind.SIZE),
    ],
)
def test_sizes_and_digests_are_those_of_the_file(
    files: dict[str, Any],
    task: dict[str, Any],
    kind: FailureKind | None,
    server: Server,
    tmp_path: Path,
) -> None:
    url = server.on("/f.csv", sends())
    answer = attempt(tmp_path, url, files=SIZES._replace(**files), **task)
    assert (None if isinstance(answer, Success) else answer.kind) == kind


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
@pytest.mark.parametrize("of", [CODED, BODY], ids=["coded", "decoded"])
def test_a_digest_that_the_server_declares_is_of_the_coded_bytes(
    field: str, of: bytes, server: Server, tmp_path: Path
) -> None:
    url = server.on("/f.csv", sends(CODED, declares(field, of)))
    answer = attempt(tmp_path, url, checksum=digest(BODY))
    if of is CODED:
        assert good(answer).checksum == digest(BODY)
        return
    fail = bad(answer, tmp_path)
    assert (fail.kind, fail.transient) == (FailureKind.CHECKSUM, True)
    assert f"({field}), the bytes have {digest(CODED)}" in fail.message


def test_a_sum_of_the_stored_object_is_of_the_coded_bytes(server: Server, tmp_path: Path) -> None:
    stored = ("x-goog-stored-content-encoding", "gzip")
    for number, (of, good_sum) in enumerate(((CODED, True), (BODY, False))):
        md5 = base64.b64encode(hashlib.md5(of).digest()).decode()
        url = server.on(f"/{number}", sends(CODED, stored, ("x-goog-hash", f"md5={md5}")))
        answer = attempt(tmp_path, url)
        assert isinstance(answer, Success) == good_sum
        assert good_sum or "(x-goog-hash)" in answer.message


@EVERY
def test_digests_that_are_asked_for_are_of_the_file(
    way: str, server: Server, tmp_path: Path
) -> None:
    server.on(WARM, File(b"warm"))
    url = server.on("/f.csv", sends(CODED, declares("Repr-Digest", CODED)))
    answer = good(attempt(tmp_path, url, LANES[way], files=SIZES._replace(digests=("sha256",))))
    assert answer.facts is not None
    assert answer.facts[3] == (digest(BODY),)


@pytest.mark.parametrize("way", ["requests", "cached"])
def test_the_kind_of_a_file_is_looked_for_in_the_decoded_bytes(
    way: str, server: Server, tmp_path: Path
) -> None:
    page = gzip.compress(b"<!doctype html><title>log in</title>" * 30)
    url = server.on("/f.csv", sends(page, ("Content-Type", "text/html")))
    fail = bad(attempt(tmp_path, url, LANES[way]), tmp_path)
    assert fail.kind is FailureKind.CONTENT


def test_a_bomb_ends_early_and_says_what_allows_it(server: Server, tmp_path: Path) -> None:
    size = 70_000_000
    url = server.on("/f.csv", sends(gzip.compress(bytes(size), 1)))
    fail = bad(attempt(tmp_path, url), tmp_path)
    assert (fail.kind, fail.transient) == (FailureKind.SIZE, False)
    assert "--max-size SIZE allows a file up to SIZE" in fail.message
    assert good(attempt(tmp_path, url, files=SIZES._replace(max_size=size))).size == size


# --- parts ---


def leave_part(place: Path, data: bytes, validator: Validator, total: int) -> None:
    (place / ".pdl").mkdir()
    part = Part(str(place), "1.part")
    part.start()
    part.versioned(validator, total)
    part.write(memoryview(data))
    part.leave(keep=True)


def test_a_part_of_the_file_itself_goes_on_without_a_coding(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, BODY[:5000], Validator(ETAG), len(BODY))
    url = server.on("/f.csv", Coding())
    assert good(attempt(tmp_path, url)).resumed_from == 5000
    assert (tmp_path / "f.csv").read_bytes() == BODY
    assert asked(server) == [("identity", "bytes=5000-")]


def test_a_part_of_coded_bytes_begins_anew(server: Server, tmp_path: Path) -> None:
    leave_part(tmp_path, CODED[:5000], Validator(ETAG, coding="gzip"), len(CODED))
    url = server.on("/f.csv", Coding())
    assert good(attempt(tmp_path, url)).resumed_from == 0
    assert (tmp_path / "f.csv").read_bytes() == BODY
    assert asked(server) == [("gzip, deflate, br, zstd", None)]


@pytest.mark.parametrize("status", [200, 206])
def test_a_range_that_comes_coded_is_asked_for_anew(
    status: int, server: Server, tmp_path: Path
) -> None:
    leave_part(tmp_path, BODY[:5000], Validator(ETAG), len(BODY))
    where = ("Content-Range", f"bytes 5000-{len(BODY) - 1}/{len(BODY)}")
    fields: Pairs = (GZIP, ("ETag", ETAG), *(((where),) if status == 206 else ()))
    ranged = Reply(status, fields, gzip.compress(BODY[5000:]))
    url = server.on("/f.csv", WhenRange(ranged, Coding()))
    assert good(attempt(tmp_path, url)).resumed_from == 0
    assert (tmp_path / "f.csv").read_bytes() == BODY
    assert len(asked(server)) == 2


def test_nothing_is_kept_of_a_coded_answer_that_breaks_off(server: Server, tmp_path: Path) -> None:
    body = pattern(3_000_000, 5)
    data = gzip.compress(body, 1)
    begin = head(200, (GZIP, ("ETag", ETAG), ("Content-Length", str(len(data)))))
    broken = Then(Raw(begin + data[:2_000_000]), Close())
    url = server.on("/f.csv", broken, sends(data, ("ETag", ETAG)))
    fail = bad(attempt(tmp_path, url), tmp_path)
    assert (fail.kind, fail.kept, fail.received) == (FailureKind.TRUNCATED, 0, 2_000_000)
    assert "are not kept: the server has coded them (--compressed)" in fail.message
    assert good(attempt(tmp_path, url, begun=True)).resumed_from == 0
    assert (tmp_path / "f.csv").read_bytes() == body
    assert [each[1] for each in asked(server)] == [None, None]


# --- whole runs ---


RunOf = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> RunOf:
    """Fetches one file into ``out``, and gives its row."""

    def go(
        url: str, *, compressed: bool = True, cache: bool = False, update: bool = True
    ) -> Result:
        found: list[Result] = []
        settings = Settings(
            http=HTTP._replace(compressed=compressed),
            pool=PoolSettings(engine="inline"),
            retry=RetrySettings(wait=0.01),
            files=FileSettings(if_exists="update" if update else "overwrite"),
            cache=CacheSettings(str(tmp_path / "cache") if cache else None),
        )
        note = lambda event: found.append(event) if isinstance(event, Result) else None  # noqa: E731
        download([url], str(tmp_path / "out"), settings=settings, on_event=note)
        return found[0]

    return go


def test_a_cut_is_tried_again_in_the_run(run: RunOf, server: Server, tmp_path: Path) -> None:
    begin = head(200, (GZIP, ("ETag", ETAG), ("Transfer-Encoding", "chunked")))
    row = run(server.on("/f.csv", Raw(begin + chunked(CODED[:-9])), Coding()))
    assert (row.outcome, row.size, row.attempts, row.resumed_from) == ("success", len(BODY), 2, 0)
    assert (tmp_path / "out" / "f.csv").read_bytes() == BODY
    assert {each[1] for each in asked(server)} == {None}


@pytest.mark.parametrize("coded_etag", [f"W/{ETAG}", '"one-gzip"'])
def test_what_has_not_changed_is_not_fetched_again(
    run: RunOf, coded_etag: str, server: Server, tmp_path: Path
) -> None:
    url = server.on("/f.csv", Coding(coded_etag=coded_etag))
    assert [run(url).outcome for _ in range(2)] == ["success", "unchanged"]
    changed = b"other," * 5000
    server.on("/f.csv", Coding(changed, '"two"', '"two-gzip"'))
    assert run(url).outcome == "success"
    assert (tmp_path / "out" / "f.csv").read_bytes() == changed


def test_an_update_decodes_what_was_kept_as_it_was_coded(
    run: RunOf, server: Server, tmp_path: Path
) -> None:
    url = server.on("/f.csv", File(CODED, etag=ETAG, headers=(GZIP,)))
    assert run(url, compressed=False).message.startswith("as the server coded it")
    assert run(url, compressed=False).outcome == "unchanged"
    assert run(url).outcome == "success"
    assert (tmp_path / "out" / "f.csv").read_bytes() == BODY


def test_a_304_that_speaks_of_the_coded_file_is_one_of_the_file(run: RunOf, server: Server) -> None:
    said = (("ETag", ETAG), declares("Repr-Digest", CODED))
    # RFC 9110 section 8.6: the length that a 200 would have had
    unchanged = Raw(head(304, (*said, ("Content-Length", str(len(CODED))))))
    url = server.on("/f.csv", sends(CODED, *said), unchanged)
    assert [run(url).outcome for _ in range(2)] == ["success", "unchanged"]
    assert len(server.requests()) == 2


def test_the_cache_keeps_both_forms_apart(run: RunOf, server: Server, tmp_path: Path) -> None:
    url = server.on("/f.csv", File(CODED, etag=ETAG, headers=(GZIP,)))
    for compressed, expected in ((False, CODED), (True, BODY)) * 2:
        run(url, compressed=compressed, cache=True, update=False)
        assert (tmp_path / "out" / "f.csv").read_bytes() == expected
    assert [each.header("If-None-Match") for each in server.requests()] == [None, None, ETAG, ETAG]


def test_the_command_says_it_and_remarks_on_nothing(
    pdl_run: Runner, server: Server, tmp_path: Path
) -> None:
    urls = [server.on(f"/{number}.csv", Coding()) for number in range(9)]
    done = pdl_run(*urls, env={"PDL_COMPRESSED": "1"})
    assert done.code == 0
    assert "coded" not in done.err
    assert {(tmp_path / f"{number}.csv").read_bytes() for number in range(9)} == {BODY}
    assert {each[0] for each in asked(server)} == {"gzip, deflate, br, zstd"}


# --- a real server ---


@pytest.mark.real
def test_the_files_of_nginx_are_those_of_curl(
    make_nginx: Callable[..., Nginx], pdl_run: Runner, tmp_path: Path
) -> None:
    need("curl", available=programs.find("curl") is not None)
    root = tmp_path / "root"
    root.mkdir()
    made = {f"{number}.txt": BODY * (number + 1) for number in range(20)}
    made["packed.tar.gz"] = CODED
    made["small.txt"] = b"too little for gzip"
    made["empty.txt"] = b""
    for name, body in made.items():
        (root / name).write_bytes(body)
    extra = "gzip on; gzip_types text/plain; gzip_min_length 100; gzip_proxied any;"
    nginx = make_nginx(root, extra=extra)
    urls = [nginx.url(f"/{name}") for name in made]
    assert pdl_run("--compressed", "-d", "out", *urls).code == 0
    for name, body in made.items():
        curl = subprocess.run(
            ["curl", "-sf", "--compressed", nginx.url(f"/{name}")], capture_output=True, check=True
        )
        assert (tmp_path / "out" / name).read_bytes() == curl.stdout == body
    pdl_sent = sum(row.bytes for row in nginx.wait_log(2 * len(made))[: len(made)])
    assert pdl_sent < sum(map(len, made.values())) / 2
    assert "unchanged" in pdl_run("--compressed", "-N", "-d", "out", *urls).err
