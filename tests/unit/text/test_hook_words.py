"""The words of `--exec`: which commands can be, and what a file fills in."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.text.hook_words import FIELDS, command_fault, filled, plain_command_fault

VALUES = {name: f"<{name}>" for name in FIELDS}


@pytest.mark.parametrize(
    "command",
    [
        "cp {path} {path}.copy",
        "true",
        "awk '{print $1}' {path}",
        "echo {{name}} ${HOME} {NAME} {1}",
        "sh -c 'gzip \"$1\"' sh {path}",
        "sh script.sh {path}",
        "{path} --version",
    ],
)
def test_what_can_be_run(command: str) -> None:
    assert command_fault(command) == ""


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("cp 'a", "no closing quotation"),
        ("cp {file}", "{file} is no field"),
        ("cp {}", "{} is no field"),
        ("no-such-program {path}", "there is no program 'no-such-program'"),
        ("sh -c 'rm {path}'", "would run what is in a file's name"),
        ("/bin/bash -ec 'rm {url}'", "would run what is in a file's name"),
        ("cp a\0b", "NUL"),
    ],
)
def test_what_cannot(command: str, why: str) -> None:
    assert why in command_fault(command)


def test_a_command_that_may_have_a_secret_is_not_shown() -> None:
    assert "hunter2" not in command_fault("curl -H 'Token: hunter2")


def test_a_plain_command_has_no_fields() -> None:
    assert plain_command_fault("echo {anything}") == ""


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("{path}", "<path>"),
        ("a{size}b{line}", "a<size>b<line>"),
        ("{{path}}", "{path}"),
        ("{print $1}", "{print $1}"),
        ("${HOME}", "${HOME}"),
        ("plain", "plain"),
    ],
)
def test_what_a_word_becomes(word: str, becomes: str) -> None:
    assert filled([word], VALUES) == [becomes]


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_whatever_a_file_is_called_it_is_one_word(name: str) -> None:
    words = shlex.split("cp {path} {{path}}")
    assert filled(words, VALUES | {"path": name}) == ["cp", name, "{path}"]
