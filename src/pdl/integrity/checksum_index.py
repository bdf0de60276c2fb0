"""Digests for the items of a list, from checksum files beside it.

A checksum file names files, a list names URLs. An entry is an item's if, the surest first:

1. the file's URL is the item's, where it is known what the names are relative to;
2. its name is the path that the list, ``--name`` or ``--tree`` gives the item, if that is more
   than a name;
3. it is the end of the URL's path, two segments at least and as many as there are;
4. its name is the item's;
5. its last part is the last segment of the URL, and that of no other entry.

Some 130 bytes an entry; no text is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from pdl.integrity.digests import Contradiction, parse_checksum, strength
from pdl.naming.claims import IntTable
from pdl.text.urls import FREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.model import Item, Pin, SafePath
    from pdl.text.urls import Url

_SEVERAL = 1
"""Stands for the place of a name whose entries contradict each other; others are above it.

The tables here hold hashes of names and places, no keys of URLs; `FREE` means the same.
"""
_HEADER = 3
"""Bytes before a digest: two for its file, one for its algorithm."""
_MASK = (1 << 64) - 1


class ChecksumIndex:
    """The entries of all checksum files.

    Attributes:
        sources: their names, as messages call them; at most 65,535.
        missing: how many files are to be downloaded of which no digest is known.
    """

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.missing = 0
        self._algorithms: list[str] = []
        self._records = bytearray(_SEVERAL + 1)
        self._names = IntTable()
        self._lasts = IntTable()

    def add(self, name: str, checksum: str, url: str | None) -> None:
        """Take an entry of the last of `sources`.

        Args:
            name: of the file, as it stands there.
            checksum: ``algorithm:hex``.
            url: of the file, as `pdl.text.urls.Url.request_url` has it, where that is known.
        """
        place = self._record(checksum)
        plain = name.removeprefix("./")
        key = _key(plain)
        self._enter(key, place)
        last = _key(plain.rpartition("/")[2])
        if self._lasts.setdefault(last, key) not in {FREE, key}:
            self._lasts.replace(last, _SEVERAL)
        if url is not None and url != plain:
            self._enter(_key(url), place)

    def _record(self, checksum: str) -> int:
        algorithm, _, digits = checksum.partition(":")
        if algorithm not in self._algorithms:
            self._algorithms.append(algorithm)
        place = len(self._records)
        self._records += (len(self.sources) - 1).to_bytes(2, "big")
        self._records.append(self._algorithms.index(algorithm))
        self._records += bytes.fromhex(digits)
        return place

    def _enter(self, key: int, place: int) -> None:
        """Of entries for one name the strongest counts; equal ones must agree."""
        old = self._names.setdefault(key, place)
        if old in {FREE, _SEVERAL}:
            return
        before, now = self._checksum(old), self._checksum(place)
        more = _bytes(now) - _bytes(before)
        if more > 0:
            self._names.replace(key, place)
        elif more == 0 and before != now:
            self._names.replace(key, _SEVERAL)

    def _checksum(self, place: int) -> str:
        algorithm = self._algorithms[self._records[place + 2]]
        start = place + _HEADER
        return f"{algorithm}:{self._records[start : start + strength(algorithm)].hex()}"

    def count(self, item: Item, pin: Pin | None) -> None:
        """A file is to be downloaded."""
        pinned = pin is not None and pin.checksum is not None
        if item.checksum is None and item.pieces is None and not pinned:
            self.missing += 1

    def remark(self) -> str:
        """What there is to say at the end of the run; mostly empty."""
        if not self.missing:
            return ""
        what = "1 file of the list has" if self.missing == 1 else f"{self.missing} files have"
        return f"{what} no digest in {', '.join(self.sources)}: downloaded unverified"

    def applied(self, item: Item, url: Url, path: SafePath) -> Item:
        """The item with its digest, if it has an entry; its own digest stays.

        Args:
            item: of the list.
            url: the item's.
            path: the wanted one.

        Raises:
            Contradiction: between entries, or an entry and the list.
        """
        place = self._find(item, url, path)
        if not place:
            return item
        if place == _SEVERAL:
            raise Contradiction(f"{', '.join(self.sources)}: several digests for this file")
        found = self._checksum(place)
        if item.checksum is None:
            return item._replace(checksum=found)
        own = parse_checksum(item.checksum)
        if own.partition(":")[0] == found.partition(":")[0] and own != found:
            number = int.from_bytes(self._records[place : place + 2], "big")
            raise Contradiction(f"the list says {own}, {self.sources[number]} says {found}")
        return item

    def _find(self, item: Item, url: Url, path: SafePath) -> int:
        for name in _candidates(item, url, path):
            if place := self._names.get(_key(name)):
                return place
        last = unquote(url.path).rpartition("/")[2]
        key = self._lasts.get(_key(last)) if last else FREE
        return self._names.get(key) if key not in {FREE, _SEVERAL} else FREE


def _candidates(item: Item, url: Url, path: SafePath) -> Iterator[str]:
    yield url.request_url
    if item.out or "/" in path:
        yield path
    segments = [unquote(each) for each in url.path.split("/")[1:]]
    for start in range(len(segments) - 1):
        yield "/".join(segments[start:])
    yield path


def _key(name: str) -> int:
    return max(hash(name) & _MASK, _SEVERAL + 1)


def _bytes(checksum: str) -> int:
    return len(checksum.partition(":")[2])
