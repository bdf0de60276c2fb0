"""The cache beside the driver that may wait: what is there already is not fetched again.

A file whose digest the list or the lock names is taken without a request. One that its URL gave
before is asked about by the validators it came with, and taken when they still hold. What was
fetched is kept, if it can ever be found again: by a digest, or by its URL where that may be (RFC
9111 section 3). A cache that fails costs a remark, never a file.

What is found here is an `Offer`; whether it is taken is decided in `pdl.fetch.attempt`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.auth.credentials import Credentials
from pdl.fetch.asking import any_scheme
from pdl.fetch.commands import Offer
from pdl.fetch.file_checks import LOOKED_AT, would_do
from pdl.http_rules import conditional
from pdl.integrity.check import ALGORITHM
from pdl.model import Version
from pdl.storage import versions
from pdl.storage.cache.store import Cache, CacheEntry
from pdl.system.disk_space import check_kept_free
from pdl.system.kernel_copy import copy
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from pdl.fetch.attempt import Attempt
    from pdl.model import Task
    from pdl.pool import Meter
    from pdl.settings import CacheSettings, FileSettings, HttpSettings
    from pdl.storage.cache.store import CachedFile
    from pdl.storage.part import Part

MAX_TROUBLE = 300
"""Characters of what is said of a cache that failed; an answer has to fit into one message."""

_NOT_KEPT = {"no-store", "private"}
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class CacheLane:
    """A lane's cache.

    Args:
        http: of the run.
        files: of the run.
        cache: which.

    Attributes:
        cache: of this lane.
        writes: whether it can be written, as far as is known.
    """

    def __init__(self, http: HttpSettings, files: FileSettings, cache: CacheSettings) -> None:
        self.http = http
        self.files = files
        self.cache = Cache(cache)
        self.writes = True

    def beside(
        self, attempt: Attempt, task: Task, part: Part, meter: Meter, http: HttpSettings
    ) -> CacheSide:
        """What one attempt, which has these settings, has of it."""
        return CacheSide(self, attempt, task, part, meter, http=http)


class CacheSide:
    """The cache beside one attempt.

    Attributes:
        trouble: what came in the cache's way; empty if nothing did.
    """

    def __init__(
        self,
        lane: CacheLane,
        attempt: Attempt,
        task: Task,
        part: Part,
        meter: Meter,
        *,
        http: HttpSettings,
    ) -> None:
        self._lane = lane
        self._attempt = attempt
        self._task = task
        self._part = part
        self._meter = meter
        self._listed = _listed(task, lane.http)
        self._own = _has_own_fields(task, self._listed, http)
        self.trouble = ""

    # --- out of it ---

    def offer(self) -> Offer | None:
        """The file that may be the one, if it is there."""
        if self._task.version is not None or self._listed is None:
            return None
        try:
            return self._by_digest(self._listed) or self._by_url(self._listed)
        except OSError as exc:
            self._failed(exc)
            return None

    def _by_digest(self, listed: Url) -> Offer | None:
        """The file whose digest is known."""
        found = {self._lane.cache.digest(each) for each in versions.wanted(self._task)}
        if len(found) != 1 or (sha256 := found.pop()) is None:
            return None
        # what the URL said when it gave just that file: its time, and what --update asks by
        entry = self._known_by(listed)
        if entry is None or entry.sha256 != sha256:
            if self._task.served is not None and self._task.served.named:
                return None  # its server has to say what it is called
            entry = CacheEntry(sha256)
        return Offer(entry, 0, sure=True)

    def _by_url(self, listed: Url) -> Offer | None:
        """The file that the URL gave before, if it would do."""
        entry = self._known_by(listed)
        if entry is None or versions.wanted(self._task):
            return None
        size = self._lane.cache.size(entry.sha256)
        if size is None or not self._would_do(entry, size, None):
            return None
        return Offer(entry, size, sure=False)

    def _known_by(self, listed: Url) -> CacheEntry | None:
        decoded = self._lane.http.compressed
        entry = None if self._own else self._lane.cache.given_by(listed, decoded=decoded)
        return None if entry is None or not entry.giver else entry

    def _would_do(self, entry: CacheEntry, size: int, begin: memoryview | None) -> bool:
        task = self._task._replace(path=self._attempt.wanted)
        return would_do(self._lane.files, task, entry.media, size, begin)

    def fill(self, buffer: memoryview) -> int | None:
        """Fill the part with the file that is offered.

        Args:
            buffer: is read into.

        Returns:
            Its size in bytes; None if it is not there, or not right.
        """
        offer, lane = self._attempt.offer, self._lane
        assert offer is not None
        try:
            found = lane.cache.find(offer.entry.sha256, buffer, self._meter.stopped)
            if found is None:
                return None
            try:
                return self._filled(found, offer.entry)
            finally:
                os.close(found.fd)
        except OSError as exc:
            self._failed(exc)
            return None

    def _filled(self, found: CachedFile, entry: CacheEntry) -> int | None:
        begin = memoryview(os.pread(found.fd, LOOKED_AT, 0))
        if not self._would_do(entry, found.size, begin) or not self._copied(found):
            return None
        self._part.size = found.size
        self._meter.update(found.size, found.size)
        return found.size

    def _copied(self, found: CachedFile) -> bool:
        """Whether the part has the file; what this disk does not take, the request meets again."""
        try:
            files = self._lane.files
            if files.min_free is not None:
                check_kept_free(files.directory, found.size, files.min_free)
            self._part.start()
            fd = os.open(self._part.path, _WRITE)
            try:
                whole = copy(found.fd, fd, found.size, self._meter.stopped)
            finally:
                os.close(fd)
        except OSError:
            whole = False
        if not whole:
            self._part.discard()
        return whole

    # --- into it ---

    def keep(self) -> None:
        """Keep the part's bytes, which are whole and have been digested."""
        if not self._lane.writes or self._attempt.offer is not None:
            return
        try:
            self._keep()
        except TimeoutError as exc:
            self._failed(exc)
        except OSError as exc:
            self._lane.writes = False
            self._failed(exc)

    def _keep(self) -> None:
        task, cache = self._task, self._lane.cache
        sha256 = (self._attempt.proven or "").removeprefix(f"{ALGORITHM}:")
        wanted = versions.wanted(task)
        entry = self._entry_of(sha256)
        if entry is None and not wanted and task.pin is None:
            return
        if not cache.keep(self._part.path, sha256, self._part.size, self._meter.stopped):
            return
        for each in wanted:
            cache.learn(each, sha256)
        if entry is not None and self._listed is not None:
            cache.gave(self._listed, entry, decoded=self._lane.http.compressed)

    def _entry_of(self, sha256: str) -> CacheEntry | None:
        """What is kept of the URL; None where the answer was for this user or this moment alone."""
        attempt, header = self._attempt, self._attempt.header
        if self._own or not attempt.framed or attempt.asking().printed is not None:
            return None
        if _NOT_KEPT & _words(header("cache-control"), "=") or _varies(header("vary")):
            return None
        version = conditional.named(
            Version(0, 0, 0, None, None, 0, 0), attempt.asking().url, header
        )
        if version.etag is None and version.modified is None:
            return None
        media = (header("content-type") or "")[: conditional.MAX_TEXT]
        called = attempt.asking().called(header)
        version_of = (version.giver, version.bare, version.etag, version.modified)
        return CacheEntry(sha256, *version_of, media, called and str(called))

    def _failed(self, exc: OSError) -> None:
        what = f"{exc.strerror or exc} ({exc.filename or self._lane.cache.path})"
        self.trouble = f"the cache failed: {what}; the downloads go on without"[:MAX_TROUBLE]


