"""When each lane was at which line: told where a report shows it.

The pool is watched from outside, so that nothing else of a run knows that anybody looks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pdl.model import FIRST_HELPER, Fail, failure_word
from pdl.pool import Answered, Returned, Said
from pdl.scheduling.progress import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pdl.model import Answer, Task
    from pdl.pool import Pool, PoolEvent
    from pdl.scheduling.schedule import Schedule

_Line = tuple[str, int]


class WatchedPool:
    """The same as another `pdl.pool.Pool`, of which every answer is told before it is taken.

    Args:
        pool: that makes the attempts.
        schedule: knows whose line each of them is for.
        tell: takes a `Span`.
    """

    def __init__(self, pool: Pool, schedule: Schedule, tell: Callable[[Span], None]) -> None:
        self._schedule = schedule
        self._tell = tell
        self._submit = pool.submit
        self._next = pool.get_nowait
        self._lines: dict[int, _Line] = {}
        self._parts: dict[int, str] = {}
        self._at: dict[str, _Line] = {}
        # the rest is that pool's
        self.room, self.resize, self.wait = pool.room, pool.resize, pool.wait
        self.go_easy, self.live, self.received = pool.go_easy, pool.live, pool.received
        self.stop, self.close = pool.stop, pool.close

    def submit(self, tasks: Sequence[Task]) -> None:
        """See `pdl.pool.Pool.submit`. Remembers which lines the tasks are for."""
        for task in tasks:
            if task.id < FIRST_HELPER:
                item = self._schedule.flying(task.id).plan.item
                self._lines[task.id] = self._at[task.part] = item.source, item.line
                self._parts[task.id] = task.part
            elif task.part in self._at:  # who helps is at the same part
                self._lines[task.id] = self._at[task.part]
        self._submit(tasks)

    def get_nowait(self) -> PoolEvent:
        """See `pdl.pool.Pool.get_nowait`. Tells of each answer."""
        event = self._next()
        if isinstance(event, Answered):
            now = time.monotonic()
            for answer in event.answers:
                line = self._taken(answer.id)
                if line is not None:
                    self._tell(span_of(line, answer, now))
        elif not isinstance(event, Said):
            ids = event.ids if isinstance(event, Returned) else (*event.current, *event.waiting)
            for task_id in ids:
                self._taken(task_id)
        return event

    def _taken(self, task_id: int) -> _Line | None:
        """The line of a task that is no longer under way, which is forgotten."""
        part = self._parts.pop(task_id, None)
        if part is not None:
            self._at.pop(part, None)
        return self._lines.pop(task_id, None)


def span_of(line: _Line, answer: Answer, now: float) -> Span:
    """What is told of an answer.

    Args:
        line: that was tried.
        answer: of a lane; one that does not say of which came from the only one, just now.
        now: the time. The clock of another machine may be ahead.
    """
    lane, ended = (answer.facts and answer.facts[4]) or (0, now)
    ended = min(ended, now)
    word = failure_word(answer.kind, answer.status) if isinstance(answer, Fail) else ""
    return Span(
        *line,
        lane,
        began=ended - answer.seconds,
        ended=ended,
        first=answer.first,
        received=answer.received,
        word=word,
        helps=answer.id >= FIRST_HELPER,
    )
