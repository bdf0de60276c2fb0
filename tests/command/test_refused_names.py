"""A name that the file system refuses is that file's matter, never the end of the run."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from pdl.model import Item, Result, SafePath
from pdl.naming.safe_name import escaped_forms
from pdl.run.download import download
from pdl.settings import FileSettings, NamingSettings, PoolSettings, Settings
from servers.misbehave import File, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INLINE = Settings(pool=PoolSettings(engine="inline"))
REFUSALS = [errno.ENOENT, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG]


@pytest.fixture(params=REFUSALS, ids=errno.errorcode.get)
def refuse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Makes this file system refuse all names that have one of some characters."""

    def install(characters: str) -> None:
        def refusing(real: Callable[..., None], place: int) -> Callable[..., None]:
            def call(*args: str, **more: int) -> None:
                if not set(characters).isdisjoint(os.fspath(args[place]).rpartition("/")[2]):
                    raise OSError(request.param, os.strerror(request.param), args[place])
                real(*args, **more)

            return call

        for name, place in (("rename", 1), ("link", 1), ("mkdir", 0)):
            monkeypatch.setattr(os, name, refusing(getattr(os, name), place))

    return install


if TYPE_CHECKING:
    Refuse = Callable[[str], None]


def run(where: Path, *items: str | Item, settings: Settings = INLINE) -> dict[str, str]:
    """Outcome or kind of each file, by its path."""
    rows: list[Result] = []
    settings = settings._replace(files=settings.files._replace(directory=str(where)))
    download(
        items,
        str(where),
        settings=settings,
        on_event=lambda event: rows.append(event) if isinstance(event, Result) else None,
    )
    return {str(row.path): row.kind or row.outcome for row in rows}


@pytest.mark.parametrize("body", [b"small", bytes(3_000_000)], ids=["small", "large"])
def test_it_is_escaped_where_that_helps_and_found_again(
    server: Server, tmp_path: Path, refuse: Refuse, body: bytes
) -> None:
    refuse(":")
    urls = [server.on("/log-12:30.txt", File(body)), server.on("/b", File(b"b"))]
    assert run(tmp_path, *urls, urls[0]) == {"log-12%3A30.txt": "success", "b": "success"}
    assert (tmp_path / "log-12%3A30.txt").read_bytes() == body
    assert run(tmp_path, *urls) == {"log-12%3A30.txt": "skipped", "b": "skipped"}
    assert len(server.requests()) == 2
    update = INLINE._replace(files=FileSettings(if_exists="overwrite"))
    server.on("/log-12:30.txt", File(b"new"))
    assert run(tmp_path, urls[0], settings=update) == {"log-12%3A30.txt": "success"}
    assert (tmp_path / "log-12%3A30.txt").read_bytes() == b"new"
    assert not (tmp_path / ".pdl").exists()


def test_a_directory_is_escaped_as_well(server: Server, tmp_path: Path, refuse: Refuse) -> None:
    refuse(":")
    item = Item(server.on("/x", File(b"x")), out="a:b/x?", line=1)
    assert run(tmp_path, item) == {"a%3Ab/x%3F": "success"}
    assert run(tmp_path, item) == {"a%3Ab/x%3F": "skipped"}


def test_where_nothing_helps_this_file_alone_fails(
    server: Server, tmp_path: Path, refuse: Refuse
) -> None:
    refuse("z")
    urls = [server.on(f"/{name}", File(b"x")) for name in ("a", "z", "b")]
    assert run(tmp_path, *urls) == {"a": "success", "z": "name", "b": "success"}


def test_a_file_that_has_the_other_name_stays(
    server: Server, tmp_path: Path, refuse: Refuse
) -> None:
    refuse(":")
    urls = [server.on("/a%253Ab", File(b"other")), server.on("/a:b", File(b"one"))]
    (tmp_path / "c").touch()  # so that names are looked up
    rows = run(tmp_path, *urls)
    assert (tmp_path / "a%3Ab").read_bytes() == b"other"
    assert rows["a%3Ab"] in {"success", "skipped"}


@pytest.mark.parametrize("names", [("a:b", "a%253Ab"), ("a%253Ab", "a:b")])
def test_a_listed_name_and_the_form_of_another_are_two_files(
    server: Server, tmp_path: Path, refuse: Refuse, names: tuple[str, str]
) -> None:
    refuse(":")
    urls = [server.on(f"/{name}", File(name.encode())) for name in names]
    first = run(tmp_path, *urls)
    assert sorted(first.values()) == ["success", "success"]
    assert {(tmp_path / path).read_text() for path in first} == set(names)
    assert (tmp_path / "a%3Ab").read_text() == names[0]
    assert run(tmp_path, *urls) == dict.fromkeys(first, "skipped")


def test_a_name_of_the_server_is_escaped(server: Server, tmp_path: Path, refuse: Refuse) -> None:
    refuse(":")
    called = (("Content-Disposition", 'attachment; filename="a:b.txt"'),)
    url = server.on("/x", File(b"x", headers=called))
    settings = INLINE._replace(naming=NamingSettings(server_names=True))
    assert run(tmp_path, url, settings=settings) == {"a%3Ab.txt": "success"}
    assert run(tmp_path, url, settings=settings) == {"a%3Ab.txt": "skipped"}


@pytest.mark.parametrize(
    ("path", "forms"),
    [
        ("a/b-1.tar.gz", []),
        ("a:b", ["a%3Ab"]),
        ("d:e/a. ", ["d%3Ae/a.%20"]),
        ("a.", ["a%2E"]),
        ("a./b", ["a%2E/b"]),
        ("\u00e9?", ["\u00e9%3F", "%C3%A9%3F"]),
        ("\u00e9", ["%C3%A9"]),
        ("a b", []),
        ("\u00e9" * 100, []),
        (":" * 100, []),
    ],
)
def test_the_forms_that_a_name_may_have_instead(path: str, forms: list[str]) -> None:
    assert list(escaped_forms(SafePath(path))) == forms
