"""Host tables of a configuration: what is said of a host holds there, and nowhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pdl.cli.main import command, read_values
from servers.behaviours import Reply
from servers.certs import Authority
from servers.files import File
from servers.heads import stall_before_head
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdl.settings import HttpSettings
    from runner import Runner

BODY = b"content"
ENGINES = ["process", "inline"]


@pytest.fixture
def two() -> Iterator[tuple[Server, Server]]:
    """Two servers, which differ by their port."""
    with Server() as one, Server() as other:
        yield one, other


def place(server: Server) -> str:
    return server.base.partition("://")[2].rstrip("/")


def config(tmp_path: Path, text: str) -> tuple[str, str]:
    path = tmp_path / "pdl.toml"
    path.write_text(text)
    path.chmod(0o600)
    return "--config", str(path)


def sent(server: Server, name: str) -> list[str | None]:
    found = [{key.lower(): value for key, value in seen.headers} for seen in server.requests()]
    return [fields.get(name) for fields in found]


def http_of(tmp_path: Path, text: str, *args: str) -> HttpSettings:
    """The settings that such a file gives."""
    context = command.make_context("pdl", ["list", *config(tmp_path, text), *args])
    return read_values(context)[0].http


# --- each option ---


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_fields_go_to_their_host_alone(
    engine: str, two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    text = f'header = "X-Team: all"\n[host."{place(one)}"]\nheader = "X-Team: one"\n'
    text += 'user-agent = "one/1"\n'
    urls = [server.on(f"/{n}.bin", File(BODY)) for n in range(6) for server in two]
    ended = pdl_run(*urls, *config(tmp_path, text), "--engine", engine, "-j", "2", "--tree")
    assert ended.code == 0, ended.err
    assert sent(one, "x-team") == ["one"] * 6
    assert sent(one, "user-agent") == ["one/1"] * 6
    assert sent(other, "x-team") == ["all"] * 6
    assert "one/1" not in sent(other, "user-agent")


def test_fields_do_not_follow_a_redirect(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    url = one.on("/a.bin", Reply(302, (("Location", other.on("/b.bin", File(BODY))),)))
    text = f'[host."{place(one)}"]\nheader = "X-Team: one"'
    assert pdl_run(url, *config(tmp_path, text)).code == 0
    assert sent(one, "x-team") == ["one"]
    assert sent(other, "x-team") == [None]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_each_host_has_its_own_authority(
    engine: str, pdl_run: Runner, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    both = [Authority(tmp_path_factory.mktemp("authority")) for _ in range(2)]
    with Server(tls=both[0].good()) as one, Server(tls=both[1].good()) as other:
        urls = [server.on(f"/{n}.bin", File(BODY)) for n in range(3) for server in (one, other)]
        text = f'[host."{place(one)}"]\ncacert = "{both[0].pem}"\n'
        rest = config(tmp_path, text)
        args = ("--engine", engine, "--tree", "--retries", "0", "-j", "2")
        half = pdl_run(*urls, *rest, *args)
        assert half.code == 1
        assert "3 succeeded, 3 failed" in half.err
        text += f'[host."{place(other)}"]\ncacert = "{both[1].pem}"\n'
        assert pdl_run(*urls, *config(tmp_path, text), *args).code == 0
        swapped = text.replace(place(one), "x").replace(place(other), place(one))
        swapped = swapped.replace('"x"', f'"{place(other)}"')
        wrong = pdl_run(*urls, *config(tmp_path, swapped), *args, "--if-exists", "overwrite")
        assert "6 failed" in wrong.err


@pytest.mark.slow
def test_a_client_certificate_is_shown_to_its_host_alone(
    authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    mine = authority.files("me@example.org", stem="client")
    with Server(tls=authority.wanting_client_cert()) as safe:
        url = safe.on("/a.bin", File(BODY))
        said = f'cert = "{mine.cert}"\nkey = "{mine.key}"\n'
        args = ("--cacert", authority.pem, "--retries", "0")
        elsewhere = config(tmp_path, f'[host."example.org"]\n{said}')
        assert pdl_run(url, *elsewhere, *args).code == 1
        here = config(tmp_path, f'[host."127.0.0.1"]\n{said}')
        assert pdl_run(url, *here, *args).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_proxy_is_asked_for_its_host_alone(
    engine: str, two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    proxy, direct = two
    proxy.on("/a.bin", File(b"through the proxy"))
    text = f'[host."origin.invalid"]\nproxy = "{proxy.base}"\n'
    urls = ["http://origin.invalid/a.bin", direct.on("/b.bin", File(BODY))]
    ended = pdl_run(*urls, *config(tmp_path, text), "--engine", engine)
    assert ended.code == 0, ended.err
    assert (tmp_path / "a.bin").read_bytes() == b"through the proxy"
    assert len(proxy.requests()) == len(direct.requests()) == 1


def test_a_proxy_is_asked_where_a_redirect_leads_to_its_host(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    proxy, direct = two
    proxy.on("/a.bin", File(b"through the proxy"))
    url = direct.on("/b.bin", Reply(302, (("Location", "http://x.origin.invalid/a.bin"),)))
    text = f'[host."*.origin.invalid"]\nproxy = "{proxy.base}"\n'
    assert pdl_run(url, *config(tmp_path, text)).code == 0
    assert (tmp_path / "b.bin").read_bytes() == b"through the proxy"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_retries_are_those_of_the_host(
    engine: str, two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    text = f'retries = 1\nretry-wait = 0.01\nhost-patience = 0\n[host."{place(one)}"]\nretries = 3'
    urls = [server.on("/a.bin", Reply(500)) for server in two]
    assert pdl_run(*urls, *config(tmp_path, text), "--engine", engine, "--tree").code == 1
    assert (len(one.requests()), len(other.requests())) == (4, 2)


@pytest.mark.slow
def test_attempts_at_one_host_are_spaced(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    for server in two:
        for n in range(4):
            server.on(f"/{n}.bin", File(BODY))
    text = f'[host."{place(one)}"]\nrate = "4/s"'
    args = (*config(tmp_path, text), "--engine", "inline", "--tree")
    started = time.monotonic()
    assert pdl_run(*(one.url(f"/{n}.bin") for n in range(4)), *args).code == 0
    assert time.monotonic() - started >= 0.75
    report = tmp_path / "r.jsonl"
    urls = [other.url(f"/{n}.bin") for n in range(4)]
    assert pdl_run(*urls, *args, "--report", report).code == 0


def test_a_run_takes_the_timeout_of_the_host(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/a.bin", *stall_before_head())
    text = '[host."127.0.0.1"]\ntimeout = 0.3'
    ended = pdl_run(url, *config(tmp_path, text), "--retries", "0", "--max-time", "20")
    assert ended.code == 1
    assert "no data for 0.3 s (--timeout)" in ended.err


# --- what counts before what ---


def test_the_order_of_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
        timeout = 1
        [host."a.org"]
        timeout = 2
        connect-timeout = 2
        [host."*.org"]
        timeout = 3
        user-agent = "wild"
        [profile.p]
        timeout = 4
        [profile.p.host."*.org"]
        timeout = 5
        [profile.q]
        connect-timeout = 6
    """

    def hosts(*args: str) -> list[tuple[str, dict[str, object]]]:
        found = http_of(tmp_path, text, *args).hosts
        return [(table.pattern, dict(table.said)) for table in found]

    exact = {"http.timeout": 2.0, "http.connect_timeout": 2.0}
    wild = {"http.timeout": 3.0, "http.user_agent": "wild"}
    assert hosts() == [("a.org", exact), ("*.org", wild)]
    assert hosts("--profile", "p") == [
        ("*.org", {"http.timeout": 5.0}),
        ("a.org", {"http.connect_timeout": 2.0}),
        ("*.org", {"http.user_agent": "wild"}),
    ]
    assert hosts("--profile", "q") == [("a.org", {"http.timeout": 2.0}), ("*.org", wild)]
    assert hosts("--profile", "p", "--timeout", "9") == [
        ("a.org", {"http.connect_timeout": 2.0}),
        ("*.org", {"http.user_agent": "wild"}),
    ]
    monkeypatch.setenv("PDL_USER_AGENT", "mine")
    monkeypatch.setenv("PDL_CONNECT_TIMEOUT", "9")
    assert hosts() == [("a.org", {"http.timeout": 2.0}), ("*.org", {"http.timeout": 3.0})]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("host = 3", "host: a table is wanted, as [host.NAME]"),
        ("[host]\na = 3", "host.a: a table is wanted, as [host.NAME]"),
        ('[host."a b"]', 'host."a b": it is not as example.org, example.org:8443 or *.example.o'),
        ('[host."a.org:80"]', 'host."a.org:80": the usual ports are left out'),
        ('[host."a.org"]\ntimeuot = 3', 'host."a.org".timeuot: there is no such option\n  hint'),
        ('[host."a.org"]\njobs = 3', 'host."a.org".jobs: it cannot differ by host\n  hint: these'),
        ('[host."a.org"]\ntimeout = "x"', 'host."a.org".timeout: a whole number or a number is'),
        ('[host."a.org"]\ntimeout = 0', 'host."a.org".timeout: 0.0 is not a number of seconds'),
        ('[host."a.org"]\nheader = "x"', 'host."a.org".header: a header has the form'),
        ('[host."a.org"]\nrate = "x"', 'host."a.org".rate: '),
        ('[host."a.org"]\nproxy = "gopher://x"', 'host."a.org".proxy: '),
        ('[host."a.org"]\ncacert = "gone"', "host.\"a.org\".cacert: 'gone' does not exist"),
        ('[profile.p.host."a.org"]\njobs = 3', 'profile.p.host."a.org".jobs: it cannot differ'),
    ],
)
def test_what_is_wrong_is_told_by_file_and_key(
    text: str, said: str, pdl_run: Runner, tmp_path: Path
) -> None:
    arguments = config(tmp_path, text)
    ended = pdl_run("http://h/a", "--dry-run", *arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"pdl: {arguments[1]}: {said}")


