"""Host tables of a configuration: what is said of a host holds there, and nowhere else."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from pdl import FileSettings, download
from pdl.auth.credentials import request_fields
from pdl.cli.main import command, read_values
from pdl.errors import PdlError
from pdl.fetch.blocking import Fetcher
from pdl.fetch.lane_factory import Fetching, lanes
from pdl.model import SafePath, Task
from pdl.pool.inline import InlineMeter
from pdl.text.urls import parse
from servers.behaviours import Reply
from servers.certs import Authority
from servers.files import File
from servers.heads import stall_before_head
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pdl.settings import HttpSettings, Settings
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


def settings_of(tmp_path: Path, text: str, *args: str) -> Settings:
    """The settings that such a file gives."""
    context = command.make_context("pdl", ["list", *config(tmp_path, text), *args])
    return read_values(context)[0]


def http_of(tmp_path: Path, text: str, *args: str) -> HttpSettings:
    return settings_of(tmp_path, text, *args).http


def fail(text: str) -> None:
    raise AssertionError(text)


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
        'pdl:   timeout = 3 [host."a.org"]',
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


# --- who the user is ---


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


def test_what_a_table_says_goes_to_its_host_also_where_a_redirect_leads_there(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    """Nothing of it goes to others; what a listed host's table says stays there."""
    one, other = two
    with Server() as data, Server() as plain:
        text = f"""
            [host."{place(one)}"]
            user = "me"
            password = "MY_PASSWORD"
            referer = "http://from.example/"
            [host."{place(other)}"]
            bearer = "MY_TOKEN"
            header = ["X-Team: two"]
            user-agent = "two/2"
            [host."{place(data)}"]
            header = "X-Team: data"
            user = "literal:p:w"
        """
        for server in (one, other, plain):
            server.on("/f", File(BODY))
        urls = [
            data.on(f"/{name}.bin", Reply(302, (("Location", server.url("/f")),)))
            for name, server in (("a", one), ("b", other), ("c", plain))
        ]
        variables = {"MY_TOKEN": "c4n4ry", "MY_PASSWORD": "pass"}
        ended = pdl_run(*urls, one.on("/d.bin", File(BODY)), *config(tmp_path, text), env=variables)
        assert ended.code == 0, ended.err
        assert sent(one, "authorization") == [basic("me:pass")] * 2
        assert sent(one, "referer") == ["http://from.example/"] * 2
        assert sent(other, "authorization") == ["Bearer c4n4ry"]
        assert (sent(other, "x-team"), sent(other, "user-agent")) == (["two"], ["two/2"])
        assert sent(data, "authorization") == [basic("literal:p:w")] * 3
        assert sent(data, "x-team") == ["data"] * 3
        for name in ("authorization", "x-team", "referer"):
            assert sent(plain, name) == [None]
        assert sent(one, "x-team") == [None, None]


