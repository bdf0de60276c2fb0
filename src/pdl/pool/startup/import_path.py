"""What is started takes no download for a module."""

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
"""Modules that a worker may import late: some of Python's own, and what pdl depends on."""


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

    From the first download on there may be anything. Where some of `NEEDED` lie there, too, they
    are still found: what is elsewhere comes first.
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
