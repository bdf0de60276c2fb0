"""Proxies of SOCKS: who looks names up, what is sent, what is told, and that nothing goes past."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pdl.text.urls import proxy_fault
from pdl.transport.http.proxies import parsed, usable
from servers.files import File
from servers.misbehave import Server
from servers.socks import Asked, SocksServer

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.certs import Authority

pytest.importorskip("python_socks")

BODY = b"through the proxy"
SCHEMES = ["socks5", "socks5h", "socks4a"]
FAST = ("--retries", "0", "--engine", "inline")


@pytest.mark.parametrize("engine", ["process", "inline"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_files_come_through_it(
    scheme: str, engine: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    urls = [server.on(f"/{n}.bin", File(BODY)) for n in range(6)]
    with SocksServer() as socks:
        ended = pdl_run(*urls, "--proxy", socks.url(scheme), "--engine", engine, "-j", "2")
    assert ended.code == 0, ended.err
    assert all((tmp_path / f"{n}.bin").read_bytes() == BODY for n in range(6))
    version = 4 if scheme == "socks4a" else 5
    assert set(socks.asked) == {Asked(version, "127.0.0.1", server.port)}
    assert len(socks.asked) <= 2  # connections are kept
    assert {seen.path for seen in server.requests()} == {f"/{n}.bin" for n in range(6)}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["socks5h", "socks4a"])
def test_the_proxy_looks_names_up(scheme: str, server: Server, pdl_run: Runner) -> None:
    server.on("/a.bin", File(BODY))
    url = f"http://only.there.invalid:{server.port}/a.bin"
    with SocksServer(names={"only.there.invalid": "127.0.0.1"}) as socks:
        assert pdl_run(url, "--proxy", socks.url(scheme), *FAST).code == 0
    assert [asked.host for asked in socks.asked] == ["only.there.invalid"]


@pytest.mark.slow
def test_names_are_looked_up_here_with_plain_socks5(server: Server, pdl_run: Runner) -> None:
    server.on("/a.bin", File(BODY))
    url = f"http://localhost:{server.port}/a.bin"
    with SocksServer() as socks:
        assert pdl_run(url, "--proxy", socks.url("socks5"), "-4", *FAST).code == 0
        nowhere = f"http://no.such.invalid:{server.port}/b.bin"
        lost = pdl_run(nowhere, "--proxy", socks.url("socks5"), *FAST)
    assert [asked.host for asked in socks.asked] == ["127.0.0.1"]
    assert lost.code == 1


def test_a_place_that_is_given_is_what_the_proxy_is_asked_for(
    server: Server, pdl_run: Runner
) -> None:
    server.on("/a.bin", File(BODY))
    with SocksServer() as socks:
        resolve = ("--resolve", f"given.invalid:{server.port}:127.0.0.1")
        url = f"http://given.invalid:{server.port}/a.bin"
        assert pdl_run(url, "--proxy", socks.url("socks5h"), *resolve, *FAST).code == 0
    assert [asked.host for asked in socks.asked] == ["127.0.0.1"]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_tls_is_that_of_the_host(scheme: str, authority: Authority, pdl_run: Runner) -> None:
    with Server(tls=authority.good()) as safe, SocksServer() as socks:
        url = safe.on("/a.bin", File(BODY))
        args = ("--proxy", socks.url(scheme), *FAST)
        assert pdl_run(url, *args).code == 1
        assert pdl_run(url, *args, "--cacert", authority.pem).code == 0


def test_whose_a_certificate_is_is_not_asked_past_the_proxy(
    authority: Authority, pdl_run: Runner
) -> None:
    with Server(tls=authority.wrong_host()) as safe, SocksServer() as socks:
        url = safe.on("/a.bin", File(BODY)).replace("127.0.0.1", "localhost")
        args = ("--proxy", socks.url("socks5h"), *FAST, "--cacert", authority.pem)
        ended = pdl_run(url, *args)
    assert "the certificate is not accepted" in ended.err
    assert len(socks.asked) == 1


@pytest.mark.slow
def test_it_is_logged_in_to(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a.bin", File(BODY))
    with SocksServer(login=("me", "p:ss/w@rd")) as socks:
        good = socks.url("socks5h", "me:p%3Ass%2Fw%40rd")
        ended = pdl_run(url, *FAST, "-v", env={"ALL_PROXY": good})
        assert ended.code == 0, ended.err
        refused = socks.url("socks5h", "me:hunter2")
        wrong = pdl_run(url, "--if-exists", "overwrite", *FAST, "--proxy", refused)
    assert [asked.user for asked in socks.asked] == ["me"]
    assert f"the proxy socks5h://127.0.0.1:{socks.port}: it does not connect" in wrong.err
    assert "permanent" in wrong.err
    assert "hunter2" not in wrong.err + wrong.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "said", "lasting"),
    [(2, "not allowed", True), (4, "unreachable", False), (5, "refused", False)],
)
def test_what_it_answers_is_told(
    reply: int, said: str, lasting: bool, server: Server, pdl_run: Runner
) -> None:
    with SocksServer(reply=reply) as socks:
        url = server.on("/a.bin", File(BODY))
        ended = pdl_run(url, "--proxy", socks.url("socks5"), *FAST)
    assert ended.code == 1
    assert f"the proxy socks5://127.0.0.1:{socks.port}: it does not connect: " in ended.err
    assert said in ended.err.lower()
    assert ("(permanent" in ended.err) == lasting
    assert server.requests() == []


def test_one_that_is_silent_is_not_waited_for(server: Server, pdl_run: Runner) -> None:
    with SocksServer(silent=True) as socks:
        started = time.monotonic()
        url = server.on("/a.bin", File(BODY))
        ended = pdl_run(url, "--proxy", socks.url("socks5"), "--connect-timeout", "0.5", *FAST)
    assert time.monotonic() - started < 10
    assert "(--connect-timeout)" in ended.err
    assert server.requests() == []


def test_one_that_is_not_there_is_told(server: Server, pdl_run: Runner) -> None:
    with SocksServer() as socks:
        proxy = socks.url("socks5")
    ended = pdl_run(server.on("/a.bin", File(BODY)), "--proxy", proxy, *FAST)
    assert f"the proxy {proxy}: Connection refused" in ended.err
    assert server.requests() == []


def test_public_only_takes_none(server: Server, pdl_run: Runner) -> None:
    with SocksServer() as socks:
        url = server.on("/a.bin", File(BODY))
        ended = pdl_run(url, "--proxy", socks.url("socks5h"), "--public-only", *FAST)
    assert "--public-only cannot see where a proxy connects to" in ended.err
    assert socks.asked == []


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("socks5://h", 1080),
        ("socks5h://u:p@h/", 1080),
        ("SOCKS5://h:80", 80),
        ("socks4a://[::1]", 1080),
        ("socks5://[::1]:80/", 80),
        ("http://h", 80),
        ("h:81", 81),
    ],
)
def test_its_usual_port(url: str, port: int) -> None:
    assert parsed(url).port == port
    assert not proxy_fault(url)
    assert usable(url, public_only=False)


def test_without_the_library_it_is_refused_at_the_start(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    # Python finds no module of a name whose place in `sys.modules` is taken by None
    (tmp_path / "site").mkdir()
    code = "import importlib.util as u\nreal = u.find_spec\n"
    code += "u.find_spec = lambda n, p=None: None if n == 'python_socks' else real(n, p)\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(code)
    url = server.on("/a.bin", File(BODY))
    ended = pdl_run(url, "--proxy", "socks5://h", env=_with_site(tmp_path / "site"))
    assert ended.code == 2
    assert "needs python-socks: pip install 'pdl-downloader[socks]'" in ended.err
    assert server.requests() == []


def _with_site(site: Path) -> dict[str, str]:
    import pdl  # noqa: PLC0415 - its place alone is wanted

    return {"PYTHONPATH": f"{site}:{pdl.__path__[0].removesuffix('/pdl')}"}
