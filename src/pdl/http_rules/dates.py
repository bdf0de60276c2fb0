"""Dates and times in the fields of HTTP."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

from pdl.text.lazy_regex import lazy

if TYPE_CHECKING:
    from collections.abc import Callable

UTC = timezone.utc
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_MONTH = {name: at for at, name in enumerate(_MONTHS.split("|"), 1)}
_FIXDATE = re.compile(
    rf"(?a)[A-Z][a-z]{{2}}, (\d\d) ({_MONTHS}) ([1-9]\d{{3}}) (\d\d):(\d\d):(\d\d) GMT"
)
"""The form of a date that servers are to send; taken apart here, in half the library's time."""


@lru_cache(maxsize=256)
def http_seconds(value: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110 section 5.6.7), or None if it is none."""
    if value is None:
        return None
    try:
        if usual := _FIXDATE.fullmatch(value):
            day, month, year, hour, minute, second = usual.groups()
            date = datetime(
                int(year), _MONTH[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC
            )
            return date.timestamp()
        from email.utils import parsedate_to_datetime  # seldom needed, long to import

        date = parsedate_to_datetime(value)
        # The asctime form names no zone, and means UTC like the others.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


_EPOCH = 1_000_000_000
"""A number of seconds from here on is a time since the epoch, as some servers send it."""
_LEFT = ("ratelimit-remaining", "x-ratelimit-remaining")
_RESETS = ("ratelimit-reset", "x-ratelimit-reset")
_LIMIT, _POLICY = "ratelimit", "ratelimit-policy"
RATE_FIELDS = frozenset((*_LEFT, _LIMIT))
"""Fields of an answer that say how many more requests the server takes."""
_MOST = 1000
"""Characters of such a field that are looked at."""
_MEMBER = lazy(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PARAMETER = lazy(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
"""What stands between two commas, or two semicolons, of a structured field (RFC 9651)."""


def rate_reset(header: Callable[[str], str | None], *, spent: bool = False) -> float | None:
    """Seconds until a server takes requests again, if it has said that it takes no more now.

    Args:
        header: gives a field's value, or None.
        spent: that it takes no more is known already; else a field has to say so.
    """
    text = header(_LIMIT)
    if text is not None:
        seconds = _policy_reset(text, header(_POLICY) or "", spent=spent)
        if seconds is not None:
            return seconds
    if not spent and not any((header(name) or "").strip(" \t") == "0" for name in _LEFT):
        return None
    for name in _RESETS:
        text = (header(name) or "").strip(" \t").partition(".")[0]
        if text.isascii() and text.isdigit():
            seconds = float(text[:13])
            if seconds < _EPOCH:
                return seconds
            sent = http_seconds(header("date"))
            return max(0.0, seconds - (time.time() if sent is None else sent))
    return None


def _policy_reset(limit: str, policy: str, *, spent: bool) -> float | None:
    """The same by ``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers).

    ``"burst";r=0;t=30``: nothing is left of that policy for 30 seconds. Where no `t` is there, the
    policy's window is the longest that it can be. The form of the drafts before 08,
    ``limit=9, remaining=0, reset=30``, has one policy, and its parameters are members.
    """
    windows = {name: fields.get("w") for name, fields in _members(policy)}
    waits: dict[bool, list[float]] = {True: [], False: []}
    named = _members(limit)
    old = {name: value for name, fields in named if (value := fields.get("")) is not None}
    for name, fields in [("", {"r": old.get("remaining"), "t": old.get("reset")}), *named]:
        left, seconds = fields.get("r"), fields.get("t")
        if seconds is None:
            seconds = windows.get(name)
        if left is not None and seconds is not None:
            waits[left == 0].append(seconds)
    if waits[True]:
        return max(waits[True])  # each of them has to let it through
    return min(waits[False], default=None) if spent else None


def _members(text: str) -> list[tuple[str, dict[str, float | None]]]:
    """The members of a list, each with those of its parameters that are numbers.

    What a member of a dictionary is set to counts as a parameter without a name.
    """
    found = []
    for member in _MEMBER.findall(text[:_MOST]):
        name, *rest = (each.strip(" \t") for each in _PARAMETER.findall(member) or [""])
        name, _, value = name.partition("=") if not name.startswith('"') else (name, "", "")
        fields = {"": _seconds(value)}
        for each in rest:
            key, _, value = each.partition("=")
            fields[key] = _seconds(value)
        found.append((name, fields))
    return found


def _seconds(text: str) -> float | None:
    """A whole number that is not negative; None if it is none."""
    return float(text[:13]) if text.isascii() and text.isdigit() else None


def retry_after(value: str | None, date: str | None) -> float | None:
    """Seconds a Retry-After asks for (RFC 9110 section 10.2.3), by the server's own clock.

    Args:
        value: the field, or None.
        date: the answer's Date, or None.
    """
    if value is None:
        return None
    text = value.strip(" \t")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = http_seconds(text)
    if until is None:
        return None
    sent = http_seconds(date)
    return max(0.0, until - (time.time() if sent is None else sent))
