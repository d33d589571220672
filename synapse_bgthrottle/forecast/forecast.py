"""The forecast: simulates each queue under each configuration, at paces by formula. Pure.

The current update continues at the pace that the server reports, on which its time left is based.
All others have the pace of the formula.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

import attrs

from synapse_bgthrottle.core.config.limits import Adaptive, FixedSleep, Limits, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking import expected_pace
from synapse_bgthrottle.core.tracking.expected_pace import (
    CASES,
    EARLY,
    LATE,
    LIKELY,
    UNKNOWN_SLOPE,
    Range,
    Shares,
)
from synapse_bgthrottle.core.tracking.time_left import budgets_closed
from synapse_bgthrottle.core.tracking.timeline import Job, Leg, Walk, walk
from synapse_bgthrottle.core.tracking.weekly_load import WeeklyLoad
from synapse_bgthrottle.forecast.models import (
    PRESENT,
    ConfigurationForecast,
    Forecast,
    UpdateForecast,
)
from synapse_bgthrottle.schema import HistoryEntry

# By case, then by database and name of the update.
_Legs: TypeAlias = dict[str, dict[tuple[str, str], Leg]]

STOCK = "stock"

_MOST_POINTS = 200

# A measured share shows the slope only if no bound of the duty cycle determines it.
_CLEARLY = 1.05


@attrs.frozen(kw_only=True)
class Question:
    """The input of a forecast."""

    # Pending updates, those of each database in the order in which they will run.
    jobs: tuple[Job, ...]
    config: Config
    # Settings of the server's own `background_updates:`.
    server_settings: Settings = attrs.field(factory=Settings)
    load: WeeklyLoad
    # Share by which requests are slower at a duty cycle of 1, if that is not learned.
    slope: Range = UNKNOWN_SLOPE
    start_s: float  # time of the start, since the epoch
    closed_ratio: float = 0.0  # share of the time in which budgets are closed
    error: float = 0.0  # relative error of past forecasts; the range is at least as wide
    only: tuple[str, ...] = ()  # names of the configurations to compute; empty: all


def forecast(question: Question) -> Forecast:
    """The forecast for this input."""
    updates: tuple[UpdateForecast, ...] = ()
    compared = []
    slope = slope_of(question)
    for name, config, server in configurations(question.config, question.server_settings):
        if question.only and name not in question.only:
            continue
        throttle = Throttle(config, server)
        jobs = [_as_in(job, question, throttle, is_stock=name == STOCK) for job in question.jobs]
        asked = attrs.evolve(question, jobs=tuple(jobs))
        walks = _walks(asked, slope, config, server, is_present=name == PRESENT)
        legs: _Legs = {
            case: {
                (leg.job.database, leg.job.update): leg for gone in walks[case] for leg in gone.legs
            }
            for case in CASES
        }
        compared.append(_configuration(question, name, legs, _course(walks[LIKELY])))
        if name == PRESENT:
            updates = tuple(_update(question, job, legs) for job in question.jobs)
    return Forecast(question.start_s * 1000, question.load.name, updates, tuple(compared))


def configurations(config: Config, server: Settings) -> Iterator[tuple[str, Config, Settings]]:
    """Name, configuration and settings of Synapse's own section.

    A profile replaces the pace at each level; windows and limits stay. Stock Synapse has neither.
    Signals are left out: nothing is measured, and a configured budget without a value would be
    closed.
    """
    config = attrs.evolve(config, signals=SignalSettings())
    yield PRESENT, config, server
    for name in PROFILES:
        yield name, _with_profile(config, name), server
    yield STOCK, Config(), _stock(server)


def _with_profile(config: Config, name: str) -> Config:
    def changed(settings: Settings) -> Settings:
        return attrs.evolve(settings, pace=Adaptive(), profile=name)

    return attrs.evolve(
        config,
        settings=changed(config.settings),
        rules=tuple(attrs.evolve(rule, settings=changed(rule.settings)) for rule in config.rules),
    )


def _stock(server: Settings) -> Settings:
    pace = server.pace if isinstance(server.pace, FixedSleep) else FixedSleep(1000.0)
    return attrs.evolve(server, pace=pace)


def closed_ratio(history: Iterable[HistoryEntry]) -> float:
    """Share of the time without other holds in which a budget was closed."""
    waited_s: dict[str, float] = {}
    batch_s = 0.0
    for entry in history:
        batch_s += entry.batch_time_ms / 1000
        for cause, waited_ms in entry.waited_ms.items():
            waited_s[cause] = waited_s.get(cause, 0.0) + waited_ms / 1000
    return budgets_closed(waited_s, batch_s)


def slope_of(question: Question) -> Range:
    """The slope from the measured pace, or else the learned one, or else the given one."""
    for job in question.jobs:
        if job.shares is None:
            continue
        throttle = Throttle(question.config, question.server_settings)
        limits = throttle.limits.of(job.update, job.database, job.one_shot)[1]
        tolerance = PROFILES[limits.profile].tolerance_ratio
        among = job.shares.among_clients
        if _shows_slope(limits, among.likely, job.shares.alone.likely):
            shown = (tolerance / share for share in (among.likely, among.high, among.low))
            return Range(*shown)
        if job.slope is not None:
            return job.slope
    return question.slope


def _shows_slope(limits: Limits, share: float, alone: float) -> bool:
    return (
        isinstance(limits.pace, Adaptive)
        and PROFILES[limits.profile].tolerance_ratio < 1
        and limits.min_duty_ratio * _CLEARLY < share < alone / _CLEARLY
    )


def _as_in(job: Job, question: Question, throttle: Throttle, *, is_stock: bool) -> Job:
    """With the cost and the speed that its batches have in another configuration."""
    if not job.per_batch_s:
        return job
    cost = job.cost or Cost(0.0, 1 / job.per_batch_s)
    there = attrs.evolve(cost, longest_s=0.0) if is_stock else cost
    key = (job.update, job.database, job.one_shot)
    present = Throttle(question.config, question.server_settings)
    was, is_now = (
        each.items_per_s(each.items(by.limits.of(*key)[1]))
        for each, by in ((cost, present), (there, throttle))
    )
    return attrs.evolve(job, cost=there, per_batch_s=job.per_batch_s * is_now / was)


def _walks(
    question: Question, slope: Range, config: Config, server: Settings, *, is_present: bool
) -> dict[str, list[Walk]]:
    """The simulated queues of all databases, by case."""
    open_ratio = 1 - question.closed_ratio

    def pace_of(job: Job, update: UpdateState) -> tuple[Shares, float]:
        let_go = update.holds.has_outlasted
        if is_present and job.shares is not None and not let_go:
            return job.shares, slope.likely
        found = expected_pace.shares(update.limits, job.cost, slope, let_go=let_go)
        # Most budgets do not hold a released update. A lever here is always a release.
        is_released = update.levers is not None and bool(update.levers.all)
        return found.times(1.0 if is_released else open_ratio, open_ratio), slope.likely

    walks: dict[str, list[Walk]] = {case: [] for case in CASES}
    for case in CASES:
        for _, group in groupby(question.jobs, key=lambda job: job.database):
            throttle = Throttle(config, server)
            gone = walk(throttle, list(group), pace_of, case, question.load, question.start_s)
            walks[case].append(gone)
    return walks


def _update(question: Question, job: Job, legs: _Legs) -> UpdateForecast:
    leg = legs[LIKELY].get((job.database, job.update))
    why = job.unknown if leg is None else leg.why
    if leg is None and not why:
        others = (each for each in legs[LIKELY].values() if each.job.database == job.database)
        stuck = next((each.job.update for each in others if each.why), None)
        why = "" if stuck is None else f"waits behind {stuck}"
    return UpdateForecast(
        job.database,
        job.update,
        job.items,
        job.unit,
        job.per_batch_s,
        _ms(None if leg is None else leg.starts_s),
        *_end(question, leg, legs),
        leg.batches_s / leg.going_s if leg is not None and leg.going_s else None,
        why,
    )


def _configuration(
    question: Question, name: str, legs: _Legs, course: tuple[tuple[float, float], ...]
) -> ConfigurationForecast:
    ended = [leg for leg in legs[LIKELY].values() if leg.ends_s]
    last = max(ended, key=lambda leg: leg.ends_s or 0.0, default=None)
    going_s = sum(leg.going_s for leg in ended)
    clients_s = sum(leg.clients_s for leg in ended)
    slower_s = sum(leg.slower_s for leg in ended)
    return ConfigurationForecast(
        name,
        *_end(question, last, legs),
        sum(leg.batches_s for leg in ended) / going_s if going_s else None,
        max(slower_s / clients_s, 0.0) if clients_s else None,
        len(ended) == len(question.jobs),
        course,
    )


def _end(
    question: Question, leg: Leg | None, legs: _Legs
) -> tuple[float | None, float | None, float | None]:
    """The likely, earliest and latest end in ms, at least as far apart as past errors suggest."""
    if leg is None or leg.ends_s is None:
        return None, None, None
    ends_s, took_s = leg.ends_s, leg.ends_s - question.start_s
    early, late = (legs[case].get((leg.job.database, leg.job.update)) for case in (EARLY, LATE))
    low_s = ends_s if early is None else early.ends_s or ends_s
    low_s = min(low_s, ends_s, question.start_s + took_s * (1 - min(question.error, 0.9)))
    high_s = None if late is None else late.ends_s
    if high_s is not None:
        high_s = max(high_s, ends_s, question.start_s + took_s * (1 + question.error))
    return ends_s * 1000, low_s * 1000, _ms(high_s)


def _course(walks: Sequence[Walk]) -> tuple[tuple[float, float], ...]:
    """All databases together: times in ms, and the share of the work done."""
    total_s = sum(gone.points[-1][1] for gone in walks)
    if not total_s:
        return ()
    steps: list[tuple[float, float]] = []
    for gone in walks:
        before_s = 0.0
        for at_s, done_s in gone.points:
            steps.append((at_s, done_s - before_s))
            before_s = done_s
    steps.sort()
    points, done_s = [], 0.0
    for at_s, added_s in steps:
        done_s += added_s
        points.append((at_s * 1000, min(done_s / total_s, 1.0)))
    thinned = points[:: max(len(points) // _MOST_POINTS, 1)]
    return (*thinned, points[-1])


def _ms(at_s: float | None) -> float | None:
    return None if at_s is None else at_s * 1000
