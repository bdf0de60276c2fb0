"""The ways to make an attempt: each has to give the same outcome for the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pdl.fetch.blocking import Fetcher
from pdl.fetch.from_cache import CacheLane
from pdl.fetch.zero_copy import Mover
from pdl.settings import (
    CacheSettings,
    FileSettings,
    HttpSettings,
)
from pdl.storage.cache.store import prepare
from pdl.transport.http.keepalive import KeepaliveTransport
from pdl.transport.http.requests_ import RequestsTransport
from quicklane import QuickLane

if TYPE_CHECKING:
    from pdl.transport import Transport

LaneMaker = Callable[[HttpSettings, FileSettings], Fetcher | QuickLane]


def lane_over(make: Callable[[HttpSettings], Transport]) -> LaneMaker:
    return lambda http, files: Fetcher(make(http), http, files)


def moving_lane(http: HttpSettings, files: FileSettings) -> Fetcher:
    lane = Fetcher(KeepaliveTransport(http), http, files)
    lane.mover = Mover(least=1)
    return lane


def cached_lane(http: HttpSettings, files: FileSettings) -> Fetcher:
    """One whose cache is empty, and beside the output directory."""
    cache = prepare(CacheSettings(f"{files.directory}.cache"), pytest.fail)
    assert cache is not None
    return Fetcher(KeepaliveTransport(http), http, files, CacheLane(http, files, cache))


LANES: dict[str, LaneMaker] = {
    "requests": lane_over(RequestsTransport),
    "keepalive": lane_over(KeepaliveTransport),
    "quick": QuickLane,
    "moving": moving_lane,
    "cached": cached_lane,
}
"""Each has to give the same outcome for every row."""
