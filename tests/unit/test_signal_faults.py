"""Every signal, and everything that may go wrong with it: what comes of it is by its class.

The table is made from the list of signals, so a new one is in it by itself.
"""

import math
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from synapse_bgthrottle.board_level import PANIC_S, SHORTEST_HOLD_S
from synapse_bgthrottle.config import Config
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.holds import Conditions
from synapse_bgthrottle.limits import Adaptive, Limits, Settings
from synapse_bgthrottle.signal_settings import SignalSettings
from synapse_bgthrottle.signals import SIGNALS, Signal, SignalClass
from synapse_bgthrottle.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from synapse_bgthrottle.signals.signal import PERIOD_S, STALE_PERIODS, NotYet, Unit
from synapse_bgthrottle.soft_law import BLIND_RATIO
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.telling import Teller
from synapse_bgthrottle.telling_samples import SampleTeller
from synapse_bgthrottle.throttle import Throttle
from tests.unit.throttled_server import DB, NAME, NO_REST, SUNDAY_S

_TICK_S = PERIOD_S[ProcessSample]
_DAY_S = 86_400.0
_PROBLEM = "it is gone"

# What is read instead, the n-th time; sums are read as they are, so what falls does so at each.
_FAULTS: dict[str, Callable[[int], Any]] = {
    "error": lambda n: _PROBLEM,
    "hang": lambda n: Ellipsis,
    "null": lambda n: None,
    "nan": lambda n: math.nan,
    "inf": lambda n: math.inf,
    "negative": lambda n: -1.0 - n,
}


def _of(signal_class: SignalClass) -> list[Any]:
    return [
        pytest.param(signal, id=name)
        for name, signal in SIGNALS.items()
        if signal.signal_class is signal_class
    ]


_EACH_FAULT = pytest.mark.parametrize("fault", _FAULTS)
_SOFT = pytest.mark.parametrize("signal", _of(SignalClass.SOFT))
_BUDGETS = pytest.mark.parametrize("signal", _of(SignalClass.BUDGET))
_PANICS = pytest.mark.parametrize("signal", _of(SignalClass.PANIC))


def _threshold(signal: Signal) -> float:
    return signal.threshold or (1.0 if signal.unit is Unit.YES_NO else 100.0)


def _sample(kind: type[Sample], name: str, at_s: float, value: Any) -> Sample | None:
    """One in which every field has this value, or that tells a problem; None: there is none."""
    if value is Ellipsis:
        return None
    names = {field.name for field in attrs.fields(kind)}
    values: dict[str, Any] = {"at_s": at_s}
    if value == _PROBLEM and "problem" in names:
        values["problem"], value = _PROBLEM, None
    elif value == _PROBLEM:  # what cannot complain has nothing to say
        value = None
    for field in names - {"at_s", "problem", "name", "is_of_clients", "index_build", "responses"}:
        values[field] = value
    if kind is ProcessSample and value is None:
        values["timer_late_s"] = math.nan  # it is always read
    if "name" in names:
        values["name"] = name
    sample: Sample = kind(**values)
    return sample


