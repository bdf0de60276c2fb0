"""Workers born with links: how `multiprocessing.Pool` is made to start processes on own pipes.

A `Link` is the main process's side of one worker. The Pool makes its processes through a context;
`LinkingContext` is one whose processes ask the `Spawner` for a link before they start.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
import time
from collections import deque
from multiprocessing import connection, context
from typing import TYPE_CHECKING, Any

from pdl.pool.process.pipes import OutcomeQueue, TaskReceiver, TaskSender
from pdl.pool.process.worker import WorkerEnd
from pdl.pool.startup.fork_helpers import end_server, uninterrupted
from pdl.pool.startup.import_path import importing_nothing_from_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Answer, Task

EXIT_GRACE = 1.0
"""Seconds a worker is given to exit by itself before it is killed."""

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

START_SECONDS = 60.0
"""What the start of a process may take; longer is a fork server that says nothing."""
SERVERS_LOST = 20
"""Fork servers in a row that may die while they start a worker."""


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
        process: LinkedProcess,
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


class Spawner:
    """Gives every process the Pool starts its link, and keeps the links.

    `start` runs in the main thread for the first workers and in the Pool's own thread for those
    that replace dead ones; `births` hands the new links over.

    Args:
        ctx: makes the pipes.
        slots: how many there are: more than workers, as one that died keeps its slot until the main
            thread has buried it.
        shares: lanes of each worker. One that replaces another has its share, so that there are
            never more lanes than these.
    """

    def __init__(self, ctx: context.BaseContext, slots: int, shares: Sequence[int]) -> None:
        self._ctx = ctx
        self._slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(slots):
            self._slots.put(slot)
        self._shares: queue.SimpleQueue[int] = queue.SimpleQueue()
        for share in shares:
            self._shares.put(share)
        self.births: deque[Link] = deque()
        self.links: list[Link] = []
        self.failure: OSError | MemoryError | None = None
        self._servers_lost = 0
        self.closing = threading.Event()
        self.abandoned = False
        self.wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        os.set_blocking(self.wake_reader, False)
        self._ended, writer = os.pipe()
        os.close(writer)

    def start(self, process: LinkedProcess) -> bool:
        """Start the process with a new link; False if the system would not."""
        try:
            lanes, slot = self._free(self._shares), self._free(self._slots)
            reader, writer = connection.Pipe(duplex=False)
            outcomes = OutcomeQueue(ctx=self._ctx)
            process.end = WorkerEnd(TaskReceiver(reader), outcomes, slot, lanes)
            process.main_end = writer
            process.start_now()
        except queue.Empty:
            return False
        except (OSError, EOFError, MemoryError) as exc:
            self._not_started(exc)
            self.give_back(slot, lanes)
            self.wake()
            self.closing.wait(0.1)
            return False
        self._servers_lost = 0
        self.failure = None
        reader.close()
        outcomes.keep_reader()
        self.births.append(Link(TaskSender(writer), outcomes, process, slot, lanes))
        if self.closing.is_set():  # too late for `close` to see it
            writer.close()
        self.wake()
        return True

    def _not_started(self, exc: OSError | EOFError | MemoryError) -> None:
        """A fork server that was killed just now is started anew next time; anything else is told.

        It is refused a connection, or loses one, or leaves an end of file.
        """
        if not isinstance(exc, EOFError | ConnectionError):
            self.failure = exc
            return
        self._servers_lost += 1
        if self._servers_lost > SERVERS_LOST:
            self.failure = ChildProcessError(errno.ECHILD, "the fork server dies again and again")

    def ended(self) -> int | None:
        """A new descriptor that is always readable, as of a process that has ended, or None."""
        with contextlib.suppress(
            OSError
        ):  # too many are open, which may be why there is no process
            return os.dup(self._ended)
        return None

    def give_back(self, slot: int, lanes: int) -> None:
        """Let another worker have what a dead one had."""
        self._slots.put(slot)
        self._shares.put(lanes)

    def _free(self, those: queue.SimpleQueue[int]) -> int:
        """A free slot or share: a dead worker's is free once the main thread has buried it.

        Raises:
            queue.Empty: the pool is closing.
        """
        while not self.closing.is_set():
            with contextlib.suppress(queue.Empty):
                return those.get(timeout=0.1)
        raise queue.Empty

    def wake(self) -> None:
        """Make a wait in the main thread return."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b".")

    def woken(self) -> None:
        """Forget the wakes so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_reader, 4096)

    def forget(self) -> None:
        """Close what is left, when no thread of the Pool is left to use it."""
        for link in self.links:
            link.outcomes.close()
        self._close_own()

    def _close_own(self) -> None:
        for descriptor in (self._wake_writer, self.wake_reader, self._ended):
            os.close(descriptor)

    def admit(self) -> None:
        """Take over the links of new workers."""
        while self.births:
            self.links.append(self.births.popleft())

    def forget_in_child(self) -> None:
        """In a forked worker: close what belongs to the main process and to other workers."""
        for link in [*self.links, *self.births]:
            for end in (link.tasks, link.outcomes):
                with contextlib.suppress(OSError):  # the fork came in the middle of its closing
                    end.close()
        self._close_own()

    def close(self) -> None:
        """Let no more workers be born; close the links, which makes every worker exit."""
        self.closing.set()
        self.admit()
        for link in self.links:
            link.tasks.close()

    def see_off(self) -> None:
        """Wait for the workers to exit; kill those that do not within `EXIT_GRACE` seconds."""
        deadline = time.monotonic() + EXIT_GRACE
        for link in self.links:
            link.process.join(max(0.0, deadline - time.monotonic()))
            if link.process.is_alive():
                link.process.kill()
                link.process.join(EXIT_GRACE)
            if link.process.is_alive():  # or so it seems, while a stopped fork server says nothing
                end_server()

    def abandon(self) -> None:
        """Be rid of the workers of a Pool that could not be made; it gets no more."""
        self.abandoned = True
        self.close()
        self.see_off()


class LinkedProcess:
    """Mixed into a start method's Process class: it is born with a link.

    A process that could not be started counts as one that has exited, so that the Pool's thread
    goes on instead of ending with a traceback.
    """

    end: WorkerEnd
    main_end: connection.Connection | None = None
    spawner: Spawner | None = None
    reading: threading.Lock
    _unborn = False
    _ended: int | None = None

    def start(self) -> None:
        """Start with a link, see `Spawner.start`."""
        assert self.spawner is not None
        self._unborn = not self.spawner.start(self)
        if self._unborn:
            self._ended = self.spawner.ended()

    def start_now(self) -> None:
        """Start for real."""
        super().start()  # type: ignore[misc]

    def is_alive(self) -> bool:
        """As Process."""
        with self.reading:
            return super().is_alive()  # type: ignore[misc,no-any-return]

    def kill(self) -> None:
        """As Process."""
        super().kill()  # type: ignore[misc]

    def run(self) -> None:
        """In the child: drop what was inherited by accident, then work."""
        self.end.outcomes.keep_writer()
        if self.spawner is not None and self.main_end is not None:  # only a fork brings them along
            self.main_end.close()
            self.spawner.forget_in_child()
        super().run()  # type: ignore[misc]

    def join(self, timeout: float | None = None) -> None:
        """As Process; nothing to wait for if it never started.

        It is killed if it needs longer than `EXIT_GRACE`, where others would wait without a limit.
        """
        if self._unborn:
            ended, self._ended = self._ended, None
            if ended is not None:
                os.close(ended)
            return
        if timeout is None:
            connection.wait([self.sentinel], EXIT_GRACE)
            if self.is_alive():
                self.kill()
            timeout = EXIT_GRACE
        if connection.wait([self.sentinel], timeout):
            with self.reading:  # its files are closed, in a moment its code is there
                super().join(EXIT_GRACE)  # type: ignore[misc]

    @property
    def exitcode(self) -> int | None:
        """As Process; 1 if it never started.

        The code can be read once only, and both the Pool's thread and the main thread ask for it.
        """
        with self.reading:
            return 1 if self._unborn else super().exitcode  # type: ignore[misc]

    @property
    def sentinel(self) -> int:
        """As Process; of one that never started, one that tells the Pool's thread to look at it.

        One of its own: the Pool waits for all of them together, and for none twice.
        """
        if self._unborn:
            if self._ended is None:
                raise AttributeError("never started")
            return self._ended
        return super().sentinel  # type: ignore[misc,no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "spawner": None, "main_end": None, "reading": None}


class ForkWorker(LinkedProcess, context.ForkProcess):
    """A worker started by fork."""


class ForkServerWorker(LinkedProcess, context.ForkServerProcess):
    """A worker started by the fork server."""

    def start_now(self) -> None:
        """Start for real; a fork server that says nothing counts as one that was killed.

        One that is stopped takes the connection, and does not answer for ever.
        """
        end = threading.Timer(START_SECONDS, end_server)
        end.daemon = True
        end.start()
        try:
            super().start_now()
        finally:
            end.cancel()


class SpawnWorker(LinkedProcess, context.SpawnProcess):
    """A worker started as a new interpreter."""

    def start_now(self) -> None:
        """Start for real."""
        with importing_nothing_from_here(), uninterrupted():
            super().start_now()


WORKERS: dict[str, type[LinkedProcess]] = {
    "fork": ForkWorker,
    "forkserver": ForkServerWorker,
    "spawn": SpawnWorker,
}


class LinkingContext:
    """A multiprocessing context whose processes are born with links; the rest is the base's."""

    def __init__(
        self, base: context.BaseContext, worker: type[LinkedProcess], spawner: Spawner
    ) -> None:
        self._base = base
        self._worker = worker
        self.spawner = spawner

    def Process(self, *args: Any, **kwargs: Any) -> LinkedProcess:  # noqa: ANN401, N802 - a context's own shape
        """A process of the pool.

        Raises:
            SystemExit: the Pool could not be made; so the thread that it has ends in silence.
        """
        if self.spawner.abandoned:
            raise SystemExit
        process = self._worker(*args, **kwargs)
        process.spawner = self.spawner
        process.reading = threading.Lock()
        return process

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands in for the base
        return getattr(self._base, name)