def test_a_dry_run_shows_the_tables_without_their_secrets(pdl_run: Runner, tmp_path: Path) -> None:
    text = '[host."a.org"]\nheader = ["Authorization: Bearer hunter2", "A: b"]\ntimeout = 3'
    ended = pdl_run("http://h/a", "--dry-run", "-v", *config(tmp_path, text))
    assert ended.err.splitlines()[1:] == [
        'pdl:   header = Authorization: ***, A: b [host."a.org"]',
        'pdl:   timeout = 3.0 [host."a.org"]',
    ]
    (tmp_path / "pdl.toml").chmod(0o644)
    said = pdl_run("http://h/a", "--dry-run", "--config", tmp_path / "pdl.toml").err
    assert "others can read the secret (header)" in said
    assert "hunter2" not in said


# --- a cache ---


@pytest.mark.slow
def test_what_is_for_one_user_alone_is_not_given_to_others_by_the_cache(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    fields = (("Cache-Control", "max-age=1000"), ("ETag", '"1"'))
    url = server.on("/a.bin", Reply(200, fields, BODY))
    text = '[host."127.0.0.1"]\nheader = "Authorization: Bearer hunter2"'
    cache = ("--cache", tmp_path / "cache", "-d")
    assert pdl_run(url, *cache, "one", *config(tmp_path, text)).code == 0
    for directory in ("two", "three"):
        assert pdl_run(url, *cache, directory).code == 0
    # what the first run got is asked about by nobody else; what the second got is
    assert sent(server, "if-none-match") == [None, None, '"1"']
