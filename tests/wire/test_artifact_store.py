"""A private store as in CI: a token for its host, a signed link to another, lock and cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.behaviours import Reply
from servers.files import File
from servers.misbehave import Server
from servers.row import pattern

if TYPE_CHECKING:
    from pathlib import Path

    from runner import Runner
    from servers.certs import Authority
    from servers.wire import Exchange, Script

STORE, BUCKET = "store.example", "bucket.example"
TOKEN, SIGNED = "t0ken-c4n4ry", "s1gned-c4n4ry"
FILES = 40


def body(path: str) -> bytes:
    return path.encode() + pattern(3000, 5)


def test_the_job(authority: Authority, pdl_run: Runner, tmp_path: Path) -> None:
    context = authority.good(STORE, BUCKET)

    def signed(exchange: Exchange) -> None:
        known = exchange.seen.header("Authorization") == f"Bearer {TOKEN}"
        there = bucket.url(exchange.seen.path, BUCKET) + f"?X-Amz-Signature={SIGNED}"
        Reply(302, (("Location", there),))(exchange) if known else Reply(401)(exchange)

    def object_of(path: str) -> Script:
        return (File(body(path)),)

    with (
        Server(tls=context, fallback=lambda _: (signed,)) as store,
        Server(tls=context, fallback=object_of) as bucket,
    ):
        paths = [f"/repo/{number}.bin" for number in range(FILES)]
        (tmp_path / "urls.txt").write_text("\n".join(store.url(path, STORE) for path in paths))
        places = [f"{STORE}:{store.port}:127.0.0.1", f"{BUCKET}:{bucket.port}:127.0.0.1"]
        options = ["--cacert", str(authority.pem), *(w for p in places for w in ("--resolve", p))]
        options += ["--bearer", f"{STORE}=CI_TOKEN", "--cache", "cache", "--lock", "urls.lock"]

        def run(directory: str, *more: str) -> str:
            ended = pdl_run("urls.txt", "-d", directory, *options, *more, env={"CI_TOKEN": TOKEN})
            assert ended.code == 0, ended.err
            files = {path.name: path.read_bytes() for path in (tmp_path / directory).glob("*.bin")}
            assert files == {path.rpartition("/")[2]: body(path) for path in paths}
            return ended.out + ended.err

        said = run("one")
        assert len(store.requests()) == len(bucket.requests()) == FILES
        assert not any(TOKEN in str(seen) for seen in bucket.requests())
        said += run("one")  # what is there is held against the lock
        said += run("two", "--locked")  # and what is not comes from the cache
        assert len(store.requests()) == len(bucket.requests()) == FILES
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert TOKEN not in said
    assert SIGNED not in said
    assert not any(TOKEN.encode() in path.read_bytes() for path in kept)
    assert not any(SIGNED.encode() in path.read_bytes() for path in kept)
