"""``--exec``: a command for each file that was fetched, whose end is part of the line's outcome.

A row whose file has a command is held back until that has ended. Nothing here waits: the drive loop
looks at what runs in each of its turns, and starts what there is room for. While very many rows are
held, no further downloads begin, so that memory is bounded.

What is owed is written before a file is fetched; see `pdl.storage.owed_commands`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from pdl.model import FailureKind, Outcome
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.run.rows import CANCELLED, Results
from pdl.storage.owed_commands import OwedCommands
from pdl.system.child import GRACE, Child, ending_text, hear_of_ends
from pdl.text.hook_words import filled
from pdl.text.masking import mask_urls, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdl.model import Item, Result, Task
    from pdl.run.outputs import Outputs
    from pdl.run.stop import Stop
    from pdl.scheduling.progress import Standing
    from pdl.settings import Settings

HELD_MOST = 10_000
"""Rows that are held back at the most, but for those of downloads under way."""
STARTS = 4
"""Commands that are started in one turn of the loop: each takes about a millisecond."""
TEMPORARY = 75
"""The exit code (EX_TEMPFAIL) that means: later it may go well."""
_WORDS_MOST = 200
_LOOK_SECONDS = 0.01
_NOT_RUN = "the run was stopped before the command of --exec had run for it"
_AFTER_DEATH = {CANCELLED, FailureKind.WORKER_DIED.value}
"""After these a file may have got its name, though nobody has said so."""


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a command: this process's, without what pdl alone is to know.

    Those are its own options, which may have passwords and would steer a pdl that the command runs,
    and the variables that hold tokens.
    """
    told = [pair for table in settings.http.hosts for pair in table.said]
    bearers = [each for path, said in told if path == "auth.bearer" for each in said]
    users = [each for path, said in told if path == "auth.users" for each in said]
    secret = {variable for _, variable in (*settings.auth.bearer, *bearers)}
    secret |= {each.variable for each in users}
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PDL_") and name not in secret
    }