def _listed(task: Task, http: HttpSettings) -> Url | None:
    """The task's URL, if it is one that may be asked at all."""
    mine = http.credentials
    foreign = isinstance(mine, Credentials) and mine.url_command is not None
    try:
        url = any_scheme(task.url) if foreign else parse(task.url)
    except InvalidUrl:
        return None
    return None if http.https_only and url.scheme == "http" else url


def _has_own_fields(task: Task, listed: Url | None, http: HttpSettings) -> bool:
    """Whether the request says who the user is, or may: then its answer may be theirs alone."""
    userinfo = listed is not None and (listed.userinfo or not listed.port)
    known = isinstance(http.credentials, Credentials) and http.credentials.personal
    told = any(path == "http.headers" for table in http.hosts for path, _ in table.said)
    return bool(userinfo or task.headers or http.headers or http.cert or known or told)


def _words(value: str | None, end: str) -> set[str]:
    return {word.partition(end)[0].strip().lower() for word in (value or "").split(",")}


def _varies(value: str | None) -> bool:
    """Whether an answer depends on what may be different in another run (RFC 9110 section 12.5.5).

    Of the fields that are sent where there are none of the user's own, these are the User-Agent
    and cookies that servers have set.
    """
    return not _words(value, ";").isdisjoint({"*", "user-agent", "cookie"})
