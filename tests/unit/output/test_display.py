"""The displays: a bar, plain lines, JSON, nothing; on terminals and on what is none."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import Outcome, Result, Retrying
from pdl.output.display.bar import BarDisplay
from pdl.output.display.base import Display, PlainDisplay, SilentDisplay
from pdl.output.display.json_ import JsonDisplay
from pdl.output.display.registry import make_display
from pdl.scheduling.host_news import HostEvent
from pdl.scheduling.progress import HostRow, Standing, Summary, Transfer, Waiting
from pdl.text.units import cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdl.settings import ProgressMode

MIB = 1 << 20
OK = Result("urls.txt", 3, "http://h/a.bin", None, "a.bin", Outcome.SUCCESS, size=2048, attempts=1)
BAD = Result(
    "urls.txt", 4, "http://h/b", None, None, Outcome.FAIL, "http-404", False, 404,
    attempts=1, message="Not Found",
)  # fmt: skip
AGAIN = Retrying("http://h/c", "connection reset", "reset", 1, 0.25, "c")
RESTS = HostEvent("h:80", "rest", "h:80 rests for 0.5 s (connect)", "connect", 1, 0.5)
ESCAPES = re.compile(r"\x1b\[\d*[AJK]")
MODES: list[ProgressMode] = ["auto", "bar", "plain", "json", "none"]


class Terminal(io.StringIO):
    """Claims to be a terminal of the size that COLUMNS and LINES tell."""

    def isatty(self) -> bool:
        return True


class Screen:
    """As much of a terminal as the frame needs; text that reaches its right edge is a failure."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        for part in re.split(r"(\x1b\[\d*[A-Z]|\r|\n)", text):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.row, self.column = self.row + 1, 0
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif part.endswith("A") and part[:1] == "\x1b":
                self.row -= int(part[2:-1])
                assert self.row >= 0
            elif part in {"\x1b[K", "\x1b[J"}:
                self.rows[self.row] = self.rows[self.row][: self.column]
                if part == "\x1b[J":
                    del self.rows[self.row + 1 :]
            else:
                self._put(part)

    def _put(self, part: str) -> None:
        old = self.rows[self.row]
        self.rows[self.row] = old[: self.column] + part + old[self.column + len(part) :]
        self.column += len(part)

    def widest(self) -> int:
        return max(map(cells, self.rows))


@pytest.fixture
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    columns: int = request.param
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    return columns


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


def everything(display: Display, total: int | None = 10) -> None:
    """Call all a display has, with a clock that runs past every interval."""
    live = (Transfer("dir/日本語-" + "long" * 30, 3 * MIB, 9 * MIB), Transfer("b", 2 * MIB, None))
    display.tick(Standing((), 0, total, 100.0))
    display.tick(Standing((), 0, total, 100.1))
    display.tick(Standing(live, 5 * MIB, total, 101.0))
    display.record(OK)
    display.record(BAD)
    display.retrying(AGAIN)
    display.tick(Standing(live, 7 * MIB, total, 102.0))
    display.notice("something is odd")
    display.happened(RESTS)
    display.resized(12)
    display.tick(Standing(live[:1], 9 * MIB, total, 140.0))
    display.finish(Summary(hosts=(HostRow("h:80", 3, 1, 1, 0.123456, None, 5, 1.6, 2, 0.0, "x"),)))
    display.close()


# --- which display ------------------------------------------------------------------------


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("mode", "terminal", "quiet", "kind"),
    [
        ("auto", True, False, BarDisplay),
        ("auto", False, False, PlainDisplay),
        ("auto", True, True, SilentDisplay),
        ("bar", False, False, BarDisplay),
        ("plain", True, False, PlainDisplay),
        ("none", True, False, SilentDisplay),
        ("json", True, True, JsonDisplay),
    ],
)
def test_the_mode_and_the_stream_choose(
    mode: ProgressMode, terminal: bool, quiet: bool, kind: type
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    assert type(make_display(mode, stream, quiet=quiet, verbose=0)) is kind


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_terminal_without_cursor_gets_no_bar(
    term: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if term:
        monkeypatch.setenv("TERM", term)
    assert type(make_display("auto", Terminal(), quiet=False, verbose=0)) is PlainDisplay


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(("ci", "kind"), [("true", PlainDisplay), ("false", BarDisplay)])
def test_the_terminal_of_a_ci_service_gets_lines_for_its_log(
    ci: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    assert type(make_display("auto", Terminal(), quiet=False, verbose=0)) is kind
    assert type(make_display("bar", Terminal(), quiet=False, verbose=0)) is BarDisplay


# --- plain --------------------------------------------------------------------------------


def test_plain_says_failures_as_a_number_and_each_only_when_asked() -> None:
    stream = io.StringIO()
    display = make_display("plain", stream, quiet=False, verbose=0)
    display.record(OK)
    display.retrying(AGAIN)
    assert stream.getvalue() == ""
    display.record(BAD)
    display.record(BAD._replace(kind="timeout"))
    display.record(BAD)
    assert stream.getvalue() == ""
    display.tick(Standing((), 0, 4, 0.0))
    display.tick(Standing((), 0, 4, 30.0))
    assert ", 3 failed (2 http-404, 1 timeout), " in stream.getvalue()
    assert display.told == 0
    loud = make_display("plain", stream, quiet=False, verbose=1)
    loud.record(BAD._replace(source="-"))
    assert stream.getvalue().splitlines()[-1] == (
        "failed     http-404  http://h/b  Not Found (1 attempt, stdin:4)"
    )
    assert loud.told is None


def test_plain_and_verbose_has_a_line_for_everything() -> None:
    stream = io.StringIO()
    display = make_display("plain", stream, quiet=False, verbose=1)
    display.record(OK)
    display.retrying(AGAIN)
    display.record(OK._replace(outcome=Outcome.SKIPPED, message="is there"))
    assert stream.getvalue().splitlines() == [
        "success    a.bin  2.00 KiB in 0.0 s",
        "again in 0.2 s  reset  http://h/c  connection reset (attempt 1)",
        "skipped    a.bin  (is there)",
    ]


def test_plain_tells_how_far_it_is_every_half_minute() -> None:
    stream = io.StringIO()
    display = make_display("plain", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 4, 1000.0))
    display.record(OK)
    for tenth in range(1, 650):
        live = (Transfer("x", tenth * 1024, MIB),)
        display.tick(Standing(live, tenth * 1024, 4, 1000 + tenth / 10))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("pdl: 1 of 4 done, 0 failed, 1 in flight, 300 KiB, 10.0 KiB/s, ")
    assert lines[0].endswith(" left")


def test_plain_does_without_a_total() -> None:
    stream = io.StringIO()
    display = make_display("plain", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, None, 0.0))
    display.tick(Standing((), 0, None, 30.0))
    assert stream.getvalue() == "pdl: 0 done, 0 failed, 0 in flight, 0 B, 0 B/s\n"


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("mode", ["plain", "bar"])
def test_what_a_stop_cancelled_is_neither_done_nor_failed_nor_a_line(mode: ProgressMode) -> None:
    stream = Terminal()
    display = make_display(mode, stream, quiet=False, verbose=1)
    display.tick(Standing((), 0, 10, 0.0))
    display.record(BAD._replace(kind="cancelled"))
    assert stream.getvalue() == ""
    display.tick(Standing((), 0, 10, 31.0))
    assert "cancelled" not in stream.getvalue()
    assert "0 failed" in stream.getvalue()


# --- json ---------------------------------------------------------------------------------


def test_json_writes_one_object_a_line_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    everything(make_display("json", stream, quiet=False, verbose=0))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == [
        "progress", "progress", "done", "done", "retry", "progress",
        "host", "jobs", "progress", "host-row", "summary",
    ]  # fmt: skip
    assert {event["schema"] for event in events} == {1}
    assert events[3].items() >= {**BAD._asdict(), "outcome": "fail"}.items()
    assert events[4] == {"schema": 1, "event": "retry", **AGAIN._asdict()}
    assert events[5].items() >= {"done": 2, "failed": 1, "total": 10, "bytes": 7 * MIB}.items()
    assert events[5]["transfers"][1] == {"path": "b", "received": 2 * MIB, "size": None}
    assert events[6] == {"schema": 1, "event": "host", **RESTS._asdict()}
    assert events[7] == {"schema": 1, "event": "jobs", "jobs": 12}
    assert events[9] == {
        "schema": 1,
        "event": "host-row",
        "host": "h:80",
        "requests": 3,
        "pressure": 1,
        "rests": 1,
        "first_byte_p50": 0.1235,
        "first_byte_p95": None,
        "bytes": 5,
        "bytes_per_second": 2,
        "given_up": 2,
        "given_up_at": "1970-01-01T00:00:00Z",
        "reason": "x",
    }
    numbers = Summary()._asdict()
    del numbers["hosts"]
    assert events[10] == {"schema": 1, "event": "summary", **numbers}
    assert stream.getvalue() == "pdl: something is odd\n"


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("mode", ["plain", "bar"])
@pytest.mark.parametrize("verbose", [0, 1])
def test_what_happens_to_hosts_is_told_to_those_who_look_closely(
    mode: ProgressMode, verbose: int
) -> None:
    stream = Terminal() if mode == "bar" else io.StringIO()
    everything(make_display(mode, stream, quiet=False, verbose=verbose))
    told = stream.getvalue()
    assert ("host       h:80 rests for 0.5 s (connect)\n" in told) is bool(verbose)
    assert ("jobs       12 at once from now on (-j auto)\n" in told) is bool(verbose)


# --- bar ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("wide")
def test_the_bar_shows_the_run_and_the_largest_files() -> None:
    stream = Terminal()
    display = make_display("auto", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 10, 0.0))
    assert stream.getvalue() == ""
    display.record(OK)
    display.record(BAD)
    display.tick(
        Standing((Transfer("big.iso", 3 * MIB, 4 * MIB), Transfer("s", 1, 2)), 4 * MIB, 10, 2.0)
    )
    screen = Screen(80)
    screen.feed(stream.getvalue())
    told, bar, line = screen.rows
    assert told.startswith("failed     http-404  http://h/b")
    assert bar.startswith(" 32%|")
    assert bar.endswith("|  2/10, 1 failed, 4.00 MiB, 2.00 MiB/s, 00:02, 00:07 left")
    assert line.split() == ["big.iso", "75%", "3.00", "MiB", "/", "4.00", "MiB"]
    assert (screen.row, screen.column) == (1, 0)