class HookedResults(Results):
    """Outcomes, of which those of files that were fetched wait for the command.

    Args:
        settings: of the run.
        stop: a second signal ends what runs, too.
        outputs: told of each row.
    """

    def __init__(self, settings: Settings, stop: Stop, outputs: Outputs) -> None:
        super().__init__(outputs)
        stop.ending = self.kill
        hear_of_ends()
        self._directory = os.path.abspath(settings.files.directory)
        self._words = shlex.split(settings.hooks.command or "")
        self._jobs = settings.hooks.jobs or os.cpu_count() or 1
        self._seconds = settings.hooks.seconds
        self._program = shutil.which(self._words[0])
        environment = environment_of(settings).items()
        self._environment = {os.fsencode(name): os.fsencode(value) for name, value in environment}
        state = Path(settings.files.directory, STATE_DIRECTORY, settings.naming.aside)
        self._owed = OwedCommands(state, outputs.warn, flush=settings.files.fsync)
        self._fresh: set[str] = set()
        self._held: dict[str, list[tuple[Result, Item | None]]] = {}
        self._waiting: deque[str] = deque()
        self._running: dict[str, Child] = {}
        self._late: set[str] = set()

    def begin(self, tasks: Sequence[Task]) -> None:
        """Write that their files will have a command."""
        paths = [
            task.path
            for task in tasks
            if not task.local and task.served is None and task.path not in self._fresh
        ]
        if paths:
            self._fresh.update(self._owed.owe(paths))

    def record(self, row: Result, item: Item | None) -> None:
        """A line has its outcome, unless its file has a command that has to run first."""
        path = row.path
        if path is None:
            super().record(row, item)
        elif path in self._held and row.outcome is not Outcome.FAIL:
            self._held[path].append((row, item))
        elif path not in self._held and self._is_owed(row, path):
            self._held[path] = [(row, item)]
            self._waiting.append(path)
        else:
            super().record(row, item)

    def _is_owed(self, row: Result, path: str) -> bool:
        fresh = path in self._fresh
        self._fresh.discard(path)
        if row.outcome is Outcome.SUCCESS and row.started is not None:
            if not fresh:  # its server has named it, or it was owed before
                self._owed.owe([path])
            return True
        there = os.access(f"{self._directory}/{path}", os.F_OK)
        if fresh:
            if not (row.kind in _AFTER_DEATH and there):
                self._owed.settle(path)
            return False
        return row.outcome is not Outcome.FAIL and there and self._owed.owes(path)

    # --- the commands ---

    def held(self) -> int:
        """How many files wait for their command, or for its end."""
        return len(self._held)

    def tick(self, standing: Standing) -> None:
        """Tell where things stand, and how many files wait."""
        super().tick(standing._replace(commands=len(self._held)))

    def asked(self) -> int:
        """See `Results.asked`; a command is no matter of the link."""
        return super().asked() + len(self._held)

    def full(self) -> bool:
        """Whether no more are to come for now."""
        return len(self._held) >= HELD_MOST

    def wake_on(self) -> list[int]:
        """What can be read from when a command has ended, or said something."""
        return [each for child in self._running.values() for each in child.wake_on()]

    def look(self) -> bool:
        """Take note of what has ended, and start what there is room for; whether that was any."""
        ended = self._look_at_running()
        started = 0
        while self._waiting and len(self._running) < self._jobs and started < STARTS:
            self._start(self._waiting.popleft())
            started += 1
        return bool(ended or started)

    def _look_at_running(self) -> int:
        ended = 0
        for path, child in [*self._running.items()]:
            if (code := child.look()) is not None:
                del self._running[path]
                self._ended(path, code, child.last_line())
                ended += 1
            elif child.seconds > self._seconds:
                self._late.add(path)
                child.end()
        return ended

    def _start(self, path: str) -> None:
        words = filled(self._words, self._values(*self._held[path][0]))
        try:
            program = self._program or words[0]
            self._running[path] = Child(words, program, self._environment)
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            self._conclude(path, f"the command {self._words[0]} cannot be run: {reason}")

    def _values(self, row: Result, item: Item | None) -> Mapping[str, str]:  # noqa: ARG002 - a pair
        size = "" if row.size is None else str(row.size)
        return {
            "path": f"{self._directory.rstrip('/')}/{row.path}",
            "url": row.url,
            "final_url": row.final_url or row.url,
            "checksum": row.checksum or "",
            "size": size,
            "source": row.source,
            "line": str(row.line),
        }

    def _ended(self, path: str, code: int, said: str) -> None:
        if path in self._late:
            self._late.discard(path)
            how = f"took more than {self._seconds:g} s (--exec-time)"
            self._conclude(path, f"the command {self._words[0]} {how}", transient=True)
        elif code == 0:
            self._owed.settle(path)
            for row, item in self._held.pop(path):
                super().record(row, item)
        else:
            why = f": {mask_urls(said)[:_WORDS_MOST]}" if said else ""
            message = f"the command {self._words[0]} {ending_text(code)}{why}"
            self._conclude(path, message, transient=code < 0 or code == TEMPORARY)

    def _conclude(
        self, path: str, message: str, *, transient: bool = False, kind: str = "exec"
    ) -> None:
        message = printable(message)
        for row, item in self._held.pop(path):
            row = row._replace(outcome=Outcome.FAIL, kind=kind, transient=transient)  # noqa: PLW2901
            super().record(row._replace(message=message), item)

    # --- the end ---

    def stop(self) -> None:
        """Start no more, and ask what runs to end."""
        self._jobs = 0
        for child in self._running.values():
            child.end()

    def cancel(self) -> None:
        """End what still runs; the rows that are held are cancelled."""
        deadline = time.monotonic() + GRACE
        while self._running and time.monotonic() < deadline:
            for path, child in [*self._running.items()]:
                if (code := child.look()) is not None:
                    del self._running[path]
                    if code == 0:
                        self._ended(path, code, "")
            time.sleep(_LOOK_SECONDS)
        self.kill()
        for path in [*self._held]:
            self._conclude(path, _NOT_RUN, transient=True, kind=CANCELLED)

    def kill(self) -> None:
        """Kill what runs; this process is about to end."""
        for child in self._running.values():
            child.kill()

    def close(self) -> None:
        """Leave nothing behind."""
        self.kill()
        self._owed.close()
