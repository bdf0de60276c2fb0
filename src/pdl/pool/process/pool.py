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
* A task pipe that is full is no reason to wait: an `TaskSender` keeps what it does not take.
* Nothing here waits without a limit, on anything.

What may live here: processes, pipes and the bookkeeping of who holds what. Not here: retries, or
any meaning of an answer.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import time
from collections import deque
from multiprocessing.pool import Pool
from typing import TYPE_CHECKING

from pdl.errors import MachineError
from pdl.pool import Answered, Died, LaneFactory, Live, PoolEvent, Returned
from pdl.pool.process.link import AHEAD_MOST, EXIT_GRACE, WORKERS, Link, LinkingContext, Spawner
from pdl.pool.process.pipes import HELLO, Poller
from pdl.pool.process.shared_counters import CELL_WORDS, SharedCounters
from pdl.pool.process.worker import RECALL, serve
from pdl.pool.startup.start_limits import cannot_start, starting

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from pdl.model import Answer, Task
    from pdl.pool.process.pipes import TaskSender
    from pdl.settings import PoolSettings, StartMethod

BEAT_SECONDS = 1.0
"""Between two looks at whether the workers run; they show it fifty times as often."""

SILENT_SECONDS = 30.0
"""A worker that did not run for so long (SIGSTOP, a frozen group) is killed and replaced."""

START_DEATHS = 6
"""Workers in a row, for each process of the pool, that may die before one says it is there."""


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
        ctx.spawner.abandon()
        handler: threading.Thread | None = getattr(self, "_worker_handler", None)
        if handler is not None and handler.is_alive():
            handler.join(EXIT_GRACE)
        tasks: queue.SimpleQueue[None] | None = getattr(self, "_taskqueue", None)
        if tasks is not None:
            tasks.put(None)  # ends the thread that waits for them
        ctx.spawner.forget()


