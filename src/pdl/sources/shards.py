"""One shard of a list: what a run of it is told, and which of the lines it takes.

Each line is taken apart and hashed; what is another shard's goes no further. Bad lines are the
first shard's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.errors import UsageError
from pdl.model import Item
from pdl.sources import Pause
from pdl.text.shards import FIELD, NoShard, Shard, shard_of
from pdl.text.urls import InvalidUrl, parse, url_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.settings import Apart, InputSettings, NamingSettings, Settings
    from pdl.sources import Chosen, Entry
    from pdl.text.urls import Url

_WAY_OUT = (
    f"give each shard a directory of its own, as --dir 'DIR/{FIELD}', "
    "or put {hash} in --name, or leave --on-collision hash"
)


def lines_of(settings: InputSettings) -> Chosen | None:
    """Says which lines are the shard's; None if all are.

    Raises:
        UsageError: the settings name none.
    """
    shard = number_of(settings)
    if shard.of == 1:
        return None
    taken_apart: Callable[[str], Url] = parse
    if settings.url_command is not None:
        from pdl.text.foreign import parse_listed  # where there may be one

        taken_apart = parse_listed
    return _Mine(shard, taken_apart, by_host=settings.shard_by == "host")


def with_shard(settings: Settings) -> Settings:
    """The settings of a run of the shard: its names, and where its state is.

    Raises:
        UsageError: the shard is none, or its files could be lost among those of the others.
    """
    lock = settings.lock
    if settings.input.shard is None:
        return settings
    shard = number_of(settings.input)
    directory = settings.files.directory
    own, alone = FIELD in directory, shard.of == 1
    archive = settings.input.archive
    if lock.path is not None and not lock.locked and not alone and FIELD not in lock.path:
        raise UsageError(
            f"--lock {lock.path} would be replaced by each shard in turn",
            f"give each a file of its own, as --lock 'NAME-{FIELD}.jsonl'; --locked only reads one",
        )
    naming = settings.naming
    if not own and not alone:
        naming = _apart(naming, settings.input, shard)
    return settings._replace(
        input=settings.input._replace(
            shard=f"{shard.number}/{shard.of}", archive=archive and filled(archive, shard)
        ),
        files=settings.files._replace(directory=filled(directory, shard)),
        lock=lock._replace(path=lock.path and filled(lock.path, shard)),
        naming=naming,
    )


def number_of(settings: InputSettings) -> Shard:
    """The shard that the settings name.

    Raises:
        UsageError: they name none.
    """
    try:
        return shard_of(settings.shard or "", os.environ)
    except NoShard as error:
        raise UsageError(f"--shard: {error}", "name the shard, as --shard 1/16") from None


def filled(path: str, shard: Shard) -> str:
    """The path, with the number of the shard where that has a place."""
    return path.replace(FIELD, str(shard.number))


def _apart(naming: NamingSettings, settings: InputSettings, shard: Shard) -> NamingSettings:
    """What sets the files of a shard apart from those of others in one directory."""
    by_host = settings.shard_by == "host"
    hashed = not by_host and _has_hash(naming.template or "")
    if naming.on_collision == "fail" and not hashed:
        raise UsageError(
            "--on-collision fail cannot be held to: a shard does not see the names of the others",
            _WAY_OUT,
        )
    aside = f"{shard.number}-of-{shard.of}{'-by-host' if by_host else ''}/"
    # of two URLs whose 8 digits are the same, only a split by URL makes one shard
    apart: Apart = "listed" if hashed else "host" if by_host else "url"
    return naming._replace(aside=aside, apart=apart)


def _has_hash(template: str) -> bool:
    import string  # where there is a shard

    try:
        return any(field == "hash" for _, field, _, _ in string.Formatter().parse(template))
    except ValueError:  # which the planner tells
        return False


class _Mine:
    """See `pdl.sources.Chosen`."""

    def __init__(self, shard: Shard, taken_apart: Callable[[str], Url], *, by_host: bool) -> None:
        self._shard = shard
        self._parse = taken_apart
        self._by_host = by_host
        self.share = None if by_host else shard.of
        self.first: Item | None = None

    def __call__(self, entry: Entry | Pause) -> bool:
        shard = self._shard
        if not isinstance(entry, Item):
            return isinstance(entry, Pause) or shard.number == 1
        if self.first is None:
            self.first = entry
        try:
            url = self._parse(entry.url)
        except InvalidUrl:
            return shard.number == 1
        return shard.has_host(url.host) if self._by_host else shard.has(url_key(url))
