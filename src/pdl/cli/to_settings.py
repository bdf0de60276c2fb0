"""From what was said to typed values: `Settings` for the run, `CommandOptions` for the command."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pdl import settings
from pdl.errors import UsageError
from pdl.output.display.registry import CHOICES as DISPLAYS
from pdl.settings import ProgressMode, Settings
from pdl.text.masking import printable
from pdl.text.named_tuple import NamedTuple
from pdl.text.rules import output_fault, time_fault, word_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdl.text.host_tables import HostTable


class AllowedFailures(NamedTuple):
    """How many lines may fail before the command does.

    Attributes:
        number: of lines, or per cent of them.
        share: it is per cent.
    """

    number: float
    share: bool

    def most(self, lines: int) -> float:
        """How many of so many lines may fail."""
        return lines * self.number / 100 if self.share else self.number


class CommandOptions(NamedTuple):
    """What concerns the command alone, and not the run.

    Attributes:
        sources: list files, ``-`` and URLs.
        reports: files that get a row for each line.
        failed: file that gets a list of what failed, or None.
        sums: file that gets the digests of all files, or None.
        log_file: file that a line is added to for all that happens, or None.
        progress: how the run is shown.
        quiet: say nothing when all is well.
        verbose: say something of every file; from 2 on, of every request.
        dry_run: print the plan, and do nothing.
        check: look at the files that are there, and ask no server.
        allow_failures: how many failures are none; None allows no failure.
        error_on_no_transfer: a run that fetched nothing has an exit code of its own.
        exec_after: command that is run at the end of the run, or None.
        wait_lock: seconds to wait for another run in the same directory.
        config: file that options are taken from; None, before it is looked for, is the usual one.
        no_config: no file is read.
        profile: the part of that file that is laid over its top, or None.
    """

    sources: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    failed: str | None = None
    sums: str | None = None
    log_file: str | None = None
    progress: ProgressMode = "auto"
    quiet: bool = False
    verbose: int = 0
    dry_run: bool = False
    check: bool = False
    allow_failures: AllowedFailures | None = None
    error_on_no_transfer: bool = False
    exec_after: str | None = None
    wait_lock: float = 0.0
    config: str | None = None
    no_config: bool = False
    profile: str | None = None


class Config:
    """What a configuration file says; see `pdl.cli.config_file`.

    Attributes:
        path: of the file.
        entries: what it says of options, by the key that click has for each.
    """

    path: str
    entries: Mapping[str, Any]

    def tables(self, ctx: click.Context) -> tuple[HostTable, ...]:
        """What it says of some hosts alone, but for what is said nearer of all."""
        raise NotImplementedError

    def near(self, ctx: click.Context) -> tuple[str, ...]:
        """Fields of `AuthSettings` that were said nearer than any table."""
        raise NotImplementedError

    def place(self, key: str) -> str:
        """Where an option is said, for a message."""
        raise NotImplementedError

    def warning(self) -> str:
        """What has to be said of the file; mostly empty."""
        raise NotImplementedError

    def lines(self, ctx: click.Context) -> Iterable[str]:
        """What was read and from where, and what it is overruled by."""
        raise NotImplementedError


_CONFIG, READER = "configuration", "reader of it"
CHOOSING = ("config", "no_config", "profile")
"""Keys of the options that say what is read; no file can."""


def usual_config() -> str:
    """The file that is read where none is named; empty where there is no place for one.

    It is never in the current directory, whatever the environment says.
    """
    for home in (click.get_app_dir("pdl"), os.path.expanduser("~/.config/pdl")):
        if os.path.isabs(home):
            return os.path.join(home, "config.toml")
    return ""


def config_of(ctx: click.Context) -> Config | None:
    """What the configuration file says, read when it is first asked for; None if there is none.

    Raises:
        UsageError: it cannot be read, or says what no option can be.
    """
    if _CONFIG not in ctx.meta:
        said = [ctx.params[key] if nearness(ctx, key) else None for key in CHOOSING]
        path = config_path(*said)
        ctx.meta[_CONFIG] = None if path is None else ctx.meta[READER](path, said[-1])
    config: Config | None = ctx.meta[_CONFIG]
    return config


def config_path(given: str | None, off: bool | None, profile: str | None) -> str | None:
    """The file that is to be read; None if there is none.

    Raises:
        UsageError: what is said of it cannot be.
    """
    if off and (given is not None or profile is not None):
        what = "--config" if given is not None else "--profile"
        raise UsageError(f"{what} and --no-config contradict each other", "give one")
    path = given if given is not None else usual_config()
    if off or (given is None and not os.path.isfile(path)):
        if profile is not None:
            raise UsageError(f"--profile needs a configuration, and there is no {printable(path)}")
        return None
    return path


_NEAR = (ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT, ParameterSource.COMMANDLINE)


def nearness(ctx: click.Context, key: str) -> int:
    """How near to the command an option was said: what is nearer counts.

    Returns:
        3 on the command line, 2 in the environment, 1 in a file, 0 nowhere.
    """
    source = ctx.get_parameter_source(key)
    return _NEAR.index(source) + 1 if source in _NEAR else 0


def place_of(ctx: click.Context, key: str, variable: str) -> str:
    """Where an option is set, unless that is on the command line or nowhere.

    Args:
        ctx: of the command.
        key: what click calls the option.
        variable: of the environment that may set it.
    """
    source = ctx.get_parameter_source(key)
    if source is ParameterSource.ENVIRONMENT:
        return f"set by {variable} of the environment"
    config = ctx.meta.get(_CONFIG)
    if source is ParameterSource.DEFAULT_MAP and config is not None:
        return f"set in {config.place(key)}"
    return ""


def agree_on_if_exists(ctx: click.Context) -> str | None:
    """What ``--if-exists`` and ``--update`` say together: what is said nearer.

    Raises:
        UsageError: they contradict each other on the command line or in the file.
    """
    said: str | None = ctx.params["if_exists"]
    if not ctx.params["update"] or said == "update":
        return said
    one, other = nearness(ctx, "update"), nearness(ctx, "if_exists")
    if one == other and one != _NEAR.index(ParameterSource.ENVIRONMENT) + 1:
        raise UsageError(f"--update and --if-exists {said} contradict each other", "give one")
    return said if other > one else "update"


def agree_on_ip_version(ctx: click.Context) -> dict[str, bool]:
    """What ``--ipv4`` and ``--ipv6`` say together: what is said nearer.

    Raises:
        UsageError: they contradict each other.
    """
    keys = ("ipv4", "ipv6")
    said = {key: bool(ctx.params[key]) for key in keys}
    if all(said.values()):
        near = {key: nearness(ctx, key) for key in keys}
        if len(set(near.values())) == 1:
            raise UsageError("--ipv4 and --ipv6 contradict each other", "give one")
        said = {key: near[key] == max(near.values()) for key in keys}
    return said


def with_shard(values: Settings, options: CommandOptions) -> tuple[Settings, CommandOptions]:
    """Both for a run of a shard, if it is one: its number stands in the names of its own files.

    Raises:
        UsageError: as `pdl.sources.shards.with_shard`.
    """
    if values.input.shard is None:
        return values, options
    from pdl.sources import shards  # where there are any

    shard = shards.number_of(values.input)

    def own(path: str | None) -> str | None:
        return path and shards.filled(path, shard)

    return shards.with_shard(values), options._replace(
        reports=tuple(shards.filled(path, shard) for path in options.reports),
        failed=own(options.failed),
        sums=own(options.sums),
        log_file=own(options.log_file),
    )


SUMS_ALGORITHM = "sha256"
"""Of the file that ``--sums`` writes."""
COMMAND = "command"
"""The first part of the path of a field of `CommandOptions`; others are of `Settings`."""

_SETTINGS = Settings()
_COMMAND_OPTIONS = CommandOptions()


def _after_fault(command: str) -> str:
    from pdl.text.hook_words import plain_command_fault  # where there is one

    return plain_command_fault(command)


_RULES: dict[str, Callable[[Any], str]] = {
    "command.exec_after": _after_fault,
    "command.failed": output_fault,
    "command.sums": output_fault,
    "command.log_file": output_fault,
    "command.progress": partial(word_fault, choices=DISPLAYS),
    "command.wait_lock": partial(time_fault, zero=True),
}


def fault_of(path: str, value: object) -> str:
    """As `pdl.settings.fault_of`, for the fields of the command, too."""
    rule = _RULES.get(path)
    if rule is None or value is None:
        return settings.fault_of(path, value)
    return rule(value)


def default_of(path: str) -> object:
    """What a field is if nothing is said."""
    part, _, name = path.partition(".")
    home = _COMMAND_OPTIONS if part == COMMAND else getattr(_SETTINGS, part)
    value: object = getattr(home, name)
    return value


def convert(
    said: Iterable[tuple[str, object]], sources: tuple[str, ...]
) -> tuple[Settings, CommandOptions]:
    """Make typed values of what was said.

    Args:
        said: path of a field, and its value; of two for one field the later counts.
        sources: the lists and URLs.
    """
    parts: dict[str, dict[str, Any]] = {}
    for path, value in said:
        part, _, name = path.partition(".")
        parts.setdefault(part, {})[name] = value
    options = _COMMAND_OPTIONS._replace(sources=sources, **parts.pop(COMMAND, {}))
    changed = {part: getattr(_SETTINGS, part)._replace(**fields) for part, fields in parts.items()}
    return _SETTINGS._replace(**changed), options


def files_of(settings: Settings) -> list[str]:
    """The files that tables of hosts name."""
    if not settings.http.hosts:
        return []
    from pdl.text.host_tables import FILES  # where hosts differ

    return [value for table in settings.http.hosts for path, value in table.said if path in FILES]


def with_sums(values: Settings, options: CommandOptions) -> Settings:
    """The settings of a run that writes a checksum file, if it is to write one.

    Raises:
        UsageError: its files are not to be read.
    """
    files = values.files
    if options.sums is None:
        return values
    if files.trust_existing:
        raise UsageError("--sums reads every file, and --trust-existing reads none", "give one")
    digests = tuple(dict.fromkeys((*files.digests, SUMS_ALGORITHM)))
    return values._replace(files=files._replace(digests=digests, digest_there=True))