class ProcessPool:
    """`pdl.pool.Pool` on worker processes; see the module's theory of operation.

    Args:
        factory: builds a lane, in the worker.
        processes: worker processes.
        lanes: threads in each, at the most.
        start_method: of multiprocessing.
        jobs: threads in all of them together; None is `lanes` in each.

    Raises:
        MachineError: the system would not start the processes.
    """

    def __init__(
        self,
        factory: LaneFactory,
        processes: int,
        lanes: int,
        start_method: StartMethod,
        jobs: int | None = None,
    ) -> None:
        base = multiprocessing.get_context(start_method)
        slots = 2 * processes  # a dead worker's cells are not given away before they were read
        self._lanes = lanes
        self._processes = processes
        self._jobs: int | None = None
        with starting():
            self._cells = base.Array("Q", slots * lanes * CELL_WORDS, lock=False)
            self._beats = base.Array("Q", slots, lock=False)
            self._stop = base.Value("b", 0, lock=False)
            self._spawner = Spawner(base, slots, _shares(jobs or processes * lanes, processes))
            self._watch = Poller(many=False)
        self._start_deaths_left = self._start_deaths = START_DEATHS * processes
        self._looked = time.monotonic()
        self._ready: deque[Link] = deque()
        self._watch.add(self._spawner.wake_reader)
        self._watched: dict[int, Link] = {}
        self._unsent: dict[int, TaskSender] = {}
        self._closed = False
        shared = SharedCounters(self._cells, self._beats, self._stop)
        ctx = LinkingContext(base, WORKERS[start_method], self._spawner)
        with starting():
            self._pool = WholePool(processes, serve, (factory, lanes, shared), ctx)

    def room(self) -> int:
        """See `pdl.pool.Pool.room`."""
        self._admit()
        return sum(max(0, link.window() - len(link.held)) for link in self._spawner.links)

    def resize(self, jobs: int) -> None:
        """See `pdl.pool.Pool.resize`."""
        self._jobs = jobs
        self._spread()

    def _spread(self) -> None:
        """Tell each worker how many of its lanes it is to use."""
        if self._jobs is not None:
            shares = _shares(self._jobs, self._processes)
            for link, lanes in zip(self._spawner.links, shares, strict=False):
                if link.use(min(lanes, link.most)):
                    self._send(link, link.lanes)

    def _admit(self) -> None:
        if self._spawner.births:
            self._spawner.admit()
            self._spread()

    def submit(self, tasks: Sequence[Task]) -> None:
        """See `pdl.pool.Pool.submit`. Lanes are filled evenly before anything waits."""
        links = self._spawner.links
        lanes = [link.lanes for link in links]
        given: list[list[Task]] = [[] for _ in links]
        held = [len(link.held) for link in links]
        beyond = [AHEAD_MOST + link.lanes - link.window() for link in links]
        waiting = [n - its for n, its in zip(held, lanes, strict=True)]
        fullness = [n if n < 0 else n + more for n, more in zip(waiting, beyond, strict=True)]
        for task in tasks:
            least = fullness.index(min(fullness))
            if task.scarce:
                least = _home(task.scarce, waiting, least)
            given[least].append(task)
            waiting[least] += 1
            more = beyond[least] if waiting[least] >= 0 else 0
            fullness[least] = waiting[least] + more
        for link, its in zip(links, given, strict=True):
            if its:
                link.given(its)
                self._send(link, its)

    def go_easy(self, host: str) -> None:
        """See `pdl.pool.Pool.go_easy`. One worker goes on asking it, where that has the lanes."""
        links = self._spawner.links
        home = _first(host, len(links))
        for place, link in enumerate(links):
            self._call_back(link)
            if place != home:
                self._send(link, host)

    def _send(self, link: Link, message: list[Task] | str | int | None) -> None:
        if not link.tasks.send(message):
            descriptor = link.tasks.fileno()
            self._watch.add(descriptor, writable=True)
            self._unsent[descriptor] = link.tasks

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
            if link.outcomes.more():
                self._ready.append(link)
            if message == HELLO:
                self._came_up(link)
            elif (event := self._settle(link, message)) is not None:
                return event
        if not self._spawner.links and self._spawner.failure is not None:
            raise cannot_start(self._spawner.failure)
        raise queue.Empty

    def wait(self, seconds: float, also: Sequence[int] = ()) -> None:
        """See `pdl.pool.Pool.wait`."""
        self._recall()
        self._end_silent()
        if not self._ready:
            self._look(seconds, also)

    def _recall(self) -> None:
        """Call back what waits in a worker whose lanes are all busy with something slow."""
        for link in self._spawner.links:
            if link.late():
                self._call_back(link)

    def _call_back(self, link: Link) -> None:
        if link.keeps_any_waiting() and not link.recalled:
            link.recalled = True
            link.pace = 0.0
            self._send(link, RECALL)

    def _end_silent(self) -> None:
        """Kill a worker that has stopped running: what it holds would never be answered."""
        now = time.monotonic()
        elapsed = now - self._looked
        if elapsed < BEAT_SECONDS:
            return
        self._looked = now
        for link in self._spawner.links:
            beat = self._beats[link.slot]
            # this process may have been stopped as well: a long pause between looks proves nothing
            link.silent = 0.0 if beat != link.beat else link.silent + min(elapsed, 2 * BEAT_SECONDS)
            link.beat = beat
            if link.silent > SILENT_SECONDS and link.proven:
                link.process.kill()

    def _look(self, seconds: float, also: Sequence[int]) -> None:
        spawner, watched = self._spawner, self._watched
        self._admit()
        for link in spawner.links[len(watched) :]:  # the newest come last
            self._watch.add(link.fileno())
            watched[link.fileno()] = link
        for descriptor in also:
            self._watch.add(descriptor)
        found = self._watch.wait(seconds)
        for descriptor in also:
            self._watch.remove(descriptor)
        for descriptor, _ in found:
            if descriptor in watched:
                self._ready.append(watched[descriptor])
            elif descriptor in self._unsent:
                self._go_on_sending(descriptor)
            elif descriptor == spawner.wake_reader:
                spawner.woken()
        self._admit()

    def _go_on_sending(self, descriptor: int) -> None:
        if self._unsent[descriptor].flush():
            self._send_no_more(descriptor)

    def _send_no_more(self, descriptor: int) -> None:
        if self._unsent.pop(descriptor, None) is not None:
            self._watch.remove(descriptor)

    def live(self) -> list[Live]:
        """See `pdl.pool.Pool.live`."""
        found = []
        for link in self._spawner.links:
            for base in self._bases(link):
                task_id, received, size = self._cells[base : base + 3]
                if task_id - 1 in link.held:
                    found.append(Live(task_id - 1, received, size - 1 if size else None))
        return found

    def _bases(self, link: Link) -> range:
        """Where the cells begin of those lanes that may have been used."""
        first = link.slot * self._lanes * CELL_WORDS
        return range(first, first + link.widest * CELL_WORDS, CELL_WORDS)

    def received(self) -> int:
        """Bytes that came over the wire so far, in all lanes."""
        return sum(self._cells[3::CELL_WORDS])

    def stop(self) -> None:
        """See `pdl.pool.Pool.stop`."""
        for link in self._spawner.links:  # first, or lanes that end begin what waits for them
            self._call_back(link)
        self._stop.value = 1

    def close(self) -> None:
        """See `pdl.pool.Pool.close`. Takes at most a little over `EXIT_GRACE` seconds."""
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        self._spawner.close()
        self._spawner.see_off()
        self._pool.join()
        self._spawner.forget()

    def _settle(self, link: Link, message: tuple[Answer, ...] | Returned) -> PoolEvent | None:
        if isinstance(message, Returned):
            link.returned(message.ids)
            return message if message.ids else None
        link.answered(message)
        return Answered(message)

    def _came_up(self, link: Link) -> None:
        link.proven = True
        self._start_deaths_left = self._start_deaths

    def _bury(self, link: Link) -> Died:
        self._spawner.links.remove(link)
        self._watch.remove(link.fileno())
        del self._watched[link.fileno()]
        self._send_no_more(link.tasks.fileno())
        link.process.join(EXIT_GRACE)
        reached = {self._cells[base] - 1: self._cells[base + 1] for base in self._bases(link)}
        for base in self._bases(link):
            self._cells[base] = 0
        self._spawner.give_back(link.slot, link.most)
        current = tuple(task_id for task_id in link.held if task_id in reached)
        waiting = tuple(task_id for task_id in link.held if task_id not in reached)
        reason = _ending(link.process.exitcode)
        link.close()
        if not link.proven:
            self._start_deaths_left -= 1
            if self._start_deaths_left <= 0:
                raise MachineError(
                    f"worker processes die before they do anything ({reason})",
                    "run with --engine inline to see why",
                )
        return Died(current, waiting, reason, tuple(reached[task_id] for task_id in current))


