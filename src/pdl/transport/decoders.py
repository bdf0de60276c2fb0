"""Takes content codings back: coded bytes in, the bytes of the file out, a bounded number at once.

Theory of operation
===================

A body may have several codings, one above the other; each is a stage, and a stage asks the one
below it for more bytes when it has none of its own any more. The lowest one reads the connection.
No stage ever makes more bytes at once than it is asked for, so that memory stays flat whatever
comes. Each is held to how much it has made of how little, and each has to come to its own end.

What follows the end of a gzip or zstd stream is another one of the same (RFC 1952 section 2.2, RFC
8878 section 3.1); after gzip it may be zeros, which tapes and disks add. Anything else there is an
error, for a part of the file may be in it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, Protocol

from pdl.http_rules import codings
from pdl.model import FailureKind
from pdl.text.units import size_text
from pdl.transport import TransportError
from pdl.transport.errors import protocol_error, truncated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STAGES_MOST = 3
"""Codings of one body; more are an attack, or a mistake."""
RATIO_MOST = 200
FREE = 64 * 1024 * 1024
"""A body may become so many times as large, and so large in any case."""
NOTHING_MOST = 1024 * 1024
"""Coded bytes in a row that may come to nothing: what makes no progress would never end."""
STEP = 64 * 1024
"""Bytes a stage is asked for by the next one."""
_ZSTD_WINDOW = 23
"""Of zstd as a coding, as a power of two (RFC 9659): 8 MiB."""
_DEFLATED = 8
"""The method in a zlib header (RFC 1950)."""


class Stage(Protocol):
    """Takes one coding back.

    Attributes:
        whole: what has come so far may be all.
    """

    whole: bool

    def decode(self, data: bytes, most: int) -> bytes:
        """Take the next bytes, all of them.

        Args:
            data: they; empty to have more of what has come before.
            most: how many to make at once; the library of brotli may make a little more.

        Returns:
            What they come to; empty if more bytes are needed for anything.

        Raises:
            TransportError: they are not of this coding.
        """


class ZlibStage:
    """gzip, and deflate with or without the header of zlib, as servers send both.

    Args:
        name: of the coding.
    """

    def __init__(self, name: str) -> None:
        self.whole = False
        self._name = name
        self._object: Any = None
        self._left = b""
        self._more = False

    def decode(self, data: bytes, most: int) -> bytes:
        """See `Stage.decode`."""
        left, self._left = self._left + data, b""
        while left or self._more:
            if self._object is None:
                left = self._between(left)
                if self._object is None:
                    self._left = left
                    return b""
            try:
                made: bytes = self._object.decompress(left, most)
            except zlib.error as exc:
                raise _broken(self._name, str(exc).rpartition(": ")[2]) from exc
            ended = self._object.eof
            left = self._object.unused_data if ended else self._object.unconsumed_tail
            self._more = len(made) >= most and not ended
            if ended:
                self._object, self.whole = None, True
            if made:
                self._left = left
                return made
        return b""

    def _between(self, left: bytes) -> bytes:
        """Begin a stream, if that can be done; what is left of the bytes."""
        if self.whole:
            left = left.lstrip(b"\0") if self._name == "gzip" else left
            if not left:
                return left
            if self._name != "gzip" or left[:1] != b"\x1f":
                raise _behind(self._name)
        if self._name == "gzip":
            window = 16 + zlib.MAX_WBITS
        elif len(left) > 1:
            zlibbed = left[0] & 15 == _DEFLATED and int.from_bytes(left[:2], "big") % 31 == 0
            window = zlib.MAX_WBITS if zlibbed else -zlib.MAX_WBITS
        else:
            return left
        self._object, self.whole = zlib.decompressobj(window), False
        return left


class BrotliStage:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        library: Any = codings.brotli()
        self.whole = False
        self._error = library.error
        self._object = library.Decompressor()

    def decode(self, data: bytes, most: int) -> bytes:
        """See `Stage.decode`."""
        if self.whole:
            if data:
                raise _behind("br")
            return b""
        try:
            made: bytes = self._object.process(data, output_buffer_limit=most)
        except self._error as exc:
            raise _broken("br", "or something follows its end") from exc
        self.whole = self._object.is_finished()
        return made


class ZstdStage:
    """zstd (RFC 8878), with no larger window than a coding may have."""

    def __init__(self) -> None:
        self._library: Any = codings.zstd()
        self.whole = False
        self._object: Any = None
        self._left = b""

    def decode(self, data: bytes, most: int) -> bytes:
        """See `Stage.decode`."""
        left, self._left = self._left + data, b""
        while left or (self._object is not None and not self._object.needs_input):
            if self._object is None:
                limit = {self._library.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
                self._object, self.whole = self._library.ZstdDecompressor(options=limit), False
            try:
                made: bytes = self._object.decompress(left, most)
            except self._library.ZstdError as exc:
                raise _broken("zstd", str(exc).rpartition(": ")[2]) from exc
            left = b""
            if self._object.eof:
                left, self._object, self.whole = self._object.unused_data, None, True
            if made:
                self._left = left
                return made
        return b""


_STAGES: dict[str, Callable[[], Stage]] = {
    "gzip": lambda: ZlibStage("gzip"),
    "deflate": lambda: ZlibStage("deflate"),
    "br": BrotliStage,
    "zstd": ZstdStage,
}


def fault_of(names: Sequence[str]) -> str:
    """Why these codings cannot be taken back, and what would help; empty if they can."""
    if len(names) > STAGES_MOST:
        return f"the body has {len(names)} codings one above the other, more than {STAGES_MOST}"
    unknown = next((name for name in names if name not in codings.known()), None)
    if unknown is None:
        return ""
    if unknown in _STAGES:
        extra = "pip install 'pdl-downloader[compressed]'"
        return f"the body is coded as {unknown}, for which a library is needed: {extra}"
    here = ", ".join(codings.known())
    return f"the body is coded as {unknown[:40]!r}, and --compressed knows {here} here"


class Decoder:
    """Takes all codings of one body back.

    Args:
        names: of the codings, in the order in which they were made; `fault_of` has none to say.
        more: gives the next coded bytes, and none at their end.
        most: bytes that the file may have, as far as anyone has said; else it may be as large as
            `RATIO_MOST` allows.
        empty: a body without a byte is an empty file, for its end was told; else it is cut.

    Attributes:
        came: coded bytes so far.
    """

    def __init__(
        self,
        names: Sequence[str],
        more: Callable[[], bytes],
        most: int | None = None,
        *,
        empty: bool = False,
    ) -> None:
        self._names = tuple(reversed(names))
        self._stages = [_STAGES[name]() for name in self._names]
        self._made = [0] * len(self._stages)
        self._more = more
        self._most = most or 0
        self._empty = empty
        self._fruitful = 0
        self.came = 0

    def read(self, most: int) -> bytes:
        """The next bytes of the file, about so many at the most; none at its end.

        Raises:
            TransportError: they are cut, or broken, or too many; or as `more` has it.
        """
        made = self._pull(len(self._stages) - 1, most)
        self._fruitful = self.came
        return made

    def _pull(self, index: int, most: int) -> bytes:
        if index < 0:
            return self._take()
        stage, data = self._stages[index], b""
        while not (made := stage.decode(data, most)):
            data = self._pull(index - 1, STEP)
            if not data:
                if stage.whole or (self._empty and not self.came):
                    return b""
                raise truncated(
                    f"the connection ended within a body that is coded as {self._names[index]}, "
                    f"after {size_text(self.came)}"
                )
        self._made[index] += len(made)
        self._check_size(self._made[index])
        return made

    def _take(self) -> bytes:
        data = self._more()
        self.came += len(data)
        if self.came - self._fruitful > NOTHING_MOST + len(data):
            raise protocol_error(f"{size_text(NOTHING_MOST)} of a coded body came to nothing")
        return data

    def _check_size(self, made: int) -> None:
        if made <= max(FREE, RATIO_MOST * self.came) or made <= self._most:
            return
        what = f"{size_text(made)} and more came out of {size_text(self.came)}"
        way = f"over {RATIO_MOST} times as much; --max-size SIZE allows a file up to SIZE"
        raise TransportError(FailureKind.SIZE, f"{what}, {way}", transient=False)


def _broken(name: str, how: str) -> TransportError:
    return protocol_error(f"the body is not the {name} that its Content-Encoding says: {how}")


def _behind(name: str) -> TransportError:
    return protocol_error(f"something that is no {name} follows the end of the coded body")
