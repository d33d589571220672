"""Laws of others on the modelled server, to compare this project's law with.

Each sees the same soft signals, as pressures by this project's default thresholds, four times a
second, and answers with a duty cycle. The idea of each is here, its constants where its source
gives any; none of them was made for this, so that losing here says nothing about its own place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from synapse_bgthrottle.core.adaptive.pressure_controller import SoftLaw
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from synapse_bgthrottle.core.signals.samples import ProcessSample, Sample
from synapse_bgthrottle.core.signals.signal_set import SignalSet, Soft
from testbed.simulation.model import ServerModel

_LEAST_RATIO = 0.01
_FIRST_RATIO = 0.1
_TARGET_MS = 100
_PROBE_MS = 25
_PROBE_PATIENCE_S = 2.0
_LOOK_EVERY_S = 0.25
_GAP_EVERY_S = 0.005

# The duty cycle and the pressure now, turned into the duty cycle from now on.
Law = Callable[[float, float], float]


def gate(ratio: float, pressure: float) -> float:
    """gh-ost: no rest while all is well, nothing while it is not (`go/logic/throttler.go`)."""
    return 1.0 if pressure < 1 else 0.0


def aimd(ratio: float, pressure: float) -> float:
    """Additive increase, multiplicative decrease (Chiu and Jain, 1989)."""
    return _bounded(ratio + 0.01 if pressure < 1 else ratio / 2)


def ledbat(ratio: float, pressure: float) -> float:
    """LEDBAT++: in proportion to how far the delay is from its target, halved at most."""
    return _bounded(ratio + max(0.02 * (1 - pressure), -ratio / 2))


def elastic(ratio: float, pressure: float) -> float:
    """CockroachDB's elastic CPU: 0.1 % of the time more each second, 0.2 % less."""
    return _bounded(ratio + (0.001 if pressure < 1 else -0.002) * _LOOK_EVERY_S)


def gradient(ratio: float, pressure: float) -> float:
    """Netflix' Gradient2: base latency by latency, a tolerance of 1.5, smoothed by 0.2."""
    falling = min(max(1.5 / (1 + pressure), 0.5), 1.0)
    return _bounded(0.8 * ratio + 0.2 * (ratio * falling + 0.02))


def multiplicative() -> Law:
    """This project's law for soft pressures, without its questions for presence and harm."""
    law = SoftLaw()

    def step(ratio: float, pressure: float) -> float:
        law.step(Soft(pressure), _LEAST_RATIO)
        return law.ratio

    return step


# Made anew for each run, because a law may remember.
OTHER_LAWS: Mapping[str, Callable[[], Law | None]] = {
    "gate (gh-ost)": lambda: gate,
    "AIMD": lambda: aimd,
    "LEDBAT++": lambda: ledbat,
    "elastic CPU": lambda: elastic,
    "Gradient2": lambda: gradient,
    "pressure alone": multiplicative,
    "25 ms in gaps": lambda: None,
}


@attrs.define
class OtherLaw:
    """One of them as the modelled server wants it (`simulation.updater.Decider`).

    Attributes:
        law: None: batches of 25 ms start when no request is in flight, which is waited for 2 s
            at most, and there is no rest.
    """

    law: Law | None
    _signal_set: SignalSet
    _ratio: float = _FIRST_RATIO
    _began_s: float = 0.0
    _ended_s: float = 0.0

    @classmethod
    def on(cls, law: Law | None, server: ServerModel) -> OtherLaw:
        """With the signals of this server."""
        return cls(law, SignalSet({}, round(server.cores), is_sqlite=server.connections == 1))

    def begin(self, database_name: str, update_name: str, one_shot: bool, now_s: float) -> None:
        """An iteration begins: nothing to do."""

    def observe(self, database_name: str | None, sample: Sample) -> None:
        """A sample has been taken."""
        self._signal_set.observe(sample)
        pressure = self._signal_set.soft(sample.at_s).pressure
        if self.law and isinstance(sample, ProcessSample) and pressure is not None:
            self._ratio = self.law(self._ratio, pressure)

    def decide(self, database_name: str, update_name: str, at: Conditions) -> Decision:
        """Whether to wait, and for how long."""
        wait_s = self._rest_s(at.now_s) if self.law else self._gap_s(at)
        cause = Cause.PACE if wait_s > 0 else Cause.RUN
        target_ms = _TARGET_MS if self.law else _PROBE_MS
        return Decision(cause, max(wait_s, 0.0), "", target_ms=target_ms, items=0)

    def waited(self, database_name: str, update_name: str, cause: Cause, wait_s: float) -> None:
        """A wait is over: nothing to do, because what is left of it is computed anew."""

    def start(self, database_name: str, update_name: str, now_s: float) -> None:
        """A batch starts."""
        self._began_s = now_s

    def finish(
        self, database_name: str, update_name: str, now_s: float, items: int | None, failed: bool
    ) -> None:
        """A batch has ended."""
        self._ended_s = now_s

    def _rest_s(self, now_s: float) -> float:
        if not self._ratio:
            return _LOOK_EVERY_S
        batch_s = self._ended_s - self._began_s
        return self._ended_s + batch_s * (1 / self._ratio - 1) - now_s

    def _gap_s(self, at: Conditions) -> float:
        late = at.now_s - self._ended_s >= _PROBE_PATIENCE_S
        return 0.0 if late or not at.active_requests else _GAP_EVERY_S


def _bounded(ratio: float) -> float:
    return min(max(ratio, _LEAST_RATIO), 1.0)
