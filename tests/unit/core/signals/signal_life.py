"""An update with one readable signal, for each signal of a class, new ones included."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs
import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.reports.log_lines import SignalLog, UpdateLog
from synapse_bgthrottle.core.scheduling.decision import Conditions, Decision
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals import SIGNALS, Signal, SignalClass
from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from synapse_bgthrottle.core.signals.signal import PERIOD_S, NoRateYetError, Unit
from tests.unit.core.scheduling.throttled_server import DB, NAME, NO_REST, SUNDAY_S

_TICK_S = PERIOD_S[ProcessSample]
DAY_S = 86_400.0
PROBLEM = "it is gone"


def _of(signal_class: SignalClass) -> list[Any]:
    return [
        pytest.param(signal, id=name)
        for name, signal in SIGNALS.items()
        if signal.signal_class is signal_class
    ]


SOFT = pytest.mark.parametrize("signal", _of(SignalClass.SOFT))
BUDGETS = pytest.mark.parametrize("signal", _of(SignalClass.BUDGET))
PANICS = pytest.mark.parametrize("signal", _of(SignalClass.PANIC))


def threshold_of(signal: Signal) -> float:
    return signal.threshold or (1.0 if signal.unit is Unit.YES_NO else 100.0)


def _sample(kind: type[Sample], name: str, at_s: float, value: Any) -> Sample | None:
    """One in which every field has this value, or that tells a problem; None: there is none."""
    if value is Ellipsis:
        return None
    names = {field.name for field in attrs.fields(kind)}
    values: dict[str, Any] = {"at_s": at_s}
    if value == PROBLEM and "problem" in names:
        values["problem"], value = PROBLEM, None
    elif value == PROBLEM:  # what cannot complain has nothing to say
        value = None
    apart = {"at_s", "problem", "name", "is_of_clients", "index_build", "responses", "refused"}
    for field in names - apart:
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
            name: threshold_of(SIGNALS[name]) if name == beside else None for name in SIGNALS
        }
        del thresholds[signal.name]
        if configured:
            thresholds[signal.name] = threshold_of(signal)
        is_soft = signal.signal_class is SignalClass.SOFT
        level = Settings(pace=Adaptive() if is_soft else NO_REST, max_hold_ms=10 * DAY_S * 1000)
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
        self._teller, self._sample_teller = UpdateLog(DB), SignalLog(DB)
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
        threshold = threshold_of(self.signal)
        value = threshold / 1000 if self.signal.less_is_worse else threshold * 1000
        one = _sample(self.signal.source, self.signal.name, 0.0, value)
        with suppress(NoRateYetError):
            if self.signal.read(one, None) is not None:
                return value
        return value * n  # it needs two samples

    @property
    def healthy(self) -> float:
        """What says that nothing is short."""
        return threshold_of(self.signal) * 1000 if self.signal.less_is_worse else 0.0

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
        self.lines += [text for _, text in self._teller.lines(NAME, update, decision, self.wall_s)]
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
            self.throttle.databases[DB].signal_set.observe(sample)
        else:
            self.throttle.observe(None if isinstance(sample, CheckSample) else DB, sample)
        if isinstance(sample, DatabaseSample):
            signal_set = self.throttle.databases[DB].signal_set
            self.lines += [text for _, text in self._sample_teller.lines(NAME, signal_set, sample)]


def held(decisions: list[Decision]) -> list[Decision]:
    return [decision for decision in decisions if decision.cause.is_hold]
