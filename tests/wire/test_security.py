"""What other downloaders were caught doing, and the limits that the user sets."""

from __future__ import annotations

import hashlib
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from marks import slow
from pdl.errors import UsageError
from pdl.fetch import blocking, lane_factory
from pdl.model import Item, Result
from pdl.run.download import download
from pdl.settings import FileSettings, HttpSettings, PoolSettings, RetrySettings, Settings
from pdl.transport import Request, TransportError, min_speed
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.requests_ import RequestsTransport
from runner import base_environment
from servers.behaviours import Close, Pause, Raw, Reply, Then, chunk, head
from servers.certs import Authority
from servers.files import File
from servers.framing import tls_cut_without_goodbye
from servers.misbehave import Server
from servers.programs import free_port
from servers.redirects import redirect_to
from servers.row import BODY, cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner import Run, Runner

CANARY = "c4n4ry-5ecret"
QUICK = Settings(
    http=HttpSettings(timeout=5.0, connect_timeout=5.0),
    retry=RetrySettings(retries=1, wait=0.01),
    pool=PoolSettings(engine="inline"),
)


@pytest.fixture(params=[RequestsTransport, KeepaliveTransport])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every lane of this process use one transport."""
    make = request.param
    monkeypatch.setattr(
        lane_factory.Fetching,
        "__call__",
        lambda self: blocking.Fetcher(make(self.http), self.http, self.files),
    )


def rows_of(items: list[str | Item], directory: Path, settings: Settings = QUICK) -> list[Result]:
    events: list[Any] = []
    download(items, str(directory), jobs=1, settings=settings, on_event=events.append)
    return [event for event in events if isinstance(event, Result)]


def row_of(item: str | Item, directory: Path, settings: Settings = QUICK) -> Result:
    (row,) = rows_of([item], directory, settings)
    return row


# --- secrets in what is shown and written ---


def holding(needle: str, directory: Path) -> list[str]:
    """The files below whose name or content has the needle in it."""
    return [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if needle in path.name or (path.is_file() and needle.encode() in path.read_bytes())
    ]


def secret_list(server: Server) -> str:
    """Lines whose secrets are in every place that has room for one, and that end in many ways."""
    host = server.base.partition("//")[2]
    signed = f"?X-Amz-Signature={CANARY}&X-Amz-Credential={CANARY}&sig={CANARY}&token={CANARY}"
    more = f"&key={CANARY}&signature={CANARY}&X-Goog-Signature={CANARY}"
    fields = (f"Authorization: Bearer {CANARY}", f"Cookie: s={CANARY}", f"X-Api-Key: {CANARY}")
    options = "".join(f"  header={field}\n" for field in fields)
    server.on("/good.bin", File(BODY, etag='"one"'))
    server.on("/cut.bin", cut((("ETag", '"one"'),)))
    server.on("/away.bin", *redirect_to(f"http://u:{CANARY}@{host}/gone.bin{signed}{more}"))
    server.on("/bad.bin", *redirect_to(f"ftp://u:{CANARY}@{host}/gone.bin{signed}{more}"))
    server.on("/loop.bin", *redirect_to(f"/loop.bin{signed}"))
    paths = ("good", "cut", "away", "bad", "loop", "gone")
    urls = [f"http://user:{CANARY}@{host}/{path}.bin{signed}{more}" for path in paths]
    urls += [
        f"ftp://user:{CANARY}@{host}/x{signed}",
        f"http://user:{CANARY}@{host}:999999/{signed}",
    ]
    urls += [f"http://{CANARY}@[::1/x", f"http://127.0.0.1:1/refused.bin{signed}"]
    return "".join(f"{url}\n{options}" for url in urls)


@pytest.mark.parametrize("progress", ["plain", "json"])
def test_no_secret_is_shown_or_written(
    progress: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    (tmp_path / "urls.txt").write_text(secret_list(server))
    reports = ("--report", "rows.jsonl", "--report", "rows.json", "--failed", "failed.txt")
    limits = ("--retries", "1", "--retry-wait", "0.01", "--progress", progress, "-v", "-v")
    env = {"PDL_HEADER": f"X-More: {CANARY}"}
    ended = pdl_run("urls.txt", "-d", "out", *reports, *limits, env=env)
    assert ended.code == 1
    assert "http-404" in ended.err
    assert CANARY not in ended.out + ended.err
    assert sorted(holding(CANARY, tmp_path)) == ["failed.txt", "urls.txt"]
    assert stat.S_IMODE((tmp_path / "failed.txt").stat().st_mode) == 0o600
    sent = server.requests("/good.bin")[0]
    assert sent.header("X-More") == CANARY
    assert sent.header("X-Api-Key") == CANARY


def test_no_worker_has_a_secret_on_its_command_line(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    gate = threading.Event()
    server.on("/slow.bin", Then(Pause(60, gate), File(BODY)))
    host = server.base.partition("//")[2]
    (tmp_path / "urls.txt").write_text(f"http://user:{CANARY}@{host}/slow.bin?token={CANARY}\n")
    process = pdl_run.start("urls.txt", env={"PDL_HEADER": f"X-More: {CANARY}"})
    server.wait_for("/slow.bin")
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pdl_run.alive()]
    gate.set()
    assert pdl_run.finish(process).code == 0
    assert len(lines) > 1
    assert not [line for line in lines if CANARY.encode() in line]


def test_nothing_the_server_says_reaches_the_terminal_raw(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    red = b"\x1b[31mred\x07\x1b]0;title\x07"
    server.on("/a.bin", Raw(b"HTTP/1.1 404 " + red + b"\r\nContent-Length: 0\r\n\r\n"))
    server.on("/b.bin", Raw(b"HTTP/1.1 302 x\r\nLocation: ftp://" + red + b"\r\n\r\n"))
    server.on("/c.bin", Raw(red + b"\r\n\r\n"))
    server.on("/d.bin", Raw(b"HTTP/1.1 200 x\r\nContent-Length: " + red + b"\r\n\r\n"))
    urls = [server.url(f"/{name}.bin") for name in "abcd"]
    urls += [server.url("/%1b[31mred%07"), "http://h/\x1b[31mred"]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    ended = pdl_run("urls.txt", "-d", "out", "-v", "--report", "rows.jsonl", "--retries", "0")
    assert ended.code == 1
    assert not {"\x1b", "\x07"} & set(ended.err + ended.out)
    assert not {"\x1b", "\x07"} & set((tmp_path / "rows.jsonl").read_text())


# --- secrets on another origin ---

FIELDS = (("Authorization", f"Bearer {CANARY}"), ("Cookie", f"s={CANARY}"), ("X-Own", CANARY))


def everything_in(seen: Any) -> str:  # noqa: ANN401
    return repr((seen.target, seen.headers))


@pytest.fixture
def other() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.mark.parametrize("where", ["host", "port"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_secret_to_another_origin(
    status: int,
    where: str,
    transport: None,
    server: Server,
    other: Server,
    tmp_path: Path,
) -> None:
    there = other if where == "port" else server
    host = "localhost" if where == "host" else "127.0.0.1"
    there.on("/there.bin", Reply(302, (("Location", server.url("/back.bin")),)))
    to_there = (("Location", there.url("/there.bin", host)), ("Set-Cookie", f"c={CANARY}; Path=/"))
    server.on("/a.bin", Reply(status, to_there))
    server.on("/back.bin", File(BODY))
    url = server.url("/a.bin").replace("//", f"//user:{CANARY}@")
    settings = QUICK._replace(http=QUICK.http._replace(headers=(("X-Api-Key", CANARY),)))
    assert row_of(Item(url, headers=FIELDS, source="-"), tmp_path, settings).kind is None
    (first,) = server.requests("/a.bin")
    assert all(first.header(name) == value for name, value in FIELDS)
    assert first.header("X-Api-Key") == CANARY
    (away,) = there.requests("/there.bin")
    assert CANARY not in everything_in(away)
    assert away.header("Referer") is None
    (back,) = server.requests("/back.bin")
    assert f"c={CANARY}" not in everything_in(back)


def test_a_redirect_to_another_scheme_takes_no_secret(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    server.on("/plain.bin", File(BODY))
    with Server(tls=authority.good()) as safe:
        url = safe.on("/a.bin", *redirect_to(server.url("/plain.bin")))
        settings = QUICK._replace(http=QUICK.http._replace(cacert=str(authority.pem)))
        assert row_of(Item(url, headers=FIELDS, source="-"), tmp_path, settings).kind is None
        assert safe.requests("/a.bin")[0].header("X-Own") == CANARY
    (seen,) = server.requests("/plain.bin")
    assert CANARY not in everything_in(seen)


def test_a_users_field_is_not_replaced_from_netrc_nor_added(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login other password {CANARY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = server.on("/a.bin", File(BODY))
    mine = Item(url + "?1", headers=(("Authorization", "Bearer mine"),), source="-")
    rows_of([mine, url + "?2"], tmp_path / "out")
    assert [seen.header("Authorization") for seen in server.requests()] == ["Bearer mine", None]


# --- what is asked for ---


@pytest.mark.parametrize(
    "url",
    [
        "{base}/a\r\nX-Forged: yes",
        "{base}/a\nX-Forged: yes",
        "{base}/a HTTP/1.1\r\nX-Forged: yes\r\n\r\nGET /b",
        "{base}/a?q\rX-Forged: yes",
    ],
)
def test_a_line_break_in_a_url_forges_nothing(url: str, server: Server, tmp_path: Path) -> None:
    assert row_of(url.format(base=server.base), tmp_path).kind == "invalid-url"
    assert not server.requests()


BAD_FIELDS = [
    ("X-Own", "a\r\nX-Forged: yes"),
    ("X-Own", "a\nX-Forged: yes"),
    ("X-Own", "a\0b"),
    ("X-Own: a\r\nX-Forged", "yes"),
    ("X Own", "a"),
    ("", "a"),
]


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_a_line_break_in_a_field_forges_nothing(
    field: tuple[str, str], server: Server, tmp_path: Path
) -> None:
    good = server.on("/a.bin", File(BODY))
    rows = rows_of([good + "?1", Item(good + "?2", headers=(field,), source="-")], tmp_path)
    assert sorted(str(row.kind) for row in rows) == ["None", "invalid-url"]
    assert [seen.target for seen in server.requests()] == ["/a.bin?1"]
    settings = QUICK._replace(http=QUICK.http._replace(headers=(field,)))
    with pytest.raises(UsageError):
        rows_of([good], tmp_path, settings)


def test_a_field_in_any_script_goes_out_as_utf8(server: Server, tmp_path: Path) -> None:
    url = server.on("/a.bin", File(BODY))
    items = [Item(f"{url}?{n}", headers=(("X-Own", "\u00e9\u65e5"),), source="-") for n in range(2)]
    settings = QUICK._replace(http=QUICK.http._replace(user_agent="\u00e9\u65e5"))
    assert [row.kind for row in rows_of(list(items), tmp_path, settings)] == [None, None]
    for name in ("X-Own", "User-Agent"):
        sent = [(seen.header(name) or "").encode("latin-1") for seen in server.requests()]
        assert sent == ["\u00e9\u65e5".encode()] * 2


@pytest.mark.parametrize("hops", [2, 3])
def test_max_redirects_counts_hops(hops: int, server: Server, tmp_path: Path) -> None:
    server.on("/2.bin", File(BODY))
    server.on("/1.bin", *redirect_to("/2.bin"))
    server.on("/0.bin", *redirect_to("/1.bin"))
    settings = QUICK._replace(http=QUICK.http._replace(max_redirects=hops - 1))
    row = row_of(server.url("/0.bin"), tmp_path, settings)
    assert row.kind == ("redirect" if hops == 2 else None)
    assert len(server.requests()) == hops


def test_https_only_asks_nothing_in_the_clear(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    url = server.on("/a.bin", File(BODY))
    settings = QUICK._replace(http=QUICK.http._replace(https_only=True, cacert=str(authority.pem)))
    assert row_of(url, tmp_path, settings).kind == "policy"
    with Server(tls=authority.good()) as safe:
        safe.on("/b.bin", *redirect_to(url))
        safe.on("/c.bin", File(BODY))
        rows = rows_of([safe.url("/b.bin"), safe.url("/c.bin")], tmp_path, settings)
    assert [row.kind for row in rows] == ["redirect", None]
    assert server.connections == 0


def test_a_redirects_body_that_trickles_is_not_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdl.fetch.receiving.DRAIN_SECONDS", 0.1)
    fields = (("Location", "/b.bin"), ("Content-Length", "1000"))
    server.on("/a.bin", Then(Raw(head(302, fields)), Raw(bytes(1000), rate=10)))
    server.on("/b.bin", File(BODY))
    assert row_of(server.url("/a.bin"), tmp_path).kind is None
    assert server.sent("/a.bin") < 1000


# --- what is written ---


@pytest.mark.parametrize(
    "out",
    ["../escaped", "../../escaped", "/tmp/pdl-escaped", "a/../../escaped", ".."],
)
def test_the_list_chooses_no_place_outside(out: str, server: Server, tmp_path: Path) -> None:
    url = server.on("/a.bin", File(BODY))
    inside = tmp_path / "deep" / "inside"
    rows = rows_of(
        [
            Item(url, out=out, source="-", line=1),
            Item(url, directory=out, out="x.bin", source="-", line=2),
        ],
        inside,
    )
    assert all(row.kind == "name" for row in rows), rows
    assert not Path("/tmp/pdl-escaped").exists()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written == []


def test_the_list_cannot_name_a_file_of_pdls_own(server: Server, tmp_path: Path) -> None:
    url = server.on("/a.bin", File(BODY))
    rows_of(
        [
            Item(url, out=".pdl/lock", source="-", line=1),
            Item(url, directory=".pdl", source="-", line=2),
        ],
        tmp_path,
    )
    assert not (tmp_path / ".pdl").exists()


def test_a_link_at_the_name_is_replaced_and_not_followed(server: Server, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.bin").symlink_to(outside)
    settings = QUICK._replace(files=FileSettings(if_exists="overwrite"))
    assert row_of(server.on("/a.bin", File(BODY)), inside, settings).kind is None
    assert outside.read_text() == "mine"
    assert not (inside / "a.bin").is_symlink()
    assert (inside / "a.bin").read_bytes() == BODY


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_replaced_file_keeps_its_permissions(mode: int, server: Server, tmp_path: Path) -> None:
    old = tmp_path / "a.bin"
    old.write_bytes(b"old")
    old.chmod(mode)
    settings = QUICK._replace(files=FileSettings(if_exists="overwrite"))
    assert row_of(server.on("/a.bin", File(BODY)), tmp_path, settings).kind is None
    assert old.read_bytes() == BODY
    assert stat.S_IMODE(old.stat().st_mode) == mode


def test_a_wrong_digest_leaves_nothing(server: Server, tmp_path: Path) -> None:
    url = server.on("/a.bin", File(BODY, etag='"one"'))
    wrong = "sha256:" + hashlib.sha256(b"other").hexdigest()
    row = row_of(Item(url, checksum=wrong, source="-"), tmp_path)
    assert row.kind == "checksum"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def endless(*, chunked: bool) -> Then:
    piece = chunk(bytes(65_536)) if chunked else bytes(65_536)
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")
    start = head(200, (framing,))
    return Then(Raw(start), Raw(lambda: (piece for _ in range(1_000))), Close())


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("limit", ["max-size", "listed"])
def test_a_body_without_a_length_ends_at_the_limit(
    limit: str, chunked: bool, server: Server, tmp_path: Path
) -> None:
    url = server.on("/a.bin", endless(chunked=chunked))
    files = FileSettings(max_size=100_000 if limit == "max-size" else None)
    item = Item(url, size=100_000 if limit == "listed" else None, source="-")
    row = row_of(item, tmp_path, QUICK._replace(files=files))
    assert row.kind == "size"
    assert row.attempts == 1
    assert row.bytes < 2 << 20
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_max_size_takes_nothing_of_a_body_that_says_its_size(
    server: Server, tmp_path: Path
) -> None:
    url = server.on("/a.bin", File(BODY))
    row = row_of(url, tmp_path, QUICK._replace(files=FileSettings(max_size=len(BODY) - 1)))
    assert (row.kind, row.bytes) == ("size", 0)
    exact = QUICK._replace(files=FileSettings(max_size=len(BODY)))
    assert row_of(url, tmp_path, exact).kind is None


def test_min_speed_gives_up_what_trickles(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(min_speed, "WINDOW", 0.2)
    url = server.on("/a.bin", File(BODY, throttle=1_000))
    settings = QUICK._replace(http=QUICK.http._replace(min_speed=50_000))
    row = row_of(url, tmp_path, settings)
    assert (row.kind, row.attempts) == ("stalled", 2)
    assert row_of(server.on("/b.bin", File(BODY)), tmp_path, settings).kind is None


# --- TLS ---


def tls_settings(authority: Authority, **more: Any) -> Settings:  # noqa: ANN401
    return QUICK._replace(http=QUICK.http._replace(cacert=str(authority.pem), **more))


def test_a_trusted_authority_is_enough(authority: Authority, tmp_path: Path) -> None:
    with Server(tls=authority.good()) as safe:
        url = safe.on("/a.bin", File(BODY))
        assert row_of(url, tmp_path, tls_settings(authority)).kind is None
    assert (tmp_path / "a.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("expired", "expired"),
        ("wrong_host", "for elsewhere.example, and not valid for '127.0.0.1'"),
        ("self_signed", "self-signed|self signed"),
        ("unknown", "issuer|self-signed|self signed"),
    ],
)
def test_a_bad_certificate_is_refused_and_explained(
    bad: str, reason: str, authority: Authority, tmp_path: Path
) -> None:
    context = authority.good() if bad == "unknown" else getattr(authority, bad)()
    settings = QUICK if bad == "unknown" else tls_settings(authority)
    with Server(tls=context) as safe:
        row = row_of(safe.on("/a.bin", File(BODY)), tmp_path, settings)
        assert not safe.requests()
    assert (row.kind, row.attempts, row.transient) == ("tls", 1, False)
    assert any(word in row.message for word in reason.split("|")), row.message
    assert not (tmp_path / "a.bin").exists()


def test_insecure_takes_any_certificate_and_says_so(
    authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    with Server(tls=authority.self_signed()) as safe:
        url = safe.on("/a.bin", File(BODY))
        ended: Run = pdl_run(url, "--insecure", "--engine", "inline")
    assert ended.code == 0
    assert "--insecure" in ended.err
    assert "InsecureRequestWarning" not in ended.err
    assert (tmp_path / "a.bin").read_bytes() == BODY


@pytest.mark.parametrize("make", [RequestsTransport, KeepaliveTransport])
def test_an_insecure_transport_weakens_no_other(
    make: Callable[[HttpSettings], Any], authority: Authority
) -> None:
    with Server(tls=authority.self_signed()) as safe:
        request = Request(safe.on("/a.bin", File(b"")), ())
        loose, strict = make(HttpSettings(insecure=True)), make(HttpSettings())
        loose.open(request).close()
        with pytest.raises(TransportError, match="certificate"):
            strict.open(request)
        loose.close()
        strict.close()


def test_a_client_certificate_is_shown_to_who_wants_one(
    authority: Authority, tmp_path: Path
) -> None:
    mine = authority.files("me@example.org", stem="client")
    with Server(tls=authority.wanting_client_cert()) as safe:
        url = safe.on("/a.bin", File(BODY))
        without = row_of(url, tmp_path, tls_settings(authority))
        settings = tls_settings(authority, cert=str(mine.cert), key=str(mine.key))
        with_it = row_of(url, tmp_path, settings)
    # in TLS 1.3 the refusal comes after the handshake; a reset may overtake it on the wire
    assert without.kind in {"tls", "reset"}
    assert with_it.kind is None


def test_an_end_without_goodbye_is_no_end(
    transport: None, authority: Authority, tmp_path: Path
) -> None:
    with Server(tls=authority.good()) as safe:
        first = safe.on("/first.bin", File(b"first"))
        cut_off = safe.on("/a.bin", *tls_cut_without_goodbye())
        whole = Then(Raw(head(200, (("Connection", "close"),)) + BODY), Close())
        rows = rows_of(
            [first, cut_off, safe.on("/b.bin", whole)], tmp_path, tls_settings(authority)
        )
    assert {row.path: row.kind for row in rows} == {
        "first.bin": None,
        "a.bin": "truncated",
        "b.bin": None,
    }
    assert not (tmp_path / "a.bin").exists()
    assert (tmp_path / "b.bin").read_bytes() == BODY


# --- what was downloaded is no code ---

TAKEN_FOR_MODULES = ("multiprocessing", "requests", "socket", "signal", "json", "click", "idna")


PROGRAM = """
import sys
import pdl
if __name__ == "__main__":
    settings = pdl.Settings(pool=pdl.PoolSettings(start_method=sys.argv[3]))
    sys.exit(not pdl.download(sys.argv[1:2], settings=settings).ok)
