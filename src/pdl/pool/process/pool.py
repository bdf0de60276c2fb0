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
* Workers are started when there are tasks for them. One task needs one, and a run that finds all
  of its files there needs none; see `Spawner`.
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
from functools import partial
from typing import TYPE_CHECKING

from pdl.errors import MachineError
from pdl.pool import Answered, Died, LaneFactory, Live, PoolEvent, Returned, Said
from pdl.pool.process.link import AHEAD_MOST, Link
from pdl.pool.process.pipes import HELLO, Poller
from pdl.pool.process.shared_counters import CELL_WORDS, SharedCounters
from pdl.pool.process.spawner import EXIT_GRACE, WORKERS, LinkingContext, Spawner, WholePool
from pdl.pool.process.worker import RECALL, serve
from pdl.pool.startup.start_limits import cannot_start, starting

if TYPE_CHECKING:
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


class ProcessPool:
    """`pdl.pool.Pool` on worker processes; see the module's theory of operation.

    Args:
        factory: builds a lane, in the worker.
        processes: worker processes, at the most.
        lanes: threads in each, at the most.
        start_method: of multiprocessing.
        jobs: threads in all of them together; None is `lanes` in each.

    Raises:
        MachineError: the system has no room for what they share.
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
        self._most = jobs or processes * lanes
        with starting():
            self._cells = base.Array("Q", slots * lanes * CELL_WORDS, lock=False)
            self._beats = base.Array("Q", slots, lock=False)
            self._stop = base.Value("b", 0, lock=False)
            self._spawner = Spawner(base, slots, _shares(self._most, processes))
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
        self._make = partial(WholePool, processes, serve, (factory, lanes, shared), ctx)
        self._pool: WholePool | None = None
        self._refused: tuple[int, ...] = ()
        self._not_made: MachineError | None = None

    def room(self) -> int:
        """See `pdl.pool.Pool.room`."""
        if self._pool is None:
            return 0 if self._not_made else self._jobs or self._most
        self._admit()
        free = sum(max(0, link.window() - len(link.held)) for link in self._spawner.links)
        return free + self._asleep() if self._spawner.sleeping else free

    def _asleep(self) -> int:
        """Lanes of the workers that sleep."""
        shares = _shares(self._jobs or self._most, self._processes)
        return sum(shares[self._processes - len(self._spawner.sleeping) :])

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
        if self._pool is None:
            self._begin(len(tasks))
        links = self._spawner.links
        if self._spawner.sleeping or not links:
            tasks = self._rouse_for(tasks)
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

    def _begin(self, tasks: int) -> None:
        """Make the Pool, with a worker for each of so many tasks, as far as it may have them."""
        self._spawner.begin_with(min(tasks, self._processes))
        try:
            with starting():
                self._pool = self._make()
        except MachineError as exc:
            self._not_made = exc
            self._spawner.links.clear()
        else:
            self._admit()

    def _rouse_for(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Have a worker started for each of the tasks; what is left for them now.

        The others come back, to be given when their workers are there.
        """
        links, asleep = self._spawner.links, len(self._spawner.sleeping)
        held = sum(len(link.held) for link in links)
        awake = self._processes - asleep
        needed = max(0, min(asleep, held + len(tasks) - awake))
        self._spawner.rouse(needed)
        share = -(-(held + len(tasks)) // (awake + needed))
        now = max(0, share * len(links) - held) if needed else len(tasks)
        now = now if links else 0
        self._refused += tuple(task.id for task in tasks[now:])
        return tasks[:now]

    def _give_back(self) -> Returned:
        """What came back of the tasks that were submitted.

        Raises:
            MachineError: all of it has; there are no workers.
        """
        if not self._refused and self._not_made is not None:
            raise self._not_made
        refused, self._refused = self._refused, ()
        return Returned(refused)

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
        if self._refused or self._not_made is not None:
            return self._give_back()
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
        if not self._ready and self._not_made is None and not self._refused:
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
        if self._not_made is not None:  # it has left nothing
            return
        if self._pool is None:
            self._spawner.forget()
            return
        self._pool.close()
        self._spawner.close()
        self._spawner.see_off()
        self._pool.join()
        self._spawner.forget()

    def _settle(
        self, link: Link, message: tuple[Answer, ...] | Returned | Said
    ) -> PoolEvent | None:
        if isinstance(message, Said):
            return message
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
