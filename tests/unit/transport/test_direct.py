"""Connections in the clear without requests: the same bytes, and never where a proxy has a say."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pdl.model import FailureKind
from pdl.pool.startup.prestart import PRELOAD, THROUGH_REQUESTS, wanted
from pdl.settings import HttpSettings
from pdl.system import proxy_variables
from pdl.transport import Request, Transport, TransportError
from pdl.transport.http.keepalive import Direct, KeepaliveTransport
from pdl.transport.http.requests_ import RequestsTransport
from pdl.transport.min_speed import head_seconds
from servers.behaviours import Reply
from servers.files import File
from servers.programs import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from servers.certs import Authority
    from servers.misbehave import Server

HTTP = HttpSettings(timeout=5.0, connect_timeout=5.0)
BODY = b"bytes of the file\n"
FIELDS = (("User-Agent", "pdl/test"), ("Accept-Encoding", "identity"), ("X-Odd", "\xe4"))


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have one."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def read(transport: Transport, url: str) -> bytes:
    """The body that the transport gets, and the transport's end."""
    response = transport.open(Request(url, FIELDS))
    buffer, found = memoryview(bytearray(1000)), b""
    while count := response.readinto(buffer):
        found += buffer[:count]
    response.close()
    transport.close()
    return found


@pytest.mark.parametrize("target", ["/f.bin", "/f%20b;x?q=%2F&r=a,b", "/", "/?", "/f?a?b"])
def test_both_ask_with_the_same_bytes(server: Server, target: str) -> None:
    server.on(target.partition("?")[0], File(BODY))
    url = server.url(target)
    for make in (KeepaliveTransport, RequestsTransport):
        assert read(make(HTTP), url) == BODY
    ours, theirs = server.requests()
    assert (ours.target, ours.version, ours.headers) == (
        theirs.target,
        theirs.version,
        theirs.headers,
    )


def test_a_head_has_to_end_in_time(server: Server) -> None:
    """`pdl.transport.min_speed.head_seconds` says when, the tests of an attempt what follows."""
    settings = HTTP._replace(min_speed=100.0)
    url = server.on("/f.bin", File(BODY))
    kept = Direct(settings).connect(Request(url, FIELDS))
    assert kept.reader.head_seconds == head_seconds(settings.timeout, 100.0) < math.inf
    kept.close()


def test_a_name_that_ends_with_the_roots_dot_is_asked_for_without(server: Server) -> None:
    server.on("/f.bin", File(BODY))
    url = server.url("/f.bin").replace("127.0.0.1", "localhost.")
    transport = KeepaliveTransport(HTTP)
    for _ in range(2):
        response = transport.open(Request(url, FIELDS))
        buffer = memoryview(bytearray(1000))
        while response.readinto(buffer):
            pass
        response.close()
    transport.close()
    assert read(RequestsTransport(HTTP), url) == BODY
    hosts = {seen.header("Host") for seen in server.requests()}
    assert (len(server.requests()), hosts) == (3, {url.split("/")[2].replace("t.:", "t:")})


@pytest.mark.parametrize("name", ["Host", "connection", "Transfer-Encoding"])
def test_a_field_that_ours_would_contradict_is_requests_matter(server: Server, name: str) -> None:
    request = Request(server.url("/f.bin"), ((name, "chunked"),))
    assert not Direct(HTTP).serves(request)
    assert Direct(HTTP).serves(request._replace(headers=FIELDS))


