"""Files of rules that say whom to ask instead, in Bazel's grammar and with Bazel's meaning."""

from __future__ import annotations

import pickle
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pdl.errors import UsageError
from pdl.model import FailureKind, Item, Refusal
from pdl.run.planner import Known, Planner
from pdl.scheduling.job import Job, Plan
from pdl.settings import FileSettings, NamingSettings
from pdl.sources.rewriting import Rewriting, read_rewriting
from pdl.text.urls import Asked, parse

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return tmp_path / "rules.cfg"


def asked(rules: Path, text: str, *urls: str) -> list[str] | str:
    rules.write_text(text)
    item = Item(urls[0], urls[1:], source="l", line=1)
    found = read_rewriting(str(rules)).applied(item, parse(urls[0]))
    return found if isinstance(found, str) else [found.url, *found.mirrors]


GITHUB = "https://github.com/a/b/releases/download/v1/c.tgz"


@pytest.mark.parametrize(
    ("text", "url", "wanted"),
    [
        ("", GITHUB, [GITHUB]),
        ("# rewrite (.*) x/$1\n\n   \n\t# block *\n", GITHUB, [GITHUB]),
        ("rewrite github.com/(.*) m.example/gh/$1", GITHUB, ["https://m.example/gh" + GITHUB[18:]]),
        (  # the scheme of the file wins, else it is that of the list
            "rewrite github.com/(.*) http://m.example/$1",
            GITHUB,
            ["http://m.example" + GITHUB[18:]],
        ),
        ("rewrite h/(.*) m/$1", "http://h/x", ["http://m/x"]),
        (  # all of the URL must fit, from behind the scheme
            "rewrite github.com/a m/$1\n".replace("$1", "x"),
            GITHUB,
            [GITHUB],
        ),
        ("rewrite thub.com/.* m/x", GITHUB, [GITHUB]),
        ("rewrite https://github.com/.* m/x", GITHUB, [GITHUB]),
        (  # a mirror first, then the origin, as many have it
            "rewrite (.*) store.example/mirror/$1\nrewrite (.*) $1",
            GITHUB,
            ["https://store.example/mirror/" + GITHUB[8:], GITHUB],
        ),
        (  # several groups, of Bazel's own example
            "rewrite github.com/(.+)/(b)/releases/download/([^/]+)/(.*) m.example/gh/$1/$2/$3/$4",
            GITHUB,
            ["https://m.example/gh/a/b/v1/c.tgz"],
        ),
        (
            "rewrite github.com/([^/]+)/([^/]+)/archive/(.+).(tar.gz|zip) m.example/$1/$2/$3?e=$4",
            "https://github.com/a/b/archive/v1.0.zip",
            ["https://m.example/a/b/v1.0?e=zip"],
        ),
        ("rewrite h/(?P<n>.*) m/${n}", "http://h/x", ["http://m/x"]),
        ("rewrite h/(.)(.) m/$2$1/\\$1", "http://h/ab", ["http://m/ba/$1"]),
        ("rewrite h/(.)(.) m/$10/$0", "http://h/ab", ["http://m/a0/h/ab"]),
        ("rewrite h/(a)?(b)? m/$1x$2", "http://h/b", ["http://m/xb"]),
        ("rewrite h/(.*)\\?(.*) m/$1-$2", "http://h/a?b=c", ["http://m/a-b=c"]),
        (  # the same from two rules is asked once
            "rewrite h/(.*) m/$1\nrewrite (.*)/x m/x",
            "http://h/x",
            ["http://m/x"],
        ),
        ("block h", "http://h/x", "h is blocked by {}:1: block h"),
        ("block h", "http://sub.h/x", "sub.h is blocked by {}:1: block h"),
        ("block h", "http://oh/x", ["http://oh/x"]),
        ("block H.example", "http://h.EXAMPLE/x", "h.example is blocked by {}:1: block h.example"),
        ("block *\nallow h", "http://h/x", ["http://h/x"]),
        ("block *\nallow h", "http://sub.h/x", ["http://sub.h/x"]),
        ("allow h\nblock h", "http://h/x", ["http://h/x"]),
        ("allow *\n\nblock h", "http://h/x", "h is blocked by {}:3: block h"),
        (  # what is asked is judged, not what is listed
            "block bad.example\nrewrite bad.example/(.*) m.example/$1",
            "http://bad.example/x",
            ["http://m.example/x"],
        ),
        ("rewrite h/(.*) m/$1\nblock m", "http://h/x", "m is blocked by {}:2: block m"),
        (
            "rewrite (.*) m/$1\nrewrite (.*) $1\nblock *\nallow m",
            "http://h/x",
            ["http://m/h/x"],
        ),
        (
            "rewrite (.*) m/$1\nrewrite (.*) $1\nblock *\nall_blocked_message  Ask Dave. ",
            "http://h/x",
            "m is blocked by {}:3: block *, and so are 1 more; Ask Dave.",
        ),
        ("rewrite h/x m:99999/", "http://h/x", "{} makes http://m:99999/ of it, which has a bad"),
        ("block 2001:db8::1", "http://[2001:db8::1]/x", "2001:db8::1 is blocked by {}:1"),
        ("\ufeffblock h\r\n", "http://h/x", "h is blocked by {}:1: block h"),
    ],
)
def test_what_is_asked(rules: Path, text: str, url: str, wanted: list[str] | str) -> None:
    found = asked(rules, text, url)
    if isinstance(wanted, str):
        assert isinstance(found, str)
        assert found.startswith(wanted.format(rules))
    else:
        assert found == wanted


