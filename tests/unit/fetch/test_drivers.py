"""No setting is forgotten on one way: each field is honoured or declined, by every driver."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pdl.auth.credentials import BEARER, Credentials, Named
from pdl.fetch.blocking import Fetcher
from pdl.fetch.fast_path import FastPath
from pdl.fetch.from_cache import CacheLane
from pdl.fetch.lane_factory import Fetching
from pdl.model import Answer, Pieces, Pin, SafePath, Served, Task, Version
from pdl.pool.inline import InlineMeter
from pdl.settings import CacheSettings, FileSettings, HttpSettings, Resolved
from pdl.sources.rewriting import HostPolicy, HostRule
from pdl.storage.cache.store import prepare
from pdl.text.host_tables import HostTable
from pdl.transport.http.head import message
from pdl.transport.http.keepalive import KeepaliveTransport
from quicklane import WARM, QuickLane
from servers.behaviours import Reply
from servers.files import File
from servers.row import ETAG, pattern

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdl.transport import Request, Response
    from pdl.transport.http.connection import Connection
    from servers.misbehave import Server
    from servers.wire import Behaviour, Seen

Kind = type[HttpSettings] | type[FileSettings] | type[Task]
KINDS: tuple[Kind, ...] = (HttpSettings, FileSettings, Task)
USUAL: dict[Any, Any] = {
    HttpSettings: HttpSettings(timeout=20.0, connect_timeout=5.0),
    FileSettings: FileSettings(),
    Task: Task(1, "", SafePath("a.bin"), "1.part"),
}
BODY = pattern(4096, 7)
SHA1 = "sha1:" + "0" * 40
OTHER: dict[tuple[Any, str], tuple[Any, ...]] = {
    (HttpSettings, "headers"): ((("X-Key", "mine"),), (("Host", "else.where"),)),
    (HttpSettings, "user_agent"): ("other/1",),
    (HttpSettings, "referer"): ("http://from.example/",),
    (HttpSettings, "proxy"): ("http://127.0.0.1:9",),
    (HttpSettings, "cacert"): ("/nowhere.pem",),
    (HttpSettings, "cert"): ("/nowhere.pem",),
    (HttpSettings, "key"): ("/nowhere.pem",),
    (HttpSettings, "insecure"): (True,),
    (HttpSettings, "connect_timeout"): (9.0,),
    (HttpSettings, "timeout"): (9.0,),
    (HttpSettings, "max_redirects"): (0,),
    (HttpSettings, "https_only"): (True,),
    (HttpSettings, "public_only"): (True,),
    (HttpSettings, "ip_version"): (4, 6),
    (HttpSettings, "resolve"): ((Resolved("127.0.0.1", 80, ("192.0.2.1",)),),),
    (HttpSettings, "lookups"): (1,),
    (HttpSettings, "min_speed"): (1.0,),
    (HttpSettings, "tell_heads"): (True,),
    (HttpSettings, "limit_rate"): ("1M",),
    (HttpSettings, "hosts_kept"): (1,),
    (HttpSettings, "pipe"): (False,),
    (HttpSettings, "retry_statuses"): (frozenset({404}), frozenset()),
    (HttpSettings, "credentials"): (Credentials({"127.0.0.1": [Named(None, "x", BEARER)]}),),
    (HttpSettings, "hosts"): (
        (HostTable("127.0.0.1", (("http.user_agent", "other/2"),)),),
        (HostTable("*.else.where", (("http.user_agent", "other/2"),)),),
    ),
    (HttpSettings, "compressed"): (True,),
    (HttpSettings, "policy"): (HostPolicy("f", block=(HostRule("*", 1),)),),
    (FileSettings, "directory"): ("elsewhere",),
    (FileSettings, "mtime"): (False,),
    (FileSettings, "fsync"): (True,),
    (FileSettings, "if_exists"): ("overwrite", "update", "fail"),
    (FileSettings, "trust_existing"): (True,),
    (FileSettings, "content_check"): (False,),
    (FileSettings, "max_time"): (9.0,),
    (FileSettings, "max_size"): (len(BODY) - 1, len(BODY)),
    (FileSettings, "min_size"): (len(BODY) + 1, len(BODY)),
    (FileSettings, "min_free"): (1, 1 << 60),
    (FileSettings, "expect_types"): (("image/*",), ("application/octet-stream",)),
    (FileSettings, "reserved"): (("a.bin",),),
    (FileSettings, "split"): (1, 16),
    (FileSettings, "min_split"): (1,),
    (FileSettings, "digests"): (("sha1",), ("sha256", "md5")),
    (FileSettings, "digest_there"): (True,),
    (FileSettings, "describe"): (True,),
    (Task, "id"): (7,),
    (Task, "url"): ("/declared.bin",),
    (Task, "path"): (SafePath("d/other.zip"),),
    (Task, "part"): ("7.part",),
    (Task, "headers"): ((("X-Key", "mine"),),),
    (Task, "checksum"): (SHA1,),
    (Task, "size"): (1, len(BODY)),
    (Task, "fragile"): (True,),
    (Task, "pieces"): (Pieces("sha1", len(BODY), bytes(20)),),
    (Task, "pin"): (Pin(), Pin("sha256:" + "0" * 64, 1, "l:1")),
    (Task, "local"): (True,),
    (Task, "begun"): (True,),
    (Task, "doubted"): (True,),
    (Task, "scarce"): ("127.0.0.1:8",),
    (Task, "helps"): (True,),
    (Task, "as_listed"): (True,),
    (Task, "remember"): (True,),
    (Task, "version"): (Version(1, 1, 1, ETAG, None, 9, 9),),
    (Task, "other_parts"): (("9.part",),),
    (Task, "kin"): (("8.part",),),
    (Task, "served"): (Served("0" * 16, named=True, replaces=False, alone=False),),
}
"""Values that are not the default, for every field that a worker is told."""
FILES: dict[str, Behaviour] = {
    "/a.bin": File(BODY, etag=ETAG, last_modified=1_000_000_000),
    "/declared.bin": Reply(200, (("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),), BODY),
    "/page.zip": Reply(200, (("Content-Type", "text/html"),), b"<html>log in"),
    "/typed.bin": Reply(200, (("Content-Type", "application/octet-stream"),), BODY),
    "/part.bin": Reply(200, (("Content-Range", "bytes 5-9/10"),), BODY),
    "/there.bin": Reply(302, (("Location", "/a.bin"),)),
    "/gone.bin": Reply(404),
    "/busy.bin": Reply(503, (("Retry-After", "3"),)),
    "/old.bin": Reply(304),
    "/empty.bin": File(b""),
}


def said(decided: bool) -> list[Any]:
    """Every value of the fields that the fast path honours, or declines."""
    table = FastPath.HONOURS if decided else FastPath.DECLINES
    return [
        pytest.param(kind, name, value, id=f"{kind.__name__}.{name}={value!r:.20}")
        for kind in KINDS
        for name in sorted(table[kind])
        for value in OTHER[kind, name]
    ]


# --- the tables ---


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_is_in_exactly_one_table(kind: Kind) -> None:
    honours, declines = FastPath.HONOURS[kind], FastPath.DECLINES[kind]
    assert honours & declines == set()
    assert honours | declines == set(kind._fields)


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_is_tried(kind: Kind) -> None:
    assert {name for of, name in OTHER if of is kind} == set(kind._fields)
    for name in kind._fields:
        assert getattr(USUAL[kind], name) not in OTHER[kind, name]


class NoConnection:
    """Has none, and notes who wanted one."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def ask(self, _: str, data: bytes) -> Connection | None:
        """Note it."""
        self.asked.append(data)
        return None

    def keep(self, _: str, kept: Connection) -> None:  # noqa: ARG002 - the transport's shape
        """Never asked for."""
        raise AssertionError


