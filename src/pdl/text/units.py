"""How people write values, and how they are written out for them: sizes, times, text for a width.

Pure functions; what decides where the text goes is elsewhere.
"""

from __future__ import annotations

import re
import unicodedata

from pdl.text.lazy_regex import lazy

_SIZE = lazy(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i?)B?(?:/s)?", re.IGNORECASE)
_RATE = lazy(r"(\d{1,9})/(\d{0,9}(?:\.\d{1,9})?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_EXACT = 10_000
_FOUR_DIGITS = 999.5
"""From here on three digits no longer hold the number, rounded."""


def bytes_of(text: str) -> int | None:
    """The bytes that ``10M`` or ``1.5GiB`` are: suffixes are powers of 1,024; None for no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number, suffix, _ = match.groups()
    return int(float(number) * 1024 ** _POWERS[suffix.upper()])


def period_of(text: str) -> float:
    """Seconds from one to the next at a rate such as ``2/s``, ``5/15s`` or ``100/m``.

    Raises:
        ValueError: it is none; the message shows it.
    """
    match = _RATE.fullmatch(text.strip())
    count, time, unit = match.groups() if match else ("0", "", "s")
    seconds = float(time or 1) * _SECONDS[unit] / int(count) if int(count) else 0.0
    if not seconds:
        raise ValueError(f"{text!r} is not a number of starts in a time, such as 2/s, 5/15s, 100/m")
    return seconds


def period_fault(text: str) -> str:
    """Why this is no such rate, empty if it is one."""
    try:
        period_of(text)
    except ValueError as exc:
        return str(exc)
    return ""


def size_text(count: float) -> str:
    """A number of bytes in three digits and a binary unit; at most 8 characters up to 999 EiB."""
    value, unit = float(count), 0
    while value >= _FOUR_DIGITS and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    if unit == 0:
        return f"{value:.0f} B"
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0  # noqa: PLR2004 - 3 digits
    return f"{value:.{digits}f} {_UNITS[unit]}"


def amounts_text(one: int, other: int) -> tuple[str, str]:
    """Two numbers of bytes beside each other: in units where these tell them apart, else exact."""
    texts = amount_text(one), amount_text(other)
    if one == other or texts[0] != texts[1]:
        return texts
    return f"{one:,} B", f"{other:,} B"


def amount_text(count: int) -> str:
    """A number of bytes: exact while it is small, as ``1,000 B``, else as `size_text`."""
    return f"{count:,} B" if count < _EXACT else size_text(count)


def duration_text(seconds: float) -> str:
    """A time span in words with its two largest units, as ``3 min 12 s``."""
    if seconds < _MINUTE - 0.05:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02} h"


def clock_text(seconds: float | None) -> str:
    """A time still to go as ``MM:SS`` or ``H:MM:SS``, ``--:--`` where it is not known."""
    if seconds is None:
        return "--:--"
    if seconds >= 100 * _HOUR:
        return ">99 h"
    hours, rest = divmod(round(seconds), _HOUR)
    clock = f"{rest // _MINUTE:02}:{rest % _MINUTE:02}"
    return f"{hours}:{clock}" if hours else clock


def count_text(count: int, noun: str) -> str:
    """``1 attempt``, ``2 attempts``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def tried_text(attempts: int) -> str:
    """How often something was tried, as ``2 attempts``; ``not tried`` where it never was."""
    return count_text(attempts, "attempt") if attempts else "not tried"


def place_text(source: str, line: int) -> str:
    """Where a list has it, as ``urls.txt:4`` or ``stdin:6``; empty for what has no line."""
    return f"{'stdin' if source == '-' else source}:{line}" if line else ""


def cells(text: str) -> int:
    """Terminal columns that `text`, free of control characters, takes up."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(char: str) -> int:
    # where terminals differ (emoji selectors, soft hyphens) the larger guess never wraps a line
    if char != "\ufe0f" and unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` in at most `width` columns, cut in the middle: both ends tell files apart."""
    if cells(text) <= width:
        return text
    room = width - cells(ellipsis)
    if room <= 0:
        return _head(text, width)
    tail = _head(text[::-1], room // 2)[::-1]
    return _head(text, room - cells(tail)) + ellipsis + tail


def _head(text: str, width: int) -> str:
    used = 0
    for index, char in enumerate(text):
        used += _cell(char)
        if used > width:
            return text[:index]
    return text


def pad(text: str, width: int) -> str:
    """`text` with blanks behind it up to `width` columns."""
    return text + " " * (width - cells(text))
