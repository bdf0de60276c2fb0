"""What is asked about a file that is there, to whom it is shown, and what a 304 then proves."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdl.http_rules.conditional import condition, confirmed, contradicts
from pdl.integrity.declared_digests import declared
from pdl.model import Pieces, Pin, SafePath, Task, Version
from pdl.storage.versions import digest_of, placed, stamp_of, standing, stands
from pdl.text.urls import parse, url_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.storage.versions import Stamp

LISTED = parse("http://h/x")
KEY = url_key(LISTED)
PATH = SafePath("x")
DATE, LATER, EARLIER = (f"Sun, 13 Sep 2020 12:26:{second} GMT" for second in ("40", "41", "39"))
SECONDS = 1_600_000_000
NANO = 10**9
SHA = f"sha256:{'a' * 64}"
TASK = Task(1, "http://h/x", PATH, "1.part", remember=True)


def version(**fields: object) -> Version:
    base = Version(KEY, KEY, KEY, '"e"', DATE, 3, SECONDS * NANO)
    return base._replace(**fields)  # type: ignore[arg-type]


def header(**values: str) -> Callable[[str], str | None]:
    return {name.replace("_", "-"): value for name, value in values.items()}.get


class Kept(dict[SafePath, Version]):
    """What `pdl.storage.state_db.StateDb` is to the planner."""

    def version_of(self, path: SafePath) -> Version | None:
        return self.get(path)

    def remember(self, path: SafePath, version: Version) -> None:
        self[path] = version


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    os.utime(path, ns=(SECONDS * NANO, SECONDS * NANO))
    return path


def asked(
    file: Path, kept: Version | None, *, checksum: str | None = None, size: int | None = None
) -> Version | None:
    task = TASK._replace(checksum=checksum, size=size)
    return standing(str(file.parent), task, KEY, Kept({PATH: kept} if kept else {}))


def test_a_file_that_is_as_it_was_placed_is_asked_about(file: Path) -> None:
    assert asked(file, version()) == version()
    assert asked(file, version(proven=(SHA,)), checksum=SHA, size=3) == version(proven=(SHA,))
    assert asked(file, version(proven=(SHA,))) == version(proven=(SHA,))


@pytest.mark.parametrize(
    "kept",
    [
        version(listed=KEY + 4),
        version(size=4),
        version(mtime_ns=SECONDS * NANO + 1),
    ],
    ids=["another URL gave it", "size", "time"],
)
def test_a_file_that_is_not_as_it_was_placed_is_fetched(file: Path, kept: Version) -> None:
    assert asked(file, kept) is None


@pytest.mark.parametrize("kept", [version(), version(proven=(f"sha256:{'b' * 64}",)), None])
def test_a_digest_that_it_was_not_held_against_fetches_it(file: Path, kept: Version | None) -> None:
    assert asked(file, kept, checksum=SHA) is None


def test_pieces_that_it_was_not_held_against_fetch_it(file: Path) -> None:
    task = TASK._replace(pieces=Pieces("sha256", 2, b"a" * 64))
    found = placed(stamp(file), task, LISTED, header(etag='"e"'), "pieces:sha256")
    kept = Kept({PATH: found._replace(listed=KEY)})
    where = str(file.parent)
    assert standing(where, task, KEY, kept) is not None
    assert standing(where, TASK, KEY, kept) is not None
    assert standing(where, TASK._replace(checksum=SHA), KEY, kept) is None
    pin = Pin(None, None, "")
    assert standing(where, TASK._replace(pin=pin), KEY, kept) is None
    for other in (Pieces("sha256", 2, b"b" * 64), Pieces("sha1", 2, b"a" * 64)):
        assert standing(where, TASK._replace(pieces=other), KEY, kept) is None


def test_what_the_server_proved_counts_when_the_list_asks_for_it(file: Path) -> None:
    found = placed(stamp(file), TASK, LISTED, header(etag='"e"'), SHA)
    assert asked(file, found._replace(listed=KEY), checksum=SHA) is not None


@pytest.mark.parametrize(
    ("pin", "proven", "good"),
    [
        (Pin(SHA, 3, "lock:1"), (SHA,), True),
        (Pin(SHA, None, "lock:1"), ("md5:0", SHA), True),
        (Pin(SHA, 4, "lock:1"), (SHA,), False),
        (Pin(SHA, 3, "lock:1"), ("md5:0",), False),
        (Pin(), (SHA,), True),
        (Pin(), ("md5:0",), False),
    ],
)
def test_a_lock_wants_a_sha256(file: Path, pin: Pin, proven: tuple[str, ...], good: bool) -> None:
    task = TASK._replace(pin=pin)
    kept = Kept({PATH: version(proven=proven)})
    found = standing(str(file.parent), task, KEY, kept)
    assert (found is not None) is good
    if found is not None:
        assert digest_of(task, found) == SHA
    assert standing(str(file.parent), task, KEY, None) is None


@pytest.mark.parametrize("kept", [version(), None])
def test_a_size_that_it_does_not_have_fetches_it(file: Path, kept: Version | None) -> None:
    assert asked(file, kept, size=4) is None
    assert asked(file, kept, size=3) is not None


def test_what_is_gone_or_no_file_is_fetched(file: Path) -> None:
    file.unlink()
    assert asked(file, version()) is None
    assert asked(file, None) is None
    file.mkdir()
    assert asked(file, None) is None


def test_of_a_file_nothing_is_kept_of_the_time_is_asked_about(file: Path) -> None:
    os.utime(file, ns=(0, SECONDS * NANO + 999_999_999))
    guess = asked(file, None)
    assert guess is not None
    assert (guess.giver, guess.etag, guess.modified) == (0, None, DATE)
    assert condition(guess, LISTED, ()) == (("If-Modified-Since", DATE),)
    assert condition(guess, parse("http://h/y"), ()) == ()


@pytest.mark.parametrize(
    "seconds", [time.time() + 1000, 0, -5_000_000_000], ids=["to come", "none", "before"]
)
def test_a_time_that_is_none_is_not_asked_about(file: Path, seconds: float) -> None:
    os.utime(file, (0, seconds))
    assert asked(file, None) is None


@pytest.mark.parametrize(
    ("etag", "modified", "sent"),
    [
        ('"e"', None, {"If-None-Match": '"e"'}),
        ('W/"e"', None, {"If-None-Match": 'W/"e"'}),
        (None, DATE, {"If-Modified-Since": DATE}),
        ('"e"', DATE, {"If-None-Match": '"e"', "If-Modified-Since": DATE}),
        (None, None, {}),
        ('"e"\r\nX-Evil: 1', "yesterday", {}),
    ],
)
def test_what_is_sent(etag: str | None, modified: str | None, sent: dict[str, str]) -> None:
    assert dict(condition(version(etag=etag, modified=modified), LISTED, ())) == sent


@pytest.mark.parametrize("name", ["if-none-match", "If-Modified-Since", "Range", "If-Match"])
def test_a_condition_of_the_users_own_is_the_only_one(name: str) -> None:
    assert condition(version(), LISTED, (("Accept", "*/*"), (name, "x"))) == ()


@pytest.mark.parametrize(
    ("giver", "asked", "names"),
    [
        ("http://h/y", "http://h/y", {"If-None-Match", "If-Modified-Since"}),
        ("http://h/y", "http://h/x", set()),
        ("http://h/y", "http://h/z", set()),
        ("http://h/y", "https://h/y", set()),
        ("http://h/y", "http://h:81/y", set()),
        ("http://h/y", "http://i/y", set()),
        ("http://h/y?a=1", "http://h/y?a=1", {"If-None-Match", "If-Modified-Since"}),
        ("http://h/y?a=1", "http://h/y?a=2", {"If-None-Match"}),
        ("http://h/y?a=1", "http://h/z?a=1", set()),
        ("http://h/y?a=1", "http://i/y?a=1", set()),
    ],
)
def test_a_validator_is_shown_to_who_gave_it(giver: str, asked: str, names: set[str]) -> None:
    name = header(etag='"e"', last_modified=DATE)
    kept = _placed_from(giver, name)
    assert {field for field, _ in condition(kept, parse(asked), ())} == names


@pytest.mark.parametrize("etag", ['W/"e"', ""])
def test_only_a_strong_tag_is_good_for_another_query(etag: str) -> None:
    kept = _placed_from("http://h/y?a=1", header(etag=etag, last_modified=DATE))
    assert condition(kept, parse("http://h/y?a=2"), ()) == ()


def stamp(file: Path) -> Stamp:
    found = stamp_of(str(file.parent), SafePath(file.name))
    assert found is not None
    return found


def _placed_from(giver: str, name: Callable[[str], str | None]) -> Version:
    found = placed(stamp(Path("/dev/null")), TASK, parse(giver), name)
    return found._replace(listed=KEY)


def test_what_was_placed_is_described(file: Path) -> None:
    task = TASK._replace(checksum=SHA)
    found = placed(stamp(file), task, LISTED, header(etag='"e"', last_modified=DATE))
    assert found == version(listed=0, proven=(SHA,))
    assert stands(version(), str(file.parent), PATH)
    file.unlink()
    assert not stands(version(), str(file.parent), PATH)
    assert stamp_of(str(file.parent), PATH) is None


@pytest.mark.parametrize("etag", ["e", '"e', '"a b"', '"' + "e" * 300 + '"', "'e'", '"e", "f"'])
def test_a_bad_tag_is_not_kept(file: Path, etag: str) -> None:
    found = placed(stamp(file), TASK, LISTED, header(etag=etag, last_modified="soon"))
    assert (found.etag, found.modified) == (None, None)


@pytest.mark.parametrize(
    ("kept", "named", "wrong"),
    [
        (version(), {}, False),
        (version(), {"etag": '"e"'}, False),
        (version(), {"etag": 'W/"e"'}, False),
        (version(etag='W/"e"'), {"etag": '"e"'}, False),
        (version(), {"etag": '"f"'}, True),
        # a server may remember the tag of a file that has changed since
        (version(), {"etag": '"e"', "last_modified": LATER}, True),
        (version(), {"etag": '"e"', "last_modified": EARLIER}, True),
        (version(), {"etag": '"e"', "last_modified": DATE}, False),
        (version(), {"etag": '"e"', "last_modified": "soon"}, False),
        (version(), {"etag": "e"}, True),
        (version(), {"last_modified": LATER}, True),
        (version(etag=None), {"last_modified": DATE}, False),
        (version(etag=None), {"last_modified": EARLIER}, True),
        (version(etag=None), {"last_modified": LATER}, True),
        (version(etag=None), {"etag": '"new"'}, True),
        (version(etag=None), {"etag": '"new"', "last_modified": DATE}, False),
        (version(etag=None), {"etag": "no tag"}, False),
        (version(etag=None), {"last_modified": "soon"}, False),
        (version(giver=0, etag=None), {"last_modified": EARLIER}, False),
        (version(giver=0, etag=None), {"last_modified": LATER}, True),
        (version(giver=0, etag=None), {"etag": '"new"', "last_modified": DATE}, False),
        (version(giver=0, etag=None), {"etag": '"new"'}, False),
        # RFC 9110 section 8.6: the length, if there, is that of the file; 0 is mostly the body's
        (version(), {"content_length": "3"}, False),
        (version(), {"content_length": "3, 3"}, False),
        (version(), {"content_length": "0"}, False),
        (version(), {"content_length": "4"}, True),
        (version(giver=0, etag=None), {"content_length": "4"}, True),
        # RFC 9530 section 3: of the representation; the digests of a message are of no bytes here
        (version(proven=(SHA,)), {"repr_digest": f"sha-256=:{'qqqq' * 10}qqo=:"}, False),
        (version(proven=(SHA,)), {"repr_digest": f"sha-256=:{'AAAA' * 10}AAA=:"}, True),
        (version(proven=(SHA,)), {"content_digest": f"sha-256=:{'AAAA' * 10}AAA=:"}, False),
        (version(proven=(SHA,)), {"repr_digest": "md5=:AAAAAAAAAAAAAAAAAAAAAA==:"}, False),
        (version(), {"repr_digest": f"sha-256=:{'AAAA' * 10}AAA=:"}, False),
    ],
)
def test_a_304_that_names_another_version(
    kept: Version, named: dict[str, str], wrong: bool
) -> None:
    said = declared(304, header(**named))
    assert contradicts(kept, header(**named), said and said.checksum) is wrong


def test_a_guess_that_a_304_confirms_is_one_no_more() -> None:
    guess = version(giver=0, bare=0, etag=None)
    assert confirmed(guess, LISTED, header(etag='"e"', last_modified=DATE)) == version()
    assert confirmed(guess, LISTED, header(last_modified=EARLIER)) is None
    assert confirmed(guess, LISTED, header(etag='"e"')) is None
    assert confirmed(version(), LISTED, header(etag='"e"', last_modified=DATE)) is None


WIRE = st.characters(max_codepoint=0xFF)
"""What a field can be made of: heads are read as Latin-1."""
TAGS = st.text(WIRE, max_size=300).map('"{}"'.format)


@given(
    st.text(WIRE, max_size=400) | TAGS | TAGS.map("W/{}".format) | st.just('"plain"'),
    st.text(WIRE, max_size=80)
    | st.just(DATE)
    | st.text(WIRE, max_size=5).map((DATE + "{}").format),
)
@example('"plain"', "1 SEP 0 0:0 \xff")
@example('"plain"', DATE)
def test_nothing_a_server_says_leaves_the_line_it_is_sent_in(etag: str, modified: str) -> None:
    kept = _placed_from("http://h/x", header(etag=etag, last_modified=modified))
    sent = condition(kept, LISTED, ())
    assert [value for _, value in sent] == [each for each in (kept.etag, kept.modified) if each]
    assert len(sent) == 2 or (etag, modified) != ('"plain"', DATE)
    for name, value in sent:
        assert value.isprintable(), name
        value.encode("latin-1")
        assert len(value) <= 256
