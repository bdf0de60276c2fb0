"""Connecting: dead addresses cost little, and ``--public-only`` sees the address connected to."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pdl.model import FailureKind, Result
from pdl.run.download import download
from pdl.settings import HttpSettings, PoolSettings, Resolved, RetrySettings, Settings
from pdl.transport import TransportError
from pdl.transport.http import dial, resolver
from pdl.transport.min_speed import MinSpeed
from servers.files import File
from servers.programs import free_port
from servers.redirects import redirect_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.misbehave import Server

QUICK = Settings(
    http=HttpSettings(timeout=5, connect_timeout=5),
    retry=RetrySettings(retries=0),
    pool=PoolSettings(engine="inline"),
)
PUBLIC = QUICK._replace(http=QUICK.http._replace(public_only=True))


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port of 127.0.0.2 that answers nobody: its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for sock in filling:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])
        for sock in filling:
            sock.close()


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    resolver._resolver_of.cache_clear()
    yield
    resolver._resolver_of.cache_clear()


def resolves_to(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    """Make every name have these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)


def test_a_dead_first_address_does_not_stop_the_second(
    black_hole: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, ("127.0.0.2", black_hole), ("127.0.0.1", server.port))
    with dial.dial("two.test", 80, 20) as sock:
        assert sock.getpeername() == ("127.0.0.1", server.port)


