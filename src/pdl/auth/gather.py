"""The credentials of a run, gathered in the main process before its workers are started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.auth.credentials import BEARER, NETRC, USER, Credentials, Named, OfHosts, basic
from pdl.errors import UsageError
from pdl.text.masking import printable
from pdl.text.rules import has_control, receiver_of
from pdl.text.urls import InvalidUrl, has_scheme, parse

if TYPE_CHECKING:
    import http.cookiejar
    from collections.abc import Callable, Iterable, Iterator

    from pdl.auth.cookies import Cookie
    from pdl.auth.helpers import Command
    from pdl.model import AuthSettings, User
    from pdl.text.host_tables import HostTable

NETRC_VARIABLE = "NETRC"


def gather(
    settings: AuthSettings,
    warn: Callable[[str], None],
    url_command: str | None = None,
    tables: tuple[HostTable, ...] = (),
) -> Credentials:
    """What the settings say, with what is in the files and variables that they name.

    Args:
        settings: checked.
        warn: told of what is ignored.
        url_command: see `pdl.settings.InputSettings`.
        tables: of hosts; what they say of the user.

    Raises:
        UsageError: a file cannot be read, or a password is missing.
    """
    named: dict[str, list[Named]] = {}
    bound = {}
    for user in settings.users:
        value = basic(user.name.encode(), _password(user).encode())
        if has_scheme(user.host):
            bound[parse(user.host).origin] = value
        elif user.host:
            _add(named, user.host, value, USER)
    for host, variable in settings.bearer:
        _add(named, host, f"Bearer {_token(host, variable)}", BEARER)
    differs = any(value is True for each in tables for _, value in each.said)
    path = netrc_path(settings) or (usual_netrc() if differs else None)
    if path is not None:
        for host, login, password in netrc_entries(path, warn):
            _add(named, host, basic(login.encode(), password.encode()), NETRC)
    cookies, helpers = _cookies(settings, tables), _helpers(settings)
    found = Credentials(named, bound, cookies, path or "", helpers, url_command)
    if tables:
        near = tuple(USER if each == "users" else BEARER for each in settings.near)
        netrc = netrc_path(settings) is not None
        own = tuple(each._replace(said=tuple(_resolved(each))) for each in tables)
        found.lay_over(OfHosts(own, netrc, settings.cookies_file, near))
    return found


def _resolved(table: HostTable) -> Iterator[tuple[str, object]]:
    """What a table says, with values of the Authorization field for users and tokens."""
    for path, value in table.said:
        if path == "auth.users":
            (user,) = value
            yield path, basic(user.name.encode(), _password(user, table.pattern).encode())
        elif path == "auth.bearer":
            ((_, variable),) = value
            yield path, f"Bearer {_token(table.pattern, variable)}"
        else:
            yield path, value


def _helpers(settings: AuthSettings) -> list[Command]:
    if not settings.helpers:
        return []
    import shlex  # as below

    from pdl.auth.helpers import Command  # where there is one

    return [
        Command(receiver_of(host) if host else None, tuple(shlex.split(command)))
        for host, command in settings.helpers
    ]


def _cookies(
    settings: AuthSettings, tables: Iterable[HostTable]
) -> list[tuple[str, Cookie]] | None:
    """Those to begin with; None if there are to be none, ever."""
    path = settings.cookies_file
    if not settings.cookies:
        if path is not None:
            raise UsageError("--cookies and --no-cookies contradict each other", "give one")
        return None
    said = (value for each in tables for path, value in each.said if path == "auth.cookies_file")
    files = dict.fromkeys(filter(None, (path, *said)))
    return [each for file in files for each in _cookies_in(file)]


def _cookies_in(path: str) -> Iterator[tuple[str, Cookie]]:
    from pdl.auth.cookies import Cookie  # as below

    shown = printable(path)
    for each in _read_cookies(path, shown):
        host = each.domain.removeprefix(".").lower()
        value, end = each.value or "", each.expires
        if not (f"{each.name}{value}{each.path}".isprintable() and host and each.path):
            raise UsageError(f"{shown}: a cookie of {printable(host)} cannot be sent")
        until = float(end) if end else None
        deep = each.domain_initial_dot
        yield host, Cookie(each.name, value, each.path, each.secure, until, deep, path)


def _read_cookies(path: str, shown: str) -> Iterable[http.cookiejar.Cookie]:
    import warnings  # as below
    from http.cookiejar import LoadError, MozillaCookieJar  # where there is a file

    jar = MozillaCookieJar(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it does not expect it calls a bug of its own
            jar.load(ignore_discard=True, ignore_expires=True)
    except (LoadError, ValueError):
        raise UsageError(
            f"{shown} is no file of cookies in Netscape's format",
            "it begins with the line '# Netscape HTTP Cookie File'",
        ) from None
    except OSError as exc:
        raise UsageError(f"{shown} cannot be read: {exc.strerror or exc}") from None
    return jar


def _password(user: User, host: str = "") -> str:
    if user.variable:
        return _held("", user.variable, f"the password for {host}")
    if user.password is None:
        raise UsageError(
            f"-u: the password of {printable(user.name)} is missing", "write -u USER:PASSWORD"
        )
    return user.password


def _token(host: str, variable: str) -> str:
    token = _held("--bearer: ", variable, f"the token for {host}").strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError(f"--bearer: the variable {variable} holds no token: none has such letters")
    return token


def _held(option: str, variable: str, what: str) -> str:
    held = os.environ.get(variable, "")
    if not held.strip():
        raise UsageError(
            f"{option}the variable {variable}, which is to hold {what}, is not set",
            f"export {variable}",
        )
    return held


def _add(named: dict[str, list[Named]], host: str, value: str, source: str) -> None:
    """Add it behind what counts more: other sources, and among its own what names a port."""
    receiver = receiver_of(host)
    found = named.setdefault(receiver.host, [])
    entry = Named(receiver.port, value, source)
    first = [each.source for each in found].index(source) if _has(found, source) else len(found)
    found.insert(len(found) if entry.port is None else first, entry)


def _has(found: list[Named], source: str) -> bool:
    return any(each.source == source for each in found)


def netrc_path(settings: AuthSettings) -> str | None:
    """The netrc file that is to be read, or None."""
    if settings.netrc_file is not None:
        return settings.netrc_file
    return usual_netrc() if settings.netrc else None


def usual_netrc() -> str:
    """The user's netrc file, which need not be there."""
    return os.environ.get(NETRC_VARIABLE) or os.path.expanduser("~/.netrc")


def netrc_entries(path: str, warn: Callable[[str], None]) -> Iterator[tuple[str, str, str]]:
    """The entries of a netrc file: host, user and password.

    Args:
        path: of the file.
        warn: told of what is ignored.

    Raises:
        UsageError: it cannot be read, or is none. The text shows nothing of it.
    """
    import netrc  # where it is asked for

    shown = printable(path)
    try:
        hosts = netrc.netrc(path).hosts
    except netrc.NetrcParseError as exc:
        raise UsageError(f"{shown}:{exc.lineno}: this is no entry of a netrc file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown} is no netrc file: it is not UTF-8") from None
    except OSError as exc:
        raise UsageError(f"{shown} cannot be read: {exc.strerror or exc}") from None
    for host, (login, _, password) in hosts.items():
        if host == "default":
            warn(
                f"{shown}: its default entry is ignored, for it would go to any host; "
                "write an entry for each host"
            )
            continue
        try:
            receiver_of(host)
        except InvalidUrl:
            continue
        if has_control(f"{login}{password}"):
            raise UsageError(
                f"{shown}: the user or password of {host} has a control character",
                "see whether a quote is not closed there",
            )
        yield host, login or "", password or ""
