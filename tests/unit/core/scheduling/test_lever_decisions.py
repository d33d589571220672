"""Levers in decisions: the effect of pauses, overrides and releases, and its length."""

import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.levers.lever import Lever, Levers
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from synapse_bgthrottle.core.scheduling.effective_limits import LEAST_BATCH_ITEMS
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.strategies.examples import NOON_S, lever, override

_DB, _NAME = "master", "populate_stats"
_SUNDAYS = (Window((6,), 0, 1440),)
_NO_REST = FixedSleep(0)


class _World:
    """A throttle with an update at the head of the queue; time is in seconds since noon."""

    def __init__(
        self,
        top: Settings | None = None,
        *rules: Rule,
        levers: tuple[Lever, ...] = (),
        update: str = _NAME,
    ) -> None:
        self.throttle = Throttle(Config(top or Settings(pace=_NO_REST), rules), Settings())
        self.throttle.levers = Levers(levers)
        self.update = update
        self.throttle.begin(_DB, update, False, 0.0)

    def decide(
        self, after_s: float = 0.0, *, enabled: bool = True, silent: bool = False
    ) -> Decision:
        at = Conditions(
            after_s, NOON_S + after_s, enabled, 0.0 if silent else None, "gone" if silent else ""
        )
        return self.throttle.decide(_DB, self.update, at)


def test_everything_waits_until_levers_are_read() -> None:
    """While it is not known what is paused nothing runs; once it is, it is looked at at once."""
    world = _World()
    world.throttle.levers = None
    decision = world.decide()
    assert (Cause.LEVERS, True) == (decision.cause, decision.cause.is_hold)
    assert "pauses from before the restart are not read yet" == decision.reason
    assert 0 < decision.wait_s <= 0.1
    world.throttle.levers = Levers()
    assert Cause.RUN is world.decide().cause
    world.throttle.levers = None
    assert Cause.LEVERS is world.decide().cause


def test_pause_holds_until_its_end() -> None:
    """A pause says who, until when and why, and ends by itself."""
    world = _World(levers=(lever(reason="a party"),))
    decision = world.decide(600)
    assert (Cause.PAUSED, 3000.0, "a1") == (decision.cause, decision.wait_s, decision.subject)
    reason = "paused by @admin:example.org until 2026-06-01 13:00:00 UTC: a party"
    assert reason == decision.reason
    assert Cause.PAUSED is world.decide(3599.9).cause
    assert Cause.RUN is world.decide(3600).cause


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (Cause.PAUSED, {"update": "populate_*"}),
        (Cause.RUN, {"update": "event_*"}),
        (Cause.PAUSED, {"database": "master"}),
        (Cause.RUN, {"database": "state"}),
    ],
)
def test_pause_holds_what_it_is_about(expected: Cause, changes: dict[str, str]) -> None:
    """Other updates, and those of other databases, go on."""
    assert expected is _World(levers=(lever(**changes),)).decide().cause


def test_pause_ends_when_it_is_ended() -> None:
    """A lever that somebody ends is gone at the next look."""
    world = _World(levers=(lever(),))
    assert Cause.PAUSED is world.decide().cause
    world.throttle.levers = Levers()
    assert Cause.RUN is world.decide().cause


@pytest.mark.parametrize("is_longer_first", [False, True])
def test_two_pauses_hold_until_the_last_has_ended(is_longer_first: bool) -> None:
    """That one is told from the start, with its own end, whichever is older."""
    longer = lever(lever_id="b2", update=_NAME, ends_s=NOON_S + 7200)
    levers = (longer, lever()) if is_longer_first else (lever(), longer)
    world = _World(levers=levers)
    told = [world.decide(after_s) for after_s in (0, 3600, 7199, 7200)]
    assert ["b2", "b2", "b2", ""] == [decision.subject for decision in told]
    assert [7200.0, 3600.0, 1.0, 0.0] == [decision.wait_s for decision in told]
    assert "until 2026-06-01 14:00:00 UTC" in told[0].reason


def test_pause_is_told_before_failures_windows_and_approval() -> None:
    """A pause comes before what would hold it too; the switch and a silent database before it."""
    world = _World(Settings(windows=_SUNDAYS, needs_approval=True), levers=(lever(),))
    world.throttle.start(_DB, _NAME, 0.0)
    world.throttle.finish(_DB, _NAME, 0.1, None, failed=True)
    assert Cause.PAUSED is world.decide(1).cause
    assert Cause.DATABASE is world.decide(1, silent=True).cause
    assert Cause.DISABLED is world.decide(1, silent=True, enabled=False).cause
    world.throttle.levers = Levers()
    assert Cause.BACKOFF is world.decide(1).cause
    assert Cause.APPROVAL is world.decide(100).cause


