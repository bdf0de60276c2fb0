"""Names of files: safe whatever a list or a server says, and made by templates."""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdl.errors import UsageError
from pdl.model import Item, SafePath
from pdl.naming.namer import Namer
from pdl.naming.safe_name import MAX_NAME, MAX_PATH, SafeName, UnsafeName, split_name, suffixed
from pdl.settings import NamingSettings
from pdl.text.urls import KIN_DIGITS, InvalidUrl, parse, part_name, suffix_of, url_key

if TYPE_CHECKING:
    from pathlib import Path

LONG = "x" * 300


def assert_safe(name: str) -> None:
    assert name
    assert len(name.encode()) <= MAX_NAME
    assert not re.search("[/\\\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", name)
    assert name.strip() == name
    assert name.strip(".")
    assert name.casefold() != ".pdl"
    assert unicodedata.is_normalized("NFC", name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "index.html"),
        ("/", "index.html"),
        ("/dir/", "index.html"),
        ("/a.txt", "a.txt"),
        ("/dir/a.txt?b=/c", "a.txt"),
        ("/a%20b.txt", "a b.txt"),
        ("/%20a%20", "a"),
        ("/%20", "index.html"),
        ("/a+b", "a+b"),
        ("/%C3%A4", "ä"),
        ("/ä", "ä"),
        ("/a%CC%88", "ä"),
        ("/%E4.txt", "%E4.txt"),
        ("/%C3%A4%FF", "ä%FF"),
        ("/%ED%A0%80", "%ED%A0%80"),
        ("/a%2Fb", "a%2Fb"),
        ("/a%5Cb", "a%5Cb"),
        ("/..%2f..%2fetc%2fpasswd", "..%2F..%2Fetc%2Fpasswd"),
        ("/%252e%252e%252f", "%2e%2e%2f"),
        ("/a%00b", "a%00b"),
        ("/a%1B[31m", "a%1B[31m"),
        ("/a%0D%0Ab", "a%0D%0Ab"),
        ("/a%C2%9Bb", "a%C2%9Bb"),
        ("/a%E2%80%AEgpj.exe", "a%E2%80%AEgpj.exe"),
        ("/...", "%2E%2E%2E"),
        ("/%2e%2e%20", "%2E%2E"),
        ("/.pdl", "%2Epdl"),
        ("/.PdL", "%2EPdL"),
        ("/%20.pdl%20", "%2Epdl"),
        ("/.p%E2%80%8Cdl", "%2Ep\u200cdl"),
        ("/%E2%80%8D.pdl", "%E2%80%8D.pdl"),
        ("/.bashrc", ".bashrc"),
        ("/CON:*?", "CON:*"),
        ("/a%3Ab", "a:b"),
    ],
)
def test_from_url(path: str, name: str) -> None:
    found = SafeName.from_url(parse(f"http://h{path}"))
    assert found == name
    assert_safe(found)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("..\\..\\a", "a"),
        ("dir/", "dir"),
        ("..", "%2E%2E"),
        ("../", "%2E%2E"),
        (".", "%2E"),
        ("", "index.html"),
        ("///", "index.html"),
        ("%2e%2e%2fa", "%2e%2e%2fa"),
        ("a\x00b", "a%00b"),
        ("a\nb", "a%0Ab"),
        ("\t a \n", "a"),
        ("\udc80a", "%ED%B2%80a"),
        (".pdl/", "%2Epdl"),
        ("\u2000", "index.html"),
    ],
)
def test_from_text(raw: str, name: str) -> None:
    found = SafeName.from_text(raw)
    assert found == name
    assert_safe(found)


def test_only_constructors_make_one() -> None:
    with pytest.raises(TypeError):
        SafeName("x")


@pytest.mark.parametrize(
    ("name", "ext"),
    [(LONG, ""), (LONG + ".tar.gz", ".tar.gz"), ("ä" * 200 + ".txt", ".txt"), ("." * 300, "")],
)
def test_long_names_are_cut_before_the_extension(name: str, ext: str) -> None:
    cut = SafeName.from_text(name)
    assert_safe(cut)
    assert re.fullmatch(rf".+-[0-9a-f]{{8}}{re.escape(ext)}", cut)
    assert len(cut.encode()) >= MAX_NAME - 3
    assert cut != SafeName.from_text("z" + name)


