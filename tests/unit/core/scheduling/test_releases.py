"""Releases in decisions, and explanations of all holds."""

import attrs
import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, FixedSleep, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.levers.lever import Lever, Levers
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.holds import LONGEST_WAIT_FOR_CALM_S
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, ProcessSample
from testbed.strategies.examples import NOON_S, lever, release

_DB, _NAME = "master", "an_index"
_APPROVED = Settings(pace=FixedSleep(0), needs_approval=True)
_ON_SUNDAYS = Settings(pace=FixedSleep(0), windows=(Window((6,), 0, 1440),))


def _at(after_s: float = 0.0) -> Conditions:
    return Conditions(after_s, NOON_S + after_s)


def _throttle(
    top: Settings, *levers: Lever, signals: SignalSettings | None = None, one_shot: bool = False
) -> Throttle:
    throttle = Throttle(Config(top, signals=signals or SignalSettings()), Settings())
    throttle.levers = Levers(levers)
    throttle.begin(_DB, _NAME, one_shot, 0.0)
    return throttle


def _cause(throttle: Throttle, after_s: float = 0.0) -> Cause:
    return throttle.decide(_DB, _NAME, _at(after_s)).cause


def _explained(throttle: Throttle, after_s: float = 0.0) -> list[Cause]:
    return [v.cause for v in throttle.explain(_DB, _NAME, False, _at(after_s))[1]]


def test_approval_holds_until_somebody_releases_it() -> None:
    """What needs approval waits for a human, and `max_hold` is none."""
    throttle = _throttle(attrs.evolve(_APPROVED, max_hold_ms=60_000))
    decision = throttle.decide(_DB, _NAME, _at())
    assert (Cause.APPROVAL, float("inf")) == (decision.cause, decision.wait_s)
    assert "approval is required by the configuration: release it to let it go" == decision.reason
    assert Cause.APPROVAL is _cause(throttle, 365 * 86_400)
    throttle.levers = Levers((release(ends_s=NOON_S + 400 * 86_400),))
    assert Cause.RUN is _cause(throttle, 365 * 86_400)


def test_approval_names_its_rule() -> None:
    """Which rule wants it is told."""
    throttle = Throttle(Config(Settings(), (Rule(3, settings=_APPROVED),)), Settings())
    throttle.begin(_DB, _NAME, False, 0.0)
    reason = "approval is required by rule 3 (everything): release it to let it go"
    assert reason == throttle.decide(_DB, _NAME, _at()).reason


@pytest.mark.parametrize("top", [_APPROVED, _ON_SUNDAYS], ids=["approval", "window"])
def test_release_is_over_at_its_end_unless_it_is_in_use(top: Settings) -> None:
    """What was let go and did not begin is held again; what began goes on to its end."""
    held = _cause(_throttle(top))
    assert held.is_hold
    throttle = _throttle(top, release())
    assert Cause.RUN is _cause(throttle)
    assert held is _cause(throttle, 3600)
    throttle.levers = Levers((release(used_s=NOON_S + 5),))
    assert Cause.RUN is _cause(throttle, 3600)


def test_release_that_let_a_batch_go_is_in_use_before_that_is_written() -> None:
    """However short it is, and whatever else is written first."""
    throttle = _throttle(_APPROVED, release())
    assert Cause.RUN is _cause(throttle)
    throttle.start(_DB, _NAME, 0.0)
    throttle.finish(_DB, _NAME, 0.1, None, failed=False)
    throttle.begin(_DB, _NAME, False, 0.1)
    assert Cause.RUN is _cause(throttle, 3600)
    throttle.ended(_DB, _NAME)
    throttle.begin(_DB, _NAME, False, 3600)
    assert Cause.APPROVAL is _cause(throttle, 3600)


@pytest.mark.parametrize("changes", [{"update": "other"}, {"database": "state"}])
def test_release_lets_go_what_it_is_about(changes: dict[str, str]) -> None:
    """A release of another update lets nothing else go."""
    assert Cause.WINDOW is _cause(_throttle(_ON_SUNDAYS, release(**changes)))


def test_release_beats_no_pause() -> None:
    """What is paused stays paused, whatever was released."""
    assert Cause.PAUSED is _cause(_throttle(_APPROVED, release(), lever(lever_id="b2")))


def test_released_update_runs_at_its_own_pace() -> None:
    """Who lets an update go by hand gets all of its pace, unlike where `max_hold` does."""
    throttle = _throttle(_ON_SUNDAYS, release())
    throttle.start(_DB, _NAME, 0.0)
    throttle.finish(_DB, _NAME, 1.0, None, failed=False)
    assert Cause.RUN is _cause(throttle, 1.0)


@pytest.mark.parametrize(
    ("held_after_release", "name", "threshold", "value"),
    [
        (False, "replica_lag", 10_000.0, 20.0),
        (False, "retained_wal", 1e9, 2e9),
        (True, "disk_free", 1e9, 1e8),
        (True, "pause_file", 1.0, 1.0),
        (True, "http", 1.0, 1.0),
        (True, "sql", 5.0, 6.0),
    ],
)
def test_release_lets_go_budgets_that_max_hold_would(
    held_after_release: bool, name: str, threshold: float, value: float
) -> None:
    """A full disk and the operator's own checks hold on; budgets that end by themselves do not."""
    level = Settings(pace=FixedSleep(0))
    throttle = _throttle(level, signals=SignalSettings(thresholds={name: threshold}))
    if name == "replica_lag":
        throttle.observe(_DB, DatabaseSample(at_s=0.0, replica_lag_s=value))
    elif name == "retained_wal":
        throttle.observe(_DB, DatabaseSample(at_s=0.0, retained_wal_bytes=value))
    else:
        throttle.observe(_DB, CheckSample(at_s=0.0, name=name, value=value))
    assert Cause.BUDGET is _cause(throttle)
    assert [Cause.BUDGET] == _explained(throttle)
    throttle.levers = Levers((release(),))
    assert (Cause.BUDGET if held_after_release else Cause.RUN) is _cause(throttle)
    assert ([Cause.BUDGET] if held_after_release else []) == _explained(throttle)


