"""Patterns that most runs never need, compiled when they are first used.

To compile them all takes some milliseconds at each start, in each process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, AnyStr, cast

if TYPE_CHECKING:
    from re import Pattern

HTTP_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
"""The name of a field, and other words of HTTP (RFC 9110 section 5.6.2)."""


def lazy(text: AnyStr, flags: int = 0) -> Pattern[AnyStr]:
    """As `re.compile`, which is done when a method of the pattern is first asked for.

    Args:
        text: the pattern; what is wrong with it shows only then.
        flags: as there.
    """
    return cast("Pattern[AnyStr]", LazyPattern(text, flags))


class LazyPattern:
    """Stands for a pattern; its methods are the pattern's own from their first use on."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a pattern has
        """Find a method of the pattern; this is called once for each."""
        if name.startswith("_"):  # asked by copy and pickle, of which a pattern has its own
            raise AttributeError(name)
        text, flags = self._given
        found = getattr(re.compile(text, flags), name)
        setattr(self, name, found)
        return found
