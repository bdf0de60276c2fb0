"""How an option is made: a `Row` of the table, and the types that read its value.

A type only turns text into a value. Which values are good is the rule of the field that the row
sets, see `pdl.settings.fault_of`; it holds for the Python API as well.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pdl.cli.to_settings import CHOOSING, config_of, fault_of, place_of
from pdl.model import User
from pdl.settings import AUTO, Resolved
from pdl.text.named_tuple import NamedTuple
from pdl.text.rules import header_fault, word_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.shell_completion import CompletionItem

    Kind = click.ParamType[Any]
else:
    Kind = click.ParamType  # older versions of click cannot be subscripted


class Row(NamedTuple):
    """One option: all that is said of it anywhere.

    Attributes:
        names: the short name, if it has one, the long one, and what stands for its value, if it
            takes one: ``-j --jobs N``.
        target: path of the field that it sets, as ``pool.jobs``; empty for what is answered at
            once. The field's default is the option's.
        text: sentences; the first says what it does, and stands on one line of the help.
        kind: reads its value; None for a flag.
        sets: what a flag sets its field to.
        default: what holds where nothing is said, if the field's default does not show it.
        multiple: it can be given several times.
    """

    names: str
    target: str
    text: str
    kind: Kind | None = None
    sets: object = True
    default: str = ""
    multiple: bool = False

    @property
    def opts(self) -> list[str]:
        """Its names, with their hyphens."""
        return [word for word in self.names.split() if word[0] == "-"]

    @property
    def metavar(self) -> str:
        """What stands for its value; empty for a flag."""
        return "" if self.kind is None else self.names.rpartition(" ")[2]

    @property
    def key(self) -> str:
        """What click calls the value."""
        return self.opts[-1].lstrip("-").replace("-", "_")

    @property
    def variable(self) -> str:
        """The variable of the environment that sets it; empty for what is answered at once."""
        return f"PDL_{self.key.upper()}" if self.target else ""

    @property
    def choices(self) -> Sequence[str]:
        """The words that its value is one of; empty for other values."""
        return self.kind.choices if isinstance(self.kind, Word) else ()


class SettingOption(click.Option):
    """The option of a row; its value keeps the rule of the field that the row sets.

    Args:
        row: what is said of it.
        answer: prints something instead of a run, and takes the value; None for a setting.
    """

    def __init__(self, row: Row, answer: Callable[[Any], None] | None = None) -> None:
        self.row = row
        self.answer = answer
        more: dict[str, Any] = {}
        if answer is not None:
            more = {"is_eager": True, "expose_value": False, "callback": _answer}
        if row.kind is None:  # in the variable of what may be repeated a number is as good
            more["count" if row.multiple else "is_flag"] = True
        elif row.multiple:
            more["multiple"] = True
        elif row.metavar[0] == "[":  # it may be left out
            more |= {"is_flag": False, "flag_value": ""}
        if row.key in CHOOSING:  # the others look there
            more["is_eager"] = True
        super().__init__(
            [*row.opts, row.key],
            type=row.kind,
            metavar=row.metavar or None,
            **more,
        )
        self.envvar = row.variable or None
        self.help = first_sentence(row.text)  # which click need not dedent

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Called by click; what is told of the option where its value is refused."""
        hint = super().get_error_hint(ctx)
        said = ctx is not None and place_of(ctx, self.row.key, self.row.variable)
        return f"{hint} ({said})" if said else hint

    def consume_value(self, ctx: click.Context, opts: Any) -> Any:  # noqa: ANN401 - click's
        """Called by click; what nobody says here or in the environment, the file may say."""
        value, source = super().consume_value(ctx, opts)
        if source is ParameterSource.DEFAULT and not self.is_eager and not ctx.resilient_parsing:
            config = config_of(ctx)
            if config is not None and self.row.key in config.entries:
                return config.entries[self.row.key].value, ParameterSource.DEFAULT_MAP
        return value, source

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:  # noqa: ANN401 - click's
        """Called by click; the value, if it is a good one."""
        cast = super().type_cast_value(ctx, value)
        if isinstance(self.row.kind, Header):
            cast = spread(cast)
        if self.row.kind is not None and (fault := fault_of(self.row.target, cast)):
            raise click.BadParameter(fault, ctx, self)
        return cast


_TELLING = 3
"""Characters of a value that is found in a message for a reason."""


def environment_hint(ctx: click.Context, message: str, *, values: bool = True) -> str:
    """Which variables or what file set what a message speaks of; mostly empty.

    Args:
        ctx: of the command.
        message: names options, or the files and words that they were given.
        values: the latter counts as well.
    """
    rows = (each.row for each in ctx.command.params if isinstance(each, SettingOption))
    said = [
        f"{row.opts[-1]} is {place}"
        for row in rows
        if (place := place_of(ctx, row.key, row.variable))
        and _is_told(row, ctx.params.get(row.key) if values else (), message)
    ]
    return "; ".join(said)


