"""The README and the manual say what the command does, and what they show can be run."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import pytest

import pdl
from pdl.cli.help import SCHEMA, default_text, manual_page
from pdl.cli.main import command
from pdl.cli.options import ROWS
from pdl.errors import ExitCode
from pdl.model import FailureKind, Outcome, Result
from pdl.naming.namer import FIELDS
from pdl.output.display.registry import MODES
from pdl.output.reports.registry import FORMATS as REPORT_FORMATS
from pdl.pool.registry import ENGINES
from pdl.scheduling.kinds import KINDS
from pdl.scheduling.progress import HostRow, Summary
from pdl.sources.registry import FORMATS
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.cli.option_types import Row
    from pdl.output.reports.registry import ReportFormat
    from pdl.sources.registry import ListFormat

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    page.name.removesuffix(".md"): page.read_text(encoding="utf-8")
    for page in resources.files("pdl").joinpath("manual").iterdir()
    if page.name.endswith(".md")
}
TEXTS = {"README": README, **PAGES}
OPTIONS = [each for each in command.params if isinstance(each, click.Option)]
SETTABLE = [each for each in OPTIONS if each.expose_value and not each.is_eager]

ELSEWHERE = {
    *("--quick", "--cases", "--rounds"),  # tests/benchmarks/run.py
    *("--parallel", "--remote-name-all", "--tries", "--lowest-speed-limit", "--retry"),  # of peers
    "--on-download-complete",
    *("--now", "--no-cache-dir"),  # systemctl, pip
    *("--array", "--wrap"),  # sbatch
    "--heads",  # tests/peers.py
}
"""Options of other programs that the texts name."""
OPTIONS_PAGE = manual_page("options")


@pytest.mark.parametrize(
    "row", [*FORMATS, *REPORT_FORMATS, *MODES, *ENGINES], ids=lambda row: str(row[0])
)
def test_what_a_word_means_is_on_the_page_of_options(row: ListFormat | ReportFormat) -> None:
    assert f"`: {row.sentence}\n" in OPTIONS_PAGE


class Block(NamedTuple):
    """What stands between two fences: the language behind the first, and the lines."""

    where: str
    language: str
    lines: list[str]


def blocks() -> Iterator[Block]:
    for name, text in TEXTS.items():
        for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield Block(name, language, body.replace("\\\n", " ").splitlines())


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def words_of_pdl(line: str) -> Iterator[list[str]]:
    """The words behind each `pdl` that a line of shell, or something near it, runs."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            starts = [n for n, each in enumerate(words) if re.fullmatch(r"(.*/bin/)?pdl", each)]
            if starts:
                yield words[starts[0] + 1 :]
            words = []
        else:
            words.append(word)


def commands() -> dict[str, list[str]]:
    found = {}
    for block in blocks():
        if block.language in {"sh", "console", "crontab", "ini", "yaml", "dockerfile", "make"}:
            for line in block.lines:
                if re.search(r"\bpdl ", line) and not line.startswith("pdl: "):
                    for words in words_of_pdl(line):
                        found[f"{block.where}: pdl {shlex.join(words)}"] = words
    for name, text in TEXTS.items():
        for line in re.findall(r"`(pdl [^`]+)`", prose(text)):
            if not re.search("--(manual|help|version)|OPTIONS", line):
                found[f"{name}: {line}"] = shlex.split(line)[1:]
    return found


COMMANDS = commands()


def section(page: str, heading: str) -> str:
    """What stands below a heading, to the next one."""
    _, found, rest = TEXTS[page].partition(f"\n{heading}\n")
    assert found, f"{page} has no heading {heading}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def entries(page: str, heading: str) -> list[str]:
    """What the items of the lists in a section begin with, up to the colon."""
    return re.findall(r"^- (`[^:]*):", section(page, heading), re.MULTILINE)


def words(entries: list[str]) -> list[str]:
    return [word for entry in entries for word in re.findall(r"`([^`]+)`", entry)]


def long_name(option: click.Option) -> str:
    return max(option.opts, key=len)


def alone(name: str) -> str:
    return rf"(?<![\w-]){re.escape(name)}(?![\w-])"


# --- Options and variables ------------------------------------------------------------------


@pytest.mark.parametrize("option", SETTABLE, ids=long_name)
def test_every_option_is_in_the_manual_with_all_its_names(option: click.Option) -> None:
    missing = [
        name
        for name in option.opts
        if not any(re.search(alone(name), text) for text in TEXTS.values())
    ]
    assert missing == []


