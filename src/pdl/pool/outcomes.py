"""What travels between a worker and the main process: answers one way, one writer to a pipe."""

from __future__ import annotations

import pickle
import queue
from multiprocessing.queues import SimpleQueue
from typing import TYPE_CHECKING, Any

from pdl.model import Answer, Fail, FailureKind, Success
from pdl.pool import Returned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

MESSAGE_LIMIT = 4000
"""Bytes of a pickled message; with its header it stays below PIPE_BUF (4,096), up to which a
write to a pipe is all or nothing, so that a killed worker never leaves half a message."""

TEXT_MOST = 450
"""Characters a text of a message is cut to; two of them take at most 3,600 bytes."""

RETURNED_COUNT = 256
"""Task ids in one message."""

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
    """The same answer with its long texts cut; a version whose validators are long is forgotten."""
    url, message = answer.final_url, answer.message[:TEXT_MOST]
    if isinstance(answer, Success):
        url = answer.final_url[:TEXT_MOST]
        return answer._replace(final_url=url, message=message, trouble="", version=None)
    return answer._replace(final_url=url and url[:TEXT_MOST], message=message)


def unsendable(answer: Answer) -> Fail:
    """What stands for an answer that holds more than plain data, or too much of it."""
    return internal(answer.id, f"the answer cannot be sent: {type(answer).__name__}")


def internal(task_id: int, message: str) -> Fail:
    """The answer for what should not happen."""
    return Fail("fail", task_id, FailureKind.INTERNAL, transient=False, message=message[:TEXT_MOST])
