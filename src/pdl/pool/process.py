"""The process pool: a `multiprocessing.Pool` of workers, each on pipes of its own.

Theory of operation
===================

`multiprocessing.Pool` starts the workers, replaces the dead ones and ends them. Its own task and
result queues are shared by all workers, and a worker killed with SIGKILL takes with it its task
(`get` then waits for ever, gh-66587), and perhaps the queue's lock (gh-85880). So nothing travels
through them. Instead:

* Each worker process is born with a **link**: a task pipe it reads and an `OutcomeQueue` it alone
  writes. The Pool makes its processes through the context it is given; ours makes them with links.
* The worker's serve loop is the Pool's initializer and never returns.
* The main process remembers which tasks each worker holds. When the outcome queue ends (a dead
  writer's pipe is closed by the kernel), what the pipe still had is taken first; then the worker's
  unanswered tasks are reported as `Died`, once. The Pool has meanwhile started another worker.
* A worker holds one task a lane, and a little more when files are fast, so that it need not wait
  for messages. What waits behind something slow is called back and goes to another worker.
* The main process alone holds the other end of the task pipe. When it dies, in whatever way, the
  pipe ends and the worker exits.
* Nothing here waits without a limit, on anything.

What may live here: processes, pipes and the bookkeeping of who holds what. Not here: retries, or
any meaning of an answer.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing import connection, context
from multiprocessing.pool import Pool
from typing import TYPE_CHECKING, Any

from pdl.errors import MachineError
from pdl.pool import Answered, Died, LaneFactory, Live, PoolEvent, Returned
from pdl.pool.worker import CELL_WORDS, RECALL, OutcomeQueue, Shared, WorkerEnd, serve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.model import Answer, Task
    from pdl.settings import StartMethod

EXIT_GRACE = 1.0
"""Seconds a worker is given to exit by itself before it is killed."""

PACE_SECONDS = 0.2
"""Over which a worker's pace is smoothed."""

AHEAD_SECONDS = 0.03
"""A worker is given what it does in this time beyond one task a lane, so that it never idles
while messages travel; nothing when files are slow."""

AHEAD_MOST = 96
"""Tasks a worker is given beyond one a lane; with this many the task pipe never fills up."""

RECALL_SECONDS = 0.1
"""Tasks waiting in a worker that has answered nothing for so long are called back."""

START_DEATHS = 3
"""Workers in a row, for each process of the pool, that may die before one says it is there."""


@dataclass(eq=False)
class Link:
    """The main process's side of one worker.

    Attributes:
        tasks: the end of the task pipe that this process writes.
        outcomes: what the worker writes.
        process: the worker.
        slot: which cells of the shared array are its lanes'.
        held: ids of the tasks it was given and has not answered.
        heard: `time.monotonic` of its last answer.
        pace: answers a second, smoothed.
        recalled: it was asked for its waiting tasks and has not given them back yet.
        proven: it has answered at least once.
    """

    tasks: connection.Connection
    outcomes: OutcomeQueue
    process: LinkedProcess
    slot: int
    held: dict[int, None] = field(default_factory=dict)
    heard: float = field(default_factory=time.monotonic)
    pace: float = 0.0
    recalled: bool = False
    proven: bool = False

    def fileno(self) -> int:
        """Readable when the worker has said something or died."""
        return self.outcomes.fileno()

    def answered(self, answers: Sequence[Answer]) -> None:
        """Note the answers, and how fast they come."""
        now = time.monotonic()
        elapsed = max(now - self.heard, 1e-6)
        weight = min(1.0, elapsed / PACE_SECONDS)
        self.pace += weight * (len(answers) / elapsed - self.pace)
        self.heard = now
        self.proven = True
        for answer in answers:
            del self.held[answer.id]

    def window(self, lanes: int) -> int:
        """How many tasks it should hold: one a lane, and what it does in a blink besides."""
        ahead = 0 if self.recalled else min(AHEAD_MOST, int(self.pace * AHEAD_SECONDS))
        return lanes + ahead

    def close(self) -> None:
        """Close both pipes; the worker exits when it sees it."""
        self.tasks.close()
        self.outcomes.close()


