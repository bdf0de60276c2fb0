"""--rewrite: who is asked, who is not, and what goes to whom."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

from servers.behaviours import Reply
from servers.files import File

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.misbehave import Server

SECRET = "c4n4ry-5ecret"
HERE, THERE = "127.0.0.1", "localhost"
"""Two hosts, of one server."""


def basic(user: str) -> str:
    return f"Basic {b64encode(user.encode()).decode()}"


def test_others_are_asked_under_the_listed_name(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    server.on("/m/gone.bin", Reply(404))
    server.on("/m/a.bin", File(b"a"))
    gone = server.on("/gone.bin", File(b"of the origin"))
    url = server.url("/a.bin").replace("://", f"://me:{SECRET}@")
    port = url.rpartition(":")[2].partition("/")[0]
    rules, lists = tmp_path / "rules.cfg", tmp_path / "l.txt"
    rules.write_text(
        f"rewrite {HERE}:{port}/(.*) you:{SECRET}@{THERE}:{port}/m/$1\n"
        f"rewrite ({HERE}:{port}/gone.*) $1\n"
    )
    lists.write_text(f"{url}\n  header=X-Key: {SECRET}\n{gone}\n  header=X-Key: {SECRET}\n")
    again = (lists, "--rewrite", rules, "-d", tmp_path / "out", "--lock", "l.lock")
    run = pdl_run(*again, "--report", "r.jsonl", "-v")
    assert run.code == 0, run.err
    assert (tmp_path / "out" / "a.bin").read_bytes() == b"a"
    assert (tmp_path / "out" / "gone.bin").read_bytes() == b"of the origin"
    for path, user, key in (
        ("/m/a.bin", basic(f"you:{SECRET}"), None),
        ("/m/gone.bin", basic(f"you:{SECRET}"), None),
        ("/gone.bin", None, SECRET),
    ):
        (seen,) = server.requests(path)
        assert (seen.header("Authorization"), seen.header("X-Key")) == (user, key), path
    assert not server.requests("/a.bin")
    rows = {row["path"]: row for row in map(json.loads, lines(pdl_run.directory / "r.jsonl"))}
    assert rows["a.bin"]["url"] == url.replace(SECRET, "***")
    assert rows["a.bin"]["final_url"] == f"http://{THERE}:{port}/m/a.bin"
    lock = (pdl_run.directory / "l.lock").read_text()
    assert "/m/" not in "".join(json.loads(line)["url"] for line in lock.splitlines() if line)
    assert SECRET not in run.err + run.out + (pdl_run.directory / "r.jsonl").read_text()
    assert pdl_run(*again, "--check").code == 0


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_whoever_is_blocked_is_not_asked_through_redirects_either(
    server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    there = server.on("/there.bin", File(b"x")).replace(HERE, THERE)
    urls = [
        server.on("/away.bin", Reply(302, (("Location", there),))),
        there,
        server.on("/good.bin", File(b"good")),
    ]
    rules = tmp_path / "rules.cfg"
    rules.write_text(f"all_blocked_message Ask Dave.\nblock *\nallow {HERE}\n")
    out = tmp_path / "out"
    dry = pdl_run(*urls, "--rewrite", rules, "-d", out, "--dry-run")
    assert (dry.code, dry.out.count("fail\t"), dry.out.count("get\t")) == (1, 1, 2)
    run = pdl_run(*urls, "--rewrite", rules, "-d", out, "--report", "r.jsonl")
    assert run.code == 1
    rows = {row["url"]: row for row in map(json.loads, lines(pdl_run.directory / "r.jsonl"))}
    blocked = f"{THERE} is blocked by {rules}:2: block *"
    assert rows[urls[0]]["kind"] == rows[urls[1]]["kind"] == "policy"
    assert f"a redirect: {blocked}" in rows[urls[0]]["message"]
    assert rows[urls[1]]["message"] == f"{blocked}; Ask Dave."
    assert rows[urls[2]]["outcome"] == "success"
    assert not server.requests("/there.bin")
    assert len(server.requests("/away.bin")) == 1


def test_rules_that_are_wrong_are_told_before_anything_starts(
    pdl_run: Runner, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.cfg"
    rules.write_text("allow h\nrewrite (a)\\1 b\n")
    for more in ((), ("--dry-run",)):
        run = pdl_run("http://h/a", "--rewrite", rules, "-d", tmp_path / "out", *more)
        assert run.code == 2
        assert f"{rules}:2: '(a)\\1' is no pattern of RE2's" in run.err
    assert not (tmp_path / "out").exists()
    run = pdl_run("http://h/a", "--rewrite", rules, "--failed", rules)
    assert (run.code, "--rewrite" in run.err) == (2, True)
