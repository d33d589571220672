"""From now to the end of a queue, from one event to the next, as the decisions will say. Pure.

An event is a window that opens or closes, another hour of the week, the end of an update, or the
end of a hold. Between two the pace is the same. A queue that takes longer than some weeks goes
round whole weeks, which are all alike, at once.
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

# The rule is left out: what a server states is made rules of anew, with other numbers.
_APPROVAL = "approval is required: release it to let it go"
HORIZON_S = 100 * 365 * 86400.0

# Of one update; weeks hour by hour and those that are gone at once have some thousand.
MOST_EVENTS = 20_000


@attrs.frozen(kw_only=True)
class Job:
    """One pending update: what is left of it, as measured (`time_left`) or given by hand."""

    database: str = "master"
    update: str
    items: float | None = None  # left to do; None: unknown
    unit: str = "items"  # of `items`, in the plural
    per_batch_s: float | None = None  # items for each second in batches; None: unknown
    speed_error: float = 0.0  # by what share that speed may be off
    one_shot: bool = False  # whether all of it is one batch, which nothing stops once it runs
    one_shot_s: float | None = None  # how long that takes; None: unknown
    not_before_s: float = 0.0  # since the epoch; a pause ends then
    # Since the epoch; a release lets it go if it comes to the head of its queue before that, and
    # then to its end. Infinite: it is in use.
    released_until_s: float = 0.0
    shares: Shares | None = None  # of the time in batches, measured; None: by formula
    slope: Range | None = None  # by what share requests are slower at full work, if learned
    cost: Cost | None = None  # of its batches; None: not known

    @property
    def work_s(self) -> float | None:
        """The seconds of batches that it is; None: unknown."""
        if self.one_shot:
            return self.one_shot_s
        if self.items is None or not self.per_batch_s:
            return None
        return self.items / self.per_batch_s

    def work_in(self, case: str) -> float:
        """The same where the speed is as good (`early`) or as bad (`late`) as it may be."""
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


# The pace of an update, as it is decided about now: shares of the time, and the slope.
PaceOf = Callable[[Job, UpdateState], tuple[Shares, float]]


@attrs.define
class Leg:
    """The course of one update."""

    job: Job
    starts_s: float | None = None  # since the epoch; None: unknown, or never
    ends_s: float | None = None
    going_s: float = 0.0  # how long nothing held it
    batches_s: float = 0.0  # how long it was in batches
    clients_s: float = 0.0  # how long clients were there meanwhile
    slower_s: float = 0.0  # the same, weighted with what they bore
    why: str = ""  # what keeps it from ending; empty: nothing


@attrs.define
class Walk:
    """One database's queue."""

    # Of the updates, in order; behind one that does not end none begins.
    legs: list[Leg] = attrs.field(factory=list)
    # Times since the epoch, and the seconds of batches that were done by then.
    points: list[tuple[float, float]] = attrs.field(factory=list)


def walk(
    throttle: Throttle,
    jobs: Sequence[Job],
    pace_of: PaceOf,
    case: str,
    load: WeeklyLoad,
    start_s: float,
) -> Walk:
    """Go through one database's queue from `start_s`, with a throttle for this walk alone."""
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
    window_change_s: float = -math.inf
    decision: Decision = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wall_s = self.start_s

    def go(self, leg: Leg) -> bool:
        """Whether it ends."""
        job = leg.job
        left_s = job.work_in(self.case)
        self.wall_s = max(self.wall_s, job.not_before_s)
        key = (job.database, job.update)
        self.throttle.levers = _release(job, self.wall_s)
        self.throttle.begin(*key, job.one_shot, self.wall_s)
        week = _Week(leg, self.wall_s, left_s)
        self.window_change_s = -math.inf
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
        if self.wall_s >= self.window_change_s:  # between two of them nothing changes
            at = Conditions(now_s=self.wall_s, wall_s=self.wall_s)
            self.decision = self.throttle.decide(*key, at)
            self.window_change_s = _window_change_s(self.throttle.updates[key], self.wall_s)

    def _wait(self, leg: Leg) -> bool:
        """Wait until what holds it ends; answers whether it does."""
        if math.isinf(self.decision.wait_s):
            is_approval = self.decision.cause is Cause.APPROVAL
            leg.why = _APPROVAL if is_approval else self.decision.reason
            return False
        self._pass(max(self.decision.wait_s, 0.001))
        self.window_change_s = -math.inf
        return True

    def _skip(self, week: "_Week", left_s: float) -> float:
        """Go through weeks that are like the last at once; answers the seconds of batches."""
        weeks, week_s = week.skip(self.wall_s, left_s)
        if weeks:
            self._pass(weeks * _WEEK_S, weeks * week_s)
            self.window_change_s = -math.inf
        return weeks * week_s

    def _end(self, leg: Leg) -> bool:
        leg.ends_s = self.wall_s
        leg.starts_s = leg.ends_s if leg.starts_s is None else leg.starts_s
        return True

    def _stretch(self, leg: Leg, update: UpdateState, left_s: float) -> float:
        """Go on to the next event; answers the seconds of batches that were done."""
        level = self.load.level(self.wall_s, self.case)
        shares, slope = self.pace_of(leg.job, update)
        share = shares.at(level, self.case)
        until_s = min(self.load.next_change_s(self.wall_s), self.window_change_s)
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
    """Sees what a week brought, so that others like it can be gone at once."""

    leg: Leg
    began_s: float
    left_s: float
    weeks: int = 0
    _before: tuple[float, ...] = (0.0,) * 4

    def skip(self, wall_s: float, left_s: float) -> tuple[int, float]:
        """How many whole weeks to skip, and the work of one; the leg counts them."""
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
    """What acts on the job that begins now: a release, which is in use from then on."""
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
