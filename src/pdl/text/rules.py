"""Rules for values of settings: why one is no such value, or the empty text.

`pdl.settings` asks here. None of the texts shows what may be secret.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, get_args

from pdl.text.lazy_regex import HTTP_WORD, lazy
from pdl.text.named_tuple import NamedTuple
from pdl.text.urls import InvalidUrl, has_scheme, parse, proxy_fault, url_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_WORD = HTTP_WORD.replace("*", "")
_MEDIA_RANGE = lazy(rf"\*/\*|{_WORD}/(\*|{_WORD})")
"""RFC 9110 section 12.5.1, without parameters."""
_VARIABLE = lazy(r"[A-Za-z_][A-Za-z0-9_]*")
_RECEIVER = lazy(r"(\[[^]]*\]|[^:\[\]/@\s]+)(?::([0-9]{1,5}))?")
_COLUMN_NUMBER = lazy(r"#[1-9][0-9]{0,3}")
_CONTROL = lazy(r"[\x00-\x1f\x7f\ud800-\udfff]")
MAX_SECONDS = 1_000_000
"""The longest time a setting may be: eleven days; the system's timers end not far above it."""
_FIELD_NAME = lazy(HTTP_WORD)
_NO_FIELD_VALUE = lazy(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class Receiver(NamedTuple):
    """A host that credentials are for.

    Attributes:
        host: as `pdl.text.urls.Url.host` has it.
        port: that they are for alone; None for any.
    """

    host: str
    port: int | None = None


def receiver_of(text: str) -> Receiver:
    """The host, or the host and port, that a text names.

    Raises:
        InvalidUrl: it names none.
    """
    found = _RECEIVER.fullmatch(text)
    if found is None:
        raise InvalidUrl("is no host")
    url = parse(f"https://{text}/")
    return Receiver(url.host, url.port if found[2] else None)


def _receiver_fault(text: str) -> str:
    try:
        receiver_of(text)
    except InvalidUrl:
        return f"{text!r} is no host such as example.org or example.org:8443"
    return ""


def bearers_fault(bearers: Iterable[tuple[str, str]]) -> str:
    """Of hosts, and variables of the environment that hold their tokens."""
    for host, variable in bearers:
        if fault := _receiver_fault(host):
            return fault
        if not _VARIABLE.fullmatch(variable):
            return f"for {host} a variable of the environment is to be named, not a token"
    return ""


def has_control(text: str) -> bool:
    """Whether a text has a control character, as no user or password has (RFC 7617 section 2)."""
    return _CONTROL.search(text) is not None


def users_fault(users: Iterable[tuple[str, str, str | None, str]]) -> str:
    """Of hosts, users and passwords."""
    unbound = 0
    for host, name, password, variable in users:
        if not host:
            unbound += 1
        elif not has_scheme(host) and (fault := _receiver_fault(host)):
            return fault
        if ":" in name:
            return "the name of a user has a colon"
        if has_control(name + (password or "")):
            return "a user or password has a control character"
        if variable and not _VARIABLE.fullmatch(variable):
            return "a variable of the environment is to be named for the password"
    return "two users have no host; write HOST=USER" if unbound > 1 else ""


def helpers_fault(helpers: Iterable[tuple[str, str]]) -> str:
    """Of hosts, or empty texts, and commands."""
    for host, command in helpers:
        if host and (fault := _receiver_fault(host)):
            return fault
        if fault := command_fault(command):
            return fault
    return ""


def command_fault(command: str) -> str:
    """Of a command with its arguments, as a shell splits them."""
    import shlex  # where there is one

    try:
        words = shlex.split(command)
    except ValueError as exc:
        return f"{command!r} is no command: {exc}".lower()
    return "" if words and words[0] else "the command is empty"


def types_fault(types: Iterable[str]) -> str:
    """Of media types."""
    wrong = [each for each in types if not _MEDIA_RANGE.fullmatch(each)]
    return f"{wrong[0]!r} is not a type such as application/zip or image/*" if wrong else ""


def columns_fault(columns: Iterable[tuple[str, str]]) -> str:
    """Of fields, and the names or numbers of their columns."""
    given = dict(columns)
    if len(given) < len(tuple(columns)):
        return "a field is given two columns"
    for field, column in given.items():
        if not column or (column[0] == "#" and not _COLUMN_NUMBER.fullmatch(column)):
            return f"{column!r} is neither the name of a column nor its number, as #2"
        if given.get("url", "")[:1] == "#" and column[0] != "#":
            return f"{field}={column}: there is no row of names where url is {given['url']}"
    return ""


def file_fault(path: str) -> str:
    """Of a file that is read."""
    if os.path.isdir(path):
        return f"{path!r} is a directory"
    if not os.path.exists(path):
        return f"{path!r} does not exist"
    return "" if os.access(path, os.R_OK) else f"{path!r} cannot be read"


def checksums_fault(places: Iterable[str]) -> str:
    """Of files and URLs."""
    urls = (each for each in places if each[:8].lower().startswith(("http://", "https://")))
    return next(filter(None, map(url_fault, urls)), "")


def proxy_url_fault(url: str) -> str:
    """Of a proxy's URL; the empty text is none at all."""
    fault = proxy_fault(url) if url else ""
    return f"the URL {fault}" if fault else ""


def statuses_fault(statuses: Iterable[int]) -> str:
    """Of HTTP statuses that are tried again, or are no failure."""
    wrong = sorted(each for each in statuses if not 400 <= each <= 599)  # noqa: PLR2004 - errors
    return f"{wrong[0]} is no HTTP status of an error, which has 4xx or 5xx" if wrong else ""


def time_fault(seconds: float, *, zero: bool = False) -> str:
    """Why this can be no time limit, empty if it can; nan never can."""
    least = "from 0" if zero else "above 0 and"
    if 0 < seconds <= MAX_SECONDS or (zero and seconds == 0):
        return ""
    return f"{seconds!r} is not a number of seconds {least} up to {MAX_SECONDS}"


def output_fault(path: str) -> str:
    """Why nothing can be written to this file or directory, empty if it can."""
    if not path:
        return f"{path!r} is empty"
    if path == "-":
        return f"{path!r} is standard output, where this cannot go; give a name, ./- is one"
    return ""


def word_fault(word: str, choices: tuple[str, ...]) -> str:
    """Why this is no choice, empty if it is."""
    return "" if word in choices else f"{word!r} is none of {', '.join(choices)}"


def header_fault(name: str, value: str) -> str:
    """Why this field could break out of its line, empty if it cannot (RFC 9110 section 5.5).

    The value is not shown.
    """
    if not _FIELD_NAME.fullmatch(name):
        return f"{name!r} is no name of a header field"
    if _NO_FIELD_VALUE.search(value):
        return f"the value of header {name} has a control character"
    return ""


def headers_fault(headers: Iterable[tuple[str, str]]) -> str:
    """Of fields of a request."""
    return next(filter(None, (header_fault(name, value) for name, value in headers)), "")


def elsewhere(place: str) -> Callable[..., str]:
    """A rule that few runs need, of a module that is imported then."""
    module, _, name = place.rpartition(".")

    def fault(*values: object) -> str:
        said: str = getattr(importlib.import_module(module), name)(*values)
        return said

    return fault


def at_least(least: int) -> Callable[[float], str]:
    """The rule of a number that has a least value."""
    return lambda number: f"{number!r} is less than {least}" if number < least else ""


def one_of(literal: object) -> Callable[[str], str]:
    """The rule of a word that is one of a `Literal`."""
    return lambda word: word_fault(word, get_args(literal))


def seconds_of(*, zero: bool = False) -> Callable[[float], str]:
    """The rule of a time."""
    return lambda seconds: time_fault(seconds, zero=zero)
