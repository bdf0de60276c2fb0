"""Options: what their values may look like, what they set, and what their variables are."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.cli.failure_options import Allowance, Statuses
from pdl.cli.main import command, read_values
from pdl.cli.option_types import Header, Number, PathName, Row, Seconds, Size, Word
from pdl.cli.options import ROWS
from pdl.cli.to_settings import COMMAND, CommandOptions, default_of, fault_of
from pdl.errors import UsageError
from pdl.run.build import check_settings as check
from pdl.settings import (
    CacheSettings,
    FileSettings,
    HttpSettings,
    InputSettings,
    LockSettings,
    PoolSettings,
    RetrySettings,
    Settings,
    StopSettings,
)

KINDS: list[Any] = [Size(), Header(), Statuses(), Allowance(), Seconds(), PathName(), Word("ab")]


def read(*arguments: str) -> tuple[Settings, CommandOptions]:
    """What a command with these arguments says."""
    return read_values(command.make_context("pdl", [*arguments, "urls.txt"]))


def refusal(*arguments: str) -> str:
    """Why a command with these arguments is refused."""
    with pytest.raises(click.BadParameter) as caught:
        read(*arguments)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("512", 512),
        ("10K", 10 * 1024),
        ("10k", 10 * 1024),
        ("10KB", 10 * 1024),
        ("10KiB", 10 * 1024),
        ("1.5M", 3 * 512 * 1024),
        ("2G", 2 * 1024**3),
        ("1T", 1024**4),
        (" 3 M ", 3 * 1024**2),
        ("5M/s", 5 * 1024**2),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert Size().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "K", "-1", "1P", "1 000", "0x10", "1e3", "10 M B", "9" * 400])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size such as"):
        Size().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-A: b", ("X-A", "b")),
        ("X-A:b", ("X-A", "b")),
        (" X-A :  b c ", ("X-A", "b c")),
        ("X-A: b: c", ("X-A", "b: c")),
        ("X-Empty:", ("X-Empty", "")),
    ],
)
def test_headers(text: str, expected: tuple[str, str]) -> None:
    assert Header().convert(text, None, None) == expected


@pytest.mark.parametrize(
    "text",
    ["", "X-A", ": b", "X A: b", "X-A: b\r\nX-B: c", "X\r\nY: b", "X-A: \x1b[31m", "X-\u00e9: b"],
)
def test_what_is_no_header(text: str) -> None:
    assert "header" in refusal("-H", text)


@pytest.mark.parametrize("text", ["Authorization: hunter2\x07", "Bearer hunter2: x", "hunter2"])
def test_a_refused_header_does_not_show_its_value(text: str) -> None:
    assert "hunter2" not in refusal("-H", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("429,503", {429, 503}),
        (" 404 , 500,", {404, 500}),
        ("", set()),
        ("429", {429}),
        ("429,5xx,-501", {429, *range(500, 600)} - {501}),
        ("4xx,-4xx,404", {404}),
        ("-501", {500}),
        (" -500, 404", {501, 404}),
    ],
)
def test_statuses(text: str, expected: set[int]) -> None:
    assert Statuses(frozenset({500, 501})).convert(text, None, None) == expected


@pytest.mark.parametrize(
    "text", ["200", "600", "4040", "44", "5x", "6xx", "2xx", "429;503", "429 503", "--404", "-5xx-"]
)
def test_what_are_no_statuses(text: str) -> None:
    assert "status" in refusal("--retry-status", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", (5, False)), ("0", (0, False)), ("1%", (1, True)), ("0.5%", (0.5, True))],
)
def test_allowances(text: str, expected: tuple[float, bool]) -> None:
    assert Allowance().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", "five", "5 %", "5%%"])
def test_what_is_no_allowance(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Allowance().convert(text, None, None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_was_converted_stays(kind: Any) -> None:  # noqa: ANN401
    text = {
        "size": "5K",
        "header": "A: b",
        "list": "429",
        "N|P%": "3%",
        "seconds": "5",
        "path": "a/b",
        "choice": "a",
    }[kind.name]
    once = kind.convert(text, None, None)
    assert kind.convert(once, None, None) == once


@given(text=st.text(), kind=st.sampled_from(KINDS))
def test_no_text_raises_anything_else(text: str, kind: Any) -> None:  # noqa: ANN401
    try:
        kind.convert(text, None, None)
    except click.BadParameter as exc:
        refusal = exc.message
    else:
        refusal = "none"
    assert refusal


# --- what the command line refuses, the Python API refuses with the same words ---


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "0", "1e308", "1e10", "1000001"])
def test_what_is_no_time(text: str) -> None:
    said = f"{float(text)!r} is not a number of seconds above 0 and up to 1000000"
    assert refusal("--timeout", text) == said
    value = float(text)
    for settings in (
        Settings(http=HttpSettings(timeout=value)),
        Settings(http=HttpSettings(connect_timeout=value)),
        Settings(files=FileSettings(max_time=value)),
        Settings(stop=StopSettings(deadline=value)),
        Settings(retry=RetrySettings(wait=value or -1)),
        Settings(retry=RetrySettings(max_wait=value or -1)),
    ):
        with pytest.raises(UsageError, match="is not a number of seconds"):
            check(settings)


def test_what_is_no_number() -> None:
    with pytest.raises(click.UsageError, match="'4x': a number is wanted, such as 4"):
        Number().convert("4x", None, None)
    assert Number().convert("4", None, None) == 4


def test_the_number_of_jobs_may_be_left_to_pdl(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("-j", "auto")[0].pool.jobs == "auto"
    assert refusal("-j", "Auto") == "'Auto' is neither a number nor auto"
    assert refusal("-j", "4x") == "'4x' is neither a number nor auto"
    assert refusal("-j", "0") == "0 is less than 1"
    monkeypatch.setenv("PDL_JOBS", "auto")
    assert read()[0].pool.jobs == "auto"
    assert read("-j", "3")[0].pool.jobs == 3


@pytest.mark.parametrize(
    ("pool", "first", "most", "split"),
    [
        (PoolSettings(jobs=1), 1, 1, (1, 1)),
        (PoolSettings(jobs=9, processes=2), 9, 9, (2, 5)),
        (PoolSettings(jobs="auto", processes=2), 8, 256, (2, 128)),
        (PoolSettings(jobs="auto", processes=16), 8, 256, (16, 16)),
        (PoolSettings(jobs="auto", processes=2, auto_most=6), 6, 6, (2, 3)),
    ],
)
def test_what_a_number_of_jobs_takes(
    pool: PoolSettings, first: int, most: int, split: tuple[int, int]
) -> None:
    assert (pool.first_jobs(), pool.most_jobs(), pool.split()) == (first, most, split)


def test_times() -> None:
    assert read("--retry-wait", "0")[0].retry.wait == 0
    assert read("--wait-lock", "0")[1].wait_lock == 0
    assert read("--timeout", "1e6")[0].http.timeout == 1e6
    check(Settings(retry=RetrySettings(wait=0, max_wait=0)))


@pytest.mark.parametrize("option", ["--lock", "--failed", "--cache"])
@pytest.mark.parametrize(("value", "fault"), [("", "is empty"), ("-", "standard output")])
def test_what_is_written_has_a_name(option: str, value: str, fault: str) -> None:
    assert fault in refusal(option, value)
    read(option, "./-")


@pytest.mark.parametrize(
    "url",
    ["http://", "http://u:hunter2@h:99999", "http://u:hunter2@", "u:hunter2@h:x", "socks4://h:1"],
)
def test_what_is_no_proxy(url: str) -> None:
    said = refusal("--proxy", url)
    assert "hunter2" not in said
    with pytest.raises(UsageError, match=f"^http.proxy: {re.escape(said)}$"):
        check(Settings(http=HttpSettings(proxy=url)))


@pytest.mark.parametrize("url", ["http://u:p@h:3128", "https://h", "127.0.0.1:3128", "u:p@[::1]:1"])
def test_proxies(url: str) -> None:
    assert read("--proxy", url)[0].http.proxy == url
    check(Settings(http=HttpSettings(proxy=url)))


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("-j", "0"), Settings(pool=PoolSettings(jobs=0)), "pool.jobs: 0 is less than 1"),
        (
            ("--processes", "0"),
            Settings(pool=PoolSettings(processes=0)),
            "pool.processes: 0 is less than 1",
        ),
        (
            ("--per-host", "0"),
            Settings(stop=StopSettings(per_host=0)),
            "stop.per_host: 0 is less than 1",
        ),
        (
            ("--max-failures", "0"),
            Settings(stop=StopSettings(max_failures=0)),
            "stop.max_failures: 0 is less than 1",
        ),
        (
            ("--retries", "-1"),
            Settings(retry=RetrySettings(retries=-1)),
            "retry.retries: -1 is less than 0",
        ),
        (
            ("--max-redirects", "-1"),
            Settings(http=HttpSettings(max_redirects=-1)),
            "http.max_redirects: -1 is less than 0",
        ),
        (
            ("--engine", "ray"),
            Settings(pool=PoolSettings(engine="ray")),
            "pool.engine: 'ray' is none of process, inline",
        ),
        (
            ("--start-method", "vfork"),
            Settings(pool=PoolSettings(start_method="vfork")),  # type: ignore[arg-type]
            "pool.start_method: 'vfork' is none of fork, forkserver, spawn",
        ),
        (
            ("--if-exists", "ask"),
            Settings(files=FileSettings(if_exists="ask")),  # type: ignore[arg-type]
            "files.if_exists: 'ask' is none of skip, update, overwrite, fail",
        ),
        (
            ("--format", "xml"),
            Settings(input=InputSettings(format="xml")),
            "input.format: 'xml' is none of auto, text, csv, tsv, jsonl, json, metalink, ",
        ),
        (
            ("--base-url", "ftp://u:hunter2@h/"),
            Settings(input=InputSettings(base_url="ftp://u:hunter2@h/")),
            "input.base_url: 'ftp://u:***@h/' only http and https can be downloaded, not ftp",
        ),
        (
            ("--checksums", "a", "--checksums", "https://h:x/"),
            Settings(input=InputSettings(checksums=("a", "https://h:x/"))),
            "input.checksums: 'https://h:x/' ",
        ),
        (
            ("--expect-type", "image"),
            Settings(files=FileSettings(expect_types=("image",))),
            "files.expect_types: 'image' is not a type such as application/zip or image/*",
        ),
        (
            ("--retry-status", "302"),
            Settings(retry=RetrySettings(statuses=frozenset({302}))),
            "retry.statuses: 302 is no HTTP status of an error",
        ),
        (
            ("-A", "a\nb"),
            Settings(http=HttpSettings(user_agent="a\nb")),
            "http.user_agent: the value of header User-Agent has a control character",
        ),
        (
            ("-H", "X-A: a\x07b"),
            Settings(http=HttpSettings(headers=(("X-A", "a\x07b"),))),
            "http.headers: the value of header X-A has a control character",
        ),
        (
            ("--cacert", "nowhere.pem"),
            Settings(http=HttpSettings(cacert="nowhere.pem")),
            "http.cacert: 'nowhere.pem' does not exist",
        ),
        (("--key", "/"), Settings(http=HttpSettings(key="/")), "http.key: '/' is a directory"),
        (("--cache", ""), Settings(cache=CacheSettings(path="")), "cache.path: '' is empty"),
        (("--lock", "-"), Settings(lock=LockSettings(path="-")), "lock.path: '-' is standard out"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and value else "",
)
def test_the_command_line_and_python_refuse_with_the_same_words(
    arguments: tuple[str, ...], settings: Settings, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check(settings)
    assert str(caught.value).startswith(said)
    assert refusal(*arguments) == str(caught.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(files=FileSettings(directory="")), "the output directory's name is empty"),
        (Settings(http=HttpSettings(key=__file__)), "--key needs a certificate"),
        (Settings(lock=LockSettings(locked=True)), "--locked needs a lock file"),
        (Settings(cache=CacheSettings(size=-1)), "cache.size: -1 is less than 0"),
        (Settings(files=FileSettings(max_size=-1)), "files.max_size: -1 is less than 0"),
        (
            Settings(files=FileSettings(if_exists=None)),  # type: ignore[arg-type]
            "files.if_exists: None is no value of it",
        ),
        (
            Settings(pool=PoolSettings(jobs="4")),  # type: ignore[arg-type]
            "pool.jobs: '4' is neither a number nor auto",
        ),
        (
            Settings(pool=PoolSettings(jobs=None)),  # type: ignore[arg-type]
            "pool.jobs: None is no value of it",
        ),
        (
            Settings(pool=PoolSettings(jobs=[4])),  # type: ignore[arg-type]
            "pool.jobs: a value of type list is none of it",
        ),
        (
            Settings(retry=RetrySettings(statuses=404)),  # type: ignore[arg-type]
            "retry.statuses: a value of type int is none of it",
        ),
    ],
)
def test_settings_that_cannot_be(settings: Settings, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        check(settings)


# --- the table: every row sets a field, every field has a row ---

SETTABLE = [row for row in ROWS if row.target]
INNER = {
    "pool.auto_most": "the run makes it smaller where file handles are few",
    "http.hosts_kept": "the pool makes it smaller where file handles are few",
    "http.lookups": "a run shares what a machine may ask at once among its workers",
    "files.describe": "the run finds out whether somebody has a use for it",
    "files.digest_there": "--sums needs it",
    "http.hosts": "the host tables of a configuration file",
    "http.policy": "the run reads it of the file of --rewrite for its workers",
    "http.pipe": "the pool turns it off where file handles are few",
    "http.retry_statuses": "the run hands the statuses of the retries to its workers",
    "http.tell_heads": "--verbose, given twice",
    "http.credentials": "the run gathers them from `AuthSettings` for its workers",
    "auth.near": "the configuration file knows what was said nearer than its host tables",
    "files.reserved": "the run finds out which of its own files are in the directory",
    "naming.reserved": "the same",
    "naming.aside": "--shard needs it",
    "naming.apart": "the same",
    "command.sources": "the arguments that are no options",
}
"""Fields that no option sets, and who does."""

VALUES = {
    "N|auto": "auto",
    "K/N|auto": "3/16",
    "N|inf": "inf",
    "URL": "https://h/",
    "FILE|URL": "sums.txt",
    "TEMPLATE": "{n}",
    "TYPE": "image/*",
    "HEADER": "A: b",
    "LIST": "404",
    "ALG[,ALG]": "md5,SHA-256",
    "N|P%": "1%",
    "RATE": "7K",
    "N/UNIT": "7/s",
    "USER": "h=me:pass",
    "HOST=ENVVAR": "h:80=HOME",
    "CMD": "true",
    "FIELD=COL": "url=#2",
    "PLACE": "h:80:192.0.2.1,[2001:db8::1]",
}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A configuration that says nothing, with a profile, and another one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "pdl").mkdir()
    (tmp_path / "pdl" / "config.toml").write_text("[profile.other]")
    (tmp_path / "other.toml").touch()


def value_for(row: Row) -> str:
    """A good value that is not the default."""
    if row.target in {
        "http.cacert",
        "http.cert",
        "http.key",
        "input.rewrite",
    } or row.target.startswith("auth."):
        return VALUES.get(row.metavar, __file__)  # it is there, and can be read
    if row.target == "command.config":
        return str(Path(os.environ["XDG_CONFIG_HOME"]) / "other.toml")
    if row.choices:
        return next(
            word for word in row.choices if word not in {default_of(row.target), row.default}
        )
    return VALUES.get(row.metavar, "7" if row.metavar in {"N", "S", "SIZE"} else "other")


def arguments_for(row: Row) -> list[str]:
    return [row.opts[-1]] if row.kind is None else [row.opts[-1], value_for(row)]


def field(said: tuple[Settings, CommandOptions], target: str) -> Any:  # noqa: ANN401
    part, _, name = target.partition(".")
    return getattr(said[1] if part == COMMAND else getattr(said[0], part), name)


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("row", SETTABLE, ids=lambda row: row.names)
def test_an_option_changes_the_field_of_its_row_and_no_other(row: Row) -> None:
    before, after = read(), read(*arguments_for(row))
    assert field(before, row.target) == default_of(row.target)
    assert field(after, row.target) != default_of(row.target)
    changed = [target for target in fields() if field(before, target) != field(after, target)]
    assert changed == [row.target]


@pytest.mark.slow
@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("row", SETTABLE, ids=lambda row: row.names)
def test_a_variable_does_what_its_option_does(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    said = read(*arguments_for(row))
    monkeypatch.setenv(row.variable, value_for(row) if row.kind is not None else "1")
    assert read() == said


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("row", SETTABLE, ids=lambda row: row.names)
def test_short_and_long_names_are_the_same(row: Row) -> None:
    rest = arguments_for(row)[1:]
    assert all(read(name, *rest) == read(row.opts[-1], *rest) for name in row.opts)


def fields() -> list[str]:
    """The paths of all fields."""
    paths = [
        f"{part}.{name}" for part in Settings._fields for name in getattr(Settings(), part)._fields
    ]
    return paths + [f"{COMMAND}.{name}" for name in CommandOptions._fields]


def test_every_field_is_set_by_an_option_or_somebody_else() -> None:
    targets = {row.target for row in SETTABLE}
    assert sorted(fields()) == sorted(targets | INNER.keys())
    assert not targets & INNER.keys()
    assert all(INNER.values())


def test_no_name_stands_twice() -> None:
    names = [name for row in ROWS for name in row.opts]
    assert len(names) == len(set(names))
    assert len({row.key for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", SETTABLE, ids=lambda row: row.names)
def test_a_default_keeps_the_rule_of_its_field(row: Row) -> None:
    assert fault_of(row.target, default_of(row.target)) == ""


def test_nothing_said_is_the_defaults() -> None:
    assert read() == (Settings(), CommandOptions(sources=("urls.txt",)))


def test_words_are_those_of_the_fields_type() -> None:
    for row in SETTABLE:
        if row.choices:
            assert "is none of" in refusal(row.opts[-1], "no such word")
            assert not any(fault_of(row.target, word) for word in row.choices)


def test_verbose_is_a_flag_that_may_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, times in ((("-v",), 1), (("-vv",), 2), (("-v", "--verbose", "-v"), 3)):
        assert read(*arguments)[1].verbose == times
    for number in range(3):
        monkeypatch.setenv("PDL_VERBOSE", str(number))
        assert read()[1].verbose == number


def test_fail_fast_wins_over_a_larger_number_of_failures() -> None:
    assert read("--fail-fast", "--max-failures", "5")[0].stop.max_failures == 1
    assert read("--max-failures", "5", "--fail-fast")[0].stop.max_failures == 1


def test_an_empty_user_agent_is_the_usual_one() -> None:
    assert read("-A", "")[0].http.user_agent == HttpSettings().user_agent


def test_update_and_if_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("-N")[0].files.if_exists == "update"
    assert read("-N", "--if-exists", "update")[0].files.if_exists == "update"
    with pytest.raises(UsageError, match="contradict each other"):
        read("-N", "--if-exists", "skip")
    monkeypatch.setenv("PDL_UPDATE", "1")
    assert read()[0].files.if_exists == "update"
    assert read("--if-exists", "skip")[0].files.if_exists == "skip"
    monkeypatch.setenv("PDL_IF_EXISTS", "overwrite")
    assert read()[0].files.if_exists == "update"


def test_several_values_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDL_HEADER", "Accept: a b\nX-One: 1")
    monkeypatch.setenv("PDL_REPORT", "a b.jsonl:c.json")
    monkeypatch.setenv("PDL_CHECKSUMS", "a b\nhttps://h/c")
    monkeypatch.setenv("PDL_EXPECT_TYPE", "image/* text/plain")
    monkeypatch.setenv("PDL_DIR", "from environment")
    settings, options = read("-d", "from command")
    assert settings.http.headers == (("Accept", "a b"), ("X-One", "1"))
    assert options.reports == ("a b.jsonl", "c.json")
    assert settings.input.checksums == ("a b", "https://h/c")
    assert settings.files.expect_types == ("image/*", "text/plain")
    assert settings.files.directory == "from command"


@pytest.mark.parametrize("name", ["PDL_JOBS", "PDL_TIMEOUT", "PDL_RETRY_STATUS", "PDL_MAX_SIZE"])
def test_a_variable_with_a_wrong_value_is_a_usage_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "nonsense")
    assert "nonsense" in refusal()
