"""The engines: what can run a run's tasks, a row each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pdl.errors import UsageError
from pdl.text.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdl.pool import LaneFactory, Pool
    from pdl.settings import PoolSettings


class Engine(NamedTuple):
    """An engine.

    Attributes:
        name: as ``--engine`` has it.
        sentence: what it is, for the manual.
        module: imported when a run uses it.
        factory: of the module; makes a `pdl.pool.Pool` as `make_pool` does.
        prestarts: its workers are processes of this machine, which are got ready early and need
            file handles.
        here: it downloads in the process that runs it.
    """

    name: str
    sentence: str
    module: str
    factory: str
    prestarts: bool = False
    here: bool = False


ENGINES = (
    Engine(
        "process",
        "Worker processes, which use every core.",
        "pdl.pool.process.pool",
        "process_pool",
        prestarts=True,
    ),
    Engine(
        "inline",
        "This process alone, one file at a time; for tests and debugging.",
        "pdl.pool.inline",
        "inline_pool",
        here=True,
    ),
)
CHOICES = tuple(row.name for row in ENGINES)
"""What ``--engine`` takes."""


def engine_of(name: str) -> Engine:
    """The row with that name.

    Raises:
        UsageError: there is none.
    """
    if name not in CHOICES:
        raise UsageError(f"pool.engine: {name!r} is none of {', '.join(CHOICES)}")
    return ENGINES[CHOICES.index(name)]


def make_pool(factory: LaneFactory, settings: PoolSettings, stopped: Callable[[], bool]) -> Pool:
    """The pool that the settings ask for.

    Args:
        factory: builds its lanes.
        settings: which engine, how many workers, and how they are started.
        stopped: whether the run is to stop; for an engine that nobody can tell while it works.

    Raises:
        MachineError: its processes cannot be started.
        UsageError: there is no such engine.
    """
    row = engine_of(settings.engine)
    pool: Pool = getattr(importlib.import_module(row.module), row.factory)(
        factory, settings, stopped
    )
    return pool
