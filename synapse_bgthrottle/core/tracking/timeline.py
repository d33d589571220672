"""Simulates a queue from now to its end, from one event to the next. Pure.

An event is a window that opens or closes, another hour of the week, the end of an update, or the
end of a hold. Between two events the pace stays the same. After some weeks one by one, weeks that
are alike are simulated all at once.
"""

import math
from collections.abc import Callable, Sequence

import attrs

from synapse_bgthrottle.core.config import windows
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.expected_pace import EARLY, LATE, Range, Shares
from synapse_bgthrottle.core.tracking.weekly_load import WeeklyLoad

_WEEK_S = 7 * 86400.0
_WEEKS_ONE_BY_ONE = 3
_ALIKE_S = 1.0

# Without the rule: forecasts make rules from what a server states, and number them anew.
_APPROVAL = "approval is required: release it to let it go"
HORIZON_S = 100 * 365 * 86400.0

# For one update. Weeks hour by hour, and then weeks at once, take some thousands.
MOST_EVENTS = 20_000


@attrs.frozen(kw_only=True)
class Job:
    """One pending update: what is left of it, as measured (`time_left`) or given by hand."""

    database: str = "master"
    update: str
    items: float | None = None  # left to do; None: unknown
    unit: str = "items"  # of `items`, in the plural
    per_batch_s: float | None = None  # items per second of batches; None: unknown
    speed_error: float = 0.0  # relative error of that speed
    one_shot: bool = False  # whether it is one batch, which nothing stops once it runs
    one_shot_s: float | None = None  # how long that takes; None: unknown
    not_before_s: float = 0.0  # end of a pause, since the epoch
    # End of a release, since the epoch. It lets the update run to its end if that reaches the head
    # of its queue before. Infinite: the release is in use.
    released_until_s: float = 0.0
    shares: Shares | None = None  # measured shares of the time in batches; None: by formula
    slope: Range | None = None  # share by which requests are slower at full work, if learned
    cost: Cost | None = None  # of its batches; None: unknown

    @property
    def work_s(self) -> float | None:
        """The seconds in batches that it takes; None: unknown."""
        if self.one_shot:
            return self.one_shot_s
        if self.items is None or not self.per_batch_s:
            return None
        return self.items / self.per_batch_s

    def work_in(self, case: str) -> float:
        """The same at the highest (`early`) or lowest (`late`) speed within its error."""
        work_s = self.work_s or 0.0
        sign = {EARLY: 1, LATE: -1}.get(case, 0)
        return work_s if self.one_shot else work_s / (1 + sign * min(self.speed_error, 0.9))

    @property
    def unknown(self) -> str:
        """What is missing for a forecast; empty: nothing."""
        if self.work_s is not None:
            return ""
        if self.one_shot:
            return "how long it takes is not known: use --one-shot DURATION"
        if self.items is None:
            return "how much is left is not known: use --items"
        return "its speed is not known yet: use --rate"


# Returns the pace of an update in its present state: shares of the time, and the slope.
PaceOf = Callable[[Job, UpdateState], tuple[Shares, float]]


@attrs.define
class Leg:
    """One simulated update."""

    job: Job
    starts_s: float | None = None  # since the epoch; None: unknown, or never
    ends_s: float | None = None
    going_s: float = 0.0  # time without holds
    batches_s: float = 0.0  # time in batches
    clients_s: float = 0.0  # the part of `going_s` with clients
    slower_s: float = 0.0  # the same, times the share by which their requests were slower
    why: str = ""  # why it does not end; empty: it ends


@attrs.define
class Walk:
    """One simulated queue of a database."""

    # The updates, in order. Behind one that does not end, none begins.
    legs: list[Leg] = attrs.field(factory=list)
    # Times since the epoch, and the seconds of batches done until then.
    points: list[tuple[float, float]] = attrs.field(factory=list)


def walk(
    throttle: Throttle,
    jobs: Sequence[Job],
    pace_of: PaceOf,
    case: str,
    load: WeeklyLoad,
    start_s: float,
) -> Walk:
    """Simulate one database's queue from `start_s`, with a throttle for this alone."""
    gone = Walk(points=[(start_s, 0.0)])
    walker = _Walker(throttle, pace_of, case, load, start_s, gone)
    for job in jobs:
        leg = Leg(job)
        gone.legs.append(leg)
        if job.unknown or not walker.go(leg):
            leg.why = leg.why or job.unknown
            break
    return gone