def test_no_option_is_documented_that_is_not_there() -> None:
    known = {"--help", *(name for option in OPTIONS for name in option.opts)}
    text = "\n".join(TEXTS.values())
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert said - known == ELSEWHERE


@pytest.mark.parametrize("option", OPTIONS, ids=long_name)
def test_choices_are_listed(option: click.Option) -> None:
    if isinstance(option.type, click.Choice):
        listed = f"`{long_name(option)} {'|'.join(option.type.choices)}`"
        assert any(listed in text for text in PAGES.values()), listed


@pytest.mark.parametrize("option", SETTABLE, ids=long_name)
def test_the_variable_of_an_option_has_its_long_name(option: click.Option) -> None:
    assert option.envvar == "PDL_" + long_name(option)[2:].upper().replace("-", "_")


def test_variables_are_read_as_the_manual_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PDL_JOBS": "16",
        "PDL_RETRY_WAIT": "2",
        "PDL_TREE": "1",
        "PDL_DIR": "from environment",
        "PDL_HEADER": "Accept: a b\nX-One: 1",
        "PDL_REPORT": "a b.jsonl:c.json",
        "PDL_CHECKSUMS": "a b\nc",
        "PDL_EXPECT_TYPE": "image/* text/plain",
        "PDL_RETRY_STATUS": "500,503",
    }.items():
        monkeypatch.setenv(name, value)
    values = command.make_context("pdl", ["-d", "from command", "list"]).params
    given = {long_name(option): values[option.name] for option in SETTABLE if option.name}
    assert given["--jobs"] == 16
    assert given["--retry-wait"] == 2.0
    assert given["--tree"] is True
    assert given["--dir"] == "from command"
    assert given["--header"] == (("Accept", "a b"), ("X-One", "1"))
    assert given["--report"] == ("a b.jsonl", "c.json")
    assert given["--checksums"] == ("a b", "c")
    assert given["--expect-type"] == ("image/*", "text/plain")
    assert given["--retry-status"] == {500, 503}
    named = set(re.findall(r"`(PDL_[A-Z_]+)", PAGES["environment"]))
    assert named >= {"PDL_JOBS", "PDL_RETRY_WAIT", "PDL_TREE", "PDL_HEADER", "PDL_REPORT"}
    assert named - {"PDL_", "PDL_DEBUG"} <= {option.envvar for option in SETTABLE}


@pytest.mark.parametrize("name", ["PDL_JOBS", "PDL_TIMEOUT", "PDL_RETRY_STATUS", "PDL_MAX_SIZE"])
def test_a_variable_with_a_wrong_value_is_a_usage_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nonsense")
    with pytest.raises(click.BadParameter, match="nonsense"):
        command.make_context("pdl", ["list"])


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


# --- Words that are stable ------------------------------------------------------------------


def test_the_exit_codes_are_all_there() -> None:
    assert [int(word) for word in words(entries("exit", "## Exit codes"))] == sorted(ExitCode)
    table = re.findall(r"^\| ([\d, ]+) \|", section("README", "## Exit codes"), re.MULTILINE)
    assert [int(code) for row in table for code in row.split(",")] == sorted(ExitCode)
    screen = " ".join(command.get_help(click.Context(command)).split())
    _, told, epilog = screen.partition("Exit codes:")
    assert told
    assert {str(int(code)) for code in ExitCode} <= set(re.findall(r"\d+", epilog))


def test_the_failure_kinds_are_all_there() -> None:
    listed = re.findall(
        r"^- `([\w-]+)` \((permanent|transient|both)\):",
        section("reports", "## Failure kinds"),
        re.MULTILINE,
    )
    expected = [kind.value.replace("http", "http-NNN") for kind in FailureKind]
    assert [kind for kind, _ in listed] == expected
    lasting = {row.kind.value.replace("http", "http-NNN"): row.lasting for row in KINDS}
    assert dict(listed) == lasting


def test_the_report_fields_are_all_there() -> None:
    listed = words(entries("reports", "## Report files"))
    fields = listed[listed.index("source") : listed.index("message") + 1]
    assert sorted(fields) == sorted(Result._fields)
    summary = listed[listed.index("message") + 1 : listed.index("unread") + 1]
    assert sorted([*summary, "hosts"]) == sorted(Summary._fields)
    assert sorted(words(entries("hosts", "## In report files"))) == sorted(HostRow._fields)
    assert all(f"`{outcome}`" in section("reports", "## Report files") for outcome in Outcome)


