"""The feed: every source one after the other, taken in portions, without ever blocking.

How to drive it::

    entries = feed.take(room)
    ...
    if len(entries) < room and not feed.exhausted:
        # nothing more for now: wait for feed.fileno(), at most feed.due() seconds
"""

from __future__ import annotations

import functools
import os
import re
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Protocol

from pdl.errors import ListError
from pdl.model import Item
from pdl.settings import InputSettings
from pdl.sources import Chosen, Entry, Pause
from pdl.sources.item_options import bad_line, check_urls
from pdl.sources.registry import AUTO, Formats
from pdl.sources.streams import (
    Chunks,
    check_head,
    check_path,
    chunks_of,
    count_in_path,
    count_items,
    open_path,
    position,
    unreadable,
)
from pdl.sources.text import entry_of
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask, printable
from pdl.text.urls import has_scheme

_SECOND_URL = lazy(r"[ \r\n\f\v\xa0][\"'<]?https?://", re.IGNORECASE)
"""In an argument or an item; what follows a TAB is a mirror of the first."""
_PORTION = 512
"""Lines that are looked at in one go at the most, about, where only some are taken."""


class Source(Protocol):
    """One of the things a feed reads."""

    def entries(self) -> Iterator[Entry | Pause]:
        """Open it and read it, lazily.

        Raises:
            ListError: it cannot be opened, or read on.
        """

    def fileno(self) -> int | None:
        """What to wait on after a pause."""

    def due(self) -> float | None:
        """Seconds until a held entry comes out although nothing follows it."""

    def estimate(self) -> int | None:
        """About how many entries there are; None when unknown."""

    def close(self) -> None:
        """Release what it holds; harmless when it holds nothing."""


