"""The schema of reports and events: it says what there is, and all that is written keeps to it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from pdl.cli.help import SCHEMA, manual_page
from pdl.model import FailureKind, Outcome, Result, Retrying, failure_word
from pdl.output.display.registry import make_display
from pdl.output.reports.registry import open_report
from pdl.scheduling.host_news import HostEvent
from pdl.scheduling.progress import HostRow, Standing, Summary, Transfer

if TYPE_CHECKING:
    from pathlib import Path

SAID = json.loads(manual_page(SCHEMA))
ALL = Draft202012Validator(SAID)
BARE = Result("l.txt", 2, "x", None, None, Outcome.FAIL, "invalid-url", False)
FULL = Result(
    *("l.txt", 1, "http://h/a", "http://h/b", "a", Outcome.SUCCESS, None, None, 200, 5, 5, 1, 1),
    *(0.5, "2026-01-01T00:00:00Z", "pieces:sha1", "m", "text/plain", '"e"', "Thu", "h:8080"),
    ("sha256:00ff", "md5:00"),
)
HOST = HostRow("h:80", 3, 1, 1, 0.123456, None, 5, 1.6, 2, 0.0, "x")
SUMMARIES = [
    Summary(hosts=(HOST, HostRow("g"))),
    Summary(1, 2, 3, 4, 5, 6, 7.5, 15, True, "deadline", 8, True),
]


def only(name: str) -> Draft202012Validator:
    """The validator of one of the parts."""
    return Draft202012Validator({**SAID, "anyOf": [{"$ref": f"#/$defs/{name}"}]})


def test_the_schema_is_one_and_has_the_number_of_the_reports() -> None:
    Draft202012Validator.check_schema(SAID)
    numbers = [
        each["properties"]["schema"]
        for each in SAID["$defs"].values()
        if "schema" in each.get("properties", {})
    ]
    assert len(numbers) == 9
    assert {each["const"] for each in numbers} == {1}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("row", Result._fields),
        ("host", HostRow._fields),
        ("summary", [name for name in Summary._fields if name != "hosts"]),
        ("event-retry", ["schema", "event", *Retrying._fields]),
        ("event-host", ["schema", "event", *HostEvent._fields]),
    ],
)
def test_each_field_is_said_in_its_order_and_no_other(name: str, fields: list[str]) -> None:
    said = SAID["$defs"][name]
    assert list(said["properties"]) == said["required"] == list(fields)
    assert all(each.get("description") or "const" in each for each in said["properties"].values())


@pytest.mark.parametrize("summary", SUMMARIES)
@pytest.mark.parametrize("rows", [[], [FULL], [BARE, FULL]])
def test_report_files_keep_to_it(tmp_path: Path, rows: list[Result], summary: Summary) -> None:
    for name in ("r.json", "r.jsonl"):
        report = open_report(str(tmp_path / name), pytest.fail)
        for row in rows:
            report.record(row, None)
        report.finish(summary)
    whole = json.loads((tmp_path / "r.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    for name, values in {"report": [whole], "line": lines}.items():
        for value in values:
            assert [*only(name).iter_errors(value), *ALL.iter_errors(value)] == []


def test_all_events_keep_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    display = make_display("json", io.StringIO(), quiet=False, verbose=0)
    display.tick(Standing((Transfer("a", 1, None), Transfer("b", 1, 2)), 5, None, 100.0))
    display.tick(Standing((), 5, 10, 102.0))
    display.record(FULL)
    display.record(BARE)
    display.retrying(Retrying("http://h/a", "m", "http-503", 1, 0.5, "a"))
    display.happened(HostEvent("h", "cut", "m", "http-503", 1, 2.5))
    display.happened(HostEvent("h", "uncut", "m"))
    display.resized(12)
    for summary in SUMMARIES:
        display.finish(summary)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for event in events:
        ALL.validate(event)
        only(f"event-{event['event']}").validate(event)
        assert not only("line").is_valid(event)
    told = {f"event-{event['event']}" for event in events}
    assert told == {name for name in SAID["$defs"] if name.startswith("event-")}


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_is_known(kind: FailureKind) -> None:
    row = {**BARE._asdict(), "kind": failure_word(kind, 404)}
    only("row").validate(row)
    assert not only("row").is_valid({**row, "kind": "no-such-kind"})


@pytest.mark.parametrize("name", Result._fields)
def test_a_row_that_lacks_a_field_or_has_another_type_is_refused(name: str) -> None:
    row: dict[str, Any] = json.loads(json.dumps(FULL._asdict()))
    only("row").validate(row)
    wrong: object = 7 if name == "fields" else {}
    assert not only("row").is_valid({**row, name: wrong})
    del row[name]
    assert not only("row").is_valid(row)
