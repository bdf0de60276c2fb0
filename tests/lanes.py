"""Lanes for the tests of pools, importable by workers: the URL of a task says what to do."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdl.model import Answer, Fail, FailureKind, Pieces, SafePath, Success, Task

if TYPE_CHECKING:
    from pdl.pool import Lane, Meter

PATIENCE = 30.0
"""Seconds after which a lane that is held ends by itself, so that a broken test does."""


def task(number: int, order: str) -> Task:
    """A task that makes a lane of `Obedient` do as ordered."""
    return Task(number, order, SafePath(str(number)), f"{number}.part")


def large_task(number: int) -> Task:
    """A task of 16 KiB, for which a lane of `Obedient` says what it has got of them."""
    return task(number, "digest")._replace(
        pieces=Pieces("sha1", 1, number.to_bytes(4, "big") * 4096)
    )


def digest_of(task: Task) -> str:
    """What such a lane says."""
    assert task.pieces is not None
    return hashlib.sha256(task.pieces.digests).hexdigest()


def success(number: int, url: str = "http://host/file", message: str = "") -> Success:
    """The answer of a lane to which nothing happened."""
    return Success("success", number, 200, url, 10, 10, 0, 0.0, message=message)


@dataclass(frozen=True)
class Obedient:
    """Builds lanes that do what the task's URL says, as ``hold PATH``."""

    def __call__(self) -> Lane:
        """Build a lane."""
        return obey


class Crowded:
    """Builds a lane as often as it may; then the system has no thread left for another."""

    def __init__(self, most: int) -> None:
        self._left = most

    def __call__(self) -> Lane:
        """Build a lane.

        Raises:
            RuntimeError: as `threading.Thread.start`.
        """
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("can't start new thread")
        return obey


class Careless:
    """Builds lanes whose quick way is not as it should be.

    Args:
        when: it raises at once (``begin``), or when there is something to read (``ready``); there
            is ``never`` anything to read; what there is stays after the answer (``restless``);
            or the answer takes its time (``slow``).
    """

    def __init__(self, when: str) -> None:
        self._when = when

    def __call__(self) -> Lane:
        """Build a lane."""
        return CarelessLane(self._when)


class CarelessLane:
    """Does what it is told, but not, or not well, the quick way."""

    def __init__(self, when: str) -> None:
        self._when = when
        self._reader, self._writer = os.pipe()
        if when != "never":
            os.write(self._writer, b".")
        self.quick = self
        self._task: Task | None = None

    def begin(self, task: Task, meter: Meter) -> int:  # noqa: ARG002 - the protocol's shape
        """Raise, or say where there is something to read."""
        if self._when == "begin":
            raise ValueError("the quick way's own trouble")
        self._task = task
        return self._reader

    def ready(self) -> Answer:
        """Raise, or answer."""
        if self._when not in {"restless", "slow"} or self._task is None:
            raise ValueError("the quick way's own trouble")
        end = time.monotonic() + 0.02
        while self._when == "slow" and time.monotonic() < end:
            pass
        return success(self._task.id, message="quick")

    def finish(self) -> Answer:
        """Never asked for."""
        raise AssertionError

    def __call__(self, task: Task, meter: Meter) -> Answer:
        """Do what the task says."""
        return obey(task, meter)


THIRD = threading.Event()
"""Set in the worker when an `AheadLane` has finished the third task."""


class Ahead:
    """Builds lanes whose quick way has all of an answer at once, and tell what came when.

    Args:
        fails: how `finish` does not give the answer of the first task: ``no``, ``none``, ``raise``,
            or ``die``, by which the worker is killed. With ``call`` it does, and the second task's
            answer does not come; with ``reopen`` that one needs another connection, which gets the
            number of the first. With ``stuck`` it is not given before the third is finished; the
            second is answered at once.
    """

    def __init__(self, fails: str) -> None:
        self._fails = fails

    def __call__(self) -> Lane:
        """Build a lane."""
        return AheadLane(self._fails)


