"""Digests that are asked for beside what bytes are held against."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.integrity.check import Check, Mismatch, check_of, examine
from pdl.integrity.declared_digests import Declared
from pdl.integrity.digests import algorithm_of, algorithms_fault
from pdl.model import Pieces, Pin, SafePath, Success, Task
from pdl.pool.inline import InlineMeter

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256")
TASK = Task(1, "http://h/a", SafePath("a"), "1.part")


def digest(name: str, data: bytes) -> str:
    return f"{name}:{hashlib.new(name, data).hexdigest()}"


@given(
    data=st.binary(max_size=300),
    asked=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
    whole=st.none() | st.sampled_from(NAMES),
    pin=st.booleans(),
    pieces=st.booleans(),
    cut=st.integers(0, 300),
)
def test_all_of_them_are_right_and_in_order_whatever_else_is_known(
    data: bytes, asked: tuple[str, ...], whole: str | None, pin: bool, pieces: bool, cut: int
) -> None:
    known = digest(whole, data) if whole else None
    parts = Pieces("sha1", 300, hashlib.sha1(data).digest()) if pieces and data else None
    check = Check(known, parts, None, Pin() if pin else None, asked)
    check.update(memoryview(data)[:cut])
    check.update(memoryview(data)[cut:])
    proven = check.finish()
    assert check.digests == tuple(digest(name, data) for name in asked)
    expected = "pieces:sha1" if parts else digest(asked[0], data) if asked else ""
    assert proven == (digest("sha256", data) if pin else known or expected)
    again = check.anew()
    again.update(memoryview(data))
    again.finish()
    assert again.digests == check.digests


def test_bytes_that_are_wrong_have_none() -> None:
    check = Check(digest("sha1", b"a"), None, None, None, ("md5",))
    check.update(memoryview(b"b"))
    with pytest.raises(Mismatch):
        check.finish()
    assert check.digests == ()


def test_what_is_asked_for_is_a_reason_to_look_at_bytes() -> None:
    assert check_of(TASK, None) is None
    assert check_of(TASK, None, None, ("md5",)) is not None
    assert check_of(TASK, Declared(field="x", checksum=digest("md5", b""))) is not None


def test_a_file_that_is_there_has_them_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    buffer = memoryview(bytearray(2))
    found = examine(TASK, str(tmp_path), buffer, InlineMeter(), ("md5", "sha256"))
    assert isinstance(found, Success)
    digests = digest("md5", b"abc"), digest("sha256", b"abc")
    assert found.facts == (None, None, None, digests, None)
    plain = examine(TASK, str(tmp_path), buffer, InlineMeter())
    assert isinstance(plain, Success)
    assert plain.facts is None


@pytest.mark.parametrize(
    ("said", "name"), [("SHA-256", "sha256"), (" md5 ", "md5"), ("sha3-256", "sha3_256")]
)
def test_names_may_be_written_in_many_ways(said: str, name: str) -> None:
    assert algorithm_of(said) == name
    assert algorithms_fault((name,)) == ""


@pytest.mark.parametrize("name", ["", "crc32", "SHA-256", "nope", "shake_128"])
def test_what_is_no_algorithm(name: str) -> None:
    assert algorithms_fault(("md5", name)).startswith(f"{name!r} is no algorithm")
