"""Whose certificates are trusted: each way to say it is enough, and the first one counts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner import base_environment
from servers.certs import Authority
from servers.files import File
from servers.misbehave import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner import Runner

BODY = b"behind a company's own certificate"
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
WAYS = ("--cacert", *VARIABLES)


@pytest.fixture
def safe(authority: Authority) -> Iterator[Server]:
    """A server of https, which only the test's own authority vouches for."""
    with Server(tls=authority.good()) as server:
        server.on("/a.bin", File(BODY))
        yield server


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has signed nothing."""
    return Authority(tmp_path_factory.mktemp("other"))


def place_for(way: str, who: Authority) -> Path:
    """The authority's certificate, as the way takes it: in a file or in a directory."""
    return who.hashed() if way == "SSL_CERT_DIR" else who.pem


def said(**ways: Path) -> tuple[list[str], dict[str, str]]:
    """What is said on the command line, and in the environment."""
    given = {name: str(path) for name, path in ways.items()}
    option = given.pop("--cacert", None)
    return (["--cacert", option] if option else []), given


@pytest.mark.parametrize("engine", ["process", "inline"])
@pytest.mark.parametrize("way", WAYS)
def test_each_alone_is_enough(
    way: str, engine: str, safe: Server, authority: Authority, pdl_run: Runner, tmp_path: Path
) -> None:
    options, env = said(**{way: place_for(way, authority)})
    ended = pdl_run(safe.url("/a.bin"), "--engine", engine, *options, env=env)
    assert ended.code == 0, ended.err
    assert (tmp_path / "a.bin").read_bytes() == BODY


@pytest.mark.slow
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_may_be_a_directory(
    name: str, safe: Server, authority: Authority, pdl_run: Runner
) -> None:
    env = {name: str(authority.hashed())}
    assert pdl_run(safe.url("/a.bin"), "--engine", "inline", env=env).code == 0


def test_of_several_directories_those_count_that_are_there(
    safe: Server, authority: Authority, other: Authority, pdl_run: Runner
) -> None:
    env = {"SSL_CERT_DIR": f"/nowhere:{other.hashed()}:{authority.hashed()}"}
    assert pdl_run(safe.url("/a.bin"), "--engine", "inline", env=env).code == 0


@pytest.mark.slow
def test_a_file_and_a_directory_of_openssl_are_both_trusted(
    safe: Server, authority: Authority, other: Authority, pdl_run: Runner
) -> None:
    for file, directory in ((other, authority), (authority, other)):
        env = {"SSL_CERT_FILE": str(file.pem), "SSL_CERT_DIR": str(directory.hashed())}
        url = safe.url("/a.bin")
        run = pdl_run(url, "--engine", "inline", "--if-exists", "overwrite", env=env)
        assert run.code == 0, run.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("--cacert", "SSL_CERT_FILE"),
        ("--cacert", "SSL_CERT_DIR"),
        ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
        ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ],
)
def test_the_first_of_them_counts_alone(
    first: str, second: str, safe: Server, authority: Authority, other: Authority, pdl_run: Runner
) -> None:
    url = safe.url("/a.bin")
    options, env = said(**{first: place_for(first, authority), second: place_for(second, other)})
    assert pdl_run(url, "--engine", "inline", *options, env=env).code == 0
    options, env = said(**{first: place_for(first, other), second: place_for(second, authority)})
    args = (url, "--engine", "inline", "--if-exists", "overwrite", "--retries", "0")
    refused = pdl_run(*args, *options, env=env)
    assert refused.code == 1
    where = place_for(first, other)
    assert f"trusted are those in {where} ({first}); the authority of this" in refused.err


def test_a_refusal_names_what_is_usual_and_says_what_to_do(safe: Server, pdl_run: Runner) -> None:
    refused = pdl_run(safe.url("/a.bin"), "--engine", "inline", "--retries", "0")
    assert refused.code == 1
    assert "certifi's; --cacert FILE takes an authority of your own" in refused.err
    directory = ssl.get_default_verify_paths().openssl_capath
    if any(Path(directory).glob("*.0")):
        assert re.search(rf"the system's \([^)]*{directory}\)", refused.err)


def test_an_old_certificate_is_no_matter_of_trust(authority: Authority, pdl_run: Runner) -> None:
    with Server(tls=authority.expired()) as old:
        url = old.on("/a.bin", File(BODY))
        refused = pdl_run(url, "--engine", "inline", "--cacert", authority.pem, "--retries", "0")
    assert "certificate has expired" in refused.err
    assert f"trusted are those in {authority.pem} (--cacert)" in refused.err
    assert "its owner has to renew it, or the clock here is wrong" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIABLES)
def test_a_place_that_is_not_there_is_told_with_the_variable(
    name: str, safe: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    env = {name: str(missing)}
    refused = pdl_run(safe.url("/a.bin"), "--engine", "inline", "--retries", "0", env=env)
    assert refused.code == 1
    told = f"cannot use trusted certificates in {missing}: No such file or directory, which {name}"
    assert told in " ".join(refused.err.split())


def test_a_place_that_nobody_needs_may_be_missing(server: Server, pdl_run: Runner) -> None:
    url = server.on("/a.bin", File(BODY))
    assert pdl_run(url, env={"SSL_CERT_FILE": "/nowhere.pem"}).code == 0


def test_an_empty_variable_says_nothing(
    safe: Server, authority: Authority, pdl_run: Runner
) -> None:
    env = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": "", "CURL_CA_BUNDLE": str(authority.pem)}
    assert pdl_run(safe.url("/a.bin"), "--engine", "inline", env=env).code == 0


def test_whose_a_certificate_is_is_told_where_a_directory_is_trusted(
    authority: Authority, pdl_run: Runner
) -> None:
    with Server(tls=authority.wrong_host()) as wrong:
        url = wrong.on("/a.bin", File(BODY))
        env = {"SSL_CERT_DIR": str(authority.hashed())}
        refused = pdl_run(url, "--engine", "inline", "--retries", "0", env=env)
    assert "the certificate is for elsewhere.example, and not valid for '127.0.0.1'" in refused.err


# --- the system's own store, in a mount namespace ---


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs a mount namespace",
)
@pytest.mark.parametrize("form", ["directory", "file"])
def test_the_systems_store_is_enough(
    form: str, safe: Server, authority: Authority, tmp_path: Path
) -> None:
    place = os.path.realpath(ssl.get_default_verify_paths().openssl_capath)
    if place != "/etc/ssl/certs" or not Path(place).is_dir():
        pytest.skip("this system's store is elsewhere")
    mine = authority.hashed()
    if form == "file":  # as in small images: the bundle alone, with no names for OpenSSL
        mine = tmp_path / "store"
        mine.mkdir()
        (mine / "ca-certificates.crt").write_bytes(authority.pem.read_bytes())
    pdl = shlex.join([sys.executable, "-m", "pdl", safe.url("/a.bin"), "--retries", "0"])
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount --bind {mine} {place} && exec {pdl}"],
        cwd=tmp_path,
        env=base_environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "mount" in ended.stderr:
        pytest.skip("mount namespaces are not allowed here")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "a.bin").read_bytes() == BODY
