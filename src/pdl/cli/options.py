"""The command line's vocabulary: option groups in the help, and sizes, rates and headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from pdl.errors import UsageError
from pdl.settings import proxy_fault, time_fault, type_fault
from pdl.text.lazy_regex import lazy
from pdl.text.masking import mask
from pdl.text.urls import InvalidUrl, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    Kind = click.ParamType[Any]
else:
    Kind = click.ParamType  # older versions of click cannot be subscripted

_SIZE = lazy(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i?)B?(?:/s)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_FIELD = lazy(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class GroupedOption(click.Option):
    """An option that is shown under a heading; its variable is ``PDL_`` and its long name."""

    def __init__(self, *args: Any, group: str = "", **kwargs: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **kwargs)
        self.group = group
        # click would take the parameter's name, which is not what the user types
        long = max(self.opts, key=len)
        self.envvar = "PDL_" + long.lstrip("-").replace("-", "_").upper()


class GroupedCommand(click.Command):
    """A command whose help lists its options under their headings, in the order of definition."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Called by click."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and not isinstance(parameter, click.Argument):
                groups.setdefault(getattr(parameter, "group", "") or "Running", []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def grouped(group: str) -> Callable[..., Callable[[Any], Any]]:
    """`click.option` for one heading."""

    def option(*names: str, **kwargs: Any) -> Callable[[Any], Any]:  # noqa: ANN401 - click's
        return click.option(*names, cls=GroupedOption, group=group, **kwargs)

    return option


def if_exists(ctx: click.Context) -> str:
    """What ``--if-exists`` and ``--update`` say together: the command line over a variable.

    Raises:
        UsageError: they contradict each other on the command line.
    """
    said: str = ctx.params["if_exists"]
    if not ctx.params["update"] or said == "update":
        return said
    line = click.core.ParameterSource.COMMANDLINE
    if ctx.get_parameter_source("if_exists") is not line:
        return "update"
    if ctx.get_parameter_source("update") is line:
        raise UsageError(f"--update and --if-exists {said} contradict each other", "give one")
    return said


class Size(Kind):
    """Bytes, with a suffix K, M, G or T for powers of 1,024: ``10M``, ``1.5GiB``."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a size such as 500K or 1.5G", param, ctx)
        number, suffix, _ = match.groups()
        return int(float(number) * 1024 ** _POWERS[suffix.upper()])


class Seconds(Kind):
    """A time that the system's timers can wait for."""

    name = "seconds"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ANN401 - click's
        """Called by click."""
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if fault := time_fault(seconds, zero=self._zero):
            self.fail(f"{value!r} {fault}", param, ctx)
        return seconds


class Header(Kind):
    """A header field, ``Name: value``; several in a variable are on lines of their own."""

    name = "header"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, tuple):
            return value
        name, colon, content = str(value).partition(":")
        content = content.strip()
        if not colon or not _FIELD.fullmatch(name.strip()):
            self.fail("a header has the form 'Name: value'", param, ctx)
        if not content.isprintable():
            self.fail(f"the value of {name.strip()} has a control character", param, ctx)
        return name.strip(), content


class Statuses(Kind):
    """HTTP statuses, comma-separated."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> frozenset[int]:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, frozenset):
            return value
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        if not all(re.fullmatch(r"[45]\d\d", word) for word in words):
            self.fail(f"{value!r} is not a list of statuses such as 429,503", param, ctx)
        return frozenset(int(word) for word in words)


class MediaRange(Kind):
    """A media type, or all with one beginning: ``application/zip``, ``image/*``."""

    name = "type"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click."""
        if fault := type_fault(str(value)):
            self.fail(f"{value!r} {fault}", param, ctx)
        return str(value)


class Allowance(Kind):
    """A number of failures, or a share of all lines: ``5``, ``1%``."""

    name = "N|P%"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, bool]:  # noqa: ANN401 - click's
        """Called by click; the flag says whether it is a share."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", str(value).strip())
        if match is None or (not match.group(2) and "." in match.group(1)):
            self.fail(f"{value!r} is neither a number nor a percentage", param, ctx)
        return float(match.group(1)), bool(match.group(2))


class BaseUrl(Kind):
    """An http or https URL that others are relative to."""

    name = "url"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click."""
        try:
            parse(str(value))
        except InvalidUrl as error:
            self.fail(f"{mask(str(value))!r} {error}", param, ctx)
        return str(value)


class FileOrUrl(Kind):
    """A file's name, or an http or https URL; several in a variable are on lines of their own."""

    name = "file"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click."""
        if re.match("https?://", str(value), re.IGNORECASE):
            return BaseUrl().convert(value, param, ctx)
        return str(value)


class OutputPath(Kind):
    """The name of a file or directory to be written: neither empty nor ``-``."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click."""
        if not value:
            self.fail("it is empty", param, ctx)
        if value == "-":
            self.fail("nothing of it goes to standard output; give a name, ./- is one", param, ctx)
        return str(value)


class ProxyUrl(Kind):
    """An http or https URL of a proxy; its password is never shown."""

    name = "url"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click."""
        if value and (fault := proxy_fault(str(value))):
            self.fail(f"the URL {fault}", param, ctx)
        return str(value)
