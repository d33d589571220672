"""The metrics of one database's signals, from sample to sample."""

from typing import Any

import attrs
from prometheus_client import REGISTRY

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.homeserver.prometheus.series import ServerSeries
from synapse_bgthrottle.homeserver.prometheus.signal_metrics import SignalMetrics
from tests.unit.core.signals.signal_sets import replica, signal_set

DATABASE = "master"
EPOCH_S = 1_700_000_000.0


@attrs.define
class Host:
    """Whose clock on the wall may be set."""

    server_name: str
    monotonic_s: float = 0.0
    epoch_s: float = EPOCH_S

    def now_s(self) -> float:
        return self.monotonic_s

    def wall_s(self) -> float:
        return self.epoch_s + self.monotonic_s


class World:
    def __init__(self, server_name: str) -> None:
        self.host = Host(server_name)
        host: Any = self.host
        self.metrics = SignalMetrics(host, ServerSeries(server_name))
        self.signal_set = signal_set(replica_lag=10_000.0)

    def observe(self, sample: DatabaseSample, *, one_shot: bool = False) -> None:
        self.signal_set.observe(sample)
        self.show(sample.at_s, one_shot=one_shot)

    def show(self, now_s: float, *, one_shot: bool = False) -> None:
        self.host.monotonic_s = now_s
        self.metrics.observed(DATABASE, self.signal_set, one_shot=one_shot)

    def shown(self, metric: str, signal: str = "replica_lag") -> float | None:
        labels = {
            "server_name": self.host.server_name,
            "database_name": DATABASE,
            "signal": signal,
        }
        return REGISTRY.get_sample_value(f"synapse_bgthrottle_{metric}", labels)


def test_the_same_again() -> None:
    """Of a value that stays as it is, the time goes on; and goes with the clock on the wall."""
    world = World("the same again")
    for at_s in (1.0, 2.0, 3.0):
        world.observe(replica(at_s, 5.0))
        assert (0.5, EPOCH_S + at_s) == (
            world.shown("pressure_ratio"),
            world.shown("signal_timestamp_seconds"),
        )
    world.host.epoch_s -= 3600
    world.show(3.5)
    assert EPOCH_S - 3600 + 3.0 == world.shown("signal_timestamp_seconds")


def test_nothing_new_is_shown_again() -> None:
    """What was forgotten is back with the next look, also where nothing has changed since."""
    world = World("shown again")
    world.observe(replica(1.0, 5.0))
    world.metrics.forget(DATABASE)
    assert world.shown("pressure_ratio") is None
    assert world.shown("signal_timestamp_seconds") is None
    world.show(1.5)
    assert (0.5, 1.0) == (world.shown("pressure_ratio"), world.shown("signal_readable"))


def test_another_update() -> None:
    """A budget that is for one-shots only is closed for the update after this one, which is one."""
    world = World("another update")
    sample = DatabaseSample(at_s=1.0, longest_transaction_s=3600.0)
    world.observe(sample)
    assert 0 == world.shown("budget_closed", "longest_transaction")
    world.show(1.25, one_shot=True)
    assert 1 == world.shown("budget_closed", "longest_transaction")
    world.show(1.5)
    assert 0 == world.shown("budget_closed", "longest_transaction")


def test_not_looked_at_any_more() -> None:
    """A configured budget that is stale is closed, and its last pressure is shown on."""
    world = World("stale")
    world.observe(replica(1.0, 5.0))
    assert (0.5, 0) == (world.shown("pressure_ratio"), world.shown("budget_closed"))
    world.show(60.0)
    assert (0.5, 1) == (world.shown("pressure_ratio"), world.shown("budget_closed"))


def test_a_look_that_fails() -> None:
    """It cannot be read, until it can."""
    world = World("failing")
    world.observe(replica(1.0, 5.0))
    world.observe(replica(2.0, None, problem="no answer"))
    assert 0 == world.shown("signal_readable")
    world.observe(replica(3.0, 5.0))
    assert 1 == world.shown("signal_readable")