def test_the_fields_of_a_name_are_all_there() -> None:
    assert " ".join(f"{{{field}}}" for field in FIELDS) in PAGES["names"]
    assert set(FIELDS) <= set(re.findall(r"`\{(\w+)\}`", PAGES["names"]))
    assert " ".join(f"{{{field}}}" for field in FIELDS) in OPTIONS_PAGE


# --- What is shown can be run ---------------------------------------------------------------


@pytest.mark.parametrize("given", COMMANDS.values(), ids=COMMANDS)
def test_every_command_can_be_given(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fields.txt").write_text("Accept: a/b")
    for option, name in itertools.pairwise(given):
        if option in {"--cacert", "--cert", "--key"}:
            Path(name).touch()  # these must be there
    assert command.make_context("pdl", list(given)).params["sources"]


def test_commands_are_found_in_every_kind_of_block() -> None:
    assert len(COMMANDS) > 30
    assert list(words_of_pdl("a | pdl - -d x && b; X=1 /usr/bin/pdl 'u v' > o # pdl no")) == [
        ["-", "-d", "x"],
        ["u v"],
    ]
    assert list(words_of_pdl("- run: pipx install ./tools/pdl")) == []
    languages = {block.language for block in blocks()}
    assert languages == {
        *("", "console", "crontab", "dockerfile", "ini", "make", "python", "sh", "toml", "yaml")
    }


@pytest.mark.parametrize(
    "block", [each for each in blocks() if each.language == "sh"], ids=lambda each: each.where
)
def test_shell_is_shell(block: Block) -> None:
    done = subprocess.run(
        ["sh", "-n"], input="\n".join(block.lines), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", ["README", "python"])
def test_the_python_example_is_python_and_its_names_are_public(page: str) -> None:
    for block in blocks():
        if block.where == page and block.language == "python":
            tree = ast.parse("\n".join(block.lines))
            attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            used = {node.attr for node in attributes if ast.unparse(node.value) == "pdl"}
            assert {"download", "Item"} <= used <= set(pdl.__all__)
            return
    pytest.fail("there is none")


def test_the_pipeline_runs_the_readme_commands() -> None:
    pipeline = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    named = re.findall(r"^python3 -m venv \.venv.*$", README, re.MULTILINE)
    assert len(named) == 2
    assert all(line in pipeline for line in named)


# --- The pages themselves -------------------------------------------------------------------


def test_every_path_named_is_there() -> None:
    text = prose(README)
    links = re.findall(r"\]\(([^)]+)\)", text)
    spans = re.findall(r"`((?:src|tests|examples|\.ci)/[^` ]+)", text)
    spans += [f"src/pdl/{path}" for path in re.findall(r"`((?!src|tests)\w+/[\w/]+\.py)`", text)]
    assert len(links) > 1
    assert len(spans) > 5
    assert [path for path in (*links, *spans) if not (ROOT / path).exists()] == []
    by_hand = re.findall(r"`(\w+\.py)`", text)
    assert [name for name in by_hand if not (ROOT / "tests" / "survive" / name).exists()] == []


def test_every_package_is_in_the_layout_and_no_other() -> None:
    layout = next(each for each in blocks() if "6 cli/" in each.lines[0])
    named = re.findall(r"^[\d ] (\w+)/", "\n".join(layout.lines), re.MULTILINE)
    home = ROOT / "src" / "pdl"
    assert sorted(named) == sorted(path.parent.name for path in home.glob("*/__init__.py"))
    assert all((home / name).exists() for name in re.findall(r"\w+\.py", layout.lines[-1]))


def test_every_topic_named_is_there() -> None:
    for name, text in TEXTS.items():
        topics = set(re.findall(r"`pdl --manual (\w+)`", text))
        assert topics <= {*PAGES, SCHEMA}, name
    assert set(re.findall(r"\(src/pdl/manual/(\w+)\.md\)", README)) <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_title_and_a_sentence_that_says_what_it_is(page: str) -> None:
    title, blank, *rest = PAGES[page].splitlines()
    assert re.fullmatch(r"# \S.*", title)
    assert not blank
    sentence = re.match(r".+?\.(?= |$)", "\n".join(rest).partition("\n\n")[0].replace("\n", " "))
    assert sentence is not None
    assert len(sentence[0]) <= 70, sentence[0]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_terminal(page: str) -> None:
    assert [line for line in PAGES[page].splitlines() if len(line) > 79] == []


def test_the_readme_is_short() -> None:
    lines = README.splitlines()
    assert len(lines) <= 200
    assert [line for line in lines if len(line) > 100 and not line.startswith("| ")] == []
