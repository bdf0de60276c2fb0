"""Workers born with links: how `multiprocessing.Pool` is made to start processes on own pipes.

The Pool makes its processes through a context; `LinkingContext` is one whose processes ask the
`Spawner` for a link before they start. Some of them are started later, when there is work.
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
from multiprocessing.pool import Pool
from typing import TYPE_CHECKING, Any

from pdl.pool.process.link import Link
from pdl.pool.process.pipes import OutcomeQueue, TaskReceiver, TaskSender
from pdl.pool.process.worker import WorkerEnd
from pdl.pool.startup.fork_helpers import end_server, uninterrupted
from pdl.pool.startup.import_path import importing_nothing_from_here

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_GRACE = 1.0
"""Seconds a worker is given to exit by itself before it is killed."""

START_SECONDS = 60.0
"""What the start of a process may take; longer is a fork server that says nothing."""
SERVERS_LOST = 20
"""Fork servers in a row that may die while they start a worker."""


class Spawner:
    """Gives every process the Pool starts its link, and keeps the links.

    `start` runs in the main thread for the first workers and in the Pool's own thread for those
    that replace dead ones; `births` hands the new links over.

    A Pool has all its processes at once, and a worker costs some milliseconds that a single file
    need not wait for. So those that nobody needs yet are **asleep**: they look alive to the Pool
    and are no processes of the system. One that is roused counts as one that has ended, and the
    Pool replaces it by one that is started for real.

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
        self.sleeping: list[LinkedProcess] = []
        self._awake, self._asleep = len(shares), 0
        self.failure: OSError | MemoryError | None = None
        self._servers_lost = 0
        self.closing = threading.Event()
        self.abandoned = False
        self.wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        os.set_blocking(self.wake_reader, False)
        self._ended, writer = os.pipe()
        os.close(writer)

    def begin_with(self, awake: int) -> None:
        """Let only so many of the first workers be started, all others sleep."""
        self._awake, self._asleep = awake, max(0, self._awake - awake)

    def lets_sleep(self, process: LinkedProcess) -> bool:
        """Whether the process, which the Pool would start, is to sleep."""
        if self._awake > 0:
            self._awake -= 1
            return False
        if self._asleep == 0:
            return False
        self._asleep -= 1
        self.sleeping.append(process)
        return True

    def rouse(self, count: int) -> None:
        """Have so many of those that sleep started; the Pool's own thread does it."""
        for _ in range(min(count, len(self.sleeping))):
            self.sleeping.pop().rise()

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
        self.rouse(len(self.sleeping))
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
    _alarm: int | None = None

    def start(self) -> None:
        """Start with a link, see `Spawner.start`; or sleep until `rise`."""
        assert self.spawner is not None
        if self.spawner.lets_sleep(self):
            self._ended, self._alarm = os.pipe()
            return
        self._unborn = not self.spawner.start(self)
        if self._unborn:
            self._ended = self.spawner.ended()

    def rise(self) -> None:
        """Count as one that has ended, so that the Pool starts another for it."""
        assert self._alarm is not None
        alarm, self._alarm, self._unborn = self._alarm, None, True
        os.write(alarm, b".")  # its end alone would not be seen: a forked worker may have it, too
        os.close(alarm)

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
        if self._unborn or self._alarm is not None:
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


class WholePool(Pool):
    """A Pool that leaves no process and no thread behind if it cannot be made.

    Args:
        processes: how many.
        initializer: as a Pool's.
        given: to the initializer.
        ctx: makes them.
    """

    def __init__(
        self,
        processes: int,
        initializer: Callable[..., object],
        given: tuple[object, ...],
        ctx: LinkingContext,
    ) -> None:
        started = False
        try:
            super().__init__(processes, initializer, given, context=ctx)
            started = True
        finally:
            if not started:
                self._abandon(ctx)

    def _abandon(self, ctx: LinkingContext) -> None:
        """End the workers and threads of a start that failed half way."""
        sleepers = [*ctx.spawner.sleeping]
        ctx.spawner.abandon()
        handler: threading.Thread | None = getattr(self, "_worker_handler", None)
        if handler is not None and handler.is_alive():
            handler.join(EXIT_GRACE)
        for sleeper in sleepers:
            sleeper.join()
        tasks: queue.SimpleQueue[None] | None = getattr(self, "_taskqueue", None)
        if tasks is not None:
            tasks.put(None)  # ends the thread that waits for them
        ctx.spawner.forget()
