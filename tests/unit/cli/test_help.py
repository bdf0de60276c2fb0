"""What the command tells of itself: -h, --help, the manual, the completion, the version."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.shell_completion import BashComplete
from hypothesis import given
from hypothesis import strategies as st

import pdl
from pdl.cli.help import (
    EPILOG,
    EXAMPLES,
    SCHEMA,
    default_text,
    in_roff,
    long_help,
    manual_page,
    page_width,
    short_help,
)
from pdl.cli.main import command, read_values
from pdl.cli.option_types import Row, first_sentence, topics
from pdl.cli.options import GROUPS, MOST_USED, ROWS

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner

WIDTHS = [80, 97, 120]
ENTRY = re.compile(r" {2}(?:-\w|(?:-\w, | {4})(--[\w-]+))(?: \S+)? {2,}(?=\S)")
"""The left column of an option, with the blanks behind it."""


def sentences(row: Row) -> list[str]:
    return re.split(r"(?<=\.) ", row.text)


def told(text: str) -> dict[str, str]:
    """What a page says of each option, by its long name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if match := ENTRY.match(line):
            name = match[1] or "-h"
        if not line.startswith("  "):
            name = ""
        found[name] = f"{found.get(name, '')} {line[match.end() if match else 0 :].strip()}"
    return found


def sections(text: str) -> list[list[str]]:
    return [part.splitlines() for part in text.split("\n\n")]


# --- the sentences ---


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.names)
def test_each_sentence_can_be_read_alone(row: Row) -> None:
    for sentence in sentences(row):
        assert re.match("[A-Z]", sentence), sentence
        assert sentence.endswith("."), sentence
    first = row.text.split()[0]
    assert first not in {"Of", "To", "For", "Without", "The", "Whether", "With"}
    assert not row.text.startswith("The same")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.names)
def test_grep_finds_an_option_with_its_whole_first_sentence(row: Row) -> None:
    found = [line for line in long_help(80).splitlines() if f" {row.opts[-1]} " in line]
    assert len([line for line in found if first_sentence(row.text) in line]) == 1


# --- the pages ---


@pytest.mark.parametrize("width", WIDTHS)
def test_the_short_help_fits_on_a_screen(width: int) -> None:
    lines = short_help(width).splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) < width


def test_the_short_help_has_examples_thirty_options_and_the_way_to_the_rest() -> None:
    text = short_help(80)
    assert len(EXAMPLES) == 3
    assert all(example in text for example, _ in EXAMPLES)
    assert len(set(MOST_USED)) == 30
    by_name = {row.opts[-1]: row for row in ROWS}
    listed = text.partition("Options most used:")[2].splitlines()
    for name in MOST_USED:
        (line,) = [line for line in listed if f" {name} " in line]
        assert first_sentence(by_name[name].text) in line
    assert "pdl --help" in text
    assert "pdl --manual" in text


@pytest.mark.parametrize(("command_line", "_remark"), EXAMPLES)
def test_the_examples_are_commands(command_line: str, _remark: str) -> None:
    words = command_line.rpartition("| ")[2].split()
    assert words[0] == "pdl"
    read_values(command.make_context("pdl", words[1:]))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_long_help_has_all_options_by_group_in_one_column_layout(width: int) -> None:
    text = long_help(width)
    assert max(map(len, text.splitlines())) < width
    head, *groups, last = sections(text)[1:]
    assert "pdl --manual" in " ".join(head)
    assert " ".join(last) == EPILOG
    assert [group[0][:-1] for group in groups] == [*GROUPS]
    columns = set()
    for group, rows in zip(groups, GROUPS.values(), strict=True):
        entries = [match for line in group[1:] if (match := ENTRY.match(line))]
        assert [match[1] or "-h" for match in entries] == [row.opts[-1] for row in rows]
        columns |= {match.end() for match in entries}
        columns |= {len(line) - len(line.lstrip()) for line in group[1:] if not ENTRY.match(line)}
    assert len(columns) == 1


@pytest.mark.parametrize("row", [row for row in ROWS if row.target], ids=lambda row: row.names)
def test_the_long_help_tells_choices_and_the_default(row: Row) -> None:
    text = told(long_help(80))[row.opts[-1]]
    assert all(word in text for word in row.choices)
    assert text.endswith(f" [{default_text(row)}]") or not default_text(row)
    assert row.text in text


def test_no_heading_stands_twice() -> None:
    headings = re.findall(r"^(\w.*):$", long_help(80), re.MULTILINE)
    assert headings == [*GROUPS]