def asks(kind: Kind | None = None, name: str = "", value: object = None) -> list[bytes]:
    """What the fast path asks when one field has the value."""
    told = {**USUAL, Task: USUAL[Task]._replace(url="http://h/a.bin")}
    if kind is not None:
        told[kind] = told[kind]._replace(**{name: value})
    transport = NoConnection()
    path = FastPath(
        transport,  # type: ignore[arg-type]
        told[HttpSettings],
        told[FileSettings],
        mmap.mmap(-1, 4096),
    )
    assert path.begin(told[Task], InlineMeter()) is None
    return transport.asked


@pytest.mark.parametrize(("kind", "name", "value"), said(decided=False))
def test_what_is_declined_is_handed_over_unseen(kind: Kind, name: str, value: object) -> None:
    assert len(asks()) == 1
    assert asks(kind, name, value) == []


@pytest.mark.parametrize("url", ["http://h/a.bin", "http://h:8080/b?c=%20d"])
def test_the_fast_path_asks_what_the_other_way_asks(url: str) -> None:
    requests: list[bytes] = []

    class Recording(NoConnection):
        def open(self, request: Request) -> Response:
            origin, _, target = request.url.partition("//")[2].partition("/")
            requests.append(message(f"http://{origin}", f"/{target}", request.headers))
            raise OSError

    http = HttpSettings(headers=(("X-Key", "mine"), ("accept", "text/*")), user_agent="\u00e9/1")
    files, task = FileSettings(), Task(1, url, SafePath("a.bin"), "1.part")
    transport = Recording()
    path = FastPath(transport, http, files, mmap.mmap(-1, 4096))  # type: ignore[arg-type]
    assert path.begin(task, InlineMeter()) is None
    Fetcher(transport, http, files)(task, InlineMeter())  # type: ignore[arg-type]
    assert transport.asked == requests


# --- the same on the wire ---


