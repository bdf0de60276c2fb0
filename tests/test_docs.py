"""The README says what the command does: options, variables, exit codes, kinds, fields."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pdl
from pdl.cli.help import EPILOG, default_text, manual_page
from pdl.cli.options import Row, topics
from pdl.cli.table import ROWS
from pdl.errors import ExitCode
from pdl.model import FailureKind, Outcome, Result, Summary
from pdl.naming.namer import FIELDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
OPTIONS_PAGE = manual_page("options")


def rows(heading: str) -> list[str]:
    """The first cells of the tables below a heading."""
    _, found, rest = README.partition(f"\n{heading}\n")
    assert found, f"no heading {heading}"
    section = re.split(r"\n#+ ", rest)[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    return [cell.removeprefix("| ") for cell in cells]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.names)
def test_every_option_is_on_its_page_with_its_names_variable_choices_and_default(row: Row) -> None:
    (line,) = [
        line for line in OPTIONS_PAGE.splitlines() if re.match(rf"\| .*`{row.opts[-1]}[ `]", line)
    ]
    names, variable, meaning = re.split(r" (?<!\\)\| ", line.strip("| "))
    assert all(re.search(rf"`{name}[ `]", names) for name in row.opts)
    assert variable == (f"`PDL_{row.opts[-1][2:].upper().replace('-', '_')}`" if row.target else "")
    assert row.text.replace("|", r"\|") in meaning
    if row.target:
        assert "\\|".join(row.choices) in names
        assert meaning.endswith(f"[{default_text(row)}]") or not default_text(row)


def test_no_option_is_documented_that_is_not_there() -> None:
    known = {name for row in ROWS for name in row.opts}
    commands = README.replace("python3 -m venv", "").replace("PDL_REQUIRE_REAL", "")
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", commands))
    assert said - known == {"--quick", "--cases", "--rounds"}  # the benchmarks'
    for topic in topics():
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", manual_page(topic))) <= known, topic


def test_the_variables_that_are_examples_are_there() -> None:
    variables = {row.variable for row in ROWS} | {"PDL_DEBUG"}
    for text in (EPILOG, *map(manual_page, topics())):
        assert set(re.findall(r"\bPDL_[A-Z_]+", text)) <= variables


def test_the_exit_codes_are_all_there() -> None:
    documented = [int(row) for row in rows("### Exit codes") if row.isdigit()]
    assert documented == sorted(ExitCode)
    assert {str(int(code)) for code in ExitCode} <= set(re.findall(r"\d+", EPILOG))
    page = re.findall(r"^\| (\d+) \|", manual_page("exit"), re.MULTILINE)
    assert [int(code) for code in page] == sorted(ExitCode)


def test_the_failure_kinds_are_all_there() -> None:
    documented = [row.strip("`") for row in rows("### Failure kinds") if row.startswith("`")]
    assert documented == [kind.value.replace("http", "http-NNN") for kind in FailureKind]


def test_the_report_fields_are_all_there() -> None:
    documented = [name for row in rows("## Report files") for name in re.findall(r"`(\w+)`", row)]
    assert sorted(documented) == sorted(Result._fields)
    section = README.partition("## Report files")[2].partition("\n## ")[0]
    for name in (*Summary._fields, *Outcome):
        assert f"`{name}`" in section


def test_the_fields_of_a_name_are_all_there() -> None:
    fields = " ".join(f"{{{field}}}" for field in FIELDS)
    assert fields in README
    assert fields in OPTIONS_PAGE


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
