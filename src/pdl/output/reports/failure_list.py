"""The failure list: what failed, as a list that pdl can run.

It holds each URL as it was listed, passwords and all, and is for its owner's eyes only. Each entry
stands below a comment that says why it failed; a line that was no entry stands as a comment, for
running it again would change nothing. A list without entries is a valid list too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.integrity.digests import spelling
from pdl.model import FailureKind, Item, Outcome, Result
from pdl.output.sinks import FileSink, Warn, warn_on_stderr
from pdl.sources.streams import MAX_LINE
from pdl.text.masking import printable
from pdl.text.units import place_text, tried_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pdl.scheduling.progress import Summary

HEAD = "# What failed, as a list: give this file to pdl to try just these.\n"
"""How every failure list begins."""
_OWNER_ONLY = 0o600
_STDIN = 0


class FailedList:
    """Writes the failure list; the old one stays until the new one is whole.

    Args:
        path: the list's name.
        warn: told once if the list cannot be written to its end.
        sources: the lists that are run, as the command line names them.

    Raises:
        UsageError: the path can be no file.
        MachineError: the file cannot be made.
    """

    every = True
    hosts = False
    facts = False
    lists = True

    def __init__(self, path: str, warn: Warn = warn_on_stderr, sources: Iterable[str] = ()) -> None:
        self._path = path
        self._warn = warn
        self._sources = set(sources)
        self._count = 0
        self.sink = FileSink(path, warn, mode=_OWNER_ONLY)
        self.sink.write(HEAD)

    def record(self, result: Result, item: Item | None) -> None:
        """Write the entry if it failed."""
        self._sources.add(result.source)
        if result.outcome is Outcome.FAIL:
            self._count += 1
            self.sink.write(entry_text(result, item))

    def finish(self, summary: Summary) -> None:
        """Put the list in place, unless it would replace the only copy of lines not yet read."""
        if summary.unread and any(map(self._is_target, self._sources)):
            self.sink.discard()
            self._warn(f"{self._path} is the list itself and was not read to its end; it is kept")
            return
        if summary.unread:
            self.sink.write("\n# The run was stopped before it had read its whole list.\n")
        elif not self._count:
            self.sink.write("# Nothing did.\n")
        self.sink.commit()

    def _is_target(self, source: str) -> bool:
        try:
            given = os.fstat(_STDIN) if source == "-" else os.stat(source)
            return os.path.samestat(given, os.stat(self._path))
        except (OSError, ValueError):
            return False


def entry_text(result: Result, item: Item | None) -> str:
    """One entry of the list with the comment above it; nothing in either can end its line."""
    lasting = "transient" if result.transient else "permanent"
    tried = tried_text(result.attempts)
    kind = result.kind or FailureKind.INTERNAL.value
    lines = [f"# {kind}, {lasting}, {tried}: {printable(result.message)}"]
    if place := place_text(result.source, result.line):
        lines.append(f"# from {printable(place)}")
    if item is not None and item.pieces is not None:
        lines.append(
            "# the digests of its pieces have no place here: they are in the list it came from"
        )
    if item is None:
        lines.append(f"# {printable(result.url)}")
    else:
        lines += _item_lines(item) or [f"# no line of a list can hold {printable(result.url)}"]
    return "\n" + "\n".join(lines) + "\n"


def _item_lines(item: Item) -> list[str] | None:
    """The entry as it was listed, or None where it would not be read back the same."""
    options = list(_options(item))
    if any(map(_is_barred, "".join((item.url, *item.mirrors, *options)))):
        return None
    lines = ["\t".join((item.url, *item.mirrors)), *(f"  {option}" for option in options)]
    if any(len(line.encode()) > MAX_LINE for line in lines):
        return None
    return lines if _is_read(lines, item) else None


def _is_read(lines: list[str], item: Item) -> bool:
    """Whether the item is what a list with these lines has."""
    from pdl.sources.text import TextFormat  # where something has failed

    read = list(TextFormat(lambda _: None).read([line.encode() for line in lines], item.source))
    return read == [item._replace(line=1, pieces=None)]


def _options(item: Item) -> Iterator[str]:
    if item.out:
        yield f"out={item.out}"
    if item.directory:
        yield f"dir={item.directory}"
    if item.checksum:
        algorithm, _, digits = item.checksum.partition(":")
        # aria2's spelling, so that it can run the list too
        yield f"checksum={spelling(algorithm)}={digits}"
    if item.size is not None:
        yield f"size={item.size}"
    yield from (f"header={name}: {value}" for name, value in item.headers)


def _is_barred(char: str) -> bool:
    # controls, among them whatever ends a line anywhere, and halves of characters
    return char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"