class Came(NamedTuple):
    """What came of an attempt: of the answer, and on the disk."""

    answer: Answer
    proven: bool
    files: dict[str, tuple[int, bytes]]
    asked: list[tuple[str, tuple[tuple[str, str], ...]]]


def quick_lane(http: HttpSettings, files: FileSettings) -> QuickLane:
    lane = QuickLane(http, files)
    lane.lane = Fetching(http, files)()  # type: ignore[assignment]
    return lane


def cached_lane(http: HttpSettings, files: FileSettings) -> Fetcher:
    cache = prepare(CacheSettings(f"{files.directory}.cache"), pytest.fail)
    assert cache is not None
    return Fetcher(KeepaliveTransport(http), http, files, CacheLane(http, files, cache))


LANES: dict[str, Callable[[HttpSettings, FileSettings], Fetcher | QuickLane]] = {
    "blocking": lambda http, files: Fetcher(KeepaliveTransport(http), http, files),
    "quick": quick_lane,
    "cached": cached_lane,
}


def fields_of(seen: Seen) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in seen.headers))


def came(way: str, server: Server, home: Path, path: str, told: dict[Any, Any]) -> Came:
    """What comes of one file on one way.

    Args:
        way: of `LANES`.
        server: has it.
        home: a directory for this alone.
        path: the file's.
        told: as `USUAL` has it.
    """
    out = home / told[FileSettings].directory
    (out / ".pdl").mkdir(parents=True)
    files = told[FileSettings]._replace(directory=str(out))
    task = told[Task]._replace(url=server.url(told[Task].url or path))
    lane, before = LANES[way](told[HttpSettings], files), len(server.requests())
    try:
        answer = lane(task, InlineMeter())
    finally:
        lane.close()
    new = [seen for seen in server.requests()[before:] if seen.path != WARM]
    asked = [(seen.path, fields_of(seen)) for seen in new]
    gone: dict[str, Any] = {"checksum": None, "version": None} if answer.word == "success" else {}
    message = answer.message.replace(str(out), "OUT")
    found = {
        str(each.relative_to(out)): (int(each.stat().st_mtime) // 10**8, each.read_bytes())
        for each in sorted(out.rglob("*"))
        if each.is_file() and each.suffix != ".json"
    }
    proven = answer.word == "success" and bool(answer.checksum)
    return Came(
        answer._replace(seconds=0.0, first=None, message=message, **gone), proven, found, asked
    )


@pytest.mark.parametrize(("kind", "name", "value"), said(decided=True))
def test_what_is_honoured_gives_the_same_outcome(
    kind: Kind, name: str, value: object, server: Server, tmp_path: Path
) -> None:
    server.on(WARM, File(b"warm"))
    told = {**USUAL, kind: USUAL[kind]._replace(**{name: value})}
    for number, (path, behaviour) in enumerate(FILES.items()):
        server.on(path, behaviour)
        one, other = (
            came(way, server, tmp_path / f"{way}{number}", path, told)
            for way in ("blocking", "quick")
        )
        assert one == other, path


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "value"), [*said(decided=True), *said(decided=False)])
def test_a_cache_that_has_nothing_changes_nothing(
    kind: Kind, name: str, value: object, server: Server, tmp_path: Path
) -> None:
    told = {**USUAL, kind: USUAL[kind]._replace(**{name: value})}
    for number, (path, behaviour) in enumerate(FILES.items()):
        server.on(path, behaviour)
        one, other = (
            came(way, server, tmp_path / f"{way}{number}", path, told)
            for way in ("blocking", "cached")
        )
        assert one._replace(proven=other.proven) == other, path


def test_the_fast_path_takes_what_is_usual(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".pdl").mkdir()
    server.on(WARM, File(b"warm"))
    lane = quick_lane(USUAL[HttpSettings], FileSettings(directory=str(tmp_path)))
    for path, behaviour in FILES.items():
        url = server.on(path, behaviour)
        lane.cool()  # a body that is not wanted costs its connection
        lane(Task(1, url, SafePath(path[1:]), "1.part"), InlineMeter())
    lane.close()
    # at hand over: what is wrong with the body, and redirects
    assert lane.ways == {"quick": 6, "call": 4}


# --- statuses that are tried again ---


@pytest.mark.parametrize("way", ["blocking", "cached", "quick"])
@pytest.mark.parametrize("again", [frozenset({404, 500}), frozenset({500})])
def test_what_is_tried_again_is_said_by_the_user_on_every_way(
    way: str, again: frozenset[int], server: Server, tmp_path: Path
) -> None:
    server.on(WARM, File(b"warm"))
    server.on("/gone.bin", Reply(404))
    told = {**USUAL, HttpSettings: HttpSettings(retry_statuses=again)}
    answer = came(way, server, tmp_path / "x", "/gone.bin", told).answer
    assert answer.word == "fail"
    assert answer.transient == (404 in again)