@attrs.define
class _Walker:
    throttle: Throttle
    pace_of: PaceOf
    case: str
    load: WeeklyLoad
    start_s: float
    gone: Walk
    done_s: float = 0.0
    wall_s: float = attrs.field(init=False)
    decision: Decision = attrs.field(init=False)
    decided_until_s: float = attrs.field(init=False)  # until then the decision stays as it is

    def __attrs_post_init__(self) -> None:
        self.wall_s = self.start_s

    def go(self, leg: Leg) -> bool:
        """Simulate an update. Return whether it ends."""
        job = leg.job
        left_s = job.work_in(self.case)
        self.wall_s = max(self.wall_s, job.not_before_s)
        key = (job.database, job.update)
        self.throttle.levers = _release(job, self.wall_s)
        self.throttle.begin(*key, job.one_shot, self.wall_s)
        week = _Week(leg, self.wall_s, left_s)
        self.decided_until_s = self.wall_s
        for _ in range(MOST_EVENTS):
            if left_s <= 0:
                return self._end(leg)
            if self.wall_s - self.start_s > HORIZON_S:
                leg.why = "it would take more than a hundred years"
                return False
            self._decide(key)
            if self.decision.cause.is_hold:
                if not self._wait(leg):
                    return False
                continue
            if leg.starts_s is None:
                leg.starts_s = self.wall_s
            if job.one_shot:
                leg.going_s, leg.batches_s = left_s, left_s
                self._pass(left_s, left_s)
                return self._end(leg)
            left_s -= self._stretch(leg, self.throttle.updates[key], left_s)
            left_s -= self._skip(week, left_s)
        leg.why = f"it has no end within {MOST_EVENTS} openings, closings and changes of load"
        return False

    def _decide(self, key: tuple[str, str]) -> None:
        if self.wall_s >= self.decided_until_s:
            at = Conditions(now_s=self.wall_s, wall_s=self.wall_s)
            self.decision = self.throttle.decide(*key, at)
            self.decided_until_s = _window_change_s(self.throttle.updates[key], self.wall_s)

    def _wait(self, leg: Leg) -> bool:
        """Wait until the hold ends. Return whether it ends."""
        if math.isinf(self.decision.wait_s):
            is_approval = self.decision.cause is Cause.APPROVAL
            leg.why = _APPROVAL if is_approval else self.decision.reason
            return False
        self._pass(max(self.decision.wait_s, 0.001))
        self.decided_until_s = self.wall_s
        return True

    def _skip(self, week: "_Week", left_s: float) -> float:
        """Skip weeks that are like the last one. Return their seconds of batches."""
        weeks, week_s = week.skip(self.wall_s, left_s)
        if weeks:
            self._pass(weeks * _WEEK_S, weeks * week_s)
            self.decided_until_s = self.wall_s
        return weeks * week_s

    def _end(self, leg: Leg) -> bool:
        leg.ends_s = self.wall_s
        leg.starts_s = leg.ends_s if leg.starts_s is None else leg.starts_s
        return True

    def _stretch(self, leg: Leg, update: UpdateState, left_s: float) -> float:
        """Go on to the next event. Return the seconds of batches until then."""
        level = self.load.level(self.wall_s, self.case)
        shares, slope = self.pace_of(leg.job, update)
        share = shares.at(level, self.case)
        until_s = min(self.load.next_change_s(self.wall_s), self.decided_until_s)
        passes_s = min(until_s - self.wall_s, left_s / share if share > 0 else math.inf)
        passes_s = min(passes_s, _WEEK_S)
        worked_s = min(passes_s * share, left_s)
        if passes_s * share >= left_s * (1 - 1e-12):
            worked_s = left_s
        leg.going_s += passes_s
        leg.batches_s += worked_s
        leg.clients_s += passes_s * level
        among = shares.among_clients.of(self.case)
        leg.slower_s += passes_s * level * math.expm1(slope * among)
        self._pass(passes_s, worked_s)
        return worked_s

    def _pass(self, passes_s: float, worked_s: float = 0.0) -> None:
        self.wall_s += passes_s
        self.done_s += worked_s
        self.gone.points.append((self.wall_s, self.done_s))


@attrs.define
class _Week:
    """Adds up the present week, so that other weeks like it can be skipped."""

    leg: Leg
    began_s: float
    left_s: float
    weeks: int = 0
    _before: tuple[float, ...] = (0.0,) * 4

    def skip(self, wall_s: float, left_s: float) -> tuple[int, float]:
        """How many whole weeks to skip, and the work in one. Adds them to the leg."""
        if wall_s < self.began_s + _WEEK_S - _ALIKE_S:
            return 0, 0.0
        is_whole = wall_s < self.began_s + _WEEK_S + _ALIKE_S
        work_s, self.left_s, self.began_s = self.left_s - left_s, left_s, wall_s
        leg = self.leg
        sums = (leg.going_s, leg.batches_s, leg.clients_s, leg.slower_s)
        before, self._before = self._before, sums
        self.weeks += is_whole
        if not is_whole or self.weeks < _WEEKS_ONE_BY_ONE or work_s <= 0:
            return 0, 0.0
        weeks = int(min(left_s / work_s, HORIZON_S / _WEEK_S + 2)) - 1
        if weeks <= 0:
            return 0, 0.0
        self._before = tuple(
            now + weeks * (now - then) for now, then in zip(sums, before, strict=True)
        )
        leg.going_s, leg.batches_s, leg.clients_s, leg.slower_s = self._before
        self.began_s += weeks * _WEEK_S
        self.left_s -= weeks * work_s
        return weeks, work_s


def _release(job: Job, wall_s: float) -> Levers:
    """The release with which the job begins now, and which is in use from now on; or nothing."""
    if wall_s >= job.released_until_s:
        return Levers()
    release = Lever(
        lever_id="",
        kind=LeverKind.RELEASE,
        update="*",
        author="",
        created_s=wall_s,
        ends_s=job.released_until_s,
        used_s=wall_s,
    )
    return Levers((release,))


def _window_change_s(update: UpdateState, wall_s: float) -> float:
    limits = update.limits
    if not limits.windows:
        return math.inf
    change_s = windows.next_change_s(limits.windows, limits.time_zone, wall_s)
    return math.inf if change_s is None else change_s
