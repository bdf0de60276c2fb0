"""The package's public names: all there, all documented, none paid for before it is used."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

import pdl
from pdl import errors, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(pdl.__file__).parent / "manual" / "python.md"
HEAVY = ("requests", "urllib3", "tqdm", "click", "multiprocessing", "sqlite3")


def loaded_after(code: str) -> set[str]:
    """Which heavy modules a fresh interpreter has loaded after running the code."""
    probe = f"import sys\n{code}\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert loaded_after("import pdl; pdl.__version__; dir(pdl)") == set()


def test_settings_and_errors_cost_nothing_heavy() -> None:
    assert loaded_after("import pdl; pdl.Settings(); pdl.UsageError; pdl.Item") == set()


@pytest.mark.parametrize("option", ["--version", "-h", "--help", "--manual", "--completion=zsh"])
def test_what_is_answered_at_once_loads_nothing_heavy(option: str) -> None:
    code = (
        f"sys.argv = ['pdl', {option!r}]\n"
        "from pdl.__main__ import main\n"
        "import contextlib, io\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main()"
    )
    assert loaded_after(code) <= {"click"}


@pytest.mark.parametrize("name", pdl.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pdl, name) is not None
    assert name in dir(pdl)


def test_a_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from pdl import *", names)
    assert names.keys() - {"__builtins__"} == set(pdl.__all__)


def test_other_names_are_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'pdl' has no attribute 'downlaod'"):
        pdl.downlaod  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize("name", [name for name in pdl.__all__ if name[0] != "_"])
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(pdl, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        doc = value.__doc__ or ""
        # what a dataclass or a NamedTuple without a docstring is given begins with its signature
        assert len(doc) > 20
        assert not doc.startswith(f"{name}(")
    assert re.search(rf"`(?:pdl\.)?{name}\b", PAGE.read_text()), "not in the manual"


def test_the_whole_error_tree_is_public() -> None:
    public = {getattr(pdl, name) for name in pdl.__all__ if name.endswith("Error")}
    classes = {each for each in vars(errors).values() if inspect.isclass(each)}
    assert {each for each in classes if issubclass(each, errors.PdlError)} == public


def test_every_part_of_the_settings_is_public() -> None:
    public = {name for name in pdl.__all__ if name.endswith("Settings")}
    assert {name for name in vars(settings) if name.endswith("Settings")} == public


def test_an_event_is_an_outcome_or_a_retry() -> None:
    assert set(get_args(pdl.Event)) == {pdl.Result, pdl.Retrying}


INLINE = pdl.Settings(pool=pdl.PoolSettings(engine="inline"))


def test_an_item_begins_with_its_url() -> None:
    item = pdl.Item("http://h/x", out="y")
    assert (item.url, item.out, item.source, item.line) == ("http://h/x", "y", "", 0)


def test_what_keeps_a_run_from_beginning_is_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    report = pdl.download(["http://h/x"], str(tmp_path / "file"), settings=INLINE)
    assert isinstance(report.machine_error, pdl.MachineError)
    assert (report.ok, report.summary.unread, report.failures) == (False, True, [])
    sums = INLINE._replace(input=pdl.InputSettings(checksums=(str(tmp_path / "none"),)))
    report = pdl.download(["http://h/x"], str(tmp_path / "out"), settings=sums)
    assert isinstance(report.list_error, pdl.ListError)
    assert not report.ok


def test_what_keeps_a_run_from_its_end_is_in_the_report(tmp_path: Path) -> None:
    def broken() -> Iterator[str]:
        yield "nonsense"
        raise pdl.ListError("the list broke off")

    report = pdl.download(broken(), str(tmp_path / "out"), settings=INLINE)
    assert str(report.list_error) == "the list broke off"
    assert [row.kind for row in report.failures] == ["invalid-url"]


def test_a_wrong_argument_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(pdl.UsageError):
        pdl.download([], str(tmp_path), jobs=0, settings=INLINE)


HOOKS = """
import os, sys
count = 0
register = os.register_at_fork
def counted(**hooks):
    global count
    count += 1
    register(**hooks)
os.register_at_fork = counted
import pdl
settings = pdl.Settings(pool=pdl.PoolSettings(engine="inline"))
pdl.download(["nonsense"], sys.argv[1], settings=settings)
first = count
for _ in range(10):
    pdl.download(["nonsense"], sys.argv[1], settings=settings)
print(count - first)
"""


def test_ten_runs_of_one_process_leave_no_hook_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOOKS, str(tmp_path / "out")],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "0\n"
