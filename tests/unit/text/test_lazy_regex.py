"""Patterns that are compiled when they are first used: each of them can be, and is what it says."""

from __future__ import annotations

import copy
import importlib
import pkgutil
import re

import pytest

import pdl
from pdl.text.lazy_regex import LazyPattern, lazy


def all_later() -> list[LazyPattern]:
    walked = pkgutil.walk_packages(pdl.__path__, "pdl.")
    names = [each.name for each in walked if each.name != "pdl.__main__"]
    found = [each for name in names for each in vars(importlib.import_module(name)).values()]
    return [each for each in found if isinstance(each, LazyPattern)]


def test_every_pattern_that_is_compiled_later_can_be() -> None:
    patterns = all_later()
    assert len(patterns) > 40
    for pattern in patterns:
        assert re.compile(pattern.pattern, pattern.flags)


def test_a_pattern_matches_as_one_that_is_compiled_at_once() -> None:
    pattern = lazy("(a+)b", re.IGNORECASE)
    for _ in range(2):  # found the first time, at hand the second
        match = pattern.fullmatch("AAb")
        assert match is not None
        assert match[1] == "AA"
    assert lazy(rb"\d").search(b"x1") is not None


def test_what_is_wrong_with_a_pattern_shows_when_it_is_used() -> None:
    broken = lazy("(")
    with pytest.raises(re.error):
        broken.search("")


def test_a_pattern_can_be_copied_before_it_is_used() -> None:
    assert copy.copy(lazy("a")).match("a") is not None
