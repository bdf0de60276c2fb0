"""Dates and times in the fields of HTTP."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

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
RATE_FIELDS = frozenset(_LEFT)
"""Fields of an answer that say how many more requests the server takes."""


def rate_reset(header: Callable[[str], str | None], *, spent: bool = False) -> float | None:
    """Seconds until a server takes requests again, if it has said that it takes no more now.

    Args:
        header: gives a field's value, or None.
        spent: that it takes no more is known already; else a field has to say so.
    """
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
