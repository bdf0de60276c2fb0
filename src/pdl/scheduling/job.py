"""A job: one file on its way to its outcome, as the schedule and the engine see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.scheduling.retry import Deaths

if TYPE_CHECKING:
    from pdl.model import Item, SafePath, Task
    from pdl.scheduling.mirrors import Mirrors


_NO_DEATHS = Deaths()


class Job:
    """One item on its way to its outcome.

    Attributes:
        task: what a worker is given.
        item: what the list said.
        host: whom it is asked of; names a queue.
        key: the URL's `pdl.text.url_identity.url_key`.
        attempts: answers so far.
        deaths: what is known of workers that died while they were at it.
        received: bytes over the wire, all attempts together.
        began: when the first attempt was handed out, by the caller's clock; None before.
        started: the same by `time.time`.
        followers: further lines with the same URL; they share the outcome.
        mirrors: the URLs it may be asked at, if there is more than one.
        wanted: where the file would go if its server named it not; None where that is the task's.
    """

    def __init__(self, task: Task, item: Item, host: str, key: int) -> None:
        self.task = task
        self.item = item
        self.host = host
        self.key = key
        self.attempts = 0
        self.deaths = _NO_DEATHS
        self.received = 0
        self.began: float | None = None
        self.started: float | None = None
        self.followers: list[Item] = []
        self.mirrors: Mirrors | None = None
        self.wanted: SafePath | None = None
