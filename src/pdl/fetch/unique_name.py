"""``--content-disposition``, the worker's side: a file gets a name that nobody has, in one step.

The part is linked to its name, which the system refuses where the name is taken: of two workers
with the same server's name at the same moment one gets it, the other the next name. The part stays,
as a second name of the file, until the main process has remembered whose it is: who is killed in
between leaves a part that tells the next attempt which file is its own (`UniqueName.look`).
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from pdl.integrity.check import examine
from pdl.model import SafePath, Success
from pdl.naming.claims import folded, variants
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.storage.final_name import InTheWay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.model import Served, Task
    from pdl.pool import Meter
    from pdl.settings import FileSettings
    from pdl.storage.part import Part

_LOOKED_AT = 3
"""Names that an earlier attempt's file is looked for under."""


class UniqueName:
    """Where one attempt's file goes.

    Args:
        files: of the run.
        task: of the attempt.
        served: the task's.
        part: the attempt's.

    Attributes:
        wanted: the path that the file should have; the attempt says it (`Attempt.wanted`).
    """

    def __init__(self, files: FileSettings, task: Task, served: Served, part: Part) -> None:
        self._files = files
        self._task = task
        self._served = served
        self._part = part
        self._own = task.path if served.replaces else None
        self.wanted = task.path

    def look(self, buffer: memoryview, meter: Meter) -> Success | None:
        """Look for what an attempt that was killed has placed; that file is the answer.

        Where files are not skipped by name it is fetched all the same, and may be replaced.

        Raises:
            InTheWay: a file has the name, and that is to be a failure.
        """
        if self._own is None and (path := self._earlier()) is not None:
            self._own = path
            if self._files.if_exists == "skip":
                task = self._task._replace(path=path)
                found = examine(task, self._files.directory, buffer, meter)
                if isinstance(found, Success):
                    name = path.rpartition("/")[2]
                    return found._replace(name=name, message="placed by an attempt that was killed")
        lonely = self._served.alone or self._files.if_exists == "fail"
        if lonely and self.wanted != self._own and os.path.lexists(self._at(self.wanted)):
            raise InTheWay(f"{self.wanted} is there already")
        return None

    def _earlier(self) -> SafePath | None:
        for part in (self._task.part, *self._task.other_parts):
            try:
                mark = os.lstat(f"{self._files.directory}/{STATE_DIRECTORY}/{part}")
            except OSError:
                continue
            if mark.st_nlink == 1:
                continue
            for path in itertools.islice(self._candidates(), _LOOKED_AT):
                try:
                    if os.path.samestat(mark, os.lstat(self._at(path))):
                        return path
                except OSError:
                    continue
        return None

    def put(self, modified: float | None) -> SafePath:
        """Give the whole part its name.

        Args:
            modified: as `Part.finish` has it.

        Raises:
            InTheWay: the name is taken, and that is to be a failure.
        """
        fsync = self._files.fsync
        reserved = {folded(path) for path in self._files.reserved}
        for path in self._candidates():
            if path == self._own:
                self._part.finish(path, modified, fsync=fsync)
                return path
            if folded(path) not in reserved and self._part.finish_new(path, modified, fsync=fsync):
                return path
        raise InTheWay(f"{self.wanted} is another file's name")

    def _candidates(self) -> Iterator[SafePath]:
        names = variants(self.wanted, self._served.digits)
        if self._served.alone:
            names = itertools.islice(names, 1)
        return (SafePath(name) for name in names)

    def _at(self, path: SafePath) -> str:
        return f"{self._files.directory}/{path}"