def test_the_longest_name_is_left_alone() -> None:
    assert SafeName.from_text("x" * MAX_NAME) == "x" * MAX_NAME
    assert SafeName.from_text("x" * 256).endswith(hashlib.sha256(b"x" * 256).hexdigest()[:8])


@given(st.text())
def test_any_text_becomes_a_safe_name_and_stays_it(raw: str) -> None:
    for name in (SafeName.from_text(raw), SafeName.component(raw)):
        assert_safe(name)
        assert SafeName.component(name) == name
        assert SafeName.from_text(name) == name


@given(st.binary() | st.binary(min_size=250, max_size=600))
def test_any_bytes_in_a_url_become_a_safe_name(raw: bytes) -> None:
    url = parse("http://h/" + "".join(f"%{byte:02x}" for byte in raw))
    assert_safe(SafeName.from_url(url))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a", ("a", "")),
        ("a.txt", ("a", ".txt")),
        ("a.tar.gz", ("a", ".tar.gz")),
        ("a.TAR.XZ", ("a", ".TAR.XZ")),
        ("a.b.gz", ("a.b", ".gz")),
        (".bashrc", (".bashrc", "")),
        (".tar.gz", (".tar", ".gz")),
        ("a.", ("a.", "")),
        ("a. b", ("a. b", "")),
        ("v1.2-final", ("v1", ".2-final")),
        ("a." + LONG, ("a." + LONG, "")),
    ],
)
def test_split(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


def test_suffixed_keeps_the_limit() -> None:
    assert suffixed("a.tar.gz", "-1") == "a-1.tar.gz"
    assert suffixed("ä" * 127 + ".gz", "-12345678") == "ä" * 121 + "-12345678.gz"


# --- Namer ---------------------------------------------------------------------------------


def path_for(
    url: str, *, out: str | None = None, directory: str | None = None, **settings: object
) -> str:
    namer = Namer(NamingSettings(**settings))  # type: ignore[arg-type]
    item = Item(url, out=out, directory=directory, source="list", line=1)
    return namer.path_for(item, parse(url), 7)


@pytest.mark.parametrize(
    ("out", "directory", "path"),
    [
        (None, None, "a.txt"),
        ("b.txt", None, "b.txt"),
        ("x/y/b.txt", None, "x/y/b.txt"),
        ("./x//b.txt", None, "x/b.txt"),
        (None, "x/y/", "x/y/a.txt"),
        ("z/b", "x", "x/z/b"),
        (None, ".", "a.txt"),
        ("", "", "a.txt"),
        ("a\\b", None, "a%5Cb"),
        ("~/x", None, "~/x"),
        (".pdl/state", None, "%2Epdl/state"),
        ("x/.PDL", None, "x/%2EPDL"),
        ("a\x1b[m", None, "a%1B[m"),
    ],
)
def test_the_list_says_where(out: str | None, directory: str | None, path: str) -> None:
    assert path_for("http://h/d/a.txt", out=out, directory=directory) == path


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "\\\\server\\share",
        "C:\\x",
        "c:/x",
        "..",
        "../x",
        "x/../../y",
        "x/..",
        "x\\..\\..\\y",
        " .. /x",
        "\x1b/../x",
    ],
)
def test_the_list_stays_inside(path: str) -> None:
    for where in ({"out": path}, {"directory": path}):
        with pytest.raises(UnsafeName) as caught:
            path_for("http://h/a", **where)
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("out", [".", "./", "x/", " "])
def test_out_names_a_file(out: str) -> None:
    with pytest.raises(UnsafeName, match="names no file"):
        path_for("http://h/a", out=out)


