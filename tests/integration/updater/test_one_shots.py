"""Before a one-shot starts after a hold without samples, new samples are taken."""

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.homeserver.sampling.database_sampler import DatabaseSampler
from testbed.virtual.server import VirtualServer

MakeServer = Callable[..., VirtualServer]

_HELD = {"windows": [{"start": "02:00", "end": "05:00"}]}
_DAY_S = 86_400.0


class _Build:
    """An index build, by default behind a window that opens two hours after the start.

    Attributes:
        oldest_s: how long the oldest transaction of the database has lasted; None: no answer.
        started_s: when the build started, each time.
    """

    def __init__(
        self,
        server: VirtualServer,
        config: Mapping[str, Any] = _HELD,
        oldest_s: float = 0.0,
        seconds: float = 3600,
    ) -> None:
        self.server = server
        self.oldest_s: float | None = oldest_s
        self.started_s: list[float] = []
        with patch.object(DatabaseSampler, "ask", self._ask):
            server.load(config)
            server.pools["master"].queue("build", self._build, one_shot=True)
            server.start()
            server.advance(seconds)
        self._asked = patch.object(DatabaseSampler, "ask", self._ask)

    def advance(self, seconds: float) -> None:
        with self._asked:
            self.server.advance(seconds)

    async def _ask(self, *_: Any) -> DatabaseSample:
        await self.server.clock.sleep(0.003)
        while self.oldest_s is None:
            await self.server.clock.sleep(1)
        return DatabaseSample(
            at_s=self.server.clock.monotonic(),
            transactions=1.0,
            longest_transaction_s=self.oldest_s,
            autovacuum=False,
            pool_wait_s=0.0,
            query_s=0.001,
        )

    async def _build(self, _: dict[str, Any], __: int) -> int:
        self.started_s.append(self.server.clock.monotonic())
        await self.server.clock.sleep(600)
        return 1


@pytest.fixture
def build(virtual_server: MakeServer) -> _Build:
    return _Build(virtual_server())


def test_first_of_all_updates(virtual_server: MakeServer) -> None:
    """Before anything was looked at, it is: an old transaction holds it from the start."""
    build = _Build(virtual_server(), {}, oldest_s=_DAY_S, seconds=600)
    assert [] == build.started_s
    build.oldest_s = 0.0
    build.advance(60)
    assert 1 == len(build.started_s)


def test_first_of_all_updates_where_nothing_is_in_the_way(virtual_server: MakeServer) -> None:
    """It starts once nobody was seen for some seconds."""
    build = _Build(virtual_server(), {}, seconds=15)
    assert [pytest.approx(5.5, abs=1.5)] == build.started_s


def test_old_transaction_that_came_during_the_hold(build: _Build) -> None:
    """It holds the build when the window opens, and lets it go when it is gone."""
    build.oldest_s = _DAY_S
    build.advance(2 * 3600)
    assert [] == build.started_s
    build.oldest_s = 0.0
    build.advance(60)
    assert 1 == len(build.started_s)


@pytest.mark.parametrize("oldest_s", [0.0, None])
def test_nothing_in_the_way(build: _Build, oldest_s: float | None) -> None:
    """It starts within seconds, also where the database does not tell."""
    build.oldest_s = oldest_s
    build.advance(3590)
    assert [] == build.started_s
    build.advance(20)
    assert 1 == len(build.started_s)
