"""Reports for other programs, read back by these: csv, junitparser, markdown-it, Prometheus."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families

from pdl.model import Outcome, Result
from pdl.output.reports.markdown import SHOWN, escaped
from pdl.output.reports.registry import check_report, open_report
from pdl.scheduling.progress import Summary
from pdl.text.masking import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

ROW = Result("urls.txt", 1, "http://h/a", "http://h/b", "a", Outcome.SUCCESS, None, None, 200, 5, 5)
BAD = Result(
    "urls.txt", 2, "http://h/c", None, None, Outcome.FAIL, "http-404", False, 404, message="no file"
)
SKIPPED = ROW._replace(line=3, outcome=Outcome.SKIPPED, message="already there")
LEFT = BAD._replace(line=4, kind="cancelled", message="the run was stopped")
SUMMARY = Summary(succeeded=1, skipped=1, failed=1, left=1, bytes=5, seconds=1.5)
NASTY = "=1+1\r\n|`<b>&amp;</b>*_[x](y)\\\"',\x00\x1b[31m\x7f\ufffe\ud800 &#65; ]]> -->\u202e"
TEXTS = st.one_of(st.text(), st.text(alphabet="\\|`*_<>&[]()#~!:.@\"'=+-\r\n\x00 ax"))


def write(path: Path, *rows: Result, summary: Summary = SUMMARY) -> str:
    report = open_report(str(path), pytest.fail)
    for row in rows:
        report.record(row, None)
    report.finish(summary)
    return path.read_text(encoding="utf-8")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


# --- CSV ----------------------------------------------------------------------------------


def test_a_table_has_a_row_for_each_line_under_the_names_of_the_fields(tmp_path: Path) -> None:
    write(tmp_path / "r.csv", ROW._replace(digests=("md5:00", "sha1:ff")), BAD)
    first, second = table(tmp_path / "r.csv")
    assert tuple(first) == Result._fields
    assert (first["outcome"], first["status"], first["kind"], first["size"]) == (
        *("success", "200", "", "5"),
    )
    assert (first["digests"], second["digests"]) == ("md5:00 sha1:ff", "")
    assert (second["kind"], second["transient"], second["path"]) == ("http-404", "false", "")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\uff1d"])
def test_no_cell_of_a_table_is_a_formula(tmp_path: Path, begin: str) -> None:
    write(tmp_path / "r.csv", BAD._replace(url=f"{begin}cmd|' /C calc'!A0", source=f"{begin}x"))
    (row,) = table(tmp_path / "r.csv")
    cell = f"{begin}cmd|' /C calc'!A0"
    assert row["url"] == (printable(cell) if begin in "\t\r" else f"'{cell}")
    assert row["source"][0] in "'\\"


@given(text=TEXTS)
def test_any_text_stays_in_its_cell(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("report") / "r.csv"
    write(path, ROW._replace(url=text, message=text), BAD)
    first, _ = table(path)
    assert first["message"] in {printable(text), f"'{printable(text)}"}


# --- JUnit --------------------------------------------------------------------------------


def suite(path: Path) -> Any:  # noqa: ANN401 - junitparser has no types of its own
    (found,) = junitparser.JUnitXml.fromfile(str(path))
    return found


def test_each_line_is_a_test_with_its_result(tmp_path: Path) -> None:
    write(tmp_path / "r.xml", ROW, BAD, SKIPPED, LEFT)
    found = suite(tmp_path / "r.xml")
    said = (found.tests, found.failures, found.errors, found.skipped, found.time)
    assert said == (4, 1, 1, 1, 1.5)
    found.update_statistics()
    assert said[:4] == (found.tests, found.failures, found.errors, found.skipped)
    good, bad, skipped, left = found
    assert (good.name, good.classname, good.result) == ("http://h/a", "urls.txt", [])
    (failure,) = bad.result
    assert isinstance(failure, junitparser.Failure)
    assert (failure.type, failure.message) == ("http-404", "http-404: no file")
    assert "http://h/c" in failure.text
    assert bad._elem.get("line") == "2"
    assert isinstance(skipped.result[0], junitparser.Skipped)
    assert isinstance(left.result[0], junitparser.Error)


@given(text=TEXTS | st.just(NASTY))
def test_any_text_can_stand_in_the_document(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("report") / "r.xml"
    write(path, BAD._replace(url=text, message=text, source=text, kind="tls"), ROW)
    first, second = suite(path)
    assert second.name == "http://h/a"
    kept = "".join(char for char in text if char.isprintable())
    assert [char for char in first.name if char in kept] or not kept


def test_what_xml_cannot_hold_is_shown_as_an_escape(tmp_path: Path) -> None:
    write(tmp_path / "r.xml", BAD._replace(message="a\x00b\x1bc\ud800d\ufffee"))
    (case,) = suite(tmp_path / "r.xml")
    assert case.result[0].message == r"http-404: a\x00b\x1bc\ud800d\ufffee"


@pytest.mark.parametrize("count", [0, 1, 12_345])
def test_the_numbers_of_any_suite_have_room(tmp_path: Path, count: int) -> None:
    report = open_report(str(tmp_path / "r.xml"), pytest.fail)
    for _ in range(count):
        report.record(ROW, None)
    report.finish(SUMMARY._replace(seconds=123456.789))
    assert suite(tmp_path / "r.xml").tests == count


# --- Markdown -----------------------------------------------------------------------------

RENDER = MarkdownIt("commonmark", {"html": True}).enable("table")


def cells(text: str) -> list[list[str]]:
    """The rendered texts of each row of each table."""
    rows: list[list[str]] = []
    for token in RENDER.parse(text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and token.level > 2:
            assert token.children is not None
            assert {child.type for child in token.children} <= {"text", "text_special"}
            rows[-1].append("".join(child.content for child in token.children))
    return rows


def test_a_page_has_the_numbers_the_kinds_and_the_failures(tmp_path: Path) -> None:
    text = write(tmp_path / "r.md", BAD, BAD._replace(line=9, kind="dns"), ROW, LEFT)
    assert "<h3>pdl: 1 succeeded, 1 skipped, 1 failed, 1 left" in RENDER.render(text).replace(
        "stopped early: ", ""
    )
    rows = cells(text)
    assert ["failed", "1"] in rows
    assert ["http-404", "1", "the server has no such file"] in rows
    assert ["http-404", "http://h/c", "no file", "not tried", "urls.txt:2"] in rows
    assert not any("cancelled" in row for row in rows)


@given(text=TEXTS | st.just(NASTY))
def test_no_text_is_markup(text: str) -> None:
    rendered = RENDER.renderInline(f"x{escaped(text)}x")
    plain = f"x{printable(text)}x"
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        plain = plain.replace(char, entity)
    assert rendered == plain


@given(text=TEXTS | st.just(NASTY))
def test_no_text_leaves_its_cell(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("report") / "r.md"
    rows = cells(write(path, BAD._replace(message=text)))
    assert [row for row in rows if row[1:2] == ["http://h/c"]] == [
        ["http-404", "http://h/c", printable(text).strip(), "not tried", "urls.txt:2"]
    ]


def test_only_the_first_failures_have_a_row(tmp_path: Path) -> None:
    text = write(tmp_path / "r.md", *[BAD] * (SHOWN + 1234))
    assert text.count("| urls\\.txt\\:2 |") == SHOWN
    assert text.endswith("\n1,234 more are not shown.\n\n")


def test_a_run_without_failures_has_no_table_of_them(tmp_path: Path) -> None:
    assert "kind" not in write(tmp_path / "r.md", ROW, summary=Summary(succeeded=1))


def test_the_summary_of_a_step_is_appended_to_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "step_summary_5f0e"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    path.write_text("# Before\n")
    check_report(str(path))
    for _ in range(2):
        report = open_report(str(path), pytest.fail)
        report.record(BAD, None)
        assert path.read_text().count("# Before") == 1
        report.finish(SUMMARY)
    assert path.read_text().startswith("# Before\n### pdl\\:")
    assert path.read_text().count("### pdl") == 2
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "other.md").symlink_to(path)
    assert write(tmp_path / "other.md").startswith("# Before\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_summary_that_cannot_be_written_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "full"))
    warnings: list[str] = []
    report = open_report(str(tmp_path / "full"), warnings.append)
    report.finish(SUMMARY)
    assert len(warnings) == 1
    assert report.sink is not None
    assert report.sink.lost


# --- Prometheus ---------------------------------------------------------------------------


def numbers(text: str) -> dict[tuple[str, ...], float]:
    """Each number by its name and the values of its labels but that of the run."""
    return {
        (sample.name, *(value for key, value in sample.labels.items() if key != "run")): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_of_a_run(tmp_path: Path) -> None:
    found = numbers(write(tmp_path / "nightly.prom", BAD, BAD, ROW, LEFT))
    assert found["pdl_files", "success"] == 1
    assert found["pdl_files", "fail"] == 1
    assert found["pdl_files", "left"] == 1
    assert found["pdl_failures", "http-404"] == 2
    assert ("pdl_failures", "cancelled") not in found
    assert found["pdl_received_bytes",] == 5
    assert found["pdl_duration_seconds",] == 1.5
    assert found["pdl_last_run_timestamp_seconds",] > 1.7e9
    assert ("pdl_last_success_timestamp_seconds",) not in found


@pytest.mark.parametrize(
    "worse", [{"failed": 1}, {"left": 1}, {"unread": True}, {"halted": True}], ids=str
)
def test_a_failed_run_keeps_the_time_of_the_last_success(
    tmp_path: Path, worse: dict[str, Any]
) -> None:
    path, key = tmp_path / "nightly.prom", ("pdl_last_success_timestamp_seconds",)
    first = numbers(write(path, summary=Summary(succeeded=1)))
    assert first[key] == first["pdl_last_run_timestamp_seconds",]
    path.write_text(path.read_text().replace(f"{first[key]:.3f}", "1700000000.125"))
    for _ in range(2):
        after = numbers(write(path, summary=Summary()._replace(**worse)))
        assert after[key] == 1700000000.125
        assert after["pdl_last_run_timestamp_seconds",] != after[key]
    assert numbers(write(path, summary=Summary()))[key] > 1700000000.125


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "{}", "ü"])
def test_two_jobs_have_no_number_in_common_whatever_their_names(tmp_path: Path, name: str) -> None:
    text = write(tmp_path / f"{name}.prom", BAD, summary=Summary())
    labels = {
        sample.labels["run"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert labels == {printable(name)}
    assert numbers(write(tmp_path / f"{name}.prom"))["pdl_last_success_timestamp_seconds",] > 0


@pytest.mark.parametrize("old", [b"", b"\xff\xfe", b"pdl_last_success_timestamp_seconds oops\n"])
def test_an_old_file_that_is_no_report_says_nothing(tmp_path: Path, old: bytes) -> None:
    (tmp_path / "r.prom").write_bytes(old)
    found = numbers(write(tmp_path / "r.prom", BAD))
    assert ("pdl_last_success_timestamp_seconds",) not in found


# --- all ----------------------------------------------------------------------------------


def peak(path: Path, rows: Iterable[Result]) -> int:
    report = open_report(str(path), pytest.fail)
    tracemalloc.start()
    try:
        for row in rows:
            report.record(row, None)
        report.finish(SUMMARY)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".csv", ".xml", ".md", ".prom"])
def test_no_report_grows_in_memory_with_the_list(tmp_path: Path, suffix: str) -> None:
    few, many = (
        peak(tmp_path / f"r{suffix}", (BAD._replace(line=line) for line in range(count)))
        for count in (2500, 5000)  # Python keeps 2,000 tuples that were freed
    )
    assert many < few + 20_000


@pytest.mark.parametrize("suffix", [".csv", ".xml", ".md", ".prom"])
def test_an_old_report_of_any_format_stays_until_the_new_one_is_whole(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"r{suffix}"
    path.write_text("old")
    report = open_report(str(path), pytest.fail)
    report.record(BAD, None)
    assert path.read_text() == "old"
    report.finish(SUMMARY)
    assert path.read_text() != "old"
    assert list(tmp_path.iterdir()) == [path]
