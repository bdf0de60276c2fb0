"""``--compressed``: which answers are decoded, and how what was decoded is read.

Theory of operation
===================

A coded answer is seen through a `DecodedResponse`. Its head is that of the file: it has no coding,
no length, and no digest, for these are of the coded bytes. Whatever an attempt decides is then
about the file, and every check of it sees decoded bytes. What was said of the coded bytes is held
against them while they are read: the length by the transport, the digest here.

Nothing of such an answer is gone on with: a range would be one of coded bytes, which a server may
code otherwise the next time. A part that was begun without a coding goes on as ever: with a range,
the identity is asked for.

A version that was kept as it was coded says so, for a 304 would leave it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.fetch.failures import AttemptFailed
from pdl.http_rules.codings import coding_of, codings_of, packed
from pdl.http_rules.ranges import OK
from pdl.integrity.check import Check, wanted_size
from pdl.integrity.declared_digests import NAMES, declared
from pdl.model import NOT_MODIFIED, FailureKind
from pdl.storage.versions import CODED
from pdl.transport.decoders import STEP, Decoder, fault_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.fetch.attempt import Attempt
    from pdl.http_rules.ranges import Known
    from pdl.settings import FileSettings
    from pdl.transport import Response

_REFUSALS = 400
_OF_CODED = frozenset({"content-encoding", "content-length", *NAMES})
"""Fields that speak of the coded bytes."""


class SeenDecoded:
    """An answer whose head says nothing of codings; the body is as it comes.

    Args:
        response: the answer.

    Attributes:
        came: bytes of the body that were received.
    """

    came = 0

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status = response.status
        self.reason = response.reason
        self.url = response.url
        self.length = response.length
        self.framed = response.framed
        self.hurry = response.hurry
        self.close = response.close

    def fields(self) -> Sequence[tuple[str, str]]:
        """See `pdl.transport.Response.fields`."""
        return [pair for pair in self._response.fields() if pair[0] not in _OF_CODED]

    def header(self, name: str) -> str | None:
        """See `pdl.transport.Response.header`."""
        return None if name.lower() in _OF_CODED else self._response.header(name)

    def readinto(self, buffer: memoryview) -> int:
        """See `pdl.transport.Response.readinto`."""
        return self._response.readinto(buffer)

    def splice_into(self, pipe: int, most: int) -> int | None:  # noqa: ARG002 - the protocol's shape
        """See `pdl.transport.Response.splice_into`."""
        return None


class DecodedResponse(SeenDecoded):
    """`pdl.transport.Response` with the bytes of the file instead of those on the wire.

    Args:
        response: the coded answer.
        names: of its codings.
        most: as `pdl.transport.decoders.Decoder` has it.

    Attributes:
        obstacle: why its bytes are not gone on with.
    """

    obstacle = "the server has coded them (--compressed)"

    def __init__(self, response: Response, names: Sequence[str], most: int | None) -> None:
        super().__init__(response)
        self.length = None
        self._decoder = Decoder(names, self._take, most, empty=response.framed)
        said = declared(response.status, response.header)
        self._check = None if said is None else Check(None, None, said)
        self._coded = memoryview(bytearray(STEP))
        self._ready = b""

    def no_version(self, _: str) -> None:
        """Its fields as a part's note is to see them: none names what could be gone on with."""

    def _take(self) -> bytes:
        """The next bytes on the wire."""
        count = self._response.readinto(self._coded)
        self.came += count
        if self._check is not None:
            self._check.update(self._coded[:count])
        return bytes(self._coded[:count])

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer` with the next bytes of the file.

        Returns:
            How many; 0 at its end.

        Raises:
            TransportError: as `pdl.transport.Response.readinto`, or as `Decoder.read`.
            Mismatch: the coded bytes have not the digest that the server declared.
        """
        ready = self._ready or self._decoder.read(len(buffer))
        count = min(len(ready), len(buffer))
        buffer[:count] = ready[:count]
        self._ready = ready[count:]
        if not count and self._check is not None:
            self._check.finish()
        return count


def usable(attempt: Attempt, known: Known | None) -> Known | None:
    """The part, if its bytes are those of the file; a version that is not is not asked about.

    Args:
        attempt: that is about to ask.
        known: the part that was found.
    """
    if attempt.asking().decodes:
        if attempt.version is not None and CODED in attempt.version.proven:
            attempt.version = None
        if known is not None and coding_of(known.validator.coding):
            return None
    return known


def decoded(attempt: Attempt, files: FileSettings, response: Response) -> Response:
    """The answer as it is to be seen, which mostly is as it came.

    Args:
        attempt: that has asked.
        files: of the run.
        response: the answer.

    Raises:
        AttemptFailed: it brings the file in a coding that nobody here knows.
    """
    asking, status = attempt.asking(), response.status
    if not asking.decodes:
        return response
    if status == NOT_MODIFIED:
        return SeenDecoded(response)  # what it says may be of the coded file that it did not send
    names = codings_of(response.header("content-encoding"))
    if not names or (status != OK and status < _REFUSALS):
        return response
    fault = fault_of(names)
    if status >= _REFUSALS:
        return response if fault else DecodedResponse(response, names, None)
    served = attempt.task.served
    if served is not None and served.named and packed(asking.called(response.header) or ""):
        return response
    if fault:
        raise AttemptFailed(FailureKind.CONTENT, fault, status=status)
    largest = max(files.max_size or 0, wanted_size(attempt.task) or 0)
    return DecodedResponse(response, names, largest)
