"""Which shard a text names, and which shard a URL is of: a promise that never changes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.text.shards import NoShard, Shard, shard_fault, shard_of
from pdl.text.urls import parse, suffix_of, url_key

ARRAY = "SLURM_ARRAY_TASK_"


def array(**said: object) -> dict[str, str]:
    return {ARRAY + name: str(value) for name, value in said.items()}


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("1/1", {}, Shard(1, 1)),
        ("3/16", {}, Shard(3, 16)),
        ("03/16", {}, Shard(3, 16)),
        ("auto", array(ID=0, MIN=0, MAX=15, COUNT=16), Shard(1, 16)),
        ("auto", array(ID=15, MIN=0, MAX=15, COUNT=16), Shard(16, 16)),
        ("auto", array(ID=7, MIN=5, MAX=8), Shard(3, 4)),
        ("auto", array(ID=8, MIN=0, MAX=12, COUNT=4, STEP=4), Shard(3, 4)),
        ("auto", array(ID=4, MIN=4, MAX=4, COUNT=1), Shard(1, 1)),
    ],
)
def test_what_names_a_shard(text: str, environment: dict[str, str], shard: Shard) -> None:
    assert shard_of(text, environment) == shard
    assert shard_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "environment", "why"),
    [
        ("", {}, "'' is neither K/N, as 1/16, nor auto"),
        ("1", {}, "'1' is neither K/N"),
        ("1/x", {}, "'1/x' is neither K/N"),
        ("-1/4", {}, "'-1/4' is neither K/N"),
        ("٣/٤", {}, "is neither K/N"),
        ("0/4", {}, "'0/4' has no shard 0; they are 1 to 4"),
        ("5/4", {}, "'5/4' has no shard 5; they are 1 to 4"),
        ("1/0", {}, "'1/0' has 0 shards"),
        ("1/2000000", {}, "there may be 1 to 1000000"),
        ("auto", {}, "SLURM_ARRAY_TASK_ID is not set"),
        ("auto", array(ID=""), "SLURM_ARRAY_TASK_ID is not set"),
        ("auto", array(ID=1), "SLURM_ARRAY_TASK_MIN is not set, though SLURM_ARRAY_TASK_ID is"),
        ("auto", array(ID=1, MIN=1), "SLURM_ARRAY_TASK_MAX is not set"),
        ("auto", array(ID=1, MIN=1, MAX="x"), "SLURM_ARRAY_TASK_MAX is 'x', and no number"),
        ("auto", array(ID=1, MIN=1, MAX=4, COUNT="?"), "SLURM_ARRAY_TASK_COUNT is '?'"),
        ("auto", array(ID=9, MIN=1, MAX=4), "tasks 1 to 4 in steps of 1, and this is 9"),
        ("auto", array(ID=3, MIN=0, MAX=8, STEP=4), "tasks 0 to 8 in steps of 4, and this is 3"),
        ("auto", array(ID=3, MIN=0, MAX=8, STEP=0), "in steps of 0"),
        # --array=3,7 of sixteen: these two are not the whole list
        ("auto", array(ID=3, MIN=3, MAX=7, COUNT=2), "but only 2 of these 5: some are left out"),
        ("auto", array(ID=3, MIN=0, MAX=9000000), "there may be 1000000 shards"),
    ],
)
def test_what_names_none(text: str, environment: dict[str, str], why: str) -> None:
    with pytest.raises(NoShard) as caught:
        shard_of(text, environment)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("url", "four", "sixteen"),
    [
        ("http://example.org/a.bin", 4, 16),
        ("https://example.org/a.bin?x=1", 3, 3),
        ("https://example.org:8443/d/%C3%A9", 4, 4),
    ],
)
def test_the_promise_is_as_the_manual_has_it(url: str, four: int, sixteen: int) -> None:
    first = int(hashlib.sha256(url.encode()).hexdigest()[:8], 16)
    assert (first % 4 + 1, first % 16 + 1) == (four, sixteen)
    key = url_key(parse(url))
    assert Shard(four, 4).has(key)
    assert Shard(sixteen, 16).has(key)
    host = parse(url).host
    mine = int(hashlib.sha256(host.encode()).hexdigest()[:8], 16) % 16 + 1
    assert Shard(mine, 16).has_host(host)


@given(st.integers(0, (1 << 64) - 1), st.integers(1, 2000))
def test_every_url_is_of_one_shard(key: int, of: int) -> None:
    assert sum(Shard(number, of).has(key) for number in range(1, of + 1)) == 1


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 99), st.integers(0, 99), st.integers(1, 64))
def test_urls_with_the_same_digits_are_of_one_shard(first: int, a: int, b: int, of: int) -> None:
    one, other = (first << 32) + a, (first << 32) + b
    assert suffix_of(one) == suffix_of(other)
    where = [[Shard(n, of).has(key) for n in range(1, of + 1)] for key in (one, other)]
    assert where[0] == where[1]


def test_shards_of_200_000_lines_are_about_as_large() -> None:
    counts = [0] * 16
    for number in range(200_000):
        digest = hashlib.sha256(f"https://images.example.org/{number:07}.jpg".encode()).digest()
        counts[int.from_bytes(digest[:4], "big") % 16] += 1
    assert max(counts) / min(counts) <= 1.1