def test_a_refusing_first_address_is_passed_over(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", server.port))
    with dial.dial("two.test", 80, 20) as sock:
        assert sock.getpeername()[1] == server.port


def test_when_all_refuse_the_reason_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    with pytest.raises(ConnectionRefusedError):
        dial.dial("none.test", 80, 20)


def test_a_dead_host_ends_in_time(black_hole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, ("127.0.0.2", black_hole))
    with pytest.raises(TransportError) as caught:
        dial.dial("dead.test", 80, 0.2)
    assert caught.value.kind is FailureKind.CONNECT
    assert caught.value.transient


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("fc00::1", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert dial.is_public(address) is public


# --- what the user says of addresses ---


def both(monkeypatch: pytest.MonkeyPatch, port: int) -> list[int]:
    """Make every name have an address of either family; gives the families that are asked for."""
    asked = []
    every: dict[int, Any] = {
        socket.AF_INET6: (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        socket.AF_INET: (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    }

    def find(_name: bytes, _port: int, family: int, _kind: int) -> list[Any]:
        asked.append(family)
        return [every[family]] if family else list(every.values())

    monkeypatch.setattr(socket, "getaddrinfo", find)
    return asked


@pytest.mark.parametrize(
    ("version", "family", "asked"),
    [
        (None, socket.AF_INET6, socket.AF_UNSPEC),
        (4, socket.AF_INET, socket.AF_INET),
        (6, socket.AF_INET6, socket.AF_INET6),
    ],
)
def test_only_addresses_of_the_version_are_asked_for_and_connected_to(
    version: Literal[4, 6] | None, family: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        families = both(monkeypatch, port)
        reach = dial.reach_of(HttpSettings(ip_version=version))
        with dial.dial("both.test", port, 20, (), reach) as sock:
            assert sock.family == family
    assert families == [asked]


@pytest.mark.parametrize(("host", "version"), [("127.0.0.1", 6), ("::1", 4), ("given.test", 6)])
def test_a_host_without_such_an_address_is_told(host: str, version: Literal[4, 6]) -> None:
    given = (Resolved("given.test", 80, ("127.0.0.1",)),)
    reach = dial.reach_of(HttpSettings(ip_version=version, resolve=given))
    with pytest.raises(TransportError, match=f"no IPv{version} address .* -{version} takes") as one:
        dial.dial(host, 80, 20, (), reach)
    assert (one.value.kind, one.value.transient) == (FailureKind.DNS, False)


@pytest.mark.parametrize("host", ["given.test", "Given.Test.", "GIVEN.test"])
def test_a_given_address_is_connected_to_and_nobody_is_asked(
    host: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    given = Resolved("given.TEST", server.port, ("127.0.0.2", "127.0.0.1"))
    older = given._replace(addresses=("192.0.2.1",))
    reach = dial.reach_of(HttpSettings(resolve=(older, given)))
    with dial.dial(host, server.port, 20, (), reach) as sock:
        assert sock.getpeername() == ("127.0.0.1", server.port)


def test_another_port_of_a_given_host_is_looked_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, ("127.0.0.1", server.port))
    reach = dial.reach_of(HttpSettings(resolve=(Resolved("given.test", 1, ("192.0.2.1",)),)))
    with dial.dial("given.test", server.port, 20, (), reach) as sock:
        assert sock.getpeername() == ("127.0.0.1", server.port)


def test_a_given_address_is_judged_as_any_other() -> None:
    settings = HttpSettings(resolve=(Resolved("given.test", 80, ("127.0.0.1",)),), public_only=True)
    with pytest.raises(TransportError) as caught:
        dial.dial("given.test", 80, 20, (), dial.reach_of(settings))
    assert caught.value.kind is FailureKind.POLICY


def test_addresses_of_which_none_connects_are_looked_up_anew(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, ("127.0.0.1", free_port()))
    with pytest.raises(ConnectionRefusedError):
        dial.dial("moved.test", 80, 20)
    resolves_to(monkeypatch, ("127.0.0.1", server.port))
    dial.dial("moved.test", 80, 20).close()
    resolves_to(monkeypatch, ("127.0.0.1", free_port()))
    dial.dial("moved.test", 80, 20).close()  # what has served is remembered


# --- the whole way ---


def outcome(urls: list[str], directory: Path, settings: Settings) -> list[Result]:
    events: list[Any] = []
    download(urls, str(directory), jobs=1, settings=settings, on_event=events.append)
    return [event for event in events if isinstance(event, Result)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]"])
def test_public_only_connects_to_no_private_address(
    host: str, server: Server, tmp_path: Path
) -> None:
    server.on("/a.bin", File(b"secret of the house"))
    (row,) = outcome([server.url("/a.bin", host)], tmp_path, PUBLIC)
    assert row.kind in {"policy", "dns", "invalid-url"}
    assert server.connections == 0


def only_the_first_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "is_public", lambda address: address == "127.0.0.1")


def test_public_only_holds_after_a_redirect(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_the_first_is_public(monkeypatch)
    server.on("/b.bin", File(b"secret of the house"))
    server.on("/a.bin", *redirect_to(f"http://127.0.0.2:{server.port}/b.bin"))
    (row,) = outcome([server.url("/a.bin")], tmp_path, PUBLIC)
    assert row.kind == "policy"
    assert not server.requests("/b.bin")


def test_public_only_holds_when_the_name_changes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_the_first_is_public(monkeypatch)
    monkeypatch.setattr(resolver, "REMEMBERED_SECONDS", 0.0)
    answers = iter(["127.0.0.1", "127.0.0.2"])
    found = socket.getaddrinfo

    def rebind(_host: str, port: int, *rest: int) -> Any:  # noqa: ANN401
        return found(next(answers), port, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    urls = [server.on(f"/{name}", File(b"x", headers=(("Connection", "close"),))) for name in "ab"]
    urls = [url.replace("127.0.0.1", "rebind.test") for url in urls]
    rows = outcome(urls, tmp_path, PUBLIC)
    assert [row.kind for row in rows] == [None, "policy"]


def test_public_only_refuses_a_proxy(server: Server, tmp_path: Path) -> None:
    settings = PUBLIC._replace(http=PUBLIC.http._replace(proxy=server.base))
    (row,) = outcome(["http://8.8.8.8/a"], tmp_path, settings)
    assert row.kind == "policy"
    assert server.connections == 0


# --- pace ---


def test_pace_looks_at_whole_windows() -> None:
    times = iter([0.0, 5.0, 10.0, 19.9, 20.0])
    pace = MinSpeed(100.0, 10.0, lambda: next(times))
    assert not pace.too_slow(0)
    assert not pace.too_slow(1000)
    assert not pace.too_slow(0)
    assert pace.too_slow(999)


def test_no_least_rate_is_never_too_slow() -> None:
    times = iter([0.0])
    assert not MinSpeed(None, 10.0, lambda: next(times)).too_slow(0)
