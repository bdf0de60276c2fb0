"""The HTML report as text: what is data in it stays data, and a million rows take no memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from html_page import Page
from pdl.model import Outcome, Result
from pdl.output.reports.html import CHUNK, COLUMNS, SHOWN, embedded, row_of
from pdl.output.reports.registry import Watch, open_report
from pdl.output.reports.timeline import EVENTS, SAMPLES, Timeline
from pdl.scheduling.host_news import HostEvent
from pdl.scheduling.progress import HostRow, Span, Standing, Summary

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://h/a"
ROW = Result("urls.txt", 1, URL, URL, "a", Outcome.SUCCESS, None, None, 200, 5, 5)
BAD = Result(
    "urls.txt", 2, "http://h/c", None, None, Outcome.FAIL, "http-404", False, 404, message="no file"
)
SUMMARY = Summary(succeeded=1, failed=1, bytes=5, seconds=1.5)
NASTY = "</script><script>x</script><!--<img src=x onerror=y>\u202e]]>&lt;\x00\ud800\u2028'\""
PROGRAM = ("script", None)


def write(path: Path, *rows: Result, directory: str = ".", summary: Summary = SUMMARY) -> Page:
    report = open_report(str(path), pytest.fail, directory)
    for row in rows:
        report.record(row, None)
    report.finish(summary)
    return Page(path)


def watch_of(report: object) -> Watch:
    watch: Watch = getattr(report, "watch")  # noqa: B009 - no other kind of report has one
    return watch


# --- what is in it ------------------------------------------------------------------------


def test_the_page_has_all_of_the_rows_and_the_numbers(tmp_path: Path) -> None:
    more = ROW._replace(line=3, digests=("md5:00", "sha1:ff"), final_url="http://i/a")
    page = write(tmp_path / "r.html", ROW, BAD, more)
    assert [row["line"] for row in page.rows] == [1, 2, 3]
    first, second, third = page.rows
    assert page.run["outcomes"][first["outcome"]] == "success"
    assert (first["url"], first["path"], first["size"]) == (URL, "a", 5)
    assert (first["final_url"], third["final_url"]) == (None, "http://i/a")
    assert third["digests"] == "md5:00 sha1:ff"
    assert page.run["outcomes"][second["outcome"]] == "fail"
    assert (second["kind"], second["message"], second["status"]) == ("http-404", "no file", 404)
    assert page.run["sources"][first["source"]] == "urls.txt"
    assert page.run["summary"]["failed"] == 1
    assert page.run["hints"] == {"http-404": "the server has no such file"}


def test_the_hosts_are_in_it(tmp_path: Path) -> None:
    host = HostRow("h", requests=9, pressure=2, rests=1, first_byte_p50=0.25)
    page = write(tmp_path / "r.html", summary=SUMMARY._replace(hosts=(host,)))
    (found,) = page.run["hosts"]
    assert (found["host"], found["pressure"], found["rests"]) == ("h", 2, 1)
    assert "hosts" not in page.run["summary"]


def test_what_is_empty_at_the_end_of_a_row_is_left_out() -> None:
    assert len(row_of(ROW._replace(content_type=None), 0)) == COLUMNS.index("size") + 1
    assert len(row_of(BAD._replace(digests=("a:b",)), 0)) == len(COLUMNS)


# --- data stays data ----------------------------------------------------------------------


@given(text=st.text() | st.text(alphabet="</script>!-&'\"\\\x00\u2028\u202e") | st.just(NASTY))
def test_no_text_ends_the_element_that_it_is_in(text: str) -> None:
    made = embedded({"a": [text]})
    assert made.isascii()
    assert made.isprintable()
    assert "<" not in made
    assert json.loads(made) == {"a": [text]}


def test_hostile_texts_make_no_elements(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.html", ROW, BAD)
    bad = BAD._replace(url=NASTY, message=NASTY, source=NASTY, path=NASTY, kind=NASTY)
    host = HostRow(NASTY, reason=NASTY, given_up_at=1.0)
    summary = SUMMARY._replace(hosts=(host,))
    name = NASTY.translate({0: None, 0xD800: None})  # which no directory can have
    page = write(tmp_path / "r.html", ROW, bad, directory=name, summary=summary)
    assert [each.tag for each in page.elements] == [each.tag for each in plain.elements]
    assert any("<img src=x onerror=y>" in text for text in page.texts("td"))


def test_no_script_runs_but_the_one_that_the_policy_names(tmp_path: Path) -> None:
    page = write(tmp_path / "r.html", ROW)
    programs = [
        each for each in page.elements if each.tag == "script" and "type" not in each.attributes
    ]
    (policy,) = [
        each.attributes["content"] for each in page.elements if "http-equiv" in each.attributes
    ]
    assert policy is not None
    for element in (*programs, *[each for each in page.elements if each.tag == "style"]):
        digest = hashlib.sha256("".join(element.inside).encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert len(programs) == 1
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    page = write(tmp_path / "r.html", ROW)
    asks = {"src", "href", "srcset", "action", "data", "poster", "background", "style"}
    asked = {(each.tag, name) for each in page.elements for name in asks & set(each.attributes)}
    assert asked == {("a", "href")}
    links = [each.attributes["href"] for each in page.elements if each.tag == "a"]
    assert links == ["#lines"]
    asking = r"url\(|@import|fetch\(|XMLHttp|innerHTML|document\.write|eval\("
    for text in (*page.texts("style"), *page.texts("script")):
        assert not re.search(asking, text)


@pytest.mark.parametrize(
    ("report", "directory", "link"),
    [
        ("r.html", ".", "././"),
        ("r.html", "files", "./files/"),
        ("reports/r.html", "files", "./../files/"),
        ("r.html", "a b/50%#?x", "./a%20b/50%25%23%3Fx/"),
        ("r.html", "javascript:x", "./javascript%3Ax/"),
        ("r.html", os.fsdecode(b"\xff"), "./%FF/"),
    ],
)
def test_links_to_files_are_relative_to_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: str, directory: str, link: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports").mkdir()
    assert write(tmp_path / report, ROW, directory=directory).run["home"] == link


def test_where_no_script_runs_there_are_the_numbers_and_the_first_failures(tmp_path: Path) -> None:
    bad = [BAD._replace(line=line, url=f"http://h/{line}") for line in range(SHOWN + 5)]
    left = BAD._replace(kind="cancelled", url="http://h/left")
    page = write(tmp_path / "r.html", ROW, left, *bad)
    cells = page.texts("td")
    assert str(len(bad)) in cells
    assert f"http://h/{SHOWN - 1}" in cells
    assert {f"http://h/{SHOWN}", "http://h/left"} & set(cells) == set()
    assert any("1 succeeded, 1 failed" in text for text in page.texts("p"))


# --- how a run went on --------------------------------------------------------------------


def test_attempts_are_told_in_milliseconds_since_the_beginning() -> None:
    told: list[tuple[str, list[object]]] = []
    watch = Timeline(lambda span, data: told.append((span.source, data)), clock=lambda: 100.0)
    watch.span(Span("l", 1, 3, 100.5, 102.0, 0.25, 5))
    watch.span(Span("l", 2, 3, 100.5, 101.5, 7.0, 0, "http-503"))
    watch.span(Span("l", 3, 4, 100.5, 101.5, None, 6, helps=True))
    watch.span(Span("l", 4, 4, 101.5, 101.4))
    assert told == [
        ("l", [1, 3, 500.0, 1500.0, 250.0, 5]),
        ("l", [2, 3, 500.0, 1000.0, 1000.0, 0, "http-503"]),
        ("l", [3, 4, 500.0, 1000.0, None, 6, "", 1]),
        ("l", [4, 4, 1500.0, 0.0, None, 0]),
    ]


def test_the_curve_of_a_long_run_has_no_more_points_than_that_of_a_short_one() -> None:
    watch = Timeline(lambda *_: None, clock=lambda: 0.0)
    count = 50 * SAMPLES
    for number in range(count):
        watch.tick(Standing((), number, None, number / 10))
    assert SAMPLES / 4 < len(watch.samples) < SAMPLES
    times = [at for at, _ in watch.samples]
    assert times == sorted(times)
    assert times[-1] > 0.95 * count / 10
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert max(gaps) < 6 * count / 10 / SAMPLES


def test_events_of_hosts_beyond_a_bound_are_counted() -> None:
    watch = Timeline(lambda *_: None)
    for _ in range(EVENTS + 3):
        watch.happened(HostEvent("h" * 5000, "rest", "words", "http-503", 1, 2.0))
    assert (len(watch.events), watch.lost) == (EVENTS, 3)
    assert len(watch.events[0][1]) < 300
    assert watch.events[0][2:] == ("rest", "http-503", 2.0)


def test_attempts_and_events_are_in_the_page(tmp_path: Path) -> None:
    report = open_report(str(tmp_path / "r.html"), pytest.fail)
    watch = watch_of(report)
    for line in range(CHUNK + 2):
        watch.span(Span("urls.txt", line, 1, 0.0, 1.0))
    watch.happened(HostEvent("h", "given-up", "words", "connect"))
    watch.tick(Standing((), 5, None, 1e9))
    report.finish(SUMMARY)
    page = Page(tmp_path / "r.html")
    assert [each[1] for each in page.spans] == list(range(CHUNK + 2))
    assert page.run["sources"] == ["urls.txt"]
    assert [each[1:3] for each in page.run["events"]] == [["h", "given-up"]]
    assert page.run["samples"][0][1] == page.run["samples"][-1][1] == 5


def test_rows_take_no_memory(tmp_path: Path) -> None:
    report = open_report(str(tmp_path / "r.html"), pytest.fail)
    watch = watch_of(report)

    def some(count: int) -> int:
        for line in range(count):
            watch.span(Span("urls.txt", line, 1, 0.0, 1.0, 0.5, 5))
            report.record(ROW._replace(line=line, message="m" * 100), None)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = some(2 * CHUNK)
        assert some(8 * CHUNK) - before < 100_000
    finally:
        tracemalloc.stop()
    report.finish(SUMMARY)
    assert len(Page(tmp_path / "r.html").rows) == 10 * CHUNK
