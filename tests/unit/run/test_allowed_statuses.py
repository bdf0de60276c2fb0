"""`--allow-status`: a status that is no failure; and retries without an end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pdl import (
    FileSettings,
    InputSettings,
    Item,
    LockSettings,
    PoolSettings,
    Report,
    Result,
    RetrySettings,
    Settings,
    download,
)
from pdl.model import Outcome
from pdl.settings import NO_END
from servers.behaviours import Reply
from servers.files import File

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from servers.misbehave import Server

GONE = frozenset({404, 410, 503})
USUAL = Settings()
SHA256 = "sha256:" + "0" * 64


def run(
    items: Sequence[str | Item], directory: Path, retry: RetrySettings, base: Settings = USUAL
) -> tuple[Report, list[Result]]:
    seen: list[Any] = []
    settings = base._replace(retry=retry, pool=PoolSettings(engine="inline"))
    report = download(items, str(directory), settings=settings, on_event=seen.append)
    return report, [each for each in seen if isinstance(each, Result)]


def test_a_status_that_is_allowed_is_skipped_and_writes_nothing(
    server: Server, tmp_path: Path
) -> None:
    urls = [server.on("/a", Reply(404)), server.on("/b", File(b"x")), server.on("/c", Reply(403))]
    items: list[str | Item] = [Item(urls[0], checksum=SHA256), *urls[1:]]
    lock = LockSettings(str(tmp_path / "l.jsonl"))
    report, rows = run(items, tmp_path / "out", RetrySettings(allowed=GONE), Settings(lock=lock))
    assert [(row.outcome, row.kind, row.status) for row in rows] == [
        (Outcome.SKIPPED, None, 404),
        (Outcome.SUCCESS, None, 200),
        (Outcome.FAIL, "http-403", 403),
    ]
    assert "404 Not Found" in rows[0].message
    assert rows[0].message.endswith("(--allow-status)")
    assert (report.summary.succeeded, report.summary.skipped, report.summary.failed) == (1, 1, 1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b"]
    locked = (tmp_path / "l.jsonl").read_text().splitlines()
    assert [json.loads(line)["out"] for line in locked] == ["b"]  # what never came is not pinned


def test_it_is_tried_again_first_and_mirrors_are_asked(server: Server, tmp_path: Path) -> None:
    once = server.on("/a", Reply(503), File(b"x"))
    mirrored = Item(server.on("/b", Reply(404)), mirrors=(server.on("/c", File(b"y")),))
    retry = RetrySettings(wait=0, allowed=GONE)
    report, rows = run([once, mirrored], tmp_path, retry)
    assert [row.outcome for row in rows] == [Outcome.SUCCESS] * 2
    assert report.ok


def test_a_refused_update_leaves_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    settings = Settings(files=FileSettings(if_exists="update"))
    url = server.on("/a", Reply(410))
    report, rows = run([url, url], tmp_path, RetrySettings(allowed=GONE), settings)
    assert [row.outcome for row in rows] == [Outcome.SKIPPED] * 2
    assert report.ok
    assert (tmp_path / "a").read_bytes() == b"old"


def test_retries_without_an_end(server: Server, tmp_path: Path) -> None:
    url = server.on("/a", *[Reply(500)] * 60, File(b"x"))
    report, [row] = run([url], tmp_path, RetrySettings(retries=NO_END, wait=0))
    assert report.ok
    assert row.attempts == 61


def test_a_checksum_file_cannot_be_done_without(server: Server, tmp_path: Path) -> None:
    sums = InputSettings(checksums=(server.on("/sums", Reply(404)),))
    url = server.on("/a", File(b"x"))
    report, rows = run([url], tmp_path / "out", RetrySettings(allowed=GONE), Settings(sums))
    assert report.list_error is not None
    assert "404" in str(report.list_error)
    assert rows == []
