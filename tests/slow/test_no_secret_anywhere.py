"""A secret given in every way there is, and every place looked through for it afterwards."""

from __future__ import annotations

import secrets
import sys
import threading
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest

from runner import PDL, Run, Runner, until
from servers.behaviours import Pause, Raw, Reply, Then
from servers.files import File
from servers.row import ETAG, cut
from servers.socks import SocksServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers.misbehave import Server
    from servers.wire import Behaviour, Exchange

pytestmark = pytest.mark.slow

BODY = b"some bytes"
NAMES = ("ok.bin", "missing.bin", "refused.bin", "cut.bin", "away.bin", "gate.bin")


class Place(NamedTuple):
    """What a way is told.

    Attributes:
        secret: has characters that are percent-encoded in a URL.
        host: of the server of files, with its port.
        home: for files that hold the secret by right; it is not looked through.
        proxy: host and port of one that answers as the server of files does.
        socks: host and port of one that passes on to it.
    """

    secret: str
    host: str
    home: Path
    proxy: str
    socks: str

    @property
    def quoted(self) -> str:
        """The secret in a URL."""
        return quote(self.secret, safe="")

    def file(self, text: str) -> str:
        """The path of a file that says so."""
        path = self.home / f"given-{len(list(self.home.iterdir()))}"
        path.write_text(text)
        return str(path)

    def program(self, says: str) -> str:
        """A command that notes its arguments, and says so."""
        note = f"open({str(self.home / 'arguments')!r}, 'a').write(repr(sys.argv))"
        return f"'{sys.executable}' '{self.file(f'import sys; {note}; print({says})')}'"


class Given(NamedTuple):
    """How a run is given a secret.

    Attributes:
        args: of the command.
        env: of it.
        line: a line of the list, with ``URL`` and ``HOST`` for the file's and its server's.
        set: what the server sets as a cookie.
        away: what follows the target of a redirect.
        shown: the arguments of the main process have it, by the user's own act.
    """

    args: tuple[str, ...] = ()
    env: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default
    line: str = "URL"
    set: str = ""
    away: str = ""
    shown: bool = False


def _helper(p: Place) -> Given:
    said = {"headers": {"Authorization": [f"Bearer {p.secret}"]}}
    return Given(("--credential-helper", p.program(f"{str(said)!r}.replace(chr(39), chr(34))")))


def _url_command(p: Place) -> Given:
    base = f"'http://{p.host}/' + sys.argv[-1].split(':')[1]"
    says = f"{base} + '?x={p.quoted}\\nX-Key: {p.secret}'"
    return Given(("--url-command", p.program(says)), line="drive:NAME")


def _config(text: str) -> Callable[[Place], Given]:
    def make(p: Place) -> Given:
        said = text.replace("SECRET", p.secret).replace("HOST", p.host.partition(":")[0])
        return Given(
            ("--config", p.file(said.replace("QUOTED", p.quoted).replace("PROXY", p.proxy)))
        )

    return make


def _netrc(p: Place) -> Given:
    host = p.host.partition(":")[0]
    return Given(("--netrc-file", p.file(f"machine {host} login me password {p.secret}\n")))


def _cookies(p: Place) -> Given:
    host = p.host.partition(":")[0]
    text = f"# Netscape HTTP Cookie File\n{host}\tFALSE\t/\tFALSE\t0\ta\t{p.secret}\n"
    return Given(("--cookies", p.file(text)))