class Nursery:
    """Gives every process the Pool starts its link, and keeps the links.

    `start` runs in the main thread for the first workers and in the Pool's own thread for those
    that replace dead ones; `births` hands the new links over.
    """

    def __init__(self, ctx: context.BaseContext, slots: int, lanes: int) -> None:
        self._ctx = ctx
        self._lanes = lanes
        self.slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(slots):
            self.slots.put(slot)
        self.births: deque[Link] = deque()
        self.links: list[Link] = []
        self.failure: OSError | None = None
        self.closing = threading.Event()
        self.wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        os.set_blocking(self.wake_reader, False)

    def start(self, process: LinkedProcess) -> bool:
        """Start the process with a new link; False if the system would not."""
        try:
            slot = self._slot()
            reader, writer = connection.Pipe(duplex=False)
            outcomes = OutcomeQueue(ctx=self._ctx)
            process.end = WorkerEnd(reader, outcomes, slot * self._lanes)
            process.main_end = writer
            process.start_now()
        except queue.Empty:
            return False
        except OSError as exc:
            self.failure = exc
            self.slots.put(slot)
            self.wake()
            self.closing.wait(0.1)
            return False
        reader.close()
        outcomes.keep_reader()
        self.births.append(Link(writer, outcomes, process, slot))
        if self.closing.is_set():  # too late for `close` to see it
            writer.close()
        self.wake()
        return True

    def _slot(self) -> int:
        """A free slot: a dead worker's is free once the main thread has buried it.

        Raises:
            queue.Empty: the pool is closing.
        """
        while not self.closing.is_set():
            with contextlib.suppress(queue.Empty):
                return self.slots.get(timeout=0.1)
        raise queue.Empty

    def wake(self) -> None:
        """Make a wait in the main thread return."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b".")

    def woken(self) -> None:
        """Forget the wakes so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_reader, 4096)

    def admit(self) -> None:
        """Take over the links of new workers."""
        while self.births:
            self.links.append(self.births.popleft())

    def forget_in_child(self) -> None:
        """In a forked worker: close what belongs to the main process and to other workers."""
        for link in [*self.links, *self.births]:
            link.close()
        os.close(self._wake_writer)
        os.close(self.wake_reader)

    def close(self) -> None:
        """Let no more workers be born; close the links, which makes every worker exit."""
        self.closing.set()
        self.admit()
        for link in self.links:
            link.tasks.close()


class LinkedProcess:
    """Mixed into a start method's Process class: it is born with a link.

    A process that could not be started counts as one that has exited, so that the Pool's thread
    goes on instead of ending with a traceback.
    """

    end: WorkerEnd
    main_end: connection.Connection | None = None
    nursery: Nursery | None = None
    _unborn = False

    def start(self) -> None:
        """Start with a link, see `Nursery.start`."""
        assert self.nursery is not None
        self._unborn = not self.nursery.start(self)

    def start_now(self) -> None:
        """Start for real."""
        super().start()  # type: ignore[misc]

    def is_alive(self) -> bool:
        """As Process."""
        return super().is_alive()  # type: ignore[misc,no-any-return]

    def kill(self) -> None:
        """As Process."""
        super().kill()  # type: ignore[misc]

    def run(self) -> None:
        """In the child: drop what was inherited by accident, then work."""
        self.end.outcomes.keep_writer()
        if self.nursery is not None and self.main_end is not None:  # only a fork brings them along
            self.main_end.close()
            self.nursery.forget_in_child()
        super().run()  # type: ignore[misc]

    def join(self, timeout: float | None = None) -> None:
        """As Process; nothing to wait for if it never started; killed if it outlives the pool."""
        if self._unborn:
            return
        if timeout is None and self.nursery is not None and self.nursery.closing.is_set():
            super().join(EXIT_GRACE)  # type: ignore[misc]
            if self.is_alive():
                self.kill()
        super().join(timeout)  # type: ignore[misc]

    @property
    def exitcode(self) -> int | None:
        """As Process; 1 if it never started."""
        return 1 if self._unborn else super().exitcode  # type: ignore[misc]

    @property
    def sentinel(self) -> int:
        """As Process; absent if it never started."""
        if self._unborn:
            raise AttributeError("never started")
        return super().sentinel  # type: ignore[misc,no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "nursery": None, "main_end": None}


