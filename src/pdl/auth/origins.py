"""To which of a list's origins the user's credentials go, and a warning where that may surprise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.model import Item
from pdl.text.masking import is_secret_name, printable
from pdl.text.urls import InvalidUrl, Url, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pdl.model import AuthSettings, BadLine
    from pdl.settings import HttpSettings, Settings

_CREDENTIALS = {"authorization", "cookie"}
_HOW = "-u HOST=USER, --bearer HOST=VARIABLE and --netrc name whom they are for"


def is_credential(name: str) -> bool:
    """Whether a header field of that name mostly says who the user is."""
    return name.lower() in _CREDENTIALS or is_secret_name(name)


def is_unbound(settings: AuthSettings) -> bool:
    """Whether a user is for the origin of the first line."""
    return any(not user.host for user in settings.users)


def bound(settings: AuthSettings, entries: Iterable[Item | BadLine]) -> AuthSettings:
    """The settings, with the origin of the first line known; there may be none."""
    url = next((url for each in entries if (url := _url_of(each)) is not None), None)
    if url is None:
        return settings._replace(users=tuple(user for user in settings.users if user.host))
    origin = f"{url.scheme}://{url.netloc}"
    users = (user if user.host else user._replace(host=origin) for user in settings.users)
    return settings._replace(users=tuple(users))


def _url_of(entry: Item | BadLine) -> Url | None:
    if not isinstance(entry, Item):
        return None
    try:
        return parse(entry.url)
    except InvalidUrl:
        return None


def watch_of(
    settings: Settings, warn: Callable[[str], None]
) -> Callable[[Sequence[Item | BadLine]], None] | None:
    """What is to be told of all lines as they come; None where no line can surprise.

    Args:
        settings: bound.
        warn: told once, when the second origin is met.
    """
    fields = _given(settings.http)
    users = [user.host for user in settings.auth.users if "://" in user.host]
    return _Watch(fields, users, warn).see if fields or users else None


def _given(http: HttpSettings) -> list[str]:
    return [printable(name) for name, _ in http.headers if is_credential(name)]


class _Watch:
    """Looks for a second origin.

    Args:
        fields: names of what goes to every origin.
        users: origins that a user is for alone.
        warn: told once.
    """

    def __init__(
        self, fields: Sequence[str], users: Sequence[str], warn: Callable[[str], None]
    ) -> None:
        self._fields, self._users, self._warn = fields, users, warn
        self._first = self._last = ""
        self._done = False

    def see(self, entries: Sequence[Item | BadLine]) -> None:
        """Look at some lines."""
        if self._done:
            return
        for entry in entries:
            if isinstance(entry, Item):
                for text in (entry.url, *entry.mirrors):
                    # most lines are of the origin of the line before
                    begin = "/".join(text.split("/", 3)[:3])
                    if begin != self._last:
                        self._last = begin
                        self._meet(text)

    def _meet(self, text: str) -> None:
        try:
            url = parse(text)
        except InvalidUrl:
            return
        origin = f"{url.scheme}://{url.netloc}"
        self._first = self._first or origin
        if origin == self._first or self._done:
            return
        self._done = True
        if self._fields:
            names = ", ".join(dict.fromkeys(self._fields))
            self._warn(
                f"the header {names} goes to {self._first} and to {origin}, as to each origin of "
                f"the list; {_HOW}"
            )
        if self._users:
            self._warn(
                f"the user of -u is for {self._users[0]}, the origin of the first line; {origin} "
                f"is asked without: to give it one, write -u {url.netloc}=USER"
            )
