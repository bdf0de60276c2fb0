"""The completion in real shells, on a terminal of their own, by the key that people press."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from runner import base_environment
from terminals import Terminal

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = {
    "bash": ("bash --norc --noprofile -i", 'eval "$(pdl --completion bash)"'),
    "zsh": ("zsh -f -i", 'autoload -U compinit; compinit -u; eval "$(pdl --completion zsh)"'),
    "fish": ("fish --no-config -i", "pdl --completion fish | source"),
}
PDL = f"""#!/bin/sh
if [ -z "$_PDL_COMPLETE" ] && [ "$1" != --completion ]; then echo "<$*>"; exit; fi
exec {sys.executable} -m pdl "$@"
"""
"""It says what it is told, instead of a run."""
TYPED = {
    "--if-exists over": "--if-exists overwrite",
    "--content-d": "--content-disposition",
    "--lock some-f": "--lock some-file.jsonl",
    "-d some-": "-d some-directory",
    "some-f": "some-file.jsonl",
    "--format=met": "--format=metalink",
    "--lock=some-f": "--lock=some-file.jsonl",
    "--dir=some-": "--dir=some-directory",
}
"""What is typed, and what it is after the key."""


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_options_words_files_and_directories(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing")
    pdl_command = tmp_path / "pdl"
    pdl_command.write_text(PDL)
    pdl_command.chmod(0o755)
    (tmp_path / "here/some-directory").mkdir(parents=True)
    (tmp_path / "here/some-file.jsonl").touch()
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "TERM": "xterm" if shell == "fish" else "dumb"}
    words, setup = SHELLS[shell]
    env = base_environment(tmp_path) | more
    with Terminal(words.split(), tmp_path / "here", env) as terminal:
        terminal.press(f'{setup}; echo RE""ADY\r')
        terminal.until("READY")
        for typed, wanted in TYPED.items():
            terminal.press(f"pdl {typed}\t\r")
            assert terminal.until(f"<{wanted}"), typed  # zsh takes the slash back
