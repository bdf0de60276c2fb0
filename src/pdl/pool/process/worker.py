"""The worker's side of the process pool: one loop for many lanes.

Theory of operation
===================

A worker never prints, never retries and never waits out a back-off. Its main thread is a loop that
waits for whatever comes first: tasks from the main process, an answer to read for one of its lanes,
or word from a thread. Each lane has a `LaneSlot`::

              begin                      ready, finish
    IDLE ──────────────▶ QUICK ──────────────────────▶ IDLE or the next task
      │                    │ not the plain case, or half a second without an answer
      │ not plain          ▼
      └────────────────▶ CALLED (in the slot's own thread) ───▶ IDLE or the next task

What goes the quick way costs no change of threads, and that is most of what a small file costs. A
lane without a quick way is always called. Tasks that wait for a slot can be called back.

In a turn of the loop all that can be received is, and what comes next on each lane is asked for,
before any file is placed: the server answers meanwhile, and it and this process wake each other
less often. Until its file is placed, the lane's cell names the earlier task.

The main process holds the other end of the task pipe: when that ends, the worker does, whatever
its lanes are doing.
"""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from multiprocessing import current_process
from typing import TYPE_CHECKING

from pdl.errors import MachineError
from pdl.pool.process.pipes import HELLO, OutcomeQueue, Poller, internal, located
from pdl.pool.process.shared_counters import CellMeter, SharedCounters
from pdl.pool.startup import start_limits
from pdl.pool.startup.fork_helpers import name_process
from pdl.pool.startup.import_path import forget_here
from pdl.text.masking import mask_urls, masked_traceback
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from pdl.model import Answer, Task
    from pdl.pool import Connections, Lane, LaneFactory, Meter, QuickLane
    from pdl.pool.process.pipes import TaskReceiver

FLUSH_SECONDS = 0.02
"""Answers travel together unless the first of them has waited this long."""

FLUSH_COUNT = 32
"""Answers that are sent without waiting for more: about what one message holds."""

PATIENCE = 0.5
"""Seconds a lane on the quick way may take; then a thread goes on with it."""

SLOW_SECONDS = 0.003
"""What a turn of the quick way may take on average: lanes wait for each other there, so where a
file system takes its time, threads are better."""
SLOW_WEIGHT = 0.1
SLOW_MOST = 3 * SLOW_SECONDS
"""What one turn counts at the most: it takes four in a row."""
SLOW_REST = 1.0
"""Seconds for which everything is called once the turns were slow."""

_ARENA_MAX = -8
"""glibc's parameter for `mallopt`: how many heaps there may be."""

RECALL = None
"""What the main process sends to get back the tasks that no lane has begun."""


class WorkerEnd(NamedTuple):
    """What a worker holds of its link to the main process.

    Attributes:
        slot: which beat of the shared array is its own, and which cells are its lanes'.
        lanes: how many it has.
    """

    tasks: TaskReceiver
    outcomes: OutcomeQueue
    slot: int
    lanes: int


class LaneSlot:
    """A lane's place in the loop.

    Attributes:
        quick: the lane's quick way, or None. Where it raises, the lane is called, and meets the
            same trouble.
        watched: the descriptor that the loop waits for; -1 while the lane is not on the quick way.
        since: when the lane went on the quick way.
        connections: of the lane, if one can ask about them.
        shuns: host whose connection is to be closed when the slot is idle, or empty.
    """

    def __init__(self, meter: CellMeter) -> None:
        self.meter = meter
        self.lane: Lane | None = None
        self.quick: QuickLane | None = None
        self.task: Task | None = None
        self.watched = -1
        self.since = 0.0
        self.calls: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.connections: Connections | None = None
        self.shuns = ""

    def hang_up(self) -> None:
        """Close what `shuns` says; nothing is under way in the lane."""
        if self.connections is not None:
            self.connections.hang_up(self.shuns)
        self.shuns = ""

    def build(self, factory: LaneFactory) -> None:
        """Build the lane, when it is needed for the first time."""
        lane = factory()
        self.quick = getattr(lane, "quick", None)
        self.connections = getattr(lane, "connections", None)
        self.lane = guarded(lane)


