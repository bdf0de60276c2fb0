"""Content-Disposition: which name is read from it, and that every name is safe."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdl.model import SafePath
from pdl.naming.content_disposition import MAX_VALUE, safe_name, server_name
from pdl.naming.safe_name import MAX_NAME, SafeName, renamed, stored_path


def wire(text: str) -> str:
    """A field as it is read: its bytes, each as one character."""
    return text.encode().decode("latin-1")


# --- what is read ---


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a.txt"', "a.txt"),
        ("attachment; filename=a.txt", "a.txt"),
        ("attachment;filename=a.txt", "a.txt"),
        ("Attachment ; FileName = a.txt ; x=y", "a.txt"),
        ('inline; filename="a.txt"', "a.txt"),
        ('filename="a.txt"', "a.txt"),
        ("attachment", None),
        ("", None),
        (None, None),
        ("a.txt", None),
        ("attachment; name=a.txt", None),
        ("attachment; xfilename=a.txt", None),
        ('attachment; x="; filename=b.txt"; filename=a.txt', "a.txt"),
        ("attachment; x=filename=b.txt", None),
        ('attachment; filename="a.txt"; filename="b.txt"', "a.txt"),
        ('attachment; filename="a;b.txt"', "a;b.txt"),
        (r'attachment; filename="a\"b\\.txt"', "%2Etxt"),  # its backslash is a path's
        (r'attachment; filename="a\"b.txt"', 'a"b.txt'),
        (r'attachment; filename="C:\dir\a.txt"', "a.txt"),
        ("attachment; filename=a b c.txt", "a b c.txt"),
        ("attachment; filename=a,b.txt;", "a,b.txt"),
        ("attachment; filename=  ", None),
        ('attachment; filename=""', None),
        ('attachment; filename="a.txt', "a.txt"),
        ('attachment; filename=a.txt"', "a.txt"),
        ('attachment; filename="a.txt" and more; x=y', "a.txt"),
        ('attachment; filename="a%20b.txt"', "a%20b.txt"),
        ("attachment; filename*0=a; filename*1=b", None),
        (wire('attachment; filename="ä€.txt"'), "ä€.txt"),
        ('attachment; filename="\xe4.txt"', "ä.txt"),
        ("attachment; filename*=UTF-8''a%20%E2%82%AC.txt", "a €.txt"),
        ("attachment; filename*=utf-8'en'a.txt", "a.txt"),
        ("attachment; FILENAME*=iso-8859-1''%E4.txt", "ä.txt"),
        ("attachment; filename*=\"UTF-8''%E4%BD%A0.txt\"", "你.txt"),
        ("attachment; filename=b.txt; filename*=UTF-8''a.txt", "a.txt"),
        ("attachment; filename*=UTF-8''a.txt; filename=b.txt", "a.txt"),
        ("attachment; filename*=UTF-8''%E4.txt; filename=b.txt", "b.txt"),
        ("attachment; filename*=UTF-8''a%2; filename=b.txt", "b.txt"),
        ("attachment; filename*=UTF-8''%zz; filename=b.txt", "b.txt"),
        ("attachment; filename*=UTF-7''a.txt; filename=b.txt", "b.txt"),
        ("attachment; filename*=a.txt; filename=b.txt", "b.txt"),
        ("attachment; filename*=''a.txt; filename=b.txt", "b.txt"),
        ("attachment; filename*=UTF-8''..; filename=b.txt", "b.txt"),
        ("attachment; filename*=UTF-8''\xe4.txt; filename=b.txt", "b.txt"),
        ('attachment; filename="a.txt", attachment; filename="b.txt"', "a.txt"),
        (f"attachment; filename={'x' * MAX_VALUE}", None),
    ],
)
def test_what_is_read(value: str | None, name: str | None) -> None:
    assert server_name(value) == name


# --- what is made of it ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        (r"..\..\a.txt", "a.txt"),
        ("a/", "a"),
        ("dir/", "dir"),
        ("..", None),
        (".", None),
        (" . ", None),
        ("/", None),
        ("a/..", None),
        (" \t", None),
        (".bashrc", "%2Ebashrc"),
        ("x/.bashrc", "%2Ebashrc"),
        (" .ssh ", "%2Essh"),
        ("...a", "%2E..a"),
        (".pdl", "%2Epdl"),
        (".PDL", "%2EPDL"),
        ("a\nb\x1b[1m", "a%0Ab%1B[1m"),
        ("a\u202etxt.exe", "a%E2%80%AEtxt.exe"),
        ("%2e%2e%2fa", "%2e%2e%2fa"),
        ("-rf", "-rf"),
    ],
)
def test_a_name_is_made_safe(text: str, name: str | None) -> None:
    assert safe_name(text) == name


def assert_safe(name: str) -> None:
    assert name
    assert name[0] != "."
    assert len(name.encode()) <= MAX_NAME
    assert not set(name) & set("/\\\0\n\r\x1b")
    assert stored_path(name) == name
    assert SafeName.component(name) == name  # the main process makes it so again


PARTS = st.sampled_from(
    ["filename", "*", "=", ";", '"', "\\", "/", "..", ".", "%", "2E", "UTF-8''", " ", "attachment"]
)
VALUES = st.lists(PARTS | st.text(max_size=4), max_size=14).map("".join)


@given(VALUES | st.text(max_size=60))
@example('attachment; filename="' + "\\" * 200)
def test_whatever_comes_the_name_is_safe(value: str) -> None:
    for field in (value, f"attachment; filename={value}", f'attachment; filename="{value}"'):
        found = server_name(field)
        if found is not None:
            assert_safe(found)
    extended = server_name(f"attachment; filename*=UTF-8''{quote(value, errors='ignore')}")
    if extended is not None:
        assert_safe(extended)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_an_extended_name_says_what_was_meant(text: str) -> None:
    assert server_name(f"attachment; filename*=UTF-8''{quote(text, safe='')}") == safe_name(text)


@given(st.text(st.characters(codec="utf-8", exclude_characters='"\\\0'), min_size=1, max_size=40))
def test_a_quoted_name_says_what_was_meant(text: str) -> None:
    assert server_name(wire(f'attachment; filename="{text}"')) == safe_name(text)


def test_a_hostile_field_takes_no_time() -> None:
    for piece in ('a="', 'a="\\', ";", "a=", "filename*=UTF-8''%", '"\\"'):
        field = piece * (MAX_VALUE // len(piece))
        assert server_name(field) is None
        assert server_name(f"filename=a;{field}"[:MAX_VALUE]) == "a"


# --- paths ---


@pytest.mark.parametrize(
    ("path", "expected"), [("x", "n"), ("a/x", "a/n"), ("a/b/x.tar.gz", "a/b/n")]
)
def test_another_name_in_the_same_directory(path: str, expected: str) -> None:
    assert renamed(SafePath(path), SafeName.component("n")) == expected


@pytest.mark.parametrize(
    "text",
    [None, 5, "", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "C:/a", ".pdl/x", "a\n"],
)
def test_a_path_that_was_not_made_here_is_none(text: object) -> None:
    assert stored_path(text) is None