def _is_told(row: Row, value: object, message: str) -> bool:
    values = map(str, value if isinstance(value, tuple) else (value,))
    # a message has words of its own: of letters alone, or a letter or two
    words = {*row.opts, *(each for each in values if len(each) >= _TELLING and not each.isalpha())}
    return any(re.search(rf"(?<![\w-]){re.escape(each)}(?![\w-])", message) for each in words)


def _answer(ctx: click.Context, option: click.Parameter, value: Any) -> None:  # noqa: ANN401
    """Called by click; answer, and end, where the option was given."""
    assert isinstance(option, SettingOption)
    source = ctx.get_parameter_source(option.row.key)
    if source is not ParameterSource.COMMANDLINE or ctx.resilient_parsing:
        return
    if option.answer is not None:
        option.answer(value)
        ctx.exit()


def first_sentence(text: str) -> str:
    """The first of some sentences."""
    return text.partition(". ")[0].removesuffix(".") + "."


class Word(Kind):
    """One of some words.

    Args:
        choices: the words.
    """

    name = "choice"

    def __init__(self, choices: Sequence[str] = ()) -> None:
        self._choices = tuple(choices)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words."""
        return self._choices

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click."""
        if fault := word_fault(str(value), self.choices):
            self.fail(fault, param, ctx)
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        param: click.Parameter,  # noqa: ARG002 - click's
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """Called by click; the words that begin like this."""
        from click.shell_completion import CompletionItem  # for a completion alone

        return [CompletionItem(word) for word in self.choices if word.startswith(incomplete)]


def topics() -> tuple[str, ...]:
    """The names of the manual's pages: of the files that are there, and what is made.

    One of the files is no text but the schema of the reports.
    """
    from importlib.resources import files  # for the manual alone

    names = [page.name for page in (files("pdl") / "manual").iterdir()]
    pages = {name.partition(".")[0] for name in names if name.endswith((".md", ".json"))}
    return tuple(sorted({*pages, "man", "options"}))


class Topic(Word):
    """A page of the manual; the pages are the files that are there, and what is made."""

    name = "topic"

    @property
    def choices(self) -> tuple[str, ...]:
        """The pages."""
        return topics()

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401 - click's
        """Called by click; the empty text is none of them, and good."""
        return super().convert(value, param, ctx) if value else ""


class Size(Kind):
    """Bytes, with a suffix K, M, G or T for powers of 1,024: ``10M``, ``1.5GiB``."""

    name = "size"
    natives = (int, str)

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, int):
            return value
        from pdl.text.units import bytes_of  # it brings the tables of Unicode

        size = bytes_of(str(value))
        if size is None:
            self.fail(f"{value!r} is not a size such as 500K or 1.5G", param, ctx)
        return size


class Number(Kind):
    """A whole number."""

    name = "integer"
    natives: tuple[type, ...] = (int,)

    def convert(self, value: Any, param: Any, ctx: Any) -> int:  # noqa: ANN401 - click's
        """Called by click."""
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r}: a number is wanted, such as 4", param, ctx)


class JobsNumber(Number):
    """A whole number, or ``auto``."""

    name = "integer|auto"
    natives = (int, str)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ANN401 - click's
        """Called by click."""
        text = str(value).strip()
        if text == AUTO:
            return AUTO
        try:
            return int(text)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {AUTO}", param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        param: click.Parameter,  # noqa: ARG002 - click's
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """Called by click; the word, if it begins like this."""
        from click.shell_completion import CompletionItem  # for a completion alone

        return [CompletionItem(AUTO)] if AUTO.startswith(incomplete) else []


class Seconds(Kind):
    """A time."""

    name = "seconds"
    natives = (int, float)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:  # noqa: ANN401 - click's
        """Called by click."""
        try:
            return float(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r}: a number of seconds is wanted, such as 2.5", param, ctx)


class Header(Kind):
    """A header field, ``Name: value``, or ``@FILE``; in a variable each has a line of its own."""

    name = "header"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:  # noqa: ANN401 - click's
        """Called by click; of a file all its fields."""
        if isinstance(value, tuple):
            return value
        if str(value).startswith("@"):
            from pdl.cli.secret_input import header_fields  # where there is one

            try:
                return header_fields(os.fsdecode(value)[1:])
            except ValueError as exc:
                self.fail(str(exc), param, ctx)
        name, colon, content = str(value).partition(":")
        if not colon or header_fault(name.strip(), ""):
            self.fail("a header has the form 'Name: value', or is @FILE", param, ctx)
        if fault := header_fault(name.strip(), content.strip()):
            self.fail(fault, param, ctx)
        return name.strip(), content.strip()


