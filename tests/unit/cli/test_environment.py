"""What is refused names the variable that sets it, for nobody sees that on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from pdl.cli.main import command
from pdl.cli.options import ROWS
from pdl.errors import PdlError

if TYPE_CHECKING:
    from pathlib import Path

    from pdl.cli.option_types import Row
    from runner import Runner


def refusal(*args: str) -> str:
    """What is said of a command line that is refused."""
    with pytest.raises((click.ClickException, PdlError)) as caught:
        command.main(list(args), prog_name="pdl", standalone_mode=False)
    error = caught.value
    return error.format_message() if isinstance(error, click.ClickException) else str(error)


REFUSING = [
    row
    for row in ROWS
    if row.variable
    and (row.kind is None or row.kind.name in {"choice", "integer", "seconds", "size", "header"})
]


@pytest.mark.parametrize("row", REFUSING, ids=lambda row: row.key)
def test_a_bad_value_of_the_environment_is_said_to_be_of_it(
    monkeypatch: pytest.MonkeyPatch, row: Row
) -> None:
    variable, option = row.variable, row.opts[-1]
    monkeypatch.setenv(variable, "no value")
    said = refusal("http://h/a")
    assert f"(set by {variable} of the environment): " in said
    assert f"'{option}'" in said


def test_a_bad_value_of_the_command_line_is_not() -> None:
    assert refusal("http://h/a", "--jobs", "x").startswith("Invalid value for '-j' / '--jobs': ")


@pytest.mark.parametrize(
    ("variables", "args", "said"),
    [
        ({"PDL_LOCKED": "1"}, (), "--locked is set by PDL_LOCKED of the environment"),
        ({"PDL_CHECK": "1"}, ("--dry-run",), "--check is set by PDL_CHECK"),
        ({"PDL_IPV4": "1", "PDL_IPV6": "1"}, (), "--ipv6 is set by PDL_IPV6"),
        ({"PDL_CHECKSUMS": "gone"}, ("--dry-run",), "--checksums is set by PDL_CHECKSUMS"),
        # what is named is the value, and not the option
        ({"PDL_REPORT": "r.txt"}, ("--dry-run",), "--report is set by PDL_REPORT"),
        ({"PDL_LOCK": "gone.jsonl"}, ("--locked", "--dry-run"), "--lock is set by PDL_LOCK"),
        ({"PDL_NAME": "{x}"}, ("--dry-run",), "--name is set by PDL_NAME"),
    ],
)
def test_what_a_refusal_speaks_of_is_said_to_be_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    args: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDL_USER_AGENT", "a")  # of which no message speaks
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = refusal("http://h/a", *args)
    assert said in told
    assert "PDL_USER_AGENT" not in told


def test_what_fails_for_an_option_of_the_environment_says_so(pdl_run: Runner) -> None:
    """It is in no command line, so that the name of the option alone says little."""
    run = pdl_run("http://127.0.0.1:9/a", env={"PDL_HTTPS_ONLY": "1"})
    assert "\n\n--https-only is set by PDL_HTTPS_ONLY of the environment\n" in run.err
    assert "PDL_" not in pdl_run("http://127.0.0.1:9/a", "--https-only").err


def test_a_list_that_cannot_be_read_in_the_format_given_says_which(pdl_run: Runner) -> None:
    (pdl_run.directory / "l.txt").write_text("http://127.0.0.1:9/a\n")
    run = pdl_run("l.txt", env={"PDL_FORMAT": "csv"})
    assert run.code == 2
    assert (
        "; --format csv was given; without it pdl finds the format itself; --format is" in run.err
    )
    assert "set by PDL_FORMAT" in run.err
    assert run.err.count("\n") == 2
    (pdl_run.directory / "l.csv").write_text("http://127.0.0.1:9/a\n")
    assert "was given" not in pdl_run("l.csv").err
