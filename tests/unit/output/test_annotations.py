"""Annotations, read as the runner of GitHub Actions reads a log."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import Outcome, Result
from pdl.output.reports.annotations import MOST, Annotations, annotation
from pdl.scheduling.progress import Summary
from pdl.text.masking import printable

if TYPE_CHECKING:
    from pathlib import Path

BAD = Result(
    "l.txt", 2, "http://h/c", None, None, Outcome.FAIL, "http-404", False, 404, message="no file"
)
TEXTS = st.one_of(st.text(), st.text(alphabet="%:,\r\n=;A025D [#"))


class Command(NamedTuple):
    """What the runner finds in a line."""

    name: str
    properties: dict[str, str]
    data: str


def read(line: str) -> Command:
    """As ``ActionCommand.TryParseV2`` of the runner does it."""
    found = re.fullmatch(r"::([^ ]+?)(?: ([^\n]*?))?::([^\n]*)", line)
    assert found is not None
    pairs = (pair.partition("=") for pair in (found[2] or "").split(",") if pair)
    unescaped = {name: decoded(text, "%3A:", "%2C,") for name, _, text in pairs}
    return Command(found[1], unescaped, decoded(found[3]))


def decoded(text: str, *more: str) -> str:
    for pair in ("%0D\r", "%0A\n", *more, "%25%"):
        text = text.replace(pair[:3], pair[3:])
    return text


def test_a_failure_stands_at_its_line() -> None:
    text = "http-404: http://h/c: no file (not tried)"
    assert read(annotation(BAD)) == ("error", {"file": "l.txt", "line": "2"}, text)


@given(text=TEXTS)
def test_any_text_and_any_name_of_a_list_comes_through(text: str) -> None:
    found = read(annotation(BAD._replace(message=text, source=f"l{text}")))
    shown = "".join(char if char in "\r\n" else printable(char) for char in text)
    assert found.data == f"http-404: http://h/c: {shown} (not tried)"
    assert found.properties == {"file": f"l{shown}", "line": "2"}


@pytest.mark.parametrize("source", ["-", "https://h/list.txt"])
def test_what_is_in_no_file_has_no_line(source: str) -> None:
    assert read(annotation(BAD._replace(source=source))).properties == {}
    assert read(annotation(BAD._replace(line=0))).properties == {}


def test_a_list_is_named_as_the_repository_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repo" / "data").mkdir(parents=True)
    (tmp_path / "repo" / "data" / "l.txt").touch()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repo"))
    monkeypatch.chdir(tmp_path / "repo" / "data")
    assert read(annotation(BAD)).properties["file"] == "data/l.txt"
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "other"))
    assert read(annotation(BAD)).properties["file"] == "l.txt"


def test_the_first_ten_of_the_list_are_told_when_the_run_is_over() -> None:
    log = io.StringIO()
    report = Annotations(log)
    for line in (*range(50, 20, -1), *range(1, 6), *range(51, 60)):
        report.record(BAD._replace(line=line), None)
        report.record(BAD._replace(line=line, kind="cancelled"), None)
        report.record(BAD._replace(line=line, outcome=Outcome.SUCCESS, kind=None), None)
    report.record(BAD._replace(source="second.txt", line=1), None)
    assert log.getvalue() == ""
    report.finish(Summary())
    told = [read(line).properties for line in log.getvalue().splitlines()]
    assert len(told) == MOST == 10
    lines = [int(each["line"]) for each in told]
    assert lines == [1, 2, 3, 4, 5, 21, 22, 23, 24, 25]
