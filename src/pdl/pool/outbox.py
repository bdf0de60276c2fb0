"""The main process's end of a task pipe, which never makes it wait.

A pipe holds little (64 KiB on Linux), and a worker that is stopped, or busy with a turn of its
loop, takes nothing out of it. What the pipe does not take now stays here, in order, until it does.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_SIZE = struct.Struct("!i")
"""What `multiprocessing.connection.Connection.recv` reads before a message below 2 GiB."""


class Outbox:
    """Sends messages to a `Connection` of another process without ever waiting.

    Args:
        pipe: the writing end, which is made non-blocking here; the reading end is a pipe's other
            file description and stays as it is.
    """

    def __init__(self, pipe: Connection) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._unsent: deque[memoryview] = deque()

    def send(self, message: Any) -> bool:  # noqa: ANN401 - whatever pickle takes
        """Send a message after those before it; whether all of it is on its way."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
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
