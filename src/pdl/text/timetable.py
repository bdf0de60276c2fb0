"""How fast a run may be, by the hour: ``512K``, ``08:00,512K 19:00,10M Sat-00:00,off``.

No clock: the local time is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple
from pdl.text.units import bytes_of

if TYPE_CHECKING:
    from time import struct_time

DAY = 24 * 60
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""As `time.struct_time` counts them."""
OFF = "off"

_CHANGE = lazy(r"(?:([A-Za-z]+)-)?([0-9]{1,2}):([0-9]{2}),(\S+)")


class Change(NamedTuple):
    """From then on, every week, a rate holds.

    Attributes:
        minute: since Monday began.
        rate: bytes a second, or None for no limit.
    """

    minute: int
    rate: int | None


Timetable = tuple[Change, ...]
"""At least one change, in the order of their times."""


def timetable_of(text: str) -> Timetable:
    """What a text says.

    A change without a day is one of every day. Where two are at the same time, the one that names
    its day counts.

    Raises:
        ValueError: it says nothing; the message tells why, and shows it.
    """
    words = text.split()
    if len(words) == 1 and "," not in text:
        return (Change(0, _rate(words[0])),)
    if not words:
        raise ValueError(f"{text!r} is no rate; 2M is one, and so is off")
    daily: dict[int, int | None] = {}
    weekly: dict[int, int | None] = {}
    for word in words:
        day, minute, rate = _change(word)
        at, those = (minute, daily) if day is None else (day * DAY + minute, weekly)
        if at in those:
            raise ValueError(f"{word!r} is the second rate for the same time")
        those[at] = rate
    everyday = {day * DAY + minute: daily[minute] for day in range(7) for minute in daily}
    return tuple(Change(*each) for each in sorted((everyday | weekly).items()))


def rates_fault(text: str) -> str:
    """Why this is no timetable, empty if it is one."""
    try:
        timetable_of(text)
    except ValueError as exc:
        return str(exc)
    return ""


def _change(word: str) -> tuple[int | None, int, int | None]:
    """Day, minute and rate of a word as ``Sat-08:00,512K``."""
    match = _CHANGE.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no part of a timetable such as 08:00,512K or Sat-00:00,off")
    name, hour, minute, rate = match.groups()
    if int(hour) >= 24 or int(minute) >= 60:  # noqa: PLR2004 - a clock's
        raise ValueError(f"{word!r} has no time of a day, which ends at 23:59")
    return None if name is None else _day(name, word), int(hour) * 60 + int(minute), _rate(rate)


def _day(name: str, word: str) -> int:
    for number, day in enumerate(DAYS):
        if name.lower() in {day, day[:3]}:
            return number
    raise ValueError(f"{word!r} names no day; they are Mon Tue Wed Thu Fri Sat Sun")


def _rate(text: str) -> int | None:
    if text.lower() == OFF:
        return None
    rate = bytes_of(text)
    if rate is None:
        raise ValueError(f"{text!r} is no rate such as 512K or 2M; off is none")
    return rate or None  # as with curl, wget2 and aria2, 0 is no limit


def rate_at(table: Timetable, now: struct_time) -> int | None:
    """The rate that holds at a local time, in bytes a second; None for no limit."""
    minute = now.tm_wday * DAY + now.tm_hour * 60 + now.tm_min
    current = table[-1]  # of last week
    for each in table:
        if each.minute > minute:
            break
        current = each
    return current.rate
