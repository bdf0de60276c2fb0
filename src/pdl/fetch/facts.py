"""What is found out of a file for a report that asks for it: what its server says, and digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.fetch.attempt import Attempt
from pdl.integrity.check import examine
from pdl.model import NOT_MODIFIED, SafePath, Success, Task, success_of

if TYPE_CHECKING:
    from pdl.model import Facts, Version
    from pdl.pool import Meter
    from pdl.settings import FileSettings
    from pdl.storage.note import Header

_FIELDS = ("content-type", "etag", "last-modified")
_LONGEST = 255
"""Characters of a field; a longer one is left out, for a part of an ETag is none."""


class DescribedAttempt(Attempt):
    """An attempt whose answer has facts."""

    def _success(
        self, size: int, now: float, version: Version | None, name: str | None = None
    ) -> Success:
        answer = super()._success(size, now, version, name)
        # they are its last field; this takes half the time of _replace
        return success_of((*answer[:-1], self._facts()))

    def _facts(self) -> Facts:
        digests = self.check.digests if self.check is not None else ()
        if self.offer is not None:
            entry = self.offer.entry
            texts = [entry.media or None, entry.etag, entry.modified]
        else:
            header: Header | None = getattr(self, "header", None)
            texts = list(map(header, _FIELDS)) if header else []  # nothing was asked
        short = [text if text and len(text) <= _LONGEST else None for text in texts]
        content_type, etag, modified = short or (None, None, None)
        return content_type, etag, modified, digests, None


def with_digests(
    answer: Success, task: Task, files: FileSettings, buffer: memoryview, meter: Meter
) -> Success:
    """The answer with digests also of a file whose bytes have not passed: it is read once more.

    It came from the cache, or was placed by an attempt that was killed. One that the server says is
    unchanged was not fetched, and is read only where digests of all files are asked for.

    Args:
        answer: of an attempt.
        task: that is done.
        files: of the run.
        buffer: is read into.
        meter: is told how far it is.
    """
    content_type, etag, modified, digests, stay = answer.facts or (None, None, None, (), None)
    unchanged = answer.status == NOT_MODIFIED and not answer.cached
    if digests or (unchanged and not files.digest_there):
        return answer
    home, slash, name = task.path.rpartition("/")
    path = SafePath(f"{home}{slash}{answer.name or name}")
    bare = Task(task.id, task.url, path, task.part)
    found = examine(bare, files.directory, buffer, meter, files.digests)
    if not isinstance(found, Success) or found.facts is None:
        return answer
    return answer._replace(facts=(content_type, etag, modified, found.facts[3], stay))
