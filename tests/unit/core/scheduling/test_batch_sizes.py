"""Decided batch sizes: Synapse's own, exact ones, and the least."""

import attrs
import pytest

from synapse_bgthrottle.core.config.limits import Rule, Settings
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.effective_limits import IN_ONE_GO, LEAST_BATCH_ITEMS
from testbed.strategies.examples import NOON_S, override
from tests.unit.core.scheduling.throttled_server import (
    DB,
    NAME,
    NO_REST,
    ThrottledServer,
    make_throttle,
)

# The updates that small batches harm, once more: one that falls out of the list loses data.
_HARMED = (
    "event_auth_state_only",
    "event_origin_server_ts",
    "event_search",
    "insert_room_retention",
    "threads_backfill",
)


@pytest.mark.parametrize(
    "level",
    [Settings(max_batch_items=30), Settings(max_items_per_second=30.0)],
    ids=["items a batch", "items per second"],
)
def test_size_follows_from_what_batches_cost(level: Settings) -> None:
    """After one of ten times the target, the next batch has a tenth of its items."""
    first = attrs.evolve(level, default_batch_items=100)
    server = ThrottledServer(make_throttle(first))
    decision = server.ask()
    assert (100, 30) == (decision.target_ms, decision.items)
    server.run(1.0, items=30)
    assert 3 == server.ask().items


def test_batch_grows_back() -> None:
    """Once quick batches outweigh a slow one, the size grows, up to its maximum."""
    level = Settings(max_batch_items=30, default_batch_items=30, pace=NO_REST)
    server = ThrottledServer(make_throttle(level))
    server.ask()
    server.run(1.0, items=30)
    sizes = []
    for _ in range(5):
        size = server.ask().items
        sizes.append(size)
        server.run(size * 0.0001, items=size)
    assert [3, 3, 7, 30, 30] == sizes


@pytest.mark.parametrize("limited_before", [False, True])
def test_batch_is_learned_from_as_it_was_decided(limited_before: bool) -> None:
    """An override that is made or ends amid a batch, and is explained at once, changes it not."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)), wall_s=NOON_S)
    made, none = Levers((override(Settings(max_batch_items=3)),)), Levers()
    server.throttle.levers, later = (made, none) if limited_before else (none, made)
    for _ in range(3):
        server.run(0.01, items=server.wait_for_turn().items)
    asked = server.wait_for_turn().items
    server.throttle.start(DB, NAME, server.now_s)
    server.throttle.levers = later
    server.throttle.explain(DB, NAME, False, server.at())
    server.pass_time(0.1)
    server.throttle.finish(DB, NAME, server.now_s, 30, failed=False)
    assert (3 == asked) is limited_before
    assert asked == server.throttle.updates[DB, NAME].cost.last_items


@pytest.mark.parametrize("took_s", [0.0, 0.1, 3600.0])
def test_failed_batches_are_followed_by_smaller_ones(took_s: float) -> None:
    """A tenth for each in a row, however long it took; after a success they grow again."""
    level = Settings(default_batch_items=100, pace=NO_REST)
    server = ThrottledServer(make_throttle(level))
    server.ask()
    server.run(0.1, items=100)
    server.ask()
    sizes = [server.ask().items]
    for _ in range(4):
        server.run(took_s, failed=True)
        sizes.append(server.ask().items)
    assert [100, 10, 1, 1, 1] == sizes
    for size in (1, 10, 99):
        assert size == pytest.approx(server.ask().items, abs=1)
        server.run(size * 0.001, items=size)


@pytest.mark.parametrize("level", [Settings(), Settings(max_batch_items=1000)])
def test_failed_batches_are_never_smaller_than_the_least(level: Settings) -> None:
    """Neither the configured minimum is undercut, nor that of updates that lose rows below it."""
    for update, least in ((NAME, 30), ("event_search", 100)):
        bounded = attrs.evolve(level, min_batch_items=30, pace=NO_REST)
        server = ThrottledServer(make_throttle(bounded), update=update)
        for _ in range(6):
            decision = server.ask()
            assert least <= decision.items
            server.run(0.1, failed=True)


@pytest.mark.parametrize(
    ("name", "flagged"), [(NAME, True), *((name, False) for name in sorted(IN_ONE_GO))]
)
def test_one_shot_is_not_sized(name: str, flagged: bool) -> None:
    """What runs in one go, flagged or known to, has no batches to size and no rate to keep."""
    level = Settings(max_batch_items=30, max_items_per_second=1.0, pace=NO_REST)
    server = ThrottledServer(make_throttle(level), update=name, one_shot=flagged)
    assert 100 == server.ask().target_ms
    server.run(0.0, items=1000)
    assert server.ask().cause is Cause.RUN
    assert server.throttle.updates[DB, name].one_shot


@pytest.mark.parametrize(
    "level",
    [
        Settings(max_batch_items=1),
        Settings(max_items_per_second=0.5),
        Settings(default_batch_items=1, min_batch_items=1),
        Settings(default_batch_items=1, min_batch_items=1, max_batch_items=1),
    ],
    ids=["max", "rate", "default and min", "all"],
)
@pytest.mark.parametrize("name", _HARMED)
def test_update_that_small_batches_harm_never_gets_one(name: str, level: Settings) -> None:
    """The least safe size holds over every setting, on every level, also after slow batches."""
    for throttle in (
        make_throttle(level),
        make_throttle(None, Rule(0, (name,), settings=level)),
        make_throttle(server=level),
    ):
        server = ThrottledServer(throttle, update=name)
        assert throttle.batch_items(DB, name) >= 100
        for took_s in (100.0, 0.001, 100.0):
            decision = server.wait_for_turn()
            assert decision.items >= 100
            assert throttle.batch_items(DB, name) >= 100
            server.run(took_s)


def test_every_update_that_small_batches_harm_is_tested() -> None:
    """The list of this file is that of the package."""
    assert set(_HARMED) == set(LEAST_BATCH_ITEMS)


def test_size_asked_before_any_decision_comes_from_the_limits() -> None:
    """Synapse may ask for sizes at any time, and gets the configured one."""
    throttle = make_throttle(
        Settings(default_batch_items=50, min_batch_items=5),
        Rule(0, one_shot=True, settings=Settings(default_batch_items=9)),
    )
    assert 50 == throttle.batch_items(DB, NAME)
    throttle.begin(DB, NAME, False, 0.0)
    assert 50 == throttle.batch_items(DB, NAME)
    assert 9 == throttle.batch_items(DB, "user_ips_analyze")


def test_size_asked_after_a_decision_is_the_one_decided() -> None:
    """Batches are as large as was decided for them."""
    server = ThrottledServer(make_throttle(Settings(default_batch_items=30)))
    assert 30 == server.ask().items == server.throttle.batch_items(DB, NAME)
    server.run(1.0, items=30)
    assert 3 == server.ask().items == server.throttle.batch_items(DB, NAME)
