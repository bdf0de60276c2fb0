"""The last words of a run: one line of numbers, then the failures by kind."""

from __future__ import annotations

import io
import re
import signal
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import FailureKind, Outcome, Result
from pdl.output.display.base import result_line
from pdl.output.display.registry import make_display
from pdl.output.reports.console import SHOWN, ConsoleReport, summary_line
from pdl.output.reports.failure_list import entry_text
from pdl.output.reports.json_ import JsonLinesReport
from pdl.output.sinks import StreamSink
from pdl.run.outputs import CallbackListener, FailureListener, Outputs, listeners_of
from pdl.scheduling.progress import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdl.output.display.base import Display
    from pdl.output.reports.registry import Reporter
    from pdl.output.sinks import Sink

NOT_AGAIN = "permanent"
OK = Result("urls.txt", 1, "http://h/a", None, "a", Outcome.SUCCESS, attempts=1)


def failure(number: int, kind: str = "http-404", **more: object) -> Result:
    fail = Result(
        "urls.txt", number, f"http://h/{number}", None, None, Outcome.FAIL, kind,
        transient=False, attempts=1, message="Not Found",
    )  # fmt: skip
    return fail._replace(**more)  # type: ignore[arg-type]


class Written(StreamSink):
    """A report in a file."""

    def __init__(self, name: str, *, placed: bool = True) -> None:
        super().__init__(io.StringIO(), pytest.fail)
        self.name = name
        self.placed = placed


def report(
    *results: Result,
    summary: Summary | None = None,
    quiet: bool = False,
    lists: Sequence[Sink] = (),
    told: int | None = 0,
) -> list[str]:
    stream = io.StringIO()
    console = ConsoleReport(stream, quiet=quiet, lists=lists, told=told)
    for result in results:
        console.record(result, None)
    failed = sum(result.outcome is Outcome.FAIL for result in results)
    console.finish(summary or Summary(succeeded=len(results) - failed, failed=failed))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        (Summary(), "pdl: 0 succeeded, 0 failed, 0 B in 0.0 s"),
        (
            Summary(9, 2, 3, 55, 0, 1 << 30, 16.0),
            "pdl: 9 succeeded, 2 skipped, 3 unchanged, 55 failed, 1.00 GiB in 16.0 s (64.0 MiB/s)",
        ),
        (
            Summary(5, left=7, seconds=60, stopped_by=signal.SIGINT),
            "pdl: interrupted by SIGINT: 5 succeeded, 0 failed, 7 left, 0 B in 1 min 00 s",
        ),
        (
            Summary(5, left=7, stopped_by=999, unread=True),
            "pdl: interrupted by signal 999: 5 succeeded, 0 failed, 7 or more left, 0 B in 0.0 s",
        ),
        (
            Summary(failed=9, left=1),
            "pdl: stopped early: 0 succeeded, 9 failed, 1 left, 0 B in 0.0 s",
        ),
        (
            Summary(1, failed=9, left=1, limit="max_failures"),
            (
                "pdl: stopped after 9 failures (--max-failures): "
                "1 succeeded, 9 failed, 1 left, 0 B in 0.0 s"
            ),
        ),
        (
            Summary(failed=9, unread=True, limit="deadline"),
            (
                "pdl: stopped at the deadline (--deadline): "
                "0 succeeded, 9 failed, 0 or more left, 0 B in 0.0 s"
            ),
        ),
        (
            Summary(failed=9, limit="max_failures"),
            "pdl: 0 succeeded, 9 failed, 0 B in 0.0 s",
        ),
    ],
)
def test_the_summary_line(summary: Summary, line: str) -> None:
    assert summary_line(summary) == line


def test_a_failure_says_where_why_how_often_and_whether_again() -> None:
    flaky = failure(8, "timeout", transient=True, attempts=4, message="no byte for 60 s")
    assert report(OK, failure(7), flaky, failure(9)) == [
        "pdl: 1 succeeded, 3 failed, 0 B in 0.0 s",
        "",
        (
            "timeout: 1 failure, the server was silent; --timeout allows more "
            "(transient, trying again may help)"
        ),
        "  http://h/8",
        "      no byte for 60 s (4 attempts, urls.txt:8)",
        "",
        f"http-404: 2 failures, the server has no such file ({NOT_AGAIN})",
        "  Not Found",
        "    http://h/7 (1 attempt, urls.txt:7)",
        "    http://h/9 (1 attempt, urls.txt:9)",
    ]


def test_what_has_no_line_message_or_attempt_still_reads_well() -> None:
    assert report(failure(0, "policy", attempts=0, message=""))[-2:] == [
        "  http://h/0",
        "      no reason given (not tried)",
    ]


