"""Paces by limits: each is measured once on the modelled server, and remembered."""

import math
from collections.abc import Callable

import attrs

from synapse_bgthrottle.forecast import stretch
from synapse_bgthrottle.forecast.paces import Knot, Paces, falling, slowed
from synapse_bgthrottle.forecast.stretch import Lengths, Seen
from synapse_bgthrottle.limits import Adaptive, Limits
from testbed.simulation.model import ServerModel, Streams

# Independent courses of chance, by number.
Seeds = Callable[[int], Streams]

# Any speed at which batches have many items: the pace does not depend on it.
_USUAL_PER_S = 5000.0

_RUNS = 2

# Nothing is known better than this.
_LEAST_ERROR = 0.03


@attrs.define
class Measured:
    """Measures paces on one server under one week's loads.

    Attributes:
        server: the model.
        loads: at which it is measured, from the highest.
        is_share: whether loads are shares of the time.
        seeds: of chance.
        lengths: of what is simulated.
        closed_ratio: the share of the time in which budgets are closed.
    """

    server: ServerModel
    loads: tuple[float, ...]
    is_share: bool
    seeds: Seeds
    lengths: Lengths = attrs.field(factory=Lengths)
    closed_ratio: float = 0.0
    _known: dict[object, tuple[Paces, Paces]] = attrs.field(factory=dict)
    _alone: dict[int, tuple[float, ...]] = attrs.field(factory=dict)

    def paces(
        self,
        limits: Limits,
        per_batch_s: float,
        *,
        is_let_go: bool = False,
        is_released: bool = False,
    ) -> Paces:
        """Of an update with these limits that does so many items a second in batches.

        `is_let_go`: `max_hold` is over; `is_released`: somebody let it go by hand.
        """
        plain = attrs.evolve(limits, windows=(), needs_approval=False, max_hold_ms=0.0)
        model_per_s = _model_per_s(plain, per_batch_s)
        key = (plain, model_per_s, is_let_go)
        if key not in self._known:
            if _is_spaced_by_rate(plain, model_per_s):
                knots = self._by_arithmetic(plain, model_per_s)
            else:
                knots = self._by_simulation(plain, model_per_s, is_let_go)
            found = Paces(falling(knots), self.is_share)
            self._known[key] = (
                slowed(found, self.closed_ratio),
                slowed(found, self.closed_ratio, only_at_worst=True),
            )
        budgets_hold, budgets_may_hold = self._known[key]
        return budgets_may_hold if is_released else budgets_hold

    def _by_arithmetic(self, limits: Limits, per_s: float) -> list[Knot]:
        share = limits.max_items_per_second / per_s
        return [Knot(load, share, share * (1 - _LEAST_ERROR), share) for load in self.loads]

    def _by_simulation(self, limits: Limits, per_s: float, is_let_go: bool) -> list[Knot]:
        # What an adaptive pace learns is in part chance, which another run has otherwise.
        runs = _RUNS if isinstance(limits.pace, Adaptive) and any(self.loads) else 1
        seen = [self._run(limits, per_s, is_let_go, number) for number in range(runs)]
        alone = [self._without(number) for number in range(runs)]
        most = limits.max_items_per_second / per_s
        quickest = max(each[-1].items_per_batch_s for each in seen)  # at the least load
        knots = []
        for number, load in enumerate(self.loads):
            here = [each[number] for each in seen]
            shares = [each.share for each in here]
            # The speed was measured at loads that are not known, so that it may be less here.
            busy = min((each.items_per_batch_s for each in here), default=0.0) / (quickest or 1.0)
            share = sum(shares) / len(shares)
            error = _LEAST_ERROR if isinstance(limits.pace, Adaptive) else 0.0
            alone_s = sum(each[number] for each in alone) / runs
            with_s = sum(each.latency_s for each in here) / runs
            knots.append(
                Knot(
                    load,
                    min(share, most),
                    min(min(shares) * min(busy or 1.0, 1.0), most) * (1 - error),
                    min(max(shares) * (1 + error), most, 1.0),
                    with_s / alone_s - 1 if alone_s else 0.0,
                )
            )
        return knots

    def _without(self, number: int) -> tuple[float, ...]:
        if number not in self._alone:
            self._alone[number] = stretch.latencies(
                self.server, self.loads, self.seeds(number), self.lengths
            )
        return self._alone[number]

    def _run(self, limits: Limits, per_s: float, is_let_go: bool, number: int) -> tuple[Seen, ...]:
        return stretch.run(
            limits,
            self.server,
            per_s,
            self.loads,
            self.seeds(number),
            self.lengths,
            is_let_go=is_let_go,
        )


def _model_per_s(limits: Limits, per_batch_s: float) -> float:
    """The speed that is simulated: the update's own where it matters, else a usual one."""
    usual_items = _USUAL_PER_S * limits.target_duration_ms / 1000
    items = per_batch_s * limits.target_duration_ms / 1000
    bounded = limits.is_exact or not 2 * limits.min_batch_items < items
    if not bounded and usual_items > 2 * limits.min_batch_items:
        return _USUAL_PER_S
    return float(f"{per_batch_s:.2g}")


def _is_spaced_by_rate(limits: Limits, per_s: float) -> bool:
    """Whether its items per second are so few that nothing else matters, nor can be sampled."""
    return math.isfinite(limits.max_items_per_second) and (
        limits.max_items_per_second < 1 or limits.max_items_per_second < per_s / 1000
    )
