"""Where multiprocessing has its socket."""

from __future__ import annotations

import contextlib
import os
import tempfile
from multiprocessing import util

ROOM = 103 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")
"""Bytes that a directory's name may have for a socket below it: macOS takes paths of 103."""

OTHERS = "/tmp", "/var/tmp"  # noqa: S108 - a directory is made there, as tempfile does it


def fit() -> None:
    """See that a socket can be made in multiprocessing's own temporary directory.

    TMPDIR may be too long for that, as it is in some batch systems. Then the directory is made in
    one of the usual places; where none will do, the socket's failure is told.
    """
    if len(os.fsencode(tempfile.gettempdir())) <= ROOM:
        return
    before = tempfile.tempdir
    for other in OTHERS:
        tempfile.tempdir = other
        try:
            with contextlib.suppress(OSError):
                util.get_temp_dir()
                return
        finally:
            tempfile.tempdir = before
