"""Names that are taken: who has which, and what another URL gets then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.model import SafePath
from pdl.naming.claims import Claim, IntTable, NameClaims, Pairing
from pdl.text.urls import parse, url_key

KEYS = {letter: url_key(parse(f"http://h/{letter}")) for letter in "ABCDE"}
HEX = {letter: f"{key:016x}"[:8] for letter, key in KEYS.items()}


def claim(names: NameClaims, letter: str, path: str) -> Claim:
    return names.claim(SafePath(path), KEYS[letter])


def show(claim: Claim) -> str:
    path = claim.path
    for letter, digits in HEX.items():
        path = SafePath(path.replace(digits, letter))
    return f"{claim.how} {path}"


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (["A a.txt", "B b.txt"], ["new a.txt", "new b.txt"]),
        (["A a.txt", "A a.txt"], ["new a.txt", "same a.txt"]),
        (["A a.txt", "A b.txt"], ["new a.txt", "new b.txt"]),
        (["A a.txt", "B a.txt"], ["new a.txt", "renamed a-B.txt"]),
        (["A a.txt", "B a.txt", "B a.txt"], ["new a.txt", "renamed a-B.txt", "same a-B.txt"]),
        (["A a.tar.gz", "B a.tar.gz"], ["new a.tar.gz", "renamed a-B.tar.gz"]),
        (["A README", "B readme"], ["new README", "renamed readme-B"]),
        (["A straße", "B STRASSE"], ["new straße", "renamed STRASSE-B"]),
        (["A \u00e4", "B a\u0308"], ["new \u00e4", "renamed a\u0308-B"]),
        (["A x/a", "B y/a"], ["new x/a", "new y/a"]),
        (["A x/a", "B X/A"], ["new x/a", "renamed X/A-B"]),
        (["A x/a", "B x/a"], ["new x/a", "renamed x/a-B"]),
        (["A x/a", "B x"], ["new x/a", "renamed x-B"]),
        (["A x/a", "B x", "C x/b"], ["new x/a", "renamed x-B", "new x/b"]),
        (["A x/y/a", "B x/y"], ["new x/y/a", "renamed x/y-B"]),
    ],
)
def test_claims(wanted: list[str], given: list[str]) -> None:
    names = NameClaims()
    assert [show(claim(names, *line.split(" "))) for line in wanted] == given


def test_a_directory_gives_way_to_a_file_that_came_first() -> None:
    names = NameClaims()
    claim(names, "A", "x")
    first = claim(names, "B", "x/b")
    second = claim(names, "C", "X/c")
    third = claim(names, "D", "x/d/d")
    assert first.how == second.how == third.how == "renamed"
    assert first.rival == Pairing(SafePath("x"), KEYS["A"])
    home = first.path[: -len("/b")]
    assert home.startswith("x-")
    assert len(home) == 10
    assert third.path == f"{home}/d/d"
    assert claim(names, "B", "x/b") == Claim(first.path, "same")


def test_a_literal_name_that_looks_renamed() -> None:
    names = NameClaims()
    claim(names, "A", "a")
    claim(names, "C", f"a-{HEX['B']}")
    assert claim(names, "B", "a").path == f"a-{KEYS['B']:016x}"
    claim(names, "D", f"a-{KEYS['E']:016x}")
    claim(names, "D", f"a-{HEX['E']}")
    assert claim(names, "E", "a").path == f"a-{KEYS['E']:016x}-2"


def test_a_path_that_is_taken_is_nobody_else_s() -> None:
    names = NameClaims()
    path = SafePath("d/a")
    names.remember(path, KEYS["B"])
    assert names.take(path, KEYS["A"]) == Claim(path, "new")
    assert names.take(path, KEYS["A"]) == Claim(path, "same")
    assert names.take(path, KEYS["C"]) == Claim(path, "new")  # it was there already
    assert show(claim(names, "B", "d/a")) == "renamed d/a-B"
    assert show(claim(names, "A", "d/a")) == "same d/a"
    assert show(claim(names, "D", "d")) == "renamed d-D"


def test_the_last_that_is_remembered_has_the_name() -> None:
    names = NameClaims()
    for letter in "ABA":
        names.remember(SafePath("a"), KEYS[letter])
    assert show(claim(names, "B", "a")) == "renamed a-B"
    assert show(claim(names, "A", "a")) == "new a"


def test_the_rival_is_named() -> None:
    names = NameClaims()
    claim(names, "A", "a")
    assert claim(names, "B", "a").rival == Pairing(SafePath("a"), KEYS["A"])
    assert claim(names, "C", "c").rival is None
    claim(names, "D", "d/d")
    assert claim(names, "E", "d") == Claim(SafePath(f"d-{HEX['E']}"), "renamed", None)


@pytest.mark.parametrize("order", ["AB", "BA", "B", "A", "CBA", "CAB"])
def test_remembered_names_hold_in_any_order(order: str) -> None:
    first = NameClaims()
    claim(first, "A", "a")
    renamed = claim(first, "B", "a")
    assert renamed.rival is not None

    second = NameClaims()
    second.remember(*renamed.rival)
    second.remember(renamed.path, KEYS["B"])
    paths = {letter: claim(second, letter, "a") for letter in order}
    expected = {"A": "new a", "B": "renamed a-B", "C": "renamed a-C"}
    assert {letter: show(found) for letter, found in paths.items()} == {
        letter: expected[letter] for letter in order
    }
    assert [claim(second, letter, "a").how for letter in order] == ["same"] * len(order)


def test_a_renamed_url_keeps_its_name_even_alone() -> None:
    names = NameClaims()
    names.remember(SafePath(f"a-{HEX['B']}.gz"), KEYS["B"])
    assert show(claim(names, "B", "a.gz")) == "renamed a-B.gz"
    assert show(claim(names, "A", "a.gz")) == "new a.gz"


def test_a_remembered_file_keeps_its_name_from_a_directory() -> None:
    names = NameClaims()
    names.remember(SafePath("x"), KEYS["A"])
    assert claim(names, "B", "x/b").how == "renamed"
    assert show(claim(names, "A", "x")) == "new x"


_paths = st.lists(st.sampled_from(["a", "A", "b", "a.gz", "ä"]), min_size=1, max_size=3)


@given(st.lists(st.tuples(_paths, st.sampled_from("ABCDE"))))
def test_no_two_urls_share_a_path_and_no_file_is_a_directory(
    wanted: list[tuple[list[str], str]],
) -> None:
    names = NameClaims()
    owners: dict[str, str] = {}
    for parts, letter in wanted:
        found = claim(names, letter, "/".join(parts))
        folded = found.path.casefold()
        assert (found.how == "same") == (folded in owners)
        assert owners.setdefault(folded, letter) == letter
    for path in owners:
        assert not any(other.startswith(f"{path}/") for other in owners)


@given(st.dictionaries(st.integers(1, 2**64 - 1), st.integers(1, 2**64 - 1)))
def test_table(entries: dict[int, int]) -> None:
    table = IntTable()
    for key, value in entries.items():
        assert table.get(key) == 0
        assert table.setdefault(key, value) == 0
        assert table.setdefault(key, 1) == value
    assert {key: table.get(key) for key in entries} == entries


@pytest.mark.slow
@pytest.mark.parametrize("small", [False, True])
def test_table_grows_and_stays_small(small: bool) -> None:
    table = IntTable(small=small)
    numbers = range(1, 100_000)
    values = [number % 255 + 1 if small else number << 40 for number in numbers]
    for number, value in zip(numbers, values, strict=True):
        assert table.setdefault(number * 1024, value) == 0
        assert table.setdefault(number * 1024, 1) == value
    assert [table.get(number * 1024) for number in numbers] == values
    assert table.get(1) == 0
    assert len(table._keys) == 262144
    assert table._values.itemsize == (1 if small else 8)
    table.replace(1024, 7)
    assert table.get(1024) == 7
