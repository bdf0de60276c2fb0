"""Together the shards are the list, each line once, whatever the list's format."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import itertools
import json
import os
from typing import TYPE_CHECKING

import pytest

from pdl.errors import UsageError
from pdl.model import BadLine, Item
from pdl.settings import (
    FileSettings,
    InputSettings,
    LockSettings,
    NamingSettings,
    Settings,
)
from pdl.sources.feed import Feed, chosen_of, open_sources
from pdl.sources.shards import with_shard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pdl.sources import Entry

BASE = "https://h.example/d/"
NAMES = [f"{number}/f{number % 7}.bin" for number in range(90)]
URLS = [BASE + name for name in NAMES]
HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def metalink(urls: list[str]) -> str:
    files = "".join(f'<file name="{n}"><url>{url}</url></file>' for n, url in enumerate(urls))
    return f'<metalink xmlns="urn:ietf:params:xml:ns:metalink">{files}</metalink>'


FORMATS: dict[str, Callable[[list[str]], str]] = {
    "l.txt": lambda urls: "".join(f"{url}\n  size=1\n" for url in [*urls, "bad", *urls[:9]]),
    "l.csv": lambda urls: "\n".join(["url,size", *(f"{url},1" for url in urls), "bad,x"]),
    "l.tsv": lambda urls: "\n".join(["url\tsize", *(f"{url}\t1" for url in urls)]),
    "l.jsonl": lambda urls: "\n".join([*(json.dumps({"url": url}) for url in urls), "{"]),
    "l.meta4": metalink,
    "SHA256SUMS": lambda _: "".join(f"{HEX}  {name}\n" for name in NAMES),
}


def taken(path: Path, shard: str | None, **more: str) -> list[Entry]:
    settings = InputSettings(base_url=BASE, shard=shard, **more)  # type: ignore[arg-type]
    entries: list[Entry] = []
    with contextlib.closing(open_sources([str(path)], 0, print, settings=settings)) as feed:
        while not feed.exhausted:
            entries += feed.take(64)
    return entries


def gzip_of(data: bytes) -> bytes:
    return gzip.compress(data)


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip_of,
    ".bz2": bz2.compress,
}


@pytest.mark.parametrize("pack", PACKINGS)
@pytest.mark.parametrize("name", FORMATS)
def test_together_they_are_the_list_once_each(tmp_path: Path, name: str, pack: str) -> None:
    data = FORMATS[name](URLS).encode()
    path = tmp_path / (name + pack)
    path.write_bytes(PACKINGS[pack](data))
    whole = taken(path, None)
    assert len(whole) >= len(URLS)
    for by in ("url", "host"):
        shards = [taken(path, f"{number}/5", shard_by=by) for number in range(1, 6)]
        assert sorted(itertools.chain(*shards), key=repr) == sorted(whole, key=repr)
        bad = [sum(isinstance(each, BadLine) for each in shard) for shard in shards]
        assert sum(bad) == bad[0]
        homes: dict[str, set[int]] = {}
        for number, shard in enumerate(shards):
            for each in shard:
                if isinstance(each, Item):
                    homes.setdefault(each.url, set()).add(number)
        assert {len(numbers) for numbers in homes.values()} == {1}
        if by == "host":
            assert len({number for numbers in homes.values() for number in numbers}) == 1


def test_urls_that_are_the_same_meet(tmp_path: Path) -> None:
    same = ["http://H.example:80/a b", "http://h.example/a%20b#x", "http://u:p@h.example/c"]
    same += ["http://u:q@h.example/c"]
    path = tmp_path / "l"
    path.write_text("".join(f"{url}\n" for url in same))
    counts = [len(taken(path, f"{number}/50")) for number in range(1, 51)]
    assert sorted(filter(None, counts)) == [2, 2]


def test_a_list_that_comes_slowly_is_waited_for() -> None:
    reading, writing = os.pipe()
    feed = open_sources(["-"], reading, print, settings=InputSettings(shard="1/2"))
    os.write(writing, "".join(f"{url}\n" for url in URLS).encode())
    found = feed.take(1000)
    assert found
    assert not feed.exhausted
    assert feed.fileno() == reading
    os.close(writing)
    while not feed.exhausted:
        found += feed.take(1000)
    os.close(reading)
    other = chosen_of(Feed.of(URLS), InputSettings(shard="2/2"))
    rest = []
    while not other.exhausted:
        rest += other.take(1000)
    assert sorted(each.url for each in found + rest if isinstance(each, Item)) == sorted(URLS)


def test_the_first_line_of_the_list_says_whom_a_login_is_for() -> None:
    for number in range(1, 9):
        feed = chosen_of(Feed.of(URLS), InputSettings(shard=f"{number}/8"))
        assert [each.url for each in feed.peek() if isinstance(each, Item)] == URLS[:1]
        entries = []
        while not feed.exhausted:
            entries += feed.take(64)
        assert len(entries) < len(URLS)


def test_how_many_there_are_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.write_text("".join(f"{url}\n" for url in URLS))
    for shard, by, about in ((None, "url", 90), ("1/4", "url", 23), ("1/4", "host", None)):
        settings = InputSettings(shard=shard, shard_by=by)  # type: ignore[arg-type]
        with contextlib.closing(open_sources([str(path)], 0, print, settings=settings)) as feed:
            assert feed.estimate() == about


def test_one_of_one_is_the_whole_list() -> None:
    feed = chosen_of(Feed.of(URLS), InputSettings(shard="1/1"))
    assert len(feed.take(1000)) == len(URLS)
    settings = Settings(input=InputSettings(shard="1/1"))
    assert with_shard(settings) == settings


def test_what_sets_a_shard_apart() -> None:
    one = Settings(input=InputSettings(shard="2/4"))
    assert with_shard(one).naming == NamingSettings(aside="2-of-4/", apart="url")
    hashed = one._replace(naming=NamingSettings("{hash}{ext}", on_collision="fail"))
    assert with_shard(hashed).naming == hashed.naming._replace(aside="2-of-4/", apart="listed")
    host = hashed._replace(
        input=InputSettings(shard="2/4", shard_by="host"), naming=NamingSettings("{hash}{ext}")
    )
    assert with_shard(host).naming.aside == "2-of-4-by-host/"
    assert with_shard(host).naming.apart == "host"
    own = one._replace(
        files=FileSettings("out/{shard}"),
        lock=LockSettings("l-{shard}.jsonl"),
        naming=hashed.naming,
    )
    assert with_shard(own).files.directory == "out/2"
    assert with_shard(own).lock.path == "l-2.jsonl"
    assert with_shard(own).naming == own.naming


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings(naming=NamingSettings(on_collision="fail")), "--on-collision fail cannot be"),
        (Settings(lock=LockSettings("l.jsonl")), "--lock l.jsonl would be replaced"),
    ],
)
def test_what_would_lose_files_is_refused(settings: Settings, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        with_shard(settings._replace(input=InputSettings(shard="2/4")))
    assert "{shard}" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="--shard: '5/4' has no shard 5"):
        with_shard(settings._replace(input=InputSettings(shard="5/4")))