@pytest.mark.parametrize("make", [KeepaliveTransport, RequestsTransport])
@pytest.mark.parametrize(
    ("host", "kind"),
    [("127.0.0.1", FailureKind.CONNECT), ("no.such.name.invalid", FailureKind.DNS)],
)
def test_a_failure_to_connect_is_the_same(
    make: Callable[[HttpSettings], Transport], host: str, kind: FailureKind
) -> None:
    with pytest.raises(TransportError) as caught:
        read(make(HTTP), f"http://{host}:{free_port()}/f.bin")
    assert caught.value.kind is kind
    assert "Error" not in caught.value.message


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.on("/f.bin", File(BODY))
    monkeypatch.setenv(name, server.base)
    assert read(KeepaliveTransport(HTTP), "http://origin.invalid/f.bin") == BODY
    assert server.requests()[0].target == "http://origin.invalid/f.bin"


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://me:secret@no.such.name.invalid:3128", "no.such.name.invalid:3128: Name or"),
        ("me:secret@no.such.name.invalid", "proxy http://no.such.name.invalid: Name or service"),
        ("http://127.0.0.1:9", "the proxy http://127.0.0.1:9: Connection refused"),
        ("https://127.0.0.1:9", "the proxy https://127.0.0.1:9: Connection refused"),
        (r"http://me:sec\ret@127.0.0.1:9", "the proxy http://127.0.0.1:9: Connection refused"),
        ("socks4://me:secret@127.0.0.1:9", "environment, is none of http, https, socks5"),
        ("ftp://me:secret@127.0.0.1:9", "environment, is none of http, https"),
        ("me:sec/ret@127.0.0.1:9", "environment, has a bad host or port"),
        ("me:secret", "environment, has a bad host or port"),
    ],
)
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/f.bin", "https://127.0.0.1:1/f.bin"])
def test_a_proxy_that_cannot_be_asked_is_named(
    monkeypatch: pytest.MonkeyPatch, proxy: str, message: str, url: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(TransportError) as caught:
        read(KeepaliveTransport(HTTP), url)
    assert caught.value.kind is FailureKind.CONNECT
    assert message in caught.value.message
    assert not re.search("secret|sec.?ret", caught.value.message)


@pytest.mark.parametrize(
    "given", ["localhost:{port}", " 127.0.0.1:{port} ", "me:p\\w@localhost:{port}"]
)
def test_a_proxy_needs_no_scheme(
    server: Server, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    server.on("/f.bin", File(BODY))
    monkeypatch.setenv("http_proxy", given.format(port=server.port))
    assert read(KeepaliveTransport(HTTP), "http://origin.invalid/f.bin") == BODY


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_a_proxy_is_asked_each_time(
    server: Server, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server.on("/f.bin", File(BODY))
    if how == "environment":
        monkeypatch.setenv("http_proxy", server.base)
    transport = KeepaliveTransport(
        HTTP if how == "environment" else HTTP._replace(proxy=server.base)
    )
    urls = [f"http://{name}.invalid/f.bin" for name in ("one", "one", "two", "one")]
    for url in urls:
        response = transport.open(Request(url, FIELDS))
        buffer = memoryview(bytearray(1000))
        assert buffer[: response.readinto(buffer)] == BODY
        assert response.readinto(buffer) == 0
        response.close()
    assert [seen.target for seen in server.requests()] == urls
    transport.close()


def test_no_proxy_is_heard(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.on("/f.bin", File(BODY))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(KeepaliveTransport(HTTP), url) == BODY


@pytest.mark.parametrize(
    ("variables", "possible"),
    [
        ({}, False),
        ({"http_proxy": ""}, False),
        ({"no_proxy": "*"}, False),
        ({"NO_PROXY": "*"}, False),
        ({"Https_Proxy": "http://p"}, True),
        ({"ftp_proxy": "http://p"}, True),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system may name a proxy too")
def test_where_a_proxy_is_possible(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], possible: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_variables.possible() is possible


SCRIPT = """
import sys
from pdl.settings import HttpSettings
from pdl.transport import Request
from pdl.transport.http.keepalive import KeepaliveTransport
transport = KeepaliveTransport(HttpSettings(cacert=sys.argv[2] or None))
response = transport.open(Request(sys.argv[1], ()))
print(response.status, "requests" in sys.modules)
"""


def imported(url: str, cacert: str = "") -> str:
    """Status, and whether requests was imported for it."""
    command = [sys.executable, "-c", SCRIPT, url, cacert]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return run.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system may name a proxy")
def test_requests_is_imported_where_it_is_needed(server: Server, authority: Authority) -> None:
    url = server.on("/f.bin", Reply(404, (("Content-Length", "0"),)))
    assert imported(url) == "404 False"
    with server.__class__(tls=authority.good()) as safe:
        assert imported(safe.on("/f.bin", File(BODY)), str(authority.pem)) == "200 True"


@pytest.mark.parametrize(
    ("text", "through_requests"),
    [
        ("http://host/a\nhttp://host/b\n", False),
        ('{"url": "http://host/a"}\n', False),
        ("http://host/a\nhttps://host/b\n", True),
        ("HTTPS://host/b\n", True),
        ("a.bin\nb.bin\n", True),
        ("", True),
    ],
)
def test_what_a_list_begins_with_tells_what_workers_need(
    tmp_path: Path, text: str, through_requests: bool
) -> None:
    listed = tmp_path / "urls.txt"
    listed.write_text(text)
    assert (THROUGH_REQUESTS in wanted([str(listed), "-j8"])) is through_requests


@pytest.mark.parametrize(
    ("arguments", "through_requests"),
    [
        (["http://host/a"], False),
        (["http://host/a", "-d", "/tmp"], False),
        (["http://host/a", "https://host/b"], True),
        (["--base-url=https://host/", "http://host/a"], True),
        (["http://host/a", "--proxy", "http://p:1"], True),
        (["no such list"], True),
        (["-"], True),
    ],
)
def test_what_the_arguments_tell(arguments: list[str], through_requests: bool) -> None:
    found = wanted(arguments)
    assert (THROUGH_REQUESTS in found) is through_requests
    assert set(PRELOAD) <= set(found)


def test_with_a_proxy_about_requests_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://p:1")
    assert THROUGH_REQUESTS in wanted(["http://host/a"])


def test_a_pipe_is_not_read_before_its_time(tmp_path: Path) -> None:
    pipe = tmp_path / "urls"
    os.mkfifo(pipe)
    assert THROUGH_REQUESTS in wanted([str(pipe)])  # opening it would wait for a writer