class ForkWorker(LinkedProcess, context.ForkProcess):
    """A worker started by fork."""


class ForkServerWorker(LinkedProcess, context.ForkServerProcess):
    """A worker started by the fork server."""


class SpawnWorker(LinkedProcess, context.SpawnProcess):
    """A worker started as a new interpreter."""


_WORKERS: dict[str, type[LinkedProcess]] = {
    "fork": ForkWorker,
    "forkserver": ForkServerWorker,
    "spawn": SpawnWorker,
}


class LinkingContext:
    """A multiprocessing context whose processes are born with links; the rest is the base's."""

    def __init__(
        self, base: context.BaseContext, worker: type[LinkedProcess], nursery: Nursery
    ) -> None:
        self._base = base
        self._worker = worker
        self.nursery = nursery

    def Process(self, *args: Any, **kwargs: Any) -> LinkedProcess:  # noqa: ANN401, N802 - a context's own shape
        """A process of the pool."""
        process = self._worker(*args, **kwargs)
        process.nursery = self.nursery
        return process

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands in for the base
        return getattr(self._base, name)


class ProcessPool:
    """`pdl.pool.Pool` on worker processes; see the module's theory of operation.

    Args:
        factory: builds a lane, in the worker.
        processes: worker processes.
        lanes: threads in each.
        start_method: of multiprocessing.

    Raises:
        MachineError: the system would not start the processes.
    """

    def __init__(
        self, factory: LaneFactory, processes: int, lanes: int, start_method: StartMethod
    ) -> None:
        base = multiprocessing.get_context(start_method)
        slots = 2 * processes  # a dead worker's cells are not given away before they were read
        self._lanes = lanes
        self._cells = base.Array("Q", slots * lanes * CELL_WORDS, lock=False)
        self._stop = base.Value("b", 0, lock=False)
        self._start_deaths_left = self._start_deaths = START_DEATHS * processes
        self._nursery = Nursery(base, slots, lanes)
        self._ready: deque[Link] = deque()
        self._closed = False
        shared = Shared(self._cells, self._stop)
        ctx = LinkingContext(base, _WORKERS[start_method], self._nursery)
        try:
            self._pool = Pool(processes, serve, (factory, lanes, shared), context=ctx)
        except OSError as exc:
            self._nursery.close()
            raise _cannot_start(exc) from exc

    def room(self) -> int:
        """See `pdl.pool.Pool.room`."""
        self._nursery.admit()
        return sum(max(0, self._missing(link)) for link in self._nursery.links)

    def _missing(self, link: Link) -> int:
        return link.window(self._lanes) - len(link.held)

    def _fullness(self, link: Link) -> tuple[bool, int]:
        held = len(link.held)
        return (True, -self._missing(link)) if held >= self._lanes else (False, held)

    def submit(self, tasks: Sequence[Task]) -> None:
        """See `pdl.pool.Pool.submit`. Lanes are filled evenly before anything waits."""
        given: dict[Link, list[Task]] = {}
        for task in tasks:
            link = min(self._nursery.links, key=self._fullness)
            link.held[task.id] = None
            given.setdefault(link, []).append(task)
        for link, its in given.items():
            # A dead worker's pipe: its outcome queue ends as well; it is dealt with there.
            with contextlib.suppress(OSError):
                link.tasks.send(its)

    def get_nowait(self) -> PoolEvent:
        """See `pdl.pool.Pool.get_nowait`."""
        if not self._ready:
            self._look(0.0, ())
        while self._ready:
            link = self._ready.popleft()
            try:
                message = link.outcomes.get_nowait()
            except queue.Empty:
                continue
            except EOFError:
                return self._bury(link)
            return self._settle(link, message)
        if not self._nursery.links and self._nursery.failure is not None:
            raise _cannot_start(self._nursery.failure)
        raise queue.Empty

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        """See `pdl.pool.Pool.wait`."""
        self._recall()
        if not self._ready:
            self._look(seconds, also)

    def _recall(self) -> None:
        """Call back what waits in a worker whose lanes are all busy with something slow."""
        late = time.monotonic() - RECALL_SECONDS
        for link in self._nursery.links:
            if len(link.held) > self._lanes and link.heard < late and not link.recalled:
                link.recalled = True
                link.pace = 0.0
                with contextlib.suppress(OSError):
                    link.tasks.send(RECALL)

    def _look(self, seconds: float, also: Sequence[int]) -> None:
        self._nursery.admit()
        wake = self._nursery.wake_reader
        sources: list[Any] = [*self._nursery.links, wake, *also]
        for found in connection.wait(sources, timeout=seconds):
            if isinstance(found, Link):
                self._ready.append(found)
            elif found == wake:
                self._nursery.woken()
        self._nursery.admit()

    def live(self) -> list[Live]:
        """See `pdl.pool.Pool.live`."""
        found = []
        for link in self._nursery.links:
            for base in self._bases(link):
                task_id, received, size = self._cells[base : base + 3]
                if task_id - 1 in link.held:
                    found.append(Live(task_id - 1, received, size - 1 if size else None))
        return found

    def _bases(self, link: Link) -> range:
        """Where the cells of its lanes begin."""
        first = link.slot * self._lanes * CELL_WORDS
        return range(first, first + self._lanes * CELL_WORDS, CELL_WORDS)

    def received(self) -> int:
        """Bytes that came over the wire so far, in all lanes."""
        return sum(self._cells[3::CELL_WORDS])

    def stop(self) -> None:
        """See `pdl.pool.Pool.stop`."""
        self._stop.value = 1

    def close(self) -> None:
        """See `pdl.pool.Pool.close`. Takes at most a little over `EXIT_GRACE` seconds."""
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        self._nursery.close()
        deadline = time.monotonic() + EXIT_GRACE
        for link in self._nursery.links:
            link.process.join(max(0.0, deadline - time.monotonic()))
            if link.process.is_alive():
                link.process.kill()
        self._pool.join()
        for link in self._nursery.links:
            link.outcomes.close()

    def _settle(self, link: Link, message: tuple[Answer, ...] | Returned) -> PoolEvent:
        if isinstance(message, Returned):
            for task_id in message.ids:
                del link.held[task_id]
            link.recalled = False
            return message
        self._start_deaths_left = self._start_deaths
        link.answered(message)
        return Answered(message)

    def _bury(self, link: Link) -> Died:
        self._nursery.links.remove(link)
        link.process.join(EXIT_GRACE)
        under_way = {self._cells[base] - 1 for base in self._bases(link)}
        for base in self._bases(link):
            self._cells[base] = 0
        self._nursery.slots.put(link.slot)
        current = tuple(task_id for task_id in link.held if task_id in under_way)
        waiting = tuple(task_id for task_id in link.held if task_id not in under_way)
        reason = _ending(link.process.exitcode)
        link.close()
        if not link.proven:
            self._start_deaths_left -= 1
            if self._start_deaths_left <= 0:
                raise MachineError(
                    f"worker processes die before they do anything ({reason})",
                    "run with --engine inline to see why",
                )
        return Died(current, waiting, reason)


def _ending(exitcode: int | None) -> str:
    if exitcode is None:
        return "ended"
    if exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exitcode).name}"
    return f"exited with code {exitcode}"


def _cannot_start(exc: OSError) -> MachineError:
    return MachineError(
        f"cannot start worker processes: {exc.strerror or exc}",
        "lower --jobs or --processes, or raise the limits (ulimit -n, ulimit -u)",
    )
