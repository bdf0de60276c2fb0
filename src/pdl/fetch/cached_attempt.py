"""An attempt with a cache beside it: what is there already is not fetched again.

A file whose digest the list or the lock names is taken without a request. One that its URL gave
before is asked about by the validators it came with, and taken when they still hold. What was
fetched is kept, if it can ever be found again: by a digest, or by its URL where that may be (RFC
9111 section 3). A cache that fails costs a remark, never a file.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from pdl.fetch.attempt import Attempt, Fetcher, declared_digest
from pdl.fetch.content_check import LOOKED_AT, unlike
from pdl.fetch.failures import StartAgain
from pdl.http_rules import conditional
from pdl.http_rules.dates import http_seconds
from pdl.integrity.check import ALGORITHM, check_of
from pdl.model import Pin, Success, Version
from pdl.naming.content_disposition import server_name
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.storage import versions
from pdl.storage.cache.store import Cache, CacheEntry
from pdl.system.kernel_copy import copy
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from pdl.integrity.check import Check
    from pdl.model import Task
    from pdl.pool import Meter
    from pdl.settings import CacheSettings, FileSettings, HttpSettings
    from pdl.storage.cache.store import CachedFile
    from pdl.transport import Response, Transport

FROM_CACHE = "from the cache"
MAX_TROUBLE = 300
"""Characters of what is said of a cache that failed; an answer has to fit into one message."""

_FOUND_OUT = Pin()
"""Makes a check find out the SHA-256."""
_NOT_KEPT = {"no-store", "private"}
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class CachedFetcher(Fetcher):
    """A lane with a cache; it has no short way.

    Attributes:
        cache: of this lane.
        writes: whether it can be written, as far as is known.
    """

    def __init__(
        self, transport: Transport, http: HttpSettings, files: FileSettings, cache: CacheSettings
    ) -> None:
        super().__init__(transport, http, files)
        self.cache = Cache(cache)
        self.writes = True

    def attempt(self, task: Task, meter: Meter, started: float) -> Attempt:
        """See `Fetcher.attempt`."""
        return CachedAttempt(self, task, meter, started)


class CachedAttempt(Attempt):
    """One attempt that may end without a request, or with one that brings no body."""

    def __init__(self, lane: CachedFetcher, task: Task, meter: Meter, started: float) -> None:
        super().__init__(lane, task, meter, started)
        self._cached = lane
        self._entry: CacheEntry | None = None
        self._listed = _listed(task, lane.http)
        self._own = _has_own_fields(task, self._listed, lane.http)
        self._trouble = ""

    def run(self) -> Success:
        """See `Attempt.run`."""
        done = None
        if self._version is None and self._listed is not None:
            try:
                done = self._at_once(self._listed)
                if done is None:
                    self._ask_about(self._listed)
            except OSError as exc:
                self._failed(exc)
        return (done or super().run())._replace(trouble=self._trouble)

    # --- out of it ---

    def _at_once(self, listed: Url) -> Success | None:
        """The file whose digest is known, if it is there."""
        found = {self._cached.cache.digest(each) for each in versions.wanted(self._task)}
        if len(found) != 1 or (sha256 := found.pop()) is None:
            return None
        # what the URL said when it gave just that file: its time, and what --update asks by
        entry = self._known_by(listed)
        if entry is None or entry.sha256 != sha256:
            if self._task.served is not None and self._task.served.named:
                return None  # its server has to say what it is called
            entry = CacheEntry(sha256)
        if (there := self._already(entry)) is not None:
            return there
        size = self._place(entry)
        return None if size is None else self._taken(0, "", size, entry)

    def _ask_about(self, listed: Url) -> None:
        """Let the request have a condition, if the URL gave a file that would do."""
        entry = self._known_by(listed)
        if entry is None or versions.wanted(self._task):
            return
        size = self._cached.cache.size(entry.sha256)
        if size is None or not self._right_size(size) or not self._right_kind(entry, None):
            return
        self._entry = entry
        proven = (f"{ALGORITHM}:{entry.sha256}",)
        named_by = (entry.giver, entry.bare, entry.etag, entry.modified)
        self._version = Version(0, *named_by, size, 0, proven)

    def _known_by(self, listed: Url) -> CacheEntry | None:
        entry = None if self._own else self._cached.cache.given_by(listed)
        return None if entry is None or not entry.giver else entry

    def _right_size(self, size: int) -> bool:
        return self._sizes.wanted in {None, size} and self._lane.files.takes(size)

    def _right_kind(self, entry: CacheEntry, begin: bytes | None) -> bool:
        fields = {"content-type": entry.media}
        path = self._naming.wanted if self._naming else self._task.path
        return unlike(self._lane.files, path, fields.get, begin) is None

    def _unchanged(self, response: Response) -> Success:
        if self._entry is None:
            return super()._unchanged(response)
        assert self._version is not None
        assert self._url is not None
        if conditional.contradicts(self._version, response.header, declared_digest(response)):
            raise StartAgain
        if (there := self._already(self._entry)) is not None:
            return self._found(response, there)
        try:
            size = self._place(self._entry)
        except OSError as exc:
            self._failed(exc)
            size = None
        if size is None:
            raise StartAgain
        return self._taken(response.status, self._url.request_url, size, self._entry)

    def _already(self, entry: CacheEntry) -> Success | None:
        """What an attempt that was killed has placed already."""
        if not self._naming:
            return None
        self._naming.known_as(entry.called)
        return self._naming.look(self._cached.buffer, self._meter)

    def _place(self, entry: CacheEntry) -> int | None:
        """Give the cache's file its name here; its size, or None if it is not there or not right.

        Raises:
            OSError: the cache failed.
            InTheWay: as `Part.finish` has it.
        """
        lane = self._cached
        found = lane.cache.find(entry.sha256, lane.buffer, self._meter.stopped)
        if found is None:
            return None
        try:
            right = self._right_kind(entry, os.pread(found.fd, LOOKED_AT, 0))
            whole = right and self._right_size(found.size) and self._filled(found)
        finally:
            os.close(found.fd)
        if not whole:
            return None
        self._meter.update(found.size, found.size)
        files = lane.files
        modified = http_seconds(entry.modified) if files.mtime else None
        self._give_name(modified)
        return found.size

    def _filled(self, found: CachedFile) -> bool:
        """Fill the part; what this disk does not take, the request will meet again."""
        try:
            self._part.start()
            fd = os.open(self._part_path(), _WRITE)
            try:
                whole = copy(found.fd, fd, found.size, self._meter.stopped)
            finally:
                os.close(fd)
        except OSError:
            whole = False
        if whole:
            self._part.size = found.size
        else:
            self._part.discard()
        return whole

    def _part_path(self) -> str:
        return f"{self._lane.files.directory}/{STATE_DIRECTORY}/{self._task.part}"

    def _taken(self, status: int, url: str, size: int, entry: CacheEntry) -> Success:
        proven = f"{ALGORITHM}:{entry.sha256}"
        return Success(
            "success",
            self._task.id,
            status,
            url,
            received=0,
            size=size,
            resumed_from=0,
            seconds=time.monotonic() - self._started,
            checksum=proven,
            message=FROM_CACHE,
            version=self._placed(entry, proven),
            name=self._name,
            cached=True,
        )

    def _placed(self, entry: CacheEntry, proven: str) -> Version | None:
        if not self._task.remember or self._listed is None:
            return None
        directory, task = self._lane.files.directory, self._task._replace(path=self._path)
        version = versions.placed(directory, task, self._listed, lambda _: None, proven)
        if version is None or not entry.giver:
            return version
        return version._replace(
            giver=entry.giver, bare=entry.bare, etag=entry.etag, modified=entry.modified
        )

    # --- into it ---

    def _check(self) -> Check | None:
        pin = self._task.pin or _FOUND_OUT
        return check_of(self._task._replace(pin=pin), self._declared)

    def _succeed(self, response: Response) -> Success:
        if self._cached.writes:
            try:
                self._keep(response)
            except TimeoutError as exc:
                self._failed(exc)
            except OSError as exc:
                self._cached.writes = False
                self._failed(exc)
        return super()._succeed(response)

    def _keep(self, response: Response) -> None:
        """Keep the part's bytes, which are whole and have been digested."""
        task, cache = self._task, self._cached.cache
        sha256 = (self._proven or "").removeprefix(f"{ALGORITHM}:")
        wanted = versions.wanted(task)
        entry = self._entry_of(response, sha256)
        if entry is None and not wanted and task.pin is None:
            return
        if not cache.keep(self._part_path(), sha256, self._part.size, self._meter.stopped):
            return
        for each in wanted:
            cache.learn(each, sha256)
        if entry is not None and self._listed is not None:
            cache.gave(self._listed, entry)

    def _entry_of(self, response: Response, sha256: str) -> CacheEntry | None:
        """What is kept of the URL; None where the answer was for this user or this moment alone."""
        header = self._header
        if self._own or self._url is None or not response.framed:
            return None
        if _NOT_KEPT & _words(header("cache-control"), "=") or _varies(header("vary")):
            return None
        version = conditional.named(Version(0, 0, 0, None, None, 0, 0), self._url, header)
        if version.etag is None and version.modified is None:
            return None
        media = (header("content-type") or "")[: conditional.MAX_TEXT]
        called = server_name(header("content-disposition"))
        version_of = (version.giver, version.bare, version.etag, version.modified)
        return CacheEntry(sha256, *version_of, media, called and str(called))

    def _failed(self, exc: OSError) -> None:
        what = f"{exc.strerror or exc} ({exc.filename or self._cached.cache.path})"
        self._trouble = f"the cache failed: {what}; the downloads go on without"[:MAX_TROUBLE]


def _listed(task: Task, http: HttpSettings) -> Url | None:
    """The task's URL, if it is one that may be asked at all."""
    try:
        url = parse(task.url)
    except InvalidUrl:
        return None
    return None if http.https_only and url.scheme != "https" else url


def _has_own_fields(task: Task, listed: Url | None, http: HttpSettings) -> bool:
    """Whether the request says who the user is, or may: then its answer may be theirs alone."""
    userinfo = listed is not None and listed.userinfo
    return bool(userinfo or task.headers or http.headers or http.cert)


def _words(value: str | None, end: str) -> set[str]:
    return {word.partition(end)[0].strip().lower() for word in (value or "").split(",")}


def _varies(value: str | None) -> bool:
    """Whether an answer depends on what may be different in another run (RFC 9110 section 12.5.5).

    Of the fields that are sent where there are none of the user's own, that is the User-Agent.
    """
    return not _words(value, ";").isdisjoint({"*", "user-agent"})
