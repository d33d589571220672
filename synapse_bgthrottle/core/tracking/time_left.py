"""How long an update will still take: one estimate, from measurements and a formula. Pure.

Status, metrics and forecast all show it. The pace now is the one measured lately (`measured_pace`),
mixed with the one expected from limits and history (`expected_pace`). For the next hour, the share
of the time with clients is that of the last half minute, and later that of each hour of the week
(`weekly_load`). Windows, pauses and releases count (`timeline`). The range combines the best and
the worst of each.
"""

import math
from collections.abc import Mapping

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.config.limits import Adaptive, Limits, Settings
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking import expected_pace
from synapse_bgthrottle.core.tracking.expected_pace import (
    CASES,
    LIKELY,
    UNKNOWN_SLOPE,
    Range,
    Shares,
)
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.measured_pace import MeasuredPace
from synapse_bgthrottle.core.tracking.timeline import Job, walk
from synapse_bgthrottle.core.tracking.weekly_load import WeeklyLoad
from synapse_bgthrottle.schema import TimeLeft

# Relative error of the expected pace.
_ERROR = 0.15
# Batches may be so many times faster without clients.
_CONTENTION = 3.0
# Relative error of a share of the time that is known from before a restart.
_HISTORY_ERROR = 0.5
# The error of the speed in batches never counts as more than after so many.
_FEWEST_BATCHES = 4

_HOLDS = frozenset(cause.value for cause in Cause if cause.is_hold)
# Holds whose end the timeline knows, or knows that there is none.
_FORETOLD = (Cause.PAUSED, Cause.APPROVAL, Cause.WINDOW)

NOT_KNOWN = TimeLeft()
DONE = TimeLeft(expected=0.0, earliest=0.0, latest=0.0, at_this_pace=0.0, unthrottled=0.0)


@attrs.frozen(kw_only=True)
class Known:
    """What an estimate starts from, beside the measured pace; the `Job` is what it finds."""

    limits: Limits
    entry: HistoryEntry  # its history so far, also from before a restart
    cost: Cost | None = None  # of its batches; None: unknown, then it is taken from the history
    slope: Range | None = None  # share by which requests are slower at full work, if learned
    load: WeeklyLoad
    wall_s: float  # now, since the epoch
    not_before_s: float = 0.0  # see `Job`
    released_until_s: float = 0.0
    held: bool = False  # whether a hold without a known end holds it, such as a budget


@attrs.frozen
class Estimate:
    """The estimate for an update."""

    time_left_s: TimeLeft = NOT_KNOWN
    items_per_second: float | None = None  # at the present pace, with rests; None: not known yet
    job: Job | None = None  # what is left of it, for forecasts; None: not known yet
    clients_ratio: float | None = None  # share of the last half minute with clients

    def stated_pace(self) -> schema.StatedPace | None:
        """As the HTTP API states it."""
        job = self.job
        if job is None or job.shares is None or job.items is None or job.per_batch_s is None:
            return None
        return schema.StatedPace(
            left=job.items,
            per_batch_second=job.per_batch_s,
            speed_error=job.speed_error,
            without_clients=_stated(job.shares.alone),
            with_clients=_stated(job.shares.among_clients),
            with_clients_ratio=job.shares.clients_ratio,
            clients_ratio=self.clients_ratio,
            slope=None if job.slope is None else _stated(job.slope),
            fixed_s=0.0 if job.cost is None else job.cost.fixed_s,
            item_s=None if job.cost is None else job.cost.item_s,
        )


def estimate(pace: MeasuredPace, known: Known) -> Estimate:
    """The estimate for an update with this measured pace."""
    clients = 1.0 if pace.clients_ratio is None else pace.clients_ratio
    speed, is_seen = _speed(pace, known)
    if speed is None:
        return Estimate()
    known = _at_speed(known, speed / _work_per_item(pace, known))
    rates = pace.rates(_expected(pace, known, is_seen=is_seen), speed)
    # The pace may have been measured before the present limit was set.
    most = known.limits.max_items_per_second * _work_per_item(pace, known)
    rates = attrs.evolve(
        rates, alone=rates.alone.at_most(most), among_clients=rates.among_clients.at_most(most)
    )
    counted_s, overdue_s = pace.since_step()
    active_s = pace.totals.active_s
    if overdue_s:
        slower = active_s / (active_s + overdue_s)
        rates = rates.times(slower, slower, slower)
    rate = rates.at(clients, LIKELY)
    if rate <= 0 or not math.isfinite((pace.left or 0.0) / min(rate, speed)):
        return Estimate()
    items_per_second = rate / _work_per_item(pace, known) if pace.totals.work > 0 else None
    if pace.left is None:
        return Estimate(items_per_second=items_per_second)
    if pace.left == 0:
        return Estimate(DONE, items_per_second)
    left = max(pace.left - rate * counted_s, 0.0)
    shares = rates.times(1 / speed, 1 / speed, 1 / speed)
    job = Job(
        database=known.entry.database,
        update=known.entry.update,
        items=left,
        per_batch_s=speed,
        speed_error=1 / math.sqrt(max(known.entry.batches, _FEWEST_BATCHES)),
        not_before_s=known.not_before_s,
        released_until_s=known.released_until_s,
        shares=shares,
        slope=known.slope,
        cost=known.cost,
    )
    expected_s, earliest_s, latest_s = (_ends_s(job, shares, known, case) for case in CASES)
    time_left_s = TimeLeft(
        expected=expected_s,
        earliest=earliest_s,
        latest=latest_s,
        at_this_pace=left / rate,
        unthrottled=pace.left / speed if is_seen else None,
    )
    return Estimate(time_left_s, items_per_second, job, pace.clients_ratio)


