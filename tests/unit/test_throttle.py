"""The decision for one iteration: causes, waits, sizes of batches, and what is remembered."""

import itertools
import math
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.config import Config
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.failures import FailureKind
from synapse_bgthrottle.holds import BACKOFF_S, BACKOFFS_S, Conditions
from synapse_bgthrottle.limits import DutyCycle, FixedSleep, Limits, Pace, Rule, Settings
from synapse_bgthrottle.quirks import IN_ONE_GO, LEAST_BATCH_ITEMS, least_batch_items
from synapse_bgthrottle.spacing import FLOOR_PACE
from synapse_bgthrottle.throttle import Throttle
from synapse_bgthrottle.windows import Window
from tests.unit.strategies import DATABASES, UPDATES, configs, utc_s, windows, zones

_DB, _NAME = "master", "populate_stats"
_SUNDAYS = (Window((6,), 0, 1440),)
_SUNDAY_S = utc_s("2026-05-31 12:00")
_MONDAY_S = utc_s("2026-06-01 12:00")
_UNTIL_SUNDAY_S = 5.5 * 86_400
_NO_REST = FixedSleep(0)

# The updates that small batches harm, once more: one that falls out of the list loses data.
_HARMED = (
    "event_auth_state_only",
    "event_origin_server_ts",
    "event_search",
    "insert_room_retention",
    "threads_backfill",
)


def _throttle(
    top: Settings | None = None, *rules: Rule, server: Settings | None = None
) -> Throttle:
    """The pace is a tenth unless something else is said: adaptive ones are tested elsewhere."""
    return Throttle(Config(top or Settings(), rules), server or Settings(pace=DutyCycle(0.1)))


@attrs.define
class _Server:
    """A server in virtual time, which does what the throttle says."""

    throttle: Throttle
    now_s: float = 0.0
    wall_s: float = _SUNDAY_S
    database: str = _DB
    update: str = _NAME
    one_shot: bool = False

    def at(self) -> Conditions:
        return Conditions(self.now_s, self.wall_s)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_s += seconds

    def ask(self) -> Decision:
        """The decision now, for an iteration that is about to start."""
        self.throttle.begin(self.database, self.update, self.one_shot, self.now_s)
        return self.throttle.decide(self.database, self.update, self.at())

    def wait_for_turn(self) -> Decision:
        """Wait as long as asked to, and decide anew, until the batch may run."""
        decision = self.ask()
        for _ in range(100):
            if decision.wait_s == 0:
                return decision
            # A microsecond at least: what is left of a wait may be less than the clock resolves.
            self.pass_time(max(decision.wait_s, 1e-6))
            decision = self.throttle.decide(self.database, self.update, self.at())
        raise AssertionError(decision)

    def run(self, took_s: float, items: int | None = None, failed: bool = False) -> None:
        """A batch, now."""
        self.throttle.start(self.database, self.update, self.now_s)
        self.pass_time(took_s)
        self.throttle.finish(self.database, self.update, self.now_s, items, failed)


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
    server = _Server(_throttle(Settings(windows=_SUNDAYS)))
    server.ask()
    server.run(0.1, failed=failed)  # rests until 1.0 s, and after a failure until 5.1 s
    decision = server.throttle.decide(
        _DB,
        _NAME,
        Conditions(
            now_s=0.5 if pacing else 2.0,
            wall_s=_MONDAY_S if closed else _SUNDAY_S,
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
    server = _Server(_throttle(Settings(max_items_per_second=10.0, pace=FixedSleep(sleep_ms))))
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
            "background updates are disabled on the server",
            Conditions(0.5, _SUNDAY_S, enabled=False),
        ),
        (
            "the database does not answer: database is locked",
            Conditions(0.5, _SUNDAY_S, silent_since_s=0.0, complaint="database is locked"),
        ),
        (
            "windows are closed; next open: Sun 2026-06-07 00:00 UTC; held for 7d at most",
            Conditions(0.5, _MONDAY_S),
        ),
        ("duty cycle 10%: rests 900ms after a batch of 100ms", Conditions(0.5, _SUNDAY_S)),
        ("duty cycle 10%", Conditions(1.5, _SUNDAY_S)),
    ],
)
def test_reason_has_observed_value_and_threshold(expected: str, conditions: Conditions) -> None:
    """A reason says what was seen, and what it was compared with."""
    throttle = _throttle(Settings(windows=_SUNDAYS))
    throttle.begin(_DB, _NAME, False, 0.0)
    assert expected == throttle.decide(_DB, _NAME, conditions).reason