@pytest.mark.parametrize(("columns", "width"), [("40", 80), ("80", 80), ("100", 100), ("300", 120)])
def test_pages_are_as_wide_as_the_terminal_within_bounds(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert page_width() == width


def test_what_is_printed(pdl_run: Runner) -> None:
    assert pdl_run("-h").out == short_help(80) + "\n"
    assert pdl_run("--help").out == long_help(80) + "\n"
    assert pdl_run("urls.txt", "-h", "--nope").code == 2  # as for any other wrong command
    assert pdl_run("--version").out == f"pdl, version {pdl.__version__}\n"
    assert pdl_run("urls.txt", "--version").out == f"pdl, version {pdl.__version__}\n"


def test_a_usage_error_names_the_help(pdl_run: Runner) -> None:
    run = pdl_run("--nope")
    assert run.code == 2
    assert "Usage: pdl [OPTIONS] SOURCE...\nTry 'pdl --help' for help.\n" in run.err


# --- the manual ---


def test_the_manual_lists_its_pages(pdl_run: Runner) -> None:
    run = pdl_run("--manual")
    assert run.code == 0
    assert {"exit", "man", "options"} <= {*topics()}
    for topic in topics():
        assert re.search(rf"^  {topic} +\S", run.out, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("topic", topics())
def test_a_page_of_the_manual_is_printed(topic: str, pdl_run: Runner) -> None:
    run = pdl_run("--manual", topic)
    assert (run.code, run.err) == (0, "")
    first = {"man": ".TH PDL 1", SCHEMA: "{\n"}.get(topic, "# ")
    assert run.out.startswith(first)
    assert run == pdl_run(f"--manual={topic}")


@pytest.mark.skipif(not shutil.which("groff"), reason="reads it with groff")
def test_the_page_for_man_has_all_options_and_is_read_without_a_warning() -> None:
    run = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=100n"],
        input=manual_page("man"),
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    )
    assert run.stderr == ""
    said = " ".join(run.stdout.split())
    for row in ROWS:
        names = f"{', '.join(row.opts)} {row.metavar}".strip()
        # at its side or below, and broken anywhere
        assert re.sub(r"\s+", "", f"{names}{row.text}") in re.sub(r"\s+", "", said), names
    assert "143 Ended by SIGTERM." in said


@given(st.text())
def test_what_is_in_a_text_is_no_request_of_roff(text: str) -> None:
    escaped = in_roff(text)
    assert "\n" not in escaped
    assert not escaped.startswith((".", "'"))


def test_a_page_that_is_not_there_is_a_usage_error(pdl_run: Runner) -> None:
    run = pdl_run("--manual", "exits")
    assert run.code == 2
    assert "'exits' is none of cache, config, credentials, environment, exit, " in run.err


@pytest.mark.skipif(sys.platform != "linux", reason="makes a terminal with script")
@pytest.mark.skipif(not shutil.which("script"), reason="makes a terminal with script")
def test_on_a_terminal_the_manual_has_a_pager(tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nexec sed s/^/paged:/\n")
    pager.chmod(0o755)
    run = subprocess.run(
        ["script", "-qec", f"{sys.executable} -m pdl --manual exit", "/dev/null"],
        env={**os.environ, "PAGER": str(pager), "TERM": "xterm"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "paged:# Exit codes" in run.stdout


# --- the completion ---


def completed(*words: str) -> list[tuple[str, str]]:
    """Kind and text of what a shell is offered for the last word."""
    found = BashComplete(command, {}, "pdl", "_PDL_COMPLETE").get_completions(
        [*words[:-1]], words[-1]
    )
    return [(item.type, item.value) for item in found]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.names)
def test_every_option_is_completed(row: Row) -> None:
    assert set(row.opts) <= {text for _, text in completed("-")}
    if row.choices:
        assert completed(row.opts[-1], "") == [("plain", word) for word in row.choices]
        last = row.choices[-1]
        assert ("plain", last) in completed(row.opts[-1], last[:2])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.names)
def test_files_and_directories_are_completed(row: Row) -> None:
    kinds = {"FILE": "file", "FILE|URL": "file", "DIR": "dir"}
    if row.metavar in kinds:
        assert completed(row.opts[-1], "a/b") == [(kinds[row.metavar], "a/b")]


def test_a_source_is_completed_as_a_file() -> None:
    assert completed("-j", "8", "ur") == [("file", "ur")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_is_a_script_of_the_shell(shell: str, pdl_run: Runner) -> None:
    run = pdl_run("--completion", shell)
    assert run.code == 0
    assert f"_PDL_COMPLETE={shell}_complete" in run.out
    interpreter = shutil.which(shell)
    if interpreter:
        subprocess.run([interpreter, "-n"], input=run.out, text=True, check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="asks bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("--if-exists", ""), "skip update overwrite fail"),
        (("--format", "=", "js"), "jsonl json"),  # as bash takes --format=js apart
        (("--format", "="), "auto text csv tsv jsonl json metalink checksums curl"),
        (("-v", "--no-m"), "--no-mtime"),
        (("--manual", "ex"), "exit"),
    ],
)
def test_bash_completes(words: tuple[str, ...], offered: str, tmp_path: Path) -> None:
    """In a real bash, which is told that these words stand behind ``pdl``."""
    pdl_command = tmp_path / "pdl"
    pdl_command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pdl "$@"\n')
    pdl_command.chmod(0o755)
    (tmp_path / "script").write_text(
        'eval "$(pdl --completion bash)"\n'
        'COMP_WORDS=(pdl "$@") COMP_CWORD=$#\n'
        "_pdl_completion pdl\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "--norc", tmp_path / "script", *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout == f"{offered}\n"


def test_what_is_answered_at_once_needs_no_source_and_has_no_variable() -> None:
    for row in ROWS:
        if not row.target:
            (option,) = [each for each in command.params if each.opts == row.opts]
            assert isinstance(option, click.Option)
            assert option.is_eager
            assert option.envvar is None