@pytest.mark.parametrize(
    ("directory", "below"),
    [
        ("{}", "a"),
        ("{}/", "a"),
        ("{}/x", "x/a"),
        ("{}//x/./y", "x/y/a"),
        ("{}-beside", None),
        ("{}/../elsewhere", None),
        ("{}/x/../../elsewhere", None),
        ("/", None),
        ("/etc", None),
    ],
)
def test_an_absolute_directory_is_taken_if_it_is_in_the_output_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str, below: str | None
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    item = Item("http://h/a", directory="", source="l", line=1)
    for home, named in (
        ("real", "real"),
        ("./real/", "real"),
        (str(tmp_path / "real"), "real"),
        ("link", "link"),
        ("link", "real"),
    ):
        namer = Namer(NamingSettings(), home)
        asked = item._replace(directory=directory.format(tmp_path / named))
        if below is None:
            with pytest.raises(UnsafeName):
                namer.path_for(asked, parse(item.url), 1)
        else:
            assert namer.path_for(asked, parse(item.url), 1) == below


def test_too_deep_a_path_is_refused() -> None:
    with pytest.raises(UnsafeName, match="longer"):
        path_for("http://h/a", out="d/" * MAX_PATH + "a")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h/a/b.txt", "h/a/b.txt"),
        ("http://h:8080/a", "h_8080/a"),
        ("https://h:443/", "h/index.html"),
        ("http://h//a//", "h/a/index.html"),
        ("http://h/%2e%2e%2f/x", "h/..%2F/x"),
        ("http://h/.../x", "h/%2E%2E%2E/x"),
        ("http://[::1]:81/x", "::1_81/x"),
        ("http://h/a%20/b", "h/a/b"),
    ],
)
def test_tree(url: str, path: str) -> None:
    assert path_for(url, tree=True) == path
    assert path_for(url, template="{host}/{path}") == path


def test_a_tree_too_deep_for_the_system_is_flattened() -> None:
    paths = {path_for(f"http://h/{'d/' * 3000}{c}/f.txt", tree=True) for c in "ab"}
    assert len(paths) == 2
    assert all(re.fullmatch("h/[0-9a-f]{16}/f.txt", path) for path in paths)


def test_out_wins_over_tree_and_template() -> None:
    assert path_for("http://h/a", out="b", tree=True) == "b"
    assert path_for("http://h/a", out="b", template="{n}") == "b"
    assert path_for("http://h/a", directory="d", template="{n}") == "d/7"


HASH = hashlib.sha256(b"http://h/d/a.tar.gz?q").hexdigest()


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{name}", "a.tar.gz"),
        ("{stem}-{n}{ext}", "a-7.tar.gz"),
        ("{n:04}-{name}", "0007-a.tar.gz"),
        ("{host}/{name}", "h/a.tar.gz"),
        ("{path}", "d/a.tar.gz"),
        ("{hash}{ext}", f"{HASH[:8]}.tar.gz"),
        ("{hash:8}", HASH[:8]),
        ("{hash:17}", HASH[:17]),
        ("{hash:64}", HASH),
        ("{name}_{query}", "a.tar.gz_q"),
        ("x/{{{name}}}", "x/{a.tar.gz}"),
        ("fixed", "fixed"),
        ("{host}//{name}", "h/a.tar.gz"),
    ],
)
def test_template(template: str, path: str) -> None:
    assert path_for("http://h/d/a.tar.gz?q", template=template) == path


@pytest.mark.parametrize(
    "template",
    [
        "{nope}",
        "{}",
        "{0}",
        "{name",
        "name}",
        "{name.x}",
        "{name[0]}",
        "{name!r}",
        "{name:10}",
        "{n:x}",
        "{n:{n}}",
        "{n:999999999}",
        "{hash:7}",
        "{hash:65}",
        "{hash:016}",
        "{hash:x}",
        "{query:3}",
        "{date:%Y}",
        "",
        "/{name}",
        "../{name}",
        "x/../{name}",
        "{name}/",
    ],
)
def test_a_bad_template_is_a_usage_error(template: str) -> None:
    with pytest.raises(UsageError):
        Namer(NamingSettings(template=template))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "x.bin"),
        ("?", "x.bin"),
        ("?id=7&v=a%20b", "xid=7&v=a b.bin"),
        ("?f=../../etc/passwd", "xf=..%2F..%2Fetc%2Fpasswd.bin"),
        ("?f=%2e%2e%5Cx%00", "xf=..%5Cx%00.bin"),
        ("?id=7&X-Amz-Signature=0123456789abcdef", "xid=7&X-Amz-Signature=***.bin"),
        ("?token=hunter2", "xtoken=***.bin"),
        ("?%ff", "x%FF.bin"),
    ],
)
def test_the_query_in_a_name_is_safe_and_has_no_secret(query: str, name: str) -> None:
    assert path_for(f"http://h/a{query}", template="x{query}.bin") == name


