"""Helpers: whom they are for, how long what they say is kept, and that they end."""

from __future__ import annotations

import pickle
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pdl.auth import programs
from pdl.auth.credentials import NETRC, Credentials, Named
from pdl.auth.gather import gather
from pdl.auth.helpers import Command, Helpers, HelperTurn
from pdl.auth.programs import HelperFailed
from pdl.errors import UsageError
from pdl.model import AuthSettings
from pdl.settings import Settings, check
from pdl.text.rules import Receiver
from pdl.text.urls import parse

if TYPE_CHECKING:
    from pathlib import Path

HERE, OTHER = parse("https://h.example/a"), parse("https://o.example/b")
CLEAR = parse("http://h.example/a")
BOUND = Command(Receiver("h.example"), ("bound",))
ANY = Command(None, ("any",))


def going_on() -> bool:
    return False


def program(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def saying(text: str) -> tuple[str, ...]:
    return program(f"print({text!r})")


def test_whom_they_are_for() -> None:
    of = Helpers((BOUND, ANY), lambda: None).words_for
    assert of(HERE, HERE) == of(OTHER, HERE) == ("bound",)
    assert of(OTHER, OTHER) == ("any",)
    assert of(HERE, OTHER) is None
    assert of(CLEAR, CLEAR) is None  # what names its receiver goes over https alone
    only = Helpers((ANY,), lambda: None).words_for
    assert only(CLEAR, CLEAR) == ("any",)
    assert only(CLEAR, HERE) is None


def test_what_is_said_is_kept_for_the_origin() -> None:
    told: list[str] = []
    mine = Helpers((ANY,), lambda: told.append("changed"))
    words = saying('{"headers": {"A": ["b", "c"], "D": "e"}}')
    mine.ask(words, HERE, going_on)
    assert mine.fields(HERE) == (("A", "b"), ("A", "c"), ("D", "e"))
    assert mine.fields(OTHER) is None
    mine.ask(("/nowhere",), HERE, going_on)  # it is known
    mine.refused(HERE, (("A", "older"),))
    assert mine.fields(HERE) is not None
    mine.refused(HERE, (("A", "b"), ("A", "c"), ("D", "e")))
    assert mine.fields(HERE) is None
    assert told


def test_lanes_that_want_the_same_ask_once(tmp_path: Path) -> None:
    mine = Helpers((ANY,), lambda: None)
    words = program(f"open({str(tmp_path / 'log')!r}, 'a').write('x'); print('{{}}')")
    lanes = [threading.Thread(target=mine.ask, args=(words, HERE, going_on)) for _ in range(6)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join(30)
    assert (tmp_path / "log").read_text() == "x"
    assert mine.fields(HERE) == ()


HANG = "import signal; signal.alarm(60); signal.pause()"


@pytest.mark.parametrize("code", [HANG, f"import os; os.close(1); os.close(2); {HANG}"])
def test_one_that_hangs_is_ended(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SECONDS", 0.5)
    turn = HelperTurn(Helpers((ANY,), lambda: None), program(code), HERE)
    with pytest.raises(HelperFailed, match=r"took more than 0\.5 s"):
        turn.wait(going_on, 0.0)


def test_lanes_that_wait_for_one_that_hangs_wait_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "SECONDS", 1.0)
    mine = Helpers((ANY,), lambda: None)
    words = program(f"open({str(tmp_path / 'log')!r}, 'a').write('x'); {HANG}")
    for _ in range(5):
        with pytest.raises(HelperFailed, match=r"took more than 1 s"):
            mine.ask(words, HERE, going_on)
    assert (tmp_path / "log").read_text() == "x"


def test_one_whose_children_hold_its_output_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SECONDS", 0.5)
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {HANG!r}])"
    with pytest.raises(HelperFailed, match="took more than"):
        Helpers((ANY,), lambda: None).ask(program(code), HERE, going_on)


def test_one_that_reads_nothing() -> None:
    mine = Helpers((ANY,), lambda: None)
    mine.ask(program("import os; os.close(0); print('{}')"), HERE, going_on)
    assert mine.fields(HERE) == ()


def test_credentials_with_a_helper() -> None:
    made = gather(AuthSettings(helpers=(("h.example", "run 'a b'"), ("", "c"))), pytest.fail)
    mine = pickle.loads(pickle.dumps(made))
    assert mine.personal
    turn = mine.turn(HERE, HERE)
    assert isinstance(turn, HelperTurn)
    assert turn._words == ("run", "a b")
    assert Credentials().turn(HERE, HERE) is None


def test_a_helper_counts_less_than_named_credentials() -> None:
    words = saying('{"headers": {"Authorization": ["helped"]}}')
    named = {"h.example": [Named(None, "named", NETRC)]}
    mine = Credentials(named, helpers=[Command(None, words)])
    turn = mine.turn(HERE, HERE)
    assert turn is not None
    assert turn.wait(going_on, 0.0)
    assert mine.turn(HERE, HERE) is None
    assert [each.value for each in mine.said(HERE, HERE)] == ["helped", "named"]


@pytest.mark.parametrize(
    ("host", "command", "said"),
    [("", "", "is empty"), ("", "'x", "is no command"), ("a b", "x", "is no host")],
)
def test_what_is_no_helper(host: str, command: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check(Settings(auth=AuthSettings(helpers=((host, command),))))
