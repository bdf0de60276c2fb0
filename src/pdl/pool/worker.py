"""The worker's side of the process pool: lanes, the outcome queue, the shared counters.

A worker never prints, never retries and never waits out a back-off. Its main thread sits on the
task pipe, so that it notices at once when the main process is gone (the pipe ends) and can end the
whole worker, whatever its lanes are doing. Each lane is a thread that takes one task after the
other from the worker's inbox. Tasks that wait there behind slow ones can be called back.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import threading
import time
from multiprocessing import current_process
from multiprocessing.queues import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pdl.model import Answer, Fail, FailureKind, Success, Task
from pdl.pool import Returned

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence
    from multiprocessing.connection import Connection

    from pdl.pool import Lane, LaneFactory

MESSAGE_LIMIT = 4000
"""Bytes of a pickled message; with its header it stays below PIPE_BUF (4,096), up to which a
write to a pipe is all or nothing, so that a killed worker never leaves half a message."""

FLUSH_SECONDS = 0.02
"""Answers travel together unless the first of them has waited this long."""

FLUSH_COUNT = 16
"""Answers that are sent without waiting for more: about what one message holds."""

TEXT_MOST = 450
"""Characters a text of a message is cut to; two of them take at most 3,600 bytes."""

RETURNED_COUNT = 256
"""Task ids in one message."""

CELL_WORDS = 4
"""Words of a lane's cell: id of its task + 1 (0: none), bytes, size + 1, bytes ever received."""

HELLO: tuple[Answer, ...] = ()
"""What a lane sends once it is built: the worker has come up."""

RECALL = None
"""What the main process sends to get back the tasks that no lane has begun."""


class OutcomeQueue(SimpleQueue[Any]):
    """A multiprocessing queue with one writing process, drained without blocking.

    Each worker has its own: what a killed writer can break (a held lock, half a message) then
    concerns nobody else, and the end of the pipe tells the reader at once that the worker died.
    """

    _reader: Connection
    _writer: Connection
    _wlock: Any

    def put_answers(self, answers: Sequence[Answer]) -> None:
        """Send the answers in messages that are each written in one piece."""
        message = _pickled(answers)
        if message is not None and len(message) <= MESSAGE_LIMIT:
            self._put(message)
        elif len(answers) > 1:
            half = len(answers) // 2
            self.put_answers(answers[:half])
            self.put_answers(answers[half:])
        else:
            self.put_answers([shortened(answers[0]) if message else unsendable(answers[0])])

    def put_returned(self, ids: Sequence[int]) -> None:
        """Send back tasks that no lane has begun."""
        for start in range(0, len(ids), RETURNED_COUNT):
            returned = Returned(tuple(ids[start : start + RETURNED_COUNT]))
            self._put(pickle.dumps(returned, protocol=pickle.HIGHEST_PROTOCOL))

    def _put(self, message: bytes) -> None:
        with self._wlock:
            self._writer.send_bytes(message)

    def get_nowait(self) -> tuple[Answer, ...] | Returned:
        """Return the next message.

        Raises:
            queue.Empty: there is none now.
            EOFError: the writer is gone and everything it wrote has been read.
        """
        try:
            if not self._reader.poll():
                raise queue.Empty
            message: tuple[Answer, ...] | Returned = pickle.loads(  # noqa: S301 - our own worker's
                self._reader.recv_bytes()
            )
        except OSError as exc:  # a message cut by the writer's death
            raise EOFError from exc
        return message

    def fileno(self) -> int:
        """The readable end, for `multiprocessing.connection.wait`."""
        return self._reader.fileno()

    def keep_reader(self) -> None:
        """In the main process: only the worker may hold the writing end."""
        self._writer.close()

    def keep_writer(self) -> None:
        """In the worker: drop the reading end."""
        self._reader.close()


def _pickled(answers: Sequence[Answer]) -> bytes | None:
    """The message of these answers; None if something in them cannot cross the pipe."""
    try:
        return pickle.dumps(tuple(answers), protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError):
        return None


def shortened(answer: Answer) -> Answer:
    """The same answer with its long texts cut."""
    url, message = answer.final_url, answer.message[:TEXT_MOST]
    if isinstance(answer, Success):
        return answer._replace(final_url=answer.final_url[:TEXT_MOST], message=message)
    return answer._replace(final_url=url and url[:TEXT_MOST], message=message)


def unsendable(answer: Answer) -> Fail:
    """What stands for an answer that holds more than plain data."""
    return _internal(answer.id, f"the answer is no plain data: {type(answer).__name__}")


def _internal(task_id: int, message: str) -> Fail:
    return Fail("fail", task_id, FailureKind.INTERNAL, transient=False, message=message[:TEXT_MOST])


class WorkerEnd(NamedTuple):
    """What a worker holds of its link to the main process.

    Attributes:
        slot: which beat of the shared array is its own, and which cells are its lanes'.
    """

    tasks: Connection
    outcomes: OutcomeQueue
    slot: int


class StopFlag(Protocol):
    """The shared `Value` that tells every lane to end."""

    value: int


