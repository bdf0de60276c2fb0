"""Checksum files beside a list: whose each entry is, and what a run makes of them."""

from __future__ import annotations

import gzip
import hashlib
import json
import signal
import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import ListError
from pdl.integrity.checksum_index import ChecksumIndex
from pdl.integrity.digests import Contradiction
from pdl.model import Item, SafePath
from pdl.sources import checksum_files
from pdl.sources.checksum_files import read
from pdl.text.urls import parse
from servers.behaviours import Close, Pause, Raw, Reply, Then, head
from servers.files import File

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner import Run, Runner
    from servers.misbehave import Server


def sha256(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()


ONE, TWO = f"sha256:{sha256('one')}", f"sha256:{sha256('two')}"
MD5 = f"md5:{hashlib.md5(b'one').hexdigest()}"


def sums_of(*entries: tuple[str, str], base: str | None = None) -> ChecksumIndex:
    sums = ChecksumIndex()
    sums.sources.append("SUMS")
    for name, checksum in entries:
        sums.add(name, checksum, f"{base}{name}" if base else None)
    return sums


def found(sums: ChecksumIndex, url: str, path: str = "", **fields: str) -> str | None:
    item = Item(url, source="l", line=1)._replace(**fields)  # type: ignore[arg-type]
    parsed = parse(url)
    return sums.applied(item, parsed, SafePath(path or parsed.path.rpartition("/")[2])).checksum


# --- whose an entry is ---


@pytest.mark.parametrize(
    ("names", "url", "path", "expected"),
    [
        (("f",), "http://h/f", "", "f"),
        (("./f",), "http://h/d/f?x=1", "", "./f"),
        (("d/f",), "http://h/f", "", "d/f"),
        (("f b",), "http://h/d/f%20b", "", "f b"),
        (("f",), "http://h/g", "", None),
        (("f",), "http://h/", "index.html", None),
        # of two with one last part: the end of the URL tells, else nothing
        (("c/f", "d/f"), "http://h/x/d/f", "", "d/f"),
        (("c/f", "x/c/f"), "http://h/x/c/f", "", "x/c/f"),
        (("c/f", "d/f"), "http://h/x/f", "", None),
        (("f", "d/f"), "http://h/x/d/f", "", "d/f"),
        (("f", "d/f"), "http://h/x/f", "", "f"),
        # a path is surer than the URL
        (("c/f", "d/f"), "http://h/d/f", "c/f", "c/f"),
        (("f", "g"), "http://h/f", "d/g", "f"),
    ],
)
def test_whose_an_entry_is(
    names: tuple[str, ...], url: str, path: str, expected: str | None
) -> None:
    sums = sums_of(*((name, f"sha256:{sha256(name)}") for name in names))
    assert found(sums, url, path) == (expected and f"sha256:{sha256(expected)}")


def test_the_name_that_the_list_gives_comes_first() -> None:
    sums = sums_of(("f", ONE), ("g", TWO))
    assert found(sums, "http://h/f", "g", out="g") == TWO
    assert found(sums, "http://h/f", "k", out="k") == ONE
    assert found(sums, "http://h/d/f", "g") == TWO  # so does that of a template


def test_the_url_is_surest() -> None:
    sums = sums_of(("f", ONE), base="http://h/a/")
    sums.add("f", TWO, "http://h/b/f")
    assert found(sums, "http://h/a/f") == ONE
    assert found(sums, "http://h/b/f") == TWO
    with pytest.raises(Contradiction, match="SUMS: several digests for this file"):
        found(sums, "http://h/c/f")


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_algorithms_the_strongest(order: int) -> None:
    assert found(sums_of(*(("f", ONE), ("f", MD5))[::order]), "http://h/f") == ONE


def test_the_same_twice_is_no_contradiction() -> None:
    assert found(sums_of(("f", ONE), ("./f", ONE)), "http://h/f") == ONE


def test_the_list_wins_unless_both_cannot_be_true() -> None:
    sums = sums_of(("f", ONE))
    assert found(sums, "http://h/f", checksum=MD5) == MD5
    assert found(sums, "http://h/f", checksum=ONE.replace(":", "=").upper()) is not None
    with pytest.raises(Contradiction, match=f"the list says {TWO}, SUMS says {ONE}"):
        found(sums, "http://h/f", checksum=TWO)


@given(st.dictionaries(st.text(min_size=1), st.binary(min_size=4, max_size=4), max_size=30))
def test_every_name_is_found_again(files: dict[str, bytes]) -> None:
    names = {name.removeprefix("./"): data for name, data in files.items()}
    sums = sums_of(*((name, f"sha256:{sha256(data)}") for name, data in names.items()))
    for name, data in names.items():
        item = sums.applied(
            Item("http://h/", source="l", line=1), parse("http://h/"), SafePath(name)
        )
        assert item.checksum == f"sha256:{sha256(data)}"


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_small() -> None:
    tracemalloc.start()
    sums = ChecksumIndex()
    sums.sources.append("SUMS")
    for number in range(100_000):
        sums.add(f"d{number % 100}/f{number}", f"sha256:{number:064x}", None)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 20_000_000
    assert found(sums, "http://h/x/d99/f99999") == f"sha256:{99_999:064x}"
    assert found(sums, "http://h/f77") == f"sha256:{77:064x}"


# --- files ---


def read_text(
    tmp_path: Path, data: str | bytes, name: str = "SUMS"
) -> tuple[ChecksumIndex, list[str]]:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    sums = ChecksumIndex()
    warned: list[str] = []
    read(sums, str(path), name, None, warned.append)
    return sums, warned


def test_both_styles_packed_and_signed(tmp_path: Path) -> None:
    text = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

# comment
{sha256("one")} *f
SHA256 (d/g) = {sha256("two")}
-----BEGIN PGP SIGNATURE-----
xyz
-----END PGP SIGNATURE-----
"""
    for data in (text, gzip.compress(text.encode())):
        sums, warned = read_text(tmp_path, data)
        assert (found(sums, "http://h/f"), found(sums, "http://h/g")) == (ONE, TWO)
        assert warned == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_powershell_writes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    text = f"{sha256('one')}  f\r\n{sha256('two')}  g\r\n"
    sums, warned = read_text(tmp_path, pack(text.encode("utf-16")))
    assert (found(sums, "http://h/f"), found(sums, "http://h/g")) == (ONE, TWO)
    assert warned == []


def test_the_algorithm_by_the_name_of_the_file(tmp_path: Path) -> None:
    digits = hashlib.blake2b(b"x").hexdigest()
    sums, _ = read_text(tmp_path, f"{digits}  f\n", "B2SUMS")
    assert found(sums, "http://h/f") == f"blake2b:{digits}"


def test_lines_that_are_no_digests_are_told_once(tmp_path: Path) -> None:
    _, warned = read_text(tmp_path, f"a\nb\n{sha256('one')}  f\n")
    said = "line 1 is neither DIGEST  NAME nor ALGORITHM (NAME) = DIGEST"
    assert warned == [f"--checksums SUMS: 2 lines are no digests and ignored; {said}"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "there is no digest in it"),
        (b"<html>", "there is no digest in it: line 1 is neither"),
        (gzip.compress(b"x" * 100, mtime=0)[:-9], "ends in the middle of its gzip data"),
        (gzip.compress(b"#" * 3_000_000, mtime=0), "larger than 977 KiB"),
    ],
)
def test_what_is_no_checksum_file(
    tmp_path: Path, data: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksum_files, "MAX_BYTES", 1_000_000)
    with pytest.raises(ListError, match=why):
        read_text(tmp_path, data)


def test_a_name_may_be_a_url(tmp_path: Path) -> None:
    sums, _ = read_text(tmp_path, f"{sha256('one')}  http://H:80/a/../f\n")
    assert found(sums, "http://h/f") == ONE


@pytest.mark.parametrize("base", ["http://h/x/SUMS?y#z", "http://H:80/x/", "http://h/x/./SUMS"])
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("f", "http://h/x/f"),
        ("d/f.iso", "http://h/x/d/f.iso"),
        ("./d/f", "http://h/x/d/f"),
        ("../f", "http://h/f"),
        ("d/../f", "http://h/x/f"),
        ("/f", "http://h/f"),
        ("//other/f", "http://h/other/f"),
        ("a b?c", "http://h/x/a%20b%3Fc"),
        ("1:2", "http://h/x/1%3A2"),
    ],
)
def test_names_are_relative_to_where_the_file_is(
    tmp_path: Path, base: str, name: str, url: str
) -> None:
    path = tmp_path / "SUMS"
    path.write_text(f"{sha256('one')}  {name}\n{sha256('two')}  other/{name}\n")
    sums = ChecksumIndex()
    read(sums, str(path), "SUMS", base, print)
    assert found(sums, url, "else") == ONE


# --- runs ---


def rows(run: Run) -> list[tuple[object, ...]]:
    found = [json.loads(line) for line in run.out.splitlines()]
    return sorted((row["path"], row["outcome"], row["kind"], row["checksum"]) for row in found)


def test_a_run_with_a_local_file_and_one_on_the_server(
    pdl_run: Runner, server: Server, tmp_path: Path
) -> None:
    urls = [server.on(f"/d/{name}", File(name.encode())) for name in ("a", "b", "c", "e")]
    listed = f"{sha256('b')}  b\n{sha256('other')}  c\n"
    sums = server.on("/d/SHA256SUMS", File(listed.encode())) + "?token=x"
    (tmp_path / "local").write_text(f"{sha256('a')}  a\n")
    options = ("--checksums", "local", "--checksums", sums, "--report", "-", "--no-mtime")
    run = pdl_run(*urls, *options, "--failed", "failed")
    assert run.code == 1
    assert rows(run) == [
        ("a", "success", None, f"sha256:{sha256('a')}"),
        ("b", "success", None, f"sha256:{sha256('b')}"),
        ("c", "fail", "checksum", f"sha256:{sha256('other')}"),
        ("e", "success", None, None),
    ]
    shown = sums.replace("token=x", "token=***")
    said = f"1 file of the list has no digest in local, {shown}: downloaded unverified"
    assert said in run.err
    assert f"checksum=sha-256={sha256('other')}" in (tmp_path / "failed").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "e", "failed", "local"]


def test_a_line_that_a_checksum_file_contradicts(
    pdl_run: Runner, server: Server, tmp_path: Path
) -> None:
    url = server.on("/a", File(b"a"))
    (tmp_path / "SUMS").write_text(f"{sha256('b')}  a\n")
    run = pdl_run(f"{url}#sha256={sha256('a')}", url, "--checksums", "SUMS", "--report", "-")
    assert run.code == 1
    first, second = (json.loads(line) for line in run.out.splitlines())
    assert (first["kind"], first["path"], first["attempts"]) == ("checksum", "a", 0)
    assert first["message"] == f"the list says sha256:{sha256('a')}, SUMS says sha256:{sha256('b')}"
    assert (second["kind"], second["attempts"]) == ("checksum", 1)
    dry = pdl_run(f"{url}#sha256={sha256('a')}", "--checksums", "SUMS", "--dry-run")
    assert (dry.code, dry.out[:5]) == (1, "fail\t")


def test_check_and_lock_files_know_them_too(
    pdl_run: Runner, server: Server, tmp_path: Path
) -> None:
    urls = [server.on(f"/{name}", File(name.encode())) for name in "ab"]
    (tmp_path / "SUMS").write_text(f"{sha256('a')}  a\n")
    first = pdl_run(*urls, "--checksums", "SUMS", "--lock", "urls.lock")
    assert first.code == 0
    assert "1 file of the list has no digest in SUMS" in first.err
    second = pdl_run(*urls, "--checksums", "SUMS", "--lock", "urls.lock")
    assert (second.code, "no digest" in second.err) == (0, False)
    (tmp_path / "a").write_text("b")
    asked = len(server.requests())
    check = pdl_run(*urls, "--checksums", "SUMS", "--check")
    assert check.code == 1
    assert "checksum: " in check.err
    assert len(server.requests()) == asked


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/gone", "http-404: the server answered 404 Not Found"),
        ("/large", "larger than 64.0 MiB\n"),
        ("/page", "there is no digest in it"),
    ],
)
def test_a_checksum_file_that_cannot_be_had_ends_the_run(
    pdl_run: Runner, server: Server, tmp_path: Path, path: str, why: str
) -> None:
    url = server.on("/a", File(b"a"))
    server.on("/gone", Reply(404))
    server.on("/page", File(b"<html>log in</html>"))
    large = ("Content-Length", str(checksum_files.MAX_BYTES + 1))
    server.on("/large", Then(Raw(head(200, (large,))), Close()))
    run = pdl_run(url, "--checksums", server.url(path))
    assert run.code == 2
    assert run.err.startswith(f"pdl: --checksums {server.url(path)}: {why}")
    assert not [seen for seen in server.requests() if seen.target == "/a"]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_one_ends_the_run(pdl_run: Runner) -> None:
    run = pdl_run("http://127.0.0.1:1/", "--checksums", "none")
    assert run.code == 2
    assert run.err.startswith("pdl: --checksums none: No such file or directory\n")


def test_a_checksum_file_in_the_directory_keeps_its_name(
    pdl_run: Runner, server: Server, tmp_path: Path
) -> None:
    text = f"{sha256('a')}  a\n"
    (tmp_path / "SUMS").write_text(text)
    urls = server.on("/a", File(b"a")), server.on("/SUMS", File(b"other"))
    run = pdl_run(*urls, env={"PDL_CHECKSUMS": "SUMS"})
    assert (run.code, (tmp_path / "SUMS").read_text()) == (0, text)
    assert (tmp_path / "a").read_bytes() == b"a"


def test_a_signal_while_a_checksum_file_is_fetched(
    pdl_run: Runner, server: Server, tmp_path: Path, no_leftovers: None
) -> None:
    asked = threading.Event()
    url = server.on("/SUMS", Then(lambda _: asked.set(), Pause(30)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    started = pdl_run.start(url, "--checksums", url, env={"TMPDIR": str(temporary)})
    assert asked.wait(30)
    started.send_signal(signal.SIGINT)
    run = pdl_run.finish(started)
    assert (run.code, run.err) == (130, "pdl: interrupted\n")
    assert list(temporary.iterdir()) == []


# --- what the server declares, on a kept connection too ---


def test_declared_digests_in_a_run(pdl_run: Runner, server: Server) -> None:
    good, bad = hashlib.md5(b"a").hexdigest(), "AAAAAAAAAAAAAAAAAAAAAA=="
    urls = [server.on(f"/{number}", File(b"a")) for number in range(3)]
    urls.append(server.on("/x", File(b"a", headers=(("Content-MD5", bad),))))
    urls.append(server.on("/y", File(b"a")))
    run = pdl_run(*urls, "-j", "1", "--retries", "1", "--retry-wait", "0", "--report", "-")
    row = next(json.loads(line) for line in run.out.splitlines() if '"x"' in line)
    assert (run.code, row["kind"], row["transient"], row["attempts"]) == (1, "checksum", True, 2)
    declared = f"the server declared md5:{'00' * 16} (Content-MD5), the bytes have md5:{good}"
    assert row["message"] == declared
