"""Content codings by their names, and names of files that are packed themselves."""

from __future__ import annotations

import sys
import types

import pytest

from pdl.http_rules import codings


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, ()),
        ("", ()),
        ("gzip", ("gzip",)),
        ("X-GZIP", ("gzip",)),
        ("gzip, br", ("gzip", "br")),
        (" gzip ,, identity,utf-8 , br", ("gzip", "br")),
        ("none", ()),
        ("compress", ("compress",)),
    ],
)
def test_codings_are_named_in_the_order_they_were_made(
    value: str | None, found: tuple[str, ...]
) -> None:
    assert codings.codings_of(value) == found


@pytest.mark.parametrize(
    "name",
    [
        "a.gz",
        "a.TGZ",
        "a.tar.gz",
        "a.br",
        "a.zst",
        "a.tzst",
        "a.xz",
        "a.txz",
        "a.bz2",
        "a.tbz2",
        "a.zip",
        "a.7z",
        "a.svgz",
        "a.whl",
    ],
)
def test_what_is_packed_by_its_name_stays(name: str) -> None:
    assert codings.packed(name)
    assert codings.packed("plain.csv", f"/x/{name}")


@pytest.mark.parametrize("name", ["a", "gz", "a.csv", "a.gz.txt", "zip/a.json", "a.tar", "a.bgzf1"])
def test_other_names_are_not(name: str) -> None:
    assert not codings.packed(name)


class OldDecompressor:
    """As that of brotli before 1.2, which makes as much as it likes."""


@pytest.mark.parametrize("way", ["absent", "old"])
def test_only_what_is_there_is_asked_for(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("brotli")
    old.Decompressor = OldDecompressor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "brotli", None if way == "absent" else old)
    own = sys.version_info >= (3, 14)
    monkeypatch.setitem(sys.modules, "compression.zstd" if own else "backports.zstd", None)
    codings.known.cache_clear()
    try:
        assert codings.known() == ("gzip", "deflate")
    finally:
        codings.known.cache_clear()


def test_all_of_them_are_known_with_the_libraries() -> None:
    assert codings.known() == ("gzip", "deflate", "br", "zstd")