def test_netrc_and_cookies_differ_by_host(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password p")
    (tmp_path / "netrc").chmod(0o600)
    for name in ("mine", "all"):
        line = f"127.0.0.1\tFALSE\t/\tFALSE\t0\tsid\t{name}\n"
        (tmp_path / f"{name}.txt").write_text(f"# Netscape HTTP Cookie File\n{line}")
    text = f"""
        cookies = "all.txt"
        [host."{place(one)}"]
        netrc = true
        cookies = "mine.txt"
    """
    urls = [server.on(f"/{n}.bin", File(BODY)) for n, server in enumerate(two)]
    ended = pdl_run(*urls, *config(tmp_path, text), env={"NETRC": "netrc"})
    assert ended.code == 0, ended.err
    assert (sent(one, "authorization"), sent(one, "cookie")) == ([basic("me:p")], ["sid=mine"])
    assert (sent(other, "authorization"), sent(other, "cookie")) == ([None], ["sid=all"])
    text = f'netrc = true\n[host."{place(one)}"]\nnetrc = false'
    args = (*config(tmp_path, text), "--if-exists", "overwrite")
    assert pdl_run(*urls, *args, env={"NETRC": "netrc"}).code == 0
    assert sent(one, "authorization")[1:] == [None]
    assert sent(other, "authorization")[1:] == [basic("me:p")]


def test_statuses_that_are_tried_again_differ_by_host(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    text = f'retry-wait = 0.01\n[host."{place(one)}"]\nretry-status = [404]'
    urls = [server.on(f"/{n}.bin", Reply(404), File(BODY)) for n, server in enumerate(two)]
    ended = pdl_run(*urls, *config(tmp_path, text))
    assert "1 succeeded, 1 failed" in ended.err
    assert (len(one.requests()), len(other.requests())) == (2, 1)


def test_the_table_of_a_printed_host_counts(
    two: tuple[Server, Server], pdl_run: Runner, tmp_path: Path
) -> None:
    one, other = two
    one.on("/a", Reply(302, (("Location", other.on("/f", File(BODY))),)))
    one.on("/b", Reply(302, (("Location", one.url("/a")),)))
    (tmp_path / "url.sh").write_text(f'echo "{one.base}/${{1#*:}}"')
    text = f"""
        url-command = "sh url.sh"
        retries = 0
        [host."{place(one)}"]
        header = "X-Team: one"
        bearer = "MY_TOKEN"
        user-agent = "one/1"
        max-redirects = 1
    """
    (tmp_path / "list").write_text("doi:a\ndoi:b\n")
    ended = pdl_run("list", *config(tmp_path, text), "-j", "1", env={"MY_TOKEN": "t"})
    assert "1 succeeded, 1 failed" in ended.err
    assert "more than 1 redirects" in ended.err
    assert set(sent(one, "x-team")) == {"one"}
    assert set(sent(one, "authorization")) == {"Bearer t"}
    assert set(sent(one, "user-agent")) == {"one/1"}
    assert (sent(other, "x-team"), sent(other, "authorization")) == ([None], [None])


@pytest.mark.slow
def test_the_least_speed_is_that_of_the_host(server: Server, tmp_path: Path) -> None:
    url = server.on("/a.bin", File(BODY))
    text = f'[host."{place(server)}"]\nmin-speed = "5K"'
    http = http_of(tmp_path, text)
    lane = Fetching(http, FileSettings(directory=str(tmp_path)))()
    assert isinstance(lane, Fetcher)
    for asked, speed in ((url, 5120), (url.replace("127.0.0.1", "localhost"), None)):
        lane(Task(1, asked, SafePath("a.bin"), "1.part"), InlineMeter())
        assert lane.min_speed == speed
    lane.close()


def test_a_program_that_runs_after_a_file_is_not_told_the_secrets(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    text = '[host."127.0.0.1"]\nuser = "me"\npassword = "MY_PASSWORD"\n'
    text += '[host."b.org"]\nbearer = "MY_TOKEN"'
    url = server.on("/a.bin", File(BODY))
    variables = {"MY_TOKEN": "c4n4ry", "MY_PASSWORD": "c4n4ry2", "OTHER": "seen"}
    told = ("--exec", "sh -c 'env > told' sh {path}")
    assert pdl_run(url, *config(tmp_path, text), *told, env=variables).code == 0
    environment = (tmp_path / "told").read_text()
    assert "OTHER=seen" in environment
    assert "c4n4ry" not in environment


def test_users_and_tokens_that_are_said_nearer_count_for_their_host_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T", "of-the-table")
    monkeypatch.setenv("F", "of-the-flag")
    text = """
        user = ["a.org=top:p", "c.org=top:p"]
        [host."a.org"]
        user = "table:p"
        [host."*.b.org"]
        bearer = "T"
        [profile.p]
        user = "a.org=profile:p"
    """

    def said(url: str, *args: str) -> str | None:
        settings = settings_of(tmp_path, text, *args)
        http = lanes(settings._replace(pool=settings.pool._replace(engine="inline")), fail).http  # type: ignore[attr-defined]
        fields = dict(request_fields(http, parse(url), parse(url), ()))
        return fields.get("Authorization")

    assert said("https://a.org/") == basic("table:p")
    assert said("https://c.org/") == basic("top:p")
    assert said("https://a.org/", "-u", "a.org=flag:p") == basic("flag:p")
    assert said("https://a.org/", "-u", "c.org=flag:p") == basic("table:p")
    assert said("https://a.org/", "--profile", "p") == basic("profile:p")
    assert said("https://x.b.org/") == "Bearer of-the-table"
    assert said("https://x.b.org/", "--bearer", "x.b.org=F") == "Bearer of-the-flag"
    assert said("https://y.b.org/", "--bearer", "x.b.org=F") == "Bearer of-the-table"
    assert said("https://b.org/") is None
    assert said("http://x.b.org/") is None


# --- the matrix: six places, five settings of different types ---

PLACES = ("flag", "variable", "the profile's table", "the profile", "a table", "the top")
CELLS = {
    "timeout": ["0.11", "0.12", "0.13", "0.14", "0.15", "0.16"],
    "retries": ["0", "1", "2", "3", "4", "5"],
    "header": [f'"X-Place: {place}"' for place in PLACES],
    "min-speed": ['"1K"', "2048", '"3K"', "4096", '"5K"', "6144"],
    "netrc": ["true", "false", "true", "false", "true", "false"],
}


def observed(key: str, settings: Settings, server: Server, tmp_path: Path) -> str:
    """What a run shows of the setting, for the server's host."""
    if key == "min-speed":  # that takes ten seconds to be seen: what the lane of the run goes by
        lane = lanes(settings, fail)()
        assert isinstance(lane, Fetcher)
        lane(Task(1, server.on("/a.bin", File(BODY)), SafePath("s"), "1.part"), InlineMeter())
        lane.close()
        return str(lane.min_speed)
    if key == "timeout":
        url = server.on("/a.bin", *stall_before_head())
        settings = settings._replace(retry=settings.retry._replace(retries=0))
    else:
        url = server.on("/a.bin", Reply(500) if key == "retries" else File(BODY))
    said: list[object] = []
    download([url], str(tmp_path / "out"), jobs=1, settings=settings, on_event=said.append)
    if key == "timeout":
        return str(said[-1].message).split("no data for ")[1].split(" ")[0]  # type: ignore[attr-defined]
    if key == "retries":
        return str(len(server.requests()) - 1)
    name = "x-place" if key == "header" else "authorization"
    return str(sent(server, name)[0])


@pytest.mark.parametrize("winner", range(6), ids=PLACES)
@pytest.mark.parametrize("key", CELLS)
def test_what_is_nearer_counts_of_six_places(
    key: str, winner: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that counts less than the winner says something else."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password p")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    lines = [f"{key} = {value}" for value in CELLS[key]]
    said = ["" if place < winner else line for place, line in enumerate(lines)]
    if key != "retries":
        said[5] += "\nretries = 0"
    with Server() as server:
        text = "\n".join(
            [
                *(said[5], "retry-wait = 0\nhost-patience = 0\nengine = 'inline'"),
                *(f'[host."{place(server)}"]', said[4], "[profile.p]", said[3]),
                *(f'[profile.p.host."{place(server)}"]', said[2]),
            ]
        )
        value = CELLS[key]
        if winner <= 1:
            wanted = value[1].strip('"')
            monkeypatch.setenv("PDL_" + key.upper().replace("-", "_"), wanted)
        args: list[str] = []
        if winner == 0:
            args = ["--netrc"] if key == "netrc" else [f"--{key}", value[0].strip('"')]
        settings = settings_of(tmp_path, text, "--profile", "p", *args)
        got = observed(key, settings, server, tmp_path)
    sizes = {'"1K"': "1024", '"3K"': "3072", '"5K"': "5120"}
    wanted = {
        "netrc": basic("me:p") if winner % 2 == 0 else "None",
        "min-speed": sizes.get(value[winner], value[winner]),
        "header": PLACES[winner],
    }.get(key, value[winner])
    assert got == wanted


# --- what is refused, and shown ---


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('user = "me"', '.user: the password is missing; password = "VARIABLE" names one'),
        ('user = "b.org=me:s3cret"', ".user: it is written as NAME, or NAME:PASSWORD"),
        ('user = "me:s3cret"\npassword = "HOME"', ".user: there are two passwords"),
        ('password = "HOME"', ".password: it is that of a user, and there is none"),
        ('user = "me"\npassword = "s3cret"', ".password: it names a variable of the environment"),
        ('user = "me"\npassword = "s3cret!"', ".user: a variable of the environment is to be"),
        ('user = ["me:s3cret"]', ".user: text in quotes is wanted, and this is a list"),
        ('bearer = "s3cret"', ".bearer: it names a variable of the environment, and that is not"),
        ('bearer = "a.org=HOME"', ".bearer: for h a variable of the environment is to be named"),
        ("netrc = 1", ".netrc: true or false is wanted"),
        ('cookies = "gone"', ".cookies: 'gone' does not exist"),
        ("retry-status = [200]", ".retry-status: 200 is no HTTP status of an error"),
        ('min-speed = "fast"', ".min-speed: 'fast' is not a size"),
        ('referer = "a\\nb"', ".referer: the value of header Referer has a control character"),
        ('referrer = "a"', ".referrer: there is no such option\n  hint: is referer meant?"),
        ("no-cookies = true", ".no-cookies: it cannot differ by host\n  hint: these can: "),
        ('no-netrc = "a"', ".no-netrc: there is no such option\n  hint: is netrc meant?"),
        ("retries = 0x" + "f" * 6000, ".retries: the number is too large"),
    ],
)
def test_what_no_table_can_say(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PdlError) as refused:
        http_of(tmp_path, f'[host."a.org"]\n{text}')
    told = str(refused.value)
    assert told.startswith(f'{tmp_path}/pdl.toml: host."a.org"{said}')
    assert "s3cret" not in told


def test_a_user_of_a_table_is_shown_masked_and_warned_of_once(
    pdl_run: Runner, tmp_path: Path
) -> None:
    text = '[host."a.org"]\nuser = "me:hunter2"\n[host."b.org"]\nuser = "me"\npassword = "HOME"\n'
    text += 'cookies = "jar.txt"\nretry-status = [404, 429]'
    (tmp_path / "jar.txt").write_text("# Netscape HTTP Cookie File\n")
    ended = pdl_run("http://h/a", "--dry-run", "-v", *config(tmp_path, text))
    assert ended.err.splitlines()[1:] == [
        'pdl:   user = *** [host."a.org"]',
        'pdl:   user = me [host."b.org"]',
        'pdl:   password = HOME [host."b.org"]',
        'pdl:   cookies = jar.txt [host."b.org"]',
        'pdl:   retry-status = 404,429 [host."b.org"]',
    ]
    (tmp_path / "pdl.toml").chmod(0o644)
    said = pdl_run("http://h/a", "--dry-run", "--config", tmp_path / "pdl.toml").err
    assert said.count("others can read the secret (user)") == 1
    assert "hunter2" not in said + ended.err