def test_reason_of_the_rate_has_the_rate() -> None:
    """A wait for the rate says which rate."""
    server = _Server(_throttle(Settings(max_items_per_second=2.5, pace=_NO_REST)))
    server.ask()
    server.run(0.0)
    assert "at most 2.5 items/s" == server.ask().reason


# --- failures ---


def test_wait_after_failures_grows_and_stays() -> None:
    """5, 15, 30 and then 60 seconds after each failure in a row."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    server.ask()
    waits = []
    for _ in range(6):
        server.run(0.1, failed=True)
        decision = server.ask()
        assert decision.cause is Cause.BACKOFF
        waits.append(pytest.approx(decision.wait_s))
        server.wait_for_turn()
    assert [5, 15, 30, 60, 60, 60] == waits


@pytest.mark.parametrize("kind", FailureKind)
def test_wait_after_failures_is_that_of_their_kind(kind: FailureKind) -> None:
    """A full disk and a lost connection have waits of their own, and a reason that says so."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    server.ask()
    for expected_s in BACKOFFS_S[kind]:
        server.run(0.1, failed=True)
        server.throttle.failed(_DB, _NAME, _SUNDAY_S, "it failed", kind)
        decision = server.ask()
        assert expected_s == pytest.approx(decision.wait_s)
        assert kind.value in decision.reason
        server.wait_for_turn()


def test_success_ends_the_row_of_failures() -> None:
    """After a batch that ended well the next failure is the first again."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    for failed in (True, True, True, False):
        server.wait_for_turn()
        server.run(0.1, failed=failed)
    assert server.ask().cause is Cause.RUN
    server.run(0.1, failed=True)
    assert 5 == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize(
    ("expected", "failures"),
    [
        ("the last iteration failed: next try after 5s", 1),
        ("2 in a row failed: next try after 15s", 2),
        ("7 in a row failed: next try after 60s", 7),
    ],
)
def test_reason_of_a_backoff_counts_failures(expected: str, failures: int) -> None:
    """It is told how often the update failed, and when the next try is."""
    server = _Server(_throttle())
    server.ask()
    for _ in range(failures):
        server.run(0.0, failed=True)
    assert expected == server.ask().reason


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=8), st.floats(0, 100))
def test_more_failures_never_shorten_the_wait_for_any_durations(
    durations_s: list[float], later_s: float
) -> None:
    """The wait at any time after the n-th failure in a row is no shorter than after one fewer."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    server.ask()
    waits = []
    for took_s in durations_s:
        server.run(took_s, failed=True)
        at = Conditions(server.now_s + later_s, server.wall_s + later_s)
        waits.append(server.throttle.decide(_DB, _NAME, at).wait_s)
    tolerance_s = 1e-9
    assert all(b >= a - tolerance_s for a, b in itertools.pairwise(waits))
    assert max(waits) <= BACKOFF_S[-1] + tolerance_s


# --- pace ---


def test_first_batch_is_preceded_by_a_rest_as_after_a_batch_on_target() -> None:
    """After a start, which may be one of many in a row, the server is not hit at once."""
    decision = _Server(_throttle(Settings(target_duration_ms=200))).ask()
    assert Cause.PACE is decision.cause
    assert 1.8 == pytest.approx(decision.wait_s)


@pytest.mark.parametrize("took_s", [0.01, 0.1, 2.0, 60.0])
def test_wait_follows_what_the_last_batch_took(took_s: float) -> None:
    """An overrun is paid for, and so is every other batch: nine times what it took."""
    server = _Server(_throttle())
    server.ask()
    server.run(0.5)
    server.run(took_s)
    assert 9 * took_s == pytest.approx(server.ask().wait_s)


def test_rest_counts_from_the_end_of_the_batch() -> None:
    """What Synapse needs between two iterations is part of the rest."""
    server = _Server(_throttle())
    server.ask()
    server.run(1.0)
    server.pass_time(4.0)
    assert 5.0 == pytest.approx(server.ask().wait_s)