def test_a_kind_with_both_sorts_says_how_many() -> None:
    lines = report(failure(1, "dns"), failure(2, "dns", transient=True))
    assert lines[2].endswith(" (1 transient, trying those again may help)")


@pytest.mark.parametrize(
    ("lists", "where"),
    [
        ((), "20 here; --failed FILE lists them all"),
        ((Written("bad.txt"), Written("r.jsonl")), "20 here, 5 in bad.txt"),
        (
            (Written("lost.txt", placed=False), Written("bad.txt"), Written("r.jsonl")),
            "20 here, 5 in bad.txt",
        ),
    ],
)
def test_past_twenty_of_a_kind_the_rest_is_counted(lists: tuple[Sink, ...], where: str) -> None:
    lines = report(*(failure(n) for n in range(1, SHOWN + 6)), lists=lists)
    assert lines[2].endswith(f"({NOT_AGAIN}): {where}")
    assert sum(line.startswith("    http") for line in lines) == SHOWN
    assert (lines[-1] == "the failures are listed in bad.txt, r.jsonl") == bool(lists)


def test_what_the_display_has_told_is_not_told_again() -> None:
    failures = [failure(n) for n in range(3000, 0, -1)]
    lines = report(*failures, lists=(Written("bad.txt"),), told=3)
    assert lines[2].endswith(f"({NOT_AGAIN}): 3 above, 20 here, 2,977 in bad.txt")
    assert lines[2].startswith("http-404: 3,000 failures, ")
    assert lines[4:24] == [f"    http://h/{n} (1 attempt, urls.txt:{n})" for n in range(1, 21)]
    assert len(lines) < 60
    assert report(failure(1), failure(2), told=3)[2:] == [
        f"http-404: 2 failures, the server has no such file ({NOT_AGAIN}): 2 above"
    ]
    assert report(*failures, told=None)[2].endswith("3,000 above")
    assert report(*failures[:4], told=3)[2].endswith("3 above, 1 here")


def test_a_reason_stands_once_above_its_urls_in_the_order_of_the_list() -> None:
    order = (4, 2, 9, 1)
    mixed = [failure(n, message="even" if n % 2 == 0 else "odd") for n in order]
    assert report(*mixed)[3:] == [
        "  odd",
        "    http://h/1 (1 attempt, urls.txt:1)",
        "    http://h/9 (1 attempt, urls.txt:9)",
        "  even",
        "    http://h/2 (1 attempt, urls.txt:2)",
        "    http://h/4 (1 attempt, urls.txt:4)",
    ]


def test_what_came_from_standard_input_is_said_so() -> None:
    assert report(failure(6, source="-"))[-1].endswith("(1 attempt, stdin:6)")


def test_the_report_says_which_limit_stopped_the_run() -> None:
    stopped = Summary(failed=3, left=1, limit="max_failures")
    assert summary_line(stopped, fail_fast=True).startswith(
        "pdl: stopped at the first failure (--fail-fast): "
    )
    assert summary_line(stopped, fail_fast=False).startswith(
        "pdl: stopped after 3 failures (--max-failures): "
    )


def test_the_report_of_a_stopped_run_says_how_to_go_on() -> None:
    stopped = Summary(1, failed=0, left=2, stopped_by=signal.SIGTERM)
    lines = report(OK, failure(2, "cancelled"), failure(3, "cancelled"), summary=stopped)
    assert lines[1:] == [
        "",
        "the same command again goes on from here",
    ]


def lost(number: int) -> Result:
    message = "the run was stopped; the 1 MiB so far are not kept: no validator"
    return failure(number, "cancelled", message=message)


@pytest.mark.parametrize(
    ("left", "rows", "said"),
    [
        ({"limit": "deadline"}, [], ["the same command again goes on from here"]),
        ({"limit": "max_failures", "failed": 1}, [],
         ["the same command without --fail-fast goes on from here"]),
        ({"limit": "max_failures", "failed": 2}, [],
         ["the same command without --max-failures goes on from here"]),
        ({"halted": True, "failed": 1}, [], []),
        ({}, [lost(1)],
         ["the same command again goes on from here",
          "but for http://h/1: the run was stopped; the 1 MiB so far are not kept: no validator"]),
        ({}, [lost(1), lost(2)],
         [("the same command again begins anew with http://h/1, and so for 1 other: "
          "the run was stopped; the 1 MiB so far are not kept: no validator")]),
    ],
)  # fmt: skip
def test_the_same_command_is_no_advice_where_it_would_meet_the_same(
    left: dict[str, object], rows: list[Result], said: list[str]
) -> None:
    stopped = Summary(succeeded=1, left=2)._replace(**left)  # type: ignore[arg-type]
    assert report(OK, *rows, summary=stopped)[1:] == (["", *said] if said else [])