def process_pool(
    factory: LaneFactory, settings: PoolSettings, _stopped: Callable[[], bool]
) -> ProcessPool:
    """See `pdl.pool.registry.make_pool`; the pool is told to stop by `ProcessPool.stop`."""
    return ProcessPool(factory, *settings.split(), settings.method(), settings.most_jobs())


def _shares(jobs: int, processes: int) -> list[int]:
    """So many jobs, spread over processes as evenly as can be."""
    each, more = divmod(jobs, processes)
    return [each + (place < more) for place in range(processes)]


def _first(host: str, count: int) -> int:
    """Which of so many workers is the first to be asked for a host that takes few connections."""
    return hash(host) % count if count else 0


def _home(host: str, waiting: Sequence[int], otherwise: int) -> int:
    """The first worker, from that of the host on, that has a free lane.

    Args:
        host: that takes few connections.
        waiting: tasks of each worker beyond one a lane; below 0: lanes that are free.
        otherwise: if there is none.
    """
    first = _first(host, len(waiting))
    places = (*range(first, len(waiting)), *range(first))
    return next((place for place in places if waiting[place] < 0), otherwise)


def _ending(exitcode: int | None) -> str:
    if exitcode is None:
        return "ended"
    if exitcode < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-exitcode).name}"
    return f"exited with code {exitcode}"