def test_next_update_rests_after_the_last_one_of_its_database() -> None:
    """A new update at the head of the queue does not skip the rest."""
    server = _Server(_throttle())
    server.ask()
    server.run(1.0)
    server.update = "current_state_events"
    assert 9.0 == pytest.approx(server.ask().wait_s)


@settings(deadline=None)
@given(st.floats(0.01, 1), st.lists(st.floats(0.001, 1), min_size=1, max_size=10))
def test_duty_cycle_is_the_share_of_work_for_any_batches(
    ratio: float, shares_of_longest: list[float]
) -> None:
    """Over any batches whose rest is within ten minutes, work is the asked share of the time."""
    longest_s = 600 / (1 / ratio - 1) if ratio < 1 else 600.0
    durations_s = [share * longest_s for share in shares_of_longest]
    server = _Server(_throttle(Settings(pace=DutyCycle(ratio))))
    server.wait_for_turn()
    start_s = server.now_s
    for took_s in durations_s:
        server.run(took_s)
        server.wait_for_turn()
    assert ratio == pytest.approx(sum(durations_s) / (server.now_s - start_s), rel=0.01)


@given(st.lists(st.floats(0, 10**5), max_size=10), st.booleans())
def test_sleep_of_zero_never_waits_for_any_batches(
    durations_s: list[float], one_shot: bool
) -> None:
    """Whoever configures no rest gets none, not even before the first batch."""
    server = _Server(_throttle(Settings(pace=_NO_REST)), one_shot=one_shot)
    for took_s in durations_s:
        assert (Cause.RUN, 0.0) == (server.ask().cause, server.ask().wait_s)
        server.run(took_s)


@pytest.mark.parametrize("took_s", [0.0, 0.1, 60.0])
def test_fixed_sleep_is_slept_whatever_a_batch_took(took_s: float) -> None:
    """Stock's pace: the same sleep after every batch."""
    server = _Server(_throttle(Settings(pace=FixedSleep(1500))))
    server.ask()
    server.run(took_s)
    assert 1.5 == pytest.approx(server.ask().wait_s)


# --- items per second ---


