"""Several URLs for one item: the next is asked when one fails, and nothing of the two mixes."""

from __future__ import annotations

import hashlib
import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from marks import slow
from pdl.model import Event, Item, Outcome, Result, Retrying
from pdl.run.download import download
from pdl.scheduling.mirrors import SHOWN
from pdl.settings import HttpSettings, PoolSettings, RetrySettings, Settings
from servers.behaviours import Close, Pause, Raw, Reply, Then, head
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runner import Runner
    from servers.wire import Behaviour

BODY = bytes(range(256)) * 64
DIGEST = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
GOOD = File(BODY, etag='"v"')
WRONG = File(BODY[::-1], etag='"v"')
HALF = len(BODY) // 2
CUT = Then(
    Raw(head(200, (("Content-Length", str(len(BODY))), ("ETag", '"v"'))) + b"x" * HALF), Close()
)
"""Half a file of another version under the same entity tag."""


@pytest.fixture
def make_server() -> Iterator[Callable[..., Server]]:
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Server(**options))


@pytest.fixture
def refused() -> Iterator[str]:
    """The base URL of a port that is taken and nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


class Run:
    """One item at several servers, in this process."""

    def __init__(self, where: Path, *urls: str, retries: int = 2, **fields: object) -> None:
        self.events: list[Event] = []
        settings = Settings(
            http=HttpSettings(timeout=5.0, connect_timeout=5.0),
            retry=RetrySettings(retries=retries, wait=0.02),
            pool=PoolSettings(engine="inline"),
        )
        item = Item(urls[0], urls[1:], out="f", source="list", line=1)._replace(**fields)  # type: ignore[arg-type]
        download([item], str(where), settings=settings, on_event=self.events.append)
        (self.result,) = (event for event in self.events if isinstance(event, Result))
        self.retries = [event for event in self.events if isinstance(event, Retrying)]
        self.state = where / ".pdl"
        self.file = where / "f"


def ranges(server: Server) -> list[str | None]:
    return [seen.header("Range") for seen in server.requests()]


# --- which is asked ---


def test_dead_then_wrong_then_good(
    make_server: Callable[..., Server], refused: str, pdl_run: Runner
) -> None:
    bad, good = make_server(), make_server()
    urls = [f"{refused}/f", bad.on("/f", WRONG), good.on("/f", GOOD)]
    listed = pdl_run.directory / "list"
    listed.write_text("\t".join(urls) + f"\n  checksum={DIGEST.replace(':', '=')}\n")
    run = pdl_run("list", "--retry-wait", "1000", "--report", "r.jsonl", "-v")
    assert run.code == 0, run.err
    assert (pdl_run.directory / "f").read_bytes() == BODY
    row = json.loads((pdl_run.directory / "r.jsonl").read_text())
    assert (row["url"], row["final_url"]) == (urls[0], urls[2])
    assert row["message"] == f"from mirror 2, {good.base.removeprefix('http://')}"
    assert (row["outcome"], row["attempts"], row["checksum"]) == ("success", 3, DIGEST)
    assert not (pdl_run.directory / ".pdl").exists()
    assert (len(bad.requests()), len(good.requests())) == (1, 1)


@pytest.mark.parametrize(
    "first",
    [
        Reply(404),
        Reply(503),
        Reply(429, (("Retry-After", "1000"),)),
        Reply(503, (("Retry-After", "100"),)),
        Reply(302),
        CUT,
        WRONG,
        Close(),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    ],
    ids=["404", "503", "429", "503-pause", "no-target", "cut", "wrong", "hangs-up", "no-http"],
)
def test_the_next_is_asked_at_once(
    tmp_path: Path, make_server: Callable[..., Server], first: Behaviour
) -> None:
    one, two = make_server(), make_server()
    run = Run(tmp_path, one.on("/f", first), two.on("/f", GOOD), checksum=DIGEST)
    assert run.file.read_bytes() == BODY
    assert [event.delay for event in run.retries] == [0.0]
    assert (run.result.final_url, run.result.attempts) == (two.url("/f"), 2)
    assert not run.state.exists()


def test_all_are_asked_once_a_round_and_rounds_are_what_the_budget_counts(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    one, two, three = make_server(), make_server(), make_server()
    urls = (one.on("/f", Reply(503)), two.on("/f", Reply(404)), three.on("/f", Reply(500)))
    run = Run(tmp_path, *urls, retries=2)
    assert [len(server.requests()) for server in (one, two, three)] == [3, 1, 3]
    assert [event.delay == 0 for event in run.retries] == [True, True, False, True, False, True]
    assert run.result.attempts == 7
    assert run.result.outcome is Outcome.FAIL


def test_what_each_said_is_told(tmp_path: Path, make_server: Callable[..., Server]) -> None:
    one, two = make_server(), make_server()
    urls = (one.on("/f", Reply(500)), two.on("/f", Reply(404)), "ftp://h/f?token=hush")
    settings = Settings(retry=RetrySettings(retries=0), pool=PoolSettings(engine="inline"))
    item = Item(urls[0], urls[1:], source="list", line=1)
    report = download([item], str(tmp_path), settings=settings)
    (row,) = report.failures
    assert (row.kind, row.transient) == ("http-500", True)
    assert row.message == (
        f"each of 3 URLs failed: 127.0.0.1:{one.port}: the server answered 500 Internal Server "
        f"Error; 127.0.0.1:{two.port}: the server answered 404 Not Found; "
        "mirror 2: only http and https can be downloaded, not ftp"
    )


def test_what_is_told_of_many_is_short(tmp_path: Path, make_server: Callable[..., Server]) -> None:
    server = make_server()
    run = Run(tmp_path, *(server.url(f"/{number}") for number in range(60)))
    assert len(server.requests()) == 60
    assert run.result.message.endswith(f"; and {60 - SHOWN} more")
    assert run.result.kind == "http-404"
    assert not run.result.transient


def test_the_same_url_twice_is_one_mirror(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    server = make_server()
    url = server.url("/f")
    run = Run(tmp_path, url, url, f"{url}#x", "ftp://h/f")
    assert len(server.requests()) == 1
    assert run.result.message.startswith("each of 2 URLs failed")


def test_what_is_no_mirrors_fault_asks_no_other(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    one, two = make_server(), make_server()
    (tmp_path / "d").write_text("in the way")
    run = Run(tmp_path, one.on("/f", GOOD), two.on("/f", GOOD), out="d/f")
    assert run.result.kind == "exists"
    assert (len(one.requests()), two.requests()) == (1, [])


def test_a_metalink_is_asked_by_priority(
    make_server: Callable[..., Server], pdl_run: Runner
) -> None:
    one, two, three = make_server(), make_server(), make_server()
    (pdl_run.directory / "l.meta4").write_text(
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="f">'
        f"<url priority='3'>{three.on('/f', GOOD)}</url><url priority='2'>{two.on('/f', GOOD)}"
        f"</url><url priority='1'>{one.on('/f', Reply(404))}</url></file></metalink>"
    )
    run = pdl_run("l.meta4")
    assert run.code == 0, run.err
    assert [len(server.requests()) for server in (one, two, three)] == [1, 1, 0]


# --- what goes where ---


def test_headers_go_to_the_items_own_origin_alone(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    one, two = make_server(), make_server()
    one.on("/a", Reply(404))
    two.on("/b", Reply(404))
    one.on("/c", Reply(404))
    urls = (
        one.url("/a").replace("//", "//me:pw@"),
        two.url("/b"),
        one.url("/c"),
        one.url("/d", "localhost"),
    )
    Run(tmp_path, *urls, headers=(("X-Key", "secret"), ("Cookie", "c=1")))
    asked = [*one.requests(), *two.requests()]
    sent = {seen.path: (seen.header("X-Key"), seen.header("Cookie")) for seen in asked}
    own, none = ("secret", "c=1"), (None, None)
    assert sent == {"/a": own, "/b": none, "/c": own, "/d": none}
    assert [seen.path for seen in asked if seen.header("Authorization")] == ["/a"]


def test_bytes_of_two_mirrors_never_mix(tmp_path: Path, make_server: Callable[..., Server]) -> None:
    """Both give the same strong entity tag, and no digest would find it out."""
    one, two = make_server(), make_server()
    run = Run(tmp_path, one.on("/f", CUT), two.on("/f", GOOD))
    assert run.file.read_bytes() == BODY
    assert ranges(two) == [None]
    assert not run.state.exists()


def test_a_mirror_goes_on_with_its_own_part(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    one, two = make_server(), make_server()
    half = Then(
        Raw(head(200, (("Content-Length", str(len(BODY))), ("ETag", '"v"'))) + BODY[:HALF]), Close()
    )
    run = Run(tmp_path, one.on("/f", half, GOOD), two.on("/f", CUT, Reply(500)))
    assert run.file.read_bytes() == BODY
    assert (ranges(one), ranges(two)) == ([None, f"bytes={HALF}-"], [None])
    assert (run.result.resumed_from, run.result.final_url) == (HALF, one.url("/f"))
    assert not run.state.exists()


def test_parts_stay_for_the_next_run_and_go_when_one_is_whole(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    one, two = make_server(), make_server()
    urls = one.on("/f", CUT), two.on("/f", CUT)
    run = Run(tmp_path, *urls, retries=0)
    assert run.result.kind == "truncated"
    assert len(list(run.state.glob("*.part"))) == 2
    one.on("/f", Reply(404))
    two.on("/f", GOOD)
    run = Run(tmp_path, *urls, retries=0)
    assert run.result.outcome is Outcome.SUCCESS
    assert not run.state.exists()


def test_mirrors_that_drop_after_new_bytes_use_up_no_round(
    tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    one, two = make_server(), make_server()
    step = len(BODY) // 8

    def dropping(start: int) -> Behaviour:
        where = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        fields = (("Content-Length", str(len(BODY) - start)), ("ETag", '"v"'))
        first = head(206, (*fields, ("Content-Range", where))) if start else head(200, fields)
        return Then(Raw(first + BODY[start : start + step]), Close())

    drops = [dropping(start) for start in range(0, len(BODY), step)]
    urls = one.on("/f", *drops), two.on("/f", Reply(503))
    run = Run(tmp_path, *urls, retries=1)
    assert run.result.outcome is Outcome.SUCCESS
    assert run.file.read_bytes() == BODY
    assert len(one.requests()) == len(drops)


@pytest.mark.slow
def test_the_failure_list_tries_all_of_them_again(
    make_server: Callable[..., Server], pdl_run: Runner
) -> None:
    one, two = make_server(), make_server()
    urls = one.on("/f", Reply(404)), two.on("/f", Reply(500), GOOD), "ftp://h/f"
    (pdl_run.directory / "list").write_text("\t".join(urls) + "\n")
    assert pdl_run("list", "--retries", "0", "--failed", "failed").code == 1
    assert "\t".join(urls) in (pdl_run.directory / "failed").read_text().splitlines()
    run = pdl_run("failed", "--retries", "0")
    assert run.code == 0, run.err
    assert (pdl_run.directory / "f").read_bytes() == BODY


@pytest.mark.slow
def test_an_update_shows_each_mirror_only_what_it_said_itself(
    make_server: Callable[..., Server], pdl_run: Runner
) -> None:
    """The first is back with another version under the entity tag that the second had given."""
    one, two = make_server(), make_server()
    one.on("/f", Reply(404))
    (pdl_run.directory / "list").write_text(f"{one.url('/f')}\t{two.on('/f', GOOD)}\n")
    assert pdl_run("list", "--update").code == 0
    run = pdl_run("list", "--update", "--error-on-no-transfer")
    assert run.code == 9, run.err
    assert [seen.header("If-None-Match") for seen in two.requests()] == [None, '"v"']
    one.on("/f", WRONG)
    assert pdl_run("list", "--update").code == 0
    assert (pdl_run.directory / "f").read_bytes() == WRONG.body
    assert len(two.requests()) == 2


@pytest.mark.slow
def test_a_locked_file_may_come_from_any_mirror_and_is_then_asked_of_none(
    make_server: Callable[..., Server], pdl_run: Runner
) -> None:
    one, two = make_server(), make_server()
    (pdl_run.directory / "list").write_text(f"{one.on('/f', GOOD)}\t{two.on('/f', GOOD)}\n")
    assert pdl_run("list", "--lock", "l").code == 0
    file = pdl_run.directory / "f"
    file.unlink()
    one.on("/f", WRONG)
    run = pdl_run("list", "--lock", "l", "--locked")
    assert run.code == 0, run.err
    assert file.read_bytes() == BODY
    file.write_bytes(BODY[::-1])
    asked = len(one.requests()), len(two.requests())
    run = pdl_run("list", "--lock", "l", "--locked")
    assert run.code == 1
    assert "on this disk" in run.err
    assert asked == (len(one.requests()), len(two.requests())) == (2, 1)


# --- a thousand ---

ITEMS = 1000
JOBS = 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "dead",
    [slow(Pause(300.0)), Reply(500), Reply(503, (("Retry-After", "100"),)), Close()],
    ids=["silent", "500", "503-pause", "hangs-up"],
)
def test_a_dead_first_mirror_is_not_asked_a_thousand_times(
    make_server: Callable[..., Server], pdl_run: Runner, dead: Behaviour
) -> None:
    first = make_server(fallback=lambda _: (dead,))
    second = make_server(fallback=lambda path: (Reply(200, (), path.encode()),))
    (pdl_run.directory / "list").write_text(
        "".join(f"{first.url(f'/{n}')}\t{second.url(f'/{n}')}\n" for n in range(ITEMS))
    )
    run = pdl_run("list", "-j", str(JOBS), "--timeout", "1", "-d", "out", "--report", "r.jsonl")
    assert run.code == 0, run.err
    files = {path.name: path.read_text() for path in (pdl_run.directory / "out").iterdir()}
    assert files == {str(n): f"/{n}" for n in range(ITEMS)}
    # those under way when the third failed, and what waited in the workers behind them
    most = 3 * JOBS if isinstance(dead, Pause) else ITEMS // 10
    assert 1 <= max(len(first.requests()), first.connections) <= most
    assert len(second.requests()) == ITEMS
    rows = [json.loads(line) for line in (pdl_run.directory / "r.jsonl").read_text().splitlines()]
    assert {row["final_url"] for row in rows} == {second.url(f"/{n}") for n in range(ITEMS)}


def test_a_first_mirror_that_takes_no_connection_is_not_asked_a_thousand_times(
    make_server: Callable[..., Server], pdl_run: Runner
) -> None:
    """Its queue is full: a connection is neither taken nor refused."""
    second = make_server(fallback=lambda path: (Reply(200, (), path.encode()),))
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = full.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        (pdl_run.directory / "list").write_text(
            "".join(f"http://127.0.0.1:{port}/{n}\t{second.url(f'/{n}')}\n" for n in range(ITEMS))
        )
        options = ("-d", "out", "--connect-timeout", "1", "--timeout", "1", "--report", "r.jsonl")
        run = pdl_run("list", "-j", str(JOBS), *options)
    assert run.code == 0, run.err
    rows = [json.loads(line) for line in (pdl_run.directory / "r.jsonl").read_text().splitlines()]
    assert len(rows) == ITEMS
    assert {row["outcome"] for row in rows} == {"success"}
    again = [row for row in rows if row["attempts"] > 1]
    assert 1 <= len(again) <= 3 * JOBS
