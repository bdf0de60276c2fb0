"""What the schedule and the governor cost for each job.

A program of its own: ``python schedule.py [JOBS [HOSTS]]`` takes so many jobs of so many hosts
through the schedule, as the engine does, and prints microseconds a job. No job is planned, and none
is asked for: what is measured is `add`, `take`, `good` and `done` alone, in batches of the sizes
that the engine and a busy pool have.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from pdl.model import Fail, FailureKind, Item, SafePath
from pdl.scheduling.governor import Governor
from pdl.scheduling.job import Job, Plan
from pdl.scheduling.mirrors import Selector
from pdl.scheduling.retry import Limits, RetryPolicy
from pdl.scheduling.schedule import Schedule
from pdl.text.urls import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

AHEAD = 1024
BATCH = 32
FLIGHT = 96
URL = parse("http://h/x")
ITEM = Item("http://h/x")
PATH = SafePath("x")


def jobs(hosts: Iterator[str]) -> Iterator[Job]:
    """A job for each name of a host."""
    for number, host in enumerate(hosts):
        yield Job(Plan(number, ITEM, URL, number, host, PATH, PATH, "p"))


def run(count: int, hosts: int, limits: Limits, *, by_host: bool, trouble: int = 0) -> float:
    """Microseconds a job; with `trouble`, each job of that number is refused once."""
    each = max(1, count // hosts)
    order = (n // each for n in range(count)) if by_host else (n % hosts for n in range(count))
    source = jobs(f"h{n}" for n in order)
    schedule = Schedule(Governor(limits))
    selector = Selector(RetryPolicy(), schedule.governor)
    flying: deque[Job] = deque()
    spent, now, ended = 0.0, 0.0, 0
    while True:
        wanted = AHEAD - schedule.backlog()
        new = list(islice(source, wanted)) if wanted >= BATCH else []
        began = time.process_time()
        for job in new:
            schedule.add(job)
        now += 0.001
        flying += schedule.take(now, FLIGHT - len(flying))
        back = [flying.popleft() for _ in range(min(BATCH, len(flying)))]
        for job in back:
            if trouble and not job.plan.id % trouble and not job.attempts:
                job.attempts = 1
                number = job.plan.id
                fail = Fail("fail", number, FailureKind.RESET, transient=True, message="reset")
                selector.failed(job, fail, now, 0.5)
                schedule.retry(job, now + 0.01)
            else:
                schedule.governor.good(job, now)
                schedule.done(job)
                ended += 1
        schedule.governor.news.clear()
        spent += time.process_time() - began
        if not new and not flying and schedule.empty():
            break
        if not back:
            due = schedule.next_due()
            now = now if due is None else max(now, due)
    assert ended == count
    return spent / count * 1e6


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    hosts = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    gc.disable()
    free, few = Limits(64, None, 120.0), Limits(64, 4, 120.0)
    rows = {
        "one host": (1, free, False, 0),
        f"{hosts} hosts, mixed": (hosts, free, False, 0),
        f"{hosts} hosts, sorted": (hosts, free, True, 0),
        f"{hosts} hosts, sorted, 4 at each": (hosts, few, True, 0),
        f"{hosts} hosts, mixed, each 50th refused": (hosts, free, False, 50),
        "one host, without patience": (1, Limits(64), False, 0),
    }
    for name, (over, limits, by_host, trouble) in rows.items():
        spent = run(count, over, limits, by_host=by_host, trouble=trouble)
        sys.stdout.write(f"{spent:6.2f} us a job: {name}\n")


if __name__ == "__main__":
    main()
