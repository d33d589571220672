"""The forecast: measures paces on the modelled server, and walks each queue with them."""

from collections.abc import Sequence
from itertools import groupby

import attrs

from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.forecast.configurations import configurations
from synapse_bgthrottle.forecast.models import Job
from synapse_bgthrottle.forecast.pace_curve import Pace, as_observed, wanted_loads
from synapse_bgthrottle.forecast.pace_table import Measured, Seeds
from synapse_bgthrottle.forecast.results import (
    OBSERVED,
    PRESENT,
    ConfigurationForecast,
    Forecast,
    UpdateForecast,
)
from synapse_bgthrottle.forecast.simulated_run import Lengths
from synapse_bgthrottle.forecast.timeline import Leg, Walk, walk
from synapse_bgthrottle.forecast.weekly_load import WeeklyLoad
from testbed.simulation.model import ServerModel

_CASES = ("share", "high", "low")
_MOST_POINTS = 200

# How far what was observed so far may be from what follows, at a guess.
_OBSERVED_ERROR = 0.2


@attrs.frozen
class Observed:
    """The adaptive pace so far, on the server itself.

    Attributes:
        share: of the time in batches, while nothing held it.
        level: the mean load meanwhile; None: not known, as holds took much of the time.
    """

    share: float
    level: float | None


@attrs.frozen(kw_only=True)
class Question:
    """What is asked.

    Attributes:
        jobs: pending updates, each database's in the order in which they will run.
        config: the present configuration.
        server_settings: what the server's own `background_updates:` says.
        load: of the week.
        server: what the server is like.
        start_s: from when, since the epoch.
        seeds: of chance.
        closed_ratio: the share of the time in which budgets are closed.
        observed: how the update under way goes; None: not known, or the load will be another one.
        error: by what share past forecasts were wrong; the range is no narrower.
        lengths: of what is simulated.
        only: the names of the configurations that are wanted; empty: all.
    """

    jobs: tuple[Job, ...]
    config: Config
    server_settings: Settings = attrs.field(factory=Settings)
    load: WeeklyLoad
    server: ServerModel
    start_s: float
    seeds: Seeds
    closed_ratio: float = 0.0
    observed: Observed | None = None
    error: float = 0.0
    lengths: Lengths = attrs.field(factory=Lengths)
    only: tuple[str, ...] = ()


def forecast(question: Question) -> Forecast:
    """Answer it."""
    load = question.load
    measured = Measured(
        server=question.server,
        loads=wanted_loads(load.levels(), load.is_share),
        is_share=load.is_share,
        seeds=question.seeds,
        lengths=question.lengths,
        closed_ratio=question.closed_ratio,
    )
    updates: tuple[UpdateForecast, ...] = ()
    compared = []
    for name, config, server in configurations(question.config, question.server_settings):
        if question.only and name not in question.only:
            continue
        walks = _walks(question, measured, config, server, None)
        compared.append(_configuration(question, name, walks))
        if name != PRESENT:
            continue
        if question.observed is not None:
            walks = _walks(question, measured, config, server, question.observed)
            compared.insert(0, _configuration(question, OBSERVED, walks))
        updates = tuple(_updates(question, walks))
    return Forecast(question.start_s * 1000, load.name, updates, tuple(compared))


def _walks(
    question: Question,
    measured: Measured,
    config: Config,
    server: Settings,
    observed: Observed | None,
) -> dict[str, list[Walk]]:
    """By case, the walks through each database's queue."""

    def pace_of(job: Job, update: UpdateState, level: float) -> Pace:
        is_let_go = update.holds.has_outlasted
        is_released = update.levers is not None and bool(update.levers.all)  # it has no others here
        per_batch_s = job.per_batch_s or 1.0
        paces = measured.paces(
            update.limits, per_batch_s, is_let_go=is_let_go, is_released=is_released
        )
        if observed is None or not update.is_adaptive or is_let_go:
            return paces.at(level)
        share = observed.share
        if observed.level is None:  # it will go in the same hours as so far
            low, high = share * (1 - _OBSERVED_ERROR), share * (1 + _OBSERVED_ERROR)
            return Pace(share, low, min(high, 1.0), paces.at(level).slower)
        return as_observed(paces, share, observed.level, _OBSERVED_ERROR).at(level)

    walks: dict[str, list[Walk]] = {case: [] for case in _CASES}
    for case in _CASES:
        for _, group in groupby(question.jobs, key=lambda job: job.database):
            throttle = Throttle(config, server)
            gone = walk(throttle, list(group), pace_of, case, question.load, question.start_s)
            walks[case].append(gone)
    return walks


