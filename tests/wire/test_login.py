"""A login by redirects, over TLS: once a worker, and no secret where it does not belong."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from conftest import need
from servers.login import BASIC, DATA, LOGIN, PASSWORD, SESSION, USER, Dance
from servers.row import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner import Run, Runner
    from servers.certs import Authority

BODY = pattern(2048, 3)
FILES, WORKERS = 200, 2


@pytest.fixture
def dance(authority: Authority) -> Iterator[Dance]:
    with Dance(authority.good(DATA, LOGIN), BODY) as started:
        yield started


def run(dance: Dance, authority: Authority, pdl_run: Runner, *more: str, files: int = FILES) -> Run:
    urls = "\n".join(dance.url(f"/{number}.bin") for number in range(files))
    trust = ("--cacert", str(authority.pem), *dance.resolve(), "--retries", "1")
    return pdl_run("-", "-d", "out", *trust, "--processes", str(WORKERS), *more, stdin=urls)


def with_netrc(tmp_path: Path, password: str = PASSWORD) -> tuple[str, str]:
    path = tmp_path / "entries"
    path.write_text(f"machine {LOGIN} login {USER} password {password}\n")
    return "--netrc-file", str(path)


def test_a_worker_logs_in_once(
    dance: Dance, authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    dance.crowd = 8
    at_once = ("-j", "8", "--host-patience", "0")  # else a host is asked by few until it answers
    ended = run(dance, authority, pdl_run, *at_once, *with_netrc(tmp_path))
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "out").glob("*.bin"))) == FILES
    assert all(path.read_bytes() == BODY for path in (tmp_path / "out").glob("*.bin"))
    assert 1 <= len(dance.logins()) <= WORKERS
    assert len(dance.login.requests()) == len(dance.logins())
    # each lane asks once before it knows, and the last of them wait for the first
    assert len(dance.data.requests()) <= FILES + 8 + 2 * WORKERS
    for seen in dance.data.requests():
        assert seen.header("Authorization") is None
        assert "login=" not in (seen.header("Cookie") or "")
    for seen in dance.login.requests():
        assert "session=" not in (seen.header("Cookie") or "")
    assert PASSWORD not in ended.err
    assert SESSION not in ended.err


@pytest.mark.real
def test_it_asks_no_more_than_curl_and_its_lanes_make_it(
    authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    """The measure is one curl, which asks for one file after the other and keeps its cookies."""
    need("curl", available=shutil.which("curl") is not None)
    netrc = with_netrc(tmp_path)
    context = authority.good(DATA, LOGIN)
    with Dance(context, BODY) as ours, Dance(context, BODY) as theirs:
        ended = run(ours, authority, pdl_run, "-j", "8", *netrc)
        assert ended.code == 0, ended.err
        (tmp_path / "curl").mkdir()
        jar = ("-c", "jar", "-b", "jar")
        trust = ("--cacert", str(authority.pem), *theirs.resolve(), *netrc)
        command = ["curl", "-sS", "-f", "-n", "-L", *jar, *trust, "--remote-name-all"]
        command += [theirs.url(f"/{number}.bin") for number in range(FILES)]
        subprocess.run(command, cwd=tmp_path / "curl", check=True, timeout=60)
        asked = [len(each.data.requests()) for each in (ours, theirs)]
        logins = [len(each.login.requests()) for each in (ours, theirs)]
    names = [f"{number}.bin" for number in range(FILES)]
    for directory in ("out", "curl"):
        assert all((tmp_path / directory / name).read_bytes() == BODY for name in names)
    assert (asked[1], logins[1]) == (FILES + 2, 1)
    assert logins[0] <= WORKERS
    # a worker's way is two requests, and each of its lanes may ask once before it knows
    assert asked[0] <= FILES + WORKERS + 8


def test_without_an_entry_the_login_fails_and_says_what_helps(
    dance: Dance, authority: Authority, pdl_run: Runner
) -> None:
    ended = run(dance, authority, pdl_run, files=1)
    assert ended.code == 1
    assert f"redirected to {LOGIN}" in ended.err
    assert "who are you?" in ended.err
    assert "no credentials were sent" in ended.err


def test_a_session_that_ends_is_begun_anew(
    dance: Dance, authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    served = 0

    def file(exchange: object, inner: object = dance._file) -> None:
        nonlocal served
        served += 1
        if served == 10:
            dance.end_sessions()
        inner(exchange)  # type: ignore[operator]

    dance._file = file  # type: ignore[method-assign]
    options = ("-j", "1", "--processes", "1", *with_netrc(tmp_path))
    ended = run(dance, authority, pdl_run, *options, files=30)
    assert ended.code == 0, ended.err
    assert len(dance.logins()) == 2


def test_without_cookies_nobody_is_let_in(
    dance: Dance, authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    ended = run(dance, authority, pdl_run, "--no-cookies", *with_netrc(tmp_path), files=1)
    assert ended.code == 1
    assert "redirects" in ended.err
    assert not any(seen.header("Cookie") for seen in dance.data.requests())


def test_a_header_of_the_users_stays_with_the_listed_host(
    dance: Dance, authority: Authority, pdl_run: Runner
) -> None:
    ended = run(dance, authority, pdl_run, "-H", f"Authorization: {BASIC}", files=1)
    assert ended.code == 1
    assert dance.logins() == []
