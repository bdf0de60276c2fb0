"""Fixtures: servers that misbehave, servers that do not, and the command under test."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from runner import Runner, forget_surroundings
from servers import nginx as nginx_program
from servers import proxy as proxy_program
from servers.certs import Authority
from servers.misbehave import Server
from servers.nginx import Nginx
from servers.proxy import Proxy
from servers.static import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.static import PlainNginx, StaticServer

_REAL_FIXTURES = {"nginx", "make_nginx", "proxy", "static_server"}
_LEFT_OUT = pytest.StashKey[dict[str, int]]()
_SHOWN = {"slow": "slow tests", "real": "that need other programs"}
"""What a run says of the tests of a mark that it left out."""

forget_surroundings()  # a machine of CI sets CI, a proxy, a size of the terminal

hypothesis.settings.register_profile("pdl", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("pdl")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real program, before the marks are selected by."""
    for item in items:
        if _REAL_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what is left out, by its mark."""
    for item in items:
        marks = [mark for mark in reversed(_SHOWN) if item.get_closest_marker(mark)]
        counted = item.config.stash.setdefault(_LEFT_OUT, dict.fromkeys(_SHOWN, 0))
        for mark in marks[:1]:
            counted[mark] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the count to the process that prints, if that is another (pytest-xdist)."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = session.config.stash.get(_LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - xdist has no types
    """Take the count of a worker: each of them has collected the same tests."""
    counted = getattr(node, "workeroutput", {}).get("left_out")
    if counted:
        node.config.stash[_LEFT_OUT] = counted


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say at the end which tests were left out, and how to run them."""
    counted = config.stash.get(_LEFT_OUT, {})
    shown = [f"{n} {_SHOWN[mark]} (pytest -m {mark})" for mark, n in counted.items() if n]
    if shown:
        terminalreporter.write_line("left out: " + ", ".join(shown))


def need(program: str, *, available: bool) -> None:
    """Skip the test where a program is missing; fail it where programs are a must."""
    if available:
        return
    if os.environ.get("PDL_REQUIRE_REAL") == "1":
        pytest.fail(f"{program} is missing, and PDL_REQUIRE_REAL=1")
    pytest.skip(f"{program} is missing")


@pytest.fixture
def server() -> Iterator[Server]:
    """A server without any path yet."""
    with Server() as started:
        yield started


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority; ``Server(tls=authority.good())`` serves https."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def plain_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of spawn and forkserver import the main module again; pytest is of no use to them."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.delattr(main, "__file__", raising=False)


@pytest.fixture
def make_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Nginx]]:
    """Starts nginx with the options of `Nginx`, on an empty directory unless one is given."""
    need("nginx", available=nginx_program.available())
    with ExitStack() as stack:

        def make(root: Path | None = None, **options: object) -> Nginx:
            where = root or tmp_path_factory.mktemp("www")
            return stack.enter_context(Nginx(where, **options))  # type: ignore[arg-type]

        yield make


@pytest.fixture
def nginx(make_nginx: Callable[..., Nginx]) -> Nginx:
    """An nginx that serves `nginx.root`, an empty directory."""
    return make_nginx()


@pytest.fixture(params=SERVERS)
def static_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StaticServer | PlainNginx]:
    """Each of the real servers of files, on an empty directory."""
    kind = SERVERS[request.param]
    need(request.param, available=kind.available())
    with kind(tmp_path_factory.mktemp("www")) as started:
        yield started


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A tinyproxy."""
    need("tinyproxy", available=proxy_program.available())
    with Proxy() as started:
        yield started


@pytest.fixture
def pdl_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs ``pdl`` in `tmp_path`; whatever it leaves running is killed after the test."""
    runner = Runner(tmp_path, tmp_path_factory.mktemp("home"))
    yield runner
    runner.close()


@pytest.fixture
def no_leftovers(pdl_run: Runner) -> Iterator[None]:
    """Fails the test when a process of its runs is alive afterwards."""
    yield
    left = pdl_run.leftovers()
    assert not left, f"still running: {left}"


def pytest_configure() -> None:
    """Take up signals that whoever started the tests ignores, as a shell does for ``&``.

    What the tests start would inherit it, and pdl leaves an ignored signal ignored (nohup).
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