@pytest.mark.usefixtures("wide")
def test_the_first_failures_of_a_kind_stand_above_the_bar() -> None:
    stream, screen = Terminal(), Screen(80)
    display = make_display("auto", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 100, 0.0))
    for number in range(9):
        display.record(BAD._replace(url=f"http://h/{number}"))
        display.record(BAD._replace(url=f"http://h/{number}", kind="size"))
        display.tick(Standing((), 0, 100, 1.0 + number))
    screen.feed(stream.getvalue())
    told = [row.split()[1:3] for row in screen.rows[:-1]]
    assert told == [[kind, f"http://h/{n}"] for n in range(3) for kind in ("http-404", "size")]
    assert display.told == 3


@pytest.mark.usefixtures("wide")
def test_the_frame_vanishes_at_the_end_and_what_stood_above_it_stays() -> None:
    stream, screen = Terminal(), Screen(80)
    everything(make_display("auto", stream, quiet=False, verbose=0))
    screen.feed(stream.getvalue())
    assert screen.rows[0].startswith("failed ")
    assert screen.rows[1:] == ["pdl: something is odd", ""]


@pytest.mark.usefixtures("wide")
def test_the_frame_vanishes_where_the_process_ends_at_once() -> None:
    stream, screen = Terminal(), Screen(80)
    display = make_display("auto", stream, quiet=False, verbose=0)
    display.abandon()
    assert stream.getvalue() == ""
    for now in (0.0, 1.0):
        display.tick(Standing((Transfer("a", MIB, 2 * MIB),), MIB, 10, now))
    display.abandon()
    screen.feed(stream.getvalue())
    assert screen.rows == [""]


