"""Secrets that are not on the command line: in a file of header fields, or typed on a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdl.errors import UsageError
from pdl.text.masking import printable
from pdl.text.rules import header_fault
from pdl.text.urls import has_scheme, parse

if TYPE_CHECKING:
    from pdl.model import User
    from pdl.settings import Settings

TERMINAL = "/dev/tty"
_MOST = 1024 * 1024
"""Bytes of a file of fields; no server takes as many."""


def header_fields(path: str) -> tuple[tuple[str, str], ...]:
    """The fields in a file, each on a line of its own; blank lines and comments (#) mean nothing.

    Raises:
        ValueError: it cannot be read, or a line is none. The text shows no value.
    """
    shown = printable(path)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST + 1)
    except OSError as exc:
        raise ValueError(f"{shown} cannot be read: {exc.strerror or exc}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{shown} is not UTF-8") from None
    if len(text) > _MOST:
        raise ValueError(f"{shown} is too large for a file of header fields")
    fields = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or header_fault(name, ""):
            raise ValueError(f"{shown}:{number}: a header has the form 'Name: value'")
        if fault := header_fault(name, value):
            raise ValueError(f"{shown}:{number}: {fault}")
        fields.append((name, value))
    return tuple(fields)


def with_passwords(settings: Settings) -> Settings:
    """The settings, with the passwords that were not given asked for on the terminal.

    Raises:
        UsageError: there is no terminal.
    """
    users = tuple(map(_asked, settings.auth.users))
    return settings._replace(auth=settings.auth._replace(users=users))


def _asked(user: User) -> User:
    if user.password is not None:
        return user
    from getpass import getpass  # for this alone

    host = parse(user.host).netloc if has_scheme(user.host) else user.host
    who = printable(f"{user.name} at {host}" if host else user.name)
    try:
        os.close(os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise UsageError(
            f"-u: no password is given for {who}, and there is no terminal to ask for it",
            "write HOST=USER:PASSWORD into PDL_USER, or use --netrc-file",
        ) from None
    try:
        return user._replace(password=getpass(f"password of {who}: "))
    except EOFError:
        raise UsageError(f"-u: no password was typed for {who}") from None
