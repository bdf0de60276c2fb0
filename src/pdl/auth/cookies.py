"""Cookies (RFC 6265): those that servers set, in memory, and those of a file.

What a server sets is for that host alone, whatever Domain it names. What was set over TLS goes over
TLS, or stays within this machine.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

from pdl.http_rules.dates import http_seconds
from pdl.http_rules.redirects import may_be_told
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pdl.text.urls import Url

HOSTS_MOST = 1000
"""Hosts whose cookies are kept."""
HOST_MOST = 50
"""Cookies of one of them."""
BYTES_MOST = 4096
"""Of a cookie: its name and value."""

_BLANKS = " \t"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Cookie(NamedTuple):
    """A cookie.

    Attributes:
        path: that it is for, and those below.
        secure: it goes over TLS, or stays within this machine.
        until: `time.time` of its end; None for the end of the run.
        deep: it is for hosts below its own, too.
        file: that it is from; empty if a server has set it.
    """

    name: str
    value: str
    path: str = "/"
    secure: bool = False
    until: float | None = None
    deep: bool = False
    file: str = ""


class CookieJar:
    """The cookies of one worker, whose lanes may all ask at once.

    Args:
        cookies: to begin with, each with its host.
        clock: as `time.time`.

    Attributes:
        file_for: the file whose cookies go to a URL, where that differs by host; else None.
    """

    def __init__(
        self, cookies: Iterable[tuple[str, Cookie]] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self.file_for: Callable[[Url], str | None] | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, dict[tuple[str, str, str], Cookie]] = {}
        self._changes: dict[str, int] = {}
        for host, cookie in cookies:
            self._kept.setdefault(host, {})[cookie.name, cookie.path, cookie.file] = cookie

    def changes(self, host: str) -> int:
        """How often what the host is sent has changed."""
        return self._changes.get(host, 0)

    def take(self, listed: Url, url: Url, fields: Iterable[str]) -> bool:
        """Take what an answer sets.

        Args:
            listed: what was asked for; what began with TLS takes no cookie in the clear.
            url: that answered.
            fields: the values of its Set-Cookie fields.

        Returns:
            Whether anything has changed.
        """
        if listed.scheme == "https" and url.scheme != "https":
            return False
        changed = False
        for field in fields:
            cookie = cookie_of(field, url, self._clock())
            if cookie is not None and (not cookie.secure or may_be_told(url, url)):
                changed |= self._put(url, cookie)
        return changed

    def _put(self, url: Url, cookie: Cookie) -> bool:
        with self._lock:
            mine = dict(self._kept.get(url.host, {}))
            key = cookie.name, cookie.path, ""
            old = [mine[each] for each in mine if each[:2] == key[:2]]
            before = next((each for each in old if self._goes(each, url)), None)
            if before is not None and before.secure and not may_be_told(url, url):
                return False  # what came in the clear replaces nothing that did not
            if before is not None:
                del mine[before.name, before.path, before.file]
            if cookie.until is None or cookie.until > self._clock():
                mine[key] = cookie
            while len(mine) > HOST_MOST:
                del mine[next(iter(mine))]
            self._kept.pop(url.host, None)
            if mine:
                self._kept[url.host] = mine  # replaced as a whole, for others read it
            while len(self._kept) > HOSTS_MOST:
                del self._kept[next(iter(self._kept))]
            after = mine.get(key)
            changed = (before and before.value) != (after and after.value)
            if changed:
                self._changes[url.host] = self.changes(url.host) + 1
            return changed

    def value(self, listed: Url, url: Url) -> str:
        """The Cookie field of a request; empty if it has none.

        Args:
            listed: what is asked for.
            url: where this request goes.
        """
        if listed.scheme == "https" and url.scheme != "https":
            return ""
        now, safe = self._clock(), may_be_told(url, url)
        found = [
            each
            for each in self._for_host(url.host)
            if self._goes(each, url)
            and (safe or not each.secure)
            and (each.until is None or each.until > now)
            and _is_below(url.path, each.path)
        ]
        found.sort(key=lambda each: -len(each.path))  # RFC 6265 section 5.4
        return "; ".join(f"{each.name}={each.value}" for each in found)

    def _goes(self, cookie: Cookie, url: Url) -> bool:
        """Whether a cookie is one that such URLs are told at all."""
        if self.file_for is None or not cookie.file:
            return True
        return cookie.file == self.file_for(url)

    def minds_path(self, host: str) -> bool:
        """Whether requests to the host have other cookies for other paths."""
        return any(each.path != "/" for each in self._for_host(host))

    def ends(self, host: str) -> float | None:
        """`time.time` from which the host is sent less than now; None if that is not foreseen."""
        now = self._clock()
        ends = (each.until for each in self._for_host(host) if each.until is not None)
        return min((end for end in ends if end > now), default=None)

    def _for_host(self, host: str) -> Iterator[Cookie]:
        yield from self._kept.get(host, {}).values()
        while (dot := host.find(".")) >= 0:
            host = host[dot + 1 :]
            yield from (each for each in self._kept.get(host, {}).values() if each.deep)


def _is_below(path: str, home: str) -> bool:
    """RFC 6265 section 5.1.4."""
    return path == home or (path.startswith(home) and (home[-1] == "/" or path[len(home)] == "/"))


def cookie_of(field: str, url: Url, now: float) -> Cookie | None:
    """The cookie that a Set-Cookie field sets (RFC 6265 section 5.2); None if it sets none.

    Args:
        field: its value.
        url: that answered.
        now: seconds since the epoch.
    """
    pair, *attributes = field.split(";")
    name, equals, value = (each.strip(_BLANKS) for each in pair.partition("="))
    if not equals or not name or _CONTROL.search(field) or len(name + value) > BYTES_MOST:
        return None
    said = {}
    for attribute in attributes:
        key, _, what = attribute.partition("=")
        said[key.strip(_BLANKS).lower()] = what.strip(_BLANKS)
    domain = said.get("domain", "").removeprefix(".").lower()
    if domain and domain != url.host and not url.host.endswith(f".{domain}"):
        return None
    path = said.get("path", "")
    if not path.startswith("/"):
        path = url.path[: max(1, url.path.rfind("/"))]
    if not _keeps_its_prefix(name, said, url):
        return None
    secure = "secure" in said or url.scheme == "https"
    return Cookie(name, value, path, secure, _end(said, now))


def _keeps_its_prefix(name: str, said: dict[str, str], url: Url) -> bool:
    """RFC 6265bis section 4.1.3."""
    lower = name.lower()
    if not lower.startswith(("__secure-", "__host-")):
        return True
    safe = url.scheme == "https" and "secure" in said
    return safe and (lower[2] == "s" or (said.get("path") == "/" and not said.get("domain")))


def _end(said: dict[str, str], now: float) -> float | None:
    age = said.get("max-age", "")
    if re.fullmatch(r"-?[0-9]{1,15}", age):
        return now + int(age) if int(age) > 0 else 0.0
    # the form with hyphens is older than the RFC, and still sent
    return http_seconds(re.sub(r"(?<=\d)-(\w{3})-(?=\d)", r" \1 ", said.get("expires", "")))