class AheadLane:
    """Answers with all that it was told to do until then."""

    def __init__(self, fails: str) -> None:
        self._fails = fails
        self._reader, writer = os.pipe()
        os.write(writer, b".")
        self._story: list[str] = []
        self._task: Task | None = None
        self._whole: Task | None = None
        self.quick = self

    def begin(self, task: Task, meter: Meter) -> int | None:  # noqa: ARG002 - the protocol's shape
        """Begin what no attempt was made at."""
        if task.begun:
            return None
        self._story.append(f"begin {task.id}")
        if self._fails == "reopen" and self._story.count("begin 1") == 1 and task.id == 1:
            reader, writer = os.pipe()
            os.dup2(reader, self._reader)
            os.write(writer, b".")
            return None
        self._task = task
        return self._reader

    def ready(self) -> Answer | str:
        """All has come, or not."""
        assert self._whole is None
        assert self._task is not None
        if self._fails == "call" and self._task.id == 1:
            return "call"
        if self._fails == "stuck" and self._task.id == 1:
            return success(1)
        self._whole = self._task
        return "whole"

    def finish(self) -> Answer | None:
        """Give the answer, or not if it is the first task's."""
        task, self._whole = self._whole, None
        assert task is not None
        self._story.append(f"finish {task.id}")
        if task.id == 0 and self._fails == "raise":
            raise ValueError("the quick way's own trouble")
        if task.id == 0 and self._fails == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.id == 0 and self._fails in {"none", "stuck"}:
            return None
        if task.id == 2:
            THIRD.set()
        return success(task.id, message=", ".join(self._story))

    def __call__(self, task: Task, meter: Meter) -> Answer:  # noqa: ARG002 - the protocol's shape
        """Answer."""
        self._story.append(f"call {task.id}")
        if self._fails == "stuck" and task.id == 0 and not THIRD.wait(20):
            raise TimeoutError
        return success(task.id, message=", ".join(self._story))


class Stillborn:
    """Builds no lane: the worker ends at its start."""

    def __call__(self) -> Lane:
        """End the worker."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Unbuildable:
    """Raises where a lane should be built."""

    def __call__(self) -> Lane:
        """Raise."""
        raise RuntimeError("no lane today")


def obey(task: Task, meter: Meter) -> Answer:
    """Do what the task says."""
    order, _, word = task.url.partition(" ")
    if order == "raise":
        raise ValueError("the lane's own trouble")
    if order == "exit":
        raise SystemExit(3)
    if order == "huge":
        return success(task.id, "u" * 100_000, "\N{GRINNING FACE}" * 100_000)
    if order == "unpicklable":
        return success(task.id, threading.Lock())  # type: ignore[arg-type]
    if order == "digest":
        return success(task.id, message=digest_of(task))
    if order == "count":
        for count in (100, 150, 400):
            meter.update(count, 1000)
    if order in {"hold", "look"}:
        return _hold(task, meter, Path(word), looks=order == "look")
    if order == "crash":
        meter.update(77, 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    return success(task.id)


def _hold(task: Task, meter: Meter, released: Path, *, looks: bool) -> Answer:
    """Leave a file with the worker's pid, and go on when `released` is there or on a stop."""
    if looks:  # at a file that is there
        meter.looked(700, 1000)
        meter.looked(900, 1000)
    else:
        meter.update(5, None)
        meter.update(42, 1000)
    sign = Path(f"{released}.{task.id}")
    Path(f"{sign}.new").write_text(str(os.getpid()))
    Path(f"{sign}.new").rename(sign)
    end = time.monotonic() + PATIENCE
    while not released.exists() and time.monotonic() < end:
        if meter.stopped():
            return Fail("fail", task.id, FailureKind.CANCELLED, transient=True, message="stopped")
        threading.Event().wait(0.005)
    return success(task.id)