@pytest.mark.parametrize("narrow", [20, 40, 80, 120, 200], indirect=True)
def test_what_is_waited_for_stands_below_the_bar(narrow: int) -> None:
    stream, screen = Terminal(), Screen(narrow)
    display = make_display("auto", stream, quiet=False, verbose=0)
    for now in (0.0, 1.0):
        waiting = Waiting("host.example.org", 17.0 - now, "http-503", 3)
        display.tick(Standing((Transfer("a", 2 * MIB, 4 * MIB),), MIB, 10, now, waiting))
    screen.feed(stream.getvalue())
    assert screen.widest() < narrow
    assert screen.rows[1].startswith("  waiti")
    assert screen.rows[2].startswith("  a")
    if narrow >= 80:
        assert screen.rows[1] == "  waiting 16 s for host.example.org (503, 3 files)"


@pytest.mark.usefixtures("wide")
def test_there_is_no_colour() -> None:
    stream = Terminal()
    everything(make_display("bar", stream, quiet=False, verbose=1))
    assert not re.search(r"\x1b\[[0-9;]*m", stream.getvalue())


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("locale", "ascii_only"),
    [
        ({"LANG": "en_GB.UTF-8"}, False),
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python leaves it
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "POSIX"}, True),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, False),
    ],
)
def test_the_bar_is_ascii_where_the_locale_is(
    locale: dict[str, str], ascii_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    display = make_display("auto", stream, quiet=False, verbose=0)
    for now in (0.0, 1.0):
        display.tick(Standing((Transfer("n" * 90, 3 * MIB, 4 * MIB),), 0, 1, now))
    assert " 75%|" in stream.getvalue()
    assert stream.getvalue().isascii() is ascii_only


@pytest.mark.usefixtures("wide")
def test_a_wide_terminal_has_the_bytes_and_the_time_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream, screen = Terminal(), Screen(120)
    display = make_display("auto", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 1, 0.0))
    display.tick(Standing((Transfer("x", 3 * MIB, 12 * MIB),), 3 * MIB, 1, 3.0))
    screen.feed(stream.getvalue())
    assert screen.rows[0].startswith(" 25%|")
    ends = "0/1 files, 0 failed, 3.00 MiB, 1.00 MiB/s, 00:03,   00:09 left"
    assert screen.rows[0].endswith(ends)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("mode", ["bar", "plain"])
