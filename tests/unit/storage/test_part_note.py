"""What a part's first answer has told, and what of it holds for the answer that brings the rest."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from pdl.fetch.failures import StartAgain
from pdl.fetch.file_checks import digest_of_whole
from pdl.http_rules.ranges import Known, Validator
from pdl.integrity.declared_digests import NAMES, Declared
from pdl.storage.note import MAX_VALUE, Note, head_of_whole, read_note, told

if TYPE_CHECKING:
    from pathlib import Path

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
NAME = "content-disposition"
Fields = dict[str, str]


def nothing(_: str) -> None:
    """The fields of an answer that has none."""


def known(**fields: str) -> Known:
    found = {name.replace("_", "-"): value for name, value in fields.items()}
    return Known(10, Validator('"1"', DATE), 100, told(found.get))


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


def declares(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm[:3]}-{algorithm[3:]}=:{digest(data, algorithm)}:"


def checksum(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def test_what_is_noted_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "note.json")
    note = Note(Validator('"1"', DATE, "gzip"), 100, (("vary", "*"), (NAME, "x"), ("digest", "")))
    note.write(path)
    assert read_note(path) == note


def test_what_is_told_is_what_a_whole_file_needs() -> None:
    every = dict.fromkeys([NAME, "content-type", "cache-control", "vary", *NAMES], "x")
    assert dict(told(every.get)) == every
    untyped = (("content-type", ""),)
    assert told({"set-cookie": "secret", "server": "x", "content-length": "5"}.get) == untyped
    assert told({"vary": "x" * (MAX_VALUE + 1), "content-type": ""}.get) == untyped


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"etag": "\\"\\ud800\\"", "modified": null}', '{"modified": "\\ud800"}'],
    ids=["deep", "surrogate tag", "surrogate date"],
)
def test_a_note_that_cannot_be_read_or_sent_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "note.json"
    Note(Validator('"1"'), 100).write(str(path))
    if text.startswith("{"):
        text = json.dumps({**json.loads(path.read_text()), "etag": None, **json.loads(text)})
    path.write_text(text)
    assert read_note(str(path)) is None


def test_a_note_of_old_leaves_the_type_to_the_rest() -> None:
    """It tells nothing at all; a newer one tells that there was no type."""
    fields = {"content-type": "text/csv"}
    assert head_of_whole(Known(10, Validator('"1"'), 100), fields.get)("content-type") == "text/csv"
    assert head_of_whole(known(), fields.get)("content-type") is None


def test_a_file_from_the_start_has_the_fields_of_its_answer() -> None:
    fields = {"content-type": "text/html", "last-modified": DATE}
    header = head_of_whole(None, fields.get)
    assert [header(name) for name in ("content-type", "last-modified", "vary")] == [
        "text/html",
        DATE,
        None,
    ]


def test_a_rest_leaves_out_what_the_first_answer_told() -> None:
    part = known(content_type="text/csv", content_disposition="filename=a", cache_control="private")
    header = head_of_whole(part, nothing)
    assert header("content-type") == "text/csv"
    assert header(NAME) == "filename=a"
    assert header("cache-control") == "private"
    assert header("last-modified") == DATE
    assert header("etag") is None


def test_a_rest_may_say_more_but_not_another_type() -> None:
    fields = {NAME: "filename=b", "content-type": "text/html", "etag": '"1"', "age": "5"}
    header = head_of_whole(known(content_disposition="filename=a"), fields.get)
    assert header(NAME) == "filename=b"
    assert header("content-type") is None
    assert header("etag") == '"1"'
    assert header("age") == "5"


@pytest.mark.parametrize(
    ("first", "rest", "expected"),
    [
        ({}, {}, None),
        ({"repr_digest": declares(b"a")}, {}, checksum(b"a")),
        ({}, {"repr-digest": declares(b"a")}, checksum(b"a")),
        ({"repr_digest": declares(b"a")}, {"repr-digest": declares(b"a")}, checksum(b"a")),
        # of two the stronger
        (
            {"repr_digest": declares(b"a")},
            {"repr-digest": declares(b"b", "sha512")},
            checksum(b"b", "sha512"),
        ),
        (
            {"repr_digest": declares(b"b", "sha512")},
            {"repr-digest": declares(b"a")},
            checksum(b"b", "sha512"),
        ),
        # the digest of a message holds for the file only where the message was all of it
        ({"content_md5": digest(b"a", "md5")}, {}, checksum(b"a", "md5")),
        ({}, {"content-md5": digest(b"a", "md5")}, None),
        (
            {"content_md5": digest(b"a", "md5")},
            {"content-md5": digest(b"b", "md5")},
            checksum(b"a", "md5"),
        ),
    ],
)
def test_a_digest_holds_whichever_answer_declares_it(
    first: Fields, rest: Fields, expected: str | None
) -> None:
    found = digest_of_whole(known(**first), 206, rest.get)
    assert (found and found.checksum) == expected
    alone = [digest_of_whole(known(**first), status, nothing) for status in (206, 416)]
    assert alone[0] == alone[1]


def test_two_digests_of_one_version_are_none() -> None:
    with pytest.raises(StartAgain):
        digest_of_whole(
            known(repr_digest=declares(b"a")), 206, {"digest": f"sha-256={digest(b'b')}"}.get
        )


def test_a_file_from_the_start_is_held_to_its_own_answer() -> None:
    fields = {"content-md5": digest(b"a", "md5")}
    assert digest_of_whole(None, 200, fields.get) == Declared("Content-MD5", checksum(b"a", "md5"))
