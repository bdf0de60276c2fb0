"""gzip, bzip2 and xz around any list: unpacked as it is read, in memory that no bomb can fill.

Each decoder is asked for one piece of at most `MAX_LINE` bytes at a time. Several members one after
the other are one list, as for the programs of those names.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

from pdl.errors import ListError
from pdl.sources import Line, Pause
from pdl.sources.streams import MAX_LINE, shown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BURST = 1024 * 1024  # unpacked without giving control back: it may hold not one line
_MEMORY = 128 * 1024 * 1024  # what an xz list may ask for; xz -9 needs 65 MiB
_GZIP = 31  # zlib's number for a gzip header and the largest window


class _Decoder(Protocol):
    """One member of a compressed list."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decoder with the manners of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        # a full piece may have more behind it although all input has been taken
        return not self._inner.unconsumed_tail and not self._full

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(piece) == max_length and not self._inner.eof
        return piece


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY),
}


def unpack(chunks: Iterable[Line], form: str, source: str) -> Iterator[Line]:
    """The pieces that the compressed chunks hold, at most `MAX_LINE` bytes each; pauses pass.

    Args:
        chunks: of the file, in any pieces.
        form: ``gzip``, ``bzip2`` or ``xz``.
        source: the list's name, for errors.

    Raises:
        ListError: the data is broken, or ends too early; what could be unpacked came before.
    """
    decoder: _Decoder | None = _DECODERS[form]()
    for chunk in chunks:
        if isinstance(chunk, Pause):
            yield chunk
            continue
        data = chunk
        while data:
            if decoder is None:
                data = data.lstrip(b"\0")  # padding behind a member
                if not data:
                    break
                decoder = _DECODERS[form]()
            yield from _drain(decoder, data, form, source)
            data = decoder.unused_data
            decoder = None if decoder.eof else decoder
    if decoder is not None:
        raise ListError(f"{shown_name(source)} ends in the middle of its {form} data")


def _drain(decoder: _Decoder, data: bytes, form: str, source: str) -> Iterator[Line]:
    room = _BURST
    while True:
        try:
            piece = decoder.decompress(data, MAX_LINE)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise ListError(f"{shown_name(source)} has broken {form} data: {error}") from None
        data = b""
        if piece:
            yield piece
        if decoder.eof or decoder.needs_input:
            return
        room -= len(piece)
        if room <= 0:
            room = _BURST
            yield Pause.HOLD