def test_max_hold_ends_no_pause() -> None:
    """A pause is the administrator's own: no limit of the configuration ends it sooner."""
    world = _World(Settings(pace=_NO_REST, max_hold_ms=60_000), levers=(lever(),))
    assert Cause.PAUSED is world.decide().cause
    assert Cause.PAUSED is world.decide(3599).cause


# --- overrides ---


def test_override_changes_limits_until_its_end() -> None:
    """What an override sets holds at once, and what was there before holds after it."""
    world = _World(Settings(pace=FixedSleep(1000), target_duration_ms=70))
    update = world.throttle.updates[_DB, _NAME]
    before = update.limits
    world.throttle.levers = Levers((override(Settings(pace=DutyCycle(0.5))),))
    world.decide(10)
    assert (DutyCycle(0.5), 70) == (update.limits.pace, update.limits.target_duration_ms)
    world.decide(3600)
    assert before == update.limits


@pytest.mark.parametrize(
    ("expected_ms", "with_newest", "with_older", "with_rule"),
    [
        (10, True, True, True),
        (20, False, True, True),
        (30, False, False, True),
        (40, False, False, False),
    ],
)
def test_newest_override_then_older_then_rule_then_top_level(
    expected_ms: float, with_newest: bool, with_older: bool, with_rule: bool
) -> None:
    """The newest override wins over an older one, that over the rule, that over the top level."""
    rules = [Rule(0, settings=Settings(target_duration_ms=30))] if with_rule else []
    older = override(Settings(target_duration_ms=20, min_batch_items=7), update="populate_*")
    newest = override(Settings(target_duration_ms=10), lever_id="b2")
    levers = ((older,) if with_older else ()) + ((newest,) if with_newest else ())
    world = _World(Settings(target_duration_ms=40), *rules, levers=levers)
    world.decide()
    limits = world.throttle.updates[_DB, _NAME].limits
    assert expected_ms == limits.target_duration_ms
    assert (7 if with_older else 1) == limits.min_batch_items


def test_end_of_the_newest_override_uncovers_the_older() -> None:
    """Overrides end one by one, each at its own time."""
    older = override(Settings(target_duration_ms=20), ends_s=NOON_S + 7200)
    newest = override(Settings(target_duration_ms=10), lever_id="b2")
    world = _World(Settings(target_duration_ms=40), levers=(older, newest))
    update = world.throttle.updates[_DB, _NAME]
    seen = []
    for after_s in (0, 3599, 3600, 7200):
        world.decide(after_s)
        seen.append(update.limits.target_duration_ms)
    assert [10, 10, 20, 40] == seen


@pytest.mark.parametrize("name", sorted(LEAST_BATCH_ITEMS))
def test_override_never_goes_below_safe_batches(name: str) -> None:
    """Updates that small batches harm keep their least size, whatever is set by hand."""
    tiny = Settings(
        max_batch_items=1, min_batch_items=1, default_batch_items=1, max_items_per_second=0.1
    )
    world = _World(levers=(override(tiny),), update=name)
    decision = world.decide()
    least = LEAST_BATCH_ITEMS[name]
    assert least == decision.items == world.throttle.batch_items(_DB, name)


def test_profile_changes_the_pace_and_keeps_what_was_learned() -> None:
    """What an update costs clients does not depend on how much they may bear."""
    world = _World(Settings(pace=Adaptive(), profile="gentle"))
    world.decide()
    impact = world.throttle.updates[_DB, _NAME].impact
    impact.current.model.learn(0.0, 1.0, 0.01)
    world.throttle.levers = Levers((override(Settings(profile="finish")),))
    assert Cause.RUN is world.decide(1000).cause
    expected = "as fast as budgets allow, updates may use 100% of the time"
    assert expected == world.decide(1000).reason
    world.decide(3600)
    assert impact is world.throttle.updates[_DB, _NAME].impact
    assert 1 == impact.experiments


def test_override_opens_windows() -> None:
    """What holds by a setting is let go by another setting."""
    world = _World(Settings(pace=_NO_REST, windows=_SUNDAYS))
    assert Cause.WINDOW is world.decide().cause
    world.throttle.levers = Levers((override(Settings(windows=())),))
    assert Cause.RUN is world.decide().cause