class Loop:
    """Runs the lanes of one worker; see the module's theory of operation."""

    def __init__(
        self, end: WorkerEnd, factory: LaneFactory, most: int, shared: SharedCounters
    ) -> None:
        self._end = end
        self._factory = factory
        self._timed: bool = getattr(factory, "timed", False)
        self._beats = shared.beats
        first = end.slot * most
        meters = (CellMeter(shared, first + n, end.outcomes.put_said) for n in range(end.lanes))
        self._idle = [LaneSlot(meter) for meter in meters]
        self._idle.reverse()
        self._slots = tuple(self._idle)
        self._parked: list[LaneSlot] = []
        self._lanes = end.lanes
        self._surplus = 0  # lanes that are busy, and are to be parked when they are not
        self._inbox: deque[Task] = deque()
        self._answers: list[Answer] = []
        self._oldest = 0.0
        self._watch = Poller(many=True)
        self._quick: dict[int, LaneSlot] = {}
        self._whole: list[tuple[LaneSlot, Task | None, int | None]] = []
        self._built = 0
        self._called: deque[tuple[LaneSlot, Answer]] = deque()
        self._wake_reader, self._wake_writer = os.pipe()
        self._watch.add(self._wake_reader)
        self._watch.add(end.tasks.fileno())
        self._now = time.monotonic()
        self._looked = self._now
        self._turn_seconds = 0.0
        self._rest_until = 0.0

    def run(self) -> None:
        """Work until the main process is gone.

        Raises:
            EOFError: it is.
            BrokenPipeError: it is.
        """
        self._build(self._idle[-1])
        self._end.outcomes.put_answers(HELLO)
        tasks = self._end.tasks.fileno()
        while True:
            self._beats[self._end.slot] += 1
            found = self._watch.wait(FLUSH_SECONDS)
            self._now = time.monotonic()
            for descriptor, _ in found:
                slot = self._quick.get(descriptor)
                if slot is not None:
                    self._ready(slot)
                elif descriptor == tasks:
                    self._receive()
                else:
                    self._collect()
            if self._whole:
                self._finish()
            if found:
                self._mind_turns(len(found))
            if self._answers:
                self._flush()
            if self._now - self._looked >= PATIENCE / 4:
                self._call_late()

    # --- tasks in, answers out ---

    def _receive(self) -> None:
        tasks = self._end.tasks.recv()
        if tasks is RECALL:
            self._end.outcomes.put_returned([task.id for task in self._inbox])
            self._inbox.clear()
            return
        if isinstance(tasks, str):
            self._hang_up(tasks)
            return
        self._use(tasks) if isinstance(tasks, int) else self._inbox.extend(tasks)
        self._fill_seats()

    def _use(self, lanes: int) -> None:
        """Use so many lanes from now on."""
        self._surplus += self._lanes - lanes
        self._lanes = lanes
        while self._surplus < 0:
            self._surplus += 1
            self._idle.insert(0, self._parked.pop())  # those that were busy last come first
        while self._surplus > 0 and self._idle:
            self._surplus -= 1
            self._parked.append(self._idle.pop(0))

    def _fill_seats(self) -> None:
        while self._inbox and self._idle and (self._idle[-1].lane or self._build(self._idle[-1])):
            if self._inbox[0].scarce:
                self._prefer(self._inbox[0].scarce)
            self._begin(self._idle.pop(), self._inbox.popleft())

    def _prefer(self, host: str) -> None:
        """Let a slot that has a connection to the host come first."""
        for place in range(len(self._idle) - 1, -1, -1):
            connections = self._idle[place].connections
            if connections is not None and connections.holds(host):
                self._idle.append(self._idle.pop(place))
                return

    def _hang_up(self, host: str) -> None:
        """Close connections to the host: those of idle slots now, others when they are idle."""
        for slot in self._slots:
            slot.shuns = host
        for slot in (*self._idle, *self._parked):
            slot.hang_up()

    def _note(self, slot: LaneSlot, answer: Answer) -> None:
        if not self._answers:
            self._oldest = self._now
        self._answers.append(located(answer, slot.meter.cell) if self._timed else answer)

    def _answered(self, slot: LaneSlot, answer: Answer) -> None:
        self._note(slot, answer)
        if self._inbox and not self._surplus:
            self._begin(slot, self._inbox.popleft())
            return
        self._unwatch(slot)
        if slot.shuns:
            slot.hang_up()
        (self._parked if self._surplus else self._idle).append(slot)
        self._surplus = max(0, self._surplus - 1)

    def _flush(self) -> None:
        answers = self._answers
        late = self._now - self._oldest >= FLUSH_SECONDS
        if late or not self._inbox or len(answers) >= FLUSH_COUNT:
            self._answers = []
            self._end.outcomes.put_answers(answers)

    # --- lanes ---

    def _begin(self, slot: LaneSlot, task: Task) -> None:
        slot.task = task
        slot.meter.begin(task.id)
        descriptor = self._begin_quickly(slot, task)
        if descriptor is None:
            self._call(slot)
        else:
            self._await(slot, descriptor)

    def _begin_quickly(self, slot: LaneSlot, task: Task) -> int | None:
        """What to wait for; None if the lane is to be called."""
        if slot.quick is None or self._now < self._rest_until:
            return None
        try:
            return slot.quick.begin(task, slot.meter)
        except Exception:  # noqa: BLE001 - the lane meets it, too, and tells of it
            return None

    def _await(self, slot: LaneSlot, descriptor: int) -> None:
        slot.since = self._now
        if descriptor != slot.watched:
            self._unwatch(slot)
            self._watch.add(descriptor)
            self._quick[descriptor] = slot
            slot.watched = descriptor

    def _ready(self, slot: LaneSlot) -> None:
        assert slot.quick is not None
        try:
            found = slot.quick.ready()
        except Exception:  # noqa: BLE001 - as above
            found = "call"
        if found == "whole":
            self._ask_ahead(slot)
        elif not isinstance(found, str):
            self._answered(slot, found)
        elif found == "call":
            self._call(slot)

    def _ask_ahead(self, slot: LaneSlot) -> None:
        """Begin the next task before the file of the last is placed."""
        task = descriptor = None
        if self._inbox and not self._surplus:
            descriptor = self._begin_quickly(slot, self._inbox[0])
            if descriptor is None:
                self._unwatch(slot)  # now: its connection may be closed, its number another's soon
            else:
                task = self._inbox.popleft()
        self._whole.append((slot, task, descriptor))

    def _finish(self) -> None:
        """Place what has come."""
        for slot, task, descriptor in self._whole:
            assert slot.quick is not None
            try:
                answer = slot.quick.finish()
            except Exception:  # noqa: BLE001 - as above
                answer = None
            if answer is None:
                self._call(slot)
                if task is not None:  # it has lost its connection, and is not to wait for the call
                    self._inbox.appendleft(task)
                    self._fill_seats()
            elif task is None or descriptor is None:
                self._answered(slot, answer)
            else:
                self._note(slot, answer)
                slot.task = task
                slot.meter.begin(task.id)
                self._await(slot, descriptor)
        self._whole.clear()

    def _mind_turns(self, count: int) -> None:
        """Note how long the turns since `_now` took; call for a while if that is long."""
        # one turn in which the system ran somebody else says nothing of a file system
        seconds = min((time.monotonic() - self._now) / count, SLOW_MOST)
        self._turn_seconds += SLOW_WEIGHT * (seconds - self._turn_seconds)
        if self._turn_seconds > SLOW_SECONDS:
            self._turn_seconds = 0.0
            self._rest_until = self._now + SLOW_REST

    def _call_late(self) -> None:
        self._looked = self._now
        for slot in list(self._quick.values()):
            if self._now - slot.since >= PATIENCE:
                self._call(slot)

    def _unwatch(self, slot: LaneSlot) -> None:
        if slot.watched >= 0:
            self._watch.remove(slot.watched)
            del self._quick[slot.watched]
            slot.watched = -1

    # --- threads ---

    def _call(self, slot: LaneSlot) -> None:
        assert slot.task is not None
        self._unwatch(slot)
        slot.calls.put(slot.task)

    def _build(self, slot: LaneSlot) -> bool:
        """Build the lane and its thread; False if the system does not give what that takes now.

        Then the lanes that are there do the work, and the next tasks that come are another try.

        Raises:
            RuntimeError, OSError, MemoryError: there is not a single lane.
        """
        try:
            slot.build(self._factory)
            threading.Thread(target=self._run_calls, args=(slot, slot.calls), daemon=True).start()
        except (RuntimeError, OSError, MemoryError):
            slot.lane = None
            if not self._built:
                raise
            return False
        self._built += 1
        return True

    def _run_calls(self, slot: LaneSlot, calls: queue.SimpleQueue[Task]) -> None:
        """A slot's thread."""
        try:
            assert slot.lane is not None
            while True:
                self._called.append((slot, slot.lane(calls.get(), slot.meter)))
                os.write(self._wake_writer, b"\0")
        finally:
            # A worker without one of its lanes would keep that lane's tasks for ever; its death
            # is noticed. Otherwise it is no lane's to end: the main process may no longer read.
            os._exit(1)

    def _collect(self) -> None:
        os.read(self._wake_reader, 4096)
        while self._called:
            self._answered(*self._called.popleft())


