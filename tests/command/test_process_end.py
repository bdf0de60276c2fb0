"""How the process itself ends: at once, with the right code, and leaving nothing behind."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from runner import PDL, Run, Runner
from servers.files import File
from servers.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.misbehave import Server

    Scripted = Callable[[str], Runner]

BODY = b"bytes of the file\n"
AS_A_MODULE = "import runpy, sys\nrunpy.run_module('pdl', run_name='__main__', alter_sys=True)\n"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def scripted(pdl_run: Runner, tmp_path: Path) -> Iterator[Scripted]:
    """Makes runners of a Python program."""
    made = []

    def make(script: str) -> Runner:
        made.append(Runner(tmp_path, pdl_run._home, (sys.executable, "-c", script)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("args", [("-d", "out"), ("--version",), ("-h",)])
def test_closed_streams_are_no_traceback(
    server: Server, pdl_run: Runner, tmp_path: Path, closed: str, args: tuple[str, ...]
) -> None:
    url = server.on("/a", File(BODY))
    command = ("/bin/sh", "-c", f'exec "$@" {closed}', "sh", *PDL)
    runner = Runner(tmp_path, pdl_run._home, command)
    run = runner(*args, *([url] if "-d" in args else []))
    runner.close()
    assert (run.code, "Traceback" in run.err, "ignored" in run.err) == (0, False, False), run.err
    if "-d" in args:
        assert (tmp_path / "out" / "a").read_bytes() == BODY


def test_a_program_that_calls_main_goes_on_and_ends_as_it_likes(scripted: Scripted) -> None:
    run = scripted(
        "import sys\nfrom pdl.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as exc:\n    print('code', exc.code)\nsys.exit(7)\n"
    )("--no-such-option")
    assert (run.code, run.out) == (7, "code 2\n")


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 1, 2])
def test_what_others_do_at_exit_is_done(server: Server, scripted: Scripted, code: int) -> None:
    runner = scripted(f"import atexit\natexit.register(print, 'theirs')\n{AS_A_MODULE}")
    refused = f"http://127.0.0.1:{free_port()}/a"
    args = [("-q", server.on("/a", File(BODY))), ("--retries", "0", refused), ("--nope",)][code]
    run = runner(*args)
    assert (run.code, run.out) == (code, "theirs\n"), run.err


MODULES = [
    "pdl.pool.startup.prestart",
    "pdl.cli.main",
    "pdl.settings",
    "pdl.run.download",
    "pdl.output.reports.console",
]


def interrupted_at(scripted: Scripted, tmp_path: Path, number: int, hook: str, url: str) -> Run:
    """A run that sends itself a signal from the hook, which has its ``interrupt``."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    script = f"import os, sys\ndef interrupt():\n    os.kill(os.getpid(), {number})\n{hook}\n"
    run = scripted(script + AS_A_MODULE)(
        "-d", "out", "--progress", "none", url, env={"TMPDIR": str(temporary)}
    )
    assert list(temporary.iterdir()) == []
    return run


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", MODULES)
def test_a_signal_during_the_imports_leaves_nothing(
    server: Server, scripted: Scripted, tmp_path: Path, number: int, module: str
) -> None:
    hook = (
        "def hook(event, args):\n"
        f"    if event == 'import' and args[0] == {module!r}: interrupt()\n"
        "sys.addaudithook(hook)"
    )
    run = interrupted_at(scripted, tmp_path, number, hook, server.on("/a", File(BODY)))
    assert (run.code, run.err) == (128 + number, "pdl: interrupted\n")


def test_a_signal_while_a_class_is_made_is_no_internal_error(
    server: Server, scripted: Scripted, tmp_path: Path
) -> None:
    # what is raised in __set_name__ was made another error by Python until 3.12
    hook = (
        "def hook(frame, event, _):\n"
        "    if event == 'call' and frame.f_code.co_name == '__set_name__':\n"
        "        owner = frame.f_locals.get('owner')\n"
        "        if getattr(owner, '__module__', '') == 'ipaddress':\n"
        "            sys.setprofile(None)\n"
        "            interrupt()\n"
        "sys.setprofile(hook)"
    )
    run = interrupted_at(scripted, tmp_path, signal.SIGTERM, hook, server.on("/a", File(BODY)))
    assert (run.code, run.err) == (143, "pdl: interrupted\n")
