"""The effect of every fault of every signal depends on the signal's class.

The table is made from the list of signals, so it includes new ones.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest

from synapse_bgthrottle.core.adaptive.pressure_controller import BLIND_RATIO
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.signals import SIGNALS, Signal
from synapse_bgthrottle.core.signals.samples import BatchSample, ProcessSample
from synapse_bgthrottle.core.signals.signal import STALE_PERIODS, Unit
from synapse_bgthrottle.core.signals.signal_state import SHORTEST_HOLD_S
from tests.unit.core.signals.signal_life import (
    BUDGETS,
    DAY_S,
    PANICS,
    PROBLEM,
    SOFT,
    Life,
    held,
    threshold_of,
)

# What is read instead, the n-th time; sums are read as they are, so what falls does so at each.
_FAULTS: dict[str, Callable[[int], Any]] = {
    "error": lambda n: PROBLEM,
    "hang": lambda n: Ellipsis,
    "null": lambda n: None,
    "nan": lambda n: math.nan,
    "inf": lambda n: math.inf,
    "negative": lambda n: -1.0 - n,
}

_EACH_FAULT = pytest.mark.parametrize("fault", _FAULTS)


@SOFT
@_EACH_FAULT
def test_a_soft_signal_that_is_lost_leaves_stocks_pace(signal: Signal, fault: str) -> None:
    """It is the only one there is: nothing is held, and clients have what stock leaves them."""
    life = Life(signal)
    life.live(3)
    before = life.duty_ratio
    assert [] == held(life.live(STALE_PERIODS + 2, _FAULTS[fault]))
    # Where this very process is not looked at, nobody decides anew.
    is_blind = not (fault == "hang" and signal.source is ProcessSample)
    assert life.duty_ratio == (BLIND_RATIO if is_blind else before)
    assert 1 == len(life.told("Pacing"))
    assert 1 >= len(life.told("not observable")) == len(life.lines) - 1
    life.live(STALE_PERIODS)
    assert life.throttle.pacer.soft.pressure is not None


@SOFT
def test_a_soft_signal_that_hangs_holds_the_duty_cycle(signal: Signal) -> None:
    """Beside one that is well nothing gets faster; where samples come by themselves only."""
    beside = "event_loop_lag" if signal.name != "event_loop_lag" else "reactor_tick"
    life = Life(signal, beside=beside)
    life.live(STALE_PERIODS + 1)
    life.throttle.pacer.law.ratio = 0.1
    life.live(STALE_PERIODS + 1, _FAULTS["hang"])
    life.throttle.pacer.law.ratio = 0.1
    life.live(STALE_PERIODS + 1, _FAULTS["hang"])
    assert (life.duty_ratio <= 0.1) is (signal.source is not BatchSample)


@BUDGETS
@_EACH_FAULT
def test_a_budget_that_is_configured_closes(signal: Signal, fault: str) -> None:
    """Until it can be read, with a reason; told once at the start and once at the end."""
    life = Life(signal)
    life.live(3)
    assert Cause.RUN is life.decide().cause
    life.lines.clear()  # at the start it is held until it has been read for the first time
    decisions = held(life.live(STALE_PERIODS + 20, _FAULTS[fault]))
    assert Cause.BUDGET is life.decide().cause
    assert {f"{signal.name} is configured"} == {
        " ".join(decision.reason.split()[:3]) for decision in decisions
    }
    life.live(SHORTEST_HOLD_S / life.sample_s + 3)
    assert Cause.RUN is life.decide().cause
    # A rate needs two readings, so that for one more it is another thing that is wrong.
    most = 2 if signal.unit is Unit.RATE and fault == "inf" else 1
    assert 1 <= len(life.told("Holding")) <= most
    assert 1 == len(life.told("Going on"))


@BUDGETS
@_EACH_FAULT
def test_a_budget_by_default_is_left_out(signal: Signal, fault: str) -> None:
    """What nobody asked for holds nothing because it cannot be read."""
    life = Life(signal, configured=False)
    life.live(3)
    assert [] == held(life.live(STALE_PERIODS + 20, _FAULTS[fault]))
    assert 1 == len(life.told("Pacing"))
    assert len(life.lines) <= 2


@PANICS
@_EACH_FAULT
def test_a_panic_needs_to_be_read(signal: Signal, fault: str) -> None:
    """What cannot be read is nobody who waits, and what can has a reason."""
    life = Life(signal)
    life.live(3)
    decisions = life.live(STALE_PERIODS + 20, _FAULTS[fault])
    assert {Cause.RUN} == {decision.cause for decision in decisions}
    panic = life.live(1, lambda n: threshold_of(signal))[-1]
    assert (Cause.PANIC, True) == (panic.cause, panic.reason.startswith(signal.name))
    life.live(3, _FAULTS[fault])
    assert Cause.RUN is life.decide().cause


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_a_machine_that_was_suspended(signal: Signal) -> None:
    """What was seen before is old; with the first look after it, all goes on."""
    life = Life(signal)
    life.live(3)
    life.now_s += DAY_S
    life.wall_s += DAY_S
    assert life.decide().cause in (Cause.BUDGET, Cause.RUN, Cause.PACE, Cause.GAP, Cause.COMPARE)
    life.live(2)
    assert [] == held(life.live(10))


@BUDGETS
def test_samples_that_come_too_late(signal: Signal) -> None:
    """A budget that is configured is not kept by what was seen long ago."""
    life = Life(signal)
    life.live(3)
    life.late_s = (STALE_PERIODS + 1) * life.sample_s
    life.live(STALE_PERIODS + 2)
    decision = life.decide()
    assert (Cause.BUDGET, True) == (decision.cause, "was last read" in decision.reason)
