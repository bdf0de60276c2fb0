"""What is said of the heads of requests and answers, and what never is."""

from __future__ import annotations

import pytest

from pdl.fetch.telling import TellingTransport, answer_lines, request_lines, secrets_of
from pdl.model import FailureKind
from pdl.transport import Request, Response, TransportError

URL = "http://h/a?x=1&sig=hunter2"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("User-Agent", "pdl/1", "pdl/1"),
        ("Range", "bytes=5-", "bytes=5-"),
        ("If-Range", '"etag"', '"etag"'),
        ("Referer", "http://me:hunter2@h/?token=hunter2", "http://me:***@h/?token=***"),
        ("User-Agent", "at http://me:hunter2@h/", "at http://me:***@h/"),
        ("Authorization", "Basic aHVudGVyMg==", "***"),
        ("cookie", "a=hunter2", "***"),
        ("X-Whatever", "hunter2", "***"),
    ],
)
def test_of_a_request_well_known_values_alone_are_said(name: str, value: str, said: str) -> None:
    assert request_lines(Request(URL, ((name, value),))) == [f"{name}: {said}"]


def test_what_a_request_says_encoded_is_no_more_said_decoded() -> None:
    basic = (("Authorization", "Basic bWU6aHVudGVyMg=="),)
    secrets = secrets_of(Request("http://h/a?token=a%2Fb%2Fc", basic))
    fields = [("x-echo", "me:hunter2, hunter2, a/b/c")]
    assert answer_lines(fields, secrets) == ["x-echo: ***, ***, ***"]


def test_what_was_sent_is_not_said_where_a_server_repeats_it() -> None:
    sent = (
        *(("Authorization", "Bearer hunter3"), ("X-Key", "ab"), ("Accept", "text/html")),
        ("Cookie", "a=hunter4; b=1"),
    )
    secrets = secrets_of(Request(URL, sent))
    assert {"Bearer hunter3", "hunter3", "hunter2", "hunter4"} < {*secrets}
    assert not {"Bearer", "text/html", "ab"} & {*secrets}
    fields = [
        ("x-echo", "you are hunter3, hunter2; text/html"),
        ("location", "/b?sig=new&x=1"),
        ("x-amz-security-token", "other"),
        ("set-cookie", "id=other"),
        ("www-authenticate", 'Bearer realm="x"'),
        ("etag", '"abc"'),
    ]
    assert answer_lines(fields, secrets) == [
        "x-echo: you are ***, ***; text/html",
        "location: /b?sig=***&x=1",
        "x-amz-security-token: ***",
        "set-cookie: ***",
        'www-authenticate: Bearer realm="x"',
        'etag: "abc"',
    ]


class Failing:
    """A transport without an answer."""

    def open(self, _: Request) -> Response:
        """Fail."""
        raise TransportError(FailureKind.RESET, "cut at http://me:hunter2@h/", transient=True)

    def holds(self, _: str) -> bool:
        """It keeps none."""
        return False

    def hang_up(self, _: str) -> None:
        """It keeps none."""

    def close(self) -> None:
        """It keeps none."""


def test_that_no_answer_came_is_said() -> None:
    telling = TellingTransport(Failing())
    lines: list[str] = []
    telling.say = lines.extend
    with pytest.raises(TransportError):
        telling.open(Request(URL, ()))
    masked = "http://h/a?x=1&sig=***"
    assert lines == [f"> GET {masked}", f"< no answer from {masked}: cut at http://me:***@h/"]