WAYS: dict[str, Callable[[Place], Given]] = {
    "a line's Authorization": lambda p: Given(line=f"URL\n  header=Authorization: Key {p.secret}"),
    "a line's Cookie": lambda p: Given(line=f"URL\n  header=Cookie: a={p.secret}"),
    "a line's referer": lambda p: Given(line=f"URL\n  referer=http://me:{p.quoted}@h/"),
    "a line's user": lambda p: Given(line=f"http://me:{p.quoted}@HOST/NAME"),
    "a line's token for a user": lambda p: Given(line=f"http://{p.quoted}@HOST/NAME"),
    "a line's signed query": lambda p: Given(line=f"URL?a=b&X-Amz-Signature={p.quoted}"),
    "a line's token": lambda p: Given(line=f"URL?token={p.quoted}&a=b"),
    "a line's fragment": lambda p: Given(line=f"URL#access_token={p.quoted}"),
    "a mirror's user": lambda p: Given(line=f"URL\thttp://me:{p.quoted}@HOST/NAME"),
    "-H": lambda p: Given(("-H", f"Authorization: Key {p.secret}"), shown=True),
    "-H Cookie": lambda p: Given(("-H", f"Cookie: a={p.secret}"), shown=True),
    "-H by a variable": lambda p: Given(env={"PDL_HEADER": f"X-Key: {p.secret}"}),
    "-H @FILE": lambda p: Given(("-H", f"@{p.file(f'Authorization: Key {p.secret}')}")),
    "-u": lambda p: Given(("-u", f"me:{p.secret}"), shown=True),
    "-u HOST": lambda p: Given(("-u", f"{p.host}=me:{p.secret}"), shown=True),
    "-u by a variable": lambda p: Given(env={"PDL_USER": f"{p.host}=me:{p.secret}"}),
    "--bearer": lambda p: Given(("--bearer", f"{p.host}=TOKEN"), {"TOKEN": p.secret}),
    "netrc": _netrc,
    "cookies of a file": _cookies,
    "a cookie that is set": lambda p: Given(set=f"a={p.secret}; Path=/"),
    "a redirect to a signed link": lambda p: Given(away=f"?X-Amz-Signature={p.quoted}"),
    "a redirect with a user": lambda p: Given(away=f"?to=http://me:{p.quoted}@h/"),
    "--credential-helper": _helper,
    "--url-command": _url_command,
    "--proxy": lambda p: Given(("--proxy", f"http://me:{p.quoted}@{p.proxy}"), shown=True),
    "--proxy by a variable": lambda p: Given(env={"PDL_PROXY": f"http://me:{p.quoted}@{p.proxy}"}),
    "the system's proxy": lambda p: Given(env={"http_proxy": f"http://me:{p.quoted}@{p.proxy}"}),
    "a SOCKS proxy": lambda p: Given(env={"PDL_PROXY": f"socks5h://me:{p.quoted}@{p.socks}"}),
    "a proxy that is not there": lambda p: Given(
        env={"PDL_PROXY": f"http://me:{p.quoted}@127.0.0.1:9"}
    ),
    "header in a config file": _config('header = ["Authorization: Key SECRET"]\n'),
    "a host's header": _config('[host."HOST"]\nheader = ["Authorization: Key SECRET"]\n'),
    "a host's proxy": _config('[host."HOST"]\nproxy = "http://me:QUOTED@PROXY"\n'),
}
NOT_GREETED = {"a line's fragment", "a mirror's user", "a proxy that is not there"}
"""Ways in which no server is told the secret."""


def _answering(given: Given) -> Callable[[Behaviour], Behaviour]:
    """Lets a behaviour set a cookie."""

    def wrap(inner: Behaviour) -> Behaviour:
        def answer(exchange: Exchange) -> None:
            if isinstance(inner, Reply) and given.set:
                cookie = ("Set-Cookie", given.set)
                Reply(inner.status, (*inner.headers, cookie), inner.body)(exchange)
            else:
                inner(exchange)

        return answer

    return wrap


def echo(exchange: Exchange) -> None:
    """A server that says back all that it was told."""
    seen = exchange.seen
    said = "; ".join(f"{name}: {value}" for name, value in seen.headers)
    body = f"no: {said} {seen.target}"
    start = f"HTTP/1.1 401 {said}\r\nContent-Length: {len(body)}\r\nContent-Type: text/plain"
    asks = "".join(f'\r\nWWW-Authenticate: Basic realm="{each}"' for each in (said, seen.target))
    Raw(f"{start}{asks}\r\n\r\n{body}".encode("latin-1"))(exchange)


def forms(secret: str) -> tuple[bytes, ...]:
    """How the secret may look: its hexadecimal part stands in all that is encoded for a URL."""
    core = secret[:24].encode()
    encoded = [b64encode(b"x" * shift + secret.encode())[4:32] for shift in (0, 1, 2)]
    return (core, b64encode(f"me:{secret}".encode())[:28], *encoded)


def places_of(found: bytes, looked_for: tuple[bytes, ...]) -> list[bytes]:
    """The lines that have it."""
    return [line for line in found.splitlines() if any(each in line for each in looked_for)]