"""


@pytest.mark.parametrize(
    ("command", "method"),
    [
        (command, method) if method == "forkserver" else slow(command, method)
        for command in ("script", "module", "program")
        for method in ("forkserver", "spawn", "fork")
    ],
)
def test_a_download_is_never_imported(
    command: str, method: str, server: Server, tmp_path: Path
) -> None:
    if method == "spawn" and sys.version_info < (3, 11):
        pytest.skip("Python 3.10 looks for modules in the current directory, and cannot be told")
    for name in TAKEN_FOR_MODULES:
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')\nraise SystemExit('imported')")
    url = server.on("/file.bin", File(b"content"))
    here = Path(sys.executable).parent / "pdl"
    program = tmp_path / "elsewhere" / "program.py"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    words = {"script": [str(here)], "module": ["-m", "pdl"], "program": [str(program)]}[command]
    ended = subprocess.run(
        [sys.executable, *words, url, "--start-method", method],
        cwd=tmp_path,
        env=base_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "imported").exists()
    assert (tmp_path / "file.bin").read_bytes() == b"content"


def test_a_certificate_for_many_names_is_told_by_the_first(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    authority = Authority(tmp_path_factory.mktemp("own"))
    files = authority.files("a.test", "*.b.test", "c.test", "d.test", "e.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    with Server(tls=context) as safe:
        row = row_of(safe.on("/a.bin", File(BODY)), tmp_path, tls_settings(authority))
    said = "the certificate is for a.test, *.b.test, c.test and 2 more, and not valid for "
    assert row.message == f"{said}'127.0.0.1'"


def test_a_failure_after_a_redirect_names_whom_was_asked(server: Server, tmp_path: Path) -> None:
    port = free_port()
    url = server.on("/a.bin", *redirect_to(f"http://127.0.0.2:{port}/b.bin"))
    row = row_of(url, tmp_path, QUICK)
    assert (row.kind, row.message) == (
        "connect",
        f"redirected to 127.0.0.2:{port}: Connection refused",
    )
    server.on("/a.bin", *redirect_to("/none"))
    assert "redirected" not in row_of(url, tmp_path, QUICK).message
