"""Digest: whoever gave a user and password is let in, and nothing is asked in vain."""

from __future__ import annotations

import subprocess
from shutil import which
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from servers.digest import Digest
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

BODY = b"some bytes"
SECRET = "c4n4ry-5ecret"
ONE_WORKER = ("--processes", "1", "--retries", "0", "-j", "1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "said",
    [
        {},
        {"algorithm": "SHA-256", "qop": "auth-int, auth", "user": 'm"\\e'},
        {"qop": "", "algorithm": "MD5", "realm": ""},
        {"before": 'Basic realm="x", Digest realm="y", nonce="z", algorithm=SHA-512-256, '},
    ],
)
def test_a_user_is_let_in_and_each_request_has_its_own_count(
    said: dict[str, str], server: Server, pdl_run: Runner
) -> None:
    digest = Digest(File(BODY), **said)  # type: ignore[arg-type]
    urls = [f"{server.on(f'/{number};v=1', digest)}?a=b;c" for number in range(4)]
    user = f"127.0.0.1={digest.user}:{SECRET}"
    run = pdl_run(*urls, "-u", user, *ONE_WORKER)
    assert run.code == 0, run.err
    counts = [None, 1, 2, 3, 4] if digest.qop else [None, 0, 0, 0, 0]
    assert digest.seen == counts
    assert (server.requests()[0].header("Authorization") or "").startswith("Basic ")
    assert SECRET not in run.err


@pytest.mark.slow
@pytest.mark.parametrize("way", ["url", "netrc", "first line", "file"])
def test_every_way_to_give_a_user(
    way: str, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    digest = Digest(File(BODY))
    url = server.on("/a.bin", digest)
    options: tuple[str, ...] = ()
    if way == "url":
        url = url.replace("://", f"://me:{quote(SECRET)}@")
    elif way == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
        options = ("--netrc-file", "netrc")
    elif way == "first line":
        options = ("-u", f"me:{SECRET}")
    else:
        (tmp_path / "c.toml").write_text(f'user = ["127.0.0.1=me:{SECRET}"]\n')
        options = ("--config", "c.toml")
    run = pdl_run(url, *options, *ONE_WORKER)
    assert run.code == 0, run.err
    assert digest.seen == [None, 1]


def test_many_lanes_share_a_nonce_and_get_another_when_it_is_stale(
    server: Server, pdl_run: Runner
) -> None:
    digest = Digest(File(BODY), lives=15)
    urls = [server.on(f"/{number}", digest) for number in range(40)]
    run = pdl_run(*urls, "-u", f"me:{SECRET}", "--processes", "1", "--retries", "0", "-j", "4")
    assert run.code == 0, run.err
    assert sum(count is not None for count in digest.seen) == 40
    assert digest.seen.count(None) <= 4 * 3


def test_a_wrong_password_ends_after_one_answer(server: Server, pdl_run: Runner) -> None:
    digest = Digest(File(BODY))
    url = server.on("/a.bin", digest)
    run = pdl_run(url, "-u", "me:wr0ng-5ecret", *ONE_WORKER)
    assert run.code == 1
    assert digest.seen == [None, None]
    assert "http-401" in run.err
    assert "the credentials that were sent are refused: Authorization from --user" in run.err
    assert "it asks for Digest" in run.err
    assert "wr0ng" not in run.err


@pytest.mark.parametrize("option", [(), ("-H", "Authorization: Basic bWU6YzRuNHJ5LTVlY3JldA==")])
def test_who_gave_no_user_is_not_asked_again(
    option: tuple[str, ...], server: Server, pdl_run: Runner
) -> None:
    digest = Digest(File(BODY))
    run = pdl_run(server.on("/a.bin", digest), *option, *ONE_WORKER)
    assert (run.code, digest.seen) == (1, [None])


def test_a_file_behind_others_that_need_no_user(server: Server, pdl_run: Runner) -> None:
    digest = Digest(File(BODY))
    urls = [server.on(f"/{number}.bin", File(BODY)) for number in range(3)]
    run = pdl_run(*urls, server.on("/a.bin", digest), "-u", f"127.0.0.1=me:{SECRET}", *ONE_WORKER)
    assert run.code == 0, run.err
    assert digest.seen == [None, 1]


@pytest.mark.real
def test_the_server_of_these_tests_is_right_by_curl(server: Server) -> None:
    curl = which("curl")
    assert curl
    for algorithm in ("", "SHA-256"):
        url = server.on(f"/{algorithm}", Digest(File(BODY), algorithm=algorithm))
        command = [curl, "-s", "--anyauth", "-u", f"me:{SECRET}", f"{url}?a=b"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == BODY