def _updates(question: Question, walks: dict[str, list[Walk]]) -> list[UpdateForecast]:
    found = []
    likely, early, late = ({_key(leg): leg for leg in _legs(walks[case])} for case in _CASES)
    for job in question.jobs:
        key = (job.database, job.update)
        leg = likely.get(key)
        stuck = next(
            (each for each in likely.values() if each.why and each.job.database == job.database),
            None,
        )
        why = job.unknown if leg is None else leg.why
        if leg is None and not why and stuck is not None:
            why = f"waits behind {stuck.job.update}"
        ends_s = None if leg is None else leg.ends_s
        low_s, high_s = _range(question, ends_s, early.get(key), late.get(key))
        found.append(
            UpdateForecast(
                job.database,
                job.update,
                job.items,
                job.unit,
                job.per_batch_s,
                _ms(None if leg is None else leg.starts_s),
                _ms(ends_s),
                _ms(low_s),
                _ms(high_s),
                leg.batches_s / leg.going_s if leg is not None and leg.going_s else None,
                why,
            )
        )
    return found


def _configuration(
    question: Question, name: str, walks: dict[str, list[Walk]]
) -> ConfigurationForecast:
    likely = _legs(walks["share"])
    last = max((leg for leg in likely if leg.ends_s), key=lambda leg: leg.ends_s or 0, default=None)
    early, late = (
        next((leg for leg in _legs(walks[case]) if last and _key(leg) == _key(last)), None)
        for case in ("high", "low")
    )
    low_s, high_s = _range(question, last.ends_s if last else None, early, late)
    going_s = sum(leg.going_s for leg in likely if leg.ends_s)
    batches_s = sum(leg.batches_s for leg in likely if leg.ends_s)
    clients_s = sum(leg.clients_s for leg in likely if leg.ends_s)
    slower_s = sum(leg.slower_s for leg in likely if leg.ends_s)
    ended = sum(leg.ends_s is not None for leg in likely)
    return ConfigurationForecast(
        name,
        _ms(last.ends_s if last else None),
        _ms(low_s),
        _ms(high_s),
        batches_s / going_s if going_s else None,
        max(slower_s / clients_s, 0.0) if clients_s else None,
        ended == len(question.jobs),
        _course(walks["share"]),
    )


def _range(
    question: Question, ends_s: float | None, early: Leg | None, late: Leg | None
) -> tuple[float | None, float | None]:
    """The earliest and the latest end; at least as far apart as past forecasts were wrong."""
    if ends_s is None:
        return None, None
    took_s = ends_s - question.start_s
    low_s = early.ends_s if early is not None and early.ends_s else ends_s
    high_s = late.ends_s if late is not None else None
    low_s = min(low_s, ends_s, question.start_s + took_s * (1 - min(question.error, 0.9)))
    if high_s is not None:
        high_s = max(high_s, ends_s, question.start_s + took_s * (1 + question.error))
    return low_s, high_s


def _course(walks: Sequence[Walk]) -> tuple[tuple[float, float], ...]:
    """All databases together: times in ms, and the share of the work that is done."""
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


def _legs(walks: Sequence[Walk]) -> list[Leg]:
    return [leg for gone in walks for leg in gone.legs]


def _key(leg: Leg) -> tuple[str, str]:
    return leg.job.database, leg.job.update


def _ms(at_s: float | None) -> float | None:
    return None if at_s is None else at_s * 1000
