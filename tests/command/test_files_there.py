"""Files that are there: held against what the list knows, and fetched where they are wrong."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import pytest

from servers.misbehave import File, Reply, Server
from servers.row import BODY, ETAG, OTHER, cut

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner

pytestmark = pytest.mark.usefixtures("no_leftovers")
INLINE = ("--engine", "inline")
RIGHT = f"sha-256={sha256(BODY).hexdigest()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the one line of the list."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x.bin"


def listed(pdl_run: Runner, server: Server, *, checksum: str = "", size: int | str = "") -> None:
    lines = f"url,checksum,size\n{server.url('/x.bin')},{checksum},{size}\n"
    (pdl_run.directory / "list.csv").write_text(lines)


def outcome(directory: Path) -> str:
    (row,) = map(json.loads, (directory / "r.jsonl").read_text().splitlines())
    return str(row["kind"] or row["outcome"])


ARGUMENTS = ("list.csv", "-d", "out", "--report", "r.jsonl")


class Case(NamedTuple):
    """A file that is there, what the list says of it, and how its line ends."""

    there: bytes
    expected: str
    checksum: str = ""
    size: int | str = ""


@pytest.mark.parametrize("engine", ["inline", "process"])
@pytest.mark.parametrize(
    "case",
    [
        Case(BODY, "unchanged", RIGHT),
        Case(BODY, "unchanged", RIGHT, len(BODY)),
        Case(BODY, "skipped", size=len(BODY)),
        Case(OTHER, "skipped", size=len(BODY)),
        Case(OTHER, "success", RIGHT),
        Case(OTHER, "success", RIGHT, len(BODY)),
        Case(BODY[:-1], "success", size=len(BODY)),
        Case(BODY[:-1], "success", RIGHT, len(BODY)),
        Case(b"", "success", RIGHT),
    ],
    ids=lambda case: f"{len(case.there)}-{case.checksum[:1]}-{case.size}",
)
def test_what_the_list_knows_is_compared_and_what_is_wrong_is_fetched(
    server: Server, pdl_run: Runner, file: Path, case: Case, engine: str
) -> None:
    there, expected = case.there, case.expected
    server.on("/x.bin", File(BODY, etag=ETAG))
    file.write_bytes(there)
    listed(pdl_run, server, checksum=case.checksum, size=case.size)
    run = pdl_run(*ARGUMENTS, "--engine", engine)
    assert run.code == 0, run.err
    assert outcome(pdl_run.directory) == expected
    assert file.read_bytes() == (BODY if expected == "success" else there)
    assert len(server.requests()) == (expected == "success")
    assert "not checked" not in run.err


@pytest.mark.slow
@pytest.mark.parametrize(("checksum", "size"), [(RIGHT, ""), ("", len(BODY)), (RIGHT, len(BODY))])
def test_a_half_file_that_is_new_to_the_lock_is_fetched(
    server: Server, pdl_run: Runner, file: Path, checksum: str, size: int | str
) -> None:
    server.on("/x.bin", File(BODY, etag=ETAG))
    listed(pdl_run, server, checksum=checksum, size=size)
    file.write_bytes(BODY[:100])
    done = pdl_run(*ARGUMENTS, "--lock", "urls.lock", *INLINE)
    assert (done.code, outcome(pdl_run.directory)) == (0, "success"), done.err
    assert file.read_bytes() == BODY
    assert RIGHT.removeprefix("sha-256=") in (pdl_run.directory / "urls.lock").read_text()
    file.write_bytes(BODY[:100])  # now it is not what the lock has, and that is a failure
    again = pdl_run(*ARGUMENTS, "--lock", "urls.lock", *INLINE)
    assert (again.code, file.read_bytes()) == (1, BODY[:100]), again.err


def test_the_old_bytes_stay_until_the_new_ones_are_whole(
    server: Server, pdl_run: Runner, file: Path
) -> None:
    server.on("/x.bin", cut((("ETag", ETAG),)), Reply(404))
    file.write_bytes(OTHER)
    listed(pdl_run, server, checksum=RIGHT)
    run = pdl_run(*ARGUMENTS, *INLINE, "--retry-wait", "0")
    assert (run.code, outcome(pdl_run.directory)) == (1, "http-404")
    assert file.read_bytes() == OTHER


def test_a_line_that_follows_shares_what_came_of_it(
    server: Server, pdl_run: Runner, file: Path
) -> None:
    url = server.on("/x.bin", File(BODY, etag=ETAG))
    file.write_bytes(OTHER)
    (pdl_run.directory / "l.txt").write_text(f"{url}#{RIGHT.replace('-', '')}\n" * 3)
    run = pdl_run("l.txt", "-d", "out", *INLINE)
    assert "3 succeeded" in run.err
    assert file.read_bytes() == BODY
    assert len(server.requests()) == 1


def test_a_mirror_is_asked_where_the_file_is_wrong(
    server: Server, pdl_run: Runner, file: Path
) -> None:
    dead, mirror = server.on("/x.bin", Reply(404)), server.on("/m", File(BODY))
    file.write_bytes(OTHER)
    (pdl_run.directory / "l.txt").write_text(f"{dead}\t{mirror}\n  checksum={RIGHT}\n")
    assert pdl_run("l.txt", "-d", "out", *INLINE).code == 0
    assert file.read_bytes() == BODY


def test_trust_existing_skips_by_the_name_alone(
    server: Server, pdl_run: Runner, file: Path
) -> None:
    file.write_bytes(OTHER[:9])
    listed(pdl_run, server, checksum=RIGHT, size=len(BODY))
    run = pdl_run(*ARGUMENTS, "--trust-existing", *INLINE)
    assert (run.code, outcome(pdl_run.directory)) == (0, "skipped")
    assert "1 there already, not checked (-N asks the server)" in run.err
    assert file.read_bytes() == OTHER[:9]


def test_a_dry_run_says_what_is_to_be_checked(server: Server, pdl_run: Runner, file: Path) -> None:
    file.write_bytes(BODY)
    listed(pdl_run, server, checksum=RIGHT)
    for more, word in (((), "check"), (("--trust-existing",), "skip")):
        run = pdl_run("list.csv", "-d", "out", "--dry-run", *more)
        assert run.out.startswith(f"{word}\t"), run.out


def test_what_nothing_is_known_of_is_told_as_a_number(
    server: Server, pdl_run: Runner, file: Path
) -> None:
    file.write_bytes(OTHER)
    listed(pdl_run, server)
    run = pdl_run(*ARGUMENTS, *INLINE)
    assert (run.code, outcome(pdl_run.directory)) == (0, "skipped")
    assert "1 there already, not checked (-N asks the server)" in run.err
    assert server.requests() == []


@pytest.mark.slow
def test_a_lock_says_how_many_files_it_pins_unasked(
    server: Server, pdl_run: Runner, file: Path
) -> None:
    file.write_bytes(OTHER)
    listed(pdl_run, server)
    run = pdl_run(*ARGUMENTS, "--lock", "l", *INLINE)
    assert "l: pinned as found on this disk, no server was asked: 1 file" in run.err
    assert "pinned" not in pdl_run(*ARGUMENTS, "--lock", "l", *INLINE).err
