"""Hosts with settings of their own: how many at once, how often, how many times more."""

from __future__ import annotations

import pytest

from pdl.model import Fail, FailureKind
from pdl.run.build import governor_of
from pdl.scheduling.by_host import ByHost
from pdl.scheduling.retry import RetryPolicy
from pdl.settings import HttpSettings, PaceSettings, RetrySettings, Settings, StopSettings
from pdl.text.host_tables import HostTable

TABLES = (
    HostTable("a.org", (("stop.per_host", 2),)),
    HostTable("*.b.org", (("stop.per_host", 9), ("pace.rate", "2/s"), ("retry.retries", 0))),
    HostTable("c.org:81", (("retry.retries", 7), ("pace.rate", "1/m"))),
)


def settings(per_host: int | None = None, pace: PaceSettings = PaceSettings()) -> Settings:  # noqa: B008 - it is immutable
    return Settings(
        http=HttpSettings(hosts=TABLES),
        stop=StopSettings(per_host=per_host),
        retry=RetrySettings(retries=3),
        pace=pace,
    )


@pytest.mark.parametrize("per_host", [None, 4])
def test_how_many_at_once(per_host: int | None) -> None:
    told = settings(per_host)._replace(pool=Settings().pool._replace(jobs=64))
    governor = governor_of(told, ByHost(told))
    room = {}
    for host in ("a.org", "x.b.org", "b.org", "c.org:81"):
        origin = governor.origin(host)
        governor.answers(origin)
        room[host] = origin.room()
        origin.flying, origin.lent = 1, 1
        assert origin.room() == room[host] - 2
    assert (room["a.org"], room["x.b.org"]) == (2, 9)
    for host in ("b.org", "c.org:81"):
        assert room[host] == per_host or (per_host is None and room[host] > 64)


def test_how_often() -> None:
    by_host = ByHost(settings(pace=PaceSettings(wait=1.0)))
    assert by_host.started("a.org", 10.0) == 11.0
    assert by_host.started("c.org", 10.0) == 11.0
    assert by_host.started("c.org:81", 10.0) == 70.0
    assert by_host.started("x.b.org", 10.0) == 11.0  # both rules hold
    assert ByHost(settings()).started("x.b.org", 10.0) == 10.5
    assert ByHost(settings()).started("a.org", 10.0) == 10.0


def test_how_many_times_more() -> None:
    fail = Fail("fail", 1, FailureKind.RESET, transient=True, message="reset")
    told = settings()
    policy = RetryPolicy(told.retry, ByHost(told).policy)
    for host, retries in {"a.org": 3, "x.b.org": 0, "c.org:81": 7, "c.org": 3}.items():
        found = policy.at(host)
        assert found.decide(fail, retries + 1, 0.5).delay is None
        assert not retries or found.decide(fail, retries, 0.5).delay is not None
    alone = RetryPolicy(told.retry)
    assert alone.at("x.b.org") is alone
