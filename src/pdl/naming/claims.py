"""Who has which name: two URLs that want one path both get a file, on every run the same.

Names that differ only in case, or only in how accents are composed, are the same name here, for
they are on many file systems. So are those of which one is the other in the form that it has where
a file system refuses it (`pdl.naming.safe_name.escaped_forms`). A file and a directory cannot share
a name either.
"""

from __future__ import annotations

import itertools
import mmap
import re
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import unquote

from pdl.model import SafePath
from pdl.naming.safe_name import suffixed
from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple
from pdl.text.sha256 import sha256
from pdl.text.urls import DIRECTORY, FREE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MASK = (1 << 64) - 1
_ESCAPED = lazy(r"(?:%(?:2[02AE]|3[ACEF]|5C|7C|[89A-F][0-9A-F]))+", re.IGNORECASE)
"""What a form for file systems that refuse a name may have that the name itself has not."""
_FEW = 1 << 14
"""Entries up to which a dict is used, for its speed; it takes 2 MB then."""


class Pairing(NamedTuple):
    """A path and the `pdl.text.urls.url_key` of the URL whose file it is."""

    path: SafePath
    key: int


class FoundFiles(NamedTuple):
    """What is in the output directory when a run begins.

    Attributes:
        parts: names of the part files that earlier runs left.
        empty: there is nothing else.
        since_ns: the file system's time then, nanoseconds since the epoch.
    """

    parts: frozenset[str] = frozenset()
    empty: bool = False
    since_ns: int | None = None


NOTHING_KNOWN = FoundFiles()


class Claim(NamedTuple):
    """The answer to a claim.

    Attributes:
        path: where the file goes.
        how: ``new``: the wanted path; ``same``: the same URL has that path already, in this run;
            ``renamed``: another has the wanted path, this is a different one.
        rival: who has the wanted path, when renamed because of another URL's file. This pairing
            and (`path`, key) are what to `NameClaims.remember` on the next run.
    """

    path: SafePath
    how: Literal["new", "same", "renamed"]
    rival: Pairing | None = None


_claim_of = partial(tuple.__new__, Claim)
"""A claim of all its fields; calling the class takes three times as long."""


class NameClaims:
    """The names taken in a run.

    Costs 24 to 48 bytes a name (34 for a million), and as much for each directory, where there are
    many; no text is kept. Two names whose 64-bit hashes agree by chance count as one: the second
    is renamed.
    """

    def __init__(self) -> None:
        self._taken = IntTable()
        self._remembered = IntTable()
        self._recalls = False
        self._parent = ("", "")

    def remember(self, path: SafePath, key: int) -> None:
        """Keep the path for this URL, as on an earlier run; call before any claim."""
        self._recalls = True
        if self._remembered.setdefault(_hash(path), key) != FREE:
            self._remembered.replace(_hash(path), key)

    def claim(self, path: SafePath, key: int) -> Claim:
        """Take the path for a URL, or one close to it.

        Args:
            path: the wanted one.
            key: the URL's `pdl.text.urls.url_key`.
        """
        plain = "/" not in path and not self._recalls
        if plain and self._taken.setdefault(_hash(path), key) == FREE:
            return _claim_of((path, "new", None))
        home, rival = self._home(path)
        wanted = f"{home}/{path.rpartition('/')[2]}" if home else path
        for candidate in self._candidates(wanted, key):
            place = _hash(candidate)
            owner = self._owner(place, key)
            if owner == key:
                return Claim(SafePath(candidate), "same")
            if owner == FREE:
                self._taken.setdefault(place, key)
                how: Literal["new", "renamed"] = "new" if candidate == path else "renamed"
                return Claim(SafePath(candidate), how, rival)
            if rival is None and owner != DIRECTORY:
                rival = Pairing(SafePath(candidate), owner)
        raise AssertionError  # the candidates do not end

    def take(self, path: SafePath, key: int) -> Claim:
        """Take a path that holds this URL's file, whoever else may want it; never ``renamed``."""
        if "/" in path:
            self._home(path)
        owner = self._taken.setdefault(_hash(path), key)
        return Claim(path, "same" if owner == key else "new")

    def _owner(self, place: int, key: int) -> int:
        """Whose place it is; one kept for this very URL is free as long as it is not taken."""
        owner = self._taken.get(place)
        if owner == FREE and self._recalls:
            kept = self._remembered.get(place)
            return FREE if kept == key else kept
        return owner

    def _candidates(self, wanted: str, key: int) -> Iterator[str]:
        if self._recalls:
            for candidate in itertools.islice(variants(wanted, f"{key:016x}"), 3):
                if self._remembered.get(_hash(candidate)) == key:
                    yield candidate
        yield from variants(wanted, f"{key:016x}")

    def _home(self, path: str) -> tuple[str, Pairing | None]:
        """The directory for the path, renamed where a file has its name, and that file."""
        parent = path.rpartition("/")[0]
        if not parent or parent == self._parent[0]:
            return (self._parent[1] if parent else ""), None
        home = ""
        rival = None
        for component in parent.split("/"):
            wanted = f"{home}/{component}" if home else component
            home, found = self._directory(wanted)
            rival = rival or found
        self._parent = (parent, home)
        return home, rival

    def _directory(self, wanted: str) -> tuple[str, Pairing | None]:
        rival = None
        digest = sha256(wanted.encode()).hexdigest()[:16]
        for candidate in variants(wanted, digest):
            place = _hash(candidate)
            owner = self._owner(place, DIRECTORY)
            if owner == FREE:
                self._taken.setdefault(place, DIRECTORY)
            if owner in {FREE, DIRECTORY}:
                return candidate, rival
            rival = rival or Pairing(SafePath(candidate), owner)
        raise AssertionError  # the variants do not end


