"""The shape of the code: imports point down, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import pdl

SOURCE = Path(pdl.__file__).parent

LAYERS: list[set[str]] = [
    {"_version", "model", "errors", "settings", "text", "system"},
    {"http_rules", "naming", "scheduling", "transport", "auth"},
    {"integrity", "pool", "storage", "sources"},
    {"fetch", "output"},
    {"run"},
    {"cli", "__main__"},
]
"""Packages, lowest first; each imports from its own layer and lower ones."""


class Import(NamedTuple):
    """An import of one module by another.

    Attributes:
        lazy: it is inside of a function.
        typed: it is for the type checker alone.
    """

    by: str
    of: str
    lazy: bool
    typed: bool


def modules() -> dict[str, Path]:
    """Dotted name below ``pdl`` to file; the package itself has the empty name."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(name: str, path: Path) -> list[Import]:
    """What the module imports."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool, typed: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                visit(each, lazy, typed=True)
            for each in node.orelse:
                visit(each, lazy, typed)
            return
        if isinstance(node, ast.Import):
            found.extend(Import(name, alias.name, lazy, typed) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} has a relative import"
            assert node.module is not None
            names = (f"{node.module}.{each.name}" for each in node.names)
            found.extend(Import(name, each, lazy, typed) for each in names)
        inner = lazy or isinstance(node, (ast.FunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, inner, typed)

    visit(ast.parse(path.read_text(encoding="utf-8")), lazy=False, typed=False)
    return found


MODULES = modules()


@functools.cache  # and not when the file is imported, which each worker of the tests does
def all_imports() -> list[Import]:
    return [each for name, path in MODULES.items() for each in imports(name, path)]


def imported_at_run() -> list[Import]:
    """What is imported when pdl runs."""
    return [each for each in all_imports() if not each.typed]


def inside(imported: str) -> str | None:
    """The module of pdl that an import means, or None."""
    first, _, rest = imported.partition(".")
    if first != "pdl":
        return None
    while rest not in MODULES:
        rest = rest.rpartition(".")[0]
    return rest


def layer(module: str) -> int:
    top = module.partition(".")[0]
    for number, names in enumerate(LAYERS):
        if top in names:
            return number
    return len(LAYERS) if not top else -1


def inner() -> list[tuple[str, str]]:
    """Which module knows which, if only by a type. The package itself names what is public."""
    pairs = ((each.by, inside(each.of)) for each in all_imports())
    return sorted({(by, of) for by, of in pairs if of is not None and of != by})


def test_every_module_has_a_layer() -> None:
    assert [name for name in MODULES if layer(name) < 0] == []
    names = [name for names in LAYERS for name in names]
    assert len(names) == len(set(names))


def test_imports_point_down_only() -> None:
    # what is in one layer may import what stands beside it; that this has no circle is held below
    assert [f"{by} imports {of}" for by, of in inner() if by and layer(of) > layer(by)] == []


def test_integrity_stands_below_what_uses_it() -> None:
    beside = {"pool", "sources", "storage"}
    used = {of.partition(".")[0] for by, of in inner() if by.startswith("integrity")}
    assert used & beside == set()


def circle(pairs: list[tuple[str, str]]) -> list[str]:
    """Names that lead back to themselves, and those that lead to such."""
    graph: dict[str, set[str]] = {name: set() for pair in pairs for name in pair}
    for by, of in pairs:
        graph[by].add(of)
    done: set[str] = set()
    while ready := [name for name in graph if name not in done and graph[name] <= done]:
        done.update(ready)
    return sorted(set(graph) - done)


def test_no_module_leads_back_to_itself() -> None:
    assert circle(inner()) == []


def test_no_package_leads_back_to_itself() -> None:
    packages = {(by.partition(".")[0], of.partition(".")[0]) for by, of in inner() if by}
    assert circle(sorted(pair for pair in packages if pair[0] != pair[1])) == []


def lines_of(path: Path) -> int:
    return sum(1 for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


ADDED = {
    "how many are in flight where nobody says it: what is looked for, and who is told": 2,
    "the time that is left, apart from what else a bar shows": 1,
    "the look-up of names, which has an end of its own": 1,
    "a limit of the rate: its timetable, its account, the transport that keeps to it": 3,
    "the nouns of a run under way, apart from those of tasks and answers": 1,
    "what is a coding of a body, which three others ask": 1,
    "the options of http and of failures, further parts of the table; the files of a command": 3,
    "what hosts bear: the state of one of them, its trouble, and the rules": 3,
    "name servers that fail, which a run learns of when they do": 1,
    "a file that several lanes fetch: who helps, its map, board, and part, and the lanes": 6,
    "how a file gets its name, and the next bytes of a body, each a part of one that has grown": 2,
    "what the machine says of proxies, asked before the workers are started": 1,
    "the spacing of attempts": 1,
    "what happens to hosts, told where anything does": 1,
    "proxies of SOCKS": 1,
    "the configuration file, and how a file of any kind is read in bounded time": 2,
    "what differs by host: the tables, the transports, and what hosts bear": 3,
    "a start that is as fast as before: digests of short texts, and the nouns' common base": 2,
    "credentials: who is told, what is gathered, warnings, typed secrets; rules of few options": 5,
    "cookies, logins that bring them; what helps where a server refuses, what it asks for": 4,
    "programs that give credentials or URLs, and URLs that only they know": 4,
    "the answers to a server that asks for Digest": 1,
    "workers that are started when there is work, apart from what each has been given": 1,
    "reports: csv, JUnit, Markdown, Prometheus, annotations, checksums; what files are told by": 7,
    "programs that run after a file and at the end: words, child, what is owed, both ends": 5,
    "the log of a run, and the heads of requests and answers": 2,
    "the log of a run": 1,
    "the archive": 1,
    "shards of a list: the promise of whose a line is, and what sets a shard apart": 2,
    "what the drive loop drives, apart from the loop": 1,
    "coded bodies: which are decoded, and how a coding is taken back": 2,
    "a file that says whom to ask instead, and whom not": 1,
    "the options of lists, a third part of the table": 1,
    "lists of curl's and of aria2's: a format, and options that mean nothing here": 2,
    "the page of a run, how it went on, and who tells when each lane was at which line": 3,
}
"""Modules that a capability brought, since there were 113."""


def test_modules_are_few_and_short() -> None:
    sizes = {name: lines_of(path) for name, path in MODULES.items()}
    assert {name: size for name, size in sizes.items() if size > 400} == {}
    # the docstring of a package is none
    assert sum(size > 5 for size in sizes.values()) <= 113 + sum(ADDED.values())


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("tqdm", {"output"}),
        ("click", {"cli"}),
        ("requests", {"transport", "auth"}),
        ("urllib3", {"transport"}),
        ("sqlite3", {"storage", "integrity"}),
        ("multiprocessing", {"pool", "run"}),
    ],
)
def test_libraries_stay_where_they_belong(library: str, allowed: set[str]) -> None:
    users = {
        each.by.partition(".")[0] for each in imported_at_run() if each.of.split(".")[0] == library
    }
    assert users
    assert users <= allowed


@pytest.mark.parametrize("library", ["requests", "urllib3", "tqdm"])
def test_heavy_libraries_are_imported_late(library: str) -> None:
    """By the main process never at the top of a module, so that nobody waits for them."""
    early = [
        each.by
        for each in imported_at_run()
        if each.of.split(".")[0] == library
        and not each.lazy
        and not each.by.startswith("transport")
    ]
    assert early == []


def loaded(code: str) -> set[str]:
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
    script += "print('\\n' + ' '.join(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.splitlines()[-1].split())


SHOWN = "pdl.output.display.registry, pdl.output.display.bar, pdl.output.display.base"
SELDOM = {
    "sqlite3",
    "string",
    "secrets",
    "pdl.sources.checksum_files",
    "pdl.integrity.checksum_index",
    "pdl.integrity.lock_file",
    "pdl.run.helpers",
    "pdl.run.server_names",
    "pdl.scheduling.auto_jobs",
    "pdl.scheduling.host_news",
    "pdl.scheduling.name_server",
    "pdl.scheduling.rate",
    "pdl.scheduling.trouble",
    "pdl.transport.http.proxies",
}
"""What few runs need, and is imported when one does."""
WEIGHTY = {"hashlib", "ssl", "json", "pathlib"}
"""What a worker needs for none of the files that are small, plain and without a digest."""


@pytest.mark.parametrize(
    ("code", "never"),
    [
        (
            "import pdl",
            {"requests", "urllib3", "tqdm", "click", "pdl.run.download", "multiprocessing"},
        ),
        (
            "sys.argv[1:] = ['--version']; import pdl.cli.main; pdl.cli.main.main()",
            {"requests", "tqdm"},
        ),
        (
            "sys.argv[1:] = ['--help']; import pdl.cli.main; pdl.cli.main.main()",
            {"requests", "tqdm"},
        ),
        (
            "import pdl.run.download, pdl.run.engine, pdl.fetch.blocking, pdl.sources.feed",
            {"requests", "tqdm", "click"},
        ),
        ("import pdl.__main__", {"requests", "tqdm", "click", "pdl.run.download"}),
        (  # nothing starts before that
            "import pdl.pool.startup.prestart",
            {"hashlib", "ipaddress", "urllib.parse", "pdl.text.urls", "pdl.settings"},
        ),
        (f"import pdl.run.download, {SHOWN}, pdl.pool.process.pool", SELDOM),
        (f"import pdl.run.download, {SHOWN}, pdl.pool.process.pool", {"hashlib"}),
        ("import pdl.fetch.blocking, pdl.fetch.fast_path", SELDOM),
        ("from pdl.pool.startup.prestart import PRELOAD; list(map(__import__, PRELOAD))", WEIGHTY),
        (
            f"import pdl.run.download, {SHOWN}, pdl.pool.process.pool",
            {"json", "pdl.storage.part"},
        ),
    ],
)
def test_what_is_not_needed_is_not_imported(code: str, never: set[str]) -> None:
    assert loaded(code) & never == set()


@pytest.mark.parametrize("module", ["pdl.output.reports.json_", "pdl.output.display.json_"])
def test_what_is_needed_when_nothing_can_be_opened_any_more_is_at_hand(module: str) -> None:
    assert "json" in loaded(f"import {module}")


def test_the_check_would_notice() -> None:
    assert "tqdm" in loaded("import tqdm")


def named_in_strings() -> list[tuple[str, str]]:
    """Names below ``pdl`` in strings: modules that are imported later, and words of docstrings."""
    found: set[tuple[str, str]] = set()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole = re.findall(r"\Apdl(?:\.\w+)+\Z", node.value)
                quoted = re.findall(r"`(pdl(?:\.\w+)+)`", node.value)
                found.update((module, name) for name in whole + quoted)
    return sorted(found)


def is_there(name: str) -> bool:
    home = inside(name)
    assert home is not None
    found = importlib.import_module(f"pdl.{home}" if home else "pdl")
    rest = name.removeprefix("pdl").removeprefix(f".{home}" if home else "").split(".")[1:2]
    return all(hasattr(found, each) for each in rest)


def test_a_name_in_a_string_is_one_that_is_there() -> None:
    named = named_in_strings()
    assert named
    assert [f"{module} speaks of {name}" for module, name in named if not is_there(name)] == []
