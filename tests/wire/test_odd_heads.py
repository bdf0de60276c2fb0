"""Odd heads: pdl takes what endangers nothing, refuses the rest, and never takes other bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from every_lane import LANES
from pdl.model import Outcome, Result
from pdl.run.download import download
from pdl.settings import HttpSettings, PoolSettings, RetrySettings, Settings
from servers.misbehave import Server
from servers.odd_heads import BODY, HEADS, script_for

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(
    http=HttpSettings(timeout=5.0, connect_timeout=5.0),
    retry=RetrySettings(retries=0),
    pool=PoolSettings(engine="inline"),
)


def test_there_is_a_row_for_each_kind_once() -> None:
    assert len({row.name for row in HEADS}) == len(HEADS) >= 34


@pytest.mark.parametrize("lane", ["requests", "keepalive", "quick"])
def test_each_odd_head_is_taken_or_refused_as_the_table_says(
    lane: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = LANES[lane]
    monkeypatch.setattr(
        "pdl.fetch.lane_factory.Fetching", lambda http, files, _limit: lambda: make(http, files)
    )
    events: list[object] = []
    with Server(fallback=script_for) as server:
        urls = [server.url(row.path) for row in HEADS]
        download(urls, str(tmp_path), jobs=1, settings=SETTINGS, on_event=events.append)
    results = {event.url: event for event in events if isinstance(event, Result)}
    for row, url in zip(HEADS, urls, strict=True):
        result = results[url]
        assert (result.outcome is Outcome.SUCCESS) != bool(row.refused), result
        assert (result.message or "").isprintable()
        final = tmp_path / row.name
        assert (final.read_bytes() == BODY) if not row.refused else not final.exists()
