"""The README says what the command does: options, variables, exit codes, kinds, fields."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest

import pdl
from pdl.cli.main import command
from pdl.errors import ExitCode
from pdl.model import FailureKind, Outcome, Result, Summary
from pdl.naming.namer import FIELDS
from pdl.scheduling.kinds import KINDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
OPTIONS = [each for each in command.params if isinstance(each, click.Option)]
SETTABLE = [each for each in OPTIONS if each.name not in {"version", "help"}]


def rows(heading: str) -> list[str]:
    """The first cells of the tables below a heading."""
    _, found, rest = README.partition(f"\n{heading}\n")
    assert found, f"no heading {heading}"
    section = re.split(r"\n#+ ", rest)[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    return [cell.removeprefix("| ") for cell in cells]


def long_name(option: click.Option) -> str:
    return max(option.opts, key=len)


@pytest.mark.parametrize("option", OPTIONS, ids=long_name)
def test_every_option_is_in_the_table_with_all_its_names(option: click.Option) -> None:
    for name in option.opts:
        assert any(re.search(rf"`{name}[ `]", row) for row in rows("### Options")), name


def test_no_option_is_documented_that_is_not_there() -> None:
    known = {"--help", *(name for option in OPTIONS for name in option.opts)}
    commands = README.replace("python3 -m venv", "").replace("PDL_REQUIRE_REAL", "")
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", commands))
    assert said - known == {"--quick", "--cases", "--rounds"}  # the benchmarks'


@pytest.mark.parametrize("option", OPTIONS, ids=long_name)
def test_choices_are_listed(option: click.Option) -> None:
    if isinstance(option.type, click.Choice):
        assert f"`{long_name(option)} " + "\\|".join(option.type.choices) + "`" in README


@pytest.mark.parametrize("option", SETTABLE, ids=long_name)
def test_the_variable_of_an_option_has_its_long_name(option: click.Option) -> None:
    assert option.envvar == "PDL_" + long_name(option)[2:].upper().replace("-", "_")


def test_variables_are_read_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PDL_JOBS": "16",
        "PDL_RETRY_WAIT": "2",
        "PDL_TREE": "1",
        "PDL_DIR": "from environment",
        "PDL_HEADER": "Accept: a b\nX-One: 1",
        "PDL_REPORT": "a b.jsonl:c.json",
        "PDL_RETRY_STATUS": "500,503",
    }.items():
        monkeypatch.setenv(name, value)
    given = command.make_context("pdl", ["-d", "from command", "list"]).params
    assert given["jobs"] == 16
    assert given["retry_wait"] == 2.0
    assert given["tree"] is True
    assert given["directory"] == "from command"
    assert given["headers"] == (("Accept", "a b"), ("X-One", "1"))
    assert given["reports"] == ("a b.jsonl", "c.json")
    assert given["statuses"] == {500, 503}
    for name in ("PDL_JOBS", "PDL_RETRY_WAIT", "PDL_TREE", "PDL_HEADER", "PDL_REPORT"):
        assert f"`{name}" in README


@pytest.mark.parametrize("name", ["PDL_JOBS", "PDL_TIMEOUT", "PDL_RETRY_STATUS", "PDL_MAX_SIZE"])
def test_a_variable_with_a_wrong_value_is_a_usage_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nonsense")
    with pytest.raises(click.BadParameter, match="nonsense"):
        command.make_context("pdl", ["list"])


def test_the_exit_codes_are_all_there() -> None:
    documented = [int(row) for row in rows("### Exit codes") if row.isdigit()]
    assert documented == sorted(ExitCode)
    assert command.epilog is not None
    assert {str(int(code)) for code in ExitCode} <= set(re.findall(r"\d+", command.epilog))


def test_the_failure_kinds_are_all_there() -> None:
    documented = [row.strip("`") for row in rows("### Failure kinds") if row.startswith("`")]
    assert documented == [kind.value.replace("http", "http-NNN") for kind in FailureKind]
    for row in KINDS:
        word = row.kind.value.replace("http", "http-NNN")
        assert f"| `{word}` | {row.lasting} |" in README


def test_the_report_fields_are_all_there() -> None:
    documented = [name for row in rows("## Report files") for name in re.findall(r"`(\w+)`", row)]
    assert sorted(documented) == sorted(Result._fields)
    section = README.partition("## Report files")[2].partition("\n## ")[0]
    for name in (*Summary._fields, *Outcome):
        assert f"`{name}`" in section


def test_the_fields_of_a_name_are_all_there() -> None:
    assert " ".join(f"{{{field}}}" for field in FIELDS) in README


def test_every_module_named_is_there() -> None:
    section = README.partition("## For people who carry on the work")[2]
    table = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    assert len(table) > 10
    for row in table:
        names = re.findall(r"`(.*?)`", row)
        home = (ROOT / names[0]).parent
        assert all((ROOT / name).exists() or (home / name).exists() for name in names), row


def test_the_python_example_is_python_and_its_names_are_public() -> None:
    code = README.partition("```python\n")[2].partition("```")[0]
    tree = ast.parse(code)
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if ast.unparse(node.value) == "pdl"}
    assert {"download", "Settings"} <= used <= set(pdl.__all__)


def test_the_pipeline_runs_the_readme_commands() -> None:
    pipeline = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert all(line in pipeline for line in commands)
