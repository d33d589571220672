"""The decision for one iteration: causes, levels, and memory."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.effective_limits import IN_ONE_GO, least_batch_items
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.strategies.strategies import DATABASES, UPDATES, configs
from tests.unit.core.scheduling.throttled_server import (
    DB,
    MONDAY_S,
    NAME,
    NO_REST,
    SUNDAY_S,
    SUNDAYS,
    ThrottledServer,
    make_throttle,
)

# --- causes ---


@pytest.mark.parametrize(
    ("disabled", "silent", "failed", "closed", "pacing"),
    list(itertools.product((True, False), repeat=5)),
    ids=lambda value: "yes" if value else "no",
)
def test_first_cause_in_order_is_the_one(
    disabled: bool, silent: bool, failed: bool, closed: bool, pacing: bool
) -> None:
    """Switch, database, failure, window, pace: where several apply the first is told."""
    server = ThrottledServer(make_throttle(Settings(windows=SUNDAYS)))
    server.ask()
    server.run(0.1, failed=failed)  # rests until 1.0 s, and after a failure until 5.1 s
    decision = server.throttle.decide(
        DB,
        NAME,
        Conditions(
            now_s=0.5 if pacing else 2.0,
            wall_s=MONDAY_S if closed else SUNDAY_S,
            enabled=not disabled,
            silent_since_s=0.3 if silent else None,
            complaint="locked",
        ),
    )
    expected = next(
        cause
        for cause, applies in (
            (Cause.DISABLED, disabled),
            (Cause.DATABASE, silent),
            (Cause.BACKOFF, failed),
            (Cause.WINDOW, closed),
            (Cause.PACE, pacing),
            (Cause.RUN, True),
        )
        if applies
    )
    assert expected is decision.cause
    assert (expected is Cause.RUN) is (decision.wait_s == 0)
    assert (expected in (Cause.DISABLED, Cause.DATABASE)) is (decision.wait_s == math.inf)


@pytest.mark.parametrize(
    ("expected_cause", "expected_s", "sleep_ms"),
    [
        (Cause.RATE, 1.0, 0),
        (Cause.RATE, 1.0, 999),
        (Cause.PACE, 1.0, 1000),
        (Cause.PACE, 2.0, 2000),
    ],
)
def test_longer_of_pace_and_rate_counts(
    expected_cause: Cause, expected_s: float, sleep_ms: int
) -> None:
    """Ten items at ten a second take a second: what waits longer than that is the pace."""
    server = ThrottledServer(
        make_throttle(Settings(max_items_per_second=10.0, pace=FixedSleep(sleep_ms)))
    )
    server.ask()
    server.run(0.0, items=10)
    decision = server.ask()
    assert expected_cause is decision.cause
    assert expected_s == pytest.approx(decision.wait_s)


def test_causes_that_hold_are_those_before_the_pace() -> None:
    """A hold stops an update and all behind it; panic, pace, rate, gap and run do not."""
    assert [*[True] * 9, *[False] * 6] == [cause.is_hold for cause in Cause]


@pytest.mark.parametrize(
    ("expected", "conditions"),
    [
        (
            "background updates are switched off by Synapse's own switch",
            Conditions(0.5, SUNDAY_S, enabled=False),
        ),
        (
            "the database does not answer: database is locked",
            Conditions(0.5, SUNDAY_S, silent_since_s=0.0, complaint="database is locked"),
        ),
        (
            "windows are closed; next open: Sun 2026-06-07 00:00 UTC; held for 7d at most",
            Conditions(0.5, MONDAY_S),
        ),
        ("resting 900ms: duty cycle 10%", Conditions(0.5, SUNDAY_S)),
        ("duty cycle 10%", Conditions(1.5, SUNDAY_S)),
    ],
)
def test_reason_has_observed_value_and_threshold(expected: str, conditions: Conditions) -> None:
    """A reason says what was seen, and what it was compared with."""
    throttle = make_throttle(Settings(windows=SUNDAYS))
    throttle.begin(DB, NAME, False, 0.0)
    assert expected == throttle.decide(DB, NAME, conditions).reason


def test_reason_of_the_rate_has_the_rate() -> None:
    """A wait for the rate says which rate."""
    server = ThrottledServer(make_throttle(Settings(max_items_per_second=2.5, pace=NO_REST)))
    server.ask()
    server.run(0.0)
    assert "at most 2.5 items/s" == server.ask().reason


# --- levels and rules ---


def test_rule_goes_before_top_level_before_server() -> None:
    """Each setting comes from the first of the three levels that has it."""
    throttle = make_throttle(
        Settings(target_duration_ms=20, pace=DutyCycle(0.2)),
        Rule(0, (NAME,), settings=Settings(target_duration_ms=10)),
        server=Settings(target_duration_ms=30, pace=FixedSleep(30), min_batch_items=30),
    )
    rule, limits = throttle.limits.of(NAME, DB, False)
    assert rule is not None
    assert (
        Limits(
            target_duration_ms=10, pace=DutyCycle(0.2), min_batch_items=30, default_batch_items=30
        )
        == limits
    )
    rule, limits = throttle.limits.of("other", DB, False)
    assert rule is None
    assert (
        Limits(
            target_duration_ms=20, pace=DutyCycle(0.2), min_batch_items=30, default_batch_items=30
        )
        == limits
    )


@pytest.mark.parametrize("name", ["user_ips_analyze", "event_search_postgres_gin"])
def test_rule_for_one_shots_matches_those_without_the_flag(name: str) -> None:
    """What is known to run in one go is a one-shot for the rules."""
    throttle = make_throttle(None, Rule(0, one_shot=True), Rule(1, one_shot=False))
    rule, _ = throttle.limits.of(name, DB, False)
    assert rule is not None
    assert 0 == rule.number


# --- what is remembered ---


def test_databases_do_not_delay_each_other() -> None:
    """Failures and rests of one database are none of another's."""
    server = ThrottledServer(make_throttle())
    server.ask()
    server.run(10.0, failed=True)
    assert server.ask().cause is Cause.BACKOFF
    server.database = "state"
    decision = server.ask()
    assert Cause.PACE is decision.cause
    assert 0.9 == pytest.approx(decision.wait_s)


