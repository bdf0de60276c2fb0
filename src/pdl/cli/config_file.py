"""The configuration file: TOML, whose keys are the long names of options.

The table of options says which keys there are and of which type each is. What a key says then goes
the way of an option's value: the same types read it, the same rules hold, and so do the words of a
refusal. This module is imported only where there is a file.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pdl.cli.failure_options import Statuses
from pdl.cli.option_types import Header, PathName, Row, spread
from pdl.cli.options import ROWS
from pdl.cli.to_settings import CHOOSING, Config, fault_of, nearness
from pdl.errors import UsageError
from pdl.model import User
from pdl.system.bounded_read import MOST, read
from pdl.text.host_tables import FIELDS, HostTable, nearest_first, pattern_of
from pdl.text.masking import is_secret_name, mask, printable
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_OF_LINE, MOST_DOTS, MOST_NUMBER = 16 * 1024, 40, 1 << 62
"""Bytes of a line, dots of a key, a number: what has more was not written for pdl. The time that
tomllib takes for a key grows with the square of its dots."""
_SHOWN = 60
"""Characters of a key that are shown."""
_KEYS = {row.opts[-1][2:]: row for row in ROWS if row.target and row.key not in CHOOSING}
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text in quotes"),
    (list, "a list"),
    (dict, "a table"),
)


_PASSWORD = Row(
    "--password ENVVAR",
    "auth.password",
    "The variable of the environment with the password of the table's user.",
    click.STRING,
)
"""No option: it stands in tables of hosts alone, beside ``user``."""
OF_HOSTS = {key: row for key, row in _KEYS.items() if row.target in FIELDS}
OF_HOSTS["password"] = _PASSWORD
"""What can differ by host."""
_RECEIVED = {"auth.users": "users", "auth.bearer": "bearer"}
"""What names its receiver elsewhere, and does not replace what tables say of other hosts."""


class Entry(NamedTuple):
    """What the file says of one option.

    Attributes:
        row: of the option.
        value: as it stands there.
        table: where it stands, as ``profile.night``; empty for the top of the file.
        read: of a host's table, the value of the field.
    """

    row: Row
    value: Any
    table: str
    read: Any = None

    def shown(self) -> str:
        """As it stands in the file, without what is secret."""
        words = [each.lower() if each in {"True", "False"} else each for each in self._words()]
        return ", ".join(_masked(self.row, word) for word in words)

    def is_secret(self) -> bool:
        """Whether it has a password or the like."""
        return any(_masked(self.row, word) != printable(word) for word in self._words())

    def _words(self) -> list[str]:
        values = self.value if isinstance(self.value, (list, tuple)) else [self.value]
        return [": ".join(each) if isinstance(each, tuple) else str(each) for each in values]


_Hosts = dict[str, dict[str, Entry]]
"""For each pattern of hosts, what is said, by the key that click has for the option."""


class FileConfig(Config):
    """What is taken from a file.

    Args:
        path: of the file.
        entries: by the key that click has for the option.
        hosts: the same for each pattern of hosts; first those of the profile, then the others.
        public: others can read the file.
    """

    def __init__(
        self,
        path: str,
        entries: Mapping[str, Entry],
        hosts: tuple[_Hosts, _Hosts],
        *,
        public: bool,
    ) -> None:
        self.path = path
        self.entries = entries
        self.hosts = hosts
        self.public = public

    def tables(self, ctx: click.Context) -> tuple[HostTable, ...]:
        """See `Config.tables`: those of the profile, of which its top counts more than others."""
        said = {row.target for row in _KEYS.values() if nearness(ctx, row.key) > 1}
        said -= _RECEIVED.keys()
        found: list[HostTable] = []
        for hosts in self.hosts:
            tables = [
                HostTable(
                    pattern,
                    tuple(
                        (each.row.target, each.read)
                        for each in entries.values()
                        if each.row.target in FIELDS - said
                    ),
                )
                for pattern, entries in hosts.items()
            ]
            found += nearest_first(each for each in tables if each.said)
            self._look_for_secrets(hosts, said)
            said |= {each.row.target for each in self.entries.values() if each.table}
        return tuple(found)

    def near(self, ctx: click.Context) -> tuple[str, ...]:
        """See `Config.near`."""
        rows = (row for row in _KEYS.values() if row.target in _RECEIVED)
        return tuple(_RECEIVED[row.target] for row in rows if nearness(ctx, row.key) > 1)

    def _look_for_secrets(self, hosts: _Hosts, said: set[str]) -> None:
        for entries in hosts.values():
            for each in entries.values():
                if each.row.target in said:
                    continue
                unset = each.row in {_PASSWORD, _KEYS["bearer"]}
                if unset and not os.environ.get(each.value, "").strip():
                    where = f"{each.table}.{each.row.opts[-1][2:]}"
                    what = "it names a variable of the environment, and that is not set"
                    raise UsageError(f"{printable(self.path)}: {printable(where)}: {what}")

    def _all(self) -> Iterator[tuple[str, Entry]]:
        """What is said at the top, of the profile, and of hosts."""
        yield from self.entries.items()
        for hosts in self.hosts:
            for entries in hosts.values():
                yield from entries.items()

    def place(self, key: str) -> str:
        """See `Config.place`."""
        table = self.entries[key].table
        return printable(f"{self.path}, [{table}]" if table else self.path)

    def warning(self) -> str:
        """See `Config.warning`."""
        secret = [entry.row.opts[-1][2:] for _, entry in self._all() if entry.is_secret()]
        if not self.public or not secret:
            return ""
        where = printable(self.path)
        return f"others can read the secret ({secret[0]}) in {where}: chmod go-rwx {where}"

    def lines(self, ctx: click.Context) -> Iterator[str]:
        """See `Config.lines`."""
        yield f"configuration: {printable(self.path)}"
        for key, entry in self._all():
            row, source = entry.row, ctx.get_parameter_source(key)
            said = f"  {row.opts[-1][2:]} = {entry.shown()}"
            if entry.table:
                said = f"{said} [{printable(entry.table)}]"
            if entry.read is not None and row.target in _RECEIVED:
                source = None  # it still holds for other hosts
            if source is ParameterSource.COMMANDLINE:
                said = f"{said} (overruled by the command line)"
            if source is ParameterSource.ENVIRONMENT:
                said = f"{said} (overruled by {row.variable})"
            yield said


def read_config(path: str, profile: str | None) -> FileConfig:
    """What the file says.

    Args:
        path: of the file.
        profile: the table ``profile.NAME`` that is laid over the top of the file, or None.

    Raises:
        UsageError: it cannot be read, or says what no option can be.
    """
    file = _File(path)
    tables = file.tables()
    profiles = tables.pop("profile", {})
    hosts = file.hosts(tables.pop("host", {}), "host")
    found = file.entries(tables, "")
    named, of_profile = {}, {}
    for name, table in file.named(profiles, "profile"):
        of_profile[name] = file.hosts(table.pop("host", {}), f"profile.{name}.host")
        named[name] = file.entries(table, f"profile.{name}")
    if profile is not None:
        if profile not in named:
            what = f"{printable(path)} has no [profile.{printable(profile)}]"
            there = ", ".join(printable(name) for name in named) or "none"
            raise UsageError(what, _nearest(profile, list(named)) or f"it has {there}")
        chosen = named[profile]
        targets = {entry.row.target for entry in chosen.values()}
        found = {key: each for key, each in found.items() if each.row.target not in targets}
        found |= chosen
    chosen_hosts = {} if profile is None else of_profile[profile]
    return FileConfig(path, found, (chosen_hosts, hosts), public=file.public)


class _File:
    """One file, and how what is wrong with it is told.

    Args:
        path: of it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.public = False

    def _wrong(self, where: str, what: str, hint: str = "") -> UsageError:
        shown = printable(where if len(where) <= _SHOWN else f"{where[:_SHOWN]}...")
        return UsageError(f"{printable(self._path)}: {shown}{': ' if shown else ''}{what}", hint)

    def tables(self) -> dict[str, Any]:
        """The whole of it."""
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        data = self._read()
        long = next((each for each in data.split(b"\n") if len(each) > MOST_OF_LINE), b"")
        if long:
            what = f"the line is longer than {MOST_OF_LINE} bytes"
            key = long[:MOST_OF_LINE].partition(b"=")[0]  # what follows may be secret
            raise self._wrong(key.decode(errors="replace"), what)
        if len(data) > MOST:
            raise self._wrong("", f"it is larger than {MOST} bytes: this is no configuration")
        if (line := _line_of_a_long_key(data)) is not None:
            raise self._wrong(f"line {line}", f"a key has more than {MOST_DOTS} dots")
        try:
            found: dict[str, Any] = tomllib.loads(data.decode())
        except UnicodeDecodeError as exc:
            line = data.count(b"\n", 0, exc.start) + 1
            raise self._wrong(f"line {line}", "it is not UTF-8, as TOML has to be") from None
        except ValueError as exc:  # what tomllib says has the line
            what = f"it is not TOML: {printable(str(exc))}"
            raise self._wrong("", what, "a line is as: jobs = 16; text has quotes") from None
        except RecursionError:
            raise self._wrong("", "its tables or lists are nested too deeply") from None
        return found

    def _read(self) -> bytes:
        try:
            data, mode = read(self._path)
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            hint = "--no-config reads none"
            raise self._wrong("", f"the configuration cannot be read: {reason}", hint) from None
        self.public = bool(mode & (stat.S_IRGRP | stat.S_IROTH)) and stat.S_ISREG(mode)
        return data

    def hosts(self, tables: object, what: str) -> _Hosts:
        """What is said of some hosts, by the pattern of each."""
        found: _Hosts = {}
        for name, table in self.named(tables, what):
            where = f'{what}."{name}"'
            try:
                pattern = pattern_of(name)
            except InvalidUrl as exc:
                raise self._wrong(where, str(exc)) from None
            entries = self.entries(table, where, of_host=True)
            password = entries.get("password")
            if password is not None and "user" not in entries:
                raise self._wrong(f"{where}.password", "it is that of a user, and there is none")
            said = {key: self._read_value(each, password) for key, each in entries.items()}
            read = {key: each._replace(read=said[key]) for key, each in entries.items()}
            found.setdefault(pattern, {}).update(read)
        return found

    def _read_value(self, entry: Entry, password: Entry | None) -> Any:  # noqa: ANN401 - of any option
        """The value of an entry as its field has it."""
        row, kind = entry.row, entry.row.kind
        if kind is None or row is _PASSWORD:
            return entry.value
        try:
            if row.target in _RECEIVED:
                value = (_user(entry.value, password) if row.key == "user" else entry.value,)
                value = value if row.key == "user" else (("", entry.value),)
            elif row.multiple:
                read = [kind.convert(each, None, None) for each in entry.value]
                value = spread(tuple(read))  # it is the one of header fields
            else:
                value = kind.convert(entry.value, None, None)
        except click.BadParameter as exc:
            raise self._wrong(f"{entry.table}.{row.opts[-1][2:]}", exc.message) from None
        asked = (("h", entry.value),) if row.key == "bearer" else value
        if fault := fault_of(row.target, asked):
            raise self._wrong(f"{entry.table}.{row.opts[-1][2:]}", fault)
        return value

    def named(self, tables: object, what: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The tables of a kind, each with its name."""
        if not isinstance(tables, dict):
            raise self._wrong(what, f"a table is wanted, as [{what}.NAME]")
        for name, table in tables.items():
            if not isinstance(table, dict):
                raise self._wrong(f"{what}.{name}", f"a table is wanted, as [{what}.NAME]")
            yield name, table

    def entries(
        self, table: Mapping[str, Any], name: str, *, of_host: bool = False
    ) -> dict[str, Entry]:
        """What one table says of options."""
        keys = OF_HOSTS if of_host else _KEYS
        found = {}
        for key, value in table.items():
            where = f"{name}.{key}" if name else key
            row = keys.get(key)
            if row is None and key in _KEYS:
                hint = f"these can: {', '.join(keys)}"
                raise self._wrong(where, "it cannot differ by host", hint)
            if row is None:
                hint = "" if key != "password" else "it stands in tables of hosts, beside user"
                hint = hint or _nearest(key, list(keys))
                raise self._wrong(where, "there is no such option", hint)
            one = of_host and row.target in _RECEIVED
            found[row.key] = Entry(row, self._value(where, row, value, one=one), name)
        return found

    def _value(self, where: str, row: Row, value: Any, *, one: bool) -> Any:  # noqa: ANN401 - of any option
        natives = _natives(row)
        several = row.multiple and not one
        several = row.kind is not None and (several or isinstance(row.kind, Statuses))
        values = value if several and isinstance(value, list) else [value]
        for each in values:
            if type(each) not in natives:
                wanted = " or ".join(word for kind, word in _TYPES if kind in natives)
                wanted += ", or a list of such" if several else ""
                is_ = next((word for kind, word in _TYPES if isinstance(each, kind)), "a time")
                raise self._wrong(where, f"{wanted} is wanted, and this is {is_}")
            if isinstance(each, int) and abs(each) > MOST_NUMBER:
                raise self._wrong(where, "the number is too large")
            if isinstance(each, str) and "\0" in each:
                raise self._wrong(where, "there is a NUL in it")
        if isinstance(row.kind, PathName):
            values = [_home(each) for each in values]
        if isinstance(row.kind, Statuses):
            return ",".join(map(str, values))
        return values if row.kind is not None and row.multiple and not one else values[0]


def _line_of_a_long_key(data: bytes) -> int | None:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.count(b".") > MOST_DOTS and not line.lstrip().startswith(b"#"):
            words = re.split(rb"[=,{}]", line)
            if max(word.count(b".") for word in words) > MOST_DOTS:
                return number
    return None


def _user(text: str, password: Entry | None) -> User:
    """The user of a table, ``NAME`` or ``NAME:PASSWORD``.

    Raises:
        click.BadParameter: it is none, or its password is missing.
    """
    name, colon, literal = text.partition(":")
    if not name or "=" in name:
        raise click.BadParameter("it is written as NAME, or NAME:PASSWORD; the table has the host")
    if bool(colon) == (password is not None):
        twice = "there are two passwords; one in the user and one in password"
        none = 'the password is missing; password = "VARIABLE" names one of the environment'
        raise click.BadParameter(twice if colon else none)
    if password is None:
        return User("", name, literal)
    return User("", name, None, password.value)


def _natives(row: Row) -> tuple[type, ...]:
    """The types of TOML that its value may have."""
    if row.kind is None:
        return (bool, int) if row.multiple else (bool,)
    natives: tuple[type, ...] = getattr(row.kind, "natives", (str,))
    return natives


def _home(path: str) -> str:
    """The shell does so for what stands on the command line."""
    return os.path.expanduser(path) if path.startswith("~/") else path


def _masked(row: Row, word: str) -> str:
    if row.key == "user":  # where the password begins is not for here to know
        return "***" if ":" in word else printable(word)
    if isinstance(row.kind, Header):
        name = word.partition(":")[0].strip()
        secret = is_secret_name(name) or "cookie" in name.lower()
        return f"{printable(name)}: ***" if secret else printable(word)
    return mask(word)


def _nearest(word: str, names: list[str]) -> str:
    """The name that may be meant; empty if there is none."""
    import difflib

    near = difflib.get_close_matches(word.replace("_", "-"), names, 1) if len(word) < _SHOWN else []
    return f"is {near[0]} meant?" if near else ""
