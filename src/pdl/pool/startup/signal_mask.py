"""What a terminal sends to all of a run, kept from processes that are just being started."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def uninterrupted(*more: signal.Signals) -> Iterator[None]:
    """Keep Ctrl-C from what is started within: it would end in the middle of its imports.

    It inherits that SIGINT is held back, and has no need of it.

    Args:
        more: signals to hold back as well.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *more})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
