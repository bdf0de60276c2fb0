"""A `Link`: the main process's side of one worker, and what it has been given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Answer, Task
    from pdl.pool.process.pipes import OutcomeQueue, TaskSender

PACE_SECONDS = 0.2
"""Over which a worker's pace is smoothed."""

AHEAD_SECONDS = 0.03
"""A worker is given what it does in this time beyond one task a lane, so that it never idles
while messages travel; nothing when files are slow."""

AHEAD_MOST = 96
"""Tasks a worker is given beyond one a lane; those of a usual size all fit in the task pipe."""

RECALL_SECONDS = 0.1
"""Tasks that wait in a worker which has answered nothing, or been given nothing, for so long are
called back; they were to wait a third of it."""


class Process(Protocol):
    """A worker, as the main process sees it; as multiprocessing's."""

    @property
    def exitcode(self) -> int | None:
        """How it ended, once it has."""

    def is_alive(self) -> bool:
        """Whether it runs."""

    def kill(self) -> None:
        """End it at once."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""


class Link:
    """The main process's side of one worker.

    Attributes:
        tasks: the end of the task pipe that this process writes.
        outcomes: what the worker writes.
        process: the worker.
        slot: which cells of the shared array are its lanes'.
        most: how many it has.
        lanes: how many of them are in use.
        widest: how many were, at the most.
        held: ids of the tasks it was given and has not answered.
        under_way: of them, so many at the least were begun, perhaps in lanes not in use any more.
        heard: `time.monotonic` of its last answer, or of when it was given something to do.
        began: of the latter.
        fed: of when it was last given anything.
        pace: answers a second while it has something to do, smoothed.
        recalled: it was asked for its waiting tasks and has not given them back yet.
        proven: one of its lanes has come up.
        beat: of the worker, when it was last looked at.
        silent: seconds for which it has not changed, as far as this process itself was running.
    """

    def __init__(
        self,
        tasks: TaskSender,
        outcomes: OutcomeQueue,
        process: Process,
        slot: int,
        lanes: int,
    ) -> None:
        self.tasks = tasks
        self.outcomes = outcomes
        self.process = process
        self.slot = slot
        self.most = self.lanes = self.widest = lanes
        self.held: dict[int, None] = {}
        self.under_way = 0
        self.heard = time.monotonic()
        self.began = 0.0
        self.fed = 0.0
        self.pace = 0.0
        self.recalled = False
        self.proven = False
        self.beat = 0
        self.silent = 0.0

    def fileno(self) -> int:
        """Readable when the worker has said something or died."""
        return self.outcomes.fileno()

    def given(self, tasks: Sequence[Task]) -> None:
        """Note that it has been given these."""
        self.fed = time.monotonic()
        if not self.held:
            self.heard = self.began = self.fed
        self.held.update(dict.fromkeys(task.id for task in tasks))

    def answered(self, answers: Sequence[Answer]) -> None:
        """Note the answers, and how fast they come."""
        now = time.monotonic()
        elapsed = max(now - self.heard, 1e-6)
        # the mean as long as there is little to go by, so that it is known soon
        weight = elapsed / max(elapsed, min(now - self.began, PACE_SECONDS))
        self.pace += weight * (len(answers) / elapsed - self.pace)
        self.heard = now
        for answer in answers:
            del self.held[answer.id]
        self.under_way = min(self.under_way, len(self.held))

    def returned(self, ids: Sequence[int]) -> None:
        """Note that these came back; all others are under way."""
        for task_id in ids:
            del self.held[task_id]
        self.recalled = False
        self.under_way = len(self.held)

    def use(self, lanes: int) -> bool:
        """Note that it is to use so many lanes; whether that is news to it."""
        changed = lanes != self.lanes
        self.lanes = lanes
        self.widest = max(self.widest, lanes)
        return changed

    def window(self) -> int:
        """How many tasks it should hold: one a lane, and what it does in a blink besides."""
        ahead = 0 if self.recalled else min(AHEAD_MOST, int(self.pace * AHEAD_SECONDS))
        return self.lanes + ahead

    def keeps_any_waiting(self) -> bool:
        """Whether it may hold tasks that no lane has begun."""
        return len(self.held) > max(self.lanes, self.under_way)

    def late(self) -> bool:
        """Whether what waits in it takes longer than it should when it was given.

        It says nothing, or it answers so slowly that it has been given nothing more.
        """
        since = min(self.heard, self.fed)
        return self.keeps_any_waiting() and time.monotonic() - since > RECALL_SECONDS

    def close(self) -> None:
        """Close both pipes; the worker exits when it sees it."""
        self.tasks.close()
        self.outcomes.close()
