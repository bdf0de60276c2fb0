"""Reports, digests and the checksum file of real runs, read by those who are to read them."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import junitparser
import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

import pdl
from html_page import Page
from pdl.cli.help import SCHEMA, manual_page
from servers.behaviours import Reply
from servers.files import File
from servers.resumes import cut_then_206
from servers.row import BODY, pattern

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

pytestmark = pytest.mark.usefixtures("no_leftovers")
SMALL, LARGE = pattern(4096, 3), pattern(300_000, 5)
TYPE = (("Content-Type", "text/x-made-up; a=b"),)


def digest(body: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def rows(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a report in JSON lines, by the file's path or else the URL."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["path"] or row["url"]: row for row in found}


def verified(directory: Path, sums: str) -> list[str]:
    """The files that ``sha256sum`` finds to be as the checksum file has it."""
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("there is no sha256sum")
    run = subprocess.run(
        [program, "-c", "--strict", sums], cwd=directory, capture_output=True, text=True, check=True
    )
    assert run.stderr == ""
    return sorted(line.removesuffix(": OK") for line in run.stdout.splitlines())


def write_list(home: Path, urls: Iterable[str]) -> None:
    (home / "l.txt").write_text("".join(f"{url}\n" for url in urls))


def test_a_job_of_github_has_all_its_reports(server: Server, pdl_run: Runner) -> None:
    home, summary = pdl_run.directory, pdl_run.directory / "step_summary_1"
    write_list(home, [server.on("/a.bin", File(SMALL)), server.url("/no"), server.url("/no2")])
    summary.write_text("# Before\n")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "CI": "true"}
    names = ("r.csv", "r.xml", "r.prom", "r.json", "r.md")
    reports = [word for name in (*names, str(summary)) for word in ("--report", name)]
    run = pdl_run(
        *("l.txt", "-d", "out", "--retries", "0", "--progress", "json"), *reports, env=env
    )
    assert run.code == 1
    told = [line for line in run.err.splitlines() if line.startswith("::")]
    assert [line.partition("::http-404")[0] for line in told] == [
        *("::error file=l.txt,line=2", "::error file=l.txt,line=3")
    ]
    assert "::" not in run.out
    with (home / "r.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert sorted(row["kind"] for row in table) == ["", "http-404", "http-404"]
    (suite,) = junitparser.JUnitXml.fromfile(str(home / "r.xml"))
    assert (suite.tests, suite.failures) == (3, 2)
    numbers = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families((home / "r.prom").read_text())
        for sample in family.samples
    }
    assert numbers["pdl_failures", "r", "http-404"] == 2
    assert summary.read_text() == "# Before\n" + (home / "r.md").read_text()
    assert (home / "r.md").read_text().count("l\\.txt\\:") == 2
    # what is no list of all failures is not called one
    assert "the failures are listed in r.csv, r.xml, r.json\n" in run.err
    schema = Draft202012Validator(json.loads(manual_page(SCHEMA)))
    events = [json.loads(line) for line in run.out.splitlines()]
    for each in (*events, json.loads((home / "r.json").read_text())):
        schema.validate(each)
    assert (events[-1]["event"], events[-1]["failed"]) == ("summary", 2)


def test_rows_tell_what_the_server_says_of_a_file(server: Server, pdl_run: Runner) -> None:
    told = {"etag": '"one"', "last_modified": 1_000_000_000, "headers": TYPE}
    urls = [
        server.on("/small.bin", File(SMALL, **told)),  # type: ignore[arg-type]
        server.on("/large.bin", File(LARGE, **told)),  # type: ignore[arg-type]
        server.on("/bare.bin", Reply(200, (), SMALL)),
        server.on("/long.bin", File(SMALL, etag=f'"{"x" * 3000}"', headers=TYPE)),
        server.url("/no"),
        "no url",
    ]
    write_list(pdl_run.directory, urls)
    assert pdl_run("l.txt", "-d", "out", "--report", "r.jsonl", "--retries", "0").code == 1
    found = rows(pdl_run.directory / "r.jsonl")
    facts = ("content_type", "etag", "last_modified", "host", "digests")
    host = urls[0].partition("//")[2].partition("/")[0]
    for name in ("small.bin", "large.bin"):
        assert tuple(found[name][fact] for fact in facts) == (
            *("text/x-made-up; a=b", '"one"', "Sun, 09 Sep 2001 01:46:40 GMT", host, None),
        )
    assert tuple(found["bare.bin"][fact] for fact in facts) == (None, None, None, host, None)
    assert found["long.bin"]["etag"] is None
    assert found["long.bin"]["content_type"] == "text/x-made-up; a=b"
    assert tuple(found["no"][fact] for fact in facts) == (None, None, None, host, None)
    assert found["no url"]["host"] is None


def test_digests_are_those_of_the_fetched_files(server: Server, pdl_run: Runner) -> None:
    home = pdl_run.directory
    urls = [server.on("/small.bin", File(SMALL)), server.on("/large.bin", File(LARGE))]
    listed = f"{server.on('/listed.bin', File(SMALL))}#sha256={digest(SMALL)[7:]}"
    cut = server.on("/cut.bin", *cut_then_206())
    write_list(home, [*urls, listed, cut])
    (home / "out").mkdir()
    options = ("--digest", "SHA-1,sha256,sha1", "--retry-wait", "0")
    run = ("l.txt", "-d", "out", "--report", "r.jsonl", *options)
    assert pdl_run(*run).code == 0
    found = rows(home / "r.jsonl")
    bodies = {"small.bin": SMALL, "large.bin": LARGE, "listed.bin": SMALL, "cut.bin": BODY}
    for name, body in bodies.items():
        assert found[name]["digests"] == [digest(body, "sha1"), digest(body)]
    assert found["cut.bin"]["resumed_from"] > 0
    assert found["small.bin"]["checksum"] == digest(SMALL, "sha1")
    assert found["listed.bin"]["checksum"] == digest(SMALL)
    assert pdl_run(*run).code == 0
    assert rows(home / "r.jsonl")["small.bin"]["digests"] is None  # it was not fetched


def test_the_checksum_file_has_every_file_that_is_there(server: Server, pdl_run: Runner) -> None:
    home = pdl_run.directory
    urls = [
        server.on("/small.bin", File(SMALL)),
        server.on("/d/large.bin", File(LARGE, etag='"one"')),
        server.on("/cached.bin", File(LARGE, etag='"two"', last_modified=1_000_000_000)),
    ]
    write_list(home, [*urls, urls[0], server.url("/no")])
    run = ("l.txt", "-d", "out", "--sums", "out/SHA256SUMS", "--retries", "0", "--cache", "c")
    assert pdl_run(*run, "--dry-run").code == 0
    assert not (home / "out").exists()
    assert pdl_run(*run).code == 1
    names = ["cached.bin", "large.bin", "small.bin"]
    assert verified(home / "out", "SHA256SUMS") == names
    before = len(server.requests())
    again = pdl_run(*run)
    assert verified(home / "out", "SHA256SUMS") == names
    assert {seen.path for seen in server.requests()[before:]} == {"/no"}
    assert "3 there already, not checked" in again.err or "4 there already" in again.err
    assert pdl_run(*run, "-N").code == 1  # what is unchanged is read, too
    assert verified(home / "out", "SHA256SUMS") == names
    shutil.rmtree(home / "out")
    assert pdl_run(*run).code == 1
    assert verified(home / "out", "SHA256SUMS") == names
    # it is a list of its own kind
    check = pdl_run("--check", "out/SHA256SUMS", "-d", "out", "--sums", "again")
    assert check.code == 0
    assert sorted((home / "again").read_text().splitlines()) == sorted(
        (home / "out" / "SHA256SUMS").read_text().splitlines()
    )


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--digest", "sha256,nope"), "'nope' is no algorithm that is available here, as md5, "),
        (("--digest", "crc32"), "'crc32' is no algorithm"),
        (("--digest", ""), "'' is no algorithm"),
        (("--sums", "-"), "is standard output"),
        (("--sums", "missing/f"), "cannot write missing/f"),
        (("--sums", "s", "--trust-existing"), "--sums reads every file"),
        (("--sums", "l.txt"), "is also a source"),
        (("--sums", "s", "--checksums", "s"), "is also --checksums"),
        (("--sums", "s.jsonl", "--lock", "s.jsonl"), "is also --lock"),
        (("--sums", "s.csv", "--report", "s.csv"), "is also --report"),
        (("--sums", "f", "--failed", "f"), "is also --failed"),
        (("--report", "r.ods"), "ends in one of .jsonl .json .csv .xml .md .prom .html"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    pdl_run: Runner, arguments: tuple[str, ...], what: str, dry: tuple[str, ...]
) -> None:
    write_list(pdl_run.directory, ["http://127.0.0.1:9/a"])
    (pdl_run.directory / "s").write_text(f"{digest(b'')[7:]}  a\n")
    before = (pdl_run.directory / "s").read_text()
    run = pdl_run("l.txt", "-d", "out", *arguments, *dry)
    assert run.code == 2, run.err
    assert what in run.err
    assert not (pdl_run.directory / "out").exists()
    assert (pdl_run.directory / "s").read_text() == before


def test_a_program_is_told_the_same(server: Server, tmp_path: Path) -> None:
    urls = [server.on("/a.bin", File(SMALL, headers=TYPE)), server.url("/no")]
    settings = pdl.Settings(
        pool=pdl.PoolSettings(engine="inline"),
        files=pdl.FileSettings(digests=("md5",)),
        retry=pdl.RetrySettings(retries=0),
    )
    events: list[Any] = []
    report = pdl.download(urls, str(tmp_path / "o"), settings=settings, on_event=events.append)
    (row,) = [each for each in events if each.path == "a.bin"]
    assert (row.content_type, row.digests) == (TYPE[0][1], (digest(SMALL, "md5"),))
    assert report.failures[0].host == row.host
    quiet = pdl.download(urls[1:], str(tmp_path / "q"), settings=settings)
    assert quiet.failures[0].host == row.host
    wrong = settings._replace(files=pdl.FileSettings(digests=("MD5",)))
    with pytest.raises(pdl.UsageError, match=r"^files\.digests: 'MD5' is no algorithm"):
        pdl.download(urls, str(tmp_path / "w"), settings=wrong)


# --- the page -----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["process", "inline"])
def test_the_page_says_which_lane_was_at_which_line(
    server: Server, pdl_run: Runner, tmp_path: Path, engine: str
) -> None:
    good = [server.on(f"/{name}", File(SMALL)) for name in "abcdef"]
    flaky = server.on("/flaky", Reply(503), Reply(503), File(SMALL))
    write_list(tmp_path, [*good, flaky, server.url("/no"), "no URL", good[0]])
    more = ("--retry-wait", "0.01", "--engine", engine, "-j", "3")
    run = pdl_run("l.txt", "-d", "out", "--report", "r.html", *more)
    assert run.code == 1
    page = Page(tmp_path / "r.html")
    rows = {row["line"]: row for row in page.rows}
    assert sorted(rows) == list(range(1, 11))
    assert page.run["home"] == "./out/"
    attempts: dict[int, list[list[Any]]] = {}
    for _, line, *rest in page.spans:
        attempts.setdefault(line, []).append(rest)
    # of each attempt: its lane, its begin, how long it took, until the first byte, bytes, a word
    assert {line: len(found) for line, found in attempts.items()} == {
        **dict.fromkeys([1, 2, 3, 4, 5, 6, 8], 1),
        7: 3,
    }
    assert [each[5:] for each in attempts[7]] == [["http-503"], ["http-503"], []]
    assert [each[5:] for each in attempts[8]] == [["http-404"]]
    lanes = {each[0] for found in attempts.values() for each in found}
    assert lanes <= ({0} if engine == "inline" else set(range(64)))
    assert len(lanes) <= 3
    end = page.run["seconds"] * 1000
    for found in attempts.values():
        for _, begin, took, first, *_ in found:
            assert 0 <= begin <= begin + took <= end + 1
            assert first is None or first <= took
    assert page.run["samples"][-1][1] == 7 * len(SMALL)


@pytest.mark.parametrize("name", ["r.jsonl", "r.prom"])
def test_where_no_page_is_asked_for_nobody_watches(
    server: Server, pdl_run: Runner, tmp_path: Path, name: str
) -> None:
    url = server.on("/a", File(SMALL))
    code = "import sys, pdl.cli.main as m\ntry: m.main()\nfinally: print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, url, "-d", "out", "--report", name, "--no-config"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(run.stdout.split())
    never = {"pdl.output.reports.html", "pdl.output.reports.timeline", "pdl.run.spans"}
    assert loaded & never == set()
    assert "pdl.output.reports.registry" in loaded