def _restless() -> Throttle:
    throttle = _throttle(Settings(pace=Adaptive()), one_shot=True)
    throttle.pacer.activity.seen_s = 0.0
    throttle.observe(None, ProcessSample(at_s=0.0, timer_late_s=0.0))
    throttle.observe(None, ProcessSample(at_s=0.25, timer_late_s=10.0))
    return throttle


def test_release_waits_for_no_calm() -> None:
    """A one-shot that somebody lets go starts while pressures are high."""
    throttle = _restless()
    assert Cause.CALM is _cause(throttle, 0.3)
    assert [Cause.CALM] == _explained(throttle, 0.3)
    throttle.levers = Levers((release(),))
    assert Cause.CALM is not _cause(throttle, 0.3)
    assert [] == _explained(throttle, 0.3)


def test_calm_is_not_waited_for_without_end() -> None:
    """Pressures that never fall hold a one-shot for an hour, in the explanation too."""
    throttle = _restless()
    assert Cause.CALM is _cause(throttle, 0.3)
    assert [Cause.CALM] == _explained(throttle, LONGEST_WAIT_FOR_CALM_S)
    assert [] == _explained(throttle, LONGEST_WAIT_FOR_CALM_S + 1)


def test_a_database_that_answers_late_does_not_make_it_wait_anew() -> None:
    """It is first asked when the hour is over."""
    throttle = _restless()
    assert Cause.CALM is _cause(throttle, 0.3)
    late = attrs.evolve(_at(LONGEST_WAIT_FOR_CALM_S + 1), silent_since_s=LONGEST_WAIT_FOR_CALM_S)
    assert Cause.DATABASE is throttle.decide(_DB, _NAME, late).cause
    assert Cause.CALM is not _cause(throttle, LONGEST_WAIT_FOR_CALM_S + 2)


# --- explanations ---


def test_explanation_tells_all_that_holds() -> None:
    """Not only the first cause: all of them, in their order."""
    level = attrs.evolve(_ON_SUNDAYS, needs_approval=True)
    signals = SignalSettings(thresholds={"disk_free": 1e9})
    throttle = _throttle(level, lever(), signals=signals)
    throttle.start(_DB, _NAME, 0.0)
    throttle.finish(_DB, _NAME, 0.1, None, failed=True)
    throttle.observe(_DB, CheckSample(at_s=0.0, name="disk_free", value=5.0))
    expected = [Cause.PAUSED, Cause.BACKOFF, Cause.APPROVAL, Cause.WINDOW]
    assert expected == _explained(throttle, 1.0)
    assert sorted(expected, key=list(Cause).index) == expected
    throttle.levers = None
    assert [Cause.LEVERS, *expected[1:]] == _explained(throttle, 1.0)


def test_explanation_tells_budgets_only_while_somebody_looks_at_them() -> None:
    """Amid a pause all that is configured is stale, which holds nothing once it is over."""
    signals = SignalSettings(thresholds={"disk_free": 1e9})
    throttle = _throttle(Settings(pace=FixedSleep(0)), signals=signals)
    assert [] == _explained(throttle)  # nothing has been asked yet
    throttle.observe(_DB, CheckSample(at_s=0.0, name="disk_free", value=5.0))
    assert Cause.BUDGET is _cause(throttle, 1.0)
    assert [Cause.BUDGET] == _explained(throttle, 1.0)
    throttle.levers = Levers((lever(),))
    assert Cause.PAUSED is _cause(throttle, 2.0)
    assert [Cause.PAUSED] == _explained(throttle, 600.0)


def test_explanation_leaves_out_what_max_hold_has_ended() -> None:
    """A window that has held the update for `max_hold` holds it no longer, nor is it told so."""
    throttle = _throttle(attrs.evolve(_ON_SUNDAYS, max_hold_ms=60_000))
    assert Cause.WINDOW is _cause(throttle)
    assert [Cause.WINDOW] == _explained(throttle, 59)
    assert Cause.WINDOW is not _cause(throttle, 60)
    assert [] == _explained(throttle, 60)
    throttle.begin(_DB, "another", False, 61.0)
    assert [Cause.WINDOW] == _explained(throttle, 61)  # it would be held anew


def test_explanation_of_an_update_that_never_came_changes_nothing() -> None:
    """An update that is only asked about is told as it would be, and not remembered."""
    throttle = Throttle(Config(_ON_SUNDAYS), Settings())
    throttle.levers = Levers((lever(),))
    state, verdicts = throttle.explain(_DB, "user_ips_analyze", False, _at())
    assert state.one_shot
    assert [Cause.PAUSED, Cause.WINDOW] == [verdict.cause for verdict in verdicts]
    assert ({}, {}) == (throttle.databases, throttle.updates)
