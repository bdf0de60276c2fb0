"""What is started takes no download for a module."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SAFE_PATH = "PYTHONSAFEPATH"
"""Variable with which Python imports nothing from the current directory, from 3.11 on."""


@contextlib.contextmanager
def importing_nothing_from_here() -> Iterator[None]:
    """Let a Python started within not look for modules in the current directory.

    It does so by itself with ``-c``, before anything else; and that may be the directory of the
    downloads, one of which may be called ``json.py``.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SAFE_PATH, None)
        else:
            os.environ[SAFE_PATH] = before