@pytest.fixture
def place(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    secret = f"{secrets.token_hex(12)}/+{secrets.token_hex(4)}="
    host = server.base.partition("://")[2]
    with SocksServer(login=("me", secret)) as socks:
        at = socks.url("x").partition("://")[2]
        yield Place(secret, host, tmp_path_factory.mktemp("hidden"), host, at)


def prepare(server: Server, given: Given, gate: threading.Event) -> None:
    """Say what the server answers."""
    answering = _answering(given)
    server.on("/ok.bin", answering(Reply(200, (), BODY)))
    server.on("/missing.bin", answering(Reply(404)))
    server.on("/refused.bin", echo)
    server.on("/cut.bin", cut((("ETag", ETAG),)))
    server.on("/away.bin", Reply(302, (("Location", f"/final.bin{given.away}"),)))
    server.on("/final.bin", Reply(404) if given.away else File(BODY))
    server.on("/gate.bin", Then(Pause(60, gate), File(BODY)))


def write_list(given: Given, place: Place) -> str:
    """The path of a list of `NAMES`."""
    lines = [
        given.line.replace("URL", f"http://{place.host}/{name}")
        .replace("HOST", place.host)
        .replace("NAME", name)
        for name in NAMES
    ]
    return place.file("\n".join(lines) + "\n")


REPORTS = ("json", "jsonl", "csv", "xml", "md", "prom")
OUTPUTS = (
    *(word for ending in REPORTS for word in ("--report", f"r.{ending}")),
    *("--failed", "f.txt", "--lock", "l.lock", "--log-file", "run.log", "--sums", "sums"),
    *("--cache", "cache", "--update", "--progress", "json", "-v", "--retries", "0"),
)


def looked_through(directory: Path) -> dict[str, bytes]:
    """All files there, but what the failure list must have to be one; its comments stay in."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "f.txt":
                data = b"\n".join(line for line in data.splitlines() if line.startswith(b"#"))
            found[str(path.relative_to(directory))] = data
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_nowhere(
    way: str, server: Server, pdl_run: Runner, place: Place, tmp_path: Path
) -> None:
    if "SOCKS" in way and find_spec("python_socks") is None:
        pytest.skip("python-socks is not installed")
    given, gate, looked_for = WAYS[way](place), threading.Event(), forms(place.secret)
    prepare(server, given, gate)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {**given.env, "PDL_DEBUG": "1", "TMPDIR": str(temporary), "GITHUB_ACTIONS": "true"}
    hook = ("--exec", f"{place.program('0')} {{url}} {{final_url}} {{source}}")
    args = (write_list(given, place), *given.args, *OUTPUTS, *hook)
    process = pdl_run.start(*args, "-j", "4", "--processes", "2", "-d", "out", env=env)
    away = way == "a proxy that is not there"
    if not away:
        until(lambda: server.requests("/gate.bin"), "the last line")
    lines = {}
    for pid in pdl_run.alive():
        lines[pid] = Path(f"/proc/{pid}/cmdline").read_bytes()
    gate.set()
    runs = {"run": pdl_run.finish(process)}
    assert runs["run"].code == 1, runs["run"]
    runs["plan"] = pdl_run(*args, "-d", "out", "--dry-run", env=env)
    assert runs["plan"].code == 0, runs["plan"]
    mine = lines.get(process.pid)
    told = {
        f"arguments of {pid}": line
        for pid, line in lines.items()
        if not given.shown or line != mine  # a fork of it has the same
    }
    assert away or len(lines) > 2
    for name, run in runs.items():
        told |= {f"out of {name}": run.out.encode(), f"err of {name}": run.err.encode()}
    noted = place.home / "arguments"
    told |= {"arguments of a program": noted.read_bytes()} if noted.exists() else {}
    told |= looked_through(tmp_path)
    assert {*(f"r.{ending}" for ending in REPORTS), "f.txt", "run.log"} <= set(told)
    done = {"l.lock", "out/.pdl/state.sqlite", "sums", "arguments of a program"}
    assert away or done <= set(told)
    assert away or any(name.endswith(".part") for name in told)
    wrong = {name: hits for name, text in told.items() if (hits := places_of(text, looked_for))}
    assert not wrong
    asked = "\n".join(f"{seen.target} {seen.headers}" for seen in server.requests()).encode()
    assert way in NOT_GREETED or "SOCKS" in way or places_of(asked, looked_for), "not a test"


BREAKS = """\
import sys
from pdl.fetch import blocking
def broken(lane, task, meter):
    raise {kind}(f"what is this? {{task.url}}")
blocking.Fetcher.__call__ = broken
from pdl.run import download
if {main}:
    def broken_run(items, *args, **more):
        raise {kind}("what is this? " + open(sys.argv[1]).read())
    download.download = broken_run
from pdl.cli.main import main
main()
"""


@pytest.mark.parametrize("main", [False, True])
@pytest.mark.parametrize("line", ["a line's user", "a line's signed query"])
@pytest.mark.parametrize("kind", ["RuntimeError", "OSError"])
def test_a_mistake_of_pdls_own_shows_none(
    kind: str, main: bool, line: str, place: Place, tmp_path: Path
) -> None:
    runner = Runner(tmp_path, tmp_path, (*PDL[:1], "-c", BREAKS.format(kind=kind, main=main)))
    args = (write_list(WAYS[line](place), place), "--engine", "inline", *OUTPUTS)
    run: Run = runner(*args, env={"PDL_DEBUG": "1"})
    assert "what is this? http://" in run.err
    assert "Traceback" in run.err
    told = {"out": run.out.encode(), "err": run.err.encode(), **looked_through(tmp_path)}
    assert not {
        name: hits for name, text in told.items() if (hits := places_of(text, forms(place.secret)))
    }