def _ends_s(job: Job, shares: Shares, known: Known, case: str) -> float | None:
    if known.held:
        return None
    throttle = Throttle(expected_pace.settled(known.limits), Settings())
    gone = walk(throttle, [job], lambda *_: (shares, 0.0), case, known.load, known.wall_s)
    ends_s = gone.legs[0].ends_s
    return None if ends_s is None else max(ends_s - known.wall_s, 0.0)


def is_held(decision: Decision | None) -> bool:
    """Whether a hold without a known end holds it now."""
    return decision is not None and decision.cause.is_hold and decision.cause not in _FORETOLD


def budgets_closed(waited_s: Mapping[str, float], batch_s: float) -> float:
    """The share of the time without other holds in which a budget was closed."""
    closed_s = waited_s.get(Cause.BUDGET.value, 0.0)
    return closed_s / (closed_s + _going_s(waited_s, batch_s)) if closed_s > 0 else 0.0


def _speed(pace: MeasuredPace, known: Known) -> tuple[float | None, bool]:
    """Work per second of batches (None: unknown), and whether that was measured."""
    speed, sums, entry = pace.per_batch_s(), pace.measured, known.entry
    if speed is not None:
        return speed * _speedup(known, sums.items, sums.batches), True
    if entry.progress_per_item and min(entry.items, entry.batch_s) > 0:
        speed = _work_per_item(pace, known) * entry.items / entry.batch_s
        return speed * _speedup(known, entry.items, entry.batches), True
    # A limit of items per second is enough.
    limit = known.limits.max_items_per_second * _work_per_item(pace, known)
    return (limit, False) if math.isfinite(limit) else (None, False)


def _expected(pace: MeasuredPace, known: Known, *, is_seen: bool) -> Shares:
    """The expected shares of the time in batches."""
    limits, entry = known.limits, known.entry
    if not is_seen:
        half = Range(1.0, 1 - _HISTORY_ERROR, 1.0)
        return Shares(half, half)
    sums = pace.totals
    found = expected_pace.shares(limits, _cost(known), known.slope or UNKNOWN_SLOPE)
    alone, among = found.alone, found.among_clients
    was = entry.batch_s / _going_s(entry.waited_s, entry.batch_s) if entry.batch_s > 0 else 0.0
    # From before a restart, if nothing was measured since.
    if known.slope is None and was and not sums.steps and isinstance(limits.pace, Adaptive):
        error = _HISTORY_ERROR
        among = Range(was, was * (1 - error), was * (1 + error)).at_most(alone.high)
    if sums.steps and not pace.is_seen_alone:
        alone = attrs.evolve(alone, high=alone.high * _CONTENTION)
    open_ratio = 1 - budgets_closed(entry.waited_s, entry.batch_s)
    return Shares(_widened(alone), _widened(among)).times(open_ratio, open_ratio)


def _speedup(known: Known, items: float, batches: float) -> float:
    """How much faster batches become at their final size: they may grow, or limits may be new."""
    if known.cost is None or items <= 0 or batches <= 0:
        return 1.0
    cost = known.cost
    return cost.items_per_s(cost.items(known.limits)) / cost.items_per_s(items / batches)


def _at_speed(known: Known, items_per_s: float) -> Known:
    """With a cost that gives batches this speed, so that a limit of items per second is exact."""
    cost = known.cost
    if cost is None:
        return known
    factor = cost.items_per_s(cost.items(known.limits)) / items_per_s
    cost = attrs.evolve(cost, fixed_s=cost.fixed_s * factor, item_s=cost.item_s * factor)
    return attrs.evolve(known, cost=cost)


def _cost(known: Known) -> Cost | None:
    entry = known.entry
    if known.cost is not None or entry.items <= 0 or entry.batch_s <= 0:
        return known.cost
    return Cost(0.0, entry.batch_s / entry.items)


def _going_s(waited_s: Mapping[str, float], batch_s: float) -> float:
    return batch_s + sum(s for cause, s in waited_s.items() if cause not in _HOLDS)


def _widened(expected: Range) -> Range:
    return Range(expected.likely, expected.low * (1 - _ERROR), expected.high * (1 + _ERROR))


def _work_per_item(pace: MeasuredPace, known: Known) -> float:
    if pace.left is None:  # then work is counted in items
        return 1.0
    return pace.per_item() or known.entry.progress_per_item or 1.0


def _stated(found: Range) -> schema.StatedRange:
    return schema.StatedRange(likely=found.likely, low=found.low, high=found.high)