def test_failure_delays_all_updates_of_its_database() -> None:
    """Five failures in a row abort all updates of a database, whichever of them fail."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    server.ask()
    server.run(0.1, failed=True)
    server.update = "current_state_events"
    assert server.ask().cause is Cause.BACKOFF


def test_sizes_are_of_one_update_of_one_database() -> None:
    """What items cost in one update says nothing of another, or of another database."""
    level = Settings(default_batch_items=30, pace=NO_REST)
    server = ThrottledServer(make_throttle(level))
    server.ask()
    server.run(1.0, items=30)
    sizes = []
    for server.database, server.update in itertools.product(DATABASES, UPDATES[:2]):
        sizes.append(server.ask().items)
    assert [3, 30, 30, 30] == sizes


def test_what_ran_and_waited_is_counted() -> None:
    """Batches, items, durations and waits by cause are summed up per update."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    server.ask()
    server.run(0.5, items=20)
    server.run(0.25, items=None)
    server.run(0.25, items=1, failed=True)
    server.throttle.waited(DB, NAME, Cause.PACE, 1.5)
    server.throttle.waited(DB, NAME, Cause.PACE, 0.5)
    server.throttle.waited(DB, NAME, Cause.WINDOW, 60.0)
    update = server.throttle.updates[DB, NAME]
    assert (3, 21, 1.0) == (update.totals.batches, update.totals.items, update.totals.batch_s)
    assert {Cause.PACE: 2.0, Cause.WINDOW: 60.0} == update.totals.waited_s
    assert update.batch.start_s is None


def test_running_batch_is_known() -> None:
    """While a batch runs, it is known since when."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    server.ask()
    server.throttle.start(DB, NAME, 12.0)
    assert 12.0 == server.throttle.updates[DB, NAME].batch.start_s


def test_clock_that_goes_backwards_makes_no_negative_batch() -> None:
    """A batch that ends before it started took no time."""
    server = ThrottledServer(make_throttle())
    server.ask()
    server.run(-5.0, items=10)
    assert 0.0 == server.throttle.databases[DB].batch_s
    assert 0 == server.ask().wait_s


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("begin", "decide", "decide", "start", "finish", "finish failed")),
        st.sampled_from(DATABASES),
        st.sampled_from(UPDATES),
        st.booleans(),  # flagged one-shot
        st.floats(-100, 1000) | st.floats(-0.01, 0.1) | st.floats(-1e6, 1e6),  # time that passes
        st.floats(0, 3e9),  # the clock on the wall
        st.none() | st.integers(0, 10**6),  # items done
    ),
    max_size=25,
)


@given(configs(), _STEPS)
def test_decision_makes_sense_for_any_course_of_events(
    config: Config,
    steps: list[tuple[str, str, str, bool, float, float, int | None]],
) -> None:
    """Whatever happens in whatever order, with clocks that jump: waits and sizes are usable."""
    throttle = Throttle(config, Settings())
    now_s = 0.0
    for step, database, name, one_shot, passed_s, wall_s, items in steps:
        now_s += passed_s
        if step == "begin" or (database, name) not in throttle.updates:
            throttle.begin(database, name, one_shot, now_s)
        if step == "start":
            throttle.start(database, name, now_s)
        elif step.startswith("finish"):
            throttle.finish(database, name, now_s, items, step == "finish failed")
        decision = throttle.decide(database, name, Conditions(now_s, wall_s))
        update = throttle.updates[database, name]
        assert decision.wait_s >= 0  # and not NaN
        assert (decision.cause is Cause.RUN) is (decision.wait_s == 0)
        assert decision.reason
        assert decision.target_ms > 0
        least, size = least_batch_items(name), throttle.batch_items(database, name)
        assert isinstance(size, int)
        assert least <= size <= max(update.limits.max_batch_items, least)
        assert update.totals.batch_s >= 0


@given(configs(), st.sampled_from(DATABASES), st.sampled_from(UPDATES), st.booleans())
def test_first_rule_that_matches_decides_for_any_configuration(
    config: Config, database: str, name: str, one_shot: bool
) -> None:
    """The limits are those of the first matching rule, of the top level where none matches."""
    throttle = Throttle(config, Settings())
    rule, limits = throttle.limits.of(name, database, one_shot)
    in_one_go = one_shot or name in IN_ONE_GO
    matching = [r for r in config.rules if r.matches(name, database, in_one_go)]
    assert (matching[0] if matching else None) is rule
    levels = (*(r.settings for r in matching[:1]), config.settings)
    for field in ("target_duration_ms", "pace", "max_items_per_second", "windows", "max_hold_ms"):
        said = [getattr(s, field) for s in levels if getattr(s, field) is not None]
        assert [*said, getattr(Limits(), field)][0] == getattr(limits, field)
