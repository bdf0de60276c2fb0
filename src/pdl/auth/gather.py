"""The credentials of a run, gathered in the main process before its workers are started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.auth.credentials import BEARER, NETRC, USER, Credentials, Named, basic
from pdl.errors import UsageError
from pdl.text.lazy_regex import lazy
from pdl.text.masking import printable
from pdl.text.rules import receiver_of
from pdl.text.urls import InvalidUrl, has_scheme, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdl.auth.cookies import Cookie
    from pdl.auth.helpers import Command
    from pdl.model import AuthSettings, User

NETRC_VARIABLE = "NETRC"
_COOKIES_BEGIN = lazy("#( Netscape)? HTTP Cookie File")


def gather(
    settings: AuthSettings, warn: Callable[[str], None], url_command: str | None = None
) -> Credentials:
    """What the settings say, with what is in the files and variables that they name.

    Args:
        settings: checked.
        warn: told of what is ignored.
        url_command: see `pdl.settings.InputSettings`.

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
    path = netrc_path(settings)
    if path is not None:
        for host, login, password in netrc_entries(path, warn):
            _add(named, host, basic(login.encode(), password.encode()), NETRC)
    cookies, helpers = _cookies(settings), _helpers(settings)
    return Credentials(named, bound, cookies, path or "", helpers, url_command)


def _helpers(settings: AuthSettings) -> list[Command]:
    if not settings.helpers:
        return []
    import shlex  # as below

    from pdl.auth.helpers import Command  # where there is one

    return [
        Command(receiver_of(host) if host else None, tuple(shlex.split(command)))
        for host, command in settings.helpers
    ]


def _cookies(settings: AuthSettings) -> list[tuple[str, Cookie]] | None:
    """Those to begin with; None if there are to be none, ever."""
    path = settings.cookies_file
    if not settings.cookies:
        if path is not None:
            raise UsageError("--cookies and --no-cookies contradict each other", "give one")
        return None
    return [] if path is None else list(_read_cookies(path, printable(path)))


def _read_cookies(path: str, shown: str) -> Iterator[tuple[str, Cookie]]:
    """What `http.cookiejar.MozillaCookieJar` makes of a file, without its 200 modules."""
    try:
        with open(path, encoding="utf-8") as file:
            if not _COOKIES_BEGIN.match(file.readline()):
                raise UsageError(
                    f"{shown} is no file of cookies in Netscape's format",
                    "it begins with the line '# Netscape HTTP Cookie File'",
                )
            for number, text in enumerate(file, 2):
                line = text.removeprefix("#HttpOnly_").removesuffix("\n")
                if line.strip() and line.strip()[0] not in "#$":
                    yield _cookie_in(line, f"{shown}:{number}")
    except UnicodeDecodeError:
        raise UsageError(f"{shown} is no file of cookies: it is not UTF-8") from None
    except OSError as exc:
        raise UsageError(f"{shown} cannot be read: {exc.strerror or exc}") from None


def _cookie_in(line: str, where: str) -> tuple[str, Cookie]:
    from pdl.auth.cookies import Cookie  # where there is a file

    try:
        domain, deep, path, secure, end, name, value = line.split("\t")
        until = float(int(float(end))) if end else 0.0
    except (ValueError, OverflowError):
        raise UsageError(f"{where}: this is no cookie in Netscape's format") from None
    host = domain.removeprefix(".").lower()
    if (deep == "TRUE") != domain.startswith("."):
        raise UsageError(
            f"{where}: this is no cookie in Netscape's format",
            "the host begins with a dot where the second column is TRUE, and nowhere else",
        )
    if not name:
        name, value = value, ""
    if not (f"{name}{value}{path}".isprintable() and host and path):
        raise UsageError(f"{where}: a cookie of {printable(host)} cannot be sent")
    return host, Cookie(name, value, path, secure == "TRUE", until or None, deep == "TRUE")


def _password(user: User) -> str:
    if user.password is None:
        raise UsageError(
            f"-u: the password of {printable(user.name)} is missing", "write -u USER:PASSWORD"
        )
    return user.password


def _token(host: str, variable: str) -> str:
    token = os.environ.get(variable, "").strip()
    if not token:
        raise UsageError(
            f"--bearer: the variable {variable}, which is to hold the token for {host}, is not set",
            f"export {variable}",
        )
    if not (token.isascii() and token.isprintable()):
        raise UsageError(f"--bearer: the variable {variable} holds no token: none has such letters")
    return token


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
        yield host, login or "", password or ""
