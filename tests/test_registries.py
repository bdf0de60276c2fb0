"""The registries: each row can be used as it stands, and each choice is made from the rows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

import pdl
from pdl.errors import UsageError
from pdl.pool import registry as engines
from pdl.settings import InputSettings, PoolSettings, Settings
from pdl.sources import registry as formats
from pdl.sources.registry import Formats

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("row", formats.FORMATS, ids=lambda row: row.name)
def test_each_list_format_can_be_made_and_is_found_by_its_names(row: formats.ListFormat) -> None:
    made = getattr(importlib.import_module(row.module), row.factory)(pytest.fail, None)
    assert callable(made.read)
    assert isinstance(made.by_line, bool)
    assert all(suffix == suffix.lower() for suffix in row.suffixes)
    assert {formats.by_name(f"x{suffix}.gz") for suffix in row.suffixes} <= {row.name}
    assert row.sentence.endswith(".")


@pytest.mark.parametrize("row", engines.ENGINES, ids=lambda row: row.name)
def test_each_engine_has_what_makes_its_pool(row: engines.Engine) -> None:
    assert callable(getattr(importlib.import_module(row.module), row.factory))
    assert not (row.prestarts and row.here)
    assert row.sentence.endswith(".")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(pool=PoolSettings(engine="ray")), "engine: 'ray' is none of process, inline"),
        (Settings(input=InputSettings(format="xls")), "format: 'xls' is none of auto, text, csv,"),
    ],
)
def test_a_word_that_is_no_row_is_a_usage_error(
    settings: Settings, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        pdl.download([], str(tmp_path / "out"), settings=settings)
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_told_before_a_list_is_opened() -> None:
    with pytest.raises(UsageError, match="xls"):
        Formats(InputSettings(format="xls"), pytest.fail)
