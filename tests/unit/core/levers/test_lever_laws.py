"""Properties of any levers with any configuration."""

import math

from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.effective_limits import least_batch_items
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.strategies import strategies
from testbed.strategies.examples import NOON_S, lever
from testbed.strategies.strategies import DATABASES, UPDATES, configs

# Seconds around the ends of levers.
_AFTER_S = st.sampled_from((0.0, 59.0, 60.0, 61.0, 7200.0)) | st.floats(0, 10_000)


@st.composite
def _levers(draw: st.DrawFn) -> Levers:
    drawn: list[Lever] = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(LeverKind))
        is_used = kind is LeverKind.RELEASE and draw(st.booleans())
        drawn.append(
            lever(
                lever_id=str(number),
                kind=kind,
                update=draw(st.sampled_from((*UPDATES, "*", "event_*", "[a-m]*"))),
                database=draw(st.none() | st.sampled_from(DATABASES)),
                settings=draw(strategies.settings()) if kind is LeverKind.OVERRIDE else Settings(),
                ends_s=NOON_S + draw(_AFTER_S),
                used_s=NOON_S if is_used else None,
            )
        )
    return Levers(tuple(drawn))


_LOOKS = st.lists(st.tuples(_AFTER_S, st.none() | _levers()), min_size=1, max_size=4)


@given(
    configs(),
    _LOOKS,
    st.sampled_from(DATABASES),
    st.sampled_from(UPDATES),
    st.booleans(),
    st.booleans(),
)
def test_decisions_are_usable_for_any_levers(
    config: Config,
    looks: list[tuple[float, Levers | None]],
    database: str,
    name: str,
    one_shot: bool,
    enabled: bool,
) -> None:
    """Whatever is pulled: whole sizes of 1 at least, a finite target, and what is paused holds."""
    throttle = Throttle(config, Settings())
    throttle.begin(database, name, one_shot, 0.0)
    for after_s, levers in looks:
        throttle.levers = levers
        at = Conditions(after_s, NOON_S + after_s, enabled=enabled)
        decision = throttle.decide(database, name, at)
        update = throttle.updates[database, name]
        assert 0 < decision.target_ms < math.inf
        size = throttle.batch_items(database, name)
        assert isinstance(size, int)
        assert size >= least_batch_items(name)
        assert decision.wait_s >= 0
        assert not math.isnan(decision.wait_s)
        about = [] if levers is None else [v for v in levers.all if v.matches(name, database)]
        in_force = [v for v in about if v.is_in_force(at.wall_s)]
        pauses = [v for v in in_force if v.kind is LeverKind.PAUSE]
        if not enabled:
            assert Cause.DISABLED is decision.cause
        elif levers is None:
            assert Cause.LEVERS is decision.cause
        else:
            assert bool(pauses) is (decision.cause is Cause.PAUSED)
        if levers is not None and not [v for v in in_force if v.kind is LeverKind.OVERRIDE]:
            assert throttle.limits.of(name, database, one_shot)[1] == update.limits


@given(configs(), _levers(), st.sampled_from(DATABASES), st.sampled_from(UPDATES), st.booleans())
def test_explanation_has_the_cause_that_holds_for_any_levers(
    config: Config, levers: Levers, database: str, name: str, one_shot: bool
) -> None:
    """What holds an update now is the first thing that its explanation tells."""
    throttle = Throttle(config, Settings())
    throttle.levers = levers
    throttle.begin(database, name, one_shot, 0.0)
    at = Conditions(30.0, NOON_S + 30.0)
    decision = throttle.decide(database, name, at)
    _, verdicts = throttle.explain(database, name, one_shot, at)
    told = [verdict.cause for verdict in verdicts]
    assert sorted(told, key=list(Cause).index) == told
    assert ([decision.cause] if decision.cause.is_hold else []) == told[:1]
