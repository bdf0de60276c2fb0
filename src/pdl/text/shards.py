"""``--shard K/N``: which lines of a list are this run's, told from each line's URL alone.

The rule is a promise, for shards may run on several machines, and again years later. Take the
SHA-256 of the URL that is asked for: normalised, whole after ``--base-url``, without its fragment
and password. With ``--shard-by host`` it is that of the host's name. Its first 32 bits, as a number
(big-endian), modulo N, plus 1, are K.

These are also the 8 digits by which pdl sets apart two files that want one name. So two URLs with
the same digits are of one shard, where that is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdl.text.lazy_regex import lazy
from pdl.text.named_tuple import NamedTuple
from pdl.text.sha256 import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTO = "auto"
FIELD = "{shard}"
"""Stands for K in the names of directories and files."""
MOST = 1_000_000
_SHARD = lazy(r"([0-9]{1,7})/([0-9]{1,7})")
_DIGITS = lazy(r"[0-9]{1,9}")
_SLURM = "SLURM_ARRAY_TASK_"
_KEY_BITS = 64
_BITS = 32


class Shard(NamedTuple):
    """One of several parts of a list.

    Attributes:
        number: of this one, from 1.
        of: how many there are.
    """

    number: int
    of: int

    def has(self, key: int) -> bool:
        """Whether a URL is of this shard, told from its `pdl.text.urls.url_key`."""
        return (key >> _KEY_BITS - _BITS) % self.of == self.number - 1

    def has_host(self, host: str) -> bool:
        """Whether all URLs of a host are of this shard."""
        first = int.from_bytes(sha256(host.encode()).digest()[: _BITS // 8], "big")
        return first % self.of == self.number - 1


class NoShard(ValueError):
    """The text names none; the message says why."""


def shard_of(text: str, environment: Mapping[str, str]) -> Shard:
    """The shard that a text names, which may be ``auto``.

    Raises:
        NoShard: it names none, or the environment does not tell which.
    """
    if text == AUTO:
        return _of_array(environment)
    found = _SHARD.fullmatch(text)
    if found is None:
        raise NoShard(f"{text!r} is neither K/N, as 1/16, nor {AUTO}")
    number, count = map(int, found.groups())
    if not 1 <= count <= MOST:
        raise NoShard(f"{text!r} has {count} shards; there may be 1 to {MOST}")
    if not 1 <= number <= count:
        raise NoShard(f"{text!r} has no shard {number}; they are 1 to {count}")
    return Shard(number, count)


def shard_fault(text: str) -> str:
    """Why this names no shard, empty if it does; what ``auto`` is, is not looked at."""
    try:
        if text != AUTO:
            shard_of(text, {})
    except NoShard as error:
        return str(error)
    return ""


def _of_array(environment: Mapping[str, str]) -> Shard:
    """The shard of a task of an array of Slurm's; the first task's is 1."""
    if not environment.get(f"{_SLURM}ID"):
        raise NoShard(f"{AUTO} needs a job array of Slurm, and {_SLURM}ID is not set")
    said = {name: environment.get(_SLURM + name, "") for name in ("ID", "MIN", "MAX")}
    count, step = (environment.get(_SLURM + name, "") for name in ("COUNT", "STEP"))
    for name, value in (*said.items(), ("STEP", step or "1"), ("COUNT", count or "1")):
        if not _DIGITS.fullmatch(value):
            raise NoShard(f"{_SLURM}{name} is {value!r}, and no number" if value else _lacks(name))
    number, first, last = map(int, said.values())
    by = int(step or "1")
    shown = f"the array has the tasks {first} to {last}"
    if by < 1 or not first <= number <= last or (number - first) % by:
        raise NoShard(f"{shown} in steps of {by}, and this is {number}")
    tasks = (last - first) // by + 1
    if count and int(count) != tasks:
        raise NoShard(f"{shown}, but only {count} of these {tasks}: some are left out")
    if tasks > MOST:
        raise NoShard(f"{shown}: there may be {MOST} shards")
    return Shard((number - first) // by + 1, tasks)


def _lacks(name: str) -> str:
    return f"{_SLURM}{name} is not set, though {_SLURM}ID is"