class Shared(NamedTuple):
    """What all workers share: counters written by one lane or worker each, and the stop flag.

    Attributes:
        cells: `CELL_WORDS` for each lane.
        beats: one for each worker; changes as long as it runs.
    """

    cells: MutableSequence[int]
    beats: MutableSequence[int]
    stop: StopFlag


class CellMeter:
    """Writes a lane's progress into its cell of the shared array. One writer, so no lock."""

    def __init__(self, shared: Shared, cell: int) -> None:
        self._cells = shared.cells
        self._stop = shared.stop
        self._base = cell * CELL_WORDS
        self._last: int | None = None

    def begin(self, task_id: int) -> None:
        """That task is under way."""
        cells, base = self._cells, self._base
        cells[base] = 0  # no reader may pair the new task with the old numbers
        cells[base + 1] = 0
        cells[base + 2] = 0
        cells[base] = task_id + 1
        self._last = None

    def update(self, received: int, size: int | None) -> None:
        """See `pdl.pool.Meter`. The first call of a task says where it starts."""
        cells, base = self._cells, self._base
        if self._last is not None and received > self._last:
            cells[base + 3] += received - self._last
        self._last = received
        cells[base + 1] = received
        cells[base + 2] = 0 if size is None else size + 1

    def stopped(self) -> bool:
        """See `pdl.pool.Meter`."""
        return bool(self._stop.value)


class Outbox:
    """Collects the answers of a worker's lanes, so that many travel in one message."""

    def __init__(self, outcomes: OutcomeQueue) -> None:
        self._outcomes = outcomes
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._oldest = 0.0

    def add(self, answer: Answer, *, last: bool) -> None:
        """Take an answer; send what there is if it is the last for now, or enough, or old."""
        with self._lock:
            if not self._answers:
                self._oldest = time.monotonic()
            self._answers.append(answer)
            if last or len(self._answers) >= FLUSH_COUNT or self._old():
                self._flush()

    def hello(self) -> None:
        """Say that a lane is ready."""
        with self._lock:
            self._outcomes.put_answers(HELLO)

    def flush_old(self) -> None:
        """Send what has waited long enough."""
        with self._lock:
            if self._answers and self._old():
                self._flush()

    def _old(self) -> bool:
        return time.monotonic() - self._oldest >= FLUSH_SECONDS

    def _flush(self) -> None:
        answers, self._answers = self._answers, []
        self._outcomes.put_answers(answers)


def serve(factory: LaneFactory, lanes: int, shared: Shared) -> None:
    """Be a worker until the main process closes the task pipe or dies; never returns.

    It is the Pool's initializer: a task that went through the Pool's own queue would be lost with
    a killed worker, and its lock with it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A terminal sends these to the whole group; the main process decides what they mean.
        signal.signal(number, signal.SIG_IGN)
    end: WorkerEnd = current_process().end  # type: ignore[attr-defined]
    inbox: queue.SimpleQueue[Task] = queue.SimpleQueue()
    outbox = Outbox(end.outcomes)
    for lane in range(lanes):
        meter = CellMeter(shared, end.slot * lanes + lane)
        threading.Thread(
            target=_run_lane, args=(factory, inbox, outbox, meter), daemon=True
        ).start()
    code = 1
    try:
        _attend(end, inbox, outbox, shared.beats)
    except (EOFError, OSError):
        code = 0
    finally:
        os._exit(code)  # lanes are threads that may be deep in a read; their parts are sound


def _attend(
    end: WorkerEnd,
    inbox: queue.SimpleQueue[Task],
    outbox: Outbox,
    beats: MutableSequence[int],
) -> None:
    """Take what the main process sends, until it is gone."""
    while True:
        beats[end.slot] += 1
        if end.tasks.poll(FLUSH_SECONDS):
            tasks: list[Task] | None = end.tasks.recv()
            if tasks is RECALL:
                end.outcomes.put_returned([task.id for task in _drained(inbox)])
            else:
                for task in tasks:
                    inbox.put(task)
        outbox.flush_old()


def _drained(inbox: queue.SimpleQueue[Task]) -> list[Task]:
    tasks = []
    with contextlib.suppress(queue.Empty):
        while True:
            tasks.append(inbox.get_nowait())
    return tasks


def _run_lane(
    factory: LaneFactory, inbox: queue.SimpleQueue[Task], outbox: Outbox, meter: CellMeter
) -> None:
    try:
        lane = guarded(factory())
        outbox.hello()
        while True:
            task = inbox.get()
            meter.begin(task.id)
            answer = lane(task, meter)
            outbox.add(answer, last=inbox.empty())
    finally:
        # A worker without one of its lanes would keep that lane's tasks for ever; its death is
        # noticed. It is no lane's to end otherwise: the main process may no longer read.
        os._exit(1)


def guarded(lane: Lane) -> Lane:
    """The lane, with whatever it raises made an ``internal`` failure: the worker's boundary."""

    def run(task: Task, meter: Any) -> Answer:  # noqa: ANN401 - a Meter, passed through
        try:
            return lane(task, meter)
        except Exception as exc:  # noqa: BLE001 - one of the two agreed places
            return _internal(task.id, f"{type(exc).__name__}: {exc}")

    return run
