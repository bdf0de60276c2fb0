"""Looking up names: bounded in time and number, shared by lanes, free where no server is asked."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pdl.model import FailureKind
from pdl.transport import TransportError
from pdl.transport.http import resolver
from pdl.transport.http.resolver import NAMES_REMEMBERED, REMEMBERED_SECONDS, Resolver, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SlowNames:
    """A name server behind `socket.getaddrinfo` that answers when it is told to."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, name: bytes, port: int, *_: object) -> Any:  # noqa: ANN401
        with self._lock:
            self.asked.append(name.decode())
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        self.told.wait(30)
        with self._lock:
            self.at_once -= 1
        if name.startswith(b"no"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowNames]:
    slow = SlowNames()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield slow
    slow.told.set()


def test_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(family, 1, 6, "", (n, 1)) for n, family in enumerate([six, six, six, four])]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    each = Resolver().addresses(Wanted("x.test", 1), 5)
    assert [address.family for address in each] == [six, four, six, six]


def test_a_silent_name_server_holds_nobody_for_longer_than_said(names: SlowNames) -> None:
    with pytest.raises(TransportError) as caught:
        Resolver().addresses(Wanted("a.test", 80), 0.05)
    assert caught.value.kind is FailureKind.DNS
    assert caught.value.transient
    assert caught.value.message == (
        "the name server did not answer within 0.05 s (--connect-timeout)"
    )
    assert names.asked == ["a.test"]


def test_a_late_answer_serves_whoever_asks_again(names: SlowNames) -> None:
    found = Resolver()
    with pytest.raises(TransportError):
        found.addresses(Wanted("a.test", 80), 0.05)
    names.told.set()
    assert found.addresses(Wanted("a.test", 80), 20)[0].place == ("127.0.0.1", 80)


def test_lanes_share_a_look_up_and_its_failure(names: SlowNames) -> None:
    found = Resolver()

    def ask(_: int) -> BaseException | None:
        try:
            found.addresses(Wanted("no.test", 80), 20)
        except OSError as exc:
            return exc
        return None

    with ThreadPoolExecutor(8) as lanes:
        answers = lanes.map(ask, range(8))
        while not names.asked or _lanes_of(found, "no.test") < 8:
            threading.Event().wait(0.001)
        names.told.set()
        errors = list(answers)
    assert names.asked == ["no.test"]
    assert {type(error) for error in errors} == {socket.gaierror}
    assert len(set(map(id, errors))) == 8  # none has the traceback of another


def _lanes_of(found: Resolver, name: str) -> int:
    with found._lock:
        lookup = found._wanted.get(Wanted(name, 80))
        return 0 if lookup is None else lookup.lanes


def test_no_more_than_so_many_are_asked_at_once(names: SlowNames) -> None:
    found = Resolver(most=3)
    with ThreadPoolExecutor(10) as lanes:
        answers = [lanes.submit(found.addresses, Wanted(f"{n}.test", 80), 20) for n in range(10)]
        while len(names.asked) < 3:
            threading.Event().wait(0.001)
        names.told.set()
        assert all(answer.result() for answer in answers)
    assert names.most_at_once == 3
    assert len(names.asked) == 10


def test_what_nobody_waits_for_any_more_is_not_asked(names: SlowNames) -> None:
    found = Resolver(most=1)
    for name in ("a.test", "b.test"):
        with pytest.raises(TransportError):
            found.addresses(Wanted(name, 80), 0.05)
    names.told.set()
    found.addresses(Wanted("c.test", 80), 20)
    assert names.asked == ["a.test", "c.test"]


def test_an_answer_holds_for_a_while(names: SlowNames) -> None:
    now = 100.0
    found, there, gone = Resolver(clock=lambda: now), Wanted("a.test", 80), Wanted("no.test", 80)
    names.told.set()
    for _ in range(2):
        assert found.addresses(there, 20)[0].place == ("127.0.0.1", 80)
    now += REMEMBERED_SECONDS - 1
    found.addresses(there, 20)
    assert names.asked == ["a.test"]
    now += 1
    found.addresses(there, 20)
    assert names.asked == ["a.test"] * 2
    found.forget(there)
    found.addresses(there, 20)
    assert names.asked == ["a.test"] * 3
    for _ in range(2):  # that there is none is no answer: it may come to be
        with pytest.raises(socket.gaierror):
            found.addresses(gone, 20)
    assert names.asked[3:] == ["no.test"] * 2


def test_not_all_names_of_the_world_are_remembered(names: SlowNames) -> None:
    found = Resolver()
    names.told.set()
    found._known = {Wanted(f"{n}.test", 80): (1e9, []) for n in range(NAMES_REMEMBERED)}
    found.addresses(Wanted("a.test", 80), 20)
    assert list(found._known) == [Wanted("a.test", 80)]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "0x7f.1", "2130706433", "::1", "fe80::1%lo", "localhost"]
)
def test_what_needs_no_name_server_needs_no_thread(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    with contextlib.suppress(OSError):  # machines without IPv6
        assert Resolver().addresses(Wanted(host, 80), 0)


def test_where_no_thread_can_be_started_that_is_the_machines_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="no thread can be started"):
        Resolver().addresses(Wanted("a.test", 80), 5)


def test_a_fork_has_a_resolver_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = resolver.process_resolver()
    assert resolver.process_resolver() is here
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert resolver.process_resolver() is not here


# --- the whole way, with a real name server that is silent ---

_ENTER = "mount --bind resolv.conf /etc/resolv.conf && exec {pdl} {arguments}"


@pytest.mark.real
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs a mount namespace and port 53",
)
@pytest.mark.parametrize("engine", ["process", "inline"])
def test_a_run_over_a_silent_name_server_ends(engine: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.53", 53))
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:30\n")
        (tmp_path / "list").write_text("".join(f"http://h{n}.test/a\n" for n in range(4)))
        command = _ENTER.format(
            pdl=f"{sys.executable} -m pdl",
            arguments=f"list -j 4 --engine {engine} --connect-timeout 0.3 --retries 0",
        )
        ended = subprocess.run(
            ["unshare", "-m", "sh", "-c", command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=25,  # the system's own look-up takes a minute
            check=False,
        )
        if "mount" in ended.stderr:
            pytest.skip("mount namespaces are not allowed here")
        assert silent.recv(512)
    assert ended.returncode == 1
    assert "the name server did not answer within 0.3 s (--connect-timeout)" in ended.stderr
