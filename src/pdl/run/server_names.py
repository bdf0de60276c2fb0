"""``--content-disposition``, the main process's side: which file has which server's name.

The server's name is known only to the worker that has its answer. So the run remembers, for each
URL and the path it would have had, the path it got (`Store`): a line of a later run finds its file
by that. Until a file has its name nobody can say what it will be; two things follow. A file that
was made during the run is never taken for one that was there (`ServerNaming.meanwhile`), for it may
be that of another URL. And no file is ever put over another, see `pdl.fetch.unique_name`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.model import SafePath, Served
from pdl.naming.claims import GivenName, Store
from pdl.scheduling.mirrors import mirrors_of
from pdl.text.url_identity import part_name
from pdl.text.urls import parse

if TYPE_CHECKING:
    from pdl.scheduling.job import Job


class RememberedNames:
    """A `Store` of what earlier runs have remembered, to be looked at only."""

    def __init__(self, known: dict[tuple[int, SafePath], SafePath]) -> None:
        self._known = known

    def given(self, key: int, wanted: SafePath) -> SafePath | None:
        """See `Store.given`."""
        return self._known.get((key, wanted))

    def give(self, given: GivenName) -> None:
        """Nothing is kept."""


class ServerNaming:
    """What the planner asks where servers give names.

    Args:
        store: remembers.
        directory: the output directory.
        since_ns: its file system's time when the run began, nanoseconds since the epoch; None
            where there is no run.
        alone: a file whose name is taken is a failure.
    """

    def __init__(
        self, store: Store, directory: str, since_ns: int | None = None, *, alone: bool = False
    ) -> None:
        self._store = store
        self._directory = directory
        self._since_ns = since_ns
        self._alone = alone

    def path_of(self, key: int, wanted: SafePath) -> SafePath | None:
        """Where the URL's file is, or was."""
        return self._store.given(key, wanted)

    def meanwhile(self, found: os.stat_result) -> bool:
        """Whether a file was made since the run began; its own time may be the server's."""
        return self._since_ns is not None and found.st_ctime_ns >= self._since_ns

    def ask(self, job: Job, wanted: SafePath, *, known: bool, named: bool) -> None:
        """Let the job's file be named by its server.

        Args:
            job: new; its task says where the file goes if no server names it.
            wanted: what `GivenName.wanted` is to be.
            known: what is at the task's path is this URL's.
            named: the server's name counts.
        """
        task, url = job.task, parse(job.item.url)
        served = Served(f"{job.key:016x}", named, self._replaces(task.path, known), self._alone)
        # the part's name must be the same on every run, whoever has taken which name before
        job.task = task._replace(part=part_name(url, wanted), served=served)
        job.wanted = wanted
        if job.mirrors is not None:
            job.mirrors = mirrors_of(job.item, url, wanted)

    def _replaces(self, path: SafePath, known: bool) -> bool:
        try:
            found = os.lstat(f"{self._directory}/{path}")
        except OSError:
            return False
        return known or not self.meanwhile(found)

    def keep(self, job: Job, path: SafePath) -> None:
        """A job's file has got its name."""
        self._store.give(GivenName(job.key, job.wanted or job.task.path, path, job.task.part))
