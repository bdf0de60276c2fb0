"""Whether a proxy can have a say at all; which one, requests decides."""

from __future__ import annotations

import os
import sys

_ELSEWHERE = frozenset({"darwin", "win32", "cygwin"})
"""Systems that keep proxies outside of the environment."""


def possible() -> bool:
    """Whether this machine may be told to use a proxy for some URL."""
    return sys.platform in _ELSEWHERE or any(
        value and name.lower().endswith("_proxy") and name.lower() != "no_proxy"
        for name, value in os.environ.items()
    )