class Life:
    """An update, a signal that may be read, and the clients of a server whose others are off."""

    def __init__(self, signal: Signal, *, configured: bool = True, beside: str = "") -> None:
        thresholds = {
            name: _threshold(SIGNALS[name]) if name == beside else None for name in SIGNALS
        }
        del thresholds[signal.name]
        if configured:
            thresholds[signal.name] = _threshold(signal)
        is_soft = signal.signal_class is SignalClass.SOFT
        level = Settings(pace=Adaptive() if is_soft else NO_REST, max_hold_ms=10 * _DAY_S * 1000)
        config = Config(level, (), SignalSettings(thresholds=thresholds))
        self.signal = signal
        self.throttle = Throttle(config, Settings(), Facts(sees_requests=True))
        self.now_s = 0.0
        self.wall_s = SUNDAY_S
        self.late_s = 0.0
        self.batch_s: float | None = None  # for so long each batch takes; None: none is run
        self.batches = 0
        self.lines: list[str] = []
        self._ticks = self._reads = 0
        self._teller, self._sample_teller = Teller(DB), SampleTeller(DB)
        self.throttle.begin(DB, NAME, not is_soft, self.now_s)

    @property
    def duty_ratio(self) -> float:
        """What soft pressures allow."""
        return self.throttle.pacer.law.ratio

    @property
    def sample_s(self) -> float:
        """For so long its samples are apart."""
        return PERIOD_S[self.signal.source]

    def stuck(self, n: int) -> float:
        """What says that it is short, the same each time; where sums are read, what is added is."""
        threshold = _threshold(self.signal)
        value = threshold / 1000 if self.signal.less_is_worse else threshold * 1000
        one = _sample(self.signal.source, self.signal.name, 0.0, value)
        needs_two = self.signal.read(one, None) in (None, NotYet.NOT_YET)
        return value * n if needs_two else value

    @property
    def healthy(self) -> float:
        """What says that nothing is short."""
        return _threshold(self.signal) * 1000 if self.signal.less_is_worse else 0.0

    def live(self, periods: float, read: Callable[[int], Any] | None = None) -> list[Decision]:
        """The decisions of so many of its samples' periods; without `read` all is well."""
        decisions = []
        for _ in range(math.ceil(periods * self.sample_s / _TICK_S)):
            self._observe(read or (lambda n: self.healthy))
            decisions.append(self.decide())
            if decisions[-1].wait_s <= 0 and self.batch_s is not None:
                self.throttle.start(DB, NAME, self.now_s)
                self.throttle.finish(DB, NAME, self.now_s + self.batch_s, 100, failed=False)
                self.throttle.begin(DB, NAME, False, self.now_s + self.batch_s)
                self.batches += 1
            self._ticks += 1
            self.now_s += _TICK_S
            self.wall_s += _TICK_S
        return decisions

    def decide(self) -> Decision:
        at = Conditions(self.now_s, self.wall_s, active_requests=1, requests_answered=self._ticks)
        decision = self.throttle.decide(DB, NAME, at)
        update = self.throttle.updates[DB, NAME]
        self.lines += [text for _, text in self._teller.tell(NAME, update, decision, self.wall_s)]
        assert decision.reason
        return decision

    def told(self, words: str) -> list[str]:
        """The lines that have these words."""
        return [line for line in self.lines if words in line]

    def _observe(self, read: Callable[[int], Any]) -> None:
        kind, name = self.signal.source, self.signal.name
        if kind is not ProcessSample:
            self.throttle.observe(None, ProcessSample(at_s=self.now_s, timer_late_s=0.0))
        if self._ticks % round(self.sample_s / _TICK_S):
            return
        self._reads += 1
        sample = _sample(kind, name, self.now_s - self.late_s, read(self._reads))
        if sample is None:
            return
        if isinstance(sample, BatchSample):
            self.throttle.databases[DB].board.observe(sample)
        else:
            self.throttle.observe(None if isinstance(sample, CheckSample) else DB, sample)
        if isinstance(sample, DatabaseSample):
            board = self.throttle.databases[DB].board
            self.lines += [text for _, text in self._sample_teller.tell(NAME, board, sample)]


def _held(decisions: list[Decision]) -> list[Decision]:
    return [decision for decision in decisions if decision.cause.is_hold]


@_SOFT
@_EACH_FAULT
def test_a_soft_signal_that_is_lost_leaves_stocks_pace(signal: Signal, fault: str) -> None:
    """It is the only one there is: nothing is held, and clients have what stock leaves them."""
    life = Life(signal)
    life.live(3)
    before = life.duty_ratio
    assert [] == _held(life.live(STALE_PERIODS + 2, _FAULTS[fault]))
    # Where this very process is not looked at, nobody decides anew.
    is_blind = not (fault == "hang" and signal.source is ProcessSample)
    assert life.duty_ratio == (BLIND_RATIO if is_blind else before)
    assert 1 == len(life.told("Pacing"))
    assert 1 >= len(life.told("not observable")) == len(life.lines) - 1
    life.live(STALE_PERIODS)
    assert life.throttle.pacer.soft.pressure is not None


@_SOFT
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


@_BUDGETS
@_EACH_FAULT
def test_a_budget_that_is_configured_closes(signal: Signal, fault: str) -> None:
    """Until it can be read, with a reason; told once at the start and once at the end."""
    life = Life(signal)
    life.live(3)
    assert Cause.RUN is life.decide().cause
    life.lines.clear()  # at the start it is held until it has been read for the first time
    held = _held(life.live(STALE_PERIODS + 20, _FAULTS[fault]))
    assert Cause.BUDGET is life.decide().cause
    assert {f"{signal.name} is configured"} == {
        " ".join(decision.reason.split()[:3]) for decision in held
    }
    life.live(SHORTEST_HOLD_S / life.sample_s + 3)
    assert Cause.RUN is life.decide().cause
    # A rate needs two readings, so that for one more it is another thing that is wrong.
    most = 2 if signal.unit is Unit.RATE and fault == "inf" else 1
    assert 1 <= len(life.told("Holding")) <= most
    assert 1 == len(life.told("Going on"))


