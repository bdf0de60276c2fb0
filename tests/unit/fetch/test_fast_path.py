"""The fast path on the wire: the next small file is asked for before the last has its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.fetch.lane_factory import Fetching
from pdl.model import Answer, Fail, FailureKind, SafePath, Success, Task
from pdl.naming.safe_name import STATE_DIRECTORY
from pdl.pool import Answered
from pdl.settings import FileSettings, HttpSettings
from pools import await_room, next_event, processes
from servers.misbehave import File, Server

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 5


def fetched(directory: Path, tasks: list[Task]) -> list[Answer]:
    """The answers of a single lane that is given all tasks at once."""
    (directory / STATE_DIRECTORY).mkdir()
    factory = Fetching(HttpSettings(), FileSettings(directory=str(directory)))
    with processes("fork", workers=1, lanes=1, factory=factory) as pool:
        await_room(pool)
        pool._spawner.links[0].recalled = True  # nothing is called back, however long it takes
        pool.submit(tasks)
        answers: dict[int, Answer] = {}
        while len(answers) < len(tasks):
            event = next_event(pool)
            assert isinstance(event, Answered)
            answers.update({answer.id: answer for answer in event.answers})
        assert pool.received() >= sum(answer.received for answer in answers.values())
        return [answers[task.id] for task in tasks]


def tasks_of(server: Server, *, blocked: int | None = None) -> list[Task]:
    """So many tasks; the file of one of them may have no place."""
    return [
        Task(
            number,
            server.on(f"/{number}", File(body(number))),
            SafePath(f"way/{number}" if number == blocked else f"{number}"),
            f"{number}.part",
        )
        for number in range(COUNT)
    ]


def body(number: int) -> bytes:
    return bytes([number]) * (1000 + number)


def test_every_file_has_its_own_bytes(server: Server, tmp_path: Path) -> None:
    answers = fetched(tmp_path, tasks_of(server))
    assert all(isinstance(answer, Success) for answer in answers)
    assert [(tmp_path / f"{number}").read_bytes() for number in range(COUNT)] == [
        body(number) for number in range(COUNT)
    ]
    assert [answer.received for answer in answers] == [1000 + number for number in range(COUNT)]
    assert [seen.path for seen in server.requests()] == [f"/{number}" for number in range(COUNT)]
    assert len({seen.connection for seen in server.requests()}) == 1


def test_a_file_without_a_place_is_its_own_failure(server: Server, tmp_path: Path) -> None:
    (tmp_path / "way").write_text("a file where a directory should be")
    answers = fetched(tmp_path, tasks_of(server, blocked=2))
    [failed] = [answer for answer in answers if isinstance(answer, Fail)]
    assert (failed.id, failed.kind) == (2, FailureKind.EXISTS)
    assert "way is not a directory" in failed.message
    assert [number for number in range(COUNT) if (tmp_path / f"{number}").exists()] == [0, 1, 3, 4]
    assert (tmp_path / "3").read_bytes() == body(3)
    assert list((tmp_path / STATE_DIRECTORY).iterdir()) == []
    # it was asked for again, when the next one's request had gone out already
    asked: dict[int, list[str]] = {}
    for seen in server.requests():  # in order on each connection alone
        asked.setdefault(seen.connection, []).append(seen.path)
    assert sorted(asked.values()) == [["/0", "/1", "/2", "/3"], ["/2", "/3", "/4"]]
