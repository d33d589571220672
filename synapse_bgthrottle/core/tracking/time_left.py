"""How long an update will still take: one estimate, of what was measured and a formula. Pure.

Status, metrics and forecast tell this one number. The pace now is what was measured of late
(`measured_pace`), filled up with what the limits, the law and the history of the update let expect
(`expected_pace`). From now on for an hour clients are there for as much of the time as in the last
half minute; then as in the hours of the week that were seen (`weekly_load`), through windows,
pauses and releases (`timeline`). The range has the best and the worst of each.
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
    EARLY,
    LATE,
    LIKELY,
    UNKNOWN_SLOPE,
    Range,
    Shares,
)
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.measured_pace import Pace
from synapse_bgthrottle.core.tracking.timeline import Job, walk
from synapse_bgthrottle.core.tracking.weekly_load import WeeklyLoad

# What is expected may be off by this, whatever it rests on.
_ERROR = 0.15
# By so much batches may be quicker once no client competes with them.
_CONTENTION = 3.0
# After a restart the share of the time is known from before, when clients may have been others.
_HISTORY_ERROR = 0.5
# The speed in batches is known by so many; more of them make it no better than what is measured.
_FEWEST_BATCHES = 4

_HOLDS = frozenset(cause.value for cause in Cause if cause.is_hold)
# Of these the timeline knows the end, or that there is none.
_FORETOLD = (Cause.PAUSED, Cause.APPROVAL, Cause.WINDOW)


@attrs.frozen
class TimeLeft:
    """Seconds until an update is done; None: not known, or it waits for somebody.

    Attributes:
        expected_s: as is likely, through windows and pauses, by the hours of the week.
        earliest_s, latest_s: between which it ends.
        at_this_pace_s: as it goes now. Holds are not in it.
        unthrottled_s: in batches only, without any rest between them.
    """

    expected_s: float | None = None
    earliest_s: float | None = None
    latest_s: float | None = None
    at_this_pace_s: float | None = None
    unthrottled_s: float | None = None

    def stated(self) -> schema.TimeLeft:
        """As the HTTP API states it."""
        return schema.TimeLeft(
            expected=self.expected_s,
            earliest=self.earliest_s,
            latest=self.latest_s,
            at_this_pace=self.at_this_pace_s,
            unthrottled=self.unthrottled_s,
        )


NOT_KNOWN = TimeLeft()


@attrs.frozen
class PaceNow:
    """The pace of the update under way, as forecasts go on from it.

    Attributes:
        left: how much is left, in the unit of its progress; batches under way counted as done.
        per_batch_s: of that for each second in batches.
        speed_error: by what share that may be off.
        shares: of the time in batches.
        clients_ratio: for how much of the last half minute clients were there; None: unknown.
        slope: by what share requests are slower at full work; None: not learned yet.
        cost: of its batches; None: not known yet.
    """

    left: float
    per_batch_s: float
    speed_error: float
    shares: Shares
    clients_ratio: float | None = None
    slope: Range | None = None
    cost: Cost | None = None

    def stated(self) -> schema.StatedPace:
        """As the HTTP API states it."""
        return schema.StatedPace(
            left=self.left,
            per_batch_second=self.per_batch_s,
            speed_error=self.speed_error,
            without_clients=_stated(self.shares.alone),
            with_clients=_stated(self.shares.among_clients),
            with_clients_ratio=self.shares.clients_ratio,
            clients_ratio=self.clients_ratio,
            slope=None if self.slope is None else _stated(self.slope),
            fixed_s=0.0 if self.cost is None else self.cost.fixed_s,
            item_s=None if self.cost is None else self.cost.item_s,
        )


@attrs.frozen(kw_only=True)
class Known:
    """What is known of an update beside its measured pace.

    Attributes:
        limits: of it.
        entry: its course so far, before a restart too.
        cost: of its batches; None: not known, then it is as the course says.
        slope: by what share requests are slower at full work; None: not learned yet.
        load: of the week.
        wall_s: now, since the epoch.
        not_before_s, released_until_s: see `Job`.
        held: whether something holds it of which no end is foretold, such as a budget.
    """

    limits: Limits
    entry: HistoryEntry
    cost: Cost | None = None
    slope: Range | None = None
    load: WeeklyLoad
    wall_s: float
    not_before_s: float = 0.0
    released_until_s: float = 0.0
    held: bool = False


@attrs.frozen
class Estimate:
    """What is told of an update.

    Attributes:
        time_left: how long it takes.
        items_per_second: at the pace of now, rests included; None: not known yet.
        pace: for forecasts; None: not known yet.
    """

    time_left: TimeLeft = NOT_KNOWN
    items_per_second: float | None = None
    pace: PaceNow | None = None


def estimate(pace: Pace, known: Known) -> Estimate:
    """The one estimate."""
    clients = 1.0 if pace.clients_ratio is None else pace.clients_ratio
    speed, is_seen = _speed(pace, known)
    if speed is None:
        return Estimate()
    rates = pace.rates(_expected(pace, known, is_seen=is_seen), speed)
    # No limit of now was kept yet by what was measured before it was set.
    most = known.limits.max_items_per_second * _work_per_item(pace, known)
    rates = attrs.evolve(
        rates, alone=rates.alone.at_most(most), among_clients=rates.among_clients.at_most(most)
    )
    counted_s, overdue_s = pace.since_step()
    active_s = pace.totals.active_s
    if overdue_s:
        rates = _scaled(rates, active_s / (active_s + overdue_s))
    rate = rates.at(clients, LIKELY)
    if rate <= 0 or not math.isfinite((pace.left or 0.0) / min(rate, speed)):
        return Estimate()
    items_per_second = rate / _work_per_item(pace, known) if pace.totals.work > 0 else None
    if pace.left is None:
        return Estimate(items_per_second=items_per_second)
    if pace.left == 0:
        return Estimate(TimeLeft(0.0, 0.0, 0.0, 0.0, 0.0), items_per_second)
    left = max(pace.left - rate * counted_s, 0.0)
    now = PaceNow(
        left,
        speed,
        1 / math.sqrt(max(known.entry.batches, _FEWEST_BATCHES)),
        _scaled(rates, 1 / speed),
        pace.clients_ratio,
        known.slope,
        known.cost,
    )
    return Estimate(
        TimeLeft(
            _ends_s(now, known, LIKELY),
            _ends_s(now, known, EARLY),
            _ends_s(now, known, LATE),
            left / rate,
            pace.left / speed if is_seen else None,
        ),
        items_per_second,
        now,
    )


def _ends_s(now: PaceNow, known: Known, case: str) -> float | None:
    entry = known.entry
    if known.held:
        return None
    job = Job(
        database=entry.database,
        update=entry.update,
        items=now.left,
        per_batch_s=now.per_batch_s,
        speed_error=now.speed_error,
        not_before_s=known.not_before_s,
        released_until_s=known.released_until_s,
        shares=now.shares,
    )
    throttle = Throttle(expected_pace.settled(known.limits), Settings())
    (leg,) = walk(
        throttle, [job], lambda *_: (now.shares, 0.0), case, known.load, known.wall_s
    ).legs
    return None if leg.ends_s is None else max(leg.ends_s - known.wall_s, 0.0)


def is_held(decision: Decision | None) -> bool:
    """Whether something holds it now of which no end is foretold."""
    return decision is not None and decision.cause.is_hold and decision.cause not in _FORETOLD


def budgets_closed(waited_s: Mapping[str, float], batch_s: float) -> float:
    """The share of the time outside of other holds in which a budget was closed."""
    closed_s = waited_s.get(Cause.BUDGET.value, 0.0)
    return closed_s / (closed_s + _going_s(waited_s, batch_s)) if closed_s > 0 else 0.0


def _speed(pace: Pace, known: Known) -> tuple[float | None, bool]:
    """Progress for each second in batches, and whether any was seen; None: not known."""
    speed, sums, entry = pace.per_batch_s(), pace.measured, known.entry
    if speed is not None:
        return speed * _speedup(known, sums.items, sums.batches), True
    if entry.progress_per_item and entry.items > 0 < entry.batch_s:
        speed = _work_per_item(pace, known) * entry.items / entry.batch_s
        return speed * _speedup(known, entry.items, entry.batches), True
    # With a limit of items a second that is enough: it is a division.
    limit = known.limits.max_items_per_second * _work_per_item(pace, known)
    return (limit, False) if math.isfinite(limit) else (None, False)


def _expected(pace: Pace, known: Known, *, is_seen: bool) -> Shares:
    """Of the time in batches, before it is measured."""
    limits, entry = known.limits, known.entry
    if not is_seen:
        half = Range(1.0, 1 - _HISTORY_ERROR, 1.0)
        return Shares(half, half)
    sums = pace.totals
    found = expected_pace.shares(limits, _cost(known), known.slope or UNKNOWN_SLOPE)
    alone, among = found.alone, found.among_clients
    was = entry.batch_s / _going_s(entry.waited_s, entry.batch_s) if entry.batch_s > 0 else 0.0
    # Of before a restart: what was measured since tells more.
    if known.slope is None and was and not sums.steps and isinstance(limits.pace, Adaptive):
        error = _HISTORY_ERROR
        among = Range(was, was * (1 - error), was * (1 + error)).at_most(alone.high)
    if sums.steps and not pace.is_seen_alone:
        alone = attrs.evolve(alone, high=alone.high * _CONTENTION)
    open_ratio = 1 - budgets_closed(entry.waited_s, entry.batch_s)
    return Shares(_widened(alone), _widened(among)).times(open_ratio, open_ratio)


def _speedup(known: Known, items: float, batches: float) -> float:
    """Of batches as large as they come to be: these may still grow, or the limits may be new."""
    if known.cost is None or items <= 0 or batches <= 0:
        return 1.0
    cost = known.cost
    return cost.items_per_s(cost.items(known.limits)) / cost.items_per_s(items / batches)


def _cost(known: Known) -> Cost | None:
    entry = known.entry
    if known.cost is not None or entry.items <= 0 or entry.batch_s <= 0:
        return known.cost
    return Cost(0.0, entry.batch_s / entry.items)


def _going_s(waited_s: Mapping[str, float], batch_s: float) -> float:
    return batch_s + sum(s for cause, s in waited_s.items() if cause not in _HOLDS)


def _widened(expected: Range) -> Range:
    return Range(expected.likely, expected.low * (1 - _ERROR), expected.high * (1 + _ERROR))


def _scaled(shares: Shares, factor: float) -> Shares:
    return attrs.evolve(
        shares,
        alone=shares.alone.times(factor),
        among_clients=shares.among_clients.times(factor),
    )


def _work_per_item(pace: Pace, known: Known) -> float:
    if pace.left is None:  # then it is items that are counted
        return 1.0
    return pace.per_item() or known.entry.progress_per_item or 1.0


def _stated(found: Range) -> schema.StatedRange:
    return schema.StatedRange(likely=found.likely, low=found.low, high=found.high)