def spread(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Header fields in a row, those of files among them."""
    files = [each if not each or isinstance(each[0], tuple) else (each,) for each in values]
    return tuple(field for fields in files for field in fields)


_RECEIVER = r"((?:\[[^]]*\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?)="
"""A host, or host and port, before what is for it."""


class Bearer(Kind):
    """A host, and the variable with its token, ``HOST=ENVVAR``."""

    name = "bearer"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, tuple):
            return value
        host, equals, variable = str(value).strip().partition("=")
        if not equals:  # it may be a token
            self.fail("it is written as HOST=ENVVAR, example.org=TOKEN_VARIABLE say", param, ctx)
        return host, variable


class HelperCommand(Kind):
    """A command, for a host or all, ``[HOST=]CMD``; in a variable each has a line of its own."""

    name = "helper"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:  # noqa: ANN401, ARG002 - click's
        """Called by click."""
        if isinstance(value, tuple):
            return value
        found = re.match(_RECEIVER, str(value))
        return (found[1], str(value)[found.end() :]) if found else ("", str(value))


class UserName(Kind):
    """A user, ``[HOST=]USER[:PASSWORD]``; several in a variable are on lines of their own."""

    name = "user"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: Any, ctx: Any) -> User:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, User):
            return value
        text = str(value)
        found = re.match(_RECEIVER, text)
        name, colon, password = (text[found.end() :] if found else text).partition(":")
        if not name:
            self.fail("it is written as USER:PASSWORD or HOST=USER:PASSWORD", param, ctx)
        return User(found[1] if found else "", name, password if colon else None)


class Place(Kind):
    """Where a host is, ``HOST:PORT:ADDR``; several in a variable have blanks between them."""

    name = "place"

    def convert(self, value: Any, param: Any, ctx: Any) -> Resolved:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, Resolved):
            return value
        match = re.fullmatch(r"(\[[^]]+\]|[^:\s]+):([0-9]{1,5}):(\S+)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not as example.org:443:192.0.2.1", param, ctx)
        addresses = tuple(each.strip("[]") for each in match.group(3).split(","))
        return Resolved(match.group(1), int(match.group(2)), addresses)


class Algorithms(Kind):
    """Algorithms of digests, comma-separated."""

    name = "algorithms"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:  # noqa: ANN401 - click's
        """Called by click."""
        from pdl.integrity.digests import algorithm_of, algorithms_fault  # where there are any

        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(map(algorithm_of, str(value).split(","))))
        if fault := algorithms_fault(names):
            self.fail(fault, param, ctx)
        return names


class Column(Kind):
    """A field of items, and the column that has it: ``url=image`` or ``url=#2``."""

    name = "column"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, tuple):
            return value
        from pdl.sources.item_options import is_field  # where there is one

        field, equals, column = (part.strip() for part in str(value).partition("="))
        if not equals:
            self.fail(f"{value!r} is not as url=NAME or url=#2", param, ctx)
        if not is_field(field):
            self.fail(f"{field!r} is no field of a list such as url, out or sha256", param, ctx)
        return field, column


class Names(Kind):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:  # noqa: ANN401 - click's
        """Called by click."""
        if isinstance(value, tuple):
            return value
        names = tuple(filter(None, (name.strip() for name in str(value).split(","))))
        if not names:
            self.fail(f"{value!r} names no column", param, ctx)
        return names


class Text(Kind):
    """Any text; the empty one is as if nothing was said."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str | None:  # noqa: ANN401, ARG002
        """Called by click."""
        return str(value) or None


class PathName(Kind):
    """The name of a file or a directory, or what else may stand in its place.

    Args:
        completes: ``file`` or ``dir``: what a shell offers.
    """

    name = "path"

    def __init__(self, completes: str = "file") -> None:
        self._completes = completes

    def convert(self, value: Any, param: Any, ctx: Any) -> str:  # noqa: ANN401, ARG002 - click's
        """Called by click."""
        return os.fsdecode(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        param: click.Parameter,  # noqa: ARG002 - click's
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        """Called by click; the shell itself finds the names."""
        from click.shell_completion import CompletionItem  # for a completion alone

        return [CompletionItem(incomplete, type=self._completes)]


class PathByLine(PathName):
    """The same; several in a variable are on lines of their own."""

    envvar_list_splitter = "\n"


class PathByColon(PathName):
    """The same; several in a variable are as in ``PATH``."""

    envvar_list_splitter = os.pathsep
