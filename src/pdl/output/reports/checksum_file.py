"""The checksum file: what ``sha256sum -c`` reads, of every file that is there when the run ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.naming.claims import IntTable
from pdl.output.sinks import FileSink, Warn, check_target, refusing
from pdl.sources.checksums import escaped

if TYPE_CHECKING:
    from pdl.model import Item, Result
    from pdl.scheduling.progress import Summary

_PREFIX = "sha256:"


def check_sums(path: str, directory: str) -> None:
    """See whether there could be such a file; nothing is opened or made.

    Raises:
        UsageError, MachineError: as `ChecksumFile` has it.
    """
    if os.path.exists(directory) or not _is_in(path, directory):
        check_target(path)


def _is_in(path: str, directory: str) -> bool:
    return os.path.dirname(os.path.abspath(path)) == os.path.abspath(directory)


class ChecksumFile:
    """Writes a line for each file, in the order in which they ended; the old one stays until then.

    It takes some two dozen bytes of memory for each file, so that none stands there twice.

    Args:
        path: of the file.
        warn: told once if it cannot be written to its end.
        directory: of the files. It is made where the checksum file is to be in it.

    Raises:
        UsageError: the path can be no file.
        MachineError: the file cannot be made.
    """

    every = True
    hosts = False
    facts = False
    lists = False

    def __init__(self, path: str, warn: Warn, directory: str) -> None:
        if _is_in(path, directory):
            with refusing(directory):
                os.makedirs(directory, exist_ok=True)
        self.sink = FileSink(path, warn)
        self._written = IntTable(small=True)

    def record(self, result: Result, item: Item | None) -> None:  # noqa: ARG002
        """Write the line, if the file is there: else it has no digest."""
        found = (each for each in result.digests or () if each.startswith(_PREFIX))
        digest = next(found, None)
        if digest is None or result.path is None:
            return
        number = hash((result.path, digest)) & 0xFFFF_FFFF_FFFF_FFFF or 1
        if not self._written.setdefault(number, 1):
            mark, name = escaped(result.path)
            self.sink.write(f"{mark}{digest.removeprefix(_PREFIX)}  {name}\n")

    def finish(self, summary: Summary) -> None:  # noqa: ARG002
        """Let the file have its name."""
        self.sink.commit()
