"""`-4`, `-6` and `--resolve` on the command: where is connected to, and what keeps the name."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from servers.files import File
from servers.misbehave import Server
from servers.redirects import redirect_to

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.certs import Authority


@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1", "[127.0.0.1]", "127.0.0.2,127.0.0.1"])
def test_a_given_address_is_asked_for_the_name(
    address: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    for name in ("a", "b", "c"):
        server.on(f"/{name}", File(name.encode()))
    server.on("/there", *redirect_to(f"http://other.test:{server.port}/c"))
    urls = [f"http://given.test:{server.port}/{name}" for name in ("a", "b", "there")]
    places = [f"{host}:{server.port}:{address}" for host in ("given.test", "other.test")]
    run = pdl_run(*urls, "--resolve", places[0], "--resolve", places[1], "-j", "1")
    assert run.code == 0, run.err
    assert [(tmp_path / name).read_bytes() for name in ("a", "b", "there")] == [b"a", b"b", b"c"]
    hosts = {dict(seen.headers)["Host"] for seen in server.requests()}
    assert hosts == {f"given.test:{server.port}", f"other.test:{server.port}"}


def test_a_variable_has_several_places(server: Server, pdl_run: Runner, tmp_path: Path) -> None:
    server.on("/a", File(b"a"))
    places = f"no.test:80:192.0.2.1 given.test:{server.port}:127.0.0.1"
    run = pdl_run(f"http://given.test:{server.port}/a", env={"PDL_RESOLVE": places})
    assert run.code == 0, run.err
    assert (tmp_path / "a").read_bytes() == b"a"


@pytest.mark.parametrize(("name", "code"), [("given.test", 0), ("other.test", 1)])
def test_tls_asks_for_the_name_and_checks_it(
    name: str, code: int, authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    files = authority.files("given.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    asked: list[str] = []
    context.sni_callback = lambda _sock, name, _context: asked.append(str(name))
    with Server(tls=context) as server:
        server.on("/a", File(b"a"))
        url = f"https://{name}:{server.port}/a"
        place = f"{name}:{server.port}:127.0.0.1"
        run = pdl_run(url, "--resolve", place, "--cacert", str(authority.pem), "--retries", "0")
    assert run.code == code, run.err
    # where the certificate is another's, it is asked for once more, to say whose it is
    assert asked == [name] * (1 + code)
    assert code == 0 or "the certificate is for given.test" in run.err
    assert (tmp_path / "a").exists() == (code == 0)
    assert code == 0 or "tls: 1 failure" in run.err


def test_a_given_address_has_to_be_public_where_all_have(server: Server, pdl_run: Runner) -> None:
    url = f"http://given.test:{server.port}/a"
    run = pdl_run(url, "--resolve", f"given.test:{server.port}:127.0.0.1", "--public-only")
    assert run.code == 1
    assert "policy: 1 failure" in run.err
    assert server.connections == 0


@pytest.mark.slow
@pytest.mark.parametrize(("option", "code"), [("-4", 0), ("-6", 1), ("--ipv4", 0), ("--ipv6", 1)])
def test_an_address_of_another_version_is_not_connected_to(
    option: str, code: int, server: Server, pdl_run: Runner
) -> None:
    run = pdl_run(server.on("/a", File(b"a")), option)
    assert run.code == code, run.err
    assert code == 0 or "no IPv6 address that is known, and -6 takes no other" in run.err
    assert server.connections == (code == 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-4", "-6"), "--ipv4 and --ipv6 contradict each other"),
        (("--resolve", "h:80"), "'h:80' is not as example.org:443:192.0.2.1"),
        (("--resolve", "h:80:there"), "'there' is no address such as 192.0.2.1"),
        (("--resolve", "h:80:"), "is not as example.org"),
        (("--resolve", "h:80:1.2.3.4,"), "'' is no address"),
        (("--resolve", "h:99999:1.2.3.4"), "h:99999"),
        (("--resolve", "a b:80:1.2.3.4"), "is not as example.org"),
    ],
)
def test_nonsense_is_told_before_anything_starts(
    arguments: tuple[str, ...], said: str, pdl_run: Runner
) -> None:
    run = pdl_run("http://127.0.0.1:9/a", *arguments)
    assert run.code == 2, run.err
    assert said in run.err


def test_the_command_line_is_over_a_variable(server: Server, pdl_run: Runner) -> None:
    run = pdl_run(server.on("/a", File(b"a")), "-4", env={"PDL_IPV6": "1"})
    assert run.code == 0, run.err
