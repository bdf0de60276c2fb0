"""Report files: each format has the same rows, and none is left behind half written."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import MachineError, PdlError, UsageError
from pdl.model import Item, Outcome, Result
from pdl.output.reports.json_ import JsonLinesReport
from pdl.output.reports.registry import open_report
from pdl.output.sinks import FileSink, StreamSink
from pdl.scheduling.progress import Summary

if TYPE_CHECKING:
    from types import FrameType

    from pdl.output.reports.registry import Reporter

ROW = Result("urls.txt", 1, "http://h/a", "http://h/b", "a", Outcome.SUCCESS, None, None, 200, 5, 5)
BAD = Result("urls.txt", 2, "http://h/c", None, None, Outcome.FAIL, "http-404", False, 404)
SUMMARY = Summary(succeeded=1, failed=1, bytes=5, seconds=1.5)
FORMATS = ["r.json", "r.jsonl"]


def write(path: Path, *results: Result) -> None:
    reporter: Reporter = open_report(str(path), fail_on_warning)
    for result in results:
        reporter.record(result, Item("http://h/a", source="urls.txt", line=1))
    reporter.finish(SUMMARY)


def fail_on_warning(text: str) -> None:
    pytest.fail(text)


def rows(path: Path) -> list[Any]:
    if path.suffix == ".json":
        items: list[Any] = json.loads(path.read_text())["items"]
        return items
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", [*FORMATS, "R.JSONL"])
def test_rows_have_the_fields_of_a_result_and_no_others(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, ROW, BAD)
    first, second = rows(tmp_path / name)
    assert set(first) - {"schema"} == set(Result._fields)
    assert first.items() >= {**ROW._asdict(), "outcome": "success"}.items()
    assert second["kind"] == "http-404"
    assert names(tmp_path) == [name]


def test_each_json_line_carries_the_schema(tmp_path: Path) -> None:
    write(tmp_path / "r.jsonl", ROW, BAD)
    assert [row["schema"] for row in rows(tmp_path / "r.jsonl")] == [1, 1]


@pytest.mark.parametrize("results", [[], [ROW], [ROW, BAD]])
def test_the_json_object_is_whole_with_any_number_of_items(
    tmp_path: Path, results: list[Result]
) -> None:
    write(tmp_path / "r.json", *results)
    whole = json.loads((tmp_path / "r.json").read_text())
    assert whole["schema"] == 1
    assert whole["summary"] == {key: SUMMARY._asdict()[key] for key in whole["summary"]}
    assert set(SUMMARY._asdict()) - set(whole["summary"]) == {"hosts"}
    assert whole["hosts"] == []
    assert len(whole["items"]) == len(results)


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text())
def test_any_text_comes_back_and_no_control_character_is_raw(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str
) -> None:
    path = tmp_path_factory.mktemp("report") / name
    write(path, ROW._replace(url=text, message=text))
    assert rows(path)[0]["url"] == rows(path)[0]["message"] == text
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", path.read_bytes())


@pytest.mark.parametrize("name", FORMATS)
def test_an_old_report_stays_until_the_new_one_is_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("old")
    reporter = open_report(str(path), fail_on_warning)
    reporter.record(ROW, None)
    assert path.read_text() == "old"
    reporter.finish(SUMMARY)
    assert len(rows(path)) == 1


def test_a_killed_run_leaves_the_rows_so_far_to_be_read(tmp_path: Path) -> None:
    reporter = open_report(str(tmp_path / "r.jsonl"), fail_on_warning)
    reporter.record(ROW, None)
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith("r.jsonl.")
    assert partial.suffix == ".partial"
    assert json.loads(partial.read_text())["url"] == "http://h/a"
    reporter.finish(SUMMARY)


CRASH = """
import sys
from pdl.output.reports.registry import open_report
reporter = open_report(sys.argv[1])
raise SystemExit(5)
"""
FORK = """
import multiprocessing, sys
from pdl.output.reports.registry import open_report
from pdl.scheduling.progress import Summary
reporter = open_report(sys.argv[1])
def child():
    global reporter
    del reporter
worker = multiprocessing.get_context("fork").Process(target=child)
worker.start(); worker.join()
assert worker.exitcode == 0
reporter.finish(Summary())
"""


@pytest.mark.parametrize(("name", "left"), [("r.json", 0), ("r.jsonl", 1)])
def test_a_crash_leaves_only_a_partial_file_that_can_be_read(
    tmp_path: Path, name: str, left: int
) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.iterdir())) == left


class Interrupted(BaseException):
    """What a signal's handler raises, between any two instructions."""


