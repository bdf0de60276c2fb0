"""What is started takes no download for a module."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SAFE_PATH = "PYTHONSAFEPATH"
"""Variable with which Python imports nothing from the current directory, from 3.11 on."""


def importing_nothing_from_here() -> contextlib.AbstractContextManager[None]:
    """Let a Python started within not look for modules in the current directory.

    It does so by itself with ``-c``, before anything else; and that may be the directory of the
    downloads, one of which may be called ``json.py``.
    """
    return variable(SAFE_PATH, "1")


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Let what is started within have this variable in its environment."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def forget_here() -> None:
    """Let this process, a worker, look for modules neither here nor beside the program it is of.

    From the first download on there may be anything; only pdl itself, and what was installed with
    it, is still found there.
    """
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    with contextlib.suppress(OSError):  # there is no current directory any more
        home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))  # noqa: PTH120
        here = {os.getcwd(), os.path.realpath(os.path.dirname(program or ""))} - {home}  # noqa: PTH109, PTH120
        sys.path[:] = [place for place in sys.path if os.path.realpath(place) not in here]
