"""A task pipe that is full makes the main process wait for nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lanes import digest_of, large_task, success, task
from pdl.errors import MachineError
from pdl.pool import Answered, Died
from pdl.pool.process import pool as process_module
from pdl.pool.process.pipes import TaskSender
from pools import (
    BOUND,
    METHODS,
    await_room,
    dead,
    drive,
    ids_of,
    next_event,
    processes,
    worker_pids,
)
from runner import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.pool.process.pool import ProcessPool
    from pdl.settings import StartMethod

pytestmark = pytest.mark.usefixtures("plain_main")

LARGE = [large_task(number) for number in range(1, 41)]
"""Ten times what a pipe holds."""


def wait_until(true: Callable[[], object], what: str, pool: ProcessPool, also: int = -1) -> None:
    """Wait as the engine does, until `true` gives something true."""

    def found() -> object:
        pool.wait(0.01, () if also < 0 else (also,))
        return true()

    until(found, what)


def stopped(pool: ProcessPool) -> int:
    """The only worker, which has come up and does not run any more."""
    drive(pool, [task(0, "ok")])
    await_room(pool)
    [pid] = worker_pids(pool)
    os.kill(pid, signal.SIGSTOP)
    return pid


# --- the outbox ---


def piped() -> tuple[Any, TaskSender]:
    """A pipe's reading end, and what writes to it."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    return reader, TaskSender(writer)


def test_what_a_connection_receives_is_what_was_sent() -> None:
    reader, outbox = piped()
    for message in (None, [task(1, "ok")], [large_task(2)]):
        assert outbox.send(message)
        assert reader.recv() == message
    assert os.get_blocking(reader.fileno())
    outbox.close()
    with pytest.raises(EOFError):
        reader.recv()
    reader.close()


def test_what_a_pipe_does_not_take_follows_in_order() -> None:
    reader, outbox = piped()
    messages = [[each] for each in LARGE] + [None, [task(0, "ok")]]
    gone = [outbox.send(message) for message in messages]
    assert gone[0]
    assert not gone[-1]
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.extend(reader.recv() for _ in messages))
    thread.start()
    until(outbox.flush, "the reader to make room")
    thread.join(BOUND)
    assert got == messages
    outbox.close()
    reader.close()


def test_nothing_is_kept_for_a_reader_that_is_gone() -> None:
    reader, outbox = piped()
    assert not outbox.send(LARGE)
    reader.close()
    assert outbox.flush()
    assert outbox.send(None)
    outbox.close()
    assert outbox.send(None)


# --- the pool ---


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_goes_on_gets_every_task_whole(method: StartMethod) -> None:
    with processes(method, workers=1) as pool:
        pid = stopped(pool)
        pool.submit(LARGE)
        [link] = pool._spawner.links
        wait_until(lambda: link.recalled, "the call back, which travels behind them", pool)
        os.kill(pid, signal.SIGCONT)
        out = {each.id: each for each in LARGE}
        back = []
        while out:
            event = next_event(pool)
            gone = [out.pop(number) for number in ids_of(event)]
            if isinstance(event, Answered):
                expected = [success(each.id, message=digest_of(each)) for each in gone]
                assert list(event.answers) == expected
            else:
                back += gone
        answers = drive(pool, back)
        assert answers == {each.id: [success(each.id, message=digest_of(each))] for each in back}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_does_not_go_on_is_found_silent(
    method: StartMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(process_module, "SILENT_SECONDS", 0.5)
    with processes(method, workers=1) as pool:
        stopped(pool)
        pool.submit(LARGE)
        event = next_event(pool)
        assert isinstance(event, Died)
        assert sorted(ids_of(event)) == [each.id for each in LARGE]
        assert not pool._unsent
        monkeypatch.setattr(process_module, "SILENT_SECONDS", 30.0)
        answers = drive(pool, LARGE)
        assert answers == {each.id: [success(each.id, message=digest_of(each))] for each in LARGE}


def test_a_pool_closes_with_tasks_on_their_way() -> None:
    with processes("fork", workers=1) as pool:
        pid = stopped(pool)
        pool.submit(LARGE)
        pool.close()
        assert dead(pid)


def test_waiting_for_other_descriptors_goes_on_sending() -> None:
    reader, writer = os.pipe()
    with processes("fork", workers=1) as pool:
        pid = stopped(pool)
        pool.submit(LARGE)
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not pool._unsent, "all to be sent", pool, reader)
        assert not pool._unsent
    os.close(reader)
    os.close(writer)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_nobody_waits_without_a_limit_for_a_worker_that_does_not_go_on(method: StartMethod) -> None:
    with processes(method, workers=1) as pool:
        stopped(pool)
        [link] = pool._spawner.links
        link.process.join()  # as multiprocessing does at the end of a program, after SIGTERM
        assert link.process.exitcode is not None


def test_a_worker_for_which_there_is_no_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with processes("fork", workers=1) as pool:
        await_room(pool)

        def refuse() -> int:
            raise MemoryError

        monkeypatch.setattr(os, "fork", refuse)
        [pid] = worker_pids(pool)
        os.kill(pid, signal.SIGKILL)
        assert isinstance(next_event(pool), Died)
        with pytest.raises(MachineError, match="cannot start worker processes: out of memory"):
            next_event(pool)
