"""The decision code alone, for many iterations and with any history."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.controller import LOOK_EVERY_S
from synapse_bgthrottle.core.config.limits import Adaptive
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample
from testbed.simulation.endurance import MOST_EXPLAINED_S, longest_wait_s
from tests.model.runs import streams, throttle

KEY = ("master", "an_update")

VALUES = st.floats(0, 1e6) | st.none() | st.sampled_from([math.nan, math.inf, -1.0])
LOOKS = st.lists(
    st.tuples(st.floats(0.001, 0.3), VALUES, VALUES, VALUES, st.integers(0, 3) | st.none()),
    max_size=60,
)


def test_no_starvation() -> None:
    """Over 10000 iterations with signals that say anything, no batch waits for long."""
    assert MOST_EXPLAINED_S > longest_wait_s(throttle(Adaptive()), 10_000, streams(1)("signals"))


@settings(max_examples=40, derandomize=True)
@given(LOOKS)
def test_any_history(looks: list[Any]) -> None:
    """Nothing raises, a wait is never negative, and a batch is never empty."""
    made = throttle(Adaptive())
    now_s = play(made, looks)
    decision = made.decide(*KEY, Conditions(now_s, 0.0, active_requests=1))
    assert 0 <= decision.wait_s < MOST_EXPLAINED_S
    assert 1 <= min(decision.target_ms, decision.items)


@settings(max_examples=40, derandomize=True)
@given(LOOKS, st.floats(0, 100), st.floats(0, 100))
def test_more_pressure_never_a_shorter_wait(looks: list[Any], late_s: float, more_s: float) -> None:
    """After the same history, the worse the last look was, the longer the wait.

    But for a gap between requests, of 10 ms: at a small share of the time none is waited for.
    """
    waits: list[Decision] = []
    for last_s in (late_s, late_s + more_s):
        made = throttle(Adaptive())
        now_s = play(made, looks)
        made.observe(None, ProcessSample(at_s=now_s, timer_late_s=last_s))
        waits.append(made.decide(*KEY, Conditions(now_s, 0.0, active_requests=1)))
    less, more = waits
    assert less.wait_s <= more.wait_s or (Cause.GAP, LOOK_EVERY_S) == (less.cause, less.wait_s)


def play(made: Throttle, looks: list[Any]) -> float:
    """A history: looks at signals and decisions, and a batch whenever one may run."""
    now_s = 0.0
    for number, (passed_s, late_s, wait_s, tick_s, active) in enumerate(looks):
        made.begin(*KEY, False, now_s)
        made.observe(
            None,
            ProcessSample(
                at_s=now_s,
                timer_late_s=0.0 if late_s is None else late_s,
                pool_wait_s=wait_s,
                pool_waits=number,
                tick_s=tick_s,
                ticks=number,
                responses=None if wait_s is None else {"a_kind": (wait_s, number)},
            ),
        )
        if number % 4 == 0:
            made.observe("master", DatabaseSample(at_s=now_s, query_s=tick_s))
        at = Conditions(now_s, 0.0, active_requests=active, requests_answered=number)
        if made.decide(*KEY, at).wait_s <= 0:
            made.start(*KEY, now_s)
            made.finish(*KEY, now_s + min(passed_s, 0.1), 10, failed=False)
        now_s += passed_s
    made.begin(*KEY, False, now_s)
    return now_s
