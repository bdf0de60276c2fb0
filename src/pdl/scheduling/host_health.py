"""Which hosts are doing well, so that what has mirrors need not wait for a dead one again.

There is no clock and no I/O in here: the time is an argument, as in `pdl.scheduling.schedule`. A
host that nothing is held against has no record, and there are at most `MOST_HOSTS` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 3
"""Failures in a row after which a host is down."""
FIRST_WAIT = 30.0
LONGEST_WAIT = 600.0
"""Seconds until a host that is down is asked first again: these doubled with each try."""
MOST_HOSTS = 1024


class _Record:
    """What is held against a host.

    Attributes:
        failures: in a row.
        next_try: of a host that is down, when it is asked first once more.
        wait: seconds from one such try to the next.
        paused_until: it has asked for a rest until then.
    """

    def __init__(self, paused_until: float = 0.0) -> None:
        self.failures = 0
        self.next_try = 0.0
        self.wait = FIRST_WAIT
        self.paused_until = paused_until

    def down(self) -> bool:
        return self.failures >= PATIENCE

    def avoided(self, now: float) -> bool:
        return self.down() or self.paused_until > now

    def free_at(self) -> float:
        return max(self.paused_until, self.next_try if self.down() else 0.0)


class HostHealth:
    """What is held against hosts, and whom it is best to ask."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def __len__(self) -> int:
        """How many hosts something is held against."""
        return len(self._records)

    def failed(self, host: str, now: float) -> bool:
        """The host itself failed, not just what was asked of it.

        Returns:
            Whether it is to be avoided from now on, and was not before.
        """
        record = self._record(host)
        before = record.avoided(now)
        record.failures += 1
        if record.down():
            record.next_try = max(record.next_try, now + record.wait)
        return record.avoided(now) and not before

    def rest(self, host: str, until: float, now: float) -> bool:
        """The host wants to be left alone until then; the answer is that of `failed`."""
        record = self._record(host)
        before = record.avoided(now)
        record.paused_until = max(record.paused_until, until)
        return record.avoided(now) and not before

    def answered(self, host: str, now: float) -> None:
        """The host is alive: nothing is held against it but a pause that it asked for."""
        record = self._records.get(host)
        if record is None:
            return
        if record.paused_until > now:
            self._records[host] = _Record(record.paused_until)
        else:
            del self._records[host]

    def pick(self, hosts: Sequence[str], now: float) -> int:
        """Choose whom to ask: the first that nothing speaks against, else the one free soonest.

        To be chosen as the first is a try for one that is down; the next waits twice as long.

        Args:
            hosts: at least one, best first.
            now: the time.

        Returns:
            The place of the chosen one in `hosts`.
        """
        for place, host in enumerate(hosts):
            record = self._records.get(host)
            if record is None or not record.avoided(now):
                return place
            if record.free_at() <= now:
                record.wait = min(2 * record.wait, LONGEST_WAIT)
                record.next_try = now + record.wait
                return place
        return min(range(len(hosts)), key=lambda place: self._records[hosts[place]].free_at())

    def _record(self, host: str) -> _Record:
        record = self._records.get(host)
        if record is None:
            if len(self._records) >= MOST_HOSTS:
                del self._records[next(iter(self._records))]  # the oldest
            record = self._records[host] = _Record()
        return record