def test_files_that_are_only_counted_are_done_as_well(mode: ProgressMode) -> None:
    stream = Terminal()
    display = make_display(mode, stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 8, 100.0))
    display.record(BAD)
    display.passed(3)
    display.tick(Standing((), 5 * MIB, 8, 140.0))
    assert (
        "4/8 files, 1 failed" if mode == "bar" else "4 of 8 done, 1 failed"
    ) in stream.getvalue()
    display.close()


@pytest.mark.usefixtures("wide")
def test_verbose_lines_stand_above_the_bar() -> None:
    stream, screen = Terminal(), Screen(80)
    everything(make_display("auto", stream, quiet=False, verbose=1))
    screen.feed(stream.getvalue())
    first = [(row.split() or [""])[0] for row in screen.rows[:7]]
    assert first == ["success", "failed", "again", "pdl:", "host", "jobs", ""]


@pytest.mark.usefixtures("wide")
def test_a_run_that_is_over_at_once_shows_no_bar_but_its_lines() -> None:
    stream = Terminal()
    display = make_display("bar", stream, quiet=False, verbose=1)
    display.tick(Standing((), 0, 1, 0.0))
    display.record(OK)
    display.close()
    assert stream.getvalue() == "success    a.bin  2.00 KiB in 0.0 s\n"


