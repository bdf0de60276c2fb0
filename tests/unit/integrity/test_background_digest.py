"""Bytes digested beside their transfer: all of them, in order, and by nobody afterwards."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdl.integrity import background_digest
from pdl.integrity.background_digest import BackgroundDigest

BUFFER = 256 * 1024


class Spoilt(Exception):
    """What a digest may raise."""


class Taker:
    """Collects what it is given, and by which threads; refuses what comes after `most` bytes."""

    def __init__(self, most: int = 1 << 60) -> None:
        self.data = b""
        self.threads: set[str] = set()
        self._most = most

    def __call__(self, data: memoryview) -> None:
        self.threads.add(threading.current_thread().name)
        self.data += bytes(data)
        if len(self.data) > self._most:
            raise Spoilt


def feed(sink: BackgroundDigest, data: bytes, step: int) -> None:
    room = sink.room
    while data:
        count = min(step, len(room), len(data))
        room[:count] = data[:count]
        data = data[count:]
        room = sink.took(count)


def helpers() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("digest")]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 12 * BUFFER), st.integers(1000, 2 * BUFFER))
def test_every_byte_in_order(size: int, step: int) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    taker = Taker()
    with BackgroundDigest(taker, memoryview(bytearray(BUFFER))) as sink:
        feed(sink, data, step)
    assert taker.data == data
    assert not helpers()


def test_without_a_thread_the_lane_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    data = bytes(range(256)) * 20_000
    taker = Taker()
    with BackgroundDigest(taker, memoryview(bytearray(BUFFER))) as sink:
        feed(sink, data, 100_000)
    assert taker.data == data
    assert taker.threads == {threading.current_thread().name}


def test_a_small_file_takes_no_thread() -> None:
    taker = Taker()
    with BackgroundDigest(taker, memoryview(bytearray(BUFFER))) as sink:
        feed(sink, b"x" * (background_digest.LEAST - 1), BUFFER)
        assert not helpers()
    assert taker.threads == {threading.current_thread().name}


def test_a_large_one_takes_one() -> None:
    taker = Taker()
    with BackgroundDigest(taker, memoryview(bytearray(BUFFER))) as sink:
        feed(sink, b"x" * (8 * background_digest.LEAST), BUFFER)
        assert len(helpers()) == 1
    assert len(taker.threads) == 2
    assert not helpers()


@pytest.mark.parametrize(
    "most",
    [0, background_digest.LEAST, 4 * background_digest.LEAST, 8 * background_digest.LEAST - 1],
)
def test_what_it_raises_comes_out(most: int) -> None:
    with (
        pytest.raises(Spoilt),
        BackgroundDigest(Taker(most), memoryview(bytearray(BUFFER))) as sink,
    ):
        feed(sink, b"x" * (8 * background_digest.LEAST), BUFFER)
    assert not helpers()


def test_an_end_by_exception_drops_the_rest() -> None:
    taker = Taker()
    held = threading.Event()

    def slow(data: memoryview) -> None:
        if threading.current_thread().name.startswith("digest"):
            assert held.wait(30)
        taker(data)

    def cut() -> None:
        with BackgroundDigest(slow, memoryview(bytearray(BUFFER))) as sink:
            feed(sink, b"x" * (background_digest.LEAST + 2 * BUFFER), BUFFER)
            held.set()
            raise Spoilt

    with pytest.raises(Spoilt):
        cut()
    assert not helpers()
    assert taker.data == b"x" * len(taker.data)


def test_no_buffer_is_filled_again_before_it_was_digested() -> None:
    taker = Taker()
    tokens = threading.Semaphore(0)

    def late(data: memoryview) -> None:
        if threading.current_thread().name.startswith("digest"):
            assert tokens.acquire(timeout=30)
        taker(data)

    blocks = [bytes([number]) * BUFFER for number in range(4 * background_digest.BUFFERS)]
    small = background_digest.LEAST // BUFFER - 1
    with BackgroundDigest(late, memoryview(bytearray(BUFFER))) as sink:
        for number, block in enumerate(blocks):
            if number - small >= background_digest.BUFFERS - 1:  # as late as it can be
                tokens.release()
            feed(sink, block, BUFFER)
        tokens.release(len(blocks))
    assert taker.data == b"".join(blocks)
