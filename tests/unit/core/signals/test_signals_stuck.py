"""Every signal that never changes is believed; its effect depends on its class."""

import math

from synapse_bgthrottle.core.config.limits import Limits
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.signals import Signal
from synapse_bgthrottle.core.signals.signal_state import PANIC_S, SHORTEST_HOLD_S
from tests.unit.core.signals.signal_life import BUDGETS, PANICS, SOFT, Life, held


@SOFT
def test_a_soft_signal_that_is_stuck_above_its_threshold(signal: Signal) -> None:
    """It is believed, so that batches are at the least duty cycle, and never at less."""
    life = Life(signal)
    life.live(3)
    assert [] == held(life.live(20))  # nor does what says that all is well change
    life.batch_s = 0.025
    ticks = math.ceil(240 / life.sample_s)
    assert [] == held(life.live(ticks, life.stuck))
    assert Limits().min_duty_ratio == life.duty_ratio
    before = life.batches
    assert [] == held(life.live(ticks, life.stuck))
    worked = (life.batches - before) * life.batch_s / 240
    assert 0.5 * Limits().min_duty_ratio < worked < 2 * Limits().min_duty_ratio


@BUDGETS
def test_a_budget_that_is_stuck_above_its_threshold(signal: Signal) -> None:
    """It holds for as long as it may, tells why, and is open once it is well for long enough."""
    life = Life(signal)
    life.live(3)
    assert [] == held(life.live(20))  # nor does what says that all is well change
    life.lines.clear()
    life.live(2, life.stuck)  # a rate needs two readings
    decisions = life.live(20, life.stuck)
    assert {Cause.BUDGET} == {decision.cause for decision in decisions}
    assert all(decision.reason.startswith(signal.name) for decision in decisions)
    assert 1 == len(life.told("Holding")) == len(life.lines)
    life.live(SHORTEST_HOLD_S / life.sample_s + 3)
    assert Cause.RUN is life.decide().cause


@PANICS
def test_a_panic_that_is_stuck(signal: Signal) -> None:
    """It holds for as long as it is so, and no longer than its while."""
    life = Life(signal)
    life.live(3)
    assert [] == held(life.live(20))  # nor does what says that all is well change
    decisions = life.live(60, life.stuck)
    assert {Cause.PANIC} == {decision.cause for decision in decisions}
    assert all(decision.reason.startswith(signal.name) for decision in decisions)
    life.live(PANIC_S / life.sample_s + 1)
    assert Cause.RUN is life.decide().cause
