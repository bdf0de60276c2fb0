"""Both ends of a task pipe; the main process's never makes it wait.

A pipe holds little (64 KiB on Linux), and a worker that is stopped, or busy with a turn of its
loop, takes nothing out of it. What the pipe does not take now stays here, in order, until it does.

A task travels as a plain tuple: naming its class to pickle, and calling it at the other end, would
take most of the time that a message does.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from pdl.model import Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

_SIZE = struct.Struct("!i")
"""What `multiprocessing.connection.Connection.recv` reads before a message below 2 GiB."""

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

    def send(self, tasks: Sequence[Task] | None) -> bool:
        """Send tasks, or None, after what was sent before; whether all of it is on its way."""
        fields = None if tasks is None else list(map(tuple, tasks))
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

    def recv(self) -> list[Task] | None:
        """Return the next message; waits for it.

        Raises:
            EOFError: the main process is gone, and everything it sent has been read.
        """
        fields: list[tuple[object, ...]] | None = self._pipe.recv()
        return None if fields is None else list(map(_task, fields))

    def fileno(self) -> int:
        """Readable when there is something to receive."""
        return self._pipe.fileno()

    def close(self) -> None:
        """Close the pipe."""
        self._pipe.close()
