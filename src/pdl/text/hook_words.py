"""The words of ``--exec``: a program and its arguments, with fields that each file fills in.

There never is a shell: what a server has named a file is one word of the command, whatever is in
it. A shell that the command itself starts would read it as a script; so that is refused.
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
from typing import TYPE_CHECKING

from pdl.text.lazy_regex import lazy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIELDS = ("path", "url", "final_url", "checksum", "size", "source", "line")
_FIELD = lazy(r"\{\{([a-z_]*)\}\}|\{([a-z_]*)\}")
"""The first form stands for itself, with one pair of braces."""
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish"})


def plain_command_fault(command: str) -> str:
    """Why this is no command that can be run, without fields; empty if it is one."""
    try:
        words = shlex.split(command)
    except ValueError as exc:
        return f"it is no command: {exc}".lower()  # and may have a secret
    if not words:
        return "the command is empty"
    if "\0" in command:
        return "the command has a NUL"
    known = any(_FIELD.finditer(words[0])) or shutil.which(words[0])
    return "" if known else f"there is no program {words[0]!r}"


def command_fault(command: str) -> str:
    """The same of one with fields."""
    if fault := plain_command_fault(command):
        return fault
    words = shlex.split(command)
    for found in (each for word in words for each in _FIELD.finditer(word)):
        name = found[2]
        if name is not None and name not in FIELDS:
            fields = ", ".join(f"{{{each}}}" for each in FIELDS)
            return f"{{{name}}} is no field; they are {fields}, and {{{{{name}}}}} is plain text"
    return _script_fault(words)


def _script_fault(words: Sequence[str]) -> str:
    if os.path.basename(words[0]) not in _SHELLS:
        return ""
    for option, script in itertools.pairwise(words[1:]):
        if option.startswith("-") and option.endswith("c"):
            if any(found[2] is not None for found in _FIELD.finditer(script)):
                return (
                    "a field in a script of a shell would run what is in a file's name; write "
                    f"{os.path.basename(words[0])} {option} 'COMMAND \"$1\"' sh {{path}}"
                )
            return ""
    return ""


def filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words for one file.

    Args:
        words: of the command.
        values: of each field.
    """
    return [
        _FIELD.sub(
            lambda found: f"{{{found[1]}}}" if found[1] is not None else values[found[2]], word
        )
        for word in words
    ]