def interrupted_at(step: int, path: Path) -> bool:
    """Make a sink and interrupt that after so many instructions; False if it took fewer."""
    left = step

    def trace(frame: FrameType, event: str, _arg: object) -> Any:  # noqa: ANN401 - as sys has it
        nonlocal left
        if not frame.f_code.co_filename.endswith(("sinks.py", "atomic_file.py")):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise Interrupted
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for one only in `settrace`
    sys.settrace(trace)
    try:
        sink = FileSink(str(path), fail_on_warning)
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    sink.discard()
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupt_at_any_moment_leaves_no_partial_file(tmp_path: Path) -> None:
    step = 1
    while interrupted_at(step, tmp_path / "failed.txt"):
        gc.collect()  # as the end of the process does
        assert names(tmp_path) == [], f"interrupted after {step} instructions"
        step += 1
    assert step > 100


@pytest.mark.parametrize("end", ["commit", "discard"])
def test_what_has_ended_takes_nothing_away_later(tmp_path: Path, end: str) -> None:
    sink = FileSink(str(tmp_path / "r.jsonl"), fail_on_warning)
    (partial,) = tmp_path.iterdir()
    getattr(sink, end)()
    assert not partial.exists()
    partial.write_text("of somebody else")
    del sink
    gc.collect()
    assert partial.read_text() == "of somebody else"


def test_a_forked_worker_does_not_take_the_file_away(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORK, str(tmp_path / "r.json")], check=True)
    assert rows(tmp_path / "r.json") == []


def test_a_new_report_has_the_mode_of_the_umask_and_a_replaced_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    path, private = tmp_path / "r.json", tmp_path / "p.json"
    private.write_text("old")
    private.chmod(0o600)
    before = os.umask(0o027)
    try:
        write(path)
        write(private)
    finally:
        os.umask(before)
    assert (mode(path), mode(private)) == (0o640, 0o600)


def test_a_link_stays_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "r.json"
    link.symlink_to(tmp_path / "real" / "file")
    write(link)
    assert link.is_symlink()
    assert names(tmp_path / "real") == ["file"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".json")
    write(path)
    assert rows(path) == []


def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    write(path, ROW)
    reader.join()
    assert json.loads(read[0])["url"] == "http://h/a"
    assert names(tmp_path) == ["pipe.jsonl"]


@pytest.mark.parametrize("path", ["-", "/dev/stdout"])
def test_standard_output_takes_json_lines(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = open_report(path, fail_on_warning)
    reporter.record(ROW, None)
    reporter.finish(SUMMARY)
    assert json.loads(capsys.readouterr().out)["schema"] == 1


# --- what cannot be written ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["r", "r.yaml", "r.json.gz", ".json"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_report(name)
    assert name in caught.value.message
    assert ".jsonl .json" in caught.value.hint


@pytest.mark.parametrize("name", ["missing/r.json", "file/r.json", "directory.json", "nul\0.json"])
def test_a_path_that_can_be_no_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory.json").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*\.json: \S+") as caught:
        open_report(str(tmp_path / name))
    assert str(caught.value).isprintable()


def test_what_the_system_refuses_is_the_machines_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(MachineError, match="Permission denied") as caught:
        open_report(str(tmp_path / "r.json"))
    assert isinstance(caught.value, PdlError)


class Full(io.BytesIO):
    """A file on a disk that is full."""

    def flush(self) -> None:
        if not self.closed:
            raise OSError(28, "No space left on device")


def test_a_disk_that_gets_full_is_one_warning_and_the_old_report_stays(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "r.jsonl"
    path.write_text("old")
    sink = FileSink(str(path), warnings.append)
    sink._file.close()
    sink._file = Full()
    reporter = JsonLinesReport(sink)
    for _ in range(3):
        reporter.record(ROW, None)
    reporter.finish(SUMMARY)
    assert warnings == [f"cannot write {path}: No space left on device; it was not updated"]
    assert path.read_text() == "old"
    assert names(tmp_path) == ["r.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_real_full_device_is_one_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    (tmp_path / "r.json").symlink_to("/dev/full")
    reporter = open_report(str(tmp_path / "r.json"), warnings.append)
    reporter.record(ROW, None)
    reporter.finish(SUMMARY)
    assert len(warnings) == 1


def test_a_name_that_cannot_be_given_is_one_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    sink = FileSink(str(tmp_path / "r.json"), warnings.append)
    (tmp_path / "r.json").mkdir()
    sink.commit()
    sink.commit()
    assert len(warnings) == 1
    assert names(tmp_path) == ["r.json"]


def test_a_stream_that_closes_is_one_warning() -> None:
    warnings: list[str] = []
    stream = io.StringIO()
    reporter = JsonLinesReport(StreamSink(stream, warnings.append))
    stream.close()
    for _ in range(3):
        reporter.record(ROW, None)
    reporter.finish(SUMMARY)
    assert len(warnings) == 1


def test_the_default_warning_goes_to_standard_error_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil\x1b[31m").mkdir()
    reporter = open_report(str(tmp_path / "evil\x1b[31m" / "r.json"))
    (tmp_path / "evil\x1b[31m" / "r.json").mkdir()
    reporter.finish(SUMMARY)
    captured = capsys.readouterr().err
    assert captured.startswith("pdl: cannot write ")
    assert "\x1b" not in captured