def set_apart(path: SafePath, digits: str) -> SafePath:
    """The path with digits of its URL, as one has whose plain name another file may have."""
    above, slash, name = path.rpartition("/")
    return SafePath(f"{above}{slash}{suffixed(name, f'-{digits}')}")


def variants(path: str, digits: str) -> Iterator[str]:
    """The path, then with 8 hex digits before the extension, with 16, and so on without end."""
    yield path
    above, slash, name = path.rpartition("/")
    yield f"{above}{slash}{suffixed(name, f'-{digits[:8]}')}"
    yield f"{above}{slash}{suffixed(name, f'-{digits}')}"
    for number in itertools.count(2):
        yield f"{above}{slash}{suffixed(name, f'-{digits}-{number}')}"


def folded(path: str) -> str:
    """The same for all paths that are one name here."""
    if "%" in path:
        path = _ESCAPED.sub(lambda found: unquote(found[0]), path)
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _hash(path: str) -> int:
    return hash(folded(path)) & _MASK or 1  # no place is `FREE`


class IntTable:
    """A map from 64-bit to 64-bit numbers, none of them `FREE`, which is 0.

    A dict while there are few; then two flat arrays with open addressing and linear probing, for a
    dict of ints would take four times the memory.

    Args:
        small: the values are below 256, and take a byte each then.
    """

    def __init__(self, *, small: bool = False) -> None:
        self._typecode: Literal["B", "Q"] = "B" if small else "Q"
        self._few: dict[int, int] | None = {}

    def _slot(self, key: int) -> int:
        """Where the key is, or the free slot where it belongs."""
        keys, mask = self._keys, self._mask
        slot = key & mask
        while (found := keys[slot]) != key and found != FREE:
            slot = (slot + 1) & mask
        return slot

    def get(self, key: int) -> int:
        """The value; 0 when there is none."""
        if self._few is not None:
            return self._few.get(key, FREE)
        return self._values[self._slot(key)]

    def setdefault(self, key: int, value: int) -> int:
        """The value; 0 when there was none, and then it is set."""
        few = self._few
        if few is not None:
            if key in few:
                return few[key]
            few[key] = value
            if len(few) >= _FEW:
                self._flatten(few)
            return FREE
        if not self._room:
            self._grow()
        keys, mask = self._keys, self._mask
        slot = key & mask
        while (found := keys[slot]) != FREE:  # as `_slot`, of which this is most of the use
            if found == key:
                return self._values[slot]
            slot = (slot + 1) & mask
        keys[slot] = key
        self._values[slot] = value
        self._room -= 1
        return FREE

    def replace(self, key: int, value: int) -> None:
        """Give a key that is there another value."""
        if self._few is not None:
            self._few[key] = value
        else:
            self._values[self._slot(key)] = value

    def _flatten(self, few: dict[int, int]) -> None:
        self._few = None
        self._fill(2 * _FEW, few.items())

    def _grow(self) -> None:
        self._fill(2 * len(self._keys), zip(self._keys, self._values, strict=True))

    def _fill(self, capacity: int, entries: Iterable[tuple[int, int]]) -> None:
        """Set the entries, no two of which have the same key, in new arrays of that length."""
        keys = _zeros("Q", capacity)
        values = _zeros(self._typecode, capacity)
        mask = capacity - 1
        count = 0
        for key, value in entries:
            if key != FREE:
                slot = key & mask
                while keys[slot]:
                    slot = (slot + 1) & mask
                keys[slot] = key
                values[slot] = value
                count += 1
        self._keys, self._values, self._mask = keys, values, mask
        self._room = capacity * 2 // 3 - count


def _zeros(typecode: Literal["B", "Q"], count: int) -> memoryview[int]:
    """So many numbers, in memory that goes back to the system as soon as it is needed no more.

    What an array leaves behind when it has grown, the allocator would keep.
    """
    size = count * (8 if typecode == "Q" else 1)
    found = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return memoryview(found).cast(typecode)


class GivenName(NamedTuple):
    """A path that a file got.

    Attributes:
        key: the URL's `pdl.text.urls.url_key`.
        wanted: the path that the file has where no server gives names.
        path: that it got.
        part: name of the part file that stands for this until it is remembered.
    """

    key: int
    wanted: SafePath
    path: SafePath
    part: str


class Store(Protocol):
    """Remembers from run to run; see `pdl.storage.state_db.StateDb`."""

    def given(self, key: int, wanted: SafePath) -> SafePath | None:
        """The path that was given last."""

    def give(self, given: GivenName) -> None:
        """Remember a path."""
