"""The pipes between the main process and a worker: tasks one way, answers the other.

A pipe holds little (64 KiB on Linux), and a worker that is stopped, or busy with a turn of its
loop, takes nothing out of it. So the main process never waits for a pipe: what it does not take now
stays in the `TaskSender`, in order, until it does. Answers come with one writer to a pipe.

Tasks and answers travel as plain tuples: naming a class to pickle, and calling it at the other end,
would take most of the time that a message does.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import select
import struct
import time
from collections import deque
from functools import partial
from multiprocessing.queues import SimpleQueue
from typing import TYPE_CHECKING, Any

from pdl.model import Answer, Fail, FailureKind, Success, Task, fail_of, success_of
from pdl.pool import Returned, Said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext

MESSAGE_LIMIT = 4000
"""Bytes of a pickled message; with its header it stays below PIPE_BUF (4,096), up to which a
write to a pipe is all or nothing, so that a killed worker never leaves half a message."""

TEXT_MOST = 450
"""Characters a text of a message is cut to; two of them take at most 3,600 bytes."""

RETURNED_COUNT = 256
"""Task ids in one message."""

LINE_MOST = 900
"""Characters that a line of `Said` is cut to; they take at most 3,600 bytes."""

_READ = 64 * 1024
"""Bytes taken from a pipe at once: all that it holds on Linux."""

_SIZE = struct.Struct("!i")
"""What `multiprocessing.connection.Connection` puts before a message below 2 GiB."""

HELLO: tuple[Answer, ...] = ()
"""What a lane sends once it is built: the worker has come up."""


class OutcomeQueue(SimpleQueue[Any]):
    """A multiprocessing queue with one writing process, drained without blocking.

    Each worker has its own: what a killed writer can break (a held lock, half a message) then
    concerns nobody else, and the end of the pipe tells the reader at once that the worker died.
    """

    _reader: Connection
    _writer: Connection
    _wlock: Any

    def __init__(self, *, ctx: BaseContext) -> None:
        super().__init__(ctx=ctx)
        os.set_blocking(self._reader.fileno(), False)
        self._cut = b""
        self._messages: deque[tuple[Answer, ...] | Returned | Said] = deque()

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
            small = _pickled([shortened(answers[0])]) if message else None
            if small is None or len(small) > MESSAGE_LIMIT:
                small = _pickled([unsendable(answers[0])])
            assert small is not None
            self._put(small)

    def put_returned(self, ids: Sequence[int]) -> None:
        """Send back tasks that no lane has begun; that there are none is an answer too."""
        for start in range(0, len(ids) or 1, RETURNED_COUNT):
            returned = Returned(tuple(ids[start : start + RETURNED_COUNT]))
            self._put(pickle.dumps(returned, protocol=pickle.HIGHEST_PROTOCOL))

    def put_said(self, lines: Sequence[str]) -> None:
        """Send the lines, as many as there is room for in one piece; from any thread."""
        said = Said(tuple(line[:LINE_MOST] for line in lines))
        message = pickle.dumps(said, protocol=pickle.HIGHEST_PROTOCOL)
        if len(message) <= MESSAGE_LIMIT or len(lines) == 1:
            self._put(message)
            return
        half = len(lines) // 2
        self.put_said(lines[:half])
        self.put_said(lines[half:])

    def _put(self, message: bytes) -> None:
        with self._wlock:
            self._writer.send_bytes(message)

    def get_nowait(self) -> tuple[Answer, ...] | Returned | Said:
        """Return the next message.

        Raises:
            queue.Empty: there is none now.
            EOFError: the writer is gone and everything it wrote has been read.
        """
        if not self._messages:
            try:
                data = os.read(self._reader.fileno(), _READ)
            except BlockingIOError:
                raise queue.Empty from None
            except OSError as exc:
                raise EOFError from exc
            if not data:
                raise EOFError
            self._split(self._cut + data)
        if not self._messages:
            raise queue.Empty
        return self._messages.popleft()

    def more(self) -> bool:
        """Whether there is a message that has been read from the pipe already."""
        return bool(self._messages)

    def _split(self, data: bytes) -> None:
        """Take the messages apart; the last may have been cut by the limit of what is read."""
        at, end = 0, _SIZE.size
        while end <= len(data):
            start, end = end, end + _SIZE.unpack_from(data, at)[0]
            if end > len(data):
                break
            self._messages.append(message_of(data[start:end]))
            at, end = end, end + _SIZE.size
        self._cut = data[at:]

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
        return pickle.dumps(list(map(tuple, answers)), protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError):
        return None


def message_of(data: bytes) -> tuple[Answer, ...] | Returned | Said:
    """What was sent as these bytes."""
    sent: list[Any] | Returned | Said = pickle.loads(data)  # noqa: S301 - our own worker's
    if isinstance(sent, Returned | Said):
        return sent
    return tuple([success_of(each) if each[0] == "success" else fail_of(each) for each in sent])


def located(answer: Answer, lane: int) -> Answer:
    """The same answer, which says that this lane has given it now."""
    facts = answer.facts or (None, None, None, ())
    return answer._replace(facts=(*facts[:4], (lane, time.monotonic())))


def shortened(answer: Answer) -> Answer:
    """The same answer with its long texts cut; a version whose validators are long is forgotten.

    So is what a server says of the file, but not its digests: a checksum file is to have them.
    """
    url, message = answer.final_url, answer.message[:TEXT_MOST]
    if isinstance(answer, Success):
        facts = answer.facts and (None, None, None, *answer.facts[3:])
        answer = answer._replace(trouble="", version=None, facts=facts)
        most = TEXT_MOST if facts is None else TEXT_MOST // 3  # the digests take up to 1,300 bytes
        return answer._replace(final_url=answer.final_url[:most], message=answer.message[:most])
    return answer._replace(final_url=url and url[:TEXT_MOST], message=message)


def unsendable(answer: Answer) -> Fail:
    """What stands for an answer that holds more than plain data, or too much of it."""
    return internal(answer.id, f"the answer cannot be sent: {type(answer).__name__}")


def internal(task_id: int, message: str) -> Fail:
    """The answer for what should not happen."""
    return Fail("fail", task_id, FailureKind.INTERNAL, transient=False, message=message[:TEXT_MOST])


_task = partial(tuple.__new__, Task)
"""A task of its fields; `Task._make` is the same, in twice the time."""


class TaskSender:
    """Sends messages to a `Connection` of another process without ever waiting.

    Args:
        pipe: the writing end, which is made non-blocking here; the reading end is a pipe's other
            file description and stays as it is.
    """

    def __init__(self, pipe: Connection) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._unsent: deque[memoryview] = deque()

    def send(self, tasks: Sequence[Task] | str | int | None) -> bool:
        """Send tasks, a word, a number, or None, after what was sent before.

        Returns:
            Whether all is on its way.
        """
        plain = tasks is None or isinstance(tasks, str | int)
        fields = tasks if plain else list(map(tuple, tasks))  # type: ignore[arg-type]
        data = pickle.dumps(fields, pickle.HIGHEST_PROTOCOL)
        self._unsent.append(memoryview(_SIZE.pack(len(data)) + data))
        return self.flush()

    def flush(self) -> bool:
        """Write what the pipe takes now; whether nothing is left.

        What cannot be written because the reader is gone is dropped: that it died shows elsewhere.
        """
        unsent = self._unsent
        while unsent:
            try:
                count = os.write(self._pipe.fileno(), unsent[0])
            except BlockingIOError:
                return False
            except OSError:
                unsent.clear()
                break
            if count == len(unsent[0]):
                unsent.popleft()
            else:
                unsent[0] = unsent[0][count:]
        return True

    def fileno(self) -> int:
        """Writable when there is use in `flush`."""
        return self._pipe.fileno()

    def close(self) -> None:
        """Close the pipe; what is left in here is dropped."""
        self._unsent.clear()
        self._pipe.close()


class TaskReceiver:
    """The worker's end: what an `TaskSender` has sent.

    Args:
        pipe: the reading end.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def recv(self) -> list[Task] | str | int | None:
        """Return the next message; waits for it.

        Raises:
            EOFError: the main process is gone, and everything it sent has been read.
        """
        fields: list[tuple[object, ...]] | str | int | None = self._pipe.recv()
        return list(map(_task, fields)) if isinstance(fields, list) else fields

    def fileno(self) -> int:
        """Readable when there is something to receive."""
        return self._pipe.fileno()

    def close(self) -> None:
        """Close the pipe."""
        self._pipe.close()


class Poller:
    """A set of descriptors, and what of it is ready.

    Args:
        many: use epoll where there is one, which does not slow down when there are many; else
            poll, which a fork cannot confuse.
    """

    def __init__(self, *, many: bool) -> None:
        self._epoll = many and hasattr(select, "epoll")
        self._poll: Any = select.epoll() if self._epoll else select.poll()

    def add(self, descriptor: int, *, writable: bool = False) -> None:
        """Begin to watch whether it is readable, or writable.

        Raises:
            OSError: it cannot be watched; a file always is readable.
        """
        self._poll.register(descriptor, select.POLLOUT if writable else select.POLLIN)

    def remove(self, descriptor: int) -> None:
        """Watch it no longer; it may have been closed."""
        with contextlib.suppress(OSError, KeyError, ValueError):
            self._poll.unregister(descriptor)

    def wait(self, seconds: float) -> list[tuple[int, int]]:
        """The descriptors that are ready, each with its events; empty after that time."""
        found: list[tuple[int, int]] = self._poll.poll(seconds if self._epoll else seconds * 1000)
        return found