@pytest.mark.parametrize("total", [10, None, 1_000_000])
@pytest.mark.parametrize("narrow", [*range(10, 44, 3), 60, 79, 80, 200], indirect=True)
def test_no_width_makes_it_wrap(narrow: int, total: int | None) -> None:
    stream, screen = Terminal(), Screen(narrow)
    display = make_display("bar", stream, quiet=False, verbose=0)
    live = (Transfer("日本語" * 9, 3 * MIB, 9 * MIB), Transfer("b" * 300, 2 * MIB, None))
    for second in range(4):
        display.tick(Standing(live, second * MIB, total, second))
        screen.feed(stream.getvalue())
        stream.seek(stream.truncate(0))
        assert screen.widest() < narrow
    assert "0 failed" in screen.rows[0]
    assert len(screen.rows) == 3


@pytest.mark.parametrize("narrow", [80], indirect=True)
def test_a_resize_draws_the_frame_anew(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    display = make_display("bar", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 10, 0.0))
    display.tick(Standing((), 0, 10, 1.0))
    before = len(stream.getvalue())
    monkeypatch.setenv("COLUMNS", "30")
    display.tick(Standing((), 0, 10, 1.1))
    frame = stream.getvalue()[before:]
    assert frame.startswith("\r\x1b[J")
    assert cells(ESCAPES.sub("", frame).strip()) < 30


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("lines", [1, 2, 3, 4])
def test_a_low_terminal_loses_file_lines_first(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", str(lines))
    stream = Terminal()
    display = make_display("bar", stream, quiet=False, verbose=0)
    live = tuple(Transfer(name, 2 * MIB, 4 * MIB) for name in "abc")
    display.tick(Standing(live, 0, 10, 0.0))
    display.tick(Standing(live, 0, 10, 1.0))
    assert stream.getvalue().count("\n") == max(lines - 2, 0)


@pytest.mark.usefixtures("wide")
def test_a_frame_like_the_last_is_not_written_again() -> None:
    stream = Terminal()
    display = make_display("bar", stream, quiet=False, verbose=0)
    display.tick(Standing((), 0, 10, 0.0))
    for tick in range(5):
        display.tick(Standing((), 0, 10, 1.0 + tick / 10))
    assert stream.getvalue().count("|") == 2
    display.tick(Standing((), 0, 10, 3.0))
    assert stream.getvalue().count("|") == 4


@pytest.mark.usefixtures("wide")
def test_a_terminal_that_knows_only_ascii_gets_only_that() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    everything(make_display("bar", stream, quiet=False, verbose=1))
    text = raw.getvalue().decode("ascii")
    screen = Screen(80)
    screen.feed(text)
    assert screen.widest() < 80
    assert "\\u65e5" in text


def test_nothing_but_a_bar_on_show_imports_tqdm_and_no_thread_is_left() -> None:
    code = """
import io, sys, threading
from pdl.output.display.registry import make_display
from pdl.scheduling.progress import Standing
def run(mode, seconds):
    display = make_display(mode, io.StringIO(), quiet=False, verbose=0)
    for now in (0.0, seconds):
        display.tick(Standing((), 0, 2, now))
    display.close()
run("plain", 60.0); run("none", 60.0); run("bar", 0.1)
assert "tqdm" not in sys.modules
run("bar", 1.0)
assert "tqdm" in sys.modules and threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


# --- a real terminal ----------------------------------------------------------------------


class PtyReader:
    """A pseudo-terminal whose output is gathered by a thread."""

    def __init__(self, columns: int) -> None:
        self._leader, self._follower = pty.openpty()
        self.resize(columns)
        self.stream = open(self._follower, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        self._text = b""
        self._thread = threading.Thread(target=self._gather)
        self._thread.start()

    def _gather(self) -> None:
        with suppress(OSError):  # EIO: the other end is closed
            while more := os.read(self._leader, 65536):
                self._text += more

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def finish(self) -> str:
        self.stream.close()
        self._thread.join()
        return self._text.decode().replace("\r\n", "\n")

    def close(self) -> None:
        self.stream.close()
        self._thread.join()
        os.close(self._leader)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[PtyReader]:
    monkeypatch.setenv("TERM", "xterm")
    with closing(PtyReader(40)) as opened:
        yield opened


def test_a_real_terminal_is_asked_for_its_size_at_each_tick(terminal: PtyReader) -> None:
    display = make_display("auto", terminal.stream, quiet=False, verbose=0)
    assert type(display) is BarDisplay
    display.tick(Standing((), 0, 100, 0.0))
    display.tick(Standing((Transfer("n" * 99, MIB, 2 * MIB),), 0, 100, 1.0))
    terminal.resize(24)
    display.tick(Standing((Transfer("n" * 99, MIB, 2 * MIB),), 0, 100, 1.1))
    display.close()
    before, after = terminal.finish().split("\x1b[J", 1)
    widths = [
        max(map(cells, re.split("[\r\n]", ESCAPES.sub("", text)))) for text in (before, after)
    ]
    assert widths[0] == 39
    assert 0 < widths[1] < 24


# --- hostile text and broken streams ------------------------------------------------------


@pytest.mark.usefixtures("wide")
@given(st.text(), st.text(), st.text())
def test_no_control_character_of_a_server_or_list_gets_through(
    url: str, message: str, path: str
) -> None:
    for mode in MODES[:3]:
        stream = Terminal()
        display = make_display(mode, stream, quiet=False, verbose=1)
        hostile = BAD._replace(url=url, message=message, source=path)
        live = (Transfer(path, 2 * MIB, 3 * MIB),)
        display.tick(Standing(live, 0, 10, 0.0))
        display.record(hostile)
        display.record(OK._replace(path=path, message=message))
        display.retrying(AGAIN._replace(url=url, message=message))
        display.tick(Standing(live, 0, 10, 1.0))
        display.notice(message)
        display.close()
        text = ESCAPES.sub("", stream.getvalue()).replace("\r", "").replace("\n", "")
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


class Failing(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def isatty(self) -> bool:
        return True

    def write(self, _text: str) -> int:
        self.calls += 1
        raise self.error


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(), OSError(28, "No space left on device"), OSError(9, "EBADF"), ValueError()],
)
def test_a_stream_that_fails_is_left_alone_from_then_on(
    mode: ProgressMode, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Failing(error)
    monkeypatch.setattr(sys, "stdout", stream if mode == "json" else sys.stdout)
    everything(make_display(mode, stream, quiet=False, verbose=1))
    assert stream.calls == (2 if mode == "json" else 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_is_closed_or_was_never_there_is_no_matter(
    mode: ProgressMode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    everything(make_display(mode, None, quiet=False, verbose=1))
    closed = (tmp_path / "closed").open("w")
    closed.close()
    everything(make_display(mode, closed, quiet=False, verbose=1))
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "closed").read_bytes() == b""


def test_a_terminal_that_is_full_loses_text_but_not_the_display() -> None:
    stream = Failing(BlockingIOError())
    display = make_display("plain", stream, quiet=False, verbose=1)
    display.record(BAD)
    display.record(BAD)
    assert stream.calls == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("mode", ["plain", "json", "bar"])
def test_a_full_disk_behind_the_streams_does_not_reach_the_exit_code(mode: str) -> None:
    code = f"""
import sys
from pdl.model import *
from pdl.scheduling.progress import *
from pdl.output.display.registry import make_display
display = make_display({mode!r}, sys.stderr, quiet=False, verbose=1)
display.record(Result("l", 1, "http://h/", None, "a", Outcome.SUCCESS))
display.tick(Standing((), 0, None, 0.0)); display.tick(Standing((), 0, None, 99.0))
display.notice("careful")
display.close()
"""
    with Path("/dev/full").open("w") as full:
        # the interpreter's buffers are the point: without them there is nothing left to fail
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, stdout=full, stderr=full, env=buffered, check=False)
    assert done.returncode == 0


def test_the_stream_comes_in_order_with_what_others_print(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        stream: TextIO = log
        stream.write("before\n")
        make_display("none", stream, quiet=False, verbose=0).notice("between")
        stream.write("after\n")
    assert (tmp_path / "log").read_text() == "before\npdl: between\nafter\n"