def test_a_run_in_which_nothing_was_tried_has_no_sum() -> None:
    assert report(summary=Summary()) == []
    assert report(summary=Summary(left=2, halted=True)) == []
    assert report(summary=Summary(left=2, limit="deadline"))
    assert report(summary=Summary(stopped_by=signal.SIGINT))
    assert report(summary=Summary(failed=1, left=2, halted=True))


def test_a_url_of_several_lines_is_told_once_with_its_lines() -> None:
    one = failure(1)
    further = [one._replace(line=line, attempts=0) for line in (2, 5)]
    assert report(one, *further)[3:] == [
        "  http://h/1",
        "      Not Found (1 attempt, urls.txt:1, urls.txt:2, urls.txt:5)",
    ]
    assert report(one, failure(3), *further)[3:] == [
        "  Not Found",
        "    http://h/1 (1 attempt, urls.txt:1, urls.txt:2, urls.txt:5)",
        "    http://h/3 (1 attempt, urls.txt:3)",
    ]
    # two that differ in what is masked were both asked
    assert len(report(one, one._replace(line=2))) == 6


@pytest.mark.parametrize("told", [0, None])
def test_what_is_wrong_on_this_disk_has_a_way_on(told: int | None) -> None:
    way = "  remove what is wrong, and a run fetches just that; --if-exists overwrite"
    there = failure(1, "checksum", message="a on this disk: the digest is another", attempts=0)
    assert report(there, told=told)[-1].startswith(way)
    came = failure(1, "checksum", message="the digest is another")
    assert not report(came, told=told)[-1].startswith(way)


def test_what_was_never_tried_is_said_so_everywhere() -> None:
    bad = failure(1, "invalid-url", attempts=0)
    assert result_line(bad).endswith("(not tried, urls.txt:1)")
    assert entry_text(bad, None).startswith("\n# invalid-url, permanent, not tried: ")


def test_quiet_is_silent_when_all_is_well_and_only_then() -> None:
    assert report(OK, quiet=True) == []
    assert report(OK, failure(1), quiet=True)
    assert report(OK, quiet=True, summary=Summary(1, stopped_by=signal.SIGINT))
    assert report(OK, quiet=True, summary=Summary(1, unread=True))


def test_memory_does_not_grow_with_the_failures() -> None:
    console = ConsoleReport(io.StringIO())
    for number in range(50):
        console.record(failure(number), None)
    tracemalloc.start()
    for number in range(20_000):
        console.record(failure(number), None)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 500_000  # the interpreter keeps some thousands of freed tuples


@given(st.text(), st.text(), st.text())
def test_no_control_character_gets_through(url: str, message: str, source: str) -> None:
    lines = "\n".join(
        report(failure(1, url=url, message=message, source=source), lists=(Written(url),))
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", lines)
    assert lines.count("\n") == 6


def test_a_stream_that_is_gone_is_no_matter(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    stream.close()
    ConsoleReport(stream).finish(Summary())
    ConsoleReport(None).finish(Summary())
    assert capfd.readouterr() == ("", "")


ELSEWHERE = {"http", "missing", "cancelled"}
"""Kinds that a report shows otherwise: by status, by ``--check``, and as left."""


@pytest.mark.parametrize("kind", sorted({kind.value for kind in FailureKind} - ELSEWHERE))
def test_every_kind_says_what_it_means_or_what_to_do(kind: str) -> None:
    assert report(failure(1, kind))[2].startswith(f"{kind}: 1 failure, ")


def test_a_server_in_trouble_is_told() -> None:
    assert "the server is in trouble" in report(failure(1, "http-503"))[2]
    assert "1 failure (" in report(failure(1, "http-418"))[2]


def test_who_wants_to_see_every_line() -> None:
    def quiet(verbose: int = 0) -> Display:
        return make_display("plain", io.StringIO(), quiet=False, verbose=verbose)

    console = ConsoleReport(io.StringIO())
    rows = JsonLinesReport(StreamSink(io.StringIO(), print))

    def every(*reporters: Reporter, display: Display) -> bool:
        return Outputs(listeners_of(reporters, display)).every

    assert not every(console, display=quiet())
    assert not Outputs().every
    assert not Outputs([FailureListener()]).every
    assert every(console, rows, display=quiet())
    assert every(console, display=quiet(verbose=1))
    assert Outputs().and_also(CallbackListener(print)).every
