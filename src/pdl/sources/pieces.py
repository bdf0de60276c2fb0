"""Digests of a file's pieces as a metalink has them (RFC 5854 section 4.1.3).

They are a help and no must: a set that is malformed, of an unknown algorithm, too large or of
another size than the file is left out, and the file is held against its whole digest alone.
"""

from __future__ import annotations

from pdl.integrity.digests import BadChecksum, parse_checksum, strength
from pdl.model import Pieces

MAX_BYTES = 16 * 1024
"""Of all digests together: a task has to fit into a pipe that nobody may be reading just now."""
_MAX_DIGITS = 18


class PieceSets:
    """The sets of one file, taken as they come; the strongest that can be used is the file's."""

    def __init__(self) -> None:
        self._best: Pieces | None = None
        self._algorithm = ""
        self._length = 0
        self._digests = bytearray()
        self._good = False

    def begin(self, attributes: dict[str, str]) -> None:
        """A set begins, with these attributes of its element."""
        self._algorithm = attributes.get("type", "").strip()
        length = attributes.get("length", "").strip()
        number = length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS
        self._length = int(length) if number else 0
        self._digests = bytearray()
        self._good = self._length > 0 and strength(self._algorithm) > 0

    def add(self, text: str, attributes: dict[str, str]) -> None:
        """The next digest; version 3 numbers them."""
        if not self._good:
            return
        index = len(self._digests) // strength(self._algorithm)
        try:
            self._algorithm, _, digits = parse_checksum(f"{self._algorithm}:{text}").partition(":")
        except BadChecksum:
            self._good = False
            return
        self._digests += bytes.fromhex(digits)
        in_turn = attributes.get("piece", str(index)).strip() == str(index)
        self._good = in_turn and len(self._digests) <= MAX_BYTES

    def end(self) -> None:
        """The set is complete."""
        if not self._good or not self._digests:
            return
        if self._best is None or strength(self._algorithm) > strength(self._best.algorithm):
            self._best = Pieces(self._algorithm, self._length, bytes(self._digests))

    def of(self, size: int | None) -> Pieces | None:
        """The file's pieces, if there are any for a file of that many bytes."""
        best = self._best
        if best is None or size is None:
            return best
        count = len(best.digests) // strength(best.algorithm)
        return best if -(-size // best.length) == count else None