@_BUDGETS
@_EACH_FAULT
def test_a_budget_by_default_is_left_out(signal: Signal, fault: str) -> None:
    """What nobody asked for holds nothing because it cannot be read."""
    life = Life(signal, configured=False)
    life.live(3)
    assert [] == _held(life.live(STALE_PERIODS + 20, _FAULTS[fault]))
    assert 1 == len(life.told("Pacing"))
    assert len(life.lines) <= 2


@_PANICS
@_EACH_FAULT
def test_a_panic_needs_to_be_read(signal: Signal, fault: str) -> None:
    """What cannot be read is nobody who waits, and what can has a reason."""
    life = Life(signal)
    life.live(3)
    decisions = life.live(STALE_PERIODS + 20, _FAULTS[fault])
    assert {Cause.RUN} == {decision.cause for decision in decisions}
    panic = life.live(1, lambda n: _threshold(signal))[-1]
    assert (Cause.PANIC, True) == (panic.cause, panic.reason.startswith(signal.name))
    life.live(3, _FAULTS[fault])
    assert Cause.RUN is life.decide().cause


@_SOFT
def test_a_soft_signal_that_is_stuck_above_its_threshold(signal: Signal) -> None:
    """It is believed, so that batches are at the least duty cycle, and never at less."""
    life = Life(signal)
    life.live(3)
    life.batch_s = 0.025
    ticks = math.ceil(240 / life.sample_s)
    assert [] == _held(life.live(ticks, life.stuck))
    assert Limits().min_duty_ratio == life.duty_ratio
    before = life.batches
    assert [] == _held(life.live(ticks, life.stuck))
    worked = (life.batches - before) * life.batch_s / 240
    assert 0.5 * Limits().min_duty_ratio < worked < 2 * Limits().min_duty_ratio


@_BUDGETS
def test_a_budget_that_is_stuck_above_its_threshold(signal: Signal) -> None:
    """It holds for as long as it may, tells why, and is open once it is well for long enough."""
    life = Life(signal)
    life.live(3)
    life.lines.clear()
    life.live(2, life.stuck)  # a rate needs two readings
    decisions = life.live(20, life.stuck)
    assert {Cause.BUDGET} == {decision.cause for decision in decisions}
    assert all(decision.reason.startswith(signal.name) for decision in decisions)
    assert 1 == len(life.told("Holding")) == len(life.lines)
    life.live(SHORTEST_HOLD_S / life.sample_s + 3)
    assert Cause.RUN is life.decide().cause


@_PANICS
def test_a_panic_that_is_stuck(signal: Signal) -> None:
    """It holds for as long as it is so, and no longer than its while."""
    life = Life(signal)
    life.live(3)
    decisions = life.live(60, life.stuck)
    assert {Cause.PANIC} == {decision.cause for decision in decisions}
    assert all(decision.reason.startswith(signal.name) for decision in decisions)
    life.live(PANIC_S / life.sample_s + 1)
    assert Cause.RUN is life.decide().cause


@pytest.mark.parametrize("signal", SIGNALS.values(), ids=SIGNALS)
def test_a_machine_that_was_suspended(signal: Signal) -> None:
    """What was seen before is old; with the first look after it, all goes on."""
    life = Life(signal)
    life.live(3)
    life.now_s += _DAY_S
    life.wall_s += _DAY_S
    assert life.decide().cause in (Cause.BUDGET, Cause.RUN, Cause.PACE, Cause.GAP, Cause.COMPARE)
    life.live(2)
    assert [] == _held(life.live(10))


@_BUDGETS
def test_samples_that_come_too_late(signal: Signal) -> None:
    """A budget that is configured is not kept by what was seen long ago."""
    life = Life(signal)
    life.live(3)
    life.late_s = (STALE_PERIODS + 1) * life.sample_s
    life.live(STALE_PERIODS + 2)
    decision = life.decide()
    assert (Cause.BUDGET, True) == (decision.cause, "has not been read since" in decision.reason)
