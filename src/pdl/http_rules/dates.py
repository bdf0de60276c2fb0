"""Dates and times in the fields of HTTP."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from functools import lru_cache

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