def serve(factory: LaneFactory, most: int, shared: SharedCounters) -> None:
    """Be a worker until the main process closes the task pipe or dies; never returns.

    It is the Pool's initializer: a task that went through the Pool's own queue would be lost with
    a killed worker, and its lock with it.

    Args:
        factory: builds its lanes.
        most: lanes that a worker of the pool has at the most.
        shared: the counters.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A terminal sends these to the whole group; the main process decides what they mean.
        signal.signal(number, signal.SIG_IGN)
    name_process("pdl-worker")
    forget_here()
    gc.freeze()  # a collection would write to all that is shared with the fork server
    gc.enable()  # the main process may not have looked for garbage when it started that
    _share_one_heap()
    end: WorkerEnd = current_process().end  # type: ignore[attr-defined]
    with contextlib.suppress(MachineError):  # the main process has looked whether they are allowed
        start_limits.ensure(1, end.lanes)
    code = 1
    try:
        Loop(end, factory, most, shared).run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0
    finally:
        os._exit(code)  # lanes are threads that may be deep in a read; their parts are sound


def _share_one_heap() -> None:
    """Let the lanes' threads allocate from one heap: they take turns with Python's lock anyway.

    glibc gives each thread a heap of its own, which keeps a megabyte for as long as the thread
    lives.
    """
    import ctypes  # it takes milliseconds where the fork server has not done it

    with contextlib.suppress(AttributeError, OSError):  # another C library, which has one heap
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def guarded(lane: Lane) -> Lane:
    """The lane, with whatever it raises made an ``internal`` failure."""

    def run(task: Task, meter: Meter) -> Answer:
        try:
            return lane(task, meter)
        except Exception as exc:  # noqa: BLE001 - one of the two agreed places
            told = masked_traceback(exc)
            meter.say(told.splitlines())
            if os.environ.get("PDL_DEBUG"):
                show(told)
            return internal(task.id, mask_urls(f"{type(exc).__name__}: {exc}"))

    return run


def show(text: str) -> None:
    """Write it on standard error, in one piece."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # it is closed, or its reader is gone
            sys.stderr.write(text)
            sys.stderr.flush()