def test_mirrors_are_rewritten_in_their_place(rules: Path) -> None:
    text = "rewrite (a/.*) m/$1\nrewrite (a/.*) $1\nblock b"
    urls = ("http://a/x", "ftp://z/x", "http://b/x", "https://c/x")
    assert asked(rules, text, *urls) == ["http://m/a/x", "http://a/x", "https://c/x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# one\nrewite a b", ":2: 'rewite' is none of rewrite, allow, block, all_blocked_message"),
        ("rewrite a", ":1: is to be rewrite RE TO, and has 2 words"),
        ("rewrite a b c", ":1: is to be rewrite RE TO, and has 4 words"),
        ("allow", ":1: is to be allow HOST, and has 1 words"),
        ("block a b", ":1: is to be block HOST, and has 3 words"),
        ("block h/x", ":1: h/x is no host"),
        ("block h:80", ":1: h:80 is no host"),
        ("rewrite ( b", ":1: '(' is no pattern of RE2's: missing ): ("),
        ("rewrite (a)\\1 b", ":1: '(a)\\1' is no pattern of RE2's"),
        ("rewrite (?!a)b b", ":1: '(?!a)b' is no pattern of RE2's"),
        ("rewrite a++b b", ":1: 'a++b' is no pattern of RE2's"),
        ("rewrite (a) $2", ":1: there is no group $2; the pattern has 1"),
        ("rewrite (a) ${n}", ":1: '${n}': there is no group n"),
        ("rewrite (a) ftp://u:hunter2@m/", ":1: 'ftp://u:***@m/' is of another scheme"),
        ("rewrite (a) x$", ":1: 'x$': $ stands alone"),
        ("rewrite (a) $x", ":1: '$x': $ stands alone"),
        ("rewrite (a) x\\", ":1: 'x\\': \\ stands alone"),
        ("all_blocked_message", "once, with a message"),
        ("all_blocked_message a\nblock x\nall_blocked_message b", ":3: all_blocked_message"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_line(rules: Path, text: str, said: str) -> None:
    rules.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_rewriting(str(rules))
    assert said in caught.value.message
    assert str(rules) in caught.value.message


def test_a_file_that_is_none(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_rewriting(str(rules))
    rules.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_rewriting(str(rules))
    rules.write_text("rewrite a b")
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(UsageError) as caught:
        read_rewriting(str(rules))
    assert "pip install 'pdl[rewrite]'" in (caught.value.hint or "")
    rules.write_text("block a")
    read_rewriting(str(rules))


@pytest.mark.parametrize(
    "pattern", ["h/(a+)+b", "h/(a|a)*b", "h/(.*)(.*)(.*)(.*)(.*)b", "(.*a){20}b"]
)
def test_no_pattern_takes_longer_than_a_url_is_long(rules: Path, pattern: str) -> None:
    rules.write_text(f"rewrite {pattern} m/x\n")
    url = f"http://h/{'a' * 7000}"
    item, rewriting = Item(url, source="l", line=1), read_rewriting(str(rules))
    began = time.process_time()
    assert rewriting.applied(item, parse(url)) == item
    assert time.process_time() - began < 5  # Java, and Python, take longer than the world is old


def test_the_policy_crosses_processes(rules: Path) -> None:
    rules.write_text("block *\nallow a.b\nrewrite x y")
    policy = read_rewriting(str(rules)).policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert [bool(policy.refusal(host)) for host in ("a.b", "c.a.b", "b", "ca.b")] == [
        *(False, False, True, True)
    ]


# --- what comes of it in a plan ---


def planned(tmp_path: Path, rewriting: Rewriting, item: Item) -> Plan | Refusal:
    planner = Planner(FileSettings(str(tmp_path)), NamingSettings(), Known(rewriting=rewriting))
    found = planner.plan(item)
    assert isinstance(found, (Plan, Refusal))
    return found


def test_names_and_keys_are_those_of_the_listed_url(rules: Path, tmp_path: Path) -> None:
    rules.write_text("rewrite h/(.*) m/else/$1.x\n")
    item = Item("http://u:pw@h/a.bin", headers=(("X-Key", "k"),), source="l", line=1)
    plan = planned(tmp_path, read_rewriting(str(rules)), item)
    assert isinstance(plan, Plan)
    other = Asked(parse("http://m/else/a.bin.x"))
    assert (plan.path, plan.item, plan.key) == ("a.bin", item, Asked(parse(item.url)).key)
    assert (plan.host, plan.part) == ("m", other.part_name(plan.path))
    job = Job(plan)
    assert job.mirrors is None
    task = job.task()
    assert (task.url, task.headers, task.part) == (other.text, (), plan.part)


def test_several_are_mirrors_and_the_origin_alone_hears_what_is_its(
    rules: Path, tmp_path: Path
) -> None:
    rules.write_text(
        "rewrite (.*) m/$1\nrewrite (.*) $1\nrewrite h/(.*) h/other/$1\nrewrite (.*) n/$1"
    )
    item = Item("http://u:pw@h/a.bin", headers=(("X-Key", "k"),), source="l", line=1)
    plan = planned(tmp_path, read_rewriting(str(rules)), item)
    assert isinstance(plan, Plan)
    mirrors = Job(plan).mirrors
    assert mirrors is not None
    assert [(each.url, each.headers) for each in mirrors.usable] == [
        ("http://m/h/a.bin", ()),
        ("http://u:pw@h/a.bin", item.headers),
        ("http://u:pw@h/other/a.bin", item.headers),
        ("http://n/h/a.bin", ()),
    ]


def test_a_line_for_which_nobody_may_be_asked_is_refused(rules: Path, tmp_path: Path) -> None:
    rules.write_text("block *\n")
    item = Item("http://h/a.bin", source="l", line=1)
    found = planned(tmp_path, read_rewriting(str(rules)), item)
    assert found == Refusal(FailureKind.POLICY, f"h is blocked by {rules}:1: block *", found.path)
