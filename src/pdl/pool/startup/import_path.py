"""Keeps downloads out of `sys.path`: a file called ``json.py`` must not become a module."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SAFE_PATH = "PYTHONSAFEPATH"
"""Variable with which Python imports nothing from the current directory, from 3.11 on."""

NEEDED = ("concurrent", "email", "requests", "urllib3", "idna", "certifi")
"""Modules that a worker may import late: some of the standard library, and what pdl depends on."""


def importing_nothing_from_here() -> contextlib.AbstractContextManager[None]:
    """Set PYTHONSAFEPATH for every Python that is started inside of the ``with`` block.

    Without it, a Python started with ``-c`` searches the current directory first. That may be the
    directory of the downloads, and one of them may be called ``json.py``.
    """
    return variable(SAFE_PATH, "1")


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for whatever is started inside of the ``with`` block."""
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
    """Take the current directory, and that of the main program, out of a worker's `sys.path`.

    From the first download on, any file may lie there. If a module of `NEEDED` is found nowhere
    else, the directories go to the end of the path instead: every other place is searched first.
    """
    program = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    here = {_real(""), _real(os.path.dirname(program))}
    known = [place for place in sys.path if not isinstance(place, str) or _real(place) not in here]
    if not all(PathFinder.find_spec(name, known) for name in NEEDED):
        known += [place for place in sys.path if place not in known]
    sys.path[:] = known


def _real(place: str) -> str:
    """The directory without links; itself where there is none."""
    try:
        return os.path.realpath(place)
    except (OSError, ValueError):  # the current directory is gone
        return place