class Feed:
    """Hands out what the sources list, in order. Not for several threads."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._all = tuple(sources)
        self._waiting = deque(self._all)
        self._source: Source | None = None
        self._entries: Iterator[Entry | Pause] = iter(())
        self._error: ListError | None = None
        self._counts: list[int | None] | None = None
        self._told: Callable[[Sequence[Entry]], None] | None = None
        self._chosen: Chosen | None = None
        self._peeked: list[Entry] = []

    @classmethod
    def of(cls, items: Iterable[str | Item], *, foreign: bool = False) -> Feed:
        """A feed of Python values; it waits for `items` as long as that takes for each.

        A string is a URL, its source ``items`` and its line the index from 1; so has an `Item`
        that names no source. What has no good URL becomes a `BadLine`; with `foreign`, that may be
        of any scheme.

        Raises:
            TypeError: `items` is a single string; from `take`, when one is neither.
        """
        if isinstance(items, (str, bytes)):
            raise TypeError("items is one string; give a list of URLs")
        return cls([_Items(items, "items", 1, foreign=foreign)])

    def tell(self, told: Callable[[Sequence[Entry]], None]) -> None:
        """Have somebody told of all that is taken from now on."""
        self._told = told

    def only(self, chosen: Chosen) -> None:
        """Take no entries but these; `peek` still gives the first item of all."""
        self._chosen = chosen

    @property
    def exhausted(self) -> bool:
        """Whether every entry has been taken. May turn true only with a `take` that finds none."""
        done = self._source is None and not self._waiting
        return done and self._error is None and not self._peeked

    def peek(self) -> list[Entry]:
        """Wait for the first item; it, and what comes before it. All of it is still to be taken.

        Raises:
            ListError: as `take`.
        """
        while not self.exhausted and not any(isinstance(each, Item) for each in self._peeked):
            before, self._peeked = self._peeked, []
            entries = self.take(1)
            self._peeked = before + entries
            descriptor = self.fileno()
            if not entries and descriptor is not None:
                select.select([descriptor], [], [], self.due())
        chosen = self._chosen
        return list(self._peeked) if chosen is None or chosen.first is None else [chosen.first]

    def take(self, limit: int) -> list[Entry]:
        """The next entries, at most `limit`; fewer, or none, when there are no more for now.

        Raises:
            ListError: a list cannot be opened or read on. What came before it has been taken.
        """
        taken = self._peeked[:limit]
        self._peeked = self._peeked[limit:]
        if self._error is None:
            try:
                # what is read in vain takes its time, too
                self._fill(taken, limit if self._chosen is None else min(limit, self._portion()))
            except ListError as error:
                self.close()
                self._error = error
        if self._error is not None and not taken and limit > 0:
            failure, self._error = self._error, None
            raise failure
        if self._told is not None:
            self._told(taken)
        return taken

    def _fill(self, taken: list[Entry], limit: int) -> None:
        while len(taken) < limit:
            entry = next(self._entries, None)
            if isinstance(entry, Pause):
                return
            if entry is not None:
                taken.append(entry)
            elif not self._advance():
                return

    def _portion(self) -> int:
        share = 1 if self._chosen is None else self._chosen.share
        return max(1, _PORTION // (share or _PORTION))

    def _advance(self) -> bool:
        self._drop_current()
        if self._waiting:
            self._source = self._waiting.popleft()
            self._entries = self._source.entries()
            if self._chosen is not None:
                self._entries = filter(self._chosen, self._entries)
        return self._source is not None

    def fileno(self) -> int | None:
        """What becomes readable when more comes; None when nothing needs to be waited for.

        Wait for it only after a `take` that gave less than it was asked for.
        """
        return self._source.fileno() if self._source else None

    def due(self) -> float | None:
        """Seconds after which to `take` even though nothing came; None when there is no need.

        The last line of a pipe may be followed by its options; once the pipe has been silent for
        that long, the line is handed out.
        """
        return self._source.due() if self._source else None

    def estimate(self) -> int | None:
        """About how many entries there are, taken ones too; None when a source does not tell.

        Found out when first asked, in 2 ms a MB of list and a tenth of a second at most for each.
        """
        if self._counts is None:
            self._counts = [source.estimate() for source in self._all]
        share = 1 if self._chosen is None else self._chosen.share
        if None in self._counts or share is None:
            return None
        return -(-sum(filter(None, self._counts)) // share)

    def close(self) -> None:
        """Read no more; standard input stays open."""
        self._waiting.clear()
        self._drop_current()

    def _drop_current(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None
        self._entries = iter(())


def open_sources(
    args: Sequence[str],
    stdin: int,
    warn: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    settings: InputSettings | None = None,
) -> Feed:
    """The feed of a command line's sources; lists are opened when their turn comes.

    Args:
        args: each a list file, ``-`` or an http(s) URL (source ``argument``, line 0).
        stdin: descriptor that ``-`` reads; it is neither closed nor made non-blocking.
        warn: told of what in a list is ignored.
        clock: seconds, of any origin.
        settings: the lists' format and the base of relative URLs.

    Raises:
        ListError: a list is missing, a directory, not readable or none, or ``-`` is given twice.
    """
    settings = settings or InputSettings()
    formats = Formats(settings, warn)
    given = settings.format != AUTO
    sources: list[Source] = []
    for arg in args:
        if has_scheme(arg) or _is_foreign(arg, settings):
            _check_argument(arg)
            sources.append(_Items([arg], "argument", 0, foreign=not has_scheme(arg)))
        elif arg == "-":
            if args.count(arg) > 1:
                raise ListError("standard input can be read only once", "give - one time")
            chunks_of(arg, stdin, clock)
            check_head(arg, stdin, position(stdin), given=given)
            sources.append(_List(arg, stdin, formats, clock))
        else:
            check_path(arg, given=given)
            sources.append(_List(arg, None, formats, clock))
    return chosen_of(Feed(sources), settings)


def chosen_of(feed: Feed, settings: InputSettings | None) -> Feed:
    """The feed, of which only those lines are taken that are this run's.

    Raises:
        UsageError: no shard is named.
    """
    if settings is not None and settings.shard is not None:
        from pdl.sources.shards import lines_of  # where there are any

        if (chosen := lines_of(settings)) is not None:
            feed.only(chosen)
    return feed


def _is_foreign(arg: str, settings: InputSettings) -> bool:
    if settings.url_command is None or os.path.lexists(arg):
        return False
    from pdl.text.foreign import is_foreign  # where there may be one

    return is_foreign(arg)


def _check_argument(arg: str) -> None:
    if _SECOND_URL.search(arg):
        raise ListError(
            f"two URLs in one argument: {printable(' '.join(map(mask, arg.split())))}",
            "give each as an argument of its own, with a blank between them that is not quoted",
        )


class _List:
    """A list in a file or stream, read in the format it has."""

    def __init__(
        self, name: str, fd: int | None, formats: Formats, clock: Callable[[], float]
    ) -> None:
        self._name = name
        self._given = fd
        self._start = 0 if fd is None else position(fd)
        self._opened: int | None = None
        self._formats = formats
        self._clock = clock
        self._chunks: Chunks | None = None

    def entries(self) -> Iterator[Entry | Pause]:
        if self._given is None:
            self._opened = open_path(self._name)
        fd = self._given if self._opened is None else self._opened
        assert fd is not None
        self._chunks = chunks_of(self._name, fd, self._clock)
        try:
            yield from self._formats.read(self._chunks.read(), self._name)
        except OSError as error:
            raise unreadable(self._name, error) from None

    def fileno(self) -> int | None:
        return self._chunks.fileno() if self._chunks else None

    def due(self) -> float | None:
        return self._chunks.due() if self._chunks else None

    def estimate(self) -> int | None:
        guess = functools.partial(self._formats.counting, self._name)
        if self._given is None:
            return count_in_path(self._name, guess)
        return count_items(self._given, self._start, guess)

    def close(self) -> None:
        if self._opened is not None:
            os.close(self._opened)
        self._opened = self._chunks = None


class _Items:
    """URLs and items that are there as Python values."""

    def __init__(
        self, items: Iterable[str | Item], name: str, first: int, *, foreign: bool = False
    ) -> None:
        self._items = items
        self._foreign = foreign
        self._name = name
        self._first = first

    def entries(self) -> Iterator[Entry | Pause]:
        for line, item in enumerate(self._items, self._first):
            if isinstance(item, str):
                yield _entry(item, self._name, line, foreign=self._foreign)
            elif isinstance(item, Item):
                known = item if item.source else item._replace(source=self._name, line=line)
                yield _checked(known, foreign=self._foreign)
            else:
                raise TypeError(f"item {line} is neither a string nor an Item: {item!r:.80}")

    def fileno(self) -> int | None:
        return None

    def due(self) -> float | None:
        return None

    def estimate(self) -> int | None:
        return len(self._items) if isinstance(self._items, Sized) else None

    def close(self) -> None:
        pass


def _entry(text: str, name: str, line: int, *, foreign: bool) -> Entry:
    if _SECOND_URL.search(text):
        return bad_line(text, name, line, "has two URLs; give each as an item of its own")
    return entry_of(text, name, line, foreign=foreign)


def _checked(item: Item, *, foreign: bool) -> Entry:
    try:
        check_urls((item.url, *item.mirrors), foreign=foreign)
    except ValueError as error:
        return bad_line(item.url, item.source, item.line, str(error))
    return item
