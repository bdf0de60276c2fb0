"""The registries: each row can be used as it stands, and each choice is made from the rows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

import pdl
from pdl.cli.options import ROWS
from pdl.errors import UsageError
from pdl.model import FailureKind
from pdl.output.display import registry as displays
from pdl.output.reports import registry as reports
from pdl.output.terminal import Out
from pdl.pool import registry as engines
from pdl.scheduling import kinds
from pdl.scheduling.progress import Summary
from pdl.settings import InputSettings, PoolSettings, Settings
from pdl.sources import registry as formats
from pdl.sources.registry import Formats

if TYPE_CHECKING:
    from collections.abc import Sequence
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


@pytest.mark.parametrize("row", displays.MODES, ids=lambda row: row.name)
def test_each_display_can_be_made_and_is_had_by_its_name(row: displays.Mode) -> None:
    made = getattr(importlib.import_module(row.module), row.factory)(Out(None), verbose=0)
    found = displays.make_display(row.name, None, quiet=False, verbose=0)
    assert type(found) is type(made)
    quiet = displays.make_display(row.name, None, quiet=True, verbose=0)
    assert (type(quiet) is type(made)) == (row.asked or row is displays.MODES[-1])
    assert row.sentence.endswith(".")


@pytest.mark.parametrize("row", reports.FORMATS, ids=lambda row: row.suffix)
def test_each_report_format_is_had_by_its_suffix(row: reports.ReportFormat, tmp_path: Path) -> None:
    path = tmp_path / f"r{row.suffix.upper()}"
    made = reports.open_report(str(path), pytest.fail)
    made.finish(Summary())
    assert type(made) is getattr(importlib.import_module(row.module), row.factory)
    assert path.exists()
    assert row.sentence.endswith(".")


def test_the_command_line_offers_what_the_rows_are() -> None:
    offered = {row.opts[-1]: row for row in ROWS}
    assert offered["--format"].choices == formats.CHOICES
    assert offered["--engine"].choices == engines.CHOICES
    assert offered["--progress"].choices == displays.CHOICES
    assert all(suffix in offered["--report"].text for suffix in reports.SUFFIXES)


def test_every_kind_of_failure_has_one_row() -> None:
    assert [row.kind for row in kinds.KINDS] == list(FailureKind)


@pytest.mark.parametrize("row", kinds.KINDS, ids=lambda row: str(row.kind))
def test_what_a_kind_means_agrees_with_itself(row: kinds.Kind) -> None:
    sets = (kinds.HOST_FAULTS, kinds.OWN_FAULTS, kinds.PROOFS_OF_HOST)
    assert sum(row.kind in each for each in sets) <= 1
    told = row.hint or row.check_hint or kinds.hint_of(f"{row.kind}-500")
    assert told or row.kind is FailureKind.CANCELLED


def test_hints() -> None:
    assert kinds.hint_of("dns") == "check the host's name"
    assert kinds.hint_of("http-404") == "the server has no such file"
    assert kinds.hint_of("http-503") == "the server is in trouble or overloaded"
    assert kinds.hint_of("http-418") == ""
    assert kinds.check_hint_of("size").startswith(
        "remove what is wrong, and a run fetches just that"
    )
    assert kinds.check_hint_of("dns") == ""


@pytest.mark.parametrize(
    "names",
    [
        formats.CHOICES,
        engines.CHOICES,
        displays.CHOICES,
        reports.SUFFIXES,
        [suffix for row in formats.FORMATS for suffix in row.suffixes],
    ],
)
def test_no_name_stands_for_two_rows(names: Sequence[str]) -> None:
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            Settings(pool=PoolSettings(engine="ray")),
            "pool.engine: 'ray' is none of process, inline",
        ),
        (
            Settings(input=InputSettings(format="xls")),
            "input.format: 'xls' is none of auto, text, csv,",
        ),
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