@settings(deadline=None)
@given(
    st.floats(0.1, 5000),
    st.sampled_from((_NO_REST, DutyCycle(0.5), FixedSleep(50))),
    st.lists(
        st.tuples(st.floats(0, 3) | st.floats(0, 0.01), st.none() | st.integers(0, 3000)),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_rate_is_kept_over_ten_seconds_for_any_batches(
    rate: float, pace: Pace, batches: list[tuple[float, int | None]], failed: bool
) -> None:
    """In no ten seconds more than ten times the rate and one batch, whatever handlers really do."""
    server = _Server(_throttle(Settings(max_items_per_second=rate, pace=pace)))
    started: list[tuple[float, int]] = []
    for took_s, done_items in batches:
        decision = server.wait_for_turn()
        asked = decision.min_batch_items
        started.append((server.now_s, max(asked, done_items or 0)))
        server.run(took_s, done_items, failed)
    for number, (first_s, _) in enumerate(started):
        within = [items for start_s, items in started[number:] if start_s <= first_s + 10]
        assert sum(within[:-1]) <= 10 * rate + 1e-3 * rate


@settings(deadline=None, max_examples=50)
@given(st.floats(0.2, 2000), st.lists(st.floats(0, 0.001), min_size=20, max_size=60))
def test_rate_is_used_where_batches_are_quick_for_any_rate(
    rate: float, durations_s: list[float]
) -> None:
    """The limit is not missed by more than a tenth, at the built-in duty cycle."""
    server = _Server(_throttle(Settings(max_items_per_second=rate)))
    server.wait_for_turn()
    first_s, items = server.now_s, 0
    for took_s in durations_s:
        items += server.wait_for_turn().min_batch_items
        server.run(took_s)
    server.wait_for_turn()
    assert 0.9 * rate <= items / (server.now_s - first_s) <= rate * 1.000001


def test_rate_counts_what_was_done_where_that_is_more_than_asked() -> None:
    """A handler that does ten times what it is asked to is waited for ten times as long."""
    server = _Server(_throttle(Settings(max_items_per_second=10.0, pace=_NO_REST)))
    assert 10 == server.ask().min_batch_items
    server.run(0.5, items=100)
    assert 9.5 == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize("said", [None, 0, 3])
def test_rate_counts_what_was_asked_where_less_is_said(said: int | None) -> None:
    """A handler that says less than it did does not get away with it."""
    server = _Server(_throttle(Settings(max_items_per_second=10.0, pace=_NO_REST)))
    server.ask()
    server.run(0.5, items=said)
    assert 0.5 == pytest.approx(server.ask().wait_s)


def test_rate_is_of_one_update() -> None:
    """The items of one update do not delay the next one, which may be of another kind."""
    server = _Server(_throttle(Settings(max_items_per_second=1.0, pace=_NO_REST)))
    server.ask()
    server.run(0.0, items=1000)
    assert server.ask().cause is Cause.RATE
    server.update = "current_state_events"
    assert server.ask().cause is Cause.RUN


# --- sizes of batches ---


def test_target_is_left_to_synapse_without_limits_from_above() -> None:
    """Without them Synapse sizes batches from the target duration."""
    decision = _Server(_throttle(Settings(target_duration_ms=250, min_batch_items=5))).ask()
    assert (250, 100, 5) == (
        decision.target_ms,
        decision.first_batch_items,
        decision.min_batch_items,
    )


@pytest.mark.parametrize(
    "level",
    [Settings(max_batch_items=30), Settings(max_items_per_second=30.0)],
    ids=["items a batch", "items per second"],
)
def test_batches_are_exact_where_they_are_limited(level: Settings) -> None:
    """A target of 0 makes Synapse take the least size, which is then the exact one."""
    server = _Server(_throttle(level))
    decision = server.ask()
    assert (0, 30, 30) == (
        decision.target_ms,
        decision.first_batch_items,
        decision.min_batch_items,
    )
    server.run(1.0, items=30)  # ten times the target of 100 ms
    decision = server.ask()
    assert (0, 3, 3) == (
        decision.target_ms,
        decision.first_batch_items,
        decision.min_batch_items,
    )


def test_exact_batch_grows_back() -> None:
    """Once quick batches outweigh a slow one, the size doubles, up to its maximum."""
    server = _Server(_throttle(Settings(max_batch_items=30, pace=_NO_REST)))
    server.ask()
    server.run(1.0, items=30)
    sizes = []
    for _ in range(6):
        size = server.ask().min_batch_items
        sizes.append(size)
        server.run(size * 0.0001, items=size)
    assert [3, 3, 6, 12, 24, 30] == sizes


@pytest.mark.parametrize("took_s", [0.0, 0.1, 3600.0])
def test_failed_batches_are_followed_by_smaller_ones(took_s: float) -> None:
    """A tenth for each in a row, however long it took; after a success they grow again."""
    server = _Server(_throttle(Settings(max_batch_items=3000, pace=_NO_REST)))
    server.ask()
    server.run(0.1, items=100)
    server.ask()
    sizes = [server.ask().min_batch_items]
    for _ in range(4):
        server.run(took_s, failed=True)
        sizes.append(server.ask().min_batch_items)
    assert [100, 10, 1, 1, 1] == sizes
    for size in (1, 2, 4):
        assert size == server.ask().min_batch_items
        server.run(size * 0.001, items=size)


def test_failed_batches_shrink_the_target_and_the_first_batch() -> None:
    """Where Synapse sizes batches, the target is a tenth, then doubled; so is the first batch."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    seen = []
    for failed in (True, True, True, False, False, False, False, False, False, False, True, False):
        decision = server.ask()
        seen.append((decision.target_ms, decision.first_batch_items))
        server.run(decision.target_ms / 1000, failed=failed)
    assert [(100, 100), (10, 10), (1, 1), (1, 1)] == seen[:4]
    assert [2, 4, 8, 16, 32, 64, 100, 10] == [target_ms for target_ms, _ in seen[4:]]


@pytest.mark.parametrize("level", [Settings(), Settings(max_batch_items=1000)])
def test_failed_batches_are_never_smaller_than_the_least(level: Settings) -> None:
    """Neither the configured minimum is undercut, nor that of updates that lose rows below it."""
    for update, least in ((_NAME, 30), ("event_search", 100)):
        bounded = attrs.evolve(level, min_batch_items=30, pace=_NO_REST)
        server = _Server(_throttle(bounded), update=update)
        for _ in range(6):
            decision = server.ask()
            assert least <= min(decision.first_batch_items, decision.min_batch_items)
            server.run(0.1, failed=True)


@pytest.mark.parametrize(
    ("name", "flagged"), [(_NAME, True), *((name, False) for name in sorted(IN_ONE_GO))]
)
def test_one_shot_is_not_sized(name: str, flagged: bool) -> None:
    """What runs in one go, flagged or known to, has no batches to size and no rate to keep."""
    level = Settings(max_batch_items=30, max_items_per_second=1.0, pace=_NO_REST)
    server = _Server(_throttle(level), update=name, one_shot=flagged)
    assert 100 == server.ask().target_ms
    server.run(0.0, items=1000)
    assert server.ask().cause is Cause.RUN
    assert server.throttle.updates[_DB, name].one_shot


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
        _throttle(level),
        _throttle(None, Rule(0, (name,), settings=level)),
        _throttle(server=level),
    ):
        server = _Server(throttle, update=name)
        assert min(throttle.batch_items(_DB, name)) >= 100
        for took_s in (100.0, 0.001, 100.0):
            decision = server.wait_for_turn()
            assert decision.first_batch_items >= 100
            assert decision.min_batch_items >= 100
            assert min(throttle.batch_items(_DB, name)) >= 100
            server.run(took_s)


def test_every_update_that_small_batches_harm_is_tested() -> None:
    """The list of this file is that of the package."""
    assert set(_HARMED) == set(LEAST_BATCH_ITEMS)


def test_sizes_asked_before_any_decision_come_from_the_limits() -> None:
    """Synapse may ask for sizes at any time, and gets the configured ones."""
    throttle = _throttle(
        Settings(default_batch_items=50, min_batch_items=5),
        Rule(0, one_shot=True, settings=Settings(default_batch_items=9)),
    )
    assert (50, 5) == throttle.batch_items(_DB, _NAME)
    throttle.begin(_DB, _NAME, False, 0.0)
    assert (50, 5) == throttle.batch_items(_DB, _NAME)
    assert 9 == throttle.batch_items(_DB, "user_ips_analyze")[0]


def test_sizes_asked_after_a_decision_are_those_decided() -> None:
    """Batches are as large as was decided for them."""
    server = _Server(_throttle(Settings(max_batch_items=30)))
    decision = server.ask()
    assert (decision.first_batch_items, decision.min_batch_items) == server.throttle.batch_items(
        _DB, _NAME
    )
    server.run(1.0, items=30)
    server.ask()
    assert (3, 3) == server.throttle.batch_items(_DB, _NAME)


# --- levels and rules ---


def test_rule_goes_before_top_level_before_server() -> None:
    """Each setting comes from the first of the three levels that has it."""
    throttle = _throttle(
        Settings(target_duration_ms=20, pace=DutyCycle(0.2)),
        Rule(0, (_NAME,), settings=Settings(target_duration_ms=10)),
        server=Settings(target_duration_ms=30, pace=FixedSleep(30), min_batch_items=30),
    )
    rule, limits = throttle.limits_of(_NAME, _DB, False)
    assert rule is not None
    assert Limits(target_duration_ms=10, pace=DutyCycle(0.2), min_batch_items=30) == limits
    rule, limits = throttle.limits_of("other", _DB, False)
    assert rule is None
    assert Limits(target_duration_ms=20, pace=DutyCycle(0.2), min_batch_items=30) == limits


@pytest.mark.parametrize("name", ["user_ips_analyze", "event_search_postgres_gin"])
def test_rule_for_one_shots_matches_those_without_the_flag(name: str) -> None:
    """What is known to run in one go is a one-shot for the rules."""
    throttle = _throttle(None, Rule(0, one_shot=True), Rule(1, one_shot=False))
    rule, _ = throttle.limits_of(name, _DB, False)
    assert rule is not None
    assert 0 == rule.number


# --- windows ---


def _held(max_hold_ms: float | None = None, pace: Pace = _NO_REST) -> _Server:
    level = Settings(windows=_SUNDAYS, max_hold_ms=max_hold_ms, pace=pace)
    return _Server(_throttle(level), wall_s=_MONDAY_S)


def test_closed_windows_hold_until_they_open() -> None:
    """The wait is until the opening, and at the opening the batch runs."""
    server = _held()
    decision = server.ask()
    assert (Cause.WINDOW, _UNTIL_SUNDAY_S) == (decision.cause, decision.wait_s)
    server.pass_time(_UNTIL_SUNDAY_S - 0.01)
    assert server.ask().cause is Cause.WINDOW
    server.pass_time(0.01)
    assert server.ask().cause is Cause.RUN


def test_closed_windows_hold_no_longer_than_max_hold() -> None:
    """Where max_hold ends before the windows open, the wait is until then."""
    server = _held(max_hold_ms=3_600_000)
    assert 3600 == server.ask().wait_s
    server.pass_time(600)
    assert 3000 == server.ask().wait_s
    assert not server.throttle.updates[_DB, _NAME].released
    server.pass_time(3000)
    assert server.ask().cause is not Cause.WINDOW
    assert server.throttle.updates[_DB, _NAME].released


def test_released_update_runs_at_one_percent() -> None:
    """An update that is let go although windows are closed rests 99 times what a batch took."""
    server = _held(max_hold_ms=60_000)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(0.5)
    decision = server.ask()
    assert Cause.PACE is decision.cause
    assert 49.5 == pytest.approx(decision.wait_s)
    assert "duty cycle 1%: rests 49.5s after a batch of 500ms" == decision.reason
    assert DutyCycle(0.01) == FLOOR_PACE


@pytest.mark.parametrize(
    ("expected_s", "pace"), [(199, DutyCycle(0.005)), (3600, FixedSleep(3_600_000))], ids=str
)
def test_released_update_runs_no_faster_than_configured(expected_s: float, pace: Pace) -> None:
    """Where the configured pace is slower than one percent it stays."""
    server = _held(max_hold_ms=60_000, pace=pace)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(1.0)
    assert expected_s == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize("pace", [DutyCycle(0.005), FixedSleep(3_600_000)], ids=str)
def test_released_update_tells_the_pace_that_it_keeps(pace: Pace) -> None:
    """Where the configured pace is slower than one percent, it is that which is told."""
    server = _held(max_hold_ms=60_000, pace=pace)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(1.0)
    assert server.ask().reason.startswith(f"{pace}: ")


def test_release_ends_when_windows_open() -> None:
    """In an open window a released update runs at its own pace again."""
    server = _held(max_hold_ms=60_000)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(1.0)
    server.wall_s = _SUNDAY_S
    assert server.ask().cause is Cause.RUN
    assert not server.throttle.updates[_DB, _NAME].released


def test_holding_starts_anew_after_an_opening() -> None:
    """How long windows held the update before they opened does not count when they close again."""
    server = _held(max_hold_ms=3_600_000)
    for _ in range(3):
        server.wall_s = _MONDAY_S
        assert 3600 == server.ask().wait_s
        server.pass_time(3000)
        assert 600 == server.ask().wait_s
        server.wall_s = _SUNDAY_S
        assert server.ask().cause is Cause.RUN


def test_holding_starts_anew_for_the_next_update_and_when_it_comes_again() -> None:
    """Being held counts while an update is at the head of the queue."""
    server = _held(max_hold_ms=3_600_000)
    server.ask()
    server.pass_time(3000)
    for name in ("current_state_events", _NAME):
        server.update = name
        assert 3600 == server.ask().wait_s
        server.pass_time(3000)


def test_holding_does_not_start_anew_with_every_iteration() -> None:
    """Iterations of the same update, such as after failures, are held together."""
    server = _held(max_hold_ms=3_600_000)
    server.ask()
    server.pass_time(3000)
    assert 600 == server.ask().wait_s


def test_holding_starts_anew_after_an_opening_that_nobody_saw() -> None:
    """Windows that opened and closed while the server's switch was off held nothing in between."""
    server = _held(max_hold_ms=3 * 86_400_000)
    assert server.ask().cause is Cause.WINDOW
    off = attrs.evolve(server.at(), enabled=False)
    for days in range(1, 8):
        later = attrs.evolve(
            off, now_s=off.now_s + days * 86_400, wall_s=off.wall_s + days * 86_400
        )
        server.throttle.decide(_DB, _NAME, later)
    server.pass_time(7 * 86_400)  # from Monday to Monday
    assert server.ask().cause is Cause.WINDOW


@settings(deadline=None)
@given(
    st.lists(windows(), min_size=1, max_size=2).map(tuple),
    zones(),
    st.integers(60_000, 14 * 86_400_000),
    st.floats(0, 365 * 86_400),
)
def test_update_gets_its_turn_within_max_hold_for_any_windows(
    drawn: tuple[Window, ...], zone: ZoneInfo, max_hold_ms: int, offset_s: float
) -> None:
    """Whatever the windows, waiting as told ends, and at the latest after max_hold and a rest."""
    level = Settings(windows=drawn, time_zone=zone, max_hold_ms=max_hold_ms)
    server = _Server(_throttle(level), wall_s=_SUNDAY_S + offset_s)
    server.wait_for_turn()
    assert server.now_s <= max_hold_ms / 1000 + 9.9 + 0.01


# --- what is remembered ---


def test_databases_do_not_delay_each_other() -> None:
    """Failures and rests of one database are none of another's."""
    server = _Server(_throttle())
    server.ask()
    server.run(10.0, failed=True)
    assert server.ask().cause is Cause.BACKOFF
    server.database = "state"
    decision = server.ask()
    assert Cause.PACE is decision.cause
    assert 0.9 == pytest.approx(decision.wait_s)


def test_failure_delays_all_updates_of_its_database() -> None:
    """Five failures in a row abort all updates of a database, whichever of them fail."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    server.ask()
    server.run(0.1, failed=True)
    server.update = "current_state_events"
    assert server.ask().cause is Cause.BACKOFF


def test_sizes_are_of_one_update_of_one_database() -> None:
    """What items cost in one update says nothing of another, or of another database."""
    server = _Server(_throttle(Settings(max_batch_items=30, pace=_NO_REST)))
    server.ask()
    server.run(1.0, items=30)
    sizes = []
    for server.database, server.update in itertools.product(DATABASES, UPDATES[:2]):
        sizes.append(server.ask().min_batch_items)
    assert [3, 30, 30, 30] == sizes


def test_what_ran_and_waited_is_counted() -> None:
    """Batches, items, durations and waits by cause are summed up per update."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    server.ask()
    server.run(0.5, items=20)
    server.run(0.25, items=None)
    server.run(0.25, items=1, failed=True)
    server.throttle.waited(_DB, _NAME, Cause.PACE, 1.5)
    server.throttle.waited(_DB, _NAME, Cause.PACE, 0.5)
    server.throttle.waited(_DB, _NAME, Cause.WINDOW, 60.0)
    update = server.throttle.updates[_DB, _NAME]
    assert (3, 21, 1.0) == (update.batches, update.items, update.batch_s)
    assert {Cause.PACE: 2.0, Cause.WINDOW: 60.0} == update.waited_s
    assert update.batch_start_s is None


def test_running_batch_is_known() -> None:
    """While a batch runs, it is known since when."""
    server = _Server(_throttle(Settings(pace=_NO_REST)))
    server.ask()
    server.throttle.start(_DB, _NAME, 12.0)
    assert 12.0 == server.throttle.updates[_DB, _NAME].batch_start_s


def test_clock_that_goes_backwards_makes_no_negative_batch() -> None:
    """A batch that ends before it started took no time."""
    server = _Server(_throttle())
    server.ask()
    server.run(-5.0, items=10)
    assert 0.0 == server.throttle.databases[_DB].batch_s
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


@settings(deadline=None)
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
        assert isinstance(decision.target_ms, int)
        assert (decision.target_ms == 0) is update.is_exact
        least = least_batch_items(name)
        for size in throttle.batch_items(database, name):
            assert isinstance(size, int)
            assert least <= size <= max(update.limits.max_batch_items, least)
        assert update.batch_s >= 0


@settings(deadline=None)
@given(configs(), st.sampled_from(DATABASES), st.sampled_from(UPDATES), st.booleans())
def test_first_rule_that_matches_decides_for_any_configuration(
    config: Config, database: str, name: str, one_shot: bool
) -> None:
    """The limits are those of the first matching rule, of the top level where none matches."""
    throttle = Throttle(config, Settings())
    rule, limits = throttle.limits_of(name, database, one_shot)
    in_one_go = one_shot or name in IN_ONE_GO
    matching = [r for r in config.rules if r.matches(name, database, in_one_go)]
    assert (matching[0] if matching else None) is rule
    levels = (*(r.settings for r in matching[:1]), config.settings)
    for field in ("target_duration_ms", "pace", "max_items_per_second", "windows", "max_hold_ms"):
        said = [getattr(s, field) for s in levels if getattr(s, field) is not None]
        assert [*said, getattr(Limits(), field)][0] == getattr(limits, field)
