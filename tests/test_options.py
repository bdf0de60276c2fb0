"""The command line's vocabulary: what a size, a header, a list of statuses may look like."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.cli.main import command
from pdl.cli.options import Allowance, Header, ProxyUrl, Seconds, Size, Statuses
from pdl.errors import UsageError
from pdl.settings import (
    FileSettings,
    HttpSettings,
    PoolSettings,
    RetrySettings,
    Settings,
    StopSettings,
    check,
)

KINDS: list[Any] = [Size(), Header(), Statuses(), Allowance(), Seconds(), ProxyUrl()]


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
    with pytest.raises(click.BadParameter):
        Header().convert(text, None, None)


def test_a_refused_header_does_not_show_its_value() -> None:
    with pytest.raises(click.BadParameter) as caught:
        Header().convert("Authorization: hunter2\x07", None, None)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("429,503", {429, 503}), (" 404 , 500,", {404, 500}), ("", set()), ("429", {429})],
)
def test_statuses(text: str, expected: set[int]) -> None:
    assert Statuses().convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["200", "4040", "44", "5xx", "429;503", "429 503", "-404"])
def test_what_are_no_statuses(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Statuses().convert(text, None, None)


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
        "url": "h:1",
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


def test_the_help_has_its_options_under_headings_in_order() -> None:
    text = command.get_help(click.Context(command, info_name="pdl"))
    lines = text.splitlines()
    headings = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings[:2] == ["Input", "Where to"]
    assert len(headings) == len(set(headings))
    assert "Options" not in headings
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in text


# --- times and proxies, on the command line and from Python ---


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "0", "1e308", "1e10", "1000001"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a number of seconds above 0 and up to"):
        Seconds().convert(text, None, None)
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


def test_times() -> None:
    assert Seconds(zero=True).convert("0", None, None) == 0
    assert Seconds().convert("1e6", None, None) == 1e6
    check(Settings(retry=RetrySettings(wait=0, max_wait=0)))


@pytest.mark.parametrize("option", ["--lock", "--failed", "--cache"])
@pytest.mark.parametrize(("value", "fault"), [("", "is empty"), ("-", "standard output")])
def test_what_is_written_has_a_name(option: str, value: str, fault: str) -> None:
    with pytest.raises(click.BadParameter, match=fault):
        command.make_context("pdl", ["urls.txt", option, value])
    assert command.make_context("pdl", ["urls.txt", option, "./-"]).params[option[2:]] == "./-"


@pytest.mark.parametrize(
    "url",
    ["http://", "http://u:hunter2@h:99999", "http://u:hunter2@", "u:hunter2@h:x", "socks5://h:1"],
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        ProxyUrl().convert(url, None, None)
    assert "hunter2" not in caught.value.message
    with pytest.raises(UsageError) as raised:
        check(Settings(http=HttpSettings(proxy=url)))
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://u:p@h:3128", "https://h", "127.0.0.1:3128", "u:p@[::1]:1"])
def test_proxies(url: str) -> None:
    assert ProxyUrl().convert(url, None, None) == url
    check(Settings(http=HttpSettings(proxy=url)))


def test_what_is_no_proxy_is_said() -> None:
    with pytest.raises(UsageError) as raised:
        check(Settings(http=HttpSettings(proxy="socks5://h:1")))
    assert str(raised.value) == "the proxy's URL is neither http nor https"


# --- numbers and words, which the command line sees to itself ---


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(pool=PoolSettings(jobs=0)), "jobs: 0 is less than 1"),
        (Settings(pool=PoolSettings(processes=0)), "processes: 0 is less than 1"),
        (Settings(stop=StopSettings(per_host=0)), "per_host: 0 is less than 1"),
        (Settings(stop=StopSettings(max_failures=0)), "max_failures: 0 is less than 1"),
        (Settings(retry=RetrySettings(retries=-1)), "retries: -1 is less than 0"),
        (Settings(http=HttpSettings(max_redirects=-1)), "max_redirects: -1 is less than 0"),
        (
            Settings(pool=PoolSettings(start_method="vfork")),  # type: ignore[arg-type]
            "start_method: 'vfork' is none of fork, forkserver, spawn",
        ),
        (
            Settings(files=FileSettings(if_exists="ask")),  # type: ignore[arg-type]
            "if_exists: 'ask' is none of skip, update, overwrite, fail",
        ),
        (Settings(files=FileSettings(directory="")), "the output directory's name is empty"),
        (Settings(http=HttpSettings(key="key.pem")), "--key needs a certificate"),
    ],
)
def test_settings_that_cannot_be(settings: Settings, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        check(settings)
