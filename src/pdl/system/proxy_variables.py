"""What this machine says of proxies, without a look at whether it can be meant.

It is asked before the workers are started, and imports next to nothing: what it imports delays all.
"""

from __future__ import annotations

import os
import sys

_ELSEWHERE = frozenset({"darwin", "win32", "cygwin"})
"""Systems that keep proxies outside of the environment."""


def named() -> list[tuple[str, str]]:
    """The variables that name proxies, and what they say."""
    return [
        (name, value)
        for name, value in os.environ.items()
        if value and name.lower().endswith("_proxy") and name.lower() != "no_proxy"
    ]


def possible() -> bool:
    """Whether this machine may be told to use a proxy for some URL."""
    return sys.platform in _ELSEWHERE or bool(named())
