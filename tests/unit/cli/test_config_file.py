"""The configuration file: what counts before what, and what is refused by its file and key."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from pdl.cli.config_file import Entry
from pdl.cli.main import command, read_values
from pdl.cli.option_types import Row
from pdl.cli.options import ROWS
from pdl.cli.to_settings import AllowedFailures, usual_config
from pdl.errors import PdlError
from pdl.settings import Resolved, check
from pdl.system import bounded_read
from servers.files import File

if TYPE_CHECKING:
    from runner import Runner
    from servers.misbehave import Server

KEYS = [row.opts[-1][2:] for row in ROWS if row.target]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's configuration directory, with nothing in it yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "pdl").mkdir(parents=True)
    return tmp_path / "config" / "pdl"


def write(home: Path, text: str | bytes) -> Path:
    path = home / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


def field(target: str, *args: str) -> object:
    """What a field of the settings is."""
    settings, options = read_values(command.make_context("pdl", ["list", *args]))
    part, _, name = target.partition(".")
    found: object = getattr(options if part == "command" else getattr(settings, part), name)
    return found


def refusal(*args: str) -> str:
    with pytest.raises((click.ClickException, PdlError)) as caught:
        command.main([*args, "http://h/a"], prog_name="pdl", standalone_mode=False)
    error = caught.value
    return error.format_message() if isinstance(error, click.ClickException) else str(error)


# --- each key ---


@pytest.mark.parametrize(
    ("said", "target", "value"),
    [
        ("jobs = 16", "pool.jobs", 16),
        ('jobs = "auto"', "pool.jobs", "auto"),
        ("timeout = 7", "http.timeout", 7.0),
        ("timeout = 7.5", "http.timeout", 7.5),
        ("max-size = 1000", "files.max_size", 1000),
        ('max-size = "2K"', "files.max_size", 2048),
        ('retry-status = "429,503"', "retry.statuses", {429, 503}),
        ("retry-status = [429, 503]", "retry.statuses", {429, 503}),
        ("retry-status = 429", "retry.statuses", {429}),
        ('header = "A: b"', "http.headers", (("A", "b"),)),
        ('header = ["A: b", "C: d:e"]', "http.headers", (("A", "b"), ("C", "d:e"))),
        ("tree = true", "naming.tree", True),
        ("no-mtime = true", "files.mtime", False),
        ("no-mtime = false", "files.mtime", True),
        ("ipv6 = true", "http.ip_version", 6),
        ('resolve = "h:1:::1"', "http.resolve", (Resolved("h", 1, ("::1",)),)),
        ('allow-failures = "5%"', "command.allow_failures", AllowedFailures(5, share=True)),
        ("allow-failures = 5", "command.allow_failures", AllowedFailures(5, share=False)),
        ("verbose = true", "command.verbose", 1),
        ('dir = "~/d"', "files.directory", os.path.expanduser("~/d")),  # noqa: PTH111
        ('dir = "~d"', "files.directory", "~d"),
        ('report = ["a.json", "b:c.json"]', "command.reports", ("a.json", "b:c.json")),
        ('checksums = "a b"', "input.checksums", ("a b",)),
    ],
)
def test_a_key_is_read_as_its_option(home: Path, said: str, target: str, value: object) -> None:
    write(home, said)
    assert field(target) == value


def test_each_option_but_those_that_choose_the_file_is_a_key(home: Path) -> None:
    for key in KEYS:
        write(home, f"{key} = 1979-05-27")
        choosing = key in {"config", "no-config"}
        wanted = "there is no such option" if choosing else "wanted, and this is a time"
        if key == "profile":
            wanted = "a table is wanted, as [profile.NAME]"
        assert wanted in refusal(), key
        assert str(home / "config.toml") in refusal()


# --- what counts before what ---

MATRIX = {
    "jobs": ("pool.jobs", ["1", "2", "3", "4"], "{}"),
    "timeout": ("http.timeout", ["1.5", "2.5", "3.5", "4.5"], "{}"),
    "user-agent": ("http.user_agent", ["a", "b", "c", "d"], '"{}"'),
    "header": ("http.headers", ["A: 1", "A: 2", "B: 3", "C: 4"], '["{}"]'),
    "max-size": ("files.max_size", ["1K", "2K", "3K", "4K"], '"{}"'),
    "retry-status": ("retry.statuses", ["401", "402", "403", "404"], "[{}]"),
    "if-exists": ("files.if_exists", ["skip", "update", "overwrite", "fail"], '"{}"'),
}


@pytest.mark.slow
@pytest.mark.parametrize("key", MATRIX)
@pytest.mark.parametrize("given", list(itertools.product([False, True], repeat=4))[1:])
def test_what_is_nearer_counts(
    key: str, given: tuple[bool, ...], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, values, form = MATRIX[key]
    flag, variable, profile, top = given
    text = f"{key} = {form.format(values[3])}\n" if top else ""
    text += "[profile.p]\n"
    text += f"{key} = {form.format(values[2])}\n" if profile else ""
    write(home, text)
    if variable:
        monkeypatch.setenv("PDL_" + key.upper().replace("-", "_"), values[1])
    args = (f"--{key}", values[0]) if flag else ()
    got = field(target, "--profile", "p", *args)
    monkeypatch.delenv("PDL_" + key.upper().replace("-", "_"), raising=False)
    wanted = field(target, "--no-config", f"--{key}", values[given.index(True)])
    assert got == wanted


@pytest.mark.parametrize("given", list(itertools.product([None, False, True], repeat=3)))
def test_a_flag_that_is_nearer_counts(
    given: tuple[bool | None, ...], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, profile, top = given
    lines = ["" if top is None else f"tree = {str(top).lower()}", "[profile.p]"]
    lines.append("" if profile is None else f"tree = {str(profile).lower()}")
    write(home, "\n".join(lines))
    if variable is not None:
        monkeypatch.setenv("PDL_TREE", str(int(variable)))
    said = [each for each in given if each is not None]
    assert field("naming.tree", "--profile", "p") is (said[0] if said else False)


@pytest.mark.parametrize(
    ("text", "variables", "args", "target", "value"),
    [
        ("update = true", {}, ("--if-exists", "skip"), "files.if_exists", "skip"),
        ("update = true", {"PDL_IF_EXISTS": "fail"}, (), "files.if_exists", "fail"),
        ('if-exists = "fail"', {}, ("-N",), "files.if_exists", "update"),
        ('if-exists = "fail"', {"PDL_UPDATE": "1"}, (), "files.if_exists", "update"),
        ("ipv4 = true", {}, ("-6",), "http.ip_version", 6),
        ("ipv4 = true", {"PDL_IPV6": "1"}, (), "http.ip_version", 6),
        ("fail-fast = true", {}, ("--max-failures", "5"), "stop.max_failures", 5),
        ("fail-fast = true", {"PDL_MAX_FAILURES": "5"}, (), "stop.max_failures", 5),
        ("max-failures = 5", {}, ("--fail-fast",), "stop.max_failures", 1),
        (
            "fail-fast = true\n[profile.p]\nmax-failures = 5",
            {},
            ("--profile", "p"),
            "stop.max_failures",
            5,
        ),
        ("ipv4 = true\n[profile.p]\nipv6 = true", {}, ("--profile", "p"), "http.ip_version", 6),
    ],
)
def test_two_options_for_one_thing_are_one(
    *,
    text: str,
    variables: dict[str, str],
    args: tuple[str, ...],
    target: str,
    value: object,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(home, text)
    for name, said in variables.items():
        monkeypatch.setenv(name, said)
    assert field(target, *args) == value


# --- which file ---


def test_no_file_is_no_matter(home: Path) -> None:
    assert field("pool.jobs") == 8


def test_another_file_is_read_instead(home: Path, tmp_path: Path) -> None:
    write(home, "jobs = 3\ntimeout = 3")
    (tmp_path / "other.toml").write_text("jobs = 4")
    other = str(tmp_path / "other.toml")
    assert field("pool.jobs", "--config", other) == 4
    assert field("http.timeout", "--config", other) == 60.0


def test_none_is_read_if_so_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "jobs = ")
    assert field("pool.jobs", "--no-config") == 8
    monkeypatch.setenv("PDL_NO_CONFIG", "1")
    assert field("pool.jobs") == 8


@pytest.mark.parametrize("place", ["", ".", "here"])
def test_nothing_is_read_in_the_current_directory(
    place: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("XDG_CONFIG_HOME", place)
    for directory in (".", "pdl", "here/pdl"):
        Path(directory).mkdir(parents=True, exist_ok=True)
        Path(directory, "config.toml").write_text("jobs = 3")
    assert usual_config() == str(tmp_path / "me/.config/pdl/config.toml")
    assert field("pool.jobs") == 8


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("-h",), ("--manual", "config")])
def test_help_needs_no_good_file(home: Path, args: tuple[str, ...]) -> None:
    write(home, "jobs = [")
    with pytest.raises(SystemExit) as ended:
        command.main(list(args), prog_name="pdl")
    assert ended.value.code == 0


def test_without_a_file_nothing_is_imported_for_it() -> None:
    code = (
        "import sys; from pdl.cli.main import command, read_values;"
        "read_values(command.make_context('pdl', ['list']));"
        "print([n for n in ('tomllib', 'tomli', 'difflib', 'pdl.cli.config_file')"
        " if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# --- what is refused ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("job = 3", "job: there is no such option\n  hint: is jobs meant?"),
        ("retry_wait = 3", "retry_wait: there is no such option\n  hint: is retry-wait meant?"),
        ("xyzzy = 3", "xyzzy: there is no such option"),
        ('config = "x"', "config: there is no such option"),
        ("help = true", "help: there is no such option"),
        ("h = true", "h: there is no such option"),
        ('jobs = "4"', "Invalid value"),
        ('jobs = "many"', "'many' is neither a number nor auto"),
        ("jobs = 4.5", "jobs: a whole number or text in quotes is wanted, and this is a number"),
        ("jobs = true", "jobs: a whole number or text in quotes is wanted, and this is true or"),
        ("jobs = 0", "0 is less than 1"),
        ("timeout = nan", "nan is not a number of seconds"),
        ("timeout = -inf", "-inf is not a number of seconds"),
        ('timeout = "5"', "timeout: a whole number or a number is wanted, and this is text"),
        ("tree = 1", "tree: true or false is wanted, and this is a whole number"),
        ('tree = "yes"', "tree: true or false is wanted, and this is text in quotes"),
        ("dir = 5", "dir: text in quotes is wanted, and this is a whole number"),
        ('dir = ["a"]', "dir: text in quotes is wanted, and this is a list"),
        ("dir = 07:32:00", "dir: text in quotes is wanted, and this is a time"),
        ("header = [1]", "header: text in quotes, or a list of such is wanted, and this is a wh"),
        ('header = "x"', "a header has the form"),
        ('header = {A = "b"}', "header: text in quotes, or a list of such is wanted, and this is"),
        ('dir = "a\\u0000b"', "dir: there is a NUL in it"),
        ('if-exists = "maybe"', "'maybe' is none of skip"),
        ("profile = 3", "profile: a table is wanted, as [profile.NAME]"),
        ("profile.x = 3", "profile.x: a table is wanted, as [profile.NAME]"),
        ("[profile.x]\njob = 3", "profile.x.job: there is no such option"),
        ("[profile.x]\ntree = 3", "profile.x.tree: true or false is wanted"),
        ("[x]\njobs = 3", "x: there is no such option"),
        ("ipv4 = true\nipv6 = true", "--ipv4 and --ipv6 contradict each other"),
        ('update = true\nif-exists = "fail"', "--update and --if-exists fail contradict each oth"),
        ("locked = true", "--locked needs a lock file"),
        # no TOML
        ("jobs", "it is not TOML: "),
        ("jobs = 3\njobs = 4", "it is not TOML: "),
        ("a = 1\nb = 2\nc\n", "line 3"),
        (b"jobs = 3\0", "it is not TOML: "),
        (b"\0" * 100, "it is not TOML: "),
        (b"a = 1\n\xff\xfe", "line 2: it is not UTF-8"),
        (b"\xff\xfej\0o\0b\0s\0", "line 1: it is not UTF-8"),
        (b"a" * 1_000_000 + b" = 1", "aaaaaaaa...: the line is longer than 16384 bytes"),
        (b'"' + b"a" * 12_000 + b'" = 1', "aaaaaaaa...: there is no such option"),
        (b"a" + b".a" * 7_000 + b" = 1", "line 1: a key has more than 40 dots"),
        (b"jobs = 3\n[a" + b".a" * 60 + b"]", "line 2: a key has more than 40 dots"),
        (b"a = {b" + b".a" * 60 + b" = 1}", "line 1: a key has more than 40 dots"),
        ("# " + "." * 60 + "\njob = 3", "job: there is no such option"),
        ('expect-type = "' + "a/b, " * 60 + '"\njob = 3', "job: there is no such option"),
        (b"".join(b"[b%d%s]\n" % (n, b".a" * 39) for n in range(2_900)), "there is no such option"),
        (b"jobs = 0x" + b"f" * 9_000, "jobs: the number is too large"),
        (b"timeout = 1" + b"0" * 4_000, "timeout: the number is too large"),
        (b"timeout = 1" + b"0" * 400, "timeout: the number is too large"),
        ("timeout = 1e999", "inf is not a number of seconds"),
        (b"a = " + b"[" * 8_000, "nested too deeply"),
        (b"a = " + b"[\n" * 8_000, "nested too deeply"),
        (b"a = " + b"{a = " * 3_000, "nested too deeply"),
        (b"jobs = " + b"9" * 9_000, "it is not TOML: "),
        (b"# x\n" * 600_000, "larger than 262144 bytes"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_is_wrong_is_told_by_file_and_key(home: Path, text: str | bytes, said: str) -> None:
    path = write(home, text)
    if text == 'jobs = "4"':  # as on the command line
        assert field("pool.jobs") == 4
        return
    started = time.monotonic()
    told = refusal("--dry-run")
    assert said in told
    assert str(path) in told
    assert len(told) < 600
    assert time.monotonic() - started < 5


def test_what_is_wrong_ends_the_command(home: Path, pdl_run: Runner) -> None:
    ended = pdl_run("http://127.0.0.1:9/a", "--config", write(home, "tree = 3"))
    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"pdl: {home}/config.toml: tree: true or false is wanted, and this is a whole number"
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--config", "gone.toml"), "gone.toml: the configuration cannot be read: No such file"),
        (("--config", "/"), "/: the configuration cannot be read: Is a directory"),
        (("--config", "/dev/zero"), "the line is longer than 16384 bytes"),
        (("--config", "/dev/null"), "it is a pipe or a device that says nothing"),
        (("--config", "a\0b"), "the configuration cannot be read: embedded null byte"),
        (("--config", "x", "--no-config"), "--config and --no-config contradict"),
        (("--profile", "x", "--no-config"), "--profile and --no-config contradict"),
        (("--profile", "x"), "--profile needs a configuration, and there is no /"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(args: tuple[str, ...], said: str) -> None:
    assert said in refusal(*args)


def test_a_pipe_that_nobody_writes_to_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_read, "SECONDS", 0.05)
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe or a device, and said not all in" in refusal("--config", str(tmp_path / "pipe"))


def test_a_pipe_whose_writer_says_nothing_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_read, "SECONDS", 0.05)
    reader, writer = os.pipe()
    os.write(writer, b"jobs")
    assert "said not all in 0.05 s" in refusal("--config", f"/dev/fd/{reader}")
    os.close(writer)
    os.close(reader)


def test_a_pipe_of_a_shell_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"jobs = 3")
    os.close(writer)
    assert field("pool.jobs", "--config", f"/dev/fd/{reader}") == 3
    os.close(reader)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read every file")
def test_a_file_without_permission_is_told(home: Path) -> None:
    write(home, "jobs = 3").chmod(0)
    assert "cannot be read: Permission denied" in refusal()


HOSTILE = [
    *("-1", "0", "1", "9223372036854775807", "-9223372036854775808", "0x" + "f" * 3000, "nan"),
    *("-inf", "1e400", "true", '""', '"\\u0000"', '"\\n"', '"\\ud7ff"', '"-"', '"a=b=c"', '"*"'),
    *("[]", "[[]]", "[1, 'a']", "{}", "{a = 1}", "1979-05-27T07:32:00Z", '"' + "x" * 9000 + '"'),
    *('"@"', '"@/"', '"@/dev/null"', '"0/0"', '"HOST=x"', '"::::"', '"%"', '"1,2,xx"', '"\\t"'),
]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", '[host."a.org"]\n', "[profile.p]\n"])
def test_no_value_of_any_key_is_more_than_refused(place: str, home: Path) -> None:
    """What is refused is told in short, and by the option or the key."""
    path = write(home, "")
    for key in [*KEYS, "password"]:
        for value in HOSTILE[:: 3 if place else 1]:
            write(home, f"{place}{key} = {value}")
            try:
                context = command.make_context(
                    "pdl", ["--profile", "p", "list"] if place[1:2] == "p" else ["list"]
                )
                check(read_values(context)[0])
            except (click.ClickException, PdlError) as exc:
                told = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
                named = (str(path), f"--{key}", *(f"{row.target}: " for row in ROWS if row.target))
                assert any(each in told for each in named), (key, value, told)


def test_a_profile_that_is_not_there_is_told_with_the_nearest(home: Path) -> None:
    path = write(home, "[profile.night]\n[profile.day]")
    said = f"{path} has no [profile.nigth]\n  hint: is night meant?"
    assert refusal("--profile", "nigth") == said
    assert refusal("--profile", "x").endswith("has no [profile.x]\n  hint: it has night, day")
    write(home, "")
    assert refusal("--profile", "x").endswith("has no [profile.x]\n  hint: it has none")


def test_a_refused_value_names_the_file_and_the_profile(home: Path) -> None:
    path = write(home, "[profile.p]\njobs = 0")
    said = f"Invalid value for '-j' / '--jobs' (set in {path}, [profile.p]): 0 is less than 1"
    assert refusal("--profile", "p") == said


def test_the_file_is_not_replaced_by_what_the_run_writes(home: Path) -> None:
    path = write(home, "jobs = 3")
    said = refusal("--failed", str(path))
    assert f"--failed {path} is also the configuration" in said


# --- what is shown ---

SECRET = (
    'header = ["Authorization: Bearer hunter2", "X-Team: data"]\nproxy = "http://u:hunter2@h:1"'
)


def test_a_dry_run_shows_what_was_read(home: Path, pdl_run: Runner, tmp_path: Path) -> None:
    path = write(home, f"{SECRET}\njobs = 3\ntimeout = 5\ntree = true\n[profile.p]\nretries = 1")
    ended = pdl_run(
        *("http://h/a", "--dry-run", "-v", "--config", path, "--profile", "p", "-j", "4"),
        env={"PDL_TIMEOUT": "9"},
    )
    assert ended.code == 0, ended.err
    assert ended.err.splitlines() == [
        f"pdl: configuration: {path}",
        "pdl:   header = Authorization: ***, X-Team: data",
        "pdl:   proxy = http://u:***@h:1",
        "pdl:   jobs = 3 (overruled by the command line)",
        "pdl:   timeout = 5 (overruled by PDL_TIMEOUT)",
        "pdl:   tree = true",
        "pdl:   retries = 1 [profile.p]",
    ]
    assert "hunter2" not in ended.out + ended.err


def test_a_user_is_not_shown_with_a_password() -> None:
    row = Row("-u --user USER", "auth.users", "Log in.", click.STRING, multiple=True)
    entry = Entry(row, ["h:8443=me:hunter2", "me"], "")
    assert entry.shown() == "***, me"
    assert entry.is_secret()


def test_a_dry_run_says_that_none_was_read(pdl_run: Runner) -> None:
    ended = pdl_run("http://h/a", "--dry-run", "-v")
    assert "no configuration file is read: /" in ended.err
    assert pdl_run("http://h/a", "--dry-run").err == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        ('header = "Authorization: Bearer hunter2"', 0o644, "header"),
        ('header = "Cookie: a=hunter2"', 0o640, "header"),
        ('header = ["A: b", "X-Api-Key: hunter2"]', 0o604, "header"),
        ('proxy = "http://u:hunter2@127.0.0.1:1"', 0o644, "proxy"),
        ('header = "Authorization: Bearer hunter2"', 0o600, ""),
        ('header = "Accept: a/b"', 0o644, ""),
    ],
)
@pytest.mark.parametrize("args", [(), ("--dry-run",), ("--check",)])
def test_a_secret_that_others_can_read_is_warned_of_once(
    *,
    text: str,
    mode: int,
    warned: str,
    args: tuple[str, ...],
    home: Path,
    server: Server,
    pdl_run: Runner,
) -> None:
    path = write(home, text)
    path.chmod(mode)
    url = server.url("/none")
    ended = pdl_run(url, "--config", path, "--engine", "inline", "--retries", "0", *args)
    said = f"others can read the secret ({warned}) in {path}: chmod go-rwx {path}"
    assert ended.err.count("others can read") == bool(warned)
    assert (said in ended.err) == bool(warned)
    assert "hunter2" not in ended.out + ended.err


def test_a_run_goes_by_the_file(
    home: Path, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/d/a.bin", File(b"content"))
    path = write(home, 'user-agent = "mine/1"\ndir = "out"\n[profile.p]\nname = "b"')
    ended = pdl_run(url, "--config", path, "--profile", "p")
    assert ended.code == 0, ended.err
    assert (tmp_path / "out" / "b").read_bytes() == b"content"
    (seen,) = server.requests()
    assert dict(seen.headers)["User-Agent"] == "mine/1"
