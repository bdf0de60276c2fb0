"""The completion in real shells, on a terminal of their own, by the key that people press."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runner import base_environment

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
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b\(B|[\r\x08]")


class Terminal:
    """A shell, and what it has shown since the last thing that was typed."""

    def __init__(self, shell: str, directory: Path) -> None:
        words = SHELLS[shell][0].split()
        path = f"{directory}{os.pathsep}{os.environ['PATH']}"
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:  # pragma: no cover - another program from here on
            os.chdir(directory / "here")
            more = {"PATH": path, "TERM": "xterm" if shell == "fish" else "dumb"}
            os.execvpe(words[0], words, base_environment(directory) | more)

    def type(self, text: str, wanted: str) -> str:
        """Type it, and read until what is wanted is shown; all that was."""
        os.write(self._terminal, text.encode())
        shown, end = "", time.monotonic() + 30
        while wanted not in MOVES.sub("", shown):
            left = end - time.monotonic()
            if not select.select([self._terminal], [], [], max(0.0, left))[0]:
                raise TimeoutError(f"{wanted!r} is not in {shown!r}")
            shown += os.read(self._terminal, 4096).decode(errors="replace")
        return shown

    def end(self) -> None:
        """End the shell."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)


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
    terminal = Terminal(shell, tmp_path)
    try:
        terminal.type(f'{SHELLS[shell][1]}; echo RE""ADY\r', "READY")
        for typed, wanted in TYPED.items():
            terminal.type(f"pdl {typed}\t\r", f"<{wanted}")  # zsh takes the slash back
    finally:
        terminal.end()
