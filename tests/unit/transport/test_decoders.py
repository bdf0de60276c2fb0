"""Content codings taken back: whole, in any pieces, and bounded; what is not whole is told."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdl.http_rules import codings
from pdl.model import FailureKind
from pdl.transport import TransportError
from pdl.transport.decoders import FREE, NOTHING_MOST, STAGES_MOST, Decoder, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = bytes(range(256)) * 40 + b"the same words over and over " * 300


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstd.compress,
}
ALL = (*CODERS.items(), ("deflate", raw_deflate))
STACKS = [("gzip",), ("gzip", "br"), ("br", "gzip"), ("zstd", "deflate"), ("gzip", "gzip", "gzip")]


def coded(body: bytes, names: Sequence[str]) -> bytes:
    for name in names:
        body = CODERS[name](body)
    return body


def decoder(names: Sequence[str], data: bytes, step: int = 7, **more: object) -> Decoder:
    left = [data[start : start + step] for start in range(0, len(data), step)][::-1]
    take = lambda: left.pop() if left else b""  # noqa: E731 - it has one use
    return Decoder(names, take, **more)  # type: ignore[arg-type]


def read(of: Decoder, most: int = 1000) -> bytes:
    found = []
    while made := of.read(most):
        found.append(made)
    return b"".join(found)


def failure(of: Decoder) -> TransportError:
    with pytest.raises(TransportError) as caught:
        read(of)
    return caught.value


# --- what is whole ---


@pytest.mark.parametrize("step", [1, 2, 100, 100_000])
@pytest.mark.parametrize(("name", "coder"), ALL)
@pytest.mark.parametrize("body", [b"", b"x", BODY], ids=["empty", "one", "long"])
def test_each_coding_is_taken_back(
    name: str, coder: Callable[[bytes], bytes], step: int, body: bytes
) -> None:
    data = coder(body)
    of = decoder([name], data, step)
    assert read(of) == body
    assert of.came == len(data)


@pytest.mark.parametrize("names", STACKS, ids="+".join)
def test_codings_above_each_other_are_taken_back_in_turn(names: Sequence[str]) -> None:
    assert read(decoder(names, coded(BODY, names))) == BODY


@settings(max_examples=60)
@given(
    body=st.binary(max_size=3000),
    names=st.lists(st.sampled_from(sorted(CODERS)), min_size=1, max_size=STAGES_MOST),
    step=st.integers(1, 300),
    most=st.integers(1, 3000),
)
def test_any_bytes_come_back_in_any_pieces(
    body: bytes, names: list[str], step: int, most: int
) -> None:
    assert read(decoder(names, coded(body, names), step), most) == body


@pytest.mark.parametrize("step", [1, 5, 100_000])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_several_streams_after_each_other_are_one_file(name: str, step: int) -> None:
    data = CODERS[name](BODY) + CODERS[name](b"") + CODERS[name](b"end")
    assert read(decoder([name], data, step)) == BODY + b"end"


def test_zeros_behind_gzip_are_padding() -> None:
    data = gzip.compress(BODY) + bytes(512) + gzip.compress(b"end") + bytes(9)
    assert read(decoder(["gzip"], data)) == BODY + b"end"


def test_no_byte_at_all_is_an_empty_file_where_the_end_was_told() -> None:
    assert read(decoder(["gzip", "br"], b"", empty=True)) == b""
    assert failure(decoder(["gzip", "br"], b"")).kind is FailureKind.TRUNCATED


# --- what is not ---


@pytest.mark.parametrize(("name", "coder"), ALL)
def test_a_cut_is_told_wherever_it_is(name: str, coder: Callable[[bytes], bytes]) -> None:
    data = coder(BODY[:5000])
    for end in {1, 2, 9, 11, len(data) // 2, len(data) - 8, len(data) - 1}:
        error = failure(decoder([name], data[:end], 4096, empty=True))
        assert (error.kind, error.transient) == (FailureKind.TRUNCATED, True), end
        assert f"coded as {name}" in error.message


def test_a_cut_in_the_second_stream_is_told() -> None:
    data = gzip.compress(BODY) + gzip.compress(b"end")[:-3]
    assert failure(decoder(["gzip"], data)).kind is FailureKind.TRUNCATED


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize(("name", "coder"), ALL)
@pytest.mark.parametrize("behind", [b"garbage", b"\0garbage", b"\x1f\x8c\x08garbage"])
def test_something_behind_the_end_is_an_error(
    name: str, coder: Callable[[bytes], bytes], behind: bytes, step: int
) -> None:
    error = failure(decoder([name], coder(BODY) + behind, step))
    assert (error.kind, error.transient) == (FailureKind.PROTOCOL, False)


@pytest.mark.parametrize("name", sorted(CODERS))
def test_what_is_not_coded_at_all_is_an_error(name: str) -> None:
    error = failure(decoder([name], b"\xffplain text, whatever the head says\n" * 9, 4096))
    assert error.kind is FailureKind.PROTOCOL
    assert name in error.message


def test_a_wrong_sum_is_an_error() -> None:
    data = bytearray(gzip.compress(BODY))
    data[-6] ^= 1
    assert "incorrect data check" in failure(decoder(["gzip"], bytes(data))).message


# --- bounds ---


def bomb(names: Sequence[str], size: int = FREE + 3_000_000) -> bytes:
    return coded(bytes(size), names)


@pytest.mark.parametrize("names", [["gzip"], ["br"], ["zstd"], ["gzip", "gzip"]], ids="+".join)
def test_a_bomb_ends_early_in_flat_memory(names: list[str]) -> None:
    of, made = decoder(names, bomb(names), 65536), [0]

    def read_all() -> None:
        while data := of.read(65536):
            made[0] += len(data)

    tracemalloc.start()
    try:
        with pytest.raises(TransportError) as caught:
            read_all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (caught.value.kind, caught.value.transient) == (FailureKind.SIZE, False)
    assert "--max-size SIZE allows" in caught.value.message
    assert made[0] <= FREE
    assert peak < 4_000_000


def test_who_says_how_large_the_file_may_be_gets_it() -> None:
    size = FREE + 3_000_000
    of, total = decoder(["gzip"], bomb(["gzip"]), 65536, most=size), 0
    while made := of.read(1 << 20):
        total += len(made)
    assert total == size


def test_a_stage_in_between_is_bounded_as_well() -> None:
    inner = b"\x00\x00\x00\xff\xff" * (FREE // 5 + 100_000)  # empty blocks
    of = decoder(["deflate", "gzip"], gzip.compress(inner), 65536)
    assert failure(of).kind is FailureKind.SIZE
    assert of.came < NOTHING_MOST


def test_what_comes_to_nothing_for_ever_ends() -> None:
    member = gzip.compress(b"")
    of = Decoder(["gzip"], lambda: member * 500)
    assert "came to nothing" in failure(of).message
    assert of.came < 2 * NOTHING_MOST


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["gzip"] * (STAGES_MOST + 1), "4 codings one above the other"),
        (["compress"], "'compress', and --compressed knows gzip, deflate, br, zstd here"),
        (["gzip", "x" * 500], "'" + "x" * 40 + "'"),
        (["gzip", "br"], ""),
    ],
)
def test_what_cannot_be_taken_back_is_named(names: list[str], said: str) -> None:
    assert said in fault_of(names)
    assert bool(said) == bool(fault_of(names))


def test_a_library_that_is_missing_or_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codings, "known", lambda: ("gzip", "deflate"))
    assert "pip install 'pdl-downloader[compressed]'" in fault_of(["br"])