def test_the_date_in_a_name_is_that_on_which_the_run_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "strftime", lambda form: f"{form} at first")
    namer = Namer(NamingSettings(template="{date}/{name}"))
    monkeypatch.setattr(time, "strftime", lambda form: f"{form} after midnight")
    path = namer.path_for(Item("http://h/a", source="l", line=1), parse("http://h/a"), 1)
    assert path == "%Y-%m-%d at first/a"


@pytest.mark.parametrize(
    ("cut", "path"),
    [(0, "h/a/b/c.txt"), (1, "h/b/c.txt"), (2, "h/c.txt"), (9, "h/c.txt")],
)
def test_directories_of_the_tree_may_be_cut(cut: int, path: str) -> None:
    assert path_for("http://h/a/b/c.txt", tree=True, cut_dirs=cut) == path


def test_directories_are_cut_of_a_tree_alone() -> None:
    with pytest.raises(UsageError, match="--tree"):
        Namer(NamingSettings(cut_dirs=1))


def test_a_template_that_comes_out_empty() -> None:
    assert path_for("http://h/a", template="{ext}") == "index.html"


def test_template_and_tree_exclude_each_other() -> None:
    with pytest.raises(UsageError):
        Namer(NamingSettings(template="{n}", tree=True))


_texts = st.text() | st.text("./\\~ \x00aC:", max_size=12)


@given(_texts, _texts, _texts)
def test_no_path_escapes(tail: str, out: str, directory: str) -> None:
    try:
        url = parse(f"http://h/{tail}")
    except InvalidUrl:
        return
    for settings in (
        NamingSettings(),
        NamingSettings(tree=True),
        NamingSettings(template="{stem}/.{ext}/{path}.{n}"),
    ):
        for item in (
            Item("", source="l", line=1),
            Item("", out=out, directory=directory, source="l", line=1),
        ):
            try:
                path = Namer(settings).path_for(item, url, 1)
            except UnsafeName:
                continue
            for part in path.split("/"):
                assert_safe(part)


# --- Keys and parts ------------------------------------------------------------------------


def test_url_key() -> None:
    url = parse("http://H:80/a#x")
    assert suffix_of(url_key(url)) == hashlib.sha256(b"http://h/a").hexdigest()[:8]
    assert url_key(url) == url_key(parse("http://:secret@h/a"))
    assert url_key(parse("http://me:one@h/a")) == url_key(parse("http://me:two@h/a"))
    assert url_key(parse("http://me@h/a")) != url_key(parse("http://you@h/a"))
    assert 1 < url_key(url) < 1 << 64


def test_part_name() -> None:
    url = parse("http://h/a")
    name = part_name(url, SafePath("a"))
    assert re.fullmatch(r"[0-9a-f]{32}\.part", name)
    assert name.startswith(hashlib.sha256(b"http://h/a\na").hexdigest()[:32])
    assert name != part_name(url, SafePath("b"))
    assert name != part_name(parse("http://h/b"), SafePath("a"))


def test_the_part_names_of_one_url_with_other_queries_begin_alike() -> None:
    path = SafePath("a")
    plain, *others = (
        part_name(parse(f"http://h/a{query}"), path) for query in ("", "?", "?s=1", "?s=2")
    )
    assert len({plain, *others}) == 4
    assert {name[:KIN_DIGITS] for name in others} == {plain[:KIN_DIGITS]}
    assert all(re.fullmatch(r"[0-9a-f]{32}\.part", name) for name in others)
    assert part_name(parse("http://h/a?s=1"), SafePath("b"))[:KIN_DIGITS] != plain[:KIN_DIGITS]
